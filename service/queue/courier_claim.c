/* courier_claim - messages that are due are taken out of the queue, and handed over for delivery */
#include "service/queue/courier_own.h"

#include "service/clock.h"

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

void courier_claim(struct courier *courier)
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

/* ---- what was claimed; the queue's thread */

static void delivered(struct delivery *delivery)
{
	courier_put_verdict(delivery->waiter);
}

static void log_held(const struct outing *outing)
{
	struct log_line line = log_line(outing->courier->settings.log, LOG_WARN, "held");

	log_string(&line, "id", outing->stored->id);
	log_u64(&line, "strikes", outing->stored->strikes);
	log_string(&line, "detail",
		outing->stored->maybe_sent
			? "the process died behind the end of its data: it may have been sent"
			: "the process died each time that it was sent");
	log_end(&line);
}

static void send_out(struct courier *courier, struct outing *outing)
{
	struct delivery *delivery = &outing->delivery;

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
		log_held(outing);
		courier_put_verdict(outing);
		return;
	}
	courier_put_fence(courier, outing);
	courier->settings.deliver(courier->settings.self, delivery);
}

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
	courier_claim(courier);
}
