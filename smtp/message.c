#include "smtp/message.h"

#include <string.h>
#include <time.h>

#include "smtp/encode.h"

enum { COMPOSED_MAX = 128 << 20, LINE = 76, SEGMENTS_A_PART = 2, BOUNDARY = 36 };

struct composer {
	struct buf out; /* all literal bytes, one behind the other */
	struct smtp_segment *segments;
	size_t count;
	size_t literal_start; /* where in `out` the literal under way begins */
	char boundary[3][BOUNDARY];
};

/* Ends the literal under way. Until the end, `at` holds an offset into `out`, which still moves. */
static void close_literal(struct composer *composer)
{
	size_t len = composer->out.len - composer->literal_start;

	if (len)
		composer->segments[composer->count++] = (struct smtp_segment){ SMTP_AS_IT_IS,
			{ (const char *)(uintptr_t)composer->literal_start, len }, len };
	composer->literal_start = composer->out.len;
}

static uint64_t rewrapped_size(struct text base64)
{
	uint64_t letters = smtp_base64_letters(base64);

	return letters + (letters + LINE - 1) / LINE * 2;
}

static void add_base64_content(struct composer *composer, struct text base64)
{
	if (base64.len == 0)
		return;
	close_literal(composer);
	composer->segments[composer->count++] =
		(struct smtp_segment){ SMTP_BASE64_REWRAP, base64, rewrapped_size(base64) };
}

/* ---- headers */

static void add_mailboxes(struct buf *out, const char *name, struct smtp_mailboxes boxes)
{
	size_t column = strlen(name) + 2;

	if (boxes.count == 0)
		return;
	buf_add_string(out, name);
	buf_add(out, TEXT(": "));
	for (size_t i = 0; i < boxes.count; i++) {
		const struct smtp_mailbox *box = &boxes.at[i];

		if (i) {
			buf_add(out, TEXT(",\r\n "));
			column = 1;
		}
		if (box->name.len) {
			column = smtp_phrase_add(out, box->name, column);
			buf_add_string(out, column + box->address.len + 3 > LINE ? "\r\n <" : " <");
			buf_add(out, box->address);
			buf_add_byte(out, '>');
		} else {
			buf_add(out, box->address);
		}
	}
	buf_add(out, TEXT("\r\n"));
}

static void add_two_digits(struct buf *out, int number, char behind)
{
	char digits[] = { (char)('0' + number / 10), (char)('0' + number % 10), behind };

	buf_add(out, (struct text){ digits, sizeof(digits) });
}

/* RFC 5322 3.3, in UTC. */
static void add_date(struct buf *out, int64_t date_s)
{
	static const char days[] = "Sun, Mon, Tue, Wed, Thu, Fri, Sat, ";
	static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
	time_t time = (time_t)date_s;
	struct tm tm;

	gmtime_r(&time, &tm);
	buf_add(out, TEXT("Date: "));
	buf_add(out, (struct text){ days + 5 * tm.tm_wday, 5 });
	buf_add_u64(out, (uint64_t)tm.tm_mday);
	buf_add_byte(out, ' ');
	buf_add(out, (struct text){ months + 4 * tm.tm_mon, 4 });
	buf_add_u64(out, (uint64_t)(tm.tm_year + 1900));
	buf_add_byte(out, ' ');
	add_two_digits(out, tm.tm_hour, ':');
	add_two_digits(out, tm.tm_min, ':');
	add_two_digits(out, tm.tm_sec, ' ');
	buf_add(out, TEXT("+0000\r\n"));
}

static void add_headers(struct buf *out, const struct smtp_mail *mail)
{
	struct smtp_mailboxes from = { &mail->from, 1 };

	add_mailboxes(out, "From", from);
	add_mailboxes(out, "To", mail->to);
	add_mailboxes(out, "Cc", mail->cc);
	add_mailboxes(out, "Reply-To", mail->reply_to);
	if (mail->subject.len)
		smtp_header_add(out, TEXT("Subject"), mail->subject);
	buf_add_string(out, "Message-ID: ");
	buf_add(out, mail->message_id);
	buf_add_string(out, "\r\n");
	add_date(out, mail->date_s);
	for (size_t i = 0; i < mail->header_count; i++)
		smtp_header_add(out, mail->headers[i].name, mail->headers[i].value);
	buf_add_string(out, "MIME-Version: 1.0\r\n");
}

/* ---- parts */

/* May it go as it is, but for its line ends: lines of usual length, no control but the tab? */
static bool is_seven_bit(struct text text)
{
	size_t column = 0;

	if (!text_is_ascii(text) || (text.len && memchr(text.at, 0x7f, text.len)))
		return false;
	while (text.len) {
		size_t run = text_find_control(text);

		column += run;
		if (column > LINE + 2)
			return false;
		if (run == text.len)
			break;
		if (text.at[run] == '\r' || text.at[run] == '\n')
			column = 0;
		else if (text.at[run] == '\t')
			column++;
		else
			return false;
		text = text_from(text, run + 1);
	}
	return true;
}

/* Base64 grows by a third; quoted-printable triples what is not ASCII. */
static bool is_mostly_foreign(struct text text)
{
	size_t foreign = 0;

	for (size_t i = 0; i < text.len; i++)
		foreign += (unsigned char)text.at[i] >= 0x80;
	return foreign > text.len / 6;
}

static void add_crlf_base64(struct buf *out, struct text text)
{
	struct buf lines = buf_born(COMPOSED_MAX);

	smtp_lines_add(&lines, text);
	smtp_base64_add(out, buf_text(&lines));
	if (lines.err)
		out->err = lines.err;
	buf_free(&lines);
}

static void add_text_part(struct composer *composer, const char *subtype, struct text text)
{
	struct buf *out = &composer->out;

	buf_add(out, TEXT("Content-Type: text/"));
	buf_add_string(out, subtype);
	buf_add(out, TEXT("; charset=utf-8\r\n"));
	if (is_seven_bit(text)) {
		buf_add_string(out, "Content-Transfer-Encoding: 7bit\r\n\r\n");
		smtp_lines_add(out, text);
	} else if (is_mostly_foreign(text)) {
		buf_add_string(out, "Content-Transfer-Encoding: base64\r\n\r\n");
		add_crlf_base64(out, text);
	} else {
		buf_add_string(out, "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
		smtp_quoted_printable_add(out, text);
	}
}

static struct text type_by_ending(struct text filename)
{
	static const struct {
		struct text ending, type;
	} types[] = { { TEXT(".pdf"), TEXT("application/pdf") },
		{ TEXT(".png"), TEXT("image/png") }, { TEXT(".jpg"), TEXT("image/jpeg") },
		{ TEXT(".jpeg"), TEXT("image/jpeg") }, { TEXT(".gif"), TEXT("image/gif") },
		{ TEXT(".webp"), TEXT("image/webp") }, { TEXT(".svg"), TEXT("image/svg+xml") },
		{ TEXT(".txt"), TEXT("text/plain") }, { TEXT(".csv"), TEXT("text/csv") },
		{ TEXT(".html"), TEXT("text/html") }, { TEXT(".ics"), TEXT("text/calendar") },
		{ TEXT(".json"), TEXT("application/json") },
		{ TEXT(".xml"), TEXT("application/xml") },
		{ TEXT(".zip"), TEXT("application/zip") },
		{ TEXT(".docx"),
			TEXT("application/"
			     "vnd.openxmlformats-officedocument.wordprocessingml.document") },
		{ TEXT(".xlsx"), TEXT("application/"
				      "vnd.openxmlformats-officedocument.spreadsheetml.sheet") } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (filename.len > types[i].ending.len &&
			text_equal_nocase(text_from(filename, filename.len - types[i].ending.len),
				types[i].ending))
			return types[i].type;
	return TEXT("application/octet-stream");
}

/* RFC 2046 5.2.1 forbids base64 for message/… and 5.1 for multipart/…: those travel as bytes. */
static struct text wire_type(const struct smtp_attachment *attachment)
{
	struct text type = attachment->content_type;

	if (type.len == 0)
		return type_by_ending(attachment->filename);
	if (text_starts_nocase(type, TEXT("message/")) ||
		text_starts_nocase(type, TEXT("multipart/")))
		return TEXT("application/octet-stream");
	return type;
}

static void add_attachment(struct composer *composer, const struct smtp_attachment *attachment)
{
	struct buf *out = &composer->out;
	struct text filename = attachment->filename;

	buf_add_string(out, "Content-Type: ");
	buf_add(out, wire_type(attachment));
	if (filename.len && text_is_ascii(filename))
		smtp_parameter_add(out, "name", filename);
	else if (filename.len) { /* what Outlook reads */
		buf_add_string(out, ";\r\n name=\"");
		(void)smtp_words_add(out, filename, 7);
		buf_add_byte(out, '"');
	}
	buf_add_string(out, "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: ");
	buf_add_string(out, attachment->is_inline ? "inline" : "attachment");
	if (filename.len)
		smtp_parameter_add(out, "filename", filename);
	buf_add_string(out, "\r\n");
	if (attachment->content_id.len) {
		buf_add_string(out, "Content-ID: <");
		buf_add(out, attachment->content_id);
		buf_add_string(out, ">\r\n");
	}
	buf_add_string(out, "\r\n");
	add_base64_content(composer, attachment->base64);
}

/* ---- structure: alternative inside related inside mixed, none of them needlessly */

enum layer { MIXED, RELATED, ALTERNATIVE };

static void open_layer(struct composer *composer, enum layer layer)
{
	static const char *const names[] = { "mixed", "related", "alternative" };
	struct buf *out = &composer->out;

	buf_add(out, TEXT("Content-Type: multipart/"));
	buf_add_string(out, names[layer]);
	buf_add(out, TEXT(";\r\n boundary=\""));
	buf_add_string(out, composer->boundary[layer]);
	buf_add(out, TEXT("\"\r\n\r\n"));
}

static void next_part(struct composer *composer, enum layer layer)
{
	buf_add(&composer->out, TEXT("--"));
	buf_add_string(&composer->out, composer->boundary[layer]);
	buf_add(&composer->out, TEXT("\r\n"));
}

static void close_layer(struct composer *composer, enum layer layer)
{
	buf_add(&composer->out, TEXT("--"));
	buf_add_string(&composer->out, composer->boundary[layer]);
	buf_add(&composer->out, TEXT("--\r\n"));
}

static void add_alternative(struct composer *composer, const struct smtp_mail *mail)
{
	if (mail->has_html && !mail->has_text) {
		add_text_part(composer, "html", mail->html);
		return;
	}
	if (!mail->has_html) {
		add_text_part(composer, "plain", mail->text);
		return;
	}
	open_layer(composer, ALTERNATIVE);
	next_part(composer, ALTERNATIVE);
	add_text_part(composer, "plain", mail->text);
	next_part(composer, ALTERNATIVE);
	add_text_part(composer, "html", mail->html);
	close_layer(composer, ALTERNATIVE);
}

static size_t count_parts(const struct smtp_mail *mail, bool is_inline)
{
	size_t count = 0;

	for (size_t i = 0; i < mail->attachment_count; i++)
		count += mail->attachments[i].is_inline == is_inline;
	return count;
}

static void add_attachments(
	struct composer *composer, const struct smtp_mail *mail, enum layer layer)
{
	for (size_t i = 0; i < mail->attachment_count; i++)
		if (mail->attachments[i].is_inline == (layer == RELATED)) {
			next_part(composer, layer);
			add_attachment(composer, &mail->attachments[i]);
		}
	close_layer(composer, layer);
}

static void add_related(struct composer *composer, const struct smtp_mail *mail)
{
	if (count_parts(mail, true) == 0) {
		add_alternative(composer, mail);
		return;
	}
	open_layer(composer, RELATED);
	next_part(composer, RELATED);
	add_alternative(composer, mail);
	add_attachments(composer, mail, RELATED);
}

static void add_body(struct composer *composer, const struct smtp_mail *mail)
{
	if (count_parts(mail, false) == 0) {
		add_related(composer, mail);
		return;
	}
	open_layer(composer, MIXED);
	next_part(composer, MIXED);
	add_related(composer, mail);
	add_attachments(composer, mail, MIXED);
}

/* 128 random bits each: "=_" cannot occur in quoted-printable or base64 (RFC 2045 6.7), and in 7bit
 * text the bits, unknown to who wrote it, do not either. */
static void name_boundaries(struct composer *composer, const unsigned char seed[16])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t layer = 0; layer < 3; layer++) {
		char *at = composer->boundary[layer];

		*at++ = '=';
		*at++ = '_';
		*at++ = (char)('a' + layer);
		for (size_t i = 0; i < 16; i++) {
			*at++ = hex[seed[i] >> 4];
			*at++ = hex[seed[i] & 15];
		}
		*at = 0;
	}
}

static enum err finish(
	struct composer *composer, struct region *region, struct smtp_message *message_out)
{
	struct text all;
	uint64_t size = 0;

	close_literal(composer);
	if (composer->out.err)
		return composer->out.err;
	all = region_copy(region, buf_text(&composer->out));
	if (!all.at)
		return ERR_MEMORY;
	for (size_t i = 0; i < composer->count; i++) {
		struct smtp_segment *segment = &composer->segments[i];

		if (segment->encoding == SMTP_AS_IT_IS)
			segment->content.at = all.at + (uintptr_t)segment->content.at;
		size += segment->size;
	}
	*message_out = (struct smtp_message){ composer->segments, composer->count, size,
		!text_is_ascii(all) };
	return OK;
}

/* Room for the usual message at once; growing does for the others. */
static void reserve_usual(struct buf *out, const struct smtp_mail *mail)
{
	size_t texts = mail->text.len < COMPOSED_MAX && mail->html.len < COMPOSED_MAX
			       ? mail->text.len + mail->html.len
			       : 0;

	if (texts < COMPOSED_MAX / 4)
		(void)buf_reserve(out, texts + texts / 8 + 1024);
}

enum err smtp_message_compose(const struct smtp_mail *mail, const unsigned char seed[16],
	struct region *region, struct smtp_message *message_out)
{
	struct composer composer = { .out = buf_born(COMPOSED_MAX) };
	size_t most = mail->attachment_count * SEGMENTS_A_PART + 1;
	enum err err;

	composer.segments = region_zalloc(region, most, sizeof(*composer.segments));
	if (!composer.segments)
		return ERR_MEMORY;
	reserve_usual(&composer.out, mail);
	name_boundaries(&composer, seed);
	add_headers(&composer.out, mail);
	add_body(&composer, mail);
	err = finish(&composer, region, message_out);
	buf_free(&composer.out);
	return err;
}

/* ---- reading */

static bool is_white(char byte)
{
	return byte == '\r' || byte == '\n' || byte == ' ' || byte == '\t';
}

/* One run of base64 letters, or one byte of a line end. 0: the segment is at its end. */
static size_t rewrap(const struct smtp_segment *segment, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	struct text left;
	size_t len = 0;

	while (reader->at < segment->content.len && is_white(segment->content.at[reader->at]))
		reader->at++;
	left = text_from(segment->content, reader->at);
	if (reader->column >= LINE || (left.len == 0 && reader->column)) {
		bool is_cr = reader->column <= LINE;

		*out = is_cr ? '\r' : '\n';
		reader->column = is_cr ? LINE + 1 : 0;
		return 1;
	}
	left = text_head(left, LINE - reader->column < room ? LINE - reader->column : room);
	while (len < left.len && !is_white(left.at[len]))
		len++;
	if (len)
		memcpy(out, left.at, len);
	reader->at += len;
	reader->column += len;
	return len;
}

static size_t copy(const struct smtp_segment *segment, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	struct text left = text_head(text_from(segment->content, reader->at), room);

	if (left.len)
		memcpy(out, left.at, left.len);
	reader->at += left.len;
	return left.len;
}

size_t smtp_message_read(const struct smtp_message *message, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	size_t done = 0, len;

	while (done < room && reader->segment < message->count) {
		const struct smtp_segment *segment = &message->segments[reader->segment];

		len = segment->encoding == SMTP_AS_IT_IS
			      ? copy(segment, reader, out + done, room - done)
			      : rewrap(segment, reader, out + done, room - done);
		done += len;
		if (len == 0) {
			reader->segment++;
			reader->at = reader->column = 0;
		}
	}
	return done;
}

struct text smtp_message_next(const struct smtp_message *message,
	struct smtp_message_reader *reader, char *scratch, size_t room, size_t most)
{
	const struct smtp_segment *segment = &message->segments[reader->segment];
	struct text run;

	if (reader->segment >= message->count || segment->encoding != SMTP_AS_IT_IS ||
		reader->at == segment->content.len)
		return (struct text){ scratch, smtp_message_read(message, reader, scratch, room) };
	run = text_head(text_from(segment->content, reader->at), most);
	reader->at += run.len;
	return run;
}

bool smtp_message_is_read(
	const struct smtp_message *message, const struct smtp_message_reader *reader)
{
	return reader->segment >= message->count;
}
