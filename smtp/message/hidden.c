#include "smtp/message/hidden.h"

/* Those of no width, fillers that show nothing, blanks that are no space, and what turns the order.
 */
static const struct hidden {
	uint32_t first, last;
	bool turns;
} hidden[] = {
	{ 0xa0, 0xa0, false },
	{ 0xad, 0xad, false },
	{ 0x34f, 0x34f, false }, /* the grapheme joiner */
	{ 0x61c, 0x61c, false },
	{ 0x115f, 0x1160, false }, /* Hangul fillers, as 3164 and ffa0 */
	{ 0x1680, 0x1680, false },
	{ 0x17b4, 0x17b5, false },
	{ 0x180b, 0x180f, false },
	{ 0x2000, 0x200f, false },
	{ 0x202a, 0x202e, true }, /* embeddings and overrides (UAX #9 2.1, 2.2) */
	{ 0x202f, 0x202f, false },
	{ 0x205f, 0x2065, false },
	{ 0x2066, 0x2069, true }, /* isolates */
	{ 0x206a, 0x206f, false },
	{ 0x2800, 0x2800, false }, /* Braille without a dot */
	{ 0x3000, 0x3000, false },
	{ 0x3164, 0x3164, false },
	{ 0xfe00, 0xfe0f, false }, /* variation selectors: in names and texts, part of emoji */
	{ 0xfeff, 0xfeff, false },
	{ 0xffa0, 0xffa0, false },
	{ 0xfff9, 0xfffb, false },
	{ 0xe0000, 0xe0fff, false },
};

/* The character at the start of valid UTF-8, which is taken off. */
static uint32_t take_character(struct text *text)
{
	unsigned char lead = (unsigned char)text->at[0];
	size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t value = len == 1 ? lead : lead & (0x7fu >> len);

	for (size_t i = 1; i < len; i++)
		value = value << 6 | ((unsigned char)text->at[i] & 0x3f);
	*text = text_from(*text, len);
	return value;
}

static bool holds_hidden(struct text text, bool only_what_turns)
{
	if (text_is_ascii(text))
		return false;
	while (text.len) {
		uint32_t character = take_character(&text);

		for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
			if (character >= hidden[i].first && character <= hidden[i].last &&
				(hidden[i].turns || !only_what_turns))
				return true;
	}
	return false;
}

bool smtp_holds_hidden(struct text text)
{
	return holds_hidden(text, false);
}

bool smtp_name_misleads(struct text name)
{
	return holds_hidden(name, true);
}

enum { LRE = 0x202a, RLE, PDF, LRO, RLO, LRI = 0x2066, RLI, FSI, PDI };

/* What is open goes as bits, the innermost the lowest: 1 an isolate, 0 an embedding; a 1 above them
 * all. */
const char *smtp_line_why_not(struct text line)
{
	static const char unclosed[] =
		"it turns the order of characters, and does not turn it back";
	uint64_t open = 1;

	if (text_is_ascii(line))
		return NULL;
	while (line.len) {
		uint32_t character = take_character(&line);
		bool is_isolate = character >= LRI && character <= PDI;

		if (character == LRO || character == RLO)
			return "it has a character that overrides the order of others";
		if (character == PDF || character == PDI) {
			if (open == 1 || (open & 1) != is_isolate)
				return unclosed;
			open >>= 1;
		} else if (is_isolate || character == LRE || character == RLE) {
			if (open >> 63)
				return unclosed;
			open = open << 1 | is_isolate;
		}
	}
	return open == 1 ? NULL : unclosed;
}
