/* relay_work - deliveries that wait, and how many carriers there are for them */
#include "service/relay_own.h"

#include <assert.h>

enum { QUIET_US = 5000000, PAUSE_US = 1000000, BURST_US = 1000000, WARM_PAUSE_US = 5000000 };

/* ---- the queue; all of it under the lock */

static void push_back(struct relay *relay, struct delivery *delivery)
{
	delivery->next = NULL;
	*relay->last = delivery;
	relay->last = &delivery->next;
	relay->waiting++;
}

static struct delivery *take(struct relay *relay, struct delivery **at)
{
	struct delivery *delivery = *at;

	*at = delivery->next;
	if (!*at)
		relay->last = at;
	delivery->next = NULL;
	relay->waiting--;
	return delivery;
}

/* ---- carriers; all of it under the lock */

/* As the relay counts them. */
static unsigned sessions(const struct relay *relay)
{
	return relay->opening + relay->established + relay->leaving;
}

static bool has_room(const struct relay *relay, uint64_t now_us)
{
	return sessions(relay) < relay->window && now_us >= relay->pause_until_us;
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
	return relay->waiting > relay->opening - relay->bringing;
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
	if (!has_unserved(relay) || sessions(relay) >= relay->window)
		return NO_WORKER;
	relay->next_worker = (relay->next_worker + 1) % relay->workers;
	return (int)relay->next_worker;
}

/* One more carrier for each quiet spell, until there may be as many as the settings say. */
static void widen(struct relay *relay, uint64_t now_us)
{
	if (relay->window < relay->settings->relay.sessions &&
		now_us > relay->narrowed_us + QUIET_US) {
		relay->window++;
		relay->narrowed_us = now_us;
	}
}

static void narrow(struct relay *relay, uint64_t now_us)
{
	unsigned left = sessions(relay);

	relay->window = left ? left : 1;
	relay->narrowed_us = now_us;
	relay->pause_until_us = now_us + PAUSE_US;
}

/* May a message go now, by SMTP_RATE? */
static bool is_due(struct relay *relay, uint64_t now_us)
{
	if (!relay->interval_us)
		return true;
	if (relay->due_us + BURST_US < now_us)
		relay->due_us = now_us - BURST_US;
	if (relay->due_us > now_us)
		return false;
	relay->due_us += relay->interval_us;
	return true;
}

/* ---- the interface */

int relay_submit(struct relay *relay, struct delivery *delivery)
{
	int worker;

	pthread_mutex_lock(&relay->lock);
	push_back(relay, delivery);
	worker = worker_to_wake(relay);
	pthread_mutex_unlock(&relay->lock);
	return worker;
}

/* The first that is not past its deadline: the others are relay_expire's. */
static struct delivery **next_in_time(struct relay *relay, uint64_t now_us)
{
	struct delivery **at = &relay->first;

	while (*at && (*at)->deadline_us <= now_us)
		at = &(*at)->next;
	return at;
}

struct delivery *relay_pull(struct relay *relay, unsigned worker, bool was_idle, uint64_t now_us)
{
	struct delivery *delivery = NULL, **at;

	pthread_mutex_lock(&relay->lock);
	at = next_in_time(relay, now_us);
	if (*at && is_due(relay, now_us))
		delivery = take(relay, at);
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
	pthread_mutex_unlock(&relay->lock);
	return delivery;
}

void relay_idle_left(struct relay *relay, unsigned worker)
{
	pthread_mutex_lock(&relay->lock);
	assert(relay->idle[worker] > 0);
	relay->idle[worker]--;
	relay->idle_all--;
	pthread_mutex_unlock(&relay->lock);
}

static bool wants_carrier(const struct relay *relay, uint64_t now_us)
{
	bool has_work = relay->waiting > relay->opening - relay->bringing + relay->idle_all;
	bool is_short = relay->opening + relay->established < relay->settings->relay.min_sessions &&
			now_us >= relay->warm_after_us;

	return (has_work || is_short) && has_room(relay, now_us) && !relay_is_retired(relay);
}

bool relay_wants_carrier(struct relay *relay, uint64_t now_us)
{
	bool wanted;

	pthread_mutex_lock(&relay->lock);
	widen(relay, now_us);
	wanted = wants_carrier(relay, now_us);
	relay->opening += wanted;
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

void relay_admit_carrier(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->opening++;
	relay->bringing++;
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_opened(struct relay *relay, bool brings)
{
	pthread_mutex_lock(&relay->lock);
	relay->opening--;
	relay->bringing -= brings;
	relay->established++;
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_leaves(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->established--;
	relay->leaving++;
	pthread_mutex_unlock(&relay->lock);
}

void relay_carrier_left(struct relay *relay, bool was_leaving)
{
	pthread_mutex_lock(&relay->lock);
	relay->established -= !was_leaving;
	relay->leaving -= was_leaving;
	pthread_mutex_unlock(&relay->lock);
}

struct delivery *relay_carrier_failed(
	struct relay *relay, bool brings, uint64_t began_us, uint64_t now_us, bool busy)
{
	struct delivery *failed = NULL, **end = &failed, **at = &relay->first;
	bool others_up, others_try;

	pthread_mutex_lock(&relay->lock);
	relay->opening--;
	relay->bringing -= brings;
	relay->warm_after_us = now_us + WARM_PAUSE_US;
	others_up = relay->established > 0;
	others_try = relay->opening > 0;
	if (others_up || (busy && others_try))
		narrow(relay, now_us);
	while (!others_up && !(busy && others_try) && *at) {
		if ((*at)->queued_us > began_us) {
			at = &(*at)->next;
			continue;
		}
		*end = take(relay, at);
		end = &(*end)->next;
	}
	pthread_mutex_unlock(&relay->lock);
	return failed;
}

void relay_carrier_abandoned(struct relay *relay, bool brings, uint64_t now_us)
{
	pthread_mutex_lock(&relay->lock);
	relay->opening--;
	relay->bringing -= brings;
	relay->pause_until_us = now_us + PAUSE_US;
	pthread_mutex_unlock(&relay->lock);
}

bool relay_put_back(struct relay *relay, struct delivery *delivery)
{
	bool is_served;

	pthread_mutex_lock(&relay->lock);
	is_served = relay->established > 0;
	if (is_served) {
		delivery->next = relay->first;
		if (!relay->first)
			relay->last = &delivery->next;
		relay->first = delivery;
		relay->waiting++;
	}
	pthread_mutex_unlock(&relay->lock);
	return is_served;
}

bool relay_has_idle_elsewhere(
	struct relay *relay, unsigned worker, uint64_t now_us, unsigned *worker_out)
{
	bool found = false, is_due_now;

	pthread_mutex_lock(&relay->lock);
	is_due_now =
		*next_in_time(relay, now_us) && (!relay->interval_us || relay->due_us <= now_us);
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

static struct delivery *take_out(struct relay *relay, uint64_t deadline_us)
{
	struct delivery *taken = NULL, **end = &taken, **at = &relay->first;

	pthread_mutex_lock(&relay->lock);
	while (*at) {
		if ((*at)->deadline_us > deadline_us) {
			at = &(*at)->next;
			continue;
		}
		*end = take(relay, at);
		end = &(*end)->next;
	}
	pthread_mutex_unlock(&relay->lock);
	return taken;
}

struct delivery *relay_expire(struct relay *relay, uint64_t now_us)
{
	return take_out(relay, now_us);
}

struct delivery *relay_empty(struct relay *relay)
{
	return take_out(relay, UINT64_MAX);
}
