#include "http/mail/mail_digest.h"

#include "http/mail/reading.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STEP = 16384 };

static void add_box(struct digest *digest, struct smtp_mailbox box)
{
	digest_add_text(digest, box.name);
	digest_add_text(digest, box.address);
}

static void add_boxes(struct digest *digest, struct smtp_mailboxes list)
{
	digest_add_number(digest, list.count);
	for (size_t i = 0; i < list.count; i++)
		add_box(digest, list.at[i]);
	digest_add_number(digest, list.group_count);
	for (size_t i = 0; i < list.group_count; i++) {
		digest_add_text(digest, list.groups[i].name);
		digest_add_number(digest, list.groups[i].first);
		digest_add_number(digest, list.groups[i].count);
	}
}

/* A file that cannot be read to its end is found out by whoever composes the message. */
static void add_source(struct digest *digest, const struct smtp_content *content)
{
	char bytes[STEP];
	uint64_t at = 0;
	size_t len;

	digest_add_number(digest, content->len);
	do {
		len = content->source->read(content->source, at, bytes, sizeof(bytes));
		digest_add_bytes(digest, (struct text){ bytes, len });
		at += len;
	} while (len == sizeof(bytes));
}

static void add_attachment(struct digest *digest, const struct smtp_attachment *attachment)
{
	digest_add_text(digest, attachment->filename);
	digest_add_text(digest, attachment->content_type);
	digest_add_text(digest, attachment->content_id);
	digest_add_number(digest, attachment->is_inline);
	digest_add_number(digest, attachment->content.encoding);
	if (attachment->content.source)
		add_source(digest, &attachment->content);
	else
		digest_add_text(digest, attachment->content.text);
}

/* By name; those of one name as they came. */
static int compare_headers(const void *left, const void *right)
{
	const struct smtp_header *a = *(const struct smtp_header *const *)left;
	const struct smtp_header *b = *(const struct smtp_header *const *)right;
	size_t shorter = a->name.len < b->name.len ? a->name.len : b->name.len;
	int order = strncasecmp(a->name.at, b->name.at, shorter);

	if (!order && a->name.len != b->name.len)
		order = a->name.len < b->name.len ? -1 : 1;
	return order ? order : a < b ? -1 : a > b;
}

/* They come in the order of the members that they were, which says nothing. */
static void add_headers(struct digest *digest, const struct smtp_mail *mail)
{
	const struct smtp_header *sorted[HEADERS_MAX];
	size_t count = mail->header_count < HEADERS_MAX ? mail->header_count : HEADERS_MAX;

	for (size_t i = 0; i < count; i++)
		sorted[i] = &mail->headers[i];
	if (count)
		qsort(sorted, count, sizeof(sorted[0]), compare_headers);
	digest_add_number(digest, count);
	for (size_t i = 0; i < count; i++) {
		digest_add_text(digest, sorted[i]->name);
		digest_add_text(digest, sorted[i]->value);
	}
}

/* What it says, and not when it was said, nor how it came. */
static void add_mail(struct digest *digest, const struct smtp_mail *mail, bool has_date)
{
	add_box(digest, mail->from);
	add_boxes(digest, mail->to);
	add_boxes(digest, mail->cc);
	add_boxes(digest, mail->reply_to);
	digest_add_text(digest, mail->subject);
	digest_add_number(digest, mail->has_text);
	digest_add_text(digest, mail->has_text ? mail->text : (struct text){ 0 });
	digest_add_number(digest, mail->has_html);
	digest_add_text(digest, mail->has_html ? mail->html : (struct text){ 0 });
	digest_add_text(digest, mail->calendar.method);
	digest_add_text(digest, mail->calendar.content);
	add_headers(digest, mail);
	digest_add_number(digest, has_date);
	digest_add_number(digest, has_date ? (uint64_t)mail->date_s : 0);
	digest_add_number(digest, mail->attachment_count);
	for (size_t i = 0; i < mail->attachment_count; i++)
		add_attachment(digest, &mail->attachments[i]);
}

bool mail_digest(const struct posted *posted, unsigned char digest_out[DIGEST_LEN])
{
	const struct smtp_raw *raw = posted->raw;
	struct digest digest = digest_begin();

	digest_add_text(&digest, posted->envelope.from);
	digest_add_number(&digest, posted->envelope.count);
	for (size_t i = 0; i < posted->envelope.count; i++)
		digest_add_text(&digest, posted->envelope.to[i]);
	digest_add_number(&digest, raw != NULL);
	for (size_t i = 0; raw && i < raw->piece_count; i++)
		digest_add_bytes(&digest, raw->pieces[i].bytes);
	if (!raw)
		add_mail(&digest, &posted->mail, posted->has_date);
	return digest_end(&digest, digest_out);
}

bool mail_digest_whole(const struct posted *posted, const unsigned char says[DIGEST_LEN],
	unsigned char digest_out[DIGEST_LEN])
{
	const struct smtp_envelope *envelope = &posted->envelope;
	const struct wishes *wishes = &posted->wishes;
	struct digest digest = digest_begin();

	digest_add_bytes(&digest, (struct text){ (const char *)says, DIGEST_LEN });
	digest_add_text(&digest, posted->mail.message_id);
	digest_add_number(&digest, envelope->notify);
	digest_add_number(&digest, envelope->ret);
	digest_add_text(&digest, envelope->envelope_id);
	digest_add_number(&digest, wishes->all_or_none);
	digest_add_number(&digest, wishes->way);
	digest_add_number(&digest, (uint64_t)wishes->send_at_ms);
	digest_add_text(&digest, wishes->relay);
	digest_add_number(&digest, wishes->tag_count); /* a route may go by them */
	for (size_t i = 0; i < wishes->tag_count; i++)
		digest_add_text(&digest, wishes->tags[i]);
	return digest_end(&digest, digest_out);
}
