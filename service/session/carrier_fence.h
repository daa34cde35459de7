/* carrier_fence - a carrier's delivery whose data may not end before somebody said yes (fence.h) */
#pragma once

#include "service/session/carrier.h"

/* Does the end of the data wait for a yes? */
bool carrier_wants_fence(const struct carrier *carrier);
/* The session holds the end of the data: asks, and looks for the answer. True: there is one, and
 * the session has gone on, or is at its end. */
bool carrier_pass_fence(struct carrier *carrier);
/* The transaction is over: nobody waits for the answer any more. */
void carrier_forget_fence(struct carrier *carrier);
