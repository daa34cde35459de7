/* known - the last good addresses of names, for when no name server answers (RFC 8767)
 *
 * Shared by all workers' resolvers, behind one lock. There is a limit: past it, the name that was
 * noted longest ago goes. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "smtp/err.h"

enum { KNOWN_NAMES = 256, KNOWN_ADDRESSES = 32 };

struct known;

MUST_USE enum err known_open(struct known **known_out);
/* NULL is fine. */
void known_close(struct known *known);

/* These are good now: 1 to KNOWN_ADDRESSES. Without memory for them, none are known. */
void known_note(struct known *known, const char *host, int family,
	const struct sockaddr_storage *addresses, size_t count);
/* The name is gone: nothing is known of it. */
void known_drop(struct known *known, const char *host, int family);
/* Name servers gave no answer. `is_asked`: the question stays. */
void known_be_stale(struct known *known, const char *host, int family, bool is_asked);
/* Shall the caller ask again, with nobody waiting? True to one at a time. */
bool known_claim(struct known *known, const char *host, int family);
/* Copies out what is known, room for KNOWN_ADDRESSES; 0: nothing. */
size_t known_find(struct known *known, const char *host, int family, bool *is_stale_out,
	struct sockaddr_storage *addresses_out);
