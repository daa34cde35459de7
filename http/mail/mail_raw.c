/* mail_raw - a whole message that is sent as it is */
#include "http/mail/reading.h"

enum { FAULT_BYTES = 600 };

static void complain_of_fault(
	struct reading *reading, const struct json_at *at, const struct smtp_raw_fault *fault)
{
	struct buf words = buf_born(FAULT_BYTES);

	smtp_raw_fault_write(fault, &words);
	complain(reading->complaints, at, "%.*s", (int)words.len, words.at ? words.at : "");
	buf_free(&words);
}

void take_raw(struct reading *reading, struct text message, const struct json_at *at)
{
	struct smtp_raw *raw = reading_room(reading, at, 1, sizeof(*raw));
	struct smtp_raw_fault fault = { 0 };

	if (!raw)
		return;
	if (smtp_raw_read(message, reading->region, raw, &fault))
		complain_of_fault(reading, at, &fault);
	else
		reading->posted->raw = raw;
}

/* Whatever type a data: URL says, it is a message or it is refused. */
void read_raw(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_content content;
	struct text type;

	if (cJSON_IsNull(value) || !read_bytes(reading, value, at, &content, &type))
		return;
	unwrap_bytes(&content);
	take_raw(reading, content.text, at);
}

void fill_raw_envelope(struct reading *reading, const struct json_at *at)
{
	struct smtp_envelope *envelope = &reading->posted->envelope;
	const struct smtp_raw *raw = reading->posted->raw;
	struct json_at here = { at, TEXT("raw"), 0 };
	struct smtp_raw_fault fault = { 0 };

	if (!raw)
		return; /* it was complained about */
	reading->posted->has_envelope_to = reading->has_envelope_to;
	if (!reading->has_envelope_from)
		envelope->from = raw->envelope_from;
	if (!reading->has_envelope_to && smtp_raw_recipients(raw, reading->region, &envelope->to,
						 &envelope->count, &fault)) {
		complain_of_fault(reading, &here, &fault);
		return;
	}
	envelope->needs_utf8 = raw->header_eight_bit;
	finish_envelope(reading, at);
}
