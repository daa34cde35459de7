#include "service/relay/turns.h"

#include <string.h>

enum { BITS = 64 };

void turns_open(struct turns *turns)
{
	memset(turns, 0, sizeof(*turns));
	turns->deadline_us = turns->elsewhere_us = UINT64_MAX;
	for (unsigned i = 0; i < LANES; i++)
		turns->lanes[i].last = &turns->lanes[i].first;
}

static void mark(struct turns *turns, unsigned lane)
{
	uint64_t bit = UINT64_C(1) << lane % BITS;

	if (turns->lanes[lane].first)
		turns->filled[lane / BITS] |= bit;
	else
		turns->filled[lane / BITS] &= ~bit;
}

/* The first lane at or behind `from` in which something waits; LANES: none up to the end. */
static unsigned filled_from(const struct turns *turns, unsigned from)
{
	for (unsigned word = from / BITS; word < LANES / BITS; word++) {
		uint64_t bits = turns->filled[word];

		if (word == from / BITS)
			bits &= UINT64_MAX << from % BITS;
		if (bits)
			return word * BITS + (unsigned)__builtin_ctzll(bits);
	}
	return LANES;
}

static void note_times(struct turns *turns, const struct delivery *delivery)
{
	if (delivery->deadline_us < turns->deadline_us)
		turns->deadline_us = delivery->deadline_us;
	if (delivery->elsewhere_us < turns->elsewhere_us)
		turns->elsewhere_us = delivery->elsewhere_us;
}

void turns_add(struct turns *turns, struct delivery *delivery)
{
	unsigned number = delivery->key_number % LANES;
	struct lane *lane = &turns->lanes[number];

	delivery->next = NULL;
	*lane->last = delivery;
	lane->last = &delivery->next;
	turns->count++;
	note_times(turns, delivery);
	mark(turns, number);
}

static void put_in(struct turns *turns, struct delivery *delivery, struct delivery **at)
{
	unsigned number = delivery->key_number % LANES;

	delivery->next = *at;
	if (!*at)
		turns->lanes[number].last = &delivery->next;
	*at = delivery;
	turns->count++;
	note_times(turns, delivery);
	mark(turns, number);
}

void turns_put_back(struct turns *turns, struct delivery *delivery)
{
	turns->next = delivery->key_number % LANES;
	put_in(turns, delivery, &turns->lanes[turns->next].first);
}

void turns_return(struct turns *turns, struct delivery *delivery)
{
	struct delivery **at = &turns->lanes[delivery->key_number % LANES].first;

	while (*at && (*at)->queued_us <= delivery->queued_us)
		at = &(*at)->next;
	put_in(turns, delivery, at);
}

static struct turn find_between(struct turns *turns, unsigned from, unsigned end, uint64_t now_us)
{
	for (unsigned lane = filled_from(turns, from); lane < end;
		lane = filled_from(turns, lane + 1)) {
		struct delivery **at = &turns->lanes[lane].first;

		while (*at && (*at)->deadline_us <= now_us)
			at = &(*at)->next;
		if (*at)
			return (struct turn){ lane, at };
	}
	return (struct turn){ 0 };
}

struct turn turns_find(struct turns *turns, uint64_t now_us)
{
	struct turn turn = find_between(turns, turns->next, LANES, now_us);

	return turn.at ? turn : find_between(turns, 0, turns->next, now_us);
}

static struct delivery *take_at(struct turns *turns, unsigned number, struct delivery **at)
{
	struct delivery *delivery = *at;

	*at = delivery->next;
	if (!*at)
		turns->lanes[number].last = at;
	delivery->next = NULL;
	turns->count--;
	mark(turns, number);
	return delivery;
}

struct delivery *turns_take(struct turns *turns, struct turn turn)
{
	turns->next = (turn.lane + 1) % LANES;
	return take_at(turns, turn.lane, turn.at);
}

/* What is asked for: see turns_take_all, turns_take_long, and turns_take_queued. */
struct wish {
	uint64_t deadline_us, queued_us; /* at most */
	uint64_t elsewhere_us;           /* … and that; 0: no matter */
	bool is_queued;                  /* that alone */
};

static bool is_wished(const struct delivery *delivery, const struct wish *wish)
{
	if (wish->is_queued)
		return delivery->is_queued;
	if (wish->elsewhere_us)
		return delivery->elsewhere_us <= wish->elsewhere_us;
	return delivery->deadline_us <= wish->deadline_us && delivery->queued_us <= wish->queued_us;
}

/* From one lane, behind `end`, up to `most`; gives the new end. The times of those that stay are
 * noted. */
static struct delivery **take_of_lane(struct turns *turns, unsigned lane, const struct wish *wish,
	struct delivery **end, size_t *most)
{
	struct delivery **at = &turns->lanes[lane].first;

	while (*at && *most) {
		if (!is_wished(*at, wish)) {
			note_times(turns, *at);
			at = &(*at)->next;
			continue;
		}
		*end = take_at(turns, lane, at);
		end = &(*end)->next;
		--*most;
	}
	return end;
}

/* A walk to the end learns the times anew. */
static struct delivery *take_wished(struct turns *turns, const struct wish *wish, size_t most)
{
	uint64_t deadline_us = turns->deadline_us, elsewhere_us = turns->elsewhere_us;
	struct delivery *taken = NULL, **end = &taken;

	turns->deadline_us = turns->elsewhere_us = UINT64_MAX;
	for (unsigned lane = filled_from(turns, 0); lane < LANES && most;
		lane = filled_from(turns, lane + 1))
		end = take_of_lane(turns, lane, wish, end, &most);
	if (!most) {
		turns->deadline_us = deadline_us;
		turns->elsewhere_us = elsewhere_us;
	}
	return taken;
}

struct delivery *turns_take_all(
	struct turns *turns, uint64_t deadline_us, uint64_t queued_us, size_t most)
{
	const struct wish wish = { .deadline_us = deadline_us, .queued_us = queued_us };

	return deadline_us < turns->deadline_us ? NULL : take_wished(turns, &wish, most);
}

struct delivery *turns_take_long(struct turns *turns, uint64_t now_us, size_t most)
{
	const struct wish wish = { .elsewhere_us = now_us };

	return now_us < turns->elsewhere_us ? NULL : take_wished(turns, &wish, most);
}

struct delivery *turns_take_queued(struct turns *turns)
{
	const struct wish wish = { .is_queued = true };

	return take_wished(turns, &wish, SIZE_MAX);
}
