#include "service/session/advice.h"

#include "service/session/speech.h"

#include <string.h>

static bool is_implicit(const struct relay_settings *settings)
{
	return settings->tls == SMTP_TLS_IMPLICIT;
}

void advice_add_duration(struct buf *out, uint64_t ms)
{
	if (ms < 1000)
		buf_addf(out, "%u ms", (unsigned)ms);
	else
		buf_addf(out, "%g s", (double)ms / 1000);
}

/* ---- what went wrong */

static void add_what_was_due(enum smtp_phase phase, struct buf *words)
{
	static const char *const due[SMTP_PHASES] = {
		[SMTP_IN_TLS] = "the TLS handshake",
		[SMTP_IN_GREETING] = "its greeting",
		[SMTP_IN_EHLO] = "its answer to EHLO",
		[SMTP_IN_STARTTLS] = "its answer to STARTTLS",
		[SMTP_IN_AUTH] = "its answer to AUTH",
		[SMTP_IN_MAIL] = "its answer to MAIL",
		[SMTP_IN_RCPT] = "its answer to RCPT",
	};

	if (due[phase])
		buf_addf(words, ", where %s was due", due[phase]);
}

static void add_mechanisms(unsigned mechanisms, struct buf *words)
{
	const char *separator = "; it offers ";

	for (unsigned bit = 1; bit <= SMTP_OAUTHBEARER; bit <<= 1)
		if (mechanisms & bit) {
			buf_addf(words, "%s%s", separator,
				smtp_mechanism_name((enum smtp_mechanism)bit));
			separator = ", ";
		}
}

static void add_no_auth(const struct smtp_session *session, struct buf *words)
{
	const struct smtp_policy *policy = session->policy;
	unsigned offered = session->features.mechanisms;
	const char *wanted =
		policy->credentials.token.len ? "a login by token" : "a login by password";

	if (!offered) {
		buf_add_string(words, "the relay takes no logins here");
		return;
	}
	if (policy->mechanism)
		wanted = smtp_mechanism_name(policy->mechanism);
	buf_addf(words, "the relay does not offer %s", wanted);
	add_mechanisms(offered, words);
}

static void add_silence(const struct relay_settings *settings, const struct smtp_session *session,
	struct buf *words)
{
	buf_add_string(words, "the relay said nothing for ");
	advice_add_duration(words, settings->command_ms);
	add_what_was_due(session->verdict.phase, words);
}

static void add_end(const struct smtp_session *session, const char *link_words, struct buf *words)
{
	const char *said = session->detail ? session->detail : link_words;
	bool is_told = strstr(said, "TLS handshake") != NULL;

	buf_add_string(words, said[0] ? said : "the relay closed the connection");
	if (!is_told)
		add_what_was_due(session->verdict.phase, words);
}

/* What was heard in place of a greeting, where that is known; else SPEECH_NONE. */
static enum speech other_speech(const struct smtp_session *session)
{
	enum speech speech = speech_of((struct text){ session->opening, session->opening_len });
	bool is_noise =
		session->loss == SMTP_LOSS_WRONG_PROTOCOL || session->loss == SMTP_LOSS_GARBLED;
	bool in_greeting = session->verdict.phase == SMTP_IN_GREETING;

	return is_noise && in_greeting && speech != SPEECH_SMTP ? speech : SPEECH_NONE;
}

void advice_add_loss(const struct relay_settings *settings, const struct smtp_session *session,
	const char *link_words, struct buf *words)
{
	const char *detail = session->detail ? session->detail : link_words;
	enum speech speech = other_speech(session);

	if (speech != SPEECH_NONE && speech != SPEECH_OTHER) {
		speech_add_words(speech, session->secure, (struct text){ 0 }, words);
		return;
	}
	switch (session->loss) {
	case SMTP_LOSS_TIMEOUT:
		add_silence(settings, session, words);
		break;
	case SMTP_LOSS_DISCONNECTED:
		add_end(session, link_words, words);
		break;
	case SMTP_LOSS_GARBLED:
		buf_addf(words, "the relay does not keep to SMTP: %s",
			detail[0] ? detail : "not a reply");
		break;
	case SMTP_LOSS_NO_TLS:
		buf_add_string(words, "the relay does not offer STARTTLS");
		break;
	case SMTP_LOSS_NO_AUTH:
		add_no_auth(session, words);
		break;
	default:
		buf_add_string(words,
			detail[0] ? detail : smtp_category_words(session->verdict.category)->title);
	}
}

/* ---- what to change: before the login */

static const char *hint_for_connect(
	const struct relay_settings *settings, const struct smtp_verdict *verdict)
{
	bool is_refused = verdict->category == SMTP_RELAY_UNREACHABLE;

	if (is_refused && settings_relay_is_local(settings))
		return "Is the relay running? Check SMTP_PORT, and SMTP_HOST: within a container, "
		       "this address is the container itself.";
	if (is_refused || verdict->category != SMTP_RELAY_TIMEOUT)
		return verdict->hint;
	if (settings->port == 25)
		return "A firewall swallows what is sent to port 25, as most clouds do: use the "
		       "provider's port for submission, SMTP_PORT=587 (or 465, 2525).";
	return "Nothing answers there: the host is down or another one, or a firewall swallows "
	       "what is sent to that port. Check SMTP_HOST, and try the provider's other ports "
	       "(587, 465, 2525).";
}

static const char *hint_for_name(
	const struct relay_settings *settings, const struct smtp_verdict *verdict)
{
	if (!strchr(settings->host, '.'))
		return "Check SMTP_HOST for a typing error: a name without a dot is known only "
		       "within "
		       "a container network or a local one.";
	return verdict->hint;
}

static const char *hint_for_no_tls(const struct relay_settings *settings)
{
	if (settings_relay_is_local(settings))
		return "The relay is on this machine: SMTP_SECURE=NONE will do. Else try "
		       "SMTP_PORT=465 (SMTP_SECURE=TLS).";
	if (settings->port == 25)
		return "Use the relay's port for submission: SMTP_PORT=587. A firewall in between "
		       "may hide the offer. SMTP_SECURE=NONE sends in clear, which is for loopback "
		       "and trusted networks only.";
	return "Try SMTP_PORT=465 (SMTP_SECURE=TLS). A firewall in between may hide the offer. "
	       "SMTP_SECURE=NONE sends in clear, which is for loopback and trusted networks only.";
}

/* The greeting, or TLS from the first byte, never came to be. */
static const char *hint_for_opening(const struct relay_settings *settings,
	const struct smtp_session *session, const struct smtp_verdict *verdict)
{
	bool in_greeting = verdict->phase == SMTP_IN_GREETING;
	enum speech speech = other_speech(session);

	if (speech != SPEECH_NONE)
		return speech_hint(settings, speech, session->secure);
	if (settings->port == 465 && !is_implicit(settings))
		return "Port 465 wants TLS from the first byte: set SMTP_SECURE=TLS.";
	if (in_greeting)
		return verdict->hint;
	if (settings->port == 587 || settings->port == 25)
		return "This port begins in clear: set SMTP_SECURE=STARTTLS, or SMTP_PORT=465.";
	return "If this port begins in clear, set SMTP_SECURE=STARTTLS. Else it may be another "
	       "service's: check SMTP_HOST and SMTP_PORT. lettergate check tells which.";
}

/* Behind STARTTLS. */
static const char *hint_for_tls(const struct relay_settings *settings,
	const struct smtp_session *session, const struct smtp_verdict *verdict)
{
	if (session->loss == SMTP_LOSS_DISCONNECTED)
		return "The relay breaks off TLS: it may want a client certificate "
		       "(SMTP_CLIENT_CERT), or its own be misconfigured; its log tells.";
	if (session->loss != SMTP_LOSS_HANDSHAKE)
		return verdict->hint;
	if (settings->tls_min == 13)
		return "If the relay knows TLS 1.2 only, set SMTP_TLS_MIN=1.2.";
	return "If the relay's TLS is older than 1.2, its operator must update it: older versions "
	       "are not safe, and not spoken here. It may also want a client certificate "
	       "(SMTP_CLIENT_CERT).";
}

/* ---- what to change: the login */

static const char *hint_for_no_auth(
	const struct relay_settings *settings, const struct smtp_session *session)
{
	const struct smtp_policy *policy = session->policy;
	unsigned offered = session->features.mechanisms;
	bool has_token = policy->credentials.token.len > 0;

	if (policy->mechanism && offered)
		return "Set SMTP_AUTH to one that is offered, or leave it out to have the best one "
		       "chosen.";
	if (offered && has_token)
		return "The relay takes no tokens: set SMTP_PASS in place of SMTP_OAUTH_TOKEN.";
	if (offered & SMTP_SCRAM_SHA_256)
		return "SCRAM-SHA-256, which the relay wants, takes user and password in ASCII "
		       "only: choose a password without other letters.";
	if (offered & SMTP_CRAM_MD5)
		return "CRAM-MD5 is weak, and used only if it is asked for: SMTP_AUTH=cram-md5.";
	if (offered)
		return "The relay wants OAuth 2.0: set SMTP_OAUTH_TOKEN in place of SMTP_PASS.";
	if (settings->port == 25)
		return "Port 25 rarely takes logins: use SMTP_PORT=587 or 465. If the relay knows "
		       "this machine by its address, leave SMTP_USER and SMTP_PASS out.";
	return "Check SMTP_PORT (587 or 465). If the relay knows this machine by its address, "
	       "leave SMTP_USER and SMTP_PASS out.";
}

static const char *hint_for_bad_auth(
	const struct relay_settings *settings, const struct smtp_session *session)
{
	const char *detail = session->detail ? session->detail : "";

	if (session->loss == SMTP_LOSS_BAD_AUTH)
		return strstr(detail, "SMTP_AUTH")
			       ? "A password in other letters than ASCII goes by PLAIN or LOGIN."
			       : "The password is wrong, or somebody stands between this machine "
				 "and the relay: check SMTP_PASS and SMTP_HOST.";
	if (settings->oauth_token_url[0])
		return "The token was fetched just before, yet it is not made for SMTP, or for "
		       "another user: check SMTP_USER and SMTP_OAUTH_SCOPE, and that the account "
		       "may send by SMTP.";
	if (session->policy->credentials.token.len)
		return "The token is expired, or not made for SMTP, or for another user: get a new "
		       "SMTP_OAUTH_TOKEN, and check SMTP_USER.";
	return "Check SMTP_USER (often the whole address, or a fixed word such as apikey) and "
	       "SMTP_PASS. Many providers (Gmail, Microsoft 365, Yahoo, iCloud) want an app "
	       "password, or OAuth 2.0 by SMTP_OAUTH_TOKEN, in place of the account's own "
	       "password.";
}

/* ---- what to change: behind the login */

static const char *hint_for_policy(
	const struct smtp_session *session, const struct smtp_verdict *verdict)
{
	bool offers_login = session->features.offered & SMTP_AUTH;

	if (verdict->outcome == SMTP_NOT_SENT)
		return verdict->hint; /* it is not the relay's */
	if (offers_login && !session->policy->authenticates)
		return "Read the relay's text; it names the rule. The relay takes logins, and none "
		       "is set: SMTP_USER and SMTP_PASS may be all that it misses.";
	return verdict->hint;
}

/* ---- all together */

static const char *hint_for_loss(const struct relay_settings *settings,
	const struct smtp_session *session, const struct smtp_verdict *verdict)
{
	bool in_tls = verdict->phase == SMTP_IN_TLS;

	switch (session->loss) {
	case SMTP_LOSS_NO_TLS:
		return hint_for_no_tls(settings);
	case SMTP_LOSS_NO_AUTH:
		return hint_for_no_auth(settings, session);
	case SMTP_LOSS_BAD_AUTH:
		return hint_for_bad_auth(settings, session);
	case SMTP_LOSS_HANDSHAKE:
		return hint_for_tls(settings, session, verdict);
	case SMTP_LOSS_DISCONNECTED:
	case SMTP_LOSS_TIMEOUT:
	case SMTP_LOSS_WRONG_PROTOCOL:
	case SMTP_LOSS_GARBLED:
		break;
	default:
		return verdict->hint;
	}
	if (verdict->phase == SMTP_IN_GREETING || (in_tls && is_implicit(settings)))
		return hint_for_opening(settings, session, verdict);
	if (in_tls)
		return hint_for_tls(settings, session, verdict);
	if (verdict->phase == SMTP_IN_AUTH && session->loss == SMTP_LOSS_DISCONNECTED)
		return "Some relays hang up on a wrong login: check SMTP_USER and SMTP_PASS.";
	if (verdict->phase == SMTP_IN_EHLO && session->loss == SMTP_LOSS_TIMEOUT)
		return "It greeted, and then said nothing. Try again: the relay may be overloaded. "
		       "If "
		       "it lasts, it may be no SMTP server (FTP greets alike): check SMTP_HOST and "
		       "SMTP_PORT.";
	return verdict->hint;
}

static const char *hint_for_reply(const struct relay_settings *settings,
	const struct smtp_session *session, const struct smtp_verdict *verdict)
{
	bool has_login = session->policy->authenticates;

	switch (verdict->category) {
	case SMTP_RELAY_AUTH_FAILED:
		return hint_for_bad_auth(settings, session);
	case SMTP_RELAY_AUTH_REQUIRED:
		return has_login ? "The relay wants another login than it got: check SMTP_USER and "
				   "SMTP_AUTH."
				 : "The relay wants a login: set SMTP_USER and SMTP_PASS.";
	case SMTP_RELAYING_DENIED:
		return has_login ? "The login went well, yet this account may not send to that "
				   "domain: ask the relay's operator."
				 : verdict->hint;
	case SMTP_POLICY_REJECTED:
		return hint_for_policy(session, verdict);
	default:
		return verdict->hint;
	}
}

const char *advice_hint(const struct relay_settings *settings, const struct smtp_session *session,
	const struct smtp_verdict *verdict)
{
	const char *hint = verdict->hint;

	if (session && session->loss)
		hint = hint_for_loss(settings, session, verdict);
	else if (session)
		hint = hint_for_reply(settings, session, verdict);
	else if (verdict->phase == SMTP_IN_CONNECT)
		hint = hint_for_connect(settings, verdict);
	else if (verdict->category == SMTP_RELAY_DNS)
		hint = hint_for_name(settings, verdict);
	return hint ? hint : "";
}
