#include "http/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A string that stayed in the body is named in the tree by this byte and its index. No string that
 * was scanned can start with it, for it is not UTF-8. */
enum { REFERENCE = 0xff };

/* ---- scanning */

struct scan {
	char *at, *end, *start;
	struct region *region;
	struct buf skeleton; /* what cJSON gets; empty while nothing was left out */
	char *copied;        /* up to here the body is in the skeleton */
	struct text *longs;
	size_t long_count, long_room;
	size_t values;
	const char *why;
	enum err err;
};

static bool fail(struct scan *scan, enum err err, const char *why)
{
	if (!scan->err) {
		scan->err = err;
		scan->why = why;
	}
	return false;
}

static bool bad(struct scan *scan, const char *why)
{
	return fail(scan, ERR_SYNTAX, why);
}

static void skip_blanks(struct scan *scan)
{
	while (scan->at < scan->end &&
		(*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
		scan->at++;
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte = byte_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four digits behind \u. */
static bool read_unit(const char *at, const char *end, unsigned *unit_out)
{
	unsigned unit = 0;

	if (end - at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return false;
		unit = unit << 4 | (unsigned)digit;
	}
	*unit_out = unit;
	return true;
}

static bool is_high(unsigned unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(unsigned unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* A backslash and what follows, from scan->at on; *nul is set where it stands for U+0000. */
static bool skip_escape(struct scan *scan, bool *nul)
{
	unsigned unit, low;

	if (scan->end - scan->at < 2)
		return bad(scan, "the string does not end");
	if (scan->at[1] != 'u') {
		if (!memchr("\"\\/bfnrt", scan->at[1], 8))
			return bad(scan, "no such escape");
		scan->at += 2;
		return true;
	}
	if (!read_unit(scan->at + 2, scan->end, &unit))
		return bad(scan, "\\u wants four hexadecimal digits");
	scan->at += 6;
	*nul |= unit == 0;
	if (is_low(unit))
		return bad(scan, "a low surrogate without its high one");
	if (!is_high(unit))
		return true;
	if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u' ||
		!read_unit(scan->at + 2, scan->end, &low) || !is_low(low))
		return bad(scan, "a high surrogate without its low one");
	scan->at += 6;
	return true;
}

static size_t put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* A string that was scanned, unescaped where it lies: what it stands for is never longer. */
static size_t unescape(char *at, size_t len)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *out = memchr(at, '\\', len), *end = at + len;
	unsigned unit = 0, low = 0;

	if (!out)
		return len;
	for (char *in = out; in < end;) {
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		if (in[1] != 'u') {
			*out++ = to[strchr(from, in[1]) - from];
			in += 2;
			continue;
		}
		(void)read_unit(in + 2, end, &unit);
		in += 6;
		if (is_high(unit)) {
			(void)read_unit(in + 2, end, &low);
			in += 6;
			unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		}
		out += put_utf8(out, unit);
	}
	return (size_t)(out - at);
}

/* Keeps the string between `from` and `to` in the body, and a reference in the skeleton. */
static bool leave_in_place(struct scan *scan, char *from, char *to)
{
	if (scan->long_count == scan->long_room) {
		size_t room = scan->long_room ? scan->long_room * 2 : 16;
		struct text *more = region_alloc(scan->region, room * sizeof(*more));

		if (!more)
			return fail(scan, ERR_MEMORY, "out of memory");
		if (scan->long_count)
			memcpy(more, scan->longs, scan->long_count * sizeof(*more));
		scan->longs = more;
		scan->long_room = room;
	}
	buf_add(&scan->skeleton, (struct text){ scan->copied, (size_t)(from - scan->copied) });
	buf_add_byte(&scan->skeleton, (char)REFERENCE);
	buf_add_u64(&scan->skeleton, scan->long_count);
	scan->copied = to;
	scan->longs[scan->long_count++] =
		(struct text){ from, unescape(from, (size_t)(to - from)) };
	return true;
}

static bool scan_string(struct scan *scan)
{
	char *from = ++scan->at;
	bool nul = false, ascii = true;

	while (scan->at < scan->end && *scan->at != '"') {
		unsigned char byte = (unsigned char)*scan->at;

		if (byte == '\\') {
			if (!skip_escape(scan, &nul))
				return false;
			continue;
		}
		if (byte < 0x20)
			return bad(scan, "a control character in a string must be escaped");
		ascii &= byte < 0x80;
		scan->at++;
	}
	if (scan->at == scan->end)
		return bad(scan, "the string does not end");
	if (!ascii && !text_is_utf8((struct text){ from, (size_t)(scan->at - from) }))
		return bad(scan, "the string is not UTF-8");
	if ((nul || scan->at - from > JSON_LONG_STRING) && !leave_in_place(scan, from, scan->at))
		return false;
	scan->at++;
	return true;
}

static size_t skip_digits(struct scan *scan)
{
	char *from = scan->at;

	while (scan->at < scan->end && byte_is_digit(*scan->at))
		scan->at++;
	return (size_t)(scan->at - from);
}

static bool scan_number(struct scan *scan)
{
	char *from = scan->at;

	if (*scan->at == '-')
		scan->at++;
	if (scan->at < scan->end && *scan->at == '0')
		scan->at++;
	else if (skip_digits(scan) == 0)
		return bad(scan, "a number wants a digit");
	if (scan->at < scan->end && *scan->at == '.') {
		scan->at++;
		if (skip_digits(scan) == 0)
			return bad(scan, "a number wants a digit behind its point");
	}
	if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
		scan->at++;
		if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
			scan->at++;
		if (skip_digits(scan) == 0)
			return bad(scan, "a number wants a digit in its exponent");
	}
	return scan->at - from <= 60 || bad(scan, "a number of more than 60 characters");
}

static bool scan_word(struct scan *scan, struct text word)
{
	struct text rest = { scan->at, (size_t)(scan->end - scan->at) };

	if (!text_starts(rest, word))
		return bad(scan, "no such value");
	scan->at += word.len;
	return true;
}

static bool scan_scalar(struct scan *scan)
{
	switch (*scan->at) {
	case '"':
		return scan_string(scan);
	case 't':
		return scan_word(scan, TEXT("true"));
	case 'f':
		return scan_word(scan, TEXT("false"));
	case 'n':
		return scan_word(scan, TEXT("null"));
	default:
		if (*scan->at == '-' || byte_is_digit(*scan->at))
			return scan_number(scan);
		return bad(scan, "no such value");
	}
}

/* `"name" :` */
static bool scan_name(struct scan *scan)
{
	skip_blanks(scan);
	if (scan->at == scan->end || *scan->at != '"')
		return bad(scan, "a name in quotes is wanted");
	if (!scan_string(scan))
		return false;
	skip_blanks(scan);
	if (scan->at == scan->end || *scan->at != ':')
		return bad(scan, "a colon is wanted");
	scan->at++;
	skip_blanks(scan);
	return true;
}

/* Behind a value: closes what it ends. 1: another value follows, 0: all is closed, -1: wrong. */
static int scan_behind_value(struct scan *scan, const char *open, size_t *depth)
{
	while (*depth) {
		char closing = open[*depth - 1] == '{' ? '}' : ']';

		skip_blanks(scan);
		if (scan->at == scan->end)
			return bad(scan, "it ends too early") - 1;
		if (*scan->at == ',') {
			scan->at++;
			if (closing == '}')
				return scan_name(scan) ? 1 : -1;
			skip_blanks(scan);
			return 1;
		}
		if (*scan->at != closing)
			return bad(scan, closing == '}' ? "a comma or } is wanted"
							: "a comma or ] is wanted") -
			       1;
		scan->at++;
		--*depth;
	}
	return 0;
}

/* An opening bracket. 1: a value follows, 0: it was closed at once, -1: wrong. */
static int scan_opening(struct scan *scan, char *open, size_t *depth)
{
	char bracket = *scan->at++;

	if (*depth == JSON_DEPTH)
		return fail(scan, ERR_LIMIT, "more than 32 levels deep") - 1;
	open[(*depth)++] = bracket;
	skip_blanks(scan);
	if (scan->at < scan->end && *scan->at == (bracket == '{' ? '}' : ']')) {
		scan->at++;
		--*depth;
		return 0;
	}
	if (bracket == '{')
		return scan_name(scan) ? 1 : -1;
	return 1;
}

static bool scan_all(struct scan *scan)
{
	char open[JSON_DEPTH];
	size_t depth = 0;
	int more = 1;

	skip_blanks(scan);
	while (more == 1) {
		if (scan->at == scan->end)
			return bad(scan, "it ends too early");
		if (++scan->values > JSON_VALUES)
			return fail(scan, ERR_LIMIT, "more than 200000 values");
		if (*scan->at == '{' || *scan->at == '[') {
			more = scan_opening(scan, open, &depth);
			if (more)
				continue;
		} else if (!scan_scalar(scan)) {
			return false;
		}
		more = scan_behind_value(scan, open, &depth);
	}
	skip_blanks(scan);
	if (more == 0 && scan->at != scan->end)
		return bad(scan, "something stands behind the end");
	return more == 0;
}

/* ---- the tree */

static _Thread_local struct region *tree_region;

static void *tree_alloc(size_t len)
{
	return region_alloc(tree_region, len);
}

static void tree_free(void *at)
{
	(void)at; /* goes with its region */
}

__attribute__((constructor)) static void use_regions(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){ tree_alloc, tree_free });
}

static struct text of_string(const struct json *json, const char *string)
{
	uint64_t index;

	if (!string)
		return (struct text){ 0 };
	if ((unsigned char)string[0] == REFERENCE && text_to_u64(text_of(string + 1), &index) &&
		index < json->long_count)
		return json->longs[index];
	return text_of(string);
}

struct text json_string(const struct json *json, const struct cJSON *value)
{
	return of_string(json, cJSON_IsString(value) ? value->valuestring : NULL);
}

struct text json_name(const struct json *json, const struct cJSON *member)
{
	return of_string(json, member->string);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Long names differ by their references, though they may be equal: such names are unknown anyway.
 */
static bool has_twins(const struct cJSON *object, struct region *region)
{
	const struct cJSON *member;
	size_t count = 0, i = 0;
	const char **names;
	bool twins = false;

	cJSON_ArrayForEach(member, object) count++;
	if (count < 2)
		return false;
	names = region_alloc(region, count * sizeof(*names));
	if (!names)
		return true;
	cJSON_ArrayForEach(member, object) names[i++] = member->string;
	qsort(names, count, sizeof(*names), compare_names);
	for (i = 1; i < count; i++)
		twins |= strcmp(names[i - 1], names[i]) == 0;
	return twins;
}

static bool tree_has_twins(const struct cJSON *value, struct region *region)
{
	const struct cJSON *member;

	if (cJSON_IsObject(value) && has_twins(value, region))
		return true;
	cJSON_ArrayForEach(member, value) if (tree_has_twins(member, region)) return true;
	return false;
}

enum err json_parse(char *body, size_t len, struct region *region, struct json *json_out)
{
	struct scan scan = { .at = body,
		.start = body,
		.end = body + len,
		.region = region,
		.copied = body,
		.skeleton = buf_born(len + 1024) };
	struct text whole = { body, len };

	if (!scan_all(&scan))
		goto end;
	if (scan.long_count) {
		buf_add(&scan.skeleton,
			(struct text){ scan.copied, (size_t)(scan.end - scan.copied) });
		scan.err = scan.skeleton.err;
		whole = buf_text(&scan.skeleton);
	}
	json_out->longs = scan.longs;
	json_out->long_count = scan.long_count;
	tree_region = region;
	if (!scan.err)
		json_out->root = cJSON_ParseWithLength(whole.at, whole.len);
	if (!scan.err && !json_out->root)
		fail(&scan, ERR_MEMORY, "out of memory");
	if (!scan.err && tree_has_twins(json_out->root, region))
		bad(&scan, "an object has two members of the same name");
end:
	json_out->why = scan.why;
	json_out->at = (size_t)(scan.at - scan.start);
	buf_free(&scan.skeleton);
	return scan.err;
}

/* ---- complaints */

static void add_pointer(struct buf *out, const struct json_at *at)
{
	if (!at)
		return;
	add_pointer(out, at->up);
	buf_add_byte(out, '/');
	if (!at->name.at) {
		buf_add_u64(out, at->index);
		return;
	}
	for (size_t i = 0; i < at->name.len; i++) { /* RFC 6901 section 3 */
		if (at->name.at[i] == '~')
			buf_add_string(out, "~0");
		else if (at->name.at[i] == '/')
			buf_add_string(out, "~1");
		else
			buf_add_byte(out, at->name.at[i]);
	}
}

void complain(struct complaints *complaints, const struct json_at *at, const char *format, ...)
{
	struct buf pointer = buf_born(4096);
	char detail[400];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (complaints->count < COMPLAINTS_MAX) {
		add_pointer(&pointer, at);
		complaints->at[complaints->count++] = (struct complaint){
			region_copy(complaints->region, text_head(buf_text(&pointer), 400)),
			region_copy(complaints->region, text_of(detail))
		};
	}
	buf_free(&pointer);
}

/* ---- writing */

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
	if (value < 1e15 && value > -1e15 && value == (double)(int64_t)value)
		buf_addf(out, "%" PRId64, (int64_t)value);
	else
		buf_addf(out, "%.17g", value);
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
