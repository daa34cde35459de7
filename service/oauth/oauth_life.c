#include "service/oauth/oauth_life.h"

enum { SECOND_US = 1000000, MINUTE_US = 60 * SECOND_US, EARLY_US = 5 * MINUTE_US };

static bool is_good(const struct oauth_life *life, uint64_t now_us)
{
	return life->has_token && now_us < life->expires_us;
}

enum oauth_state oauth_life_state(const struct oauth_life *life, uint64_t now_us)
{
	if (is_good(life, now_us))
		return OAUTH_TAKEN;
	return life->is_fetching || now_us >= life->pause_to_us ? OAUTH_WAITS : OAUTH_PAUSES;
}

enum oauth_state oauth_life_ask(struct oauth_life *life, uint64_t now_us)
{
	enum oauth_state state = oauth_life_state(life, now_us);

	life->is_wanted |= state == OAUTH_WAITS;
	return state;
}

/* The endpoint's no is not asked for again unless somebody needs a token: it is for people to
 * mend, and accounts are locked for less. */
uint64_t oauth_life_due(const struct oauth_life *life)
{
	uint64_t due = life->has_token ? life->refresh_us : 0;

	if (life->is_fetching || (life->is_refused && !life->is_wanted))
		return UINT64_MAX;
	if (life->is_wanted)
		due = 0;
	return due > life->pause_to_us ? due : life->pause_to_us;
}

void oauth_life_begin(struct oauth_life *life, uint64_t now_us)
{
	life->is_fetching = true;
	life->is_wanted = false;
	life->began_us = now_us;
}

/* Its life counts from when it was asked for: the endpoint's clock began to run after that. */
void oauth_life_granted(struct oauth_life *life, uint64_t expires_s)
{
	uint64_t life_us = expires_s * SECOND_US;
	uint64_t early_us = life_us / 10 < EARLY_US ? life_us / 10 : EARLY_US;

	life->is_fetching = life->is_wanted = life->is_refused = false;
	life->has_token = true;
	life->expires_us = life->began_us + life_us;
	life->refresh_us = life->expires_us - early_us;
	life->failures = life->replaces ? life->failures : 0;
	life->pause_to_us = life->began_us + SECOND_US;
}

static void pause_from(struct oauth_life *life, uint64_t now_us)
{
	uint64_t pause_us = life->is_refused ? MINUTE_US : SECOND_US;
	uint64_t most_us = life->is_refused ? 5 * MINUTE_US : MINUTE_US;

	for (unsigned i = 0; i < life->failures && pause_us < most_us; i++)
		pause_us *= 2;
	life->failures++;
	life->pause_to_us = now_us + (pause_us < most_us ? pause_us : most_us);
}

void oauth_life_failed(struct oauth_life *life, bool refused, uint64_t now_us)
{
	if (refused != life->is_refused)
		life->failures = 0;
	life->is_fetching = life->is_wanted = false;
	life->is_refused = refused;
	pause_from(life, now_us);
}

bool oauth_life_drop(struct oauth_life *life, uint64_t now_us)
{
	bool is_second = life->replaces;

	life->has_token = false;
	life->replaces = true;
	if (is_second) {
		life->is_refused = true;
		pause_from(life, now_us);
	} else {
		life->is_wanted = true;
		life->pause_to_us = 0;
	}
	return !is_second;
}

void oauth_life_prove(struct oauth_life *life)
{
	if (life->replaces)
		life->failures = 0;
	life->replaces = false;
}

void oauth_life_hurry(struct oauth_life *life)
{
	life->failures = 0;
	life->is_refused = false;
	life->pause_to_us = 0;
}
