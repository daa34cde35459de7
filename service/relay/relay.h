/* relay - one configured relay: its settings, its queue of waiting deliveries, its window
 *
 * Shared by all workers and HTTP threads, behind one lock. Carriers (carrier.h) pull deliveries out
 * of it; it counts them, and says how many there may be: the window. A reload makes a new relay;
 * the old one lives on until its last carrier has gone. */
#pragma once

#include "http/delivery.h"
#include "service/relay/learned.h"
#include "service/metrics/metrics.h"
#include "service/settings/settings.h"
#include "service/relay/window.h"

struct oauth;
struct oauth_crew;
struct relay;
struct scram_keys;
struct share;
struct tls;

enum { WORKERS_MAX = 64, NO_WORKER = -1 };
/* `workers`: how many there are, up to WORKERS_MAX; a worker is its number below that. */

/* What a call changed that whoever looks after the relay wants to hear of. */
struct relay_news {
	bool rests;       /* from now on, for `rest_us` because of `cause` */
	bool works_again; /* a rest because of `cause` is over: a session is ready, a check went
			     well, or there is the token that it was for want of */
	enum rest_cause cause;
	uint64_t rest_us;
	unsigned width;       /* no more than so many sessions from now on; 0: as before */
	uint64_t interval_us; /* at least so long between two messages from now on; 0: as before */
	struct relay_limit_news {
		uint32_t before, now; /* ms, messages or recipients; 0: not known */
	} limits[LEARNED_LIMITS], recipients;
};

/* The relay settings->relays[index]; holds `settings`. A line in *why. */
MUST_USE enum err relay_open(struct settings *settings, size_t index, unsigned workers,
	struct relay **relay_out, struct buf *why);
/* Takes over what `old`, the relay of the same name before a reload, takes up of the room for
 * messages; and what was found out by it, if it is the same host, user and password. */
void relay_inherit(struct relay *relay, struct relay *old);
/* From now on it has its token fetched, where it has an endpoint for that: behind relay_inherit, or
 * two ask for the same. Where it has one already, what failed is tried again at once. */
MUST_USE enum err relay_start(struct relay *relay, struct oauth_crew *crew);
/* What is counted for it; NULL (the default): nothing is. */
void relay_count_in(struct relay *relay, struct relay_metrics *metrics);
struct relay_metrics *relay_metrics_of(const struct relay *relay);
/* References: relay_open gives the first. NULL is fine for release. */
struct relay *relay_hold(struct relay *relay);
void relay_release(struct relay *relay);

const struct relay_settings *relay_settings(const struct relay *relay);
const struct smtp_policy *relay_policy(const struct relay *relay);
struct tls *relay_tls(const struct relay *relay);
struct oauth *relay_oauth(const struct relay *relay); /* NULL: it has no token endpoint */
/* What it takes up of the room for messages under way; behind a reload its successor's, too. */
struct share *relay_share(const struct relay *relay);
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
bool relay_admit_carrier(struct relay *relay, uint64_t now_us);
/* opening → established. `brings`: it was let in by relay_admit_carrier. */
void relay_carrier_opened(struct relay *relay, bool brings, struct relay_news *news_out);
/* established → leaving: of no more use, but still a session to the relay, that counts as such. */
void relay_carrier_leaves(struct relay *relay);
/* leaving → gone; or established → gone. */
void relay_carrier_left(struct relay *relay, bool was_leaving);
/* established, with nothing to do but to wait for an answer to a message that was given back as
 * unknown; or no longer so. */
void relay_carrier_detached(struct relay *relay, bool is_detached);
/* Does something wait for a session for which there is no room, because more than half of it is
 * taken up by such carriers? */
bool relay_wants_place(struct relay *relay, uint64_t now_us);
/* One went for that. Where the relay still says "too many", another waits for half a minute. */
void relay_made_place(struct relay *relay, uint64_t now_us);
/* Are more established than there may be, since it became fewer? */
bool relay_is_crowded(struct relay *relay);
/* opening → gone. Gives back, as a list, the deliveries that share its fate: those that were
 * waiting when it began, unless other sessions are up, or it was only one too many (`busy`: the
 * relay answered, for a while, no); all that wait if the relay rests now. */
struct relay_failure {
	const struct smtp_verdict *verdict;
	const struct smtp_said *said; /* code 0: nothing */
	const char *words;
	bool brings, busy;
	bool without_token; /* the relay was not even asked: there was no token to show */
	bool was_too_many;  /* out: others are up, and it was one too many */
	uint64_t began_us;
};
struct delivery *relay_carrier_failed(struct relay *relay, struct relay_failure *failure,
	uint64_t now_us, struct relay_news *news_out);
/* opening → gone, through no fault of the relay's: nobody shares its fate. */
void relay_carrier_abandoned(struct relay *relay, bool brings, uint64_t now_us);
/* The same, for want of something of our own: where none is up or still opening, it gives back
 * those that were waiting at `began_us`. */
struct delivery *relay_carrier_prevented(
	struct relay *relay, bool brings, uint64_t began_us, uint64_t now_us);
/* A delivery waits again. One of which a part is still to come does so behind its key's others, so
 * that many parts do not hold up a single mail; one that relay_kept_waiting took out, where it was.
 * False: the relay is retired. */
enum relay_place { RELAY_BEHIND, RELAY_WHERE_IT_WAS };
bool relay_take_back(
	struct relay *relay, struct delivery *delivery, enum relay_place place, int *worker_out);
/* One whose session was one too many waits again, before all others, if there are sessions: it is
 * for one of them, or for the place of one. */
bool relay_put_back(struct relay *relay, struct delivery *delivery);
/* Something may go now, and another worker has a carrier to spare for it: which one to wake. */
bool relay_has_idle_elsewhere(
	struct relay *relay, unsigned worker, uint64_t now_us, unsigned *worker_out);

/* A relay that offers PIPELINING and fell out of step is talked to without for a minute. */
void relay_distrust_pipelining(struct relay *relay, uint64_t now_us);
void relay_trust_pipelining(struct relay *relay);
bool relay_distrusts_pipelining(const struct relay *relay, uint64_t now_us);

/* Takes out, as a list of up to `most`, those that wait for nothing: at a relay that rests and has
 * no session that works, or wants nothing until behind their deadline. */
struct delivery *relay_stranded(struct relay *relay, uint64_t now_us, size_t most);
/* The same for those that have waited for half of their time where no session works. */
struct delivery *relay_kept_waiting(struct relay *relay, uint64_t now_us, size_t most);
/* A woken worker found nothing to do. */
void relay_forget_promises(struct relay *relay, unsigned worker);
/* Does the next message have to wait: for a rate, or behind others? */
bool relay_wants_turns(struct relay *relay, uint64_t now_us);
/* Takes out, as a list of up to `most`, what is past its deadline. */
struct delivery *relay_expire(struct relay *relay, uint64_t now_us, size_t most);
/* The same for what comes out of the queue (turns_take_queued). */
struct delivery *relay_take_queued(struct relay *relay);
/* Takes out everything that waits, as a list. */
struct delivery *relay_empty(struct relay *relay);
/* No further carriers; those that are idle leave. */
void relay_retire(struct relay *relay);
bool relay_is_retired(const struct relay *relay);

/* What the carrier that was heard of last is at while it opens: where a delivery that waits for it
 * is held up. */
void relay_note_opening(struct relay *relay, enum smtp_phase phase);

/* ---- what it says of itself, and what was found out */

/* A session told us to slow down, or that there are too many. Those that cannot wait for as long as
 * it says are stranded. */
void relay_throttled(
	struct relay *relay, uint32_t seconds, uint64_t now_us, struct relay_news *news_out);
/* A session is over. */
void relay_learn(struct relay *relay, const struct session_life *life, struct relay_news *news_out);
/* It took so many recipients in one transaction, and not one more. */
void relay_learn_recipients(
	struct relay *relay, uint32_t taken, uint64_t now_us, struct relay_news *news_out);
/* How long a session may idle or live, in ms, and how many messages it may carry: the settings', or
 * what was learned. 0: no limit. */
uint32_t relay_idle_ms(const struct relay *relay);
uint32_t relay_lifetime_ms(const struct relay *relay);
uint32_t relay_messages(const struct relay *relay);
uint32_t relay_recipients(const struct relay *relay);
/* Did it hang up, lately, on sessions in use? Then content that goes out with the envelope may go
 * into the void. */
bool relay_hangs_up(const struct relay *relay);
/* What a session's EHLO offered last, for those who look. */
void relay_note_offer(struct relay *relay, const struct smtp_features *offer, const char *tls);

/* Can nothing go there until *until_us? */
bool relay_rests(const struct relay *relay, uint64_t now_us, uint64_t *until_us);
/* Is its first session behind a rest being opened, or is it silent? Others are better off
 * elsewhere. */
bool relay_is_probing(const struct relay *relay, uint64_t now_us);
/* Somebody has mended it: it is tried again, unless the relay itself asked for the rest. */
void relay_wake(struct relay *relay, struct relay_news *news_out);
/* It rests, or is about to, because there was no token, and now there is one: it is tried again at
 * once. False: that is not so. */
bool relay_token_came(struct relay *relay, uint64_t now_us, struct relay_news *news_out);

/* The last that went wrong. */
struct relay_trouble {
	struct smtp_verdict verdict;
	struct smtp_said said; /* its text is in `words` */
	char words[512];
	int64_t at_ms; /* since 1970; 0: nothing did */
};

struct relay_state {
	struct relay_counts {
		unsigned opening, idle, busy, leaving, waiting, window;
		unsigned detached;             /* of those busy */
		enum smtp_phase opening_phase; /* where there are any */
	} counts;
	struct window window;
	struct learned learned;
	struct relay_trouble trouble;
	struct smtp_features offer; /* `offered` 0: not known */
	const char *tls;            /* NULL: clear, or not known */
	int64_t worked_ms;          /* when a session last became ready, since 1970; 0: never */
	bool distrusts_pipelining;
};
struct relay_counts relay_counts(struct relay *relay);
void relay_state(struct relay *relay, uint64_t now_us, struct relay_state *state_out);
