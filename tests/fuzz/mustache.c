#include "fuzz.h"

#include "http/template/mustache.h"

#include <string.h>

enum { LIMIT = 20000, STEPS = 100000 };

/* Each of just its size: what is read behind its end shows. */
static char *copy(struct text part)
{
	char *at = malloc(part.len ? part.len : 1);

	must(at);
	if (part.len)
		memcpy(at, part.at, part.len);
	return at;
}

/* The partials "a" and "b"; there is no other. */
static enum err find_partial(void *self, struct text name, struct text *source_out)
{
	if (name.len != 1 || (name.at[0] != 'a' && name.at[0] != 'b'))
		return ERR_MISSING;
	*source_out = ((struct text *)self)[name.at[0] - 'a'];
	return OK;
}

static void check_fault(enum err err, const struct mustache_fault *fault)
{
	must(err == ERR_SYNTAX || err == ERR_LIMIT || err == ERR_VALUE);
	must(fault->why[0] && fault->in.len == 1 && fault->line && fault->column);
	must(text_is_utf8(text_of(fault->why)));
}

static void check_misses(const struct mustache_view *view)
{
	must(view->miss_count <= MUSTACHE_MISSES);
	for (size_t i = 0; i < view->miss_count; i++)
		for (size_t k = 0; k < i; k++)
			must(view->misses[i].is_partial != view->misses[k].is_partial ||
				!text_equal(view->misses[i].name, view->misses[k].name));
}

/* Bounded, and the same each time; an escaped text is one that a plain text can become. */
static void render(const struct mustache *template, const struct json *json)
{
	struct buf outs[3] = { buf_born(LIMIT), buf_born(LIMIT), buf_born(LIMIT) };
	enum mustache_escape escapes[3] = { MUSTACHE_HTML, MUSTACHE_HTML, MUSTACHE_PLAIN };
	enum err errs[3];

	for (size_t i = 0; i < 3; i++) {
		struct mustache_view view = {
			.json = json, .value = json->root, .escape = escapes[i], .steps = STEPS
		};
		struct mustache_fault fault;

		errs[i] = mustache_render(template, &view, &outs[i], &fault);
		if (errs[i])
			check_fault(errs[i], &fault);
		check_misses(&view);
		must(view.steps <= STEPS && outs[i].len <= LIMIT);
		must(errs[i] || text_is_utf8(buf_text(&outs[i])));
	}
	must(errs[0] == errs[1] && text_equal(buf_text(&outs[0]), buf_text(&outs[1])));
	must(errs[0] || (!errs[2] && outs[2].len <= outs[0].len));
	for (size_t i = 0; i < 3; i++)
		buf_free(&outs[i]);
}

/* Values, template, partial a, partial b: form feeds between them. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct text rest = input(bytes, len), parts[4];
	struct mustache_partials partials = { &parts[2], find_partial };
	const struct mustache *template;
	struct mustache_fault fault;
	struct region *region;
	struct json json = { 0 };
	char *copies[4];
	enum err err;

	if (!text_is_utf8(rest) || region_open(64 << 20, &region))
		return 0;
	for (size_t i = 0; i < 4; i++) {
		parts[i] = i < 3 ? text_cut(&rest, '\f') : rest;
		copies[i] = copy(parts[i]);
		parts[i].at = copies[i];
	}
	if (json_parse(copies[0], parts[0].len, region, &json))
		json = (struct json){ 0 };
	err = mustache_parse(TEXT("t"), parts[1], &partials, region, &template, &fault);
	if (err)
		check_fault(err, &fault);
	else
		render(template, &json);
	region_close(region);
	for (size_t i = 0; i < 4; i++)
		free(copies[i]);
	return 0;
}
