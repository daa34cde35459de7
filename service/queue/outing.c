#include "service/queue/outing.h"

#include "service/clock.h"
#include "service/queue/course.h"
#include "service/queue/told.h"

#include <string.h>

enum { UNTRIED_MS = 1000, UNTRIED_MOST_MS = 60000 };

/* Which of the turns it takes at a relay (turns.h): that of its key, known by name alone. */
static unsigned number_of(struct text key_id)
{
	uint32_t sum = 2166136261u; /* FNV-1a: only spreads, nothing depends on it */

	for (size_t i = 0; i < key_id.len; i++)
		sum = (sum ^ (unsigned char)key_id.at[i]) * 16777619u;
	return sum;
}

static void fill_envelope(
	struct smtp_envelope *envelope, const struct stored *stored, struct text *to, size_t count)
{
	envelope->from = stored->sender;
	envelope->to = to;
	envelope->count = count;
	envelope->envelope_id = stored->envelope_id;
	envelope->notify = stored->notify;
	envelope->ret = stored->ret;
	envelope->needs_utf8 = stored->needs_utf8;
}

static void fill_names(struct delivery *delivery, const struct stored *stored)
{
	memcpy(delivery->id, stored->id, sizeof(delivery->id));
	delivery->region = stored->region;
	delivery->message_id = stored->message_id;
	delivery->request_id = stored->request_id;
	delivery->key_id = stored->key_id;
	delivery->traceparent = stored->traceparent;
	delivery->from = stored->from;
	delivery->subject = stored->subject;
	delivery->key_number = number_of(stored->key_id);
	delivery->relay = stored->wish;
	delivery->relays = stored->relays;
	delivery->relay_count = stored->relay_count;
	delivery->tags = stored->tags;
	delivery->tag_count = stored->tag_count;
	delivery->metadata = stored->metadata;
	delivery->all_or_none = stored->all_or_none;
	delivery->created_ms = stored->created_ms;
}

static bool fill_message(struct delivery *delivery, const struct stored *stored, struct text body)
{
	struct smtp_segment *segment = region_zalloc(stored->region, 1, sizeof(*segment));

	if (!segment)
		return false;
	*segment = smtp_segment_of(body);
	delivery->message = (struct smtp_message){
		.segments = segment, .count = 1, .size = body.len, .eight_bit = stored->eight_bit
	};
	return true;
}

struct outing *outing_new(struct stored *stored, struct text body, uint64_t attempt_us)
{
	struct outing *outing = region_zalloc(stored->region, 1, sizeof(*outing));
	struct text *to;
	struct delivery *delivery;
	size_t count;

	if (!outing)
		return NULL;
	delivery = &outing->delivery;
	outing->stored = stored;
	outing->strike = STRIKE_NONE;
	outing->was_open = region_zalloc(stored->region, stored->count + 1, sizeof(bool));
	to = course_open_recipients(stored, &count);
	delivery->result.answers =
		region_zalloc(stored->region, count + 1, sizeof(*delivery->result.answers));
	if (!outing->was_open || !to || !delivery->result.answers ||
		!fill_message(delivery, stored, body))
		return NULL;
	for (size_t i = 0; i < stored->count; i++)
		outing->was_open[i] =
			stored->to[i].is_open || course_is_untold(stored, &stored->to[i]);
	fill_names(delivery, stored);
	fill_envelope(&delivery->envelope, stored, to, count);
	delivery->result.count = count;
	delivery->result.to = to;
	delivery->is_queued = true;
	delivery->reserved_bytes = region_used(stored->region);
	delivery->began_us = now_us();
	delivery->deadline_us = delivery->began_us + attempt_us;
	return outing;
}

/* ---- before it is sent */

bool outing_is_held(struct outing *outing)
{
	struct stored *stored = outing->stored;
	bool is_unknown = stored->hold_unknown && stored->maybe_sent;

	if (!is_unknown && !schedule_sets_aside(stored->strikes))
		return false;
	course_hold(stored, is_unknown ? SMTP_OUTCOME_UNKNOWN : SMTP_SET_ASIDE);
	outing->has_verdict = true;
	return true;
}

/* ---- what came of it */

/* No relay was asked: we stop, all of them rest, or there is none for it. No try is to be counted,
 * unless its time is over. */
static bool is_untried(const struct outing *outing)
{
	const struct result *result = &outing->delivery.result;

	return outing->lacks_relay ||
	       (result->verdict.outcome == SMTP_NOT_SENT && result->attempt_count == 0 &&
		       now_unix_ms() < outing->stored->expires_ms);
}

/* Where it was, but for a relay that is back. */
static struct text lane_as_it_was(const struct stored *stored)
{
	bool was_gone = stored->lane.len && stored->lane.at[0] == LANE_OF_NOBODY;

	return was_gone ? stored->wish : stored->lane;
}

static struct text lane_of_kind(const struct stored *stored, char kind, struct text relay)
{
	struct buf lane = buf_born(STORE_LANE_BYTES);
	struct text copy = { 0 };

	buf_add_byte(&lane, kind);
	buf_add(&lane, relay);
	if (!lane.err)
		copy = region_copy(stored->region, buf_text(&lane));
	buf_free(&lane);
	return copy.at ? copy : lane_as_it_was(stored);
}

/* The relay that it would go to has room for no more of the queue's, or is none. */
static struct text lane_of_untried(const struct outing *outing)
{
	const struct stored *stored = outing->stored;

	if (outing->is_relay_gone)
		return lane_of_kind(stored, LANE_OF_NOBODY, stored->wish);
	if (outing->delivery.full_relay.len && !stored->wish.len)
		return lane_of_kind(stored, LANE_OF_ROOM, outing->delivery.full_relay);
	return lane_as_it_was(stored);
}

static int64_t pause_ms(const struct outing *outing)
{
	const struct smtp_verdict *verdict = &outing->delivery.result.verdict;
	int64_t asked_ms = (int64_t)verdict->retry_after_s * 1000;

	if (outing->lacks_relay && !outing->is_relay_gone) /* its lane is that of others, too */
		return UNTRIED_MOST_MS;
	if (verdict->category == SMTP_DRAINING) /* whoever goes on may have it */
		return 0;
	if (asked_ms < UNTRIED_MS || outing->delivery.full_relay.len)
		return UNTRIED_MS;
	return asked_ms > UNTRIED_MOST_MS ? UNTRIED_MOST_MS : asked_ms;
}

static struct job *release(struct outing *outing)
{
	const struct stored *stored = outing->stored;
	int64_t now_ms = now_unix_ms();

	outing->release = (struct release_job){ .job.kind = JOB_RELEASE,
		.id = stored->id,
		.token = stored->token,
		.now_ms = now_ms,
		.due_ms = now_ms + pause_ms(outing),
		.lane = lane_of_untried(outing) };
	return &outing->release.job;
}

/* The relay that it waits for from now on, if that is one alone. */
static struct text lane_of(const struct outing *outing)
{
	const struct result *result = &outing->delivery.result;

	if (outing->stored->state != MESSAGE_DEFERRED || result->attempt_count == 0)
		return outing->stored->wish;
	return result->attempts[result->attempt_count - 1].relay;
}

static bool note_verdict(struct outing *outing, const struct courier_settings *settings)
{
	struct course_moment moment = { .now_ms = now_unix_ms() };

	random_bytes((unsigned char *)&moment.chance, sizeof(moment.chance));
	if (course_note(outing->stored, &outing->delivery.result, &settings->schedule, moment))
		return false;
	outing->stored->lane = lane_of(outing);
	outing->has_verdict = true;
	return true;
}

struct job *outing_verdict(struct outing *outing, const struct courier_settings *settings)
{
	struct settle_job *settle = &outing->settle;

	if (!outing->has_verdict && is_untried(outing))
		return release(outing);
	if (!outing->has_verdict && !note_verdict(outing, settings))
		return NULL;
	course_find_untold(outing->stored);
	settle->job.kind = JOB_SETTLE;
	settle->stored = outing->stored;
	settle->keep_body = settings->keeps_body || outing->stored->state == MESSAGE_CAPTURED;
	if (!settle->now_ms) /* by that it is known again, where a commit was in doubt */
		settle->now_ms = now_unix_ms();
	if (!settle->events)
		settle->events = told_of_attempt(
			outing->stored, outing->was_open, settle->now_ms, &settle->event_count);
	return settle->events ? &settle->job : NULL;
}
