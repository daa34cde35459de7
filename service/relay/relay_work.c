/* relay_work - deliveries that wait, and how many carriers there are for them */
#include "service/clock.h"
#include "service/relay/relay_own.h"

#include <assert.h>

enum {
	BURST_US = 1000000,
	UNPROVEN_US = 1000000,
	UNHEARD_US = 10000000, /* a session that says nothing for so long is not sure to work */
	UNREADY_US = 2000000,  /* … as one that does not become ready */
};

/* ---- the queue; all of it under the lock */

void relay_note_waiting(struct relay *relay)
{
	atomic_store_explicit(&relay->waiting, (unsigned)relay->turns.count, memory_order_relaxed);
}

struct delivery *relay_take_all(
	struct relay *relay, uint64_t deadline_us, uint64_t queued_us, size_t most)
{
	struct delivery *list = turns_take_all(&relay->turns, deadline_us, queued_us, most);

	relay_note_waiting(relay);
	return list;
}

/* ---- carriers; all of it under the lock */

unsigned relay_sessions(const struct relay *relay)
{
	return relay->opening + relay->established + relay->leaving;
}

/* Where credentials were not seen to be taken, one after the other: a wrong password, tried by all
 * sessions at once, locks the account. */
static bool has_to_wait_its_turn(const struct relay *relay, uint64_t now_us)
{
	bool is_proven =
		relay->is_proven && (relay->established || now_us < relay->heard_us + UNREADY_US);

	return relay->policy.authenticates && !is_proven && relay->opening &&
	       now_us < relay->opened_us + UNPROVEN_US;
}

static bool has_working(const struct relay *relay)
{
	return relay->established > relay->detached;
}

bool relay_is_up(const struct relay *relay, uint64_t now_us)
{
	return relay->idle_all || (has_working(relay) && now_us < relay->heard_us + UNHEARD_US);
}

static bool has_room(const struct relay *relay, uint64_t now_us)
{
	return window_has_room(&relay->window, relay_sessions(relay), relay->opening, now_us) &&
	       !has_to_wait_its_turn(relay, now_us);
}

/* How many idle carriers of a worker are not spoken for yet? */
static unsigned spare(const struct relay *relay, unsigned worker)
{
	return relay->idle[worker] > relay->promised[worker]
		       ? relay->idle[worker] - relay->promised[worker]
		       : 0;
}

/* Does more wait than those that are opening will take? */
static bool has_unserved(const struct relay *relay)
{
	return relay->turns.count > relay->opening - relay->bringing;
}

/* Whoever has the most idle carriers to spare; else whose turn it is to open one. */
static int worker_to_wake(struct relay *relay)
{
	unsigned most = 0;

	for (unsigned i = 1; i < relay->workers; i++)
		if (spare(relay, i) > spare(relay, most))
			most = i;
	if (spare(relay, most)) {
		relay->promised[most]++;
		return (int)most;
	}
	if (!has_unserved(relay) || (relay_sessions(relay) >= relay->window.width &&
					    !relay_has_detached_to_spare(relay)))
		return NO_WORKER;
	relay->next_worker = (relay->next_worker + 1) % relay->workers;
	return (int)relay->next_worker;
}

/* Does the relay want nothing at all for a while? */
static bool is_throttled(const struct relay *relay, uint64_t now_us)
{
	return relay->window.cause == REST_THROTTLED && window_rests(&relay->window, now_us);
}

/* Between two messages: SMTP_RATE's, or what was found out. */
static uint64_t interval_of(const struct relay *relay)
{
	uint64_t found_us = relay->window.interval_us;

	return found_us > relay->interval_us ? found_us : relay->interval_us;
}

/* May a message go now? */
static bool is_due(struct relay *relay, uint64_t now_us)
{
	uint64_t interval_us = interval_of(relay);

	if (is_throttled(relay, now_us))
		return false;
	if (!interval_us)
		return true;
	if (relay->due_us + BURST_US < now_us)
		relay->due_us = now_us - BURST_US;
	if (relay->due_us > now_us)
		return false;
	relay->due_us += interval_us;
	return true;
}

static void show_doubt(struct relay *relay)
{
	uint64_t from_us = UINT64_MAX;

	if (relay->established && !relay->idle_all)
		from_us = relay->heard_us + UNHEARD_US;
	else if (relay->unready_us)
		from_us = relay->unready_us + UNREADY_US;
	atomic_store_explicit(&relay->unsure_from_us, from_us, memory_order_relaxed);
}

void relay_show(struct relay *relay)
{
	const struct window *window = &relay->window;
	const struct learned *learned = &relay->learned;
	uint64_t now = now_us();
	bool is_open = relay_is_up(relay, now) && window->cause != REST_THROTTLED;
	bool is_new_try = window->cause == REST_FAILURES || window->cause == REST_AUTH;

	atomic_store(&relay->closed_until_us, is_open ? 0 : window->rest_until_us);
	atomic_store(&relay->is_probing, is_new_try && relay->opening && !relay_is_up(relay, now));
	if (has_working(relay) || !relay->opening)
		relay->unready_us = 0;
	else if (!relay->unready_us)
		relay->unready_us = now;
	show_doubt(relay);
	atomic_store(&relay->idle_ms,
		lesser_limit(relay->own->idle_ms, learned_limit(learned, LEARNED_IDLE)));
	atomic_store(&relay->lifetime_ms, learned_limit(learned, LEARNED_LIFETIME));
	atomic_store(&relay->messages,
		lesser_limit(relay->own->max_messages, learned_limit(learned, LEARNED_MESSAGES)));
	atomic_store(&relay->recipients, learned->recipients);
	atomic_store(&relay->hangs_up, learned->hung_up_us != 0);
}

/* ---- the interface */

int relay_submit(struct relay *relay, struct delivery *delivery)
{
	int worker;

	pthread_mutex_lock(&relay->lock);
	turns_add(&relay->turns, delivery);
	relay_note_waiting(relay);
	worker = worker_to_wake(relay);
	pthread_mutex_unlock(&relay->lock);
	return worker;
}

struct delivery *relay_pull(struct relay *relay, unsigned worker, bool was_idle, uint64_t now_us)
{
	struct delivery *delivery = NULL;
	struct turn turn;

	pthread_mutex_lock(&relay->lock);
	turn = turns_find(&relay->turns, now_us);
	if (turn.at && is_due(relay, now_us)) {
		delivery = turns_take(&relay->turns, turn);
		window_took(&relay->window, now_us);
		relay_note_waiting(relay);
	}
	if (was_idle)
		relay->promised[worker] = 0; /* it is here, and looks for itself */
	if (delivery && was_idle) {
		assert(relay->idle[worker] > 0);
		relay->idle[worker]--;
		relay->idle_all--;
	} else if (!delivery && !was_idle) {
		relay->idle[worker]++;
		relay->idle_all++;
	}
	relay->heard_us = now_us;
	show_doubt(relay);
	pthread_mutex_unlock(&relay->lock);
	return delivery;
}

void relay_idle_left(struct relay *relay, unsigned worker)
{
	pthread_mutex_lock(&relay->lock);
	assert(relay->idle[worker] > 0);
	relay->idle[worker]--;
	relay->idle_all--;
	if (relay->promised[worker] > relay->idle[worker]) /* it may be the one that was woken */
		relay->promised[worker] = relay->idle[worker];
	pthread_mutex_unlock(&relay->lock);
}

static bool wants_carrier(const struct relay *relay, uint64_t now_us)
{
	bool is_slow = interval_of(relay) && relay->idle_all; /* more sessions are not faster */
	bool has_work =
		!is_slow && relay->turns.count > relay->opening - relay->bringing + relay->idle_all;
	bool is_short =
		relay->opening + relay->established - relay->detached < relay->own->min_sessions &&
		now_us >= relay->warm_after_us;

	return (has_work || is_short) && has_room(relay, now_us) && !relay_is_retired(relay);
}

bool relay_wants_carrier(struct relay *relay, uint64_t now_us)
{
	bool wanted;

	pthread_mutex_lock(&relay->lock);
	window_widen(&relay->window, now_us);
	wanted = wants_carrier(relay, now_us);
	if (wanted) {
		relay->opening++;
		relay->opened_us = now_us;
		relay_show(relay);
	}
	pthread_mutex_unlock(&relay->lock);
	return wanted;
}

bool relay_has_work(const struct relay *relay)
{
	return atomic_load_explicit(&relay->waiting, memory_order_relaxed) > 0;
}

bool relay_needs_help(struct relay *relay, uint64_t now_us)
{
	bool wanted;

	pthread_mutex_lock(&relay->lock);
	wanted = wants_carrier(relay, now_us);
	pthread_mutex_unlock(&relay->lock);
	return wanted;
}

bool relay_admit_carrier(struct relay *relay, uint64_t now_us)
{
	bool is_let_in;

	pthread_mutex_lock(&relay->lock);
	is_let_in = !has_to_wait_its_turn(relay, now_us) &&
		    !(relay->window.cause == REST_AUTH && window_rests(&relay->window, now_us));
	if (is_let_in) {
		relay->opening++;
		relay->bringing++;
		relay->opened_us = now_us;
		relay->is_proven =
			false; /* who ended the last one may do so for another password */
		relay_show(relay);
	}
	pthread_mutex_unlock(&relay->lock);
	return is_let_in;
}

static void note_peak(struct relay *relay, uint64_t now_us)
{
	if (relay->established < relay->peak && now_us < relay->peak_us + RELAY_PEAK_US)
		return;
	relay->peak = relay->established;
	relay->peak_us = now_us;
}

void relay_carrier_opened(struct relay *relay, bool brings, struct relay_news *news_out)
{
	struct relay_notes before;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	relay->opening--;
	relay->bringing -= brings;
	relay->established++;
	relay->is_proven = true;
	atomic_store(&relay->lacks_token, false);
	relay->made_us = relay->barren_until_us = 0;
	relay->heard_us = now_us();
	note_peak(relay, relay->heard_us);
	window_wake(&relay->window);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_leaves(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	note_peak(relay, now_us());
	relay->established--;
	relay->leaving++;
	relay_show(relay);
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_left(struct relay *relay, bool was_leaving)
{
	pthread_mutex_lock(&relay->lock);
	note_peak(relay, now_us()); /* the relay may not have noticed yet */
	relay->established -= !was_leaving;
	relay->leaving -= was_leaving;
	relay_show(relay);
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_abandoned(struct relay *relay, bool brings, uint64_t now_us)
{
	pthread_mutex_lock(&relay->lock);
	relay->opening--;
	relay->bringing -= brings;
	window_pause(&relay->window, now_us);
	relay_show(relay);
	pthread_mutex_unlock(&relay->lock);
}

bool relay_take_back(
	struct relay *relay, struct delivery *delivery, enum relay_place place, int *worker_out)
{
	bool is_taken;

	pthread_mutex_lock(&relay->lock);
	is_taken = !relay_is_retired(relay); /* if so, it is emptied only when we are through */
	if (is_taken) {
		(place == RELAY_BEHIND ? turns_add : turns_return)(&relay->turns, delivery);
		relay_note_waiting(relay);
		*worker_out = worker_to_wake(relay);
	}
	pthread_mutex_unlock(&relay->lock);
	return is_taken;
}

bool relay_put_back(struct relay *relay, struct delivery *delivery)
{
	bool is_served;

	pthread_mutex_lock(&relay->lock);
	is_served = relay->established && !relay_is_retired(relay);
	if (is_served) {
		turns_put_back(&relay->turns, delivery);
		relay_note_waiting(relay);
	}
	pthread_mutex_unlock(&relay->lock);
	return is_served;
}

bool relay_has_idle_elsewhere(
	struct relay *relay, unsigned worker, uint64_t now_us, unsigned *worker_out)
{
	bool found = false, is_due_now;

	pthread_mutex_lock(&relay->lock);
	is_due_now = turns_find(&relay->turns, now_us).at && !is_throttled(relay, now_us) &&
		     (!interval_of(relay) || relay->due_us <= now_us);
	for (unsigned i = 0; is_due_now && i < relay->workers && !found; i++) {
		found = i != worker && spare(relay, i);
		if (found) {
			relay->promised[i]++;
			*worker_out = i;
		}
	}
	pthread_mutex_unlock(&relay->lock);
	return found;
}

bool relay_wants_turns(struct relay *relay, uint64_t now_us)
{
	bool wants;

	pthread_mutex_lock(&relay->lock);
	wants = relay->turns.count || interval_of(relay) || is_throttled(relay, now_us);
	pthread_mutex_unlock(&relay->lock);
	return wants;
}

void relay_forget_promises(struct relay *relay, unsigned worker)
{
	pthread_mutex_lock(&relay->lock);
	relay->promised[worker] = 0;
	pthread_mutex_unlock(&relay->lock);
}
