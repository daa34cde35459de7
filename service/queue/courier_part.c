/* courier_part - of a message in parts, who has it is noted before the next part may end
 * (and of one that is to be held, who may have it by that)
 *
 * Else a process that dies sends it once more to all who had it by then, and not only to those of
 * one part. The message stays out meanwhile: its attempt is not over, and what this comes to as a
 * whole is noted at its end, for all of them. */
#include "service/queue/courier_own.h"

#include "service/clock.h"
#include "service/queue/course.h"
#include "service/queue/told.h"
#include "service/relay/parts.h"

#include <string.h>

enum { NOTE_BYTES = 64 << 20 };

/* In a region of its own: there may be as many parts as recipients. */
struct part_note {
	struct settle_job job;
	struct region *region;
	struct outing *outing;
	struct stored stored; /* as it is with that part */
	bool *closed;         /* of each recipient: he is one of those that are over by then */
};

/* ---- when it is written; the queue's thread */

/* What is told of these is on disk. */
static void forget_told(struct outing *outing, const bool *closed)
{
	for (size_t i = 0; i < outing->stored->count; i++)
		outing->was_open[i] = outing->was_open[i] && !closed[i];
}

/* The verdict may be there before. */
static void end_part(struct outing *outing, enum outing_part part)
{
	bool waits;

	pthread_mutex_lock(&outing->courier->lock);
	outing->part = part;
	waits = outing->verdict_waits;
	outing->verdict_waits = false;
	pthread_mutex_unlock(&outing->courier->lock);
	if (waits)
		courier_put_verdict(outing);
}

static void noted(struct job *job)
{
	struct part_note *note = job->waiter;
	struct outing *outing = note->outing;
	enum err err = job->err;

	if (err)
		outing->part_failed = true;
	else
		forget_told(outing, note->closed);
	region_close(note->region);
	end_part(outing, err == ERR_DOUBT ? PART_IN_DOUBT : PART_NONE);
}

/* ---- in doubt */

/* Was it written? Then nobody is told of it again. What came behind it and was written says nothing
 * of that: they are told again rather than not at all. */
static void looked(struct job *job)
{
	struct outing *outing = job->waiter;
	struct stored *found = job->err ? NULL : outing->look_up.found;
	bool is_worth = found && !found->is_damaged && !outing->is_noted_behind;

	if (job->err && job->err != ERR_MISSING) {
		courier_put_verdict_later(outing);
		return;
	}
	for (size_t i = 0; is_worth && i < outing->stored->count; i++)
		if (outing->closed[i] && !found->to[i].is_open)
			outing->was_open[i] = false;
	stored_free(found);
	end_part(outing, PART_NONE);
	courier_put_verdict(outing);
}

static void look_up(struct outing *outing)
{
	outing->look_up = (struct look_up_job){
		.job = { .kind = JOB_LOOK_UP, .done = looked, .waiter = outing },
		.id = outing->stored->id
	};
	queue_put(outing->courier->queue, &outing->look_up.job);
}

bool courier_awaits_part(struct outing *outing)
{
	enum outing_part part;

	if (!outing->closed) /* there are none */
		return false;
	pthread_mutex_lock(&outing->courier->lock);
	part = outing->part;
	outing->verdict_waits = part == PART_OUT;
	pthread_mutex_unlock(&outing->courier->lock);
	if (part == PART_IN_DOUBT)
		look_up(outing);
	return part != PART_NONE;
}

/* ---- a part is over; a worker's thread */

/* What its attempt comes to so far, for a process that dies before it is over. */
static bool note_attempt_so_far(struct part_note *note, const struct result *result)
{
	struct stored *stored = &note->stored;
	size_t count = stored->attempt_count;
	struct stored_attempt *attempts =
		region_zalloc(note->region, count + result->attempt_count + 1, sizeof(*attempts));

	if (!attempts)
		return false;
	if (count)
		memcpy(attempts, stored->attempts, count * sizeof(*attempts));
	for (size_t i = 0; i < result->attempt_count; i++)
		attempts[count++] =
			(struct stored_attempt){ note->job.now_ms, result->attempts[i] };
	if (result->relay_name.len) /* else that relay is among those */
		attempts[count++] =
			(struct stored_attempt){ note->job.now_ms, { .relay = result->relay_name,
									   .outcome = SMTP_PARTIAL,
									   .phase = SMTP_IN_DOT } };
	stored->attempts = attempts;
	stored->attempt_count = count;
	stored->last = (struct stored_try){ .host = result->relay_host,
		.tls = result->tls ? text_of(result->tls) : (struct text){ 0 },
		.is_mixed = true,
		.queue_us = result->queue_us,
		.connect_us = result->connect_us };
	return true;
}

static bool tell(struct part_note *note)
{
	const struct outing *outing = note->outing;
	size_t count = note->stored.count;
	bool *is_told = region_zalloc(note->region, count + 1, sizeof(bool));

	if (!is_told)
		return false;
	for (size_t i = 0; i < count; i++)
		is_told[i] = outing->was_open[i] && note->closed[i];
	note->job.events =
		told_of_attempt(&note->stored, is_told, note->job.now_ms, &note->job.event_count);
	return note->job.events;
}

static bool copy_recipients(struct part_note *note, const struct outing *outing)
{
	size_t count = outing->stored->count;

	note->closed = region_zalloc(note->region, count + 1, sizeof(bool));
	note->stored.to = region_zalloc(note->region, count + 1, sizeof(*note->stored.to));
	if (!note->closed || !note->stored.to)
		return false;
	memcpy(note->closed, outing->closed, count * sizeof(bool));
	memcpy(note->stored.to, outing->stored->to, count * sizeof(*note->stored.to));
	return true;
}

static void note_free(struct part_note *note)
{
	if (note)
		region_close(note->region);
}

/* NULL: out of memory. */
static struct part_note *note_new(struct outing *outing)
{
	struct part_note *note = NULL;
	struct region *region;

	if (region_open(NOTE_BYTES, &region))
		return NULL;
	note = region_zalloc(region, 1, sizeof(*note));
	if (!note) {
		region_close(region);
		return NULL;
	}
	note->region = region;
	note->outing = outing;
	note->stored = *outing->stored;
	note->stored.region = region;
	note->job =
		(struct settle_job){ .job = { .kind = JOB_SETTLE, .done = noted, .waiter = note },
			.stored = &note->stored,
			.goes_on = true,
			.now_ms = now_unix_ms() };
	if (copy_recipients(note, outing))
		return note;
	note_free(note);
	return NULL;
}

static void put(struct part_note *note)
{
	struct outing *outing = note->outing;
	size_t count = outing->stored->count;

	memcpy(outing->closed, note->closed, count * sizeof(bool));
	memcpy(outing->noted, note->stored.to, count * sizeof(*outing->noted));
	outing->is_noted = true;
	pthread_mutex_lock(&outing->courier->lock);
	outing->part = PART_OUT;
	outing->is_noted_behind = false;
	pthread_mutex_unlock(&outing->courier->lock);
	queue_put(outing->courier->queue, &note->job.job);
}

static bool has_room(struct outing *outing)
{
	const struct stored *stored = outing->stored;

	if (!outing->noted)
		outing->noted =
			region_zalloc(stored->region, stored->count + 1, sizeof(*outing->noted));
	if (outing->noted && !outing->closed)
		outing->closed = region_zalloc(stored->region, stored->count + 1, sizeof(bool));
	return outing->closed;
}

/* Whoever was taken passed the fence behind the part before: that is written by now. */
void courier_note_part(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);
	const struct result *result = &outing->delivery.result;
	struct part_note *note = has_room(outing) ? note_new(outing) : NULL;

	if (!fence->ask)
		fence->ask = courier_ask_behind;
	if (note && !course_note_part(&note->stored, result, note->closed)) {
		note_free(note);
	} else if (note && note_attempt_so_far(note, result) && tell(note)) {
		put(note);
	} else {
		outing->part_failed = true;
		note_free(note);
	}
}

/* ---- a part is about to end; a worker's thread */

/* Also who was put off in a part before. */
static bool are_others_open(const struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		if (stored->to[i].is_open)
			return true;
	return false;
}

static void end_noted(struct job *job)
{
	struct part_note *note = job->waiter;

	if (job->err)
		note->outing->part_failed = true;
	note_free(note);
}

static void put_end(struct part_note *note)
{
	struct outing *outing = note->outing;

	note->job.job.done = end_noted;
	pthread_mutex_lock(&outing->courier->lock);
	outing->is_noted_behind = outing->part != PART_NONE;
	pthread_mutex_unlock(&outing->courier->lock);
	queue_put(outing->courier->queue, &note->job.job);
}

/* Of the parts before it says what was put already, and of those that were only refused nothing. */
bool courier_note_end(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);
	const struct part *part = fence->asks_for;
	struct part_note *note;

	if (!part || course_ends_for_all(part) || !has_room(outing))
		return false;
	note = note_new(outing);
	if (!note)
		return false;
	if (outing->is_noted)
		memcpy(note->stored.to, outing->noted,
			outing->stored->count * sizeof(*outing->noted));
	else
		stored_note_doubt(&note->stored);
	course_note_end(&note->stored, outing->stored, part);
	if (!are_others_open(&note->stored) ||
		(outing->is_noted && !note_attempt_so_far(note, &outing->delivery.result))) {
		note_free(note);
		return false;
	}
	put_end(note);
	return true;
}
