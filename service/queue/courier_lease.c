/* courier_lease - what is out stays ours: leases are renewed long before they are over */
#include "service/queue/courier_own.h"

#include "service/clock.h"

#include <stdlib.h>
#include <string.h>

enum { RENEW_US = 10000000, AGAIN_US = 1000000 };

struct renewal {
	struct renew_job job;
	struct courier *courier;
	struct lease *leases;
	char (*ids)[DELIVERY_ID_LEN + 1];
};

static void renewal_free(struct renewal *renewal)
{
	free(renewal->leases);
	free(renewal->ids);
	free(renewal);
}

/* The queue's thread. */
static void renewed(struct job *job)
{
	struct renewal *renewal = job->waiter;
	struct courier *courier = renewal->courier;

	if (job->err) { /* the store may be back before they are over */
		pthread_mutex_lock(&courier->lock);
		courier->renew_us = now_us() + AGAIN_US;
		pthread_mutex_unlock(&courier->lock);
	}
	renewal_free(renewal);
}

static struct renewal *renewal_new(struct courier *courier)
{
	size_t room = courier->count;
	struct renewal *renewal = calloc(1, sizeof(*renewal));

	if (!renewal)
		return NULL;
	renewal->courier = courier;
	renewal->leases = calloc(room + 1, sizeof(*renewal->leases));
	renewal->ids = calloc(room + 1, sizeof(*renewal->ids));
	renewal->job = (struct renew_job){
		.job = { .kind = JOB_RENEW, .done = renewed, .waiter = renewal },
		.leases = renewal->leases,
		.lease_for_ms = LEASE_MS
	};
	if (renewal->leases && renewal->ids)
		return renewal;
	renewal_free(renewal);
	return NULL;
}

/* What is out may be settled before the queue gets here: so it has copies. */
static struct renewal *list_leases(struct courier *courier)
{
	struct renewal *renewal = courier->out ? renewal_new(courier) : NULL;
	size_t count = 0;

	if (!renewal)
		return NULL;
	for (const struct outing *outing = courier->out; outing; outing = outing->next) {
		memcpy(renewal->ids[count], outing->stored->id, sizeof(*renewal->ids));
		renewal->leases[count] =
			(struct lease){ .id = renewal->ids[count], .token = outing->stored->token };
		count++;
	}
	renewal->job.count = count;
	return renewal;
}

void courier_renew(struct courier *courier, uint64_t now_us)
{
	struct renewal *renewal = NULL;

	pthread_mutex_lock(&courier->lock);
	if (now_us >= courier->renew_us) {
		courier->renew_us = now_us + RENEW_US;
		renewal = list_leases(courier);
	}
	pthread_mutex_unlock(&courier->lock);
	if (renewal)
		queue_put(courier->queue, &renewal->job.job);
}
