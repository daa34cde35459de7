/* check_loss - why a conversation ended without a reply that says so: silence, an end, noise, TLS
 *
 * Words say what is wrong, hints what to change. */
#include "service/check_run.h"

#include <string.h>

/* "…: set SMTP_X" is a cause and its mend: the second half goes into *hint. */
static void split_words(const char *both, struct buf *words, struct buf *hint)
{
	static const char *const turns[] = { ": set ", ": use ", ": the relay's operator",
		": is the clock" };
	const char *turn = NULL;

	for (size_t i = 0; !turn && i < sizeof(turns) / sizeof(turns[0]); i++)
		turn = strstr(both, turns[i]);
	check_add_foreign(
		words, turn ? (struct text){ both, (size_t)(turn - both) } : text_of(both));
	if (!turn)
		return;
	buf_add_byte(hint, (char)(turn[2] - 'a' + 'A'));
	check_add_foreign(hint, text_of(turn + 3));
	/* a pin is there to be copied: nothing behind it */
	buf_add_string(
		hint, turn[strlen(turn) - 1] == '?' || turn[strlen(turn) - 1] == '=' ? "" : ".");
}

static const char *wrong_port_hint(const struct relay_settings *settings)
{
	bool is_implicit = settings->tls == SMTP_TLS_IMPLICIT;

	if (settings->port == 465 && !is_implicit)
		return "Port 465 wants TLS from the first byte: set SMTP_SECURE=TLS.";
	if (is_implicit && (settings->port == 587 || settings->port == 25))
		return "This port begins in clear: set SMTP_SECURE=STARTTLS, or SMTP_PORT=465.";
	if (is_implicit)
		return "If this port begins in clear, set SMTP_SECURE=STARTTLS.";
	return "If this port wants TLS from the first byte, as 465 does, set SMTP_SECURE=TLS; the "
	       "relay may also be overloaded, or may not like this machine's address.";
}

static const char *hint_for_no_auth(const struct check_run *run)
{
	const struct smtp_policy *policy = relay_policy(run->relay);
	unsigned offered = run->session.features.mechanisms;

	if (policy->mechanism && offered)
		return "Set SMTP_AUTH to one that is offered, or leave it out to have the best one "
		       "chosen.";
	if ((offered & SMTP_SCRAM_SHA_256) && !policy->credentials.token.len)
		return "SCRAM-SHA-256, which the relay wants, takes user and password in ASCII "
		       "only: choose a password without other letters.";
	if (offered & SMTP_CRAM_MD5)
		return "CRAM-MD5 is weak, and used only if it is asked for: SMTP_AUTH=cram-md5.";
	if (offered)
		return policy->credentials.token.len
			       ? "The relay takes no tokens: set SMTP_PASS in place of "
				 "SMTP_OAUTH_TOKEN."
			       : "The relay wants OAuth 2.0: set SMTP_OAUTH_TOKEN in place of "
				 "SMTP_PASS.";
	if (run->settings->port == 25)
		return "Port 25 rarely takes logins: use SMTP_PORT=587 or 465. If the relay knows "
		       "this machine by its address, leave SMTP_USER and SMTP_PASS out.";
	return "Check SMTP_PORT (587 or 465). If the relay knows this machine by its address, "
	       "leave SMTP_USER and SMTP_PASS out.";
}

static void add_offered_mechanisms(const struct check_run *run, struct buf *words)
{
	const struct smtp_policy *policy = relay_policy(run->relay);
	unsigned offered = run->session.features.mechanisms;
	const char *separator = "; it offers ";

	if (!offered) {
		buf_add_string(words, "the relay takes no logins here");
		return;
	}
	buf_addf(words, "the relay does not offer %s",
		policy->mechanism               ? smtp_mechanism_name(policy->mechanism)
		: policy->credentials.token.len ? "a login by token"
						: "a login by password");
	for (unsigned bit = 1; bit <= SMTP_OAUTHBEARER; bit <<= 1)
		if (offered & bit) {
			buf_addf(words, "%s%s", separator,
				smtp_mechanism_name((enum smtp_mechanism)bit));
			separator = ", ";
		}
}

/* The link was fine until then: it is silence, an end, or noise. */
static void add_loss(const struct check_run *run, enum smtp_state state, struct buf *words)
{
	const struct smtp_session *session = &run->session;
	bool is_greeting = state == SMTP_AWAIT_GREETING, is_tls = state == SMTP_AWAIT_TLS;
	const char *said = link_words(run->used->link);

	switch (session->loss) {
	case SMTP_LOSS_TIMEOUT:
		buf_addf(words, "the relay said nothing for ");
		check_add_duration(words, run->settings->command_ms);
		break;
	case SMTP_LOSS_DISCONNECTED:
		check_add_foreign(words, text_of(session->detail ? session->detail : said));
		if (!words->len)
			buf_add_string(words, "the relay closed the connection");
		break;
	case SMTP_LOSS_GARBLED:
		buf_addf(words, "the relay does not keep to SMTP: %s",
			session->detail ? session->detail : "not a reply");
		return;
	default:
		buf_addf(words, "%s",
			session->detail ? session->detail
					: smtp_category_words(session->verdict.category)->title);
		return;
	}
	if (is_greeting || is_tls)
		buf_addf(words, ", where %s was due",
			is_greeting ? "its greeting" : "the TLS handshake");
	else
		buf_addf(words, ", where its answer to %s was due", check_step_name(state));
}

static const char *hint_for_end(const struct check_run *run, enum smtp_state state)
{
	bool is_clear_first = run->settings->tls != SMTP_TLS_IMPLICIT;

	if (state == SMTP_AWAIT_GREETING || (state == SMTP_AWAIT_TLS && !is_clear_first))
		return wrong_port_hint(run->settings);
	if (state == SMTP_AWAIT_TLS)
		return "The relay breaks off TLS: it may want a client certificate "
		       "(SMTP_CLIENT_CERT), or its own be misconfigured; its log tells.";
	if (state == SMTP_AWAIT_AUTH && run->session.loss == SMTP_LOSS_DISCONNECTED)
		return "Some relays hang up on a wrong login: check SMTP_USER and SMTP_PASS.";
	return run->session.verdict.hint;
}

static const char *hint_for_loss(const struct check_run *run, enum smtp_state state)
{
	const struct smtp_session *session = &run->session;
	const char *detail = session->detail ? session->detail : "";

	switch (session->loss) {
	case SMTP_LOSS_WRONG_PROTOCOL:
		if (strstr(detail, "TLS"))
			return "Set SMTP_SECURE=TLS, or use the port for STARTTLS, usually 587.";
		return "That is another service's port: check SMTP_PORT; the usual ones are 587, "
		       "465, 2525 and 25.";
	case SMTP_LOSS_DISCONNECTED:
	case SMTP_LOSS_TIMEOUT:
		return hint_for_end(run, state);
	case SMTP_LOSS_HANDSHAKE:
		if (run->settings->tls_min == 13)
			return "If the relay knows TLS 1.2 only, set SMTP_TLS_MIN=1.2.";
		return "If the relay's TLS is older than 1.2, its operator must update it: older "
		       "versions are not safe, and not spoken here.";
	case SMTP_LOSS_BAD_AUTH:
		return strstr(detail, "SMTP_AUTH")
			       ? "A password in other letters than ASCII goes by PLAIN or LOGIN."
			       : "The password is wrong, or somebody stands between this machine "
				 "and the relay: check SMTP_PASS and SMTP_HOST.";
	default:
		return session->verdict.hint;
	}
}

/* ---- all together */

static void blame_tls(struct check_run *run, struct buf *words, struct buf *hint)
{
	SSL *ssl = link_ssl(run->used->link);
	X509 *leaf = ssl ? tls_refused_leaf(ssl) : NULL;
	bool is_silent = run->session.loss == SMTP_LOSS_TIMEOUT;

	if (run->session.loss == SMTP_LOSS_GARBLED || is_silent)
		add_loss(run, SMTP_AWAIT_TLS, words);
	else
		split_words(link_words(run->used->link), words, hint);
	if (leaf && run->session.loss == SMTP_LOSS_CERTIFICATE) {
		buf_add_byte(words, '\n');
		check_describe_leaf(leaf, words);
		if (run->settings->tls_pin[0])
			buf_add_string(hint, "If the relay has a new key, and you know that it is "
					     "the relay's, set SMTP_TLS_PIN to this one.");
	}
	if (!hint->len)
		buf_add_string(hint, hint_for_loss(run, SMTP_AWAIT_TLS));
}

static void blame_no_tls(struct check_run *run, struct buf *words, struct buf *hint)
{
	check_found(run, SMTP_AWAIT_EHLO);
	buf_add_string(words, "the relay does not offer STARTTLS");
	if (run->settings->port == 25)
		buf_add_string(hint, "Use the relay's port for submission: SMTP_PORT=587. ");
	else
		buf_add_string(hint, "Try SMTP_PORT=465 (TLS from the first byte). ");
	buf_add_string(hint, "A firewall in between may hide the offer. SMTP_SECURE=NONE sends in "
			     "clear, which is for loopback and trusted networks only.");
}

void check_word_loss(
	struct check_run *run, enum smtp_state state, struct buf *words, struct buf *hint)
{
	enum smtp_loss loss = run->session.loss;

	if (loss == SMTP_LOSS_NO_TLS) {
		blame_no_tls(run, words, hint);
	} else if (loss == SMTP_LOSS_NO_AUTH) {
		add_offered_mechanisms(run, words);
		buf_add_string(hint, hint_for_no_auth(run));
	} else if (state == SMTP_AWAIT_TLS) {
		blame_tls(run, words, hint);
	} else {
		add_loss(run, state, words);
		buf_add_string(hint, hint_for_loss(run, state));
	}
}
