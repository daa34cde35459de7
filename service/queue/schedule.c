#include "service/queue/schedule.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

enum { SHORTER = 10 /* a relay's wish makes a delay at most so many times shorter */ };

const struct schedule schedule_webhook = {
	.delays_ms = { 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR,
		14 * HOUR, 20 * HOUR, 24 * HOUR },
	.count = 9,
	.ends = true,
	.jitter_thousand = 200,
};

/* Clocks may say anything. */
static int64_t later(int64_t moment_ms, int64_t delay_ms)
{
	int64_t sum;

	return __builtin_add_overflow(moment_ms, delay_ms, &sum) ? INT64_MAX : sum;
}

static int64_t longest_ms(const struct schedule *schedule)
{
	uint32_t longest = 0;

	for (unsigned i = 0; i < schedule->count; i++)
		longest = schedule->delays_ms[i] > longest ? schedule->delays_ms[i] : longest;
	return longest;
}

static int64_t jitter_ms(const struct schedule *schedule, int64_t delay_ms, uint32_t chance)
{
	uint64_t most = (uint64_t)delay_ms * schedule->jitter_thousand / 1000;

	return (int64_t)(most * chance / UINT32_MAX);
}

/* What was asked for, within bounds: a relay that says "in a second" each time would be asked for
 * ever, one that says "in a year" would lose the message. */
static int64_t as_asked_ms(const struct schedule *schedule, int64_t delay_ms, int64_t asked_ms)
{
	int64_t longest = longest_ms(schedule);

	if (asked_ms < delay_ms / SHORTER)
		return delay_ms / SHORTER;
	return asked_ms > longest ? longest : asked_ms;
}

int64_t schedule_expires_ms(const struct schedule *schedule, int64_t due_ms)
{
	return schedule->for_ms ? later(due_ms, schedule->for_ms) : INT64_MAX;
}

bool schedule_next(const struct schedule *schedule, unsigned attempts, uint32_t asked_s,
	int64_t expires_ms, int64_t now_ms, uint32_t chance, int64_t *next_ms_out)
{
	unsigned step = attempts ? attempts - 1 : 0;
	int64_t delay;

	if (now_ms >= expires_ms || (schedule->ends && step >= schedule->count))
		return false;
	if (step >= schedule->count)
		step = schedule->count - 1;
	delay = schedule->delays_ms[step];
	if (asked_s)
		delay = as_asked_ms(schedule, delay, asked_s * SECOND);
	delay = later(now_ms, delay + jitter_ms(schedule, delay, chance));
	*next_ms_out = delay < expires_ms ? delay : expires_ms;
	return true;
}

int64_t schedule_furthest_ms(const struct schedule *schedule)
{
	int64_t longest = longest_ms(schedule);

	return longest + jitter_ms(schedule, longest, UINT32_MAX);
}

bool schedule_sets_aside(unsigned strikes)
{
	return strikes >= SCHEDULE_STRIKES;
}

bool schedule_may_wait(int64_t send_at_ms, int64_t now_ms)
{
	return send_at_ms <= later(now_ms, SCHEDULE_AHEAD_D * DAY);
}

void ramp_down(struct ramp *ramp)
{
	ramp->width = 1;
}

void ramp_up(struct ramp *ramp, unsigned most)
{
	if (ramp->width)
		ramp->width = ramp->width < most ? ramp->width + 1 : 0;
}

unsigned ramp_room(const struct ramp *ramp, unsigned under_way, unsigned most)
{
	unsigned width = ramp->width && ramp->width < most ? ramp->width : most;

	return under_way < width ? width - under_way : 0;
}
