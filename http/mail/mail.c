#include "http/mail/mail.h"

#include "http/mail/reading.h"

static void read_subject(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text *subject = &reading->posted->mail.subject;
	const char *why = NULL;

	if (!cJSON_IsNull(value) && read_line(reading, value, at, subject))
		why = smtp_line_why_not(*subject);
	if (why)
		complain(reading->complaints, at, "%s", why);
}

static void read_plain(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (cJSON_IsFalse(value))
		reading->text_off = true;
	else if (!cJSON_IsNull(value))
		mail->has_text = read_lines(reading, value, at, &mail->text);
}

static void read_html(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (!cJSON_IsNull(value))
		mail->has_html = read_lines(reading, value, at, &mail->html);
}

static const struct field fields[] = {
	{ "from", read_from },
	{ "to", read_to },
	{ "subject", read_subject },
	{ "text", read_plain },
	{ "html", read_html },
	{ "cc", read_cc },
	{ "bcc", read_bcc },
	{ "reply_to", read_reply_to },
	{ "attachments", read_attachments },
	{ "calendar", read_calendar },
	{ "headers", read_headers },
	{ "message_id", read_message_id },
	{ "date", read_date },
	{ "in_reply_to", read_in_reply_to },
	{ "references", read_references },
	{ "priority", read_priority },
	{ "list_unsubscribe", read_list_unsubscribe },
	{ "template", read_template },
	{ "raw", read_raw }, /* takes the place of all before it */
	{ "envelope", read_envelope },
	{ "dsn", read_dsn },
	{ "relay", read_relay },
	{ "tags", read_tags },
	{ "metadata", read_metadata },
	{ "delivery", read_delivery },
	{ "partial", read_partial },
	{ "deadline", read_deadline },
	{ "trace", read_trace },
	{ "send_at", read_send_at },
	{ "on_unknown", read_on_unknown },
	{ "dry_run", read_dry_run },
};

static bool has_field(const cJSON *object, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

	return value && !cJSON_IsNull(value);
}

static void refuse_beside_raw(
	struct reading *reading, const cJSON *object, const struct json_at *at)
{
	for (size_t i = 0; fields[i].read != read_raw; i++) {
		struct json_at here = { at, text_of(fields[i].name), 0 };

		if (has_field(object, fields[i].name))
			complain(reading->complaints, &here,
				"the message is whole as it comes: its recipients may be set by "
				"envelope, and nothing else of it");
	}
}

static bool make_text(struct reading *reading, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;
	struct json_at html = { at, TEXT("html"), 0 };
	enum err err;

	if (!mail->has_html || mail->has_text || reading->text_off)
		return true;
	err = smtp_html_to_text(mail->html, reading->region, &mail->text);
	mail->has_text = !err;
	if (err)
		complain_of_room(reading, &html, err);
	return !err;
}

bool mail_read(const struct json *json, const struct cJSON *object, const struct json_at *at,
	const struct mail_besides *besides, struct region *region, struct posted *posted_out,
	struct complaints *complaints)
{
	struct reading reading = { .json = json,
		.region = region,
		.complaints = complaints,
		.posted = posted_out,
		.besides = besides };
	struct json_at from = { at, TEXT("from"), 0 }, raw = { at, TEXT("raw"), 0 };
	bool is_whole = besides && besides->raw.at;

	read_object(&reading, object, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (!cJSON_IsObject(object))
		return false;
	if (is_whole)
		take_raw(&reading, besides->raw, &raw);
	if (is_whole || has_field(object, "raw")) {
		refuse_beside_raw(&reading, object, at);
		fill_raw_envelope(&reading, at);
	} else {
		if (!reading.has_from)
			complain(complaints, &from, "the sender is missing");
		fill_envelope(&reading, at);
	}
	return !complaints->count && fill_template(&reading, at) && make_text(&reading, at);
}
