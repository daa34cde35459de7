/* json_write - JSON out: the json_add… of json.h */
#include "http/json/json.h"

#include "http/json/json_scan.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void add_escaped(struct buf *out, unsigned char byte)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = memchr(from, byte, sizeof(from) - 1);

	if (found) {
		buf_add_byte(out, '\\');
		buf_add_byte(out, to[found - from]);
	} else if (byte < 0x20 || byte == 0x7f) {
		buf_addf(out, "\\u%04x", byte);
	} else {
		buf_add_byte(out, '?'); /* part of no UTF-8 */
	}
}

void json_add_string(struct buf *out, struct text text)
{
	bool is_utf8 = text_is_utf8(text);
	size_t from = 0;

	buf_add_byte(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];

		if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f &&
			(byte < 0x80 || is_utf8))
			continue;
		buf_add(out, (struct text){ text.at + from, i - from });
		add_escaped(out, byte);
		from = i + 1;
	}
	buf_add(out, text_from(text, from));
	buf_add_byte(out, '"');
}

void json_add_reference(struct buf *out, size_t index)
{
	buf_add_byte(out, '"');
	buf_add_byte(out, (char)JSON_REFERENCE);
	buf_add_u64(out, index);
	buf_add_byte(out, '"');
}

void json_add_comma(struct buf *out)
{
	char last = out->len ? out->at[out->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_add_byte(out, ',');
}

void json_add_name(struct buf *out, const char *name)
{
	json_add_comma(out);
	buf_add_byte(out, '"');
	buf_add_string(out, name);
	buf_add(out, TEXT("\":"));
}

void json_add_member(struct buf *out, const char *name, struct text value)
{
	json_add_name(out, name);
	json_add_string(out, value);
}

void json_add_member_u64(struct buf *out, const char *name, uint64_t value)
{
	json_add_name(out, name);
	buf_add_u64(out, value);
}

void json_add_member_some(struct buf *out, const char *name, uint64_t value)
{
	json_add_name(out, name);
	if (value)
		buf_add_u64(out, value);
	else
		buf_add_string(out, "null");
}

void json_add_member_bool(struct buf *out, const char *name, bool value)
{
	json_add_name(out, name);
	buf_add_string(out, value ? "true" : "false");
}

void json_add_member_ms(struct buf *out, const char *name, uint64_t us)
{
	json_add_name(out, name);
	buf_add_u64(out, us / 1000);
	buf_add_byte(out, '.');
	buf_add_byte(out, (char)('0' + us / 100 % 10));
	buf_add_byte(out, (char)('0' + us / 10 % 10));
	buf_add_byte(out, (char)('0' + us % 10));
}

static void add_number(struct buf *out, double value)
{
	char number[40];

	if (!isfinite(value)) { /* 1e999 came in, and goes out so */
		buf_add_string(out, value < 0 ? "-1e999" : "1e999");
		return;
	}
	snprintf(number, sizeof(number), "%.15g", value);
	if (strtod(number, NULL) != value)
		snprintf(number, sizeof(number), "%.17g", value);
	buf_add_string(out, number);
}

void json_add_tree(struct buf *out, const struct json *json, const struct cJSON *value)
{
	const struct cJSON *member;

	if (cJSON_IsString(value)) {
		json_add_string(out, json_string(json, value));
	} else if (cJSON_IsNumber(value)) {
		add_number(out, value->valuedouble);
	} else if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
		buf_add_byte(out, cJSON_IsArray(value) ? '[' : '{');
		cJSON_ArrayForEach(member, value)
		{
			json_add_comma(out);
			if (cJSON_IsObject(value)) {
				json_add_string(out, json_name(json, member));
				buf_add_byte(out, ':');
			}
			json_add_tree(out, json, member);
		}
		buf_add_byte(out, cJSON_IsArray(value) ? ']' : '}');
	} else {
		buf_add_string(out, cJSON_IsTrue(value)    ? "true"
				    : cJSON_IsFalse(value) ? "false"
							   : "null");
	}
}

void json_add_time(struct buf *out, int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm when;
	char text[40];
	size_t len;

	gmtime_r(&seconds, &when);
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &when);
	buf_addf(out, "\"%.*s.%03dZ\"", (int)len, text, (int)(unix_ms % 1000));
}
