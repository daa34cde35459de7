/* repeat - an Idempotency-Key: what is asked for again is not done again
 *
 * repeat_take gives a message its key and what it is compared by. gateway->submit looks it up, and
 * delivery->repeat says from done() on what was found. Where that is REPEAT_FIRST, something began
 * that has to end: repeat_tell ends it, and nobody else does. Whoever submitted a delivery calls it
 * once, when it is back, whether or not somebody is still there to be told. */
#pragma once

#include "http/exchange.h"
#include "http/mail/mail.h"

/* The request's key without its quotes; `at` NULL: there is none. */
struct text repeat_key(const struct exchange *exchange);
/* Where the request has a key. A dry run does not use it, but for its Message-ID: delivery's is
 * derived if the message brings none. Reads attachments that lie in files. ERR_MEMORY. */
MUST_USE enum err repeat_take(
	struct exchange *exchange, struct delivery *delivery, const struct posted *posted);
/* Is it neither the first with its key nor told its answer? Then the problem says why. */
bool repeat_is_refused(const struct exchange *exchange, const struct delivery *delivery,
	struct problem *problem_out);
/* Appends to the exchange's answer what came of the delivery, or what was told the first time, and
 * has it remembered. `in_batch`: with `status`, and `replayed` where it is so. */
void repeat_tell(struct exchange *exchange, struct delivery *delivery, bool in_batch);
/* The same in short, and nothing is remembered: for what was told, where there was no room. */
void repeat_tell_brief(struct exchange *exchange, const struct delivery *delivery, bool in_batch);
