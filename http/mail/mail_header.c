/* mail_header - header fields of the caller's own, and those that have a typed field */
#include "http/mail/reading.h"

#include "http/server/guard.h"

#include <string.h>

enum { HEADER_BYTES = 16384, REFERENCES_MAX = 100, NAME_BYTES = 76 };

/* Fields that the gateway writes, with the typed field that sets them: a second one by hand would
 * say something else than the envelope and the key's limits know of. */
static const struct {
	const char *name, *instead;
} reserved[] = {
	{ "from", "from" },
	{ "sender", NULL },
	{ "to", "to" },
	{ "cc", "cc" },
	{ "bcc", "bcc" },
	{ "reply-to", "reply_to" },
	{ "subject", "subject" },
	{ "date", "date" },
	{ "message-id", "message_id" },
	{ "mime-version", NULL },
	{ "received", NULL },
	{ "received-spf", NULL },
	{ "return-path", "envelope.from" },
	{ "delivered-to", NULL },
	{ "authentication-results", NULL },
};
static const char *const reserved_beginnings[] = { "content-", "dkim-", "resent-", "arc-",
	"domainkey-" };

/* True: it was complained about. */
static bool is_refused(struct reading *reading, struct text name, const struct json_at *at)
{
	if (!guard_is_token(name) || name.len > NAME_BYTES) {
		complain(reading->complaints, at, "not a header name");
		return true;
	}
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (!text_equal_nocase(name, text_of(reserved[i].name)))
			continue;
		if (reserved[i].instead)
			complain(reading->complaints, at, "the header %.*s is set by the field %s",
				(int)name.len, name.at, reserved[i].instead);
		else
			complain(reading->complaints, at, "the header %.*s may not be set",
				(int)name.len, name.at);
		return true;
	}
	for (size_t i = 0; i < sizeof(reserved_beginnings) / sizeof(reserved_beginnings[0]); i++) {
		if (!text_starts_nocase(name, text_of(reserved_beginnings[i])))
			continue;
		complain(reading->complaints, at, "headers that begin with %s may not be set",
			reserved_beginnings[i]);
		return true;
	}
	return false;
}

/* May stand once in a message (RFC 5322 3.6, RFC 2369, RFC 8058). */
static bool stands_once(struct text name)
{
	static const char *const once[] = { "in-reply-to", "references", "list-unsubscribe",
		"list-unsubscribe-post", "importance", "x-priority" };

	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (text_equal_nocase(name, text_of(once[i])))
			return true;
	return false;
}

static bool has_header(const struct smtp_mail *mail, struct text name)
{
	for (size_t i = 0; i < mail->header_count; i++)
		if (text_equal_nocase(mail->headers[i].name, name))
			return true;
	return false;
}

void keep_header(
	struct reading *reading, const struct json_at *at, struct text name, struct text value)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (!reading->headers)
		reading->headers =
			reading_room(reading, at, HEADERS_MAX, sizeof(*reading->headers));
	mail->headers = reading->headers;
	if (mail->header_count == HEADERS_MAX)
		complain(reading->complaints, at, "headers: at most %d are taken", HEADERS_MAX);
	else if (stands_once(name) && has_header(mail, name))
		complain(reading->complaints, at, "the header %.*s is set twice", (int)name.len,
			name.at);
	else if (reading->headers)
		reading->headers[mail->header_count++] = (struct smtp_header){ name, value };
}

static void add_header(
	struct reading *reading, struct text name, const cJSON *value, const struct json_at *at)
{
	struct text line;
	const char *why;

	if (!read_line_of(reading, value, at, HEADER_BYTES, &line))
		return;
	why = smtp_line_why_not(line);
	if (!why)
		why = smtp_header_why_not(name, line);
	if (why)
		complain(reading->complaints, at, "%s", why);
	else
		keep_header(reading, at, name, line);
}

static void read_header(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;
	size_t i = 0;

	if (is_refused(reading, at->name, at))
		return;
	if (!cJSON_IsArray(value)) {
		add_header(reading, at->name, value, at);
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i++ };

		add_header(reading, at->name, member, &here);
	}
}

void read_headers(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;

	if (cJSON_IsNull(value))
		return;
	if (!cJSON_IsObject(value)) {
		complain(reading->complaints, at, "an object is wanted: names and values");
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };

		read_header(reading, member, &here);
	}
}

/* ---- message ids */

/* msg-id (RFC 5322 3.6.4), strictly: "<" left "@" right ">" in printable ASCII. */
static bool is_message_id(struct text id)
{
	size_t at = text_find(id, '@');

	if (id.len < 5 || id.len > 250 || id.at[0] != '<' || id.at[id.len - 1] != '>' || at < 2 ||
		at + 2 >= id.len)
		return false;
	for (size_t i = 1; i + 1 < id.len; i++)
		if (id.at[i] <= 0x20 || id.at[i] >= 0x7f || strchr("<>(),;:\\\"", id.at[i]))
			return false;
	return text_find(text_from(id, at + 1), '@') == id.len - at - 1;
}

static bool read_id(
	struct reading *reading, const cJSON *value, const struct json_at *at, struct text *id_out)
{
	struct text id;

	if (!read_line(reading, value, at, &id))
		return false;
	if (id.len && id.at[0] != '<') {
		char *in = reading_room(reading, at, id.len + 2, 1);

		if (!in)
			return false;
		in[0] = '<';
		memcpy(in + 1, id.at, id.len);
		in[id.len + 1] = '>';
		id = (struct text){ in, id.len + 2 };
	}
	if (!is_message_id(id)) {
		complain(reading->complaints, at, "a message id is wanted: <left@right>");
		return false;
	}
	*id_out = id;
	return true;
}

void read_message_id(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		(void)read_id(reading, value, at, &reading->posted->mail.message_id);
}

/* A header of message ids: one, or a list. */
static void read_ids(
	struct reading *reading, const cJSON *value, const struct json_at *at, struct text name)
{
	struct buf line = buf_born((size_t)REFERENCES_MAX * 256);
	const cJSON *member;
	struct text id, kept;
	size_t i = 0;

	if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(member, value)
		{
			struct json_at here = { at, { 0 }, i++ };

			if (!read_id(reading, member, &here, &id))
				continue;
			if (line.len)
				buf_add_byte(&line, ' ');
			buf_add(&line, id);
		}
	} else if (!cJSON_IsNull(value) && read_id(reading, value, at, &id)) {
		buf_add(&line, id);
	}
	if (line.err || i > REFERENCES_MAX)
		complain(reading->complaints, at, "message ids: at most %d are taken",
			REFERENCES_MAX);
	else if (line.len && reading_keep(reading, at, &line, &kept))
		keep_header(reading, at, name, kept);
	buf_free(&line);
}

void read_in_reply_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_ids(reading, value, at, TEXT("In-Reply-To"));
}

void read_references(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_ids(reading, value, at, TEXT("References"));
}

void read_date(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		reading->posted->has_date =
			read_time(reading, value, at, &reading->posted->mail.date_s);
}

/* ---- priority */

void read_priority(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "high", "normal", "low", NULL };
	static const char *const numbers[] = { "1", "3", "5" };
	size_t word;

	if (cJSON_IsNull(value) || !read_word(reading, value, at, words, &word))
		return;
	keep_header(reading, at, TEXT("X-Priority"), text_of(numbers[word]));
	keep_header(reading, at, TEXT("Importance"), text_of(words[word]));
}
