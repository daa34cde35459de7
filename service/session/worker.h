/* worker - a delivery thread: one loop, many carriers to many relays
 *
 * Workers share nothing but the relays' queues. All functions but worker_wake are for the worker's
 * own thread. */
#pragma once

#include <uv.h>

#include "service/lettergate.h"
#include "service/session/resolver.h"

struct carrier;
struct fate;

enum { WORKER_INPUT = 65536 };

/* Where a worker's carriers of one relay lie that have nothing to do. */
struct berth {
	struct worker *worker;
	struct relay *relay;
	struct carrier *idle; /* a list */
	unsigned carriers;    /* open and not leaving */
};

struct worker {
	struct lettergate *lettergate;
	unsigned number;
	pthread_t thread;
	bool is_running;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t tick;
	struct resolver *resolver;
	struct fleet *fleet;             /* held; the one in force when it was last looked at */
	struct berth berths[RELAYS_MAX]; /* as the fleet's relays */
	struct carrier *active;          /* a list: those that do not idle */
	unsigned asking;                 /* of those, how many wait for their fence */
	struct fate *fates;              /* a list: those that failed and are not settled yet */
	bool looks_on;                   /* more is to be taken out of the relays' queues at once */
	uint64_t trimmed_ms;             /* when memory was given back last, in the loop's time */
	atomic_bool must_stop;
	bool is_stopping;
	char input[WORKER_INPUT]; /* what was just read, whoever reads */
};

MUST_USE enum err worker_open(
	struct lettergate *lettergate, unsigned number, struct worker **worker_out);
/* Starts its thread: when all are open. */
MUST_USE enum err worker_start(struct worker *worker);
/* There is something to do: a delivery, another relay, the end. Any thread. */
void worker_wake(struct worker *worker);
/* Its thread ends when its carriers have said goodbye, or a second and a half has passed. */
void worker_stop(struct worker *worker);
void worker_join(struct worker *worker);
/* After worker_join, when nobody can wake it any more. */
void worker_close(struct worker *worker);
