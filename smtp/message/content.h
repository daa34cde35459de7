/* content - the bytes of a part as they go on the wire, made in any steps
 *
 * Content is held once, where it lies: in the request's body, or in a source that hands it out (a
 * file). It is encoded while it is read, and its size on the wire is known before. */
#pragma once

#include "smtp/buf.h"

enum smtp_encoding {
	SMTP_AS_IT_IS,         /* wire bytes already */
	SMTP_BASE64_REWRAP,    /* base64, however wrapped, to base64 in lines of 76 */
	SMTP_BASE64,           /* bytes to base64 in lines of 76 */
	SMTP_LINES,            /* text, every line end to CRLF; ends with CRLF */
	SMTP_LINES_BASE64,     /* the same, as base64 (RFC 2045 6.8) */
	SMTP_QUOTED_PRINTABLE, /* RFC 2045 6.7; every line end to CRLF; ends with CRLF */
};

/* Bytes that lie elsewhere than in memory. `read` hands out up to `room` bytes from `at` on, fewer
 * only at the end, or where they cannot be read; any thread. */
struct smtp_source {
	size_t (*read)(const struct smtp_source *source, uint64_t at, char *out, size_t room);
};

struct smtp_content {
	enum smtp_encoding encoding;
	struct text text;                 /* borrowed, as long as it is read */
	const struct smtp_source *source; /* instead of the text, for SMTP_BASE64, and for
					     SMTP_LINES where smtp_content_is_message says so;
					     NULL: the text */
	uint64_t len; /* of the source; of SMTP_BASE64_REWRAP decoded, 0: to be counted */
};

enum { SMTP_CONTENT_STEP = 160 };

/* Where a reader stands. { 0 } is the start. Many may read one content. */
struct smtp_content_reader {
	uint64_t at;          /* bytes of the content taken */
	size_t column;        /* in the current line of output */
	bool inside_crlf;     /* text: the LF of a line end that was taken is still to come */
	unsigned short ready; /* bytes of `step` made, */
	unsigned short given; /* and handed out */
	char step[SMTP_CONTENT_STEP];
};

/* Bytes on the wire. Costs one pass over what is not a whole number of known steps. */
uint64_t smtp_content_size(const struct smtp_content *content);
/* The next bytes, up to `room`. Fewer only at the end, or where the source fails: then what was
 * read in all is less than its size. */
size_t smtp_content_read(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room);
/* What content would be as SMTP_LINES. */
struct smtp_lines {
	uint64_t size; /* on the wire */
	bool ends;     /* its last line has an end of its own */
};
/* May bytes (SMTP_BASE64) go as the message that they are, unencoded? A header's first field, and
 * 7bit data (RFC 2045 2.7): no NUL, no byte over 0x7f, lines of up to 998, each with CRLF or LF.
 * One pass. False too where the source fails. */
bool smtp_content_is_message(const struct smtp_content *content, struct smtp_lines *lines_out);
/* Appends all of it. ERR_VALUE (sticky) where the source fails. */
void smtp_content_add(struct buf *out, const struct smtp_content *content);
