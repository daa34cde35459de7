/* speech - what a port speaks that should speak SMTP: told by its first bytes, named, and what to
 * change then */
#pragma once

#include "service/settings/settings.h"

enum speech {
	SPEECH_NONE, /* nothing was heard */
	SPEECH_SMTP,
	SPEECH_TLS,
	SPEECH_HTTP,
	SPEECH_SSH,
	SPEECH_IMAP,
	SPEECH_POP3,
	SPEECH_OTHER,
};

/* `start`: the first bytes that came; four or more, or a guess is made. */
enum speech speech_of(struct text start);
/* Appends what is wrong with that: "this port speaks HTTP, not SMTP". Not for SPEECH_NONE.
 * `behind_tls`: it was heard behind a TLS handshake. `line`: the first line, fit to be shown. */
void speech_add_words(enum speech speech, bool behind_tls, struct text line, struct buf *words);
/* What to change; static, "" for SPEECH_NONE. */
const char *speech_hint(const struct relay_settings *settings, enum speech speech, bool behind_tls);
