/* queue_own - what the parts of the queue share
 *
 * queue.c is its thread and its life; queue_group.c runs jobs under one commit; queue_leave.c looks
 * who waits no longer. */
#pragma once

#include "service/queue/queue.h"

#include <pthread.h>
#include <stdatomic.h>

enum { QUEUE_PROVE_EVERY_MS = 500 };

struct queue {
	struct store store;
	int64_t (*now_ms)(void);
	void (*ripe)(void *context);
	void (*told)(void *context);
	void (*dropped)(void *context, size_t events);
	void *context;
	_Atomic int64_t furthest_ms;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, up to the blank line */
	pthread_cond_t wake;
	struct job *first, **last;
	struct job *running; /* the group that the thread has, until it is told what came of it */
	uint64_t look_us;    /* when it is looked again who waits no longer */
	struct store_keeps keeps;
	bool stops;

	_Atomic(const char *) trouble; /* why nothing can be written; NULL: it can */

	/* the thread's own */
	struct tick tick;
	uint64_t prove_at_us; /* monotonic */
	uint64_t sweep_at_us; /* monotonic */
	uint64_t shed_at_us;  /* the same: not before that, where nothing could be dropped */
};

/* What came of the group that runs is known: nobody of it is left any more. */
void queue_has_run(struct queue *queue);
/* Runs them, calls each one's `done`, and tells what they may have brought about to those who wait
 * for it, here and in other processes. */
void queue_run_group(struct queue *queue, struct job *list);
/* What other processes brought about, to those who wait for it here. */
void queue_hear_others(struct queue *queue);
/* Something could not be written: until something is, nothing more is taken in. */
void queue_note_failure(struct queue *queue);
/* Looks now and then whether something can be, where it could not. */
void queue_prove_soundness(struct queue *queue);
