/* Answers that grow past what an answer may hold: what became of each message is told all the same.
 */
#include "fake.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 5, RECIPIENTS = 1000, ANSWER_MOST = 4 << 20, WORDS = 480 };

static struct served served;
static struct answer answer;
static char words[WORDS + 1]; /* each of them takes two bytes in JSON */

static void prepare(size_t spare_bytes)
{
	served_prepare(&served);
	served.settings.answer_max_bytes = ANSWER_MOST;
	served.settings.spare_bytes = spare_bytes;
	memset(words, '"', WORDS);
	served.fake.words = text_of(words);
}

static void start(size_t spare_bytes)
{
	prepare(spare_bytes);
	served_start(&served);
}

static void stop(void)
{
	served_stop(&served);
	answer_free(&answer);
}

static size_t count_of(const struct answer *in, const char *what)
{
	const char *at = in->body.at, *end = in->body.at + in->body.len;
	size_t count = 0, len = strlen(what);

	while ((at = memmem(at, (size_t)(end - at), what, len))) {
		count++;
		at += len;
	}
	return count;
}

static void add_crowded_mail(struct buf *json)
{
	buf_add_string(json, "{\"from\":\"a@example.com\",\"to\":[");
	for (unsigned i = 0; i < RECIPIENTS; i++)
		buf_addf(json, "%s\"u%u@example.org\"", i ? "," : "", i);
	buf_add_string(json, "]}");
}

START_TEST(a_batch_is_told_in_brief_where_it_cannot_be_told_whole)
{
	struct buf json = buf_born(8 << 20);

	start(0);
	atomic_store(&served.fake.mode, FAKE_REJECTS);
	add_crowded_mail(&json);
	buf_add_byte(&json, '\0');
	ck_assert_uint_eq(post(served.port, "/send", json.at, &answer), 422);
	ck_assert_uint_eq(count_of(&answer, "\"address\":"), RECIPIENTS);
	ck_assert_uint_gt(answer.body.len * MESSAGES, ANSWER_MOST); /* the test's own mistake */
	buf_clear(&json);
	buf_add_string(&json, "[{\"too\":1}");
	for (int i = 0; i < MESSAGES; i++) {
		buf_add_byte(&json, ',');
		add_crowded_mail(&json);
	}
	buf_add_string(&json, "]");
	buf_add_byte(&json, '\0');
	ck_assert_uint_eq(post(served.port, "/send/batch", json.at, &answer), 200);
	ck_assert_uint_lt(answer.body.len, 65536);
	ck_assert_uint_eq(count_of(&answer, "\"id\":"), MESSAGES);
	ck_assert_uint_eq(
		count_of(&answer, "\"status\":422,\"code\":\"recipient_rejected\""), MESSAGES);
	ck_assert_uint_eq(count_of(&answer, "\"outcome\":\"rejected\""), MESSAGES);
	ck_assert_uint_eq(count_of(&answer, "\"pointer\":\"/0/too\""), 1);
	ck_assert_uint_eq(count_of(&answer, "\"address\":"), 0);
	buf_free(&json);
	stop();
}
END_TEST

/* "The answer cannot be told" would say that nothing was sent. */
START_TEST(one_is_told_in_brief_where_it_cannot_be_told_whole)
{
	static const struct {
		enum fake_mode mode;
		unsigned status;
		const char *outcome;
	} rows[] = { { FAKE_ACCEPTS, 200, "\"outcome\":\"accepted\"" },
		{ FAKE_REJECTS, 422, "\"outcome\":\"rejected\"" } };
	struct buf json = buf_born(8 << 20);

	prepare(0);
	served.settings.answer_max_bytes = 65536;
	served_start(&served);
	add_crowded_mail(&json);
	buf_add_byte(&json, '\0');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		atomic_store(&served.fake.mode, rows[i].mode);
		ck_assert_uint_eq(post(served.port, "/send", json.at, &answer), rows[i].status);
		ck_assert_uint_eq(count_of(&answer, rows[i].outcome), 1);
		ck_assert_uint_eq(count_of(&answer, "\"id\":"), 1);
		ck_assert_uint_eq(count_of(&answer, "\"address\":"), 0);
	}
	buf_free(&json);
	stop();
}
END_TEST

static void add_wrong_mail(struct buf *json)
{
	buf_add_byte(json, '{');
	for (int i = 0; i < 20; i++) {
		buf_addf(json, "%s\"%02d", i ? "," : "", i);
		memset(buf_reserve(json, 390), 0x7f, 390);
		buf_took(json, 390);
		buf_add_string(json, "\":1");
	}
	buf_add_string(json, "},");
}

/* Each of twenty names of four hundred DELs takes six times its bytes in the answer. */
START_TEST(refusals_without_room_for_their_complaints_are_told)
{
	enum { WRONG = 70 };
	struct buf json = buf_born(1 << 20);
	size_t whole;

	start(256 << 10);
	buf_add_byte(&json, '[');
	for (int i = 0; i < WRONG; i++)
		add_wrong_mail(&json);
	buf_add_string(&json, A_MAIL "]");
	buf_add_byte(&json, '\0');
	ck_assert_int_eq(json.err, OK);
	ck_assert_uint_eq(post(served.port, "/send/batch", json.at, &answer), 200);
	ck_assert_uint_eq(count_of(&answer, "{\"type\":\"/problems/invalid_request\""), WRONG);
	ck_assert_uint_eq(count_of(&answer, "\"outcome\":\"not_sent\",\"retryable\":false"), WRONG);
	whole = count_of(&answer, "\"errors\":[");
	ck_assert_uint_gt(whole, 0);
	ck_assert_uint_lt(whole, WRONG); /* else there was room for all */
	ck_assert_uint_eq(count_of(&answer, ",,") + count_of(&answer, "[,"), 0);
	ck_assert_uint_eq(count_of(&answer, "\"outcome\":\"accepted\",\"status\":200"), 1);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 1);
	buf_free(&json);
	stop();
}
END_TEST

/* What cannot be told is not even begun: neither in base64 nor as it is. */
START_TEST(a_message_too_large_for_an_answer_is_not_rendered)
{
	static const struct {
		size_t bytes;
		unsigned status;
	} rows[] = { { ANSWER_MOST / 2, 200 }, { ANSWER_MOST / 4 * 3, 413 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf json = buf_born(8 << 20);

		prepare(0);
		served.settings.body_max_bytes = 2 * ANSWER_MOST;
		served_start(&served);
		buf_add_string(&json, "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
				      "\"dry_run\":\"render\",\"text\":\"");
		for (size_t all = 0; all < rows[i].bytes; all += 64)
			buf_addf(&json, "%62s\\n", "x");
		buf_add_string(&json, "\"}");
		buf_add_byte(&json, '\0');
		ck_assert_uint_eq(post(served.port, "/send", json.at, &answer), rows[i].status);
		ck_assert_uint_eq(
			count_of(&answer, "larger than an answer may be"), rows[i].status == 413);
		buf_free(&json);
		stop();
	}
}
END_TEST

/* The cursor of the page that was read last; false: it was the last page. */
static bool read_cursor(char cursor[64])
{
	static const char name[] = "],\"cursor\":\"";
	size_t tail = answer.body.len < 100 ? answer.body.len : 100;
	const char *at = strstr(answer.body.at + answer.body.len - tail, name);

	return at && sscanf(at + sizeof(name) - 1, "%63[^\"]", cursor) == 1;
}

START_TEST(a_page_of_messages_ends_before_it_is_too_large)
{
	char path[128] = "/messages?limit=500", cursor[64];
	size_t seen = 0, pages = 0;

	start(0);
	served.fake.records = 16;
	served.fake.crowd = 200;
	for (bool more = true; more; pages++) {
		ck_assert_uint_eq(get(served.port, path, &answer), 200);
		ck_assert_uint_lt(answer.body.len, ANSWER_MOST / 4);
		ck_assert_uint_eq(
			count_of(&answer, "\"address\":"), count_of(&answer, "\"id\":") * 200);
		seen += count_of(&answer, "\"id\":");
		more = read_cursor(cursor);
		snprintf(path, sizeof(path), "/messages?limit=500&cursor=%s", cursor);
		ck_assert_uint_lt(pages, 16);
	}
	ck_assert_uint_eq(seen, 16);
	ck_assert_uint_gt(pages, 2);
	stop();
}
END_TEST

START_TEST(one_message_is_on_a_page_however_large)
{
	start(0);
	served.fake.records = 2;
	served.fake.crowd = RECIPIENTS;
	ck_assert_uint_eq(get(served.port, "/messages", &answer), 200);
	ck_assert_uint_eq(count_of(&answer, "\"id\":"), 1);
	ck_assert_uint_eq(count_of(&answer, "\"address\":"), RECIPIENTS);
	stop();
}
END_TEST

UNIT_MAIN(large, tcase_add_test(cases, one_is_told_in_brief_where_it_cannot_be_told_whole);
	  tcase_add_test(cases, a_batch_is_told_in_brief_where_it_cannot_be_told_whole);
	  tcase_add_test(cases, refusals_without_room_for_their_complaints_are_told);
	  tcase_add_test(cases, a_message_too_large_for_an_answer_is_not_rendered);
	  tcase_add_test(cases, a_page_of_messages_ends_before_it_is_too_large);
	  tcase_add_test(cases, one_message_is_on_a_page_however_large);)
