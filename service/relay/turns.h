/* turns - deliveries that wait for a relay, in fair turns between those who sent them
 *
 * One lane for each API key (keys whose numbers are equal modulo LANES share one). In a lane the
 * first come is the first served; between lanes one delivery each, in turn, so that one caller's
 * batch does not hold up another's single mail. Not for two threads at a time; must not move. */
#pragma once

#include "http/delivery.h"

enum { LANES = 256 };

struct turns {
	struct lane {
		struct delivery *first, **last;
	} lanes[LANES];
	uint64_t filled[LANES / 64]; /* bit i: something waits in lane i */
	unsigned next;               /* the lane that has the next turn */
	size_t count;
	/* nothing that waits has its deadline sooner, or is to be looked at for another relay: both
	 * may be too early, and never too late */
	uint64_t deadline_us, elsewhere_us;
};

/* Where a delivery waits. */
struct turn {
	unsigned lane;
	struct delivery **at; /* NULL: nowhere */
};

void turns_open(struct turns *turns);
void turns_add(struct turns *turns, struct delivery *delivery);
/* Before all others. */
void turns_put_back(struct turns *turns, struct delivery *delivery);
/* Before those of its key that were queued later; no turn comes sooner for it. */
void turns_return(struct turns *turns, struct delivery *delivery);
/* Whose turn it is, of those whose deadline is later than `now_us`. */
struct turn turns_find(struct turns *turns, uint64_t now_us);
/* Takes it out; the lane behind its own comes next. */
struct delivery *turns_take(struct turns *turns, struct turn turn);
/* Takes out, as a list of up to `most`, those for which another relay is to be looked for now. */
struct delivery *turns_take_long(struct turns *turns, uint64_t now_us, size_t most);
/* Takes out, as a list, those that come out of the queue. */
struct delivery *turns_take_queued(struct turns *turns);
/* Takes out, as a list in the order that they came in each lane, up to `most` with a deadline up to
 * `deadline_us` that were queued up to `queued_us`. */
struct delivery *turns_take_all(
	struct turns *turns, uint64_t deadline_us, uint64_t queued_us, size_t most);
