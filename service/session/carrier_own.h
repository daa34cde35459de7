/* carrier_own - what the parts of a carrier share (for carrier.c, carrier_open.c and
 * carrier_phase.c alone) */
#pragma once

#include "service/session/carrier.h"

/* Into one of its worker's lists; NULL: into none. */
void carrier_move_to(struct carrier *carrier, struct carrier **list);
/* Its session is ready for the first message. */
void carrier_note_ready(struct carrier *carrier);
/* What it is at, measured. To be called where that may have changed. */
void carrier_note_phase(struct carrier *carrier);
/* It never became ready, through no fault of the relay's. */
bool carrier_is_abandoned(const struct carrier *carrier, const struct smtp_verdict *verdict);
/* … That means nothing for others, but for what we have too little of. */
void carrier_abandon(struct carrier *carrier, const struct smtp_verdict *verdict);
/* Settles what it means for others, and frees it; or begins anew, with another token. */
void carrier_end(struct carrier *carrier);
