#include "http/template/mustache_tag.h"

#include <string.h>

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct text trim(struct text text)
{
	while (text.len && is_space(text.at[0]))
		text = text_from(text, 1);
	while (text.len && is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

static size_t find(struct text text, struct text needle)
{
	const char *found = text.len ? memmem(text.at, text.len, needle.at, needle.len) : NULL;

	return found ? (size_t)(found - text.at) : text.len;
}

/* `{{{x}}}` and `{{=a b=}}` end in a byte of their own and the delimiter. */
static struct text end_of(
	const struct mustache_reader *reader, char sigil, char end[MUSTACHE_DELIMITER + 1])
{
	if (sigil != '{' && sigil != '=')
		return reader->close;
	end[0] = sigil == '{' ? '}' : '=';
	memcpy(end + 1, reader->close.at, reader->close.len);
	return (struct text){ end, reader->close.len + 1 };
}

static enum err read_bounds(const struct mustache_reader *reader, struct mustache_tag *tag)
{
	static const char sigils[] = "!#^/>&{=<$";
	struct text rest = text_from(reader->source->text, tag->at + reader->open.len), end;
	char bytes[MUSTACHE_DELIMITER + 1];
	size_t len;

	while (rest.len && is_space(rest.at[0]))
		rest = text_from(rest, 1);
	tag->sigil = '\0';
	if (rest.len && rest.at[0] && strchr(sigils, rest.at[0])) {
		tag->sigil = rest.at[0];
		rest = text_from(rest, 1);
	}
	end = end_of(reader, tag->sigil, bytes);
	len = find(rest, end);
	if (len == rest.len)
		return mustache_refuse(reader, tag, "the tag does not end, this is missing", end);
	tag->content = trim(text_head(rest, len));
	tag->end = (size_t)(rest.at - reader->source->text.at) + len + end.len;
	return OK;
}

static bool has_space(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (is_space(text.at[i]))
			return true;
	return false;
}

static bool has_empty_part(struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] == '.' && (i == 0 || i + 1 == name.len || name.at[i + 1] == '.'))
			return true;
	return false;
}

static enum err check_name(const struct mustache_reader *reader, const struct mustache_tag *tag)
{
	struct text name = tag->content;
	bool is_partial = tag->sigil == '>';

	if (name.len == 0)
		return mustache_blame(
			reader->fault, ERR_SYNTAX, reader->source, tag->at, "the tag has no name");
	if (find(name, reader->open) < name.len)
		return mustache_refuse(
			reader, tag, "another tag begins before this one ends", name);
	if (has_space(name))
		return mustache_refuse(reader, tag, "a name cannot have blanks in it", name);
	if (name.len > MUSTACHE_NAME)
		return mustache_blame(reader->fault, ERR_LIMIT, reader->source, tag->at,
			"the name has more than %d bytes", MUSTACHE_NAME);
	if (is_partial && name.at[0] == '*')
		return mustache_refuse(reader, tag, "there are no dynamic names here", name);
	if (!is_partial && name.len > 1 && has_empty_part(name))
		return mustache_refuse(reader, tag, "a part of the name is empty", name);
	return OK;
}

enum err mustache_refuse(const struct mustache_reader *reader, const struct mustache_tag *tag,
	const char *why, struct text what)
{
	bool whole = mustache_clip(what).len == what.len;

	return mustache_blame(reader->fault, ERR_SYNTAX, reader->source, tag->at, "%s: \"%.*s%s\"",
		why, (int)mustache_clip(what).len, what.at, whole ? "" : "...");
}

size_t mustache_find_tag(const struct mustache_reader *reader, struct text text)
{
	return find(text, reader->open);
}

enum err mustache_read_tag(const struct mustache_reader *reader, struct mustache_tag *tag)
{
	enum err err = read_bounds(reader, tag);

	if (err || tag->sigil == '!' || tag->sigil == '=')
		return err;
	if (tag->sigil == '<' || tag->sigil == '$')
		return mustache_refuse(reader, tag, "there is no inheritance here", tag->content);
	return check_name(reader, tag);
}

enum err mustache_set_delimiters(struct mustache_reader *reader, const struct mustache_tag *tag)
{
	struct text open = tag->content, close;
	size_t len = 0;

	while (len < open.len && !is_space(open.at[len]))
		len++;
	close = trim(text_from(open, len));
	open = text_head(open, len);
	if (!close.len || has_space(close) || text_find(open, '=') < open.len ||
		text_find(close, '=') < close.len)
		return mustache_refuse(reader, tag,
			"two delimiters are wanted, with a blank between them and no \"=\"",
			tag->content);
	if (open.len > MUSTACHE_DELIMITER || close.len > MUSTACHE_DELIMITER)
		return mustache_blame(reader->fault, ERR_LIMIT, reader->source, tag->at,
			"a delimiter has more than %d bytes", MUSTACHE_DELIMITER);
	reader->open = open;
	reader->close = close;
	return OK;
}
