#include "service/queue/keeper.h"

#include "service/clock.h"
#include "service/queue/awaited.h"
#include "service/queue/counting.h"
#include "service/queue/courier.h"
#include "service/queue/endings.h"
#include "service/queue/listening.h"
#include "service/queue/lists.h"
#include "service/queue/queue.h"
#include "service/queue/stock.h"
#include "service/relay/dispatch.h"
#include "service/store/backend.h"
#include "service/webhook/webhooks.h"

enum { ATTEMPT_S = 900, DROPS_TOLD_US = 60000000 };

/* ---- what the courier asks for */

static void deliver(void *self, struct delivery *delivery)
{
	struct lettergate *lettergate = self;

	atomic_fetch_add(&lettergate->in_flight, 1);
	dispatch_list(lettergate, delivery, "no relay of the settings in force may take it");
}

static bool may_go(void *self, const struct delivery *delivery)
{
	return dispatch_may(self, delivery) == SUBMITTED;
}

/* A relay that is slow, or just back, holds up its own messages alone. One that rests is no bound:
 * what comes out is told so, or goes elsewhere. */
static unsigned look_at(struct lettergate *lettergate, size_t place, struct claim_room *lanes)
{
	const struct fleet *fleet = lettergate->fleet;
	uint64_t until_us;
	bool rests = relay_rests(fleet->relays[place], now_us(), &until_us);
	unsigned room =
		share_queue_room(&lettergate->room, fleet->shares[place], fleet->count, rests);

	claim_room_put(lanes, relay_settings(fleet->relays[place])->name, room, rests);
	return room;
}

static uint64_t least(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static uint64_t left_of(uint64_t most, uint64_t taken)
{
	return most > taken ? most - taken : 0;
}

/* One claim fills no more than one relay's part. Where nothing is out there is room for one
 * message, however long, and whatever comes in by HTTP. */
static uint64_t look_for_bytes(struct lettergate *lettergate, size_t relays)
{
	uint64_t out = courier_bytes(lettergate->courier);
	uint64_t all = out + atomic_load(&lettergate->in_flight_bytes);
	uint64_t bytes = least(left_of(share_queue_bytes(&lettergate->room, 1), out),
		left_of(lettergate->max_in_flight_bytes, all));

	bytes = least(bytes, share_queue_bytes(&lettergate->room, relays));
	return bytes || out ? bytes : 1;
}

static unsigned look(void *self, struct claim_room *lanes, uint64_t *bytes_out)
{
	struct lettergate *lettergate = self;
	unsigned all = 0;

	pthread_rwlock_rdlock(&lettergate->lock);
	if (!lettergate->fleet) /* it captures */
		all = SHARE_QUEUED;
	for (size_t i = 0; lettergate->fleet && i < lettergate->fleet->count; i++)
		all += look_at(lettergate, i, lanes);
	*bytes_out = look_for_bytes(lettergate, lettergate->fleet ? lettergate->fleet->count : 1);
	pthread_rwlock_unlock(&lettergate->lock);
	return all;
}

static void settled(void *self, const struct stored *stored, const struct result *last)
{
	awaited_settle(((struct lettergate *)self)->awaited, stored, last);
}

/* ---- life */

static struct store_keeps keeps_of(const struct settings *settings)
{
	return (struct store_keeps){ .sent_ms = settings->keep_sent_ms,
		.failed_ms = settings->keep_failed_ms,
		.body_ms = settings->keep_body_ms,
		.once_ms = settings->idempotency_ttl_ms,
		.event_ms = settings->keep_failed_ms,
		.event_bytes = settings->keep_events_bytes };
}

/* The queue's thread. */
static void ripe(void *self)
{
	courier_wake(((struct lettergate *)self)->courier);
}

static void told(void *self)
{
	struct lettergate *lettergate = self;

	listening_news(lettergate->listening);
	if (lettergate->webhooks)
		webhooks_news(lettergate->webhooks);
}

/* The queue's thread. */
static void dropped(void *self, size_t events)
{
	struct lettergate *lettergate = self;
	uint64_t now = now_us();
	struct log_line line;

	metrics_events_dropped(lettergate->metrics, events);
	lettergate->events_dropped += events;
	if (lettergate->drops_told_us && now < lettergate->drops_told_us + DROPS_TOLD_US)
		return;
	line = log_line(lettergate->log, LOG_WARN, "events_dropped");
	log_u64(&line, "events", lettergate->events_dropped);
	log_string(&line, "detail",
		"all events together are past KEEP_EVENTS_BYTES: the oldest go before their time");
	log_end(&line);
	lettergate->events_dropped = 0;
	lettergate->drops_told_us = now;
}

static enum err open_courier(struct lettergate *lettergate, const struct settings *settings)
{
	struct courier_settings own = { .schedule = settings->retry,
		.most = share_queued(settings->max_in_flight),
		.keeps_body = settings->keep_body_ms > 0,
		.attempt_us = ATTEMPT_S * UINT64_C(1000000),
		.log = lettergate->log,
		.deliver = deliver,
		.may_go = may_go,
		.look = look,
		.settled = settled,
		.self = lettergate };

	return courier_open(&own, &lettergate->courier);
}

enum err keeper_open(
	struct lettergate *lettergate, const struct settings *settings, struct buf *why)
{
	struct store_limits limits = { settings->queue_max, settings->queue_max_bytes,
		settings->queue_max_per_key };
	struct queue_settings own = { .keeps = keeps_of(settings),
		.furthest_ms = schedule_furthest_ms(&settings->retry),
		.ripe = ripe,
		.told = told,
		.dropped = dropped,
		.context = lettergate };
	struct store store;
	enum err err;

	if (!settings->store[0])
		return OK;
	err = open_courier(lettergate, settings);
	if (!err)
		err = listening_open(&lettergate->listening);
	if (!err)
		err = lists_open(&lettergate->lists);
	if (!err)
		err = counting_open(&lettergate->counting);
	if (!err)
		err = awaited_open(lettergate, &lettergate->awaited);
	if (!err)
		err = endings_open(&lettergate->endings);
	if (err)
		return err;
	err = *settings->store == '/'
		      ? store_sqlite_open(settings->store, &limits, &store, why)
		      : store_pg_open(settings->store, &limits, lettergate->log, &store, why);
	return err ? err : queue_open(&own, store, &lettergate->queue);
}

/* The webhooks first: they are told of all that is sent from now on. */
enum err keeper_start(struct lettergate *lettergate)
{
	enum err err;

	if (!lettergate->queue)
		return OK;
	err = webhooks_open(
		lettergate->queue, lettergate->log, lettergate->metrics, &lettergate->webhooks);
	if (!err)
		err = webhooks_adjust(lettergate->webhooks, lettergate->settings);
	if (!err)
		courier_start(lettergate->courier, lettergate->queue);
	return err;
}

static void adjust_webhooks(struct lettergate *lettergate, struct settings *settings)
{
	enum err err = webhooks_adjust(lettergate->webhooks, settings);
	struct log_line line;

	if (!err)
		return;
	line = log_line(lettergate->log, LOG_ERROR, "webhook_trouble");
	log_string(&line, "why", err_text(err));
	log_string(&line, "detail", "a webhook could not be begun; reload again");
	log_end(&line);
}

void keeper_reload(struct lettergate *lettergate, struct settings *settings)
{
	struct store_keeps keeps = keeps_of(settings);

	if (!lettergate->queue)
		return;
	queue_adjust(lettergate->queue, &keeps, schedule_furthest_ms(&settings->retry));
	stock_reload(lettergate->stock);
	adjust_webhooks(lettergate, settings);
	courier_adjust(lettergate->courier, &settings->retry, settings->keep_body_ms > 0);
}

void keeper_tick(struct lettergate *lettergate, uint64_t now_us)
{
	if (!lettergate->queue)
		return;
	queue_tick(lettergate->queue, now_us);
	courier_tick(lettergate->courier, now_us);
	listening_tick(lettergate, now_us);
	lists_tick(lettergate->lists, now_us);
	counting_tick(lettergate->counting, now_us);
	awaited_tick(lettergate->awaited, now_us);
	endings_tick(lettergate->endings, lettergate->queue, now_us);
	stock_tick(lettergate->stock, now_us);
}

void keeper_stop(struct lettergate *lettergate)
{
	if (lettergate->courier)
		courier_stop(lettergate->courier);
	if (lettergate->webhooks)
		webhooks_stop(lettergate->webhooks);
}

void keeper_answer_all(struct lettergate *lettergate)
{
	if (lettergate->listening)
		listening_stop(lettergate->listening);
	if (lettergate->lists)
		lists_stop(lettergate->lists);
	if (lettergate->counting)
		counting_stop(lettergate->counting);
	if (lettergate->awaited)
		awaited_stop(lettergate->awaited);
}

unsigned keeper_out(const struct lettergate *lettergate)
{
	return lettergate->courier ? courier_out(lettergate->courier) : 0;
}

void keeper_close(struct lettergate *lettergate)
{
	webhooks_end(lettergate->webhooks);
	queue_close(lettergate->queue);
	webhooks_close(lettergate->webhooks);
	courier_close(lettergate->courier);
	listening_close(lettergate->listening);
	lists_close(lettergate->lists);
	counting_close(lettergate->counting);
	awaited_close(lettergate->awaited);
	endings_close(lettergate->endings);
	stock_close(lettergate->stock);
}
