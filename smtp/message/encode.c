#include "smtp/message/encode.h"

#include <string.h>

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

/* clang-format off */
#define LETTERS(X, a) \
	X(a, 'A') X(a, 'B') X(a, 'C') X(a, 'D') X(a, 'E') X(a, 'F') X(a, 'G') X(a, 'H') X(a, 'I') \
	X(a, 'J') X(a, 'K') X(a, 'L') X(a, 'M') X(a, 'N') X(a, 'O') X(a, 'P') X(a, 'Q') X(a, 'R') \
	X(a, 'S') X(a, 'T') X(a, 'U') X(a, 'V') X(a, 'W') X(a, 'X') X(a, 'Y') X(a, 'Z') X(a, 'a') \
	X(a, 'b') X(a, 'c') X(a, 'd') X(a, 'e') X(a, 'f') X(a, 'g') X(a, 'h') X(a, 'i') X(a, 'j') \
	X(a, 'k') X(a, 'l') X(a, 'm') X(a, 'n') X(a, 'o') X(a, 'p') X(a, 'q') X(a, 'r') X(a, 's') \
	X(a, 't') X(a, 'u') X(a, 'v') X(a, 'w') X(a, 'x') X(a, 'y') X(a, 'z') X(a, '0') X(a, '1') \
	X(a, '2') X(a, '3') X(a, '4') X(a, '5') X(a, '6') X(a, '7') X(a, '8') X(a, '9') X(a, '+') \
	X(a, '/')
#define PAIR(a, b) { a, b },
/* Twelve bits at a time: 2.5 times as fast as OpenSSL's one letter at a time. */
static const char pairs[4096][2] = {
	LETTERS(PAIR, 'A') LETTERS(PAIR, 'B') LETTERS(PAIR, 'C') LETTERS(PAIR, 'D')
	LETTERS(PAIR, 'E') LETTERS(PAIR, 'F') LETTERS(PAIR, 'G') LETTERS(PAIR, 'H')
	LETTERS(PAIR, 'I') LETTERS(PAIR, 'J') LETTERS(PAIR, 'K') LETTERS(PAIR, 'L')
	LETTERS(PAIR, 'M') LETTERS(PAIR, 'N') LETTERS(PAIR, 'O') LETTERS(PAIR, 'P')
	LETTERS(PAIR, 'Q') LETTERS(PAIR, 'R') LETTERS(PAIR, 'S') LETTERS(PAIR, 'T')
	LETTERS(PAIR, 'U') LETTERS(PAIR, 'V') LETTERS(PAIR, 'W') LETTERS(PAIR, 'X')
	LETTERS(PAIR, 'Y') LETTERS(PAIR, 'Z') LETTERS(PAIR, 'a') LETTERS(PAIR, 'b')
	LETTERS(PAIR, 'c') LETTERS(PAIR, 'd') LETTERS(PAIR, 'e') LETTERS(PAIR, 'f')
	LETTERS(PAIR, 'g') LETTERS(PAIR, 'h') LETTERS(PAIR, 'i') LETTERS(PAIR, 'j')
	LETTERS(PAIR, 'k') LETTERS(PAIR, 'l') LETTERS(PAIR, 'm') LETTERS(PAIR, 'n')
	LETTERS(PAIR, 'o') LETTERS(PAIR, 'p') LETTERS(PAIR, 'q') LETTERS(PAIR, 'r')
	LETTERS(PAIR, 's') LETTERS(PAIR, 't') LETTERS(PAIR, 'u') LETTERS(PAIR, 'v')
	LETTERS(PAIR, 'w') LETTERS(PAIR, 'x') LETTERS(PAIR, 'y') LETTERS(PAIR, 'z')
	LETTERS(PAIR, '0') LETTERS(PAIR, '1') LETTERS(PAIR, '2') LETTERS(PAIR, '3')
	LETTERS(PAIR, '4') LETTERS(PAIR, '5') LETTERS(PAIR, '6') LETTERS(PAIR, '7')
	LETTERS(PAIR, '8') LETTERS(PAIR, '9') LETTERS(PAIR, '+') LETTERS(PAIR, '/')
};
/* clang-format on */

void smtp_base64_line(const char bytes[SMTP_BASE64_LINE_BYTES], char out[SMTP_MIME_LINE])
{
	const unsigned char *three = (const unsigned char *)bytes;

	for (size_t i = 0; i < SMTP_MIME_LINE; i += 4, three += 3) {
		unsigned bits = (unsigned)three[0] << 16 | (unsigned)three[1] << 8 | three[2];

		memcpy(out + i, pairs[bits >> 12], 2);
		memcpy(out + i + 2, pairs[bits & 0xfff], 2);
	}
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
