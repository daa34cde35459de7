/* What was sent directly is remembered in the store, where that can be written: its answer does not
 * wait for a store that is away. */
#include "service/queue/keeping_own.h"

#include "service/clock.h"
#include "service/queue/course.h"
#include "service/queue/keyed.h"
#include "service/queue/leaving.h"
#include "service/queue/queue.h"
#include "service/queue/told.h"
#include "service/relay/settle.h"

/* Its sender has an answer that nobody can look up. */
void keeping_note_unrecorded(
	struct lettergate *lettergate, const struct delivery *delivery, enum err err)
{
	struct log_line line = log_line(lettergate->log, LOG_WARN, "not_recorded");

	log_delivery(&line, delivery);
	log_string(&line, "outcome", smtp_outcome_name(delivery->result.verdict.outcome));
	log_string(&line, "why", queue_why(lettergate->queue, err));
	log_end(&line);
	metrics_not_recorded(lettergate->metrics);
}

static enum err record(struct lettergate *lettergate, struct delivery *delivery, struct text raw);

/* There is no room in the queue for what is to be held: then for what became of it. */
static bool is_to_be_remembered(const struct keeping *keeping, enum err err)
{
	return err == ERR_LIMIT && keeping->stored.state == MESSAGE_HELD &&
	       record(keeping->lettergate, keeping->delivery, (struct text){ 0 }) == OK;
}

/* True: it goes back later. */
static bool is_not_recorded(const struct keeping *keeping, enum err err)
{
	if (keeping->stored.state == MESSAGE_HELD)
		keeping_log(keeping, err);
	if (is_to_be_remembered(keeping, err))
		return true;
	keeping_note_unrecorded(keeping->lettergate, keeping->delivery, err);
	return keyed_end(keeping->delivery);
}

/* The queue's thread. Whether it could be written or not, the answer is what it is. */
static void recorded(struct job *job)
{
	struct keeping *keeping = job->waiter;

	buf_free(&keeping->bytes);
	if (!job->err)
		keyed_kept(keeping->delivery);
	else if (is_not_recorded(keeping, job->err))
		return;
	keeping_give_back(keeping);
}

static bool leave_record(struct job *job)
{
	const struct keeping *keeping = job->waiter;

	return leaving_tell(keeping->lettergate, keeping->delivery);
}

/* As it is, its attempt told, with the bytes that it has. False: out of memory. */
static bool put_record(struct keeping *keeping)
{
	struct delivery *delivery = keeping->delivery;

	keeping->events =
		told_of_attempt(&keeping->stored, NULL, now_unix_ms(), &keeping->event_count);
	keeping->piece = buf_text(&keeping->bytes);
	keeping->job = (struct accept_job){
		.job = { .kind = JOB_ACCEPT, .done = recorded, .waiter = keeping, .stays = true },
		.stored = &keeping->stored,
		.pieces = &keeping->piece,
		.piece_count = 1,
		.now_ms = keeping->stored.created_ms,
		.events = keeping->events,
		.event_count = keeping->event_count
	};
	if (keeping->bytes.err || !keeping->events ||
		keyed_join(delivery, delivery, &keeping->job)) {
		buf_free(&keeping->bytes);
		return false;
	}
	leaving_put(keeping->lettergate, delivery, &keeping->job.job, leave_record);
	return true;
}

/* No time is left, so that nothing of it is tried again. */
static bool settle_for_good(struct keeping *keeping)
{
	static const struct schedule none = { .delays_ms = { 1 }, .count = 1 };
	struct course_moment moment = { .now_ms = now_unix_ms() };
	struct stored *stored = &keeping->stored;

	stored->tries = 1;
	stored->hold_unknown = false;
	stored->expires_ms = 0;
	return course_note(stored, &keeping->delivery->result, &none, moment) == OK;
}

static enum err record(struct lettergate *lettergate, struct delivery *delivery, struct text raw)
{
	struct keeping *keeping = keeping_new(lettergate, delivery);

	if (!keeping || !settle_for_good(keeping))
		return ERR_MEMORY;
	buf_add(&keeping->bytes, raw);
	keeping->stored.has_body = raw.len > 0;
	return put_record(keeping) ? OK : ERR_MEMORY;
}

/* Nobody waits for a store that is away, to be told what came of it then. */
bool keep_record(struct lettergate *lettergate, struct delivery *delivery, struct text raw)
{
	bool is_sound = queue_is_sound(lettergate->queue);
	enum err err = is_sound ? record(lettergate, delivery, raw) : ERR_IO;

	if (err)
		keeping_note_unrecorded(lettergate, delivery, err);
	return !err;
}

bool keep_rest(struct lettergate *lettergate, struct delivery *delivery)
{
	struct keeping *keeping = keeping_new(lettergate, delivery);
	struct course_moment moment = { .now_ms = now_unix_ms() };
	struct schedule schedule;
	enum err err;

	if (!keeping)
		return false;
	random_bytes((unsigned char *)&moment.chance, sizeof(moment.chance));
	pthread_rwlock_rdlock(&lettergate->lock);
	schedule = lettergate->settings->retry;
	pthread_rwlock_unlock(&lettergate->lock);
	keeping->stored.tries = 1;
	err = course_note(&keeping->stored, &delivery->result, &schedule, moment);
	if (!err && keeping->stored.state == MESSAGE_HELD) /* its sender hears that nobody knows */
		return !keeping_render(keeping) && put_record(keeping);
	if (err || keeping->stored.state != MESSAGE_DEFERRED)
		return false;
	keeping_hand_in(keeping);
	return true;
}
