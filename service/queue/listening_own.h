/* listening_own - what listening.c (who waits) and listening_read.c (the reads) share */
#pragma once

#include "service/queue/listening.h"
#include "service/queue/queue.h"

enum { READS_MOST = 4 }; /* under way at a time */

/* One question, in the memory of whoever asks. */
struct listener {
	struct asking *asking;
	struct text key_id; /* `at` NULL: anybody's */
	struct event *events;
	size_t count;
	unsigned pages;
	bool is_from_now; /* where that is, is asked first */
	bool was_parked;  /* once: it counts until it is told */
	uint64_t after, until_us;
	uint64_t store_until_us; /* that it waits for a read that is due; 0: for ever */
	struct listener *next;
};

/* One read for all that want to go on from the same place. */
struct reading {
	struct lettergate *lettergate;
	struct events_job job;
	bool is_under_way;
	struct listener *listeners; /* may leave: nothing that is theirs is used */
};

struct listening {
	pthread_mutex_t lock; /* of what follows, up to the blank line */
	struct listener *parked;
	struct listener *ready, **last_ready; /* wait for a read, in this order */
	struct reading readings[READS_MOST];
	bool is_stopped, is_looking;
	uint64_t looked_us, newest;

	atomic_bool has_news;
	struct events_job look; /* whoever set is_looking has it */
};

/* Answers it; nothing of ours is there any more. */
void listening_tell(struct listener *listener, enum err err);
void listening_tell_all(struct listener *list, enum err err);
/* Under the lock. False: it does not wait, but is answered now, with *err_out. */
bool listening_park(struct listening *listening, struct listener *listener, enum err *err_out);
/* Under the lock: it waits for a read, behind the others that do. */
void listening_make_ready(struct listening *listening, struct listener *listener);
/* Begins as many reads as may be under way. */
void listening_read(struct lettergate *lettergate);
