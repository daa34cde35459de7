/* content_own - what content.c and content_lines.c share */
#pragma once

#include "smtp/message/content.h"
#include "smtp/message/encode.h"

enum { LINE = SMTP_MIME_LINE, BYTES_A_LINE = SMTP_BASE64_LINE_BYTES, WIRE_LINE = LINE + 2 };

/* A maker makes what it can in `room` bytes, SMTP_CONTENT_STEP at least. 0: the end. */
typedef size_t maker(const struct smtp_content *content, struct smtp_content_reader *reader,
	char *out, size_t room);

maker content_make_lines, content_make_lines_base64;
/* As lines with their ends. */
uint64_t content_lines_size(struct text text);
/* Takes the line end that `text` starts with: CRLF, LF, CR, or nothing, at the end of all. */
void content_pass_line_end(struct smtp_content_reader *reader, struct text text);
/* Up to BYTES_A_LINE bytes as a line of base64; gives its length. `out` has room for WIRE_LINE. */
size_t content_base64_line(char *out, const char *bytes, size_t len);
