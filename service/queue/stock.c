#include "service/queue/stock.h"

#include "service/queue/queue.h"
#include "service/store/pack.h"

enum { VERSION = 1, CONTENT_BYTES = 4 << 20, PARTIALS_MOST = 1000 };

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

/* catalogue_keep_in's. */
static enum err keep(void *self, struct text name, const struct template *template)
{
	struct lettergate *lettergate = self;
	struct template_job job = { .job.kind = JOB_TEMPLATE, .name = name };
	struct buf content = buf_born(CONTENT_BYTES);
	enum err err;

	if (template) {
		pack(template, &content);
		job.content = buf_text(&content);
	}
	err = content.err ? content.err : queue_do(lettergate->queue, &job.job);
	buf_free(&content);
	return !template && err == ERR_MISSING ? OK : err;
}

/* ---- the start */

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

enum err stock_open(struct lettergate *lettergate, struct buf *why)
{
	struct templates_job job = { .job.kind = JOB_TEMPLATES };
	enum err err;

	if (!lettergate->queue)
		return OK;
	err = region_open(TEMPLATES_BYTES, &job.region);
	if (err)
		return err;
	err = queue_do(lettergate->queue, &job.job);
	for (size_t i = 0; !err && i < job.count; i++)
		restore(lettergate, &job.templates[i], job.region);
	region_close(job.region);
	if (err)
		buf_addf(why, "STORE: its templates cannot be read: %s", err_text(err));
	else
		catalogue_keep_in(lettergate->catalogue, keep, lettergate);
	return err;
}
