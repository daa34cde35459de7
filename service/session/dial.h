/* dial - a socket that connects to one address
 *
 * A peer that went away without a word is noticed: by keepalive where nothing is under way, and
 * within a minute where something is not acknowledged. */
#pragma once

#include <sys/socket.h>

/* Non-blocking, and connecting, or connected already; -1 with the reason in errno. */
int dial(const struct sockaddr_storage *address);
