/* oauth_life - a token's life: when it is fetched, when anew, and what is to be done meanwhile
 *
 * Knows times and counts alone, no token and no endpoint. Pure: times are microseconds of the
 * caller's clock, and 0 is before all of them. { 0 } is a token that was never asked for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum oauth_state {
	OAUTH_TAKEN,  /* there is a token that is good for now */
	OAUTH_WAITS,  /* one is being fetched, or about to be */
	OAUTH_PAUSES, /* it could not be fetched, and is not tried again yet */
};

struct oauth_life {
	bool has_token;
	uint64_t expires_us, refresh_us; /* where it has one */
	bool is_fetching;
	uint64_t began_us; /* the fetch under way, or the last */
	bool is_wanted;    /* somebody asked while there was none */
	/* since the last fetch that went well */
	unsigned failures;
	bool is_refused;      /* the last failure is the endpoint's own no */
	uint64_t pause_to_us; /* no fetch before */
	bool replaces;        /* the relay refused the last one, and nothing is known of this one */
};

/* What somebody who needs a token now may do. Where there is none, it is wanted from now on. */
enum oauth_state oauth_life_ask(struct oauth_life *life, uint64_t now_us);
/* The same as things stand: nothing is wanted by it. */
enum oauth_state oauth_life_state(const struct oauth_life *life, uint64_t now_us);
/* When the next fetch is due, by itself or because it is wanted; UINT64_MAX: not until something
 * happens. */
uint64_t oauth_life_due(const struct oauth_life *life);

void oauth_life_begin(struct oauth_life *life, uint64_t now_us); /* a fetch */
void oauth_life_granted(struct oauth_life *life, uint64_t expires_s);
/* `refused`: the endpoint's own no. The pause grows from a second to a minute, after a no from a
 * minute to five. */
void oauth_life_failed(struct oauth_life *life, bool refused, uint64_t now_us);

/* The relay refused the token in hand: it is dropped. True: another is fetched at once. False: it
 * had been fetched in another's place, and there is a pause as after a no. */
bool oauth_life_drop(struct oauth_life *life, uint64_t now_us);
void oauth_life_prove(struct oauth_life *life); /* the relay took it */
/* Somebody changed something: what failed is tried again at once. */
void oauth_life_hurry(struct oauth_life *life);
