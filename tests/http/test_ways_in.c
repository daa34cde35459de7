/* Forms, whole messages and dry runs over real sockets: what is handed over, and what is answered.
 */
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORM            "multipart/form-data; boundary=b"
#define FIELD(name, it) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" it "\r\n"
#define A_FORM                                                                                     \
	FIELD("from", "a@example.com")                                                             \
	FIELD("to", "b@example.org") FIELD("to", "c@example.org") FIELD("text", "Hello")
#define A_MESSAGE                                                                                  \
	"From: a@example.com\nTo: b@example.org\nBcc: c@example.org\nSubject: Hi\n\tthere\n"       \
	"Message-ID: <own@example.com>\nDate: Thu, 1 Jan 1970 00:00:00 +0000\n\nHello\n"

static unsigned post_as(const char *path, const char *type, const char *more, const char *body)
{
	char head[1000];
	int fd = client_connect(served.port);

	snprintf(head, sizeof(head),
		"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n",
		path, type, strlen(body), more);
	client_send(fd, head);
	client_send(fd, body);
	ck_assert(client_read(fd, false, &answer));
	close(fd);
	return answer.status;
}

static bool message_has(const char *words)
{
	return memmem(served.fake.message.at, served.fake.message.len, words, strlen(words));
}

static bool envelope_is(const char *wanted)
{
	return text_equal(buf_text(&served.fake.envelope), text_of(wanted));
}

START_TEST(a_form_is_sent)
{
	start();
	ck_assert_uint_eq(post_as("/send", FORM, "",
				  A_FORM "--b\r\nContent-Disposition: form-data; "
					 "name=\"attachment\"; filename=\"a.txt\"\r\n\r\n"
					 "abc\r\n--b--\r\n"),
		200);
	ck_assert(envelope_is("a@example.com;b@example.org,c@example.org"));
	ck_assert(message_has("filename=a.txt\r\n\r\nYWJj\r\n") ||
		  message_has("filename=\"a.txt\"\r\n\r\nYWJj\r\n"));
	stop();
}
END_TEST

/* Nothing has to stand behind the closing delimiter, and the field before it is whole. */
START_TEST(the_last_field_is_not_lost_where_no_line_ends_the_form)
{
	static const char *const ends[] = { "--b--", "--b-- \t", "--b--\r\n", "--b--\r\nbehind" };

	start();
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char body[1000];

		snprintf(body, sizeof(body), "%s%s", A_FORM, ends[i]);
		ck_assert_uint_eq(post_as("/send", FORM, "", body), 200);
		ck_assert_msg(message_has("\r\n\r\nHello"), "%s", ends[i]);
	}
	stop();
}
END_TEST

START_TEST(a_form_in_chunks_is_sent)
{
	static const char body[] = A_FORM "--b--\r\n";
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: " FORM
			"\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; body[i]; i++) {
		char chunk[20];

		snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", body[i]);
		client_send(fd, chunk);
	}
	client_send(fd, "0\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	ck_assert(message_has("\r\n\r\nHello\r\n"));
	close(fd);
	stop();
}
END_TEST

START_TEST(a_message_is_sent_as_it_is)
{
	start();
	ck_assert_uint_eq(post_as("/send", "message/rfc822", "", A_MESSAGE), 200);
	ck_assert(envelope_is("a@example.com;b@example.org,c@example.org"));
	ck_assert(text_equal(buf_text(&served.fake.message),
		TEXT("From: a@example.com\r\nTo: b@example.org\r\nSubject: Hi\r\n\tthere\r\n"
		     "Message-ID: <own@example.com>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n"
		     "Hello\r\n")));
	ck_assert_str_eq(served.fake.message_id, "<own@example.com>");
	ck_assert_uint_eq(post_as("/send?from=&to=x%40example.org&to=y@example.org",
				  "Message/RFC822; charset=utf-8", "", A_MESSAGE),
		200);
	ck_assert(envelope_is(";x@example.org,y@example.org"));
	ck_assert_uint_eq(post_as("/send?to=x@example.org&partial=refuse&deadline=5s",
				  "message/global", "", A_MESSAGE),
		200);
	ck_assert(served.fake.all_or_none);
	ck_assert_uint_eq(served.fake.patience_us, 5000000);
	stop();
}
END_TEST

/* One of no usual form is told as its recipients see it. */
START_TEST(an_odd_message_id_is_the_messages_own)
{
	start();
	ck_assert_uint_eq(
		post_as("/send", "message/rfc822", "",
			"From: a@example.com\nTo: b@example.org\nMessage-ID:\n odd id\n\n."),
		200);
	ck_assert_str_eq(served.fake.message_id, "odd id");
	ck_assert(!message_has("example.com>\r\nDate"));
	stop();
}
END_TEST

/* Whoever signs looks at the author, whoever sent it on. */
START_TEST(a_message_is_signed_for_its_author)
{
	start();
	ck_assert_uint_eq(post_as("/send", "message/rfc822", "",
				  "Resent-From: r@example.net\nResent-To: t@example.net\n"
				  "Sender: s@example.org\n" A_MESSAGE),
		200);
	ck_assert_str_eq(served.fake.signed_for, "example.com");
	ck_assert(envelope_is("r@example.net;t@example.net"));
	stop();
}
END_TEST

static const struct {
	const char *path, *type, *more, *body, *words;
	unsigned status;
} refused[] = {
	{ "/send", FORM, "", A_FORM, "cut short", 422 },
	{ "/send", FORM, "", "", "boundary", 422 },
	{ "/send", "multipart/form-data", "", A_FORM "--b--", "boundary", 422 },
	{ "/send", FORM, "", A_FORM FIELD("a", "x") "--b--", "\"pointer\":\"/a\"", 422 },
	{ "/send", FORM, "Content-Encoding: gzip\r\n", A_FORM "--b--", "Content-Encoding", 415 },
	{ "/send", "message/rfc822", "Content-Encoding: br\r\n", A_MESSAGE, "Content-Encoding",
		415 },
	{ "/send", FORM, "Idempotency-Key: \xc3\xbc\r\n", A_FORM "--b--", "Idempotency-Key", 422 },
	{ "/send", "multipart/mixed; boundary=b", "", A_FORM "--b--", "multipart/form-data", 415 },
	{ "/send", "text/plain", "", A_MESSAGE, "message/rfc822", 415 },
	{ "/send/batch", FORM, "", A_FORM "--b--", "application/json", 415 },
	{ "/send/batch", "message/rfc822", "", A_MESSAGE, "application/json", 415 },
	{ "/send", "message/rfc822", "", "", "\"pointer\":\"/raw\"", 422 },
	{ "/send", "message/rfc822", "", "From: a@example.com\n\nx\r\ny\rz", "line 4", 422 },
	{ "/send?bcc=x", "message/rfc822", "", A_MESSAGE, "the query takes", 422 },
	{ "/send?trace=yes", "message/rfc822", "", A_MESSAGE, "the query takes", 422 },
	{ "/send?to=", "message/rfc822", "", A_MESSAGE, "\"pointer\":\"/envelope/to/0\"", 422 },
	{ "/send?dry_run=x", "message/rfc822", "", A_MESSAGE, "\"pointer\":\"/dry_run\"", 422 },
	{ "/send?deadline=5s&deadline=6s", "message/rfc822", "", A_MESSAGE, "the same name", 400 },
	{ "/send?to=j%FCrgen@example.org", "message/rfc822", "", A_MESSAGE, "not UTF-8", 422 },
	{ "/send?dry_run=render", FORM, "", A_FORM "--b--", "message/rfc822 alone", 422 },
	{ "/send?to=b@example.org", "application/json", "", "{}", "message/rfc822 alone", 422 },
	{ "/send/batch?relay=x", "application/json", "", "[]", "message/rfc822 alone", 422 },
};

START_TEST(what_is_refused_says_why)
{
	start();
	ck_assert_uint_eq(
		post_as(refused[_i].path, refused[_i].type, refused[_i].more, refused[_i].body),
		refused[_i].status);
	ck_assert_msg(answer_has(&answer, refused[_i].words), "%s", answer.body.at);
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

/* Also while it still comes; and nothing of it is kept (fake_close looks). */
START_TEST(a_form_too_large_is_refused)
{
	char *body = malloc(10001);

	served_prepare(&served);
	served.settings.body_max_bytes = 5000;
	served_start(&served);
	memset(body, 'x', 10000);
	memcpy(body, A_FORM, sizeof(A_FORM) - 1);
	body[10000] = 0;
	ck_assert_uint_eq(post_as("/send", FORM, "", body), 413);
	ck_assert(answer_has(&answer, "HTTP_MAX_BODY"));
	free(body);
	stop();
}
END_TEST

/* A client that leaves in the middle leaves nothing behind. */
START_TEST(a_client_may_leave_in_the_middle)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: " FORM
			"\r\nContent-Length: 500000\r\n\r\n" A_FORM
			"--b\r\nContent-Disposition: form-data; name=\"attachment\"; "
			"filename=\"a\"\r\n\r\nabc");
	for (int i = 0; atomic_load(&served.fake.reserved) == 0; i++) {
		ck_assert_int_lt(i, 10000);
		usleep(1000);
	}
	close(fd);
	for (int i = 0; atomic_load(&served.fake.reserved); i++) {
		ck_assert_int_lt(i, 5000); /* long before the time for its body is over */
		atomic_fetch_add(&served.fake.skew_us, 10000);
		server_tick(served.server, fake_now_us(&served.fake));
		usleep(1000);
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

#define LIMITED "x@example.net"

/* A key that may be one sender alone. */
START_TEST(a_limited_key_is_asked_of_every_sender)
{
	static const struct text allowed = TEXT("a@example.com");
	static const struct {
		const char *path, *before, *pointer;
	} rows[] = {
		{ "/send", "Sender: " LIMITED "\n", "/raw" },
		{ "/send", "Resent-From: " LIMITED "\nResent-To: t@example.net\n", "/raw" },
		{ "/send?from=", "Sender: " LIMITED "\n", "/raw" },
		{ "/send?from=" LIMITED, "", "/envelope/from" },
	};
	char body[1000];

	start();
	served.fake.caller.from = &allowed;
	served.fake.caller.from_count = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "%s%s", rows[i].before, A_MESSAGE);
		ck_assert_uint_eq(post_as(rows[i].path, "message/rfc822", "", body), 403);
		ck_assert(answer_has(&answer, "\"code\":\"sender_not_allowed\""));
		ck_assert_msg(answer_has(&answer, rows[i].pointer), "%s", answer.body.at);
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	ck_assert_uint_eq(post_as("/send?from=", "message/rfc822", "", A_MESSAGE), 200);
	stop();
}
END_TEST

START_TEST(a_message_is_shown_and_not_sent)
{
	start();
	ck_assert_uint_eq(post_as("/send?dry_run=render", "message/rfc822", "", A_MESSAGE), 200);
	ck_assert_msg(answer_has(&answer, "\"outcome\":\"rendered\""), "%s", answer.body.at);
	ck_assert(answer_has(&answer, "\"message_id\":\"<own@example.com>\""));
	ck_assert(answer_has(&answer, "\"envelope\":{\"from\":\"a@example.com\",\"to\":["
				      "\"b@example.org\",\"c@example.org\"]}"));
	ck_assert(answer_has(&answer, "\"raw\":\"RnJvbTogYUBleGFtcGxlLmNvbQ0K"));
	ck_assert_uint_eq(post_as("/send?dry_run=render", "message/rfc822",
				  "Accept: message/rfc822\r\n", A_MESSAGE),
		200);
	ck_assert_str_eq(answer_header(&answer, "Content-Type"), "message/rfc822");
	ck_assert(
		strstr(answer.body.at, "From: a@example.com\r\nTo: b@example.org\r\nSubject: Hi"));
	ck_assert_uint_eq(post(served.port, "/send",
				  "{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
				  "\"dry_run\":\"render\"}",
				  &answer),
		200);
	ck_assert(answer_has(&answer, "\"outcome\":\"rendered\""));
	ck_assert_uint_eq(post(served.port, "/send/batch",
				  "[{\"from\":\"a@example.com\",\"to\":\"b@example.org\","
				  "\"dry_run\":\"render\"}]",
				  &answer),
		200);
	ck_assert_msg(answer_has(&answer, "\"pointer\":\"/0/dry_run\""), "%s", answer.body.at);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

UNIT_MAIN(ways_in, tcase_add_test(cases, a_form_is_sent);
	  tcase_add_test(cases, the_last_field_is_not_lost_where_no_line_ends_the_form);
	  tcase_add_test(cases, a_form_in_chunks_is_sent);
	  tcase_add_test(cases, a_message_is_sent_as_it_is);
	  tcase_add_test(cases, an_odd_message_id_is_the_messages_own);
	  tcase_add_test(cases, a_message_is_signed_for_its_author); tcase_add_loop_test(
		  cases, what_is_refused_says_why, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	  tcase_add_test(cases, a_form_too_large_is_refused);
	  tcase_add_test(cases, a_client_may_leave_in_the_middle);
	  tcase_add_test(cases, a_limited_key_is_asked_of_every_sender);
	  tcase_add_test(cases, a_message_is_shown_and_not_sent);)
