#include "fake.h"

#include <check.h>
#include <unistd.h>

static size_t find(const struct fake_templates *templates, struct text name)
{
	size_t i = 0;

	while (i < templates->count && !text_equal(templates->at[i].template.source.name, name))
		i++;
	return i;
}

static struct fake_templates *templates_of(void *self)
{
	return &((struct fake *)self)->templates;
}

static const struct template *hold(void *self, struct text name)
{
	struct fake_templates *templates = templates_of(self);
	size_t place = find(templates, name);

	if (place == templates->count)
		return NULL;
	templates->held++;
	return &templates->at[place].template;
}

static void release(void *self, const struct template *template)
{
	ck_assert(template);
	templates_of(self)->held--;
}

static enum err find_shared(void *self, struct text name, struct text *text_out)
{
	(void)self;
	*text_out = TEXT("<i>{{name}}</i>");
	return text_equal(name, TEXT("shared")) ? OK : ERR_MISSING;
}

/* "large" has a megabyte, whatever follows in its name. */
static enum err partial(void *self, struct text name, struct region *region, struct text *text_out)
{
	static const char large[1 << 20];
	struct text text = { large, sizeof(large) };

	if (!text_starts(name, TEXT("large")) && find_shared(self, name, &text))
		return ERR_MISSING;
	text = region_copy(region, text);
	if (!text.at)
		return ERR_LIMIT;
	*text_out = text;
	return OK;
}

static struct text copy(struct region *region, struct text text)
{
	return text.at ? region_copy(region, text) : text;
}

static struct template_source copy_source(
	struct region *region, const struct template_source *source)
{
	struct template_partial *partials =
		region_zalloc(region, source->partial_count + 1, sizeof(*partials));
	struct template_source own = { .name = copy(region, source->name),
		.partials = partials,
		.partial_count = source->partial_count };

	for (int i = 0; i < TEMPLATE_PARTS; i++)
		own.parts[i] = copy(region, source->parts[i]);
	for (size_t i = 0; i < own.partial_count; i++) {
		partials[i].name = copy(region, source->partials[i].name);
		partials[i].text = copy(region, source->partials[i].text);
	}
	return own;
}

static enum template_change put(struct fake_templates *templates,
	const struct template_source *source, const struct template **template_out,
	struct template_fault *fault_out)
{
	struct mustache_partials shared = { templates, find_shared };
	size_t place = find(templates, source->name);
	struct template_source own;
	struct template template;
	struct region *region;

	if (templates->next_change)
		return templates->next_change;
	ck_assert_uint_lt(place, FAKE_TEMPLATES);
	ck_assert_int_eq(region_open(16 << 20, &region), OK);
	own = copy_source(region, source);
	if (template_parse(&own, &shared, region, &template, fault_out)) {
		region_close(region);
		return TEMPLATE_IS_WRONG;
	}
	template.is_file = text_equal(own.name, TEXT("file"));
	template.changed_ms = 1795500000000;
	if (place < templates->count)
		region_close(templates->at[place].region);
	templates->at[place].template = template;
	templates->at[place].region = region;
	*template_out = &templates->at[place].template;
	templates->held++;
	if (place < templates->count)
		return TEMPLATE_CHANGED;
	templates->count++;
	return TEMPLATE_MADE;
}

static enum template_change take_away(struct fake_templates *templates, struct text name)
{
	size_t place = find(templates, name);

	if (place == templates->count)
		return TEMPLATE_MISSING;
	if (templates->at[place].template.is_file)
		return TEMPLATE_IS_FILE;
	region_close(templates->at[place].region);
	templates->at[place] = templates->at[--templates->count];
	return TEMPLATE_REMOVED;
}

static void *change_late(void *argument)
{
	struct changing *changing = argument;

	usleep(20000);
	changing->done(changing);
	return NULL;
}

/* Whoever asked hears at once that nobody knows. */
static void leave(struct changing *changing)
{
	struct changing *left = changing->leave(changing);

	ck_assert_ptr_nonnull(left);
	left->change = TEMPLATE_IN_DOUBT;
	left->template = NULL;
	left->done(left);
}

/* A store answers later, from a thread of its own. */
static void change(void *self, struct changing *changing)
{
	struct fake_templates *templates = templates_of(self);
	pthread_t thread;

	changing->change = changing->source ? put(templates, changing->source, &changing->template,
						      &changing->fault)
					    : take_away(templates, changing->name);
	if (!templates->has_store) {
		changing->done(changing);
		return;
	}
	if (templates->is_late)
		leave(changing);
	ck_assert_int_eq(pthread_create(&thread, NULL, change_late, changing), 0);
	pthread_detach(thread);
}

static void list(
	void *self, void (*see)(const struct template *template, void *context), void *context)
{
	struct fake_templates *templates = templates_of(self);

	for (size_t i = 0; i < templates->count; i++)
		see(&templates->at[i].template, context);
}

void fake_templates_open(struct fake_templates *templates, struct gateway *gateway)
{
	*templates = (struct fake_templates){ 0 };
	gateway->template_hold = hold;
	gateway->template_release = release;
	gateway->template_partial = partial;
	gateway->template_change = change;
	gateway->template_list = list;
}

void fake_templates_close(struct fake_templates *templates)
{
	ck_assert_int_eq(templates->held, 0);
	for (size_t i = 0; i < templates->count; i++)
		region_close(templates->at[i].region);
}
