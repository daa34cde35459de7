/* mustache_parse - a template's source, and its partials', to nodes
 *
 * All sources go into one array of nodes, one behind the other, and a partial is a piece of it: so
 * one bound holds for all, and a partial that names itself needs no second look. */
#include "http/template/mustache_tag.h"

#include <string.h>

enum { SOURCES = 1 + MUSTACHE_PARTIALS };

struct parser {
	const struct mustache_partials *partials;
	struct mustache_source sources[SOURCES];
	size_t count;
	struct buf nodes;
	/* of the source that is being read */
	struct mustache_reader reader;
	bool at_line_start;
	size_t sections[MUSTACHE_DEPTH]; /* those that are open: their nodes */
	size_t depth;
};

static struct mustache_node *node_at(const struct parser *parser, size_t index)
{
	return (struct mustache_node *)(void *)parser->nodes.at + index;
}

static size_t node_count(const struct parser *parser)
{
	return parser->nodes.len / sizeof(struct mustache_node);
}

static enum err add_node(struct parser *parser, const struct mustache_node *node)
{
	buf_add(&parser->nodes, (struct text){ (const char *)node, sizeof(*node) });
	if (parser->nodes.err != ERR_LIMIT)
		return parser->nodes.err;
	return mustache_blame(parser->reader.fault, ERR_LIMIT, parser->reader.source, node->at,
		"more than %d tags and texts, partials included", MUSTACHE_NODES);
}

/* ---- texts */

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static enum err add_text(struct parser *parser, struct text text)
{
	struct mustache_node node = { .kind = MUSTACHE_TEXT,
		.starts_line = parser->at_line_start,
		.text = text,
		.at = (size_t)(text.at - parser->reader.source->text.at) };

	if (text.len == 0)
		return OK;
	parser->at_line_start = text.at[text.len - 1] == '\n';
	return add_node(parser, &node);
}

/* The text before a tag that does not stand alone. An empty one keeps the place of the indentation
 * where the tag is the first of its line. */
static enum err add_text_before(struct parser *parser, struct text before)
{
	enum err err = add_text(parser, before);

	if (!err && parser->at_line_start)
		err = add_node(parser, &(struct mustache_node){ .kind = MUSTACHE_TEXT,
					       .starts_line = true,
					       .text = text_from(before, before.len),
					       .at = (size_t)(before.at + before.len -
							      parser->reader.source->text.at) });
	parser->at_line_start = false;
	return err;
}

/* Bytes of the blanks at the end of `before`, if nothing else stands between the line's start and
 * the tag. */
static bool only_blanks_before(const struct parser *parser, struct text before, size_t *len_out)
{
	size_t start = before.len;

	while (start && is_blank(before.at[start - 1]))
		start--;
	*len_out = before.len - start;
	return start ? before.at[start - 1] == '\n' : parser->at_line_start;
}

/* Bytes up to the next line, if only blanks stand there. */
static bool only_blanks_behind(struct text behind, size_t *len_out)
{
	size_t len = 0;

	while (len < behind.len && is_blank(behind.at[len]))
		len++;
	if (text_starts(text_from(behind, len), TEXT("\r\n")))
		len++;
	else if (len < behind.len && behind.at[len] != '\n')
		return false;
	*len_out = len < behind.len ? len + 1 : len;
	return true;
}

/* ---- what the tags do */

static enum err open_section(struct parser *parser, const struct mustache_tag *tag)
{
	struct mustache_node node = {
		.kind = tag->sigil == '#' ? MUSTACHE_SECTION : MUSTACHE_INVERTED,
		.text = tag->content,
		.at = tag->at,
	};

	if (parser->depth == MUSTACHE_DEPTH)
		return mustache_blame(parser->reader.fault, ERR_LIMIT, parser->reader.source,
			tag->at, "more than %d sections inside each other", MUSTACHE_DEPTH);
	parser->sections[parser->depth++] = node_count(parser);
	return add_node(parser, &node);
}

static enum err close_section(struct parser *parser, const struct mustache_tag *tag)
{
	struct mustache_node *section;
	struct text opened, closed = mustache_clip(tag->content);
	size_t line, column;

	if (!parser->depth)
		return mustache_refuse(&parser->reader, tag,
			"no section is open that this could end", tag->content);
	section = node_at(parser, parser->sections[parser->depth - 1]);
	if (text_equal(section->text, tag->content)) {
		section->end = node_count(parser);
		parser->depth--;
		return OK;
	}
	opened = mustache_clip(section->text);
	mustache_place(parser->reader.source->text, section->at, &line, &column);
	return mustache_blame(parser->reader.fault, ERR_SYNTAX, parser->reader.source, tag->at,
		"\"%.*s\" ends here, but the open section is \"%.*s\" of line %zu, column %zu",
		(int)closed.len, closed.at, (int)opened.len, opened.at, line, column);
}

static enum err add_partial(
	struct parser *parser, const struct mustache_tag *tag, struct text indent)
{
	struct mustache_node node = { .kind = MUSTACHE_PARTIAL,
		.stands_alone = indent.at != NULL,
		.text = tag->content,
		.indent = indent,
		.at = tag->at,
		.end = 1 };
	struct mustache_source *source;
	enum err err = ERR_MISSING;

	while (node.end < parser->count &&
		!text_equal(parser->sources[node.end].name, tag->content))
		node.end++;
	if (node.end < parser->count)
		return add_node(parser, &node);
	if (parser->count == SOURCES)
		return mustache_blame(parser->reader.fault, ERR_LIMIT, parser->reader.source,
			tag->at, "more than %d different partials", MUSTACHE_PARTIALS);
	source = &parser->sources[parser->count++];
	*source = (struct mustache_source){ .name = tag->content };
	if (parser->partials)
		err = parser->partials->find(parser->partials->self, source->name, &source->text);
	if (err == ERR_LIMIT)
		return mustache_blame(parser->reader.fault, err, parser->reader.source, tag->at,
			"with the partial \"%.*s\" it is more than is taken",
			(int)mustache_clip(tag->content).len, tag->content.at);
	source->exists = !err;
	return err && err != ERR_MISSING ? err : add_node(parser, &node);
}

static enum err add_variable(struct parser *parser, const struct mustache_tag *tag)
{
	return add_node(parser, &(struct mustache_node){
					.kind = tag->sigil ? MUSTACHE_UNESCAPED : MUSTACHE_VARIABLE,
					.text = tag->content,
					.at = tag->at });
}

/* `indent`: the blanks before a tag that stands alone, else without address. */
static enum err take_tag(struct parser *parser, const struct mustache_tag *tag, struct text indent)
{
	switch (tag->sigil) {
	case '!':
		return OK;
	case '=':
		return mustache_set_delimiters(&parser->reader, tag);
	case '#':
	case '^':
		return open_section(parser, tag);
	case '/':
		return close_section(parser, tag);
	case '>':
		return add_partial(parser, tag, indent);
	default:
		return add_variable(parser, tag);
	}
}

/* ---- whole sources */

/* The tag at tag->at, and the text `before` it. A tag that is no variable and has a line for itself
 * takes that whole line away. */
static enum err read_tag_and_text(
	struct parser *parser, struct text before, struct mustache_tag *tag)
{
	struct text indent = { 0 };
	size_t blanks, behind;
	bool alone;
	enum err err = mustache_read_tag(&parser->reader, tag);

	if (err)
		return err;
	alone = tag->sigil && !strchr("&{", tag->sigil) &&
		only_blanks_before(parser, before, &blanks) &&
		only_blanks_behind(text_from(parser->reader.source->text, tag->end), &behind);
	if (alone) {
		indent = text_from(before, before.len - blanks);
		err = add_text(parser, text_head(before, before.len - blanks));
		parser->at_line_start = true;
		tag->end += behind;
	} else {
		err = add_text_before(parser, before);
	}
	return err ? err : take_tag(parser, tag, indent);
}

static enum err read_source(struct parser *parser, struct mustache_source *source)
{
	enum err err = OK;
	size_t at = 0;

	parser->reader.source = source;
	parser->reader.open = TEXT("{{");
	parser->reader.close = TEXT("}}");
	parser->at_line_start = true;
	source->first = node_count(parser);
	while (!err && at < source->text.len) {
		struct text rest = text_from(source->text, at);
		struct text before = text_head(rest, mustache_find_tag(&parser->reader, rest));
		struct mustache_tag tag = { .at = at + before.len, .end = source->text.len };

		err = before.len < rest.len ? read_tag_and_text(parser, before, &tag)
					    : add_text(parser, before);
		at = tag.end;
	}
	source->end = node_count(parser);
	if (!err && parser->depth) {
		const struct mustache_node *section =
			node_at(parser, parser->sections[parser->depth - 1]);

		err = mustache_refuse(&parser->reader, &(struct mustache_tag){ .at = section->at },
			"the section that begins here does not end", section->text);
	}
	return err;
}

/* One piece of the region: the template, its sources, its nodes. */
static enum err keep(
	const struct parser *parser, struct region *region, const struct mustache **template_out)
{
	size_t sources_len = parser->count * sizeof(parser->sources[0]);
	size_t len = sizeof(struct mustache) + sources_len + parser->nodes.len;
	struct mustache *template = region_alloc(region, len);
	char *sources;

	if (!template && region_why_not(region, len) == ERR_LIMIT)
		return mustache_blame(parser->reader.fault, ERR_LIMIT, &parser->sources[0], 0,
			"with its partials it is more than is taken");
	if (!template)
		return ERR_MEMORY;
	sources = (char *)(template + 1);
	template->sources = memcpy(sources, parser->sources, sources_len);
	template->nodes = (void *)(sources + sources_len);
	if (parser->nodes.len)
		memcpy(sources + sources_len, parser->nodes.at, parser->nodes.len);
	*template_out = template;
	return OK;
}

enum err mustache_parse(struct text name, struct text source,
	const struct mustache_partials *partials, struct region *region,
	const struct mustache **template_out, struct mustache_fault *fault_out)
{
	struct parser parser = { .partials = partials,
		.sources[0] = { .name = name, .text = source, .exists = true },
		.count = 1,
		.nodes = buf_born(MUSTACHE_NODES * sizeof(struct mustache_node)),
		.reader.fault = fault_out };
	enum err err = OK;

	*fault_out = (struct mustache_fault){ 0 };
	for (size_t i = 0; i < parser.count && !err; i++) /* more come in while it goes */
		if (parser.sources[i].exists)
			err = read_source(&parser, &parser.sources[i]);
	if (!err)
		err = keep(&parser, region, template_out);
	buf_free(&parser.nodes);
	return err;
}
