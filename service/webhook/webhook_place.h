/* webhook_place - how far a webhook is, as the store keeps it
 *
 * Pure. */
#pragma once

#include "smtp/buf.h"

struct webhook_place {
	uint64_t cursor; /* all events up to there are done with */
	uint64_t head;   /* the one behind that; up to the cursor: none is known */
	unsigned tries;  /* of it, that failed */
	int64_t due_ms;  /* it is tried again then; since 1970 */
};

/* The first event that there is behind the cursor is `first`, UINT64_MAX: there is none. Has that
 * which was there been forgotten? */
bool webhook_place_is_lost(const struct webhook_place *place, uint64_t first);

/* Appends. */
void webhook_place_write(const struct webhook_place *place, struct buf *out);
/* ERR_SYNTAX: that was not written here. */
MUST_USE enum err webhook_place_read(struct text text, struct webhook_place *place_out);
