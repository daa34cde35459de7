/* check_loss - why a conversation ended without a reply that says so: silence, an end, noise, TLS
 *
 * Words say what is wrong, hints what to change. */
#include "service/session/advice.h"
#include "service/check/check_run.h"

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

/* What the port speaks was looked into, and nothing known was found. */
static const char *hint_for_silence(const struct check_run *run)
{
	if (run->settings->tls == SMTP_TLS_IMPLICIT && run->session.secure)
		return "TLS works there, and nothing speaks SMTP behind it. Is this the relay's "
		       "port? "
		       "Check SMTP_HOST and SMTP_PORT (465 is usual with SMTP_SECURE=TLS). The "
		       "relay may also be overloaded.";
	return "Neither SMTP, TLS nor HTTP was heard. Is this the relay's port? Check SMTP_HOST "
	       "and "
	       "SMTP_PORT (usually 587 or 465). The relay may also be overloaded, or may not like "
	       "this machine's address.";
}

/* Nobody knows what the port speaks. */
static const char *hint_for_opening(const struct check_run *run)
{
	const struct relay_settings *settings = run->settings;
	bool is_implicit = settings->tls == SMTP_TLS_IMPLICIT;

	if (settings->port == 465 && !is_implicit)
		return "Port 465 wants TLS from the first byte: set SMTP_SECURE=TLS.";
	if (run->probe.is_begun && run->session.loss == SMTP_LOSS_TIMEOUT)
		return hint_for_silence(run);
	if (is_implicit && (settings->port == 587 || settings->port == 25))
		return "This port begins in clear: set SMTP_SECURE=STARTTLS, or SMTP_PORT=465.";
	if (is_implicit)
		return "If this port begins in clear, set SMTP_SECURE=STARTTLS. Else it may be "
		       "another service's: check SMTP_HOST and SMTP_PORT.";
	return "If this port wants TLS from the first byte, as 465 does, set SMTP_SECURE=TLS. Else "
	       "it may be another service's: check SMTP_HOST and SMTP_PORT. The relay may also be "
	       "overloaded, or may not like this machine's address.";
}

static const char *hint_for(const struct check_run *run, enum smtp_state state)
{
	enum smtp_loss loss = run->session.loss;
	bool is_implicit = run->settings->tls == SMTP_TLS_IMPLICIT;
	bool is_opening = state == SMTP_AWAIT_GREETING || (state == SMTP_AWAIT_TLS && is_implicit);

	if (is_opening && (loss == SMTP_LOSS_DISCONNECTED || loss == SMTP_LOSS_TIMEOUT ||
				  loss == SMTP_LOSS_WRONG_PROTOCOL))
		return hint_for_opening(run);
	if (loss == SMTP_LOSS_CERTIFICATE)
		return "If you know that the certificate is the relay's, SMTP_TLS_PIN set to the "
		       "pin above trusts it whatever else is wrong with it.";
	return advice_hint(run->settings, &run->session, &run->session.verdict);
}

/* ---- what went wrong */

static const char *link_said(const struct check_run *run)
{
	return run->used->link ? link_words(run->used->link) : run->lost_words;
}

static bool blame_speech(struct check_run *run, struct buf *words, struct buf *hint)
{
	struct buf shown = buf_born(PROBE_HEARD * 4);
	struct text line;
	bool behind_tls;
	enum speech speech = check_speech(run, &behind_tls, &line);

	if (speech == SPEECH_NONE)
		return false;
	check_add_foreign(&shown, line);
	speech_add_words(speech, behind_tls, buf_text(&shown), words);
	buf_add_string(hint, speech_hint(run->settings, speech, behind_tls));
	buf_free(&shown);
	return true;
}

/* The handshake failed, and OpenSSL or the certificate says why. */
static void blame_tls(struct check_run *run, struct buf *words, struct buf *hint)
{
	SSL *ssl = run->used->link ? link_ssl(run->used->link) : NULL;
	X509 *leaf = ssl ? tls_refused_leaf(ssl) : NULL;

	split_words(link_said(run), words, hint);
	if (!leaf || run->session.loss != SMTP_LOSS_CERTIFICATE)
		return;
	buf_add_byte(words, '\n');
	check_describe_leaf(leaf, words);
	if (run->settings->tls_pin[0])
		buf_add_string(hint, "If the relay has a new key, and you know that it is the "
				     "relay's, set SMTP_TLS_PIN to this one.");
}

void check_word_loss(
	struct check_run *run, enum smtp_state state, struct buf *words, struct buf *hint)
{
	enum smtp_loss loss = run->session.loss;
	bool is_opening = state == SMTP_AWAIT_GREETING || state == SMTP_AWAIT_TLS;

	if (is_opening && blame_speech(run, words, hint))
		return;
	if (loss == SMTP_LOSS_NO_TLS)
		check_found(run, SMTP_AWAIT_EHLO);
	if (state == SMTP_AWAIT_TLS && loss != SMTP_LOSS_GARBLED && loss != SMTP_LOSS_TIMEOUT)
		blame_tls(run, words, hint);
	else
		advice_add_loss(run->settings, &run->session, link_said(run), words);
	if (!hint->len)
		buf_add_string(hint, hint_for(run, state));
}
