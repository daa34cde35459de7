#include "service/template/catalogue.h"

#include "service/template/catalogue_own.h"

#include <stdlib.h>

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

bool catalogue_has_room(const struct catalogue *catalogue, const struct shelf *shelf,
	const struct kept *old, const struct kept *kept)
{
	size_t count = shelf->count + catalogue->templates_under_way - (old != NULL);
	size_t bytes = shelf->bytes + catalogue->bytes_under_way + region_used(kept->region);

	if (old)
		bytes -= region_used(old->region);
	return count < TEMPLATES_MAX && bytes <= TEMPLATES_BYTES;
}

/* What came over HTTP takes up the new partials. One that would be too large with them keeps its
 * old ones. */
static enum err inherit(const struct catalogue *catalogue, struct shelf *shelf, struct kept *old)
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
	err = catalogue_has_room(catalogue, shelf, NULL, kept) ? shelf_put(shelf, kept) : ERR_LIMIT;
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
		err = inherit(catalogue, shelf, old->at[i]);
	if (!err) {
		pthread_rwlock_wrlock(&catalogue->lock);
		catalogue->shelf = shelf;
		catalogue->reloads++;
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
