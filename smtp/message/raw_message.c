/* raw_message - a raw message as segments, with what a message must have and it lacks */
#include "smtp/message/raw.h"

#include "smtp/message/message.h"
#include "smtp/message/part.h"

enum { HEAD_BYTES = 2048 };

/* In front of all that is there: nothing that was signed is moved. */
static enum err make_head(const struct smtp_raw *raw, struct text message_id, int64_t date_s,
	struct region *region, struct text *head_out)
{
	struct buf head = buf_born(HEAD_BYTES);
	enum err err;

	if (!raw->has_message_id) {
		buf_add_string(&head, "Message-ID: ");
		buf_add(&head, message_id);
		buf_add_string(&head, "\r\n");
	}
	if (!raw->has_date)
		smtp_part_date(&head, date_s);
	*head_out = head.len ? region_copy(region, buf_text(&head)) : (struct text){ 0 };
	err = head.err ? head.err : head.len && !head_out->at ? ERR_MEMORY : OK;
	buf_free(&head);
	return err;
}

static struct smtp_segment segment_of(const struct smtp_raw_piece *piece)
{
	enum smtp_encoding encoding = piece->size == piece->bytes.len ? SMTP_AS_IT_IS : SMTP_LINES;

	return (struct smtp_segment){ { .encoding = encoding, .text = piece->bytes }, piece->size };
}

enum err smtp_raw_compose(const struct smtp_raw *raw, struct text message_id, int64_t date_s,
	struct region *region, struct smtp_message *message_out)
{
	struct smtp_segment *segments =
		region_zalloc(region, raw->piece_count + 1, sizeof(*segments));
	size_t count = 0;
	struct text head;
	enum err err = make_head(raw, message_id, date_s, region, &head);

	if (err || !segments)
		return err ? err : ERR_MEMORY;
	if (head.len)
		segments[count++] = smtp_segment_of(head);
	for (size_t i = 0; i < raw->piece_count; i++)
		segments[count++] = segment_of(&raw->pieces[i]);
	*message_out = (struct smtp_message){ .segments = segments,
		.count = count,
		.size = head.len + raw->size,
		.eight_bit = raw->body_eight_bit || raw->header_eight_bit };
	return OK;
}
