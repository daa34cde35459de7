/* Limits that relays do not tell of, and what they are learned from. */
#include "service/relay/learned.h"
#include "unit.h"

#define SECOND UINT64_C(1000000)

/* Beyond 2^32 ms, where what counts milliseconds in 32 bits has begun anew. */
static const uint64_t starts[] = { 0, 7200 * SECOND, (UINT64_C(1) << 32) * 1000 };
enum { STARTS = sizeof(starts) / sizeof(*starts) };

static struct learned learned;
static uint64_t now;

static void forget(void)
{
	learned = (struct learned){ 0 };
	now = 7200 * SECOND;
}

/* Lives from now on for `age_s`, takes its messages at once, and is hung up on where it idles. */
static bool idle_end(uint32_t quiet_ms)
{
	struct session_life life = { .ended_by_relay = true,
		.opened_us = now,
		.used_us = now,
		.ended_us = now + quiet_ms * UINT64_C(1000),
		.quiet_ms = quiet_ms,
		.messages = 1 };

	now = life.ended_us + 1;
	learned_forget_old(&learned, life.ended_us);
	return learned_from(&learned, &life);
}

/* It is hung up on right behind its last message. */
static bool busy_end(uint32_t messages, uint64_t age_s)
{
	struct session_life life = { .ended_by_relay = true,
		.opened_us = now,
		.used_us = now + age_s * SECOND,
		.ended_us = now + age_s * SECOND + 1000,
		.messages = messages };

	now = life.ended_us + 1;
	learned_forget_old(&learned, life.ended_us);
	return learned_from(&learned, &life);
}

/* We end it; it was of use behind so long an idle time. */
static bool own_end(uint32_t longest_quiet_ms, uint32_t messages, uint64_t age_s)
{
	struct session_life life = { .opened_us = now,
		.used_us = now + age_s * SECOND,
		.ended_us = now + age_s * SECOND,
		.longest_quiet_ms = longest_quiet_ms,
		.messages = messages };

	now = life.ended_us + 1;
	learned_forget_old(&learned, life.ended_us);
	return learned_from(&learned, &life);
}

START_TEST(two_that_end_alike_teach_a_time_to_idle)
{
	now = starts[_i];
	ck_assert(!idle_end(10000));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);
	ck_assert(idle_end(10500));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 9000); /* a tenth less */
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 0);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_LIFETIME), 0);
}
END_TEST

START_TEST(those_that_differ_teach_nothing)
{
	ck_assert(!idle_end(10000));
	ck_assert(!idle_end(12000));
	ck_assert(!idle_end(15000));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);
	ck_assert(idle_end(14000));
}
END_TEST

START_TEST(less_than_a_second_is_no_time_to_idle)
{
	for (int i = 0; i < 4; i++)
		(void)idle_end(999);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);
}
END_TEST

START_TEST(messages_have_to_be_the_same)
{
	ck_assert(!busy_end(100, 1));
	ck_assert(!busy_end(101, 1));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 0);
	ck_assert(!busy_end(90, 1));
	ck_assert(!busy_end(90, 1)); /* one took 101 */
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 0);
}
END_TEST

START_TEST(a_number_of_messages_is_learned_as_it_is)
{
	ck_assert(!busy_end(1, 1));
	ck_assert(busy_end(1, 2));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 1);
	ck_assert(!busy_end(1, 2));
}
END_TEST

START_TEST(a_lifetime_is_learned)
{
	ck_assert(!busy_end(10, 60));
	ck_assert(busy_end(20, 63));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_LIFETIME), 60001 - 6000);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 0);
}
END_TEST

START_TEST(a_life_of_a_few_seconds_teaches_no_lifetime)
{
	for (uint32_t i = 1; i < 5; i++)
		(void)busy_end(i, 4);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_LIFETIME), 0);
}
END_TEST

/* All sessions that were up end at once: of those that are of the same age, too. */
START_TEST(a_restart_of_the_relay_teaches_nothing)
{
	struct session_life life = { .ended_by_relay = true,
		.opened_us = now,
		.used_us = now + 20 * SECOND,
		.ended_us = now + 30 * SECOND,
		.quiet_ms = 10000,
		.messages = 5 };

	for (int i = 0; i < 10; i++) {
		life.ended_us++;
		ck_assert(!learned_from(&learned, &life));
	}
	life.quiet_ms = 0;
	life.opened_us = life.ended_us; /* the first that were busy */
	life.ended_us += 30 * SECOND;
	for (int i = 0; i < 10; i++) {
		life.ended_us++;
		ck_assert(!learned_from(&learned, &life));
	}
	for (enum learned_limit which = 0; which < LEARNED_LIMITS; which++)
		ck_assert_uint_eq(learned_limit(&learned, which), 0);
}
END_TEST

START_TEST(one_that_went_beyond_is_remembered)
{
	ck_assert(!own_end(20000, 1, 1));
	ck_assert(!idle_end(10000));
	ck_assert(!idle_end(10000));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);
}
END_TEST

START_TEST(one_that_goes_beyond_refutes_a_limit)
{
	(void)idle_end(10000);
	ck_assert(idle_end(10000));
	ck_assert(!own_end(11000, 1, 1)); /* that is alike */
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 9000);
	ck_assert(own_end(11001, 1, 1));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);

	(void)busy_end(10, 1);
	ck_assert(busy_end(10, 1));
	ck_assert(own_end(0, 11, 1));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_MESSAGES), 0);
}
END_TEST

START_TEST(our_own_ends_teach_nothing)
{
	for (int i = 0; i < 3; i++)
		ck_assert(!own_end(0, 10, 60));
	for (enum learned_limit which = 0; which < LEARNED_LIMITS; which++)
		ck_assert_uint_eq(learned_limit(&learned, which), 0);
}
END_TEST

START_TEST(what_is_known_is_forgotten_after_an_hour)
{
	uint64_t since;

	(void)idle_end(10000);
	ck_assert(idle_end(10000));
	since = now - 1;
	learned_recipients(&learned, 10, since);
	learned_forget_old(&learned, since + 3600 * SECOND);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 9000);
	ck_assert_uint_eq(learned.recipients, 10);
	learned_forget_old(&learned, since + 3600 * SECOND + 1);
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_IDLE), 0);
	ck_assert_uint_eq(learned.recipients, 0);
	now = since + 3601 * SECOND;
	ck_assert_msg(!idle_end(10000), "one that is forgotten is learned of two again");
	ck_assert(idle_end(10000));
}
END_TEST

START_TEST(who_went_beyond_is_remembered_for_another_hour)
{
	uint64_t since;

	ck_assert(!own_end(0, 50, 1));
	since = learned.limits[LEARNED_MESSAGES].since_us;
	now = since + 3601 * SECOND;
	for (int i = 0; i < 3; i++)
		ck_assert(!busy_end(2, 1));
	now = since + 7300 * SECOND;
	ck_assert(!busy_end(2, 1));
	ck_assert(busy_end(2, 1));
}
END_TEST

/* It hangs up on a session that took a message, without a word. */
static void hang_up(uint64_t opened_us, uint64_t ended_us)
{
	struct session_life life = { .ended_by_relay = true,
		.without_a_word = true,
		.opened_us = opened_us,
		.used_us = ended_us - 1,
		.ended_us = ended_us,
		.messages = 1 };

	learned_forget_old(&learned, ended_us);
	(void)learned_from(&learned, &life);
}

START_TEST(two_hang_ups_without_a_word_are_a_habit)
{
	hang_up(now, now + SECOND);
	hang_up(now, now + 2 * SECOND); /* for the same reason, maybe */
	ck_assert_uint_eq(learned.hung_up_us, 0);
	hang_up(now + 2 * SECOND, now + 3 * SECOND);
	ck_assert_uint_eq(learned.hung_up_us, now + 3 * SECOND);
	learned_forget_old(&learned, now + 3604 * SECOND);
	ck_assert_uint_eq(learned.hung_up_us, 0);
	hang_up(now + 3605 * SECOND, now + 3606 * SECOND);
	ck_assert_uint_eq(learned.hung_up_us, 0);
	hang_up(now + 7300 * SECOND, now + 7301 * SECOND); /* an hour lies between them */
	ck_assert_uint_eq(learned.hung_up_us, 0);
	hang_up(now + 7302 * SECOND, now + 7303 * SECOND);
	ck_assert_uint_ne(learned.hung_up_us, 0);
}
END_TEST

/* Times so long that they do not fit 32 bits of ms, or a tenth of them does not. */
START_TEST(the_longest_times_are_no_trouble)
{
	struct session_life life = { .ended_by_relay = true,
		.opened_us = 1,
		.used_us = UINT64_MAX / 2,
		.ended_us = UINT64_MAX / 2,
		.quiet_ms = UINT32_MAX,
		.longest_quiet_ms = UINT32_MAX,
		.messages = UINT32_MAX };

	ck_assert(!learned_from(&learned, &life));
	learned.limits[LEARNED_IDLE].limit = UINT32_MAX - 5;
	life.quiet_ms = 0;
	ck_assert_msg(!learned_from(&learned, &life), "a limit is not refuted by what is like it");
	ck_assert_uint_eq(learned.limits[LEARNED_IDLE].limit, UINT32_MAX - 5);
}
END_TEST

/* Its clock says that it ended before it began. */
START_TEST(a_life_that_ends_before_it_begins_is_none)
{
	struct session_life life = { .ended_by_relay = true, .opened_us = 10 * SECOND };

	ck_assert(!learned_from(&learned, &life));
	ck_assert(!learned_from(&learned, &life));
	ck_assert_uint_eq(learned_limit(&learned, LEARNED_LIFETIME), 0);
}
END_TEST

START_TEST(the_names_are_those_of_the_metrics)
{
	ck_assert_str_eq(learned_limit_name(LEARNED_IDLE), "idle");
	ck_assert_str_eq(learned_limit_name(LEARNED_MESSAGES), "messages");
	ck_assert_str_eq(learned_limit_name(LEARNED_LIFETIME), "lifetime");
}
END_TEST

UNIT_MAIN(learned, tcase_add_checked_fixture(cases, forget, NULL);
	  tcase_add_loop_test(cases, two_that_end_alike_teach_a_time_to_idle, 0, STARTS);
	  tcase_add_test(cases, those_that_differ_teach_nothing);
	  tcase_add_test(cases, less_than_a_second_is_no_time_to_idle);
	  tcase_add_test(cases, messages_have_to_be_the_same);
	  tcase_add_test(cases, a_number_of_messages_is_learned_as_it_is);
	  tcase_add_test(cases, a_lifetime_is_learned);
	  tcase_add_test(cases, a_life_of_a_few_seconds_teaches_no_lifetime);
	  tcase_add_test(cases, a_restart_of_the_relay_teaches_nothing);
	  tcase_add_test(cases, one_that_went_beyond_is_remembered);
	  tcase_add_test(cases, one_that_goes_beyond_refutes_a_limit);
	  tcase_add_test(cases, our_own_ends_teach_nothing);
	  tcase_add_test(cases, what_is_known_is_forgotten_after_an_hour);
	  tcase_add_test(cases, the_longest_times_are_no_trouble);
	  tcase_add_test(cases, a_life_that_ends_before_it_begins_is_none);
	  tcase_add_test(cases, the_names_are_those_of_the_metrics);
	  tcase_add_test(cases, who_went_beyond_is_remembered_for_another_hour);
	  tcase_add_test(cases, two_hang_ups_without_a_word_are_a_habit);)
