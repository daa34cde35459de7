/* Who asks for pages of messages: few at a time, in small steps, and within bounds. */
#include "service/clock.h"
#include "service/queue/lists.h"
#include "service/queue/queue.h"
#include "store_idle.h"
#include "unit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ASKERS = 130, WAIT_MS = 10000, END = 100000 };

/* ---- a store of END messages, which looks at one with each step, and counts the steps */

static atomic_int steps, at_once, most_of_key;
static int of_group, of_key_a;
static atomic_bool holds, holds_step;
static sem_t may_go_on;
static atomic_int every; /* so many are passed over for each that is wanted */
static atomic_int bytes; /* of each */

static enum err begin(void *self)
{
	(void)self;
	of_group = of_key_a = 0;
	if (holds)
		sem_wait(&may_go_on);
	return OK;
}

static struct stored *stored_new(int number)
{
	struct region *region;
	struct stored *stored;

	ck_assert_int_eq(region_open(100000, &region), OK);
	stored = region_zalloc(region, 1, sizeof(*stored));
	ck_assert_ptr_nonnull(stored);
	stored->region = region;
	snprintf(stored->id, sizeof(stored->id), "%036d", number);
	return stored;
}

/* The cursor is the number of the next. */
static enum err list(void *self, struct list_job *job)
{
	int number = atoi(job->cursor);

	(void)self;
	steps++;
	if (holds_step)
		sem_wait(&may_go_on);
	if (++of_group > at_once)
		at_once = of_group;
	if (text_equal(job->key_id, TEXT("a")) && ++of_key_a > most_of_key)
		most_of_key = of_key_a;
	job->count = 0;
	job->bytes = 0;
	if (number % (every + 1) == every) {
		job->found[job->count++] = stored_new(number);
		job->bytes = (uint64_t)bytes;
	}
	*job->cursor = '\0';
	if (number < END)
		snprintf(job->cursor, sizeof(job->cursor), "%d", number + 1);
	return OK;
}

static const struct store_verbs verbs = { .begin = begin,
	.commit = nothing,
	.rollback = no_more,
	.list = list,
	.tick = tick,
	.sweep = sweep,
	.tidy = nothing,
	.close = no_more };

/* ---- those who ask */

static struct lettergate lettergate;
enum { KEY_A, KEY_B, KEY_C, KEYS };
static struct caller callers[KEYS];

static struct asker {
	struct asking asking;
	struct query query;
	atomic_bool is_told;
} askers[ASKERS];
static int asker_count;

static void told(struct asking *asking)
{
	((struct asker *)asking->waiter)->is_told = true;
}

static struct asker *ask(int key, size_t limit, const char *cursor)
{
	struct asker *asker = &askers[asker_count++];

	ck_assert_int_le(asker_count, ASKERS);
	asker->is_told = false;
	asker->query = (struct query){ .limit = limit, .cursor = text_of(cursor) };
	asker->asking = (struct asking){ .what = ASK_LIST,
		.caller = &callers[key],
		.query = &asker->query,
		.done = told,
		.waiter = asker };
	ck_assert_int_eq(region_open(1 << 20, &asker->asking.region), OK);
	lists_ask(&lettergate, &asker->asking);
	return asker;
}

/* So many messages; fails where they do not come. */
static size_t heard(struct asker *asker)
{
	for (int ms = 0; !asker->is_told; ms++) {
		ck_assert_int_lt(ms, WAIT_MS);
		usleep(1000);
	}
	ck_assert_int_eq(asker->asking.err, OK);
	return asker->asking.count;
}

static void start(void)
{
	static const struct queue_settings settings;

	steps = at_once = most_of_key = every = bytes = 0;
	holds = holds_step = false;
	asker_count = 0;
	for (int i = 0; i < KEYS; i++)
		callers[i].scopes = SCOPE_READ;
	callers[KEY_A].key_id = TEXT("a");
	callers[KEY_B].key_id = TEXT("b");
	callers[KEY_C].key_id = TEXT("c");
	sem_init(&may_go_on, 0, 0);
	ck_assert_int_eq(lists_open(&lettergate.lists), OK);
	ck_assert_int_eq(
		queue_open(&settings, (struct store){ .verbs = &verbs }, &lettergate.queue), OK);
}

static void let_go(void)
{
	holds = holds_step = false;
	sem_post(&may_go_on);
}

static void stop(void)
{
	let_go();
	lists_stop(lettergate.lists);
	queue_close(lettergate.queue);
	lists_close(lettergate.lists);
	for (int i = 0; i < asker_count; i++) {
		ck_assert(askers[i].is_told);
		region_close(askers[i].asking.region);
	}
}

START_TEST(a_page_goes_on_until_it_is_full)
{
	struct asker *asker;

	every = 1;
	asker = ask(KEY_A, 3, "0");
	ck_assert_uint_eq(heard(asker), 3);
	ck_assert(text_equal(asker->asking.cursor, TEXT("6")));
	ck_assert_ptr_nonnull(strstr(asker->asking.records[2].id, "0005"));
	asker = ask(KEY_A, 10, "99998");
	ck_assert_uint_eq(heard(asker), 1);
	ck_assert_msg(!asker->asking.cursor.len, "that was all");
}
END_TEST

START_TEST(it_ends_with_its_bytes)
{
	bytes = 1 << 19;
	ck_assert_uint_eq(heard(ask(KEY_A, 100, "0")), 2);
	bytes = 1 << 21;
	ck_assert_uint_eq(heard(ask(KEY_A, 100, "0")), 1);
}
END_TEST

/* Whoever looks for what is rare finds it with few requests, and ends. */
START_TEST(it_looks_longer_where_it_finds_nothing)
{
	struct asker *asker;

	every = 40;
	asker = ask(KEY_A, 100, "0");
	ck_assert_uint_eq(heard(asker), 1);
	every = END;
	steps = 0;
	asker = ask(KEY_A, 100, "0");
	ck_assert_uint_eq(heard(asker), 0);
	ck_assert(asker->asking.cursor.len > 0);
	ck_assert_int_eq(steps, 50);
}
END_TEST

START_TEST(few_are_looked_for_at_a_time_and_fewer_of_a_key)
{
	holds = true;
	for (int i = 0; i < 20; i++) {
		(void)ask(KEY_A, 5, "0");
		(void)ask(KEY_B, 5, "0");
		(void)ask(KEY_C, 5, "0");
	}
	let_go();
	for (int i = 0; i < 60; i++)
		ck_assert_uint_eq(heard(&askers[i]), 5);
	ck_assert_int_eq(at_once, 2);
	ck_assert_int_eq(most_of_key, 1);
}
END_TEST

START_TEST(the_line_has_an_end)
{
	struct asker *first, *last;

	holds = true;
	for (int i = 0; i < 51; i++) /* one of them is looked for */
		(void)ask(KEY_A, 1, "0");
	last = ask(KEY_A, 1, "0");
	ck_assert(last->is_told);
	ck_assert_int_eq(last->asking.err, ERR_LIMIT);
	first = ask(KEY_B, 1, "0");
	ck_assert(!first->is_told);
	let_go();
	ck_assert_uint_eq(heard(first), 1);
	ck_assert_uint_eq(heard(&askers[50]), 1);
	ck_assert_uint_eq(heard(ask(KEY_A, 1, "0")), 1);
}
END_TEST

START_TEST(who_stands_in_line_at_the_end_is_told)
{
	holds = true;
	for (int i = 0; i < 10; i++)
		(void)ask(KEY_A, 1, "0");
	lists_stop(lettergate.lists);
	for (int i = 1; i < 10; i++) {
		ck_assert(askers[i].is_told);
		ck_assert_int_eq(askers[i].asking.err, ERR_IO);
	}
	(void)ask(KEY_B, 1, "0");
	ck_assert(askers[10].is_told);
}
END_TEST

/* ---- who waits no longer */

static struct asking left;
static atomic_bool is_free;

static void free_asker(struct asking *asking)
{
	ck_assert_int_eq(asking->err, OK);
	is_free = true;
}

static struct asking *leave(struct asking *asking)
{
	ck_assert_ptr_null(left.done);
	left = *asking;
	asking->done = free_asker;
	return &left;
}

static struct asker *ask_in_a_hurry(int key, const char *cursor)
{
	struct asker *asker = &askers[asker_count++];

	asker->query = (struct query){ .limit = 1, .cursor = text_of(cursor) };
	asker->asking = (struct asking){ .what = ASK_LIST,
		.caller = &callers[key],
		.query = &asker->query,
		.patience_us = 1,
		.leave = leave,
		.done = told,
		.waiter = asker };
	asker->is_told = false;
	ck_assert_int_eq(region_open(1 << 20, &asker->asking.region), OK);
	lists_ask(&lettergate, &asker->asking);
	return asker;
}

static void is_late(const struct asker *asker, const struct asking *asking)
{
	ck_assert(asker->is_told);
	ck_assert_int_eq(asking->err, ERR_IO);
	ck_assert_str_eq(asking->why, "the store did not answer in time");
}

/* One's step has begun, one's has not, and others stand in the line. */
START_TEST(who_waits_no_longer_is_told_so)
{
	struct asker *begun, *other, *in_line, *patient;

	every = 1; /* a page takes two steps; who has left has no second one */
	holds_step = true;
	left.done = NULL;
	is_free = false;
	begun = ask_in_a_hurry(KEY_A, "0");
	while (!steps)
		usleep(1000);
	other = ask_in_a_hurry(KEY_B, "0");
	in_line = ask_in_a_hurry(KEY_A, "0");
	patient = ask(KEY_A, 1, "0");
	usleep(10);
	queue_tick(lettergate.queue, now_us());
	is_late(begun, &left);
	is_late(other, &other->asking);
	ck_assert(!in_line->is_told && !is_free);
	lists_tick(lettergate.lists, now_us());
	is_late(in_line, &in_line->asking);
	ck_assert(!patient->is_told);
	let_go();
	ck_assert_uint_eq(heard(patient), 1);
	ck_assert(is_free);
	ck_assert_int_eq(steps, 3);
}
END_TEST

UNIT_MAIN(lists, tcase_add_checked_fixture(cases, start, stop);
	  tcase_add_test(cases, a_page_goes_on_until_it_is_full);
	  tcase_add_test(cases, it_ends_with_its_bytes);
	  tcase_add_test(cases, it_looks_longer_where_it_finds_nothing);
	  tcase_add_test(cases, few_are_looked_for_at_a_time_and_fewer_of_a_key);
	  tcase_add_test(cases, the_line_has_an_end);
	  tcase_add_test(cases, who_stands_in_line_at_the_end_is_told);
	  tcase_add_test(cases, who_waits_no_longer_is_told_so);)
