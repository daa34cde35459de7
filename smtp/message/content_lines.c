/* content_lines - texts, whose line ends become CRLF (of content.h) */
#include "smtp/message/content_own.h"

#include <string.h>

enum { SOURCE_STEP = 4096, LONGEST_LINE = 998 };

static size_t line_length(struct text text)
{
	size_t len = text_find_control(text);

	while (len < text.len && text.at[len] != '\r' && text.at[len] != '\n')
		len += 1 + text_find_control(text_from(text, len + 1));
	return len;
}

void content_pass_line_end(struct smtp_content_reader *reader, struct text text)
{
	reader->at += text_starts(text, TEXT("\r\n")) ? 2 : text.len > 0;
	reader->column = 0;
}

static void take_run(struct smtp_content_reader *reader, struct text run, char *out)
{
	if (run.len)
		memcpy(out, run.at, run.len);
	reader->at += run.len;
	reader->column += run.len;
}

/* Of what smtp_content_is_message took: a CR stands before an LF alone. */
static size_t make_lines_of_source(const struct smtp_content *content,
	struct smtp_content_reader *reader, char *out, size_t room)
{
	char bytes[SOURCE_STEP];
	size_t most = (room - 2) / 2 < sizeof(bytes) ? (room - 2) / 2 : sizeof(bytes), done = 0;
	size_t len = content->source->read(content->source, reader->at, bytes, most);

	if (len < most && reader->at + len < content->len)
		return 0; /* it fails */
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n')
			out[done++] = '\r';
		if (bytes[i] != '\r')
			out[done++] = bytes[i];
		reader->column = bytes[i] == '\n' ? 0 : reader->column + 1;
	}
	reader->at += len;
	if (reader->at == content->len && reader->column) {
		memcpy(out + done, "\r\n", 2);
		done += 2;
		reader->column = 0;
	}
	return done;
}

size_t content_make_lines(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room)
{
	size_t done = 0;

	if (content->source)
		return make_lines_of_source(content, reader, out, room);
	while (room - done > 2) {
		struct text rest = text_from(content->text, reader->at), line;

		if (rest.len == 0 && reader->column == 0)
			break;
		line = text_head(rest, room - done - 2);
		line.len = line_length(line);
		take_run(reader, line, out + done);
		done += line.len;
		rest = text_from(rest, line.len);
		if (rest.len && rest.at[0] != '\r' && rest.at[0] != '\n')
			break; /* no room for more of it */
		memcpy(out + done, "\r\n", 2);
		done += 2;
		content_pass_line_end(reader, rest);
	}
	return done;
}

/* A line of base64 holds BYTES_A_LINE bytes of text, whose line ends may fall between two. */
static size_t fill_from_lines(
	const struct smtp_content *content, struct smtp_content_reader *reader, char *out)
{
	size_t done = 0;

	while (done < BYTES_A_LINE) {
		struct text rest = text_from(content->text, reader->at), line;

		if (reader->inside_crlf) {
			reader->inside_crlf = false;
			out[done++] = '\n';
			continue;
		}
		if (rest.len == 0 && reader->column == 0)
			break;
		line = text_head(rest, BYTES_A_LINE - done);
		line.len = line_length(line);
		take_run(reader, line, out + done);
		done += line.len;
		if (done == BYTES_A_LINE)
			break;
		out[done++] = '\r';
		reader->inside_crlf = true;
		content_pass_line_end(reader, text_from(rest, line.len));
	}
	return done;
}

size_t content_make_lines_base64(const struct smtp_content *content,
	struct smtp_content_reader *reader, char *out, size_t room)
{
	char bytes[BYTES_A_LINE];
	size_t done = 0, len;

	while (room - done > WIRE_LINE && (len = fill_from_lines(content, reader, bytes)))
		done += content_base64_line(out + done, bytes, len);
	return done;
}

uint64_t content_lines_size(struct text text)
{
	uint64_t size = 0;

	while (text.len) {
		size_t len = line_length(text);

		size += len + 2;
		text = text_from(text, len);
		text = text_from(text, text_starts(text, TEXT("\r\n")) ? 2 : 1);
	}
	return size;
}

/* ---- can it go as it is? */

struct scan {
	uint64_t size; /* with each line end as CRLF */
	size_t column;
	char before;
	bool has_field, is_wrong;
};

static void scan_byte(struct scan *scan, char byte)
{
	if (!scan->has_field) { /* field-name ":" (RFC 5322 2.2) */
		scan->has_field = byte == ':' && scan->size;
		scan->is_wrong |= byte <= ' ' || byte == 0x7f || (byte == ':' && !scan->size);
	}
	if (byte == '\n') {
		scan->size += scan->before == '\r' ? 1 : 2;
		scan->column = 0;
	} else {
		scan->size++;
		scan->column += byte != '\r';
		scan->is_wrong |= scan->before == '\r' || (unsigned char)byte >= 0x80 ||
				  byte == 0 || scan->column > LONGEST_LINE;
	}
	scan->before = byte;
}

static bool scan_source(struct scan *scan, const struct smtp_content *content)
{
	char bytes[SOURCE_STEP];
	uint64_t at = 0;
	size_t len;

	while (!scan->is_wrong && at < content->len) {
		len = content->source->read(content->source, at, bytes, sizeof(bytes));
		if (len == 0)
			return false;
		for (size_t i = 0; i < len; i++)
			scan_byte(scan, bytes[i]);
		at += len;
	}
	return true;
}

bool smtp_content_is_message(const struct smtp_content *content, struct smtp_lines *lines_out)
{
	struct scan scan = { 0 };

	if (content->encoding != SMTP_BASE64 || (content->source && !scan_source(&scan, content)))
		return false;
	for (size_t i = 0; !content->source && !scan.is_wrong && i < content->text.len; i++)
		scan_byte(&scan, content->text.at[i]);
	if (scan.is_wrong || !scan.has_field || scan.before == '\r')
		return false;
	*lines_out = (struct smtp_lines){ scan.size + (scan.column ? 2 : 0), !scan.column };
	return true;
}
