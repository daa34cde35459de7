/* mail_attachment - files that go with a message */
#include "http/mail/reading.h"

#include "http/server/guard.h"

#include <string.h>

enum { TYPE_BYTES = 900 }; /* leaves room for a line of 998 */

static void read_filename(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value) && read_line(reading, value, at, &reading->attachment->filename) &&
		smtp_name_misleads(reading->attachment->filename))
		complain(reading->complaints, at,
			"the name has a character that turns the order of others");
}

/* restricted-name-chars (RFC 6838 section 4.2) */
static bool is_type_name(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!byte_is_letter(text.at[i]) && !byte_is_digit(text.at[i]) &&
			!memchr("!#$&-^_.+", text.at[i], 9))
			return false;
	return text.len > 0 && text.len <= 127;
}

/* token "=" ( token / quoted-string ), of what stands before the next ';' (RFC 2045 section 5.1).
 */
static bool take_parameter(struct text *rest)
{
	struct text name;
	size_t end = 0;

	*rest = text_trim(*rest);
	name = text_cut(rest, '=');
	if (!guard_is_token(name))
		return false;
	if (!rest->len || rest->at[0] != '"')
		return guard_is_token(text_trim(text_cut(rest, ';')));
	for (end = 1; end < rest->len && rest->at[end] != '"'; end++)
		end += rest->at[end] == '\\';
	if (end >= rest->len)
		return false;
	*rest = text_trim(text_from(*rest, end + 1));
	return text_trim(text_cut(rest, ';')).len == 0;
}

static bool are_parameters(struct text rest)
{
	while (text_trim(rest).len)
		if (!take_parameter(&rest))
			return false;
	return true;
}

/* "text/plain;": in a header, where more parameters may follow, it would make ";;". */
static struct text without_last_semicolon(struct text type)
{
	while (type.len && (byte_is_blank(type.at[type.len - 1]) || type.at[type.len - 1] == ';'))
		type.len--;
	return text_trim(type);
}

/* A multipart without parts of its own, or a message with other encodings, is none. */
static bool is_composite(struct text type)
{
	return text_equal_nocase(type, TEXT("multipart"));
}

static void take_content_type(struct reading *reading, struct text type, const struct json_at *at)
{
	struct text rest, name, kind;

	type = rest = without_last_semicolon(type);
	name = text_trim(text_cut(&rest, ';'));
	kind = text_cut(&name, '/');
	if (!is_type_name(kind) || !is_type_name(name) || !text_is_ascii(type))
		complain(reading->complaints, at, "a media type is wanted, such as text/csv");
	else if (!are_parameters(rest))
		complain(reading->complaints, at, "what stands behind the ; is no name=value");
	else if (is_composite(kind))
		complain(reading->complaints, at, "an attachment is no multipart");
	else
		reading->attachment->content_type = type;
}

static void read_content_type(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text type;

	if (!cJSON_IsNull(value) && read_line_of(reading, value, at, TYPE_BYTES, &type))
		take_content_type(reading, type, at);
}

bool is_content_id_byte(char byte)
{
	return byte > 0x20 && byte < 0x7f && !memchr("<>\"\\(),;:[]", byte, 11);
}

static bool is_content_id(struct text id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!is_content_id_byte(id.at[i]))
			return false;
	return id.len > 0 && id.len <= CONTENT_ID_BYTES;
}

static void read_content_id(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text id;

	if (cJSON_IsNull(value) || !read_line(reading, value, at, &id))
		return;
	if (text_starts(id, TEXT("<")) && id.len > 1 && id.at[id.len - 1] == '>')
		id = (struct text){ id.at + 1, id.len - 2 };
	if (!is_content_id(id))
		complain(reading->complaints, at,
			"a content id is 1 to 200 ASCII characters without blanks and brackets");
	else
		reading->attachment->content_id = id;
}

static void read_disposition(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const char *const words[] = { "attachment", "inline", NULL };
	size_t word;

	if (!cJSON_IsNull(value) && read_word(reading, value, at, words, &word))
		reading->attachment->is_inline = word == 1;
}

static void read_content(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)read_bytes(reading, value, at, &reading->attachment->content, &reading->url_type);
}

/* It would read for whoever has a key what only the gateway may: files, and hosts behind its
 * firewall. */
static void refuse_to_fetch(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)value;
	complain(reading->complaints, at,
		"attachments are not fetched, neither files nor URLs: send the content itself");
}

static void take_url_type(struct reading *reading, const struct json_at *at)
{
	struct smtp_attachment *attachment = reading->attachment;
	struct json_at content = { at, TEXT("content"), 0 };

	if (attachment->content_type.len || !reading->url_type.len)
		return;
	if (text_has_control(reading->url_type))
		complain(reading->complaints, &content, "the type of the data: URL is none");
	else
		take_content_type(reading, reading->url_type, &content);
}

static void read_attachment(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "filename", read_filename },
		{ "content", read_content }, { "content_type", read_content_type },
		{ "content_id", read_content_id }, { "disposition", read_disposition },
		{ "path", refuse_to_fetch }, { "href", refuse_to_fetch },
		{ "url", refuse_to_fetch } };

	reading->url_type = (struct text){ 0 };
	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (reading->file)
		reading->attachment->content = *reading->file;
	take_url_type(reading, at);
	if (smtp_type_needs_lines(reading->attachment->content_type))
		unwrap_bytes(&reading->attachment->content);
	if (cJSON_IsObject(value) && !reading->file &&
		!cJSON_GetObjectItemCaseSensitive(value, "content"))
		complain(reading->complaints, at, "content is missing: base64");
}

/* The content of the `i`th of `count`: those that came in parts of their own stand last (intake.h).
 * It is not said in JSON which is whose, as everybody could say so. */
static const struct smtp_content *file_of(const struct reading *reading, size_t i, size_t count)
{
	const struct mail_besides *besides = reading->besides;
	size_t before;

	if (!besides || besides->file_count > count)
		return NULL;
	before = count - besides->file_count;
	return i < before ? NULL : &besides->files[i - before];
}

void read_attachments(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 0, i = 0;
	struct smtp_attachment *list;
	const cJSON *member;

	if (cJSON_IsNull(value))
		return;
	if (!cJSON_IsArray(value)) {
		complain(reading->complaints, at, "a list is wanted");
		return;
	}
	if (count > ATTACHMENTS_MAX) {
		complain(reading->complaints, at,
			"attachments: at most %d are taken, these are %zu", ATTACHMENTS_MAX, count);
		return;
	}
	list = reading_room(reading, at, count + 1, sizeof(*list));
	if (!list)
		return;
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i };

		reading->file = file_of(reading, i, count);
		reading->attachment = &list[i++];
		read_attachment(reading, member, &here);
	}
	reading->posted->mail.attachments = list;
	reading->posted->mail.attachment_count = count;
}
