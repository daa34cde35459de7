#include "service/queue/awaited.h"

#include "service/clock.h"
#include "service/queue/keyed.h"
#include "service/queue/queue.h"
#include "service/queue/recorded.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 10, LOOK_US = 1000000, LOOKS_MOST = 200 };

struct awaited {
	struct lettergate *lettergate;
	pthread_mutex_t lock; /* of what follows */
	bool is_stopped;
	uint64_t look_us; /* where others send, too: when it is looked again who has a verdict */
	size_t look_slot;
	struct delivery *slots[SLOTS]; /* by id, each a list by `next` */
};

/* In the memory of whoever waits. */
struct look {
	struct look_up_job job;
	struct awaited *awaited;
	struct delivery *delivery;
};

/* ---- the table; under the lock */

static struct delivery **slot_of(struct awaited *awaited, const char *id)
{
	uint32_t sum = 2166136261u; /* FNV-1a */

	for (; *id; id++)
		sum = (sum ^ (unsigned char)*id) * 16777619u;
	return &awaited->slots[sum % SLOTS];
}

/* Takes all of this id out: one that was asked for again has more than one sender. */
static struct delivery *take(struct awaited *awaited, const char *id)
{
	struct delivery **at = slot_of(awaited, id), *taken = NULL;

	while (*at) {
		struct delivery *delivery = *at;

		if (strcmp(delivery->id, id) != 0) {
			at = &delivery->next;
			continue;
		}
		*at = delivery->next;
		delivery->next = taken;
		taken = delivery;
	}
	return taken;
}

/* Those that wait no longer than until then. */
static struct delivery *take_over(struct awaited *awaited, uint64_t now_us)
{
	struct delivery *taken = NULL;

	for (size_t slot = 0; slot < SLOTS; slot++)
		for (struct delivery **at = &awaited->slots[slot]; *at;) {
			struct delivery *delivery = *at;

			if (delivery->wait_until_us > now_us) {
				at = &delivery->next;
				continue;
			}
			*at = delivery->next;
			delivery->next = taken;
			taken = delivery;
		}
	return taken;
}

/* Some of those that wait, each in its turn. */
static struct delivery *take_some(struct awaited *awaited)
{
	struct delivery *taken = NULL;
	size_t count = 0;

	for (size_t i = 0; i < SLOTS && count < LOOKS_MOST; i++) {
		struct delivery **slot = &awaited->slots[awaited->look_slot++ % SLOTS];

		while (*slot) {
			struct delivery *delivery = *slot;

			*slot = delivery->next;
			delivery->next = taken;
			taken = delivery;
			count++;
		}
	}
	return taken;
}

/* ---- telling them */

static void give_back(struct lettergate *lettergate, struct delivery *list)
{
	for (struct delivery *next; list; list = next) {
		next = list->next;
		list->next = NULL;
		atomic_fetch_sub(&lettergate->in_flight, 1);
		list->done(list);
	}
}

static bool copy_attempts(const struct stored *stored, struct delivery *delivery)
{
	struct result *result = &delivery->result;
	size_t count = stored->attempt_count < ATTEMPTS_MAX ? stored->attempt_count : ATTEMPTS_MAX;
	bool is_copied = true;

	result->attempt_count = count;
	for (size_t i = 0; i < count; i++) {
		struct attempt *attempt = &result->attempts[i];

		*attempt = stored->attempts[stored->attempt_count - count + i].attempt;
		attempt->relay = region_copy(delivery->region, attempt->relay);
		attempt->said.text = region_copy(delivery->region, attempt->said.text);
		is_copied = is_copied && attempt->relay.at && attempt->said.text.at;
	}
	return is_copied;
}

/* What is not kept of an attempt: where it went, and how long that took. */
static void copy_last(const struct result *last, struct delivery *delivery)
{
	struct result *result = &delivery->result;
	struct region *region = delivery->region;

	result->said = last->said;
	result->said.text = region_copy(region, last->said.text);
	result->relay_name = region_copy(region, last->relay_name);
	result->relay_host = region_copy(region, last->relay_host);
	result->queue_id = region_copy(region, last->queue_id);
	result->tls = last->tls;
	result->detail =
		last->detail ? region_copy(region, text_of(last->detail)).at : last->detail;
	result->connect_us = last->connect_us;
	result->send_us = last->send_us;
}

/* Where memory is at its end, the delivery is told as queued, which is true as well. */
static void note(struct delivery *delivery, const struct stored *stored, const struct result *last)
{
	struct result *result = &delivery->result;
	struct smtp_answer *answers = recorded_answers(stored, delivery->region);

	if (!answers || stored->count != result->count || !copy_attempts(stored, delivery)) {
		result->attempt_count = 0;
		return;
	}
	result->answers = answers;
	result->verdict = recorded_verdict(stored, answers);
	if (last)
		copy_last(last, delivery);
	else if (result->attempt_count && stored->state != MESSAGE_CANCELLED)
		result->said = result->attempts[result->attempt_count - 1].said;
	result->total_us = now_us() - delivery->began_us;
	keyed_tell_anew(delivery);
}

/* Nothing is tried by itself any more. */
static bool is_over(const struct stored *stored)
{
	return message_state_is_settled(stored->state) || stored->state == MESSAGE_HELD;
}

void awaited_settle(struct awaited *awaited, const struct stored *stored, const struct result *last)
{
	struct delivery *list;

	if (!is_over(stored))
		return;
	pthread_mutex_lock(&awaited->lock);
	list = take(awaited, stored->id);
	pthread_mutex_unlock(&awaited->lock);
	for (struct delivery *delivery = list; delivery; delivery = delivery->next)
		note(delivery, stored, last);
	give_back(awaited->lettergate, list);
}

/* ---- coming in */

void awaited_add(struct awaited *awaited, struct delivery *delivery)
{
	struct delivery **slot = slot_of(awaited, delivery->id);
	bool waits;

	delivery->next = NULL;
	pthread_mutex_lock(&awaited->lock);
	waits = !awaited->is_stopped && delivery->wait_until_us > now_us();
	if (waits) {
		delivery->next = *slot;
		*slot = delivery;
	}
	pthread_mutex_unlock(&awaited->lock);
	if (!waits)
		give_back(awaited->lettergate, delivery);
}

/* The queue's thread. */
static void looked(struct job *job)
{
	struct look *look = job->waiter;
	struct delivery *delivery = look->delivery;
	struct stored *found = job->err ? NULL : look->job.found;
	bool is_known = !found || is_over(found);

	if (found && is_known)
		note(delivery, found, NULL);
	stored_free(found);
	if (is_known)
		give_back(look->awaited->lettergate, delivery);
	else
		awaited_add(look->awaited, delivery);
}

void awaited_look(struct awaited *awaited, struct delivery *delivery)
{
	struct look *look = region_zalloc(delivery->region, 1, sizeof(*look));

	delivery->next = NULL;
	if (!look) {
		give_back(awaited->lettergate, delivery);
		return;
	}
	look->job = (struct look_up_job){
		.job = { .kind = JOB_LOOK_UP, .done = looked, .waiter = look },
		.id = delivery->id,
		.key_id = delivery->key_id
	};
	look->awaited = awaited;
	look->delivery = delivery;
	queue_put(awaited->lettergate->queue, &look->job.job);
}

static void look_for_all(struct awaited *awaited, struct delivery *list)
{
	for (struct delivery *next; list; list = next) {
		next = list->next;
		awaited_look(awaited, list);
	}
}

void awaited_cancelled(struct awaited *awaited, const char *id)
{
	struct delivery *list;

	pthread_mutex_lock(&awaited->lock);
	list = take(awaited, id);
	pthread_mutex_unlock(&awaited->lock);
	look_for_all(awaited, list);
}

/* ---- time, and the end of it */

/* What another process sent is known by its message alone. */
static void look_again(struct awaited *awaited, uint64_t now_us)
{
	struct delivery *list = NULL;

	pthread_mutex_lock(&awaited->lock);
	if (now_us >= awaited->look_us && queue_is_shared(awaited->lettergate->queue)) {
		awaited->look_us = now_us + LOOK_US;
		list = take_some(awaited);
	}
	pthread_mutex_unlock(&awaited->lock);
	look_for_all(awaited, list);
}

void awaited_tick(struct awaited *awaited, uint64_t now_us)
{
	struct delivery *list;

	pthread_mutex_lock(&awaited->lock);
	list = take_over(awaited, now_us);
	pthread_mutex_unlock(&awaited->lock);
	give_back(awaited->lettergate, list);
	if (now_us != UINT64_MAX)
		look_again(awaited, now_us);
}

void awaited_stop(struct awaited *awaited)
{
	pthread_mutex_lock(&awaited->lock);
	awaited->is_stopped = true;
	pthread_mutex_unlock(&awaited->lock);
	awaited_tick(awaited, UINT64_MAX);
}

enum err awaited_open(struct lettergate *lettergate, struct awaited **awaited_out)
{
	struct awaited *awaited = calloc(1, sizeof(*awaited));

	if (!awaited)
		return ERR_MEMORY;
	awaited->lettergate = lettergate;
	pthread_mutex_init(&awaited->lock, NULL);
	*awaited_out = awaited;
	return OK;
}

void awaited_close(struct awaited *awaited)
{
	if (!awaited)
		return;
	pthread_mutex_destroy(&awaited->lock);
	free(awaited);
}
