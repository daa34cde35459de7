#include "service/settings/settings_table.h"

#include <stdio.h>
#include <string.h>

enum { VALUE_COLUMN = 25, USUAL_COLUMN = 47, MEANING_COLUMN = 67, WIDTH = 116, VALUE_MOST = 60 };

static const char *usual_of(const struct setting *row)
{
	return row->usual_words ? row->usual_words : row->usual ? row->usual : "-";
}

static void add_value(const char *const *values, size_t index, struct buf *out)
{
	const struct setting *row = &settings_table[index];
	const char *value = values[index];

	if (!value)
		buf_add_string(out, "-");
	else if (row->is_secret)
		buf_add_string(out, "***");
	else if (row->kind == SETTING_STORE && strncmp(value, "postgres", 8) == 0)
		buf_add_string(out, "postgresql:***"); /* there may be a password in it */
	else if (strstr(value, "-----BEGIN"))
		buf_add_string(out, "(PEM text)");
	else if (strlen(value) > VALUE_MOST)
		buf_addf(out, "%.*s…", VALUE_MOST, value);
	else
		buf_add_string(out, value);
}

/* ---- columns */

struct column {
	size_t at, width;
	struct text rest; /* what is still to be written */
};

/* As much of the rest as fits, broken at a blank or a comma where there is one. */
static struct text take_line(struct column *column)
{
	struct text line = text_head(column->rest, column->width);

	if (column->rest.len > column->width) {
		size_t cut = line.len;

		while (cut && line.at[cut - 1] != ' ' && line.at[cut - 1] != ',')
			cut--;
		if (cut)
			line.len = cut;
		while (line.len && ((unsigned char)column->rest.at[line.len] & 0xc0U) == 0x80)
			line.len--; /* not amidst a character */
	}
	column->rest = text_from(column->rest, line.len);
	return line;
}

/* Columns are counted in characters, not in bytes. */
static size_t characters(struct text text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += ((unsigned char)text.at[i] & 0xc0U) != 0x80;
	return count;
}

static void add_row(struct buf *out, struct column *columns, size_t count)
{
	bool more = true;

	while (more) {
		size_t at = 0;

		more = false;
		for (size_t i = 0; i < count; i++) {
			struct text line = take_line(&columns[i]);

			if (line.len)
				for (; at < columns[i].at; at++)
					buf_add_byte(out, ' ');
			buf_add(out, line);
			at += characters(line);
			more |= columns[i].rest.len > 0;
		}
		while (out->len && out->at[out->len - 1] == ' ')
			out->len--;
		buf_add_byte(out, '\n');
	}
}

static void add_columns(struct buf *out, const char *name, struct text value, const char *usual,
	const char *meaning)
{
	struct column columns[] = {
		{ 0, VALUE_COLUMN - 1, text_of(name) },
		{ VALUE_COLUMN, USUAL_COLUMN - VALUE_COLUMN - 1, value },
		{ USUAL_COLUMN, MEANING_COLUMN - USUAL_COLUMN - 1, text_of(usual) },
		{ MEANING_COLUMN, WIDTH - MEANING_COLUMN, text_of(meaning) },
	};

	add_row(out, columns, 4);
}

/* ---- the list of relays: what differs from the rows above, as it stands in the file */

static void add_pair(struct buf *out, const char *name, struct text value)
{
	struct column columns[] = { { 0, VALUE_COLUMN - 1, text_of(name) },
		{ VALUE_COLUMN, WIDTH - VALUE_COLUMN, value } };

	add_row(out, columns, 2);
}

static void add_relay(struct buf *out, const struct settings *settings, size_t index)
{
	const struct relay_settings *relay = &settings->relays[index];
	struct buf name = buf_born(256), value = buf_born(4096);

	buf_addf(&name, "RELAY %s", relay->name);
	buf_add_byte(&name, 0);
	buf_addf(&value, "priority %u, weight %u, and as above but for", relay->priority,
		relay->weight);
	buf_add_byte(out, '\n');
	add_pair(out, name.at ? name.at : "", buf_text(&value));
	for (size_t i = 0; i < settings_count; i++) {
		const char *above = settings->values[i], *here = relay->values[i];

		if (!setting_is_of_relay(i) ||
			(above && here ? strcmp(above, here) == 0 : above == here))
			continue;
		buf_clear(&name);
		buf_clear(&value);
		buf_add_string(&name, "  ");
		for (const char *at = settings_table[i].name + strlen("SMTP_"); *at; at++)
			buf_add_byte(&name, byte_lower(*at));
		buf_add_byte(&name, 0);
		add_value(relay->values, i, &value);
		add_pair(out, name.at ? name.at : "", buf_text(&value));
	}
	buf_free(&name);
	buf_free(&value);
}

/* ---- routes */

static void add_condition(struct buf *out, const char *name, struct text value)
{
	const char *any = value.len && value.at[0] == '.' ? "*" : "";

	if (value.len)
		buf_addf(out, "%s %s%.*s, ", name, any, (int)value.len, value.at);
}

static void add_route(struct buf *out, const struct settings *settings, size_t index)
{
	const struct route_settings *route = &settings->routes[index];
	struct buf value = buf_born(4096);
	char number[32];
	bool is_first = true;

	snprintf(number, sizeof(number), "  %zu", index + 1);
	add_condition(&value, "from_domain", route->from_domain);
	add_condition(&value, "to_domain", route->to_domain);
	add_condition(&value, "key", route->key);
	add_condition(&value, "tag", route->tag);
	value.len -= value.len ? 2 : 0; /* the last comma */
	buf_add_string(&value, ": ");
	for (size_t i = 0; i < settings->relay_count; i++) {
		if (!(route->relays & UINT64_C(1) << i))
			continue;
		buf_addf(&value, "%s%s", is_first ? "" : ", ", settings->relays[i].name);
		is_first = false;
	}
	add_pair(out, number, buf_text(&value));
	buf_free(&value);
}

/* ---- */

static void add_markdown(struct buf *out, const struct setting *row)
{
	const char *mark = row->usual && !row->usual_words ? "`" : "";

	buf_addf(out, "| `%s` | %s%s%s | ", row->name, mark,
		strcmp(usual_of(row), "-") == 0 ? "–" : usual_of(row), mark);
	for (const char *at = row->meaning; *at; at++)
		buf_addf(out, "%s%c", *at == '|' ? "\\" : "", *at);
	buf_add_string(out, " |\n");
}

void settings_print(const struct settings *settings, bool markdown, struct buf *out)
{
	struct buf value = buf_born(4096);

	if (markdown)
		buf_add_string(out, "| name | default | meaning |\n|---|---|---|\n");
	else
		add_columns(out, "NAME", TEXT("VALUE"), "DEFAULT", "MEANING");
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		if (markdown) {
			add_markdown(out, row);
			continue;
		}
		buf_clear(&value);
		add_value(settings->values, i, &value);
		add_columns(out, row->name, buf_text(&value), usual_of(row), row->meaning);
	}
	buf_free(&value);
	if (!markdown && settings->relays != &settings->relay)
		for (size_t i = 0; i < settings->relay_count; i++)
			add_relay(out, settings, i);
	if (markdown || !settings->route_count)
		return;
	buf_add_byte(out, '\n');
	add_pair(out, "ROUTES", TEXT("the first that fits decides; where none does, any relay"));
	for (size_t i = 0; i < settings->route_count; i++)
		add_route(out, settings, i);
}
