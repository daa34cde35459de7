/* queue_group - jobs that come together, under one commit: each then has what came of it */
#include "service/queue/queue_own.h"

#include "service/clock.h"
#include "service/queue/queue_job.h"

enum {
	AGAIN_MOST = 3,
	ALONE_MOST_US = 1000000 /* that jobs are done by themselves in a store that fails */
};

static enum err run_tick(struct queue *queue)
{
	queue->tick = (struct tick){
		.now_ms = queue->now_ms(),
		.furthest_ms = atomic_load(&queue->furthest_ms),
		.next_ms = INT64_MAX,
	};
	return queue->store.verbs->tick(queue->store.self, &queue->tick);
}

/* What failed is not tried again at once. */
static void rest(struct queue *queue)
{
	queue->tick = (struct tick){ .next_ms = INT64_MAX };
}

/* One after the other, up to `end`, then the commit. */
static enum err run_together(struct queue *queue, struct job *list, const struct job *end)
{
	const struct store_verbs *verbs = queue->store.verbs;
	enum err err = verbs->begin(queue->store.self);

	if (err) {
		rest(queue);
		return err;
	}
	for (struct job *job = list; job != end && !err; job = job->next)
		err = queue_job_run(&queue->store, job);
	if (!err)
		err = run_tick(queue);
	if (!err)
		err = verbs->commit(queue->store.self);
	if (err) {
		verbs->rollback(queue->store.self);
		rest(queue);
	}
	return err;
}

/* Again where that has a chance. */
static enum err run_repeatedly(struct queue *queue, struct job *list)
{
	const struct store_verbs *verbs = queue->store.verbs;
	enum err err = run_together(queue, list, NULL);

	for (int i = 0; i < AGAIN_MOST && err && verbs->may_again; i++) {
		if (!verbs->may_again(queue->store.self))
			break;
		for (struct job *job = list; job; job = job->next)
			queue_job_forget(job);
		err = run_together(queue, list, NULL);
	}
	return err;
}

static enum err run_alone(struct queue *queue, struct job *job)
{
	enum err err;

	queue_job_forget(job);
	err = run_together(queue, job, job->next);
	if (err) {
		queue_job_forget(job);
		job->err = err;
	}
	return err;
}

/* They must not be done again. */
static void leave_in_doubt(struct job *list)
{
	for (struct job *job = list; job; job = job->next)
		if (!job->err) {
			queue_job_forget(job);
			job->err = ERR_DOUBT;
		}
}

static bool is_written(enum err err)
{
	return err != ERR_IO && err != ERR_DOUBT;
}

/* Each by itself: true, if all could be written. What fails after a while is a store that does not
 * answer: it is not asked for each of them. */
static bool run_each(struct queue *queue, struct job *list)
{
	uint64_t end_us = now_us() + ALONE_MOST_US;
	bool is_sound = true;

	for (struct job *job = list; job; job = job->next) {
		if (is_sound || now_us() < end_us) {
			is_sound = is_written(run_alone(queue, job)) && is_sound;
			continue;
		}
		queue_job_forget(job);
		job->err = ERR_IO;
	}
	return is_sound;
}

static const char *trouble_of(const struct queue *queue)
{
	const struct store_verbs *verbs = queue->store.verbs;
	const char *words = verbs->trouble ? verbs->trouble(queue->store.self) : NULL;

	return words ? words : "the store cannot be written";
}

void queue_note_failure(struct queue *queue)
{
	if (!atomic_exchange(&queue->trouble, trouble_of(queue)))
		queue->prove_at_us = 0;
}

void queue_prove_soundness(struct queue *queue)
{
	const struct store_verbs *verbs = queue->store.verbs;
	enum err err;

	if (queue_is_sound(queue) || now_us() < queue->prove_at_us)
		return;
	err = verbs->begin(queue->store.self);
	if (!err) {
		err = verbs->prove ? verbs->prove(queue->store.self) : OK;
		if (!err)
			err = verbs->commit(queue->store.self);
		if (err)
			verbs->rollback(queue->store.self);
	}
	queue->prove_at_us = now_us() + (uint64_t)1000 * QUEUE_PROVE_EVERY_MS;
	atomic_store(&queue->trouble, err ? trouble_of(queue) : NULL);
}

/* To those who wait for it in this process. */
static void announce(struct queue *queue, bool may_ripen, bool may_tell)
{
	if (may_ripen && queue->ripe)
		queue->ripe(queue->context);
	if (may_tell && queue->told)
		queue->told(queue->context);
}

void queue_run_group(struct queue *queue, struct job *list)
{
	bool may_ripen = false, may_tell = false;
	enum err err = run_repeatedly(queue, list);
	bool is_sound = is_written(err);

	if (err == ERR_DOUBT)
		leave_in_doubt(list);
	else
		is_sound = run_each(queue, err ? list : NULL) && is_sound;
	if (!is_sound)
		queue_note_failure(queue);
	queue_has_run(queue);
	for (struct job *job = list, *next; job; job = next) {
		next = job->next;
		may_ripen = may_ripen || queue_job_may_ripen(job);
		may_tell = may_tell || queue_job_may_tell(job);
		job->done(job); /* it is not ours any more */
	}
	may_ripen = may_ripen || (!err && queue->tick.ripe);
	announce(queue, may_ripen, may_tell);
	if ((may_ripen || may_tell) && queue->store.verbs->tell)
		queue->store.verbs->tell(queue->store.self);
}

void queue_hear_others(struct queue *queue)
{
	const struct store_verbs *verbs = queue->store.verbs;

	if (verbs->hears && verbs->hears(queue->store.self))
		announce(queue, true, true);
}
