/* sink - see sink.h. usage: sink COUNTS-FILE [tls|starttls CERT KEY] [pipelining] [chunking] */
#define _GNU_SOURCE /* accept4 */
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sink_settings settings;
static struct sink_counts *counts;
static struct sink_conn *due; /* those that wait, in no order */
static int loop;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start_tls(struct sink_conn *conn)
{
	conn->starting = false;
	conn->in_len = 0; /* nothing in clear may be taken for a command */
	conn->ssl = SSL_new(settings.tls);
	if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
		die("SSL_new");
	SSL_set_accept_state(conn->ssl);
}

static void end(struct sink_conn *conn)
{
	for (struct sink_conn **at = &due; *at; at = &(*at)->next_due) {
		if (*at == conn) {
			*at = conn->next_due;
			break;
		}
	}
	counts->held -= conn->due_ms && conn->due_reply;
	SSL_free(conn->ssl);
	close(conn->fd);
	free(conn);
}

/* Answers are short and their readers wait for them: the socket always has room. */
static bool flush(struct sink_conn *conn)
{
	ssize_t sent = 0;

	if (conn->out_len == 0)
		return true;
	counts->turns++;
	if (conn->ssl)
		sent = SSL_write(conn->ssl, conn->out, (int)conn->out_len);
	else
		sent = send(conn->fd, conn->out, conn->out_len, MSG_NOSIGNAL);
	if (sent != (ssize_t)conn->out_len)
		return false;
	conn->out_len = 0;
	return true;
}

static void wait_until(struct sink_conn *conn, uint64_t ms)
{
	conn->due_ms = now_ms() + ms;
	conn->next_due = due;
	due = conn;
	counts->held += conn->due_reply;
}

/* More than zero: bytes came. Zero: nothing now. Less: the end. */
static ssize_t fill(struct sink_conn *conn)
{
	size_t room = SINK_IN - conn->in_len;
	ssize_t got;

	if (conn->ssl) {
		got = SSL_read(conn->ssl, conn->in + conn->in_len, (int)room);
		if (got <= 0)
			got = SSL_get_error(conn->ssl, (int)got) == SSL_ERROR_WANT_READ ? 0 : -1;
	} else {
		got = recv(conn->fd, conn->in + conn->in_len, room, 0);
		if (got < 0)
			got = errno == EAGAIN ? 0 : -1;
		else if (got == 0)
			got = -1;
	}
	if (got > 0)
		conn->in_len += (size_t)got;
	return got;
}

/* False: the connection is over. */
static bool go_on(struct sink_conn *conn)
{
	sink_take(conn, &settings, counts);
	if (conn->due_ms) {
		wait_until(conn, conn->due_ms);
		return true;
	}
	if (!flush(conn) || conn->closing)
		return false;
	if (conn->starting)
		start_tls(conn);
	return true;
}

static bool readable(struct sink_conn *conn)
{
	for (;;) {
		size_t room = SINK_IN - conn->in_len;
		ssize_t got = room ? fill(conn) : 0;

		if (got < 0)
			return false;
		if (got == 0 && conn->ssl && !conn->due_ms && SSL_is_init_finished(conn->ssl))
			return flush(conn); /* the greeting, held up by the handshake */
		if (got == 0 || conn->due_ms)
			return true;
		if (counts->lag_ms) {
			wait_until(conn, counts->lag_ms);
			return true;
		}
		if (!go_on(conn))
			return false;
		if (!conn->ssl && (size_t)got < room)
			return true; /* the socket is empty: epoll tells when there is more */
	}
}

/* Takes up what waited long enough. A hold that was taken back ends at once. */
static void wake(void)
{
	uint64_t now = now_ms();
	struct sink_conn *ready = NULL, **at = &due;

	while (*at) {
		struct sink_conn *conn = *at;

		if (conn->due_ms > now && !(conn->due_reply && !counts->hold_ms)) {
			at = &conn->next_due;
			continue;
		}
		*at = conn->next_due;
		conn->next_due = ready;
		ready = conn;
	}
	while (ready) {
		struct sink_conn *conn = ready;

		ready = conn->next_due;
		conn->next_due = NULL;
		counts->held -= conn->due_reply;
		conn->due_ms = 0;
		conn->due_reply = false;
		if ((conn->in_len < SINK_IN && fill(conn) < 0) || !go_on(conn))
			end(conn);
	}
}

static void welcome(int listener)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sink_conn *conn;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

	if (fd < 0)
		return;
	conn = malloc(sizeof(*conn));
	if (!conn)
		die("malloc");
	memset(conn, 0, offsetof(struct sink_conn, in));
	conn->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	event.data.ptr = conn;
	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
	counts->connections++;
	if (settings.tls && !settings.starttls)
		start_tls(conn);
	sink_say(conn, "220 sink ESMTP\r\n");
	if (!conn->ssl && !flush(conn))
		end(conn);
}

static int listener_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4096) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		die("listen");
	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
	counts->port = ntohs(address.sin_port);
	return fd;
}

static void counts_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, sizeof(*counts)) < 0)
		die(path);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		die("mmap");
	close(fd);
}

static void tls_open(const char *certificate, const char *key)
{
	settings.tls = SSL_CTX_new(TLS_server_method());
	if (!settings.tls || SSL_CTX_use_certificate_chain_file(settings.tls, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(settings.tls, key, SSL_FILETYPE_PEM) != 1)
		die("TLS");
	SSL_CTX_set_mode(settings.tls, SSL_MODE_ENABLE_PARTIAL_WRITE);
}

static void arguments(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		bool starttls = strcmp(argv[i], "starttls") == 0;

		if ((starttls || strcmp(argv[i], "tls") == 0) && i + 2 < argc) {
			settings.starttls = starttls;
			tls_open(argv[i + 1], argv[i + 2]);
			i += 2;
		} else if (strcmp(argv[i], "pipelining") == 0) {
			settings.pipelining = true;
		} else if (strcmp(argv[i], "chunking") == 0) {
			settings.chunking = true;
		} else {
			fprintf(stderr, "sink: %s?\n", argv[i]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int listener;

	if (argc < 2) {
		fputs("usage: sink COUNTS-FILE [tls|starttls CERT KEY] [pipelining] [chunking]\n",
			stderr);
		return 2;
	}
	arguments(argc, argv);
	counts_open(argv[1]);
	loop = epoll_create1(EPOLL_CLOEXEC);
	listener = listener_open();
	for (;;) {
		int count = epoll_wait(loop, events, 256, due ? 1 : -1);

		for (int i = 0; i < count; i++) {
			struct sink_conn *conn = events[i].data.ptr;

			if (!conn)
				welcome(listener);
			else if (!conn->due_ms && !readable(conn))
				end(conn);
		}
		wake();
	}
}
