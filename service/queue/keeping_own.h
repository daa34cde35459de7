/* keeping_own - what keeping.c (into the queue) and keeping_record.c (only remembered) share */
#pragma once

#include "service/queue/keeping.h"
#include "service/store/store.h"

/* All that the queue reads while it takes the message in. In the delivery's region, but for the
 * buffers. */
struct keeping {
	struct accept_job job;
	struct stored stored;
	struct lettergate *lettergate;
	struct delivery *delivery;
	struct text piece;
	struct buf bytes, told;
	struct event event; /* that it came in */
	const struct event *events;
	size_t event_count;
};

/* NULL: out of memory. */
struct keeping *keeping_new(struct lettergate *lettergate, struct delivery *delivery);
/* Its bytes become one piece. */
MUST_USE enum err keeping_render(struct keeping *keeping);
/* Into the queue, with all that is told of it. */
void keeping_hand_in(struct keeping *keeping);
/* That it was queued, or was not. */
void keeping_log(const struct keeping *keeping, enum err err);
void keeping_give_back(struct keeping *keeping);

/* Its sender has an answer that nobody can look up. */
void keeping_note_unrecorded(
	struct lettergate *lettergate, const struct delivery *delivery, enum err err);
