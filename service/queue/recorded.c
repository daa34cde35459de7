#include "service/queue/recorded.h"

#include "service/queue/courier.h"
#include "service/queue/course.h"

static struct smtp_verdict verdict_of(const struct stored_recipient *to)
{
	bool is_taken = to->category == SMTP_OK_CATEGORY && to->outcome != SMTP_UNKNOWN;

	return (struct smtp_verdict){ .class = is_taken ? SMTP_TAKEN : SMTP_NEVER,
		.outcome = to->outcome,
		.phase = to->phase,
		.category = to->category,
		.status = is_taken ? 200 : smtp_category_words(to->category)->status,
		.retryable = to->is_open,
		.expired = to->is_given_up,
		.hint = to->is_open ? "" : smtp_category_hint(to->category) };
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

/* Of whom the end of a part may have gone to: while somebody waits for the answer he is on his way,
 * as with a message that goes in one. */
static struct stored_recipient shown(const struct stored *stored, const struct stored_recipient *to)
{
	struct stored_recipient shown = *to;

	if (is_cancelled(stored, to))
		return cancelled;
	if (!course_is_untold(stored, to))
		return shown;
	if (stored->state == MESSAGE_SENDING)
		return (struct stored_recipient){ .is_open = true, .outcome = SMTP_QUEUED };
	shown.phase = SMTP_IN_DOT;
	return shown;
}

struct smtp_answer *recorded_answers(const struct stored *stored, struct region *region)
{
	struct smtp_answer *answers = region_zalloc(region, stored->count + 1, sizeof(*answers));

	for (size_t i = 0; answers && i < stored->count; i++) {
		const struct stored_recipient to = shown(stored, &stored->to[i]);

		answers[i].said = to.said;
		answers[i].said.text = region_copy(region, to.said.text);
		answers[i].verdict = verdict_of(&to);
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

/* ---- whose reply speaks for the whole */

static bool is_taken(enum smtp_outcome outcome)
{
	return outcome == SMTP_ACCEPTED || outcome == SMTP_PARTIAL || outcome == SMTP_CAPTURED;
}

/* The latest attempt that came out as the whole did. Of what was not taken that is the last one
 * alone, where it is known that this was the end: a process that dies notes none. NULL: none. */
static const struct stored_attempt *find_decisive(
	const struct stored *stored, const struct smtp_verdict *verdict)
{
	const struct stored_attempt *last = stored->attempts + stored->attempt_count;

	if (is_taken(verdict->outcome)) {
		while (last > stored->attempts)
			if (is_taken((--last)->attempt.outcome))
				return last;
		return NULL;
	}
	if (!stored->attempt_count || !stored->last.host.len)
		return NULL;
	last--;
	return last->attempt.outcome == verdict->outcome &&
			       last->attempt.category == verdict->category
		       ? last
		       : NULL;
}

static void add_last(const struct stored_try *last, struct region *region, struct result *result)
{
	result->relay_host = region_copy(region, last->host);
	result->tls = last->tls.len ? region_copy(region, last->tls).at : NULL;
	result->connect_us = last->connect_us;
	result->send_us = last->send_us;
	result->queue_us = last->queue_us;
	result->total_us = last->total_us;
}

/* Was it unknown before the last attempt? What that came to says nothing of it. (Of a try that a
 * process died over there is no attempt, and nothing is known.) */
static bool is_older(const struct stored *stored, const struct smtp_verdict *verdict)
{
	bool is_known = stored->last.host.len || stored->last.detail.len;

	return verdict->outcome == SMTP_UNKNOWN && stored->attempt_count && is_known &&
	       stored->attempts[stored->attempt_count - 1].attempt.outcome != SMTP_UNKNOWN;
}

void recorded_add_reply(const struct stored *stored, struct region *region, struct result *result)
{
	const struct smtp_verdict *verdict = &result->verdict;
	const struct stored_attempt *decisive = find_decisive(stored, verdict);
	const struct stored_try *last = &stored->last;

	if (is_older(stored, verdict))
		result->detail = "an earlier try ended behind the message's last byte, without an "
				 "answer: those after it do not say whether the relay has that one";
	else if (!is_taken(verdict->outcome) && verdict->category != SMTP_CANCELLED &&
		 last->detail.len)
		result->detail = region_copy(region, text_head(last->detail, STORED_DETAIL)).at;
	if (!decisive)
		return;
	result->said = decisive->attempt.said;
	result->said.text = region_copy(region, result->said.text);
	result->relay_name = region_copy(region, decisive->attempt.relay);
	if (is_taken(verdict->outcome) && result->said.code / 100 == 2)
		result->queue_id = smtp_queue_id(result->said.text);
	if (decisive == &stored->attempts[stored->attempt_count - 1])
		add_last(last, region, result);
}

/* ---- all of it */

static int64_t expires_ms(const struct stored *stored)
{
	bool may_expire = is_waiting(stored->state) || stored->state == MESSAGE_SENDING;

	return may_expire && stored->expires_ms < INT64_MAX ? stored->expires_ms : 0;
}

/* Why it waits for something else than time, or was given up. */
static const char *why_of(const struct stored *stored)
{
	if (is_waiting(stored->state))
		return stored->lane.len && stored->lane.at[0] == LANE_OF_NOBODY
			       ? "no relay of the settings in force has this name"
			       : NULL;
	for (size_t i = 0; i < stored->count; i++)
		if (stored->to[i].is_given_up)
			return "it was tried until its time (RETRY_FOR) was over";
	return NULL;
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
	record_out->send_at_ms = stored->state == MESSAGE_SCHEDULED ? stored->due_ms : 0;
	record_out->expires_ms = expires_ms(stored);
	record_out->why = why_of(stored);
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
	if (result->verdict.outcome != SMTP_QUEUED)
		recorded_add_reply(stored, region, result);
	record_out->detail = region_copy(region, text_head(stored->last.detail, STORED_DETAIL));
	return true;
}
