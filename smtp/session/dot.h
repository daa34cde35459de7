/* dot - dot-stuffing, resumable at every byte (RFC 5321 4.5.2) */
#pragma once

#include "smtp/buf.h"

/* { 0 } is the start of a message. */
struct smtp_dot {
	bool inside_line; /* some byte of the current line was seen */
	bool after_cr;
};

/* Appends `in`, with a dot put before every dot that starts a line. `in` has CRLF line ends. */
void smtp_dot_stuff(struct smtp_dot *dot, struct text in, struct buf *out);
/* Appends the end of the data: CRLF "." CRLF, or "." CRLF if the message ended with CRLF (or was
 * empty). */
void smtp_dot_end(struct smtp_dot *dot, struct buf *out);
