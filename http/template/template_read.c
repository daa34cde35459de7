#include "http/template/template_read.h"

enum { PARTIAL_NAME = MUSTACHE_NAME };

void read_template_name(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct template_wish *wish = reading->template;

	wish->has_name |= read_line(reading, value, at, &wish->source.name);
}

/* One text of the template. */
static void read_source(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out)
{
	struct template_wish *wish = reading->template;
	struct text text;

	if (!read_lines(reading, value, at, &text))
		return;
	wish->bytes += text.len; /* no more than the body has */
	if (wish->bytes > TEMPLATE_BYTES)
		complain(reading->complaints, at, "template: at most %d bytes are taken in all",
			TEMPLATE_BYTES);
	else
		*text_out = text;
}

static void read_part(struct reading *reading, const cJSON *value, const struct json_at *at,
	enum template_part part)
{
	if (!cJSON_IsNull(value))
		read_source(reading, value, at, &reading->template->source.parts[part]);
}

void read_template_subject(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_part(reading, value, at, TEMPLATE_SUBJECT);
}

void read_template_text(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_part(reading, value, at, TEMPLATE_TEXT);
}

void read_template_html(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_part(reading, value, at, TEMPLATE_HTML);
}

static bool is_partial_name(struct text name)
{
	return name.len > 0 && name.len <= PARTIAL_NAME && !text_has_control(name);
}

static void read_partials_of(struct reading *reading, const cJSON *object, const struct json_at *at,
	struct template_partial *partials)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };

		if (!is_partial_name(here.name))
			complain(reading->complaints, &here,
				"a partial's name has 1 to %d bytes and no control characters",
				PARTIAL_NAME);
		partials->name = here.name;
		read_source(reading, member, &here, &partials->text);
		partials++;
	}
}

void read_template_partials(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct template_source *source = &reading->template->source;
	int count = cJSON_GetArraySize(value);
	struct template_partial *partials;

	if (cJSON_IsNull(value))
		return;
	if (!cJSON_IsObject(value)) {
		complain(reading->complaints, at, "an object is wanted: names, and their texts");
		return;
	}
	if (count > MUSTACHE_PARTIALS) {
		complain(reading->complaints, at, "partials: at most %d are taken",
			MUSTACHE_PARTIALS);
		return;
	}
	partials = reading_room(reading, at, (size_t)count, sizeof(*partials));
	if (!partials)
		return;
	read_partials_of(reading, value, at, partials);
	source->partials = partials;
	source->partial_count = (size_t)count;
}

void read_template_values(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (cJSON_IsObject(value))
		reading->template->values = value;
	else if (!cJSON_IsNull(value))
		complain(reading->complaints, at, "an object is wanted");
}
