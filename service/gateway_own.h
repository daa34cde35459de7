/* gateway_own - the parts of gateway.c's function table that have files of their own */
#pragma once

#include "service/lettergate.h"

/* gateway_relays.c */
void gateway_relays(void *self, struct buf *json);
/* gateway_check.c: at most two run at a time, each in a thread of its own. */
enum checking_start gateway_check(void *self, struct text name, struct checking *checking);
