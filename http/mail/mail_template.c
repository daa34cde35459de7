/* mail_template - the field `template`: a message's subject, text and html out of a template
 *
 * One that is kept, by its name, or one that comes with the message. What the message says itself
 * goes before what a kept template has. */
#include "http/exchange.h"
#include "http/template/template_read.h"

static const struct field fields[] = {
	{ "name", read_template_name },
	{ "subject", read_template_subject },
	{ "text", read_template_text },
	{ "html", read_template_html },
	{ "partials", read_template_partials },
	{ "data", read_template_values },
};

void read_template(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct template_wish *wish;

	if (cJSON_IsNull(value))
		return;
	wish = reading_room(reading, at, 1, sizeof(*wish));
	if (!wish)
		return;
	reading->template = wish;
	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (!cJSON_IsObject(value))
		return;
	if (wish->has_name && (template_has_part(&wish->source) || wish->source.partials))
		complain(reading->complaints, at,
			"either the name of a template, or the template itself, not both");
	else if (!wish->has_name && !template_has_part(&wish->source) &&
		 !reading->complaints->count)
		complain(reading->complaints, at,
			"the name of a template is missing, or subject, text or html");
}

/* ---- what the message says itself */

static bool is_said(const struct reading *reading, enum template_part part)
{
	const struct smtp_mail *mail = &reading->posted->mail;

	switch (part) {
	case TEMPLATE_SUBJECT:
		return mail->subject.at;
	case TEMPLATE_TEXT:
		return mail->has_text || reading->text_off;
	default:
		return mail->has_html;
	}
}

/* Who sends the template along can only have meant one of the two. */
static bool is_said_once(struct reading *reading, const struct json_at *at)
{
	const struct template_source *source = &reading->template->source;

	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++) {
		struct json_at here = { at, text_of(template_part_name(part)), 0 };

		if (source->parts[part].at && is_said(reading, part))
			complain(reading->complaints, &here,
				"the template has it, too: leave one of the two out");
	}
	return !reading->complaints->count;
}

static void say(struct smtp_mail *mail, enum template_part part, struct text text)
{
	switch (part) {
	case TEMPLATE_SUBJECT:
		mail->subject = text;
		break;
	case TEMPLATE_TEXT:
		mail->text = text;
		mail->has_text = true;
		break;
	default:
		mail->html = text;
		mail->has_html = true;
	}
}

/* ---- faults */

static bool refuse(
	struct reading *reading, const char *code, const struct json_at *at, const char *words)
{
	reading->posted->refused_as = code;
	complain(reading->complaints, at, "%s", words);
	return false;
}

/* `at`: where the template stands. */
static bool refuse_fault(struct reading *reading, enum err err, const struct json_at *at,
	const struct template_fault *fault)
{
	struct json_at partials = { at, TEXT("partials"), 0 };
	struct json_at partial = { &partials, text_of(fault->partial), 0 };
	struct json_at part = { at, text_of(template_part_name(fault->part)), 0 };
	struct json_at name = { at, TEXT("name"), 0 };
	bool is_own = false;
	char words[TEMPLATE_WORDS];

	if (err == ERR_MEMORY)
		return refuse(reading, "overloaded", at, "out of memory");
	for (size_t i = 0; i < reading->template->source.partial_count; i++)
		is_own |= text_equal(reading->template->source.partials[i].name, partial.name);
	template_fault_words(fault, words);
	return refuse(reading, "template_error",
		reading->template->has_name ? &name
		: is_own                    ? &partial
					    : &part,
		words);
}

/* ---- rendering */

static bool render(
	struct reading *reading, const struct template *template, const struct json_at *at)
{
	size_t *taken = &reading->posted->exchange->template_steps;
	struct mustache_view view = { .json = reading->json,
		.value = reading->template->values,
		.steps = MUSTACHE_STEPS - *taken };
	struct template_fault fault;
	enum err err = OK;

	for (enum template_part part = 0; !err && part < TEMPLATE_PARTS; part++) {
		struct text text;

		if (!template->parts[part] || is_said(reading, part))
			continue;
		err = template_render(template, part, &view, reading->region, &text, &fault);
		if (!err)
			say(&reading->posted->mail, part, text);
	}
	*taken = MUSTACHE_STEPS - view.steps;
	return err ? refuse_fault(reading, err, at, &fault) : true;
}

static bool fill_kept(struct reading *reading, const struct json_at *at)
{
	const struct gateway *gateway = reading->posted->exchange->gateway;
	struct json_at name = { at, TEXT("name"), 0 };
	const struct template *template =
		gateway->template_hold(gateway->self, reading->template->source.name);
	bool done;

	if (!template)
		return refuse(reading, "template_not_found", &name, "no template has this name");
	done = render(reading, template, at);
	gateway->template_release(gateway->self, template);
	return done;
}

/* Partials that do not come along are those of TEMPLATES_DIR. They are parsed for each message
 * anew: that is paid for like rendering. */
enum { BYTES_PER_STEP = 16 };

static enum err find_partial(void *self, struct text name, struct text *text_out)
{
	struct reading *reading = self;
	struct exchange *exchange = reading->posted->exchange;
	const struct gateway *gateway = exchange->gateway;
	size_t left = MUSTACHE_STEPS - exchange->template_steps, cost;
	enum err err = gateway->template_partial(gateway->self, name, reading->region, text_out);

	if (err)
		return err;
	cost = text_out->len / BYTES_PER_STEP;
	exchange->template_steps += cost < left ? cost : left;
	return cost <= left ? OK : ERR_LIMIT;
}

static bool fill_inline(struct reading *reading, const struct json_at *at)
{
	struct mustache_partials shared = { reading, find_partial };
	struct template_fault fault;
	struct template template;
	enum err err;

	err = template_parse(
		&reading->template->source, &shared, reading->region, &template, &fault);
	return err ? refuse_fault(reading, err, at, &fault) : render(reading, &template, at);
}

bool fill_template(struct reading *reading, const struct json_at *at)
{
	struct json_at here = { at, TEXT("template"), 0 };

	if (!reading->template)
		return true;
	if (!reading->posted->exchange)
		return refuse(reading, NULL, &here, "there are no templates here");
	if (reading->template->has_name)
		return fill_kept(reading, &here);
	return is_said_once(reading, at) && fill_inline(reading, &here);
}
