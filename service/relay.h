/* relay - one configured relay: its settings, its queue of waiting deliveries, its window
 *
 * Shared by all workers and HTTP threads, behind one lock. Carriers (carrier.h) pull deliveries out
 * of it; it counts them, and says how many there may be: the window. A reload makes a new relay;
 * the old one lives on until its last carrier has gone. */
#pragma once

#include "http/delivery.h"
#include "service/settings.h"

struct relay;
struct scram_keys;
struct tls;

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
/* What SCRAM made of the password for sessions of `worker`, which alone may use it. */
struct scram_keys *relay_scram_keys(struct relay *relay, unsigned worker);

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
/* Counts a carrier that brings a delivery of its own, which needs a fresh session. It takes the
 * place of one that is ending, and is let in whatever the window. */
void relay_admit_carrier(struct relay *relay);
/* opening → established. `brings`: it was let in by relay_admit_carrier. */
void relay_carrier_opened(struct relay *relay, bool brings);
/* established → leaving: of no more use, but still a session to the relay, that counts as such. */
void relay_carrier_leaves(struct relay *relay);
/* leaving → gone; or established → gone. */
void relay_carrier_left(struct relay *relay, bool was_leaving);
/* opening → gone. Gives back, as a list, the deliveries that share its fate: those that were
 * waiting when it began, unless other sessions are up, or it was only one too many (`busy`: the
 * relay answered, for a while, no). */
struct delivery *relay_carrier_failed(
	struct relay *relay, bool brings, uint64_t began_us, uint64_t now_us, bool busy);
/* opening → gone, through no fault of the relay's: nobody shares its fate. */
void relay_carrier_abandoned(struct relay *relay, bool brings, uint64_t now_us);
/* The delivery waits again, before all others, if there are sessions that will take it. */
bool relay_put_back(struct relay *relay, struct delivery *delivery);
/* Something may go now, and another worker has a carrier to spare for it: which one to wake. */
bool relay_has_idle_elsewhere(
	struct relay *relay, unsigned worker, uint64_t now_us, unsigned *worker_out);

/* A relay that offers PIPELINING and fell out of step is talked to without for a minute. */
void relay_distrust_pipelining(struct relay *relay, uint64_t now_us);
void relay_trust_pipelining(struct relay *relay);
bool relay_distrusts_pipelining(const struct relay *relay, uint64_t now_us);

/* Takes out, as a list, what is past its deadline. */
struct delivery *relay_expire(struct relay *relay, uint64_t now_us);
/* Takes out everything that waits, as a list. */
struct delivery *relay_empty(struct relay *relay);
/* No further carriers; those that are idle leave. */
void relay_retire(struct relay *relay);
bool relay_is_retired(const struct relay *relay);

/* What the carrier that was heard of last is at while it opens: where a delivery that waits for it
 * is held up. */
void relay_note_opening(struct relay *relay, enum smtp_phase phase);

struct relay_counts {
	unsigned opening, idle, busy, waiting, window;
	enum smtp_phase opening_phase; /* where there are any */
};
struct relay_counts relay_counts(struct relay *relay);
