/* carrier_outcome - what a carrier's session means for its delivery, and for those that wait */
#pragma once

#include "service/session/carrier.h"

/* The transaction is over: what came of it into its delivery, which is to be settled; NULL: it is
 * tried once more on a fresh session. */
struct delivery *carrier_conclude(struct carrier *carrier);
/* The delivery's result is this relay's. */
void carrier_name_relay(const struct carrier *carrier, struct delivery *delivery);
/* The answer to a delivery that was given back as unknown has come after all. */
void carrier_settle_late(struct carrier *carrier);
/* It will not come, or nobody asks for it any more. */
void carrier_forget_late(struct carrier *carrier);
/* The session never became ready: settles those that waited for it, as relay_carrier_failed says.
 */
void carrier_fail_waiting(struct carrier *carrier, const struct smtp_verdict *verdict);

/* Is the session as old as the relay lets one become? */
bool carrier_is_old(const struct carrier *carrier);
/* A session that was ready is over: counts it, and has the relay learn from it. */
void carrier_tell_end(struct carrier *carrier);
enum session_end carrier_end_reason(const struct carrier *carrier);
