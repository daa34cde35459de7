#include "http/template/mustache_value.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool mustache_is_true(const struct json *json, const struct cJSON *value)
{
	if (cJSON_IsString(value))
		return json_string(json, value).len > 0;
	if (cJSON_IsNumber(value))
		return value->valuedouble != 0;
	if (cJSON_IsArray(value))
		return value->child != NULL;
	return cJSON_IsObject(value) || cJSON_IsTrue(value);
}

static const char *entity_of(char byte)
{
	switch (byte) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void mustache_add_html(struct buf *out, struct text text)
{
	size_t from = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *entity = entity_of(text.at[i]);

		if (!entity)
			continue;
		buf_add(out, (struct text){ text.at + from, i - from });
		buf_add_string(out, entity);
		from = i + 1;
	}
	buf_add(out, text_from(text, from));
}

/* Below it a double holds every integer. */
static const double EXACT = 9007199254740992;

/* The digits of "1.2100e+02": their number, with *exponent_out 2. What the locale has for a point
 * is passed over. */
static size_t read_digits(const char *number, char digits[], long *exponent_out)
{
	size_t count = 0;

	for (; *number != 'e'; number++)
		if (byte_is_digit(*number))
			digits[count++] = *number;
	*exponent_out = strtol(number + 1, NULL, 10);
	while (count > 1 && digits[count - 1] == '0')
		count--;
	return count;
}

static void add_zeros(struct buf *out, long count)
{
	for (; count > 0; count--)
		buf_add_byte(out, '0');
}

/* `value` is not negative. */
static void add_decimal(struct buf *out, double value)
{
	char number[40], digits[40];
	struct text text = { digits, 0 };
	long exponent;

	for (int precision = 14; precision <= 16;
		precision++) { /* 17 digits tell all doubles apart */
		snprintf(number, sizeof(number), "%.*e", precision, value);
		if (strtod(number, NULL) == value)
			break;
	}
	text.len = read_digits(number, digits, &exponent);
	if (exponent < 0) {
		buf_add(out, TEXT("0."));
		add_zeros(out, -exponent - 1);
		buf_add(out, text);
		return;
	}
	buf_add(out, text_head(text, (size_t)exponent + 1));
	add_zeros(out, exponent + 1 - (long)text.len);
	text = text_from(text, (size_t)exponent + 1);
	if (text.len)
		buf_add_byte(out, '.');
	buf_add(out, text);
}

bool mustache_add_number(struct buf *out, double value)
{
	double size = fabs(value);

	if (!isfinite(value))
		return false;
	if (value < 0)
		buf_add_byte(out, '-');
	if (size < EXACT && size == (double)(uint64_t)size)
		buf_add_u64(out, (uint64_t)size);
	else
		add_decimal(out, size);
	return true;
}
