/* Requests that two readers could read differently, over a real socket, each with a second request
 * hidden behind it: one answer of 4xx or 5xx, nothing is taken from the rest, and the end. */
#include "one_server.h"
#include "unit.h"

#include <string.h>
#include <unistd.h>

#define HIDDEN "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST   "POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

static const char *const doubtful[] = {
	POST "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" HIDDEN,
	POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" HIDDEN,
	POST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: identity\r\n\r\n" HIDDEN,
	POST "Content-Length: +2\r\n\r\n{}" HIDDEN,
	POST "Content-Length: 2,2\r\n\r\n{}" HIDDEN,
	POST "Content-Length: 0x2\r\n\r\n{}" HIDDEN,
	POST "Content-Length: -1\r\n\r\n{}" HIDDEN,
	POST "Content-Length: 99999999999999999999999\r\n\r\n{}" HIDDEN,
	POST "Content-Length\r\n : 2\r\n\r\n{}" HIDDEN,
	POST "Host: y\r\nContent-Length: 2\r\n\r\n{}" HIDDEN,
	"POST /send HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" HIDDEN,
	"POST /send HTTP/1.9\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" HIDDEN,
	"POST /send HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\r\n" HIDDEN,
	"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
	"GET /healthz%00 HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
	"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n" HIDDEN,
	"GET /healthz HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n" HIDDEN,
	"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n" HIDDEN,
	"GET /healthz HTTP/1.1\r\nHost: x\r\n A: b\r\n: c\r\n\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" HIDDEN,
	POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" HIDDEN,
};

START_TEST(what_is_doubtful_ends_the_connection)
{
	unsigned answers = 0;
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, doubtful[_i]);
	while (client_read(fd, false, &answer)) {
		ck_assert_msg(answer.status >= 400, "%u to %s", answer.status, doubtful[_i]);
		answers++;
	}
	ck_assert_msg(answers <= 1, "%u answers to %s", answers, doubtful[_i]);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	close(fd);
	stop();
}
END_TEST

/* More and longer headers than there is room for: an answer, and no more than the pool in memory.
 */
START_TEST(headers_have_limits)
{
	int fd;

	start();
	fd = client_connect(served.port);
	client_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 400; i++)
		client_send(fd, _i ? "A: 1\r\n"
				   : "X-Long: 0123456789012345678901234567890123456789"
				     "01234567890123456789012345678901234567890123\r\n");
	client_send(fd, "\r\n");
	if (client_read(fd, false, &answer))
		ck_assert_uint_ge(answer.status, 400);
	close(fd);
	stop();
}
END_TEST

UNIT_MAIN(framing, tcase_add_loop_test(cases, what_is_doubtful_ends_the_connection, 0,
			   (int)(sizeof(doubtful) / sizeof(doubtful[0])));
	  tcase_add_loop_test(cases, headers_have_limits, 0, 2);)
