#include "smtp/message/content_own.h"

#include <openssl/evp.h>
#include <string.h>

enum { LINES_AT_ONCE = 256 };

static struct text rest_of(
	const struct smtp_content *content, const struct smtp_content_reader *reader)
{
	return text_from(content->text, reader->at);
}

static size_t make_copy(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room)
{
	struct text rest = text_head(rest_of(content, reader), room);

	if (rest.len)
		memcpy(out, rest.at, rest.len);
	reader->at += rest.len;
	return rest.len;
}

/* ---- base64 */

size_t content_base64_line(char *out, const char *bytes, size_t len)
{
	size_t letters = LINE;

	if (len == BYTES_A_LINE)
		smtp_base64_line(bytes, out);
	else
		letters = (size_t)EVP_EncodeBlock(
			(unsigned char *)out, (const unsigned char *)bytes, (int)len);
	memcpy(out + letters, "\r\n", 2);
	return letters + 2;
}

static size_t write_base64_lines(char *out, struct text bytes)
{
	char *to = out;

	while (bytes.len) {
		struct text line = text_head(bytes, BYTES_A_LINE);

		to += content_base64_line(to, line.at, line.len);
		bytes = text_from(bytes, line.len);
	}
	return (size_t)(to - out);
}

/* EVP_EncodeBlock puts a NUL behind what it writes: a line's end has room for it. */
static size_t make_base64(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room)
{
	char lines[LINES_AT_ONCE * BYTES_A_LINE];
	size_t most = room / WIRE_LINE * BYTES_A_LINE;
	struct text bytes;

	if (content->source) {
		most = most < sizeof(lines) ? most : sizeof(lines);
		bytes = (struct text){ lines,
			content->source->read(content->source, reader->at, lines, most) };
		if (bytes.len < most && reader->at + bytes.len < content->len)
			return 0; /* it fails */
	} else {
		bytes = text_head(rest_of(content, reader), most);
	}
	reader->at += bytes.len;
	return write_base64_lines(out, bytes);
}

/* Up to `most` letters (or padding), white space between them left out. */
static size_t take_letters(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t most)
{
	size_t done = 0, len;

	while (done < most && reader->at < content->text.len) {
		struct text rest = text_head(rest_of(content, reader), most - done);

		len = smtp_base64_run(rest);
		if (len == 0 && byte_is_space(rest.at[0])) {
			reader->at++;
			continue;
		}
		len = len ? len : 1;
		memcpy(out + done, rest.at, len);
		reader->at += len;
		done += len;
	}
	return done;
}

/* Letters alone, with nothing between them to be left out. */
static bool is_dense(const struct smtp_content *content)
{
	return content->len && content->text.len == (content->len + 2) / 3 * 4;
}

static size_t take_dense_line(
	const struct smtp_content *content, struct smtp_content_reader *reader, char *out)
{
	struct text line = text_head(rest_of(content, reader), LINE);

	if (line.len)
		memcpy(out, line.at, line.len);
	reader->at += line.len;
	return line.len;
}

static size_t make_rewrapped(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room)
{
	bool dense = is_dense(content);
	size_t done = 0, len;

	while (room - done >= WIRE_LINE) {
		len = dense ? take_dense_line(content, reader, out + done)
			    : take_letters(content, reader, out + done, LINE);
		if (len == 0)
			break;
		memcpy(out + done + len, "\r\n", 2);
		done += len + 2;
		if (len < LINE)
			break;
	}
	return done;
}

/* ---- quoted-printable (RFC 2045 6.7) */

/* What stands for itself, but for a blank at the end of a line. */
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

/* One byte, with a soft line break before it where it does not fit: six bytes at most. */
static size_t write_quoted(char *out, char byte, bool ends_line, size_t *column)
{
	static const char hex[] = "0123456789ABCDEF";
	bool plain = is_plain[(unsigned char)byte] && !(ends_line && byte_is_blank(byte));
	size_t width = plain ? 1 : 3;
	char *to = out;

	if (*column + width > LINE - (ends_line ? 0 : 1)) {
		memcpy(to, "=\r\n", 3);
		to += 3;
		*column = 0;
	}
	*to++ = plain ? byte : '=';
	if (!plain) {
		*to++ = hex[(unsigned char)byte >> 4];
		*to++ = hex[(unsigned char)byte & 15];
	}
	*column += width;
	return (size_t)(to - out);
}

static bool is_line_end(struct text text)
{
	return text.len == 0 || text.at[0] == '\r' || text.at[0] == '\n';
}

static size_t make_quoted_printable(const struct smtp_content *content,
	struct smtp_content_reader *reader, char *out, size_t room)
{
	struct text rest = rest_of(content, reader);
	size_t done = 0, run;

	while (room - done > LINE + 8 && (rest.len || reader->column)) {
		run = plain_run(rest, LINE - 1 - reader->column);
		if (run > 1) { /* all but its last byte, which may end the line */
			memcpy(out + done, rest.at, run - 1);
			done += run - 1;
			reader->at += run - 1;
			reader->column += run - 1;
			rest = text_from(rest, run - 1);
		}
		if (is_line_end(rest)) {
			memcpy(out + done, "\r\n", 2);
			done += 2;
			content_pass_line_end(reader, rest);
		} else {
			done += write_quoted(out + done, rest.at[0],
				is_line_end(text_from(rest, 1)), &reader->column);
			reader->at++;
		}
		rest = rest_of(content, reader);
	}
	return done;
}

/* ---- all of them */

static maker *const makers[] = {
	[SMTP_AS_IT_IS] = make_copy,
	[SMTP_BASE64_REWRAP] = make_rewrapped,
	[SMTP_BASE64] = make_base64,
	[SMTP_LINES] = content_make_lines,
	[SMTP_LINES_BASE64] = content_make_lines_base64,
	[SMTP_QUOTED_PRINTABLE] = make_quoted_printable,
};

static size_t give_ready(struct smtp_content_reader *reader, char *out, size_t room)
{
	size_t len = (size_t)(reader->ready - reader->given);

	len = len < room ? len : room;
	memcpy(out, reader->step + reader->given, len);
	reader->given = (unsigned short)(reader->given + len);
	return len;
}

size_t smtp_content_read(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room)
{
	maker *make = makers[content->encoding];
	size_t done = 0, len;

	while (done < room) {
		if (reader->given < reader->ready) {
			len = give_ready(reader, out + done, room - done);
		} else if (content->encoding == SMTP_AS_IT_IS || room - done >= SMTP_CONTENT_STEP) {
			len = make(content, reader, out + done, room - done);
		} else {
			reader->given = 0;
			reader->ready = (unsigned short)make(
				content, reader, reader->step, sizeof(reader->step));
			len = give_ready(reader, out + done, room - done);
		}
		if (len == 0)
			break;
		done += len;
	}
	return done;
}

static uint64_t base64_size(uint64_t letters)
{
	return letters + (letters + LINE - 1) / LINE * 2;
}

static uint64_t count_by_reading(const struct smtp_content *content)
{
	struct smtp_content_reader reader = { 0 };
	char wire[4096];
	uint64_t size = 0;
	size_t len;

	while ((len = smtp_content_read(content, &reader, wire, sizeof(wire))))
		size += len;
	return size;
}

uint64_t smtp_content_size(const struct smtp_content *content)
{
	uint64_t len = content->source ? content->len : content->text.len;

	switch (content->encoding) {
	case SMTP_AS_IT_IS:
		return len;
	case SMTP_BASE64_REWRAP:
		return base64_size(content->len ? (content->len + 2) / 3 * 4
						: smtp_base64_letters(content->text));
	case SMTP_BASE64:
		return base64_size((len + 2) / 3 * 4);
	case SMTP_LINES:
		if (content->source)
			break;
		return content_lines_size(content->text);
	case SMTP_LINES_BASE64:
		return base64_size((content_lines_size(content->text) + 2) / 3 * 4);
	case SMTP_QUOTED_PRINTABLE:
		break;
	}
	return count_by_reading(content);
}

void smtp_content_add(struct buf *out, const struct smtp_content *content)
{
	struct smtp_content_reader reader = { 0 };
	uint64_t left = content->source ? content->len : content->text.len;
	size_t len;

	do {
		char *room = buf_reserve(out, 1024 + (left < 65536 ? (size_t)left : 65536));

		if (!room)
			return;
		len = smtp_content_read(content, &reader, room, out->room - out->len);
		buf_took(out, len);
		left = (content->source ? content->len : content->text.len) - reader.at;
	} while (len);
	if (left)
		out->err = ERR_VALUE;
}
