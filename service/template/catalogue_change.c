/* Changes of what is kept: over HTTP, first elsewhere, and what others have changed there.
 *
 * A change is parsed by whoever asks for it. Then it is under way until it is kept; those that are
 * under way are seen in the order in which they were begun. */
#include <stdlib.h>

#include "service/clock.h"
#include "service/template/catalogue_own.h"

enum { UNDER_WAY_MOST = 100 };

struct catalogue_change {
	struct catalogue *catalogue;
	struct changing *changing;
	struct kept *kept;       /* NULL: it goes */
	unsigned reloads;        /* that there had been when it was made */
	size_t templates, bytes; /* that it counts for while it is under way */
	uint64_t until_us;       /* that whoever asks for it waits; 0: for ever */
};

/* ---- onto the shelf; behind `changing` */

/* Its reference becomes the shelf's. */
static enum err shelve(struct catalogue *catalogue, struct kept *kept)
{
	enum err err;

	pthread_rwlock_wrlock(&catalogue->lock);
	err = shelf_put(catalogue->shelf, kept);
	pthread_rwlock_unlock(&catalogue->lock);
	return err;
}

static bool unshelve(struct catalogue *catalogue, struct text name)
{
	bool was_there;

	pthread_rwlock_wrlock(&catalogue->lock);
	was_there = shelf_remove(catalogue->shelf, name);
	pthread_rwlock_unlock(&catalogue->lock);
	return was_there;
}

/* A reload brought other partials meanwhile. One that would be too large with them keeps those that
 * it was made with. */
static void take_new_partials(struct catalogue_change *change)
{
	const struct template *template = &change->kept->template;
	struct template_fault fault;
	struct kept *kept;

	if (change->reloads == change->catalogue->reloads ||
		kept_make(change->catalogue->shelf, &template->source, false, template->changed_ms,
			&kept, &fault))
		return;
	kept_release(change->kept);
	change->kept = kept;
}

static enum template_change put(struct catalogue_change *change, bool was_there)
{
	struct catalogue *catalogue = change->catalogue;

	take_new_partials(change);
	was_there = was_there || shelf_find(catalogue->shelf, change->changing->name);
	if (shelve(catalogue, kept_hold(change->kept))) {
		kept_release(change->kept);
		return TEMPLATE_NO_MEMORY;
	}
	return was_there ? TEMPLATE_CHANGED : TEMPLATE_MADE;
}

/* It is kept elsewhere, or there is no such place. */
static enum template_change settle(struct catalogue_change *change, enum err err, bool was_there)
{
	struct text name = change->changing->name;
	const struct kept *old = shelf_find(change->catalogue->shelf, name);

	if (err == ERR_DOUBT)
		return TEMPLATE_IN_DOUBT;
	if (err && err != ERR_MISSING)
		return err == ERR_MEMORY ? TEMPLATE_NO_MEMORY : TEMPLATE_NOT_KEPT;
	if (old && old->template.is_file)
		return TEMPLATE_IS_FILE;
	if (change->kept)
		return put(change, was_there);
	return unshelve(change->catalogue, name) || !err ? TEMPLATE_REMOVED : TEMPLATE_MISSING;
}

/* ---- a change over HTTP */

static void end(struct catalogue_change *change, enum template_change result)
{
	struct changing *changing = change->changing;
	bool is_there = result == TEMPLATE_MADE || result == TEMPLATE_CHANGED;

	changing->change = result;
	changing->template = is_there ? &change->kept->template : NULL;
	if (!is_there)
		kept_release(change->kept);
	free(change);
	changing->done(changing);
}

/* 0: it goes on. */
static enum template_change make(struct catalogue_change *change, const struct kept *old)
{
	struct catalogue *catalogue = change->catalogue;
	struct changing *changing = change->changing;
	enum err err = kept_make(catalogue->shelf, changing->source, false, now_unix_ms(),
		&change->kept, &changing->fault);

	if (err)
		return err == ERR_MEMORY ? TEMPLATE_NO_MEMORY : TEMPLATE_IS_WRONG;
	change->bytes = region_used(change->kept->region);
	change->templates = !old;
	return catalogue_has_room(catalogue, catalogue->shelf, old, change->kept)
		       ? 0
		       : TEMPLATE_NO_ROOM;
}

/* 0: it is under way. */
static enum template_change keep_elsewhere(struct catalogue_change *change)
{
	struct catalogue *catalogue = change->catalogue;
	const struct kept *kept = change->kept;

	if (!catalogue->keep)
		return settle(change, kept ? OK : ERR_MISSING, false);
	if (catalogue->keep(catalogue->keeper, change, change->changing->name,
		    kept ? &kept->template : NULL))
		return TEMPLATE_NO_MEMORY;
	catalogue->under_way++;
	catalogue->templates_under_way += change->templates;
	catalogue->bytes_under_way += change->bytes;
	return 0;
}

/* Behind `changing`. 0: it is under way. */
static enum template_change begin(struct catalogue_change *change)
{
	struct catalogue *catalogue = change->catalogue;
	const struct kept *old = shelf_find(catalogue->shelf, change->changing->name);
	enum template_change result = 0;

	if (old && old->template.is_file)
		return TEMPLATE_IS_FILE;
	if (catalogue->under_way == UNDER_WAY_MOST)
		return TEMPLATE_TOO_MANY;
	change->reloads = catalogue->reloads;
	if (change->changing->source)
		result = make(change, old);
	return result ? result : keep_elsewhere(change);
}

void catalogue_change(struct catalogue *catalogue, struct changing *changing)
{
	struct catalogue_change *change = calloc(1, sizeof(*change));
	enum template_change result;

	if (!change) {
		changing->change = TEMPLATE_NO_MEMORY;
		changing->done(changing);
		return;
	}
	change->catalogue = catalogue;
	change->changing = changing;
	if (changing->patience_us)
		change->until_us = now_us() + changing->patience_us;
	pthread_mutex_lock(&catalogue->changing);
	result = begin(change);
	pthread_mutex_unlock(&catalogue->changing);
	if (result)
		end(change, result);
}

/* ---- elsewhere */

void catalogue_keep_in(struct catalogue *catalogue, catalogue_keep keep, void *self)
{
	pthread_mutex_lock(&catalogue->changing);
	catalogue->keep = keep;
	catalogue->keeper = self;
	pthread_mutex_unlock(&catalogue->changing);
}

void catalogue_kept(struct catalogue_change *change, enum err err, bool was_there)
{
	struct catalogue *catalogue = change->catalogue;
	enum template_change result;

	pthread_mutex_lock(&catalogue->changing);
	catalogue->under_way--;
	catalogue->templates_under_way -= change->templates;
	catalogue->bytes_under_way -= change->bytes;
	result = settle(change, err, was_there);
	pthread_mutex_unlock(&catalogue->changing);
	end(change, result);
}

uint64_t catalogue_until_us(const struct catalogue_change *change)
{
	return change->until_us;
}

/* Not behind `changing`: whoever calls may have a lock that is taken behind that. */
bool catalogue_leave(struct catalogue_change *change)
{
	struct changing *changing = change->changing;
	struct changing *left = changing->leave ? changing->leave(changing) : NULL;

	if (!left)
		return false;
	left->change = TEMPLATE_IN_DOUBT;
	left->done(left);
	return true;
}

/* Both may have no such text. */
static bool is_same_text(struct text a, struct text b)
{
	return !a.at == !b.at && text_equal(a, b);
}

static bool is_same(
	const struct template *template, const struct template_source *source, int64_t changed_ms)
{
	const struct template_source *own = &template->source;
	bool same =
		template->changed_ms == changed_ms && own->partial_count == source->partial_count;

	for (int part = 0; same && part < TEMPLATE_PARTS; part++)
		same = is_same_text(own->parts[part], source->parts[part]);
	for (size_t i = 0; same && i < source->partial_count; i++)
		same = text_equal(own->partials[i].name, source->partials[i].name) &&
		       text_equal(own->partials[i].text, source->partials[i].text);
	return same;
}

static enum template_change restore(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms, struct template_fault *fault_out)
{
	const struct kept *old = shelf_find(catalogue->shelf, source->name);
	struct kept *kept;
	enum err err;

	if (old && old->template.is_file)
		return TEMPLATE_IS_FILE;
	if (old && is_same(&old->template, source, changed_ms))
		return TEMPLATE_CHANGED;
	err = kept_make(catalogue->shelf, source, false, changed_ms, &kept, fault_out);
	if (err)
		return err == ERR_MEMORY ? TEMPLATE_NO_MEMORY : TEMPLATE_IS_WRONG;
	if (!catalogue_has_room(catalogue, catalogue->shelf, old, kept))
		err = ERR_LIMIT;
	else
		err = shelve(catalogue, kept);
	if (err)
		kept_release(kept);
	return !err ? TEMPLATE_MADE : err == ERR_LIMIT ? TEMPLATE_NO_ROOM : TEMPLATE_NO_MEMORY;
}

enum template_change catalogue_restore(struct catalogue *catalogue,
	const struct template_source *source, int64_t changed_ms, struct template_fault *fault_out)
{
	enum template_change change;

	pthread_mutex_lock(&catalogue->changing);
	change = restore(catalogue, source, changed_ms, fault_out);
	pthread_mutex_unlock(&catalogue->changing);
	return change;
}

void catalogue_retain(struct catalogue *catalogue,
	bool (*is_kept)(const void *context, struct text name), const void *context)
{
	pthread_mutex_lock(&catalogue->changing);
	for (size_t i = catalogue->shelf->count; i > 0; i--) {
		const struct template *template = &catalogue->shelf->at[i - 1]->template;

		if (!template->is_file && !is_kept(context, template->source.name))
			(void)unshelve(catalogue, template->source.name);
	}
	pthread_mutex_unlock(&catalogue->changing);
}
