/* gateway_own - the parts of gateway.c's function table that have files of their own */
#pragma once

#include "service/lettergate.h"

/* gateway_relays.c */
void gateway_relays(void *self, struct buf *json);
/* Why there are not more sessions, or messages a second, than there are. */
enum holdback {
	HELD_BY_CONNECTIONS,
	HELD_BY_PACE,
	HELD_BY_PIPELINING,
	HELD_BY_HANG_UPS,
	HELD_BY_LATE_ANSWERS,
	HOLDBACKS,
};
const char *holdback_name(enum holdback which);
bool holds_back(const struct relay_state *state, enum holdback which);
/* gateway_check.c: at most two run at a time, each in a thread of its own. */
enum checking_start gateway_check(void *self, struct text name, struct checking *checking);
