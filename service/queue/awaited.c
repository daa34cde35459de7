#include "service/queue/awaited.h"

#include "service/clock.h"
#include "service/queue/keyed.h"
#include "service/queue/leaving.h"
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

static bool copy_attempt(const struct stored *stored, size_t from, struct delivery *delivery)
{
	struct result *result = &delivery->result;
	struct attempt *attempt = &result->attempts[result->attempt_count];

	*attempt = stored->attempts[from].attempt;
	attempt->relay = region_copy(delivery->region, attempt->relay);
	attempt->said.text = region_copy(delivery->region, attempt->said.text);
	if (!attempt->relay.at || !attempt->said.text.at)
		return false;
	result->attempt_count++;
	return true;
}

static bool copy_attempts(const struct stored *stored, struct delivery *delivery)
{
	size_t count = stored->attempt_count < ATTEMPTS_MAX ? stored->attempt_count : ATTEMPTS_MAX;
	bool is_copied = true;

	delivery->result.attempt_count = 0;
	for (size_t i = stored->attempt_count - count; is_copied && i < stored->attempt_count; i++)
		is_copied = copy_attempt(stored, i, delivery);
	return is_copied;
}

/* It waits on. Only so many tries are told: the first ones, so that each is copied once. */
static void note_tries(struct delivery *delivery, const struct stored *stored)
{
	struct result *result = &delivery->result;

	while (result->attempt_count < ATTEMPTS_MAX &&
		result->attempt_count < stored->attempt_count)
		if (!copy_attempt(stored, result->attempt_count, delivery))
			return;
}

/* The hints of those who were tried last, which know the relay: their order is that of all. */
static void copy_hints(
	const struct stored *stored, const struct result *last, struct smtp_answer *answers)
{
	size_t place = 0;

	for (size_t i = 0; i < stored->count && place < last->count; i++) {
		const struct smtp_verdict *told = &last->answers[place].verdict;

		if (!text_equal(stored->to[i].address, last->to[place]))
			continue;
		place++;
		if (answers[i].verdict.category == told->category && told->hint)
			answers[i].verdict.hint = told->hint;
	}
}

/* Waiting in the queue, for the next try and for a session, is all that is neither of the others.
 */
static void set_times(struct delivery *delivery)
{
	struct result *result = &delivery->result;
	uint64_t sent_us = result->connect_us + result->send_us;

	result->total_us = now_us() - delivery->began_us;
	result->queue_us = result->total_us > sent_us ? result->total_us - sent_us : 0;
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
	if (last)
		copy_hints(stored, last, answers);
	result->answers = answers;
	result->verdict = recorded_verdict(stored, answers);
	recorded_add_reply(stored, delivery->region, result);
	set_times(delivery);
	keyed_tell_anew(delivery);
}

/* Nothing is tried by itself any more. */
static bool is_over(const struct stored *stored)
{
	return message_state_is_settled(stored->state) || stored->state == MESSAGE_HELD;
}

static void note_all_tries(struct awaited *awaited, const struct stored *stored)
{
	pthread_mutex_lock(&awaited->lock);
	for (struct delivery *delivery = *slot_of(awaited, stored->id); delivery;
		delivery = delivery->next)
		if (strcmp(delivery->id, stored->id) == 0)
			note_tries(delivery, stored);
	pthread_mutex_unlock(&awaited->lock);
}

void awaited_settle(struct awaited *awaited, const struct stored *stored, const struct result *last)
{
	struct delivery *list;

	if (!is_over(stored)) {
		note_all_tries(awaited, stored);
		return;
	}
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
	else if (found)
		note_tries(delivery, found);
	stored_free(found);
	if (is_known)
		give_back(look->awaited->lettergate, delivery);
	else
		awaited_add(look->awaited, delivery);
}

/* It is queued, as far as he can know. */
static bool leave_look(struct job *job)
{
	struct look *look = job->waiter;

	return leaving_tell(look->awaited->lettergate, look->delivery);
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
	leaving_put(awaited->lettergate, delivery, &look->job.job, leave_look);
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

/* How long it took so far, and what was tried. What was told before to somebody else is told as it
 * was. */
static void note_wait(struct delivery *delivery)
{
	set_times(delivery);
	if (delivery->repeat == REPEAT_FIRST)
		keyed_tell_anew(delivery);
}

void awaited_tick(struct awaited *awaited, uint64_t now_us)
{
	struct delivery *list;

	pthread_mutex_lock(&awaited->lock);
	list = take_over(awaited, now_us);
	pthread_mutex_unlock(&awaited->lock);
	for (struct delivery *delivery = list; delivery; delivery = delivery->next)
		note_wait(delivery);
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
