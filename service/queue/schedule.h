/* schedule - when to try again, when to give up, how fast to begin again
 *
 * Pure: the time and chance are arguments. Moments are milliseconds since 1970, because they
 * outlive the process; a clock that was set can move them, so schedule_furthest_ms bounds what is
 * believed of them. Mails and webhooks are tried again by the same rules with other numbers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	SCHEDULE_DELAYS = 32,  /* most in a list */
	SCHEDULE_STRIKES = 5,  /* processes that died over one message, until it is set aside */
	SCHEDULE_AHEAD_D = 30, /* days: no message is kept for a later moment than that */
};

struct schedule {
	uint32_t delays_ms[SCHEDULE_DELAYS];
	unsigned count;           /* of delays, at least one */
	bool ends;                /* behind the last delay; else that one repeats */
	unsigned jitter_thousand; /* up to so many thousandths (1000) are added to a delay, by
				     chance */
	int64_t for_ms;           /* how long it is tried in all; 0: no limit but the delays' end */
};

/* Of webhooks: the delays that Standard Webhooks 1.0 proposes. */
extern const struct schedule schedule_webhook;

/* When it is given up, if it is to be sent at `due_ms`; INT64_MAX: never by time alone. */
int64_t schedule_expires_ms(const struct schedule *schedule, int64_t due_ms);

/* When to try again after `attempts` (at least one) that failed; false: not again. The last try is
 * at `expires_ms`, if that is sooner than its delay is over. `asked_s` is what the relay asked for
 * in its own words (smtp_retry_after_s), 0: nothing; it takes the delay's place, down to a tenth of
 * that, and up to the longest in the list. Nothing is tried sooner than its delay, or than it was
 * asked for: chance only adds. */
bool schedule_next(const struct schedule *schedule, unsigned attempts, uint32_t asked_s,
	int64_t expires_ms, int64_t now_ms, uint32_t chance, int64_t *next_ms_out);

/* The longest that schedule_next can put off. What waits for a later moment than now and this was
 * noted by another clock, and is to be brought forward. */
int64_t schedule_furthest_ms(const struct schedule *schedule);

/* Is it set aside after so many strikes, for an operator to look at? */
bool schedule_sets_aside(unsigned strikes);

/* May a message be kept until `send_at_ms`? What is past is for now. */
bool schedule_may_wait(int64_t send_at_ms, int64_t now_ms);

/* How many of a relay's waiting messages may be on their way to it at once. After an outage that
 * begins with one and grows by one with each that it takes, so it doubles with every round; { 0 }
 * was never out. */
struct ramp {
	unsigned width; /* 0: no bound */
};

/* The relay failed as a whole: the next one is alone. */
void ramp_down(struct ramp *ramp);
/* It took a message; from `most`, what the relay may have at a time, on there is no bound. */
void ramp_up(struct ramp *ramp, unsigned most);
/* How many more may be let out, with `under_way` out and at most `most` at a time. */
unsigned ramp_room(const struct ramp *ramp, unsigned under_way, unsigned most);
