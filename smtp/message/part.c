#include "smtp/message/part.h"

#include <string.h>
#include <time.h>

#include "smtp/message/encode.h"

enum { TYPE_MAX = 900 };

/* May it go as it is, but for its line ends: lines of usual length, no control but the tab? */
static bool is_seven_bit(struct text text)
{
	size_t column = 0;

	if (!text_is_ascii(text) || (text.len && memchr(text.at, 0x7f, text.len)))
		return false;
	while (text.len) {
		size_t run = text_find_control(text);
		bool is_tab = run < text.len && text.at[run] == '\t';

		column += run + is_tab;
		if (column > SMTP_MIME_LINE + 2) /* 78: RFC 5322 2.1.1 */
			return false;
		if (run == text.len)
			break;
		if (text.at[run] == '\r' || text.at[run] == '\n')
			column = 0;
		else if (!is_tab)
			return false;
		text = text_from(text, run + 1);
	}
	return true;
}

/* Base64 grows by a third; quoted-printable triples what is not ASCII. */
static bool is_mostly_foreign(struct text text)
{
	size_t foreign = 0;

	if (text_is_ascii(text))
		return false;
	for (size_t i = 0; i < text.len; i++)
		foreign += (unsigned char)text.at[i] >= 0x80;
	return foreign > text.len / 6;
}

struct smtp_content smtp_part_text_head(struct buf *out, const char *type, struct text text)
{
	static const char *const names[] = { [SMTP_LINES] = "7bit",
		[SMTP_LINES_BASE64] = "base64",
		[SMTP_QUOTED_PRINTABLE] = "quoted-printable" };
	enum smtp_encoding encoding = is_seven_bit(text)        ? SMTP_LINES
				      : is_mostly_foreign(text) ? SMTP_LINES_BASE64
								: SMTP_QUOTED_PRINTABLE;

	buf_add(out, TEXT("Content-Type: text/"));
	buf_add_string(out, type);
	buf_add(out, TEXT("\r\nContent-Transfer-Encoding: "));
	buf_add_string(out, names[encoding]);
	buf_add(out, TEXT("\r\n\r\n"));
	return (struct smtp_content){ .encoding = encoding, .text = text };
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

/* RFC 2046 5.2 and 5.1; RFC 6532 3.7 allows base64 for message/global. */
bool smtp_type_needs_lines(struct text content_type)
{
	return text_starts_nocase(content_type, TEXT("message/")) &&
	       !text_starts_nocase(content_type, TEXT("message/global"));
}

/* A message and the reports about one (RFC 3464, 8098). message/partial and message/external-body
 * (RFC 2046 5.2.2, 5.2.3) would have the recipient's program put together, or fetch, what no filter
 * on the way has seen. */
bool smtp_type_may_go_as_lines(struct text content_type)
{
	static const struct text types[] = { TEXT("message/rfc822"),
		TEXT("message/delivery-status"), TEXT("message/disposition-notification") };
	struct text type = text_trim(text_cut(&content_type, ';'));

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (text_equal_nocase(type, types[i]))
			return true;
	return false;
}

/* What may not be encoded, and cannot go as it is, travels as bytes. */
static struct text wire_type(const struct smtp_attachment *attachment, bool is_message)
{
	struct text type = attachment->content_type;

	if (type.len == 0)
		return type_by_ending(attachment->filename);
	if ((smtp_type_needs_lines(type) && !is_message) ||
		text_starts_nocase(type, TEXT("multipart/")))
		return TEXT("application/octet-stream");
	return type;
}

/* What programs read that do not know Content-Disposition. */
static void add_name(struct buf *out, struct text type, struct text filename)
{
	if (filename.len == 0 || text_contains_nocase(type, TEXT("name=")))
		return;
	if (text_is_ascii(filename)) {
		smtp_parameter_add(out, "name", filename);
		return;
	}
	buf_add(out, TEXT(";\r\n name=\""));
	(void)smtp_words_add(out, filename, 7);
	buf_add_byte(out, '"');
}

void smtp_part_head(struct buf *out, const struct smtp_attachment *attachment, bool is_message)
{
	struct text filename = attachment->filename, type = wire_type(attachment, is_message);

	if (!out->err && (type.len > TYPE_MAX || text_has_control(type) ||
				 text_has_control(attachment->content_id)))
		out->err = ERR_VALUE;
	buf_add_string(out, "Content-Type: ");
	buf_add(out, type);
	add_name(out, type, filename);
	buf_add_string(out, "\r\nContent-Transfer-Encoding: ");
	buf_add_string(out, is_message ? "7bit" : "base64");
	buf_add_string(out, "\r\nContent-Disposition: ");
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
}

static void add_two_digits(struct buf *out, int number, char behind)
{
	char digits[] = { (char)('0' + number / 10), (char)('0' + number % 10), behind };

	buf_add(out, (struct text){ digits, sizeof(digits) });
}

void smtp_part_date(struct buf *out, int64_t date_s)
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
	buf_add_u64(out, (uint64_t)tm.tm_year + 1900);
	buf_add_byte(out, ' ');
	add_two_digits(out, tm.tm_hour, ':');
	add_two_digits(out, tm.tm_min, ':');
	add_two_digits(out, tm.tm_sec, ' ');
	buf_add(out, TEXT("+0000\r\n"));
}
