#include "service/queue/queue_own.h"

#include <stdlib.h>

#include "service/clock.h"

enum {
	GROUP_MOST = 512,
	LONGEST_WAIT_MS = 1000,
	HEAR_EVERY_MS = 100,
	SWEEP_EVERY_MS = 10000,
	SWEEP_PAUSE_MS = 20,
	SHED_AGAIN_MS = 1000,
};

/* ---- the thread */

static enum err run_sweep(struct queue *queue, struct sweep *sweep)
{
	const struct store_verbs *verbs = queue->store.verbs;
	enum err err = verbs->begin(queue->store.self);

	if (err)
		return err;
	err = verbs->sweep(queue->store.self, sweep);
	if (!err)
		err = verbs->commit(queue->store.self);
	if (err)
		verbs->rollback(queue->store.self);
	return err;
}

/* Some behind each group where the events are past their bound: as many go as come. */
static void sweep_some(struct queue *queue, struct store_keeps keeps)
{
	struct sweep sweep = { .now_ms = queue->now_ms(), .keeps = keeps };
	bool is_past = keeps.event_bytes && queue->tick.event_bytes > keeps.event_bytes;
	uint64_t now = now_us();
	enum err err;

	if (now < queue->sweep_at_us && (!is_past || now < queue->shed_at_us))
		return;
	err = run_sweep(queue, &sweep);
	now = now_us();
	queue->sweep_at_us =
		now + (uint64_t)1000 * (!err && sweep.has_more ? SWEEP_PAUSE_MS : SWEEP_EVERY_MS);
	if (is_past && (err || !sweep.dropped))
		queue->shed_at_us = now + (uint64_t)1000 * SHED_AGAIN_MS;
	if (!err && sweep.dropped && queue->dropped)
		queue->dropped(queue->context, sweep.dropped);
}

/* How long nothing needs to be done, in ms. */
static int64_t pause_ms(const struct queue *queue)
{
	uint64_t now = now_us();
	int64_t pause = queue->store.verbs->hears ? HEAR_EVERY_MS : LONGEST_WAIT_MS;
	int64_t until_due = queue->tick.next_ms - queue->now_ms();
	int64_t until_sweep =
		queue->sweep_at_us > now ? (int64_t)((queue->sweep_at_us - now) / 1000) + 1 : 0;

	if (queue->tick.has_more)
		return 0;
	if (!queue_is_sound(queue) && pause > QUEUE_PROVE_EVERY_MS)
		pause = QUEUE_PROVE_EVERY_MS;
	if (until_due < pause)
		pause = until_due > 0 ? until_due : 0;
	return until_sweep < pause ? until_sweep : pause;
}

/* The next group, NULL where there is none yet; under the lock. */
static struct job *take_group(struct queue *queue)
{
	struct job *list = queue->first, *job = list;

	if (!list)
		return NULL;
	for (int i = 1; i < GROUP_MOST && job->next; i++)
		job = job->next;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	job->next = NULL;
	queue->running = list;
	return list;
}

/* Waits for jobs, or until it is time; false: the queue is to end. */
static bool next_group(
	struct queue *queue, int64_t pause, struct job **list_out, struct store_keeps *keeps_out)
{
	struct timespec until = moment_in_ms(pause);
	bool goes_on;
	int rc = 0;

	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->stops && pause > 0 && rc == 0)
		rc = pthread_cond_timedwait(&queue->wake, &queue->lock, &until);
	goes_on = queue->first || !queue->stops;
	*list_out = take_group(queue);
	*keeps_out = queue->keeps;
	pthread_mutex_unlock(&queue->lock);
	return goes_on;
}

static void *work(void *self)
{
	struct queue *queue = self;
	struct store_keeps keeps;
	struct job *list;

	while (next_group(queue, pause_ms(queue), &list, &keeps)) {
		queue_run_group(queue, list);
		queue_hear_others(queue);
		sweep_some(queue, keeps);
		if (queue->store.verbs->tidy(queue->store.self))
			queue_note_failure(queue);
		queue_prove_soundness(queue);
	}
	return NULL;
}

/* ---- life */

static void destroy(struct queue *queue)
{
	pthread_cond_destroy(&queue->wake);
	pthread_mutex_destroy(&queue->lock);
	queue->store.verbs->close(queue->store.self);
	free(queue);
}

enum err queue_open(
	const struct queue_settings *settings, struct store store, struct queue **queue_out)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	pthread_condattr_t monotonic;

	if (!queue) {
		store.verbs->close(store.self);
		return ERR_MEMORY;
	}
	queue->store = store;
	queue->now_ms = settings->now_ms ? settings->now_ms : now_unix_ms;
	queue->ripe = settings->ripe;
	queue->told = settings->told;
	queue->dropped = settings->dropped;
	queue->context = settings->context;
	atomic_store(&queue->furthest_ms, settings->furthest_ms);
	queue->keeps = settings->keeps;
	queue->last = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&queue->thread, NULL, work, queue) != 0) {
		destroy(queue);
		return ERR_MEMORY;
	}
	*queue_out = queue;
	return OK;
}

void queue_close(struct queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->stops = true;
	pthread_cond_signal(&queue->wake);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	destroy(queue);
}

void queue_put(struct queue *queue, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&queue->lock);
	*queue->last = job;
	queue->last = &job->next;
	pthread_cond_signal(&queue->wake);
	pthread_mutex_unlock(&queue->lock);
}

void queue_adjust(struct queue *queue, const struct store_keeps *keeps, int64_t furthest_ms)
{
	atomic_store(&queue->furthest_ms, furthest_ms);
	pthread_mutex_lock(&queue->lock);
	queue->keeps = *keeps;
	pthread_mutex_unlock(&queue->lock);
}

bool queue_is_shared(const struct queue *queue)
{
	return queue->store.is_shared;
}

struct strikes *queue_strikes(const struct queue *queue)
{
	return queue->store.strikes;
}

const char *queue_why(struct queue *queue, enum err err)
{
	const char *trouble = atomic_load(&queue->trouble);

	if (err == ERR_SYNTAX)
		return "what the store keeps of it is damaged";
	if (err != ERR_IO)
		return err_text(err);
	return trouble ? trouble : "the store cannot be written";
}

bool queue_is_sound(const struct queue *queue)
{
	return !atomic_load(&queue->trouble);
}
