/* share - how much of the room for messages under way each relay takes up
 *
 * One that hangs takes no more than half of it, and leaves the others what they are sure of: a part
 * of one more than there are relays, or what the other half has for each. What is counted is what a
 * relay was given and has not settled, whether it waits or is being sent. Of what comes out of the
 * queue, which has half of all, each has its part, too, and after an outage begins with one.
 * Any thread. */
#pragma once

#include "http/delivery.h"
#include "service/queue/schedule.h"

#include <pthread.h>
#include <stdatomic.h>

struct load {
	uint64_t messages, bytes;
};

/* All that there is, and what all relays take up of it. */
struct room {
	pthread_mutex_t lock; /* over `taken`, and over what each takes up */
	struct load most, taken;
};

/* One relay's: it outlives the relay, as what is under way does. */
struct share {
	atomic_uint references;
	struct load taken;
	unsigned queued, queued_most; /* of those, how many came out of the queue, and may */
	uint64_t queued_bytes;        /* … and their bytes */
	struct ramp ramp;
};

/* Messages out of the queue that may be under way, at all relays together, where MAX_IN_FLIGHT has
 * room for twice as many; and at one of very many. */
enum { SHARE_QUEUED = 1000, SHARE_QUEUED_LEAST = 16 };

MUST_USE enum err share_open(struct share **share_out);
/* References: share_open gives the first. NULL is fine for release. */
struct share *share_hold(struct share *share);
void share_release(struct share *share);

/* Counts the delivery, with its reserved_bytes, for `own`, one of the `shares` of all relays in
 * force, and no longer for another that it was counted for. The only relay has all the room, and
 * what has nothing finds room for its first. False: it has as much as one may; nothing is changed.
 * What is under way at all is limited elsewhere. */
bool share_take(struct room *room, struct share *const *shares, size_t count, struct share *own,
	struct delivery *delivery);
/* Messages out of the queue that may be under way at all relays together, of `most` in flight: the
 * other half is for whatever comes in. */
unsigned share_queued(uint64_t most);
/* Bytes of the queue's that may be under way at one of `count` relays, but for its last message; of
 * 1: at all of them. */
uint64_t share_queue_bytes(const struct room *room, size_t count);
/* How many more of the queue's may go to `own`, one of `count` relays; where it `rests`, as if that
 * were over and no outage. */
unsigned share_queue_room(struct room *room, struct share *own, size_t count, bool rests);
/* It is settled. It may be counted nowhere. */
void share_give_back(struct room *room, struct delivery *delivery);
