#include "fake.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAIL                                                                                       \
	"{\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"subject\":\"Hi\",\"text\":"        \
	"\"Hello\"}"

static struct served served;
static struct answer answer;

static void start(void)
{
	served_prepare(&served);
	served_start(&served);
}

static void stop(void)
{
	served_stop(&served);
	answer_free(&answer);
}

static void send_post(int fd, const char *more, const char *body)
{
	char head[1000];

	snprintf(head, sizeof(head),
		"POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n%s\r\n",
		strlen(body), more);
	client_send(fd, head);
	client_send(fd, body);
}

START_TEST(a_message_is_sent_and_answered)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 200);
	ck_assert(answer_has(&answer, "\"outcome\":\"accepted\""));
	ck_assert(answer_has(&answer, "\"id\":\""));
	ck_assert_str_eq(answer_header(&answer, "Content-Type"), "application/json");
	ck_assert_uint_ge(strlen(answer_header(&answer, "X-Request-Id")), 32);
	ck_assert_str_eq(answer_header(&answer, "Cache-Control"), "no-store");
	ck_assert_str_eq(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
	ck_assert_str_eq(served.fake.seen_route, "/send");
	ck_assert_str_eq(served.fake.seen_client, "127.0.0.1");
	ck_assert(strstr(served.fake.message.at, "Subject: Hi\r\n"));
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
		ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), rows[i].status);
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

START_TEST(a_batch_is_answered_in_order)
{
	start();
	ck_assert_uint_eq(
		post(served.port, "/send/batch", "{\"messages\":[" MAIL ",{}," MAIL "]}", &answer),
		200);
	ck_assert_msg(strstr(answer.body.at, "{\"results\":[{\"id\":") == answer.body.at, "%s",
		answer.body.at);
	ck_assert(answer_has(&answer, "\"pointer\":\"/messages/1/from\""));
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 2);
	ck_assert_uint_eq(post(served.port, "/send/batch", "[" MAIL "]", &answer), 200);
	ck_assert_uint_eq(post(served.port, "/send/batch", "{\"messages\":[]}", &answer), 422);
	ck_assert_uint_eq(post(served.port, "/send/batch", "{\"mesages\":[]}", &answer), 422);
	ck_assert(answer_has(&answer, "did you mean"));
	stop();
}
END_TEST

START_TEST(a_connection_serves_many)
{
	int fd;

	start();
	fd = client_connect(served.port);
	for (int i = 0; i < 50; i++) {
		send_post(fd, "", MAIL);
		ck_assert(client_read(fd, false, &answer));
		ck_assert_uint_eq(answer.status, 200);
	}
	for (int i = 0; i < 20; i++) /* pipelined */
		send_post(fd, "", MAIL);
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
	send_post(fd, "Expect: 100-continue\r\n", "");
	close(fd);
	fd = client_connect(served.port);
	client_send(fd, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
			"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
	ck_assert(client_read(fd, false, &answer));
	ck_assert_uint_eq(answer.status, 100);
	for (size_t i = 0; i < strlen(MAIL); i++) {
		char chunk[16];

		snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", MAIL[i]);
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

START_TEST(keys_are_asked_for)
{
	start();
	served.fake.key = "another";
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 401);
	ck_assert_str_eq(answer_header(&answer, "WWW-Authenticate"), "Bearer");
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\",\"retryable\":false"));
	ck_assert_uint_eq(get(served.port, "/messages", &answer), 401);
	ck_assert_uint_eq(get(served.port, "/healthz", &answer), 200);
	ck_assert_uint_eq(get(served.port, "/metrics", &answer), 200);
	served.fake.key = "key";
	served.fake.caller.scopes = SCOPE_SEND;
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 200);
	ck_assert_uint_eq(get(served.port, "/messages", &answer), 403);
	served.fake.over_rate = true;
	served.fake.rate = (struct rate_state){ 3, 50, 0, 1 };
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 429);
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
	send_post(fd, "", much);
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
	fd = client_connect(served.port); /* without end: cut off */
	send_chunks(fd, 4000);
	ck_assert(!client_read(fd, false, &answer));
	close(fd);
	stop();
}
END_TEST

START_TEST(bodies_keep_within_the_budget)
{
	start();
	served.fake.budget = 50;
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 503);
	ck_assert_str_eq(answer_header(&answer, "Retry-After"), "7");
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	served.fake.budget = 5000;
	ck_assert_uint_eq(post(served.port, "/send", MAIL, &answer), 200);
	stop();
}
END_TEST

/* ---- deadlines */

static void pass(uint64_t us)
{
	atomic_fetch_add(&served.fake.skew_us, us);
	server_tick(served.server, fake_now_us(&served.fake));
}

START_TEST(a_slow_client_is_hung_up_on)
{
	static const char *const beginnings[] = { "", "GET /hea",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
		("POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		 "Content-Length: 200\r\n\r\n{") };
	int fd;

	start();
	fd = client_connect(served.port);
	/* A request that was answered on the same line shows that the beginning was read. */
	if (_i) {
		client_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert(client_read(fd, false, &answer));
		client_send(fd, beginnings[_i]);
	}
	if (_i == 3) { /* the body may take a minute */
		for (int i = 0; i < 200; i++)
			usleep(1000);
		pass(40000000);
		client_send(fd, "\"");
	}
	/* One byte after the other does not help. */
	for (int i = 0; i < 400 && !server_busy(served.server) && _i > 1; i++)
		usleep(1000);
	for (int i = 0; i < 50; i++) { /* until the server knows the connection */
		pass(76000000);
		usleep(10000);
	}
	ck_assert(client_sees_end(fd));
	close(fd);
	stop();
}
END_TEST

START_TEST(the_first_request_has_its_time_from_the_connect_on)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "GET /healthz HTTP/1.1\r\nHo");
	while (!server_busy(served.server))
		usleep(1000);
	pass(5000000);
	client_send(fd, "st: ");
	pass(6000000);
	ck_assert(client_sees_end(fd));
	close(fd);
	stop();
}
END_TEST

START_TEST(a_client_that_does_not_read_is_hung_up_on)
{
	int fd, little = 4096;
	char path[] = "GET /problems HTTP/1.1\r\nHost: x\r\n\r\n";

	start();
	fd = client_connect(served.port);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	for (int i = 0; i < 2000; i++)
		if (send(fd, path, strlen(path), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	for (int i = 0; i < 300; i++)
		usleep(1000);
	ck_assert_uint_eq(server_busy(served.server), 1); /* it can write no more */
	pass(120000000);
	for (int i = 0; server_busy(served.server); i++) {
		ck_assert_int_lt(i, 10000);
		usleep(1000);
	}
	close(fd);
	stop();
}
END_TEST

/* ---- parked requests */

START_TEST(quick_requests_pass_the_parked_ones)
{
	enum { PARKED = 500 };
	int fds[PARKED];

	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	for (int i = 0; i < PARKED; i++) {
		fds[i] = client_connect(served.port);
		ck_assert_int_ge(fds[i], 0);
		send_post(fds[i], "", MAIL);
	}
	fake_await_parked(&served.fake, PARKED);
	ck_assert_uint_eq(server_busy(served.server), PARKED);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(get(served.port, "/healthz", &answer), 200);
	pass(3600000000); /* our deadline bounds them, not the server's */
	fake_settle_all(&served.fake);
	for (int i = 0; i < PARKED; i++) {
		ck_assert(client_read(fds[i], false, &answer));
		ck_assert_uint_eq(answer.status, 200);
		close(fds[i]);
	}
	stop();
}
END_TEST

START_TEST(a_client_may_leave_while_it_is_parked)
{
	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	for (int i = 0; i < 50; i++) {
		int fd = client_connect(served.port);

		send_post(fd, "", MAIL);
		if (i % 2) { /* with a reset */
			struct linger off = { 1, 0 };

			fake_await_parked(&served.fake, (unsigned)i + 1);
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
		}
		close(fd);
	}
	fake_await_parked(&served.fake, 50);
	fake_settle_all(&served.fake);
	for (int i = 0; server_busy(served.server); i++) {
		ck_assert_int_lt(i, 10000);
		usleep(1000);
	}
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 50);
	stop();
}
END_TEST

/* ---- draining */

START_TEST(a_drained_server_finishes_and_takes_nothing_new)
{
	int parked, idle, early;

	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	idle = client_connect(served.port);
	client_send(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert(client_read(idle, false, &answer));
	parked = client_connect(served.port);
	send_post(parked, "", MAIL);
	fake_await_parked(&served.fake, 1);
	early = client_connect(served.port); /* still in the backlog, or just accepted */
	send_post(early, "", MAIL);
	server_drain(served.server);
	ck_assert_int_lt(client_connect(served.port), 0);
	fake_await_parked(&served.fake, 2);
	server_tick(served.server, fake_now_us(&served.fake));
	ck_assert(client_sees_end(idle));
	fake_settle_all(&served.fake);
	ck_assert(client_read(parked, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	ck_assert_str_eq(answer_header(&answer, "Connection"), "close");
	ck_assert(client_sees_end(parked));
	ck_assert(client_read(early, false, &answer));
	ck_assert_uint_eq(answer.status, 200);
	close(parked);
	close(idle);
	close(early);
	stop();
}
END_TEST

/* ---- limits of connections */

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

/* ---- other listeners */

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

UNIT_MAIN(server, tcase_add_test(cases, a_message_is_sent_and_answered);
	  tcase_add_test(cases, verdicts_become_problems);
	  tcase_add_test(cases, a_batch_is_answered_in_order);
	  tcase_add_test(cases, a_connection_serves_many);
	  tcase_add_test(cases, a_client_may_ask_before_it_sends);
	  tcase_add_test(cases, paths_and_methods);
	  tcase_add_test(cases, head_has_the_headers_alone);
	  tcase_add_test(cases, keys_are_asked_for);
	  tcase_add_test(cases, a_body_too_large_is_refused_before_it_is_read);
	  tcase_add_test(cases, a_body_too_large_that_comes_all_the_same);
	  tcase_add_test(cases, a_chunked_body_too_large_is_refused);
	  tcase_add_test(cases, bodies_keep_within_the_budget);
	  tcase_add_loop_test(cases, a_slow_client_is_hung_up_on, 0, 4);
	  tcase_add_test(cases, the_first_request_has_its_time_from_the_connect_on);
	  tcase_add_test(cases, a_client_that_does_not_read_is_hung_up_on);
	  tcase_add_test(cases, quick_requests_pass_the_parked_ones);
	  tcase_add_test(cases, a_client_may_leave_while_it_is_parked);
	  tcase_add_test(cases, a_drained_server_finishes_and_takes_nothing_new);
	  tcase_add_test(cases, an_address_has_no_more_connections_than_allowed);
	  tcase_add_test(cases, over_the_limit_connections_wait);
	  tcase_add_test(cases, a_unix_socket_and_an_admin_listener);
	  tcase_add_test(cases, forwarded_for_counts_from_trusted_proxies_only);
	  tcase_add_test(cases, request_ids_are_taken_or_made);)
