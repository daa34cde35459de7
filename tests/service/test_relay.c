#include "service/relay.h"
#include "unit.h"

#include <stdio.h>

static struct relay *relay;

enum { WORKERS = 2 };

/* A relay of so many sessions; `rate` and `warm` as their settings take them. */
static struct relay *relay_of(const char *sessions, const char *rate, const char *warm)
{
	char environment[5][64];
	char *none[] = { NULL }, *given[] = { environment[0], environment[1], environment[2],
		environment[3], environment[4], NULL };
	struct buf why = buf_born(1000);
	struct settings *settings;
	struct relay *made;

	snprintf(environment[0], 64, "SMTP_HOST=127.0.0.1");
	snprintf(environment[1], 64, "SMTP_SECURE=NONE");
	snprintf(environment[2], 64, "SMTP_SESSIONS=%s", sessions);
	snprintf(environment[3], 64, "SMTP_RATE=%s", rate);
	snprintf(environment[4], 64, "SMTP_MIN_SESSIONS=%s", warm);
	ck_assert_msg(
		settings_load(none, given, &settings, &why) == OK, "%.*s", (int)why.len, why.at);
	ck_assert_int_eq(relay_open(settings, 0, WORKERS, &made, &why), OK);
	settings_free(settings);
	buf_free(&why);
	return made;
}

static void open_relay(void)
{
	relay = relay_of("2", "", "0");
}

static void close_relay(void)
{
	relay_release(relay);
}

static struct delivery delivery_of(uint64_t queued_us, uint64_t deadline_us)
{
	return (struct delivery){ .queued_us = queued_us, .deadline_us = deadline_us };
}

/* A carrier that was to open since `began_us` could not; `busy`: it was told "not now". */
static struct delivery *one_fails(
	struct relay *which, bool brings, uint64_t began_us, uint64_t now_us, bool busy)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, false);
	struct relay_failure failure = { &verdict, &nothing, "", brings, busy, began_us };

	return relay_carrier_failed(which, &failure, now_us);
}

START_TEST(deliveries_leave_in_the_order_they_came)
{
	struct delivery first = delivery_of(1, 100), second = delivery_of(2, 100);

	(void)relay_submit(relay, &first);
	(void)relay_submit(relay, &second);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &first);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &second);
	ck_assert_ptr_null(relay_pull(relay, 0, false, 10));
	ck_assert_uint_eq(relay_counts(relay).idle, 1);
}
END_TEST

START_TEST(a_worker_with_idle_carriers_is_woken_first)
{
	struct delivery delivery = delivery_of(1, 100);

	for (int i = 0; i < 2; i++) {
		ck_assert(relay_wants_carrier(relay, 10) == false);
		relay_admit_carrier(relay);
		relay_carrier_opened(relay, true);
	}
	ck_assert_ptr_null(relay_pull(relay, 1, false, 10));
	ck_assert_int_eq(relay_submit(relay, &delivery), 1);
	ck_assert_ptr_eq(relay_pull(relay, 1, true, 10), &delivery);
	ck_assert_uint_eq(relay_counts(relay).idle, 0);
}
END_TEST

START_TEST(nobody_is_woken_when_all_are_busy)
{
	struct delivery delivery = delivery_of(1, 100);

	for (int i = 0; i < 2; i++) {
		relay_admit_carrier(relay);
		relay_carrier_opened(relay, true);
	}
	ck_assert_int_eq(relay_submit(relay, &delivery), NO_WORKER);
	ck_assert(!relay_wants_carrier(relay, 10));
}
END_TEST

START_TEST(carriers_are_opened_as_work_waits_up_to_the_window)
{
	struct delivery deliveries[3];
	unsigned opened = 0;

	for (int i = 0; i < 3; i++) {
		deliveries[i] = delivery_of(1, UINT64_MAX);
		(void)relay_submit(relay, &deliveries[i]);
	}
	while (relay_wants_carrier(relay, 10))
		opened++;
	ck_assert_uint_eq(opened, 2);
	ck_assert_uint_eq(relay_counts(relay).opening, 2);
}
END_TEST

START_TEST(a_failed_opening_fails_those_that_waited_through_it)
{
	struct delivery early = delivery_of(5, UINT64_MAX), late = delivery_of(20, 100);

	(void)relay_submit(relay, &early);
	relay_admit_carrier(relay);
	(void)relay_submit(relay, &late);
	ck_assert_ptr_eq(one_fails(relay, true, 10, 30, false), &early);
	ck_assert_ptr_null(early.next);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 40), &late);
}
END_TEST

START_TEST(with_other_sessions_up_a_failed_opening_only_narrows_the_window)
{
	struct delivery delivery = delivery_of(5, UINT64_MAX);

	relay_admit_carrier(relay);
	relay_carrier_opened(relay, true);
	(void)relay_submit(relay, &delivery);
	ck_assert(relay_wants_carrier(relay, 6));
	ck_assert_ptr_null(one_fails(relay, false, 6, 30, true));
	ck_assert_uint_eq(relay_counts(relay).window, 1);
	ck_assert_uint_eq(relay_counts(relay).waiting, 1);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 40), &delivery);
}
END_TEST

START_TEST(the_window_grows_back_after_quiet)
{
	struct delivery delivery = delivery_of(5, UINT64_MAX);

	relay_admit_carrier(relay);
	relay_carrier_opened(relay, true);
	relay_admit_carrier(relay);
	(void)one_fails(relay, true, 6, 30, true);
	(void)relay_submit(relay, &delivery);
	ck_assert(!relay_wants_carrier(relay, 1000000));
	ck_assert(relay_wants_carrier(relay, 6000000));
}
END_TEST

START_TEST(what_is_past_its_deadline_is_taken_out)
{
	struct delivery first = delivery_of(1, 50), second = delivery_of(2, 200),
			third = delivery_of(3, 50), fourth = delivery_of(4, 300);

	(void)relay_submit(relay, &first);
	(void)relay_submit(relay, &second);
	(void)relay_submit(relay, &third);
	ck_assert_ptr_eq(relay_expire(relay, 60), &first);
	ck_assert_ptr_eq(first.next, &third);
	ck_assert_ptr_null(third.next);
	(void)relay_submit(relay, &fourth); /* the end of the queue was kept right */
	ck_assert_ptr_eq(relay_empty(relay), &second);
	ck_assert_ptr_eq(second.next, &fourth);
	ck_assert_uint_eq(relay_counts(relay).waiting, 0);
}
END_TEST

START_TEST(what_is_past_its_deadline_is_not_begun)
{
	struct delivery late = delivery_of(1, 50), in_time = delivery_of(2, 200);

	(void)relay_submit(relay, &late);
	(void)relay_submit(relay, &in_time);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &in_time);
	ck_assert_ptr_null(relay_pull(relay, 0, false, 60));
	ck_assert_ptr_eq(relay_expire(relay, 60), &late);
}
END_TEST

START_TEST(each_delivery_wakes_another_worker_while_there_are_idle_ones)
{
	struct delivery first = delivery_of(1, 100), second = delivery_of(1, 100);

	for (unsigned worker = 0; worker < WORKERS; worker++) {
		relay_admit_carrier(relay);
		relay_carrier_opened(relay, true);
		ck_assert_ptr_null(relay_pull(relay, worker, false, 10));
	}
	ck_assert_int_ne(relay_submit(relay, &first), relay_submit(relay, &second));
}
END_TEST

START_TEST(work_beside_idle_carriers_of_another_worker_wakes_it)
{
	struct delivery delivery = delivery_of(1, 100);
	unsigned other = 9;

	relay_admit_carrier(relay);
	relay_carrier_opened(relay, true);
	ck_assert_ptr_null(relay_pull(relay, 1, false, 10));
	ck_assert(!relay_has_idle_elsewhere(relay, 0, 10, &other));
	(void)relay_submit(relay, &delivery);
	ck_assert_ptr_null(relay_pull(relay, 1, true, 1000)); /* looked too late: past its time */
	ck_assert(relay_has_idle_elsewhere(relay, 0, 10, &other));
	ck_assert_uint_eq(other, 1);
	ck_assert(!relay_has_idle_elsewhere(relay, 0, 10, &other)); /* it was woken for it */
	ck_assert(!relay_has_idle_elsewhere(relay, 1, 10, &other)); /* it is its own */
	(void)relay_empty(relay);
}
END_TEST

START_TEST(what_a_busy_relay_sent_back_waits_first)
{
	struct delivery waiting = delivery_of(1, 100), back = delivery_of(2, 100);

	ck_assert(!relay_put_back(relay, &back)); /* nobody is there to take it */
	relay_admit_carrier(relay);
	relay_carrier_opened(relay, true);
	(void)relay_submit(relay, &waiting);
	ck_assert(relay_put_back(relay, &back));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &back);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &waiting);
}
END_TEST

START_TEST(a_carrier_that_brings_its_own_does_not_count_for_those_that_wait)
{
	struct delivery delivery = delivery_of(1, 100);

	relay_admit_carrier(relay);
	ck_assert_int_ne(relay_submit(relay, &delivery), NO_WORKER);
	ck_assert(relay_wants_carrier(relay, 10));
	(void)relay_empty(relay);
}
END_TEST

START_TEST(a_rate_spaces_messages_out)
{
	struct relay *slow = relay_of("2", "10", "0");
	struct delivery deliveries[30];
	unsigned sent = 0;

	for (int i = 0; i < 30; i++) {
		deliveries[i] = delivery_of(1, UINT64_MAX);
		(void)relay_submit(slow, &deliveries[i]);
	}
	while (relay_pull(slow, 0, false, 100000000))
		sent++;
	ck_assert_uint_le(sent, 11); /* a second's worth at once */
	ck_assert_uint_ge(sent, 10);
	ck_assert_ptr_nonnull(relay_pull(slow, 0, true, 100100000));
	ck_assert_ptr_null(relay_pull(slow, 0, false, 100110000));
	(void)relay_empty(slow);
	relay_release(slow);
}
END_TEST

START_TEST(sessions_are_kept_ready_and_not_hammered_for)
{
	struct relay *warm = relay_of("4", "", "1");

	ck_assert(relay_wants_carrier(warm, 10));
	ck_assert(!relay_wants_carrier(warm, 10));
	ck_assert_ptr_null(one_fails(warm, false, 10, 20, false));
	ck_assert(!relay_wants_carrier(warm, 1000000));
	ck_assert(relay_wants_carrier(warm, 10000000));
	relay_release(warm);
}
END_TEST

START_TEST(a_retired_relay_wants_no_carriers)
{
	struct delivery delivery = delivery_of(1, 100);

	(void)relay_submit(relay, &delivery);
	relay_retire(relay);
	ck_assert(!relay_wants_carrier(relay, 10));
	ck_assert_ptr_eq(relay_empty(relay), &delivery);
}
END_TEST

UNIT_MAIN(relay, tcase_add_checked_fixture(cases, open_relay, close_relay);
	  tcase_add_test(cases, deliveries_leave_in_the_order_they_came);
	  tcase_add_test(cases, a_worker_with_idle_carriers_is_woken_first);
	  tcase_add_test(cases, nobody_is_woken_when_all_are_busy);
	  tcase_add_test(cases, carriers_are_opened_as_work_waits_up_to_the_window);
	  tcase_add_test(cases, a_failed_opening_fails_those_that_waited_through_it);
	  tcase_add_test(cases, with_other_sessions_up_a_failed_opening_only_narrows_the_window);
	  tcase_add_test(cases, the_window_grows_back_after_quiet);
	  tcase_add_test(cases, what_is_past_its_deadline_is_taken_out);
	  tcase_add_test(cases, what_is_past_its_deadline_is_not_begun);
	  tcase_add_test(cases, each_delivery_wakes_another_worker_while_there_are_idle_ones);
	  tcase_add_test(cases, work_beside_idle_carriers_of_another_worker_wakes_it);
	  tcase_add_test(cases, what_a_busy_relay_sent_back_waits_first);
	  tcase_add_test(cases, a_carrier_that_brings_its_own_does_not_count_for_those_that_wait);
	  tcase_add_test(cases, a_rate_spaces_messages_out);
	  tcase_add_test(cases, sessions_are_kept_ready_and_not_hammered_for);
	  tcase_add_test(cases, a_retired_relay_wants_no_carriers);)
