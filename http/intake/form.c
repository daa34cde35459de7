/* form - between the delimiters
 *
 * CR and LF stand only at the beginning of a delimiter line and at its end. So where a line turns
 * out to be none, nothing of what was held can be the beginning of another: it is passed on whole.
 */
#include "http/intake/form_own.h"

#include <assert.h>
#include <string.h>

bool form_fail(struct form *form, enum err err, const char *why)
{
	if (!form->err) {
		form->err = err;
		form->why = why;
	}
	return false;
}

/* What follows may be a delimiter at once: the line end before it is already past. */
static void enter(struct form *form, enum form_state state)
{
	form->state = state;
	form->aside = 0;
	memcpy(form->held, "\r\n", 2);
	form->held_len = form->held_before = 2;
}

/* ---- a delimiter, and what it ends and begins */

static void open_part(struct form *form)
{
	if (form->part++ >= form->parts_max) {
		form_fail(form, ERR_LIMIT, "the form has more parts than are taken");
		return;
	}
	form->state = FORM_HEAD;
	form->now = (struct form_part){ 0 };
	form->head_len = form->line_start = form->headers = 0;
}

static size_t tail_start(const struct form *form)
{
	return form->needle_len + (form->held[0] == '\r');
}

/* What is held is a delimiter line; `is_bare`: with LF alone before or behind it. */
static void take_delimiter(struct form *form, bool is_bare)
{
	struct text tail = text_from((struct text){ form->held, form->held_len }, tail_start(form));

	form->held_len = 0;
	if (form->state == FORM_EPILOGUE)
		form_fail(form, ERR_SYNTAX, "a delimiter stands behind the closing one");
	else if (is_bare)
		form_fail(form, ERR_SYNTAX,
			"a delimiter's line ends in LF alone: CR LF is wanted before and behind "
			"it");
	else if (form->state == FORM_CONTENT)
		form->err = form->reader.end(form->reader.self);
	if (form->err)
		return;
	if (text_starts(tail, TEXT("--")))
		enter(form, FORM_EPILOGUE);
	else
		open_part(form);
}

/* ---- the search for delimiters */

static void pass(struct form *form, struct text text)
{
	if (form->err || !text.len)
		return;
	if (form->state == FORM_CONTENT) {
		form->err = form->reader.content(form->reader.self, text);
		return;
	}
	form->aside += text.len;
	if (form->aside > FORM_ASIDE_BYTES)
		form_fail(form, ERR_LIMIT,
			form->state == FORM_PREAMBLE
				? "the body does not begin with the boundary that Content-Type "
				  "names"
				: "too much stands behind the closing delimiter");
}

/* Where that begins which may become a delimiter line; the end: nowhere. */
static size_t candidate(const struct form *form, struct text piece)
{
	size_t most = piece.len < form->needle_len ? piece.len : form->needle_len - 1;
	const char *line = memrchr(piece.at + piece.len - most, '\n', most);
	size_t start = line ? (size_t)(line - piece.at) : piece.len;

	if (line && memcmp(line, form->needle, piece.len - start) == 0)
		return start - (start && line[-1] == '\r');
	return piece.len - (piece.at[piece.len - 1] == '\r');
}

/* Nothing is held: passes on all that stands before a delimiter, or before what may become one, and
 * holds that. */
static struct text seek(struct form *form, struct text piece)
{
	const char *found = memmem(piece.at, piece.len, form->needle, form->needle_len);
	size_t start, end = piece.len;

	if (found) {
		start = (size_t)(found - piece.at);
		end = start + form->needle_len;
		start -= start && found[-1] == '\r';
	} else {
		start = candidate(form, piece);
	}
	pass(form, text_head(piece, start));
	form->held_before = 0;
	form->held_len = end - start;
	memcpy(form->held, piece.at + start, form->held_len);
	return text_from(piece, end);
}

/* Behind the boundary: [ "--" ] *LWSP-char CRLF. May `byte` follow what is there? */
static bool tail_takes(struct text tail, char byte)
{
	char last = tail.len ? tail.at[tail.len - 1] : '\0';
	bool is_half = tail.len == 1 && last == '-';

	if (byte == '-')
		return tail.len == 0 || is_half;
	if (is_half)
		return false;
	if (last == '\r')
		return byte == '\n';
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool held_takes(const struct form *form, char byte)
{
	size_t has_cr = form->held[0] == '\r', at = form->held_len - has_cr;

	if (at < form->needle_len)
		return form->needle[at] == byte;
	return tail_takes(
		text_from((struct text){ form->held, form->held_len }, tail_start(form)), byte);
}

/* The next byte behind what is held. */
static struct text weigh(struct form *form, struct text piece)
{
	struct text held = { form->held, form->held_len };
	char byte = piece.at[0];

	if (!held_takes(form, byte)) {
		form->held_len = 0;
		pass(form, text_from(held, form->held_before));
		return piece;
	}
	if (byte == '\n' && held.len > 1)
		take_delimiter(form, held.at[0] != '\r' || held.at[held.len - 1] != '\r');
	else if (held.len == sizeof(form->held))
		form_fail(form, ERR_LIMIT, "too many blanks stand behind a boundary");
	else
		form->held[form->held_len++] = byte;
	return text_from(piece, 1);
}

/* ---- a part's headers */

static void end_line(struct form *form)
{
	struct text line = { form->head + form->line_start, form->head_len - form->line_start - 1 };

	form->line_start = form->head_len;
	if (!line.len || line.at[line.len - 1] != '\r') {
		form_fail(form, ERR_SYNTAX, "a header's line ends in LF alone: CR LF is wanted");
		return;
	}
	line.len--;
	if (line.len && form->headers++ >= FORM_HEADERS) {
		form_fail(form, ERR_LIMIT, "a part has more headers than are taken");
	} else if (line.len) {
		(void)form_read_header(form, line);
	} else if (form_check_head(form)) {
		enter(form, FORM_CONTENT);
		form->err = form->reader.begin(form->reader.self, &form->now);
	}
}

static struct text take_head(struct form *form, struct text piece)
{
	size_t line_len = text_find(piece, '\n');
	struct text taken = text_head(piece, line_len + 1);

	if (taken.len > sizeof(form->head) - form->head_len) {
		form_fail(form, ERR_LIMIT, "a part's headers are longer than is taken");
		return piece;
	}
	memcpy(form->head + form->head_len, taken.at, taken.len);
	form->head_len += taken.len;
	if (line_len < piece.len)
		end_line(form);
	return text_from(piece, taken.len);
}

/* ---- what is called from outside */

void form_begin(
	struct form *form, struct text boundary, size_t parts_max, const struct form_reader *reader)
{
	assert(boundary.len > 0 && boundary.len <= FORM_BOUNDARY);
	*form = (struct form){ .reader = *reader,
		.parts_max = parts_max,
		.needle = "\n--",
		.needle_len = boundary.len + 3 };
	memcpy(form->needle + 3, boundary.at, boundary.len);
	enter(form, FORM_PREAMBLE);
}

enum err form_feed(struct form *form, struct text piece)
{
	while (!form->err && piece.len)
		piece = form->state == FORM_HEAD ? take_head(form, piece)
			: form->held_len         ? weigh(form, piece)
						 : seek(form, piece);
	return form->err;
}

/* The last line needs no end (RFC 2046: close-delimiter transport-padding [CRLF epilogue]). */
enum err form_end(struct form *form)
{
	if (!form->err && form->held_len >= tail_start(form) && held_takes(form, '\n') &&
		form->held[form->held_len - 1] != '\r')
		take_delimiter(form, form->held[0] != '\r');
	if (!form->err && form->state == FORM_PREAMBLE)
		form_fail(form, ERR_MISSING,
			"the boundary that Content-Type names does not stand in the body");
	if (!form->err && form->state != FORM_EPILOGUE)
		form_fail(form, ERR_MISSING,
			"the body ends before its closing delimiter: it was cut short");
	return form->err;
}
