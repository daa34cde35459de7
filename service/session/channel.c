#include "service/session/channel.h"

#include <stdbool.h>
#include <stdlib.h>

enum { QUERY_MS = 2500, QUERY_TRIES = 3, SOCKETS = 32 };

/* One of c-ares' sockets, watched for it. */
struct watch {
	uv_poll_t poll;
	struct channel *channel;
	ares_socket_t fd;
};

struct channel {
	uv_loop_t *loop;
	ares_channel ares;
	bool is_ready;
	uv_timer_t timer; /* c-ares' own time-outs */
	struct watch *watches[SOCKETS];
};

static void free_handle(uv_handle_t *handle)
{
	free(handle->data);
}

/* ---- sockets and time-outs */

static void be_punctual(struct channel *channel);

static void socket_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct channel *channel = watch->channel;
	ares_socket_t fd = watch->fd;
	bool readable = status < 0 || (events & UV_READABLE);
	bool writable = status < 0 || (events & UV_WRITABLE);

	ares_process_fd(
		channel->ares, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
	be_punctual(channel);
}

static struct watch **place_of(struct channel *channel, ares_socket_t fd)
{
	for (size_t i = 0; i < SOCKETS; i++)
		if (channel->watches[i] && channel->watches[i]->fd == fd)
			return &channel->watches[i];
	for (size_t i = 0; i < SOCKETS; i++)
		if (!channel->watches[i])
			return &channel->watches[i];
	return NULL;
}

static struct watch *watch_new(struct channel *channel, ares_socket_t fd)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->channel = channel;
	watch->fd = fd;
	if (uv_poll_init_socket(channel->loop, &watch->poll, fd)) {
		free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	return watch;
}

static void socket_changed(void *self, ares_socket_t fd, int readable, int writable)
{
	struct channel *channel = self;
	struct watch **place = place_of(channel, fd);
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	if (!place)
		return; /* more sockets than we watch: the time-out deals with it */
	if (!events) {
		if (*place)
			uv_close((uv_handle_t *)&(*place)->poll, free_handle);
		*place = NULL;
		return;
	}
	if (!*place)
		*place = watch_new(channel, fd);
	if (*place)
		uv_poll_start(&(*place)->poll, events, socket_ready);
}

static void time_passed(uv_timer_t *timer)
{
	struct channel *channel = timer->data;

	ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	be_punctual(channel);
}

static void be_punctual(struct channel *channel)
{
	struct timeval room, *next = ares_timeout(channel->ares, NULL, &room);

	if (next)
		uv_timer_start(&channel->timer, time_passed,
			(uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1, 0);
	else
		uv_timer_stop(&channel->timer);
}

/* ---- the interface */

enum err channel_open(uv_loop_t *loop, struct channel **channel_out)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return ERR_MEMORY;
	channel->loop = loop;
	uv_timer_init(loop, &channel->timer);
	channel->timer.data = channel;
	*channel_out = channel;
	return OK;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	channel_forget(channel);
	uv_close((uv_handle_t *)&channel->timer, free_handle);
}

/* When the first name is asked for: an address needs none of it. */
enum err channel_make_ready(struct channel *channel)
{
	struct ares_options options = { .timeout = QUERY_MS,
		.tries = QUERY_TRIES,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = channel };

	if (channel->is_ready)
		return OK;
	if (ares_init_options(&channel->ares, &options,
		    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return ERR_MEMORY;
	channel->is_ready = true;
	return OK;
}

void channel_forget(struct channel *channel)
{
	if (channel->is_ready)
		ares_destroy(channel->ares);
	channel->is_ready = false;
	uv_timer_stop(&channel->timer);
}

void channel_ask(struct channel *channel, const char *host, int family,
	ares_addrinfo_callback answered, void *self)
{
	struct ares_addrinfo_hints hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };

	ares_getaddrinfo(channel->ares, host, NULL, &hints, answered, self);
	be_punctual(channel);
}
