#include "service/session/link.h"

#include "service/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 1024, ADDRESS = 64 };

struct link {
	link_told *told;
	void *owner;
	uv_loop_t *loop;
	struct race *race; /* NULL: won, or lost */
	bool has_poll;
	uv_poll_t poll;
	int fd;
	int events; /* watched for */
	SSL *ssl;
	bool is_secure;
	enum smtp_loss loss;
	char words[WORDS];
	char address[ADDRESS];
	struct sockaddr_storage peer;
	bool has_other; /* address than the peer's, when it was connected */
	struct doubts *doubts;
};

static void lose(struct link *link, enum smtp_loss loss, const char *words)
{
	link->loss = loss;
	snprintf(link->words, sizeof(link->words), "%s", words);
}

static void lose_by_errno(struct link *link, int reason)
{
	char text[128];

	lose(link, SMTP_LOSS_DISCONNECTED,
		reason ? strerror_r(reason, text, sizeof(text))
		       : "the relay closed the connection");
}

static void ready(uv_poll_t *poll, int status, int events);

static void watch(struct link *link, int events)
{
	if (link->events == events)
		return;
	link->events = events;
	uv_poll_start(&link->poll, events, ready);
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;

	(void)events;
	if (status < 0) { /* libuv has stopped watching; the next read will tell what it is */
		link->events = 0;
		watch(link, UV_READABLE);
	}
	link->told(link->owner, LINK_READY);
}

/* ---- life */

static void raced(void *self, int fd)
{
	struct link *link = self;
	int status = fd < 0 ? 0 : uv_poll_init(link->loop, &link->poll, fd);

	link->fd = fd;
	link->has_poll = fd >= 0 && !status;
	if (fd < 0)
		lose(link, race_loss(link->race), race_words(link->race));
	else if (status)
		lose(link, SMTP_LOSS_INTERNAL, uv_strerror(status));
	snprintf(link->address, sizeof(link->address), "%s", race_address(link->race));
	link->peer = *race_winner(link->race);
	link->has_other = race_has_other(link->race);
	race_close(link->race);
	link->race = NULL;
	if (link->has_poll) {
		link->poll.data = link;
		watch(link, UV_READABLE);
	}
	link->told(link->owner, link->has_poll ? LINK_CONNECTED : LINK_FAILED);
}

enum err link_open(struct resolver *resolver, uv_loop_t *loop, const char *host, uint16_t port,
	link_told *told, void *owner, struct link **link_out)
{
	struct link *link = calloc(1, sizeof(*link));
	enum err err;

	if (!link)
		return ERR_MEMORY;
	link->loop = loop;
	link->told = told;
	link->owner = owner;
	link->fd = -1;
	link->doubts = resolver_doubts(resolver);
	err = race_open(resolver, loop, host, port, raced, link, &link->race);
	if (err) {
		free(link);
		return err;
	}
	*link_out = link;
	return OK;
}

static void free_link(uv_handle_t *handle)
{
	free(handle->data);
}

void link_close(struct link *link)
{
	if (!link)
		return;
	race_close(link->race);
	tls_connection_free(link->ssl);
	if (link->has_poll)
		uv_close((uv_handle_t *)&link->poll, free_link);
	if (link->fd >= 0)
		close(link->fd);
	if (!link->has_poll)
		free(link);
}

bool link_doubt(struct link *link)
{
	if (link->fd < 0)
		return false;
	doubt_address(link->doubts, &link->peer, now_us());
	return link->has_other;
}

void link_trust(struct link *link)
{
	trust_address(link->doubts, &link->peer);
}

bool link_is_looking_up(const struct link *link)
{
	return link->race && race_is_looking_up(link->race);
}

/* ---- bytes */

static void lose_by_tls(struct link *link, unsigned long code)
{
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	char line[200];

	snprintf(line, sizeof(line), "TLS broke off: %s", reason ? reason : "unknown reason");
	lose(link, SMTP_LOSS_DISCONNECTED, line);
}

/* What OpenSSL's refusal of a read or write means. */
static enum link_io refused(struct link *link, int result)
{
	int reason = SSL_get_error(link->ssl, result), number = errno;
	unsigned long code = ERR_peek_error();
	bool cut_off = reason == SSL_ERROR_SYSCALL ||
		       (reason == SSL_ERROR_SSL &&
			       ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING);

	if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
		watch(link, UV_READABLE | (reason == SSL_ERROR_WANT_WRITE ? UV_WRITABLE : 0));
		return LINK_AGAIN;
	}
	if (reason == SSL_ERROR_ZERO_RETURN)
		lose_by_errno(link, 0);
	else if (cut_off)
		lose_by_errno(link, reason == SSL_ERROR_SYSCALL ? number : 0);
	else
		lose_by_tls(link, code);
	ERR_clear_error();
	return LINK_LOST;
}

enum link_io link_read(struct link *link, char *at, size_t room, size_t *len_out)
{
	ssize_t len;

	*len_out = 0;
	if (link->is_secure) {
		int result;

		ERR_clear_error();
		errno = 0;
		result = SSL_read_ex(link->ssl, at, room, len_out);
		return result > 0 ? LINK_DONE : refused(link, result);
	}
	do
		len = recv(link->fd, at, room, 0);
	while (len < 0 && errno == EINTR);
	if (len > 0) {
		*len_out = (size_t)len;
		return LINK_DONE;
	}
	if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return LINK_AGAIN;
	lose_by_errno(link, len < 0 ? errno : 0);
	return LINK_LOST;
}

void link_acknowledge(struct link *link)
{
	int yes = 1;

	(void)setsockopt(link->fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof(yes));
}

bool link_has_more(const struct link *link)
{
	return link->is_secure && SSL_has_pending(link->ssl);
}

/* One write. */
static enum link_io write_some(struct link *link, struct text bytes, size_t *len_out)
{
	ssize_t len;

	*len_out = 0;
	if (link->is_secure) {
		int result;

		ERR_clear_error();
		errno = 0;
		result = SSL_write_ex(link->ssl, bytes.at, bytes.len, len_out);
		return result > 0 ? LINK_DONE : refused(link, result);
	}
	do
		len = send(link->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
	while (len < 0 && errno == EINTR);
	if (len >= 0) {
		*len_out = (size_t)len;
		return LINK_DONE;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		watch(link, UV_READABLE | UV_WRITABLE);
		return LINK_AGAIN;
	}
	lose_by_errno(link, errno);
	return LINK_LOST;
}

enum link_io link_write(struct link *link, struct text bytes, size_t *len_out)
{
	enum link_io io = LINK_DONE;
	size_t len, all = 0;

	while (bytes.len && io == LINK_DONE) {
		io = write_some(link, bytes, &len);
		all += len;
		bytes = text_from(bytes, len);
	}
	if (io == LINK_DONE)
		watch(link, UV_READABLE);
	*len_out = all;
	return io;
}

bool link_has_arrived(struct link *link)
{
	char byte;

	return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool link_is_quiet(struct link *link)
{
	char byte;

	if (link->is_secure && SSL_has_pending(link->ssl))
		return false;
	return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

void link_rest(struct link *link)
{
	if (link->is_secure)
		(void)SSL_free_buffers(link->ssl);
}

/* ---- TLS */

enum link_io link_shake_hands(struct link *link, struct tls *tls)
{
	struct buf words = buf_born(WORDS - 1);
	int result, reason;

	if (!link->ssl) {
		link->ssl = tls_connection(tls, link->fd);
		if (!link->ssl) {
			lose(link, SMTP_LOSS_INTERNAL, "out of memory");
			return LINK_LOST;
		}
	}
	ERR_clear_error();
	result = SSL_do_handshake(link->ssl);
	if (result == 1) {
		link->is_secure = true;
		watch(link, UV_READABLE);
		return LINK_DONE;
	}
	reason = SSL_get_error(link->ssl, result);
	if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
		return refused(link, result);
	link->loss = tls_diagnose(tls, link->ssl, reason, &words);
	snprintf(
		link->words, sizeof(link->words), "%.*s", (int)words.len, words.at ? words.at : "");
	buf_free(&words);
	return LINK_LOST;
}

const char *link_tls(const struct link *link)
{
	return link->is_secure ? tls_version(link->ssl) : NULL;
}

SSL *link_ssl(const struct link *link)
{
	return link->ssl;
}

const char *link_address(const struct link *link)
{
	return link->address;
}

enum smtp_loss link_loss(const struct link *link)
{
	return link->loss;
}

const char *link_words(const struct link *link)
{
	return link->words;
}

void link_give_up(struct link *link, enum smtp_loss loss)
{
	const char *last = link->race ? race_words(link->race) : "";
	const char *otherwise = link_is_looking_up(link) ? "the name servers did not answer in time"
							 : "no answer to the attempt to connect";

	lose(link, loss, last[0] ? last : otherwise);
}
