/* advice - what went wrong and what to change, where the settings and the relay's offer tell more
 * than its reply, or its silence, does by itself
 *
 * For answers to callers and for `lettergate check` alike. Pure. */
#pragma once

#include "service/settings/settings.h"

/* The verdict's hint, or a better one; static, never NULL. `session`: NULL where the relay was not
 * reached. */
const char *advice_hint(const struct relay_settings *settings, const struct smtp_session *session,
	const struct smtp_verdict *verdict);
/* Appends why the session was lost without a reply that says so. `link_words`: the connection's
 * own, "" if it has none. */
void advice_add_loss(const struct relay_settings *settings, const struct smtp_session *session,
	const char *link_words, struct buf *words);
/* "10 s", "1.5 s", "200 ms" */
void advice_add_duration(struct buf *out, uint64_t ms);
