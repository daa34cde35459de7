#include "http/mail.h"

#include "http/reading.h"

static void read_subject(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		(void)read_line(reading, value, at, &reading->posted->mail.subject);
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

/* Better than to send something else than was asked for. */
static void refuse_for_now(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		complain(reading->complaints, at, "%.*s is not supported yet", (int)at->name.len,
			at->name.at);
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
	{ "headers", read_headers },
	{ "message_id", read_message_id },
	{ "date", read_date },
	{ "in_reply_to", read_in_reply_to },
	{ "references", read_references },
	{ "priority", read_priority },
	{ "list_unsubscribe", read_list_unsubscribe },
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
	{ "calendar", refuse_for_now },
	{ "template", read_template },
	{ "raw", refuse_for_now },
	{ "dry_run", refuse_for_now },
};

bool mail_read(const struct json *json, const struct cJSON *object, const struct json_at *at,
	struct region *region, struct posted *posted_out, struct complaints *complaints)
{
	struct reading reading = {
		.json = json, .region = region, .complaints = complaints, .posted = posted_out
	};
	struct smtp_mail *mail = &posted_out->mail;

	read_object(&reading, object, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (!cJSON_IsObject(object))
		return false;
	if (!reading.has_from) {
		struct json_at from = { at, TEXT("from"), 0 };

		complain(complaints, &from, "the sender is missing");
	}
	fill_envelope(&reading, at);
	if (complaints->count || !fill_template(&reading, at))
		return false;
	if (!mail->has_html || mail->has_text || reading.text_off)
		return true;
	mail->has_text = smtp_html_to_text(mail->html, region, &mail->text) == OK;
	if (!mail->has_text)
		complain(complaints, at, "out of memory: no text can be made from html");
	return mail->has_text;
}
