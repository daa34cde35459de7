#include "smtp/message/message.h"

#include <stdio.h>
#include <string.h>

#include "smtp/message/encode.h"
#include "smtp/message/part.h"

enum {
	COMPOSED_MAX = 16 << 20, /* headers and small parts; large ones stay where they lie */
	SMALL_CONTENT = 8192,    /* is cheaper encoded at once than in steps */
	SEGMENTS_A_PART = 2,
	OWN_PARTS = 4, /* text, html, calendar, and the calendar's file */
	BOUNDARY = 36,
	CALENDAR_TYPE = 100,
};

static const char PLAIN[] = "plain; charset=utf-8", HTML[] = "html; charset=utf-8";

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
		composer->segments[composer->count++] = smtp_segment_of(
			(struct text){ (const char *)(uintptr_t)composer->literal_start, len });
	composer->literal_start = composer->out.len;
}

static bool is_small(const struct smtp_content *content)
{
	return !content->source && content->text.len <= SMALL_CONTENT;
}

static void refer_to(struct composer *composer, const struct smtp_content *content, uint64_t size)
{
	close_literal(composer);
	composer->segments[composer->count++] = (struct smtp_segment){ *content, size };
}

static void add_content(struct composer *composer, const struct smtp_content *content)
{
	if (is_small(content))
		smtp_content_add(&composer->out, content);
	else
		refer_to(composer, content, smtp_content_size(content));
}

/* ---- headers */

static void add_headers(struct buf *out, const struct smtp_mail *mail)
{
	struct smtp_mailboxes from = { &mail->from, 1, NULL, 0 };

	smtp_mailboxes_add(out, "From", from);
	smtp_mailboxes_add(out, "To", mail->to);
	smtp_mailboxes_add(out, "Cc", mail->cc);
	smtp_mailboxes_add(out, "Reply-To", mail->reply_to);
	if (mail->subject.len)
		smtp_header_add(out, TEXT("Subject"), mail->subject);
	buf_add_string(out, "Message-ID: ");
	buf_add(out, mail->message_id);
	buf_add_string(out, "\r\n");
	smtp_part_date(out, mail->date_s);
	for (size_t i = 0; i < mail->header_count; i++)
		smtp_header_add(out, mail->headers[i].name, mail->headers[i].value);
	buf_add_string(out, "MIME-Version: 1.0\r\n");
}

/* ---- structure: alternative inside related inside mixed, none of them needlessly */

/* The line end before a boundary is the boundary's (RFC 2046 5.1.1): a text's own comes twice. */
static void add_message(
	struct composer *composer, struct smtp_content content, const struct smtp_lines *lines)
{
	content.encoding = SMTP_LINES;
	if (is_small(&content))
		smtp_content_add(&composer->out, &content);
	else
		refer_to(composer, &content, lines->size);
	if (lines->ends)
		buf_add(&composer->out, TEXT("\r\n"));
}

static void add_attachment(struct composer *composer, const struct smtp_attachment *attachment)
{
	struct smtp_lines lines;
	bool is_message = smtp_type_may_go_as_lines(attachment->content_type) &&
			  smtp_content_is_message(&attachment->content, &lines);

	smtp_part_head(&composer->out, attachment, is_message);
	if (is_message)
		add_message(composer, attachment->content, &lines);
	else
		add_content(composer, &attachment->content);
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

/* As with a message, where a boundary follows. */
static void add_text(struct composer *composer, const char *type, struct text text)
{
	struct smtp_content content = smtp_part_text_head(&composer->out, type, text);

	add_content(composer, &content);
	if (composer->is_enclosed && text.len &&
		(text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
		buf_add(&composer->out, TEXT("\r\n"));
}

static bool has_calendar(const struct smtp_mail *mail)
{
	return mail->calendar.content.len > 0;
}

/* The method must be the one that the content says (RFC 5546 3.2, RFC 6047 2.4). */
static void add_calendar(struct composer *composer, const struct smtp_calendar *calendar)
{
	char type[CALENDAR_TYPE];

	snprintf(type, sizeof(type), "calendar; charset=utf-8; method=%.*s",
		(int)calendar->method.len, calendar->method.at);
	next_part(composer, ALTERNATIVE);
	add_text(composer, type, calendar->content);
}

/* From the plainest to the richest (RFC 2046 5.1.4). */
static void add_alternative(struct composer *composer, const struct smtp_mail *mail)
{
	bool has_text = mail->has_text || !mail->has_html;

	if (!has_calendar(mail) && !(has_text && mail->has_html)) {
		if (has_text)
			add_text(composer, PLAIN, mail->text);
		else
			add_text(composer, HTML, mail->html);
		return;
	}
	open_layer(composer, ALTERNATIVE);
	if (has_text) {
		next_part(composer, ALTERNATIVE);
		add_text(composer, PLAIN, mail->text);
	}
	if (mail->has_html) {
		next_part(composer, ALTERNATIVE);
		add_text(composer, HTML, mail->html);
	}
	if (has_calendar(mail))
		add_calendar(composer, &mail->calendar);
	close_layer(composer, ALTERNATIVE);
}

/* For programs that show a file and not the alternative. */
static void add_invitation(struct composer *composer, const struct smtp_calendar *calendar)
{
	struct smtp_attachment file = { .filename = TEXT("invite.ics"),
		.content_type = TEXT("application/ics"),
		.content = { .encoding = SMTP_LINES_BASE64, .text = calendar->content } };

	next_part(composer, MIXED);
	add_attachment(composer, &file);
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
	if (layer == MIXED && has_calendar(mail))
		add_invitation(composer, &mail->calendar);
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
	if (count_parts(mail, false) == 0 && !has_calendar(mail)) {
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

		if (segment->content.encoding == SMTP_AS_IT_IS)
			segment->content.text.at = all.at + (uintptr_t)segment->content.text.at;
		size += segment->size;
	}
	*message_out = (struct smtp_message){ composer->segments, composer->count, size,
		!text_is_ascii(all) };
	return OK;
}

/* Room for the usual message at once; growing does for the others. */
static void reserve_usual(struct buf *out, const struct smtp_mail *mail)
{
	size_t texts = 1024;

	texts += mail->text.len <= SMALL_CONTENT ? mail->text.len * 9 / 8 : 0;
	texts += mail->html.len <= SMALL_CONTENT ? mail->html.len * 9 / 8 : 0;
	(void)buf_reserve(out, texts);
}

enum err smtp_message_compose(const struct smtp_mail *mail, const unsigned char seed[16],
	struct region *region, struct smtp_message *message_out)
{
	struct composer composer = { .out = buf_born(COMPOSED_MAX) };
	size_t most = (mail->attachment_count + OWN_PARTS) * SEGMENTS_A_PART + 1;
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
