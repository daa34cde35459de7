/* carrier_parts - a carrier's delivery for more recipients than its relay takes in one transaction
 *
 * What is cut off, and when, parts.h says. */
#pragma once

#include "service/session/carrier.h"

/* Which recipients the transaction is for that is about to begin: all, or a part of them. False: it
 * cannot be cut, and cannot go in one. */
bool carrier_cut(struct carrier *carrier);
/* … and is over for that reason. */
void carrier_refuse_uncut(struct carrier *carrier);
/* Takes in what the relay said to a part, and begins the next where this session may. True: the
 * delivery is not over yet. */
bool carrier_goes_on(struct carrier *carrier, struct delivery *delivery);
/* The delivery of which a part is still to come goes to another session, or back into the queue. */
void carrier_give_back(struct carrier *carrier);
