/* window - how many sessions a relay may have at a time, when nothing is tried, and how fast
 *
 * Grows with what the settings allow, shrinks where the relay says "too many connections", and
 * grows back by one after quiet. A relay that keeps failing rests, for longer each time, and then
 * gets one probe. Pure: `now_us` is monotonic, and must not go back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum rest_cause {
	REST_NONE,
	REST_FAILURES,  /* three in a row: refused, unreachable, TLS, silence, 421, … */
	REST_AUTH,      /* it refused our credentials: trying on would lock the account */
	REST_THROTTLED, /* it said for how long it wants nothing */
	REST_CAUSES,
};

struct window {
	unsigned most;           /* sessions that the settings allow */
	unsigned width;          /* … that there may be now */
	uint64_t changed_us;     /* when the width last changed */
	uint64_t quiet_us;       /* how long it stays before it grows by one */
	bool has_grown;          /* the last change was one wider */
	uint64_t pause_until_us; /* no session is opened until then */
	/* pace: how fast messages may follow each other, where the relay said "slower" */
	uint64_t interval_us; /* least between two; 0: it did not */
	uint64_t slowed_us;   /* when that last changed */
	uint64_t second;      /* whose messages are counted */
	unsigned taken, taken_before;
	/* rest */
	unsigned failures; /* in a row */
	enum rest_cause cause;
	uint64_t rest_until_us, rest_us; /* its end, and how long it was */
};

void window_open(struct window *window, unsigned most);

/* "Too many": as many as there are (`sessions`) or half of what was allowed, whichever is more;
 * none is opened for a second. */
void window_narrow(struct window *window, unsigned sessions, uint64_t now_us);
/* The same, but at once to as many as there are. */
void window_fit(struct window *window, unsigned sessions, uint64_t now_us);
/* A message is given to a session. */
void window_took(struct window *window, uint64_t now_us);
/* "Slower": half as many messages a second as there were, from now on. */
void window_slow(struct window *window, uint64_t now_us);
/* Grows, and gets faster, if it was quiet for long enough. */
void window_widen(struct window *window, uint64_t now_us);
/* No session is opened for a second. */
void window_pause(struct window *window, uint64_t now_us);

/* No session could be opened, while none was up. True: it rests from now on. */
bool window_failed(struct window *window, uint64_t now_us);
/* Our credentials were refused: it rests. */
void window_refused_auth(struct window *window, uint64_t now_us);
/* The relay wants nothing for so long; at most five minutes of it are believed. */
void window_throttled(struct window *window, uint32_t seconds, uint64_t now_us);
/* A session is ready, or somebody has mended it: rest is over, as if nobody had failed. What the
 * relay itself asked for, it gets. */
void window_wake(struct window *window);

bool window_rests(const struct window *window, uint64_t now_us);
/* May another session be opened, besides `opening` that are, of `sessions` in all? Behind a rest
 * there is one probe at a time. */
bool window_has_room(
	const struct window *window, unsigned sessions, unsigned opening, uint64_t now_us);
const char *rest_cause_name(enum rest_cause cause); /* "failures", "auth", "throttled"; "" */
