/* courier - takes messages that are due out of the queue, has them delivered, and tells the queue
 * what came of it
 *
 * A message is out from its claim until its verdict is on disk. A verdict that cannot be written is
 * kept and written later: it is never forgotten while the process lives, and where that dies the
 * lease ends and the message is tried again. */
#pragma once

#include "http/gateway.h"
#include "service/log/log.h"
#include "service/queue/queue.h"
#include "service/queue/schedule.h"

struct claim_room;
struct courier;

/* What waits for room at a relay, and would go to another one if that rests, is in a lane of its
 * own, named so. */
enum { LANE_OF_ROOM = '+' };

/* What may go to one relay alone that the settings name no more is in a lane of its own, too: it
 * comes out again when they do. */
enum { LANE_OF_NOBODY = '!' };

struct courier_settings {
	struct schedule schedule;
	unsigned most;       /* messages out at a time */
	bool keeps_body;     /* of what is settled */
	uint64_t attempt_us; /* patience of one attempt, over all relays */
	struct log *log;
	/* Takes the delivery until its done(), which may be called before this returns. Where no
	 * relay was asked, its result has no attempts. */
	void (*deliver)(void *self, struct delivery *delivery);
	/* Is there a relay that may take it, whether that rests or not? Where there is none it is
	 * not handed over, and waits, until its time is over. NULL: there always is. */
	bool (*may_go)(void *self, const struct delivery *delivery);
	/* Says how many messages may come out of the queue: of which lanes no more than so many
	 * (claim_room_put), and in all; and how many bytes, but for the last message. */
	unsigned (*look)(void *self, struct claim_room *room, uint64_t *bytes_out);
	/* A verdict is on disk. `last`: what came of the last attempt. */
	void (*settled)(void *self, const struct stored *stored, const struct result *last);
	void *self;
};

/* Out of the lane of that relay there come `room` at most; and out of that of those that wait for
 * room there, or as many as there are where it `rests`: they may go elsewhere. */
void claim_room_put(struct claim_room *lanes, const char *relay, size_t room, bool rests);
/* Nothing is claimed before courier_start. */
MUST_USE enum err courier_open(
	const struct courier_settings *settings, struct courier **courier_out);
void courier_start(struct courier *courier, struct queue *queue);
/* There may be something to claim: of struct queue_settings. Any thread; does not wait. */
void courier_wake(void *courier);
/* Now and then, some times a second: renews leases, writes what could not be written. */
void courier_tick(struct courier *courier, uint64_t now_us);
/* After a reload; what is out already goes by it, too. */
void courier_adjust(struct courier *courier, const struct schedule *schedule, bool keeps_body);
/* Claims no more. */
void courier_stop(struct courier *courier);
/* Messages that are out. */
unsigned courier_out(struct courier *courier);
/* Their bytes: what they take up of our memory, from the claim to the verdict. */
uint64_t courier_bytes(const struct courier *courier);
/* When nothing is out, or the queue was closed: what is out then is tried again when the lease is
 * over. NULL is fine. */
void courier_close(struct courier *courier);
