/* text - bytes with a length, borrowed from whoever owns them
 *
 * A text never owns what it points at, may hold any byte, and need not end in NUL. { 0 } is the
 * empty text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	const char *at;
	size_t len;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })

/* NULL gives the empty text. */
struct text text_of(const char *string);
bool text_equal(struct text a, struct text b);
/* ASCII letters compare without case, every other byte as it is. */
bool text_equal_nocase(struct text a, struct text b);
/* The order of two struct text by their bytes, as qsort and bsearch want it. */
int text_compare(const void *a, const void *b);
bool text_starts(struct text text, struct text prefix);
bool text_starts_nocase(struct text text, struct text prefix);
/* Does `needle` occur in `text`, without case? Linear in both: for short texts. */
bool text_contains_nocase(struct text text, struct text needle);
/* Index of the first `byte`, or text.len. */
size_t text_find(struct text text, char byte);
/* From `start` (clamped) to the end. */
static inline struct text text_from(struct text text, size_t start)
{
	start = start < text.len ? start : text.len;
	return (struct text){ start ? text.at + start : text.at, text.len - start };
}

/* The first `len` bytes (clamped). */
static inline struct text text_head(struct text text, size_t len)
{
	return (struct text){ text.at, len < text.len ? len : text.len };
}

/* Without leading and trailing space and tab. */
struct text text_trim(struct text text);
/* Everything up to the first `byte`; *text becomes what is behind it. */
struct text text_cut(struct text *text, char byte);
/* How often `byte` stands in it, counted up to `most`. */
size_t text_count(struct text text, char byte, size_t most);
/* Decimal digits only, all of them, no overflow. */
bool text_to_u64(struct text text, uint64_t *value_out);
/* How many bytes stand before the first control below 0x20 (a line end, a tab); text.len: none. */
size_t text_find_control(struct text text);
/* Is every byte below 0x80? */
bool text_is_ascii(struct text text);
/* Well-formed UTF-8: shortest forms, no surrogates, nothing above U+10FFFF (RFC 3629). */
bool text_is_utf8(struct text text);
/* Any byte below 0x20 or 0x7f (tab included), or a C1 control (U+0080 to U+009F) or a line or
 * paragraph separator (U+2028, U+2029) in UTF-8: what no single-line field may hold. */
bool text_has_control(struct text text);

static inline bool byte_is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* A space or a tab. */
static inline bool byte_is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* A blank, or part of a line end. */
static inline bool byte_is_space(char byte)
{
	return byte_is_blank(byte) || byte == '\r' || byte == '\n';
}

static inline char byte_lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

static inline bool byte_is_letter(char byte)
{
	return byte_lower(byte) >= 'a' && byte_lower(byte) <= 'z';
}

/* What a hexadecimal digit stands for, in either case; -1: it is none. */
int byte_hex(char byte);
