#include "service/records.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit.h"

/* ---- deliveries as they come to be remembered */

struct example {
	struct delivery delivery;
	struct text to[2], tags[2];
	struct smtp_answer answers[2];
};

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static void make_id(unsigned number, char out[DELIVERY_ID_LEN + 1])
{
	snprintf(out, DELIVERY_ID_LEN + 1, "01990000-0000-7000-8000-%012u", number);
}

/* Delivered to ann and bo under key "web", unless the test says otherwise. */
static struct example *make(unsigned number, enum smtp_outcome outcome)
{
	struct example *example = calloc(1, sizeof(*example));
	struct delivery *delivery = &example->delivery;
	struct result *result = &delivery->result;

	make_id(number, delivery->id);
	delivery->key_id = TEXT("web");
	delivery->message_id = TEXT("<1@example.com>");
	delivery->from = TEXT("Shop <shop@example.com>");
	delivery->subject = TEXT("Gr\xc3\xbc\xc3\x9f");
	delivery->metadata = TEXT("{\"order\":\"42\"}");
	example->tags[0] = TEXT("orders");
	example->tags[1] = TEXT("bulk");
	delivery->tags = example->tags;
	delivery->tag_count = 2;
	delivery->created_ms = now_ms() - 5000 + number;
	delivery->message.size = 1234;
	example->to[0] = TEXT("ann@example.org");
	example->to[1] = TEXT("bo@example.net");
	for (size_t i = 0; i < 2; i++) {
		example->answers[i].verdict.outcome = outcome;
		example->answers[i].said.code = 250;
		example->answers[i].said.text = i ? TEXT("bo is fine") : TEXT("ann is fine");
	}
	*result = (struct result){ .verdict = { .outcome = outcome, .hint = "" },
		.said = { 250, { 2, 0, 0 }, TEXT("queued as 4XyZ") },
		.relay_name = TEXT("primary"),
		.relay_host = TEXT("smtp.example.com"),
		.tls = "TLSv1.3",
		.queue_id = TEXT("4XyZ"),
		.count = 2,
		.to = example->to,
		.answers = example->answers,
		.attempt_count = 2,
		.attempts = { { .relay = TEXT("primary"), .outcome = SMTP_NOT_SENT, .took_us = 7 },
			{ .relay = TEXT("primary"),
				.outcome = outcome,
				.said = { 250, { 0 }, TEXT("second try") },
				.took_us = 8 } },
		.total_us = 99 };
	return example;
}

static struct records *open_records(size_t most, uint64_t raw_bytes)
{
	struct records *records = NULL;

	ck_assert_int_eq(records_open(most, 600000, raw_bytes, &records), OK);
	return records;
}

static void add(struct records *records, unsigned number, enum smtp_outcome outcome)
{
	struct example *example = make(number, outcome);

	records_add(records, &example->delivery, now_ms(), (struct text){ 0 });
	memset(example, 0xee, sizeof(*example)); /* nothing of it may be needed any more */
	free(example);
}

static const struct caller web = { .key_id = { "web", 3 }, .scopes = SCOPE_READ };
static const struct caller other = { .key_id = { "other", 5 }, .scopes = SCOPE_READ };
static const struct caller admin = { .key_id = { "root", 4 }, .scopes = SCOPE_ADMIN };

static void ignore(const struct record *record, void *context)
{
	(void)record, (void)context;
}

static bool knows(struct records *records, const struct caller *caller, unsigned number)
{
	char id[DELIVERY_ID_LEN + 1];

	make_id(number, id);
	return records_look_up(records, caller, text_of(id), ignore, NULL);
}

/* ---- looking up */

static void see_whole(const struct record *record, void *context)
{
	const struct result *result = &record->result;

	*(bool *)context = true;
	ck_assert_str_eq(record->id, "01990000-0000-7000-8000-000000000001");
	ck_assert(text_equal(record->key_id, TEXT("web")));
	ck_assert(text_equal(record->message_id, TEXT("<1@example.com>")));
	ck_assert(text_equal(record->from, TEXT("Shop <shop@example.com>")));
	ck_assert(text_equal(record->subject, TEXT("Gr\xc3\xbc\xc3\x9f")));
	ck_assert(text_equal(record->metadata, TEXT("{\"order\":\"42\"}")));
	ck_assert_uint_eq(record->tag_count, 2);
	ck_assert(text_equal(record->tags[1], TEXT("bulk")));
	ck_assert_uint_eq(record->size_bytes, 1234);
	ck_assert_int_eq(result->verdict.outcome, SMTP_ACCEPTED);
	ck_assert_uint_eq(result->said.code, 250);
	ck_assert(text_equal(result->said.text, TEXT("queued as 4XyZ")));
	ck_assert(text_equal(result->relay_name, TEXT("primary")));
	ck_assert(text_equal(result->relay_host, TEXT("smtp.example.com")));
	ck_assert_str_eq(result->tls, "TLSv1.3");
	ck_assert(text_equal(result->queue_id, TEXT("4XyZ")));
	ck_assert_uint_eq(result->count, 2);
	ck_assert(text_equal(result->to[1], TEXT("bo@example.net")));
	ck_assert(text_equal(result->answers[0].said.text, TEXT("ann is fine")));
	ck_assert(text_equal(result->answers[1].said.text, TEXT("bo is fine")));
	ck_assert_uint_eq(result->attempt_count, 2);
	ck_assert_uint_eq(result->attempts[0].took_us, 7);
	ck_assert(text_equal(result->attempts[1].said.text, TEXT("second try")));
	ck_assert_uint_eq(result->total_us, 99);
}

START_TEST(all_of_it_is_remembered)
{
	struct records *records = open_records(10, 0);
	bool seen = false;

	add(records, 1, SMTP_ACCEPTED);
	ck_assert(records_look_up(
		records, &web, TEXT("01990000-0000-7000-8000-000000000001"), see_whole, &seen));
	ck_assert(seen);
	records_close(records);
}
END_TEST

START_TEST(a_delivery_may_have_next_to_nothing)
{
	struct records *records = open_records(10, 0);
	struct delivery delivery = { 0 };

	make_id(1, delivery.id);
	records_add(records, &delivery, now_ms(), (struct text){ 0 });
	ck_assert(knows(records, &admin, 1));
	records_close(records);
}
END_TEST

START_TEST(another_keys_message_is_not_there)
{
	struct records *records = open_records(10, 1000);
	struct example *example = make(1, SMTP_CAPTURED);
	struct region *region;
	struct text raw;

	ck_assert_int_eq(region_open(10000, &region), OK);
	records_add(records, &example->delivery, now_ms(), TEXT("raw"));
	ck_assert(knows(records, &web, 1));
	ck_assert(knows(records, &admin, 1));
	ck_assert(!knows(records, &other, 1));
	ck_assert(!knows(records, &web, 2));
	ck_assert_int_eq(records_raw(records, &other, text_of(example->delivery.id), region, &raw),
		ERR_MISSING);
	ck_assert_int_eq(
		records_raw(records, &web, text_of(example->delivery.id), region, &raw), OK);
	ck_assert(text_equal(raw, TEXT("raw")));
	region_close(region);
	records_close(records);
	free(example);
}
END_TEST

/* ---- limits */

START_TEST(the_oldest_go_first)
{
	struct records *records = open_records(100, 0);

	for (unsigned i = 1; i <= 250; i++)
		add(records, i, SMTP_ACCEPTED);
	ck_assert(!knows(records, &web, 150));
	for (unsigned i = 151; i <= 250; i++)
		ck_assert_msg(knows(records, &web, i), "%u is gone", i);
	records_close(records);
}
END_TEST

START_TEST(what_is_too_old_is_forgotten)
{
	struct records *records = open_records(100, 0);
	struct example *old = make(1, SMTP_ACCEPTED), *young = make(2, SMTP_ACCEPTED);

	records_add(records, &old->delivery, now_ms() - 600001, (struct text){ 0 });
	records_add(records, &young->delivery, now_ms() - 500000, (struct text){ 0 });
	ck_assert(!knows(records, &web, 1));
	ck_assert(knows(records, &web, 2));
	records_close(records);
	free(old);
	free(young);
}
END_TEST

START_TEST(captured_messages_share_their_room)
{
	struct records *records = open_records(100, 25);
	struct region *region;
	struct text raw;
	char id[DELIVERY_ID_LEN + 1];

	ck_assert_int_eq(region_open(10000, &region), OK);
	for (unsigned i = 1; i <= 4; i++) {
		struct example *example = make(i, SMTP_CAPTURED);

		/* the second has no message at all */
		records_add(records, &example->delivery, now_ms(),
			i == 2 ? (struct text){ 0 } : TEXT("0123456789"));
		free(example);
	}
	for (unsigned i = 1; i <= 4; i++) {
		make_id(i, id);
		ck_assert_msg(records_raw(records, &web, text_of(id), region, &raw) ==
				      (i <= 2 ? ERR_VALUE : OK),
			"%u", i);
		ck_assert(knows(records, &web, i));
	}
	make_id(5, id);
	ck_assert_int_eq(records_raw(records, &web, text_of(id), region, &raw), ERR_MISSING);
	region_close(region);
	records_close(records);
}
END_TEST

/* ---- listing */

struct seen {
	size_t count;
	char ids[20][DELIVERY_ID_LEN + 1];
};

static void note(const struct record *record, void *context)
{
	struct seen *seen = context;

	ck_assert_uint_lt(seen->count, 20);
	memcpy(seen->ids[seen->count++], record->id, DELIVERY_ID_LEN + 1);
}

/* One to ten: odd ones captured, even ones accepted; the last four under another key. */
static struct records *ten(void)
{
	struct records *records = open_records(100, 0);

	for (unsigned i = 1; i <= 10; i++) {
		struct example *example = make(i, i % 2 ? SMTP_CAPTURED : SMTP_ACCEPTED);

		if (i > 6)
			example->delivery.key_id = TEXT("other");
		if (i == 3)
			example->to[1] = TEXT("Cy@example.net");
		if (i == 4)
			example->tags[0] = TEXT("news");
		records_add(records, &example->delivery, now_ms(), (struct text){ 0 });
		free(example);
	}
	return records;
}

static const struct {
	const struct caller *caller;
	struct query query;
	const char *numbers; /* in the order to be seen: a letter each, a is 1 */
	bool more;
} lists[] = {
	{ &admin, { .limit = 20 }, "jihgfedcba", false },
	{ &web, { .limit = 20 }, "fedcba", false },
	{ &other, { .limit = 20 }, "jihg", false },
	{ &admin, { .limit = 3 }, "jih", true },
	{ &other, { .limit = 4 }, "jihg", false },
	{ &other, { .limit = 3 }, "jih", true },
	{ &web, { .limit = 20, .state = { "captured", 8 } }, "eca", false },
	{ &web, { .limit = 2, .state = { "sent", 4 } }, "fd", true },
	{ &web, { .limit = 20, .state = { "failed", 6 } }, "", false },
	{ &web, { .limit = 20, .recipient = { "cy@EXAMPLE.net", 14 } }, "c", false },
	{ &web, { .limit = 20, .recipient = { "ann@example.org", 15 } }, "fedcba", false },
	{ &web, { .limit = 20, .recipient = { "ann@example", 11 } }, "", false },
	{ &web, { .limit = 20, .tag = { "news", 4 } }, "d", false },
	{ &web, { .limit = 20, .tag = { "NEWS", 4 } }, "", false },
	{ &web, { .limit = 20, .tag = { "bulk", 4 }, .state = { "sent", 4 } }, "fdb", false },
	{ &admin, { .limit = 20, .cursor = { "01990000-0000-7000-8000-000000000003", 36 } }, "ba",
		false },
	{ &admin, { .limit = 1, .cursor = { "01990000-0000-7000-8000-000000000003", 36 } }, "b",
		true },
	{ &admin, { .limit = 20, .cursor = { "01990000-0000-7000-8000-000000000001", 36 } }, "",
		false },
	{ &admin, { .limit = 20, .cursor = { "01990000-0000-7000-8000-000000000099", 36 } }, "",
		false },
	{ &admin, { .limit = 20, .cursor = { "nonsense", 8 } }, "", false },
	{ &admin, { .limit = 0 }, "", true },
};

START_TEST(a_list_shows_what_was_asked_for)
{
	struct records *records = ten();
	struct seen seen = { 0 };
	bool more = records_list(records, lists[_i].caller, &lists[_i].query, note, &seen);

	ck_assert_int_eq(more, lists[_i].more);
	ck_assert_uint_eq(seen.count, strlen(lists[_i].numbers));
	for (size_t i = 0; i < seen.count; i++) {
		char id[DELIVERY_ID_LEN + 1];

		make_id((unsigned)(lists[_i].numbers[i] - 'a' + 1), id);
		ck_assert_str_eq(seen.ids[i], id);
	}
	records_close(records);
}
END_TEST

START_TEST(since_leaves_older_ones_out)
{
	struct records *records = open_records(10, 0);
	struct example *example = make(1, SMTP_ACCEPTED);
	struct query query = { .limit = 10 };
	struct seen seen = { 0 };

	records_add(records, &example->delivery, now_ms(), (struct text){ 0 });
	query.since_ms = example->delivery.created_ms + 1;
	ck_assert(!records_list(records, &web, &query, note, &seen));
	ck_assert_uint_eq(seen.count, 0);
	query.since_ms = example->delivery.created_ms;
	ck_assert(!records_list(records, &web, &query, note, &seen));
	ck_assert_uint_eq(seen.count, 1);
	records_close(records);
	free(example);
}
END_TEST

/* ---- an answer that came late */

static void see_settled(const struct record *record, void *context)
{
	*(bool *)context = true;
	ck_assert_int_eq(record->result.answers[0].verdict.outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(record->result.answers[1].verdict.outcome, SMTP_REJECTED);
	ck_assert_int_eq(record->result.verdict.outcome, SMTP_PARTIAL);
	ck_assert(text_equal(record->result.answers[0].said.text, TEXT("late, but fine")));
	ck_assert(text_equal(record->result.answers[1].said.text, TEXT("bo is fine")));
	ck_assert(text_equal(record->result.said.text, TEXT("late, but fine")));
	ck_assert(text_equal(record->result.queue_id, TEXT("Q7")));
	ck_assert_int_eq(record->result.attempts[1].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(record->result.attempts[0].outcome, SMTP_NOT_SENT);
}

static const struct places all = { NULL, 0 };

START_TEST(a_late_answer_settles_the_unknown)
{
	struct records *records = open_records(10, 0);
	struct example *example = make(1, SMTP_UNKNOWN);
	struct smtp_verdict taken = { .class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED, .hint = "" };
	struct smtp_said said = { 250, { 2, 0, 0 }, TEXT("late, but fine") };
	char words[] = "Q7";
	bool seen = false;

	example->answers[1].verdict =
		(struct smtp_verdict){ .class = SMTP_NEVER, .outcome = SMTP_REJECTED, .hint = "" };
	records_add(records, &example->delivery, now_ms(), (struct text){ 0 });
	records_settle_late(
		records, example->delivery.id, all, &taken, &said, text_of(words), now_ms());
	memset(words, 'x', 2);
	ck_assert(
		records_look_up(records, &web, text_of(example->delivery.id), see_settled, &seen));
	ck_assert(seen);
	make_id(2, example->delivery.id); /* one that is not there: nothing happens */
	records_settle_late(
		records, example->delivery.id, all, &taken, &said, text_of(words), now_ms());
	records_close(records);
	free(example);
}
END_TEST

static void see_parts(const struct record *record, void *context)
{
	const enum smtp_outcome *outcomes = context;

	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(record->result.answers[i].verdict.outcome, outcomes[i]);
	ck_assert(text_equal(record->result.answers[1].said.text, TEXT("for the second")));
	ck_assert_int_eq(record->result.attempts[1].outcome, SMTP_UNKNOWN);
}

/* Of two parts in doubt, either has an answer of its own, or none; a place that there is not is
 * none. */
START_TEST(a_late_answer_to_a_part_is_for_that_part)
{
	struct records *records = open_records(10, 0);
	struct example *example = make(1, SMTP_UNKNOWN);
	struct smtp_verdict taken = { .class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED, .hint = "" };
	struct smtp_verdict refused = { .class = SMTP_NEVER, .outcome = SMTP_REJECTED, .hint = "" };
	struct smtp_said said = { 250, { 2, 0, 0 }, TEXT("for the second") };
	struct smtp_said no = { 554, { 5, 0, 0 }, TEXT("for the first") };
	enum smtp_outcome first[2] = { SMTP_UNKNOWN, SMTP_ACCEPTED };
	enum smtp_outcome both[2] = { SMTP_REJECTED, SMTP_ACCEPTED };
	size_t of_first[1] = { 0 }, of_second[2] = { 1, 9 };
	struct text id = text_of(example->delivery.id);

	example->answers[1].verdict = example->answers[0].verdict;
	records_add(records, &example->delivery, now_ms(), (struct text){ 0 });
	records_settle_late(records, id.at, (struct places){ of_second, 2 }, &taken, &said,
		TEXT("Q8"), now_ms());
	ck_assert(records_look_up(records, &web, id, see_parts, first));
	records_settle_late(
		records, id.at, (struct places){ of_first, 1 }, &refused, &no, TEXT(""), now_ms());
	ck_assert(records_look_up(records, &web, id, see_parts, both));
	records_settle_late(
		records, id.at, all, &taken, &said, TEXT("Q9"), now_ms()); /* none is left */
	ck_assert(records_look_up(records, &web, id, see_parts, both));
	records_close(records);
	free(example);
}
END_TEST

/* ---- threads */

static void *use(void *self)
{
	struct query query = { .limit = 15 };

	for (unsigned i = 0; i < 500; i++) {
		struct seen seen = { 0 };

		add(self, i % 97, SMTP_ACCEPTED);
		knows(self, &web, i % 89);
		records_list(self, &admin, &query, note, &seen);
	}
	return NULL;
}

START_TEST(threads_may_do_as_they_like)
{
	struct records *records = open_records(50, 0);
	pthread_t threads[4];
	struct seen seen = { 0 };
	struct query query = { .limit = 20 };

	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use, records), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert(records_list(records, &web, &query, note, &seen));
	ck_assert_uint_eq(seen.count, 20);
	records_close(records);
}
END_TEST

UNIT_MAIN(records, tcase_add_test(cases, all_of_it_is_remembered);
	  tcase_add_test(cases, a_delivery_may_have_next_to_nothing);
	  tcase_add_test(cases, another_keys_message_is_not_there);
	  tcase_add_test(cases, the_oldest_go_first);
	  tcase_add_test(cases, what_is_too_old_is_forgotten);
	  tcase_add_test(cases, captured_messages_share_their_room); tcase_add_loop_test(
		  cases, a_list_shows_what_was_asked_for, 0, sizeof(lists) / sizeof(lists[0]));
	  tcase_add_test(cases, since_leaves_older_ones_out);
	  tcase_add_test(cases, a_late_answer_settles_the_unknown);
	  tcase_add_test(cases, a_late_answer_to_a_part_is_for_that_part);
	  tcase_add_test(cases, threads_may_do_as_they_like);)
