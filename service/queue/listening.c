#include "service/queue/listening_own.h"

#include "service/clock.h"
#include "service/queue/leaving.h"

#include <stdlib.h>

enum {
	LISTENERS_MOST = 1000,
	OF_KEY_MOST = 100,
	LOOK_US = 1000000, /* for what other processes wrote */
};

/* ---- answers */

void listening_tell(struct listener *listener, enum err err)
{
	struct asking *asking = listener->asking;

	asking->err = err;
	asking->events = listener->events;
	asking->count = listener->count;
	asking->event_cursor = listener->after;
	asking->done(asking); /* nothing of ours is there any more */
}

void listening_tell_all(struct listener *list, enum err err)
{
	while (list) {
		struct listener *next = list->next;

		listening_tell(list, err);
		list = next;
	}
}

/* The store did not answer them in time. */
static void tell_late(struct lettergate *lettergate, struct listener *list)
{
	for (const struct listener *each = list; each; each = each->next)
		each->asking->why = leaving_why(lettergate, ERR_IO, each->store_until_us);
	listening_tell_all(list, ERR_IO);
}

/* ---- waiting; under the lock */

/* Takes those off that wait no longer for a read than until then. Gives where the list ends. */
static struct listener **take_late(struct listener **at, uint64_t now, struct listener **taken)
{
	while (*at) {
		struct listener *listener = *at;

		if (!listener->store_until_us || now < listener->store_until_us) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		listener->next = *taken;
		*taken = listener;
	}
	return at;
}

/* What reads for them goes on without them. */
static struct listener *take_all_late(struct listening *listening, uint64_t now)
{
	struct listener *taken = NULL;

	listening->last_ready = take_late(&listening->ready, now, &taken);
	for (int i = 0; i < READS_MOST; i++)
		(void)take_late(&listening->readings[i].listeners, now, &taken);
	return taken;
}

static void count(const struct listener *list, struct text key_id, unsigned *all, unsigned *of_key)
{
	for (; list; list = list->next) {
		*all += list->was_parked;
		*of_key += list->was_parked && text_equal(list->key_id, key_id);
	}
}

/* Those that were woken count, too: they may wait again. */
static bool has_room(const struct listening *listening, const struct listener *wanted)
{
	unsigned all = 0, of_key = 0;

	count(listening->parked, wanted->key_id, &all, &of_key);
	count(listening->ready, wanted->key_id, &all, &of_key);
	for (int i = 0; i < READS_MOST; i++)
		count(listening->readings[i].listeners, wanted->key_id, &all, &of_key);
	return all < LISTENERS_MOST && of_key < OF_KEY_MOST;
}

bool listening_park(struct listening *listening, struct listener *listener, enum err *err_out)
{
	*err_out = OK;
	if (listening->is_stopped || listener->until_us <= now_us())
		return false;
	if (!listener->was_parked && !has_room(listening, listener)) {
		*err_out = ERR_LIMIT;
		return false;
	}
	listener->was_parked = true;
	listener->next = listening->parked;
	listening->parked = listener;
	return true;
}

/* Takes those off that wait no longer than until then. */
static struct listener *take(struct listening *listening, uint64_t now)
{
	struct listener **at = &listening->parked, *taken = NULL;

	while (*at) {
		struct listener *listener = *at;

		if (listener->until_us > now) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		listener->next = taken;
		taken = listener;
	}
	return taken;
}

void listening_make_ready(struct listening *listening, struct listener *listener)
{
	listener->next = NULL;
	*listening->last_ready = listener;
	listening->last_ready = &listener->next;
}

void listening_ask(struct lettergate *lettergate, struct asking *asking)
{
	const struct events_query *query = asking->events_query;
	struct listening *listening = lettergate->listening;
	struct listener *listener = region_zalloc(asking->region, 1, sizeof(*listener));

	if (listener)
		listener->events =
			region_zalloc(asking->region, query->limit, sizeof(struct event));
	if (!listener || !listener->events) {
		asking->err = ERR_MEMORY;
		asking->done(asking);
		return;
	}
	listener->asking = asking;
	listener->is_from_now = query->is_from_now;
	listener->after = query->after;
	listener->until_us = now_us() + query->wait_s * UINT64_C(1000000);
	listener->store_until_us = leaving_until(asking->patience_us);
	if (!(asking->caller->scopes & SCOPE_ADMIN))
		listener->key_id = asking->caller->key_id;
	pthread_mutex_lock(&listening->lock);
	listening_make_ready(listening, listener);
	pthread_mutex_unlock(&listening->lock);
	listening_read(lettergate);
}

/* ---- what wakes them */

void listening_news(struct listening *listening)
{
	atomic_store(&listening->has_news, true);
}

/* The queue's thread. */
static void looked(struct job *job)
{
	struct listening *listening = job->waiter;

	pthread_mutex_lock(&listening->lock);
	if (!job->err && listening->look.newest != listening->newest) {
		listening->newest = listening->look.newest;
		listening_news(listening);
	}
	listening->is_looking = false;
	pthread_mutex_unlock(&listening->lock);
}

/* Another process may have written to the same store. */
static bool is_to_look(struct listening *listening, uint64_t now)
{
	if (!listening->parked || listening->is_looking || now < listening->looked_us + LOOK_US)
		return false;
	listening->looked_us = now;
	listening->is_looking = true;
	listening->look = (struct events_job){
		.job = { .kind = JOB_EVENTS, .done = looked, .waiter = listening }
	};
	return true;
}

/* Under the lock. */
static void wake_all(struct listening *listening)
{
	struct listener *woken = take(listening, UINT64_MAX), *next;

	for (; woken; woken = next) {
		next = woken->next;
		woken->pages = 0;
		woken->store_until_us = leaving_until(woken->asking->patience_us);
		listening_make_ready(listening, woken);
	}
}

void listening_tick(struct lettergate *lettergate, uint64_t now_us)
{
	struct listening *listening = lettergate->listening;
	struct listener *late, *left;
	bool looks;

	pthread_mutex_lock(&listening->lock);
	late = take(listening, now_us);
	left = take_all_late(listening, now_us);
	if (atomic_exchange(&listening->has_news, false))
		wake_all(listening);
	looks = is_to_look(listening, now_us);
	pthread_mutex_unlock(&listening->lock);
	listening_tell_all(late, OK);
	tell_late(lettergate, left);
	listening_read(lettergate);
	if (looks)
		queue_put(lettergate->queue, &listening->look.job);
}

/* ---- life */

enum err listening_open(struct listening **listening_out)
{
	struct listening *listening = calloc(1, sizeof(*listening));

	if (!listening)
		return ERR_MEMORY;
	pthread_mutex_init(&listening->lock, NULL);
	listening->last_ready = &listening->ready;
	*listening_out = listening;
	return OK;
}

void listening_stop(struct listening *listening)
{
	struct listener *all;

	pthread_mutex_lock(&listening->lock);
	listening->is_stopped = true;
	all = take(listening, UINT64_MAX);
	pthread_mutex_unlock(&listening->lock);
	listening_tell_all(all, OK);
}

void listening_close(struct listening *listening)
{
	if (!listening)
		return;
	pthread_mutex_destroy(&listening->lock);
	free(listening);
}
