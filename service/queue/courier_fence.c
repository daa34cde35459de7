/* courier_fence - what is noted before a message's MAIL, and asked before the end of its data
 *
 * The note costs next to nothing, and tells after a crash what the process may have died of: in a
 * file beside the store, or in the store that others share, where it waits for no disk. The
 * question (is it still ours? and let it be noted) costs a write to the disk, so it is asked only
 * where it is worth one: for a message that is to be held where nobody knows what became of it, so
 * that a crash leaves known which those are; and where others share the store, and may have the
 * message by now. */
#include "service/queue/courier_own.h"

#include <stddef.h>

struct outing *courier_outing_of(struct fence *fence)
{
	return (struct outing *)((char *)fence - offsetof(struct outing, fence));
}

/* The queue's thread. The outing is there: its verdict waits behind this job. */
static void told(struct job *job)
{
	struct outing *outing = job->waiter;

	fence_tell(&outing->fence, !job->err && !outing->part_failed);
}

/* A worker's thread. */
static void ask(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);
	const struct stored *stored = outing->stored;
	bool needs_mark = stored->hold_unknown && !courier_note_end(fence);

	outing->fence_job =
		(struct fence_job){ .job = { .kind = JOB_FENCE, .done = told, .waiter = outing },
			.id = stored->id,
			.token = stored->token,
			.lease_for_ms = LEASE_MS,
			.mark = needs_mark ? MARK_END : MARK_MAIL };
	queue_put(outing->courier->queue, &outing->fence_job.job);
}

/* A job that writes nothing comes behind those that do. */
void courier_ask_behind(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);

	outing->behind =
		(struct renew_job){ .job = { .kind = JOB_RENEW, .done = told, .waiter = outing } };
	queue_put(outing->courier->queue, &outing->behind.job);
}

/* The same. Its first MAIL counts for all that follow. */
static void begin(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);

	if (outing->strike == STRIKE_NONE)
		outing->strike =
			strikes_note(queue_strikes(outing->courier->queue), outing->stored->id);
}

static void noted(struct job *job)
{
	(void)job;
}

/* The same where others share the store. The outing is there until the note is: its verdict waits
 * behind it. */
static void begin_shared(struct fence *fence)
{
	struct outing *outing = courier_outing_of(fence);

	if (outing->has_begun)
		return;
	outing->has_begun = true;
	outing->note_job = (struct fence_job){ .job = { .kind = JOB_FENCE, .done = noted },
		.id = outing->stored->id,
		.token = outing->stored->token,
		.lease_for_ms = LEASE_MS,
		.mark = MARK_MAIL,
		.only_notes = true };
	queue_put(outing->courier->queue, &outing->note_job.job);
}

void courier_put_fence(struct courier *courier, struct outing *outing)
{
	if (queue_strikes(courier->queue))
		outing->fence.begin = begin;
	else if (queue_is_shared(courier->queue))
		outing->fence.begin = begin_shared;
	if (outing->stored->hold_unknown || queue_is_shared(courier->queue))
		outing->fence.ask = ask;
	outing->fence.part = courier_note_part;
	outing->delivery.fence = &outing->fence;
}
