/* json_scan - is it JSON? (RFC 8259, strictly)
 *
 * One pass, no recursion. Long strings are unescaped where they lie; what cJSON gets to see is a
 * skeleton in which references stand for them. */
#include "http/json/json_scan.h"

#include "http/json/json_escape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_NUMBER = 60, LONGEST_NUMBER = 1000 };

/* An object or list that is open, and which of its members is being read. */
struct level {
	char bracket;
	struct text name; /* as it came, escapes and all */
	size_t index;
};

struct scan {
	char *at, *end, *start;
	struct region *region;
	struct buf skeleton; /* what cJSON gets; empty while nothing was left out */
	char *copied;        /* up to here the body is in the skeleton */
	struct text *longs;
	size_t long_count, long_room;
	size_t outside; /* of the longs: they stand elsewhere, and the body refers to them */
	bool is_check;  /* it is only looked at */
	size_t values;
	struct level levels[JSON_DEPTH];
	size_t depth;
	bool has_skeleton;
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
	while (scan->at < scan->end && byte_is_space(*scan->at))
		scan->at++;
}

/* Keeps the string between `from` and `to` in the body, and a reference in the skeleton. */
static bool leave_in_place(struct scan *scan, char *from, char *to)
{
	if (scan->is_check)
		return true;
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
	buf_add_byte(&scan->skeleton, (char)JSON_REFERENCE);
	buf_add_u64(&scan->skeleton, scan->long_count);
	scan->copied = to;
	scan->has_skeleton = true;
	scan->longs[scan->long_count++] =
		(struct text){ from, json_unescape(from, (size_t)(to - from)) };
	return true;
}

/* Over a reference to what stands elsewhere, which is the same in the skeleton. */
static bool skip_reference(struct scan *scan)
{
	struct text rest = { scan->at, (size_t)(scan->end - scan->at) };
	uint64_t index;

	if (!scan->outside || !rest.len || (unsigned char)rest.at[0] != JSON_REFERENCE)
		return false;
	rest = text_from(rest, 1);
	rest.len = text_find(rest, '"');
	if (!text_to_u64(rest, &index) || index >= scan->outside)
		return false;
	scan->at += 1 + rest.len + 1;
	return scan->at <= scan->end;
}

/* Over bytes that need no second look, eight at a time: printable ASCII but quotes and backslashes.
 * A subtraction borrows into the top bit of each byte that is less, or equal after the xor. */
static char *skip_plain(char *at, const char *end)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	uint64_t eight, quote, backslash;

	for (; end - at >= 8; at += 8) {
		memcpy(&eight, at, sizeof(eight));
		quote = eight ^ (ones * '"');
		backslash = eight ^ (ones * '\\');
		if (((eight - ones * 0x20) | (quote - ones) | (backslash - ones) | eight) & tops)
			break;
	}
	return at;
}

static bool scan_string(struct scan *scan)
{
	char *from = ++scan->at;
	bool nul = false, ascii = true;

	if (skip_reference(scan))
		return true;
	for (;;) {
		scan->at = skip_plain(scan->at, scan->end);
		if (scan->at == scan->end || *scan->at == '"')
			break;

		unsigned char byte = (unsigned char)*scan->at;

		if (byte == '\\') {
			size_t len = json_escape_len(
				scan->at, (size_t)(scan->end - scan->at), &nul, &scan->why);

			if (!len)
				return bad(scan, scan->why);
			scan->at += len;
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

/* cJSON reads numbers of up to 63 characters: a longer one goes into the skeleton as short as its
 * value allows. */
static bool shorten_number(struct scan *scan, char *from)
{
	char copy[LONGEST_NUMBER + 1];
	size_t len = (size_t)(scan->at - from);
	double value;

	if (len > LONGEST_NUMBER)
		return bad(scan, "a number of more than 1000 characters");
	if (scan->is_check)
		return true;
	memcpy(copy, from, len);
	copy[len] = '\0';
	value = strtod(copy, NULL);
	buf_add(&scan->skeleton, (struct text){ scan->copied, (size_t)(from - scan->copied) });
	if (isfinite(value))
		buf_addf(&scan->skeleton, "%.17g", value);
	else
		buf_add_string(&scan->skeleton, value < 0 ? "-1e999" : "1e999");
	scan->copied = scan->at;
	scan->has_skeleton = true;
	return true;
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
	return scan->at - from <= PLAIN_NUMBER || shorten_number(scan, from);
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
	struct text *name = &scan->levels[scan->depth - 1].name;

	skip_blanks(scan);
	if (scan->at == scan->end || *scan->at != '"')
		return bad(scan, "a name in quotes is wanted");
	*name = (struct text){ scan->at + 1, 0 }; /* no length before its end is known */
	if (!scan_string(scan))
		return false;
	name->len = (size_t)(scan->at - name->at) - 1;
	skip_blanks(scan);
	if (scan->at == scan->end || *scan->at != ':')
		return bad(scan, "a colon is wanted");
	scan->at++;
	skip_blanks(scan);
	return true;
}

enum next { NEXT_VALUE, NEXT_NONE, NEXT_BAD };

/* Behind a value: closes what it ends. */
static enum next scan_behind_value(struct scan *scan)
{
	while (scan->depth) {
		struct level *level = &scan->levels[scan->depth - 1];
		bool in_object = level->bracket == '{';

		skip_blanks(scan);
		if (scan->at == scan->end) {
			bad(scan, "it ends too early");
			return NEXT_BAD;
		}
		if (*scan->at == ',') {
			scan->at++;
			level->index++;
			if (in_object)
				return scan_name(scan) ? NEXT_VALUE : NEXT_BAD;
			skip_blanks(scan);
			return NEXT_VALUE;
		}
		if (*scan->at != (in_object ? '}' : ']')) {
			bad(scan, in_object ? "a comma or } is wanted" : "a comma or ] is wanted");
			return NEXT_BAD;
		}
		scan->at++;
		scan->depth--;
	}
	return NEXT_NONE;
}

/* An opening bracket. NEXT_NONE: it was closed at once. */
static enum next scan_opening(struct scan *scan)
{
	char bracket = *scan->at;

	if (scan->depth == JSON_DEPTH) {
		fail(scan, ERR_LIMIT, "JSON depth: more than 32 levels");
		return NEXT_BAD;
	}
	scan->at++;
	scan->levels[scan->depth++] = (struct level){ .bracket = bracket };
	skip_blanks(scan);
	if (scan->at < scan->end && *scan->at == (bracket == '{' ? '}' : ']')) {
		scan->at++;
		scan->depth--;
		return NEXT_NONE;
	}
	if (bracket == '{')
		return scan_name(scan) ? NEXT_VALUE : NEXT_BAD;
	return NEXT_VALUE;
}

static bool scan_all(struct scan *scan)
{
	enum next next = NEXT_VALUE;

	skip_blanks(scan);
	while (next == NEXT_VALUE) {
		if (scan->at == scan->end)
			return bad(scan, "it ends too early");
		if (++scan->values > JSON_VALUES)
			return fail(scan, ERR_LIMIT, "JSON values: more than 200000");
		if (*scan->at == '{' || *scan->at == '[') {
			next = scan_opening(scan);
			if (next != NEXT_NONE)
				continue;
		} else if (!scan_scalar(scan)) {
			return false;
		}
		next = scan_behind_value(scan);
	}
	skip_blanks(scan);
	if (next == NEXT_NONE && scan->at != scan->end)
		return bad(scan, "something stands behind the end");
	return next == NEXT_NONE;
}

static struct text pointer_of(const struct scan *scan)
{
	struct json_at places[JSON_DEPTH];

	for (size_t i = 0; i < scan->depth; i++) {
		const struct level *level = &scan->levels[i];

		places[i] =
			(struct json_at){ .up = i ? &places[i - 1] : NULL, .index = level->index };
		if (level->bracket == '{')
			places[i].name = level->name.at ? level->name : TEXT("");
	}
	return json_pointer(scan->depth ? &places[scan->depth - 1] : NULL, scan->region);
}

enum err json_scan(char *body, size_t len, bool is_check, struct region *region,
	struct json *json_out, struct text *skeleton_out)
{
	struct scan scan = { .at = body,
		.start = body,
		.end = body + len,
		.region = region,
		.copied = body,
		.longs = json_out->longs,
		.long_count = json_out->long_count,
		.long_room = json_out->long_count,
		.outside = json_out->long_count,
		.is_check = is_check,
		.skeleton = buf_born(len + 1024) };

	*skeleton_out = (struct text){ body, len };
	if (scan_all(&scan) && scan.has_skeleton) {
		buf_add(&scan.skeleton,
			(struct text){ scan.copied, (size_t)(scan.end - scan.copied) });
		*skeleton_out = region_copy(region, buf_text(&scan.skeleton));
		if (scan.skeleton.err || !skeleton_out->at)
			fail(&scan, ERR_MEMORY, "out of memory");
	}
	buf_free(&scan.skeleton);
	json_out->longs = scan.longs;
	json_out->long_count = scan.long_count;
	json_out->why = scan.why;
	json_out->at = (size_t)(scan.at - scan.start);
	if (scan.err)
		json_out->pointer = pointer_of(&scan);
	return scan.err;
}
