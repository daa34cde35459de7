/* metrics_own - what metrics.c (counting) and metrics_print.c, _relays.c and _lines.c (telling)
 * share */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "service/metrics/metrics.h"

enum {
	SHARES = 8,
	RELAY_ROWS = 127,   /* of relays; what comes later is counted together behind them */
	REQUEST_ROWS = 127, /* of route and status; the rest is counted together behind them */
	DURATION_BOUNDS = 16,
	MESSAGE_BOUNDS = 10,
	SECONDS = 4,
};

extern const uint32_t duration_bounds_us[DURATION_BOUNDS];
extern const uint32_t message_bounds[MESSAGE_BOUNDS];

struct durations {
	atomic_uint_least64_t buckets[DURATION_BOUNDS + 1], sum_us;
};

/* One thread's part, or that of a few: what is told is the sum of all. */
struct metrics_share {
	_Alignas(64) atomic_uint_least64_t requests[REQUEST_ROWS + 1];
	struct durations request_durations, send_durations, phase_durations[SMTP_PHASES];
	atomic_uint_least64_t sends[SMTP_OUTCOMES][SMTP_PHASES];
	atomic_uint_least64_t recipients[SMTP_OUTCOMES];
	atomic_uint_least64_t session_messages[MESSAGE_BOUNDS + 1], session_messages_sum;
};

struct metrics_second {
	atomic_uint_least64_t number, count;
};

struct relay_metrics {
	char name[33];
	atomic_uint_least64_t opened, closed[SESSION_ENDS], tokens[OAUTH_RESULTS];
	atomic_bool wants_tokens; /* else nothing is told of them */
};

struct metrics {
	struct metrics_share shares[SHARES];
	struct metrics_second seconds[SECONDS]; /* messages settled, by second */
	atomic_uint_least64_t webhooks[WEBHOOK_RESULTS], not_recorded, events_dropped;
	pthread_mutex_t lock; /* for adding rows */
	atomic_size_t request_count, relay_count;
	struct relay_metrics relays[RELAY_ROWS + 1];
	struct {
		const char *route;
		unsigned status;
	} requests[REQUEST_ROWS];
};

/* ---- telling */

struct printing {
	const struct metrics *metrics;
	const struct metrics_gauges *gauges;
	bool open_metrics;
	struct buf *out;
};

/* Over all shares, by where the counter stands in the first. */
uint64_t metrics_sum(const struct metrics *metrics, const atomic_uint_least64_t *in_first_share);

void print_family(
	const struct printing *printing, const char *name, const char *type, const char *help);
/* A label's value: closed sets need no escape, a relay's configured name might. */
void print_label(const struct printing *printing, const char *separator, const char *name,
	const char *value);
/* Up to two labels; NULL: no more. */
void print_sample(const struct printing *printing, const char *name, const char *label_a,
	const char *value_a, const char *label_b, const char *value_b, uint64_t value);
/* A family of one sample. */
void print_gauge(
	const struct printing *printing, const char *name, const char *help, uint64_t value);
/* Of those in `buckets` each is below its bound, in units of `unit`, the last above all; `total` is
 * their sum. `label` may be NULL. */
void print_histogram(const struct printing *printing, const char *name, const char *label,
	const char *value, const atomic_uint_least64_t *buckets, const uint32_t *bounds,
	size_t count, double unit, const atomic_uint_least64_t *total);
void print_durations(const struct printing *printing, const char *name, const char *label,
	const char *value, const struct durations *durations);
/* "0.0025", "1.0": floats, as OpenMetrics wants them. */
const char *bound_text(double bound, char room[24]);

/* The families of relays and their sessions. */
void print_relays(const struct printing *printing);
