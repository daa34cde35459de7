#include "service/queue/endings.h"

#include "service/clock.h"
#include "service/queue/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ENDINGS_MOST = 10000, AGAIN_US = 1000000 };

struct ending {
	struct once_end_job job;
	struct once once;
	struct endings *endings;
	struct ending *next;
	char bytes[]; /* of its texts */
};

struct endings {
	pthread_mutex_t lock; /* over all that follows */
	struct ending *waiting;
	unsigned count; /* also of those that are with the queue */
	uint64_t again_us;
};

static struct text keep_text(char **at, struct text text)
{
	struct text kept = { *at, text.len };

	if (text.len)
		memcpy(*at, text.at, text.len);
	*at += text.len;
	return kept;
}

static struct ending *ending_new(const struct once *once, bool is_free, int64_t began_ms)
{
	size_t len = once->key_id.len + once->key.len + once->answer.len;
	struct ending *ending = malloc(sizeof(*ending) + len + 1);
	char *at;

	if (!ending)
		return NULL;
	memset(ending, 0, sizeof(*ending));
	at = ending->bytes;
	ending->once = *once;
	ending->once.key_id = keep_text(&at, once->key_id);
	ending->once.key = keep_text(&at, once->key);
	ending->once.answer = keep_text(&at, once->answer);
	ending->job.is_free = is_free;
	ending->job.began_ms = began_ms;
	return ending;
}

void endings_keep(struct endings *endings, const struct once *once, bool is_free, int64_t began_ms)
{
	struct ending *ending = ending_new(once, is_free, began_ms);
	bool is_kept;

	if (!ending)
		return;
	ending->endings = endings;
	pthread_mutex_lock(&endings->lock);
	is_kept = endings->count < ENDINGS_MOST;
	if (is_kept) {
		ending->next = endings->waiting;
		endings->waiting = ending;
		endings->count++;
	}
	pthread_mutex_unlock(&endings->lock);
	if (!is_kept)
		free(ending);
}

/* The queue's thread. */
static void told(struct job *job)
{
	struct ending *ending = job->waiter;
	struct endings *endings = ending->endings;
	bool again = job->err == ERR_IO || job->err == ERR_MEMORY || job->err == ERR_DOUBT;

	pthread_mutex_lock(&endings->lock);
	if (again) {
		ending->next = endings->waiting;
		endings->waiting = ending;
	} else {
		endings->count--;
	}
	pthread_mutex_unlock(&endings->lock);
	if (!again)
		free(ending);
}

void endings_tick(struct endings *endings, struct queue *queue, uint64_t now_us)
{
	struct ending *list = NULL;

	pthread_mutex_lock(&endings->lock);
	if (now_us >= endings->again_us) {
		endings->again_us = now_us + AGAIN_US;
		list = endings->waiting;
		endings->waiting = NULL;
	}
	pthread_mutex_unlock(&endings->lock);
	while (list) {
		struct ending *ending = list;

		list = list->next;
		ending->job = (struct once_end_job){
			.job = { .kind = JOB_ONCE_END, .done = told, .waiter = ending },
			.once = &ending->once,
			.is_free = ending->job.is_free,
			.began_ms = ending->job.began_ms,
			.now_ms = now_unix_ms()
		};
		queue_put(queue, &ending->job.job);
	}
}

enum err endings_open(struct endings **endings_out)
{
	struct endings *endings = calloc(1, sizeof(*endings));

	if (!endings)
		return ERR_MEMORY;
	pthread_mutex_init(&endings->lock, NULL);
	*endings_out = endings;
	return OK;
}

void endings_close(struct endings *endings)
{
	if (!endings)
		return;
	while (endings->waiting) {
		struct ending *ending = endings->waiting;

		endings->waiting = ending->next;
		free(ending);
	}
	pthread_mutex_destroy(&endings->lock);
	free(endings);
}
