/* encode_header - header lines that fold, with their encoded words and parameters (of encode.h) */
#include "smtp/message/encode.h"

#include <openssl/evp.h>
#include <string.h>

enum {
	WORD = 75,
	WORDS_ROOM = 24, /* of a line that a word may begin in: two characters of any kind */
	HEADER_MAX = 998,
	PARAMETER_MAX = 900,
	SECTION = 60,
	NAME_MAX_BYTES = 200
};

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
	size_t most = room < 16 ? 0 : ((room < WORD ? room : WORD) - 12) / 4 * 3, len = 0;

	while (len < text.len && len + character(text_from(text, len)) <= most)
		len += character(text_from(text, len));
	return text_head(text, len);
}

size_t smtp_words_add(struct buf *out, struct text text, size_t column)
{
	char coded[WORD + 1];

	while (text.len) {
		struct text piece =
			fitting(text, column < SMTP_MIME_LINE ? SMTP_MIME_LINE - column : 0);
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

	for (size_t i = 0; i < value.len && run <= SMTP_MIME_LINE / 2; i++)
		run = byte_is_blank(value.at[i]) ? run + 1 : 0;
	return run > SMTP_MIME_LINE / 2;
}

/* Can folding at blanks keep its lines within 998 bytes, whatever they are? */
static bool can_be_folded(struct text name, struct text value)
{
	size_t most = HEADER_MAX - 2 - text_head(name, NAME_MAX_BYTES).len;

	if (has_wide_gap(value)) /* it cannot be folded within blanks */
		return false;
	while (value.len > most)
		if (text_cut(&value, ' ').len > most)
			return false;
	return true;
}

static bool needs_words(struct text name, struct text value)
{
	/* "=?" would be read as an encoded word, and blanks at the ends do not survive */
	return !text_is_ascii(value) || has_word_start(value) ||
	       text_trim(value).len != value.len || !can_be_folded(name, value);
}

/* Fields that are read by a grammar (addresses, ids, URLs, words of a list), not by people. */
static bool is_structured(struct text name)
{
	static const char *const names[] = { "in-reply-to", "references", "archived-at",
		"auto-submitted", "disposition-notification-to", "disposition-notification-options",
		"errors-to", "return-receipt-to", "expires", "importance", "precedence", "priority",
		"sensitivity", "supersedes", "x-priority" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal_nocase(name, text_of(names[i])))
			return true;
	return text_starts_nocase(name, TEXT("list-"));
}

const char *smtp_header_why_not(struct text name, struct text value)
{
	if (!is_structured(name))
		return NULL;
	if (!text_is_ascii(value))
		return "this header takes ASCII alone; a name in it goes as an encoded word, "
		       "\"=?UTF-8?B?…?= <a@b>\" (RFC 2047)";
	if (!can_be_folded(name, text_trim(value)))
		return "line: it cannot be folded at its blanks into lines of 998 bytes";
	return NULL;
}

/* Folds in front of the blanks where the word behind them would pass the line: no line ends in
 * blanks, which might get lost. Gives where the line ends. */
static size_t add_folded(struct buf *out, struct text value, size_t column)
{
	while (value.len) {
		size_t blanks = 0, len;

		while (blanks < value.len && byte_is_blank(value.at[blanks]))
			blanks++;
		for (len = blanks; len < value.len && !byte_is_blank(value.at[len]);)
			len++;
		if (column > 1 && blanks && column + len > SMTP_MIME_LINE && len > blanks) {
			buf_add(out, TEXT("\r\n"));
			column = 0;
		}
		buf_add(out, text_head(value, len));
		column += len;
		value = text_from(value, len);
	}
	return column;
}

/* A name that leaves no room for a word stands alone, without a blank behind it, so that what is
 * unfolded has one. */
static void add_words(struct buf *out, struct text value, size_t column)
{
	bool fits = column + 1 + WORDS_ROOM <= SMTP_MIME_LINE;

	buf_add_string(out, fits ? " " : "\r\n ");
	(void)smtp_words_add(out, value, fits ? column + 1 : 1);
}

void smtp_header_add(struct buf *out, struct text name, struct text value)
{
	if (!out->err && (text_has_control(value) || text_has_control(name)))
		out->err = ERR_VALUE;
	if (!out->err && name.len > NAME_MAX_BYTES)
		out->err = ERR_LIMIT;
	if (!out->err && smtp_header_why_not(name, value))
		out->err = ERR_VALUE;
	if (out->err)
		return;
	buf_add(out, name);
	buf_add_byte(out, ':');
	if (!is_structured(name) && needs_words(name, value)) {
		add_words(out, value, name.len + 1);
	} else {
		buf_add_byte(out, ' ');
		(void)add_folded(out, text_trim(value), name.len + 2);
	}
	buf_add(out, TEXT("\r\n"));
}

/* Atoms with one blank between them: of more, readers keep one. */
static bool is_atom_phrase(struct text phrase)
{
	char before = ' ';

	for (size_t i = 0; i < phrase.len; before = phrase.at[i++]) {
		if (before == ' ' && phrase.at[i] == ' ')
			return false;
		if (!byte_is_letter(phrase.at[i]) && !byte_is_digit(phrase.at[i]) &&
			(phrase.at[i] == 0 || !strchr(" !#$%&'*+-/^_`{|}~", phrase.at[i])))
			return false;
	}
	return before != ' ';
}

/* Its length in quotes, on one line: there is no good place to fold at between quotes. */
static size_t quoted_length(struct text text)
{
	size_t len = text.len + 2;

	for (size_t i = 0; i < text.len; i++)
		len += text.at[i] == '"' || text.at[i] == '\\';
	return len;
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
	if (is_atom_phrase(phrase))
		return add_folded(out, phrase, column);
	if (column + quoted_length(phrase) > SMTP_MIME_LINE)
		return smtp_words_add(out, phrase, column);
	return column + add_quoted(out, phrase);
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
	/* There are readers that take an encoded word for one in quotes too. */
	bool ascii = text_is_ascii(value) && !has_word_start(value);

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
