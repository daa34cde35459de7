/* courier_own - what the parts of the courier share
 *
 * courier.c is its life; courier_claim.c takes messages out, courier_lease.c keeps them ours,
 * courier_fence.c is asked before the end of one is sent, courier_part.c notes what came of a part
 * of one, courier_verdict.c tells the queue what came of them. */
#pragma once

#include "service/queue/courier.h"
#include "service/queue/outing.h"
#include "service/settings/settings.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	CLAIM_MOST = 64,
	GONE_MOST = RELAYS_MAX,
	LANES_MOST = 2 * RELAYS_MAX + GONE_MOST,
	LEASE_MS = 30000,
};

struct claim_room {
	struct text resting[LANES_MOST];
	struct narrow_lane narrow[LANES_MOST];
	size_t resting_count, narrow_count;
	char names[LANES_MOST][STORE_LANE_BYTES + 1];
	size_t name_count;
};

/* There is one at a time. */
struct claim {
	struct claim_job job;
	/* Relays that messages wait for and the settings do not name, as far as that was seen. */
	char gone[GONE_MOST][STORE_LANE_BYTES];
	size_t gone_count;
	struct stored *claimed[CLAIM_MOST];
	struct text bodies[CLAIM_MOST];
	char damaged[CLAIM_MOST][DELIVERY_ID_LEN + 1];
	struct claim_room room;
};

struct courier {
	struct courier_settings settings;
	atomic_uint_fast64_t bytes; /* of what is out */
	struct queue *queue;        /* NULL: not started */
	pthread_mutex_t lock;       /* over all that follows */
	struct outing *out;
	unsigned count;
	bool is_claiming, has_more, is_stopped;
	uint64_t renew_us, look_us; /* when that is to be done again */
	struct claim claim;         /* whoever set is_claiming has it */
};

/* Takes messages out, as many as there is room for. */
void courier_claim(struct courier *courier);

/* ---- one that is out */

/* It has what has to be asked before its end is sent. */
void courier_put_fence(struct courier *courier, struct outing *outing);
/* The end of its data may not go before all that is handed in by now is on disk. */
void courier_ask_behind(struct fence *fence);
/* fence->part: who has it is noted, before another part of it may end. */
void courier_note_part(struct fence *fence);
/* It is asked whether the end of a part may go, for one that is held where nobody knows: those that
 * it is for are noted as that. False: it is for all who are open, and the mark is to say so. */
bool courier_note_end(struct fence *fence);
/* True: what came of a part is being written, and the verdict is put behind that. */
bool courier_awaits_part(struct outing *outing);
/* What came of it, to the queue. */
void courier_put_verdict(struct outing *outing);
/* The same in a while. */
void courier_put_verdict_later(struct outing *outing);
struct outing *courier_outing_of(struct fence *fence);
/* The same for those whose verdict could not be written, where it is time to try again. */
void courier_put_again(struct courier *courier, uint64_t now_us);
/* Once in a while: all that is out is ours for longer. */
void courier_renew(struct courier *courier, uint64_t now_us);
