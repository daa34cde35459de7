/* permission - what the caller's key allows, and what this gateway can do */
#pragma once

#include "http/posting.h"

/* From whom, to whom, by which relay and in which way. False: *refusal says why not. `at` is where
 * the message stands in the body. */
bool permission_check(const struct exchange *exchange, const struct posted *posted,
	const struct json_at *at, struct refusal *refusal);
