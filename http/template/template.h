/* template - the subject, text and HTML of messages, with places for values
 *
 * Mustache (mustache.h). Values that are put into the HTML are escaped, subject and text are
 * plain. A template may bring partials of its own; others are looked for where the caller says. */
#pragma once

#include "http/template/mustache.h"

enum template_part { TEMPLATE_SUBJECT, TEMPLATE_TEXT, TEMPLATE_HTML, TEMPLATE_PARTS };

enum {
	TEMPLATE_NAME = 100,          /* bytes of a template's name */
	TEMPLATE_BYTES = 1 << 20,     /* of all its texts, its own partials included */
	TEMPLATE_RENDERED = 16 << 20, /* bytes that a part may become */
	TEMPLATE_SUBJECT_LINE = 998,  /* and the subject */
	TEMPLATE_WORDS = 600,         /* what template_fault_words writes */
};

struct template_partial {
	struct text name, text;
};

/* As its author gives it. Every text is borrowed. */
struct template_source {
	struct text name;
	struct text parts[TEMPLATE_PARTS]; /* `at` NULL: it has none */
	const struct template_partial *partials;
	size_t partial_count;
};

/* Parsed once, changed never: any threads may render it. */
struct template
{
	struct template_source source;
	const struct mustache *parts[TEMPLATE_PARTS]; /* NULL: it has none */
	bool is_file;                                 /* out of TEMPLATES_DIR */
	int64_t changed_ms;                           /* since 1970 */
};

struct template_fault {
	enum template_part part;
	char partial[MUSTACHE_NAME + 1]; /* in which it is; "": in the part itself */
	struct mustache_fault mustache;  /* line 0: it is about the whole part. `in` is empty */
};

/* "subject", "text", "html" */
const char *template_part_name(enum template_part part);
/* 1 to 100 of A-Z a-z 0-9 . _ - and neither "." nor "..", which are no path. */
bool template_name_is_good(struct text name);
bool template_has_part(const struct template_source *source);
/* What of a text no template, and no message, may hold, as a phrase; NULL: nothing. */
const char *template_why_not(struct text text);

/* Parses `source`, which must live as long as the template, into `region`. The line ends behind a
 * subject are left out: files end in one. `shared` (NULL is fine): partials that it does not bring
 * itself; each is asked for once, however many parts name it. ERR_SYNTAX, ERR_LIMIT (also where the
 * region is full): the fault says more. ERR_MEMORY. */
MUST_USE enum err template_parse(const struct template_source *source,
	const struct mustache_partials *shared, struct region *region,
	struct template *template_out, struct template_fault *fault_out);
/* Renders one of the parts that it has into `region`. The view's `escape` is set here. ERR_LIMIT,
 * ERR_VALUE (also where the result cannot stand in a message): the fault says more. ERR_MEMORY. */
MUST_USE enum err template_render(const struct template *template, enum template_part part,
	struct mustache_view *view, struct region *region, struct text *text_out,
	struct template_fault *fault_out);
/* "html, line 3, column 7: …", "html, partial footer, line …" */
void template_fault_words(const struct template_fault *fault, char words[TEMPLATE_WORDS]);
