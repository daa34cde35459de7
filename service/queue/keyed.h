/* keyed - deliveries with an idempotency key, where a store remembers it
 *
 * What goes into the queue is accepted with its key. What is sent at once has its key noted as
 * running before, and the transaction that remembers the message ends it: then its answer is kept,
 * or the key is free. One that a process died over in between is told as `unknown`. From keyed_open
 * on it is delivery->begun. */
#pragma once

#include "service/lettergate.h"
#include "service/store/store.h"

/* ERR_MEMORY. */
MUST_USE enum err keyed_open(struct lettergate *lettergate, struct delivery *delivery);
/* Looks its key up. A new one is noted, and the delivery is dispatched; any other goes back to its
 * sender. It is counted in flight. */
void keyed_start(struct delivery *delivery);
/* What the accept of its message does about its key; nothing where it has none. `told`: the
 * delivery with the result that its sender is told; it may be the same. ERR_MEMORY. */
MUST_USE enum err keyed_join(
	struct delivery *delivery, const struct delivery *told, struct accept_job *accept);
/* Its message is kept, and its key with it: what is told from now on. */
void keyed_kept(struct delivery *delivery);
/* More is known of it than what was kept: that is told, this once. */
void keyed_tell_anew(struct delivery *delivery);
/* Its message was not accepted, for its key was used before: gives it back. */
void keyed_found(struct delivery *delivery, enum once_found found, struct text answer);
/* Is its key noted as running for it? Then somebody has to end that, or nobody else may come. */
bool keyed_runs(const struct delivery *delivery);
/* Ends its run without a message, and then gives it back; false: it has no key. */
bool keyed_end(struct delivery *delivery);
/* The same later, where nobody knows whether it was done: its sender hears that now. */
void keyed_end_doubt(struct delivery *delivery);
