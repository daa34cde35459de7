/* relay - one configured relay: its settings, its queue of waiting deliveries, its window
 *
 * Shared by all workers and HTTP threads, behind one lock. Carriers (carrier.h) pull deliveries out
 * of it; it counts them, and says how many there may be: the window. A reload makes a new relay;
 * the old one lives on until its last carrier has gone. */
#pragma once

#include "http/delivery.h"
#include "service/settings.h"
#include "service/tls.h"

struct relay;

enum { WORKERS_MAX = 64, NO_WORKER = -1 };
/* `workers`: how many there are, up to WORKERS_MAX; a worker is its number below that. */

/* Takes over `settings`, also when it fails. A line in *why. */
MUST_USE enum err relay_open(
	struct settings *settings, unsigned workers, struct relay **relay_out, struct buf *why);
/* References: relay_open gives the first. NULL is fine for release. */
struct relay *relay_hold(struct relay *relay);
void relay_release(struct relay *relay);

const struct relay_settings *relay_settings(const struct relay *relay);
const struct smtp_policy *relay_policy(const struct relay *relay);
struct tls *relay_tls(const struct relay *relay);

/* Queues a delivery, and names the worker to wake (NO_WORKER: all are busy, and will pull it). */
int relay_submit(struct relay *relay, struct delivery *delivery);
/* Does anything wait? A look from outside: it may have changed since. */
bool relay_has_work(const struct relay *relay);
/* The next delivery for a carrier of `worker`; NULL: none, or the rate does not allow it yet; the
 * carrier is idle then. `was_idle`: it was before. */
struct delivery *relay_pull(struct relay *relay, unsigned worker, bool was_idle, uint64_t now_us);
/* An idle carrier is about to leave. */
void relay_idle_left(struct relay *relay, unsigned worker);

/* Shall another carrier be opened? True: it is counted as opening. */
bool relay_wants_carrier(struct relay *relay, uint64_t now_us);
/* Would one be wanted, if there were room at the worker that asks? */
bool relay_needs_help(struct relay *relay, uint64_t now_us);
/* Counts a carrier for a delivery that needs a fresh session: it is always let in. */
void relay_admit_carrier(struct relay *relay);
void relay_carrier_opened(struct relay *relay); /* opening → established */
void relay_carrier_left(struct relay *relay);   /* established → gone */
/* opening → gone. Gives back, as a list, the deliveries that share its fate: those that were
 * waiting when it began, unless other sessions are up, or it was only one too many (`busy`: the
 * relay answered, for a while, no). */
struct delivery *relay_carrier_failed(
	struct relay *relay, uint64_t began_us, uint64_t now_us, bool busy);

/* A relay that offers PIPELINING and fell out of step is talked to without for ten minutes. */
void relay_distrust_pipelining(struct relay *relay, uint64_t now_us);
bool relay_distrusts_pipelining(const struct relay *relay, uint64_t now_us);

/* Takes out, as a list, what is past its deadline. */
struct delivery *relay_expire(struct relay *relay, uint64_t now_us);
/* Takes out everything that waits, as a list. */
struct delivery *relay_empty(struct relay *relay);
/* No further carriers; those that are idle leave. */
void relay_retire(struct relay *relay);
bool relay_is_retired(const struct relay *relay);

struct relay_counts {
	unsigned opening, idle, busy, waiting, window;
};
struct relay_counts relay_counts(struct relay *relay);
