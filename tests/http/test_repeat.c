/* Idempotency-Key over real sockets: what makes two requests the same, what is told to whoever asks
 * again, and that every one that began ends (fake_close counts). */
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_ANSWER "{\"id\":\"first\",\"outcome\":\"accepted\"}"

static void send_as(const char *path, const char *headers, const char *body)
{
	int fd = client_connect(served.port);
	struct buf wire = buf_born(1 << 20);

	answer_free(&answer);
	buf_addf(&wire, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", path,
		headers, strlen(body), body);
	buf_add_byte(&wire, '\0');
	client_send(fd, wire.at);
	ck_assert(client_read(fd, false, &answer));
	buf_free(&wire);
	close(fd);
}

#define KEYED "Content-Type: application/json\r\nIdempotency-Key: one\r\n"

START_TEST(the_first_is_sent_and_its_answer_remembered_as_it_was)
{
	start();
	send_as("/send", KEYED, A_MAIL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Scope"), "process");
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Replayed"), "");
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 1);
	buf_add(&served.fake.remembered, TEXT("\n\0"));
	ck_assert_str_eq(served.fake.remembered.at, answer.body.at);
	send_as("/send/batch", KEYED, "[" A_MAIL "]");
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Replayed"), "");
	buf_add_byte(&served.fake.remembered, '\0');
	ck_assert_ptr_nonnull(strstr(served.fake.remembered.at, "\"status\":200"));
	ck_assert_ptr_nonnull(strstr(answer.body.at, served.fake.remembered.at));
	stop();
}
END_TEST

START_TEST(without_a_key_nothing_is_remembered)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 200);
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Scope"), "");
	ck_assert_uint_eq(atomic_load(&served.fake.begun), 0);
	stop();
}
END_TEST

START_TEST(a_dry_run_neither_uses_nor_fills_a_key)
{
	static const char *const kinds[] = { "render", "envelope" };

	start();
	served.fake.finds = REPEAT_MISMATCH;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char body[300];

		snprintf(body, sizeof(body), "{\"dry_run\":\"%s\",%s", kinds[i], &A_MAIL[1]);
		send_as("/send", KEYED, body);
		ck_assert_uint_eq(answer.status, 200);
		ck_assert_str_eq(answer_header(&answer, "Idempotency-Scope"), "");
	}
	stop();
}
END_TEST

START_TEST(what_was_answered_is_told_again_and_nothing_is_sent)
{
	start();
	served.fake.finds = REPEAT_AGAIN;
	served.fake.first_answer = TEXT(FIRST_ANSWER);
	send_as("/send", KEYED, A_MAIL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Replayed"), "true");
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Scope"), "process");
	ck_assert(answer_has(&answer, FIRST_ANSWER "\n"));
	send_as("/send/batch", KEYED, "[" A_MAIL "]");
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Replayed"), "true");
	ck_assert(answer_has(&answer, "{\"results\":[{\"id\":\"first\",\"outcome\":\"accepted\","
				      "\"replayed\":true}]}"));
	send_as("/send/batch", KEYED, "[{}," A_MAIL "]");
	ck_assert_str_eq(answer_header(&answer, "Idempotency-Replayed"), "");
	ck_assert(answer_has(&answer, "\"replayed\":true"));
	ck_assert_uint_eq(served.fake.seen_replayed, 1);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	ck_assert_uint_eq(atomic_load(&served.fake.begun), 0);
	stop();
}
END_TEST

START_TEST(an_answer_that_was_too_long_is_told_in_short)
{
	start();
	served.fake.finds = REPEAT_AGAIN;
	send_as("/send", KEYED, A_MAIL);
	ck_assert_uint_eq(answer.status, 200);
	ck_assert(answer_has(&answer, "{\"id\":\"0199aaaa-0000-7000-8000-000000000001\","));
	ck_assert(answer_has(&answer, "\"outcome\":\"accepted\",\"status\":200}\n"));
	send_as("/send/batch", KEYED, "[" A_MAIL "]");
	ck_assert(answer_has(&answer, "\"status\":200,\"replayed\":true}]}"));
	stop();
}
END_TEST

START_TEST(what_may_not_be_done_says_why)
{
	static const struct {
		enum repeat finds;
		unsigned status;
		const char *code, *outcome, *retry_after;
	} rows[] = {
		{ REPEAT_RUNNING, 409, "\"code\":\"idempotency_running\"", NULL, "1" },
		{ REPEAT_MISMATCH, 422, "\"code\":\"idempotency_mismatch\"",
			"\"outcome\":\"not_sent\"", "" },
		{ REPEAT_NO_ROOM, 503, "\"code\":\"overloaded\"", "\"outcome\":\"not_sent\"", "7" },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		served.fake.finds = rows[i].finds;
		send_as("/send", KEYED, A_MAIL);
		ck_assert_uint_eq(answer.status, rows[i].status);
		ck_assert(answer_has(&answer, rows[i].code));
		ck_assert(answer_has(&answer, rows[i].outcome ? rows[i].outcome : ""));
		ck_assert(rows[i].outcome || !answer_has(&answer, "\"outcome\""));
		ck_assert_str_eq(answer_header(&answer, "Retry-After"), rows[i].retry_after);
		ck_assert_str_eq(answer_header(&answer, "Idempotency-Scope"), "process");
		send_as("/send/batch", KEYED, "[" A_MAIL "]");
		ck_assert_uint_eq(answer.status, 200);
		ck_assert(answer_has(&answer, rows[i].code));
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

/* ---- when are two the same? */

static void digest_of(const char *headers, const char *body, unsigned char digest_out[DIGEST_LEN])
{
	send_as("/send", headers, body);
	ck_assert_msg(answer.status == 200, "%s: %s", body, answer.body.at);
	memcpy(digest_out, served.fake.digest, DIGEST_LEN);
}

#define JSON_MAIL(more) "{\"from\":\"a@example.com\",\"to\":[\"b@example.org\"]," more "}"
#define PART(name, value)                                                                          \
	"--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define PART_OF(boundary, name, value)                                                             \
	"--" boundary "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FORM(boundary)                                                                             \
	"Content-Type: multipart/form-data; boundary=" boundary "\r\nIdempotency-Key: one\r\n"

START_TEST(how_it_is_written_makes_no_difference)
{
	static const struct {
		const char *headers, *body, *other_headers, *other;
	} rows[] = {
		{ KEYED, JSON_MAIL("\"subject\":\"Hi\",\"text\":\"x\""), KEYED,
			"{ \"text\": \"x\", \"subject\" : \"\\u0048i\",\n\t\"to\": "
			"[\"b@example.org\"], \"from\":\"a@example.com\" }" },
		{ KEYED, JSON_MAIL("\"headers\":{\"X-A\":\"1\",\"X-B\":\"2\"}"), KEYED,
			JSON_MAIL("\"headers\":{\"X-B\":\"2\",\"X-A\":\"1\"}") },
		{ KEYED, JSON_MAIL("\"priority\":\"high\",\"in_reply_to\":\"<a@b.c>\""), KEYED,
			JSON_MAIL("\"in_reply_to\":\"<a@b.c>\",\"priority\":\"high\"") },
		{ KEYED, JSON_MAIL("\"cc\":\"c@x.org\",\"bcc\":\"d@x.org\""), KEYED,
			JSON_MAIL("\"bcc\":\"d@x.org\",\"cc\":\"c@x.org\"") },
		{ KEYED, JSON_MAIL("\"text\":\"x\""), FORM("b"),
			PART("from", "a@example.com") PART("to", "b@example.org")
				PART("text", "x") "--b--" },
		{ FORM("b"),
			PART("from", "a@example.com") PART("to", "b@example.org")
				PART("text", "x") "--b--",
			FORM("other"),
			PART_OF("other", "text", "x") PART_OF("other", "to", "b@example.org")
				PART_OF("other", "from", "a@example.com") "--other--" },
		{ KEYED, JSON_MAIL("\"text\":\"x\""), KEYED,
			JSON_MAIL("\"text\":\"x\",\"deadline\":\"9s\",\"trace\":true,"
				  "\"metadata\":{\"try\":\"2\"},\"on_unknown\":\"hold\"") },
		{ KEYED,
			JSON_MAIL("\"template\":{\"subject\":\"{{a}}\",\"text\":\"{{b}}\","
				  "\"data\":{\"a\":\"1\",\"b\":\"2\"}}"),
			KEYED,
			JSON_MAIL("\"template\":{\"data\":{\"b\":\"2\",\"a\":\"1\"},"
				  "\"text\":\"{{b}}\",\"subject\":\"{{a}}\"}") },
	};
	unsigned char one[DIGEST_LEN], other[DIGEST_LEN];

	start();
	digest_of(rows[_i].headers, rows[_i].body, one);
	digest_of(rows[_i].other_headers, rows[_i].other, other);
	ck_assert_mem_eq(one, other, DIGEST_LEN);
	stop();
}
END_TEST

/* Each of them is another message than all of the others. */
START_TEST(what_changes_the_sending_makes_a_difference)
{
	static const char *const bodies[] = {
		JSON_MAIL("\"text\":\"x\""),
		JSON_MAIL("\"text\":\"y\""),
		JSON_MAIL("\"html\":\"x\""),
		JSON_MAIL("\"text\":\"x\",\"subject\":\"x\""),
		JSON_MAIL("\"text\":\"x\",\"cc\":\"c@x.org\""),
		JSON_MAIL("\"text\":\"x\",\"bcc\":\"c@x.org\""),
		JSON_MAIL("\"text\":\"x\",\"reply_to\":\"c@x.org\""),
		JSON_MAIL("\"text\":\"x\",\"headers\":{\"X-A\":\"1\"}"),
		JSON_MAIL("\"text\":\"x\",\"headers\":{\"X-A\":\"2\"}"),
		JSON_MAIL("\"text\":\"x\",\"headers\":{\"X-A\":[\"1\",\"2\"]}"),
		JSON_MAIL("\"text\":\"x\",\"headers\":{\"X-A\":[\"2\",\"1\"]}"),
		JSON_MAIL("\"text\":\"x\",\"message_id\":\"<a@b.c>\""),
		JSON_MAIL("\"text\":\"x\",\"message_id\":\"<b@b.c>\""),
		JSON_MAIL("\"text\":\"x\",\"date\":\"1970-01-01T00:00:00Z\""),
		JSON_MAIL("\"text\":\"x\",\"date\":\"2026-01-01T00:00:00Z\""),
		JSON_MAIL("\"text\":\"x\",\"priority\":\"high\""),
		JSON_MAIL("\"text\":\"x\",\"envelope\":{\"from\":\"\"}"),
		JSON_MAIL("\"text\":\"x\",\"envelope\":{\"to\":\"c@x.org\"}"),
		JSON_MAIL("\"text\":\"x\",\"partial\":\"refuse\""),
		JSON_MAIL("\"text\":\"x\",\"relay\":\"primary\""),
		JSON_MAIL("\"text\":\"x\",\"tags\":[\"a\"]"),
		JSON_MAIL("\"text\":\"x\",\"tags\":[\"a\",\"b\"]"),
		JSON_MAIL("\"text\":\"x\",\"dsn\":{\"notify\":[\"failure\"]}"),
		JSON_MAIL("\"text\":\"x\",\"dsn\":{\"return\":\"full\"}"),
		JSON_MAIL("\"text\":\"x\",\"dsn\":{\"return\":\"headers\"}"),
		JSON_MAIL("\"text\":\"x\",\"dsn\":{\"envelope_id\":\"a\"}"),
		JSON_MAIL("\"text\":\"x\",\"attachments\":[{\"filename\":\"a\",\"content\":\"QQ=="
			  "\"}]"),
		JSON_MAIL("\"text\":\"x\",\"attachments\":[{\"filename\":\"b\",\"content\":\"QQ=="
			  "\"}]"),
		JSON_MAIL("\"text\":\"x\",\"attachments\":[{\"filename\":\"a\",\"content\":\"Qg=="
			  "\"}]"),
		JSON_MAIL("\"text\":\"x\",\"calendar\":{\"method\":\"REQUEST\",\"content\":\"BEGIN:"
			  "VCALENDAR\"}"),
	};
	enum { COUNT = sizeof(bodies) / sizeof(bodies[0]) };
	unsigned char digests[COUNT][DIGEST_LEN];

	start();
	for (size_t i = 0; i < COUNT; i++) {
		digest_of(KEYED, bodies[i], digests[i]);
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(memcmp(digests[i], digests[j], DIGEST_LEN) != 0, "%s = %s",
				bodies[i], bodies[j]);
	}
	stop();
}
END_TEST

/* ---- nobody is there to be told */

/* The library asks for the answer of most of them all the same; of those that it has just seen
 * leave it does not. */
START_TEST(the_answer_is_remembered_when_the_client_has_left)
{
	enum { CLIENTS = 100 };
	static const struct {
		const char *path, *body;
		unsigned messages;
	} rows[] = {
		{ "/send", A_MAIL, 1 },
		{ "/send/batch", "[" A_MAIL "," A_MAIL ",{}]", 2 },
	};
	struct linger reset = { 1, 0 };
	char head[200];
	int fds[CLIENTS];

	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	snprintf(head, sizeof(head),
		"POST %s HTTP/1.1\r\nHost: x\r\n" KEYED "Content-Length: %zu\r\n\r\n",
		rows[_i].path, strlen(rows[_i].body));
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client_connect(served.port);
		client_send(fds[i], head);
		client_send(fds[i], rows[_i].body);
	}
	fake_await_parked(&served.fake, CLIENTS * rows[_i].messages);
	for (int i = 0; i < CLIENTS; i++) {
		if (i % 2)
			ck_assert_int_eq(
				setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
				0);
		close(fds[i]);
	}
	usleep(20000); /* time in which it could be noticed */
	ck_assert_uint_eq(atomic_load(&served.fake.ended), 0);
	fake_settle_all(&served.fake);
	for (int i = 0; atomic_load(&served.fake.ended) < CLIENTS * rows[_i].messages; i++) {
		ck_assert_int_lt(i, 10000);
		usleep(1000);
	}
	buf_add_byte(&served.fake.remembered, '\0');
	ck_assert_ptr_nonnull(strstr(served.fake.remembered.at, "\"outcome\":\"accepted\""));
	stop();
}
END_TEST

START_TEST(what_is_not_taken_leaves_nothing_behind)
{
	static const enum fake_mode modes[] = { FAKE_IS_OVERLOADED, FAKE_DRAINS,
		FAKE_HAS_NO_RELAY };

	start();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		atomic_store(&served.fake.mode, modes[i]);
		send_as("/send", KEYED, A_MAIL);
		ck_assert_uint_ge(answer.status, 400);
		send_as("/send/batch", KEYED, "[" A_MAIL "]");
		ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	}
	ck_assert_uint_eq(atomic_load(&served.fake.ended), 0);
	stop();
}
END_TEST

UNIT_MAIN(repeat, tcase_add_test(cases, the_first_is_sent_and_its_answer_remembered_as_it_was);
	  tcase_add_test(cases, without_a_key_nothing_is_remembered);
	  tcase_add_test(cases, a_dry_run_neither_uses_nor_fills_a_key);
	  tcase_add_test(cases, what_was_answered_is_told_again_and_nothing_is_sent);
	  tcase_add_test(cases, an_answer_that_was_too_long_is_told_in_short);
	  tcase_add_test(cases, what_may_not_be_done_says_why);
	  tcase_add_loop_test(cases, how_it_is_written_makes_no_difference, 0, 8);
	  tcase_add_test(cases, what_changes_the_sending_makes_a_difference);
	  tcase_add_loop_test(cases, the_answer_is_remembered_when_the_client_has_left, 0, 2);
	  tcase_add_test(cases, what_is_not_taken_leaves_nothing_behind);)
