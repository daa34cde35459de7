/* /relays, over real sockets. */
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK "/relays/default/check"

static unsigned ask(const char *method, const char *path, const char *more, const char *body)
{
	char request[1000];
	int fd = client_connect(served.port);

	ck_assert_int_ge(fd, 0);
	snprintf(request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n%s"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, more, strlen(body), body);
	client_send(fd, request);
	ck_assert(client_read(fd, false, &answer));
	close(fd);
	return answer.status;
}

START_TEST(relays_are_listed)
{
	start();
	ck_assert_uint_eq(get(served.port, "/relays", &answer), 200);
	ck_assert_str_eq(answer.body.at, "{\"relays\":[{\"name\":\"default\"}]}\n");
	stop();
}
END_TEST

START_TEST(only_admins_see_them_and_check)
{
	start();
	served.fake.caller.scopes = SCOPE_ALL & ~SCOPE_ADMIN;
	ck_assert_uint_eq(get(served.port, "/relays", &answer), 403);
	ck_assert_uint_eq(post(served.port, CHECK, "{}", &answer), 403);
	ck_assert_str_eq(served.fake.checked, "");
	stop();
}
END_TEST

/* The body may be left out, and then there is no type to name. */
START_TEST(a_relay_is_checked)
{
	static const struct {
		const char *more, *body, *to;
	} rows[] = {
		{ "", "", "" },
		{ "Content-Type: application/json\r\n", "{}", "" },
		{ "Content-Type: application/json\r\n", "{\"to\":null}", "" },
		{ "Content-Type: application/json\r\n",
			"{\"to\":\"Ann <ann@B\xc3\xbc"
			"cher.example>\"}",
			"ann@xn--bcher-kva.example" },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(ask("POST", CHECK, rows[i].more, rows[i].body) == 200, "%zu: %s", i,
			answer.body.at);
		ck_assert_str_eq(answer.body.at, "{\"relay\":\"default\",\"sendable\":true}\n");
		ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/json");
		ck_assert_str_eq(served.fake.checked, "default");
		ck_assert_str_eq(served.fake.checked_to, rows[i].to);
	}
	stop();
}
END_TEST

START_TEST(a_wrong_wish_is_refused)
{
	static const struct {
		const char *path, *body, *says;
		unsigned status;
	} rows[] = {
		{ CHECK, "{\"to\":7}", "/to", 422 },
		{ CHECK, "{\"to\":\"nobody\"}", "/to", 422 },
		{ CHECK, "{\"from\":\"a@example.com\"}", "/from", 422 },
		{ CHECK, "[]", "object", 422 },
		{ CHECK, "{", "invalid_json", 400 },
		{ CHECK "?to=a@example.com", "{}", "query", 422 },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(
			post(served.port, rows[i].path, rows[i].body, &answer) == rows[i].status,
			"%zu: %s", i, answer.body.at);
		ck_assert_msg(answer_has(&answer, rows[i].says), "%zu: %s", i, answer.body.at);
		ck_assert_str_eq(served.fake.checked, "");
	}
	ck_assert_uint_eq(ask("POST", CHECK, "Content-Type: text/plain\r\n", "x"), 415);
	ck_assert_uint_eq(get(served.port, CHECK, &answer), 405);
	stop();
}
END_TEST

START_TEST(a_check_may_be_refused)
{
	static const struct {
		enum checking_start start;
		unsigned status;
		const char *code;
	} rows[] = {
		{ CHECKING_NO_RELAY, 404, "\"code\":\"not_found\"" },
		{ CHECKING_TOO_MANY, 503, "\"code\":\"overloaded\"" },
		{ CHECKING_DRAINING, 503, "\"code\":\"draining\"" },
	};

	start();
	for (size_t i = 0; i < 3; i++) {
		served.fake.checking = rows[i].start;
		ck_assert_uint_eq(post(served.port, CHECK, "{}", &answer), rows[i].status);
		ck_assert(answer_has(&answer, rows[i].code));
		ck_assert(rows[i].status == 404 || answer_header(&answer, "Retry-After")[0]);
	}
	stop();
}
END_TEST

UNIT_MAIN(relays, tcase_add_test(cases, relays_are_listed);
	  tcase_add_test(cases, only_admins_see_them_and_check);
	  tcase_add_test(cases, a_relay_is_checked); tcase_add_test(cases, a_wrong_wish_is_refused);
	  tcase_add_test(cases, a_check_may_be_refused);)
