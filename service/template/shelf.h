/* shelf - templates by name, and the partials that all of them may use (for catalogue.c) */
#pragma once

#include "service/template/catalogue.h"

#include <stdatomic.h>

/* A template with the memory that it lies in. */
struct kept {
	struct template template; /* first: what is held is this */
	atomic_uint references;
	struct region *region;
};

struct shelf {
	struct kept **at; /* by name */
	size_t count, room;
	size_t bytes; /* of all regions */
	struct region *region;
	struct template_partial *partials; /* by name; in the region */
	size_t partial_count;
};

enum { PARTIALS_MAX = 1000 };

/* Parses a copy, with the shelf's partials. As template_parse. Its one reference is the caller's.
 */
MUST_USE enum err kept_make(const struct shelf *shelf, const struct template_source *source,
	bool is_file, int64_t changed_ms, struct kept **kept_out, struct template_fault *fault_out);
struct kept *kept_hold(struct kept *kept);
void kept_release(struct kept *kept); /* NULL is fine */

MUST_USE enum err shelf_open(struct shelf **shelf_out);
void shelf_close(struct shelf *shelf); /* NULL is fine */
/* Where the name stands, or would. */
size_t shelf_place(const struct shelf *shelf, struct text name);
/* NULL: none has the name. */
struct kept *shelf_find(const struct shelf *shelf, struct text name);
/* A partial's text, into `region`. ERR_MISSING: there is none. ERR_LIMIT: the region is full.
 * ERR_MEMORY. */
MUST_USE enum err shelf_copy_partial(
	const struct shelf *shelf, struct text name, struct region *region, struct text *text_out);
/* Takes the reference over, in place of one of the same name, if there is one. ERR_MEMORY: it is
 * left to the caller. */
MUST_USE enum err shelf_put(struct shelf *shelf, struct kept *kept);
/* False: there was none. */
bool shelf_remove(struct shelf *shelf, struct text name);
