/* repeats - what was answered under which idempotency key, in memory
 *
 * An entry is one message of one request: API key's id, idempotency key, place in the batch. It is
 * running from repeats_begin to repeats_end, and then remembered for a time, or gone. Entries and
 * bytes are bounded: those remembered longest go first, those that run never; where nothing can go,
 * nothing begins. `now_us` is a clock that does not stand still while the machine sleeps. All
 * functions may be called by every thread. */
#pragma once

#include "http/delivery.h"

struct repeats;

enum { REPEATS_ANSWER_MOST = 1 << 20 }; /* bytes; of a longer answer only the verdict is kept */

struct repeats_limits {
	size_t entries, bytes;
	uint64_t ttl_us; /* an answer is remembered for */
};

MUST_USE enum err repeats_open(const struct repeats_limits *limits, struct repeats **repeats_out);
void repeats_close(struct repeats *repeats); /* NULL is fine */
/* Also for what is remembered already. */
void repeats_set_ttl(struct repeats *repeats, uint64_t ttl_us);

/* Looks up the delivery's idempotency key, which it must have. REPEAT_FIRST: an entry runs now, and
 * delivery->begun is what repeats_end wants. REPEAT_AGAIN: id, the result's verdict and
 * first_answer are those of the first. */
MUST_USE enum repeat repeats_begin(
	struct repeats *repeats, struct delivery *delivery, uint64_t now_us);
/* Ends what began: by the verdict's outcome the answer (empty: it could not be written) is
 * remembered, or the key is free again. */
void repeats_end(struct repeats *repeats, const struct delivery *delivery, struct text answer,
	uint64_t now_us);
/* Ends it as if it had never begun: the delivery was not taken. */
void repeats_undo(struct repeats *repeats, const struct delivery *delivery);

/* Is the answer of this outcome remembered, or may the same be asked for again? */
bool repeats_is_remembered(enum smtp_outcome outcome);
/* Counts what somebody else found. */
void repeats_note(struct repeats *repeats, enum repeat repeat);

struct repeats_counts {
	uint64_t found[REPEAT_KINDS]; /* what repeats_begin and repeats_note said, so far */
	uint64_t forgotten;           /* before their time, for want of room */
	size_t entries, bytes;
};
struct repeats_counts repeats_counts(struct repeats *repeats);
