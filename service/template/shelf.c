#include "service/template/shelf.h"

#include <stdlib.h>
#include <string.h>

/* A template's own texts, all shared partials once, and the nodes of three parts come to less than
 * KEPT_BYTES. */
enum { KEPT_BYTES = 32 << 20, PARTIALS_BYTES = 16 << 20 };

/* ---- partials */

static const struct template_partial *find_partial(const struct shelf *shelf, struct text name)
{
	size_t low = 0, high = shelf->partial_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = text_compare(&shelf->partials[middle].name, &name);

		if (order == 0)
			return &shelf->partials[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

enum err shelf_copy_partial(
	const struct shelf *shelf, struct text name, struct region *region, struct text *text_out)
{
	const struct template_partial *partial = find_partial(shelf, name);
	struct text text;

	if (!partial)
		return ERR_MISSING;
	text = region_copy(region, partial->text);
	if (!text.at)
		return region_why_not(region, partial->text.len + 1);
	*text_out = text;
	return OK;
}

/* ---- one template */

static bool copy(struct region *region, struct text text, struct text *copy_out)
{
	if (text.at)
		*copy_out = region_copy(region, text);
	return !text.at || copy_out->at;
}

static enum err copy_source(struct region *region, const struct template_source *source,
	struct template_source *copy_out)
{
	struct template_source made = { .partial_count = source->partial_count };
	struct template_partial *partials =
		region_zalloc(region, source->partial_count + 1, sizeof(*partials));
	bool good = partials && copy(region, source->name, &made.name);

	for (int i = 0; good && i < TEMPLATE_PARTS; i++)
		good = copy(region, source->parts[i], &made.parts[i]);
	for (size_t i = 0; good && i < source->partial_count; i++)
		good = copy(region, source->partials[i].name, &partials[i].name) &&
		       copy(region, source->partials[i].text, &partials[i].text);
	if (!good)
		return ERR_MEMORY;
	made.partials = partials;
	*copy_out = made;
	return OK;
}

struct lookup {
	const struct shelf *shelf;
	struct region *region;
};

/* The shelf may go before the template does. */
static enum err copy_partial(void *self, struct text name, struct text *text_out)
{
	const struct lookup *lookup = self;

	return shelf_copy_partial(lookup->shelf, name, lookup->region, text_out);
}

enum err kept_make(const struct shelf *shelf, const struct template_source *source, bool is_file,
	int64_t changed_ms, struct kept **kept_out, struct template_fault *fault_out)
{
	struct lookup lookup = { .shelf = shelf };
	struct mustache_partials partials = { &lookup, copy_partial };
	struct kept *kept = calloc(1, sizeof(*kept));
	struct template_source own;
	enum err err;

	*fault_out = (struct template_fault){ 0 };
	if (!kept)
		return ERR_MEMORY;
	atomic_init(&kept->references, 1);
	err = region_open(KEPT_BYTES, &kept->region);
	lookup.region = kept->region;
	if (!err)
		err = copy_source(kept->region, source, &own);
	if (!err)
		err = template_parse(&own, &partials, kept->region, &kept->template, fault_out);
	if (err) {
		kept_release(kept);
		return err;
	}
	kept->template.is_file = is_file;
	kept->template.changed_ms = changed_ms;
	*kept_out = kept;
	return OK;
}

struct kept *kept_hold(struct kept *kept)
{
	atomic_fetch_add(&kept->references, 1);
	return kept;
}

void kept_release(struct kept *kept)
{
	if (!kept || atomic_fetch_sub(&kept->references, 1) > 1)
		return;
	region_close(kept->region);
	free(kept);
}

/* ---- all of them */

enum err shelf_open(struct shelf **shelf_out)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	enum err err = shelf ? region_open(PARTIALS_BYTES, &shelf->region) : ERR_MEMORY;

	if (!err) {
		shelf->partials =
			region_zalloc(shelf->region, PARTIALS_MAX, sizeof(*shelf->partials));
		err = shelf->partials ? OK : ERR_MEMORY;
	}
	if (err) {
		shelf_close(shelf);
		return err;
	}
	*shelf_out = shelf;
	return OK;
}

void shelf_close(struct shelf *shelf)
{
	if (!shelf)
		return;
	for (size_t i = 0; i < shelf->count; i++)
		kept_release(shelf->at[i]);
	free(shelf->at);
	region_close(shelf->region);
	free(shelf);
}

size_t shelf_place(const struct shelf *shelf, struct text name)
{
	size_t low = 0, high = shelf->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (text_compare(&shelf->at[middle]->template.source.name, &name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct shelf *shelf, size_t place, struct text name)
{
	return place < shelf->count && text_equal(shelf->at[place]->template.source.name, name);
}

struct kept *shelf_find(const struct shelf *shelf, struct text name)
{
	size_t place = shelf_place(shelf, name);

	return is_at(shelf, place, name) ? shelf->at[place] : NULL;
}

static bool make_room(struct shelf *shelf)
{
	size_t room = shelf->room ? shelf->room * 2 : 16;
	struct kept **more;

	if (shelf->count < shelf->room)
		return true;
	more = realloc(shelf->at, room * sizeof(*more));
	if (!more)
		return false;
	shelf->at = more;
	shelf->room = room;
	return true;
}

enum err shelf_put(struct shelf *shelf, struct kept *kept)
{
	struct text name = kept->template.source.name;
	size_t place;

	if (!make_room(shelf))
		return ERR_MEMORY;
	(void)shelf_remove(shelf, name);
	place = shelf_place(shelf, name);
	memmove(shelf->at + place + 1, shelf->at + place,
		(shelf->count - place) * sizeof(struct kept *));
	shelf->at[place] = kept;
	shelf->count++;
	shelf->bytes += region_used(kept->region);
	return OK;
}

bool shelf_remove(struct shelf *shelf, struct text name)
{
	size_t place = shelf_place(shelf, name);
	struct kept *kept;

	if (!is_at(shelf, place, name))
		return false;
	kept = shelf->at[place];
	shelf->count--;
	memmove(shelf->at + place, shelf->at + place + 1,
		(shelf->count - place) * sizeof(struct kept *));
	shelf->bytes -= region_used(kept->region);
	kept_release(kept);
	return true;
}
