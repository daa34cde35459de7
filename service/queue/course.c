#include "service/queue/course.h"

#include <string.h>

struct text *course_open_recipients(const struct stored *stored, size_t *count_out)
{
	struct text *open = region_zalloc(stored->region, stored->count + 1, sizeof(*open));

	*count_out = 0;
	for (size_t i = 0; open && i < stored->count; i++)
		if (stored->to[i].is_open)
			open[(*count_out)++] = stored->to[i].address;
	return open;
}

/* ---- one recipient */

static bool is_taken(enum smtp_outcome outcome)
{
	return outcome == SMTP_ACCEPTED || outcome == SMTP_CAPTURED;
}

/* Would another try hear the same? */
static bool is_decided(const struct smtp_verdict *verdict)
{
	return is_taken(verdict->outcome) ||
	       (verdict->outcome != SMTP_UNKNOWN && !verdict->retryable &&
		       verdict->reach != SMTP_REACH_RELAY);
}

/* All or none: one that is refused for good ends it for those whom the relay would have taken. */
static bool is_refused(const struct result *result)
{
	for (size_t i = 0; i < result->count; i++)
		if (result->answers[i].verdict.outcome == SMTP_REJECTED &&
			is_decided(&result->answers[i].verdict))
			return true;
	return false;
}

static bool stays_open(const struct stored *stored, const struct result *result,
	const struct smtp_verdict *verdict)
{
	if (is_taken(verdict->outcome))
		return false;
	if (verdict->outcome == SMTP_UNKNOWN)
		return !stored->hold_unknown;
	return stored->all_or_none ? !is_refused(result) : !is_decided(verdict);
}

/* Where nobody knows what the relay did, it has said nothing: not what it said of others. */
static const struct smtp_said *said_of(
	const struct result *result, const struct smtp_answer *answer)
{
	const struct smtp_verdict *verdict = &answer->verdict;
	bool is_its_own = is_taken(verdict->outcome) || verdict->phase == SMTP_IN_RCPT ||
			  verdict->outcome == SMTP_UNKNOWN;

	return is_its_own ? &answer->said : &result->said;
}

/* What an earlier attempt left unknown no later one can undo, but by being taken: whatever the
 * relay says to this one, it may have the other. */
static void note_answer(const struct stored *stored, const struct result *result,
	const struct smtp_answer *answer, struct stored_recipient *to)
{
	const struct smtp_verdict *verdict = &answer->verdict;
	bool stays_unknown = to->outcome == SMTP_UNKNOWN && !is_taken(verdict->outcome);

	to->is_open = stays_open(stored, result, verdict);
	to->is_given_up = false;
	to->outcome = stays_unknown ? SMTP_UNKNOWN : verdict->outcome;
	to->phase = stays_unknown ? SMTP_IN_DOT : verdict->phase;
	to->category = stays_unknown ? SMTP_OUTCOME_UNKNOWN : verdict->category;
	to->said = stays_unknown ? (struct smtp_said){ 0 } : *said_of(result, answer);
}

/* ---- the whole message */

static bool is_of(const struct stored *stored, const struct result *result)
{
	size_t place = 0;

	for (size_t i = 0; i < stored->count; i++) {
		if (!stored->to[i].is_open)
			continue;
		if (place == result->count || !text_equal(stored->to[i].address, result->to[place]))
			return false;
		place++;
	}
	return place == result->count;
}

static enum err note_attempts(struct stored *stored, const struct result *result, int64_t now_ms)
{
	size_t count = stored->attempt_count;
	struct stored_attempt *attempts =
		region_zalloc(stored->region, count + result->attempt_count + 1, sizeof(*attempts));

	if (!attempts)
		return ERR_MEMORY;
	if (count)
		memcpy(attempts, stored->attempts, count * sizeof(*attempts));
	for (size_t i = 0; i < result->attempt_count; i++)
		attempts[count++] = (struct stored_attempt){ now_ms, result->attempts[i] };
	stored->attempts = attempts;
	stored->attempt_count = count;
	return OK;
}

static void note_try(struct stored *stored, const struct result *result)
{
	stored->last = (struct stored_try){ .host = result->relay_host,
		.tls = result->tls ? text_of(result->tls) : (struct text){ 0 },
		.detail = result->detail ? text_of(result->detail) : (struct text){ 0 },
		.is_mixed = result->is_mixed,
		.said = result->said,
		.queue_us = result->queue_us,
		.connect_us = result->connect_us,
		.send_us = result->send_us,
		.total_us = result->total_us };
}

/* What an attempt leaves to be done. */
struct rest {
	bool is_open;     /* some recipient is to be tried again */
	bool is_untried;  /* … and some at once: it did not get to them */
	bool is_held;     /* … and some are set aside as unknown: somebody decides */
	uint32_t asked_s; /* the longest that the relay asks for, in its own words */
};

static void note_rest(const struct stored *stored, const struct stored_recipient *to,
	const struct result *result, const struct smtp_answer *answer, struct rest *rest)
{
	uint32_t asked_s = to->is_open ? smtp_retry_after_s(said_of(result, answer)->text) : 0;

	rest->is_open = rest->is_open || to->is_open;
	rest->asked_s = asked_s > rest->asked_s ? asked_s : rest->asked_s;
	if (stored->hold_unknown && answer->verdict.outcome == SMTP_UNKNOWN)
		rest->is_held = true;
}

/* The gateway stopped before it was begun for him. Where time is over that is his answer. */
static bool is_untried(
	const struct stored *stored, const struct smtp_verdict *verdict, int64_t now_ms)
{
	return verdict->category == SMTP_DRAINING && verdict->phase == SMTP_IN_QUEUE &&
	       now_ms < stored->expires_ms;
}

static struct rest note_answers(struct stored *stored, const struct result *result, int64_t now_ms)
{
	struct rest rest = { 0 };
	size_t place = 0;

	for (size_t i = 0; i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i];
		const struct smtp_answer *answer = &result->answers[place];

		if (!to->is_open) {
			rest.is_held = rest.is_held ||
				       (stored->hold_unknown && to->outcome == SMTP_UNKNOWN);
			continue;
		}
		place++;
		to->is_untried = is_untried(stored, &answer->verdict, now_ms);
		if (to->is_untried) {
			rest.is_open = rest.is_untried = true;
			continue;
		}
		note_answer(stored, result, answer, to);
		note_rest(stored, to, result, answer, &rest);
	}
	return rest;
}

/* It is not tried again. One that somebody wanted sent again, in spite of what was unknown, and
 * that the relay refused, waits for no further decision. */
static enum message_state last_state(const struct stored *stored, bool is_held)
{
	size_t taken = 0, unknown = 0;

	for (size_t i = 0; i < stored->count; i++) {
		taken += is_taken(stored->to[i].outcome);
		unknown += stored->to[i].outcome == SMTP_UNKNOWN;
	}
	if (taken == stored->count)
		return stored->to[0].outcome == SMTP_CAPTURED ? MESSAGE_CAPTURED : MESSAGE_SENT;
	if (unknown)
		return is_held ? MESSAGE_HELD : MESSAGE_UNKNOWN;
	return taken ? MESSAGE_PARTIAL : MESSAGE_FAILED;
}

void course_hold(struct stored *stored, enum smtp_category category)
{
	bool never_sent = stored->hold_unknown && !stored->maybe_sent, is_unsent;

	for (size_t i = 0; i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i];

		if (!to->is_open)
			continue;
		is_unsent = never_sent && to->outcome != SMTP_UNKNOWN;
		*to = (struct stored_recipient){ .address = to->address,
			.outcome = is_unsent ? SMTP_NOT_SENT : SMTP_UNKNOWN,
			.phase = is_unsent ? SMTP_IN_MAIL : SMTP_IN_DOT,
			.category = category };
	}
	stored->last = (struct stored_try){ 0 };
	stored->state = MESSAGE_HELD;
}

/* What was never to be tried again (expires_ms 0) is not given up. */
static void give_up(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++) {
		stored->to[i].is_given_up |= stored->to[i].is_open && stored->expires_ms;
		stored->to[i].is_open = false;
	}
}

enum err course_note(struct stored *stored, const struct result *result,
	const struct schedule *schedule, struct course_moment moment)
{
	enum err err = is_of(stored, result) ? OK : ERR_VALUE;
	struct rest rest;

	if (!err)
		err = note_attempts(stored, result, moment.now_ms);
	if (err)
		return err;
	note_try(stored, result);
	stored_note_doubt(stored);
	rest = note_answers(stored, result, moment.now_ms);
	if (rest.is_untried) {
		stored->due_ms = moment.now_ms;
		stored->state = MESSAGE_DEFERRED;
		return OK;
	}
	if (rest.is_open && schedule_next(schedule, stored->tries, rest.asked_s, stored->expires_ms,
				    moment.now_ms, moment.chance, &stored->due_ms)) {
		stored->state = MESSAGE_DEFERRED;
		return OK;
	}
	give_up(stored);
	stored->state = last_state(stored, rest.is_held);
	return OK;
}

/* ---- a part of it */

bool course_note_part(struct stored *stored, const struct result *result, bool *closed)
{
	bool is_any = false;
	size_t place = 0;

	if (!is_of(stored, result))
		return false;
	stored_note_doubt(stored);
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i], noted = *to;
		const struct smtp_answer *answer = &result->answers[place];

		if (!to->is_open)
			continue;
		place++;
		if (answer->verdict.status)
			note_answer(stored, result, answer, &noted);
		if (noted.is_open)
			continue;
		*to = noted;
		if (!closed[i] && (is_taken(to->outcome) || to->outcome == SMTP_UNKNOWN))
			is_any = true;
		closed[i] = true;
	}
	return is_any;
}

/* ---- an answer that came late */

static bool is_for(const struct course_late *late, struct text address)
{
	for (size_t i = 0; i < late->count; i++)
		if (text_equal(late->to[i], address))
			return true;
	return false;
}

/* Of several tries that are unknown nobody knows which of them a no leaves. */
static bool is_worth_noting(const struct stored *stored, const struct course_late *late)
{
	size_t unknown = stored->maybe_sent;

	if (is_taken(late->verdict.outcome))
		return true;
	for (size_t i = 0; i < stored->attempt_count; i++)
		unknown += stored->attempts[i].attempt.outcome == SMTP_UNKNOWN;
	return unknown == 1 && stored->state != MESSAGE_CANCELLED;
}

static void note_late(
	const struct stored *stored, const struct course_late *late, struct stored_recipient *to)
{
	bool may_go = to->is_open || stored->state == MESSAGE_HELD;

	*to = (struct stored_recipient){ .address = to->address,
		.is_open = may_go && !is_decided(&late->verdict),
		.outcome = late->verdict.outcome,
		.phase = late->verdict.phase,
		.category = late->verdict.category,
		.said = late->said };
}

/* NULL: it is none of those that are kept. */
static struct attempt *find_attempt(struct stored *stored, const struct course_late *late)
{
	struct attempt *found = NULL;
	int64_t nearest = INT64_MAX;

	for (size_t i = 0; i < stored->attempt_count; i++) {
		struct attempt *attempt = &stored->attempts[i].attempt;
		int64_t apart = stored->attempts[i].at_ms - late->at_ms;

		apart = apart < 0 ? -apart : apart;
		if (attempt->outcome != SMTP_UNKNOWN || !text_equal(attempt->relay, late->relay) ||
			apart >= nearest)
			continue;
		found = attempt;
		nearest = apart;
	}
	return found;
}

static void note_late_attempt(struct stored *stored, const struct course_late *late)
{
	struct attempt *attempt = late->is_whole ? find_attempt(stored, late) : NULL;

	stored->last.detail = (struct text){ 0 };
	stored->last.said = late->said;
	if (!attempt)
		return;
	attempt->outcome = late->verdict.outcome;
	attempt->phase = late->verdict.phase;
	attempt->category = late->verdict.category;
	attempt->said = late->said;
}

static void move_on(struct stored *stored, int64_t now_ms)
{
	bool is_held = stored->state == MESSAGE_HELD, is_open = false;

	for (size_t i = 0; i < stored->count; i++)
		is_open = is_open || stored->to[i].is_open;
	if (stored->state == MESSAGE_CANCELLED)
		return;
	if (!is_open) {
		stored->state = last_state(stored, is_held);
	} else if (is_held) {
		stored->state = MESSAGE_DEFERRED;
		stored->due_ms = now_ms;
	}
}

bool course_note_late(
	struct stored *stored, const struct course_late *late, int64_t now_ms, bool *was_changed)
{
	bool is_any = false;

	if (!is_worth_noting(stored, late))
		return false;
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i];

		was_changed[i] = to->outcome == SMTP_UNKNOWN && is_for(late, to->address);
		if (was_changed[i])
			note_late(stored, late, to);
		is_any = is_any || was_changed[i];
	}
	if (is_any) {
		note_late_attempt(stored, late);
		move_on(stored, now_ms);
	}
	return is_any;
}
