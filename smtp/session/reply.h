/* reply - what a relay answers, fed in any pieces (RFC 5321 4.2, RFC 2034)
 *
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP [ textstring ] ] CRLF
 *   Reply-code = %x32-35 %x30-39 %x30-39, taken here as 2..5 and any two digits
 *
 * The parser keeps no pointer into what it was fed. A bare LF ends a line as CRLF does; any other
 * control byte in the text is kept as '?'. Limits: 2,048 bytes a line, 64 lines, 16 KB a reply. */
#pragma once

#include "smtp/text.h"

enum smtp_parsed {
	SMTP_MORE, /* feed more */
	SMTP_LINE, /* one line of several is complete: see `line`; feed the rest of the bytes */
	SMTP_DONE, /* the reply is complete */
	SMTP_BAD,  /* not a reply: see `why`; nothing more can be read */
};

struct smtp_enhanced {
	uint8_t class; /* 2, 4 or 5; 0: none */
	uint16_t subject, detail;
};

/* What a relay said, as it is kept: `text` without the codes, lines joined by one space. */
struct smtp_said {
	uint16_t code; /* 0: it said nothing */
	struct smtp_enhanced enhanced;
	struct text text;
};

enum {
	SMTP_REPLY_LINE = 2048,
	SMTP_REPLY_LINES = 64,
	SMTP_REPLY_BYTES = 16384,
	SMTP_REPLY_TEXT = 512
};

struct smtp_reply {
	uint16_t code;
	struct smtp_enhanced enhanced; /* of the last line that bore one of the reply's own class */
	const char *why;               /* SMTP_BAD: a short phrase */
	/* The line that was completed last, without code, separator and line end. */
	size_t line_len;
	/* All lines, joined by one space, enhanced codes left out, cut at SMTP_REPLY_TEXT bytes. */
	size_t text_len;
	/* the parser's own */
	size_t lines, bytes;
	bool complete_line, last_line;
	char line[SMTP_REPLY_LINE];
	char text[SMTP_REPLY_TEXT];
};

/* Makes *reply ready for the next reply. { 0 } is as good. Cheap: does not clear the arrays. */
void smtp_reply_reset(struct smtp_reply *reply);
/* Takes bytes from the front of *bytes, which becomes what is left. After SMTP_DONE the bytes left
 * belong to the next reply. */
enum smtp_parsed smtp_reply_feed(struct smtp_reply *reply, struct text *bytes);
struct text smtp_reply_line(const struct smtp_reply *reply);
/* Borrowed from *reply. The enhanced code is left out where it does not count: for 3xx codes, and
 * where its class is not the code's first digit. */
struct smtp_said smtp_reply_said(const struct smtp_reply *reply);
/* Reads "d.ddd.ddd" from the front of *text, if it is followed by a space or the end, and takes it
 * off with the space. 2, 4 or 5 only. */
bool smtp_enhanced_take(struct text *text, struct smtp_enhanced *enhanced_out);
