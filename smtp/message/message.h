/* message - a mail as RFC 5322 and MIME bytes, produced as they are wanted
 *
 * Composing makes a list of segments: literal bytes in the region, and references to the caller's
 * content with the encoding it goes out in. The exact size is known before the first byte is read.
 * All lines end in CRLF, none is over 998 bytes, there is no NUL; nothing generated needs 8BITMIME.
 */
#pragma once

#include "smtp/message/mail.h"

struct smtp_segment {
	struct smtp_content content;
	uint64_t size; /* bytes on the wire */
};

/* Wire bytes that lie in memory. */
static inline struct smtp_segment smtp_segment_of(struct text wire)
{
	return (struct smtp_segment){ { .encoding = SMTP_AS_IT_IS, .text = wire }, wire.len };
}

struct smtp_message {
	const struct smtp_segment *segments;
	size_t count;
	uint64_t size;  /* bytes on the wire, before dot-stuffing */
	bool eight_bit; /* some byte is over 0x7f: only in a raw message */
};

/* Where a reader stands. { 0 } is the start. Many may read one message. */
struct smtp_message_reader {
	size_t segment; /* index */
	struct smtp_content_reader content;
};

/* `seed`: 16 random bytes for the boundaries. Segments and literals are in `region`; the content is
 * borrowed from `mail` and must live as long as the message is read. A text is made from html where
 * the caller decided so, by smtp_html_to_text. ERR_VALUE does not occur for a mail whose fields
 * were checked (no controls in single-line fields, UTF-8 everywhere). */
MUST_USE enum err smtp_message_compose(const struct smtp_mail *mail, const unsigned char seed[16],
	struct region *region, struct smtp_message *message_out);
/* Next bytes of the message, up to `room`; 0 only at the end. Where a source fails, fewer come in
 * all than the message's size. */
size_t smtp_message_read(const struct smtp_message *message, struct smtp_message_reader *reader,
	char *out, size_t room);
/* The same without a copy where there need be none: up to `most` bytes borrowed from where they lie
 * as wire bytes, else up to `room` made in `scratch`. */
struct text smtp_message_next(const struct smtp_message *message,
	struct smtp_message_reader *reader, char *scratch, size_t room, size_t most);
/* A readable text out of html: tags away, links kept in angle brackets behind their words, lists,
 * paragraphs and line breaks as lines, entities decoded, script and style left out. Linear in the
 * input, bounded nesting. */
MUST_USE enum err smtp_html_to_text(struct text html, struct region *region, struct text *text_out);
