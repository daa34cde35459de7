#include "service/command/queue_print.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "service/command/terminal.h"

enum { TO_WIDTH = 30, SUBJECT_WIDTH = 40, STATE_WIDTH = 10, TIME_WIDTH = 20 };

/* ---- words */

/* Up to so many letters; 0: all of it. Gives their number. */
static unsigned put_some(struct text text, unsigned most)
{
	unsigned letters = 0;

	for (; text.len && (!most || letters < most); letters++)
		terminal_letter(&text, stdout);
	return letters;
}

/* The same, filled up with spaces. */
static void put(struct text text, unsigned width)
{
	for (unsigned letters = put_some(text, width); letters < width; letters++)
		putchar(' ');
}

static const struct cJSON *member(const struct cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static struct text words(const struct json *json, const struct cJSON *object, const char *name)
{
	return json_string(json, member(object, name));
}

/* "2026-11-24T10:00:00.123Z" to the second. */
static struct text moment(const struct json *json, const struct cJSON *object, const char *name)
{
	struct text time = words(json, object, name);

	return time.len ? text_head(time, time.len < 19 ? time.len : 19) : TEXT("-");
}

/* ---- a list */

void queue_print_head(void)
{
	printf("%-36s  %-*s  %-*s  %-*s  %-*s  SUBJECT\n", "ID", STATE_WIDTH, "STATE", TIME_WIDTH,
		"CREATED", TIME_WIDTH, "NEXT ATTEMPT", TO_WIDTH, "TO");
}

void queue_print_line(const struct json *json, const struct cJSON *message)
{
	const struct cJSON *to = member(message, "recipients");
	int count = cJSON_GetArraySize(to);

	put(words(json, message, "id"), 36);
	printf("  ");
	put(words(json, message, "state"), STATE_WIDTH);
	printf("  ");
	put(moment(json, message, "created"), TIME_WIDTH);
	printf("  ");
	put(moment(json, message, "next_attempt"), TIME_WIDTH);
	printf("  ");
	put(words(json, cJSON_GetArrayItem(to, 0), "address"), count > 1 ? TO_WIDTH - 6 : TO_WIDTH);
	if (count > 1)
		printf(" %+-5d", count - 1);
	printf("  ");
	put_some(words(json, message, "subject"), SUBJECT_WIDTH);
	putchar('\n');
}

/* ---- one message */

static void put_field(const char *name, struct text value)
{
	if (!value.len)
		return;
	printf("%-14s", name);
	put(value, 0);
	putchar('\n');
}

static void put_reply(const struct json *json, const struct cJSON *object)
{
	const struct cJSON *said = member(object, "smtp"), *code = member(said, "code");
	struct text enhanced = words(json, said, "enhanced");

	if (!cJSON_IsNumber(code))
		return;
	printf("  %d ", code->valueint);
	put(enhanced, 0);
	printf(enhanced.len ? " " : "");
	put(words(json, said, "text"), 0);
}

static void put_outcome(const struct json *json, const struct cJSON *object, struct text who)
{
	struct text code = words(json, object, "code");

	putchar(' ');
	putchar(' ');
	put(who, 0);
	printf("  ");
	put(words(json, object, "outcome"), 0);
	printf(code.len ? "  " : "");
	put(code, 0);
	put_reply(json, object);
	putchar('\n');
}

void queue_print_message(const struct json *json, const struct cJSON *message)
{
	static const char *const names[] = { "id", "state", "message_id", "from", "subject",
		"created", "updated", "next_attempt" };
	const struct cJSON *entry;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_field(names[i], words(json, message, names[i]));
	cJSON_ArrayForEach(entry, member(message, "tags"))
		put_field("tag", json_string(json, entry));
	printf("recipients\n");
	cJSON_ArrayForEach(entry, member(message, "recipients"))
		put_outcome(json, entry, words(json, entry, "address"));
	printf("attempts\n");
	cJSON_ArrayForEach(entry, member(message, "attempts"))
	{
		printf("  ");
		put(moment(json, entry, "time"), 0);
		put_outcome(json, entry, words(json, entry, "relay"));
	}
}

/* ---- numbers */

/* lettergate_NAME{label="VALUE"} NUMBER, or without a label. */
static bool read_sample(
	struct text line, struct text name, struct text *value_out, struct text *number_out)
{
	if (!text_starts(line, TEXT("lettergate_")))
		return false;
	line = text_from(line, TEXT("lettergate_").len);
	if (!text_starts(line, name))
		return false;
	line = text_from(line, name.len);
	*value_out = (struct text){ 0 };
	if (line.len && line.at[0] == '{') {
		(void)text_cut(&line, '"');
		*value_out = text_cut(&line, '"');
		(void)text_cut(&line, '}');
	}
	*number_out = text_trim(line);
	return number_out->len > 0 && line.at[0] == ' ';
}

static const struct family {
	const char *name, *title, *json;
	bool has_label;
} families[] = {
	{ "queue_messages", "messages", "messages", true },
	{ "queue_bytes", "bytes that wait", "bytes", false },
	{ "queue_oldest_seconds", "seconds that the oldest has waited", "oldest_seconds", false },
	{ "queue_age_messages", "waiting, by seconds at the most", "ages", true },
};

static void put_number(struct text value, struct text number, bool as_json, bool is_first)
{
	if (as_json) {
		printf(is_first ? "\"" : ",\"");
		put(value, 0);
		printf("\":");
		put(number, 0);
		return;
	}
	printf("  ");
	put(value, 12);
	printf("%*s", number.len < 10 ? (int)(10 - number.len) : 0, "");
	put(number, 0);
	putchar('\n');
}

static bool put_family(struct text metrics, const struct family *family, bool as_json)
{
	struct text value, number;
	bool is_first = true;

	while (metrics.len) {
		if (!read_sample(text_cut(&metrics, '\n'), text_of(family->name), &value, &number))
			continue;
		if (is_first)
			printf(as_json ? "\"%s\":%s" : "%s%s",
				as_json ? family->json : family->title,
				as_json ? (family->has_label ? "{" : "") : "\n");
		if (family->has_label || !as_json)
			put_number(value, number, as_json, is_first);
		else
			put(number, 0);
		is_first = false;
	}
	if (as_json && family->has_label && !is_first)
		putchar('}');
	return !is_first;
}

bool queue_print_stats(struct text metrics, bool as_json)
{
	bool is_told = false;

	if (!text_contains_nocase(metrics, TEXT("\nlettergate_queue_messages{")))
		return false;
	if (as_json)
		putchar('{');
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (as_json && i)
			putchar(',');
		is_told = put_family(metrics, &families[i], as_json);
	}
	if (as_json)
		printf("}\n");
	return is_told;
}
