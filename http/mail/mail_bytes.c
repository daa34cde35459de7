/* mail_bytes - bytes in JSON: base64, a data: URL, or a Buffer of Node.js */
#include "http/mail/reading.h"

/* "data:" [ type ] ";base64," base64 (RFC 2397) */
static bool take_data_url(struct reading *reading, const struct json_at *at, struct text *content,
	struct text *type_out)
{
	struct text type, rest = text_from(*content, 5);
	bool has_content = text_find(rest, ',') < rest.len;

	type = text_cut(&rest, ',');
	if (!has_content || type.len < 7 ||
		!text_equal_nocase(text_from(type, type.len - 7), TEXT(";base64"))) {
		complain(reading->complaints, at, "a data: URL is taken with ;base64 alone");
		return false;
	}
	*type_out = text_head(type, type.len - 7);
	*content = rest;
	return true;
}

static bool read_base64(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_content *content_out, struct text *type_out)
{
	struct text base64 = { 0 };
	uint64_t len;

	if (!read_text(reading, value, at, &base64))
		return false;
	if (text_starts_nocase(base64, TEXT("data:")) &&
		!take_data_url(reading, at, &base64, type_out))
		return false;
	if (!smtp_base64_check(base64, &len)) {
		complain(reading->complaints, at,
			text_starts_nocase(base64, TEXT("http"))
				? "not base64; nothing is fetched from a URL: send the content"
				: "not base64 (RFC 4648 section 4, padded)");
		return false;
	}
	*content_out =
		(struct smtp_content){ .encoding = SMTP_BASE64_REWRAP, .text = base64, .len = len };
	return true;
}

/* {"type":"Buffer","data":[1,2,3]}: what JSON.stringify makes of Node.js's bytes. */
static bool read_buffer(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_content *content_out)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(value, "type"), *byte;
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(value, "data");
	size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0, i = 0;
	char *bytes;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(value) != 2 ||
		!text_equal(json_string(reading->json, type), TEXT("Buffer"))) {
		complain(reading->complaints, at,
			"base64 is wanted, or {\"type\":\"Buffer\",\"data\":[bytes]}");
		return false;
	}
	bytes = reading_room(reading, at, count + 1, 1);
	if (!bytes)
		return false;
	cJSON_ArrayForEach(byte, list)
	{
		if (!cJSON_IsNumber(byte) || byte->valuedouble != (unsigned char)byte->valueint) {
			complain(reading->complaints, at, "data holds numbers from 0 to 255");
			return false;
		}
		bytes[i++] = (char)byte->valueint;
	}
	*content_out = (struct smtp_content){ .encoding = SMTP_BASE64, .text = { bytes, count } };
	return true;
}

bool read_bytes(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_content *content_out, struct text *type_out)
{
	return cJSON_IsObject(value) ? read_buffer(reading, value, at, content_out)
				     : read_base64(reading, value, at, content_out, type_out);
}

void unwrap_bytes(struct smtp_content *content)
{
	if (content->encoding != SMTP_BASE64_REWRAP)
		return;
	content->text.len = smtp_base64_decode(content->text, (char *)content->text.at);
	content->encoding = SMTP_BASE64;
	content->len = 0;
}
