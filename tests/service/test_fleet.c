/* Which relay a message goes to. */
#include "load.h"
#include "service/relay/fleet.h"
#include "service/relay/share.h"
#include "unit.h"

#define SECOND UINT64_C(1000000)
#define HEAD   "{\"smtp_secure\":\"none\",\"relays\":["
/* One relay of the list; to its end `more` may be added. */
#define RELAY(name, more) "{\"name\":\"" name "\",\"host\":\"127.0.0.1\"" more "}"

static struct metrics *metrics;
static struct fleet *fleet;
static struct delivery delivery;
static struct text to[] = { { "a@example.org", 13 } };
static uint64_t now = 1000 * SECOND;

static void open_metrics_set(void)
{
	ck_assert_int_eq(metrics_open(&metrics), OK);
	delivery = (struct delivery){
		.envelope = { .from = TEXT("b@example.org"), .to = to, .count = 1 }
	};
}

static void close_all(void)
{
	fleet_release(fleet);
	fleet = NULL;
	metrics_close(metrics);
}

static void open_fleet(const char *config)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(config, NULL, why);
	struct buf line = buf_born(1000);
	struct fleet *old = fleet;

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_int_eq(fleet_open(settings, 1, metrics, old, &fleet, &line), OK);
	settings_free(settings);
	fleet_release(old);
	buf_free(&line);
}

static struct relay *relay_named(const char *name)
{
	return fleet_find(fleet, text_of(name));
}

/* A session to it could not be opened, or is refused for its credentials. */
static void open_in_vain(const char *name, enum smtp_loss loss, enum smtp_category category)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict = smtp_verdict_of_loss(loss, SMTP_IN_CONNECT, false);
	struct relay_failure failure = {
		.verdict = &verdict, .said = &nothing, .words = "", .brings = true, .began_us = now
	};
	struct relay_news news;

	if (category)
		verdict.category = category;
	ck_assert(relay_admit_carrier(relay_named(name), now));
	ck_assert_ptr_null(relay_carrier_failed(relay_named(name), &failure, now, &news));
}

/* It rests for a second; with credentials refused for a minute. */
static void lay_to_rest(const char *name, bool for_credentials)
{
	uint64_t until;

	for (int i = 0; i < (for_credentials ? 1 : 3); i++)
		open_in_vain(
			name, SMTP_LOSS_UNREACHABLE, for_credentials ? SMTP_RELAY_AUTH_FAILED : 0);
	ck_assert(relay_rests(relay_named(name), now, &until));
}

static void work_again(const char *name)
{
	struct relay_news news;

	ck_assert(relay_admit_carrier(relay_named(name), now));
	relay_carrier_opened(relay_named(name), true, &news);
	relay_carrier_left(relay_named(name), false);
}

static void expect_at(uint64_t at, enum fleet_choice wanted, const char *name)
{
	struct relay *relay = NULL;

	ck_assert_int_eq(fleet_choose(fleet, &delivery, 0, at, &relay), wanted);
	if (name)
		ck_assert_str_eq(relay_settings(relay)->name, name);
}

static void expect(enum fleet_choice wanted, const char *name)
{
	bool is_refused = wanted == FLEET_NO_SUCH || wanted == FLEET_FORBIDDEN;

	/* what is to wait is told as soon, and is not kept waiting by a rest */
	ck_assert_int_eq(fleet_may_take(fleet, &delivery), is_refused ? wanted : FLEET_CHOSEN);
	for (int i = 0; i < 3; i++)
		expect_at(now, wanted, name);
}

static void tried(const char *name)
{
	delivery.result.attempts[delivery.result.attempt_count++] =
		(struct attempt){ .relay = text_of(name) };
}

static const char three[] = HEAD RELAY("a", ",\"priority\":2") "," RELAY("b", "") "," RELAY(
	"c", ",\"priority\":3") "]}";

START_TEST(the_lowest_priority_goes_first)
{
	open_fleet(three);
	expect(FLEET_CHOSEN, "b");
	tried("b");
	expect(FLEET_CHOSEN, "a");
	tried("a");
	expect(FLEET_CHOSEN, "c");
	tried("c");
	expect(FLEET_EXHAUSTED, NULL);
}
END_TEST

START_TEST(one_that_rests_is_passed_over)
{
	open_fleet(three);
	lay_to_rest("b", false);
	expect(FLEET_CHOSEN, "a");
	expect_at(now + SECOND, FLEET_CHOSEN, "b");
	work_again("b");
	expect(FLEET_CHOSEN, "b");
}
END_TEST

START_TEST(where_all_rest_the_first_to_wake_is_told)
{
	open_fleet(three);
	lay_to_rest("b", true);
	now++;
	lay_to_rest("a", true);
	lay_to_rest("c", false);
	expect(FLEET_RESTING, "c");
	tried("c");
	expect(FLEET_RESTING, "b");
	tried("a");
	tried("b");
	expect(FLEET_EXHAUSTED, NULL);
}
END_TEST

START_TEST(one_that_is_being_probed_is_avoided_where_there_is_another)
{
	struct relay_news news;

	open_fleet(three);
	lay_to_rest("b", false);
	lay_to_rest("a", false);
	now += SECOND;
	ck_assert(relay_admit_carrier(relay_named("b"), now));
	ck_assert(relay_is_probing(relay_named("b"), now));
	expect(FLEET_CHOSEN, "a");
	ck_assert(relay_admit_carrier(relay_named("a"), now));
	expect(FLEET_CHOSEN, "c");
	tried("c"); /* the last: then rather one that is probed */
	expect(FLEET_CHOSEN, "b");
	relay_carrier_opened(relay_named("a"), true, &news);
	ck_assert(news.works_again && news.cause == REST_FAILURES);
	expect(FLEET_CHOSEN, "a");
	relay_carrier_left(relay_named("a"), false);
	relay_carrier_abandoned(relay_named("b"), true, now);
	ck_assert(!relay_is_probing(relay_named("b"), now));
}
END_TEST

START_TEST(one_that_is_named_is_the_only_one)
{
	open_fleet(three);
	delivery.relay = TEXT("c");
	expect(FLEET_CHOSEN, "c");
	lay_to_rest("c", false);
	expect(FLEET_RESTING, "c");
	tried("c");
	expect(FLEET_EXHAUSTED, NULL);
	delivery.relay = TEXT("C");
	expect(FLEET_NO_SUCH, NULL);
	delivery.relay = TEXT("ca");
	expect(FLEET_NO_SUCH, NULL);
}
END_TEST

START_TEST(a_key_may_be_kept_to_some)
{
	const struct text some[] = { TEXT("a"), TEXT("c"), TEXT("gone") };

	open_fleet(three);
	delivery.relays = some;
	delivery.relay_count = 3;
	expect(FLEET_CHOSEN, "a");
	delivery.relay = TEXT("b");
	expect(FLEET_FORBIDDEN, NULL);
	delivery.relay = TEXT("c");
	expect(FLEET_CHOSEN, "c");
	delivery.relay = (struct text){ 0 };
	lay_to_rest("a", false);
	expect(FLEET_CHOSEN, "c");
	delivery.relays = some + 2;
	delivery.relay_count = 1;
	expect(FLEET_FORBIDDEN, NULL);
}
END_TEST

/* ---- shares */

enum { CHOICES = 10000 };

static const struct {
	unsigned weights[4]; /* 0: no more */
} shares[] = { { { 1, 1 } }, { { 1, 2 } }, { { 3, 1, 1 } }, { { 1000, 1 } }, { { 7, 11, 13, 17 } },
	{ { 1, 1000, 1000, 1 } } };

START_TEST(shares_are_as_the_weights)
{
	unsigned count[4] = { 0 }, all = 0;
	char config[1000] = HEAD;
	struct relay *relay;

	for (int i = 0; i < 4 && shares[_i].weights[i]; i++) {
		size_t len = strlen(config);

		snprintf(config + len, sizeof(config) - len,
			"%s{\"name\":\"%c\",\"host\":\"127.0.0.1\",\"weight\":%u}", i ? "," : "",
			'a' + i, shares[_i].weights[i]);
		all += shares[_i].weights[i];
	}
	memcpy(config + strlen(config), "]}", 3);
	open_fleet(config);
	for (int i = 0; i < CHOICES; i++) {
		ck_assert_int_eq(fleet_choose(fleet, &delivery, 0, now, &relay), FLEET_CHOSEN);
		count[relay_settings(relay)->name[0] - 'a']++;
	}
	for (int i = 0; i < 4; i++) {
		double wanted = (double)CHOICES * shares[_i].weights[i] / all;

		ck_assert_double_le(count[i] - wanted, CHOICES / 100.0);
		ck_assert_double_le(wanted - count[i], CHOICES / 100.0);
	}
}
END_TEST

/* … and over a short stretch as well, also where the counter begins anew. */
START_TEST(shares_are_even_over_a_few_messages)
{
	unsigned of_a = 0;
	struct relay *relay;

	open_fleet(HEAD RELAY("a", "") "," RELAY("b", "") "]}");
	atomic_store(&fleet->turn, UINT32_MAX - 50);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(fleet_choose(fleet, &delivery, 0, now, &relay), FLEET_CHOSEN);
		of_a += relay_settings(relay)->name[0] == 'a';
		ck_assert_int_le(abs(2 * (int)of_a - (i + 1)), 6);
	}
}
END_TEST

START_TEST(weights_count_among_those_of_one_priority)
{
	open_fleet(HEAD RELAY("a", ",\"priority\":2,\"weight\":1000") "," RELAY("b", "") "]}");
	for (int i = 0; i < 100; i++)
		expect_at(now, FLEET_CHOSEN, "b");
}
END_TEST

START_TEST(what_has_no_room_leaves_it_to_others_of_its_priority)
{
	struct relay *relay = NULL;
	uint64_t a, b;

	open_fleet(HEAD RELAY("a", ",\"weight\":1000") "," RELAY("b", "") "," RELAY(
		"c", ",\"priority\":2") "]}");
	a = fleet_set(fleet, relay_named("a"));
	b = fleet_set(fleet, relay_named("b"));
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(fleet_choose(fleet, &delivery, a, now, &relay), FLEET_CHOSEN);
		ck_assert_ptr_eq(relay, relay_named("b"));
		ck_assert_int_eq(fleet_choose(fleet, &delivery, a | b, now, &relay), FLEET_FULL);
		ck_assert_ptr_ne(relay, relay_named("c"));
	}
}
END_TEST

START_TEST(there_may_be_sixty_four)
{
	char config[8000] = HEAD, name[16];

	for (int i = 0; i < RELAYS_MAX; i++) {
		size_t len = strlen(config);

		snprintf(config + len, sizeof(config) - len,
			"%s{\"name\":\"r%d\",\"host\":\"127.0.0.1\",\"priority\":%d}", i ? "," : "",
			i, i + 1);
	}
	memcpy(config + strlen(config), "]}", 3);
	open_fleet(config);
	for (int i = 0; i < RELAYS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "r%d", i);
		expect_at(now, FLEET_CHOSEN, name);
		lay_to_rest(name, true);
	}
	expect(FLEET_CHOSEN, "r63");
	lay_to_rest("r63", true);
	expect(FLEET_RESTING, NULL);
}
END_TEST

/* ---- reload */

START_TEST(a_reload_keeps_what_is_under_way)
{
	struct share *a, *b;

	open_fleet(HEAD RELAY("a", "") "," RELAY("b", "") "]}");
	a = share_hold(relay_share(relay_named("a")));
	b = share_hold(relay_share(relay_named("b")));
	open_fleet(HEAD RELAY("c", "") "," RELAY("a", ",\"user\":\"u\",\"pass\":\"p\"") "]}");
	ck_assert_ptr_eq(relay_share(relay_named("a")), a);
	ck_assert_ptr_eq(fleet->shares[1], a);
	ck_assert_ptr_ne(fleet->shares[0], b);
	share_release(a);
	share_release(b);
}
END_TEST

START_TEST(a_reload_keeps_what_was_found_out)
{
	struct relay *old;

	open_fleet(three);
	old = relay_hold(relay_named("b"));
	lay_to_rest("b", true);
	open_fleet(HEAD RELAY("b", "") "," RELAY("d", ",\"priority\":9") "]}");
	ck_assert_ptr_ne(relay_named("b"), old);
	ck_assert_ptr_null(relay_named("a"));
	expect(FLEET_CHOSEN, "d");
	relay_release(old);
}
END_TEST

/* Whoever mends a password does not wait for the rest that the wrong one led to. */
START_TEST(a_reload_with_another_account_begins_anew)
{
	static const char *const others[] = {
		HEAD RELAY("b", ",\"user\":\"u\",\"pass\":\"right\"") "]}",
		HEAD RELAY("b", ",\"user\":\"v\",\"pass\":\"p\"") "]}",
		HEAD RELAY("b", ",\"user\":\"u\",\"pass\":\"p\",\"port\":26") "]}",
	};

	open_fleet(HEAD RELAY("b", ",\"user\":\"u\",\"pass\":\"p\"") "]}");
	lay_to_rest("b", true);
	open_fleet(others[_i]);
	expect(FLEET_CHOSEN, "b");
}
END_TEST

UNIT_MAIN(fleet, tcase_add_checked_fixture(cases, open_metrics_set, close_all);
	  tcase_add_test(cases, the_lowest_priority_goes_first);
	  tcase_add_test(cases, one_that_rests_is_passed_over);
	  tcase_add_test(cases, where_all_rest_the_first_to_wake_is_told);
	  tcase_add_test(cases, one_that_is_being_probed_is_avoided_where_there_is_another);
	  tcase_add_test(cases, one_that_is_named_is_the_only_one);
	  tcase_add_test(cases, a_key_may_be_kept_to_some); tcase_add_loop_test(
		  cases, shares_are_as_the_weights, 0, (int)(sizeof(shares) / sizeof(*shares)));
	  tcase_add_test(cases, shares_are_even_over_a_few_messages);
	  tcase_add_test(cases, weights_count_among_those_of_one_priority);
	  tcase_add_test(cases, what_has_no_room_leaves_it_to_others_of_its_priority);
	  tcase_add_test(cases, there_may_be_sixty_four);
	  tcase_add_test(cases, a_reload_keeps_what_is_under_way);
	  tcase_add_test(cases, a_reload_keeps_what_was_found_out);
	  tcase_add_loop_test(cases, a_reload_with_another_account_begins_anew, 0, 3);)
