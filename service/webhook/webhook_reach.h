/* webhook_reach - which addresses events may go to
 *
 * Whoever sets a webhook's URL must not reach what only this machine reaches. */
#pragma once

#include "http/server/network.h"

/* Is it a public address (IANA's registries of special-purpose addresses, RFC 6890), or in one of
 * the networks that are allowed by name? */
bool webhook_may_reach(
	const struct network_address *address, const struct network *allowed, size_t allowed_count);
