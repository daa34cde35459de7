#include "service/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { GULP = 4096 };

static uint64_t read_clock(clockid_t clock, uint64_t per_s)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * per_s + (uint64_t)now.tv_nsec / (1000000000 / per_s);
}

uint64_t now_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000);
}

uint32_t whole_seconds(uint64_t us)
{
	uint64_t seconds = us / 1000000 + (us % 1000000 != 0);

	return seconds == 0 ? 1 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

uint64_t now_boot_us(void)
{
	return read_clock(CLOCK_BOOTTIME, 1000000);
}

int64_t now_unix_ms(void)
{
	return (int64_t)read_clock(CLOCK_REALTIME, 1000);
}

struct timespec moment_in_ms(int64_t ms)
{
	struct timespec moment;

	clock_gettime(CLOCK_MONOTONIC, &moment);
	moment.tv_sec += ms / 1000;
	moment.tv_nsec += ms % 1000 * 1000000;
	if (moment.tv_nsec >= 1000000000) {
		moment.tv_sec++;
		moment.tv_nsec -= 1000000000;
	}
	return moment;
}

void random_bytes(unsigned char *out, size_t len)
{
	static _Thread_local unsigned char store[GULP];
	static _Thread_local size_t left;

	while (left < len) { /* nobody can go on without chance: no fallback */
		ssize_t got = getrandom(store, sizeof(store), 0);

		left = got > 0 ? (size_t)got : 0;
	}
	memcpy(out, store + left - len, len);
	explicit_bzero(store + left - len, len);
	left -= len;
}
