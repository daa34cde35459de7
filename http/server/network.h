/* network - client addresses, and the networks that are trusted to name them
 *
 * IPv4 is kept as ::ffff:a.b.c.d, so that one comparison serves both families. Pure. */
#pragma once

#include "smtp/text.h"

struct sockaddr;

enum { NETWORK_NAME = 46 };

struct network_address {
	unsigned char bytes[16];
	bool is_unix; /* a unix socket's peer has no address */
};

struct network {
	struct network_address base;
	unsigned prefix; /* bits, 0 to 128 */
};

struct network_address network_address_of(const struct sockaddr *socket_address);
/* "192.0.2.1", "2001:db8::1", the latter in brackets too. */
bool network_address_read(struct text text, struct network_address *address_out);
bool network_address_equal(const struct network_address *a, const struct network_address *b);
/* "192.0.2.1"; "unix" for a unix socket's peer. */
void network_address_name(const struct network_address *address, char name_out[NETWORK_NAME]);

/* "10.0.0.0/8", "::1", "unix". */
bool network_read(struct text text, struct network *network_out);
bool network_holds(
	const struct network *networks, size_t count, const struct network_address *address);
/* Who sent the request, by X-Forwarded-For: from its right end over all that `networks` hold. What
 * is not an address ends the walk. */
struct network_address network_client(const struct network *networks, size_t count,
	const struct network_address *peer, struct text forwarded_for);
