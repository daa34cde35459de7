#include "service/oauth/oauth_crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct oauth_crew {
	struct log *log;
	pthread_mutex_t lock; /* over all that follows */
	pthread_cond_t fewer;
	unsigned count;
	bool has_left;
	pthread_t left; /* who ended last, and nobody has joined yet */
};

enum err oauth_crew_open(struct log *log, struct oauth_crew **crew_out)
{
	struct oauth_crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		return ERR_MEMORY;
	crew->log = log;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->fewer, NULL);
	*crew_out = crew;
	return OK;
}

void oauth_crew_close(struct oauth_crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	while (crew->count)
		pthread_cond_wait(&crew->fewer, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	if (crew->has_left)
		pthread_join(crew->left, NULL);
	pthread_cond_destroy(&crew->fewer);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

struct log *oauth_crew_log(const struct oauth_crew *crew)
{
	return crew->log;
}

unsigned oauth_crew_count(struct oauth_crew *crew)
{
	unsigned count;

	pthread_mutex_lock(&crew->lock);
	count = crew->count;
	pthread_mutex_unlock(&crew->lock);
	return count;
}

/* Under the lock, so that nobody leaves who is not counted. */
enum err oauth_crew_start(struct oauth_crew *crew, void *(*run)(void *self), void *self)
{
	pthread_t thread;
	bool is_running;

	pthread_mutex_lock(&crew->lock);
	is_running = pthread_create(&thread, NULL, run, self) == 0;
	crew->count += is_running;
	pthread_mutex_unlock(&crew->lock);
	return is_running ? OK : ERR_IO;
}

/* It is counted until it has joined the one before: when nobody is, all but one were joined. */
void oauth_crew_leave(struct oauth_crew *crew)
{
	pthread_t before;
	bool has_before;

	pthread_mutex_lock(&crew->lock);
	has_before = crew->has_left;
	before = crew->left;
	crew->has_left = true;
	crew->left = pthread_self();
	pthread_mutex_unlock(&crew->lock);
	if (has_before)
		pthread_join(before, NULL);
	pthread_mutex_lock(&crew->lock);
	crew->count--;
	pthread_cond_signal(&crew->fewer);
	pthread_mutex_unlock(&crew->lock);
}
