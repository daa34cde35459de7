#include "http/templates.h"

#include "http/template/template_read.h"
#include "http/intake/way_in.h"

static const char no_name[] = "no template has this name";

/* ---- how a template is shown */

static void add_head(struct buf *out, const struct template *template)
{
	json_add_member(out, "name", template->source.name);
	json_add_member(out, "kept_in", template->is_file ? TEXT("file") : TEXT("memory"));
	json_add_name(out, "changed");
	json_add_time(out, template->changed_ms);
}

static void add_partials(struct buf *out, const struct template_source *source)
{
	json_add_name(out, "partials");
	buf_add_byte(out, '{');
	for (size_t i = 0; i < source->partial_count; i++) {
		json_add_comma(out);
		json_add_string(out, source->partials[i].name);
		buf_add_byte(out, ':');
		json_add_string(out, source->partials[i].text);
	}
	buf_add_byte(out, '}');
}

static void add_whole(struct buf *out, const struct template *template)
{
	const struct template_source *source = &template->source;

	buf_add_byte(out, '{');
	add_head(out, template);
	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++)
		if (source->parts[part].at)
			json_add_member(out, template_part_name(part), source->parts[part]);
	if (source->partial_count)
		add_partials(out, source);
	buf_add(out, TEXT("}\n"));
}

static void add_brief(const struct template *template, void *context)
{
	struct buf *out = context;

	json_add_comma(out);
	buf_add_byte(out, '{');
	add_head(out, template);
	json_add_name(out, "parts");
	buf_add_byte(out, '[');
	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++) {
		if (!template->source.parts[part].at)
			continue;
		json_add_comma(out);
		json_add_string(out, text_of(template_part_name(part)));
	}
	buf_add(out, TEXT("]}"));
}

/* What was written is there until a client has read it all, however slowly. */
static enum handled answer(struct exchange *exchange, unsigned status)
{
	exchange->status = status;
	if (exchange_reserve(exchange, exchange->answer.len + region_used(exchange->region)))
		return HANDLED_ANSWERED;
	return exchange_refuse_overload(exchange);
}

/* ---- GET */

enum handled templates_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"templates\":["));
	gateway->template_list(gateway->self, add_brief, &exchange->answer);
	buf_add(&exchange->answer, TEXT("]}\n"));
	return HANDLED_ANSWERED;
}

enum handled templates_show(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	const struct template *template = gateway->template_hold(gateway->self, exchange->id);

	if (!template)
		return exchange_refuse_as(exchange, "template_not_found", no_name);
	add_whole(&exchange->answer, template);
	gateway->template_release(gateway->self, template);
	return answer(exchange, 200);
}

/* ---- PUT, DELETE */

/* The body's object, by the fields given. False: it was answered. */
static bool read_body(struct exchange *exchange, struct json *json, struct template_wish *wish,
	const struct field *fields, size_t count)
{
	struct complaints complaints = { .region = exchange->region };
	struct reading reading = { .json = json,
		.region = exchange->region,
		.complaints = &complaints,
		.template = wish };

	if (!way_in_read_json(exchange, json))
		return false;
	read_object(&reading, json->root, NULL, fields, count);
	if (complaints.count)
		exchange_refuse(exchange, &(struct problem){ .code = "invalid_request",
						  .detail = TEXT("errors names each place"),
						  .complaints = &complaints });
	return !complaints.count;
}

static enum handled refuse_fault(
	struct exchange *exchange, const struct json_at *at, const struct template_fault *fault)
{
	struct complaints complaints = { .region = exchange->region };
	char words[TEMPLATE_WORDS];

	template_fault_words(fault, words);
	complain(&complaints, at, "%s", words);
	return exchange_refuse(exchange, &(struct problem){ .code = "template_error",
						 .detail = text_of(words),
						 .complaints = &complaints });
}

/* The place of the text that is at fault, if it came along. */
static enum handled refuse_source(struct exchange *exchange, const struct template_source *source,
	const struct template_fault *fault)
{
	struct json_at partials = { NULL, TEXT("partials"), 0 };
	struct json_at partial = { &partials, text_of(fault->partial), 0 };
	struct json_at part = { NULL, text_of(template_part_name(fault->part)), 0 };

	for (size_t i = 0; i < source->partial_count; i++)
		if (text_equal(source->partials[i].name, partial.name))
			return refuse_fault(exchange, &partial, fault);
	return refuse_fault(exchange, &part, fault);
}

static enum handled refuse_change(struct exchange *exchange, enum template_change change)
{
	switch (change) {
	case TEMPLATE_MISSING:
		return exchange_refuse_as(exchange, "template_not_found", no_name);
	case TEMPLATE_IS_FILE:
		exchange->allow = "GET, HEAD";
		return exchange_refuse_as(exchange, "method_not_allowed",
			"this template is a file in TEMPLATES_DIR: it is changed there");
	case TEMPLATE_NOT_KEPT:
		return exchange_refuse_as(
			exchange, "storage_unavailable", "the store could not be written");
	case TEMPLATE_IN_DOUBT:
		return exchange_refuse_as(exchange, "outcome_unknown",
			"the store did not say whether it has changed the template: it may have, "
			"or yet do so; GET /templates/{name} shows it, and it may be asked again");
	case TEMPLATE_TOO_MANY:
		return exchange_refuse_as(
			exchange, "overloaded", "too many changes of templates are under way");
	case TEMPLATE_NO_ROOM:
		return exchange_refuse_as(exchange, "invalid_request",
			"templates: at most 1000 are kept, and 256 MB; remove some");
	default:
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	}
}

static enum handled refuse_name(struct exchange *exchange)
{
	return exchange_refuse_as(
		exchange, "invalid_request", "a template's name has 1 to 100 of A-Z a-z 0-9 . _ -");
}

static void changed(struct changing *changing)
{
	exchange_wake(changing->waiter);
}

/* The answer is on its way, or was given. */
static void left_changed(struct changing *changing)
{
	struct exchange *exchange = changing->waiter;
	const struct gateway *gateway = exchange->gateway;

	if (changing->template)
		gateway->template_release(gateway->self, changing->template);
	exchange_release(exchange);
}

static struct changing *leave(struct changing *changing)
{
	struct region *region;
	struct changing *copy =
		exchange_hold_waiting(changing->waiter, changing, sizeof(*changing), &region);

	if (copy)
		changing->done = left_changed;
	return copy;
}

/* It may take as long as the store takes, and no longer than any request waits. */
static enum handled change(struct exchange *exchange, const struct template_source *source,
	void (*tell)(struct exchange *exchange))
{
	const struct gateway *gateway = exchange->gateway;
	struct changing *changing = region_zalloc(exchange->region, 1, sizeof(*changing));

	if (!changing)
		return refuse_change(exchange, TEMPLATE_NO_MEMORY);
	*changing = (struct changing){ .name = exchange->id,
		.source = source,
		.patience_us = exchange->deadline_most_us,
		.leave = leave,
		.done = changed,
		.waiter = exchange };
	exchange->waiting = changing;
	exchange_park(exchange, tell);
	gateway->template_change(gateway->self, changing);
	return HANDLED_PARKED;
}

static void tell_put(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	const struct changing *changing = exchange->waiting;
	bool is_made = changing->change == TEMPLATE_MADE;

	if (changing->change == TEMPLATE_IS_WRONG) {
		refuse_source(exchange, changing->source, &changing->fault);
		return;
	}
	if (!is_made && changing->change != TEMPLATE_CHANGED) {
		refuse_change(exchange, changing->change);
		return;
	}
	if (is_made)
		exchange->location = region_copy(exchange->region, exchange->path);
	add_whole(&exchange->answer, changing->template);
	gateway->template_release(gateway->self, changing->template);
	answer(exchange, is_made ? 201 : 200);
}

enum handled templates_put(struct exchange *exchange)
{
	static const struct field fields[] = { { "subject", read_template_subject },
		{ "text", read_template_text }, { "html", read_template_html },
		{ "partials", read_template_partials } };
	struct template_wish wish = { .source.name = exchange->id };
	struct template_source *source;
	struct json json = { 0 };

	if (!template_name_is_good(exchange->id))
		return refuse_name(exchange);
	if (!read_body(exchange, &json, &wish, fields, sizeof(fields) / sizeof(fields[0])))
		return HANDLED_ANSWERED;
	if (!template_has_part(&wish.source))
		return exchange_refuse_as(exchange, "invalid_request",
			"at least one of subject, text and html is wanted");
	source = region_zalloc(exchange->region, 1, sizeof(*source));
	if (!source)
		return refuse_change(exchange, TEMPLATE_NO_MEMORY);
	*source = wish.source;
	return change(exchange, source, tell_put);
}

static void tell_removed(struct exchange *exchange)
{
	const struct changing *changing = exchange->waiting;

	if (changing->change != TEMPLATE_REMOVED) {
		refuse_change(exchange, changing->change);
		return;
	}
	exchange->status = 200;
	buf_add_byte(&exchange->answer, '{');
	json_add_member(&exchange->answer, "name", exchange->id);
	json_add_member_bool(&exchange->answer, "removed", true);
	buf_add(&exchange->answer, TEXT("}\n"));
}

enum handled templates_remove(struct exchange *exchange)
{
	return change(exchange, NULL, tell_removed);
}

/* ---- POST …/render */

static void add_misses(
	struct buf *out, const char *name, const struct mustache_view *view, bool are_partials)
{
	json_add_name(out, name);
	buf_add_byte(out, '[');
	for (size_t i = 0; i < view->miss_count; i++) {
		if (view->misses[i].is_partial != are_partials)
			continue;
		json_add_comma(out);
		json_add_string(out, view->misses[i].name);
	}
	buf_add_byte(out, ']');
}

static enum handled render(struct exchange *exchange, const struct template *template,
	const struct json *json, const struct template_wish *wish)
{
	struct json_at values = { NULL, TEXT("data"), 0 };
	struct mustache_view view = {
		.json = json, .value = wish->values, .steps = MUSTACHE_STEPS
	};
	struct buf *out = &exchange->answer;
	struct template_fault fault;
	enum err err = OK;

	buf_add_byte(out, '{');
	for (enum template_part part = 0; !err && part < TEMPLATE_PARTS; part++) {
		struct text text;

		if (!template->parts[part])
			continue;
		err = template_render(template, part, &view, exchange->region, &text, &fault);
		if (!err)
			json_add_member(out, template_part_name(part), text);
	}
	if (err)
		return err == ERR_MEMORY
			       ? exchange_refuse_as(exchange, "overloaded", "out of memory")
			       : refuse_fault(exchange, &values, &fault);
	add_misses(out, "missing", &view, false);
	add_misses(out, "missing_partials", &view, true);
	buf_add(out, TEXT("}\n"));
	return answer(exchange, 200);
}

enum handled templates_render(struct exchange *exchange)
{
	static const struct field fields[] = { { "data", read_template_values } };
	const struct gateway *gateway = exchange->gateway;
	struct template_wish wish = { 0 };
	const struct template *template;
	struct json json = { 0 };

	if (!read_body(exchange, &json, &wish, fields, sizeof(fields) / sizeof(fields[0])))
		return HANDLED_ANSWERED;
	template = gateway->template_hold(gateway->self, exchange->id);
	if (!template)
		return exchange_refuse_as(exchange, "template_not_found", no_name);
	(void)render(exchange, template, &json, &wish);
	gateway->template_release(gateway->self, template);
	return HANDLED_ANSWERED;
}
