/* prefer - the request's Prefer (RFC 7240): does its sender want to wait for the verdict, how long?
 *
 * `respond-async`: it is queued. `wait=N`: it is queued, and its sender waits up to N seconds. What
 * is asked for is said to have been done where it was (Preference-Applied). Without a store nothing
 * of it is. */
#pragma once

#include "http/exchange.h"

/* Sets how the delivery is sent; its way, its moment and its deadline are set. */
void prefer_take(struct exchange *exchange, struct delivery *delivery);
/* What was done, where the delivery is not queued any more; NULL: nothing. */
const char *prefer_told(struct exchange *exchange, const struct delivery *delivery);
