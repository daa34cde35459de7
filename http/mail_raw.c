/* mail_raw - a whole message that is sent as it is */
#include "http/reading.h"

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

/* Decoded where it lies: the body is ours to change, and nobody reads it again. */
void read_raw(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text base64;
	uint64_t len;

	if (cJSON_IsNull(value) || !read_text(reading, value, at, &base64))
		return;
	if (!smtp_base64_check(base64, &len)) {
		complain(reading->complaints, at, "not base64 (RFC 4648 section 4, padded)");
		return;
	}
	base64.len = smtp_base64_decode(base64, (char *)base64.at);
	take_raw(reading, base64, at);
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
