/* mustache - the text of a template with values put in
 *
 * Mustache as its specification's six core parts have it: comments, delimiters, interpolation,
 * sections, inverted sections, partials. Neither lambdas nor inheritance nor dynamic names; the
 * tags of the latter two are errors. false, null, "", 0, an empty list and what is not there are
 * false. A template is parsed once, with its partials, and does not change: any threads may render
 * it. */
#pragma once

#include "http/json/json.h"

enum {
	MUSTACHE_NODES = 65536,   /* tags and texts between them, partials included */
	MUSTACHE_PARTIALS = 100,  /* different ones that a template may name, partials included */
	MUSTACHE_DEPTH = 100,     /* sections and partials open inside each other */
	MUSTACHE_NAME = 200,      /* bytes of a name */
	MUSTACHE_DELIMITER = 16,  /* bytes of a delimiter */
	MUSTACHE_MISSES = 50,     /* names of values that were missing which are kept */
	MUSTACHE_STEPS = 2000000, /* what one message may take: 10 to 200 ms */
};

struct mustache;

/* What is wrong, and where. */
struct mustache_fault {
	char why[240];       /* one line, no controls, no full stop; UTF-8 where the template is */
	struct text in;      /* the template's or partial's name; borrowed as that is */
	size_t line, column; /* from 1; columns are characters (code points), lines end at LF */
};

struct mustache_partials {
	void *self;
	/* The text of the partial `name`, which must live as long as the template. ERR_MISSING:
	 * there is none. ERR_LIMIT (with it, it is too much), ERR_MEMORY: nothing is parsed. Asked
	 * once for each name. */
	enum err (*find)(void *self, struct text name, struct text *source_out);
};

/* Parses `source` and the partials that it names (NULL: there are none). The template lies in
 * `region` and keeps pointers into `name`, which faults repeat, and `source`. ERR_SYNTAX,
 * ERR_LIMIT (also where the region is full): the fault says more. ERR_MEMORY: it is left empty. */
MUST_USE enum err mustache_parse(struct text name, struct text source,
	const struct mustache_partials *partials, struct region *region,
	const struct mustache **template_out, struct mustache_fault *fault_out);

/* What was asked for and is not there: a variable's whole name as written, or a partial's. Sections
 * are no misses: to ask whether something is there is what they are for. */
struct mustache_miss {
	struct text name; /* borrowed from the template's source */
	bool is_partial;
};

enum mustache_escape { MUSTACHE_HTML, MUSTACHE_PLAIN }; /* {{{x}}} and {{&x}} are always plain */

struct mustache_view {
	const struct json *json;   /* to which `value` belongs */
	const struct cJSON *value; /* what the names are sought in; NULL: nothing */
	enum mustache_escape escape;
	/* Rendering takes from it for each tag, turn of a list, and member looked at: the same view
	 * may serve the parts of a message, or a batch, that share one bound. Begin with
	 * MUSTACHE_STEPS. */
	size_t steps;
	/* Added to, each once, in order; begin with none. What is over the bound is left out. */
	struct mustache_miss misses[MUSTACHE_MISSES];
	size_t miss_count;
};

/* Appends the result to `out`, whose own limit bounds it; on error what was appended so far stays.
 * Numbers are written out in full (1e30 has 31 digits), as the double that JSON's is read as: an
 * identifier of more than 15 digits belongs into a string. ERR_LIMIT (depth, steps, the limit of
 * `out`), ERR_VALUE (a variable that is a list, an object or no finite number): the fault says
 * more. ERR_MEMORY. */
MUST_USE enum err mustache_render(const struct mustache *template, struct mustache_view *view,
	struct buf *out, struct mustache_fault *fault_out);
