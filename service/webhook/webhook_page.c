/* Some events at a time, as they come out of the store for one webhook. */
#include "service/webhook/webhook_own.h"

#include "service/clock.h"

enum { PAGE_BYTES = 1 << 18, REGION_BYTES = 4 << 20, MISSED_US = 60000000 };

void webhook_page_drop(struct webhook *webhook)
{
	region_close(webhook->region);
	webhook->region = NULL;
	webhook->count = webhook->at = 0;
}

/* What comes behind the page is known where it has more than one: the last one is left for the next
 * page. So it is seen when that has been forgotten by then. */
static void take_page(struct webhook *webhook, const struct events_job *job)
{
	bool leaves_one = job->count > 1 && job->newest > job->cursor;

	webhook->count = job->count - leaves_one;
	webhook->at = 0;
	webhook->page_next = leaves_one ? webhook->events[webhook->count].cursor : 0;
	webhook->page_cursor =
		leaves_one ? webhook->events[webhook->count - 1].cursor : job->cursor;
}

/* While more go than it takes, each page has missed some: once in a while is enough. */
static void log_missed(struct webhook *webhook)
{
	uint64_t now = now_us();

	if (webhook->missed_us && now < webhook->missed_us + MISSED_US)
		return;
	webhook->missed_us = now;
	webhook_log_trouble(webhook, ERR_MISSING,
		"events that it had not taken were kept no longer: it goes on with those that "
		"there are");
}

/* The store does not go on where it was. */
static void check_place(struct webhook *webhook, const struct events_job *job)
{
	struct webhook_place *place = &webhook->place;
	uint64_t first = job->count ? job->events[0].cursor : UINT64_MAX;

	if (place->cursor > job->last) { /* or what is written next would be missed */
		webhook_log_trouble(webhook, ERR_VALUE,
			"the store is older than its place in it: it goes on from now");
		webhook->page_cursor = job->newest;
	} else if (webhook_place_is_lost(place, first)) {
		log_missed(webhook);
	} else {
		return;
	}
	*place = (struct webhook_place){ .cursor = place->cursor };
	webhook->is_behind = true;
}

void webhook_page_end(struct webhook *webhook)
{
	webhook->is_behind = webhook->is_behind || webhook->place.cursor != webhook->page_cursor;
	webhook->place.cursor = webhook->page_cursor;
	webhook_page_drop(webhook);
}

enum err webhook_page_read(struct webhook *webhook)
{
	struct webhooks *all = webhook->webhooks;
	struct events_job job = { .job.kind = JOB_EVENTS,
		.after = webhook->place.cursor,
		.most = PAGE_EVENTS,
		.most_bytes = PAGE_BYTES,
		.events = webhook->events };
	enum err err = region_open(REGION_BYTES, &webhook->region);

	if (err)
		return err;
	pthread_mutex_lock(&all->lock);
	webhook->news = all->news; /* what is written after this is news */
	pthread_mutex_unlock(&all->lock);
	job.region = webhook->region;
	err = queue_do(all->queue, &job.job);
	if (err) {
		webhook_page_drop(webhook);
		return err;
	}
	take_page(webhook, &job);
	check_place(webhook, &job);
	return OK;
}

void webhook_page_age(struct webhook *webhook, bool is_ours, int64_t oldest_ms)
{
	pthread_mutex_lock(&webhook->webhooks->lock);
	webhook->is_ours = is_ours;
	webhook->oldest_ms = oldest_ms;
	pthread_mutex_unlock(&webhook->webhooks->lock);
}

const struct event *webhook_page_next(struct webhook *webhook)
{
	while (webhook->at < webhook->count) {
		const struct event *event = &webhook->events[webhook->at];

		if (event_fits(event, &webhook->webhook->filter))
			return event;
		webhook_page_pass(webhook);
		webhook->is_behind = true;
	}
	return NULL;
}

void webhook_page_pass(struct webhook *webhook)
{
	uint64_t cursor = webhook->events[webhook->at++].cursor;

	webhook->place = (struct webhook_place){ .cursor = cursor,
		.head = webhook->at < webhook->count ? webhook->events[webhook->at].cursor
						     : webhook->page_next };
}
