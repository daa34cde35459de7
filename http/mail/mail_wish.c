/* mail_wish - how a message wants to be handled, beside what it says */
#include "http/mail/reading.h"

#include "http/mail/moment.h"

enum { TAGS_MAX = 100, TAG_BYTES = 100, METADATA_BYTES = 4096, ENVELOPE_ID_BYTES = 100 };

/* ---- delivery status notifications (RFC 3461) */

static void read_notify(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "never", "success", "failure", "delay", NULL };
	struct smtp_envelope *envelope = &reading->posted->envelope;
	const cJSON *member;
	size_t word, i = 0;

	if (!cJSON_IsArray(value)) {
		complain(reading->complaints, at, "a list is wanted");
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i++ };

		if (read_word(reading, member, &here, words, &word))
			envelope->notify |= 1u << word;
	}
	if (envelope->notify & SMTP_NOTIFY_NEVER && envelope->notify != SMTP_NOTIFY_NEVER)
		complain(reading->complaints, at, "never stands alone (RFC 3461 section 4.1)");
}

static void read_return(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "headers", "full", NULL };
	size_t word;

	if (read_word(reading, value, at, words, &word))
		reading->posted->envelope.ret = word ? SMTP_RETURN_FULL : SMTP_RETURN_HEADERS;
}

static void read_envelope_id(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text id;

	if (!read_line(reading, value, at, &id))
		return;
	if (!text_is_ascii(id) || id.len > ENVELOPE_ID_BYTES)
		complain(reading->complaints, at, "at most %d ASCII characters", ENVELOPE_ID_BYTES);
	else
		reading->posted->envelope.envelope_id = id;
}

void read_dsn(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "notify", read_notify }, { "return", read_return },
		{ "envelope_id", read_envelope_id } };

	if (!cJSON_IsNull(value))
		read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
}

/* ---- what it is remembered by */

void read_tags(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 0, i = 0;
	struct text *tags;
	const cJSON *member;

	if (cJSON_IsNull(value))
		return;
	if (!cJSON_IsArray(value) || count > TAGS_MAX) {
		complain(reading->complaints, at, "tags: a list of at most %d strings is wanted",
			TAGS_MAX);
		return;
	}
	tags = reading_room(reading, at, count + 1, sizeof(*tags));
	if (!tags)
		return;
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i };

		if (read_line_of(reading, member, &here, TAG_BYTES, &tags[i]) && !tags[i].len)
			complain(reading->complaints, &here, "a tag is not empty");
		i++;
	}
	reading->posted->wishes.tags = tags;
	reading->posted->wishes.tag_count = count;
}

static void complain_of_controls(
	struct reading *reading, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;
	size_t index = 0;

	if (cJSON_IsString(value) && text_has_control(json_string(reading->json, value)))
		complain(reading->complaints, at,
			"no line breaks or control characters are allowed here");
	cJSON_ArrayForEach(member, value)
	{
		struct text name = cJSON_IsObject(value) ? json_name(reading->json, member)
							 : (struct text){ 0 };
		struct json_at inner = { at, name, index++ };

		if (text_has_control(name))
			complain(reading->complaints, at,
				"no line breaks or control characters are allowed in a name");
		complain_of_controls(reading, member, &inner); /* JSON is 32 levels deep at most */
	}
}

void read_metadata(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct buf written = buf_born(METADATA_BYTES);

	if (cJSON_IsNull(value))
		return;
	if (!cJSON_IsObject(value)) {
		complain(reading->complaints, at, "an object is wanted");
		return;
	}
	complain_of_controls(reading, value, at);
	json_add_tree(&written, reading->json, value);
	if (written.err)
		complain(reading->complaints, at, "metadata: at most %d bytes of JSON are taken",
			METADATA_BYTES);
	else
		(void)reading_keep(reading, at, &written, &reading->posted->wishes.metadata);
	buf_free(&written);
}

/* ---- how it is delivered */

void read_relay(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		(void)read_line(reading, value, at, &reading->posted->wishes.relay);
}

void read_delivery(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "now", "queue", "now_then_queue", NULL };
	static const enum delivery_way ways[] = { DELIVER_NOW, DELIVER_QUEUED,
		DELIVER_NOW_THEN_QUEUED };
	size_t word;

	if (!cJSON_IsNull(value) && read_word(reading, value, at, words, &word))
		reading->posted->wishes.way = ways[word];
}

void read_partial(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "allow", "refuse", NULL };
	size_t word;

	if (!cJSON_IsNull(value) && read_word(reading, value, at, words, &word))
		reading->posted->wishes.all_or_none = word == 1;
}

void read_deadline(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text given;

	if (cJSON_IsNull(value) || !read_line(reading, value, at, &given))
		return;
	if (!moment_duration(given, &reading->posted->wishes.deadline_us) ||
		!reading->posted->wishes.deadline_us)
		complain(reading->complaints, at, "a duration is wanted, such as 500ms or 20s");
}

void read_trace(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		(void)read_bool(reading, value, at, &reading->posted->wishes.trace);
}

void read_dry_run(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "render", "envelope", NULL };
	size_t word;

	if (!cJSON_IsNull(value) && read_word(reading, value, at, words, &word))
		reading->posted->wishes.dry_run = word ? DRY_ENVELOPE : DRY_RENDER;
}

void read_send_at(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	int64_t when_s;

	if (!cJSON_IsNull(value) && read_time(reading, value, at, &when_s))
		reading->posted->wishes.send_at_ms = when_s > 0 ? when_s * 1000 : 1;
}

void read_on_unknown(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "retry", "hold", NULL };
	size_t word;

	/* Without a queue an unknown outcome is told and never resent: both wishes come true. */
	if (!cJSON_IsNull(value) && read_word(reading, value, at, words, &word))
		reading->posted->wishes.on_unknown = word ? ON_UNKNOWN_HOLD : ON_UNKNOWN_RETRY;
}
