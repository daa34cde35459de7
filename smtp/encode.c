#include "smtp/encode.h"

#include <openssl/evp.h>
#include <string.h>

enum { BYTES_A_LINE = SMTP_MIME_LINE / 4 * 3, PIECE = 1024, BLOCK = 32 };

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

void smtp_base64_add(struct buf *out, struct text bytes)
{
	while (bytes.len) {
		struct text line = text_head(bytes, BYTES_A_LINE);
		char *room = buf_reserve(out, SMTP_MIME_LINE + 1);

		if (!room)
			return;
		buf_took(out, (size_t)EVP_EncodeBlock((unsigned char *)room,
				      (const unsigned char *)line.at, (int)line.len));
		buf_add(out, TEXT("\r\n"));
		bytes = text_from(bytes, line.len);
	}
}

/* The next line, without its end, whichever of CRLF, LF, CR that is. */
static struct text next_line(struct text *text)
{
	size_t len = text_find_control(*text);
	struct text line;

	while (len < text->len && text->at[len] != '\r' && text->at[len] != '\n')
		len += 1 + text_find_control(text_from(*text, len + 1));
	line = text_head(*text, len);
	*text = text_from(*text, len);
	*text = text_from(*text, text_starts(*text, TEXT("\r\n")) ? 2 : 1);
	return line;
}

/* RFC 2045 6.7: what stands for itself, but for a blank at the end of a line. */
static const bool is_plain[256] = {
	['!' ... '<'] = true,
	['>' ... '~'] = true,
	[' '] = true,
	['\t'] = true,
};

/* How many bytes at the start stand for themselves, looking at `most`. */
static size_t plain_run(struct text text, size_t most)
{
	size_t len = 0;

	if (most > text.len)
		most = text.len;
	while (len < most && is_plain[(unsigned char)text.at[len]])
		len++;
	return len;
}

/* A piece of a line into `out`, which has room for its fourfold and 8; gives where it ends. */
static char *write_printable(char *out, struct text piece, bool ends_line, size_t *column)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < piece.len; i++) {
		size_t run = plain_run(text_from(piece, i), SMTP_MIME_LINE - 1 - *column);
		unsigned char byte;
		bool is_last, plain;
		size_t width;

		if (run > 1) { /* all but its last byte, which may end the line */
			memcpy(out, piece.at + i, run - 1);
			out += run - 1;
			*column += run - 1;
			i += run - 1;
		}
		byte = (unsigned char)piece.at[i];
		is_last = ends_line && i + 1 == piece.len;
		plain = is_plain[byte] && !(is_last && byte_is_blank(piece.at[i]));
		width = plain ? 1 : 3;

		if (*column + width > SMTP_MIME_LINE - (is_last ? 0 : 1)) {
			memcpy(out, "=\r\n", 3);
			out += 3;
			*column = 0;
		}
		*out++ = plain ? (char)byte : '=';
		if (!plain) {
			*out++ = hex[byte >> 4];
			*out++ = hex[byte & 15];
		}
		*column += width;
	}
	return out;
}

static void add_printable_line(struct buf *out, struct text line)
{
	size_t column = 0;

	while (line.len) {
		struct text piece = text_head(line, PIECE);
		bool ends_line = piece.len == line.len;
		char *room = buf_reserve(out, piece.len * 4 + 8);

		if (!room)
			return;
		buf_took(out, (size_t)(write_printable(room, piece, ends_line, &column) - room));
		line = text_from(line, piece.len);
	}
	buf_add(out, TEXT("\r\n"));
}

void smtp_quoted_printable_add(struct buf *out, struct text text)
{
	while (text.len && !out->err)
		add_printable_line(out, next_line(&text));
}

void smtp_lines_add(struct buf *out, struct text text)
{
	while (text.len && !out->err) {
		buf_add(out, next_line(&text));
		buf_add(out, TEXT("\r\n"));
	}
}
