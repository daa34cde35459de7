#include "service/store/tally.h"

#include "service/store/rules.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 16 };

static int compare(const struct tally_key *key, struct text key_id)
{
	struct text own = { key->key_id, key->len };

	return text_compare(&own, &key_id);
}

/* Where it is, or would be. */
static size_t place_of(const struct tally *tally, struct text key_id)
{
	size_t low = 0, high = tally->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&tally->keys[middle], key_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct tally_key *find(const struct tally *tally, struct text key_id)
{
	size_t place = place_of(tally, key_id);

	return place < tally->count && compare(&tally->keys[place], key_id) == 0
		       ? &tally->keys[place]
		       : NULL;
}

static enum err grow(struct tally *tally)
{
	size_t room = tally->room ? tally->room * 2 : ROOM_FIRST;
	struct tally_key *keys;

	if (tally->count < tally->room)
		return OK;
	keys = reallocarray(tally->keys, room, sizeof(*keys));
	if (!keys)
		return ERR_MEMORY;
	tally->keys = keys;
	tally->room = room;
	return OK;
}

enum err tally_make_room(struct tally *tally, struct text key_id)
{
	size_t place = place_of(tally, key_id);
	char *copy;

	if (find(tally, key_id))
		return OK;
	copy = malloc(key_id.len + 1);
	if (!copy || grow(tally)) {
		free(copy);
		return ERR_MEMORY;
	}
	if (key_id.len)
		memcpy(copy, key_id.at, key_id.len);
	memmove(&tally->keys[place + 1], &tally->keys[place],
		(tally->count - place) * sizeof(*tally->keys));
	tally->keys[place] = (struct tally_key){ .key_id = copy, .len = key_id.len };
	tally->count++;
	return OK;
}

/* Where others count too, what they took in may be settled here before it is known here. */
static uint64_t at_least_none(int64_t number)
{
	return number > 0 ? (uint64_t)number : 0;
}

static bool is_within(int64_t number, uint64_t more, uint64_t most)
{
	uint64_t are = at_least_none(number);

	return most == 0 || (are < most && more <= most - are);
}

enum store_bound tally_full(const struct tally *tally, const struct store_limits *limits,
	struct text key_id, uint64_t bytes)
{
	const struct tally_key *key = find(tally, key_id);
	int64_t own = 0;

	for (int state = 0; key && state < MESSAGE_STATES; state++)
		if (!message_state_is_settled(state))
			own += key->messages[state];
	if (!is_within(own, 1, limits->per_key))
		return BOUND_OF_KEY;
	if (!is_within(tally->waiting, 1, limits->messages))
		return BOUND_MESSAGES;
	return is_within(tally->waiting_bytes, bytes, limits->bytes) ? BOUND_NONE : BOUND_BYTES;
}

bool tally_admits(
	const struct tally *tally, const struct store_limits *limits, struct accept_job *accept)
{
	const struct stored *stored = accept->stored;

	accept->full = message_state_is_settled(stored->state)
			       ? BOUND_NONE
			       : tally_full(tally, limits, stored->key_id, accept->weight);
	return accept->full == BOUND_NONE;
}

const char *tally_words(enum store_bound bound)
{
	switch (bound) {
	case BOUND_MESSAGES:
		return "QUEUE_MAX is reached: that many messages are in the queue";
	case BOUND_BYTES:
		return "QUEUE_MAX_BYTES is reached, or this message would pass it";
	case BOUND_OF_KEY:
		return "QUEUE_MAX_PER_KEY is reached: this key has that many messages in the queue";
	default:
		return "the queue is full";
	}
}

static void add(struct tally *tally, struct tally_key *key, enum message_state state,
	int64_t messages, int64_t bytes)
{
	if (state == MESSAGE_STATES)
		return;
	key->messages[state] += messages;
	key->changed[state] += messages;
	key->bytes[state] += bytes;
	key->bytes_changed[state] += bytes;
	key->is_dirty = true;
	if (!message_state_is_settled(state)) {
		tally->waiting += messages;
		tally->waiting_bytes += bytes;
	}
}

void tally_move_many(struct tally *tally, struct text key_id, struct tally_number number,
	enum message_state from, enum message_state to)
{
	struct tally_key *key = find(tally, key_id);

	if (!key)
		return;
	add(tally, key, from, -number.messages, -number.bytes);
	add(tally, key, to, number.messages, number.bytes);
}

void tally_move(struct tally *tally, struct text key_id, int64_t bytes, enum message_state from,
	enum message_state to)
{
	tally_move_many(tally, key_id, (struct tally_number){ 1, bytes }, from, to);
}

void tally_move_all(struct tally *tally, enum message_state from, enum message_state to)
{
	for (size_t i = 0; i < tally->count; i++) {
		struct tally_key *key = &tally->keys[i];
		int64_t messages = key->messages[from], bytes = key->bytes[from];

		add(tally, key, from, -messages, -bytes);
		add(tally, key, to, messages, bytes);
	}
}

/* ---- the log of events */

static void change_log(struct tally_log *log, int64_t events, int64_t bytes)
{
	log->events.messages += events;
	log->events.bytes += bytes;
	log->changed.messages += events;
	log->changed.bytes += bytes;
}

void tally_events(struct tally *tally, const struct event *events, size_t count, bool is_in)
{
	for (size_t i = 0; i < count; i++) {
		int64_t bytes = rules_event_bytes(&events[i]);

		change_log(&tally->log, is_in ? 1 : -1, is_in ? bytes : -bytes);
	}
}

void tally_events_gone(struct tally *tally, struct tally_number number)
{
	change_log(&tally->log, -number.messages, -number.bytes);
}

int64_t tally_log_came(struct tally *tally)
{
	int64_t came = tally->log.came;

	tally->log.came = 0;
	return came;
}

uint64_t tally_event_bytes(const struct tally *tally)
{
	return at_least_none(tally->log.events.bytes);
}

static void settle_log(struct tally_log *log, bool is_committed)
{
	struct tally_number changed = log->changed;

	if (!is_committed)
		change_log(log, -changed.messages, -changed.bytes);
	else if (changed.messages > 0)
		log->came += changed.messages;
	log->changed = (struct tally_number){ 0 };
}

/* ---- transactions */

static void take_back(struct tally *tally, struct tally_key *key)
{
	for (int state = 0; state < MESSAGE_STATES; state++)
		add(tally, key, state, -key->changed[state], -key->bytes_changed[state]);
}

void tally_settle(struct tally *tally, bool is_committed)
{
	settle_log(&tally->log, is_committed);
	for (size_t i = 0; i < tally->count; i++) {
		struct tally_key *key = &tally->keys[i];

		if (!key->is_dirty)
			continue;
		if (!is_committed)
			take_back(tally, key);
		memset(key->changed, 0, sizeof(key->changed));
		memset(key->bytes_changed, 0, sizeof(key->bytes_changed));
		key->is_dirty = false;
	}
}

enum err tally_note(
	struct tally *tally, struct text key_id, int64_t state, struct tally_number number)
{
	struct tally_key *key;
	enum err err;

	if (state == TALLY_LOG) {
		tally->log.events.messages += number.messages;
		tally->log.events.bytes += number.bytes;
		return OK;
	}
	err = tally_make_room(tally, key_id);
	if (err)
		return err;
	if (state < 0 || state >= MESSAGE_STATES)
		return ERR_SYNTAX;
	key = find(tally, key_id);
	key->messages[state] += number.messages;
	key->bytes[state] += number.bytes;
	if (!message_state_is_settled((enum message_state)state)) {
		tally->waiting += number.messages;
		tally->waiting_bytes += number.bytes;
	}
	return OK;
}

void tally_forget(struct tally *tally)
{
	tally->waiting = tally->waiting_bytes = 0;
	tally->log.events = tally->log.changed;
	for (size_t i = 0; i < tally->count; i++) {
		struct tally_key *key = &tally->keys[i];

		for (int state = 0; state < MESSAGE_STATES; state++) {
			key->messages[state] = key->changed[state];
			key->bytes[state] = key->bytes_changed[state];
			if (message_state_is_settled((enum message_state)state))
				continue;
			tally->waiting += key->changed[state];
			tally->waiting_bytes += key->bytes_changed[state];
		}
	}
}

void tally_count(const struct tally *tally, struct counts_job *counts)
{
	for (int state = 0; state < MESSAGE_STATES; state++) {
		int64_t messages = 0;

		for (size_t i = 0; i < tally->count; i++)
			messages += tally->keys[i].messages[state];
		counts->messages[state] = at_least_none(messages);
	}
	counts->bytes = at_least_none(tally->waiting_bytes);
	counts->events = at_least_none(tally->log.events.messages);
	counts->event_bytes = at_least_none(tally->log.events.bytes);
}

void tally_free(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++)
		free(tally->keys[i].key_id);
	free(tally->keys);
}
