/* html - a readable text out of html: one pass, no tree */
#include "smtp/message/message.h"

#include <string.h>

#include "smtp/buf.h"

enum { LINK_MAX = 2048 };

struct reader {
	struct buf out;
	struct text link;  /* href of the <a> we are in */
	size_t link_start; /* where its words begin in the output */
	bool blank;        /* a blank is owed before the next word */
	/* No '>' is left, or none outside of quotes: not looked for again, which would cost a
	 * square. */
	bool no_tag_ends, no_quoted_ends;
	unsigned breaks; /* line ends owed before the next word, at most 2 */
};

static const struct {
	struct text name;
	const char *utf8;
} entities[] = { { TEXT("amp"), "&" }, { TEXT("lt"), "<" }, { TEXT("gt"), ">" },
	{ TEXT("quot"), "\"" }, { TEXT("apos"), "'" }, { TEXT("nbsp"), " " },
	{ TEXT("copy"), "\xc2\xa9" }, { TEXT("reg"), "\xc2\xae" }, { TEXT("euro"), "\xe2\x82\xac" },
	{ TEXT("hellip"), "\xe2\x80\xa6" }, { TEXT("mdash"), "\xe2\x80\x94" },
	{ TEXT("ndash"), "\xe2\x80\x93" }, { TEXT("lsquo"), "\xe2\x80\x98" },
	{ TEXT("rsquo"), "\xe2\x80\x99" }, { TEXT("ldquo"), "\xe2\x80\x9c" },
	{ TEXT("rdquo"), "\xe2\x80\x9d" }, { TEXT("auml"), "\xc3\xa4" },
	{ TEXT("ouml"), "\xc3\xb6" }, { TEXT("uuml"), "\xc3\xbc" }, { TEXT("Auml"), "\xc3\x84" },
	{ TEXT("Ouml"), "\xc3\x96" }, { TEXT("Uuml"), "\xc3\x9c" }, { TEXT("szlig"), "\xc3\x9f" } };

static void owe(struct reader *reader, unsigned breaks)
{
	if (reader->breaks < breaks)
		reader->breaks = breaks;
}

static void write(struct reader *reader, struct text text)
{
	if (text.len == 0)
		return;
	for (; reader->breaks && reader->out.len; reader->breaks--) {
		buf_add_byte(&reader->out, '\n');
		reader->blank = false;
	}
	reader->breaks = 0;
	if (reader->blank && reader->out.len)
		buf_add_byte(&reader->out, ' ');
	reader->blank = false;
	buf_add(&reader->out, text);
}

static void write_code_point(struct reader *reader, uint32_t code)
{
	char utf8[4];
	size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char firsts[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code > 0x10ffff ||
		(code >= 0xd800 && code < 0xe000))
		return;
	for (size_t i = len; i-- > 1; code >>= 6)
		utf8[i] = (char)(0x80 | (code & 0x3f));
	utf8[0] = (char)(firsts[len] | code);
	write(reader, (struct text){ utf8, len });
}

static bool read_number(struct text digits, uint32_t *code_out)
{
	bool hex = digits.len && byte_lower(digits.at[0]) == 'x';
	uint32_t code = 0;

	if (hex)
		digits = text_from(digits, 1);
	if (digits.len == 0 || digits.len > 7)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		int digit = byte_hex(digits.at[i]);

		if (digit < 0 || (!hex && digit > 9))
			return false;
		code = code * (hex ? 16 : 10) + (uint32_t)digit;
	}
	*code_out = code;
	return true;
}

/* At an "&": how many bytes it takes. */
static size_t read_entity(struct reader *reader, struct text text)
{
	size_t end = text_find(text_head(text, 12), ';');
	struct text name = text_from(text_head(text, end), 1);
	uint32_t code;

	if (end < text.len && end < 12) {
		for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
			if (text_equal(name, entities[i].name)) {
				write(reader, text_of(entities[i].utf8));
				return end + 1;
			}
		if (name.len && name.at[0] == '#' && read_number(text_from(name, 1), &code)) {
			write_code_point(reader, code);
			return end + 1;
		}
	}
	write(reader, text_head(text, 1));
	return 1;
}

/* Where a walk through a tag stands: within the value of an attribute, or between them? */
struct quotes {
	char open;   /* the quote that the value at hand began with; 0: none */
	char before; /* the last byte that was no space */
};

/* A quote means something only behind "=", as browsers have it: <p don't>. */
static void step_over(struct quotes *quotes, char byte)
{
	bool is_quote = byte == '"' || byte == '\'';

	if (quotes->open)
		quotes->open = byte == quotes->open ? 0 : quotes->open;
	else if (is_quote && quotes->before == '=')
		quotes->open = byte;
	if (!byte_is_space(byte))
		quotes->before = byte;
}

/* Where the ">" of the tag that starts here stands, which is not within quotes; text.len: nowhere.
 */
static size_t find_tag_end(struct text text)
{
	struct quotes quotes = { 0 };

	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '>' && !quotes.open)
			return i;
		step_over(&quotes, text.at[i]);
	}
	return text.len;
}

/* Of what stands behind an attribute's "=". */
static struct text attribute_value(struct text rest)
{
	char quote = rest.len ? rest.at[0] : 0;
	size_t len = 0;

	if (quote == '"' || quote == '\'') {
		rest = text_from(rest, 1);
		return text_cut(&rest, quote);
	}
	while (len < rest.len && !byte_is_space(rest.at[len]))
		len++;
	return text_head(rest, len);
}

/* The value of href in a tag's inside; empty: none. */
static struct text href(struct text tag)
{
	struct quotes quotes = { 0 };

	for (; tag.len > 5; tag = text_from(tag, 1)) {
		if (!quotes.open && byte_is_space(tag.at[0]) &&
			text_starts_nocase(text_from(tag, 1), TEXT("href=")))
			return attribute_value(text_from(tag, 6));
		step_over(&quotes, tag.at[0]);
	}
	return (struct text){ 0 };
}

/* An attribute's value: entities decoded, nothing else. */
static void write_decoded(struct reader *reader, struct text value)
{
	while (value.len) {
		size_t taken = text_find(value, '&');

		write(reader, text_head(value, taken));
		value = text_from(value, taken);
		if (value.len)
			value = text_from(value, read_entity(reader, value));
	}
}

static void end_link(struct reader *reader)
{
	struct text words = text_from(buf_text(&reader->out), reader->link_start);
	bool says_more = reader->link.len && reader->link.len <= LINK_MAX &&
			 !text_has_control(reader->link) && reader->link.at[0] != '#' &&
			 !text_equal(text_trim(words), reader->link);

	if (says_more) {
		reader->blank = words.len > 0;
		write(reader, TEXT("<"));
		write_decoded(reader, reader->link);
		write(reader, TEXT(">"));
	}
	reader->link = (struct text){ 0 };
}

enum tag_kind { TAG_OTHER, TAG_BLOCK, TAG_LINE, TAG_ITEM, TAG_CELL, TAG_LINK };

static enum tag_kind kind_of(struct text name)
{
	static const struct {
		struct text name;
		enum tag_kind kind;
	} tags[] = { { TEXT("p"), TAG_BLOCK }, { TEXT("a"), TAG_LINK }, { TEXT("br"), TAG_LINE },
		{ TEXT("td"), TAG_CELL }, { TEXT("tr"), TAG_LINE }, { TEXT("div"), TAG_LINE },
		{ TEXT("li"), TAG_ITEM }, { TEXT("th"), TAG_CELL }, { TEXT("hr"), TAG_LINE },
		{ TEXT("h1"), TAG_BLOCK }, { TEXT("h2"), TAG_BLOCK }, { TEXT("h3"), TAG_BLOCK },
		{ TEXT("h4"), TAG_BLOCK }, { TEXT("h5"), TAG_BLOCK }, { TEXT("h6"), TAG_BLOCK },
		{ TEXT("ul"), TAG_BLOCK }, { TEXT("ol"), TAG_BLOCK }, { TEXT("pre"), TAG_BLOCK },
		{ TEXT("table"), TAG_BLOCK }, { TEXT("blockquote"), TAG_BLOCK },
		{ TEXT("section"), TAG_LINE }, { TEXT("article"), TAG_LINE },
		{ TEXT("header"), TAG_LINE }, { TEXT("footer"), TAG_LINE },
		{ TEXT("title"), TAG_LINE } };

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (name.len == tags[i].name.len && text_equal_nocase(name, tags[i].name))
			return tags[i].kind;
	return TAG_OTHER;
}

static void read_tag(struct reader *reader, struct text tag)
{
	bool closes = tag.len && tag.at[0] == '/';
	struct text name = closes ? text_from(tag, 1) : tag;
	enum tag_kind kind;
	size_t len = 0;

	while (len < name.len && (byte_is_letter(name.at[len]) || byte_is_digit(name.at[len])))
		len++;
	kind = kind_of(text_head(name, len));
	if (kind == TAG_BLOCK)
		owe(reader, 2);
	else if (kind == TAG_LINE || kind == TAG_ITEM)
		owe(reader, 1);
	else if (kind == TAG_CELL)
		reader->blank = true;
	if (kind == TAG_ITEM && !closes)
		write(reader, TEXT("- "));
	if (kind != TAG_LINK)
		return;
	end_link(reader);
	reader->link = closes ? (struct text){ 0 } : href(tag);
	reader->link_start = reader->out.len;
}

/* Where "</name" stands in `text`, or text.len. */
static size_t find_end_tag(struct text text, struct text name)
{
	for (size_t i = 0; i < text.len; i++) {
		i += text_find(text_from(text, i), '<');
		if (text_starts(text_from(text, i), TEXT("</")) &&
			text_starts_nocase(text_from(text, i + 2), name))
			return i;
	}
	return text.len;
}

/* Where the element that starts here ("<script", "<style", "<head") or the comment ends; 0: it is
 * another one. */
static size_t hidden(struct text text)
{
	static const struct text names[] = { TEXT("script"), TEXT("style"), TEXT("head") };
	const char *end;

	for (size_t i = 0; i < 3; i++) {
		struct text rest = text_from(text, 1 + names[i].len);

		if (text_starts_nocase(text_from(text, 1), names[i]) && rest.len &&
			(rest.at[0] == '>' || byte_is_space(rest.at[0])))
			return text.len - rest.len + find_end_tag(rest, names[i]);
	}
	if (!text_starts(text, TEXT("<!--")))
		return 0;
	end = memmem(text.at + 4, text.len - 4, "-->", 3);
	return end ? (size_t)(end - text.at) + 3 : text.len;
}

static bool starts_tag(struct text text)
{
	return text.len > 1 &&
	       (byte_is_letter(text.at[1]) || text.at[1] == '/' || text.at[1] == '!');
}

/* text.len: the tag does not end. One with a quote that is never closed ends at the first ">". */
static size_t tag_end(struct reader *reader, struct text text)
{
	size_t end = text.len;

	if (!reader->no_quoted_ends)
		end = find_tag_end(text);
	reader->no_quoted_ends |= end == text.len;
	if (end == text.len && !reader->no_tag_ends)
		end = text_find(text, '>');
	reader->no_tag_ends |= end == text.len;
	return end;
}

/* At a "<": how many bytes it takes. */
static size_t read_markup(struct reader *reader, struct text text)
{
	size_t end = text.len, taken = starts_tag(text) ? hidden(text) : 0;

	if (taken)
		return taken;
	if (starts_tag(text))
		end = tag_end(reader, text);
	if (end == text.len) {
		write(reader, text_head(text, 1));
		return 1;
	}
	read_tag(reader, text_from(text_head(text, end), 1));
	return end + 1;
}

static void read_all(struct reader *reader, struct text html)
{
	size_t taken;

	for (; html.len; html = text_from(html, taken)) {
		taken = 0;
		if (html.at[0] == '<') {
			taken = read_markup(reader, html);
		} else if (html.at[0] == '&') {
			taken = read_entity(reader, html);
		} else if (byte_is_space(html.at[0])) {
			reader->blank = true;
			taken = 1;
		} else {
			while (taken < html.len && html.at[taken] != '<' && html.at[taken] != '&' &&
				!byte_is_space(html.at[taken]))
				taken++;
			write(reader, text_head(html, taken));
		}
	}
	end_link(reader);
	buf_add_byte(&reader->out, '\n');
}

/* As many bytes as the text could take, as far as the region has them. Those that are not written
 * are never touched, and go back. */
static size_t room_for(struct text html, const struct region *region)
{
	size_t left = region_left(region), room = html.len * 2 + 64;

	return room < left ? room : left - left % 64;
}

enum err smtp_html_to_text(struct text html, struct region *region, struct text *text_out)
{
	size_t room = room_for(html, region), kept;
	char *at = room ? region_alloc(region, room) : NULL;
	struct reader reader = { .out = buf_over(at, at ? room - 1 : 0) };

	if (!at)
		return room ? ERR_MEMORY : ERR_LIMIT;
	read_all(&reader, html);
	kept = reader.out.err ? 0 : reader.out.len + 1; /* with a NUL that is not counted */
	if (kept)
		at[kept - 1] = 0;
	at = region_shrink(region, at, room, kept);
	if (kept)
		*text_out = (struct text){ at, kept - 1 };
	return reader.out.err;
}
