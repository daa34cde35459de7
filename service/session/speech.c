#include "service/session/speech.h"

enum { HTTPS = 443, MAILPIT_WEB = 8025 };

static const struct {
	struct text start;
	enum speech speech;
} starts[] = {
	{ TEXT("HTTP/"), SPEECH_HTTP },
	{ TEXT("<"),
		SPEECH_HTTP }, /* a page without a status line: an answer to what was no request */
	{ TEXT("SSH-"), SPEECH_SSH }, { TEXT("* OK"), SPEECH_IMAP }, { TEXT("* BYE"), SPEECH_IMAP },
	{ TEXT("* PREAUTH"), SPEECH_IMAP }, { TEXT("+OK"), SPEECH_POP3 },
	{ TEXT("\x15\x03"), SPEECH_TLS }, /* an alert */
	{ TEXT("\x16\x03"), SPEECH_TLS }, /* a handshake */
};

/* A reply code, and then what may stand behind one. */
static bool is_reply(struct text start)
{
	bool has_code = start.len >= 3 && start.at[0] >= '2' && start.at[0] <= '5' &&
			byte_is_digit(start.at[1]) && byte_is_digit(start.at[2]);

	return has_code && (start.len == 3 || text_find(TEXT(" -\r\n"), start.at[3]) < 4);
}

enum speech speech_of(struct text start)
{
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (text_starts(start, starts[i].start))
			return starts[i].speech;
	if (is_reply(start))
		return SPEECH_SMTP;
	return start.len ? SPEECH_OTHER : SPEECH_NONE;
}

static const char *name_of(enum speech speech, bool behind_tls)
{
	switch (speech) {
	case SPEECH_HTTP:
		return behind_tls ? "HTTPS" : "HTTP";
	case SPEECH_IMAP:
		return behind_tls ? "IMAP with TLS" : "IMAP";
	case SPEECH_POP3:
		return behind_tls ? "POP3 with TLS" : "POP3";
	default:
		return "SSH";
	}
}

static bool wants_tls(enum speech speech, bool behind_tls)
{
	return speech == SPEECH_TLS || (speech == SPEECH_SMTP && behind_tls);
}

void speech_add_words(enum speech speech, bool behind_tls, struct text line, struct buf *words)
{
	bool is_quoted = speech == SPEECH_OTHER || (speech == SPEECH_SMTP && !behind_tls);

	if (wants_tls(speech, behind_tls))
		buf_add_string(words, "the port wants TLS from the first byte");
	else if (speech == SPEECH_SMTP)
		buf_add_string(words, "this port begins in clear");
	else if (speech == SPEECH_OTHER)
		buf_add_string(words, "this port does not speak SMTP");
	else
		buf_addf(words, "this port speaks %s, not SMTP", name_of(speech, behind_tls));
	if (is_quoted && line.len)
		buf_addf(words, ": it says \"%.*s\"", (int)line.len, line.at);
}

static const char *hint_for_http(const struct relay_settings *settings)
{
	if (settings->port == MAILPIT_WEB)
		return "That is the web page of Mailpit or MailHog; mail goes to SMTP_PORT=1025.";
	if (settings->port == HTTPS)
		return "Port 443 is a web server's. For SMTP set SMTP_PORT=465 (SMTP_SECURE=TLS) "
		       "or 587 (SMTP_SECURE=STARTTLS).";
	if (settings_relay_is_local(settings))
		return "That is a web server's port. Set SMTP_PORT to the relay's: usually 587 "
		       "(SMTP_SECURE=STARTTLS), 465 (SMTP_SECURE=TLS) or 25; Mailpit and MailHog "
		       "take mail on 1025.";
	return "That is a web server's port. Set SMTP_PORT to the relay's: usually 587 "
	       "(SMTP_SECURE=STARTTLS) or 465 (SMTP_SECURE=TLS).";
}

const char *speech_hint(const struct relay_settings *settings, enum speech speech, bool behind_tls)
{
	if (wants_tls(speech, behind_tls))
		return "Set SMTP_SECURE=TLS, or use the port for STARTTLS, usually 587.";
	switch (speech) {
	case SPEECH_NONE:
		return "";
	case SPEECH_SMTP:
		return "Set SMTP_SECURE=STARTTLS, or use the port for TLS, usually 465.";
	case SPEECH_HTTP:
		return hint_for_http(settings);
	case SPEECH_IMAP:
	case SPEECH_POP3:
		return "That port is for reading mail. Sending has one of its own, usually 587 "
		       "(SMTP_SECURE=STARTTLS) or 465 (SMTP_SECURE=TLS), and often another host "
		       "name: set SMTP_PORT and SMTP_HOST.";
	case SPEECH_SSH:
		return "That is the port for remote logins. Set SMTP_PORT to the relay's: usually "
		       "587 (SMTP_SECURE=STARTTLS) or 465 (SMTP_SECURE=TLS).";
	default:
		return "Another service listens there, or something in between answers for the "
		       "relay: check SMTP_HOST and SMTP_PORT, usually 587 "
		       "(SMTP_SECURE=STARTTLS) or 465 (SMTP_SECURE=TLS).";
	}
}
