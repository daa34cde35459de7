#include "http/result.h"

unsigned result_status(const struct result *result)
{
	return result->verdict.status ? result->verdict.status : 500;
}

bool result_is_problem(const struct result *result)
{
	return result_status(result) >= 300;
}

void result_add_said(struct buf *out, const struct smtp_said *said)
{
	if (!said->code)
		return;
	json_add_name(out, "smtp");
	buf_add(out, TEXT("{\"code\":"));
	buf_add_u64(out, said->code);
	json_add_name(out, "enhanced");
	if (said->enhanced.class)
		buf_addf(out, "\"%u.%u.%u\"", said->enhanced.class, said->enhanced.subject,
			said->enhanced.detail);
	else
		buf_add_string(out, "null");
	json_add_member(out, "text", said->text);
	buf_add_byte(out, '}');
}

static void add_phase(struct buf *out, const struct smtp_verdict *verdict)
{
	if (verdict->phase != SMTP_IN_QUEUE)
		json_add_member(out, "phase", text_of(smtp_phase_name(verdict->phase)));
}

/* What a caller wants to know of what did not work: cause, phase, and what to do. */
static void add_trouble(struct buf *out, const struct smtp_verdict *verdict)
{
	add_phase(out, verdict);
	if (verdict->expired)
		json_add_member_bool(out, "expired", true);
	json_add_member_bool(out, "retryable", verdict->retryable);
	json_add_member_some(out, "retry_after", verdict->retry_after_s);
	json_add_member_bool(out, "duplicate_risk", verdict->outcome == SMTP_UNKNOWN);
}

static void add_outcome(struct buf *out, const struct smtp_verdict *verdict)
{
	json_add_member(out, "outcome", text_of(smtp_outcome_name(verdict->outcome)));
}

static void add_recipient(struct buf *out, struct text address, const struct smtp_answer *answer)
{
	json_add_comma(out);
	buf_add_byte(out, '{');
	json_add_member(out, "address", address);
	add_outcome(out, &answer->verdict);
	if (answer->verdict.category != SMTP_OK_CATEGORY || answer->verdict.class != SMTP_TAKEN)
		json_add_member(
			out, "code", text_of(smtp_category_words(answer->verdict.category)->code));
	if (answer->verdict.class != SMTP_TAKEN) {
		add_trouble(out, &answer->verdict);
		if (answer->verdict.hint && answer->verdict.hint[0])
			json_add_member(out, "hint", text_of(answer->verdict.hint));
	} else if (answer->verdict.category != SMTP_OK_CATEGORY) {
		add_phase(out, &answer->verdict);
	}
	result_add_said(out, &answer->said);
	buf_add_byte(out, '}');
}

static void add_recipients(struct buf *out, const struct result *result)
{
	json_add_name(out, "recipients");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < result->count; i++)
		add_recipient(out, result->to[i], &result->answers[i]);
	buf_add_byte(out, ']');
}

static void add_relay(struct buf *out, const struct result *result)
{
	if (!result->relay_name.len)
		return;
	json_add_name(out, "relay");
	buf_add_byte(out, '{');
	json_add_member(out, "name", result->relay_name);
	if (result->relay_host.len)
		json_add_member(out, "host", result->relay_host);
	if (result->tls)
		json_add_member(out, "tls", text_of(result->tls));
	if (result->queue_id.len)
		json_add_member(out, "queue_id", result->queue_id);
	buf_add_byte(out, '}');
}

/* Leaves the object open. In an answer the reply of one that went well stands beside it. */
static void open_attempt(struct buf *out, const struct attempt *attempt, bool is_whole)
{
	json_add_comma(out);
	buf_add_byte(out, '{');
	json_add_member(out, "relay", attempt->relay);
	json_add_member(out, "outcome", text_of(smtp_outcome_name(attempt->outcome)));
	if (attempt->category != SMTP_OK_CATEGORY)
		json_add_member(out, "code", text_of(smtp_category_words(attempt->category)->code));
	if (attempt->category != SMTP_OK_CATEGORY || (is_whole && attempt->said.code)) {
		json_add_member(out, "phase", text_of(smtp_phase_name(attempt->phase)));
		result_add_said(out, &attempt->said);
	}
	json_add_member_ms(out, "ms", attempt->took_us);
}

static void add_record_attempts(struct buf *out, const struct record *record)
{
	json_add_name(out, "attempts");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < record->attempt_count; i++) {
		open_attempt(out, &record->attempts[i].attempt, true);
		if (i + 1 == record->attempt_count && record->detail.len)
			json_add_member(out, "detail", record->detail);
		json_add_name(out, "time");
		json_add_time(out, record->attempts[i].at_ms);
		buf_add_byte(out, '}');
	}
	buf_add_byte(out, ']');
}

static void add_attempts(struct buf *out, const struct result *result)
{
	json_add_name(out, "attempts");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < result->attempt_count; i++) {
		open_attempt(out, &result->attempts[i], false);
		buf_add_byte(out, '}');
	}
	buf_add_byte(out, ']');
}

static void add_timing(struct buf *out, const struct result *result)
{
	json_add_name(out, "timing_ms");
	buf_add_byte(out, '{');
	json_add_member_ms(out, "queue", result->queue_us);
	json_add_member_ms(out, "connect", result->connect_us);
	json_add_member_ms(out, "send", result->send_us);
	json_add_member_ms(out, "total", result->total_us);
	buf_add_byte(out, '}');
}

static void add_trace(struct buf *out, const struct buf *trace)
{
	struct text rest = buf_text(trace);

	json_add_name(out, "trace");
	buf_add_byte(out, '[');
	while (rest.len) {
		json_add_comma(out);
		json_add_string(out, text_cut(&rest, '\n'));
	}
	buf_add_byte(out, ']');
}

/* The relay's words as it said them, else what happened in ours, else `usual`; NULL: then nothing.
 */
static void add_detail(struct buf *out, const struct result *result, const char *usual)
{
	const struct smtp_said *said = &result->said;
	struct buf line = buf_born(2048);

	if (said->code) {
		buf_addf(&line, "%u ", said->code);
		if (said->enhanced.class)
			buf_addf(&line, "%u.%u.%u ", said->enhanced.class, said->enhanced.subject,
				said->enhanced.detail);
		buf_add(&line, said->text);
	} else if (result->detail) {
		buf_add_string(&line, result->detail);
	} else if (usual) {
		buf_add_string(&line, usual);
	}
	if (line.len)
		json_add_member(out, "detail", buf_text(&line));
	buf_free(&line);
}

static void add_common(struct buf *out, const struct delivery *delivery)
{
	const struct result *result = &delivery->result;

	add_recipients(out, result);
	result_add_said(out, &result->said);
	add_relay(out, result);
	add_attempts(out, result);
	add_timing(out, result);
	if (delivery->trace)
		add_trace(out, delivery->trace);
}

static void open_problem(struct buf *out, const struct result *result)
{
	const struct smtp_category_words *words = smtp_category_words(result->verdict.category);
	struct problem_words problem = { .code = words->code, .title = words->title };

	problem_open(out, &problem, result_status(result));
}

static void add_problem(struct buf *out, const struct delivery *delivery)
{
	const struct result *result = &delivery->result;
	const struct smtp_verdict *verdict = &result->verdict;

	open_problem(out, result);
	add_detail(out, result, smtp_category_words(verdict->category)->title);
	add_outcome(out, verdict);
	add_trouble(out, verdict);
	if (verdict->hint && verdict->hint[0])
		json_add_member(out, "hint", text_of(verdict->hint));
	json_add_member(out, "id", text_of(delivery->id));
	json_add_member(out, "message_id", delivery->message_id);
	json_add_member(out, "request_id", delivery->request_id);
	add_common(out, delivery);
	buf_add_byte(out, '}');
}

void result_add(struct buf *out, const struct delivery *delivery, bool with_status)
{
	if (result_is_problem(&delivery->result)) {
		add_problem(out, delivery);
		return;
	}
	buf_add_byte(out, '{');
	json_add_member(out, "id", text_of(delivery->id));
	json_add_member(out, "message_id", delivery->message_id);
	add_outcome(out, &delivery->result.verdict);
	if (with_status)
		json_add_member_u64(out, "status", result_status(&delivery->result));
	add_common(out, delivery);
	buf_add_byte(out, '}');
}

void result_add_brief(struct buf *out, const struct delivery *delivery)
{
	const struct result *result = &delivery->result;
	bool is_problem = result_is_problem(result);

	if (is_problem)
		open_problem(out, result);
	else
		buf_add_byte(out, '{');
	json_add_member(out, "id", text_of(delivery->id));
	json_add_member(out, "message_id", delivery->message_id);
	add_outcome(out, &result->verdict);
	if (is_problem)
		add_trouble(out, &result->verdict);
	else
		json_add_member_u64(out, "status", result_status(result));
	buf_add_byte(out, '}');
}

const char *result_state(enum smtp_outcome outcome)
{
	switch (outcome) {
	case SMTP_ACCEPTED:
		return "sent";
	case SMTP_PARTIAL:
		return "partial";
	case SMTP_CAPTURED:
		return "captured";
	case SMTP_UNKNOWN:
		return "unknown";
	case SMTP_QUEUED:
		return "queued";
	default:
		return "failed"; /* nothing tries it again: there is no queue */
	}
}

static void add_labels(struct buf *out, const struct record *record)
{
	if (record->tag_count) {
		json_add_name(out, "tags");
		buf_add_byte(out, '[');
		for (size_t i = 0; i < record->tag_count; i++) {
			json_add_comma(out);
			json_add_string(out, record->tags[i]);
		}
		buf_add_byte(out, ']');
	}
	if (record->metadata.len) {
		json_add_name(out, "metadata");
		buf_add(out, record->metadata);
	}
}

static void add_next(struct buf *out, const struct record *record)
{
	json_add_name(out, "next_attempt");
	if (record->next_ms)
		json_add_time(out, record->next_ms);
	else
		buf_add_string(out, "null");
	if (record->send_at_ms) {
		json_add_name(out, "send_at");
		json_add_time(out, record->send_at_ms);
	}
	if (record->expires_ms) {
		json_add_name(out, "expires");
		json_add_time(out, record->expires_ms);
	}
	if (record->why)
		json_add_member(out, "why", text_of(record->why));
}

/* What the relay said to it, and how it came to that. */
static void add_course(struct buf *out, const struct record *record)
{
	const struct result *result = &record->result;

	if (result_is_problem(result))
		add_detail(out, result, NULL);
	result_add_said(out, &result->said);
	add_relay(out, result);
	if (record->state)
		add_record_attempts(out, record);
	else
		add_attempts(out, result);
	if (!record->state || result->total_us)
		add_timing(out, result);
}

void result_add_record(struct buf *out, const struct record *record, bool brief)
{
	const struct result *result = &record->result;

	buf_add_byte(out, '{');
	json_add_member(out, "id", text_of(record->id));
	json_add_member(out, "message_id", record->message_id);
	json_add_member(out, "state",
		text_of(record->state ? record->state : result_state(result->verdict.outcome)));
	if (record->is_damaged)
		json_add_member_bool(out, "damaged", true);
	add_outcome(out, &result->verdict);
	if (result_is_problem(result)) {
		json_add_member(
			out, "code", text_of(smtp_category_words(result->verdict.category)->code));
		add_trouble(out, &result->verdict);
	}
	json_add_member(out, "from", record->from);
	json_add_member(out, "subject", record->subject);
	json_add_member_u64(out, "size", record->size_bytes);
	json_add_name(out, "created");
	json_add_time(out, record->created_ms);
	json_add_name(out, "updated");
	json_add_time(out, record->updated_ms);
	add_labels(out, record);
	add_recipients(out, result);
	if (record->state)
		add_next(out, record);
	if (!brief)
		add_course(out, record);
	buf_add_byte(out, '}');
}
