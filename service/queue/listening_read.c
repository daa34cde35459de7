/* What is read for those who listen: all that want to go on from the same place share one read. */
#include "service/queue/listening_own.h"

enum {
	PAGE_EVENTS = 500,      /* the most that an answer may hold */
	PAGE_BYTES = 1 << 20,   /* of contents in one answer */
	REGION_BYTES = 8 << 20, /* what a page takes, with the last event and all that is around */
	PAGES_MOST = 16,        /* looked through for one answer */
};

/* ---- one read for all of a place */

static void seen(struct job *job);

static bool goes_along(const struct listener *listener, const struct listener *first)
{
	return listener->is_from_now == first->is_from_now && listener->after == first->after;
}

/* Under the lock: of those that wait for a read, the first, and all that it serves as well. */
static struct listener *take_group(struct listening *listening)
{
	struct listener *first = listening->ready, *group = NULL, **end = &group;
	struct listener **at = &listening->ready;

	while (*at) {
		struct listener *listener = *at;

		if (!goes_along(listener, first)) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		listener->next = NULL;
		*end = listener;
		end = &listener->next;
	}
	listening->last_ready = at;
	return group;
}

/* Where all are of one key, its events are enough; there is at least one. */
static struct text key_of(const struct listener *list)
{
	const struct listener *first = list;

	while ((list = list->next))
		if (!list->key_id.at || !first->key_id.at ||
			!text_equal(list->key_id, first->key_id))
			return (struct text){ 0 };
	return first->key_id;
}

/* May some of what is read be for others, or for nobody? */
static bool is_narrow(const struct listener *listener, struct text key_id)
{
	const struct event_filter *filter = &listener->asking->events_query->filter;

	return filter->types || filter->tag.len || filter->id.len ||
	       (listener->key_id.at && !key_id.at);
}

/* As many as the longest of the answers may hold; of those who pick, that is no measure of what has
 * to be looked at. */
static size_t most_of(const struct listener *list, struct text key_id)
{
	size_t most = 0;

	for (; list && most < PAGE_EVENTS; list = list->next) {
		size_t limit = list->asking->events_query->limit;

		if (is_narrow(list, key_id))
			most = PAGE_EVENTS;
		else if (limit > most)
			most = limit;
	}
	return most < PAGE_EVENTS ? most : PAGE_EVENTS;
}

/* Under the lock. What it uses is its own: who listens may leave. */
static enum err prepare(struct reading *reading)
{
	const struct listener *first = reading->listeners;
	struct text key_id = key_of(first);
	size_t most = first->is_from_now ? 0 : most_of(first, key_id);
	struct region *region;
	struct event *page;

	if (region_open(REGION_BYTES, &region) != OK)
		return ERR_MEMORY;
	page = region_zalloc(region, most + 1, sizeof(*page));
	if (!page || (key_id.at && !(key_id = region_copy(region, key_id)).at)) {
		region_close(region);
		return ERR_MEMORY;
	}
	reading->job =
		(struct events_job){ .job = { .kind = JOB_EVENTS, .done = seen, .waiter = reading },
			.after = first->after,
			.key_id = key_id,
			.most = most,
			.most_bytes = PAGE_BYTES,
			.region = region,
			.events = page };
	return OK;
}

/* NULL: there is nothing to read, or enough is under way. */
static struct reading *begin_reading(struct lettergate *lettergate, enum err *err_out)
{
	struct listening *listening = lettergate->listening;
	struct reading *free = NULL;

	pthread_mutex_lock(&listening->lock);
	for (int i = 0; listening->ready && !free && i < READS_MOST; i++)
		if (!listening->readings[i].is_under_way)
			free = &listening->readings[i];
	if (free) {
		free->is_under_way = true;
		free->lettergate = lettergate;
		free->listeners = take_group(listening);
		*err_out = prepare(free);
	}
	pthread_mutex_unlock(&listening->lock);
	return free;
}

static struct listener *end_reading(struct listening *listening, struct reading *reading)
{
	struct listener *list;

	pthread_mutex_lock(&listening->lock);
	list = reading->listeners;
	reading->listeners = NULL;
	reading->is_under_way = false;
	pthread_mutex_unlock(&listening->lock);
	return list;
}

void listening_read(struct lettergate *lettergate)
{
	struct listening *listening = lettergate->listening;
	struct reading *reading;
	enum err err;

	while ((reading = begin_reading(lettergate, &err))) {
		if (!err)
			queue_put(lettergate->queue, &reading->job.job);
		else
			listening_tell_all(end_reading(listening, reading), err);
	}
}

/* ---- what was read */

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

static bool is_for(const struct listener *listener, const struct event *event)
{
	return (!listener->key_id.at || text_equal(listener->key_id, event->key_id)) &&
	       event_fits(event, &listener->asking->events_query->filter);
}

/* Its part of the page; then it is as far as that went. */
static enum err keep_page(struct listener *listener, const struct events_job *page)
{
	size_t most = listener->asking->events_query->limit;

	if (listener->is_from_now) {
		listener->is_from_now = false;
		listener->after = page->newest;
		return OK;
	}
	if (listener->after > page->last)
		return ERR_VALUE; /* what is written next would come before it, and be missed */
	listener->after = page->cursor;
	for (size_t i = 0; i < page->count; i++) {
		if (!is_for(listener, &page->events[i]))
			continue;
		if (!keep_event(listener, &page->events[i]))
			return ERR_MEMORY;
		if (listener->count == most) {
			listener->after = page->events[i].cursor;
			break;
		}
	}
	return OK;
}

/* What is written after this has news behind it. */
static void go_on(struct listening *listening, struct listener *listener, bool has_more)
{
	bool waits = true;
	enum err err = OK;

	if (listener->count || (has_more && ++listener->pages == PAGES_MOST)) {
		listening_tell(listener, OK);
		return;
	}
	pthread_mutex_lock(&listening->lock);
	if (has_more)
		listening_make_ready(listening, listener);
	else
		waits = listening_park(listening, listener, &err);
	pthread_mutex_unlock(&listening->lock);
	if (!waits)
		listening_tell(listener, err);
}

/* The queue's thread. */
static void seen(struct job *job)
{
	struct reading *reading = job->waiter;
	struct lettergate *lettergate = reading->lettergate;
	struct events_job page = reading->job;
	bool has_more = page.most && page.cursor != page.after;
	struct listener *list = end_reading(lettergate->listening, reading), *next;

	for (; list; list = next) {
		enum err err = page.job.err ? page.job.err : keep_page(list, &page);

		next = list->next;
		list->asking->why = queue_why(lettergate->queue, err);
		if (err)
			listening_tell(list, err);
		else
			go_on(lettergate->listening, list, has_more);
	}
	region_close(page.region);
	listening_read(lettergate);
}
