/* Messages for more recipients than the relay takes at a time. */
#include "service/relay/parts.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 300 };

static struct region *region;
static struct delivery delivery;
static struct text to[MOST];
static struct smtp_answer answers[MOST];

static void open_region(void)
{
	ck_assert_int_eq(region_open(1 << 22, &region), OK);
}

static void close_region(void)
{
	region_close(region);
}

static void address(struct text *addresses, size_t count)
{
	memset(answers, 0, sizeof(answers));
	delivery = (struct delivery){ .region = region,
		.envelope = { .to = addresses, .count = count },
		.result = { .count = count, .to = addresses, .answers = answers } };
}

/* So many recipients, each domain that of every `domains`-th. */
static void address_many(size_t count, unsigned domains)
{
	for (size_t i = 0; i < count; i++) {
		char text[64];
		int len = snprintf(text, sizeof(text), "r%zu@d%zu.example", i, i % domains);

		to[i] = region_copy(region, (struct text){ text, (size_t)len });
	}
	address(to, count);
}

/* ---- what a relay answers */

static struct smtp_answer answer_of(
	unsigned code, unsigned class, unsigned subject, unsigned detail, const char *words)
{
	struct smtp_answer answer = {
		.said = { .code = (uint16_t)code,
			.enhanced = { (uint8_t) class, (uint16_t)subject, (uint16_t)detail },
			.text = text_of(words) }
	};

	answer.verdict =
		smtp_verdict_of_said(&answer.said, SMTP_IN_RCPT, (struct smtp_verdict_rules){ 0 });
	return answer;
}

static struct smtp_answer taken(void)
{
	struct smtp_answer answer = answer_of(250, 2, 1, 5, "Ok");

	answer.verdict = (struct smtp_verdict){
		.class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED, .status = 200
	};
	return answer;
}

static struct smtp_answer unknown_user(void)
{
	return answer_of(550, 5, 1, 1, "No such user");
}

/* The whole as its first part, with these answers. */
static bool settle(const struct smtp_answer *said, size_t count, size_t *most_out)
{
	struct part part = { .envelope = delivery.envelope, .answers = answers };

	memcpy(answers, said, count * sizeof(*said));
	return part_settle(&delivery, &part, most_out);
}

static bool is_open(size_t i)
{
	return answers[i].verdict.status == 0;
}

/* ---- is there a need to cut? */

static const struct {
	size_t recipients, domains, count;
	unsigned of_domains;
	bool is_needed;
} needs[] = {
	{ 0, 0, 100, 100, false },
	{ 10, 0, 10, 1, false },
	{ 10, 0, 11, 1, true },
	{ 0, 1, 5, 1, false },
	{ 0, 1, 2, 2, true },
	{ 0, 2, 2, 2, false },
	{ 0, 2, 50, 2, false }, /* more recipients than domains are allowed is no reason */
	{ 0, 2, 50, 3, true },
	{ 10, 20, 10, 10, false },
	{ 10, 3, 10, 4, true },
	{ 1, 1, 1, 1, false },
	{ SIZE_MAX, SIZE_MAX, 100, 100, false },
};

START_TEST(it_is_cut_where_it_has_to_be)
{
	struct part_limits limits = { needs[_i].recipients, needs[_i].domains };

	address_many(needs[_i].count, needs[_i].of_domains);
	ck_assert_int_eq(part_is_needed(&delivery, limits), needs[_i].is_needed);
}
END_TEST

START_TEST(domains_are_the_same_in_upper_case)
{
	struct text addresses[] = { TEXT("a@Example.org"), TEXT("b@example.ORG") };
	struct part part;

	address(addresses, 2);
	ck_assert(!part_is_needed(&delivery, (struct part_limits){ 0, 1 }));
	ck_assert(part_next(&delivery, (struct part_limits){ 0, 1 }, &part));
	ck_assert_uint_eq(part.envelope.count, 2);
}
END_TEST

/* ---- cutting */

START_TEST(a_part_is_the_next_of_those_without_an_answer)
{
	struct part part;

	address_many(7, 7);
	answers[0] = taken();
	answers[2] = unknown_user();
	ck_assert(part_next(&delivery, (struct part_limits){ 3, 0 }, &part));
	ck_assert_uint_eq(part.envelope.count, 3);
	ck_assert_uint_eq(part.places[0], 1);
	ck_assert_uint_eq(part.places[1], 3);
	ck_assert_uint_eq(part.places[2], 4);
	ck_assert(text_equal(part.envelope.to[2], to[4]));
	ck_assert_uint_eq(delivery.envelope.count, 7);
}
END_TEST

START_TEST(a_part_has_no_more_domains_than_allowed)
{
	struct part part;

	address_many(9, 3);
	ck_assert(part_next(&delivery, (struct part_limits){ 0, 2 }, &part));
	ck_assert_uint_eq(part.envelope.count, 6);
	ck_assert_uint_eq(part.places[2], 3); /* d0 again, behind d2 that had no place */
	ck_assert(part_next(&delivery, (struct part_limits){ 2, 1 }, &part));
	ck_assert_uint_eq(part.envelope.count, 2);
	ck_assert_uint_eq(part.places[1], 3);
}
END_TEST

/* As many parts as recipients take as much memory as all of them do. */
START_TEST(parts_take_what_they_need)
{
	struct part part;
	size_t most, before,
		each = sizeof(struct text) + sizeof(struct smtp_answer) + sizeof(size_t) +
		       3 * sizeof(max_align_t);

	address_many(MOST, MOST);
	before = region_used(region);
	for (int i = 0; i < MOST; i++) {
		ck_assert(part_next(&delivery, (struct part_limits){ 0, 1 }, &part));
		ck_assert_uint_eq(part.envelope.count, 1);
		part.answers[0] = taken();
		ck_assert_int_eq(part_settle(&delivery, &part, &most), i < MOST - 1);
	}
	ck_assert_uint_le(region_used(region) - before, MOST * each);
}
END_TEST

START_TEST(without_memory_there_is_no_part)
{
	struct part part = { .envelope.count = 99 };

	address_many(MOST, 1);
	while (region_alloc(region, 1000))
		;
	ck_assert(!part_next(&delivery, (struct part_limits){ 200, 0 }, &part));
	ck_assert_uint_eq(part.envelope.count, 99);
}
END_TEST

/* ---- "too many" */

static const struct {
	unsigned code, class, subject, detail;
	const char *words;
	bool is_too_many;
} replies[] = {
	{ 452, 4, 5, 3, "Too many recipients", true },
	{ 452, 4, 5, 3, "", true },
	{ 452, 0, 0, 0, "Too many recipients", true },
	{ 452, 0, 0, 0, "Requested action not taken", true },
	{ 452, 0, 0, 0, "Mailbox full", false },
	{ 452, 4, 2, 2, "Mailbox full", false },
	{ 452, 4, 2, 2, "Too many messages", false },
	{ 452, 4, 3, 1, "Insufficient system storage", false },
	{ 452, 4, 3, 1, "Too many recipients", true },
	{ 452, 4, 1, 1, "<a@example.org> try later", false },
	{ 552, 0, 0, 0, "Too many recipients", true },
	{ 552, 0, 0, 0, "", true },
	{ 552, 0, 0, 0, "User over quota", false },
	{ 552, 5, 5, 3, "Too many recipients", true },
	{ 552, 5, 2, 2, "Over quota", false },
	{ 552, 5, 3, 4, "Message too big", false },
	{ 552, 5, 7, 0, "Not that", false },
	{ 550, 5, 5, 3, "Too many recipients", true },
	{ 451, 4, 5, 3, "Too many recipients", true },
	{ 550, 5, 1, 1, "too many", false },
	{ 450, 4, 2, 1, "Too many messages for this mailbox", false },
	{ 421, 4, 7, 0, "Too many connections", false },
	{ 250, 2, 5, 3, "Odd, but fine", false },
};

START_TEST(too_many_is_told_from_other_refusals)
{
	struct smtp_answer said[] = { taken(),
		answer_of(replies[_i].code, replies[_i].class, replies[_i].subject,
			replies[_i].detail, replies[_i].words) };
	size_t most = 99;

	address_many(2, 2);
	ck_assert_int_eq(settle(said, 2, &most), replies[_i].is_too_many);
	ck_assert_int_eq(is_open(1), replies[_i].is_too_many);
	ck_assert_uint_eq(most, replies[_i].is_too_many);
	ck_assert(!is_open(0));
}
END_TEST

START_TEST(where_all_are_too_many_that_is_the_answer)
{
	struct smtp_answer many = answer_of(452, 4, 5, 3, "Too many"), said[] = { many, many };
	size_t most = 99;

	address_many(2, 2);
	ck_assert(!settle(said, 2, &most));
	ck_assert_uint_eq(most, 0);
	ck_assert(!is_open(0) && !is_open(1));
	ck_assert_uint_eq(answers[1].said.code, 452);
}
END_TEST

/* Behind those that were refused for their own fault there may be room once they are out of the
 * way. */
START_TEST(those_refused_before_are_no_reason_to_give_up)
{
	struct smtp_answer many = answer_of(452, 4, 5, 3, "Too many"),
			   said[] = { unknown_user(), unknown_user(), many };
	size_t most = 99;

	address_many(3, 3);
	ck_assert(settle(said, 3, &most));
	ck_assert(is_open(2) && !is_open(0));
	ck_assert_msg(most == 2, "they may have been counted");
}
END_TEST

/* It took more behind one that was "too many": that one is tried again, and nothing is learned. */
START_TEST(too_many_in_the_middle_teaches_nothing)
{
	struct smtp_answer said[] = { taken(), answer_of(452, 4, 5, 3, "Too many"), taken() };
	size_t most = 99;

	address_many(3, 3);
	ck_assert(settle(said, 3, &most));
	ck_assert(is_open(1));
	ck_assert_uint_eq(most, 0);
}
END_TEST

START_TEST(a_mixture_is_put_together)
{
	struct smtp_answer many = answer_of(452, 4, 5, 3, "Too many");
	struct smtp_answer said[] = { taken(), unknown_user(), taken(), many, many };
	struct smtp_verdict lost =
		smtp_verdict_of_loss(SMTP_LOSS_DISCONNECTED, SMTP_IN_MAIL, false);
	struct part part;
	size_t most;

	address_many(5, 5);
	ck_assert(settle(said, 5, &most));
	ck_assert_uint_eq(most, 3);
	ck_assert(part_next(&delivery, (struct part_limits){ most, 0 }, &part));
	ck_assert_uint_eq(part.envelope.count, 2);
	parts_end(&delivery, &lost); /* the session is lost before it is begun */
	ck_assert_int_eq(answers[0].verdict.outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(answers[1].verdict.category, SMTP_RECIPIENT_REJECTED);
	ck_assert_int_eq(answers[3].verdict.outcome, SMTP_NOT_SENT);
	ck_assert_int_eq(answers[4].verdict.outcome, SMTP_NOT_SENT);
	ck_assert_int_eq(delivery.result.verdict.outcome, SMTP_PARTIAL);
}
END_TEST

/* ---- any relay, any limits */

/* A relay of its own mind: takes up to `most` in a transaction, counting those that it refuses or
 * not; some it does not know; some "too many" come without reason. */
struct relay {
	size_t most;
	bool counts_refused;
	unsigned unknown, moody; /* of a hundred */
	unsigned seed;
	unsigned got[MOST], refused[MOST];
};

static bool happens(struct relay *relay, unsigned of_a_hundred)
{
	return (unsigned)rand_r(&relay->seed) % 100 < of_a_hundred;
}

static void answer(struct relay *relay, const struct part *part)
{
	size_t count = 0;

	for (size_t i = 0; i < part->envelope.count; i++) {
		size_t place = part->places[i];

		if ((relay->most && count == relay->most) || happens(relay, relay->moody)) {
			part->answers[i] = answer_of(452, 4, 5, 3, "Too many");
		} else if (happens(relay, relay->unknown)) {
			part->answers[i] = unknown_user();
			relay->refused[place]++;
			count += relay->counts_refused;
		} else {
			part->answers[i] = taken();
			relay->got[place]++;
			count++;
		}
	}
}

static void expect_each_once(const struct relay *relay, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool was_put_off = answers[i].said.code == 452;

		ck_assert_msg(relay->got[i] + relay->refused[i] + was_put_off == 1,
			"recipient %zu: taken %u, refused %u, put off %d", i, relay->got[i],
			relay->refused[i], was_put_off);
		ck_assert_int_eq(relay->got[i], answers[i].verdict.class == SMTP_TAKEN);
		ck_assert_msg(relay->moody || !was_put_off, "%zu was never too many", i);
	}
}

START_TEST(every_recipient_is_dealt_with_once)
{
	unsigned seed = (unsigned)_i + 1;
	struct relay relay = { .most = (unsigned)rand_r(&seed) % 20,
		.counts_refused = rand_r(&seed) % 2,
		.unknown = rand_r(&seed) % 2 ? (unsigned)rand_r(&seed) % 101 : 0,
		.moody = rand_r(&seed) % 3 ? 0 : (unsigned)rand_r(&seed) % 101,
		.seed = seed };
	size_t count = 1 + (size_t)rand_r(&seed) % (MOST - 1), most, parts = 0;
	struct part_limits limits = { (size_t)rand_r(&seed) % 30, (size_t)rand_r(&seed) % 4 };
	bool is_more = true;
	struct part part;

	address_many(count, 1 + (unsigned)rand_r(&seed) % 10);
	while (is_more) {
		ck_assert_uint_le(++parts, count);
		ck_assert(part_next(&delivery, limits, &part));
		ck_assert_uint_gt(part.envelope.count, 0);
		ck_assert(!limits.recipients || part.envelope.count <= limits.recipients);
		answer(&relay, &part);
		is_more = part_settle(&delivery, &part, &most);
		if (most)
			limits.recipients = most;
		ck_assert(!most || relay.moody || most >= relay.most);
	}
	expect_each_once(&relay, count);
}
END_TEST

/* ---- what another relay may be asked for */

static struct smtp_answer of_outcome(
	enum smtp_outcome outcome, enum smtp_phase phase, enum smtp_reach reach)
{
	return (struct smtp_answer){ .verdict = { .class = SMTP_LATER,
					     .reach = reach,
					     .outcome = outcome,
					     .phase = phase,
					     .status = 503 } };
}

static const struct {
	enum smtp_outcome outcome;
	enum smtp_phase phase;
	enum smtp_reach reach;
	bool is_open, is_open_for_all;
} elsewhere[] = {
	{ SMTP_NOT_SENT, SMTP_IN_DATA, SMTP_REACH_RELAY, true, true },
	{ SMTP_DEFERRED, SMTP_IN_MAIL, SMTP_REACH_MESSAGE, true, true },
	{ SMTP_DEFERRED, SMTP_IN_RCPT, SMTP_REACH_RECIPIENT, false, true },
	{ SMTP_REJECTED, SMTP_IN_RCPT, SMTP_REACH_RECIPIENT, false, false },
	{ SMTP_REJECTED, SMTP_IN_RCPT, SMTP_REACH_RELAY, true, true },
	{ SMTP_REJECTED, SMTP_IN_DOT, SMTP_REACH_MESSAGE, false, false },
	{ SMTP_ACCEPTED, SMTP_IN_DOT, SMTP_REACH_RECIPIENT, false, false },
	{ SMTP_UNKNOWN, SMTP_IN_DOT, SMTP_REACH_MESSAGE, false, false },
};

START_TEST(who_has_an_answer_is_asked_nowhere_else)
{
	bool is_open_now = elsewhere[_i].is_open;

	address_many(3, 1);
	answers[0] = of_outcome(elsewhere[_i].outcome, elsewhere[_i].phase, elsewhere[_i].reach);
	ck_assert_int_eq(parts_may_go_elsewhere(&delivery), true); /* two were not asked at all */
	ck_assert(parts_go_elsewhere(&delivery));
	ck_assert_int_eq(is_open(0), is_open_now);
	ck_assert(is_open(1) && is_open(2));
	ck_assert_int_eq(delivery.is_settled[0], !is_open_now);
	ck_assert(!delivery.is_settled[1]);
	ck_assert_uint_eq(delivery.parts, !is_open_now);
	delivery.envelope.count = delivery.result.count = 1;
	ck_assert_int_eq(parts_may_go_elsewhere(&delivery), is_open_now);
}
END_TEST

START_TEST(all_or_nobody_goes_elsewhere)
{
	address_many(2, 1);
	delivery.all_or_none = true;
	answers[0] = of_outcome(elsewhere[_i].outcome, elsewhere[_i].phase, elsewhere[_i].reach);
	ck_assert_int_eq(parts_may_go_elsewhere(&delivery), elsewhere[_i].is_open_for_all);
}
END_TEST

START_TEST(without_memory_it_goes_nowhere)
{
	address_many(2, 1);
	answers[0] = of_outcome(SMTP_NOT_SENT, SMTP_IN_DATA, SMTP_REACH_RELAY);
	for (size_t size = 1 << 21; size; size /= 2)
		while (region_alloc(region, size))
			;
	ck_assert(!parts_go_elsewhere(&delivery));
	ck_assert(!is_open(0));
}
END_TEST

/* On a fresh session of the same relay those are asked again that were put off. */
START_TEST(a_refusal_for_good_outlives_the_session)
{
	address_many(4, 1);
	answers[0] = of_outcome(SMTP_REJECTED, SMTP_IN_RCPT, SMTP_REACH_RECIPIENT);
	answers[1] = of_outcome(SMTP_DEFERRED, SMTP_IN_RCPT, SMTP_REACH_RECIPIENT);
	answers[2] = of_outcome(SMTP_NOT_SENT, SMTP_IN_DATA, SMTP_REACH_RELAY);
	parts_begin_anew(&delivery);
	ck_assert(!is_open(0) && is_open(1) && is_open(2) && is_open(3));
	ck_assert_uint_eq(delivery.parts, 1);
	address_many(2, 1);
	delivery.all_or_none = true;
	answers[0] = of_outcome(SMTP_REJECTED, SMTP_IN_RCPT, SMTP_REACH_RECIPIENT);
	parts_begin_anew(&delivery);
	ck_assert(is_open(0) && is_open(1) && !delivery.parts);
}
END_TEST

/* What an attempt is told to have come to leaves out those whom another relay settled. */
START_TEST(an_attempt_is_about_its_own_relay)
{
	struct smtp_verdict lost =
		smtp_verdict_of_loss(SMTP_LOSS_DISCONNECTED, SMTP_IN_MAIL, false);
	struct smtp_verdict here;

	address_many(3, 1);
	answers[0] = taken();
	here = parts_verdict_here(&delivery, &lost);
	ck_assert_int_eq(here.outcome, SMTP_PARTIAL);
	ck_assert_int_eq(here.category, lost.category);
	ck_assert_int_eq(here.phase, SMTP_IN_MAIL);
	ck_assert(parts_go_elsewhere(&delivery));
	ck_assert_int_eq(parts_verdict_here(&delivery, &lost).outcome, SMTP_NOT_SENT);
	answers[1] = answers[2] = taken();
	ck_assert_int_eq(parts_verdict_here(&delivery, &answers[2].verdict).outcome, SMTP_ACCEPTED);
}
END_TEST

/* A late answer to one part says nothing of another; it may come when the delivery is gone. */
START_TEST(a_part_tells_whom_it_is_for)
{
	size_t own[2] = { 2, 3 };
	struct part part = { .places = own, .envelope = { .count = 2 } };
	struct places places;

	ck_assert(part_places(&part, &places));
	own[0] = own[1] = 0;
	ck_assert_uint_eq(places.count, 2);
	ck_assert_uint_eq(places.at[0], 2);
	ck_assert_uint_eq(places.at[1], 3);
	free(places.at);
	part.places = NULL; /* it is the whole */
	ck_assert(part_places(&part, &places));
	ck_assert_ptr_null(places.at);
}
END_TEST

UNIT_MAIN(parts, tcase_add_checked_fixture(cases, open_region, close_region); tcase_add_loop_test(
	cases, it_is_cut_where_it_has_to_be, 0, (int)(sizeof(needs) / sizeof(*needs)));
	  tcase_add_test(cases, domains_are_the_same_in_upper_case);
	  tcase_add_test(cases, a_part_is_the_next_of_those_without_an_answer);
	  tcase_add_test(cases, a_part_has_no_more_domains_than_allowed);
	  tcase_add_test(cases, parts_take_what_they_need);
	  tcase_add_test(cases, without_memory_there_is_no_part);
	  tcase_add_loop_test(cases, too_many_is_told_from_other_refusals, 0,
		  (int)(sizeof(replies) / sizeof(*replies)));
	  tcase_add_test(cases, where_all_are_too_many_that_is_the_answer);
	  tcase_add_test(cases, those_refused_before_are_no_reason_to_give_up);
	  tcase_add_test(cases, too_many_in_the_middle_teaches_nothing);
	  tcase_add_test(cases, a_mixture_is_put_together);
	  tcase_add_loop_test(cases, every_recipient_is_dealt_with_once, 0, 500);
	  tcase_add_loop_test(cases, who_has_an_answer_is_asked_nowhere_else, 0,
		  (int)(sizeof(elsewhere) / sizeof(*elsewhere)));
	  tcase_add_loop_test(cases, all_or_nobody_goes_elsewhere, 0,
		  (int)(sizeof(elsewhere) / sizeof(*elsewhere)));
	  tcase_add_test(cases, without_memory_it_goes_nowhere);
	  tcase_add_test(cases, a_refusal_for_good_outlives_the_session);
	  tcase_add_test(cases, an_attempt_is_about_its_own_relay);
	  tcase_add_test(cases, a_part_tells_whom_it_is_for);)
