/* server - HTTP/1.1 by libmicrohttpd: connections, deadlines, bodies, parked requests
 *
 * Threads of the library's serve the connections by epoll, which one acceptor shares out. A request
 * that waits for a relay is suspended, not blocking a thread. The library's time-outs are idle
 * times; the total deadlines for headers, body and answer are kept here, by server_tick. */
#pragma once

#include "http/gateway.h"

struct server;

struct server_listener {
	int fd;        /* listening; the server closes it */
	bool is_admin; /* answers the admin routes, and no others if is_only_admin */
};

struct server_settings {
	const struct server_listener *listeners;
	size_t listener_count;
	bool has_admin_listener;
	unsigned threads;
	uint64_t body_max_bytes;
	size_t answer_max_bytes; /* 0: 64 MB */
	size_t spare_bytes;      /* what a request may take beside twice its body; 0: 24 MB */
	unsigned connections_max, connections_per_ip; /* per_ip 0: no limit */
	uint32_t headers_ms, body_ms, idle_ms;
	uint64_t send_deadline_us;
	const char *tls_cert, *tls_key; /* PEM text; NULL: plain HTTP */
	/* Networks ("10.0.0.0/8", "::1", "unix") whose X-Forwarded-For counts. */
	const char *const *trusted_proxies;
	size_t trusted_proxy_count;
};

/* Starts listening. `gateway` must outlive the server. ERR_TLS: certificate and key are unusable or
 * do not belong together. ERR_VALUE: a trusted proxy is not a network. */
MUST_USE enum err server_open(const struct server_settings *settings, const struct gateway *gateway,
	struct server **server_out);
/* Hangs up on those that are past their deadline. Four times a second, say. */
void server_tick(struct server *server, uint64_t now_us);
/* No new connections from here on (the listeners are closed when it returns); every answer says
 * Connection: close, and server_tick hangs up on idle ones. */
void server_drain(struct server *server);
/* Requests that are being read, handled or answered. */
unsigned server_busy(struct server *server);
/* After server_drain: have all that had connected been answered, and closed? */
bool server_is_done(struct server *server);
/* A new certificate for new connections. */
MUST_USE enum err server_renew_tls(struct server *server, const char *cert, const char *key);
/* Requests that were parked, and have not been woken. */
unsigned server_parked(struct server *server);
/* All parked requests must have been woken. NULL is fine. */
void server_close(struct server *server);
