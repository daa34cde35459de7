#include "service/worker.h"

#include "service/carrier.h"
#include "service/clock.h"
#include "service/settle.h"

#include <stdlib.h>

enum { TICK_MS = 50, STOPPING_MS = 1500 };

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

/* Its relay is no longer the one in force. */
static void be_of_the_past(struct carrier *carrier)
{
	carrier->is_counted = false;
}

static bool adopt_relay(struct worker *worker)
{
	struct lettergate *lettergate = worker->lettergate;
	struct relay *old = worker->relay;

	pthread_rwlock_rdlock(&lettergate->lock);
	if (lettergate->relay != old)
		worker->relay = relay_hold(lettergate->relay);
	pthread_rwlock_unlock(&lettergate->lock);
	if (worker->relay != old) {
		worker->carriers = 0;
		walk(worker->active, be_of_the_past);
		walk(worker->idle, be_of_the_past);
		walk(worker->idle, say_goodbye);
		resolver_forget(worker->resolver);
		relay_release(old);
	}
	return worker->relay != NULL;
}

/* So that all workers carry, not only the one that woke up first. */
static unsigned fair_share(const struct worker *worker)
{
	unsigned workers = worker->lettergate->worker_count;

	return (relay_settings(worker->relay)->sessions + workers - 1) / workers;
}

/* There is work that only others can do: those with idle carriers, or with room for more. */
static void ask_for_help(struct worker *worker)
{
	struct lettergate *lettergate = worker->lettergate;
	unsigned other = (worker->number + 1) % lettergate->worker_count;

	if (lettergate->worker_count < 2)
		return;
	if (relay_has_idle_elsewhere(worker->relay, worker->number, now_us(), &other) ||
		(worker->carriers >= fair_share(worker) &&
			relay_needs_help(worker->relay, now_us())))
		worker_wake(lettergate->workers[other]);
}

static void feed(struct worker *worker)
{
	struct delivery *delivery;

	if (!adopt_relay(worker) || worker->is_stopping)
		return;
	while (worker->idle && relay_has_work(worker->relay)) {
		if (worker->idle->relay != worker->relay) {
			say_goodbye(worker->idle);
			continue;
		}
		if (!carrier_is_fit(worker->idle))
			continue; /* it is gone */
		delivery = relay_pull(worker->relay, worker->number, true, now_us());
		if (!delivery)
			break;
		carrier_carry(worker->idle, delivery);
	}
	while (worker->carriers < fair_share(worker) &&
		relay_wants_carrier(worker->relay, now_us()))
		if (!carrier_open(worker, worker->relay, NULL))
			break;
	ask_for_help(worker);
}

/* No session is up: those that wait were held up by whatever holds up the opening of one. */
static void fail_unopened(struct worker *worker, struct delivery *list, enum smtp_phase phase)
{
	static const struct smtp_said nothing;
	const struct relay_settings *settings = relay_settings(worker->relay);
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

static void expire(struct worker *worker)
{
	struct relay_counts counts = relay_counts(worker->relay);
	struct delivery *list = relay_expire(worker->relay, now_us());
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_DEADLINE, SMTP_IN_QUEUE, false);

	if (counts.opening && !counts.idle && !counts.busy)
		fail_unopened(worker, list, counts.opening_phase);
	else
		settle_list(worker->lettergate, list, &verdict,
			"the deadline passed before a session to the relay was free");
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
	walk(worker->active, drop);
	walk(worker->idle, say_goodbye);
	uv_timer_start(&worker->tick, give_up, STOPPING_MS, 0);
}

static void woken(uv_async_t *wake)
{
	struct worker *worker = wake->data;

	if (uv_is_closing((uv_handle_t *)wake))
		return;
	if (atomic_load(&worker->must_stop) && !worker->is_stopping)
		begin_to_stop(worker);
	if (worker->is_stopping && !worker->active && !worker->idle)
		close_handles(worker);
	else
		feed(worker);
}

static void ticked(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	walk(worker->active, carrier_tick);
	walk(worker->idle, carrier_tick);
	if (worker->relay && worker->number == 0)
		expire(worker);
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
	if (resolver_open(&worker->loop, &worker->resolver)) {
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
	relay_release(worker->relay);
	free(worker);
}
