#include "service/clock.h"
#include "service/relay/relay.h"
#include "unit.h"

#include <stdio.h>
#include <time.h>

static struct relay *relay;
static struct relay_news news; /* of the last call that brings some */

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)

enum { WORKERS = 2 };

/* A relay of so many sessions; `rate` and `warm` as their settings take them. */
static struct relay *relay_for(
	const char *user, const char *sessions, const char *rate, const char *warm)
{
	char environment[7][64];
	char *none[] = { NULL }, *given[] = { environment[0], environment[1], environment[2],
		environment[3], environment[4], environment[5], environment[6], NULL };
	struct buf why = buf_born(1000);
	struct settings *settings;
	struct relay *made;

	snprintf(environment[0], 64, "SMTP_HOST=127.0.0.1");
	snprintf(environment[1], 64, "SMTP_SECURE=NONE");
	snprintf(environment[2], 64, "SMTP_SESSIONS=%s", sessions);
	snprintf(environment[3], 64, "SMTP_RATE=%s", rate);
	snprintf(environment[4], 64, "SMTP_MIN_SESSIONS=%s", warm);
	snprintf(environment[5], 64, "SMTP_USER=%s", user);
	snprintf(environment[6], 64, "SMTP_PASS=%s", user);
	ck_assert_msg(
		settings_load(none, given, &settings, &why) == OK, "%.*s", (int)why.len, why.at);
	ck_assert_int_eq(relay_open(settings, 0, WORKERS, &made, &why), OK);
	settings_free(settings);
	buf_free(&why);
	return made;
}

static struct relay *relay_of(const char *sessions, const char *rate, const char *warm)
{
	return relay_for("", sessions, rate, warm);
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

static void one_opens(struct relay *which)
{
	relay_carrier_opened(which, true, &news);
}

/* A carrier that was to open since `began_us` could not; `busy`: it was told "not now". */
static struct delivery *one_fails(
	struct relay *which, bool brings, uint64_t began_us, uint64_t now_us, bool busy)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, false);
	struct relay_failure failure = { .verdict = &verdict,
		.said = &nothing,
		.words = "",
		.brings = brings,
		.busy = busy,
		.began_us = began_us };

	return relay_carrier_failed(which, &failure, now_us, &news);
}

/* A carrier was told that there are too many. */
static struct delivery *one_too_many(struct relay *which, bool brings, uint64_t now_us)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_GREETING, false);
	struct relay_failure failure = { .verdict = &verdict,
		.said = &nothing,
		.words = "",
		.brings = brings,
		.busy = true,
		.began_us = now_us };

	verdict.category = SMTP_RELAY_THROTTLED;
	return relay_carrier_failed(which, &failure, now_us, &news);
}

/* A carrier fails that brought its own, for its credentials or else. */
static void one_more_fails(struct relay *which, bool for_credentials, uint64_t now_us)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, false);
	struct relay_failure failure = { .verdict = &verdict,
		.said = &nothing,
		.words = "",
		.brings = true,
		.began_us = now_us };

	if (for_credentials)
		verdict.category = SMTP_RELAY_AUTH_FAILED;
	ck_assert(relay_admit_carrier(which, now_us));
	ck_assert_ptr_null(relay_carrier_failed(which, &failure, now_us, &news));
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
		ck_assert(relay_admit_carrier(relay, 10));
		one_opens(relay);
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
		ck_assert(relay_admit_carrier(relay, 10));
		one_opens(relay);
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
	ck_assert(relay_admit_carrier(relay, 10));
	(void)relay_submit(relay, &late);
	ck_assert_ptr_eq(one_fails(relay, true, 10, 30, false), &early);
	ck_assert_ptr_null(early.next);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 40), &late);
}
END_TEST

START_TEST(for_want_of_our_own_those_who_waited_are_told_when_nothing_opens_any_more)
{
	struct delivery early = delivery_of(5, UINT64_MAX), late = delivery_of(20, 100);
	struct relay_state state;
	uint64_t until;

	(void)relay_submit(relay, &early);
	for (int i = 0; i < 4; i++) {
		ck_assert(relay_admit_carrier(relay, 10));
		ck_assert(relay_admit_carrier(relay, 10));
		ck_assert_ptr_null(relay_carrier_prevented(relay, true, 10, 30));
		if (i == 0)
			(void)relay_submit(relay, &late);
		ck_assert_ptr_eq(
			relay_carrier_prevented(relay, true, 10, 30), i == 0 ? &early : NULL);
	}
	ck_assert(!relay_rests(relay, 30, &until));
	relay_state(relay, 30, &state);
	ck_assert_int_eq(state.trouble.at_ms, 0);
	ck_assert_uint_eq(state.counts.opening, 0);
	ck_assert_uint_eq(state.counts.waiting, 1);
	ck_assert(relay_admit_carrier(relay, 40));
	one_opens(relay);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 40), &late);
}
END_TEST

START_TEST(with_other_sessions_up_a_failed_opening_only_narrows_the_window)
{
	struct delivery delivery = delivery_of(5, UINT64_MAX);

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
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

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	ck_assert(relay_admit_carrier(relay, 10));
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
	ck_assert_ptr_eq(relay_expire(relay, 60, 200), &first);
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
	ck_assert_ptr_eq(relay_expire(relay, 60, 200), &late);
}
END_TEST

START_TEST(each_delivery_wakes_another_worker_while_there_are_idle_ones)
{
	struct delivery first = delivery_of(1, 100), second = delivery_of(1, 100);

	for (unsigned worker = 0; worker < WORKERS; worker++) {
		ck_assert(relay_admit_carrier(relay, 10));
		one_opens(relay);
		ck_assert_ptr_null(relay_pull(relay, worker, false, 10));
	}
	ck_assert_int_ne(relay_submit(relay, &first), relay_submit(relay, &second));
}
END_TEST

START_TEST(work_beside_idle_carriers_of_another_worker_wakes_it)
{
	struct delivery delivery = delivery_of(1, 100);
	unsigned other = 9;

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
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
	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	(void)relay_submit(relay, &waiting);
	ck_assert(relay_put_back(relay, &back));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &back);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10), &waiting);
}
END_TEST

START_TEST(a_carrier_that_brings_its_own_does_not_count_for_those_that_wait)
{
	struct delivery delivery = delivery_of(1, 100);

	ck_assert(relay_admit_carrier(relay, 10));
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

/* ---- rests */

START_TEST(three_failures_in_a_row_are_a_rest_then_one_probe)
{
	uint64_t now = 100 * SECOND, until;
	struct delivery delivery = delivery_of(1, UINT64_MAX);

	for (uint64_t rest_s = 1; rest_s < 1000; rest_s *= 2) {
		uint64_t rest_us = (rest_s < 300 ? rest_s : 300) * SECOND;

		for (int i = 0; i < (rest_s == 1 ? 3 : 1); i++) {
			ck_assert(!relay_rests(relay, now, &until));
			one_more_fails(relay, false, now);
			ck_assert_int_eq(news.rests, rest_s > 1 || i == 2);
		}
		ck_assert_uint_eq(news.rest_us, rest_us);
		ck_assert_int_eq(news.cause, REST_FAILURES);
		ck_assert(relay_rests(relay, now, &until));
		ck_assert_uint_eq(until, now + rest_us);
		now = until;
	}
	(void)relay_submit(relay, &delivery);
	ck_assert(!relay_wants_carrier(relay, now - 1));
	ck_assert(relay_wants_carrier(relay, now));
	ck_assert(relay_is_probing(relay, 10));
	ck_assert(!relay_wants_carrier(relay, now + 10 * SECOND));
	relay_carrier_opened(relay, false, &news);
	ck_assert(news.works_again && !news.rests);
	ck_assert(!relay_is_probing(relay, 10));
	(void)relay_empty(relay);
}
END_TEST

/* All that wait hear of it when the rest begins: they would wait for nothing. */
START_TEST(those_that_wait_are_given_back_when_a_rest_begins)
{
	struct delivery early = delivery_of(5, UINT64_MAX), late = delivery_of(200, UINT64_MAX);

	one_more_fails(relay, false, 1);
	one_more_fails(relay, false, 2);
	(void)relay_submit(relay, &early);
	(void)relay_submit(relay, &late);
	ck_assert(relay_admit_carrier(relay, 10));
	ck_assert_ptr_eq(one_fails(relay, true, 100, 300, false), &early);
	ck_assert_ptr_eq(early.next, &late);
	ck_assert(news.rests);
}
END_TEST

START_TEST(refused_credentials_are_tried_a_minute_later_and_one_at_a_time)
{
	struct relay *many = relay_for("u", "8", "", "0");
	struct delivery deliveries[8];
	uint64_t now = 100 * SECOND, until;

	for (uint64_t rest = 1; rest <= 32; rest *= 2) {
		one_more_fails(many, true, now);
		ck_assert(news.rests);
		ck_assert_int_eq(news.cause, REST_AUTH);
		ck_assert(relay_rests(many, now, &until));
		ck_assert_uint_eq(until, now + (rest < 15 ? rest : 15) * MINUTE);
		now = until;
	}
	for (int i = 0; i < 8; i++) {
		deliveries[i] = delivery_of(now, UINT64_MAX);
		(void)relay_submit(many, &deliveries[i]);
	}
	ck_assert(relay_wants_carrier(many, now));
	ck_assert_msg(!relay_wants_carrier(many, now + 30 * SECOND), "one probe, however slow");
	relay_carrier_opened(many, false, &news);
	ck_assert(news.works_again && news.cause == REST_AUTH);
	for (int i = 0; i < 7; i++)
		ck_assert_msg(relay_wants_carrier(many, now), "then as many as wanted");
	(void)relay_empty(many);
	relay_release(many);
}
END_TEST

/* Before credentials were seen to work, a batch does not try them with all sessions at once. */
START_TEST(unproven_credentials_are_tried_one_after_the_other)
{
	struct relay *many = relay_for("u", "8", "", "0");
	struct delivery deliveries[8];

	for (int i = 0; i < 8; i++) {
		deliveries[i] = delivery_of(1, UINT64_MAX);
		(void)relay_submit(many, &deliveries[i]);
	}
	ck_assert(relay_wants_carrier(many, SECOND));
	ck_assert(!relay_wants_carrier(many, 2 * SECOND - 1));
	ck_assert_msg(relay_wants_carrier(many, 2 * SECOND), "a slow one does not hold up all");
	ck_assert(!relay_wants_carrier(many, 2 * SECOND));
	relay_carrier_opened(many, false, &news);
	for (int i = 0; i < 6; i++)
		ck_assert(relay_wants_carrier(many, 2 * SECOND));
	(void)relay_empty(many);
	relay_release(many);
}
END_TEST

/* A session that is up goes on, and is used; further ones are not opened. */
START_TEST(refused_credentials_do_not_stop_a_session_that_is_up)
{
	struct delivery delivery = delivery_of(1, UINT64_MAX);
	uint64_t until;

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	one_more_fails(relay, true, SECOND);
	ck_assert(!relay_rests(relay, SECOND, &until));
	(void)relay_submit(relay, &delivery);
	ck_assert(!relay_wants_carrier(relay, 30 * SECOND));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 30 * SECOND), &delivery);
	relay_carrier_left(relay, false);
	ck_assert(relay_rests(relay, SECOND, &until));
}
END_TEST

/* ---- the relay wants less */

START_TEST(a_throttled_relay_gives_back_those_that_cannot_wait)
{
	struct delivery patient = delivery_of(1, 100 * SECOND),
			hurried = delivery_of(1, 40 * SECOND - 1);
	uint64_t now = 10 * SECOND, until;

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	(void)relay_submit(relay, &patient);
	(void)relay_submit(relay, &hurried);
	relay_throttled(relay, 30, now, &news);
	ck_assert_ptr_eq(relay_stranded(relay, now, 200), &hurried);
	ck_assert_ptr_null(hurried.next);
	ck_assert(news.rests && news.cause == REST_THROTTLED && news.rest_us == 30 * SECOND);
	ck_assert_uint_eq(news.width, 1);
	ck_assert(relay_rests(relay, now, &until));
	ck_assert_uint_eq(until, 40 * SECOND);
	ck_assert_msg(!relay_pull(relay, 0, false, until - 1), "nor on a session that is up");
	ck_assert_ptr_eq(relay_pull(relay, 0, true, until), &patient);
}
END_TEST

START_TEST(slow_down_without_a_time_only_narrows)
{
	struct delivery delivery = delivery_of(1, 11 * SECOND);
	uint64_t until;

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	(void)relay_submit(relay, &delivery);
	relay_throttled(relay, 0, 10 * SECOND, &news);
	ck_assert_ptr_null(relay_stranded(relay, 10 * SECOND, 200));
	ck_assert(!news.rests && news.width == 1);
	ck_assert(!relay_rests(relay, 10 * SECOND, &until));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 10 * SECOND), &delivery);
}
END_TEST

/* ---- sessions that are of no use */

static void open_and_detach(struct relay *which, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ck_assert(relay_admit_carrier(which, 10));
		one_opens(which);
		relay_carrier_detached(which, true);
	}
}

/* One goes for which there is no answer any more. */
static void one_detached_goes(struct relay *which)
{
	relay_carrier_detached(which, false);
	relay_carrier_left(which, false);
}

/* Window → how many may wait for a late answer while mail waits. */
static const struct {
	const char *sessions;
	unsigned window, stay;
} halves[] = { { "1", 1, 0 }, { "2", 2, 1 }, { "3", 3, 1 }, { "8", 8, 4 } };

START_TEST(late_answers_are_waited_for_in_half_of_the_window)
{
	struct relay *some = relay_of(halves[_i].sessions, "", "0");
	struct delivery mails[9];
	unsigned detached = halves[_i].window;

	open_and_detach(some, detached);
	ck_assert_msg(!relay_wants_place(some, 20), "where nobody waits, nobody goes");
	for (unsigned i = 0; i < 9; i++) {
		mails[i] = delivery_of(1, UINT64_MAX);
		ck_assert_int_ne(relay_submit(some, &mails[i]), NO_WORKER);
	}
	ck_assert(!relay_wants_carrier(some, 20));
	for (; detached > halves[_i].stay; detached--) {
		ck_assert(relay_wants_place(some, 20));
		one_detached_goes(some);
		ck_assert_msg(!relay_wants_place(some, 20), "there is a place now");
		ck_assert(relay_wants_carrier(some, 20));
	}
	ck_assert(!relay_wants_place(some, 20));
	(void)relay_empty(some);
	relay_release(some);
}
END_TEST

/* Nor does it go for mail that finds a session, or none for the time being. */
START_TEST(nobody_makes_place_for_nothing)
{
	struct delivery mail = delivery_of(1, UINT64_MAX);

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	open_and_detach(relay, 1);
	ck_assert_ptr_null(relay_pull(relay, 0, false, 10));
	(void)relay_submit(relay, &mail);
	ck_assert_msg(!relay_wants_place(relay, 20), "an idle one takes it");
	ck_assert_ptr_eq(relay_pull(relay, 0, true, 20), &mail);
	relay_carrier_detached(relay, true);
	(void)relay_submit(relay, &mail);
	ck_assert(relay_wants_place(relay, 20));
	relay_throttled(relay, 30, 20, &news);
	ck_assert_msg(!relay_wants_place(relay, 30), "none could be opened");
	ck_assert(relay_wants_place(relay, 31 * SECOND));
	relay_retire(relay);
	ck_assert(!relay_wants_place(relay, 31 * SECOND));
	(void)relay_empty(relay);
}
END_TEST

/* A session that is only waiting proves nothing: an opening that fails is not one too many. */
START_TEST(who_waits_for_a_late_answer_is_not_up)
{
	struct delivery mail = delivery_of(1, UINT64_MAX);

	open_and_detach(relay, 1);
	(void)relay_submit(relay, &mail);
	ck_assert(relay_wants_carrier(relay, 10));
	ck_assert_ptr_eq(one_fails(relay, false, 10, 30, false), &mail);
	relay_carrier_left(relay, false);
	ck_assert_msg(!relay_put_back(relay, &mail), "none is left to wait for");
}
END_TEST

/* "Too many", where all that there are wait for late answers: the window is as wide as they are, a
 * place is made, and however often it is said nobody fails and nothing rests. */
START_TEST(too_many_beside_late_answers_is_no_failure)
{
	struct relay *eight = relay_of("8", "", "0");
	struct delivery mail = delivery_of(1, UINT64_MAX);
	uint64_t now = now_us() + 5 * SECOND, just_now, until;

	open_and_detach(eight, 2);
	(void)relay_submit(eight, &mail);
	for (int i = 0; i < 4; i++, now += 2 * SECOND) {
		if (!i)
			ck_assert(relay_wants_carrier(eight, now));
		else
			ck_assert(relay_admit_carrier(eight, now));
		ck_assert_ptr_null(one_too_many(eight, i > 0, now));
		ck_assert_uint_eq(relay_counts(eight).window, 2);
		ck_assert(!relay_rests(eight, now, &until));
		ck_assert(relay_wants_place(eight, now + SECOND));
	}
	nanosleep(&(struct timespec){ 1, 100000000 }, NULL); /* it is long that two were opened */
	just_now = now_us();
	one_detached_goes(eight);
	ck_assert(relay_wants_carrier(eight, now));
	ck_assert_ptr_null(one_too_many(eight, false, just_now));
	ck_assert_msg(relay_counts(eight).window == 2, "the relay has not forgotten it yet");
	(void)relay_empty(eight);
	relay_release(eight);
}
END_TEST

/* A place was made, and the relay goes on to count the session that had it: no other is given up.
 */
START_TEST(a_place_that_is_no_use_is_the_last_for_a_while)
{
	struct relay *three = relay_of("3", "", "0");
	struct delivery mails[2] = { delivery_of(1, UINT64_MAX), delivery_of(1, UINT64_MAX) };
	uint64_t now = now_us();

	open_and_detach(three, 3);
	for (int i = 0; i < 2; i++)
		(void)relay_submit(three, &mails[i]);
	ck_assert(relay_wants_place(three, now));
	relay_made_place(three, now);
	one_detached_goes(three);
	ck_assert(relay_wants_carrier(three, now));
	now += 2 * SECOND;
	ck_assert_ptr_null(one_too_many(three, false, now));
	ck_assert_uint_eq(relay_counts(three).window, 2);
	ck_assert(!relay_wants_place(three, now + 2 * SECOND));
	ck_assert(!relay_wants_place(three, now + 28 * SECOND - 1));
	ck_assert(relay_wants_place(three, now + 28 * SECOND));
	ck_assert(relay_admit_carrier(three, now));
	one_opens(three);
	relay_carrier_detached(three, true);
	ck_assert_msg(relay_wants_place(three, now + 2 * SECOND), "one was let in: it was of use");
	(void)relay_empty(three);
	relay_release(three);
}
END_TEST

/* … and where they are silent over a message for long. */
START_TEST(too_many_beside_slow_sessions_is_no_failure)
{
	struct delivery mail = delivery_of(1, UINT64_MAX);
	uint64_t now = now_us() + MINUTE;

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	(void)relay_submit(relay, &mail);
	ck_assert(relay_is_probing(relay, now));
	for (int i = 0; i < 4; i++) {
		ck_assert(relay_admit_carrier(relay, now));
		ck_assert_ptr_null(one_too_many(relay, true, now));
		ck_assert_uint_eq(relay_counts(relay).window, 1);
	}
	ck_assert_ptr_eq(relay_pull(relay, 0, false, now), &mail);
	ck_assert(relay_put_back(relay, &mail));
	(void)relay_empty(relay);
}
END_TEST

START_TEST(a_narrower_window_is_kept_by_those_that_are_up)
{
	struct relay *four = relay_of("4", "", "0");

	for (int i = 0; i < 4; i++) {
		ck_assert(relay_admit_carrier(four, 10));
		one_opens(four);
	}
	ck_assert(!relay_is_crowded(four));
	relay_throttled(four, 0, 20, &news);
	ck_assert_uint_eq(news.width, 2);
	ck_assert(relay_is_crowded(four));
	relay_carrier_leaves(four);
	ck_assert_msg(relay_is_crowded(four), "three are left");
	relay_carrier_leaves(four);
	ck_assert_msg(!relay_is_crowded(four), "those that say goodbye are none");
	ck_assert(relay_admit_carrier(four, 30));
	ck_assert_msg(!relay_is_crowded(four), "nor is one that takes another's place");
	relay_release(four);
}
END_TEST

/* ---- turns and counts */

START_TEST(keys_have_their_turns)
{
	struct delivery batch[3], single = delivery_of(9, UINT64_MAX);

	single.key_number = 2;
	for (int i = 0; i < 3; i++) {
		batch[i] = delivery_of(1, i == 1 ? 50 : UINT64_MAX);
		batch[i].key_number = 1;
		(void)relay_submit(relay, &batch[i]);
	}
	(void)relay_submit(relay, &single);
	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &batch[0]);
	ck_assert(relay_put_back(relay, &batch[0]));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &batch[0]);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &single);
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &batch[2]);
	ck_assert_ptr_eq(relay_expire(relay, 60, 200), &batch[1]);
	ck_assert(!relay_has_work(relay));
}
END_TEST

START_TEST(a_part_waits_before_all_others_unless_the_relay_is_of_the_past)
{
	struct delivery other = delivery_of(1, UINT64_MAX), part = delivery_of(1, UINT64_MAX);
	int worker;

	other.key_number = 1;
	(void)relay_submit(relay, &other);
	ck_assert(relay_take_back(relay, &part, RELAY_BEHIND, &worker));
	ck_assert_ptr_eq(relay_pull(relay, 0, false, 60), &part);
	relay_retire(relay);
	ck_assert(!relay_take_back(relay, &part, RELAY_BEHIND, &worker));
	ck_assert_uint_eq(relay_counts(relay).waiting, 1);
	(void)relay_empty(relay);
}
END_TEST

/* A worker was woken for an idle carrier that turned out to be dead: the promise goes with it. */
START_TEST(a_promise_goes_with_the_carrier_it_was_made_for)
{
	struct delivery first = delivery_of(1, UINT64_MAX), second = delivery_of(1, UINT64_MAX);

	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	ck_assert_ptr_null(relay_pull(relay, 1, false, 10));
	ck_assert_int_eq(relay_submit(relay, &first), 1);
	relay_idle_left(relay, 1);
	relay_carrier_left(relay, false);
	ck_assert(relay_admit_carrier(relay, 10));
	one_opens(relay);
	ck_assert_ptr_eq(relay_pull(relay, 1, false, 10), &first);
	ck_assert_ptr_null(relay_pull(relay, 1, false, 10));
	ck_assert(relay_admit_carrier(
		relay, 10)); /* no room for another, so that nobody else is asked */
	ck_assert_int_eq(relay_submit(relay, &second), 1);
	(void)relay_empty(relay);
}
END_TEST

/* ---- what is found out */

START_TEST(what_is_learned_is_told_once_and_kept_to)
{
	struct session_life life = { .ended_by_relay = true,
		.opened_us = 7200 * SECOND,
		.used_us = 7200 * SECOND,
		.ended_us = 7210 * SECOND,
		.quiet_ms = 10000,
		.messages = 1 };

	relay_learn(relay, &life, &news);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].now, 0);
	life.opened_us = life.ended_us + 1;
	life.ended_us += 10 * SECOND + 1;
	relay_learn(relay, &life, &news);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].before, 0);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].now, 10000);
	ck_assert_uint_eq(relay_idle_ms(relay), 9000);
	life.ended_by_relay = false;
	relay_learn(relay, &life, &news);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].before, news.limits[LEARNED_IDLE].now);
	life.longest_quiet_ms = 20000;
	relay_learn(relay, &life, &news);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].before, 10000);
	ck_assert_uint_eq(news.limits[LEARNED_IDLE].now, 0);
	ck_assert_uint_eq(relay_idle_ms(relay), 30000);
	relay_learn_recipients(relay, 10, life.ended_us, &news);
	ck_assert_uint_eq(news.recipients.now, 10);
	relay_learn_recipients(relay, 10, life.ended_us, &news);
	ck_assert_uint_eq(news.recipients.before, 10);
	ck_assert_uint_eq(relay_recipients(relay), 10);
}
END_TEST

START_TEST(pipelining_is_distrusted_for_a_while)
{
	struct relay_state state;

	ck_assert(!relay_distrusts_pipelining(relay, MINUTE));
	relay_distrust_pipelining(relay, MINUTE);
	ck_assert(relay_distrusts_pipelining(relay, 2 * MINUTE - 1));
	relay_state(relay, MINUTE, &state);
	ck_assert(state.distrusts_pipelining);
	ck_assert(!relay_distrusts_pipelining(relay, 2 * MINUTE));
	relay_distrust_pipelining(relay, 3 * MINUTE);
	relay_trust_pipelining(relay);
	ck_assert(!relay_distrusts_pipelining(relay, 3 * MINUTE));
}
END_TEST

START_TEST(a_reload_inherits)
{
	struct relay *wider = relay_of("9", "", "0"), *narrower = relay_of("1", "", "0");
	uint64_t until;

	one_more_fails(relay, true, 100 * SECOND);
	relay_learn_recipients(relay, 10, 100 * SECOND, &news);
	relay_inherit(wider, relay);
	ck_assert(relay_rests(wider, 100 * SECOND, &until));
	ck_assert_uint_eq(relay_recipients(wider), 10);
	ck_assert_uint_eq(relay_counts(wider).window, 9);
	ck_assert_uint_eq(relay_counts(wider).opening, 0);
	relay_inherit(narrower, wider);
	ck_assert_uint_eq(relay_counts(narrower).window, 1);
	ck_assert(relay_rests(narrower, 100 * SECOND, &until));
	relay_wake(narrower, &news);
	ck_assert(news.works_again && news.cause == REST_AUTH && !news.rests);
	ck_assert(!relay_rests(narrower, 100 * SECOND, &until));
	relay_throttled(narrower, 30, 100 * SECOND, &news);
	relay_wake(narrower, &news);
	ck_assert_msg(!news.works_again && relay_rests(narrower, 130 * SECOND - 1, &until),
		"what the relay asked for, it gets");
	ck_assert(!relay_rests(narrower, 130 * SECOND, &until));
	relay_release(wider);
	relay_release(narrower);
}
END_TEST

UNIT_MAIN(relay, tcase_add_checked_fixture(cases, open_relay, close_relay);
	  tcase_add_test(cases, deliveries_leave_in_the_order_they_came);
	  tcase_add_test(cases, a_worker_with_idle_carriers_is_woken_first);
	  tcase_add_test(cases, nobody_is_woken_when_all_are_busy);
	  tcase_add_test(cases, carriers_are_opened_as_work_waits_up_to_the_window);
	  tcase_add_test(cases, a_failed_opening_fails_those_that_waited_through_it);
	  tcase_add_test(
		  cases, for_want_of_our_own_those_who_waited_are_told_when_nothing_opens_any_more);
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
	  tcase_add_test(cases, a_retired_relay_wants_no_carriers);
	  tcase_add_test(cases, three_failures_in_a_row_are_a_rest_then_one_probe);
	  tcase_add_test(cases, those_that_wait_are_given_back_when_a_rest_begins);
	  tcase_add_test(cases, refused_credentials_are_tried_a_minute_later_and_one_at_a_time);
	  tcase_add_test(cases, unproven_credentials_are_tried_one_after_the_other);
	  tcase_add_test(cases, refused_credentials_do_not_stop_a_session_that_is_up);
	  tcase_add_test(cases, a_throttled_relay_gives_back_those_that_cannot_wait);
	  tcase_add_test(cases, slow_down_without_a_time_only_narrows);
	  tcase_add_loop_test(cases, late_answers_are_waited_for_in_half_of_the_window, 0, 4);
	  tcase_add_test(cases, nobody_makes_place_for_nothing);
	  tcase_add_test(cases, who_waits_for_a_late_answer_is_not_up);
	  tcase_add_test(cases, too_many_beside_late_answers_is_no_failure);
	  tcase_add_test(cases, a_place_that_is_no_use_is_the_last_for_a_while);
	  tcase_add_test(cases, too_many_beside_slow_sessions_is_no_failure);
	  tcase_add_test(cases, a_narrower_window_is_kept_by_those_that_are_up);
	  tcase_add_test(cases, keys_have_their_turns);
	  tcase_add_test(cases, a_part_waits_before_all_others_unless_the_relay_is_of_the_past);
	  tcase_add_test(cases, a_promise_goes_with_the_carrier_it_was_made_for);
	  tcase_add_test(cases, what_is_learned_is_told_once_and_kept_to);
	  tcase_add_test(cases, pipelining_is_distrusted_for_a_while);
	  tcase_add_test(cases, a_reload_inherits);)
