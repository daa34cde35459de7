/* dkim_message - signatures in front of a message that is ready to be sent */
#include "smtp/dkim/dkim_own.h"

#include "smtp/message/message.h"
#include "smtp/region.h"

#include <string.h>

enum {
	HEAD_STEP = 4096, /* most heads are shorter */
	BODY_STEP = 1 << 16,
	HEAD_MAX = 1 << 22,
	SIGNATURES = 4096, /* those of the usual keys, several times over */
	SIGNATURES_MAX = 1 << 20,
};

/* Leaves the head alone in `head`, once the blank line is there, and begins the body. */
static bool end_head(struct buf *head, struct dkim_body *body)
{
	size_t body_at, len = dkim_head(buf_text(head), &body_at).len;

	if (len == head->len)
		return false;
	dkim_body_add(body, text_from(buf_text(head), body_at));
	head->len = len;
	return true;
}

/* One pass over the wire bytes. The head is copied, as it may lie in pieces; the body is not. */
static enum err read_wire(
	const struct smtp_message *message, struct buf *head, unsigned char hash_out[DKIM_HASH])
{
	struct smtp_message_reader reader = { 0 };
	struct dkim_body body;
	struct text piece;
	char scratch[HEAD_STEP];
	bool is_body = false;
	uint64_t size = 0;
	enum err err = dkim_body_begin(&body);

	if (err)
		return err;
	do {
		piece = smtp_message_next(message, &reader, scratch, sizeof(scratch),
			is_body ? BODY_STEP : HEAD_STEP);
		size += piece.len;
		if (is_body) {
			dkim_body_add(&body, piece);
		} else {
			buf_add(head, piece);
			is_body = end_head(head, &body);
		}
	} while (piece.len && !head->err);
	err = dkim_body_end(&body, hash_out);
	if (head->err)
		return head->err;
	return err || size == message->size ? err : ERR_VALUE; /* its content cannot be read */
}

static enum err put_in_front(
	struct text signatures, struct region *region, struct smtp_message *message)
{
	size_t count = message->count + 1;
	struct smtp_segment *segments;
	struct text text;

	if (region_left(region) < signatures.len + (count + 1) * sizeof(*segments))
		return ERR_LIMIT;
	text = region_copy(region, signatures);
	segments = region_zalloc(region, count, sizeof(*segments));
	if (!text.at || !segments)
		return ERR_MEMORY;
	segments[0] = smtp_segment_of(text);
	memcpy(segments + 1, message->segments, message->count * sizeof(*segments));
	message->segments = segments;
	message->count = count;
	message->size += text.len;
	return OK;
}

enum err dkim_sign_message(const struct dkim_signer *signer, struct text from, int64_t time_s,
	struct region *region, struct smtp_message *message)
{
	struct text domain = dkim_signer_domain(signer, from);
	struct buf head = buf_born(HEAD_MAX), signatures = buf_born(SIGNATURES_MAX);
	unsigned char hash[DKIM_HASH];
	struct dkim_order order = { .body_hash = hash,
		.time_s = time_s,
		.unsign = signer->unsign,
		.unsign_count = signer->unsign_count };
	enum err err;

	if (domain.len == 0)
		return OK;
	err = read_wire(message, &head, hash);
	order.head = buf_text(&head);
	(void)buf_reserve(&signatures, SIGNATURES);
	for (size_t i = 0; !err && i < signer->key_count; i++)
		if (text_equal(dkim_key_domain(signer->keys[i]), domain))
			err = dkim_sign(signer->keys[i], &order, &signatures);
	if (!err)
		err = put_in_front(buf_text(&signatures), region, message);
	buf_free(&head);
	buf_free(&signatures);
	return err;
}
