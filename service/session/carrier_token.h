/* carrier_token - the access token that a carrier logs in with, where its relay has a token
 * endpoint
 *
 * It comes before the connection: whoever waits for it shall not look slow to the relay. */
#pragma once

#include "service/session/carrier.h"
#include "service/oauth/oauth.h"

/* OAUTH_TAKEN: it has one now, or needs none. OAUTH_PAUSES: it cannot be had, see *failure_out. */
enum oauth_state carrier_take_token(struct carrier *carrier, struct oauth_failure *failure_out);
/* The session never became ready: did the relay refuse the token, and is another worth a try? Once
 * for a carrier. */
bool carrier_may_begin_anew(struct carrier *carrier);
/* The relay took it. */
void carrier_prove_token(struct carrier *carrier);
