#include "service/queue/keeping_own.h"

#include "http/problem.h"
#include "service/clock.h"
#include "service/queue/awaited.h"
#include "service/queue/keyed.h"
#include "service/queue/leaving.h"
#include "service/queue/queue.h"
#include "service/queue/told.h"
#include "service/relay/settle.h"
#include "service/store/tally.h"

#include <string.h>

enum { EVENT_BYTES = 1 << 20 };

/* ---- what came of it */

static const struct smtp_verdict queued = {
	.class = SMTP_TAKEN, .outcome = SMTP_QUEUED, .status = 202, .hint = ""
};

/* One that waits. He is told why he was put off, if he was. */
static struct smtp_answer answer_of(
	const struct stored_recipient *to, const struct smtp_verdict *verdict)
{
	struct smtp_answer answer = { .verdict = *verdict };

	if (verdict->outcome == SMTP_QUEUED) {
		answer.said = to->said;
		answer.verdict.category = to->category;
		answer.verdict.phase = to->phase;
	}
	return answer;
}

/* Those that wait are queued, or were not accepted after all; what a relay has decided stays. */
static void note(
	const struct keeping *keeping, struct result *result, const struct smtp_verdict *verdict)
{
	for (size_t i = 0; i < result->count; i++)
		if (keeping->stored.to[i].is_open)
			result->answers[i] = answer_of(&keeping->stored.to[i], verdict);
	result->verdict = *verdict;
	if (verdict->outcome == SMTP_QUEUED)
		result->said = (struct smtp_said){ 0 };
}

void keeping_log(const struct keeping *keeping, enum err err)
{
	const struct delivery *delivery = keeping->delivery;
	struct log_line line = log_line(
		keeping->lettergate->log, err ? LOG_WARN : LOG_INFO, err ? "not_queued" : "queued");

	log_delivery(&line, delivery);
	if (err)
		log_string(&line, "why", queue_why(keeping->lettergate->queue, err));
	log_end(&line);
}

void keeping_give_back(struct keeping *keeping)
{
	atomic_fetch_sub(&keeping->lettergate->in_flight, 1);
	keeping->delivery->done(keeping->delivery);
}

/* What was tried before and cannot be kept has its own answer, but where it may be tried again. So
 * has what a process died over: that nobody knows. */
static void refuse(struct keeping *keeping, enum err err)
{
	struct delivery *delivery = keeping->delivery;
	const struct result *result = &delivery->result;
	bool has_answer = result->attempt_count || result->verdict.outcome == SMTP_UNKNOWN;

	if (err == ERR_DOUBT && message_state_is_settled(keeping->stored.state))
		err = ERR_IO;
	if (err == ERR_LIMIT && !has_answer)
		delivery->result.detail = tally_words(keeping->job.full);
	if (!has_answer || err == ERR_DOUBT) {
		keep_failed(keeping->lettergate, delivery, err);
		return;
	}
	keeping_note_unrecorded(keeping->lettergate, delivery, err);
	if (!keyed_end(delivery))
		keeping_give_back(keeping);
}

static void finish(struct keeping *keeping, enum err err)
{
	struct delivery *delivery = keeping->delivery;

	delivery->result.total_us = now_us() - delivery->began_us;
	keeping_log(keeping, err);
	buf_free(&keeping->bytes);
	buf_free(&keeping->told);
	if (err) {
		refuse(keeping, err);
		return;
	}
	note(keeping, &delivery->result, &queued);
	keyed_kept(delivery);
	if (delivery->wait_until_us)
		awaited_add(keeping->lettergate->awaited, delivery);
	else
		keeping_give_back(keeping);
}

/* The queue's thread. */
static void kept(struct job *job)
{
	struct keeping *keeping = job->waiter;

	if (job->err || keeping->job.found == ONCE_NEW) {
		finish(keeping, job->err);
		return;
	}
	buf_free(&keeping->bytes);
	buf_free(&keeping->told);
	keyed_found(keeping->delivery, keeping->job.found, keeping->job.answer);
}

/* It may be in the queue, or come to be there. */
static bool leave_accept(struct job *job)
{
	struct keeping *keeping = job->waiter;
	struct delivery *told = leaving_begin(keeping->delivery);
	struct smtp_verdict unsure = keep_failed_verdict(ERR_DOUBT);

	if (!told)
		return false;
	note(keeping, &told->result, &unsure);
	told->result.detail = "The store did not say in time whether it has the message: "
			      "it may be in the queue, and be sent";
	told->wait_s = 0;
	leaving_end(keeping->lettergate, told);
	return true;
}

/* ---- the message as it is kept */

static void fill_head(struct stored *stored, const struct delivery *delivery)
{
	const struct smtp_envelope *envelope = &delivery->envelope;

	memcpy(stored->id, delivery->id, sizeof(stored->id));
	stored->key_id = delivery->key_id;
	stored->message_id = delivery->message_id;
	stored->request_id = delivery->request_id;
	stored->traceparent = delivery->traceparent;
	stored->from = delivery->from;
	stored->subject = delivery->subject;
	stored->metadata = delivery->metadata;
	stored->tags = delivery->tags;
	stored->tag_count = delivery->tag_count;
	stored->relays = delivery->relays;
	stored->relay_count = delivery->relay_count;
	stored->wish = stored->lane = delivery->relay;
	stored->sender = envelope->from;
	stored->envelope_id = envelope->envelope_id;
	stored->notify = envelope->notify;
	stored->ret = envelope->ret;
	stored->needs_utf8 = envelope->needs_utf8;
	stored->eight_bit = delivery->message.eight_bit;
	stored->all_or_none = delivery->all_or_none;
}

static bool fill_recipients(struct stored *stored, const struct delivery *delivery)
{
	stored->count = delivery->envelope.count;
	stored->to = region_zalloc(stored->region, stored->count + 1, sizeof(*stored->to));
	for (size_t i = 0; stored->to && i < stored->count; i++)
		stored->to[i] = (struct stored_recipient){
			.address = delivery->envelope.to[i], .is_open = true, .outcome = SMTP_QUEUED
		};
	return stored->to;
}

static void fill_times(
	struct lettergate *lettergate, struct stored *stored, const struct delivery *delivery)
{
	int64_t now_ms = now_unix_ms();
	bool waits = delivery->send_at_ms > now_ms;

	pthread_rwlock_rdlock(&lettergate->lock);
	stored->hold_unknown = delivery->on_unknown == ON_UNKNOWN_USUAL
				       ? lettergate->settings->hold_unknown
				       : delivery->on_unknown == ON_UNKNOWN_HOLD;
	stored->due_ms = waits ? delivery->send_at_ms : now_ms;
	stored->expires_ms = schedule_expires_ms(&lettergate->settings->retry, stored->due_ms);
	pthread_rwlock_unlock(&lettergate->lock);
	stored->state = waits ? MESSAGE_SCHEDULED : MESSAGE_QUEUED;
	stored->created_ms = stored->updated_ms = now_ms;
	stored->size_bytes = delivery->message.size;
	stored->has_body = true;
}

struct keeping *keeping_new(struct lettergate *lettergate, struct delivery *delivery)
{
	struct keeping *keeping = region_zalloc(delivery->region, 1, sizeof(*keeping));

	if (!keeping)
		return NULL;
	keeping->lettergate = lettergate;
	keeping->delivery = delivery;
	keeping->stored.region = delivery->region;
	keeping->bytes = buf_born(delivery->message.size);
	keeping->told = buf_born(EVENT_BYTES);
	fill_head(&keeping->stored, delivery);
	if (!fill_recipients(&keeping->stored, delivery))
		return NULL;
	fill_times(lettergate, &keeping->stored, delivery);
	return keeping;
}

enum err keeping_render(struct keeping *keeping)
{
	const struct smtp_message *message = &keeping->delivery->message;
	struct smtp_message_reader reader = { 0 };
	char *room = buf_reserve(&keeping->bytes, message->size);

	if (!room)
		return ERR_MEMORY;
	buf_took(&keeping->bytes, smtp_message_read(message, &reader, room, message->size));
	keeping->piece = buf_text(&keeping->bytes);
	if (keeping->piece.len == message->size)
		return OK;
	buf_free(&keeping->bytes);
	return ERR_IO; /* a file of a form is gone */
}

/* The answer is remembered with the message, so it is what its sender is told if all goes well. */
static enum err join_key(struct keeping *keeping)
{
	struct delivery *delivery = keeping->delivery, told = *delivery;
	struct result *result = &told.result;

	if (!delivery->begun)
		return OK;
	result->answers = region_zalloc(delivery->region, result->count, sizeof(*result->answers));
	if (!result->answers)
		return ERR_MEMORY;
	memcpy(result->answers, delivery->result.answers, result->count * sizeof(*result->answers));
	result->total_us = now_us() - delivery->began_us;
	note(keeping, result, &queued);
	return keyed_join(delivery, &told, &keeping->job);
}

/* What is told of it: that it came in, and what came of those that were tried before. */
static enum err tell(struct keeping *keeping)
{
	struct stored *stored = &keeping->stored;
	const struct event *tried = NULL;
	struct event *events = &keeping->event;
	size_t count = 0;

	told_of_queued(stored, stored->created_ms, &keeping->told, &keeping->event);
	if (stored->attempt_count) {
		tried = told_of_attempt(stored, NULL, stored->created_ms, &count);
		events = region_zalloc(stored->region, count + 1, sizeof(*events));
		if (!tried || !events)
			return ERR_MEMORY;
		events[0] = keeping->event;
		memcpy(events + 1, tried, count * sizeof(*events));
	}
	keeping->events = events;
	keeping->event_count = count + 1;
	return keeping->told.err;
}

void keeping_hand_in(struct keeping *keeping)
{
	struct stored *stored = &keeping->stored;
	enum err err = keeping_render(keeping);

	if (!err)
		err = tell(keeping);
	keeping->job =
		(struct accept_job){ .job = { .kind = JOB_ACCEPT, .done = kept, .waiter = keeping },
			.stored = stored,
			.pieces = &keeping->piece,
			.piece_count = 1,
			.now_ms = stored->created_ms,
			.events = keeping->events,
			.event_count = keeping->event_count };
	if (!err)
		err = join_key(keeping);
	if (err)
		finish(keeping, err);
	else
		leaving_put(
			keeping->lettergate, keeping->delivery, &keeping->job.job, leave_accept);
}

/* ---- the interface */

void keep(struct lettergate *lettergate, struct delivery *delivery)
{
	bool is_sound = queue_is_sound(lettergate->queue);
	struct keeping *keeping = is_sound ? keeping_new(lettergate, delivery) : NULL;

	if (keeping)
		keeping_hand_in(keeping);
	else
		keep_failed(lettergate, delivery, is_sound ? ERR_MEMORY : ERR_IO);
}
