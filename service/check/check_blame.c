/* check_blame - what is wrong, and what to change: the words for each step that fails
 *
 * The verdict's own hint is the last resort: it has to fit a mail that failed, while here it is
 * known what was tried and how it is set. */
#include "service/session/advice.h"
#include "service/check/check_run.h"

#include <string.h>

static const char *const names[SMTP_STATES] = {
	[SMTP_AWAIT_TLS] = "TLS",
	[SMTP_AWAIT_GREETING] = "greeting",
	[SMTP_AWAIT_EHLO] = "EHLO",
	[SMTP_AWAIT_HELO] = "HELO",
	[SMTP_AWAIT_STARTTLS] = "STARTTLS",
	[SMTP_AWAIT_AUTH] = "AUTH",
	[SMTP_READY] = "session",
	[SMTP_AWAIT_MAIL] = "MAIL",
	[SMTP_AWAIT_RCPT] = "RCPT",
	[SMTP_AWAIT_RSET] = "RSET",
	[SMTP_AWAIT_QUIT] = "QUIT",
};

const char *check_step_name(enum smtp_state state)
{
	return names[state] ? names[state] : "session";
}

/* ---- look-up and connection */

void check_blame_lookup(struct check_run *run)
{
	const char *host = run->settings->host;
	struct buf words = buf_born(4096), hint = buf_born(4096);

	if (run->lookup_loss == SMTP_LOSS_NO_NAME) {
		buf_addf(&words, "the name %s does not exist, or has no address", host);
		buf_add_string(&hint, "Check SMTP_HOST for a typing error; your provider's "
				      "documentation has the name (like smtp.example.com).");
		if (!strchr(host, '.'))
			buf_add_string(&hint, " A name without a dot is known only within a "
					      "container network or a local one.");
	} else {
		buf_addf(&words, "the name servers did not answer for %s", host);
		buf_add_string(&hint, "Check the name servers of this machine (/etc/resolv.conf) "
				      "and that it may reach them on port 53.");
	}
	buf_add_byte(&hint, '\0');
	check_fail(run, "look-up", &words, hint.at ? hint.at : "");
	buf_free(&words);
	buf_free(&hint);
}

static void add_refused_hint(const struct relay_settings *settings, struct buf *hint)
{
	buf_addf(hint,
		"Nothing listens on port %u there, or a firewall refuses. The usual ports are 587 "
		"(STARTTLS), 465 (TLS), 2525 and 25: set SMTP_PORT.",
		settings->port);
	if (settings_relay_is_local(settings))
		buf_add_string(hint, " Is the relay running? Within a container, this address is "
				     "the container itself.");
}

static void add_silence_hint(const struct relay_settings *settings, struct buf *hint)
{
	buf_addf(hint, "A firewall swallows what is sent to port %u. ", settings->port);
	if (settings->port == 25)
		buf_add_string(hint, "Most clouds block outgoing port 25: use the provider's "
				     "submission port, SMTP_PORT=587 (or 465, 2525).");
	else
		buf_add_string(hint, "Some clouds block outgoing mail ports: try the provider's "
				     "other ones (587, 465, 2525), or have this one opened.");
}

void check_blame_connect(struct check_run *run)
{
	struct buf words = buf_born(16384), hint = buf_born(4096);
	bool any_silent = false, any_refused = false;

	for (size_t i = 0; i < run->count; i++) {
		struct link *link = run->candidates[i].link;
		bool is_silent = link_loss(link) == SMTP_LOSS_TIMEOUT;

		buf_addf(&words, "%s", i ? "\n" : "");
		if (is_silent)
			buf_addf(&words, "%s port %u: no answer", run->candidates[i].host,
				run->settings->port);
		else
			buf_add_string(&words, link_words(link));
		any_silent |= is_silent;
		any_refused |= strstr(link_words(link), "refused") != NULL;
	}
	if (any_refused)
		add_refused_hint(run->settings, &hint);
	else if (any_silent)
		add_silence_hint(run->settings, &hint);
	else
		buf_add_string(&hint, "This machine has no way to that address: check its network, "
				      "routes and firewall, and SMTP_HOST.");
	buf_add_byte(&hint, '\0');
	check_fail(run, "connect", &words, hint.at ? hint.at : "");
	buf_free(&words);
	buf_free(&hint);
}

/* ---- replies */

/* Here it is known what was asked, and how. */
static const char *hint_for_refusal(
	const struct check_run *run, const struct smtp_verdict *verdict, bool is_sender)
{
	if (verdict->phase == SMTP_IN_EHLO && verdict->class == SMTP_NEVER)
		return "The relay dislikes how this machine introduces itself, or its address: set "
		       "SMTP_EHLO_NAME to a full host name that resolves.";
	switch (verdict->category) {
	case SMTP_RELAY_SENDER_NOT_ALLOWED:
	case SMTP_SENDER_REJECTED:
	case SMTP_POLICY_REJECTED:
		if (is_sender)
			return "The relay does not let this sender through: check it with --from, "
			       "using an address or domain that is verified at the provider.";
		break;
	case SMTP_RECIPIENT_REJECTED:
		return "The relay itself works, and refuses this recipient: check --to, or try "
		       "another.";
	default:
		break;
	}
	return advice_hint(run->settings, &run->session, verdict);
}

static void add_refusal(
	struct buf *words, const struct smtp_verdict *verdict, const struct smtp_said *said)
{
	buf_add_string(words, smtp_category_words(verdict->category)->title);
	if (said->code) {
		buf_add_string(words, ": ");
		check_add_said(words, said);
	}
}

void check_blame_refusal(struct check_run *run, const char *name,
	const struct smtp_verdict *verdict, const struct smtp_said *said)
{
	struct buf words = buf_born(8192);
	bool is_sender = strcmp(name, "MAIL") == 0;

	if (is_sender || strcmp(name, "RCPT") == 0) {
		buf_add_byte(&words, '<');
		check_add_foreign(&words, is_sender ? run->envelope.from : run->to);
		buf_add_string(&words, ">: ");
	}
	add_refusal(&words, verdict, said);
	check_fail(run, name, &words, hint_for_refusal(run, verdict, is_sender));
	buf_free(&words);
}

/* ---- the session as a whole */

void check_blame_session(struct check_run *run, enum smtp_state state)
{
	const struct smtp_session *session = &run->session;
	bool in_auth = session->verdict.phase == SMTP_IN_AUTH && state != SMTP_AWAIT_AUTH;
	const char *name = check_step_name(state);
	struct buf words = buf_born(16384), hint = buf_born(8192);

	if (!session->loss) {
		bool in_mail = run->transaction.is_over;

		check_blame_refusal(run, name,
			in_mail ? &run->transaction.verdict : &session->verdict,
			in_mail ? &run->transaction.said : &session->said);
		return;
	}
	if (in_auth) { /* AUTH failed before it was said */
		check_found(run, state);
		state = SMTP_AWAIT_AUTH;
		name = "AUTH";
	}
	if (session->loss == SMTP_LOSS_NO_TLS)
		name = "STARTTLS";
	else if (session->loss == SMTP_LOSS_CERTIFICATE)
		name = "certificate";
	check_word_loss(run, state, &words, &hint);
	buf_add_byte(&hint, '\0');
	check_fail(run, name, &words, hint.at ? hint.at : "");
	buf_free(&words);
	buf_free(&hint);
}
