#include "service/template/catalogue.h"

#include "service/clock.h"
#include "service/template/shelf.h"

#include <pthread.h>
#include <stdlib.h>

/* Changes come one after the other, behind `changing`: what they read of the shelf nobody else
 * changes. Only the exchange itself is behind `lock`, so that sending waits for no parser. */
struct catalogue {
	pthread_mutex_t changing;
	pthread_rwlock_t lock;
	struct shelf *shelf;
	enum err (*keep)(void *self, struct text name, const struct template *template);
	void *keeper;
};

/* ---- life */

enum err catalogue_open(const char *folder, struct catalogue **catalogue_out, struct buf *why)
{
	struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
	enum err err = catalogue ? catalogue_read(folder, &catalogue->shelf, why) : ERR_MEMORY;

	if (err) {
		free(catalogue);
		return err;
	}
	pthread_mutex_init(&catalogue->changing, NULL);
	pthread_rwlock_init(&catalogue->lock, NULL);
	*catalogue_out = catalogue;
	return OK;
}

void catalogue_close(struct catalogue *catalogue)
{
	if (!catalogue)
		return;
	shelf_close(catalogue->shelf);
	pthread_rwlock_destroy(&catalogue->lock);
	pthread_mutex_destroy(&catalogue->changing);
	free(catalogue);
}

/* ---- reload */

static bool has_room(const struct shelf *shelf, const struct kept *old, const struct kept *kept)
{
	size_t count = shelf->count - (old != NULL);
	size_t bytes = shelf->bytes - (old ? region_used(old->region) : 0);

	return count < TEMPLATES_MAX && bytes + region_used(kept->region) <= TEMPLATES_BYTES;
}

/* What came over HTTP takes up the new partials. One that would be too large with them keeps its
 * old ones. */
static enum err inherit(struct shelf *shelf, struct kept *old)
{
	const struct template *template = &old->template;
	struct template_fault fault;
	struct kept *kept;
	enum err err;

	if (template->is_file || shelf_find(shelf, template->source.name))
		return OK;
	err = kept_make(shelf, &template->source, false, template->changed_ms, &kept, &fault);
	if (err == ERR_MEMORY)
		return err;
	if (err)
		kept = kept_hold(old);
	err = has_room(shelf, NULL, kept) ? shelf_put(shelf, kept) : ERR_LIMIT;
	if (err)
		kept_release(kept);
	return err;
}

enum err catalogue_exchange(struct catalogue *catalogue, struct shelf *shelf, struct buf *why)
{
	enum err err = OK;
	struct shelf *old;

	pthread_mutex_lock(&catalogue->changing);
	old = catalogue->shelf;
	for (size_t i = 0; !err && i < old->count; i++)
		err = inherit(shelf, old->at[i]);
	if (!err) {
		pthread_rwlock_wrlock(&catalogue->lock);
		catalogue->shelf = shelf;
		pthread_rwlock_unlock(&catalogue->lock);
	}
	pthread_mutex_unlock(&catalogue->changing);
	if (err == ERR_LIMIT)
		buf_addf(why,
			"TEMPLATES_DIR: with those that came over HTTP there would be more than %d "
			"templates, or %d MB: remove some there, or files",
			TEMPLATES_MAX, TEMPLATES_BYTES >> 20);
	if (!err)
		shelf_close(old);
	return err;
}

void catalogue_forget(struct shelf *shelf)
{
	shelf_close(shelf);
}

/* ---- reading */

const struct template *catalogue_hold(struct catalogue *catalogue, struct text name)
{
	struct kept *kept;

	pthread_rwlock_rdlock(&catalogue->lock);
	kept = shelf_find(catalogue->shelf, name);
	if (kept)
		kept = kept_hold(kept);
	pthread_rwlock_unlock(&catalogue->lock);
	return kept ? &kept->template : NULL;
}

void catalogue_release(const struct template *template)
{
	kept_release((struct kept *)template);
}

enum err catalogue_partial(
	struct catalogue *catalogue, struct text name, struct region *region, struct text *text_out)
{
	enum err err;

	pthread_rwlock_rdlock(&catalogue->lock);
	err = shelf_copy_partial(catalogue->shelf, name, region, text_out);
	pthread_rwlock_unlock(&catalogue->lock);
	return err;
}

void catalogue_list(struct catalogue *catalogue,
	void (*see)(const struct template *template, void *context), void *context)
{
	pthread_rwlock_rdlock(&catalogue->lock);
	for (size_t i = 0; i < catalogue->shelf->count; i++)
		see(&catalogue->shelf->at[i]->template, context);
	pthread_rwlock_unlock(&catalogue->lock);
}

/* ---- changing */

void catalogue_keep_in(struct catalogue *catalogue,
	enum err (*keep)(void *self, struct text name, const struct template *template), void *self)
{
	pthread_mutex_lock(&catalogue->changing);
	catalogue->keep = keep;
	catalogue->keeper = self;
	pthread_mutex_unlock(&catalogue->changing);
}

static bool keep(struct catalogue *catalogue, struct text name, const struct template *template)
{
	return !catalogue->keep || catalogue->keep(catalogue->keeper, name, template) == OK;
}

static enum template_change put(struct catalogue *catalogue, struct kept *old, struct kept *kept)
{
	enum template_change change = old ? TEMPLATE_CHANGED : TEMPLATE_MADE;

	if (!has_room(catalogue->shelf, old, kept))
		return TEMPLATE_NO_ROOM;
	if (!keep(catalogue, kept->template.source.name, &kept->template))
		return TEMPLATE_NOT_KEPT;
	kept_hold(kept);
	pthread_rwlock_wrlock(&catalogue->lock);
	if (shelf_put(catalogue->shelf, kept)) {
		kept_release(kept);
		change = TEMPLATE_NO_MEMORY;
	}
	pthread_rwlock_unlock(&catalogue->lock);
	return change;
}

static enum template_change put_source(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms,
	const struct template **template_out, struct template_fault *fault_out)
{
	enum template_change change;
	struct kept *old, *kept = NULL;
	enum err err;

	pthread_mutex_lock(&catalogue->changing);
	old = shelf_find(catalogue->shelf, source->name);
	if (old && old->template.is_file) {
		change = TEMPLATE_IS_FILE;
	} else {
		err = kept_make(catalogue->shelf, source, false, changed_ms, &kept, fault_out);
		change = err == ERR_MEMORY ? TEMPLATE_NO_MEMORY
			 : err             ? TEMPLATE_IS_WRONG
					   : put(catalogue, old, kept);
	}
	pthread_mutex_unlock(&catalogue->changing);
	if (change == TEMPLATE_MADE || change == TEMPLATE_CHANGED)
		*template_out = &kept->template;
	else
		kept_release(kept);
	return change;
}

enum template_change catalogue_put(struct catalogue *catalogue,
	const struct template_source *source, const struct template **template_out,
	struct template_fault *fault_out)
{
	return put_source(catalogue, source, now_unix_ms(), template_out, fault_out);
}

enum template_change catalogue_restore(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms, struct template_fault *fault_out)
{
	const struct template *template;
	enum template_change change =
		put_source(catalogue, source, changed_ms, &template, fault_out);

	if (change == TEMPLATE_MADE || change == TEMPLATE_CHANGED)
		catalogue_release(template);
	return change;
}

enum template_change catalogue_remove(struct catalogue *catalogue, struct text name)
{
	enum template_change change = TEMPLATE_MISSING;
	const struct kept *kept;

	pthread_mutex_lock(&catalogue->changing);
	kept = shelf_find(catalogue->shelf, name);
	if (kept && kept->template.is_file) {
		change = TEMPLATE_IS_FILE;
	} else if (kept && !keep(catalogue, name, NULL)) {
		change = TEMPLATE_NOT_KEPT;
	} else if (kept) {
		pthread_rwlock_wrlock(&catalogue->lock);
		(void)shelf_remove(catalogue->shelf, name);
		pthread_rwlock_unlock(&catalogue->lock);
		change = TEMPLATE_REMOVED;
	}
	pthread_mutex_unlock(&catalogue->changing);
	return change;
}
