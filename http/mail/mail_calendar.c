/* mail_calendar - an invitation that goes with a message (RFC 5545, 5546, 6047) */
#include "http/mail/reading.h"

#include <string.h>

enum { METHOD_BYTES = 40 };

/* iana-token of a method: letters and hyphens are all that there are. */
static bool is_method(struct text method)
{
	for (size_t i = 0; i < method.len; i++)
		if (!byte_is_letter(method.at[i]) && method.at[i] != '-')
			return false;
	return method.len > 0 && method.len <= METHOD_BYTES;
}

static void read_method(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text method;

	if (cJSON_IsNull(value) || !read_line(reading, value, at, &method))
		return;
	if (is_method(method))
		reading->posted->mail.calendar.method = method;
	else
		complain(reading->complaints, at, "a method is wanted, such as REQUEST or CANCEL");
}

static void read_calendar_content(
	struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text *content = &reading->posted->mail.calendar.content;

	if (read_lines(reading, value, at, content) &&
		!text_starts_nocase(*content, TEXT("BEGIN:VCALENDAR")))
		complain(reading->complaints, at, "a calendar begins with BEGIN:VCALENDAR");
}

/* The METHOD of the calendar itself; empty: it has none. Events may hold no such line. */
static struct text method_in(struct text content)
{
	while (content.len) {
		struct text line = text_cut(&content, '\n');

		if (text_starts_nocase(line, TEXT("METHOD:"))) {
			line = text_from(line, 7);
			return text_trim(text_head(line, text_find(line, '\r')));
		}
	}
	return (struct text){ 0 };
}

/* Programs look at the one or the other, so they must be the same (RFC 6047 2.4). */
static void agree_on_method(struct reading *reading, const struct json_at *at)
{
	struct smtp_calendar *calendar = &reading->posted->mail.calendar;
	struct text inside = method_in(calendar->content);
	struct json_at method = { at, TEXT("method"), 0 };

	if (!calendar->method.len)
		calendar->method = is_method(inside) ? inside : TEXT("PUBLISH");
	else if (inside.len && !text_equal_nocase(inside, calendar->method))
		complain(reading->complaints, &method, "the content says METHOD:%.*s",
			(int)(inside.len < METHOD_BYTES ? inside.len : METHOD_BYTES), inside.at);
}

void read_calendar(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "method", read_method },
		{ "content", read_calendar_content } };

	if (cJSON_IsNull(value))
		return;
	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (!cJSON_IsObject(value))
		return;
	if (!cJSON_GetObjectItemCaseSensitive(value, "content"))
		complain(reading->complaints, at, "content is missing: BEGIN:VCALENDAR …");
	else
		agree_on_method(reading, at);
}
