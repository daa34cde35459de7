/* carrier_bytes - what passes between a carrier's session and its link */
#pragma once

#include "service/session/carrier.h"

/* True: something was read, or the session learned that the link is gone. */
bool carrier_read(struct carrier *carrier);
/* Writes what the session has to say. True: the link is broken, and the session knows. */
bool carrier_write(struct carrier *carrier);
/* False: not yet. True: the session knows whether there is TLS now. */
bool carrier_shake_hands(struct carrier *carrier);
