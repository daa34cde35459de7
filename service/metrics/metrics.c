#include "service/metrics/metrics_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const ends[SESSION_ENDS] = {
	[SESSION_END_IDLE] = "idle",
	[SESSION_END_USED_UP] = "used_up",
	[SESSION_END_RELAY] = "relay",
	[SESSION_END_TIMEOUT] = "timeout",
	[SESSION_END_ERROR] = "error",
	[SESSION_END_FAILED] = "failed",
	[SESSION_END_DRAIN] = "drain",
};

const char *session_end_name(enum session_end end)
{
	return ends[end];
}

const uint32_t duration_bounds_us[DURATION_BOUNDS] = { 500, 1000, 2500, 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000 };
const uint32_t message_bounds[MESSAGE_BOUNDS] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000 };

enum err metrics_open(struct metrics **metrics_out)
{
	struct metrics *metrics = aligned_alloc(_Alignof(struct metrics), sizeof(*metrics));

	if (!metrics)
		return ERR_MEMORY;
	memset(metrics, 0, sizeof(*metrics));
	pthread_mutex_init(&metrics->lock, NULL);
	*metrics_out = metrics;
	return OK;
}

void metrics_close(struct metrics *metrics)
{
	if (!metrics)
		return;
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

/* ---- counting */

/* Every thread takes a share in turn, and keeps it. */
static struct metrics_share *share_of(struct metrics *metrics)
{
	static atomic_uint threads;
	static _Thread_local unsigned mine; /* 0: none yet */

	if (!mine)
		mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARES + 1;
	return &metrics->shares[mine - 1];
}

static void add(atomic_uint_least64_t *counter, uint64_t value)
{
	atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static size_t bucket_of(const uint32_t *bounds, size_t count, uint64_t value)
{
	size_t bucket = 0;

	while (bucket < count && value > bounds[bucket])
		bucket++;
	return bucket;
}

static void add_duration(struct durations *durations, uint64_t us)
{
	add(&durations->buckets[bucket_of(duration_bounds_us, DURATION_BOUNDS, us)], 1);
	add(&durations->sum_us, us);
}

static size_t find_request(
	const struct metrics *metrics, size_t count, const char *route, unsigned status)
{
	for (size_t i = 0; i < count; i++)
		if (metrics->requests[i].status == status &&
			(metrics->requests[i].route == route ||
				strcmp(metrics->requests[i].route, route) == 0))
			return i;
	return count;
}

/* Rows are only ever added: who sees the count sees the rows below it. */
static size_t request_row(struct metrics *metrics, const char *route, unsigned status)
{
	size_t count = atomic_load_explicit(&metrics->request_count, memory_order_acquire);
	size_t row = find_request(metrics, count, route, status);

	if (row < count)
		return row;
	pthread_mutex_lock(&metrics->lock);
	count = atomic_load_explicit(&metrics->request_count, memory_order_relaxed);
	row = find_request(metrics, count, route, status);
	if (row == count && count < REQUEST_ROWS) {
		metrics->requests[row].route = route;
		metrics->requests[row].status = status;
		atomic_store_explicit(&metrics->request_count, count + 1, memory_order_release);
	}
	pthread_mutex_unlock(&metrics->lock);
	return row; /* REQUEST_ROWS: the row of the rest */
}

void metrics_request(struct metrics *metrics, const char *route, unsigned status, uint64_t took_us)
{
	struct metrics_share *share = share_of(metrics);

	add(&share->requests[request_row(metrics, route ? route : "", status)], 1);
	add_duration(&share->request_durations, took_us);
}

/* The moment's second starts from nothing; a message that is lost in the change does no harm. */
static void count_second(struct metrics *metrics)
{
	struct timespec now;
	struct metrics_second *second;
	uint64_t number, seen;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	number = (uint64_t)now.tv_sec;
	second = &metrics->seconds[number % SECONDS];
	seen = atomic_load_explicit(&second->number, memory_order_relaxed);
	if (seen != number && atomic_compare_exchange_strong(&second->number, &seen, number))
		atomic_store_explicit(&second->count, 0, memory_order_relaxed);
	add(&second->count, 1);
}

void metrics_send(
	struct metrics *metrics, enum smtp_outcome outcome, enum smtp_phase phase, uint64_t took_us)
{
	struct metrics_share *share = share_of(metrics);

	add(&share->sends[outcome][phase], 1);
	add_duration(&share->send_durations, took_us);
	count_second(metrics);
}

void metrics_recipient(struct metrics *metrics, enum smtp_outcome outcome)
{
	add(&share_of(metrics)->recipients[outcome], 1);
}

void metrics_phase(struct metrics *metrics, enum smtp_phase phase, uint64_t took_us)
{
	add_duration(&share_of(metrics)->phase_durations[phase], took_us);
}

struct relay_metrics *metrics_relay(struct metrics *metrics, const char *name)
{
	size_t row = 0, count;

	pthread_mutex_lock(&metrics->lock);
	count = atomic_load_explicit(&metrics->relay_count, memory_order_relaxed);
	while (row < count && strcmp(metrics->relays[row].name, name) != 0)
		row++;
	if (row == count && count < RELAY_ROWS) {
		snprintf(metrics->relays[row].name, sizeof(metrics->relays[row].name), "%s", name);
		atomic_store_explicit(&metrics->relay_count, count + 1, memory_order_release);
	}
	pthread_mutex_unlock(&metrics->lock);
	return &metrics->relays[row];
}

void metrics_session_opened(struct relay_metrics *relay)
{
	if (relay)
		add(&relay->opened, 1);
}

void metrics_session_failed(struct relay_metrics *relay)
{
	if (relay)
		add(&relay->closed[SESSION_END_FAILED], 1);
}

void metrics_session_closed(struct metrics *metrics, struct relay_metrics *relay,
	enum session_end end, unsigned messages)
{
	struct metrics_share *share = share_of(metrics);

	if (relay)
		add(&relay->closed[end], 1);
	add(&share->session_messages[bucket_of(message_bounds, MESSAGE_BOUNDS, messages)], 1);
	add(&share->session_messages_sum, messages);
}

void metrics_token_wanted(struct relay_metrics *relay)
{
	if (relay)
		atomic_store_explicit(&relay->wants_tokens, true, memory_order_relaxed);
}

void metrics_token(struct relay_metrics *relay, enum oauth_result result)
{
	if (relay)
		add(&relay->tokens[result], 1);
}

void metrics_webhook(struct metrics *metrics, enum webhook_result result)
{
	add(&metrics->webhooks[result], 1);
}

void metrics_not_recorded(struct metrics *metrics)
{
	add(&metrics->not_recorded, 1);
}

void metrics_events_dropped(struct metrics *metrics, uint64_t events)
{
	add(&metrics->events_dropped, events);
}

double metrics_sends_per_s(struct metrics *metrics, uint64_t now_us)
{
	uint64_t now = now_us / 1000000, count = 0;

	/* the last full second; where that was empty, what there is of this one */
	for (uint64_t number = now ? now - 1 : 0; number <= now && !count; number++) {
		struct metrics_second *second = &metrics->seconds[number % SECONDS];

		if (atomic_load_explicit(&second->number, memory_order_relaxed) == number)
			count = atomic_load_explicit(&second->count, memory_order_relaxed);
	}
	return (double)count;
}
