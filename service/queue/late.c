#include "service/queue/late.h"

#include "service/clock.h"
#include "service/queue/awaited.h"
#include "service/queue/course.h"
#include "service/queue/queue.h"
#include "service/queue/told.h"

#include <string.h>

enum { LATE_BYTES = 1 << 20 };

/* In a region of its own. */
struct late {
	struct change_job job;
	struct region *region;
	struct lettergate *lettergate;
	char id[DELIVERY_ID_LEN + 1];
	struct text *to;
	struct course_late answer;
};

static bool copy_recipients(struct late *late, const struct smtp_envelope *envelope)
{
	late->to = region_zalloc(late->region, envelope->count + 1, sizeof(*late->to));
	for (size_t i = 0; late->to && i < envelope->count; i++) {
		late->to[i] = region_copy(late->region, envelope->to[i]);
		if (!late->to[i].at)
			return false;
	}
	return late->to;
}

struct late *late_new(struct lettergate *lettergate, const struct delivery *delivery,
	const struct part *part, const char *relay)
{
	struct region *region;
	struct late *late;

	if (!lettergate->queue || delivery->dry_run || region_open(LATE_BYTES, &region))
		return NULL;
	late = region_zalloc(region, 1, sizeof(*late));
	if (!late) {
		region_close(region);
		return NULL;
	}
	late->region = region;
	late->lettergate = lettergate;
	memcpy(late->id, delivery->id, sizeof(late->id));
	late->answer = (struct course_late){ .count = part->envelope.count,
		.is_whole = !part->places,
		.relay = region_copy(region, text_of(relay)),
		.at_ms = now_unix_ms() };
	if (late->answer.relay.at && copy_recipients(late, &part->envelope)) {
		late->answer.to = late->to;
		return late;
	}
	late_free(late);
	return NULL;
}

void late_free(struct late *late)
{
	if (late)
		region_close(late->region);
}

/* The queue's thread. */
static enum err note(struct change_job *change, struct stored *found)
{
	const struct late *late = change->job.waiter;
	bool *was_changed = region_zalloc(found->region, found->count + 1, sizeof(bool));

	if (!was_changed)
		return ERR_MEMORY;
	if (!course_note_late(found, &late->answer, change->now_ms, was_changed))
		return ERR_VALUE;
	change->events = told_of_attempt(found, was_changed, change->now_ms, &change->event_count);
	return change->events ? OK : ERR_MEMORY;
}

/* The same. Who waits for a verdict may have it now. */
static void noted(struct job *job)
{
	struct late *late = job->waiter;

	if (!job->err)
		awaited_cancelled(late->lettergate->awaited, late->id);
	late_free(late);
}

static bool keeps_body(struct lettergate *lettergate)
{
	bool keeps;

	pthread_rwlock_rdlock(&lettergate->lock);
	keeps = lettergate->settings->keep_body_ms > 0;
	pthread_rwlock_unlock(&lettergate->lock);
	return keeps;
}

void late_settle(
	struct late *late, const struct smtp_verdict *verdict, const struct smtp_said *said)
{
	if (!late)
		return;
	late->answer.verdict = *verdict;
	late->answer.said = *said;
	late->answer.said.text = region_copy(late->region, said->text);
	late->job =
		(struct change_job){ .job = { .kind = JOB_CHANGE, .done = noted, .waiter = late },
			.id = late->id,
			.change = CHANGE_LATE,
			.keep_body = keeps_body(late->lettergate),
			.now_ms = now_unix_ms(),
			.note = note };
	queue_put(late->lettergate->queue, &late->job.job);
}
