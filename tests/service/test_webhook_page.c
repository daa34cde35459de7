/* Pages of events for one receiver: each event once, and seen to be gone where it was forgotten. */
#include "service/webhook/webhook_own.h"
#include "store_idle.h"
#include "unit.h"

enum { EVENTS = 3 * PAGE_EVENTS, GAP = 10 };

/* ---- a store of events; those up to `forgotten` are gone */

static struct event events[EVENTS];
static uint64_t written, forgotten;

static enum err read_events(void *self, struct events_job *job)
{
	uint64_t at = job->after / GAP > forgotten ? job->after / GAP : forgotten;

	(void)self;
	job->count = 0;
	job->cursor = job->after;
	job->last = written * GAP;
	job->newest = written > forgotten ? job->last : 0;
	for (; at < written && job->count < job->most; at++) {
		job->events[job->count++] = events[at];
		job->cursor = events[at].cursor;
	}
	return OK;
}

static const struct store_verbs verbs = { .begin = nothing,
	.commit = nothing,
	.rollback = no_more,
	.events = read_events,
	.tick = tick,
	.sweep = sweep,
	.tidy = nothing,
	.close = no_more };

/* ---- the receiver */

static struct webhooks all;
static struct webhook webhook;

static void begin(void)
{
	static const struct queue_settings settings;
	static const struct webhook_settings wishes;

	all = (struct webhooks){ 0 };
	pthread_mutex_init(&all.lock, NULL);
	ck_assert_int_eq(queue_open(&settings, (struct store){ .verbs = &verbs }, &all.queue), OK);
	webhook = (struct webhook){ .webhooks = &all, .webhook = &wishes };
	for (written = 0; written < EVENTS; written++)
		events[written] = (struct event){ .cursor = (written + 1) * GAP,
			.type = TEXT("message.sent"),
			.content = TEXT("{}") };
	forgotten = 0;
}

static void end(void)
{
	webhook_page_drop(&webhook);
	queue_close(all.queue);
	pthread_mutex_destroy(&all.lock);
}

/* Takes the rest of the page, but for so many; how many it took. */
static size_t take_all_but(size_t left)
{
	const struct event *event;
	size_t count = 0;

	while (webhook.count - webhook.at > left && (event = webhook_page_next(&webhook))) {
		ck_assert_uint_gt(event->cursor, webhook.place.cursor);
		webhook_page_pass(&webhook);
		ck_assert_uint_eq(webhook.place.cursor, event->cursor);
		count++;
	}
	return count;
}

static void read_next(void)
{
	if (webhook.region)
		webhook_page_end(&webhook);
	webhook.is_behind = false;
	ck_assert_int_eq(webhook_page_read(&webhook), OK);
}

/* ---- tests */

START_TEST(each_comes_once)
{
	size_t count = 0;

	for (size_t more = 1; more; count += more) {
		read_next();
		ck_assert(!webhook.is_behind);
		more = take_all_but(0);
	}
	ck_assert_uint_eq(count, EVENTS);
	ck_assert_uint_eq(webhook.place.cursor, EVENTS * GAP);
	ck_assert_uint_eq(webhook.place.head, 0);
}
END_TEST

/* It has taken all of a page but so many when events are forgotten: that is seen with the next
 * page, or in the next process, and told once. */
START_TEST(what_was_forgotten_is_missed)
{
	static const struct {
		size_t left;
		uint64_t forgotten;
		bool is_missed;
	} rows[] = { { 0, PAGE_EVENTS - 1, false }, { 0, PAGE_EVENTS, true },
		{ 0, PAGE_EVENTS + 1, true }, { 0, EVENTS, true }, { 9, PAGE_EVENTS - 10, false },
		{ 9, PAGE_EVENTS - 9, true }, { 9, EVENTS, true } };

	read_next();
	(void)take_all_but(rows[_i].left);
	if (rows[_i].left)
		webhook_page_drop(&webhook); /* the process ends there */
	forgotten = rows[_i].forgotten;
	read_next();
	ck_assert_int_eq(webhook.is_behind, rows[_i].is_missed);
	ck_assert_uint_eq(webhook.count > 0, forgotten < EVENTS);
	webhook_page_drop(&webhook);
	read_next();
	ck_assert(!webhook.is_behind);
}
END_TEST

/* It had all that there was: that those are forgotten is no loss. */
START_TEST(who_has_all_misses_nothing)
{
	written = PAGE_EVENTS + 7;
	for (int i = 0; i < 3; i++) {
		read_next();
		(void)take_all_but(0);
	}
	forgotten = written;
	written += 3;
	read_next();
	ck_assert(!webhook.is_behind);
	ck_assert_uint_eq(take_all_but(0), 3);
}
END_TEST

UNIT_MAIN(webhook_page, tcase_add_checked_fixture(cases, begin, end);
	  tcase_add_test(cases, each_comes_once);
	  tcase_add_loop_test(cases, what_was_forgotten_is_missed, 0, 7);
	  tcase_add_test(cases, who_has_all_misses_nothing);)
