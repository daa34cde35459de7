/* Who listens for events: one read serves all that want to go on from the same place. */
#include "service/clock.h"
#include "service/queue/listening.h"
#include "service/queue/queue.h"
#include "store_idle.h"
#include "unit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

enum { EVENTS = 30, ASKERS = 160, WAIT_MS = 10000 };

/* ---- a store of events, which counts how often it is read */

static struct event events[EVENTS];
static atomic_int written, reads, reads_at_once;
static int reads_of_group;
static atomic_bool holds;
static sem_t may_go_on;

static enum err begin(void *self)
{
	(void)self;
	reads_of_group = 0;
	if (holds)
		sem_wait(&may_go_on);
	return OK;
}

static enum err read_events(void *self, struct events_job *job)
{
	int all = written;

	(void)self;
	reads++;
	if (++reads_of_group > reads_at_once)
		reads_at_once = reads_of_group;
	job->count = 0;
	job->cursor = job->after;
	job->newest = job->last = (uint64_t)all;
	for (uint64_t i = job->after; i < (uint64_t)all && job->count < job->most; i++) {
		job->cursor = events[i].cursor;
		if (!job->key_id.at || text_equal(job->key_id, events[i].key_id))
			job->events[job->count++] = events[i];
	}
	return OK;
}

static const struct store_verbs verbs = { .begin = begin,
	.commit = nothing,
	.rollback = no_more,
	.events = read_events,
	.tick = tick,
	.sweep = sweep,
	.tidy = nothing,
	.close = no_more };

/* ---- those who ask */

static struct lettergate lettergate;
enum { KEY_A, KEY_B, KEY_BOSS, KEYS };
static struct caller callers[KEYS];

static struct asker {
	struct asking asking;
	struct events_query query;
	sem_t told;
	atomic_bool is_told;
} askers[ASKERS];
static int asker_count;

static void told(struct asking *asking)
{
	struct asker *asker = asking->waiter;

	asker->is_told = true;
	sem_post(&asker->told);
}

static struct asker *ask(int key, struct events_query query)
{
	struct asker *asker = &askers[asker_count++];

	ck_assert_int_le(asker_count, ASKERS);
	sem_init(&asker->told, 0, 0);
	asker->query = query;
	asker->asking = (struct asking){ .what = ASK_EVENTS,
		.caller = &callers[key],
		.events_query = &asker->query,
		.done = told,
		.waiter = asker };
	ck_assert_int_eq(region_open(1 << 20, &asker->asking.region), OK);
	listening_ask(&lettergate, &asker->asking);
	return asker;
}

/* So many events; fails where they do not come. */
static size_t heard(struct asker *asker)
{
	for (int ms = 0; !asker->is_told; ms++) {
		ck_assert_int_lt(ms, WAIT_MS);
		usleep(1000);
	}
	ck_assert_int_eq(asker->asking.err, OK);
	return asker->asking.count;
}

static void write_event(const char *key, const char *type)
{
	struct event *event = &events[written];

	*event = (struct event){ .cursor = (uint64_t)written + 1,
		.type = text_of(type),
		.key_id = text_of(key),
		.content = TEXT("{}") };
	written++;
	listening_news(lettergate.listening);
}

/* All reads that were begun are over. */
static void let_it_read(void)
{
	struct events_job job = { .job.kind = JOB_EVENTS };

	for (int i = 0; i < 10; i++) /* one read may lead to the next */
		ck_assert_int_eq(queue_do(lettergate.queue, &job.job), OK);
}

static void start(void)
{
	static const struct queue_settings settings;

	written = reads = reads_at_once = asker_count = 0;
	holds = false;
	callers[KEY_A] = (struct caller){ .key_id = TEXT("a"), .scopes = SCOPE_READ };
	callers[KEY_B] = (struct caller){ .key_id = TEXT("b"), .scopes = SCOPE_READ };
	callers[KEY_BOSS] = (struct caller){ .key_id = TEXT("boss"), .scopes = SCOPE_ADMIN };
	sem_init(&may_go_on, 0, 0);
	ck_assert_int_eq(listening_open(&lettergate.listening), OK);
	ck_assert_int_eq(
		queue_open(&settings, (struct store){ .verbs = &verbs }, &lettergate.queue), OK);
}

static void stop(void)
{
	holds = false;
	sem_post(&may_go_on);
	listening_stop(lettergate.listening);
	queue_close(lettergate.queue);
	listening_close(lettergate.listening);
	for (int i = 0; i < asker_count; i++) {
		ck_assert(askers[i].is_told);
		askers[i].is_told = false;
		region_close(askers[i].asking.region);
	}
}

START_TEST(one_read_serves_all_that_wait)
{
	struct events_query from_now = { .is_from_now = true, .wait_s = 60, .limit = 10 };
	struct events_query other = from_now;

	ck_assert(event_filter_add(&other.filter, TEXT("message.failed")));
	write_event("a", "message.sent");
	for (int i = 0; i < 80; i++) {
		ask(KEY_A, from_now);
		ask(i < 70 ? KEY_B : KEY_A, i < 70 ? from_now : other);
	}
	let_it_read();
	for (int i = 0; i < ASKERS; i++)
		ck_assert(!askers[i].is_told);
	reads = 0;
	write_event("a", "message.sent");
	write_event("a", "message.sent");
	listening_tick(&lettergate, 1);
	for (int i = 0; i < ASKERS; i += 2)
		ck_assert_uint_eq(heard(&askers[i]), 2);
	let_it_read();
	ck_assert_int_le(reads, 10 + 3); /* let_it_read's own, and one or two, and one that looks */
	for (int i = 1; i < ASKERS; i += 2)
		ck_assert_msg(!askers[i].is_told, "it was nothing for them");
	write_event("b", "message.sent");
	write_event("a", "message.failed");
	listening_tick(&lettergate, 1);
	for (int i = 1; i < ASKERS; i += 2) {
		ck_assert_uint_eq(heard(&askers[i]), 1);
		ck_assert_uint_eq(askers[i].asking.events[0].cursor, i < 140 ? 4 : 5);
	}
}
END_TEST

/* Each goes on where its own answer ended, and none is passed over. */
START_TEST(each_has_its_own_part)
{
	struct events_query two = { .wait_s = 0, .limit = 2 }, ten = { .wait_s = 0, .limit = 10 };
	uint64_t after[3] = { 0 };
	size_t all[3] = { 0 };

	for (int i = 0; i < 9; i++)
		write_event(i % 3 ? "a" : "b", "message.sent");
	for (int turn = 0; turn < 6; turn++) {
		struct asker *asker[3];

		holds = true; /* until all have asked */
		two.after = after[0];
		asker[0] = ask(KEY_A, two);
		two.after = after[1];
		asker[1] = ask(KEY_B, two);
		ten.after = after[2];
		asker[2] = ask(KEY_BOSS, ten);
		holds = false;
		sem_post(&may_go_on);
		for (int i = 0; i < 3; i++) {
			all[i] += heard(asker[i]);
			ck_assert_uint_ge(asker[i]->asking.event_cursor, after[i]);
			after[i] = asker[i]->asking.event_cursor;
		}
	}
	ck_assert_uint_eq(all[0], 6);
	ck_assert_uint_eq(all[1], 3);
	ck_assert_uint_eq(all[2], 9);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(after[i], 9);
}
END_TEST

START_TEST(few_reads_are_under_way_at_a_time)
{
	for (int i = 0; i < EVENTS; i++)
		write_event("a", "message.sent");
	holds = true;
	for (uint64_t i = 0; i < EVENTS; i++)
		ask(KEY_A, (struct events_query){ .after = i, .limit = 100 });
	holds = false;
	sem_post(&may_go_on);
	for (int i = 0; i < EVENTS; i++)
		ck_assert_uint_eq(heard(&askers[i]), (size_t)(EVENTS - i));
	ck_assert_int_le(reads_at_once, 4);
	ck_assert_int_eq(reads, EVENTS);
}
END_TEST

START_TEST(who_was_woken_may_wait_again)
{
	struct events_query query = {
		.is_from_now = true, .wait_s = 60, .limit = 1, .filter.tag = TEXT("none")
	};

	for (int i = 0; i < 100; i++)
		ask(KEY_A, query);
	let_it_read();
	ask(KEY_A, query);
	let_it_read();
	ck_assert(askers[100].is_told);
	ck_assert_int_eq(askers[100].asking.err, ERR_LIMIT);
	ck_assert(!ask(KEY_B, query)->is_told);
	for (int i = 0; i < 3; i++) {
		write_event("a", "message.sent");
		listening_tick(&lettergate, 1);
		ask(KEY_A, query); /* while they are not back */
		let_it_read();
	}
	for (int i = 0; i < 100; i++)
		ck_assert(!askers[i].is_told);
	for (int i = 102; i < asker_count; i++)
		ck_assert_int_eq(askers[i].asking.err, ERR_LIMIT);
}
END_TEST

/* A store that was put back from a backup gives cursors again that were given before. */
START_TEST(a_cursor_that_never_was_is_refused)
{
	struct events_query query = { .after = 3, .limit = 10 };

	write_event("a", "message.sent");
	write_event("a", "message.sent");
	ask(KEY_A, query);
	query.after = 2;
	ask(KEY_A, query);
	let_it_read();
	ck_assert(askers[0].is_told);
	ck_assert_int_eq(askers[0].asking.err, ERR_VALUE);
	ck_assert_uint_eq(heard(&askers[1]), 0);
	ck_assert_uint_eq(askers[1].asking.event_cursor, 2);
}
END_TEST

/* Of who left nothing is used any more. */
START_TEST(who_waits_for_a_read_no_longer_is_told_so)
{
	struct text key;

	write_event("c", "message.sent");
	holds = true;
	for (uint64_t i = 0; i < 6; i++) { /* four are read for */
		struct asker *asker = &askers[asker_count++];

		ck_assert_int_eq(region_open(1 << 20, &asker->asking.region), OK);
		key = region_copy(asker->asking.region, TEXT("c"));
		callers[KEY_A].key_id = key;
		sem_init(&asker->told, 0, 0);
		asker->query =
			(struct events_query){ .after = i > 1 ? i : 0, .wait_s = 60, .limit = 10 };
		asker->asking = (struct asking){ .caller = &callers[KEY_A],
			.events_query = &asker->query,
			.region = asker->asking.region,
			.patience_us = i == 1 ? UINT64_MAX / 4 : 1,
			.done = told,
			.waiter = asker };
		listening_ask(&lettergate, &asker->asking);
	}
	usleep(10);
	listening_tick(&lettergate, now_us());
	for (int i = 0; i < 6; i++) {
		struct asking *asking = &askers[i].asking;

		ck_assert_int_eq(askers[i].is_told, i != 1);
		if (i == 1)
			continue;
		ck_assert_int_eq(asking->err, ERR_IO);
		ck_assert_str_eq(asking->why, "the store did not answer in time");
		region_close(asking->region);
		ck_assert_int_eq(region_open(1, &asking->region), OK);
	}
	holds = false;
	sem_post(&may_go_on);
	ck_assert_uint_eq(heard(&askers[1]), 1);
	callers[KEY_A].key_id = TEXT("c");
	ck_assert_uint_eq(heard(ask(KEY_A, (struct events_query){ .limit = 10 })), 1);
}
END_TEST

UNIT_MAIN(listening, tcase_add_checked_fixture(cases, start, stop);
	  tcase_add_test(cases, one_read_serves_all_that_wait);
	  tcase_add_test(cases, each_has_its_own_part);
	  tcase_add_test(cases, few_reads_are_under_way_at_a_time);
	  tcase_add_test(cases, a_cursor_that_never_was_is_refused);
	  tcase_add_test(cases, who_was_woken_may_wait_again);
	  tcase_add_test(cases, who_waits_for_a_read_no_longer_is_told_so);)
