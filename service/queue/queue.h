/* queue - mail that we have accepted and not yet settled
 *
 * The promise: when a job's done() is called with OK, what it did is on disk and survives a crash
 * of the process, the machine, and the power; with any other error, nothing of it ever was, but
 * for one: ERR_DOUBT, the disk failed in the midst of a commit, and nobody knows before the next
 * start whether it was. A message that was accepted is handed out by claims, until a settle says
 * what became of it: it is never forgotten in between, and to nobody else while its lease holds.
 *
 * Threads: one of the queue's own does all that waits for a disk. Every thread may hand it jobs;
 * those that arrive while a commit runs share the next one. If that fails, each is done by itself,
 * so that a bad one does not fail its neighbours: but not for longer than a second, for then it is
 * the store. One that is waited for no longer is done by whoever calls queue_tick. */
#pragma once

#include "service/store/store.h"

struct queue;

struct queue_settings {
	struct store_keeps keeps;
	int64_t furthest_ms;     /* schedule_furthest_ms: no deferred message waits longer */
	int64_t (*now_ms)(void); /* NULL: the clock's */
	/* Messages may be there to be claimed. Called by the queue's thread: must not wait. NULL is
	 * fine. */
	void (*ripe)(void *context);
	/* Events may have been written; the same. */
	void (*told)(void *context);
	/* So many events went before their time; the same. */
	void (*dropped)(void *context, size_t events);
	void *context;
};

/* Starts the thread. The store is the queue's from then on, also on an error. */
MUST_USE enum err queue_open(
	const struct queue_settings *settings, struct store store, struct queue **queue_out);
/* All jobs that were handed in are done first. NULL is fine. */
void queue_close(struct queue *queue);

/* Takes the job until done(), which the queue's thread calls, or that of queue_tick: it must not
 * wait, and may hand in another job. Jobs are done in this order. Their number is bounded by those
 * who own them. */
void queue_put(struct queue *queue, struct job *job);
/* The same, and waits until it is done: not for the queue's own thread. What came of it. */
enum err queue_do(struct queue *queue, struct job *job);
/* Some times a second: whoever waits for a job no longer is told so (struct job). */
void queue_tick(struct queue *queue, uint64_t now_us);
/* From now on; as in queue_settings. */
void queue_adjust(struct queue *queue, const struct store_keeps *keeps, int64_t furthest_ms);
/* Is the store that of others, too? */
bool queue_is_shared(const struct queue *queue);
/* Of the store; until queue_close. NULL: it has none. */
struct strikes *queue_strikes(const struct queue *queue);
/* What is wrong where a job failed with this, in plain words: "the disk is full". */
const char *queue_why(struct queue *queue, enum err err);
/* Can it be written? Not from the first group on that could not be, until something was. */
bool queue_is_sound(const struct queue *queue);
