#include "http/render.h"

#include "http/json/json.h"

enum { STEP = 57 * 64, STEP_LINES = STEP / 57 * 78 };

/* Gives how much of it there was. */
static uint64_t add_message(struct buf *out, const struct smtp_message *message)
{
	struct smtp_message_reader reader = { 0 };
	char *room = buf_reserve(out, message->size);
	size_t len = room ? smtp_message_read(message, &reader, room, message->size) : 0;

	buf_took(out, len);
	return len;
}

/* The same in one line of base64, as JSON wants it. */
static uint64_t add_base64(struct buf *out, const struct smtp_message *message)
{
	uint64_t size = 0;
	struct smtp_message_reader reader = { 0 };
	struct buf lines = buf_born(STEP_LINES + 1024);
	char bytes[STEP];
	size_t len;

	while (!out->err && (len = smtp_message_read(message, &reader, bytes, sizeof(bytes)))) {
		struct text rest;

		size += len;
		buf_clear(&lines);
		smtp_content_add(&lines,
			&(struct smtp_content){ .encoding = SMTP_BASE64, .text = { bytes, len } });
		for (rest = buf_text(&lines); rest.len; rest = text_from(rest, 1))
			buf_add(out, text_cut(&rest, '\r')); /* and the LF behind it */
	}
	buf_free(&lines);
	return size;
}

static void add_envelope(struct buf *out, const struct smtp_envelope *envelope)
{
	json_add_name(out, "envelope");
	buf_add_byte(out, '{');
	json_add_member(out, "from", envelope->from);
	json_add_name(out, "to");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < envelope->count; i++) {
		json_add_comma(out);
		json_add_string(out, envelope->to[i]);
	}
	buf_add(out, TEXT("]}"));
}

static uint64_t add_object(struct buf *out, const struct delivery *delivery)
{
	uint64_t size;

	buf_add_byte(out, '{');
	json_add_member(out, "id", text_of(delivery->id));
	json_add_member(out, "message_id", delivery->message_id);
	json_add_member(out, "outcome", TEXT("rendered"));
	add_envelope(out, &delivery->envelope);
	json_add_member_u64(out, "size", delivery->message.size);
	json_add_name(out, "raw");
	buf_add_byte(out, '"');
	size = add_base64(out, &delivery->message);
	buf_add(out, TEXT("\"}\n"));
	return size;
}

/* Bytes that it takes, more or less. */
static uint64_t answer_size(uint64_t size, bool as_message)
{
	return as_message ? size : size / 3 * 4;
}

enum handled render_answer(struct exchange *exchange, const struct delivery *delivery)
{
	uint64_t size = delivery->message.size, read;
	bool as_message =
		text_contains_nocase(exchange_header(exchange, "Accept"), TEXT("message/rfc822"));

	if (answer_size(size, as_message) > exchange->answer.limit)
		return exchange_refuse_as(exchange, "body_too_large",
			"the message as it would go out is larger than an answer may be");
	if (!exchange_reserve(exchange, answer_size(size, as_message)))
		return exchange_refuse_overload(exchange);
	exchange->status = 200;
	if (as_message)
		exchange->content_type = "message/rfc822";
	read = as_message ? add_message(&exchange->answer, &delivery->message)
			  : add_object(&exchange->answer, delivery);
	if (read != size && !exchange->answer.err)
		return exchange_refuse_as(
			exchange, "internal", "what the message is made of cannot be read");
	return HANDLED_ANSWERED;
}
