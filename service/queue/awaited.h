/* awaited - senders of queued messages who wait for the verdict (Prefer: wait)
 *
 * Their messages are in the queue already: who waits no longer, or leaves, loses nothing. A
 * delivery is here from awaited_add to its done(). Any thread, but verdicts and awaited_add come
 * from the queue's, so that no verdict is missed in between. */
#pragma once

#include "service/lettergate.h"
#include "service/store/store.h"

struct awaited;

MUST_USE enum err awaited_open(struct lettergate *lettergate, struct awaited **awaited_out);
/* Takes one that is queued and has its answer, until there is a verdict, or it is time: it is
 * counted in flight until then. */
void awaited_add(struct awaited *awaited, struct delivery *delivery);
/* The same for one that was accepted before: it may be settled already. */
void awaited_look(struct awaited *awaited, struct delivery *delivery);
/* What came of a try was written: a verdict, or it waits on. `last`: what came of the last attempt.
 */
void awaited_settle(
	struct awaited *awaited, const struct stored *stored, const struct result *last);
/* It was cancelled: whoever waits for it hears so. From the queue's thread. */
void awaited_cancelled(struct awaited *awaited, const char *id);
/* Those whose time is over are told that it is queued, and of the first tries that there were. */
void awaited_tick(struct awaited *awaited, uint64_t now_us);
/* All of them, and whoever comes. */
void awaited_stop(struct awaited *awaited);
void awaited_close(struct awaited *awaited); /* NULL is fine */
