/* catalogue - the templates that are kept: files of TEMPLATES_DIR, and what came over HTTP (in
 * memory)
 *
 * What is kept is parsed once. A reload reads the whole folder anew and exchanges all at once; what
 * came over HTTP stays, unless a file now has its name. Any thread may call. */
#pragma once

#include "http/gateway.h"

/* Of both together. While a reload is under way there may be twice as much. */
enum { TEMPLATES_MAX = 1000, TEMPLATES_BYTES = 256 << 20 };

struct catalogue;
struct shelf; /* what a folder holds */

/* `folder`: "" for none. ERR_IO, ERR_SYNTAX, ERR_VALUE, ERR_LIMIT: a line in *why that names the
 * setting, the file and the place. ERR_MEMORY. */
MUST_USE enum err catalogue_open(
	const char *folder, struct catalogue **catalogue_out, struct buf *why);
void catalogue_close(struct catalogue *catalogue); /* NULL is fine */

/* A reload in two steps, so that it is all or nothing: errors as above. */
MUST_USE enum err catalogue_read(const char *folder, struct shelf **shelf_out, struct buf *why);
/* Takes the shelf over. ERR_LIMIT: with what came over HTTP it would hold more than is kept, as a
 * line in *why says; ERR_MEMORY. Then all stays as it was, and the shelf is to be forgotten. */
MUST_USE enum err catalogue_exchange(
	struct catalogue *catalogue, struct shelf *shelf, struct buf *why);
void catalogue_forget(struct shelf *shelf); /* NULL is fine */

/* A change that is seen when it is kept elsewhere. */
struct catalogue_change;
/* Begins to keep it: it does not wait, and catalogue_kept is not called before it has returned.
 * `template` NULL: the one of that name goes. On its error nothing was begun. */
typedef enum err (*catalogue_keep)(void *self, struct catalogue_change *change, struct text name,
	const struct template *template);
/* From now on what comes over HTTP is kept there first, in the order of these calls. */
void catalogue_keep_in(struct catalogue *catalogue, catalogue_keep keep, void *self);
/* What came of it, in the same order. `was_there`: another process may have put it there.
 * ERR_MISSING: what was to go was not there. After any other error nothing changes. */
void catalogue_kept(struct catalogue_change *change, enum err err, bool was_there);
/* Until when whoever asked for it waits, monotonic; 0: for ever. */
uint64_t catalogue_until_us(const struct catalogue_change *change);
/* Then, before catalogue_kept: he is told that nobody knows what came of it. It goes on. False: out
 * of memory. */
bool catalogue_leave(struct catalogue_change *change);
/* One that is kept there; nothing is done if it is the same. */
enum template_change catalogue_restore(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms, struct template_fault *fault_out);
/* Of those that came over HTTP, the ones that are not kept there any more go. */
void catalogue_retain(struct catalogue *catalogue,
	bool (*is_kept)(const void *context, struct text name), const void *context);

/* As the functions of http/gateway.h say. */
const struct template *catalogue_hold(struct catalogue *catalogue, struct text name);
void catalogue_release(const struct template *template);
MUST_USE enum err catalogue_partial(struct catalogue *catalogue, struct text name,
	struct region *region, struct text *text_out);
void catalogue_change(struct catalogue *catalogue, struct changing *changing);
void catalogue_list(struct catalogue *catalogue,
	void (*see)(const struct template *template, void *context), void *context);
