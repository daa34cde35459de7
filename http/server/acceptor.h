/* acceptor - one thread that takes new connections and shares them out
 *
 * The library could accept by itself; but then its threads fight over the listening socket, one of
 * them may get all connections, and its MHD_quiesce_daemon races with them (it aborts the process
 * when both take the socket out of epoll). Out of descriptors or over the limit, it pauses. */
#pragma once

#include "http/server/server.h"

#include <sys/socket.h>

struct acceptor;

struct acceptor_user {
	void *self;
	/* May another one be taken? Called before each. */
	bool (*has_room)(void *self, bool is_admin);
	/* Takes the descriptor over. */
	void (*take)(void *self, bool is_admin, int fd, const struct sockaddr *address,
		socklen_t address_len);
	/* Called after each round of accepting; true: call it every ten milliseconds. */
	bool (*pulse)(void *self);
};

/* Closes the listeners' descriptors at its end, not where it fails to open. */
MUST_USE enum err acceptor_open(const struct server_listener *listeners, size_t count,
	const struct acceptor_user *user, struct acceptor **acceptor_out);
/* Takes what waits in the backlogs, closes the listeners, returns when that is done. */
void acceptor_stop(struct acceptor *acceptor);
void acceptor_close(struct acceptor *acceptor); /* NULL is fine */
/* Reads on from a connection that is about to be closed on its client's unread bytes, so that the
 * answer is not lost to a reset (RFC 9112 section 9.6). Uses a copy of the descriptor; any thread.
 */
void acceptor_linger(struct acceptor *acceptor, int fd);
