/* fate - what becomes of deliveries that waited for a session, and share its failure
 *
 * Ten thousand may. They are settled a few at a time, so that the worker's loop serves others in
 * between. For the worker's own thread. */
#pragma once

#include "service/session/worker.h"

/* Why, and where. All of it is borrowed for the call. */
struct fate_cause {
	struct relay *relay;
	const char *tls; /* as in struct result */
	struct smtp_verdict verdict;
	const struct smtp_said *said; /* code 0: nothing */
	const char *words;            /* "": none */
	struct text trace;            /* of the opening */
	uint64_t began_us;            /* … and when that began */
};

/* Settles the list, its first deliveries at once; the others with the loop's next turns, unless the
 * worker stops. */
void fate_meet(struct worker *worker, struct delivery *list, const struct fate_cause *cause);
/* Settles some more. */
void fate_go_on(struct worker *worker);
/* … all that are left. */
void fate_end(struct worker *worker);
