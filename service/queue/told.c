#include "service/queue/told.h"

#include "http/json/json.h"
#include "http/result.h"

#include <string.h>

enum {
	EVENT_BYTES = 1 << 17,   /* a hundred tags, each letter escaped */
	MESSAGE_BYTES = 1 << 20, /* … and a thousand recipients */
};

static void add_tags(struct buf *out, const struct stored *stored)
{
	json_add_name(out, "tags");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < stored->tag_count; i++) {
		json_add_comma(out);
		json_add_string(out, stored->tags[i]);
	}
	buf_add_byte(out, ']');
}

/* What stands in all of them; leaves the object open. */
static void begin(struct buf *out, const struct stored *stored)
{
	buf_add_byte(out, '{');
	json_add_member(out, "id", text_of(stored->id));
	json_add_member(out, "message_id", stored->message_id);
	add_tags(out, stored);
	json_add_name(out, "metadata");
	buf_add(out, stored->metadata.len ? stored->metadata : TEXT("{}"));
	if (stored->traceparent.len)
		json_add_member(out, "traceparent", stored->traceparent);
}

static void tell_message(const struct stored *stored, const char *type,
	bool (*is_meant)(const struct stored_recipient *to), int64_t now_ms, struct buf *out,
	struct event *event_out)
{
	size_t start = out->len;

	begin(out, stored);
	json_add_name(out, "recipients");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < stored->count; i++) {
		if (!is_meant(&stored->to[i]))
			continue;
		json_add_comma(out);
		json_add_string(out, stored->to[i].address);
	}
	buf_add(out, TEXT("]}"));
	*event_out = (struct event){ .at_ms = now_ms,
		.type = text_of(type),
		.key_id = stored->key_id,
		.content = text_from(buf_text(out), start) };
}

static bool is_open(const struct stored_recipient *to)
{
	return to->is_open;
}

void told_of_queued(
	const struct stored *stored, int64_t now_ms, struct buf *out, struct event *event_out)
{
	tell_message(stored, "message.queued", is_open, now_ms, out, event_out);
}

enum err told_of_cancelled(const struct stored *stored, int64_t now_ms, struct event *event_out)
{
	struct buf content = buf_born(MESSAGE_BYTES);
	enum err err;

	tell_message(stored, "message.cancelled", stored_is_undecided, now_ms, &content, event_out);
	event_out->content = region_copy(stored->region, event_out->content);
	err = content.err;
	buf_free(&content);
	return err ? err : event_out->content.at ? OK : ERR_MEMORY;
}

/* ---- an attempt */

static bool is_taken(const struct stored_recipient *to)
{
	return to->outcome == SMTP_ACCEPTED || to->outcome == SMTP_CAPTURED;
}

static const char *type_of(const struct stored_recipient *to)
{
	if (is_taken(to))
		return "message.sent";
	if (to->outcome == SMTP_UNKNOWN)
		return "message.unknown";
	return to->is_open ? "message.deferred" : "message.failed";
}

/* What happened at the last attempt does not tell why an earlier one left it unknown. */
static bool is_of_last(const struct stored *stored, const struct stored_recipient *to)
{
	size_t count = stored->attempt_count;

	return to->outcome != SMTP_UNKNOWN ||
	       (count && stored->attempts[count - 1].attempt.outcome == SMTP_UNKNOWN);
}

/* Who has it was told so by the reply to its data; of a message in parts, only one of several. */
static void add_answer(
	struct buf *out, const struct stored *stored, const struct stored_recipient *to)
{
	const struct stored_try *last = &stored->last;
	struct text queue_id;

	if (!is_taken(to)) {
		result_add_said(out, &to->said);
		if (!to->said.code && last->detail.len && is_of_last(stored, to))
			json_add_member(out, "detail", text_head(last->detail, STORED_DETAIL));
		return;
	}
	if (last->is_mixed)
		return;
	result_add_said(out, &last->said);
	queue_id = smtp_queue_id(last->said.text);
	if (queue_id.len)
		json_add_member(out, "queue_id", queue_id);
}

static void add_recipient(
	struct buf *out, const struct stored *stored, const struct stored_recipient *to)
{
	const struct stored_attempt *last =
		stored->attempt_count ? &stored->attempts[stored->attempt_count - 1] : NULL;

	begin(out, stored);
	json_add_member(out, "recipient", to->address);
	json_add_member(out, "outcome", text_of(smtp_outcome_name(to->outcome)));
	if (to->category != SMTP_OK_CATEGORY)
		json_add_member(out, "code", text_of(smtp_category_words(to->category)->code));
	if (to->phase != SMTP_IN_QUEUE)
		json_add_member(out, "phase", text_of(smtp_phase_name(to->phase)));
	if (to->is_given_up)
		json_add_member_bool(out, "expired", true);
	add_answer(out, stored, to);
	if (last)
		json_add_member(out, "relay", last->attempt.relay);
	json_add_member_u64(out, "attempt", stored->tries);
	json_add_name(out, "next_attempt");
	if (to->is_open)
		json_add_time(out, stored->due_ms);
	else
		buf_add(out, TEXT("null"));
	buf_add_byte(out, '}');
}

const struct event *told_of_attempt(
	const struct stored *stored, const bool *was_open, int64_t now_ms, size_t *count_out)
{
	struct event *events = region_zalloc(stored->region, stored->count + 1, sizeof(*events));
	struct buf content = buf_born(EVENT_BYTES);
	size_t count = 0;

	for (size_t i = 0; events && i < stored->count; i++) {
		const struct stored_recipient *to = &stored->to[i];

		if ((was_open && !was_open[i]) || to->is_untried)
			continue;
		buf_clear(&content);
		add_recipient(&content, stored, to);
		events[count] = (struct event){ .at_ms = now_ms,
			.type = text_of(type_of(to)),
			.key_id = stored->key_id,
			.content = region_copy(stored->region, buf_text(&content)) };
		if (content.err || !events[count++].content.at)
			events = NULL;
	}
	buf_free(&content);
	*count_out = events ? count : 0;
	return events;
}
