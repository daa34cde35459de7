#include "smtp/message.h"

#include <string.h>
#include <time.h>

#include "smtp/encode.h"
#include "smtp/part.h"

enum { COMPOSED_MAX = 128 << 20, SEGMENTS_A_PART = 2, BOUNDARY = 36 };

struct composer {
	struct buf out; /* all literal bytes, one behind the other */
	struct smtp_segment *segments;
	size_t count;
	size_t literal_start; /* where in `out` the literal under way begins */
	char boundary[3][BOUNDARY];
	bool is_enclosed; /* a multipart is open */
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

	return letters + (letters + SMTP_MIME_LINE - 1) / SMTP_MIME_LINE * 2;
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
			buf_add_string(out,
				column + box->address.len + 3 > SMTP_MIME_LINE ? "\r\n <" : " <");
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
	buf_add_u64(out, (uint64_t)tm.tm_year + 1900);
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

/* ---- structure: alternative inside related inside mixed, none of them needlessly */

static void add_attachment(struct composer *composer, const struct smtp_attachment *attachment)
{
	smtp_part_head(&composer->out, attachment);
	add_base64_content(composer, attachment->base64);
}

enum layer { MIXED, RELATED, ALTERNATIVE };

static void open_layer(struct composer *composer, enum layer layer)
{
	static const char *const names[] = { "mixed", "related", "alternative" };
	struct buf *out = &composer->out;

	composer->is_enclosed = true;
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

/* The line end before a boundary is the boundary's (RFC 2046 5.1.1): a text's own comes twice. */
static void add_text(struct composer *composer, const char *subtype, struct text text)
{
	smtp_part_text(&composer->out, subtype, text);
	if (composer->is_enclosed && text.len &&
		(text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
		buf_add(&composer->out, TEXT("\r\n"));
}

static void add_alternative(struct composer *composer, const struct smtp_mail *mail)
{
	if (mail->has_html && !mail->has_text) {
		add_text(composer, "html", mail->html);
		return;
	}
	if (!mail->has_html) {
		add_text(composer, "plain", mail->text);
		return;
	}
	open_layer(composer, ALTERNATIVE);
	next_part(composer, ALTERNATIVE);
	add_text(composer, "plain", mail->text);
	next_part(composer, ALTERNATIVE);
	add_text(composer, "html", mail->html);
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
	if (region_left(region) < composer->out.len + sizeof(uintptr_t) * 4)
		return ERR_LIMIT; /* what one message may take, not what there is */
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
