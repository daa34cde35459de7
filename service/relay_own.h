/* relay_own - what a relay is made of (for relay.c and relay_work.c alone) */
#pragma once

#include "service/relay.h"
#include "smtp/scram.h"

#include <pthread.h>
#include <stdatomic.h>

struct relay {
	atomic_uint references;
	struct settings *settings;
	struct smtp_policy policy;
	struct tls *tls;
	struct scram_keys scram_keys[WORKERS_MAX]; /* each worker's own: no lock */
	atomic_bool is_retired;
	atomic_int opening_phase;
	atomic_uint_fast64_t distrust_until_us;
	pthread_mutex_t lock; /* over all that follows */
	struct delivery *first, **last;
	unsigned workers;
	atomic_uint waiting; /* changed under the lock, looked at without */
	unsigned opening, established, leaving;
	unsigned bringing; /* of those opening, how many bring a delivery of their own */
	unsigned idle[WORKERS_MAX], idle_all;
	unsigned promised[WORKERS_MAX]; /* idle ones that a worker was woken for */
	unsigned next_worker;           /* whose turn it is to open a carrier */
	/* how many carriers there may be; narrowed when the relay wants fewer */
	unsigned window;
	uint64_t narrowed_us; /* when it last changed */
	uint64_t pause_until_us;
	uint64_t warm_after_us; /* when sessions may be opened that nobody waits for */
	/* the rate: a message is due at due_us, or has been for up to BURST_US */
	uint64_t due_us, interval_us;
};
