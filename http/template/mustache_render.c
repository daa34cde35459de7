/* mustache_render - nodes and values to text
 *
 * It goes as deep as MUSTACHE_DEPTH allows, calling itself. Every loop over what came from outside
 * is paid for in steps, and what it appends by the limit of the buf. */
#include "http/template/mustache_node.h"
#include "http/template/mustache_value.h"

#include <cjson/cJSON.h>

/* What it costs to find the digits of a number that is no small integer: two microseconds. */
enum { DECIMAL_STEPS = 20, BYTES_A_STEP = 16 };

/* Where names are sought: from the innermost section outwards. */
struct context {
	const struct cJSON *value;
	const struct context *up;
};

struct renderer {
	const struct mustache *template;
	const struct mustache_source *source; /* the one that the nodes are of */
	struct mustache_view *view;
	struct mustache_fault *fault;
	struct buf *out;
	struct buf indents; /* of all partials that are open, outer before inner */
	size_t indent_from; /* up to here they are not for this partial: it began within a line */
	size_t depth;       /* sections and partials that are open */
	enum err err;       /* the first that went wrong */
};

static void blame(
	struct renderer *renderer, enum err err, const struct mustache_node *node, const char *why)
{
	if (!renderer->err)
		renderer->err =
			mustache_blame(renderer->fault, err, renderer->source, node->at, "%s", why);
}

static void spend(struct renderer *renderer, const struct mustache_node *node, size_t steps)
{
	struct mustache_view *view = renderer->view;

	if (steps > view->steps)
		blame(renderer, ERR_LIMIT, node,
			"rendering takes too many steps: long lists inside each other?");
	view->steps -= steps < view->steps ? steps : view->steps;
}

/* ---- names */

static const struct cJSON *member(struct renderer *renderer, const struct mustache_node *node,
	const struct cJSON *object, struct text name)
{
	const struct cJSON *found = cJSON_IsObject(object) ? object->child : NULL;
	size_t steps = 1;

	for (; found && !text_equal(json_name(renderer->view->json, found), name); steps++)
		found = found->next;
	spend(renderer, node, steps);
	return found;
}

/* Only the first part of a dotted name is sought in all contexts. NULL: not there. */
static const struct cJSON *look_up(
	struct renderer *renderer, const struct mustache_node *node, const struct context *context)
{
	const struct cJSON *found = NULL;
	struct text rest = node->text, first;

	if (text_equal(node->text, TEXT(".")))
		return context->value;
	first = text_cut(&rest, '.');
	for (; context && !found && !renderer->err; context = context->up)
		found = member(renderer, node, context->value, first);
	while (found && rest.len && !renderer->err)
		found = member(renderer, node, found, text_cut(&rest, '.'));
	return found;
}

static void miss(struct renderer *renderer, const struct mustache_node *node)
{
	struct mustache_view *view = renderer->view;
	bool is_partial = node->kind == MUSTACHE_PARTIAL;

	spend(renderer, node, view->miss_count);
	for (size_t i = 0; i < view->miss_count; i++)
		if (view->misses[i].is_partial == is_partial &&
			text_equal(view->misses[i].name, node->text))
			return;
	if (view->miss_count < MUSTACHE_MISSES)
		view->misses[view->miss_count++] = (struct mustache_miss){ node->text, is_partial };
}

/* ---- one node */

static struct text indent_of(const struct renderer *renderer)
{
	return text_from(buf_text(&renderer->indents), renderer->indent_from);
}

static void put_text(struct renderer *renderer, const struct mustache_node *node)
{
	struct text indent = indent_of(renderer), rest = node->text, line;
	bool starts_line = node->starts_line;

	if (!indent.len) {
		buf_add(renderer->out, node->text);
		return;
	}
	do {
		line = text_head(rest, text_find(rest, '\n') + 1);
		if (starts_line)
			buf_add(renderer->out, indent);
		buf_add(renderer->out, line);
		rest = text_from(rest, line.len);
		starts_line = true;
	} while (rest.len);
}

static void put_string(
	struct renderer *renderer, const struct mustache_node *node, const struct cJSON *value)
{
	struct text text = json_string(renderer->view->json, value);

	if (node->kind == MUSTACHE_VARIABLE && renderer->view->escape == MUSTACHE_HTML)
		mustache_add_html(renderer->out, text);
	else
		buf_add(renderer->out, text);
}

static void put_number(
	struct renderer *renderer, const struct mustache_node *node, const struct cJSON *value)
{
	if (value->valuedouble != value->valueint)
		spend(renderer, node, DECIMAL_STEPS);
	if (!mustache_add_number(renderer->out, value->valuedouble))
		blame(renderer, ERR_VALUE, node, "the number is too large to be written");
}

static void put_value(
	struct renderer *renderer, const struct mustache_node *node, const struct context *context)
{
	const struct cJSON *value = look_up(renderer, node, context);

	if (renderer->err || cJSON_IsNull(value))
		return;
	if (!value)
		miss(renderer, node);
	else if (cJSON_IsString(value))
		put_string(renderer, node, value);
	else if (cJSON_IsNumber(value))
		put_number(renderer, node, value);
	else if (cJSON_IsBool(value))
		buf_add_string(renderer->out, cJSON_IsTrue(value) ? "true" : "false");
	else if (cJSON_IsArray(value))
		blame(renderer, ERR_VALUE, node, "the value is a list: only a section can take it");
	else
		blame(renderer, ERR_VALUE, node,
			"the value is an object: name one of its members, or open a section");
}

static bool enter(struct renderer *renderer, const struct mustache_node *node)
{
	if (renderer->depth == MUSTACHE_DEPTH)
		blame(renderer, ERR_LIMIT, node,
			"too many sections and partials inside each other: does a partial name "
			"itself?");
	else if (!renderer->err)
		renderer->depth++;
	return !renderer->err;
}

static void render_nodes(
	struct renderer *renderer, size_t first, size_t end, const struct context *context);

static void put_section(struct renderer *renderer, const struct mustache_node *node, size_t first,
	const struct context *context)
{
	const struct cJSON *value = look_up(renderer, node, context), *item;
	bool is_true = mustache_is_true(renderer->view->json, value);
	struct context inner = { value, context };

	if (is_true == (node->kind == MUSTACHE_INVERTED) || !enter(renderer, node))
		return;
	if (node->kind == MUSTACHE_INVERTED) {
		render_nodes(renderer, first, node->end, context);
	} else if (!cJSON_IsArray(value)) {
		render_nodes(renderer, first, node->end, &inner);
	} else {
		for (item = value->child; item && !renderer->err; item = item->next) {
			inner.value = item;
			spend(renderer, node, 1);
			render_nodes(renderer, first, node->end, &inner);
		}
	}
	renderer->depth--;
}

static void put_partial(
	struct renderer *renderer, const struct mustache_node *node, const struct context *context)
{
	const struct mustache_source *source = &renderer->template->sources[node->end];
	const struct mustache_source *outer = renderer->source;
	size_t len = renderer->indents.len, from = renderer->indent_from;

	if (!source->exists) {
		miss(renderer, node);
		return;
	}
	if (!enter(renderer, node))
		return;
	spend(renderer, node, node->indent.len / BYTES_A_STEP);
	if (node->stands_alone)
		buf_add(&renderer->indents, node->indent);
	else
		renderer->indent_from = len;
	renderer->source = source;
	render_nodes(renderer, source->first, source->end, context);
	renderer->source = outer;
	renderer->indents.len = len;
	renderer->indent_from = from;
	renderer->depth--;
}

static void check_bufs(struct renderer *renderer, const struct mustache_node *node)
{
	enum err err = renderer->out->err ? renderer->out->err : renderer->indents.err;

	if (!err || renderer->err)
		return;
	renderer->err = err;
	if (err == ERR_LIMIT)
		renderer->err = mustache_blame(renderer->fault, err, renderer->source, node->at,
			"the result has more than %zu bytes", renderer->out->limit);
}

static void render_nodes(
	struct renderer *renderer, size_t first, size_t end, const struct context *context)
{
	for (size_t i = first; i < end && !renderer->err; i++) {
		const struct mustache_node *node = &renderer->template->nodes[i];

		spend(renderer, node, 1);
		switch (node->kind) {
		case MUSTACHE_TEXT:
			put_text(renderer, node);
			break;
		case MUSTACHE_VARIABLE:
		case MUSTACHE_UNESCAPED:
			put_value(renderer, node, context);
			break;
		case MUSTACHE_SECTION:
		case MUSTACHE_INVERTED:
			put_section(renderer, node, i + 1, context);
			i = node->end - 1;
			break;
		case MUSTACHE_PARTIAL:
			put_partial(renderer, node, context);
			break;
		}
		check_bufs(renderer, node);
	}
}

enum err mustache_render(const struct mustache *template, struct mustache_view *view,
	struct buf *out, struct mustache_fault *fault_out)
{
	const struct context root = { view->value, NULL };
	struct renderer renderer = { .template = template,
		.source = &template->sources[0],
		.view = view,
		.fault = fault_out,
		.out = out,
		.indents = buf_born(out->limit),
		.err = out->err };

	*fault_out = (struct mustache_fault){ 0 };
	render_nodes(&renderer, renderer.source->first, renderer.source->end, &root);
	buf_free(&renderer.indents);
	return renderer.err;
}
