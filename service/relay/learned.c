#include "service/relay/learned.h"

#define SECOND   UINT64_C(1000000)
#define REMEMBER (3600 * SECOND)

enum { SHORTEST_IDLE_MS = 1000, SHORTEST_LIFE_MS = 5000 };

/* Times within a tenth of each other are alike; messages have to be the same. */
static uint32_t slack(enum learned_limit which, uint32_t value)
{
	return which == LEARNED_MESSAGES ? 0 : value / 10;
}

static bool is_alike(enum learned_limit which, uint32_t one, uint32_t other)
{
	uint32_t least = one < other ? one : other, most = one < other ? other : one;

	return most - least <= slack(which, most);
}

static bool is_beyond(enum learned_limit which, uint32_t survived, uint32_t limit)
{
	return survived > limit && survived - limit > slack(which, limit);
}

static bool note_survival(struct learned *learned, enum learned_limit which, uint32_t value)
{
	struct learned_one *one = &learned->limits[which];

	if (value > one->survived)
		one->survived = value;
	if (!one->limit || !is_beyond(which, value, one->limit))
		return false;
	one->limit = 0;
	return true;
}

/* Did a session get further, lately? */
static bool is_outlived(const struct learned_one *one, enum learned_limit which, uint32_t value)
{
	return is_beyond(which, one->survived, value) ||
	       is_beyond(which, one->survived_before, value);
}

static bool note_end(struct learned *learned, enum learned_limit which, uint32_t value,
	const struct session_life *life)
{
	struct learned_one *one = &learned->limits[which];
	bool is_like_last = one->ended && is_alike(which, one->ended, value);
	bool is_later = life->opened_us > one->ended_us;
	uint32_t before = one->limit;

	if (is_like_last && !is_later)
		return false; /* for the same reason, maybe */
	if (is_like_last && !is_outlived(one, which, value)) {
		one->limit = one->ended < value ? one->ended : value;
		one->since_us = life->ended_us;
	}
	one->ended = value;
	one->ended_us = life->ended_us;
	return one->limit != before;
}

/* Those that are up at the same time may all end for one reason, as a restart of the relay is. */
static void note_hang_up(struct learned *learned, const struct session_life *life)
{
	if (!learned->hung_up_once_us)
		learned->hung_up_once_us = life->ended_us;
	else if (life->opened_us > learned->hung_up_once_us || learned->hung_up_us)
		learned->hung_up_us = life->ended_us;
}

static uint32_t ms_between(uint64_t from_us, uint64_t to_us)
{
	uint64_t ms = to_us > from_us ? (to_us - from_us) / 1000 : 0;

	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

bool learned_from(struct learned *learned, const struct session_life *life)
{
	uint32_t age_ms = ms_between(life->opened_us, life->ended_us);
	bool is_new = note_survival(learned, LEARNED_IDLE, life->longest_quiet_ms);

	is_new |= note_survival(learned, LEARNED_MESSAGES, life->messages);
	is_new |= note_survival(
		learned, LEARNED_LIFETIME, ms_between(life->opened_us, life->used_us));
	if (!life->ended_by_relay)
		return is_new;
	if (life->quiet_ms >= SHORTEST_IDLE_MS)
		return note_end(learned, LEARNED_IDLE, life->quiet_ms, life) || is_new;
	if (life->messages && life->without_a_word)
		note_hang_up(learned, life);
	if (life->messages)
		is_new |= note_end(learned, LEARNED_MESSAGES, life->messages, life);
	if (age_ms >= SHORTEST_LIFE_MS)
		is_new |= note_end(learned, LEARNED_LIFETIME, age_ms, life);
	return is_new;
}

void learned_recipients(struct learned *learned, uint32_t taken, uint64_t now_us)
{
	learned->recipients = taken;
	learned->recipients_us = now_us;
}

void learned_forget_old(struct learned *learned, uint64_t now_us)
{
	for (unsigned i = 0; i < LEARNED_LIMITS; i++) {
		struct learned_one *one = &learned->limits[i];
		bool is_long_ago = now_us > one->since_us + 2 * REMEMBER;

		if (now_us > one->since_us + REMEMBER)
			*one = (struct learned_one){ .since_us = now_us,
				.survived_before = is_long_ago ? 0 : one->survived };
	}
	if (now_us > learned->recipients_us + REMEMBER)
		learned->recipients = 0;
	if (now_us > learned->hung_up_us + REMEMBER) {
		learned->hung_up_us = 0;
		if (now_us > learned->hung_up_once_us + REMEMBER)
			learned->hung_up_once_us = 0;
	}
}

uint32_t learned_limit(const struct learned *learned, enum learned_limit which)
{
	uint32_t limit = learned->limits[which].limit;

	return which == LEARNED_MESSAGES ? limit : limit - limit / 10;
}

uint32_t lesser_limit(uint32_t one, uint32_t other)
{
	return one && (!other || one < other) ? one : other;
}

const char *learned_limit_name(enum learned_limit which)
{
	static const char *const names[LEARNED_LIMITS] = { "idle", "messages", "lifetime" };

	return names[which];
}
