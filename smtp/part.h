/* part - the parts of a message: their headers, and texts in the encoding that fits
 *
 * The composer's own. */
#pragma once

#include "smtp/buf.h"
#include "smtp/mail.h"

/* Appends a whole text part, headers and content: 7bit, quoted-printable or base64. */
void smtp_part_text(struct buf *out, const char *subtype, struct text text);
/* Appends the headers of an attachment and the blank line behind them; its base64 is to follow.
 * ERR_VALUE (sticky) for a type or content id that is no single line. */
void smtp_part_head(struct buf *out, const struct smtp_attachment *attachment);
