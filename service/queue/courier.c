#include "service/queue/courier.h"

#include "service/clock.h"
#include "service/queue/outing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLAIM_MOST = 64,
	RESTING_MOST = 64,
	NAMES_BYTES = 65536,
	LEASE_MS = 30000,
	RENEW_US = 10000000,
	AGAIN_US = 1000000, /* for a verdict that could not be written */
	LOOK_US = 1000000,  /* for messages whose relay rests no more */
};

/* There is one at a time. */
struct claim {
	struct claim_job job;
	struct stored *claimed[CLAIM_MOST];
	struct text bodies[CLAIM_MOST];
	struct text resting[RESTING_MOST];
	struct buf names;
};

struct courier {
	struct courier_settings settings;
	struct queue *queue;  /* NULL: not started */
	pthread_mutex_t lock; /* over all that follows */
	struct outing *out;
	unsigned count;
	bool is_claiming, has_more, is_stopped;
	uint64_t renew_us, look_us; /* when that is to be done again */
	struct claim claim;         /* whoever set is_claiming has it */
};

/* ---- claims */

static void claimed(struct job *job);

/* Those that are asked for are counted at once. */
static bool may_claim(struct courier *courier)
{
	unsigned room = courier->settings.most - courier->count;

	if (!courier->queue || courier->is_stopped || courier->is_claiming || !courier->has_more ||
		courier->count >= courier->settings.most)
		return false;
	courier->is_claiming = true;
	courier->has_more = false;
	courier->claim.job.most = room < CLAIM_MOST ? room : CLAIM_MOST;
	courier->count += (unsigned)courier->claim.job.most;
	return true;
}

static size_t list_resting(struct courier *courier)
{
	struct claim *claim = &courier->claim;
	struct text rest;
	size_t count = 0;

	buf_clear(&claim->names);
	courier->settings.resting(courier->settings.self, &claim->names);
	rest = claim->names.err ? (struct text){ 0 } : buf_text(&claim->names);
	while (rest.len && count < RESTING_MOST)
		claim->resting[count++] = text_cut(&rest, '\n');
	return count;
}

static void claim_some(struct courier *courier)
{
	struct claim *claim = &courier->claim;
	size_t most;
	bool may;

	pthread_mutex_lock(&courier->lock);
	may = may_claim(courier);
	pthread_mutex_unlock(&courier->lock);
	if (!may)
		return;
	most = claim->job.most;
	claim->job = (struct claim_job){
		.job = { .kind = JOB_CLAIM, .done = claimed, .waiter = courier },
		.resting = claim->resting,
		.resting_count = list_resting(courier),
		.most = most,
		.has_body = true,
		.now_ms = now_unix_ms(),
		.lease_for_ms = LEASE_MS,
		.claimed = claim->claimed,
		.bodies = claim->bodies
	};
	while (!claim->job.token)
		random_bytes((unsigned char *)&claim->job.token, sizeof(claim->job.token));
	queue_put(courier->queue, &claim->job.job);
}

/* ---- verdicts */

static void forget(struct outing *outing)
{
	struct courier *courier = outing->courier;

	pthread_mutex_lock(&courier->lock);
	if (outing->previous)
		outing->previous->next = outing->next;
	else
		courier->out = outing->next;
	if (outing->next)
		outing->next->previous = outing->previous;
	courier->count--;
	pthread_mutex_unlock(&courier->lock);
	stored_free(outing->stored);
	claim_some(courier);
}

static void put_again_later(struct outing *outing)
{
	pthread_mutex_lock(&outing->courier->lock);
	outing->again_us = now_us() + AGAIN_US;
	pthread_mutex_unlock(&outing->courier->lock);
}

static void log_lost(const struct outing *outing)
{
	struct log_line line = log_line(outing->courier->settings.log, LOG_WARN, "lease_lost");

	log_string(&line, "id", outing->stored->id);
	log_string(&line, "detail",
		"somebody else has the message by now: what came of this attempt is not noted");
	log_end(&line);
}

/* The queue's thread. */
static void verdict_written(struct job *job)
{
	struct outing *outing = job->waiter;

	if (job->err && job->err != ERR_VALUE && job->err != ERR_MISSING) {
		put_again_later(outing);
		return;
	}
	if (job->err)
		log_lost(outing);
	forget(outing);
}

/* Those in force: a reload may be changing them. */
static struct courier_settings settings_of(struct courier *courier)
{
	struct courier_settings settings;

	pthread_mutex_lock(&courier->lock);
	settings = courier->settings;
	pthread_mutex_unlock(&courier->lock);
	return settings;
}

static void put_verdict(struct outing *outing)
{
	struct courier_settings settings = settings_of(outing->courier);
	struct job *job = outing_verdict(outing, &settings);

	if (!job) {
		put_again_later(outing);
		return;
	}
	job->done = verdict_written;
	job->waiter = outing;
	queue_put(outing->courier->queue, job);
}

static void delivered(struct delivery *delivery)
{
	put_verdict(delivery->waiter);
}

/* ---- what was claimed */

static void deliver(struct outing *outing)
{
	outing->courier->settings.deliver(outing->courier->settings.self, &outing->delivery);
}

/* The queue's thread. Without its mark it is not sent. */
static void marked(struct job *job)
{
	struct outing *outing = job->waiter;

	if (!job->err) {
		deliver(outing);
		return;
	}
	outing->delivery.result.verdict =
		smtp_verdict_of_loss(SMTP_LOSS_INTERNAL, SMTP_IN_QUEUE, false);
	put_verdict(outing);
}

static void send_out(struct courier *courier, struct outing *outing)
{
	struct delivery *delivery = &outing->delivery;
	struct job *mark;

	outing->courier = courier;
	pthread_mutex_lock(&courier->lock);
	outing->next = courier->out;
	if (outing->next)
		outing->next->previous = outing;
	courier->out = outing;
	pthread_mutex_unlock(&courier->lock);
	delivery->done = delivered;
	delivery->waiter = outing;
	if (outing_is_held(outing)) {
		put_verdict(outing);
		return;
	}
	mark = outing_mark(outing, LEASE_MS);
	if (!mark) {
		deliver(outing);
		return;
	}
	mark->done = marked;
	mark->waiter = outing;
	queue_put(courier->queue, mark);
}

/* The queue's thread. */
static void claimed(struct job *job)
{
	struct courier *courier = job->waiter;
	struct claim_job *claim = &courier->claim.job;
	size_t count = job->err ? 0 : claim->count, lost = claim->most - count;

	for (size_t i = 0; i < count; i++) {
		struct stored *stored = claim->claimed[i];
		struct outing *outing =
			outing_new(stored, claim->bodies[i], courier->settings.attempt_us);

		if (outing) {
			send_out(courier, outing);
		} else { /* out of memory: it comes back when its lease is over */
			stored_free(stored);
			lost++;
		}
	}
	pthread_mutex_lock(&courier->lock);
	courier->count -= (unsigned)lost;
	courier->is_claiming = false;
	courier->has_more = courier->has_more || (!job->err && claim->has_more);
	pthread_mutex_unlock(&courier->lock);
	claim_some(courier);
}

/* ---- leases */

struct renewal {
	struct renew_job job;
	struct lease *leases;
	char (*ids)[DELIVERY_ID_LEN + 1];
};

static void renewed(struct job *job)
{
	struct renewal *renewal = job->waiter;

	free(renewal->leases);
	free(renewal->ids);
	free(renewal);
}

static struct renewal *renewal_new(size_t room)
{
	struct renewal *renewal = calloc(1, sizeof(*renewal));

	if (!renewal)
		return NULL;
	renewal->leases = calloc(room + 1, sizeof(*renewal->leases));
	renewal->ids = calloc(room + 1, sizeof(*renewal->ids));
	renewal->job = (struct renew_job){
		.job = { .kind = JOB_RENEW, .done = renewed, .waiter = renewal },
		.leases = renewal->leases,
		.lease_for_ms = LEASE_MS
	};
	if (renewal->leases && renewal->ids)
		return renewal;
	renewed(&renewal->job.job);
	return NULL;
}

/* What is out may be settled before the queue gets here: so it has copies. */
static struct renewal *list_leases(const struct courier *courier)
{
	struct renewal *renewal = courier->out ? renewal_new(courier->count) : NULL;
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

/* Takes one off whose verdict is to be written again; NULL: none. */
static struct outing *next_again(struct courier *courier, uint64_t now_us)
{
	for (struct outing *outing = courier->out; outing; outing = outing->next)
		if (outing->again_us && now_us >= outing->again_us) {
			outing->again_us = 0;
			return outing;
		}
	return NULL;
}

void courier_tick(struct courier *courier, uint64_t now_us)
{
	struct renewal *renewal = NULL;
	struct outing *again;

	pthread_mutex_lock(&courier->lock);
	if (now_us >= courier->look_us) {
		courier->look_us = now_us + LOOK_US;
		courier->has_more = true;
	}
	if (now_us >= courier->renew_us) {
		courier->renew_us = now_us + RENEW_US;
		renewal = list_leases(courier);
	}
	again = next_again(courier, now_us);
	pthread_mutex_unlock(&courier->lock);
	if (renewal)
		queue_put(courier->queue, &renewal->job.job);
	while (again) {
		put_verdict(again);
		pthread_mutex_lock(&courier->lock);
		again = next_again(courier, now_us);
		pthread_mutex_unlock(&courier->lock);
	}
	claim_some(courier);
}

/* ---- life */

enum err courier_open(const struct courier_settings *settings, struct courier **courier_out)
{
	struct courier *courier = calloc(1, sizeof(*courier));

	if (!courier)
		return ERR_MEMORY;
	courier->settings = *settings;
	courier->claim.names = buf_born(NAMES_BYTES);
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
	claim_some(courier);
}

void courier_wake(void *self)
{
	struct courier *courier = self;

	pthread_mutex_lock(&courier->lock);
	courier->has_more = true;
	pthread_mutex_unlock(&courier->lock);
	claim_some(courier);
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

void courier_close(struct courier *courier)
{
	if (!courier)
		return;
	while (courier->out) {
		struct outing *outing = courier->out;

		courier->out = outing->next;
		stored_free(outing->stored);
	}
	buf_free(&courier->claim.names);
	pthread_mutex_destroy(&courier->lock);
	free(courier);
}
