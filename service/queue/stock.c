#include "service/queue/stock.h"

#include "service/queue/queue.h"
#include "service/store/pack.h"

#include <stdlib.h>

enum { VERSION = 1, CONTENT_BYTES = 4 << 20, PARTIALS_MOST = 1000, LOOK_US = 2000000 };

struct stock {
	struct lettergate *lettergate;
	uint64_t look_us;       /* not before that; the tick's own */
	atomic_bool is_looking; /* until then, what follows is the queue's */
	struct templates_job job;
	uint64_t revision;
	bool has_revision;

	atomic_bool is_stale; /* all are to be looked at, changed or not */
};

/* ---- as it is kept */

static void pack(const struct template *template, struct buf *buf)
{
	const struct template_source *source = &template->source;

	pack_number(buf, VERSION);
	pack_number(buf, (uint64_t) template->changed_ms);
	for (int part = 0; part < TEMPLATE_PARTS; part++) {
		pack_number(buf, source->parts[part].at != NULL);
		pack_text(buf, source->parts[part]);
	}
	pack_number(buf, source->partial_count);
	for (size_t i = 0; i < source->partial_count; i++) {
		pack_text(buf, source->partials[i].name);
		pack_text(buf, source->partials[i].text);
	}
	pack_seal(buf, 0);
}

/* Borrowed from the bytes. False: they are damaged, or there is no memory. */
static bool unpack(struct text bytes, struct region *region, struct template_source *source,
	int64_t *changed_ms)
{
	struct template_partial *partials;
	struct unpack unpack;

	if (!unpack_open(bytes, &unpack) || unpack_number(&unpack, VERSION) != VERSION)
		return false;
	*changed_ms = (int64_t)unpack_number(&unpack, INT64_MAX);
	for (int part = 0; part < TEMPLATE_PARTS; part++) {
		bool is_there = unpack_number(&unpack, 1);
		struct text text = unpack_text(&unpack);

		source->parts[part] = is_there ? text : (struct text){ 0 };
	}
	source->partial_count = unpack_number(&unpack, PARTIALS_MOST);
	partials = region_zalloc(region, source->partial_count + 1, sizeof(*partials));
	for (size_t i = 0; partials && i < source->partial_count; i++)
		partials[i] =
			(struct template_partial){ unpack_text(&unpack), unpack_text(&unpack) };
	source->partials = partials;
	return partials && unpack_is_done(&unpack);
}

/* ---- changes */

/* One that the queue has. */
struct keeping {
	struct template_job job;
	struct catalogue_change *change;
	struct buf content;
};

/* The queue's thread. */
static void kept(struct job *job)
{
	struct keeping *keeping = job->waiter;

	catalogue_kept(keeping->change, job->err, keeping->job.was_there);
	buf_free(&keeping->content);
	free(keeping);
}

/* It may be kept, or come to be. */
static bool leave(struct job *job)
{
	return catalogue_leave(((struct keeping *)job->waiter)->change);
}

/* catalogue_keep_in's. */
static enum err keep(void *self, struct catalogue_change *change, struct text name,
	const struct template *template)
{
	struct stock *stock = self;
	struct keeping *keeping = calloc(1, sizeof(*keeping));

	if (!keeping)
		return ERR_MEMORY;
	keeping->content = buf_born(CONTENT_BYTES);
	if (template)
		pack(template, &keeping->content);
	if (keeping->content.err) {
		buf_free(&keeping->content);
		free(keeping);
		return ERR_MEMORY;
	}
	keeping->change = change;
	keeping->job = (struct template_job){ .job = { .kind = JOB_TEMPLATE,
						      .done = kept,
						      .waiter = keeping,
						      .until_us = catalogue_until_us(change),
						      .leave = leave },
		.name = name };
	if (template)
		keeping->job.content = buf_text(&keeping->content);
	queue_put(stock->lettergate->queue, &keeping->job.job);
	return OK;
}

/* ---- what is kept */

static void log_unusable(
	struct lettergate *lettergate, struct text name, const struct template_fault *fault)
{
	struct log_line line = log_line(lettergate->log, LOG_WARN, "template_unusable");
	char words[TEMPLATE_WORDS];

	log_text(&line, "name", name);
	if (fault) {
		template_fault_words(fault, words);
		log_string(&line, "why", words);
	}
	log_end(&line);
}

static void restore(
	struct lettergate *lettergate, const struct kept_template *kept, struct region *region)
{
	struct template_source source = { .name = kept->name };
	struct template_fault fault = { 0 };
	int64_t changed_ms;

	if (!unpack(kept->content, region, &source, &changed_ms)) {
		log_unusable(lettergate, kept->name, NULL);
		return;
	}
	switch (catalogue_restore(lettergate->catalogue, &source, changed_ms, &fault)) {
	case TEMPLATE_MADE:
	case TEMPLATE_CHANGED:
	case TEMPLATE_IS_FILE: /* which comes first */
		break;
	case TEMPLATE_IS_WRONG: /* with the partials that there are now */
		log_unusable(lettergate, kept->name, &fault);
		break;
	default:
		log_unusable(lettergate, kept->name, NULL);
	}
}

static bool is_kept(const void *context, struct text name)
{
	const struct templates_job *job = context;
	size_t low = 0, high = job->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = text_compare(&job->templates[middle].name, &name);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void take_up(struct stock *stock)
{
	struct templates_job *job = &stock->job;

	if (!job->is_same) {
		for (size_t i = 0; i < job->count; i++)
			restore(stock->lettergate, &job->templates[i], job->region);
		catalogue_retain(stock->lettergate->catalogue, is_kept, job);
	}
	stock->revision = job->revision;
	stock->has_revision = true;
}

/* ---- what others have changed */

/* The queue's thread: what we have changed ourselves before was told before. */
static void looked(struct job *job)
{
	struct stock *stock = job->waiter;

	if (job->err)
		atomic_store(&stock->is_stale, true);
	else
		take_up(stock);
	region_close(stock->job.region);
	atomic_store(&stock->is_looking, false);
}

/* It may hold all templates there are, and takes next to nothing as long as nothing has changed. */
static enum err prepare(struct stock *stock)
{
	bool is_stale = atomic_exchange(&stock->is_stale, false);

	stock->job = (struct templates_job){
		.job = { .kind = JOB_TEMPLATES, .done = looked, .waiter = stock },
		.known = stock->has_revision && !is_stale ? &stock->revision : NULL
	};
	return region_open(TEMPLATES_BYTES, &stock->job.region);
}

void stock_tick(struct stock *stock, uint64_t now_us)
{
	struct queue *queue = stock->lettergate->queue;

	if (!queue_is_shared(queue) && !atomic_load(&stock->is_stale))
		return;
	if (now_us < stock->look_us || atomic_exchange(&stock->is_looking, true))
		return;
	stock->look_us = now_us + LOOK_US;
	if (prepare(stock) == OK) {
		queue_put(queue, &stock->job.job);
		return;
	}
	atomic_store(&stock->is_stale, true);
	atomic_store(&stock->is_looking, false);
}

void stock_reload(struct stock *stock)
{
	atomic_store(&stock->is_stale, true);
}

/* ---- life */

enum err stock_open(struct lettergate *lettergate, struct buf *why)
{
	struct stock *stock;
	enum err err;

	if (!lettergate->queue)
		return OK;
	stock = lettergate->stock = calloc(1, sizeof(*stock));
	if (!stock)
		return ERR_MEMORY;
	stock->lettergate = lettergate;
	err = prepare(stock);
	if (err)
		return err;
	err = queue_do(lettergate->queue, &stock->job.job);
	if (!err)
		take_up(stock);
	region_close(stock->job.region);
	if (err)
		buf_addf(why, "STORE: its templates cannot be read: %s", err_text(err));
	else
		catalogue_keep_in(lettergate->catalogue, keep, stock);
	return err;
}

void stock_close(struct stock *stock)
{
	free(stock);
}
