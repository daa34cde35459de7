/* mustache_tag - one tag of a template's source (for mustache_parse.c) */
#pragma once

#include "http/template/mustache_node.h"

/* Where a source is being read, and with which delimiters. */
struct mustache_reader {
	const struct mustache_source *source;
	struct text open, close;
	struct mustache_fault *fault;
};

struct mustache_tag {
	char sigil;          /* '\0': a variable */
	struct text content; /* what stands behind the sigil, trimmed: a name but in ! and = */
	size_t at, end;      /* bytes from the source's start */
};

/* Bytes before the next tag, text.len: there is none. */
size_t mustache_find_tag(const struct mustache_reader *reader, struct text text);
/* Reads the tag that begins at tag->at. ERR_SYNTAX, ERR_LIMIT: the fault is filled in. */
MUST_USE enum err mustache_read_tag(const struct mustache_reader *reader, struct mustache_tag *tag);
/* Does what a tag with = says. The errors are the same. */
MUST_USE enum err mustache_set_delimiters(
	struct mustache_reader *reader, const struct mustache_tag *tag);
/* Fills in the fault `why: "what"` at the tag, gives ERR_SYNTAX. */
MUST_USE enum err mustache_refuse(const struct mustache_reader *reader,
	const struct mustache_tag *tag, const char *why, struct text what);
