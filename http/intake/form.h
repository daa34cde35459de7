/* form - multipart/form-data (RFC 7578, RFC 2046 section 5.1), read as it arrives
 *
 * Fed with a body in pieces, cut anywhere; calls back for every part and its content. Keeps one
 * part's headers and what may be the beginning of a delimiter, never content: bytes in, calls out,
 * no I/O, no clock, no memory of its own. The first error sticks. A body is whole only when
 * form_end has said OK: nothing of it may be sent before.
 *
 * A delimiter is a whole line: CRLF, "--", the boundary, "--" if it closes, blanks, CRLF. A line
 * that goes on in another way ("--abcd" where the boundary is "abc") is content. The CRLF before it
 * belongs to the delimiter, and is also that of the body's beginning and of the blank line behind
 * headers. A delimiter line with LF alone before or behind it is an error, as every client sends
 * CRLF and what it opens would else go out as content; so is one behind the closing delimiter.
 *
 * Names and file names are UTF-8 as it is. Clients quote in two ways, and both are read. In a
 * quoted string \" and \\ stand for " and \ (curl before 7.81, Go, Java), %22 for " and %0D, %0A
 * for CR, LF (WHATWG HTML, "multipart/form-data encoding algorithm": browsers, curl, Node, Python);
 * every other \ and % stands for itself, as in C:\a.pdf and 50%.pdf. A name that ends in a lone \
 * is therefore an error. filename* (RFC 8187, in UTF-8), which RFC 7578 forbids and .NET sends,
 * goes before filename. Of a file name that is a path, in either system's form, the last step is
 * taken: nobody means to mail where a file lay on a disk. Encoded words (=?…?=) are not decoded. */
#pragma once

#include "smtp/err.h"
#include "smtp/text.h"

enum {
	FORM_PARTS = 1000,       /* a usual limit */
	FORM_BOUNDARY = 70,      /* bytes of a boundary, without "--" */
	FORM_HEAD_BYTES = 8192,  /* a part's headers, with their line ends */
	FORM_HEADERS = 20,       /* of a part */
	FORM_ASIDE_BYTES = 8192, /* before the first delimiter, and again behind the last */
	FORM_PADDING_BYTES = 64, /* blanks behind a boundary: so many at least */
	FORM_HELD_BYTES = FORM_BOUNDARY + FORM_PADDING_BYTES + 7
};

struct form_part {
	struct text name;     /* never empty */
	struct text filename; /* no path; empty: none, or the field of a file that was not chosen */
	bool is_file;         /* there was a filename, be it empty */
	/* As they were sent, in ASCII, without blanks around them; empty: none. Not looked at but
	 * for multipart/…, which is an error (RFC 7578 section 4.3). Content comes as it is: a
	 * transfer encoding other than 7bit, 8bit and binary is the caller's to undo or refuse. */
	struct text content_type, content_id, transfer_encoding;
};

/* What is called for each part: begin, any number of content (never empty; in the fed piece or in
 * the form, gone after the call), end. *part and its texts hold until end. An error stops the
 * reading and is what form_feed then answers, with no `why`. No call may feed the form. */
struct form_reader {
	enum err (*begin)(void *self, const struct form_part *part);
	enum err (*content)(void *self, struct text piece);
	enum err (*end)(void *self);
	void *self;
};

enum form_state { FORM_PREAMBLE, FORM_HEAD, FORM_CONTENT, FORM_EPILOGUE };

/* Placed by the caller. The first three are to be read, the rest is the form's own. */
struct form {
	enum err err;    /* the first error */
	const char *why; /* what it was, in words, static; NULL: none, or the reader's own */
	size_t part;     /* the part that was read last, and where an error stands; 0: none yet */

	struct form_reader reader;
	enum form_state state;
	size_t parts_max;
	size_t aside;                   /* bytes passed over in this state */
	char needle[FORM_BOUNDARY + 3]; /* LF, "--", boundary */
	char held[FORM_HELD_BYTES];     /* what may be a delimiter line, from its CR or LF on */
	size_t needle_len, held_len;
	size_t held_before;   /* of what is held: belongs to what stood before */
	struct form_part now; /* its texts lie in head */
	char head[FORM_HEAD_BYTES];
	size_t head_len, line_start, headers;
};

/* The boundary= of a Content-Type of multipart/form-data, in place. A quoted boundary holds no
 * backslash. ERR_VALUE: another type, or no boundary as RFC 2046 has it; ERR_MISSING: none is
 * named; ERR_SYNTAX: the parameters cannot be read. *why_out: the same in words, static. */
MUST_USE enum err form_boundary(
	struct text content_type, struct text *boundary_out, const char **why_out);

/* `boundary` as form_boundary gave it; it and *reader are copied. */
void form_begin(struct form *form, struct text boundary, size_t parts_max,
	const struct form_reader *reader);
/* The next piece of the body. ERR_SYNTAX: no multipart/form-data; ERR_VALUE: such as is not taken;
 * ERR_LIMIT: more of something than is taken. */
MUST_USE enum err form_feed(struct form *form, struct text piece);
/* The body is at its end. ERR_MISSING: its closing delimiter is not there, it was cut short. A
 * body without parts is OK. */
MUST_USE enum err form_end(struct form *form);
