/* How many sessions there may be, and when none. */
#include "service/relay/window.h"
#include "unit.h"

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)

/* Beyond 2^32 ms, where what counts milliseconds in 32 bits has begun anew. */
static const uint64_t starts[] = { 1, 100 * SECOND, (UINT64_C(1) << 32) * 1000 - 3 };
enum { STARTS = sizeof(starts) / sizeof(*starts) };

static struct window of(unsigned most)
{
	struct window window;

	window_open(&window, most);
	return window;
}

/* Widens as often as a worker looks, for so long. */
static uint64_t pass(struct window *window, uint64_t now, uint64_t us)
{
	for (uint64_t end = now + us; now < end; now += SECOND / 20)
		window_widen(window, now);
	return now;
}

START_TEST(a_new_one_is_as_wide_as_allowed)
{
	struct window window = of(3);

	ck_assert(window_has_room(&window, 2, 2, starts[_i]));
	ck_assert(!window_has_room(&window, 3, 0, starts[_i]));
	ck_assert(!window_rests(&window, starts[_i]));
	ck_assert_str_eq(rest_cause_name(window.cause), "");
}
END_TEST

START_TEST(too_many_narrows_to_those_that_there_are)
{
	struct window window = of(10);

	window_narrow(&window, 7, starts[_i]);
	ck_assert_uint_eq(window.width, 7);
	ck_assert(!window_has_room(&window, 0, 0, starts[_i] + SECOND - 1));
	ck_assert(window_has_room(&window, 6, 0, starts[_i] + SECOND));
	window_narrow(&window, 9, starts[_i]);
	ck_assert_msg(window.width == 7, "it is never made wider by that");
}
END_TEST

START_TEST(it_is_halved_at_most_and_never_shut)
{
	struct window window = of(10);
	static const unsigned widths[] = { 5, 2, 1, 1, 1 };

	for (int i = 0; i < 5; i++) {
		window_narrow(&window, 0, 100);
		ck_assert_uint_eq(window.width, widths[i]);
	}
	ck_assert(window_has_room(&window, 0, 0, 100 + SECOND));
}
END_TEST

START_TEST(it_grows_back_by_one_after_quiet)
{
	struct window window = of(8);
	uint64_t now = starts[_i];

	window_narrow(&window, 6, now);
	window_widen(&window, now + 5 * SECOND);
	ck_assert_uint_eq(window.width, 6);
	window_widen(&window, now + 5 * SECOND + 1);
	ck_assert_uint_eq(window.width, 7);
	window_widen(&window, now + 6 * SECOND);
	ck_assert_uint_eq(window.width, 7);
	(void)pass(&window, now, 60 * SECOND);
	ck_assert_uint_eq(window.width, 8);
}
END_TEST

/* The relay takes 5 at a time, of `most` that are allowed: also where that is one more. */
START_TEST(growth_that_is_refused_is_tried_less_often)
{
	unsigned most = _i ? 20 : 6, tries = 0;
	struct window window = of(most);
	uint64_t now = 100 * SECOND, end = now + 60 * MINUTE;

	window_narrow(&window, 5, now);
	for (; now < end; now += SECOND / 20) {
		window_widen(&window, now);
		if (window.width > 5) {
			window_narrow(&window, 5, now);
			tries++;
		}
	}
	ck_assert_uint_eq(window.width, 5);
	/* after 5, 10, 20, 40, 80, 160 s, and then every five minutes */
	ck_assert_uint_ge(tries, 6 + 8);
	ck_assert_uint_le(tries, 6 + 12);
}
END_TEST

START_TEST(growth_that_holds_is_forgiven)
{
	struct window window = of(6);
	uint64_t now = 100 * SECOND;

	window_narrow(&window, 5, now);
	for (int i = 0; i < 4; i++) { /* 5, 10, 20, 40 s */
		now = pass(&window, now, 45 * SECOND);
		ck_assert_uint_eq(window.width, 6);
		window_narrow(&window, 5, now);
	}
	now = pass(&window, now, 10 * MINUTE);
	ck_assert_uint_eq(window.width, 6);
	ck_assert_uint_eq(window.quiet_us, 5 * SECOND);
}
END_TEST

START_TEST(it_rests_after_three_failures_in_a_row)
{
	struct window window = of(4);
	uint64_t now = starts[_i];

	ck_assert(!window_failed(&window, now));
	ck_assert(!window_failed(&window, now));
	window_wake(&window);
	ck_assert(!window_failed(&window, now));
	ck_assert(!window_failed(&window, now));
	ck_assert(!window_rests(&window, now));
	ck_assert(window_failed(&window, now));
	ck_assert(window_rests(&window, now + SECOND - 1));
	ck_assert(!window_has_room(&window, 0, 0, now + SECOND - 1));
	ck_assert(!window_rests(&window, now + SECOND));
	ck_assert_str_eq(rest_cause_name(window.cause), "failures");
}
END_TEST

START_TEST(rests_grow_from_a_second_to_five_minutes)
{
	static const uint64_t rests[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300 };
	struct window window = of(4);
	uint64_t now = starts[_i];

	(void)window_failed(&window, now);
	(void)window_failed(&window, now);
	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
		ck_assert(window_failed(&window, now));
		ck_assert_uint_eq(window.rest_us, rests[i] * SECOND);
		now += rests[i] * SECOND;
		ck_assert_msg(!window_rests(&window, now), "every rest has an end");
	}
	window_wake(&window);
	ck_assert(window_has_room(&window, 3, 3, now));
	for (int i = 0; i < 3; i++)
		(void)window_failed(&window, now);
	ck_assert_msg(window.rest_us == SECOND, "behind a success they begin anew");
}
END_TEST

START_TEST(those_that_fail_together_rest_once)
{
	struct window window = of(20);

	for (int i = 0; i < 20; i++)
		(void)window_failed(&window, 100 + (uint64_t)i);
	ck_assert_uint_eq(window.rest_us, SECOND);
	ck_assert_uint_eq(window.rest_until_us, 102 + SECOND);
}
END_TEST

START_TEST(behind_a_rest_there_is_one_probe)
{
	struct window window = of(4);
	uint64_t now = 100 + SECOND;

	for (int i = 0; i < 3; i++)
		(void)window_failed(&window, 100);
	ck_assert(window_has_room(&window, 0, 0, now));
	ck_assert(!window_has_room(&window, 1, 1, now));
	ck_assert_msg(window_has_room(&window, 1, 0, now), "a session that leaves is none");
	window_wake(&window);
	ck_assert(window_has_room(&window, 2, 1, now));
}
END_TEST

/* Width 1, the probe fails, and fails: there is always another. */
START_TEST(a_window_of_one_is_probed_for_ever)
{
	struct window window = of(1);
	uint64_t now = 100;
	unsigned probes = 0;

	for (uint64_t end = now + 60 * MINUTE; now < end; now += SECOND) {
		window_widen(&window, now);
		if (!window_has_room(&window, 0, 0, now))
			continue;
		probes++;
		(void)window_failed(&window, now);
	}
	ck_assert_uint_ge(probes, 3 + 8 + 8);
	ck_assert_uint_le(probes, 3 + 9 + 12);
}
END_TEST

START_TEST(refused_credentials_rest_for_minutes_at_once)
{
	static const uint64_t rests[] = { 1, 2, 4, 8, 15, 15 };
	struct window window = of(4);
	uint64_t now = starts[_i];

	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
		for (int together = 0; together < 3; together++)
			window_refused_auth(&window, now);
		ck_assert_uint_eq(window.rest_us, rests[i] * MINUTE);
		ck_assert(window_rests(&window, now + rests[i] * MINUTE - 1));
		now += rests[i] * MINUTE;
		ck_assert(window_has_room(&window, 0, 0, now));
		ck_assert(!window_has_room(&window, 1, 1, now));
	}
	ck_assert_str_eq(rest_cause_name(window.cause), "auth");
}
END_TEST

/* Credentials are not tried sooner because in between nobody answered. */
START_TEST(failures_do_not_shorten_a_rest_for_credentials)
{
	struct window window = of(4);

	window_refused_auth(&window, 100);
	for (int i = 0; i < 5; i++)
		(void)window_failed(&window, 200);
	ck_assert(window_rests(&window, 100 + MINUTE - 1));
	ck_assert_str_eq(rest_cause_name(window.cause), "auth");
}
END_TEST

START_TEST(it_rests_as_the_relay_asks_up_to_five_minutes)
{
	static const struct {
		uint32_t asked;
		uint64_t rests;
	} rows[] = { { 30, 30 }, { 300, 300 }, { 301, 300 }, { UINT32_MAX, 300 } };
	struct window window = of(4);

	window_throttled(&window, rows[_i].asked, 100);
	ck_assert_uint_eq(window.rest_until_us, 100 + rows[_i].rests * SECOND);
	ck_assert_str_eq(rest_cause_name(window.cause), "throttled");
	window_wake(&window); /* one that was opening: that is no reason to go on */
	ck_assert(window_rests(&window, 100 + rows[_i].rests * SECOND - 1));
	ck_assert(!window_rests(&window, 100 + rows[_i].rests * SECOND));
	ck_assert(window_has_room(&window, 3, 3, 100 + rows[_i].rests * SECOND));
}
END_TEST

START_TEST(a_shorter_wish_does_not_end_a_longer_rest)
{
	struct window window = of(4);

	window_throttled(&window, 60, 100);
	window_throttled(&window, 10, 200);
	ck_assert_uint_eq(window.rest_until_us, 100 + 60 * SECOND);
	window_throttled(&window, 0, 200);
	ck_assert_uint_eq(window.rest_until_us, 100 + 60 * SECOND);
}
END_TEST

START_TEST(failures_behind_a_wish_begin_with_a_second)
{
	struct window window = of(4);
	uint64_t now = 100 + 300 * SECOND;

	window_throttled(&window, 300, 100);
	for (int i = 0; i < 3; i++)
		(void)window_failed(&window, now);
	ck_assert_uint_eq(window.rest_until_us, now + SECOND);
	ck_assert_str_eq(rest_cause_name(window.cause), "failures");
}
END_TEST

START_TEST(who_mends_it_need_not_wait)
{
	struct window window = of(4);

	window_refused_auth(&window, 100);
	window_wake(&window);
	ck_assert(window_has_room(&window, 3, 3, 101));
	window_refused_auth(&window, 102);
	ck_assert_uint_eq(window.rest_us, MINUTE);
}
END_TEST

/* ---- pace */

/* So many messages in the second that contains `now`. */
static void take_many(struct window *window, unsigned count, uint64_t now)
{
	for (unsigned i = 0; i < count; i++)
		window_took(window, now);
}

/* Messages in the second before and in this one → the least interval from then on. */
static const struct {
	unsigned before, now;
	uint64_t interval_us;
} paces[] = {
	{ 0, 0, SECOND },         /* none were seen: one a second */
	{ 0, 1, SECOND },         /* … nor is one slower made of one, or of two */
	{ 2, 0, SECOND },         /* … of either second */
	{ 2, 2, SECOND },         /* they are not added up */
	{ 0, 3, 2 * SECOND / 3 }, /* half as many */
	{ 3, 0, 2 * SECOND / 3 }, /* of the second before, when this one is young */
	{ 20, 4, SECOND / 10 },   /* the faster of the two */
	{ 4, 20, SECOND / 10 },
	{ 0, 1000, SECOND / 500 },
	{ 5000, 0, SECOND / 2500 },
};

START_TEST(slower_is_half_as_many_messages_a_second)
{
	struct window window = of(4);
	uint64_t now = 100 * SECOND + 10;

	take_many(&window, paces[_i].before, now - SECOND);
	take_many(&window, paces[_i].now, now);
	window_slow(&window, now);
	ck_assert_uint_eq(window.interval_us, paces[_i].interval_us);
	ck_assert_uint_eq(window.width, 4);
	ck_assert_msg(!window_rests(&window, now), "it is no rest");
}
END_TEST

START_TEST(what_is_long_ago_is_no_pace)
{
	struct window window = of(4);

	take_many(&window, 20, 100 * SECOND);
	window_took(&window, 102 * SECOND); /* between them there was a second without any */
	window_slow(&window, 102 * SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND);
}
END_TEST

START_TEST(a_second_ends_where_the_next_begins)
{
	struct window window = of(4);

	take_many(&window, 10, 101 * SECOND - 1);
	take_many(&window, 10, 101 * SECOND);
	window_slow(&window, 101 * SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND / 5);
}
END_TEST

/* Twenty sessions hear it at once: that is one word. What is said a second later is another. */
START_TEST(slower_is_taken_once_a_second)
{
	struct window window = of(4);
	uint64_t now = starts[_i] + 100 * SECOND;

	take_many(&window, 100, now);
	for (uint64_t later = 0; later < SECOND; later += SECOND / 4) {
		window_slow(&window, now + later);
		ck_assert_uint_eq(window.interval_us, SECOND / 50);
	}
	window_slow(&window, now + SECOND - 1);
	ck_assert_uint_eq(window.slowed_us, now);
	now += SECOND;
	take_many(&window, 10, now);
	take_many(&window, 40, now + SECOND);
	window_slow(&window, now + SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND / 20);
	ck_assert_uint_eq(window.slowed_us, now + SECOND);
}
END_TEST

/* A second word at the very end of that second counts, also where it makes things faster. */
START_TEST(the_next_word_counts_after_exactly_a_second)
{
	struct window window = of(4);
	uint64_t now = 100 * SECOND;

	window_slow(&window, now);
	take_many(&window, 8, now + SECOND);
	window_slow(&window, now + SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND / 4);
}
END_TEST

/* A quarter more messages a second for each five seconds without a word. */
START_TEST(it_gets_faster_after_five_seconds_of_quiet)
{
	struct window window = of(4);
	uint64_t now = starts[_i];

	window_slow(&window, now);
	window_widen(&window, now + 5 * SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND);
	window_widen(&window, now + 5 * SECOND + 1);
	ck_assert_uint_eq(window.interval_us, SECOND * 4 / 5);
	window_widen(&window, now + 10 * SECOND + 1);
	ck_assert_uint_eq(window.interval_us, SECOND * 4 / 5);
	window_widen(&window, now + 10 * SECOND + 2);
	ck_assert_uint_eq(window.interval_us, SECOND * 16 / 25);
	window_widen(&window, now + 60 * SECOND);
	ck_assert_msg(window.interval_us == SECOND * 64 / 125, "one step for each look");
}
END_TEST

/* A word in between begins the quiet anew. */
START_TEST(a_word_begins_the_quiet_anew)
{
	struct window window = of(4);

	window_slow(&window, 100 * SECOND);
	window_slow(&window, 104 * SECOND);
	window_widen(&window, 109 * SECOND);
	ck_assert_uint_eq(window.interval_us, SECOND);
	window_widen(&window, 109 * SECOND + 1);
	ck_assert_uint_eq(window.interval_us, SECOND * 4 / 5);
}
END_TEST

/* Where it is no matter any more, it is none: from a second, in the time of 31 steps. */
START_TEST(it_ends_where_it_is_no_matter)
{
	struct window window = of(4);
	uint64_t now = 100 * SECOND;
	unsigned steps = 0;

	window_slow(&window, now);
	while (window.interval_us) {
		ck_assert_uint_ge(window.interval_us, 1000);
		ck_assert_uint_lt(steps, 40);
		now += 5 * SECOND + 1;
		window_widen(&window, now);
		steps++;
	}
	ck_assert_uint_eq(steps, 31);
	window_widen(&window, now + MINUTE);
	ck_assert_uint_eq(window.interval_us, 0);
	window_slow(&window, now + MINUTE);
	ck_assert_msg(window.interval_us == SECOND, "the next word counts at once");
}
END_TEST

UNIT_MAIN(window, tcase_add_loop_test(cases, a_new_one_is_as_wide_as_allowed, 0, STARTS);
	  tcase_add_loop_test(cases, too_many_narrows_to_those_that_there_are, 0, STARTS);
	  tcase_add_test(cases, it_is_halved_at_most_and_never_shut);
	  tcase_add_loop_test(cases, it_grows_back_by_one_after_quiet, 0, STARTS);
	  tcase_add_loop_test(cases, growth_that_is_refused_is_tried_less_often, 0, 2);
	  tcase_add_test(cases, growth_that_holds_is_forgiven);
	  tcase_add_loop_test(cases, it_rests_after_three_failures_in_a_row, 0, STARTS);
	  tcase_add_loop_test(cases, rests_grow_from_a_second_to_five_minutes, 0, STARTS);
	  tcase_add_test(cases, those_that_fail_together_rest_once);
	  tcase_add_test(cases, behind_a_rest_there_is_one_probe);
	  tcase_add_test(cases, a_window_of_one_is_probed_for_ever);
	  tcase_add_loop_test(cases, refused_credentials_rest_for_minutes_at_once, 0, STARTS);
	  tcase_add_test(cases, failures_do_not_shorten_a_rest_for_credentials);
	  tcase_add_loop_test(cases, it_rests_as_the_relay_asks_up_to_five_minutes, 0, 4);
	  tcase_add_test(cases, a_shorter_wish_does_not_end_a_longer_rest);
	  tcase_add_test(cases, failures_behind_a_wish_begin_with_a_second);
	  tcase_add_test(cases, who_mends_it_need_not_wait);
	  tcase_add_loop_test(cases, slower_is_half_as_many_messages_a_second, 0,
		  (int)(sizeof(paces) / sizeof(*paces)));
	  tcase_add_test(cases, what_is_long_ago_is_no_pace);
	  tcase_add_test(cases, a_second_ends_where_the_next_begins);
	  tcase_add_loop_test(cases, slower_is_taken_once_a_second, 0, STARTS);
	  tcase_add_test(cases, the_next_word_counts_after_exactly_a_second);
	  tcase_add_loop_test(cases, it_gets_faster_after_five_seconds_of_quiet, 0, STARTS);
	  tcase_add_test(cases, a_word_begins_the_quiet_anew);
	  tcase_add_test(cases, it_ends_where_it_is_no_matter);)
