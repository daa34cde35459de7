/* Keys whose end could not be written: it is written when that can be done. */
#include "service/queue/endings.h"
#include "service/queue/queue.h"
#include "store_idle.h"
#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- a store that fails as often as is wanted */

enum { BEGAN = 1700000000 };

static enum err failure;
static atomic_int failures;
static atomic_int asked, written;
static atomic_bool was_free;
static char key[20];

static enum err once_end(void *self, struct once_end_job *end)
{
	(void)self;
	asked++;
	if (failures > 0) {
		failures--;
		return failure;
	}
	snprintf(key, sizeof(key), "%.*s", (int)end->once->key.len, end->once->key.at);
	was_free = end->is_free && end->began_ms == BEGAN;
	written++;
	return OK;
}

static const struct store_verbs verbs = { .begin = nothing,
	.commit = nothing,
	.rollback = no_more,
	.once_end = once_end,
	.tick = tick,
	.sweep = sweep,
	.tidy = nothing,
	.close = no_more };

static struct queue *queue;
static struct endings *endings;

static void begin(enum err err, int times)
{
	static const struct queue_settings settings = { .furthest_ms = 1000 };
	char words[] = "order-1";
	struct once once = { .key_id = TEXT("shop"), .key = { words, strlen(words) } };

	failure = err;
	failures = times;
	asked = written = 0;
	ck_assert_int_eq(queue_open(&settings, (struct store){ .verbs = &verbs }, &queue), OK);
	ck_assert_int_eq(endings_open(&endings), OK);
	endings_keep(endings, &once, true, BEGAN);
	memset(words, 'x', sizeof(words)); /* it has a copy */
}

static void end(void)
{
	queue_close(queue);
	endings_close(endings);
}

/* So many seconds, one after the other. */
static void pass(int seconds)
{
	for (int i = 1; i <= seconds; i++) {
		int before = asked;

		endings_tick(endings, queue, (uint64_t)i * 1000000);
		for (int patience = 0; patience < 50 && asked == before; patience++)
			usleep(2000);
	}
}

START_TEST(it_is_told_until_it_is_written)
{
	begin(ERR_IO, 6); /* a group that failed is done again, one by one */
	pass(2);
	ck_assert_int_eq(written, 0);
	pass(5);
	end();
	ck_assert_int_eq(written, 1);
	ck_assert_str_eq(key, "order-1");
	ck_assert(was_free);
}
END_TEST

/* It changes no run but its own. */
START_TEST(what_is_in_doubt_is_told_again)
{
	begin(ERR_DOUBT, 1);
	pass(3);
	end();
	ck_assert_int_eq(written, 1);
	ck_assert(was_free);
}
END_TEST

START_TEST(a_run_that_is_not_ours_any_more_is_left_alone)
{
	begin(ERR_MISSING, 1);
	pass(3);
	end();
	ck_assert_int_eq(written, 0);
	ck_assert_int_eq(asked, 1);
}
END_TEST

START_TEST(what_was_not_written_ends_with_the_process)
{
	begin(ERR_IO, 1000);
	pass(1);
	end();
	ck_assert_int_eq(written, 0);
}
END_TEST

UNIT_MAIN(endings, tcase_add_test(cases, it_is_told_until_it_is_written);
	  tcase_add_test(cases, what_is_in_doubt_is_told_again);
	  tcase_add_test(cases, a_run_that_is_not_ours_any_more_is_left_alone);
	  tcase_add_test(cases, what_was_not_written_ends_with_the_process);)
