#include "service/queue/listening.h"

#include "service/clock.h"
#include "service/queue/queue.h"

#include <stdlib.h>

enum {
	LISTENERS_MOST = 1000,
	OF_KEY_MOST = 100,
	PAGE_BYTES = 1 << 20,   /* of contents in one answer */
	REGION_BYTES = 8 << 20, /* what a page takes, with the last event and all that is around */
	PAGES_MOST = 16,        /* looked through for one answer */
	LOOK_US = 1000000,      /* for what other processes wrote */
};

/* One question, in the memory of whoever asks. */
struct listener {
	struct lettergate *lettergate;
	struct asking *asking;
	struct text key_id; /* `at` NULL: anybody's */
	struct events_job job;
	struct region *region; /* of the page */
	struct event *events, *page;
	size_t count;
	unsigned pages;
	uint64_t after, until_us;
	struct listener *next;
};

struct listening {
	pthread_mutex_t lock; /* of what follows, up to the blank line */
	struct listener *parked;
	unsigned count;
	bool is_stopped, is_looking;
	uint64_t looked_us, newest;

	atomic_bool has_news;
	struct events_job look; /* whoever set is_looking has it */
};

/* ---- answers */

static void tell(struct listener *listener, enum err err)
{
	struct asking *asking = listener->asking;

	asking->err = err;
	asking->events = listener->events;
	asking->count = listener->count;
	asking->event_cursor = listener->after;
	asking->done(asking); /* nothing of ours is there any more */
}

static void tell_all(struct listener *list)
{
	while (list) {
		struct listener *next = list->next;

		tell(list, OK);
		list = next;
	}
}

/* ---- waiting; under the lock */

static bool has_room(const struct listening *listening, const struct listener *wanted)
{
	unsigned of_key = 0;

	for (const struct listener *each = listening->parked; each; each = each->next)
		of_key += text_equal(each->key_id, wanted->key_id);
	return listening->count < LISTENERS_MOST && of_key < OF_KEY_MOST;
}

/* False: it is answered now, with *err_out. */
static bool park(struct listening *listening, struct listener *listener, enum err *err_out)
{
	bool waits = !listening->is_stopped && listener->until_us > now_us();

	*err_out = OK;
	if (waits && !has_room(listening, listener)) {
		*err_out = ERR_LIMIT;
		return false;
	}
	if (!waits)
		return false;
	listener->next = listening->parked;
	listening->parked = listener;
	listening->count++;
	return true;
}

/* Takes those off whose time is over; all of them, if `is_all`. */
static struct listener *take(struct listening *listening, uint64_t now, bool is_all)
{
	struct listener **at = &listening->parked, *taken = NULL;

	while (*at) {
		struct listener *listener = *at;

		if (!is_all && now < listener->until_us) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		listener->next = taken;
		taken = listener;
		listening->count--;
	}
	return taken;
}

/* ---- looking */

static void seen(struct job *job);

static void look(struct listener *listener, size_t most)
{
	if (region_open(REGION_BYTES, &listener->region) != OK) {
		tell(listener, ERR_MEMORY);
		return;
	}
	listener->job = (struct events_job){
		.job = { .kind = JOB_EVENTS, .done = seen, .waiter = listener },
		.after = listener->after,
		.key_id = listener->key_id,
		.most = most,
		.most_bytes = PAGE_BYTES,
		.region = listener->region,
		.events = listener->page
	};
	queue_put(listener->lettergate->queue, &listener->job.job);
}

static bool keep_event(struct listener *listener, const struct event *event)
{
	struct region *region = listener->asking->region;
	struct event *kept = &listener->events[listener->count];

	*kept = *event;
	kept->type = region_copy(region, event->type);
	kept->content = region_copy(region, event->content);
	kept->key_id = (struct text){ 0 };
	if (!kept->type.at || !kept->content.at)
		return false;
	listener->count++;
	return true;
}

static enum err keep_page(struct listener *listener)
{
	const struct event_filter *filter = &listener->asking->events_query->filter;

	for (size_t i = 0; i < listener->job.count; i++)
		if (event_fits(&listener->page[i], filter) &&
			!keep_event(listener, &listener->page[i]))
			return ERR_MEMORY;
	return OK;
}

static void go_on(struct listener *listener, bool has_more)
{
	struct listening *listening = listener->lettergate->listening;
	enum err err = OK;
	bool waits = false;

	if (!listener->count && has_more && ++listener->pages < PAGES_MOST) {
		look(listener, listener->asking->events_query->limit);
		return;
	}
	if (!listener->count && !has_more) {
		pthread_mutex_lock(&listening->lock);
		waits = park(listening, listener, &err);
		pthread_mutex_unlock(&listening->lock);
	}
	if (!waits)
		tell(listener, err);
}

/* The queue's thread. What is written after this has news behind it. */
static void seen(struct job *job)
{
	struct listener *listener = job->waiter;
	struct events_job *events = &listener->job;
	bool was_first = events->most == 0, has_more = events->cursor != events->after;
	enum err err = job->err ? job->err : keep_page(listener);

	region_close(listener->region);
	if (err) {
		tell(listener, err);
		return;
	}
	listener->after = was_first ? events->newest : events->cursor;
	go_on(listener, has_more);
}

void listening_ask(struct lettergate *lettergate, struct asking *asking)
{
	const struct events_query *query = asking->events_query;
	struct listener *listener = region_zalloc(asking->region, 1, sizeof(*listener));

	if (listener) {
		listener->page = region_zalloc(asking->region, query->limit, sizeof(struct event));
		listener->events =
			region_zalloc(asking->region, query->limit, sizeof(struct event));
	}
	if (!listener || !listener->page || !listener->events) {
		asking->err = ERR_MEMORY;
		asking->done(asking);
		return;
	}
	listener->lettergate = lettergate;
	listener->asking = asking;
	listener->after = query->after;
	listener->until_us = now_us() + query->wait_s * UINT64_C(1000000);
	if (!(asking->caller->scopes & SCOPE_ADMIN))
		listener->key_id = asking->caller->key_id;
	look(listener, query->is_from_now ? 0 : query->limit);
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

void listening_tick(struct lettergate *lettergate, uint64_t now_us)
{
	struct listening *listening = lettergate->listening;
	struct listener *late, *woken = NULL;
	bool looks;

	pthread_mutex_lock(&listening->lock);
	late = take(listening, now_us, false);
	if (atomic_exchange(&listening->has_news, false))
		woken = take(listening, now_us, true);
	looks = is_to_look(listening, now_us);
	pthread_mutex_unlock(&listening->lock);
	tell_all(late);
	while (woken) {
		struct listener *next = woken->next;

		woken->pages = 0;
		look(woken, woken->asking->events_query->limit);
		woken = next;
	}
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
	*listening_out = listening;
	return OK;
}

void listening_stop(struct listening *listening)
{
	struct listener *all;

	pthread_mutex_lock(&listening->lock);
	listening->is_stopped = true;
	all = take(listening, 0, true);
	pthread_mutex_unlock(&listening->lock);
	tell_all(all);
}

void listening_close(struct listening *listening)
{
	if (!listening)
		return;
	pthread_mutex_destroy(&listening->lock);
	free(listening);
}
