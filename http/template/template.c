#include "http/template/template.h"

#include "smtp/message/hidden.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const part_names[TEMPLATE_PARTS] = { "subject", "text", "html" };

const char *template_part_name(enum template_part part)
{
	return part_names[part];
}

bool template_name_is_good(struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_letter(name.at[i]) && !byte_is_digit(name.at[i]) &&
			!memchr("._-", name.at[i], 3))
			return false;
	return name.len > 0 && name.len <= TEMPLATE_NAME && !text_equal(name, TEXT(".")) &&
	       !text_equal(name, TEXT(".."));
}

bool template_has_part(const struct template_source *source)
{
	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++)
		if (source->parts[part].at)
			return true;
	return false;
}

const char *template_why_not(struct text text)
{
	if (!text_is_utf8(text))
		return "it is not UTF-8";
	for (size_t i = 0; (i += text_find_control(text_from(text, i))) < text.len; i++)
		if (!memchr("\r\n\t", text.at[i], 3))
			return "it holds a control character";
	return memchr(text.len ? text.at : "", 0x7f, text.len) ? "it holds a control character"
							       : NULL;
}

/* ---- parsing */

enum { FOUND_MAX = TEMPLATE_PARTS * MUSTACHE_PARTIALS };

struct lookup {
	const struct template_source *source;
	const struct mustache_partials *shared;
	struct template_partial found[FOUND_MAX]; /* shared ones that an earlier part has named */
	size_t found_count;
};

static bool find_in(const struct template_partial *partials, size_t count, struct text name,
	struct text *text_out)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(partials[i].name, name)) {
			*text_out = partials[i].text;
			return true;
		}
	return false;
}

/* Its own come first. */
static enum err find_partial(void *self, struct text name, struct text *text_out)
{
	struct lookup *lookup = self;
	const struct template_source *source = lookup->source;
	enum err err;

	if (find_in(source->partials, source->partial_count, name, text_out) ||
		find_in(lookup->found, lookup->found_count, name, text_out))
		return OK;
	if (!lookup->shared)
		return ERR_MISSING;
	err = lookup->shared->find(lookup->shared->self, name, text_out);
	if (!err) {
		assert(lookup->found_count < FOUND_MAX);
		lookup->found[lookup->found_count++] = (struct template_partial){ name, *text_out };
	}
	return err;
}

static struct text without_line_ends(struct text text)
{
	while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
		text.len--;
	return text;
}

/* The part is named by this very text: a partial may be called "html", too. What else the name
 * lies in may go before the fault does. */
static void place_fault(struct template_fault *fault, enum template_part part)
{
	struct text in = fault->mustache.in;

	fault->part = part;
	if (in.at && in.at != part_names[part])
		snprintf(fault->partial, sizeof(fault->partial), "%.*s", (int)in.len, in.at);
	fault->mustache.in = (struct text){ 0 };
}

enum err template_parse(const struct template_source *source,
	const struct mustache_partials *shared, struct region *region,
	struct template *template_out, struct template_fault *fault_out)
{
	struct lookup lookup = { .source = source, .shared = shared };
	struct mustache_partials partials = { &lookup, find_partial };
	struct template made = { .source = *source };
	enum err err = OK;

	*fault_out = (struct template_fault){ 0 };
	for (enum template_part part = 0; !err && part < TEMPLATE_PARTS; part++) {
		struct text text = source->parts[part];

		if (!text.at)
			continue;
		if (part == TEMPLATE_SUBJECT)
			text = without_line_ends(text);
		err = mustache_parse(text_of(part_names[part]), text, &partials, region,
			&made.parts[part], &fault_out->mustache);
		place_fault(fault_out, part);
	}
	if (!err)
		*template_out = made;
	return err;
}

/* ---- rendering */

/* What the values brought along: the template itself was looked at when it was read. */
static const char *why_no_part(enum template_part part, struct text text)
{
	if (part != TEMPLATE_SUBJECT)
		return template_why_not(text) ? "a value holds a control character" : NULL;
	return text_has_control(text) ? "it is more than one line, or holds a control character: "
					"a subject's values must be of one line"
				      : smtp_line_why_not(text);
}

static enum err blame(
	enum err err, enum template_part part, const char *why, struct template_fault *fault)
{
	*fault = (struct template_fault){ .part = part };
	snprintf(fault->mustache.why, sizeof(fault->mustache.why), "%s", why);
	return err;
}

static enum err check_part(enum template_part part, struct text text, struct template_fault *fault)
{
	const char *why = why_no_part(part, text);

	return why ? blame(ERR_VALUE, part, why, fault) : OK;
}

static enum err keep(enum template_part part, struct text text, struct region *region,
	struct text *text_out, struct template_fault *fault)
{
	struct text kept = region_copy(region, text);

	if (kept.at) {
		*text_out = kept;
		return OK;
	}
	if (region_why_not(region, text.len + 1) == ERR_LIMIT)
		return blame(ERR_LIMIT, part,
			"the result is more than there is room for in one request", fault);
	return ERR_MEMORY;
}

enum err template_render(const struct template *template, enum template_part part,
	struct mustache_view *view, struct region *region, struct text *text_out,
	struct template_fault *fault_out)
{
	struct buf out =
		buf_born(part == TEMPLATE_SUBJECT ? TEMPLATE_SUBJECT_LINE : TEMPLATE_RENDERED);
	enum err err;

	*fault_out = (struct template_fault){ 0 };
	view->escape = part == TEMPLATE_HTML ? MUSTACHE_HTML : MUSTACHE_PLAIN;
	err = mustache_render(template->parts[part], view, &out, &fault_out->mustache);
	place_fault(fault_out, part);
	if (!err)
		err = check_part(part, buf_text(&out), fault_out);
	if (!err)
		err = keep(part, buf_text(&out), region, text_out, fault_out);
	buf_free(&out);
	return err;
}

/* ---- words */

void template_fault_words(const struct template_fault *fault, char words[TEMPLATE_WORDS])
{
	const struct mustache_fault *mustache = &fault->mustache;
	const char *part = part_names[fault->part];

	if (fault->partial[0])
		snprintf(words, TEMPLATE_WORDS, "%s, partial %s, line %zu, column %zu: %s", part,
			fault->partial, mustache->line, mustache->column, mustache->why);
	else if (mustache->line)
		snprintf(words, TEMPLATE_WORDS, "%s, line %zu, column %zu: %s", part,
			mustache->line, mustache->column, mustache->why);
	else
		snprintf(words, TEMPLATE_WORDS, "%s: %s", part, mustache->why);
}
