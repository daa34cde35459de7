#include "service/session/worker.h"

#include "service/session/carrier.h"
#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/relay/fate.h"
#include "service/relay/relay_log.h"
#include "service/relay/settle.h"

#include <malloc.h>
#include <stdlib.h>

enum { TICK_MS = 50, STOPPING_MS = 1500, TRIM_MS = 10000, TRIM_BYTES = 8 << 20, QUIET = 16 };

/* ---- what there is to do */

static void walk(struct carrier *carrier, void (*visit)(struct carrier *carrier))
{
	struct carrier *next;

	for (; carrier; carrier = next) {
		next = carrier->next;
		visit(carrier);
	}
}

static void say_goodbye(struct carrier *carrier)
{
	carrier_leave(carrier, SESSION_END_DRAIN);
}

/* Its relay is no longer one of those in force. */
static void be_of_the_past(struct carrier *carrier)
{
	carrier->berth = NULL;
}

static void walk_idle(struct worker *worker, void (*visit)(struct carrier *carrier))
{
	for (size_t i = 0; worker->fleet && i < worker->fleet->count; i++)
		walk(worker->berths[i].idle, visit);
}

static bool has_carriers(const struct worker *worker)
{
	bool any = worker->active != NULL;

	for (size_t i = 0; worker->fleet && i < worker->fleet->count; i++)
		any |= worker->berths[i].idle != NULL;
	return any;
}

static void adopt(struct worker *worker, struct fleet *fleet)
{
	struct fleet *old = worker->fleet;

	walk_idle(worker, say_goodbye);
	walk(worker->active, be_of_the_past);
	worker->fleet = fleet;
	for (size_t i = 0; i < fleet->count; i++)
		worker->berths[i] = (struct berth){ worker, fleet->relays[i], NULL, 0 };
	if (old)
		resolver_forget(worker->resolver);
	fleet_release(old);
}

static bool adopt_fleet(struct worker *worker)
{
	struct lettergate *lettergate = worker->lettergate;
	struct fleet *fleet = NULL;

	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->fleet != worker->fleet)
		fleet = fleet_hold(lettergate->fleet);
	pthread_rwlock_unlock(&lettergate->lock);
	if (fleet)
		adopt(worker, fleet);
	return worker->fleet != NULL;
}

/* So that all workers carry, not only the one that woke up first. */
static unsigned fair_share(const struct berth *berth)
{
	unsigned workers = berth->worker->lettergate->worker_count;

	return (relay_settings(berth->relay)->sessions + workers - 1) / workers;
}

/* There is work that only others can do: those with idle carriers, or with room for more. */
static void ask_for_help(struct berth *berth)
{
	struct worker *worker = berth->worker;
	struct lettergate *lettergate = worker->lettergate;
	unsigned other = (worker->number + 1) % lettergate->worker_count;

	if (lettergate->worker_count < 2)
		return;
	if (relay_has_idle_elsewhere(berth->relay, worker->number, now_us(), &other) ||
		(berth->carriers >= fair_share(berth) && relay_needs_help(berth->relay, now_us())))
		worker_wake(lettergate->workers[other]);
}

/* Mail that waits goes before an answer that is late, but for the first second: most come then.
 * False: none of its own carriers has waited for longer. */
static bool make_place(struct berth *berth)
{
	struct carrier *oldest = NULL;

	for (struct carrier *carrier = berth->worker->active; carrier; carrier = carrier->next)
		if (carrier->berth == berth && carrier->is_detached &&
			(!oldest || carrier->since_ms < oldest->since_ms))
			oldest = carrier;
	if (!oldest || carrier_now_ms(oldest) < oldest->since_ms + CARRIER_LATE_MS)
		return false;
	relay_made_place(berth->relay, now_us());
	carrier_drop(oldest, SMTP_LOSS_DEADLINE);
	return true;
}

static void feed_berth(struct berth *berth)
{
	struct worker *worker = berth->worker;
	struct delivery *delivery;

	if (berth->idle && !relay_has_work(berth->relay))
		relay_forget_promises(berth->relay, worker->number);
	while (berth->idle && relay_has_work(berth->relay)) {
		if (!carrier_is_fit(berth->idle))
			continue; /* it is gone */
		delivery = relay_pull(berth->relay, worker->number, true, now_us());
		if (!delivery)
			break;
		carrier_carry(berth->idle, delivery);
	}
	while (relay_wants_place(berth->relay, now_us()) && make_place(berth))
		;
	while (berth->carriers < fair_share(berth) && relay_wants_carrier(berth->relay, now_us()))
		if (!carrier_open(worker, berth->relay, berth, NULL))
			break;
	ask_for_help(berth);
}

static void feed(struct worker *worker)
{
	if (!adopt_fleet(worker) || worker->is_stopping)
		return;
	for (size_t i = 0; i < worker->fleet->count; i++)
		feed_berth(&worker->berths[i]);
}

/* No session is up: those that wait were held up by whatever holds up the opening of one. */
static void fail_unopened(struct worker *worker, const struct relay *relay, struct delivery *list,
	enum smtp_phase phase)
{
	static const struct smtp_said nothing;
	const struct relay_settings *settings = relay_settings(relay);
	struct smtp_verdict verdict = smtp_verdict_of_loss(SMTP_LOSS_TIMEOUT, phase, false);
	struct delivery *next;

	for (struct delivery *delivery = list; delivery; delivery = next) {
		struct result *result = &delivery->result;

		next = delivery->next;
		delivery->next = NULL;
		result->relay_name = region_copy(delivery->region, text_of(settings->name));
		result->relay_host = region_copy(delivery->region, text_of(settings->host));
		result->connect_us = now_us() - delivery->queued_us;
		settle_failed(worker->lettergate, delivery, &verdict, &nothing,
			"the deadline passed while a session to the relay was being opened");
	}
}

static void look_for_token(struct worker *worker, struct relay *relay)
{
	struct relay_news news;

	if (relay_token_came(relay, now_us(), &news))
		relay_log_news(worker->lettergate->log, relay, &news);
}

/* As many as one look takes out at most: there may be more. */
static bool is_full(const struct delivery *list)
{
	size_t count = 0;

	for (; list; list = list->next)
		count++;
	return count == SETTLE_AT_ONCE;
}

/* Nothing works at the relay: those that wait go elsewhere, while there is time. */
static void rescue(struct worker *worker, struct relay *relay)
{
	struct lettergate *lettergate = worker->lettergate;
	struct delivery *list = relay_stranded(relay, now_us(), SETTLE_AT_ONCE);

	worker->looks_on |= is_full(list);
	dispatch_list(lettergate, list, "the relay rests");
	if (worker->fleet->count == 1)
		return;
	list = relay_kept_waiting(relay, now_us(), SETTLE_AT_ONCE);
	worker->looks_on |= is_full(list);
	dispatch_waiting(lettergate, relay, list);
}

static void expire(struct worker *worker, struct relay *relay)
{
	struct delivery *list = relay_expire(relay, now_us(), SETTLE_AT_ONCE);
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_DEADLINE, SMTP_IN_QUEUE, false);
	struct relay_counts counts;

	if (!list)
		return;
	worker->looks_on |= is_full(list);
	counts = relay_counts(relay);
	if (counts.opening && !counts.idle && !counts.busy)
		fail_unopened(worker, relay, list, counts.opening_phase);
	else
		settle_list(worker->lettergate, list, &verdict,
			"the deadline passed before a session to the relay was free");
}

/* One worker does it for all. What is left is done with the loop's next turn. */
static void look_after_waiting(struct worker *worker)
{
	worker->looks_on = false;
	for (size_t i = 0; worker->number == 0 && worker->fleet && i < worker->fleet->count; i++) {
		look_for_token(worker, worker->fleet->relays[i]);
		expire(worker, worker->fleet->relays[i]);
		rescue(worker, worker->fleet->relays[i]);
	}
	if (worker->looks_on)
		worker_wake(worker);
}

/* ---- the loop */

static void drop(struct carrier *carrier)
{
	if (carrier->stage != CARRIER_LEAVING)
		carrier_drop(carrier, SMTP_LOSS_DRAINING);
}

static void drop_at_last(struct carrier *carrier)
{
	carrier_drop(carrier, SMTP_LOSS_DRAINING);
}

static void close_handles(struct worker *worker)
{
	walk(worker->active, drop_at_last);
	resolver_close(worker->resolver);
	uv_close((uv_handle_t *)&worker->wake, NULL);
	uv_close((uv_handle_t *)&worker->tick, NULL);
}

static void give_up(uv_timer_t *timer)
{
	close_handles(timer->data);
}

static void begin_to_stop(struct worker *worker)
{
	worker->is_stopping = true;
	fate_end(worker);
	walk(worker->active, drop);
	walk_idle(worker, say_goodbye);
	uv_timer_start(&worker->tick, give_up, STOPPING_MS, 0);
}

static void hear_fence(struct carrier *carrier)
{
	if (carrier->is_asking)
		carrier_pump(carrier);
}

static void go_on(struct worker *worker)
{
	fate_go_on(worker);
	if (worker->asking)
		walk(worker->active, hear_fence);
	if (worker->looks_on)
		look_after_waiting(worker);
	feed(worker);
}

static void woken(uv_async_t *wake)
{
	struct worker *worker = wake->data;

	if (uv_is_closing((uv_handle_t *)wake))
		return;
	if (atomic_load(&worker->must_stop) && !worker->is_stopping)
		begin_to_stop(worker);
	if (worker->is_stopping && !has_carriers(worker))
		close_handles(worker);
	else
		go_on(worker);
}

/* What a burst took, and lies free between what is still in use, is no use to anybody. */
static void give_memory_back(struct worker *worker)
{
	uint64_t now_ms = uv_now(&worker->loop);

	if (now_ms < worker->trimmed_ms + TRIM_MS)
		return;
	worker->trimmed_ms = now_ms;
	if (lettergate_in_flight(worker->lettergate) < QUIET && mallinfo2().fordblks > TRIM_BYTES)
		malloc_trim(TRIM_BYTES / 4);
}

static void ticked(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	walk(worker->active, carrier_tick);
	walk_idle(worker, carrier_tick);
	look_after_waiting(worker);
	if (worker->number == 0)
		give_memory_back(worker);
	feed(worker);
}

static void *run(void *self)
{
	struct worker *worker = self;

	uv_run(&worker->loop, UV_RUN_DEFAULT);
	return NULL;
}

/* ---- life */

enum err worker_open(struct lettergate *lettergate, unsigned number, struct worker **worker_out)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return ERR_MEMORY;
	worker->lettergate = lettergate;
	worker->number = number;
	if (uv_loop_init(&worker->loop)) {
		free(worker);
		return ERR_IO;
	}
	uv_async_init(&worker->loop, &worker->wake, woken);
	uv_timer_init(&worker->loop, &worker->tick);
	worker->wake.data = worker->tick.data = worker;
	uv_timer_start(&worker->tick, ticked, TICK_MS, TICK_MS);
	if (resolver_open(&worker->loop, worker->lettergate->known, &worker->resolver)) {
		worker_close(worker);
		return ERR_MEMORY;
	}
	*worker_out = worker;
	return OK;
}

enum err worker_start(struct worker *worker)
{
	worker->is_running = pthread_create(&worker->thread, NULL, run, worker) == 0;
	return worker->is_running ? OK : ERR_IO;
}

void worker_wake(struct worker *worker)
{
	uv_async_send(&worker->wake);
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->must_stop, true);
	worker_wake(worker);
}

void worker_join(struct worker *worker)
{
	if (worker->is_running)
		pthread_join(worker->thread, NULL);
	worker->is_running = false;
}

void worker_close(struct worker *worker)
{
	if (!uv_is_closing((uv_handle_t *)&worker->wake)) /* it never ran */
		close_handles(worker);
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	uv_loop_close(&worker->loop);
	fleet_release(worker->fleet);
	free(worker);
}
