/* encode - the encodings of MIME (RFC 2045, 2047, 2231), and header lines that fold */
#pragma once

#include "smtp/buf.h"

/* How long a line may be where it is for us to choose (RFC 2045 6.7, RFC 2047 2). */
enum { SMTP_MIME_LINE = 76, SMTP_BASE64_LINE_BYTES = SMTP_MIME_LINE / 4 * 3 };

/* Is it base64, whatever its line ends and blanks, padded as it should be? The number of bytes that
 * it stands for goes to *len_out. */
bool smtp_base64_check(struct text base64, uint64_t *len_out);
/* Decodes what smtp_base64_check took; gives the length. `out` may be where it lies. */
size_t smtp_base64_decode(struct text base64, char *out);
/* A whole line of base64. */
void smtp_base64_line(const char bytes[SMTP_BASE64_LINE_BYTES], char out[SMTP_MIME_LINE]);
/* How many of the bytes are base64's own, not white space. */
uint64_t smtp_base64_letters(struct text base64);
/* How many of its first bytes are letters of base64, neither padding nor white space. */
size_t smtp_base64_run(struct text base64);

/* Appends "Name: value" CRLF, value unstructured: folded at blanks, as encoded words where it is
 * not ASCII or cannot be folded. A structured field (References, List-…) goes as it is, but for
 * folding. ERR_VALUE (sticky) if there is a control in it, or smtp_header_why_not has something
 * against it, ERR_LIMIT if the name is over 200 bytes. */
void smtp_header_add(struct buf *out, struct text name, struct text value);
/* Why the value cannot stand in a field of this name, as a phrase; NULL: it can. Encoded words mean
 * nothing in the ids, URLs and addresses of a structured field (RFC 2047 5), so none are made. */
const char *smtp_header_why_not(struct text name, struct text value);
/* Appends a phrase (a display name): an atom, a quoted string, or encoded words. `column` is where
 * the line stands; gives where it ends. */
size_t smtp_phrase_add(struct buf *out, struct text phrase, size_t column);
/* Appends encoded words for the whole of `text`, none over 75, none splitting a character, folded.
 */
size_t smtp_words_add(struct buf *out, struct text text, size_t column);
/* Appends "; name=value", quoted; a value that is not ASCII as name*=utf-8''…, one too long for a
 * line in sections. */
void smtp_parameter_add(struct buf *out, const char *name, struct text value);
