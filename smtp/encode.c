#include "smtp/encode.h"

#include <openssl/evp.h>
#include <string.h>

enum { LINE = 76, WORD = 75, HEADER_MAX = 998, BYTES_A_LINE = 57, PIECE = 1024, BLOCK = 32 };
enum { PARAMETER_MAX = 900, SECTION = 60, NAME_MAX_BYTES = 200 };

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
		char *room = buf_reserve(out, LINE + 1);

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

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

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
		size_t run = plain_run(text_from(piece, i), LINE - 1 - *column);
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
		plain = is_plain[byte] && !(is_last && is_blank(piece.at[i]));
		width = plain ? 1 : 3;

		if (*column + width > LINE - (is_last ? 0 : 1)) {
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

/* Would a reader take some of it for an encoded word, "=?charset?B?…" (RFC 2047 2)? A URL may hold
 * "=?" by itself, and must stay as it is. */
static bool has_word_start(struct text text)
{
	const char *found;

	while (text.len && (found = memmem(text.at, text.len, "=?", 2))) {
		text = text_from(text, (size_t)(found - text.at) + 2);
		struct text rest = text, charset = text_cut(&rest, '?');

		if (charset.len && rest.len > 1 && memchr("BbQq", rest.at[0], 4) &&
			rest.at[1] == '?' && text_find(charset, ' ') == charset.len)
			return true;
	}
	return false;
}

/* Length of the character at the start of UTF-8 that was checked before. */
static size_t character(struct text text)
{
	unsigned char first = (unsigned char)text.at[0];
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	return len < text.len ? len : text.len;
}

/* As many whole characters as one encoded word ("=?UTF-8?B?…?=", RFC 2047 2) of `room` takes. */
static struct text fitting(struct text text, size_t room)
{
	size_t most = room < 16 ? 0 : (room - 12) / 4 * 3, len = 0;

	while (len < text.len && len + character(text_from(text, len)) <= most)
		len += character(text_from(text, len));
	return text_head(text, len);
}

size_t smtp_words_add(struct buf *out, struct text text, size_t column)
{
	char coded[WORD + 1];

	while (text.len) {
		struct text piece = fitting(text, column < LINE ? LINE - column : 0);
		int len;

		if (piece.len == 0 || (piece.len < text.len && piece.len < 4 && column > 1)) {
			buf_add(out, TEXT("\r\n "));
			column = 1;
			continue;
		}
		len = EVP_EncodeBlock(
			(unsigned char *)coded, (const unsigned char *)piece.at, (int)piece.len);
		buf_add(out, TEXT("=?UTF-8?B?"));
		buf_add(out, (struct text){ coded, (size_t)len });
		buf_add(out, TEXT("?="));
		column += (size_t)len + 12;
		text = text_from(text, piece.len);
		if (text.len) {
			buf_add(out, TEXT("\r\n "));
			column = 1;
		}
	}
	return column;
}

/* A run of blanks that would not fit a line. */
static bool has_wide_gap(struct text value)
{
	size_t run = 0;

	for (size_t i = 0; i < value.len && run <= LINE / 2; i++)
		run = value.at[i] == ' ' || value.at[i] == '\t' ? run + 1 : 0;
	return run > LINE / 2;
}

/* `most`: the longest run without a blank that its line can hold. */
static bool needs_words(struct text value, size_t most)
{
	struct text rest = value;

	while (rest.len > most)
		if (text_cut(&rest, ' ').len > most)
			return true;
	if (has_wide_gap(value)) /* it cannot be folded within blanks */
		return true;
	/* "=?" would be read as an encoded word, and blanks at the ends do not survive */
	return !text_is_ascii(value) || has_word_start(value) || text_trim(value).len != value.len;
}

/* Folds in front of a blank where the next word would pass the line. */
static void add_folded(struct buf *out, struct text value, size_t column)
{
	while (value.len) {
		size_t len = value.at[0] == ' ' || value.at[0] == '\t';

		while (len < value.len && value.at[len] != ' ' && value.at[len] != '\t')
			len++;
		if (column > 1 && column + len > LINE &&
			(value.at[0] == ' ' || value.at[0] == '\t') && len > 1) {
			buf_add(out, TEXT("\r\n"));
			column = 0;
		}
		buf_add(out, text_head(value, len));
		column += len;
		value = text_from(value, len);
	}
}

void smtp_header_add(struct buf *out, struct text name, struct text value)
{
	if (!out->err && (text_has_control(value) || text_has_control(name)))
		out->err = ERR_VALUE;
	if (!out->err && name.len > NAME_MAX_BYTES)
		out->err = ERR_LIMIT;
	buf_add(out, name);
	buf_add(out, TEXT(": "));
	if (needs_words(value, HEADER_MAX - 2 - name.len))
		(void)smtp_words_add(out, value, name.len + 2);
	else
		add_folded(out, value, name.len + 2);
	buf_add(out, TEXT("\r\n"));
}

static bool is_atom_phrase(struct text phrase)
{
	for (size_t i = 0; i < phrase.len; i++)
		if (!byte_is_letter(phrase.at[i]) && !byte_is_digit(phrase.at[i]) &&
			(phrase.at[i] == 0 || !strchr(" !#$%&'*+-/^_`{|}~", phrase.at[i])))
			return false;
	return phrase.len && phrase.at[0] != ' ' && phrase.at[phrase.len - 1] != ' ';
}

static size_t add_quoted(struct buf *out, struct text text)
{
	size_t before = out->len;

	buf_add_byte(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, text.at[i]);
	}
	buf_add_byte(out, '"');
	return out->len - before;
}

size_t smtp_phrase_add(struct buf *out, struct text phrase, size_t column)
{
	if (!out->err && text_has_control(phrase))
		out->err = ERR_VALUE;
	if (!text_is_ascii(phrase) || phrase.len > 200 || has_word_start(phrase))
		return smtp_words_add(out, phrase, column);
	if (!is_atom_phrase(phrase))
		return column + add_quoted(out, phrase);
	buf_add(out, phrase);
	return column + phrase.len;
}

/* RFC 2231 section 7: attribute-char. */
static size_t add_extended_byte(struct buf *out, char byte)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char value = (unsigned char)byte;
	char coded[] = { '%', hex[value >> 4], hex[value & 15] };
	bool plain = byte_is_letter(byte) || byte_is_digit(byte) ||
		     (byte && strchr("!#$&+-.^_`|~", byte));

	buf_add(out, plain ? (struct text){ &byte, 1 } : (struct text){ coded, 3 });
	return plain ? 1 : 3;
}

/* RFC 2231 section 3: "; name*0*=utf-8''…; name*1*=…", for what no line could hold. */
static void add_continued(struct buf *out, const char *name, struct text value)
{
	unsigned section = 0;

	while (value.len && !out->err) {
		size_t column = 0;

		buf_addf(out, ";\r\n %s*%u*=%s", name, section, section ? "" : "utf-8''");
		for (; value.len && column < SECTION; value = text_from(value, 1))
			column += add_extended_byte(out, value.at[0]);
		section++;
	}
}

void smtp_parameter_add(struct buf *out, const char *name, struct text value)
{
	bool ascii = text_is_ascii(value);

	if (!out->err && text_has_control(value))
		out->err = ERR_VALUE;
	if (value.len > PARAMETER_MAX / (ascii ? 2 : 3)) {
		add_continued(out, name, value);
		return;
	}
	buf_add(out, TEXT(";\r\n "));
	buf_add_string(out, name);
	if (ascii) {
		buf_add_byte(out, '=');
		(void)add_quoted(out, value);
		return;
	}
	buf_add(out, TEXT("*=utf-8''"));
	for (size_t i = 0; i < value.len; i++)
		(void)add_extended_byte(out, value.at[i]);
}
