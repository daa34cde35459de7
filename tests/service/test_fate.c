/* Many that fail at once. */
#include "service/relay/fate.h"
#include "service/relay/settle.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { COUNT = 2 * SETTLE_AT_ONCE + 50, REGION = 4096 };

static struct lettergate lettergate;
static struct worker *worker;
static struct relay *relay;
static struct region *region;
static struct delivery deliveries[COUNT];
static struct smtp_answer answers[COUNT];
static struct text to = TEXT("ann@example.org");
static unsigned settled;
static uv_async_t other; /* what else the loop has to do */
static unsigned served, settled_before[8];

static void is_settled(struct delivery *delivery)
{
	ck_assert_str_eq(delivery->result.detail, "nobody is there");
	ck_assert(text_equal(delivery->result.said.text, TEXT("go away")));
	ck_assert_ptr_ne(delivery->result.detail, NULL);
	ck_assert_ptr_null(delivery->next);
	ck_assert_int_eq(delivery->result.answers[0].verdict.category, SMTP_RELAY_BUSY);
	settled++;
}

static void is_served(uv_async_t *async)
{
	settled_before[served++ % 8] = settled;
	uv_async_send(async);
}

static void begin(void)
{
	char host[] = "SMTP_HOST=127.0.0.1", secure[] = "SMTP_SECURE=NONE",
	     level[] = "LOG_LEVEL=error";
	char *none[] = { NULL }, *given[] = { host, secure, level, NULL };
	struct buf why = buf_born(1000);
	struct settings *settings;

	settled = served = 0;
	ck_assert_int_eq(settings_load(none, given, &settings, &why), OK);
	ck_assert_int_eq(relay_open(settings, 0, 1, &relay, &why), OK);
	ck_assert_int_eq(log_open(1, settings, &lettergate.log), OK);
	settings_free(settings);
	buf_free(&why);
	ck_assert_int_eq(metrics_open(&lettergate.metrics), OK);
	ck_assert_int_eq(records_open(10, 1000, 0, &lettergate.records), OK);
	ck_assert_int_eq(known_open(&lettergate.known), OK);
	pthread_rwlock_init(&lettergate.lock, NULL);
	lettergate.is_stopping = true; /* there is no other relay to go to */
	ck_assert_int_eq(worker_open(&lettergate, 0, &worker), OK);
	ck_assert_int_eq(region_open(1 << 22, &region), OK);
	uv_async_init(&worker->loop, &other, is_served);
	for (unsigned i = 0; i < COUNT; i++)
		deliveries[i] =
			(struct delivery){ .next = i + 1 < COUNT ? &deliveries[i + 1] : NULL,
				.region = region,
				.envelope = { .to = &to, .count = 1 },
				.result = { .count = 1, .to = &to, .answers = &answers[i] },
				.done = is_settled };
}

static void end(void)
{
	uv_close((uv_handle_t *)&other, NULL);
	worker_close(worker);
	relay_release(relay);
	region_close(region);
	known_close(lettergate.known);
	records_close(lettergate.records);
	metrics_close(lettergate.metrics);
	log_close(lettergate.log);
	pthread_rwlock_destroy(&lettergate.lock);
}

/* All fail, for a reason that is gone when this returns. */
static void all_fail(void)
{
	char words[] = "nobody is there", text[] = "go away";
	struct smtp_said said = { .code = 421, .text = text_of(text) };
	struct fate_cause cause = { .relay = relay,
		.verdict = smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_GREETING, false),
		.said = &said,
		.words = words };

	cause.verdict.category = SMTP_RELAY_BUSY;
	fate_meet(worker, deliveries, &cause);
	memset(words, '?', sizeof(words));
	memset(text, '?', sizeof(text));
}

/* Between a few and the next few the loop does what else there is to do. */
START_TEST(others_are_served_while_many_fail)
{
	uv_async_send(&other);
	all_fail();
	ck_assert_uint_eq(settled, SETTLE_AT_ONCE);
	for (int turn = 0; turn < 5; turn++)
		uv_run(&worker->loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(settled, COUNT);
	ck_assert_uint_ge(served, 2);
	for (unsigned i = 1; i < served && i < 8; i++)
		ck_assert_uint_le(settled_before[i] - settled_before[i - 1], SETTLE_AT_ONCE);
	ck_assert_ptr_null(worker->fates);
}
END_TEST

START_TEST(who_stops_settles_all)
{
	all_fail();
	fate_end(worker);
	ck_assert_uint_eq(settled, COUNT);
	fate_end(worker);
	fate_go_on(worker);
	ck_assert_uint_eq(settled, COUNT);
}
END_TEST

START_TEST(behind_that_nothing_is_left_for_later)
{
	worker->is_stopping = true;
	all_fail();
	ck_assert_uint_eq(settled, COUNT);
	ck_assert_ptr_null(worker->fates);
}
END_TEST

/* Another failure waits behind the first. */
START_TEST(who_failed_first_is_settled_first)
{
	struct delivery *second = &deliveries[COUNT / 2];
	struct smtp_said said = { .code = 421, .text = TEXT("go away") };
	struct fate_cause cause = { .relay = relay, .said = &said, .words = "nobody is there" };

	deliveries[COUNT / 2 - 1].next = NULL;
	all_fail();
	cause.verdict = smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_GREETING, false);
	cause.verdict.category = SMTP_RELAY_BUSY;
	fate_meet(worker, second, &cause);
	ck_assert_uint_eq(settled, 2 * SETTLE_AT_ONCE);
	fate_go_on(worker);
	ck_assert_uint_eq(settled, COUNT / 2 + SETTLE_AT_ONCE);
	ck_assert_uint_eq(answers[COUNT / 2 - 1].verdict.status, 503);
	fate_go_on(worker);
	ck_assert_uint_eq(settled, COUNT);
}
END_TEST

UNIT_MAIN(fate, tcase_add_checked_fixture(cases, begin, end);
	  tcase_add_test(cases, others_are_served_while_many_fail);
	  tcase_add_test(cases, who_stops_settles_all);
	  tcase_add_test(cases, behind_that_nothing_is_left_for_later);
	  tcase_add_test(cases, who_failed_first_is_settled_first);)
