/* relay_own - what a relay is made of (for relay.c and relay_*.c alone) */
#pragma once

#include "service/relay/relay.h"
#include "service/relay/turns.h"
#include "smtp/session/scram.h"

#include <pthread.h>
#include <stdatomic.h>

struct relay {
	atomic_uint references;
	struct settings *settings; /* held */
	const struct relay_settings *own;
	struct smtp_policy policy;
	struct tls *tls;
	struct oauth *oauth; /* held; NULL: it has no token endpoint */
	struct share *share; /* held */
	struct relay_metrics *metrics;
	struct scram_keys scram_keys[WORKERS_MAX]; /* each worker's own: no lock */
	atomic_bool is_retired;
	atomic_int opening_phase;
	atomic_uint_fast64_t distrust_until_us;
	/* changed under the lock, looked at without */
	atomic_uint waiting;
	atomic_uint_fast64_t unsure_from_us;  /* when it is no longer sure that it works */
	atomic_uint_fast64_t closed_until_us; /* nothing can go there */
	atomic_bool is_probing, hangs_up;
	atomic_bool lacks_token; /* that is why the last session could not be opened */
	atomic_uint idle_ms, lifetime_ms, messages, recipients; /* limits in force; 0: none */
	pthread_mutex_t lock;                                   /* over all that follows */
	struct turns turns;
	unsigned workers;
	unsigned opening, established, leaving;
	unsigned detached; /* of those established, how many wait for nothing but a late answer */
	unsigned bringing; /* of those opening, how many bring a delivery of their own */
	unsigned idle[WORKERS_MAX], idle_all;
	unsigned promised[WORKERS_MAX]; /* idle ones that a worker was woken for */
	unsigned next_worker;           /* whose turn it is to open a carrier */
	struct window window;
	uint64_t opened_us;  /* when the last carrier began to open */
	uint64_t heard_us;   /* when a session was last ready, or took something up */
	uint64_t unready_us; /* since when one opens while none is up; 0: that is not so */
	unsigned peak;       /* most that were up lately */
	uint64_t peak_us;    /* … since when */
	bool is_proven;      /* a session became ready since nobody knows better */
	/* when a late answer was given up for a place; 0: a session was opened since. … and if the
	 * relay did not give that away, none is until then */
	uint64_t made_us, barren_until_us;
	uint64_t warm_after_us; /* when sessions may be opened that nobody waits for */
	/* the rate: a message is due at due_us, or has been for up to BURST_US */
	uint64_t due_us, interval_us;
	struct learned learned;
	struct relay_trouble trouble;
	struct smtp_features offer;
	const char *offer_tls;
	int64_t worked_ms;
};

/* Lets those look who do not take the lock: to be called, with it, when carriers or rest change. */
void relay_show(struct relay *relay);

/* What may change and is worth a word, as it is now. To be told as news when the lock is still
 * held, and logged when it is not. */
struct relay_notes {
	struct window window;
	struct learned learned;
};
struct relay_notes relay_notes(const struct relay *relay);
struct relay_news relay_news(const struct relay *relay, const struct relay_notes *before);

/* ---- relay_work.c; with the lock */

/* turns_take_all of those that wait. */
struct delivery *relay_take_all(
	struct relay *relay, uint64_t deadline_us, uint64_t queued_us, size_t most);
/* Something was added to the queue, or taken out of it. */
void relay_note_waiting(struct relay *relay);
/* As the relay counts them. */
unsigned relay_sessions(const struct relay *relay);
/* Do more wait for late answers than may, where others want their place? */
bool relay_has_detached_to_spare(const struct relay *relay);
/* Is there a session that works? One that is silent over a message for long proves nothing. */
bool relay_is_up(const struct relay *relay, uint64_t now_us);

enum { RELAY_PEAK_US = 1000000 }; /* how long `peak` holds */
