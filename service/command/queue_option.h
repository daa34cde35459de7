/* queue_option - the command line of `lettergate queue VERB`, without its first two words */
#pragma once

#include <stdbool.h>

#include "smtp/buf.h"

enum { QUEUE_USAGE = 2 }; /* the exit code */

/* What a verb takes. */
struct queue_verb {
	const char *name;
	bool is_list, takes_json;
	size_t least, most; /* ids */
};

struct queue_wishes {
	bool as_json, as_ids, is_all;
	unsigned long limit; /* 0: none was named */
	struct buf query;    /* filters for the list: "&state=held"; born by the caller */
	char *const *ids;    /* up to a NULL */
};

/* One line on standard error; QUEUE_USAGE. */
int queue_refuse(const char *what, const char *words);
/* As it stands in a URL. */
void queue_add_encoded(struct buf *out, struct text value);
/* Options first or last, ids as they come: these are gathered at `ids`, in room for all words and a
 * NULL. 0, or QUEUE_USAGE: it was complained of. */
int queue_options_read(
	const struct queue_verb *verb, char *const *words, struct queue_wishes *wishes, char **ids);
