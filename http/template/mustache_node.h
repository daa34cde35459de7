/* mustache_node - a parsed template (for the other mustache_… files) */
#pragma once

#include "http/template/mustache.h"

enum mustache_kind {
	MUSTACHE_TEXT,
	MUSTACHE_VARIABLE,
	MUSTACHE_UNESCAPED,
	MUSTACHE_SECTION,
	MUSTACHE_INVERTED,
	MUSTACHE_PARTIAL,
};

struct mustache_node {
	enum mustache_kind kind;
	bool starts_line;  /* a text that is the first of its line, and so is indented; may be empty
			    */
	bool stands_alone; /* a partial that has its line for itself, and so is indented */
	struct text text;  /* a text; or the tag's name */
	struct text indent; /* the blanks before a partial that stands alone */
	size_t at;          /* where the tag or text begins: bytes from the source's start */
	size_t end; /* a section: the node behind its last. A partial: the index of its source */
};

/* The template itself, or one of its partials: nodes[first] to before nodes[end]. */
struct mustache_source {
	struct text name, text;
	size_t first, end;
	bool exists;
};

struct mustache {
	const struct mustache_node *nodes;
	const struct mustache_source *sources; /* [0]: the template itself */
};

/* Line and column of the byte `at`. */
void mustache_place(struct text source, size_t at, size_t *line_out, size_t *column_out);
/* As much of a name as a message shows. */
struct text mustache_clip(struct text name);
/* Fills in the fault, and gives `err` back. */
MUST_USE enum err mustache_blame(struct mustache_fault *fault, enum err err,
	const struct mustache_source *source, size_t at, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
