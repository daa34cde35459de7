/* dispatch - where a delivery goes, and where it goes next when nothing came of it
 *
 * A delivery that was tried at one relay goes on to the next as long as it is certain that it was
 * not sent, and its deadline has not passed (docs/relays.md). Of a message in parts, or with
 * recipients that were refused, it goes on for those who have no answer; the others keep theirs. */
#pragma once

#include "service/lettergate.h"

/* Hands it to a relay, or settles it where all that it may use rest. Anything but SUBMITTED leaves
 * it with the caller. The lock must not be held. */
enum submission dispatch(struct lettergate *lettergate, struct delivery *delivery);
/* It came out of the queue, and the gateway stops: nothing more of it is begun, and dispatch gives
 * it back (lettergate_give_back). */
bool dispatch_goes_back(struct lettergate *lettergate, const struct delivery *delivery);
/* What is to wait in the queue: would there be a relay for it? SUBMISSION_NO_RELAY,
 * SUBMISSION_RELAY_FORBIDDEN. The lock must not be held. */
enum submission dispatch_may(struct lettergate *lettergate, const struct delivery *delivery);
/* After an attempt that is in its result: does it wait at another relay now? False: there is none,
 * or it may not; it is to be settled with what there is. The lock must not be held. */
bool dispatch_elsewhere(struct lettergate *lettergate, struct delivery *delivery);
/* dispatch for a list of deliveries that have to leave where they wait, with the attempts and
 * answers that they have. Those that nobody takes are settled as not sent, because of `words`. */
void dispatch_list(struct lettergate *lettergate, struct delivery *list, const char *words);
/* For a list of deliveries that wait at a relay where nothing works: those that may go elsewhere
 * do, with an attempt at this one in their result; the others wait on where they were, and are
 * asked again when half of the time is over that they have left, a second at least. */
void dispatch_waiting(struct lettergate *lettergate, struct relay *relay, struct delivery *list);
