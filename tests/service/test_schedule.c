/* When to try again, when to give up, and how fast to begin again after an outage. */
#include "service/queue/schedule.h"
#include "unit.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NEVER  INT64_MAX

/* The defaults of RETRY_DELAYS, RETRY_JITTER and RETRY_FOR. */
static const struct schedule usual = {
	.delays_ms = { 1 * SECOND, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 1 * HOUR },
	.count = 6,
	.jitter_thousand = 200,
	.for_ms = 24 * HOUR,
};

static const int64_t nows[] = { 0, INT64_C(1790000000000), INT64_C(1) << 32 };
enum { NOWS = sizeof(nows) / sizeof(*nows) };

static const struct {
	unsigned attempts;
	uint32_t asked_s;
	int64_t least, most; /* with no chance, with the most */
} nexts[] = {
	{ 1, 0, 1 * SECOND, 1200 },
	{ 2, 0, 5 * SECOND, 6 * SECOND },
	{ 3, 0, 30 * SECOND, 36 * SECOND },
	{ 5, 0, 10 * MINUTE, 12 * MINUTE },
	{ 6, 0, 1 * HOUR, 72 * MINUTE },
	{ 7, 0, 1 * HOUR, 72 * MINUTE }, /* the last repeats */
	{ 4000000000U, 0, 1 * HOUR, 72 * MINUTE },
	{ 0, 0, 1 * SECOND, 1200 },
	/* the relay's wish: later */
	{ 1, 60, 1 * MINUTE, 72 * SECOND },
	{ 1, 3600, 1 * HOUR, 72 * MINUTE },
	{ 1, 3601, 1 * HOUR, 72 * MINUTE },
	{ 1, UINT32_MAX, 1 * HOUR, 72 * MINUTE },
	/* … sooner */
	{ 6, 600, 10 * MINUTE, 12 * MINUTE },
	{ 6, 360, 6 * MINUTE, 432 * SECOND },
	{ 6, 1, 6 * MINUTE, 432 * SECOND },
	{ 4000000000U, 1, 6 * MINUTE, 432 * SECOND },
	{ 2, 1, 1 * SECOND, 1200 },
};
enum { NEXTS = sizeof(nexts) / sizeof(*nexts) };

START_TEST(it_is_tried_again_as_the_list_and_the_relay_say)
{
	for (int i = 0; i < NOWS; i++) {
		int64_t now = nows[i], next = 0;

		ck_assert(schedule_next(
			&usual, nexts[_i].attempts, nexts[_i].asked_s, NEVER, now, 0, &next));
		ck_assert_int_eq(next - now, nexts[_i].least);
		ck_assert(schedule_next(&usual, nexts[_i].attempts, nexts[_i].asked_s, NEVER, now,
			UINT32_MAX, &next));
		ck_assert_int_eq(next - now, nexts[_i].most);
	}
}
END_TEST

START_TEST(chance_spreads_evenly_over_the_jitter)
{
	unsigned quarters[4] = { 0 };

	for (uint32_t i = 0; i < 4000; i++) {
		int64_t next = 0;

		ck_assert(schedule_next(&usual, 6, 0, NEVER, 0, i * (UINT32_MAX / 4000), &next));
		next -= HOUR;
		ck_assert(next >= 0 && next < 12 * MINUTE);
		quarters[next / (3 * MINUTE)]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert(quarters[i] > 990 && quarters[i] < 1010);
}
END_TEST

START_TEST(without_jitter_the_delay_is_what_it_says)
{
	struct schedule plain = usual;
	int64_t next = 0;

	plain.jitter_thousand = 0;
	ck_assert(schedule_next(&plain, 2, 0, NEVER, 7, UINT32_MAX, &next));
	ck_assert_int_eq(next, 7 + 5 * SECOND);
	ck_assert_int_eq(schedule_furthest_ms(&plain), HOUR);
}
END_TEST

/* The whole time that was promised is used: the last try is at its end. */
START_TEST(the_last_try_is_when_its_time_is_over)
{
	int64_t expires = schedule_expires_ms(&usual, 0), next = -1;

	ck_assert_int_eq(expires, DAY);
	ck_assert(schedule_next(&usual, 9, 0, expires, DAY - 2 * HOUR, 0, &next));
	ck_assert_int_eq(next, DAY - HOUR);
	ck_assert(schedule_next(&usual, 9, 0, expires, next, UINT32_MAX, &next));
	ck_assert_int_eq(next, DAY);
	ck_assert(schedule_next(&usual, 9, 0, expires, DAY - 1, 0, &next));
	ck_assert_int_eq(next, DAY);
	next = -1;
	ck_assert(!schedule_next(&usual, 9, 0, expires, DAY, 0, &next));
	ck_assert(!schedule_next(&usual, 1, 0, expires, DAY, 0, &next));
	ck_assert(!schedule_next(&usual, 9, 1, expires, 400 * DAY, 0, &next));
	ck_assert_int_eq(next, -1);
}
END_TEST

START_TEST(a_message_for_later_has_its_time_from_then_on)
{
	ck_assert_int_eq(schedule_expires_ms(&usual, 5 * DAY), 6 * DAY);
	ck_assert_int_eq(schedule_expires_ms(&usual, INT64_MAX - 1), INT64_MAX);
	ck_assert_int_eq(schedule_expires_ms(&schedule_webhook, 5), INT64_MAX);
}
END_TEST

/* Whatever the clock says and whoever asks: no further away than the longest delay with its jitter
 * (F-36), and never in the past. */
START_TEST(nothing_is_put_off_beyond_the_longest_delay)
{
	static const int64_t clocks[] = { INT64_MIN, -1, 0, 365 * DAY, INT64_MAX - 5 };
	int64_t furthest = schedule_furthest_ms(&usual);

	ck_assert_int_eq(furthest, 72 * MINUTE);
	for (int clock = 0; clock < 5; clock++)
		for (unsigned attempts = 0; attempts < 12; attempts++)
			for (uint64_t asked = 0; asked <= UINT32_MAX; asked = asked * 7 + 1) {
				int64_t now = clocks[clock], next = 0;

				ck_assert(schedule_next(&usual, attempts, (uint32_t)asked, NEVER,
					now, UINT32_MAX - attempts, &next));
				ck_assert(next >= now);
				ck_assert(next == INT64_MAX || next - now <= furthest);
			}
}
END_TEST

/* The longest need not be the last. */
START_TEST(a_list_may_go_down_again)
{
	static const struct schedule odd = { .delays_ms = { 60000, 1000 }, .count = 2 };
	int64_t next = 0;

	ck_assert_int_eq(schedule_furthest_ms(&odd), MINUTE);
	ck_assert(schedule_next(&odd, 2, 30, NEVER, 0, 0, &next));
	ck_assert_int_eq(next, 30 * SECOND);
}
END_TEST

START_TEST(the_longest_numbers_do_not_overflow)
{
	static const struct schedule longest = {
		.delays_ms = { UINT32_MAX }, .count = 1, .jitter_thousand = 1000
	};
	int64_t next = 0;

	ck_assert(schedule_next(&longest, 1, UINT32_MAX, NEVER, 0, UINT32_MAX, &next));
	ck_assert_int_eq(next, 2 * (int64_t)UINT32_MAX);
}
END_TEST

START_TEST(a_webhook_is_tried_nine_times_more)
{
	static const int64_t delays[] = { 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR,
		10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR };
	int64_t next = 0;

	for (unsigned i = 0; i < 9; i++) {
		ck_assert(schedule_next(&schedule_webhook, i + 1, 0, NEVER, 100, 0, &next));
		ck_assert_int_eq(next, 100 + delays[i]);
	}
	ck_assert(!schedule_next(&schedule_webhook, 10, 0, NEVER, 100, 0, &next));
	ck_assert(!schedule_next(&schedule_webhook, 10, 60, NEVER, 100, 0, &next));
	ck_assert_int_eq(schedule_furthest_ms(&schedule_webhook), 24 * HOUR * 12 / 10);
}
END_TEST

START_TEST(five_strikes_set_it_aside)
{
	ck_assert(!schedule_sets_aside(0));
	ck_assert(!schedule_sets_aside(4));
	ck_assert(schedule_sets_aside(5));
	ck_assert(schedule_sets_aside(6));
}
END_TEST

START_TEST(a_message_waits_thirty_days_at_most)
{
	ck_assert(schedule_may_wait(0, 7));
	ck_assert(schedule_may_wait(INT64_MIN, 7));
	ck_assert(schedule_may_wait(7 + 30 * DAY, 7));
	ck_assert(!schedule_may_wait(8 + 30 * DAY, 7));
	ck_assert(!schedule_may_wait(INT64_MAX, 7));
	ck_assert(schedule_may_wait(INT64_MAX, INT64_MAX - 1));
}
END_TEST

/* An hour's messages do not meet a relay that has just come back (F-46). */
START_TEST(after_an_outage_it_begins_with_one_and_doubles_by_rounds)
{
	static const unsigned rounds[] = { 1, 2, 4, 8, 16, 16, 16 };
	struct ramp ramp = { 0 };

	ck_assert_uint_eq(ramp_room(&ramp, 0, 16), 16);
	ramp_down(&ramp);
	for (int i = 0; i < 7; i++) {
		unsigned out = ramp_room(&ramp, 0, 16);

		ck_assert_uint_eq(out, rounds[i]);
		ck_assert_uint_eq(ramp_room(&ramp, out, 16), 0);
		while (out--)
			ramp_up(&ramp, 16);
	}
	ck_assert_uint_eq(ramp.width, 0);
}
END_TEST

START_TEST(another_failure_begins_anew)
{
	struct ramp ramp = { 0 };

	ramp_down(&ramp);
	for (int i = 0; i < 5; i++)
		ramp_up(&ramp, 16);
	ck_assert_uint_eq(ramp_room(&ramp, 0, 16), 6);
	ck_assert_uint_eq(ramp_room(&ramp, 2, 16), 4);
	ck_assert_uint_eq(ramp_room(&ramp, 9, 16), 0);
	ck_assert_uint_eq(ramp_room(&ramp, 0, 3), 3); /* the relay's own window is narrower now */
	ramp_down(&ramp);
	ck_assert_uint_eq(ramp_room(&ramp, 0, 16), 1);
	ck_assert_uint_eq(ramp_room(&ramp, 0, 0), 0);
}
END_TEST

UNIT_MAIN(schedule,
	  tcase_add_loop_test(cases, it_is_tried_again_as_the_list_and_the_relay_say, 0, NEXTS);
	  tcase_add_test(cases, chance_spreads_evenly_over_the_jitter);
	  tcase_add_test(cases, without_jitter_the_delay_is_what_it_says);
	  tcase_add_test(cases, the_last_try_is_when_its_time_is_over);
	  tcase_add_test(cases, a_message_for_later_has_its_time_from_then_on);
	  tcase_add_test(cases, nothing_is_put_off_beyond_the_longest_delay);
	  tcase_add_test(cases, a_list_may_go_down_again);
	  tcase_add_test(cases, the_longest_numbers_do_not_overflow);
	  tcase_add_test(cases, a_webhook_is_tried_nine_times_more);
	  tcase_add_test(cases, five_strikes_set_it_aside);
	  tcase_add_test(cases, a_message_waits_thirty_days_at_most);
	  tcase_add_test(cases, after_an_outage_it_begins_with_one_and_doubles_by_rounds);
	  tcase_add_test(cases, another_failure_begins_anew);)
