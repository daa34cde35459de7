/* carrier_log - what is said in the log of a carrier's session and of its relay, and the words for
 * it */
#pragma once

#include "service/session/carrier.h"

enum { CARRIER_WORDS = 1024 };

/* What the link or the session says went wrong; "": nothing. */
const char *carrier_words(const struct carrier *carrier);
/* The opening was lost: why, into *words, with a NUL. Nothing where the relay's reply says it. */
void carrier_add_opening_words(const struct carrier *carrier, struct buf *words);

/* `verdict`: on the opening, where it failed. */
void carrier_log_end(const struct carrier *carrier, const struct smtp_verdict *verdict);
/* A line for each. The relay's lock must not be held. */
void carrier_log_news(const struct carrier *carrier, const struct relay_news *news);
