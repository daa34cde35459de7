/* queue_leave - who waits for a job no longer than he can */
#include "service/queue/queue_own.h"

#include "service/clock.h"

enum { LOOK_US = 200000 };

static bool is_over(const struct job *job, uint64_t now_us)
{
	return job->until_us && now_us >= job->until_us;
}

/* Under the lock. Its memory is in use. */
static void leave(struct job *job)
{
	if (job->leave && job->leave(job))
		job->until_us = 0;
}

/* Under the lock: those that nobody has begun, and nobody will. */
static struct job *take_late(struct queue *queue, uint64_t now_us)
{
	struct job *taken = NULL, **at = &queue->first;

	while (*at) {
		struct job *job = *at;

		if (!is_over(job, now_us) || job->stays) {
			if (is_over(job, now_us))
				leave(job);
			at = &job->next;
			continue;
		}
		*at = job->next;
		job->next = taken;
		taken = job;
	}
	queue->last = at;
	return taken;
}

/* Under the lock. */
static void leave_running(struct queue *queue, uint64_t now_us)
{
	for (struct job *job = queue->running; job; job = job->next)
		if (is_over(job, now_us))
			leave(job);
}

void queue_tick(struct queue *queue, uint64_t now_us)
{
	struct job *late = NULL;

	pthread_mutex_lock(&queue->lock);
	if (now_us >= queue->look_us) {
		queue->look_us = now_us + LOOK_US;
		leave_running(queue, now_us);
		late = take_late(queue, now_us);
	}
	pthread_mutex_unlock(&queue->lock);
	for (struct job *next; late; late = next) {
		next = late->next;
		late->err = ERR_IO;
		late->done(late); /* it is not ours any more */
	}
}

void queue_has_run(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->running = NULL;
	pthread_mutex_unlock(&queue->lock);
}
