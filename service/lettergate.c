#include "service/lettergate.h"

#include "service/capture.h"
#include "service/clock.h"
#include "service/settle.h"
#include "service/worker.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 10000, KEEP_MS = 600000, CAPTURED_BYTES = 256 << 20, PAUSE_MAX_S = 60 };

/* ---- what HTTP asks */

static void stamp(void *self, struct stamp *stamp_out)
{
	(void)self;
	stamp_out->unix_ms = now_unix_ms();
	stamp_out->now_us = now_us();
	random_bytes(stamp_out->random, sizeof(stamp_out->random));
}

static bool admit(void *self, struct text secret, struct region *region, struct caller *caller_out)
{
	struct lettergate *lettergate = self;
	bool admitted;

	pthread_rwlock_rdlock(&lettergate->lock);
	admitted = keys_admit(lettergate->keys, secret, now_unix_ms(), region, caller_out);
	pthread_rwlock_unlock(&lettergate->lock);
	return admitted;
}

static bool charge(
	void *self, const struct caller *caller, size_t messages, struct rate_state *rate_out)
{
	struct lettergate *lettergate = self;
	bool allowed;

	pthread_rwlock_rdlock(&lettergate->lock);
	allowed = keys_charge(
		lettergate->keys, caller->key_id, messages, now_us(), now_unix_ms(), rate_out);
	pthread_rwlock_unlock(&lettergate->lock);
	return allowed;
}

static void release(void *self, uint64_t bytes)
{
	struct lettergate *lettergate = self;

	atomic_fetch_sub(&lettergate->in_flight_bytes, bytes);
}

static bool reserve(void *self, uint64_t bytes)
{
	struct lettergate *lettergate = self;
	uint64_t before = atomic_fetch_add(&lettergate->in_flight_bytes, bytes);

	if (before + bytes <= lettergate->max_in_flight_bytes)
		return true;
	release(self, bytes);
	return false;
}

/* As long as it takes to work off what is in flight, by the rate that was seen last. */
static uint32_t overload_pause_s(void *self)
{
	struct lettergate *lettergate = self;
	double rate = metrics_sends_per_s(lettergate->metrics, now_us());
	double pause_s = rate > 0 ? atomic_load(&lettergate->in_flight) / rate : 1;

	if (pause_s > PAUSE_MAX_S)
		return PAUSE_MAX_S;
	return pause_s < 1 ? 1 : (uint32_t)(pause_s + 0.5);
}

static bool is_known_relay(const struct lettergate *lettergate, struct text name)
{
	if (lettergate->captures)
		return text_equal(name, TEXT("capture"));
	return text_equal(name, text_of(relay_settings(lettergate->relay)->name));
}

static bool may_use(const struct lettergate *lettergate, const struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->relay_count; i++)
		if (is_known_relay(lettergate, delivery->relays[i]))
			return true;
	return delivery->relay_count == 0;
}

static enum submission submit(void *self, struct delivery *delivery)
{
	struct lettergate *lettergate = self;
	enum submission submission = SUBMITTED;
	int worker = NO_WORKER;

	if (atomic_fetch_add(&lettergate->in_flight, 1) >= lettergate->max_in_flight) {
		atomic_fetch_sub(&lettergate->in_flight, 1);
		return SUBMISSION_OVERLOADED;
	}
	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->is_stopping)
		submission = SUBMISSION_DRAINING;
	else if (delivery->relay.len && !is_known_relay(lettergate, delivery->relay))
		submission = SUBMISSION_NO_RELAY;
	else if (!may_use(lettergate, delivery))
		submission = SUBMISSION_RELAY_FORBIDDEN;
	delivery->queued_us = now_us();
	if (submission == SUBMITTED && !lettergate->captures)
		worker = relay_submit(lettergate->relay, delivery);
	pthread_rwlock_unlock(&lettergate->lock);
	if (submission != SUBMITTED) {
		atomic_fetch_sub(&lettergate->in_flight, 1);
		return submission;
	}
	if (lettergate->captures)
		capture(lettergate, delivery);
	else if (worker != NO_WORKER)
		worker_wake(lettergate->workers[worker]);
	return SUBMITTED;
}

static bool look_up(void *self, const struct caller *caller, struct text id,
	void (*see)(const struct record *record, void *context), void *context)
{
	return records_look_up(((struct lettergate *)self)->records, caller, id, see, context);
}

static bool list(void *self, const struct caller *caller, const struct query *query,
	void (*see)(const struct record *record, void *context), void *context)
{
	return records_list(((struct lettergate *)self)->records, caller, query, see, context);
}

static enum err raw(void *self, const struct caller *caller, struct text id, struct region *region,
	struct text *raw_out)
{
	return records_raw(((struct lettergate *)self)->records, caller, id, region, raw_out);
}

static struct relay_counts count_carriers(struct lettergate *lettergate)
{
	struct relay_counts counts = { 0 };

	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->relay)
		counts = relay_counts(lettergate->relay);
	pthread_rwlock_unlock(&lettergate->lock);
	return counts;
}

static bool ready(void *self, struct buf *json)
{
	struct lettergate *lettergate = self;
	bool is_ready = !atomic_load(&lettergate->is_draining);
	struct relay_counts counts = count_carriers(lettergate);

	buf_addf(json, "{\"ready\":%s,\"draining\":%s,\"in_flight\":%u,\"relay\":",
		is_ready ? "true" : "false", is_ready ? "false" : "true",
		atomic_load(&lettergate->in_flight));
	buf_addf(json,
		"{\"sessions\":{\"opening\":%u,\"idle\":%u,\"busy\":%u},\"waiting\":%u,"
		"\"window\":%u}}",
		counts.opening, counts.idle, counts.busy, counts.waiting, counts.window);
	return is_ready;
}

static void print_metrics(void *self, bool open_metrics, struct buf *text)
{
	struct lettergate *lettergate = self;
	struct relay_counts counts = count_carriers(lettergate);
	struct metrics_gauges gauges = { .sessions_opening = counts.opening,
		.sessions_idle = counts.idle,
		.sessions_busy = counts.busy,
		.waiting = counts.waiting,
		.window = counts.window,
		.in_flight = atomic_load(&lettergate->in_flight),
		.in_flight_bytes = atomic_load(&lettergate->in_flight_bytes),
		.log_dropped = log_dropped(lettergate->log) };

	/* the relay's name is the settings', which a reload may take away */
	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->relay)
		gauges.relay = relay_settings(lettergate->relay)->name;
	metrics_print(lettergate->metrics, &gauges, open_metrics, text);
	pthread_rwlock_unlock(&lettergate->lock);
}

static void observe(void *self, const struct exchange_seen *seen)
{
	struct lettergate *lettergate = self;
	struct log_line line;

	metrics_request(lettergate->metrics, seen->route, seen->status, seen->took_us);
	line = log_line(lettergate->log, seen->status >= 400 ? LOG_INFO : LOG_DEBUG, "request");
	log_text(&line, "request_id", seen->request_id);
	log_text(&line, "key_id", seen->key_id);
	log_string(&line, "method", seen->method);
	log_string(&line, "route", seen->route);
	log_u64(&line, "status", seen->status);
	log_text(&line, "client", seen->client);
	log_text(&line, "traceparent", seen->traceparent);
	log_ms(&line, "ms", seen->took_us);
	log_end(&line);
}

void lettergate_serve(struct lettergate *lettergate, struct gateway *gateway_out)
{
	*gateway_out = (struct gateway){ .self = lettergate,
		.stamp = stamp,
		.admit = admit,
		.charge = charge,
		.reserve = reserve,
		.release = release,
		.overload_pause_s = overload_pause_s,
		.submit = submit,
		.look_up = look_up,
		.list = list,
		.raw = raw,
		.ready = ready,
		.metrics = print_metrics,
		.observe = observe };
}

/* ---- life */

/* Half the cores that we may use: the other half is busy with HTTP, and a worker that always has
 * something to do costs less than two that wake each other. Nor more than there are sessions. */
static unsigned count_workers(const struct settings *settings)
{
	cpu_set_t cores;
	unsigned workers = 1;

	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		workers = (unsigned)CPU_COUNT(&cores) / 2;
	if (workers > settings->relay.sessions)
		workers = settings->relay.sessions;
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	return workers ? workers : 1;
}

/* A reload shall not wait for a moment without readers. */
static void open_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

static enum err open_parts(struct lettergate *lettergate, const struct settings *settings)
{
	enum err err = metrics_open(&lettergate->metrics);

	if (!err)
		err = records_open(RECORDS, KEEP_MS, lettergate->captures ? CAPTURED_BYTES : 0,
			&lettergate->records);
	lettergate->max_in_flight = settings->max_in_flight;
	lettergate->max_in_flight_bytes = settings->max_in_flight_bytes;
	return err;
}

static enum err start_workers(struct lettergate *lettergate, unsigned count)
{
	enum err err = OK;

	while (!err && lettergate->worker_count < count) {
		err = worker_open(lettergate, lettergate->worker_count,
			&lettergate->workers[lettergate->worker_count]);
		lettergate->worker_count += !err;
	}
	for (unsigned i = 0; !err && i < count; i++)
		err = worker_start(lettergate->workers[i]);
	return err;
}

enum err lettergate_open(struct settings *settings, struct log *log,
	struct lettergate **lettergate_out, struct buf *why)
{
	struct lettergate *lettergate = calloc(1, sizeof(*lettergate));
	unsigned workers = count_workers(settings);
	enum err err = lettergate ? OK : ERR_MEMORY;

	if (!err) {
		open_lock(&lettergate->lock);
		lettergate->log = log;
		lettergate->captures = strcmp(settings->relay.host, "capture") == 0;
		err = open_parts(lettergate, settings);
	}
	if (!err)
		err = keys_load(settings->api_keys_file, settings->api_key, &lettergate->keys, why);
	if (err || lettergate->captures)
		settings_free(settings);
	else
		err = relay_open(settings, workers, &lettergate->relay, why);
	if (!err && !lettergate->captures)
		err = start_workers(lettergate, workers);
	if (err) {
		if (lettergate)
			lettergate_stop(lettergate);
		lettergate_close(lettergate);
		return err;
	}
	*lettergate_out = lettergate;
	return OK;
}

/* What waited for the old relay waits for the new one, if it may. */
static void hand_over(struct lettergate *lettergate, struct relay *from)
{
	struct delivery *next, *delivery = relay_empty(from);

	for (; delivery; delivery = next) {
		bool named = !delivery->relay.len || is_known_relay(lettergate, delivery->relay);

		next = delivery->next;
		delivery->next = NULL;
		if (named && may_use(lettergate, delivery))
			(void)relay_submit(lettergate->relay, delivery);
		else
			settle_lost(lettergate, delivery, SMTP_LOSS_DRAINING,
				"the relay that it may use was taken out of the settings");
	}
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_wake(lettergate->workers[i]);
}

enum err lettergate_reload(
	struct lettergate *lettergate, struct settings *settings, struct buf *why)
{
	struct keys *keys, *old_keys;
	struct relay *relay = NULL, *old_relay;
	bool captures = strcmp(settings->relay.host, "capture") == 0;
	enum err err;

	if (captures != lettergate->captures) {
		buf_add_string(why, "SMTP_HOST: a reload cannot begin or end capturing; restart");
		settings_free(settings);
		return ERR_VALUE;
	}
	err = keys_load(settings->api_keys_file, settings->api_key, &keys, why);

	if (err || lettergate->captures) {
		settings_free(settings);
		if (err)
			return err;
	} else {
		err = relay_open(settings, lettergate->worker_count, &relay, why);
	}
	if (err) {
		keys_free(keys);
		return err;
	}
	pthread_rwlock_wrlock(&lettergate->lock);
	old_keys = lettergate->keys;
	old_relay = lettergate->relay;
	keys_inherit(keys, old_keys);
	if (old_relay) /* before anybody can know the new one */
		relay_retire(old_relay);
	lettergate->keys = keys;
	lettergate->relay = relay;
	pthread_rwlock_unlock(&lettergate->lock);
	keys_free(old_keys);
	if (old_relay) {
		hand_over(lettergate, old_relay);
		relay_release(old_relay);
	}
	return OK;
}

static void settle_waiting(struct lettergate *lettergate)
{
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_DRAINING, SMTP_IN_QUEUE, false);

	if (lettergate->relay)
		settle_list(
			lettergate, relay_empty(lettergate->relay), &verdict, "the gateway stops");
}

void lettergate_stop(struct lettergate *lettergate)
{
	atomic_store(&lettergate->is_draining, true);
	pthread_rwlock_wrlock(&lettergate->lock);
	lettergate->is_stopping = true;
	pthread_rwlock_unlock(&lettergate->lock);
	settle_waiting(lettergate);
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_stop(lettergate->workers[i]);
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_join(lettergate->workers[i]);
	settle_waiting(lettergate); /* what a session had put back */
}

void lettergate_close(struct lettergate *lettergate)
{
	if (!lettergate)
		return;
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_close(lettergate->workers[i]);
	relay_release(lettergate->relay);
	keys_free(lettergate->keys);
	records_close(lettergate->records);
	metrics_close(lettergate->metrics);
	pthread_rwlock_destroy(&lettergate->lock);
	free(lettergate);
}

unsigned lettergate_in_flight(struct lettergate *lettergate)
{
	return atomic_load(&lettergate->in_flight);
}
