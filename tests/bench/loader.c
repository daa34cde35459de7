/* loader - posts a fixed number of requests and counts every answer
 *
 * usage: loader PORT CONNECTIONS REQUESTS KEY BODY-FILE CONTENT-TYPE
 *
 * wrk stops in the middle of its last requests; here each one gets its answer, so that the answers
 * can be held against what the relay took. Also opens very many connections, one request on each.
 * Prints one line of JSON. One thread, epoll. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 8192, LARGEST_BODY = 1 << 25 };

struct conn {
	int fd;
	uint64_t began_us;
	size_t sent, got;
	char in[ROOM];
};

static char *request;
static size_t request_len;
static struct sockaddr_in gateway = { .sin_family = AF_INET };
static unsigned long asked, answered, wanted, by_class[6], broken, timed;
static uint32_t *times_us;
static int loop;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void request_make(const char *port, const char *key, const char *path, const char *type)
{
	FILE *file = fopen(path, "rb");
	char *body = malloc(LARGEST_BODY);
	size_t len;
	int head;

	if (!file || !body)
		die(path);
	len = fread(body, 1, LARGEST_BODY, file);
	fclose(file);
	request = malloc(len + 512);
	if (!request)
		die("malloc");
	head = snprintf(request, 512,
		"POST /send HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nAuthorization: Bearer %s\r\n"
		"Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		port, key, type, len);
	if (head < 0 || head >= 512)
		die("key");
	memcpy(request + head, body, len);
	request_len = (size_t)head + len;
	free(body);
}

static void watch(struct conn *conn, int how, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(loop, how, conn->fd, &event) < 0)
		die("epoll_ctl");
}

static void conn_open(struct conn *conn)
{
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		die("socket");
	if (connect(conn->fd, (struct sockaddr *)&gateway, sizeof(gateway)) < 0 &&
		errno != EINPROGRESS)
		die("connect");
	conn->sent = conn->got = 0;
	watch(conn, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_lost(struct conn *conn)
{
	close(conn->fd);
	if (conn->sent) {
		broken++;
		answered++;
	}
	if (asked < wanted)
		conn_open(conn);
}

/* Returns false if the connection broke. */
static bool send_more(struct conn *conn)
{
	ssize_t sent;

	if (conn->sent == 0) {
		if (asked == wanted)
			return true;
		asked++;
		conn->began_us = now_us();
	}
	sent = send(conn->fd, request + conn->sent, request_len - conn->sent, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN;
	conn->sent += (size_t)sent;
	watch(conn, EPOLL_CTL_MOD, conn->sent < request_len ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

static bool is_whole(struct conn *conn)
{
	char *end, *length;

	conn->in[conn->got] = '\0';
	end = strstr(conn->in, "\r\n\r\n");
	length = strcasestr(conn->in, "\r\nContent-Length:");
	if (!end || !length || length > end)
		return false;
	return conn->got >= (size_t)(end + 4 - conn->in) + strtoul(length + 17, NULL, 10);
}

static bool read_more(struct conn *conn)
{
	ssize_t got = recv(conn->fd, conn->in + conn->got, ROOM - 1 - conn->got, 0);
	unsigned class;

	if (got < 0)
		return errno == EAGAIN;
	if (got == 0)
		return false;
	conn->got += (size_t)got;
	if (!is_whole(conn))
		return conn->got < ROOM - 1;
	class = conn->got > 9 && conn->in[9] >= '1' && conn->in[9] <= '5'
			? (unsigned)(conn->in[9] - '0')
			: 0;
	by_class[class]++;
	answered++;
	times_us[timed++] = (uint32_t)(now_us() - conn->began_us);
	conn->got = conn->sent = 0;
	return send_more(conn);
}

static void run(void)
{
	struct epoll_event events[512];

	while (answered < wanted) {
		int count = epoll_wait(loop, events, 512, 100000);

		if (count == 0)
			break; /* the rest shows as missing */
		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			bool good = true;

			if (events[i].events & EPOLLOUT)
				good = send_more(conn);
			if (good && (events[i].events & ~(uint32_t)EPOLLOUT))
				good = read_more(conn);
			if (!good)
				conn_lost(conn);
		}
	}
}

static int by_time(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void report(uint64_t began)
{
	qsort(times_us, timed, sizeof(*times_us), by_time);
	printf("RESULT {\"answers\": %lu, \"refused\": %lu, \"broken\": %lu, \"missing\": %lu, "
	       "\"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
		by_class[2], answered - broken - by_class[2], broken, wanted - answered,
		(double)(now_us() - began) / 1e6, timed ? times_us[timed / 2] / 1e3 : 0.0,
		timed ? times_us[timed * 99 / 100] / 1e3 : 0.0);
}

int main(int argc, char **argv)
{
	unsigned long connections;
	struct conn *conns;
	uint64_t began;

	if (argc != 7) {
		fputs("usage: loader PORT CONNECTIONS REQUESTS KEY BODY-FILE CONTENT-TYPE\n",
			stderr);
		return 2;
	}
	gateway.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	gateway.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connections = strtoul(argv[2], NULL, 10);
	wanted = strtoul(argv[3], NULL, 10);
	request_make(argv[1], argv[4], argv[5], argv[6]);
	conns = calloc(connections, sizeof(*conns));
	times_us = calloc(wanted, sizeof(*times_us));
	loop = epoll_create1(EPOLL_CLOEXEC);
	if (!conns || !times_us || loop < 0)
		die("start");
	began = now_us();
	for (unsigned long i = 0; i < connections; i++)
		conn_open(&conns[i]);
	run();
	report(began);
	return 0;
}
