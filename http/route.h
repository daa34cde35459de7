/* route - method and path → handler, one table */
#pragma once

#include "http/exchange.h"

struct route {
	const char *method, *pattern; /* "/messages/{id}/raw" */
	unsigned scope;               /* of enum scope; 0: no key needed */
	bool has_body;
	bool is_admin; /* answers on the admin listener only, where there is one */
	enum handled (*handle)(struct exchange *exchange);
};

/* The route for a raw path without its query; *id_out is the segment for {…}. NULL: none, and then
 * *allow_out is NULL where no route has the path, else the methods that it takes. HEAD is GET. */
const struct route *route_find(
	struct text method, struct text path, struct text *id_out, const char **allow_out);
/* Whose refusals say that nothing was sent. */
bool route_is_send(const struct route *route);
/* All of them, one after the other; NULL behind the last. */
const struct route *route_at(size_t index);
