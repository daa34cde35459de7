/* courier_verdict - what came of a message that was out is told to the queue, until it is written
 */
#include "service/queue/courier_own.h"

#include "service/clock.h"

enum { AGAIN_US = 1000000 };

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
	atomic_fetch_sub(&courier->bytes, outing->delivery.reserved_bytes);
	if (outing->strike != STRIKE_NONE)
		strikes_clear(queue_strikes(courier->queue), outing->strike);
	stored_free(outing->stored);
	courier_claim(courier);
}

void courier_put_verdict_later(struct outing *outing)
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

static void tell_settled(struct outing *outing)
{
	const struct courier_settings *settings = &outing->courier->settings;

	settings->settled(settings->self, outing->stored, &outing->delivery.result);
	forget(outing);
}

/* The queue's thread. Was it ours that was written, when nobody could say so? */
static void looked(struct job *job)
{
	struct outing *outing = job->waiter;
	struct stored *found = job->err ? NULL : outing->look_up.found;
	bool is_ours = found && !found->is_damaged && found->updated_ms == outing->settle.now_ms &&
		       found->tries >= outing->stored->tries;

	stored_free(found);
	if (job->err && job->err != ERR_MISSING) {
		courier_put_verdict_later(outing);
	} else if (is_ours) {
		tell_settled(outing);
	} else {
		log_lost(outing);
		forget(outing);
	}
}

static void look_up(struct outing *outing)
{
	outing->look_up = (struct look_up_job){
		.job = { .kind = JOB_LOOK_UP, .done = looked, .waiter = outing },
		.id = outing->stored->id
	};
	queue_put(outing->courier->queue, &outing->look_up.job);
}

/* The queue's thread. */
static void verdict_written(struct job *job)
{
	struct outing *outing = job->waiter;
	bool is_refused = job->err == ERR_VALUE || job->err == ERR_MISSING;

	if (job->err && !is_refused) {
		outing->is_in_doubt =
			outing->is_in_doubt || (job->kind == JOB_SETTLE && job->err == ERR_DOUBT);
		courier_put_verdict_later(outing);
	} else if (is_refused && outing->is_in_doubt) {
		look_up(outing);
	} else if (!job->err && job->kind == JOB_SETTLE) {
		tell_settled(outing);
	} else {
		if (is_refused)
			log_lost(outing);
		forget(outing);
	}
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

void courier_put_verdict(struct outing *outing)
{
	struct courier_settings settings;
	struct job *job;

	if (courier_awaits_part(outing))
		return;
	settings = settings_of(outing->courier);
	job = outing_verdict(outing, &settings);
	if (!job) {
		courier_put_verdict_later(outing);
		return;
	}
	job->done = verdict_written;
	job->waiter = outing;
	queue_put(outing->courier->queue, job);
}

/* Takes one off whose verdict is to be written again; NULL: none. */
static struct outing *next_again(struct courier *courier, uint64_t now_us)
{
	struct outing *outing;

	pthread_mutex_lock(&courier->lock);
	for (outing = courier->out; outing; outing = outing->next)
		if (outing->again_us && now_us >= outing->again_us)
			break;
	if (outing)
		outing->again_us = 0;
	pthread_mutex_unlock(&courier->lock);
	return outing;
}

void courier_put_again(struct courier *courier, uint64_t now_us)
{
	for (struct outing *again; (again = next_again(courier, now_us));)
		courier_put_verdict(again);
}
