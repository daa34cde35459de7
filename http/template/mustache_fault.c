/* mustache_fault - where in a template something is wrong: line, column, words */
#include "http/template/mustache_node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 60 };

static bool is_inside_character(char byte)
{
	return ((unsigned char)byte & 0xc0U) == 0x80;
}

void mustache_place(struct text source, size_t at, size_t *line_out, size_t *column_out)
{
	struct text line = text_head(source, at);
	size_t end, column = 1;

	*line_out = 1;
	while ((end = text_find(line, '\n')) < line.len) {
		line = text_from(line, end + 1);
		++*line_out;
	}
	for (size_t i = 0; i < line.len; i++)
		column += !is_inside_character(line.at[i]);
	*column_out = column;
}

struct text mustache_clip(struct text name)
{
	size_t len = SHOWN;

	if (name.len <= SHOWN)
		return name;
	while (len && is_inside_character(name.at[len]))
		len--;
	return text_head(name, len);
}

/* What is shown of a tag may go over lines. */
static void clean(char *why)
{
	for (size_t len; *why; why += len) {
		len = 1;
		while (is_inside_character(why[len]))
			len++;
		if (text_has_control((struct text){ why, len }))
			memset(why, ' ', len);
	}
}

enum err mustache_blame(struct mustache_fault *fault, enum err err,
	const struct mustache_source *source, size_t at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->why, sizeof(fault->why), format, args);
	va_end(args);
	clean(fault->why);
	fault->in = source->name;
	mustache_place(source->text, at, &fault->line, &fault->column);
	return err;
}
