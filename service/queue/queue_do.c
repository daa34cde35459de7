/* One job, and whoever hands it in waits for it. */
#include "service/queue/queue.h"

#include <pthread.h>

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool is_over;
};

static void end_wait(struct job *job)
{
	struct wait *wait = job->waiter;

	pthread_mutex_lock(&wait->lock);
	wait->is_over = true;
	pthread_cond_signal(&wait->over);
	pthread_mutex_unlock(&wait->lock);
}

enum err queue_do(struct queue *queue, struct job *job)
{
	struct wait wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

	job->done = end_wait;
	job->waiter = &wait;
	queue_put(queue, job);
	pthread_mutex_lock(&wait.lock);
	while (!wait.is_over)
		pthread_cond_wait(&wait.over, &wait.lock);
	pthread_mutex_unlock(&wait.lock);
	pthread_cond_destroy(&wait.over);
	pthread_mutex_destroy(&wait.lock);
	return job->err;
}
