/* Deadlines, parked requests, draining. */
#include "one_server.h"
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
	for (int i = 0; server_busy(served.server); i++) {
		ck_assert_int_lt(i, 10000);
		if (i % 1000 == 0) /* its time may have begun anew with an answer that just went */
			pass(120000000);
		usleep(1000);
	}
	close(fd);
	stop();
}
END_TEST

START_TEST(quick_requests_pass_the_parked_ones)
{
	enum { PARKED = 500 };
	int fds[PARKED];

	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	for (int i = 0; i < PARKED; i++) {
		fds[i] = client_connect(served.port);
		ck_assert_int_ge(fds[i], 0);
		client_post(fds[i], "", A_MAIL);
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

		client_post(fd, "", A_MAIL);
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

START_TEST(a_drained_server_finishes_and_takes_nothing_new)
{
	int parked, idle, early;

	start();
	atomic_store(&served.fake.mode, FAKE_PARKS);
	idle = client_connect(served.port);
	client_send(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert(client_read(idle, false, &answer));
	parked = client_connect(served.port);
	client_post(parked, "", A_MAIL);
	fake_await_parked(&served.fake, 1);
	early = client_connect(served.port); /* still in the backlog, or just accepted */
	client_post(early, "", A_MAIL);
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

UNIT_MAIN(deadline, tcase_add_loop_test(cases, a_slow_client_is_hung_up_on, 0, 4);
	  tcase_add_test(cases, the_first_request_has_its_time_from_the_connect_on);
	  tcase_add_test(cases, a_client_that_does_not_read_is_hung_up_on);
	  tcase_add_test(cases, quick_requests_pass_the_parked_ones);
	  tcase_add_test(cases, a_client_may_leave_while_it_is_parked);
	  tcase_add_test(cases, a_drained_server_finishes_and_takes_nothing_new);)
