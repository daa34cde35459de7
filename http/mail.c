#include "http/mail.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECIPIENTS_MAX = 1000, HEADERS_MAX = 100, ATTACHMENTS_MAX = 100, TAGS_MAX = 100 };
enum { TAG_BYTES = 100, METADATA_BYTES = 4096, LINE_BYTES = 998, REFERENCES_MAX = 100 };

/* What a reader works with. */
struct reading {
	const struct json *json;
	struct region *region;
	struct complaints *complaints;
	struct posted *posted;
	struct smtp_mailboxes bcc;
	bool text_off, has_from, has_envelope_from;
	bool has_envelope_to;
	struct smtp_header *headers; /* HEADERS_MAX of them; NULL: none yet */
	struct smtp_attachment *attachment;
};

typedef void reader(struct reading *reading, const cJSON *value, const struct json_at *at);

struct field {
	const char *name;
	reader *read;
};

/* ---- single values */

static bool is_null(const cJSON *value)
{
	return cJSON_IsNull(value);
}

static bool read_text(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	if (!cJSON_IsString(value)) {
		complain(reading->complaints, at, "a string is wanted");
		return false;
	}
	*text_out = json_string(reading->json, value);
	return true;
}

/* A string that will stand in a header or on a line of its own. */
static bool read_line(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	struct text line;

	if (!read_text(reading, value, at, &line))
		return false;
	if (text_has_control(line)) {
		complain(reading->complaints, at,
			"no line breaks or control characters are allowed here");
		return false;
	}
	*text_out = line;
	return true;
}

/* Text of many lines: CR, LF and TAB, and no other control. */
static bool read_body(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	struct text body;

	if (!read_text(reading, value, at, &body))
		return false;
	for (size_t i = 0; i < body.len; i++) {
		unsigned char byte = (unsigned char)body.at[i];

		if ((byte < 0x20 && byte != '\r' && byte != '\n' && byte != '\t') || byte == 0x7f) {
			complain(reading->complaints, at,
				"a control character (%02x) is not allowed here", byte);
			return false;
		}
	}
	*text_out = body;
	return true;
}

static bool read_bool(
	struct reading *reading, const cJSON *value, const struct json_at *at, bool *bool_out)
{
	if (!cJSON_IsBool(value)) {
		complain(reading->complaints, at, "true or false is wanted");
		return false;
	}
	*bool_out = cJSON_IsTrue(value);
	return true;
}

/* One of some words, by its place. */
static bool read_word(struct reading *reading, const cJSON *value, const struct json_at *at,
	const char *const *words, size_t *word_out)
{
	struct text given;
	char all[120];
	size_t len = 0;

	if (!read_line(reading, value, at, &given))
		return false;
	for (size_t i = 0; words[i]; i++) {
		if (text_equal(given, text_of(words[i]))) {
			*word_out = i;
			return true;
		}
		len += (size_t)snprintf(
			all + len, sizeof(all) - len, "%s%s", i ? ", " : "", words[i]);
	}
	complain(reading->complaints, at, "one of these is wanted: %s", all);
	return false;
}

/* Calls each member's reader; members without one are unknown. */
static void read_object(struct reading *reading, const cJSON *value, const struct json_at *at,
	const struct field *fields, size_t count)
{
	const cJSON *member;

	if (!cJSON_IsObject(value)) {
		complain(reading->complaints, at, "an object is wanted");
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };
		size_t i = 0;

		while (i < count && !text_equal(here.name, text_of(fields[i].name)))
			i++;
		if (i == count)
			complain(reading->complaints, &here, "unknown field");
		else
			fields[i].read(reading, member, &here);
	}
}

/* ---- addresses */

static void read_address_string(struct reading *reading, const cJSON *value,
	const struct json_at *at, struct smtp_mailbox *mailbox)
{
	struct text line;
	const char *why = "not an address";

	if (!read_line(reading, value, at, &line))
		return;
	if (smtp_mailbox_parse(line, reading->region, mailbox, &why))
		complain(reading->complaints, at, "%s", why);
}

static void read_address_object(struct reading *reading, const cJSON *value,
	const struct json_at *at, struct smtp_mailbox *mailbox)
{
	const cJSON *member;
	struct text name = { 0 }, address;
	const char *why = "not an address";
	bool has_address = false;

	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };

		if (text_equal(here.name, TEXT("name"))) {
			if (!is_null(member))
				(void)read_line(reading, member, &here, &name);
		} else if (text_equal(here.name, TEXT("address")) ||
			   text_equal(here.name, TEXT("email"))) {
			has_address = true;
			if (!read_line(reading, member, &here, &address))
				continue;
			if (smtp_address_parse(address, reading->region, &mailbox->address, &why))
				complain(reading->complaints, &here, "%s", why);
		} else {
			complain(reading->complaints, &here, "unknown field");
		}
	}
	if (!has_address)
		complain(reading->complaints, at, "an address is missing");
	mailbox->name = name;
}

static void read_mailbox(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailbox *mailbox)
{
	if (cJSON_IsObject(value))
		read_address_object(reading, value, at, mailbox);
	else if (cJSON_IsString(value))
		read_address_string(reading, value, at, mailbox);
	else
		complain(reading->complaints, at, "an address is wanted: a string or an object");
}

static void read_mailboxes(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailboxes *mailboxes)
{
	size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 1, i = 0;
	struct smtp_mailbox *list;
	const cJSON *member;

	if (is_null(value) || count == 0)
		return;
	if (count > RECIPIENTS_MAX) {
		complain(reading->complaints, at, "more than %d addresses", RECIPIENTS_MAX);
		return;
	}
	list = region_zalloc(reading->region, count, sizeof(*list));
	if (!list)
		return;
	if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(member, value)
		{
			struct json_at here = { at, { 0 }, i };

			read_mailbox(reading, member, &here, &list[i++]);
		}
	} else {
		read_mailbox(reading, value, at, &list[0]);
	}
	*mailboxes = (struct smtp_mailboxes){ list, count };
}

static void read_from(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	reading->has_from = true;
	read_mailbox(reading, value, at, &reading->posted->mail.from);
}

static void read_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.to);
}

static void read_cc(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.cc);
}

static void read_bcc(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->bcc);
}

static void read_reply_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.reply_to);
}

static void read_envelope_from(
	struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_envelope *envelope = &reading->posted->envelope;
	struct smtp_mailbox mailbox = { 0 };

	reading->has_envelope_from = true;
	if (cJSON_IsString(value) && json_string(reading->json, value).len == 0)
		return; /* the null sender */
	read_mailbox(reading, value, at, &mailbox);
	envelope->from = mailbox.address;
}

static void read_envelope_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mailboxes list = { 0 };
	struct smtp_envelope *envelope = &reading->posted->envelope;

	reading->has_envelope_to = true;
	read_mailboxes(reading, value, at, &list);
	envelope->to = region_zalloc(reading->region, list.count + 1, sizeof(*envelope->to));
	for (size_t i = 0; envelope->to && i < list.count; i++)
		envelope->to[envelope->count++] = list.at[i].address;
}

static void read_envelope(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "from", read_envelope_from },
		{ "to", read_envelope_to } };

	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
}

/* ---- text */

static void read_subject(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)read_line(reading, value, at, &reading->posted->mail.subject);
}

static void read_plain(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (cJSON_IsFalse(value))
		reading->text_off = true;
	else if (!is_null(value))
		mail->has_text = read_body(reading, value, at, &mail->text);
}

static void read_html(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (!is_null(value))
		mail->has_html = read_body(reading, value, at, &mail->html);
}

/* ---- attachments */

static void read_filename(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!is_null(value))
		(void)read_line(reading, value, at, &reading->attachment->filename);
}

static bool is_token_part(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!byte_is_letter(text.at[i]) && !byte_is_digit(text.at[i]) &&
			!memchr("!#$&-^_.+", text.at[i], 9))
			return false;
	return text.len > 0;
}

static void read_content_type(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text type, rest, name;

	if (is_null(value) || !read_line(reading, value, at, &type))
		return;
	rest = type;
	name = text_trim(text_cut(&rest, ';'));
	if (!is_token_part(text_cut(&name, '/')) || !is_token_part(name) || !text_is_ascii(type))
		complain(reading->complaints, at, "a media type is wanted, such as text/csv");
	else
		reading->attachment->content_type = type;
}

static void read_content_id(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text id;

	if (is_null(value) || !read_line(reading, value, at, &id))
		return;
	if (text_starts(id, TEXT("<")) && id.len > 1 && id.at[id.len - 1] == '>')
		id = (struct text){ id.at + 1, id.len - 2 };
	if (!text_is_ascii(id) || text_find(id, ' ') < id.len || text_find(id, '<') < id.len ||
		text_find(id, '>') < id.len || id.len == 0 || id.len > 200)
		complain(reading->complaints, at,
			"a content id is 1 to 200 ASCII characters "
			"without blanks and brackets");
	else
		reading->attachment->content_id = id;
}

static void read_disposition(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "attachment", "inline", NULL };
	size_t word;

	if (read_word(reading, value, at, words, &word))
		reading->attachment->is_inline = word == 1;
}

static void read_content(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text base64;
	uint64_t len;

	if (!read_text(reading, value, at, &base64))
		return;
	reading->attachment->base64 = base64;
	if (!smtp_base64_check(base64, &len))
		complain(reading->complaints, at, "not base64 (RFC 4648 section 4, padded)");
	else if (!base64.at)
		reading->attachment->base64 = TEXT("");
}

static void read_attachment(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "filename", read_filename },
		{ "content", read_content }, { "content_type", read_content_type },
		{ "content_id", read_content_id }, { "disposition", read_disposition } };

	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (cJSON_IsObject(value) && !reading->attachment->base64.at)
		complain(reading->complaints, at, "content is missing: base64");
}

static void read_attachments(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 0, i = 0;
	struct smtp_attachment *list;
	const cJSON *member;

	if (is_null(value))
		return;
	if (!cJSON_IsArray(value) || count > ATTACHMENTS_MAX) {
		complain(
			reading->complaints, at, "a list of at most %d is wanted", ATTACHMENTS_MAX);
		return;
	}
	list = region_zalloc(reading->region, count + 1, sizeof(*list));
	if (!list)
		return;
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i };

		reading->attachment = &list[i++];
		read_attachment(reading, member, &here);
	}
	reading->posted->mail.attachments = list;
	reading->posted->mail.attachment_count = count;
}

/* ---- headers */

/* Fields that the gateway writes itself, or that have a typed field of their own. */
static bool is_reserved(struct text name)
{
	static const char *const names[] = { "from", "sender", "to", "cc", "bcc", "reply-to",
		"subject", "date", "message-id", "mime-version", "received", "return-path" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal_nocase(name, text_of(names[i])))
			return true;
	return text_starts_nocase(name, TEXT("content-")) ||
	       text_starts_nocase(name, TEXT("dkim-")) ||
	       text_starts_nocase(name, TEXT("resent-")) || text_starts_nocase(name, TEXT("arc-"));
}

static bool is_header_name(struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] <= 0x20 || name.at[i] >= 0x7f || name.at[i] == ':')
			return false;
	return name.len > 0 && name.len <= 76;
}

static void keep_header(
	struct reading *reading, const struct json_at *at, struct smtp_header header)
{
	struct smtp_mail *mail = &reading->posted->mail;

	if (!reading->headers)
		reading->headers =
			region_alloc(reading->region, HEADERS_MAX * sizeof(*reading->headers));
	mail->headers = reading->headers;
	if (mail->header_count == HEADERS_MAX)
		complain(reading->complaints, at, "more than %d headers", HEADERS_MAX);
	else if (reading->headers)
		reading->headers[mail->header_count++] = header;
}

static void add_header(
	struct reading *reading, struct text name, const cJSON *value, const struct json_at *at)
{
	struct text line;

	if (read_line(reading, value, at, &line))
		keep_header(reading, at, (struct smtp_header){ name, line });
}

static void read_header(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;
	size_t i = 0;

	if (!is_header_name(at->name)) {
		complain(reading->complaints, at, "not a header name");
	} else if (is_reserved(at->name)) {
		complain(reading->complaints, at, "this header is not set here: use its own field");
	} else if (cJSON_IsArray(value)) {
		cJSON_ArrayForEach(member, value)
		{
			struct json_at here = { at, { 0 }, i++ };

			add_header(reading, at->name, member, &here);
		}
	} else {
		add_header(reading, at->name, value, at);
	}
}

static void read_headers(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;

	if (is_null(value))
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

/* msg-id (RFC 5322 3.6.4), strictly: "<" left "@" right ">" in printable ASCII. */
static bool is_message_id(struct text id)
{
	size_t at = text_find(id, '@');

	if (id.len < 5 || id.len > 250 || id.at[0] != '<' || id.at[id.len - 1] != '>' || at < 2 ||
		at + 2 >= id.len)
		return false;
	for (size_t i = 1; i + 1 < id.len; i++)
		if (id.at[i] <= 0x20 || id.at[i] >= 0x7f || strchr("<>(),;:\\\"[]", id.at[i]))
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
		char *in = region_alloc(reading->region, id.len + 2);

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

static void read_message_id(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!is_null(value))
		(void)read_id(reading, value, at, &reading->posted->mail.message_id);
}

/* A header of message ids: one, or a list. */
static void read_ids(
	struct reading *reading, const cJSON *value, const struct json_at *at, const char *name)
{
	struct buf line = buf_born((size_t)REFERENCES_MAX * 256);
	const cJSON *member;
	struct text id;
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
	} else if (!is_null(value) && read_id(reading, value, at, &id)) {
		buf_add(&line, id);
	}
	if (line.err)
		complain(reading->complaints, at, "more than %d message ids", REFERENCES_MAX);
	else if (line.len)
		keep_header(reading, at,
			(struct smtp_header){
				text_of(name), region_copy(reading->region, buf_text(&line)) });
	buf_free(&line);
}

static void read_in_reply_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_ids(reading, value, at, "In-Reply-To");
}

static void read_references(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_ids(reading, value, at, "References");
}

/* RFC 3339: "2026-12-01T08:00:00Z", "…+01:00", fractions let be. */
static bool parse_time(struct text text, int64_t *seconds_out)
{
	struct tm when = { 0 };
	char copy[40];
	const char *rest;
	int sign, hours, minutes, used = 0;

	if (text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &when);
	if (!rest || when.tm_year < 70)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	*seconds_out = timegm(&when);
	if (strcmp(rest, "Z") == 0)
		return true;
	sign = *rest == '-' ? -1 : 1;
	if ((*rest != '+' && *rest != '-') ||
		sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 ||
		rest[6] || hours > 23 || minutes > 59)
		return false;
	*seconds_out -= sign * (hours * 3600 + minutes * 60);
	return true;
}

static void read_date(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text date;

	if (is_null(value) || !read_line(reading, value, at, &date))
		return;
	if (!parse_time(date, &reading->posted->mail.date_s))
		complain(reading->complaints, at,
			"a time is wanted, such as 2026-12-01T08:00:00Z (RFC 3339)");
}

/* ---- delivery status notifications */

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
	if (!text_is_ascii(id) || id.len > 100)
		complain(reading->complaints, at, "at most 100 ASCII characters");
	else
		reading->posted->envelope.envelope_id = id;
}

static void read_dsn(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "notify", read_notify }, { "return", read_return },
		{ "envelope_id", read_envelope_id } };

	if (!is_null(value))
		read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
}

/* ---- how it is to be handled */

static void read_relay(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!is_null(value))
		(void)read_line(reading, value, at, &reading->posted->wishes.relay);
}

static void read_tags(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 0, i = 0;
	struct text *tags;
	const cJSON *member;

	if (is_null(value))
		return;
	if (!cJSON_IsArray(value) || count > TAGS_MAX) {
		complain(reading->complaints, at, "a list of at most %d strings is wanted",
			TAGS_MAX);
		return;
	}
	tags = region_zalloc(reading->region, count + 1, sizeof(*tags));
	if (!tags)
		return;
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i };

		if (read_line(reading, member, &here, &tags[i]) &&
			(tags[i].len == 0 || tags[i].len > TAG_BYTES))
			complain(reading->complaints, &here, "1 to %d bytes", TAG_BYTES);
		i++;
	}
	reading->posted->wishes.tags = tags;
	reading->posted->wishes.tag_count = count;
}

static void read_metadata(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct buf written = buf_born(METADATA_BYTES);

	if (is_null(value))
		return;
	if (!cJSON_IsObject(value)) {
		complain(reading->complaints, at, "an object is wanted");
		return;
	}
	json_add_tree(&written, reading->json, value);
	if (written.err)
		complain(reading->complaints, at, "more than %d bytes", METADATA_BYTES);
	else
		reading->posted->wishes.metadata = region_copy(reading->region, buf_text(&written));
	buf_free(&written);
}

static void read_delivery(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "now", "queue", "now_then_queue", NULL };
	size_t word;

	if (!is_null(value) && read_word(reading, value, at, words, &word) && word)
		reading->posted->wishes.needs_store = true;
}

static void read_partial(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "allow", "refuse", NULL };
	size_t word;

	if (!is_null(value) && read_word(reading, value, at, words, &word))
		reading->posted->wishes.all_or_none = word == 1;
}

bool mail_duration(struct text text, uint64_t *us_out)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 },
		{ "d", 86400000000 } };
	size_t digits = 0;
	uint64_t number;

	while (digits < text.len && byte_is_digit(text.at[digits]))
		digits++;
	if (digits > 9 || !text_to_u64(text_head(text, digits), &number))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (text_equal(text_from(text, digits), text_of(units[i].unit))) {
			*us_out = number * units[i].us;
			return true;
		}
	return false;
}

static void read_deadline(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text given;

	if (is_null(value) || !read_line(reading, value, at, &given))
		return;
	if (!mail_duration(given, &reading->posted->wishes.deadline_us) ||
		!reading->posted->wishes.deadline_us)
		complain(reading->complaints, at, "a duration is wanted, such as 500ms or 20s");
}

static void read_trace(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)read_bool(reading, value, at, &reading->posted->wishes.trace);
}

static void read_send_at(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)at;
	reading->posted->wishes.needs_store |= !is_null(value);
}

static void read_on_unknown(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "retry", "hold", NULL };
	size_t word;

	/* Without a queue an unknown outcome is told and never resent: both wishes come true. */
	if (!is_null(value))
		(void)read_word(reading, value, at, words, &word);
}

static void refuse_for_now(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)value;
	complain(reading->complaints, at, "this field is not served by this version");
}

static const struct field fields[] = {
	{ "from", read_from },
	{ "to", read_to },
	{ "cc", read_cc },
	{ "bcc", read_bcc },
	{ "reply_to", read_reply_to },
	{ "subject", read_subject },
	{ "text", read_plain },
	{ "html", read_html },
	{ "attachments", read_attachments },
	{ "headers", read_headers },
	{ "message_id", read_message_id },
	{ "date", read_date },
	{ "in_reply_to", read_in_reply_to },
	{ "references", read_references },
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
	{ "priority", refuse_for_now },
	{ "list_unsubscribe", refuse_for_now },
	{ "template", refuse_for_now },
	{ "raw", refuse_for_now },
	{ "dry_run", refuse_for_now },
};

/* ---- the whole */

static int compare_addresses(const void *a, const void *b)
{
	const struct text *left = a, *right = b;
	size_t least = left->len < right->len ? left->len : right->len;
	int order = least ? memcmp(left->at, right->at, least) : 0;

	return order ? order : (left->len > right->len) - (left->len < right->len);
}

/* Nobody gets a message twice because the same address stands in To and in Cc. Keeps the order. */
static void drop_twins(struct smtp_envelope *envelope, struct region *region)
{
	struct text *sorted = region_alloc(region, envelope->count * sizeof(*sorted));
	bool *seen = region_zalloc(region, envelope->count, sizeof(*seen));
	size_t kept = 0;

	if (!sorted || !seen)
		return;
	memcpy(sorted, envelope->to, envelope->count * sizeof(*sorted));
	qsort(sorted, envelope->count, sizeof(*sorted), compare_addresses);
	for (size_t i = 0; i < envelope->count; i++) {
		struct text *found = bsearch(&envelope->to[i], sorted, envelope->count,
			sizeof(*sorted), compare_addresses);

		while (found > sorted && compare_addresses(found - 1, found) == 0)
			found--;
		if (!seen[found - sorted])
			envelope->to[kept++] = envelope->to[i];
		seen[found - sorted] = true;
	}
	envelope->count = kept;
}

static void add_recipients(struct smtp_envelope *envelope, struct smtp_mailboxes list)
{
	for (size_t i = 0; i < list.count; i++)
		envelope->to[envelope->count++] = list.at[i].address;
}

static void fill_envelope(struct reading *reading, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;
	struct smtp_envelope *envelope = &reading->posted->envelope;
	size_t count = mail->to.count + mail->cc.count + reading->bcc.count;

	if (!reading->has_envelope_from)
		envelope->from = mail->from.address;
	if (!reading->has_envelope_to) {
		envelope->to = region_zalloc(reading->region, count + 1, sizeof(*envelope->to));
		if (!envelope->to)
			return;
		add_recipients(envelope, mail->to);
		add_recipients(envelope, mail->cc);
		add_recipients(envelope, reading->bcc);
	}
	if (envelope->count > 1)
		drop_twins(envelope, reading->region);
	if (envelope->count == 0) {
		struct json_at to = { at, TEXT("to"), 0 };

		complain(reading->complaints, &to, "there is no recipient");
	} else if (envelope->count > RECIPIENTS_MAX) {
		complain(reading->complaints, at, "more than %d recipients", RECIPIENTS_MAX);
	}
	envelope->needs_utf8 = smtp_address_needs_utf8(envelope->from);
	for (size_t i = 0; i < envelope->count; i++)
		envelope->needs_utf8 |= smtp_address_needs_utf8(envelope->to[i]);
}

static bool lists_need_utf8(struct smtp_mailboxes list)
{
	for (size_t i = 0; i < list.count; i++)
		if (smtp_address_needs_utf8(list.at[i].address))
			return true;
	return false;
}

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
	posted_out->envelope.needs_utf8 |= smtp_address_needs_utf8(mail->from.address) ||
					   lists_need_utf8(mail->to) || lists_need_utf8(mail->cc) ||
					   lists_need_utf8(mail->reply_to);
	if (complaints->count)
		return false;
	if (mail->has_html && !mail->has_text && !reading.text_off)
		mail->has_text = smtp_html_to_text(mail->html, region, &mail->text) == OK;
	return true;
}
