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

/* From now on what comes over HTTP is kept elsewhere too: `keep` is called before a change is seen,
 * with NULL where the template of that name goes. It may wait; on its error nothing changes. */
void catalogue_keep_in(struct catalogue *catalogue,
	enum err (*keep)(void *self, struct text name, const struct template *template),
	void *self);
/* One that was kept there, before that. */
enum template_change catalogue_restore(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms, struct template_fault *fault_out);

/* As the functions of http/gateway.h say. */
const struct template *catalogue_hold(struct catalogue *catalogue, struct text name);
void catalogue_release(const struct template *template);
MUST_USE enum err catalogue_partial(struct catalogue *catalogue, struct text name,
	struct region *region, struct text *text_out);
enum template_change catalogue_put(struct catalogue *catalogue,
	const struct template_source *source, const struct template **template_out,
	struct template_fault *fault_out);
enum template_change catalogue_remove(struct catalogue *catalogue, struct text name);
void catalogue_list(struct catalogue *catalogue,
	void (*see)(const struct template *template, void *context), void *context);
