/* gateway - what HTTP asks of us: the function table of http/gateway.h */
#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/gateway_own.h"
#include "service/queue/counting.h"
#include "service/queue/courier.h"
#include "service/queue/keeping.h"
#include "service/queue/keyed.h"
#include "service/lettergate.h"
#include "service/queue/listening.h"
#include "service/queue/lists.h"
#include "service/queue/looking.h"
#include "service/queue/queue.h"
#include "service/webhook/webhooks.h"

enum { PAUSE_MAX_S = 60 };

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

/* Of messages out of the queue. */
static uint64_t bytes_out(const struct lettergate *lettergate)
{
	return lettergate->courier ? courier_bytes(lettergate->courier) : 0;
}

/* A request that is alone has room, whatever is out of the queue. */
static bool reserve(void *self, uint64_t held, uint64_t bytes)
{
	struct lettergate *lettergate = self;
	uint64_t before = atomic_fetch_add(&lettergate->in_flight_bytes, bytes);

	if (before == held ||
		before + bytes_out(lettergate) + bytes <= lettergate->max_in_flight_bytes)
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

/* The keys stay as long as somebody signs with them; a reload does not wait for that. */
static enum err sign(void *self, struct text domain, int64_t time_s, struct region *region,
	struct smtp_message *message)
{
	struct lettergate *lettergate = self;
	struct settings *settings = NULL;
	enum err err;

	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->settings->dkim.key_count)
		settings = settings_hold(lettergate->settings);
	pthread_rwlock_unlock(&lettergate->lock);
	if (!settings)
		return OK;
	err = dkim_sign_message(&settings->dkim, domain, time_s, region, message);
	settings_free(settings);
	return err;
}

/* Nothing is done for it: somebody came with its key before. A store is asked later. */
static bool is_repeat(struct lettergate *lettergate, struct delivery *delivery)
{
	if (!delivery->idempotency_key.len || lettergate->queue)
		return false;
	delivery->repeat = repeats_begin(lettergate->repeats, delivery, now_boot_us());
	return delivery->repeat != REPEAT_FIRST;
}

/* Into the queue, or on its way. */
static enum submission take(struct lettergate *lettergate, struct delivery *delivery)
{
	bool is_keyed = delivery->idempotency_key.len && lettergate->queue;
	bool waits = delivery->way == DELIVER_QUEUED && !delivery->dry_run;
	enum submission submission = waits ? dispatch_may(lettergate, delivery) : SUBMITTED;

	if (is_keyed && keyed_open(lettergate, delivery))
		return SUBMISSION_OVERLOADED;
	if (waits && !submission)
		keep(lettergate, delivery);
	else if (is_keyed) /* the first with this key may have found a relay */
		keyed_start(delivery);
	else
		return waits ? submission : dispatch(lettergate, delivery);
	return SUBMITTED;
}

/* What began with is_repeat ends here if nobody takes the delivery, else with remember(). */
static enum submission submit(void *self, struct delivery *delivery)
{
	struct lettergate *lettergate = self;
	enum submission submission = SUBMISSION_OVERLOADED;

	if (is_repeat(lettergate, delivery)) {
		delivery->done(delivery);
		return SUBMITTED;
	}
	if (atomic_fetch_add(&lettergate->in_flight, 1) < lettergate->max_in_flight)
		submission = take(lettergate, delivery);
	if (submission)
		atomic_fetch_sub(&lettergate->in_flight, 1);
	if (submission && delivery->repeat == REPEAT_FIRST)
		repeats_undo(lettergate->repeats, delivery);
	return submission;
}

static void remember(void *self, const struct delivery *delivery, struct text answer)
{
	struct lettergate *lettergate = self;

	if (!lettergate->queue) /* a store remembers by itself, or could not */
		repeats_end(lettergate->repeats, delivery, answer, now_boot_us());
}

static void ask(void *self, struct asking *asking)
{
	if (asking->what == ASK_EVENTS)
		listening_ask(self, asking);
	else if (asking->what == ASK_LIST)
		lists_ask(self, asking);
	else if (asking->what == ASK_COUNTS)
		counting_ask(self, asking);
	else
		looking_ask(self, asking);
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

static void add_relay(struct buf *json, struct relay *relay)
{
	struct relay_counts counts = relay_counts(relay);
	uint64_t until_us;

	buf_addf(json,
		"{\"name\":\"%s\",\"sessions\":{\"opening\":%u,\"idle\":%u,\"busy\":%u},"
		"\"waiting\":%u,\"window\":%u,\"resting\":%s}",
		relay_settings(relay)->name, counts.opening, counts.idle, counts.busy,
		counts.waiting, counts.window,
		relay_rests(relay, now_us(), &until_us) ? "true" : "false");
}

static bool ready(void *self, struct buf *json)
{
	struct lettergate *lettergate = self;
	bool drains = atomic_load(&lettergate->is_draining);
	bool writes = !lettergate->queue || queue_is_sound(lettergate->queue);
	bool is_ready = !drains && writes;

	buf_addf(json, "{\"ready\":%s,\"draining\":%s,\"in_flight\":%u,",
		is_ready ? "true" : "false", drains ? "true" : "false",
		atomic_load(&lettergate->in_flight));
	if (!is_ready)
		buf_addf(json, "\"reason\":\"%s%s\",",
			drains ? "it is stopping" : "the store cannot be written: ",
			drains ? "" : queue_why(lettergate->queue, ERR_IO));
	buf_add_string(json, "\"relays\":[");
	pthread_rwlock_rdlock(&lettergate->lock);
	for (size_t i = 0; lettergate->fleet && i < lettergate->fleet->count; i++) {
		if (i)
			buf_add_byte(json, ',');
		add_relay(json, lettergate->fleet->relays[i]);
	}
	pthread_rwlock_unlock(&lettergate->lock);
	buf_add_string(json, "]}");
	return is_ready;
}

/* All causes are told, so that the series are there before they are needed. */
static void gauge_rests(const struct window *window, uint64_t now, struct relay_value *rests)
{
	bool rests_now = window_rests(window, now);

	for (enum rest_cause cause = REST_NONE + 1; cause < REST_CAUSES; cause++)
		*rests++ = (struct relay_value){ rest_cause_name(cause),
			rests_now && cause == window->cause ? (window->rest_until_us - now) / 1e6
							    : 0 };
}

static void gauge_relay(struct relay *relay, struct relay_gauges *gauges)
{
	struct relay_value *limit = gauges->learned;
	uint64_t now = now_us(), until_us;
	struct relay_state state;

	relay_state(relay, now, &state);
	gauges->name = relay_settings(relay)->name;
	gauges->opening = state.counts.opening;
	gauges->idle = state.counts.idle;
	gauges->busy = state.counts.busy;
	gauges->leaving = state.counts.leaving;
	gauges->waiting = state.counts.waiting;
	gauges->window = state.counts.window;
	gauges->is_resting = relay_rests(relay, now, &until_us);
	for (enum learned_limit which = 0; which < LEARNED_LIMITS; which++)
		if (state.learned.limits[which].limit)
			*limit++ = (struct relay_value){ learned_limit_name(which),
				state.learned.limits[which].limit /
					(which == LEARNED_MESSAGES ? 1.0 : 1000.0) };
	if (state.learned.recipients)
		*limit = (struct relay_value){ "recipients", state.learned.recipients };
	gauge_rests(&state.window, now, gauges->rests);
	for (enum holdback which = 0; which < HOLDBACKS; which++)
		gauges->held_back[which] =
			(struct relay_value){ holdback_name(which), holds_back(&state, which) };
}

static void print_metrics(void *self, bool open_metrics, const void *counts, struct buf *text)
{
	struct lettergate *lettergate = self;
	struct relay_gauges relays[RELAYS_MAX] = { { 0 } };
	struct webhook_gauges webhooks[WEBHOOKS_MAX];
	struct metrics_gauges gauges = { .relays = relays,
		.in_flight = atomic_load(&lettergate->in_flight),
		.in_flight_bytes =
			atomic_load(&lettergate->in_flight_bytes) + bytes_out(lettergate),
		.repeats = repeats_counts(lettergate->repeats),
		.webhooks_gone = lettergate->webhooks ? webhooks_gone(lettergate->webhooks) : 0,
		.webhooks = webhooks,
		.log_dropped = log_dropped(lettergate->log),
		.queue = counts };

	if (lettergate->webhooks)
		gauges.webhook_count = webhooks_look(lettergate->webhooks, now_unix_ms(), webhooks);
	/* the relays' names are the settings', which a reload may take away */
	pthread_rwlock_rdlock(&lettergate->lock);
	for (size_t i = 0; lettergate->fleet && i < lettergate->fleet->count; i++)
		gauge_relay(lettergate->fleet->relays[i], &relays[gauges.relay_count++]);
	metrics_print(lettergate->metrics, &gauges, open_metrics, text);
	pthread_rwlock_unlock(&lettergate->lock);
}

static void observe(void *self, const struct exchange_seen *seen)
{
	struct lettergate *lettergate = self;
	struct log_line line;

	metrics_request(lettergate->metrics, seen->route, seen->status, seen->took_us);
	line = log_line(lettergate->log,
		seen->status >= 400 || seen->replayed ? LOG_INFO : LOG_DEBUG, "request");
	log_text(&line, "request_id", seen->request_id);
	log_text(&line, "key_id", seen->key_id);
	log_string(&line, "method", seen->method);
	log_string(&line, "route", seen->route);
	log_u64(&line, "status", seen->status);
	if (seen->replayed)
		log_u64(&line, "replayed", seen->replayed);
	log_text(&line, "client", seen->client);
	log_text(&line, "traceparent", seen->traceparent);
	log_ms(&line, "ms", seen->took_us);
	log_end(&line);
}

static const struct template *template_hold(void *self, struct text name)
{
	return catalogue_hold(((struct lettergate *)self)->catalogue, name);
}

static void template_release(void *self, const struct template *template)
{
	(void)self;
	catalogue_release(template);
}

static enum err template_partial(
	void *self, struct text name, struct region *region, struct text *text_out)
{
	return catalogue_partial(((struct lettergate *)self)->catalogue, name, region, text_out);
}

static void template_change(void *self, struct changing *changing)
{
	catalogue_change(((struct lettergate *)self)->catalogue, changing);
}

static void template_list(
	void *self, void (*see)(const struct template *template, void *context), void *context)
{
	catalogue_list(((struct lettergate *)self)->catalogue, see, context);
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
		.sign = sign,
		.submit = submit,
		.remember = remember,
		.has_store = lettergate->queue != NULL,
		.repeats_last = lettergate->queue ? "store" : "process",
		.ask = ask,
		.look_up = look_up,
		.list = list,
		.raw = raw,
		.ready = ready,
		.metrics = print_metrics,
		.relays = gateway_relays,
		.check = gateway_check,
		.observe = observe,
		.template_hold = template_hold,
		.template_release = template_release,
		.template_partial = template_partial,
		.template_change = template_change,
		.template_list = template_list };
}
