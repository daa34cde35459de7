/* oauth_crew - the threads that fetch tokens, and who waits for them to end
 *
 * Whoever lets go of a token waits for no request that is under way: its thread ends by itself,
 * within a second, and takes what is left of the token with it. Each that ends joins the one that
 * ended before it; who closes the crew joins the last. */
#pragma once

#include "smtp/err.h"

struct log;
struct oauth_crew;

/* `log` is kept; it must outlive the crew. */
MUST_USE enum err oauth_crew_open(struct log *log, struct oauth_crew **crew_out);
/* Waits for all threads: what they fetch must have been released by all, and nothing may be started
 * any more. NULL is fine. */
void oauth_crew_close(struct oauth_crew *crew);

struct log *oauth_crew_log(const struct oauth_crew *crew);
/* How many have not ended. For any thread, as are the next two. */
unsigned oauth_crew_count(struct oauth_crew *crew);
/* Starts a thread. ERR_IO: there can be none. */
MUST_USE enum err oauth_crew_start(struct oauth_crew *crew, void *(*run)(void *self), void *self);
/* The last that a thread of the crew does. */
void oauth_crew_leave(struct oauth_crew *crew);
