/* listen - sockets for the HTTP server */
#pragma once

#include "http/server/server.h"
#include "service/settings/settings.h"

/* Opens a listening socket for each address, or takes over what the service manager passed. On an
 * error those already open are closed; a line in *why. `sockets_out` has room for
 * LISTEN_SOCKETS. */
enum { LISTEN_SOCKETS = 32 };
MUST_USE enum err listen_open(const struct settings *settings, struct server_listener *sockets_out,
	size_t *count_out, struct buf *why);
/* Removes the paths of unix sockets. */
void listen_forget(const struct settings *settings);
/* Room for so many connections in the process's table of descriptors; false: it could not be made,
 * and *limit_out is what there is. */
bool listen_make_room(unsigned connections, unsigned *limit_out);
