#include "http/message_id.h"

#include <gnutls/crypto.h>
#include <string.h>

enum { DIGEST = 32, LOCAL_LEN = 32, STEP = 16384 };

/* Hashes what comes. The first error sticks. */
struct digest {
	gnutls_hash_hd_t hash;
	bool is_wrong;
};

static void add_bytes(struct digest *digest, struct text bytes)
{
	if (bytes.len && !digest->is_wrong)
		digest->is_wrong = gnutls_hash(digest->hash, bytes.at, bytes.len) < 0;
}

static void add_number(struct digest *digest, uint64_t number)
{
	char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (char)(number >> (56 - 8 * i));
	add_bytes(digest, (struct text){ bytes, sizeof(bytes) });
}

/* Its length goes before it: where one ends and the next begins makes a difference. */
static void add_text(struct digest *digest, struct text text)
{
	add_number(digest, text.len);
	add_bytes(digest, text);
}

static void add_box(struct digest *digest, struct smtp_mailbox box)
{
	add_text(digest, box.name);
	add_text(digest, box.address);
}

static void add_boxes(struct digest *digest, struct smtp_mailboxes list)
{
	add_number(digest, list.count);
	for (size_t i = 0; i < list.count; i++)
		add_box(digest, list.at[i]);
	add_number(digest, list.group_count);
	for (size_t i = 0; i < list.group_count; i++) {
		add_text(digest, list.groups[i].name);
		add_number(digest, list.groups[i].first);
		add_number(digest, list.groups[i].count);
	}
}

/* A file that cannot be read to its end is found out by whoever composes the message. */
static void add_source(struct digest *digest, const struct smtp_content *content)
{
	char bytes[STEP];
	uint64_t at = 0;
	size_t len;

	add_number(digest, content->len);
	do {
		len = content->source->read(content->source, at, bytes, sizeof(bytes));
		add_bytes(digest, (struct text){ bytes, len });
		at += len;
	} while (len == sizeof(bytes));
}

static void add_attachment(struct digest *digest, const struct smtp_attachment *attachment)
{
	add_text(digest, attachment->filename);
	add_text(digest, attachment->content_type);
	add_text(digest, attachment->content_id);
	add_number(digest, attachment->is_inline);
	add_number(digest, attachment->content.encoding);
	if (attachment->content.source)
		add_source(digest, &attachment->content);
	else
		add_text(digest, attachment->content.text);
}

/* What it says, and not when it was said, nor how it came. */
static void add_mail(struct digest *digest, const struct smtp_mail *mail, bool has_date)
{
	add_box(digest, mail->from);
	add_boxes(digest, mail->to);
	add_boxes(digest, mail->cc);
	add_boxes(digest, mail->reply_to);
	add_text(digest, mail->subject);
	add_number(digest, mail->has_text);
	add_text(digest, mail->has_text ? mail->text : (struct text){ 0 });
	add_number(digest, mail->has_html);
	add_text(digest, mail->has_html ? mail->html : (struct text){ 0 });
	add_text(digest, mail->calendar.method);
	add_text(digest, mail->calendar.content);
	add_number(digest, mail->header_count);
	for (size_t i = 0; i < mail->header_count; i++) {
		add_text(digest, mail->headers[i].name);
		add_text(digest, mail->headers[i].value);
	}
	add_number(digest, has_date ? (uint64_t)mail->date_s : 0);
	add_number(digest, mail->attachment_count);
	for (size_t i = 0; i < mail->attachment_count; i++)
		add_attachment(digest, &mail->attachments[i]);
}

static void add_message(struct digest *digest, const struct posted *posted)
{
	const struct smtp_raw *raw = posted->raw;

	add_text(digest, posted->envelope.from);
	add_number(digest, posted->envelope.count);
	for (size_t i = 0; i < posted->envelope.count; i++)
		add_text(digest, posted->envelope.to[i]);
	add_number(digest, raw != NULL);
	for (size_t i = 0; raw && i < raw->piece_count; i++)
		add_bytes(digest, raw->pieces[i].bytes);
	if (!raw)
		add_mail(digest, &posted->mail, posted->has_date);
}

/* SHA-256, as far as it is used, in hexadecimal digits. */
static bool derive(const struct delivery *delivery, struct text key, size_t place,
	const struct posted *posted, char local_out[LOCAL_LEN])
{
	static const char hex[] = "0123456789abcdef";
	struct digest digest = { 0 };
	unsigned char bytes[DIGEST];

	if (gnutls_hash_init(&digest.hash, GNUTLS_DIG_SHA256) < 0)
		return false;
	add_text(&digest, delivery->key_id);
	add_text(&digest, key);
	add_number(&digest, place);
	add_message(&digest, posted);
	gnutls_hash_deinit(digest.hash, bytes);
	for (int i = 0; i < LOCAL_LEN / 2; i++) {
		local_out[2 * i] = hex[bytes[i] >> 4];
		local_out[2 * i + 1] = hex[bytes[i] & 15];
	}
	return !digest.is_wrong;
}

static struct text write_id(struct region *region, struct text local, struct text domain)
{
	char *at = region_alloc(region, local.len + domain.len + 3), *to = at;

	if (!at)
		return (struct text){ 0 };
	*to++ = '<';
	memcpy(to, local.at, local.len);
	to += local.len;
	*to++ = '@';
	memcpy(to, domain.at, domain.len);
	to[domain.len] = '>';
	return (struct text){ at, local.len + domain.len + 3 };
}

struct text message_id_key(const struct exchange *exchange)
{
	struct text key = exchange_header(exchange, "Idempotency-Key");

	if (key.len >= 2 && key.at[0] == '"' && key.at[key.len - 1] == '"')
		key = (struct text){ key.at + 1, key.len - 2 };
	return key;
}

struct text message_id_make(const struct exchange *exchange, const struct delivery *delivery,
	const struct posted *posted, const struct json_at *at)
{
	struct text domain = smtp_address_domain(delivery->from), key = message_id_key(exchange);
	char local[LOCAL_LEN];

	if (!key.len)
		return write_id(
			delivery->region, (struct text){ delivery->id, DELIVERY_ID_LEN }, domain);
	if (!derive(delivery, key, at ? at->index + 1 : 0, posted, local))
		return (struct text){ 0 };
	return write_id(delivery->region, (struct text){ local, sizeof(local) }, domain);
}
