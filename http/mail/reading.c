#include "http/mail/reading.h"

#include "http/mail/moment.h"
#include "http/near.h"

#include <stdio.h>
#include <string.h>

void complain_of_room(struct reading *reading, const struct json_at *at, enum err err)
{
	bool is_large = err == ERR_LIMIT;

	if (reading->posted)
		reading->posted->refused_as = is_large ? "body_too_large" : "overloaded";
	complain(reading->complaints, at,
		is_large ? "the message takes more memory than one may" : "out of memory");
}

void *reading_room(
	struct reading *reading, const struct json_at *at, size_t count, size_t bytes_each)
{
	void *room = region_zalloc(reading->region, count, bytes_each);

	if (!room)
		complain_of_room(reading, at, region_why_not(reading->region, count * bytes_each));
	return room;
}

bool reading_keep(struct reading *reading, const struct json_at *at, const struct buf *written,
	struct text *copy_out)
{
	struct text copy = { 0 };

	if (!written->err)
		copy = region_copy(reading->region, buf_text(written));
	if (!copy.at)
		complain_of_room(reading, at,
			written->err ? written->err
				     : region_why_not(reading->region, written->len + 1));
	*copy_out = copy;
	return copy.at;
}

bool read_text(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	if (!cJSON_IsString(value)) {
		complain(reading->complaints, at, "a string is wanted");
		return false;
	}
	*text_out = json_string(reading->json, value);
	return true;
}

bool read_line_of(struct reading *reading, const cJSON *value, const struct json_at *at,
	size_t most, struct text *text_out)
{
	struct text line;

	if (!read_text(reading, value, at, &line))
		return false;
	if (text_has_control(line)) {
		complain(reading->complaints, at,
			"no line breaks or control characters are allowed here");
		return false;
	}
	if (line.len > most) {
		complain(reading->complaints, at, "line: at most %zu bytes are allowed here", most);
		return false;
	}
	*text_out = line;
	return true;
}

bool read_line(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	return read_line_of(reading, value, at, LINE_BYTES, text_out);
}

/* Is there a control among the next eight bytes? */
static bool have_control(const char *at)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	uint64_t eight, low, del;

	memcpy(&eight, at, sizeof(eight));
	low = (eight - ones * 0x20) & ~eight;
	del = eight ^ (ones * 0x7f);
	return (low | ((del - ones) & ~del)) & tops;
}

/* The first control but CR, LF and TAB; text.len: none. */
static size_t find_control(struct text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte;

		while (i + 8 <= text.len && !have_control(text.at + i))
			i += 8;
		if (i == text.len)
			break;
		byte = (unsigned char)text.at[i];
		if ((byte < 0x20 && byte != '\r' && byte != '\n' && byte != '\t') || byte == 0x7f)
			return i;
	}
	return text.len;
}

bool read_lines(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	struct text lines;
	size_t control;

	if (!read_text(reading, value, at, &lines))
		return false;
	control = find_control(lines);
	if (control < lines.len) {
		complain(reading->complaints, at, "a control character (%02x) is not allowed here",
			(unsigned char)lines.at[control]);
		return false;
	}
	*text_out = lines;
	return true;
}

bool read_bool(
	struct reading *reading, const cJSON *value, const struct json_at *at, bool *bool_out)
{
	if (!cJSON_IsBool(value)) {
		complain(reading->complaints, at, "true or false is wanted");
		return false;
	}
	*bool_out = cJSON_IsTrue(value);
	return true;
}

bool read_word(struct reading *reading, const cJSON *value, const struct json_at *at,
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

bool read_time(
	struct reading *reading, const cJSON *value, const struct json_at *at, int64_t *seconds_out)
{
	struct text time;

	if (!read_line(reading, value, at, &time))
		return false;
	if (moment_parse(time, seconds_out))
		return true;
	complain(reading->complaints, at,
		"a time is wanted, such as 2026-12-01T08:00:00Z (RFC 3339)");
	return false;
}

static struct text field_name(const void *context, size_t index)
{
	return text_of(((const struct field *)context)[index].name);
}

static void complain_unknown(
	struct reading *reading, const struct json_at *at, const struct field *fields, size_t count)
{
	size_t shown = reading->complaints->count; /* beyond the last the search is for nothing */
	size_t meant =
		shown < COMPLAINTS_MAX ? near_name(at->name, count, field_name, fields) : count;

	if (meant < count)
		complain(reading->complaints, at, "unknown field: did you mean %s?",
			fields[meant].name);
	else
		complain(reading->complaints, at, "unknown field");
}

void read_object(struct reading *reading, const cJSON *value, const struct json_at *at,
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
			complain_unknown(reading, &here, fields, count);
		else
			fields[i].read(reading, member, &here);
	}
}
