/* metrics - what is counted, and how it is told to Prometheus
 *
 * Counters are atomics, spread so that threads do not share a line where it matters. Labels come
 * from closed sets only: enums, route patterns, the relay's configured name. */
#pragma once

#include <stdint.h>

#include "http/gateway.h"
#include "service/oauth/oauth_grant.h"
#include "service/queue/repeats.h"
#include "service/webhook/webhook_post.h"
#include "smtp/buf.h"

struct counts_job;
struct metrics;

/* Why a session ended: the label `reason`. */
enum session_end {
	SESSION_END_IDLE,    /* our limit of idleness */
	SESSION_END_USED_UP, /* as many messages as allowed */
	SESSION_END_RELAY,   /* the relay hung up or said goodbye */
	SESSION_END_TIMEOUT,
	SESSION_END_ERROR,  /* something odd was seen, or a transaction could not be undone */
	SESSION_END_FAILED, /* never became ready */
	SESSION_END_DRAIN,  /* we stop, or settings changed */
	SESSION_ENDS,
};
const char *session_end_name(enum session_end end);

MUST_USE enum err metrics_open(struct metrics **metrics_out);
void metrics_close(struct metrics *metrics);

void metrics_request(struct metrics *metrics, const char *route, unsigned status, uint64_t took_us);
void metrics_send(struct metrics *metrics, enum smtp_outcome outcome, enum smtp_phase phase,
	uint64_t took_us);
void metrics_recipient(struct metrics *metrics, enum smtp_outcome outcome);
void metrics_phase(struct metrics *metrics, enum smtp_phase phase, uint64_t took_us);

/* What is counted by relay, under its name: the same after a reload. Lives as long as `metrics`. */
struct relay_metrics;
struct relay_metrics *metrics_relay(struct metrics *metrics, const char *name);
/* `relay` NULL: not counted. Opened: it became ready, and will be closed; failed: it never was. */
void metrics_session_opened(struct relay_metrics *relay);
void metrics_session_failed(struct relay_metrics *relay);
void metrics_session_closed(struct metrics *metrics, struct relay_metrics *relay,
	enum session_end end, unsigned messages);

/* It needs tokens, and here is what came of asking for one. NULL: not counted. */
void metrics_token_wanted(struct relay_metrics *relay);
void metrics_token(struct relay_metrics *relay, enum oauth_result result);

/* What came of a try to deliver an event; or, beside that, that an event was given up. */
void metrics_webhook(struct metrics *metrics, enum webhook_result result);

/* A message that was sent directly has its answer, and the store does not know of it. */
void metrics_not_recorded(struct metrics *metrics);

/* Events that went before their time. */
void metrics_events_dropped(struct metrics *metrics, uint64_t events);

/* What is not counted but looked at. */
struct metrics_gauges {
	size_t relay_count;
	const struct relay_gauges {
		const char *name;
		unsigned opening, idle, busy, leaving, waiting, window;
		bool is_resting;
		struct relay_value {
			const char *name; /* NULL: no more */
			double value;     /* seconds where it is a time */
		} learned[5], rests[4], held_back[6];
	} * relays;
	unsigned in_flight;
	uint64_t in_flight_bytes;
	struct repeats_counts repeats;
	unsigned webhooks_gone; /* disabled by their receivers */
	size_t webhook_count;
	const struct webhook_gauges {
		char name[64];
		uint64_t behind_s; /* the age of the oldest event that it has not had */
	} * webhooks;
	uint64_t log_dropped;
	const struct counts_job *queue; /* NULL: there is none, or it could not be asked */
};
void metrics_print(struct metrics *metrics, const struct metrics_gauges *gauges, bool open_metrics,
	struct buf *out);
/* Messages settled in the last full second or so, for Retry-After; 0: none yet. */
double metrics_sends_per_s(struct metrics *metrics, uint64_t now_us);
