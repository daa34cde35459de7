#include "smtp/text.h"

#include <string.h>

/* Eight bytes at a time, each in its own lane. */
#define LANES(byte) (0x0101010101010101U * (byte))

static uint64_t eight_bytes(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

struct text text_of(const char *string)
{
	return (struct text){ string, string ? strlen(string) : 0 };
}

bool text_equal(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool text_equal_nocase(struct text a, struct text b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (byte_lower(a.at[i]) != byte_lower(b.at[i]))
			return false;
	return true;
}

int text_compare(const void *a, const void *b)
{
	const struct text *left = a, *right = b;
	size_t shorter = left->len < right->len ? left->len : right->len;
	int order = shorter ? memcmp(left->at, right->at, shorter) : 0;

	return order ? order : (left->len > right->len) - (left->len < right->len);
}

bool text_starts(struct text text, struct text prefix)
{
	return text.len >= prefix.len && text_equal(text_head(text, prefix.len), prefix);
}

bool text_starts_nocase(struct text text, struct text prefix)
{
	return text.len >= prefix.len && text_equal_nocase(text_head(text, prefix.len), prefix);
}

bool text_contains_nocase(struct text text, struct text needle)
{
	char first = needle.len ? byte_lower(needle.at[0]) : 0;

	for (; needle.len && text.len >= needle.len; text = text_from(text, 1))
		if (byte_lower(text.at[0]) == first && text_starts_nocase(text, needle))
			return true;
	return needle.len == 0;
}

size_t text_find(struct text text, char byte)
{
	const char *found = text.len ? memchr(text.at, byte, text.len) : NULL;

	return found ? (size_t)(found - text.at) : text.len;
}

struct text text_trim(struct text text)
{
	while (text.len && byte_is_blank(text.at[0]))
		text = text_from(text, 1);
	while (text.len && byte_is_blank(text.at[text.len - 1]))
		text.len--;
	return text;
}

struct text text_cut(struct text *text, char byte)
{
	size_t len = text_find(*text, byte);
	struct text head = text_head(*text, len);

	*text = text_from(*text, len + 1);
	return head;
}

size_t text_count(struct text text, char byte, size_t most)
{
	size_t count = 0;

	while (count < most && text_find(text, byte) < text.len) {
		(void)text_cut(&text, byte);
		count++;
	}
	return count;
}

bool text_to_u64(struct text text, uint64_t *value_out)
{
	uint64_t value = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!byte_is_digit(text.at[i]))
			return false;
		if (__builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value))
			return false;
	}
	*value_out = value;
	return true;
}

bool text_is_ascii(struct text text)
{
	size_t i = 0;

	for (; i + 8 <= text.len; i += 8)
		if (eight_bytes(text.at + i) & LANES(0x80))
			return false;
	for (; i < text.len; i++)
		if ((unsigned char)text.at[i] & 0x80U)
			return false;
	return true;
}

size_t text_find_control(struct text text)
{
	size_t i = 0;

	for (; i + 8 <= text.len; i += 8) {
		uint64_t word = eight_bytes(text.at + i);

		if ((word - LANES(0x20)) & ~word & LANES(0x80)) /* a lane borrowed: under 0x20 */
			break;
	}
	while (i < text.len && (unsigned char)text.at[i] >= 0x20)
		i++;
	return i;
}

/* Length of the UTF-8 sequence at the start of `bytes`, or 0 if it is not well-formed. */
static size_t sequence_len(const unsigned char *bytes, size_t left)
{
	unsigned char first = bytes[0];
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (len == 1)
		return 1;
	if (first < 0xc2 || first > 0xf4 || left < len)
		return 0;
	if (first == 0xe0)
		low = 0xa0; /* else not the shortest form */
	if (first == 0xed)
		high = 0x9f; /* else a surrogate */
	if (first == 0xf0)
		low = 0x90;
	if (first == 0xf4)
		high = 0x8f;
	if (bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((bytes[i] & 0xc0U) != 0x80)
			return 0;
	return len;
}

bool text_is_utf8(struct text text)
{
	size_t len;

	for (size_t i = 0; i < text.len; i += len) {
		len = 8;
		if (text.len - i >= 8 && !(eight_bytes(text.at + i) & LANES(0x80)))
			continue;
		len = sequence_len((const unsigned char *)text.at + i, text.len - i);
		if (len == 0)
			return false;
	}
	return true;
}

bool text_has_control(struct text text)
{
	if (text_find_control(text) < text.len)
		return true;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];

		if (byte == 0x7f)
			return true;
		if (byte == 0xc2 && i + 1 < text.len &&
			((unsigned char)text.at[i + 1] & 0xe0U) == 0x80)
			return true;
		if (byte == 0xe2 && i + 2 < text.len && (unsigned char)text.at[i + 1] == 0x80 &&
			((unsigned char)text.at[i + 2] & 0xfeU) == 0xa8)
			return true;
	}
	return false;
}

int byte_hex(char byte)
{
	if (byte_is_digit(byte))
		return byte - '0';
	byte = byte_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}
