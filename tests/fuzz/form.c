#include "fuzz.h"

#include "http/intake/form.h"
#include "smtp/buf.h"

#include <string.h>

/* ---- what was read, as bytes in which nothing can be mistaken for something else */

static void add(struct buf *out, char mark, struct text text)
{
	buf_add_byte(out, mark);
	buf_add_u64(out, text.len);
	buf_add_byte(out, ':');
	buf_add(out, text);
}

static bool is_name(struct text text)
{
	return text_is_utf8(text) && !text_has_control(text);
}

struct taken {
	struct buf out, content;
	bool in_part;
};

static enum err on_begin(void *self, const struct form_part *part)
{
	struct taken *taken = self;

	must(!taken->in_part && part->name.len && is_name(part->name) && is_name(part->filename));
	must(text_find(part->filename, '/') == part->filename.len &&
		text_find(part->filename, '\\') == part->filename.len);
	must(part->is_file || !part->filename.len);
	must(text_is_ascii(part->content_type) &&
		!text_starts_nocase(part->content_type, TEXT("multipart/")));
	taken->in_part = true;
	add(&taken->out, 'n', part->name);
	add(&taken->out, part->is_file ? 'f' : 'F', part->filename);
	add(&taken->out, 't', part->content_type);
	add(&taken->out, 'i', part->content_id);
	add(&taken->out, 'e', part->transfer_encoding);
	return OK;
}

static enum err on_content(void *self, struct text piece)
{
	struct taken *taken = self;

	must(taken->in_part && piece.len);
	buf_add(&taken->content, piece);
	return OK;
}

static enum err on_end(void *self)
{
	struct taken *taken = self;

	must(taken->in_part);
	taken->in_part = false;
	add(&taken->out, 'c', buf_text(&taken->content));
	buf_clear(&taken->content);
	return OK;
}

/* Fed in pieces of memory of just their size. */
static void run(struct form *form, struct taken *taken, struct text boundary, struct text body,
	size_t first, size_t step)
{
	struct form_reader reader = { on_begin, on_content, on_end, taken };
	struct text piece = text_head(body, first);

	*taken = (struct taken){ buf_born(1 << 20), buf_born(1 << 20), false };
	form_begin(form, boundary, 9, &reader);
	while (body.len && !form->err) {
		char *own = malloc(piece.len);

		must(own != NULL);
		memcpy(own, piece.at, piece.len);
		must(form_feed(form, (struct text){ own, piece.len }) == form->err);
		free(own);
		body = text_from(body, piece.len);
		piece = text_head(body, step);
	}
	must(form_end(form) == form->err);
	must(!form->err == !form->why);
	must(form->err || !taken->in_part);
}

/* ---- the same, found in another way: line by line, in a body that is there at once */

/* How long is the delimiter line at the start of `text`? 0: it is none. */
static size_t delimiter_len(struct text text, struct text boundary, bool *closes_out)
{
	size_t len = boundary.len + 2;

	if (!text_starts(text, TEXT("--")) || !text_starts(text_from(text, 2), boundary))
		return 0;
	*closes_out = text_starts(text_from(text, len), TEXT("--"));
	len += *closes_out ? 2 : 0;
	while (len < text.len && (text.at[len] == ' ' || text.at[len] == '\t'))
		len++;
	if (text_starts(text_from(text, len), TEXT("\r\n")))
		return len + 2;
	return len == text.len ? len : 0;
}

/* Of a body that was taken: the contents of its parts. */
static void add_contents(struct buf *out, struct text body, struct text boundary)
{
	size_t start = 0, len;
	bool in_part = false, closes = false;

	for (size_t at = 0; at < body.len && !closes; at++) {
		struct text left = text_from(body, at);

		if (at && !text_starts(text_from(body, at - 2), TEXT("\r\n")))
			continue;
		len = delimiter_len(left, boundary, &closes);
		if (!len) {
			closes = false;
			continue;
		}
		if (in_part) /* the line end before it is no content, nor that behind the headers */
			add(out, 'c',
				at - 2 > start ? (struct text){ body.at + start, at - 2 - start }
					       : (struct text){ 0 });
		in_part = !closes;
		start = at + len;
		while (in_part && !text_starts(text_from(body, start), TEXT("\r\n")))
			start += text_find(text_from(body, start), '\n') + 1;
		start += 2;
		at = in_part ? start - 1 : at;
	}
	must(closes);
}

static void check_contents(struct text read, struct text body, struct text boundary)
{
	struct buf wanted = buf_born(1 << 20), found = buf_born(1 << 20);

	add_contents(&wanted, body, boundary);
	while (read.len) {
		char mark = read.at[0];
		uint64_t len = 0;
		struct text word = text_from(read, 1), digits = text_cut(&word, ':');

		must(text_to_u64(digits, &len) && len <= word.len);
		if (mark == 'c')
			add(&found, 'c', text_head(word, len));
		read = text_from(word, len);
	}
	must(text_equal(buf_text(&wanted), buf_text(&found)));
	buf_free(&wanted);
	buf_free(&found);
}

/* The first line is the Content-Type, its first byte where to cut; the rest is the body. What is
 * read depends on no cut, and is what a plain reading of the whole finds. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct form whole, pieces;
	struct text body = input(bytes, len), type = text_cut(&body, '\n'), boundary;
	size_t cut = type.len && body.len ? (unsigned char)type.at[0] % body.len + 1 : 1;
	struct taken once, twice;
	const char *why = NULL;

	if (form_boundary(text_from(type, 1), &boundary, &why)) {
		must(why != NULL);
		return 0;
	}
	run(&whole, &once, boundary, body, body.len, body.len);
	run(&pieces, &twice, boundary, body, cut, cut % 2 ? 1 : body.len);
	must(whole.err == pieces.err && whole.why == pieces.why && whole.part == pieces.part);
	must(text_equal(buf_text(&once.out), buf_text(&twice.out)));
	must(text_equal(buf_text(&once.content), buf_text(&twice.content)));
	if (!whole.err)
		check_contents(buf_text(&once.out), body, boundary);
	buf_free(&once.out);
	buf_free(&once.content);
	buf_free(&twice.out);
	buf_free(&twice.content);
	return 0;
}
