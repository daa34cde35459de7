/* fleet - the relays in force, and which of them a message goes to
 *
 * A reload makes a new one; the old one lives until its last user lets it go. Any thread. */
#pragma once

#include "service/relay/relay.h"

struct fleet {
	atomic_uint references;
	struct settings *settings; /* held */
	size_t count;
	struct relay *relays[RELAYS_MAX]; /* as settings->relays */
	struct share *shares[RELAYS_MAX]; /* theirs */
	atomic_uint turn;                 /* for shares by weight */
};

/* Opens all relays of `settings`, which it holds. `old`: those before a reload, whose findings live
 * on; NULL: none. A line in *why. */
MUST_USE enum err fleet_open(struct settings *settings, unsigned workers, struct metrics *metrics,
	struct fleet *old, struct fleet **fleet_out, struct buf *why);
/* Has each relay do what it does by itself (relay_start). */
MUST_USE enum err fleet_start(struct fleet *fleet, struct oauth_crew *crew);
/* References: fleet_open gives the first. NULL is fine for release. */
struct fleet *fleet_hold(struct fleet *fleet);
void fleet_release(struct fleet *fleet);
/* NULL: none of this name. */
struct relay *fleet_find(const struct fleet *fleet, struct text name);

enum fleet_choice {
	FLEET_CHOSEN,
	FLEET_NO_SUCH,   /* it names a relay that there is not */
	FLEET_FORBIDDEN, /* its key may use none that it would go to */
	FLEET_RESTING,   /* all that it may use rest: *relay_out is the first to be tried again */
	FLEET_EXHAUSTED, /* all that it may use were tried */
	FLEET_FULL,      /* all that it would go to have no room: *relay_out is one */
};
/* Where the delivery goes (next): to the relay that it names, else one of the first route that
 * fits, else one of all; of those that its key may use, that were not tried and do not rest, one
 * with the lowest priority, by weight. `full`: those that have no room, as a set (fleet_set); they
 * leave it to others of the same priority. */
enum fleet_choice fleet_choose(struct fleet *fleet, const struct delivery *delivery, uint64_t full,
	uint64_t now_us, struct relay **relay_out);
/* FLEET_CHOSEN: there are some that it may use, whether they rest or not; FLEET_NO_SUCH,
 * FLEET_FORBIDDEN. */
enum fleet_choice fleet_may_take(const struct fleet *fleet, const struct delivery *delivery);
/* The relay alone, as a set. */
uint64_t fleet_set(const struct fleet *fleet, const struct relay *relay);
