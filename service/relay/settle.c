#include "service/relay/settle.h"

#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/queue/keeping.h"
#include "service/queue/keyed.h"
#include "service/relay/parts.h"

#include <stdio.h>

void note_attempt(struct delivery *delivery, struct text relay, const struct smtp_verdict *verdict,
	uint64_t took_us)
{
	struct result *result = &delivery->result;
	struct attempt *attempt;

	if (result->attempt_count == ATTEMPTS_MAX)
		return;
	attempt = &result->attempts[result->attempt_count++];
	*attempt = (struct attempt){ .relay = relay,
		.outcome = verdict->outcome,
		.phase = verdict->phase,
		.category = verdict->category,
		.said = result->said,
		.took_us = took_us };
}

/* It is where it was before: the gateway stopped, and nothing was begun for him. */
static bool is_untried(const struct delivery *delivery, const struct smtp_verdict *verdict)
{
	return delivery->is_queued && verdict->category == SMTP_DRAINING &&
	       verdict->phase == SMTP_IN_QUEUE;
}

static void count(struct lettergate *lettergate, const struct delivery *delivery)
{
	const struct result *result = &delivery->result;

	metrics_send(lettergate->metrics, result->verdict.outcome, result->verdict.phase,
		result->total_us);
	for (size_t i = 0; i < result->count; i++)
		if (!is_untried(delivery, &result->answers[i].verdict))
			metrics_recipient(lettergate->metrics, result->answers[i].verdict.outcome);
}

static void log_reply(struct log_line *line, const struct smtp_said *said)
{
	char enhanced[24];

	if (!said->code)
		return;
	log_u64(line, "smtp_code", said->code);
	if (said->enhanced.class) {
		snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", said->enhanced.class,
			said->enhanced.subject, said->enhanced.detail);
		log_string(line, "smtp_enhanced", enhanced);
	}
	log_words(line, "smtp_text", said->text);
}

void log_delivery(struct log_line *line, const struct delivery *delivery)
{
	log_text(line, "request_id", delivery->request_id);
	log_text(line, "key_id", delivery->key_id);
	log_string(line, "id", delivery->id);
	log_text(line, "message_id", delivery->message_id);
	log_text(line, "traceparent", delivery->traceparent);
	log_address(line, "from", delivery->envelope.from);
	log_address(line, "to", delivery->envelope.to[0]);
	log_u64(line, "recipients", delivery->envelope.count);
	log_u64(line, "size", delivery->message.size);
}

static void tell(struct lettergate *lettergate, const struct delivery *delivery)
{
	const struct result *result = &delivery->result;
	const struct smtp_verdict *verdict = &result->verdict;
	bool went_well = verdict->class == SMTP_TAKEN && verdict->outcome != SMTP_PARTIAL;
	struct log_line line = log_line(lettergate->log, went_well ? LOG_INFO : LOG_WARN, "send");

	log_delivery(&line, delivery);
	log_text(&line, "relay", result->relay_name);
	log_string(&line, "outcome", smtp_outcome_name(verdict->outcome));
	if (verdict->category != SMTP_OK_CATEGORY) {
		log_string(&line, "code", smtp_category_words(verdict->category)->code);
		log_string(&line, "phase", smtp_phase_name(verdict->phase));
	}
	log_reply(&line, &result->said);
	if (result->detail)
		log_string(&line, "detail", result->detail);
	log_text(&line, "queue_id", result->queue_id);
	log_ms(&line, "queue_ms", result->queue_us);
	log_ms(&line, "connect_ms", result->connect_us);
	log_ms(&line, "send_ms", result->send_us);
	log_ms(&line, "total_ms", result->total_us);
	log_end(&line);
}

/* True: it goes back when the store has it. */
static bool is_kept(struct lettergate *lettergate, struct delivery *delivery, struct text raw)
{
	if (!lettergate->queue || delivery->is_queued || delivery->dry_run)
		return false;
	if (delivery->way == DELIVER_NOW_THEN_QUEUED && keep_rest(lettergate, delivery))
		return true;
	return keep_record(lettergate, delivery, raw) || keyed_end(delivery);
}

/* Nothing was tried, and nothing came of it: it is where it was before. */
static bool goes_back(const struct delivery *delivery)
{
	const struct result *result = &delivery->result;

	return delivery->is_queued && result->verdict.category == SMTP_DRAINING &&
	       result->attempt_count == 0;
}

void settle(struct lettergate *lettergate, struct delivery *delivery, struct text raw)
{
	delivery->result.total_us = now_us() - delivery->began_us;
	delivery->result.is_mixed = delivery->parts > 0;
	share_give_back(&lettergate->room, delivery);
	if (!goes_back(delivery)) {
		count(lettergate, delivery);
		tell(lettergate, delivery);
	}
	if (is_kept(lettergate, delivery, raw))
		return;
	if (!delivery->dry_run && !delivery->is_queued)
		records_add(lettergate->records, delivery, now_unix_ms(), raw);
	atomic_fetch_sub_explicit(&lettergate->in_flight, 1, memory_order_relaxed);
	delivery->done(delivery);
}

void settle_attempt(struct lettergate *lettergate, struct delivery *delivery)
{
	if (!dispatch_elsewhere(lettergate, delivery))
		settle(lettergate, delivery, (struct text){ 0 });
}

void settle_failed(struct lettergate *lettergate, struct delivery *delivery,
	const struct smtp_verdict *verdict, const struct smtp_said *said, const char *words)
{
	struct result *result = &delivery->result;
	struct smtp_verdict here = parts_verdict_here(delivery, verdict);

	result->last = *verdict;
	result->said = *said;
	result->said.text = region_copy(delivery->region, said->text);
	result->send_us = 0; /* an earlier attempt's, as is the detail */
	result->detail = words[0] ? region_copy(delivery->region, text_of(words)).at : NULL;
	parts_end(delivery, verdict); /* of a message in parts, some have their answer */
	if (result->relay_name.len)
		note_attempt(delivery, result->relay_name, &here, result->connect_us);
	settle_attempt(lettergate, delivery);
}

void settle_lost(struct lettergate *lettergate, struct delivery *delivery, enum smtp_loss loss,
	const char *words)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict = smtp_verdict_of_loss(loss, SMTP_IN_QUEUE, false);

	settle_failed(lettergate, delivery, &verdict, &nothing, words);
}

void settle_list(struct lettergate *lettergate, struct delivery *list,
	const struct smtp_verdict *verdict, const char *words)
{
	static const struct smtp_said nothing;
	struct delivery *next;

	for (struct delivery *delivery = list; delivery; delivery = next) {
		next = delivery->next;
		delivery->next = NULL;
		delivery->result.queue_us = now_us() - delivery->queued_us;
		settle_failed(lettergate, delivery, verdict, &nothing, words);
	}
}
