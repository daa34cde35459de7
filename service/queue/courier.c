#include "service/queue/courier_own.h"

#include <stdlib.h>

enum {
	LOOK_US = 1000000, /* for messages whose relay rests no more */
};

enum err courier_open(const struct courier_settings *settings, struct courier **courier_out)
{
	struct courier *courier = calloc(1, sizeof(*courier));

	if (!courier)
		return ERR_MEMORY;
	courier->settings = *settings;
	pthread_mutex_init(&courier->lock, NULL);
	*courier_out = courier;
	return OK;
}

void courier_start(struct courier *courier, struct queue *queue)
{
	pthread_mutex_lock(&courier->lock);
	courier->queue = queue;
	courier->has_more = true;
	pthread_mutex_unlock(&courier->lock);
	courier_claim(courier);
}

void courier_wake(void *self)
{
	struct courier *courier = self;

	pthread_mutex_lock(&courier->lock);
	courier->has_more = true;
	pthread_mutex_unlock(&courier->lock);
	courier_claim(courier);
}

void courier_tick(struct courier *courier, uint64_t now_us)
{
	pthread_mutex_lock(&courier->lock);
	if (now_us >= courier->look_us) {
		courier->look_us = now_us + LOOK_US;
		courier->has_more = true;
	}
	pthread_mutex_unlock(&courier->lock);
	courier_renew(courier, now_us);
	courier_put_again(courier, now_us);
	courier_claim(courier);
}

void courier_adjust(struct courier *courier, const struct schedule *schedule, bool keeps_body)
{
	pthread_mutex_lock(&courier->lock);
	courier->settings.schedule = *schedule;
	courier->settings.keeps_body = keeps_body;
	pthread_mutex_unlock(&courier->lock);
}

void courier_stop(struct courier *courier)
{
	pthread_mutex_lock(&courier->lock);
	courier->is_stopped = true;
	pthread_mutex_unlock(&courier->lock);
}

unsigned courier_out(struct courier *courier)
{
	unsigned count;

	pthread_mutex_lock(&courier->lock);
	count = courier->count;
	pthread_mutex_unlock(&courier->lock);
	return count;
}

uint64_t courier_bytes(const struct courier *courier)
{
	return atomic_load(&courier->bytes);
}

void courier_close(struct courier *courier)
{
	if (!courier)
		return;
	while (courier->out) {
		struct outing *outing = courier->out;

		courier->out = outing->next;
		stored_free(outing->stored);
	}
	pthread_mutex_destroy(&courier->lock);
	free(courier);
}
