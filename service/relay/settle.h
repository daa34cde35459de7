/* settle - the end of a delivery: it is counted, logged, remembered, and given back
 *
 * After settle() the delivery belongs to whoever handed it in; after the others, to nobody here:
 * it may wait at another relay. */
#pragma once

#include "service/lettergate.h"

/* How many a loop settles in one go, while others wait for it. */
enum { SETTLE_AT_ONCE = 200 };

/* `raw`: the message, where it was captured; else empty. */
void settle(struct lettergate *lettergate, struct delivery *delivery, struct text raw);
/* The same for one that was attempted, unless it goes on to another relay (dispatch.h). */
void settle_attempt(struct lettergate *lettergate, struct delivery *delivery);
/* The same for one that failed without a transaction: every recipient who has no answer gets
 * `verdict`. `said` (code 0: nothing) and `words` ("" for none) are copied. It is an attempt where
 * the relay is named in the result. */
void settle_failed(struct lettergate *lettergate, struct delivery *delivery,
	const struct smtp_verdict *verdict, const struct smtp_said *said, const char *words);
/* The same for one that never came to a session: `loss` is why. */
void settle_lost(struct lettergate *lettergate, struct delivery *delivery, enum smtp_loss loss,
	const char *words);
/* The same for a list of those that wait. */
void settle_list(struct lettergate *lettergate, struct delivery *list,
	const struct smtp_verdict *verdict, const char *words);
/* Adds `verdict`, with the reply out of the result, to the list of attempts. */
void note_attempt(struct delivery *delivery, struct text relay, const struct smtp_verdict *verdict,
	uint64_t took_us);
/* Which message it is, as every line of the log about one begins. */
void log_delivery(struct log_line *line, const struct delivery *delivery);
