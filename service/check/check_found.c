/* check_found - what the relay said and offers, in words, and what could be better */
#include "service/check/check_run.h"

#include <string.h>

enum { GREETING_LINES = 4, SMALL_SIZE = 10 << 20 };

static const struct {
	enum smtp_feature feature;
	const char *name;
} features[] = {
	{ SMTP_PIPELINING, "PIPELINING" },
	{ SMTP_CHUNKING, "CHUNKING" },
	{ SMTP_8BITMIME, "8BITMIME" },
	{ SMTP_SMTPUTF8, "SMTPUTF8" },
	{ SMTP_DSN, "DSN" },
	{ SMTP_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES" },
	{ SMTP_SIZE, "SIZE" },
	{ SMTP_LIMITS, "LIMITS" },
	{ SMTP_STARTTLS, "STARTTLS" },
	{ SMTP_AUTH, "AUTH" },
};

static void add_mechanisms(unsigned mechanisms, struct buf *words)
{
	const char *separator = "";

	for (unsigned bit = 1; bit <= SMTP_OAUTHBEARER; bit <<= 1)
		if (mechanisms & bit) {
			buf_addf(words, "%s%s", separator,
				smtp_mechanism_name((enum smtp_mechanism)bit));
			separator = " ";
		}
}

static void add_features(const struct smtp_features *offer, struct buf *words)
{
	const char *separator = "offers ";

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (!(offer->offered & features[i].feature))
			continue;
		buf_addf(words, "%s%s", separator, features[i].name);
		if (features[i].feature == SMTP_AUTH) {
			buf_add_string(words, " (");
			add_mechanisms(offer->mechanisms, words);
			buf_add_string(words, ")");
		}
		separator = ", ";
	}
	if (!words->len)
		buf_add_string(words, "offers no extension that is of use here");
}

/* The relay's own lines in this step. */
static void add_reply(const struct check_run *run, struct buf *words)
{
	struct text lines = text_from(buf_text(&run->trace), run->trace_at);
	size_t count = 0;

	while (lines.len && count < GREETING_LINES) {
		struct text line = text_cut(&lines, '\n');

		if (!text_starts(line, TEXT("< ")))
			continue;
		if (count++)
			buf_add_byte(words, '\n');
		check_add_foreign(words, text_from(line, 2));
	}
}

/* ---- step by step */

static void found_ehlo(struct check_run *run)
{
	struct buf words = buf_born(4096);
	bool is_refused = run->session.state == SMTP_AWAIT_HELO;

	if (is_refused)
		add_reply(run, &words);
	else
		add_features(&run->session.features, &words);
	check_add(run, "EHLO", is_refused ? CHECK_WARNING : CHECK_OK, true, &words,
		is_refused ? "The relay is very old, or a firewall (\"SMTP inspection\") hides its "
			     "extensions: HELO is tried, without TLS and logins."
			   : "");
	buf_free(&words);
}

static void found_starttls(struct check_run *run)
{
	struct buf words = buf_born(4096);
	bool is_refused = run->session.state != SMTP_AWAIT_TLS;

	add_reply(run, &words);
	check_add(run, "STARTTLS", is_refused ? CHECK_WARNING : CHECK_OK, true, &words,
		is_refused ? "Offered, and refused: with SMTP_SECURE=OPPORTUNISTIC messages go in "
			     "clear."
			   : "");
	buf_free(&words);
}

static void found_tls(struct check_run *run)
{
	SSL *ssl = link_ssl(run->used->link);
	struct buf words = buf_born(4096);
	bool is_old = SSL_version(ssl) < TLS1_3_VERSION;

	buf_addf(&words, "%s, %s", tls_version(ssl), SSL_get_cipher_name(ssl));
	check_add(run, "TLS", is_old ? CHECK_WARNING : CHECK_OK, true, &words,
		is_old ? "It works; TLS 1.3, which this relay did not agree to, takes a round trip "
			 "less for each new session."
		       : "");
	buf_free(&words);
	check_found_certificate(run);
}

static void found_auth(struct check_run *run)
{
	const struct smtp_policy *policy = relay_policy(run->relay);
	enum smtp_mechanism mechanism = policy->mechanism;
	struct buf words = buf_born(4096);

	if (mechanism == SMTP_AUTH_NONE)
		mechanism =
			smtp_mechanism_best(run->session.features.mechanisms, &policy->credentials);
	buf_addf(&words, "%s as %s", smtp_mechanism_name(mechanism), run->settings->user);
	check_add(run, "AUTH", CHECK_OK, true, &words, "");
	buf_free(&words);
}

static void found_envelope(struct check_run *run, enum smtp_state state)
{
	struct text address = state == SMTP_AWAIT_MAIL ? run->envelope.from : run->to;
	struct buf words = buf_born(8192);

	buf_add_byte(&words, '<');
	check_add_foreign(&words, address);
	buf_add_string(&words, ">: ");
	add_reply(run, &words);
	check_add(run, check_step_name(state), CHECK_OK, true, &words, "");
	buf_free(&words);
}

static void found_reply(struct check_run *run, enum smtp_state state)
{
	struct buf words = buf_born(8192);

	add_reply(run, &words);
	check_add(run, check_step_name(state), CHECK_OK, true, &words, "");
	buf_free(&words);
}

void check_found(struct check_run *run, enum smtp_state state)
{
	switch (state) {
	case SMTP_AWAIT_EHLO:
		found_ehlo(run);
		break;
	case SMTP_AWAIT_STARTTLS:
		found_starttls(run);
		break;
	case SMTP_AWAIT_TLS:
		found_tls(run);
		break;
	case SMTP_AWAIT_AUTH:
		found_auth(run);
		break;
	case SMTP_AWAIT_MAIL:
	case SMTP_AWAIT_RCPT:
		found_envelope(run, state);
		break;
	default:
		found_reply(run, state);
	}
}

/* ---- what a message will cost */

static void add_bytes(uint64_t bytes, struct buf *words)
{
	if (bytes >= 1 << 20)
		buf_addf(words, "%.1f MB", (double)bytes / (1 << 20));
	else
		buf_addf(words, "%.1f KB", (double)bytes / (1 << 10));
}

static void found_cost(struct check_run *run)
{
	const struct smtp_features *offer = &run->session.features;
	bool piped = offer->offered & SMTP_PIPELINING, chunked = offer->offered & SMTP_CHUNKING;
	int trips = piped ? (chunked ? 1 : 2) : (chunked ? 3 : 4);
	struct buf words = buf_born(4096);

	buf_addf(&words, "%d round trip%s each", trips, trips == 1 ? "" : "s");
	if (offer->size_bytes) {
		buf_add_string(&words, ", up to ");
		add_bytes(offer->size_bytes, &words);
	} else {
		buf_add_string(&words, ", no limit of size declared");
	}
	if (offer->rcpt_max)
		buf_addf(&words, ", up to %u recipients", offer->rcpt_max);
	if (offer->rcpt_domain_max)
		buf_addf(&words, ", of up to %u domains", offer->rcpt_domain_max);
	if (offer->mail_max)
		buf_addf(&words, ", up to %u a session", offer->mail_max);
	check_add(run, "messages", CHECK_OK, false, &words, "");
	buf_free(&words);
}

static void found_size(struct check_run *run)
{
	uint64_t size = run->session.features.size_bytes;
	struct buf words = buf_born(4096);

	if (size && size < SMALL_SIZE) {
		buf_add_string(&words, "messages over ");
		add_bytes(size, &words);
		buf_add_string(&words, " will be refused");
		check_add(run, "SIZE", CHECK_WARNING, false, &words,
			"An attachment grows by a third on its way; the relay's operator can raise "
			"the limit.");
	}
	buf_free(&words);
}

static bool is_here(const struct check_run *run)
{
	struct text address = text_of(run->used->host);

	return text_starts(address, TEXT("127.")) || text_equal(address, TEXT("::1"));
}

void check_found_offer(struct check_run *run)
{
	const struct smtp_policy *policy = relay_policy(run->relay);
	unsigned offered = run->session.features.offered;

	found_cost(run);
	if (!(offered & SMTP_PIPELINING))
		check_note(run, "PIPELINING", CHECK_WARNING, "not offered",
			"Each message takes more round trips than it would have to; more "
			"SMTP_SESSIONS make up for it.");
	else if (!(offered & SMTP_CHUNKING))
		check_note(run, "CHUNKING", CHECK_WARNING, "not offered",
			"With it, a message would take one round trip.");
	if (!(offered & SMTP_8BITMIME))
		check_note(run, "8BITMIME", CHECK_WARNING, "not offered",
			"Raw messages with 8-bit content will be refused; composed ones never need "
			"it.");
	found_size(run);
	if (!run->session.secure && !is_here(run))
		check_note(run, "privacy", CHECK_WARNING, "messages go in clear",
			"Whoever is on the way can read them: set SMTP_SECURE=STARTTLS (or TLS, on "
			"port 465) if the relay can.");
	if ((offered & SMTP_AUTH) && !policy->authenticates)
		check_note(run, "AUTH", CHECK_WARNING, "the relay takes logins, and none is set",
			"If it refuses senders or recipients, set SMTP_USER and SMTP_PASS.");
}
