#include "service/settings_table.h"

#include <string.h>

enum { VALUE_COLUMN = 25, USUAL_COLUMN = 47, MEANING_COLUMN = 67, WIDTH = 116, VALUE_MOST = 60 };

static const char *usual_of(const struct setting *row)
{
	return row->usual_words ? row->usual_words : row->usual ? row->usual : "-";
}

static void add_value(const struct settings *settings, size_t index, struct buf *out)
{
	const struct setting *row = &settings_table[index];
	const char *value = settings->values[index];

	if (!value)
		buf_add_string(out, "-");
	else if (row->is_secret)
		buf_add_string(out, "***");
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
		add_value(settings, i, &value);
		add_columns(out, row->name, buf_text(&value), usual_of(row), row->meaning);
	}
	buf_free(&value);
}
