/* part - the parts of a message: their headers, and texts in the encoding that fits
 *
 * The composer's own. */
#pragma once

#include "smtp/buf.h"
#include "smtp/message/mail.h"

/* Appends "To: …" CRLF, folded; nothing for a list of nobody. (mailboxes.c) */
void smtp_mailboxes_add(struct buf *out, const char *name, struct smtp_mailboxes list);
/* Appends the headers of a text part, type "plain; charset=utf-8" or the like, and the blank line
 * behind them; gives its content in the encoding that fits: 7bit, quoted-printable or base64. */
struct smtp_content smtp_part_text_head(struct buf *out, const char *type, struct text text);
/* Appends "Date: …" CRLF, in UTC (RFC 5322 3.3). `date_s`: seconds since 1970. */
void smtp_part_date(struct buf *out, int64_t date_s);
/* Is it of those types that base64 is not allowed for one that may go as it is? */
bool smtp_type_may_go_as_lines(struct text content_type);
/* Appends the headers of an attachment and the blank line behind them; its content is to follow, as
 * base64, or as the message that it is. ERR_VALUE (sticky) for a type or content id that is no
 * single line. */
void smtp_part_head(struct buf *out, const struct smtp_attachment *attachment, bool is_message);
