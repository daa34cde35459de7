#include "http/server/server.h"

#include "http/server/certificate.h"
#include "http/server/request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* GnuTLS's way to say: TLS 1.2 and later. */
static const char TLS_PRIORITIES[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL";

enum { POOL_BYTES = 16384, ADMIN_CONNECTIONS = 64, EVENTS_AT_ONCE = 128 };
enum { ANSWER_MAX = 64 << 20, SPARE = 24 << 20 };

/* ---- connections */

static void line_opened(struct door *door, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *told =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	int fd = told ? told->connect_fd : -1; /* libmicrohttpd 1.0 tells the next in its place */
	struct network_address address;

	told = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	address = network_address_of(told ? told->client_addr : NULL);
	atomic_fetch_add(&door->lines, 1);
	*context = lines_find(&door->server->lines, fd, &address);
	line_begin(*context, door->server->settings.headers_ms);
}

static void line_changed(void *self, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct door *door = self;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		line_opened(door, connection, context);
		return;
	}
	lines_drop(&door->server->lines, *context);
	atomic_fetch_sub(&door->lines, 1);
}

static bool has_room(void *self, bool is_admin)
{
	struct server *server = self;
	unsigned most = server->settings.connections_max + (is_admin ? ADMIN_CONNECTIONS : 0);

	return atomic_load(&server->lines.count) < most;
}

/* The door with the fewest connections. */
static struct door *choose_door(struct server *server, bool is_admin)
{
	struct door *best = &server->doors[is_admin ? server->public_doors : 0];

	for (size_t i = 1; !is_admin && i < server->public_doors; i++)
		if (atomic_load(&server->doors[i].lines) < atomic_load(&best->lines))
			best = &server->doors[i];
	return best;
}

/* Counted here, at once: the library's threads, which open them, may lag behind. */
static void take_connection(
	void *self, bool is_admin, int fd, const struct sockaddr *address, socklen_t address_len)
{
	struct server *server = self;
	unsigned most = server->settings.connections_per_ip;
	struct network_address peer = network_address_of(address);
	struct line *line;
	struct stamp stamp;

	if (most && !is_admin && !peer.is_unix && lines_from(&server->lines, &peer) >= most) {
		close(fd);
		return;
	}
	server->gateway->stamp(server->gateway->self, &stamp);
	line = lines_add(&server->lines, fd, peer, stamp.now_us);
	if (MHD_add_connection(choose_door(server, is_admin)->daemon, fd, address, address_len) !=
		MHD_YES)
		lines_drop(&server->lines, line);
}

/* ---- the pulse
 *
 * When epoll_wait has given libmicrohttpd (0.9.75) as many events as it has room for, 128, it waits
 * for more before it looks at any, without a time limit: a burst of just so many would stand still.
 * A descriptor of ours in its epoll set wakes it; events with a NULL pointer it ignores. */

static enum err add_pulse(struct door *door)
{
	const union MHD_DaemonInfo *epoll =
		MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };

	door->pulse = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (door->pulse < 0 || !epoll ||
		epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, door->pulse, &event))
		return ERR_IO;
	return OK;
}

/* Every write is an edge: nobody needs to read. */
static bool pulse(void *self)
{
	struct server *server = self;
	bool wanted = false;

	for (size_t i = 0; i < server->door_count; i++) {
		struct door *door = &server->doors[i];

		if (atomic_load(&door->lines) + 2 < EVENTS_AT_ONCE)
			continue; /* they and the library's own descriptors are too few */
		wanted = true;
		(void)!write(door->pulse, &(uint64_t){ 1 }, sizeof(uint64_t));
	}
	return wanted;
}

void server_tick(struct server *server, uint64_t now_us)
{
	lines_tick(&server->lines, now_us, atomic_load(&server->draining));
}

/* ---- life */

static size_t leave_encoded(void *self, struct MHD_Connection *connection, char *text)
{
	(void)self, (void)connection;
	return strlen(text);
}

static void be_silent(void *self, const char *format, va_list args)
{
	(void)self, (void)format, (void)args;
}

static enum err open_door(struct server *server, bool is_admin)
{
	const struct server_settings *settings = &server->settings;
	struct door *door = &server->doors[server->door_count];
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;

	door->server = server;
	door->is_admin = is_admin;
	door->pulse = -1;
	if (settings->tls_cert)
		flags |= MHD_USE_TLS;
	door->daemon = MHD_start_daemon(flags, 0, NULL, NULL, request_handle, door,
		MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL, MHD_OPTION_CONNECTION_LIMIT,
		settings->connections_max + ADMIN_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		request_begun, door, MHD_OPTION_NOTIFY_COMPLETED, request_ended, door,
		MHD_OPTION_NOTIFY_CONNECTION, line_changed, door, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_encoded, NULL,
		settings->tls_cert ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END,
		certificate_callback(), MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
		MHD_OPTION_END);
	if (!door->daemon)
		return ERR_IO;
	server->door_count++;
	return add_pulse(door);
}

static void close_door(struct door *door)
{
	MHD_stop_daemon(door->daemon);
	if (door->pulse >= 0)
		close(door->pulse);
}

static enum err open_doors(struct server *server)
{
	const struct server_settings *settings = &server->settings;
	enum err err = OK;
	bool has_admin = false;

	for (size_t i = 0; i < settings->listener_count; i++)
		has_admin |= settings->listeners[i].is_admin;
	server->public_doors = settings->threads ? settings->threads : 1;
	server->doors = calloc(server->public_doors + 1, sizeof(*server->doors));
	if (!server->doors)
		return ERR_MEMORY;
	for (size_t i = 0; !err && i < server->public_doors; i++)
		err = open_door(server, false);
	if (!err && has_admin)
		err = open_door(server, true);
	return err;
}

static enum err read_trusted(struct server *server)
{
	const struct server_settings *settings = &server->settings;

	server->trusted = calloc(settings->trusted_proxy_count + 1, sizeof(*server->trusted));
	if (!server->trusted)
		return ERR_MEMORY;
	for (size_t i = 0; i < settings->trusted_proxy_count; i++)
		if (!network_read(text_of(settings->trusted_proxies[i]), &server->trusted[i]))
			return ERR_VALUE;
	server->trusted_count = settings->trusted_proxy_count;
	return OK;
}

enum err server_open(const struct server_settings *settings, const struct gateway *gateway,
	struct server **server_out)
{
	struct server *server = calloc(1, sizeof(*server));
	struct acceptor_user user = { server, has_room, take_connection, pulse };
	enum err err;

	if (!server)
		return ERR_MEMORY;
	server->settings = *settings;
	if (!settings->answer_max_bytes)
		server->settings.answer_max_bytes = ANSWER_MAX;
	if (!settings->spare_bytes)
		server->settings.spare_bytes = SPARE;
	server->gateway = gateway;
	lines_open(&server->lines);
	err = read_trusted(server);
	if (!err && settings->tls_cert)
		err = certificate_set(settings->tls_cert, settings->tls_key);
	if (!err)
		err = open_doors(server);
	if (!err)
		err = acceptor_open(
			settings->listeners, settings->listener_count, &user, &server->acceptor);
	/* They are the caller's memory, and gone when it returns. */
	server->settings.listeners = NULL;
	server->settings.tls_key = NULL;
	if (err) {
		server_close(server);
		return err;
	}
	*server_out = server;
	return OK;
}

void server_drain(struct server *server)
{
	if (!atomic_exchange(&server->draining, true))
		acceptor_stop(server->acceptor);
}

unsigned server_busy(struct server *server)
{
	return atomic_load(&server->busy);
}

unsigned server_parked(struct server *server)
{
	return atomic_load(&server->parked) + atomic_load(&server->held);
}

/* A line is there as soon as the connection is accepted, before the library has heard of it. */
bool server_is_done(struct server *server)
{
	return atomic_load(&server->lines.count) == 0 && server_busy(server) == 0;
}

enum err server_renew_tls(struct server *server, const char *cert, const char *key)
{
	return server->settings.tls_cert ? certificate_set(cert, key) : ERR_VALUE;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	if (server->acceptor)
		acceptor_stop(server->acceptor); /* before the doors that it shares out to */
	for (size_t i = 0; i < server->door_count; i++)
		close_door(&server->doors[i]);
	acceptor_close(server->acceptor);
	certificate_forget();
	lines_close(&server->lines);
	free(server->trusted);
	free(server->doors);
	free(server);
}
