/* lettergate - the running gateway: what its parts share, and what HTTP asks of it
 *
 * One for the process. Parts that are never exchanged (log, metrics, records, workers) are plain
 * members; keys, relays and settings are exchanged by a reload, behind `lock`. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "http/gateway.h"
#include "service/keys/keys.h"
#include "service/session/known.h"
#include "service/log/log.h"
#include "service/metrics/metrics.h"
#include "service/template/catalogue.h"
#include "service/relay/fleet.h"
#include "service/relay/share.h"
#include "service/records.h"
#include "service/queue/repeats.h"

struct awaited;
struct oauth_crew;
struct counting;
struct courier;
struct endings;
struct listening;
struct lists;
struct queue;
struct stock;
struct webhooks;
struct worker;

struct lettergate {
	struct log *log;
	struct metrics *metrics;
	struct records *records;
	struct repeats *repeats;
	struct catalogue *catalogue;
	struct queue *queue;         /* NULL: there is no store */
	struct counting *counting;   /* the same */
	struct courier *courier;     /* the same */
	struct listening *listening; /* the same */
	struct lists *lists;         /* the same */
	struct awaited *awaited;     /* the same */
	struct endings *endings;     /* the same */
	struct stock *stock;         /* the same */
	struct webhooks *webhooks;   /* the same */
	struct known *known;         /* addresses, for the workers' resolvers */
	struct oauth_crew *crew;     /* who fetches tokens */
	pthread_rwlock_t lock;       /* over keys, fleet, settings and is_stopping */
	struct keys *keys;
	struct settings *settings; /* in force: who signs */
	struct fleet *fleet;       /* NULL: captures */
	struct worker *workers[WORKERS_MAX];
	unsigned worker_count;
	bool captures;
	struct room room; /* what each relay takes up of what may be in flight */
	unsigned max_in_flight;
	uint64_t max_in_flight_bytes;
	atomic_uint in_flight;
	atomic_uint checks; /* of relays, under way */
	atomic_uint_fast64_t in_flight_bytes;
	atomic_bool is_draining; /* /readyz says no */
	bool is_stopping;        /* behind the lock: nothing new is taken */
	/* The queue's thread: events that went before their time since the log said so. */
	uint64_t events_dropped, drops_told_us;
};

/* Takes over `settings`, also when it fails; starts the workers. A line in *why. ERR_AWAY: the
 * store cannot be reached. */
MUST_USE enum err lettergate_open(struct settings *settings, struct log *log,
	struct lettergate **lettergate_out, struct buf *why);
/* While it drains, some times a second, by the thread of lettergate_stop: what came out of the
 * queue and waits for a session goes back, so that nothing is begun that the end would cut off. */
void lettergate_give_back(struct lettergate *lettergate);
/* Lets the sessions say goodbye; what is still under way is settled as not sent, or unknown. */
void lettergate_stop(struct lettergate *lettergate);
/* After lettergate_stop, and after the server was closed. NULL is fine. */
void lettergate_close(struct lettergate *lettergate);
/* The function table for HTTP (gateway.c). It must not outlive the gateway. */
void lettergate_serve(struct lettergate *lettergate, struct gateway *gateway_out);
/* What settings name that has to be read: it may be a while before a file answers. */
struct lettergate_files {
	struct keys *keys;
	struct shelf *shelf;
};
/* Any thread. A line in *why. */
MUST_USE enum err lettergate_read(
	const struct settings *settings, struct lettergate_files *files_out, struct buf *why);
void lettergate_forget(struct lettergate_files *files); /* what was read, and not taken up */
/* Exchanges keys, relays, templates and settings. On an error all stays as it was. Takes over
 * `settings`, and of the files what it makes NULL. */
MUST_USE enum err lettergate_reload(struct lettergate *lettergate, struct settings *settings,
	struct lettergate_files *files, struct buf *why);
/* Messages handed over and not yet settled. */
unsigned lettergate_in_flight(struct lettergate *lettergate);
