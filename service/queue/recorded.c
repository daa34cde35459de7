#include "service/queue/recorded.h"

#include "service/queue/courier.h"

static struct smtp_verdict verdict_of(const struct stored_recipient *to)
{
	bool is_taken = to->category == SMTP_OK_CATEGORY && to->outcome != SMTP_UNKNOWN;

	return (struct smtp_verdict){ .class = is_taken ? SMTP_TAKEN : SMTP_NEVER,
		.outcome = to->outcome,
		.phase = to->phase,
		.category = to->category,
		.status = is_taken ? 200 : smtp_category_words(to->category)->status,
		.retryable = to->is_open,
		.hint = "" };
}

/* It was to be sent yet when its message was cancelled. One that nobody knows of stays so. */
static bool is_cancelled(const struct stored *stored, const struct stored_recipient *to)
{
	return stored->state == MESSAGE_CANCELLED && stored_is_undecided(to) &&
	       to->outcome != SMTP_UNKNOWN;
}

static const struct stored_recipient cancelled = {
	.outcome = SMTP_NOT_SENT, .phase = SMTP_IN_QUEUE, .category = SMTP_CANCELLED
};

struct smtp_answer *recorded_answers(const struct stored *stored, struct region *region)
{
	struct smtp_answer *answers = region_zalloc(region, stored->count + 1, sizeof(*answers));

	for (size_t i = 0; answers && i < stored->count; i++) {
		const struct stored_recipient *to = &stored->to[i];

		if (is_cancelled(stored, to))
			to = &cancelled;
		answers[i].said = to->said;
		answers[i].said.text = region_copy(region, to->said.text);
		answers[i].verdict = verdict_of(to);
	}
	return answers;
}

static const struct text *addresses_of(const struct stored *stored, struct region *region)
{
	struct text *to = region_zalloc(region, stored->count + 1, sizeof(*to));

	for (size_t i = 0; to && i < stored->count; i++)
		to[i] = region_copy(region, stored->to[i].address);
	return to;
}

static const struct record_attempt *attempts_of(const struct stored *stored, struct region *region)
{
	struct record_attempt *attempts =
		region_zalloc(region, stored->attempt_count + 1, sizeof(*attempts));

	for (size_t i = 0; attempts && i < stored->attempt_count; i++) {
		attempts[i] = (struct record_attempt){ stored->attempts[i].at_ms,
			stored->attempts[i].attempt };
		attempts[i].attempt.relay = region_copy(region, attempts[i].attempt.relay);
		attempts[i].attempt.said.text = region_copy(region, attempts[i].attempt.said.text);
	}
	return attempts;
}

static const struct text *tags_of(const struct stored *stored, struct region *region)
{
	struct text *tags = region_zalloc(region, stored->tag_count + 1, sizeof(*tags));

	for (size_t i = 0; tags && i < stored->tag_count; i++)
		tags[i] = region_copy(region, stored->tags[i]);
	return tags;
}

/* Held before anybody was asked, as out of a backup: nobody has taken it. */
static bool is_held_untried(const struct stored *stored)
{
	for (size_t i = 0; stored->state == MESSAGE_HELD && i < stored->count; i++)
		if (stored->to[i].outcome == SMTP_QUEUED)
			return true;
	return false;
}

static bool is_waiting(enum message_state state)
{
	return state == MESSAGE_SCHEDULED || state == MESSAGE_QUEUED || state == MESSAGE_DEFERRED;
}

static const struct smtp_verdict queued = {
	.class = SMTP_TAKEN, .outcome = SMTP_QUEUED, .status = 202, .hint = ""
};

struct smtp_verdict recorded_verdict(const struct stored *stored, const struct smtp_answer *answers)
{
	struct smtp_verdict verdict = smtp_verdict_of_all(answers, stored->count);

	if (stored->state == MESSAGE_CAPTURED)
		verdict.outcome = SMTP_CAPTURED;
	/* the relay's no to some of them is not why it ended */
	if (stored->state == MESSAGE_CANCELLED && verdict.outcome == SMTP_REJECTED)
		verdict = verdict_of(&cancelled);
	return verdict;
}

bool recorded_describe(
	const struct stored *stored, struct region *region, struct record *record_out)
{
	struct result *result = &record_out->result;

	record_out->id = region_copy(region, text_of(stored->id)).at;
	record_out->key_id = region_copy(region, stored->key_id);
	record_out->message_id = region_copy(region, stored->message_id);
	record_out->from = region_copy(region, stored->from);
	record_out->subject = region_copy(region, stored->subject);
	record_out->tags = tags_of(stored, region);
	record_out->tag_count = stored->tag_count;
	record_out->metadata = region_copy(region, stored->metadata);
	record_out->created_ms = stored->created_ms;
	record_out->updated_ms = stored->updated_ms;
	record_out->size_bytes = stored->size_bytes;
	record_out->state = message_state_name(stored->state);
	record_out->next_ms = is_waiting(stored->state) ? stored->due_ms : 0;
	if (is_waiting(stored->state) && stored->lane.len && stored->lane.at[0] == LANE_OF_NOBODY)
		record_out->why = "no relay of the settings in force has this name";
	record_out->attempts = attempts_of(stored, region);
	record_out->attempt_count = stored->attempt_count;
	result->count = stored->count;
	result->to = addresses_of(stored, region);
	result->answers = recorded_answers(stored, region);
	if (!record_out->id || !record_out->tags || !record_out->attempts || !result->to ||
		!result->answers)
		return false;
	record_out->is_damaged = stored->is_damaged;
	result->verdict = is_waiting(stored->state) || stored->state == MESSAGE_SENDING ||
					  stored->is_damaged || is_held_untried(stored)
				  ? queued
				  : recorded_verdict(stored, result->answers);
	return true;
}
