#include "smtp/encode.h"

enum { BLOCK = 32 };

/* 1: a letter of base64; 2: white space; 3: padding */
static const unsigned char kinds[256] = {
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
	['0' ... '9'] = 1,
	['+'] = 1,
	['/'] = 1,
	['\r'] = 2,
	['\n'] = 2,
	[' '] = 2,
	['\t'] = 2,
	['='] = 3,
};

/* Are these BLOCK bytes letters, all of them? Without a branch, so that it becomes a few vector
 * operations: attachments are most of what passes here. */
static bool is_all_letters(const char *at)
{
	unsigned char other = 0;

	for (size_t i = 0; i < BLOCK; i++) {
		unsigned char byte = (unsigned char)at[i], folded = byte | 0x20;
		bool is_letter = ((unsigned char)(folded - 'a') < 26) |
				 ((unsigned char)(byte - '0') < 10) | (byte == '+') | (byte == '/');

		other |= !is_letter;
	}
	return !other;
}

size_t smtp_base64_run(struct text base64)
{
	size_t len = 0;

	while (base64.len - len >= BLOCK && is_all_letters(base64.at + len))
		len += BLOCK;
	while (len < base64.len && kinds[(unsigned char)base64.at[len]] == 1)
		len++;
	return len;
}

bool smtp_base64_check(struct text base64, uint64_t *len_out)
{
	uint64_t letters = 0;
	unsigned padding = 0;

	while (base64.len) {
		size_t run = smtp_base64_run(base64);
		unsigned char kind;

		if (run && padding)
			return false;
		letters += run;
		base64 = text_from(base64, run);
		if (base64.len == 0)
			break;
		kind = kinds[(unsigned char)base64.at[0]];
		if (kind == 0)
			return false;
		padding += kind == 3;
		base64 = text_from(base64, 1);
	}
	if ((letters + padding) % 4 || padding > 2 || letters % 4 == 1)
		return false;
	*len_out = letters * 3 / 4;
	return true;
}

static unsigned value_of(char letter)
{
	return letter >= 'a'   ? (unsigned)(letter - 'a') + 26
	       : letter >= 'A' ? (unsigned)(letter - 'A')
	       : letter >= '0' ? (unsigned)(letter - '0') + 52
	       : letter == '+' ? 62
			       : 63;
}

size_t smtp_base64_decode(struct text base64, char *out)
{
	size_t len = 0;
	unsigned bits = 0, held = 0;

	for (size_t i = 0; i < base64.len; i++) {
		if (kinds[(unsigned char)base64.at[i]] != 1)
			continue;
		held = held << 6 | value_of(base64.at[i]);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		out[len++] = (char)(held >> bits);
	}
	return len;
}

uint64_t smtp_base64_letters(struct text base64)
{
	uint64_t letters = 0;

	while (base64.len) {
		size_t run = smtp_base64_run(base64);

		letters += run;
		base64 = text_from(base64, run);
		if (base64.len == 0)
			break;
		letters += kinds[(unsigned char)base64.at[0]] != 2;
		base64 = text_from(base64, 1);
	}
	return letters;
}
