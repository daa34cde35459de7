#include "service/queue/counting.h"

#include "service/clock.h"
#include "service/queue/queue.h"

#include <stdlib.h>

enum { PATIENCE_US = 1500000 };

/* In the memory of whoever asks. */
struct asker {
	struct asking *asking;
	uint64_t until_us;
	struct asker *next;
};

struct counting {
	pthread_mutex_t lock; /* of what follows, up to the blank line */
	struct asker *waiting;
	bool is_asking, is_stopped;

	struct counts_job job; /* whoever set is_asking has it */
};

/* `counts` NULL: they could not be told. */
static void tell_all(struct asker *list, const struct counts_job *counts)
{
	struct counts_job *own;

	for (struct asker *next; list; list = next) {
		struct asking *asking = list->asking;

		next = list->next;
		own = counts ? region_zalloc(asking->region, 1, sizeof(*own)) : NULL;
		if (own)
			*own = *counts;
		asking->counts = own;
		asking->done(asking); /* nothing of ours is there any more */
	}
}

/* Under the lock: those that wait no longer than until then. */
static struct asker *take(struct counting *counting, uint64_t now)
{
	struct asker **at = &counting->waiting, *taken = NULL;

	while (*at) {
		struct asker *asker = *at;

		if (asker->until_us > now) {
			at = &asker->next;
			continue;
		}
		*at = asker->next;
		asker->next = taken;
		taken = asker;
	}
	return taken;
}

/* The queue's thread. */
static void counted(struct job *job)
{
	struct counting *counting = job->waiter;
	struct counts_job counts = counting->job;
	struct asker *all;

	pthread_mutex_lock(&counting->lock);
	counting->is_asking = false;
	all = take(counting, UINT64_MAX);
	pthread_mutex_unlock(&counting->lock);
	tell_all(all, counts.job.err ? NULL : &counts);
}

void counting_ask(struct lettergate *lettergate, struct asking *asking)
{
	struct counting *counting = lettergate->counting;
	struct asker *asker = region_zalloc(asking->region, 1, sizeof(*asker));
	bool waits, asks;

	if (!asker) {
		asking->done(asking);
		return;
	}
	asker->asking = asking;
	asker->until_us = now_us() + PATIENCE_US;
	pthread_mutex_lock(&counting->lock);
	waits = !counting->is_stopped;
	asks = waits && !counting->is_asking;
	if (asks) {
		counting->is_asking = true;
		counting->job = (struct counts_job){
			.job = { .kind = JOB_COUNTS, .done = counted, .waiter = counting },
			.now_ms = now_unix_ms()
		};
	}
	if (waits) {
		asker->next = counting->waiting;
		counting->waiting = asker;
	}
	pthread_mutex_unlock(&counting->lock);
	if (asks)
		queue_put(lettergate->queue, &counting->job.job);
	if (!waits)
		tell_all(asker, NULL);
}

void counting_tick(struct counting *counting, uint64_t now_us)
{
	struct asker *late;

	pthread_mutex_lock(&counting->lock);
	late = take(counting, now_us);
	pthread_mutex_unlock(&counting->lock);
	tell_all(late, NULL);
}

void counting_stop(struct counting *counting)
{
	struct asker *all;

	pthread_mutex_lock(&counting->lock);
	counting->is_stopped = true;
	all = take(counting, UINT64_MAX);
	pthread_mutex_unlock(&counting->lock);
	tell_all(all, NULL);
}

enum err counting_open(struct counting **counting_out)
{
	struct counting *counting = calloc(1, sizeof(*counting));

	if (!counting)
		return ERR_MEMORY;
	pthread_mutex_init(&counting->lock, NULL);
	*counting_out = counting;
	return OK;
}

void counting_close(struct counting *counting)
{
	if (!counting)
		return;
	pthread_mutex_destroy(&counting->lock);
	free(counting);
}
