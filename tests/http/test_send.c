/* POST /send and /send/batch over real sockets: bodies, keys, answers. */
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(a_message_is_sent_and_answered)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 200);
	ck_assert(answer_has(&answer, "\"outcome\":\"accepted\""));
	ck_assert(answer_has(&answer, "\"id\":\""));
	ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/json");
	ck_assert_uint_ge(strlen(answer_header(&answer, "X-Request-Id")), 32);
	ck_assert_str_eq(answer_header(&answer, "Cache-Control"), "no-store");
	ck_assert_str_eq(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
	ck_assert_str_eq(served.fake.seen_route, "/send");
	ck_assert_str_eq(served.fake.seen_client, "127.0.0.1");
	ck_assert(memmem(served.fake.message.at, served.fake.message.len, "Subject: Hi\r\n", 13));
	stop();
}
END_TEST

START_TEST(a_date_is_kept_even_the_first_there_is)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send",
				  "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
				  "\"date\":\"1970-01-01T00:00:00Z\"}",
				  &answer),
		200);
	ck_assert(memmem(served.fake.message.at, served.fake.message.len,
		"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n", 38));
	stop();
}
END_TEST

START_TEST(verdicts_become_problems)
{
	static const struct {
		enum fake_mode mode;
		unsigned status;
		const char *words, *retry_after;
	} rows[] = {
		{ FAKE_REJECTS, 422, "\"outcome\":\"rejected\"", "" },
		{ FAKE_DEFERS, 503, "\"outcome\":\"deferred\"", "300" },
		{ FAKE_KNOWS_NOT, 504, "\"duplicate_risk\":true", "" },
		{ FAKE_IS_OVERLOADED, 503, "\"code\":\"overloaded\"", "7" },
		{ FAKE_DRAINS, 503, "\"code\":\"draining\"", "1" },
		{ FAKE_HAS_NO_RELAY, 422, "\"pointer\":\"/relay\"", "" },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		atomic_store(&served.fake.mode, rows[i].mode);
		ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), rows[i].status);
		ck_assert_msg(answer_has(&answer, rows[i].words), "%s", answer.body.at);
		ck_assert(answer_has(&answer, "\"duplicate_risk\":"));
		ck_assert(answer_has(&answer, "\"request_id\":"));
		ck_assert_str_eq(
			answer_header(&answer, "Content-Type"), "application/problem+json");
		if (rows[i].retry_after[0])
			ck_assert_str_eq(
				answer_header(&answer, "Retry-After"), rows[i].retry_after);
	}
	stop();
}
END_TEST

START_TEST(what_cannot_be_signed_is_not_sent)
{
	static const struct {
		enum err err;
		unsigned status;
		const char *words;
	} rows[] = {
		{ ERR_TLS, 503, "\"code\":\"internal\"" },
		{ ERR_SYNTAX, 422, "cannot be signed (DKIM)" },
		{ ERR_MISSING, 422, "cannot be signed (DKIM)" },
		{ ERR_LIMIT, 413, "\"code\":\"body_too_large\"" },
		{ ERR_MEMORY, 503, "\"code\":\"overloaded\"" },
		{ ERR_VALUE, 503, "\"code\":\"internal\"" },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		served.fake.sign_err = rows[i].err;
		ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), rows[i].status);
		ck_assert_msg(answer_has(&answer, rows[i].words), "%s", answer.body.at);
		ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	served.fake.sign_err = OK;
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 200);
	ck_assert_str_eq(served.fake.signed_for, "example.com");
	stop();
}
END_TEST

START_TEST(a_batch_is_answered_in_order)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send/batch",
				  "{\"messages\":[" A_MAIL ",{}," A_MAIL "]}", &answer),
		200);
	ck_assert_msg(strstr(answer.body.at, "{\"results\":[{\"id\":") == answer.body.at, "%s",
		answer.body.at);
	ck_assert(answer_has(&answer, "\"pointer\":\"/messages/1/from\""));
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 2);
	ck_assert_uint_eq(post(served.port, "/send/batch", "[" A_MAIL "]", &answer), 200);
	ck_assert_uint_eq(post(served.port, "/send/batch", "{\"messages\":[]}", &answer), 422);
	ck_assert_uint_eq(post(served.port, "/send/batch", "{\"mesages\":[]}", &answer), 422);
	ck_assert(answer_has(&answer, "did you mean"));
	stop();
}
END_TEST

START_TEST(keys_are_asked_for)
{
	start();
	served.fake.key = "another";
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 401);
	ck_assert_str_eq(answer_header(&answer, "WWW-Authenticate"), "Bearer");
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\",\"retryable\":false"));
	ck_assert_uint_eq(get(served.port, "/messages", &answer), 401);
	ck_assert_uint_eq(get(served.port, "/healthz", &answer), 200);
	ck_assert_uint_eq(get(served.port, "/metrics", &answer), 200);
	served.fake.key = "key";
	served.fake.caller.scopes = SCOPE_SEND;
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 200);
	ck_assert_uint_eq(get(served.port, "/messages", &answer), 403);
	served.fake.over_rate = true;
	served.fake.rate = (struct rate_state){ 3, 50, 0, 1 };
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 429);
	ck_assert_str_eq(answer_header(&answer, "Retry-After"), "3");
	ck_assert_str_eq(answer_header(&answer, "RateLimit-Policy"), "\"key\";q=50;w=1");
	ck_assert_str_eq(answer_header(&answer, "RateLimit"), "\"key\";r=0;t=3");
	stop();
}
END_TEST

START_TEST(a_body_too_large_is_refused_before_it_is_read)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
			"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 413);
	ck_assert_str_eq(answer_header(&answer, "Connection"), "close");
	ck_assert(client_sees_end(fd));
	close(fd);
	stop();
}
END_TEST

/* The client that does not ask and sends all the same still gets the answer, not a reset. */
START_TEST(a_body_too_large_that_comes_all_the_same)
{
	char *much = calloc(1, 3000001);
	int fd;

	memset(much, 'x', 3000000);
	start();
	fd = client_connect(served.port);
	client_post(fd, "", much);
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 413);
	close(fd);
	free(much);
	stop();
}
END_TEST

static void send_chunks(int fd, size_t count)
{
	static char chunk[1000 + 1];
	char line[16];

	memset(chunk, ' ', 1000);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "%x\r\n", 1000);
		client_send(fd, line);
		client_send(fd, chunk);
		client_send(fd, "\r\n");
	}
}

START_TEST(a_chunked_body_too_large_is_refused)
{
	int fd;

	start();
	fd = client_connect(served.port);
	send_chunks(fd, 1500);
	client_send(fd, "0\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 413);
	close(fd);
	fd = client_connect(served.port); /* without end: told in the midst of it */
	send_chunks(fd, 4000);
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 413);
	ck_assert_str_eq(answer_header(&answer, "Connection"), "close");
	ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/problem+json");
	ck_assert_uint_eq(strlen(answer_header(&answer, "X-Request-Id")), 32);
	ck_assert(answer_has(&answer, "\"code\":\"body_too_large\""));
	ck_assert(client_sees_end(fd));
	close(fd);
	stop();
}
END_TEST

START_TEST(bodies_keep_within_the_budget)
{
	start();
	served.fake.budget = 50;
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 503);
	ck_assert_str_eq(answer_header(&answer, "Retry-After"), "7");
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	served.fake.budget = 5000;
	ck_assert_uint_eq(post(served.port, "/send", A_MAIL, &answer), 200);
	stop();
}
END_TEST

START_TEST(headers_of_a_send)
{
	static const struct {
		const char *headers;
		unsigned status;
	} rows[] = {
		{ "Content-Type: application/json\r\n", 200 },
		{ "Content-Type: application/json; charset=utf-8\r\n", 200 },
		{ "Content-Type: Application/JSON\r\nPrefer: respond-async, wait=5\r\n", 200 },
		{ "Content-Type: application/json\r\nIdempotency-Key: \"a b-1\"\r\n", 200 },
		{ "Content-Type: application/json\r\nIdempotency-Key: \xc3\xa4\r\n", 422 },
		{ "Content-Type: application/json\r\nIdempotency-Key: \"\"\r\n", 422 },
		{ "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", 415 },
		{ "Content-Type: text/plain\r\n", 415 },
		{ "Content-Type: application/jsonp\r\n", 415 },
		{ "", 415 },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf head = buf_born(1000);
		int fd = client_connect(served.port);

		buf_addf(&head, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n",
			strlen(A_MAIL), rows[i].headers);
		buf_add_string(&head, A_MAIL);
		buf_add_byte(&head, '\0');
		client_send(fd, head.at);
		ck_assert(client_read(fd, false, &answer));
		ck_assert_msg(
			answer.status == rows[i].status, "%s: %u", rows[i].headers, answer.status);
		ck_assert(answer.status == 200 || answer_has(&answer, "\"outcome\":\"not_sent\""));
		close(fd);
		buf_free(&head);
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 4);
	stop();
}
END_TEST

static struct text allowed_from[] = { { "*@example.com", 13 } };
static struct text allowed_to[] = { { "*@example.org", 13 } };
static struct text allowed_relays[] = { { "primary", 7 } };

START_TEST(keys_limit_senders_recipients_relays)
{
	static const struct {
		const char *json;
		unsigned status;
		const char *words;
	} rows[] = {
		{ A_MAIL, 200, "" },
		{ "{\"from\":\"a@evil.example\",\"to\":\"b@example.org\"}", 403,
			"\"pointer\":\"/from\"" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
		  "\"envelope\":{\"from\":\"a@evil.example\"}}",
			403, "a@evil.example" },
		{ "{\"from\":\"a@evil.example\",\"to\":\"b@example.org\","
		  "\"envelope\":{\"from\":\"a@example.com\"}}",
			403, "sender_not_allowed" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
		  "\"envelope\":{\"from\":\"\"}}",
			200, "" },
		{ "{\"from\":\"a@example.com\",\"bcc\":\"b@example.net\"}", 403,
			"recipient_not_allowed" },
		{ "{\"from\":\"a@example.com\",\"bcc\":\"b@example.net\"}", 403,
			"\"pointer\":\"/bcc\"" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
		  "\"envelope\":{\"to\":[\"b@example.net\"]}}",
			403, "\"pointer\":\"/envelope/to\"" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"relay\":\"other\"}", 403,
			"relay_not_allowed" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"trace\":true}", 403,
			"\"code\":\"forbidden\"" },
		{ "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
		  "\"delivery\":\"queue\"}",
			422, "store_required" },
	};

	start();
	served.fake.caller = (struct caller){ .key_id = TEXT("web"),
		.scopes = SCOPE_SEND,
		.from = allowed_from,
		.to = allowed_to,
		.relays = allowed_relays,
		.from_count = 1,
		.to_count = 1,
		.relay_count = 1 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(post(served.port, "/send", rows[i].json, &answer) == rows[i].status,
			"%s: %s", rows[i].json, answer.body.at);
		ck_assert_msg(answer_has(&answer, rows[i].words), "%s", answer.body.at);
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 2);
	stop();
}
END_TEST

UNIT_MAIN(send, tcase_add_test(cases, a_message_is_sent_and_answered);
	  tcase_add_test(cases, a_date_is_kept_even_the_first_there_is);
	  tcase_add_test(cases, verdicts_become_problems);
	  tcase_add_test(cases, what_cannot_be_signed_is_not_sent);
	  tcase_add_test(cases, a_batch_is_answered_in_order);
	  tcase_add_test(cases, keys_are_asked_for);
	  tcase_add_test(cases, a_body_too_large_is_refused_before_it_is_read);
	  tcase_add_test(cases, a_body_too_large_that_comes_all_the_same);
	  tcase_add_test(cases, a_chunked_body_too_large_is_refused);
	  tcase_add_test(cases, bodies_keep_within_the_budget);
	  tcase_add_test(cases, headers_of_a_send);
	  tcase_add_test(cases, keys_limit_senders_recipients_relays);)
