#include "service/relay/fleet.h"

#include "service/relay/route.h"
#include "smtp/address/address.h"

#include <stdlib.h>

static struct fleet *fleet_new(struct settings *settings)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet)
		return NULL;
	atomic_init(&fleet->references, 1);
	fleet->settings = settings_hold(settings);
	return fleet;
}

enum err fleet_open(struct settings *settings, unsigned workers, struct metrics *metrics,
	struct fleet *old, struct fleet **fleet_out, struct buf *why)
{
	struct fleet *fleet = fleet_new(settings);
	enum err err = fleet ? OK : ERR_MEMORY;

	for (size_t i = 0; i < settings->relay_count && !err; i++) {
		const char *name = settings->relays[i].name;
		struct relay *before = old ? fleet_find(old, text_of(name)) : NULL;

		err = relay_open(settings, i, workers, &fleet->relays[i], why);
		if (err)
			break;
		fleet->count++;
		relay_count_in(fleet->relays[i], metrics_relay(metrics, name));
		if (before)
			relay_inherit(fleet->relays[i], before);
		fleet->shares[i] = relay_share(fleet->relays[i]);
	}
	if (err)
		fleet_release(fleet);
	else
		*fleet_out = fleet;
	return err;
}

enum err fleet_start(struct fleet *fleet, struct oauth_crew *crew)
{
	enum err err = OK;

	for (size_t i = 0; i < fleet->count && !err; i++)
		err = relay_start(fleet->relays[i], crew);
	return err;
}

struct fleet *fleet_hold(struct fleet *fleet)
{
	atomic_fetch_add(&fleet->references, 1);
	return fleet;
}

void fleet_release(struct fleet *fleet)
{
	if (!fleet || atomic_fetch_sub(&fleet->references, 1) > 1)
		return;
	for (size_t i = 0; i < fleet->count; i++)
		relay_release(fleet->relays[i]);
	settings_free(fleet->settings);
	free(fleet);
}

static struct text name_of(const struct fleet *fleet, size_t i)
{
	return text_of(relay_settings(fleet->relays[i])->name);
}

struct relay *fleet_find(const struct fleet *fleet, struct text name)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (text_equal(name_of(fleet, i), name))
			return fleet->relays[i];
	return NULL;
}

/* ---- which one; sets of relays are bits, as in struct route_settings */

static uint64_t named(const struct fleet *fleet, struct text name)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (text_equal(name_of(fleet, i), name))
			return UINT64_C(1) << i;
	return 0;
}

static uint64_t routed(const struct fleet *fleet, const struct delivery *delivery)
{
	struct route_question question = { .from_domain = smtp_address_domain(
						   delivery->from.len ? delivery->from
								      : delivery->envelope.from),
		.to = delivery->envelope.to,
		.to_count = delivery->envelope.count,
		.key = delivery->key_id,
		.tags = delivery->tags,
		.tag_count = delivery->tag_count };

	return route_choose(fleet->settings, &question);
}

static uint64_t allowed(const struct fleet *fleet, const struct delivery *delivery)
{
	uint64_t set = delivery->relay_count ? 0 : UINT64_MAX;

	for (size_t i = 0; i < delivery->relay_count; i++)
		set |= named(fleet, delivery->relays[i]);
	return set;
}

static uint64_t tried(const struct fleet *fleet, const struct delivery *delivery)
{
	uint64_t set = 0;

	for (size_t i = 0; i < delivery->result.attempt_count; i++)
		set |= named(fleet, delivery->result.attempts[i].relay);
	return set;
}

/* The first whose rest is over. */
static struct relay *first_awake(const struct fleet *fleet, uint64_t set, uint64_t now_us)
{
	struct relay *first = NULL;
	uint64_t until_us, first_us = UINT64_MAX;

	for (size_t i = 0; i < fleet->count; i++)
		if (set >> i & 1 && relay_rests(fleet->relays[i], now_us, &until_us) &&
			until_us < first_us) {
			first = fleet->relays[i];
			first_us = until_us;
		}
	return first;
}

/* Those that do not rest; and of these, those that are not being probed, if there are any. */
static uint64_t awake(const struct fleet *fleet, uint64_t set, uint64_t now_us)
{
	uint64_t up = 0, sure = 0, until_us;

	for (size_t i = 0; i < fleet->count; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(set & bit) || relay_rests(fleet->relays[i], now_us, &until_us))
			continue;
		up |= bit;
		sure |= relay_is_probing(fleet->relays[i], now_us) ? 0 : bit;
	}
	return sure ? sure : up;
}

static uint64_t of_lowest_priority(const struct fleet *fleet, uint64_t set, uint64_t *weight_out)
{
	unsigned lowest = UINT32_MAX;
	uint64_t best = 0;

	for (size_t i = 0; i < fleet->count; i++) {
		const struct relay_settings *own = relay_settings(fleet->relays[i]);

		if (!(set >> i & 1) || own->priority > lowest)
			continue;
		if (own->priority < lowest)
			best = *weight_out = 0;
		lowest = own->priority;
		best |= UINT64_C(1) << i;
		*weight_out += own->weight;
	}
	return best;
}

/* Shares are even over any stretch of messages: multiples of the golden ratio fill a circle evenly.
 */
static struct relay *by_weight(struct fleet *fleet, uint64_t set, uint64_t weight)
{
	uint32_t place = (atomic_fetch_add_explicit(&fleet->turn, 1, memory_order_relaxed) + 1) *
			 UINT32_C(2654435769);
	uint64_t left = place * weight >> 32;
	struct relay *chosen = NULL;

	for (size_t i = 0; i < fleet->count; i++) {
		if (!(set >> i & 1))
			continue;
		chosen = fleet->relays[i];
		if (left < relay_settings(chosen)->weight)
			break;
		left -= relay_settings(chosen)->weight;
	}
	return chosen;
}

uint64_t fleet_set(const struct fleet *fleet, const struct relay *relay)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->relays[i] == relay)
			return UINT64_C(1) << i;
	return 0;
}

/* Those that it may use. */
static enum fleet_choice choose_from(
	const struct fleet *fleet, const struct delivery *delivery, uint64_t *set_out)
{
	uint64_t set =
		delivery->relay.len ? named(fleet, delivery->relay) : routed(fleet, delivery);

	*set_out = set & allowed(fleet, delivery);
	return !set ? FLEET_NO_SUCH : !*set_out ? FLEET_FORBIDDEN : FLEET_CHOSEN;
}

enum fleet_choice fleet_may_take(const struct fleet *fleet, const struct delivery *delivery)
{
	uint64_t set;

	return choose_from(fleet, delivery, &set);
}

enum fleet_choice fleet_choose(struct fleet *fleet, const struct delivery *delivery, uint64_t full,
	uint64_t now_us, struct relay **relay_out)
{
	uint64_t weight = 0, best, with_room, set;
	enum fleet_choice choice = choose_from(fleet, delivery, &set);

	if (choice != FLEET_CHOSEN)
		return choice;
	set &= ~tried(fleet, delivery);
	best = of_lowest_priority(fleet, awake(fleet, set, now_us), &weight);
	*relay_out = best ? NULL : first_awake(fleet, set, now_us);
	if (*relay_out)
		return FLEET_RESTING;
	if (!best) /* else they woke just now */
		best = of_lowest_priority(fleet, set, &weight);
	if (!best)
		return FLEET_EXHAUSTED;
	with_room = of_lowest_priority(fleet, best & ~full, &weight);
	*relay_out = by_weight(fleet, with_room ? with_room : best, weight);
	return with_room ? FLEET_CHOSEN : FLEET_FULL;
}
