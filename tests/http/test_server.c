/* Connections, paths, listeners. */
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

START_TEST(a_connection_serves_many)
{
	int fd;

	start();
	fd = client_connect(served.port);
	for (int i = 0; i < 50; i++) {
		client_post(fd, "", A_MAIL);
		ck_assert(client_read(fd, false, &answer));
		ck_assert_uint_eq(answer.status, 200);
	}
	for (int i = 0; i < 20; i++) /* pipelined */
		client_post(fd, "", A_MAIL);
	client_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 21; i++) {
		ck_assert(client_read(fd, false, &answer));
		ck_assert_uint_eq(answer.status, 200);
	}
	ck_assert(answer_has(&answer, "\"alive\":true"));
	close(fd);
	stop();
}
END_TEST

START_TEST(a_client_may_ask_before_it_sends)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_post(fd, "Expect: 100-continue\r\n", "");
	close(fd);
	fd = client_connect(served.port);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
			"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 100);
	for (size_t i = 0; i < strlen(A_MAIL); i++) {
		char chunk[16];

		snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", A_MAIL[i]);
		client_send(fd, chunk);
	}
	client_send(fd, "0\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	close(fd);
	stop();
}
END_TEST

START_TEST(paths_and_methods)
{
	static const struct {
		const char *request;
		unsigned status;
		const char *allow;
	} rows[] = {
		{ "GET /send", 405, "POST" },
		{ "DELETE /messages", 405, "GET, HEAD" },
		{ "POST /healthz", 405, "GET, HEAD" },
		{ "GET /nothing", 404, "" },
		{ "GET /send/", 404, "" },
		{ "GET //healthz", 404, "" },
		{ "GET /%68ealthz", 404, "" },
		{ "GET /./healthz", 404, "" },
		{ "GET /healthz/", 404, "" },
		{ "GET /messages/", 404, "" },
		{ "GET /messages/a/b", 404, "" },
		{ "GET /messages/nobody", 404, "" },
		{ "GET /messages/gone/raw", 410, "" },
		{ "GET /problems/nothing", 404, "" },
		{ "GET /problems/invalid_json", 200, "" },
		{ "GET /problems", 200, "" },
		{ "GET /openapi.json", 200, "" },
		{ "GET /readyz", 200, "" },
		{ "GET /messages?limit=2&state=sent", 200, "" },
		{ "GET /messages?limit=0", 422, "" },
		{ "GET /messages?limit=501", 422, "" },
		{ "GET /messages?limits=5", 422, "" },
		{ "GET /messages?state=lost", 422, "" },
		{ "GET /messages?since=2026-11-24T10:00:00Z", 200, "" },
		{ "GET /messages?since=yesterday", 422, "" },
		{ "GET http://x/healthz", 400, "" },
		{ "OPTIONS *", 400, "" },
		{ "TRACE /healthz", 501, "" },
		{ "CONNECT x:443", 400, "" },
		{ "BREW /send", 501, "" },
	};

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = client_connect(served.port);

		client_send(fd, rows[i].request);
		client_send(fd, " HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert(client_read(fd, false, &answer));
		ck_assert_msg(
			answer.status == rows[i].status, "%s: %u", rows[i].request, answer.status);
		ck_assert_str_eq(answer_header(&answer, "Allow"), rows[i].allow);
		ck_assert_str_ne(answer_header(&answer, "X-Request-Id"), "");
		close(fd);
	}
	stop();
}
END_TEST

START_TEST(head_has_the_headers_alone)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert(client_read(fd, true, &answer));
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_ne(answer_header(&answer, "Content-Length"), "0");
	client_send(fd, "GET /healthz HTTP/1.0\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	ck_assert(client_sees_end(fd));
	close(fd);
	stop();
}
END_TEST

START_TEST(an_address_has_no_more_connections_than_allowed)
{
	int fds[3];

	served_prepare(&served);
	served.settings.connections_per_ip = 2;
	served_start(&served);
	for (int i = 0; i < 2; i++) {
		fds[i] = client_connect(served.port);
		client_send(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert(client_read(fds[i], false, &answer));
	}
	fds[2] = client_connect(served.port);
	ck_assert(client_sees_end(fds[2]));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	stop();
}
END_TEST

START_TEST(over_the_limit_connections_wait)
{
	int fds[3];

	served_prepare(&served);
	served.settings.connections_max = 2;
	served_start(&served);
	for (int i = 0; i < 3; i++) {
		fds[i] = client_connect(served.port);
		client_send(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		if (i < 2)
			ck_assert(client_read(fds[i], false, &answer));
	}
	close(fds[0]);
	ck_assert(client_read(fds[2], false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	close(fds[1]);
	close(fds[2]);
	stop();
}
END_TEST

START_TEST(a_unix_socket_and_an_admin_listener)
{
	struct server_listener listeners[2];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	served_prepare(&served);
	snprintf(address.sun_path + 1, 60, "lettergate-test-%d", (int)getpid()); /* abstract */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	listeners[0] = served.listener;
	listeners[1] = (struct server_listener){ fd, true };
	served.settings.listeners = listeners;
	served.settings.listener_count = 2;
	served.settings.has_admin_listener = true;
	served_start(&served);
	ck_assert_uint_eq(get(served.port, "/metrics", &answer), 404);
	ck_assert_uint_eq(get(served.port, "/healthz", &answer), 200);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	client_send(client, "GET /metrics HTTP/1.1\r\nHost: x\r\n"
			    "Accept: application/openmetrics-text;version=1.0.0\r\n\r\n");
	ck_assert(client_read(client, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	ck_assert(answer_has(&answer, "# EOF"));
	ck_assert(strstr(answer_header(&answer, "Content-Type"), "application/openmetrics-text"));
	ck_assert_str_eq(served.fake.seen_client, "unix");
	close(client);
	stop();
}
END_TEST

START_TEST(forwarded_for_counts_from_trusted_proxies_only)
{
	static const char *const trusted[] = { "127.0.0.0/8", "10.0.0.0/8" };
	static const struct {
		const char *header, *client;
	} rows[] = {
		{ "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7" },
		{ "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.2.3\r\n", "192.0.2.7" },
		{ "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7" },
		{ "X-Forwarded-For: rubbish\r\n", "127.0.0.1" },
		{ "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1" },
		{ "", "127.0.0.1" },
	};

	served_prepare(&served);
	served.settings.trusted_proxies = trusted;
	served.settings.trusted_proxy_count = 2;
	served_start(&served);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = client_connect(served.port);

		client_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
		client_send(fd, rows[i].header);
		client_send(fd, "\r\n");
		ck_assert(client_read(fd, false, &answer));
		ck_assert_str_eq(served.fake.seen_client, rows[i].client);
		close(fd);
	}
	stop();
}
END_TEST

START_TEST(request_ids_are_taken_or_made)
{
	static const struct {
		const char *given;
		bool is_taken;
	} rows[] = { { "abc-1.2_3", true }, { "a b", false }, { "", false }, { "a\"b", false },
		{ "0123456789012345678901234567890123456789012345678901234567890123", false } };

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = client_connect(served.port);

		client_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: ");
		client_send(fd, rows[i].given);
		client_send(fd, "\r\n\r\n");
		ck_assert(client_read(fd, false, &answer));
		ck_assert_int_eq(strcmp(answer_header(&answer, "X-Request-Id"), rows[i].given) == 0,
			rows[i].is_taken);
		close(fd);
	}
	stop();
}
END_TEST

UNIT_MAIN(server, tcase_add_test(cases, a_connection_serves_many);
	  tcase_add_test(cases, a_client_may_ask_before_it_sends);
	  tcase_add_test(cases, paths_and_methods);
	  tcase_add_test(cases, head_has_the_headers_alone);
	  tcase_add_test(cases, an_address_has_no_more_connections_than_allowed);
	  tcase_add_test(cases, over_the_limit_connections_wait);
	  tcase_add_test(cases, a_unix_socket_and_an_admin_listener);
	  tcase_add_test(cases, forwarded_for_counts_from_trusted_proxies_only);
	  tcase_add_test(cases, request_ids_are_taken_or_made);)
