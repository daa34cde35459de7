/* late - the relay's answer to a delivery that was given back as unknown, for the store
 *
 * Whom it would be for is noted when the delivery is given back; what it says is written to the
 * message when it comes, unless that is being sent again at that moment. Any thread. */
#pragma once

#include "service/lettergate.h"
#include "service/relay/parts.h"

struct late;

/* The delivery is about to be given back. NULL: there is no store, or no memory. */
struct late *late_new(struct lettergate *lettergate, const struct delivery *delivery,
	const struct part *part, const char *relay);
/* The answer is here; what is said is copied. Frees it. NULL is fine. */
void late_settle(
	struct late *late, const struct smtp_verdict *verdict, const struct smtp_said *said);
/* There will be none. NULL is fine. */
void late_free(struct late *late);
