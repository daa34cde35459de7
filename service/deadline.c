#include "service/deadline.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* In a signal handler, as whoever is waited for may hold any lock. */
static void end_now(int number)
{
	static const char words[] = "lettergate: the store does not answer: ended at once\n";

	(void)number;
	(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
	_exit(EXIT_FAILURE);
}

void deadline_set(uint64_t left_us)
{
	const struct itimerval left = { .it_value = { .tv_sec = (time_t)(left_us / 1000000),
						.tv_usec = (suseconds_t)(left_us % 1000000) } };

	(void)signal(SIGALRM, end_now);
	(void)setitimer(ITIMER_REAL, &left, NULL);
}
