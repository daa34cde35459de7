#include "service/relay/window.h"

#define SECOND         UINT64_C(1000000)
#define MINUTE         (60 * SECOND)
#define SHORTEST_QUIET (5 * SECOND)

enum { FAILURES_BEFORE_REST = 3, FAST_US = 1000 };

static uint64_t lesser(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

void window_open(struct window *window, unsigned most)
{
	*window = (struct window){ .most = most, .width = most, .quiet_us = SHORTEST_QUIET };
}

/* Growth that is answered with "too many" again is tried less and less often. */
void window_fit(struct window *window, unsigned sessions, uint64_t now_us)
{
	if (window->has_grown)
		window->quiet_us = lesser(window->quiet_us * 2, 5 * MINUTE);
	window->has_grown = false;
	if (sessions < window->width)
		window->width = sessions ? sessions : 1;
	window->changed_us = now_us;
	window_pause(window, now_us);
}

void window_narrow(struct window *window, unsigned sessions, uint64_t now_us)
{
	unsigned half = window->width / 2;

	window_fit(window, sessions > half ? sessions : half, now_us);
}

void window_took(struct window *window, uint64_t now_us)
{
	uint64_t second = now_us / SECOND;

	if (second != window->second) {
		window->taken_before = second == window->second + 1 ? window->taken : 0;
		window->taken = 0;
		window->second = second;
	}
	window->taken++;
}

/* Answers that were under way when it became slower say nothing new. */
void window_slow(struct window *window, uint64_t now_us)
{
	unsigned rate = window->taken > window->taken_before ? window->taken : window->taken_before;

	if (window->interval_us && now_us < window->slowed_us + SECOND)
		return;
	window->interval_us = rate > 2 ? 2 * SECOND / rate : SECOND;
	window->slowed_us = now_us;
}

/* A quarter faster after each quiet spell, until it is no matter. */
static void hasten(struct window *window, uint64_t now_us)
{
	if (!window->interval_us || now_us <= window->slowed_us + 5 * SECOND)
		return;
	window->interval_us = window->interval_us * 4 / 5;
	if (window->interval_us < FAST_US)
		window->interval_us = 0;
	window->slowed_us = now_us;
}

static void end_rest(struct window *window)
{
	window->failures = 0;
	window->cause = REST_NONE;
	window->rest_us = window->rest_until_us = 0;
}

void window_widen(struct window *window, uint64_t now_us)
{
	hasten(window, now_us);
	if (window->cause == REST_THROTTLED && !window_rests(window, now_us))
		end_rest(window);
	if (now_us <= window->changed_us + window->quiet_us)
		return;
	if (window->width >= window->most) { /* … and that held */
		window->quiet_us = SHORTEST_QUIET;
		return;
	}
	window->width++;
	window->changed_us = now_us;
	window->has_grown = true;
}

void window_pause(struct window *window, uint64_t now_us)
{
	window->pause_until_us = now_us + SECOND;
}

/* Twice as long as the last one, within bounds; another cause begins anew. */
static void rest(struct window *window, enum rest_cause cause, uint64_t shortest_us,
	uint64_t longest_us, uint64_t now_us)
{
	uint64_t rest_us = window->cause == cause ? window->rest_us * 2 : 0;

	window->rest_us = rest_us < shortest_us  ? shortest_us
			  : rest_us > longest_us ? longest_us
						 : rest_us;
	window->cause = cause;
	window->rest_until_us = now_us + window->rest_us;
}

bool window_failed(struct window *window, uint64_t now_us)
{
	window->failures++;
	if (window->failures < FAILURES_BEFORE_REST)
		return false;
	if (!window_rests(window, now_us)) /* those that failed together rest once */
		rest(window, REST_FAILURES, SECOND, 5 * MINUTE, now_us);
	return true;
}

void window_refused_auth(struct window *window, uint64_t now_us)
{
	window->failures++;
	if (window->cause != REST_AUTH || !window_rests(window, now_us))
		rest(window, REST_AUTH, MINUTE, 15 * MINUTE, now_us);
}

void window_throttled(struct window *window, uint32_t seconds, uint64_t now_us)
{
	uint64_t rest_us = lesser(seconds * SECOND, 5 * MINUTE);

	bool rests = window_rests(window, now_us);

	if (rests && window->rest_until_us > now_us + rest_us)
		return;
	window->rest_until_us = now_us + rest_us;
	if (rests && window->cause != REST_THROTTLED)
		return; /* it is longer, and stays what it was */
	window->cause = REST_THROTTLED;
	window->rest_us = rest_us;
}

void window_wake(struct window *window)
{
	window->failures = 0;
	if (window->cause != REST_THROTTLED)
		end_rest(window);
}

bool window_rests(const struct window *window, uint64_t now_us)
{
	return now_us < window->rest_until_us;
}

bool window_has_room(
	const struct window *window, unsigned sessions, unsigned opening, uint64_t now_us)
{
	if (sessions >= window->width || now_us < window->pause_until_us ||
		window_rests(window, now_us))
		return false;
	return window->cause == REST_NONE || window->cause == REST_THROTTLED || opening == 0;
}

const char *rest_cause_name(enum rest_cause cause)
{
	static const char *const names[REST_CAUSES] = { "", "failures", "auth", "throttled" };

	return names[cause];
}
