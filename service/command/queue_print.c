#include "service/command/queue_print.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "service/command/terminal.h"

enum { TO_WIDTH = 30, SUBJECT_WIDTH = 40, STATE_WIDTH = 10, TIME_WIDTH = 20, NAME_WIDTH = 16 };

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

/* "2026-11-24T10:00:00.123Z" to the second, in so many columns. */
static void put_moment(
	const struct json *json, const struct cJSON *object, const char *name, unsigned width)
{
	struct text time = words(json, object, name);
	bool is_time = time.len > 19;

	put(is_time ? text_head(time, 19) : TEXT("-"), 0);
	if (is_time)
		putchar('Z');
	for (unsigned letters = is_time ? 20 : 1; letters < width; letters++)
		putchar(' ');
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
	put_moment(json, message, "created", TIME_WIDTH);
	printf("  ");
	put_moment(json, message, "next_attempt", TIME_WIDTH);
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

static void put_metadata(const struct json *json, const struct cJSON *entry)
{
	printf("%-14s", "metadata");
	put(json_name(json, entry), 0);
	printf("=");
	put(json_string(json, entry), 0);
	putchar('\n');
}

/* What the relay said, or what happened where it said nothing. */
static void put_reply(const struct json *json, const struct cJSON *object)
{
	const struct cJSON *said = member(object, "smtp"), *code = member(said, "code");
	struct text enhanced = words(json, said, "enhanced");
	struct text detail = words(json, object, "detail");

	if (!cJSON_IsNumber(code)) {
		printf(detail.len ? "  " : "");
		put(detail, 0);
		return;
	}
	printf("  %d ", code->valueint);
	put(enhanced, 0);
	printf(enhanced.len ? " " : "");
	put(words(json, said, "text"), 0);
}

static void put_outcome(const struct json *json, const struct cJSON *object, struct text who)
{
	static const char *const names[] = { "outcome", "code", "phase" };

	printf("  ");
	put(who, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct text word = words(json, object, names[i]);

		printf(word.len ? "  " : "");
		put(word, 0);
	}
	put_reply(json, object);
	putchar('\n');
}

void queue_print_message(const struct json *json, const struct cJSON *message)
{
	static const char *const names[] = { "id", "state", "message_id", "from", "subject",
		"created", "updated", "send_at", "next_attempt", "expires", "why" };
	const struct cJSON *entry;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_field(names[i], words(json, message, names[i]));
	put_field("queue_id", words(json, member(message, "relay"), "queue_id"));
	if (cJSON_IsTrue(member(message, "expired")))
		put_field("expired", TEXT("it was given up: its time was over"));
	if (cJSON_IsTrue(member(message, "damaged")))
		put_field("damaged", TEXT("what is kept of it cannot be read: cancel it"));
	cJSON_ArrayForEach(entry, member(message, "tags"))
		put_field("tag", json_string(json, entry));
	cJSON_ArrayForEach(entry, member(message, "metadata")) put_metadata(json, entry);
	printf("recipients\n");
	cJSON_ArrayForEach(entry, member(message, "recipients"))
		put_outcome(json, entry, words(json, entry, "address"));
	printf("attempts\n");
	cJSON_ArrayForEach(entry, member(message, "attempts"))
	{
		printf("  ");
		put_moment(json, entry, "time", 0);
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
	{ "queue_age_messages", "waiting, by age", "ages", true },
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
	put(value, NAME_WIDTH);
	printf("%*s", number.len < 10 ? (int)(10 - number.len) : 0, "");
	put(number, 0);
	putchar('\n');
}

/* ---- ages: to people each message is shown once, with those of its age */

static void add_span(struct buf *out, uint64_t seconds)
{
	if (seconds >= 86400)
		buf_addf(out, "%" PRIu64 " d", seconds / 86400);
	else if (seconds >= 3600)
		buf_addf(out, "%" PRIu64 " h", seconds / 3600);
	else
		buf_addf(out, "%" PRIu64 " min", seconds / 60);
}

/* Of those up to an age: who is older than the age before. */
static void put_age(struct text age, uint64_t count, uint64_t *before_s)
{
	struct buf name = buf_born(60);
	char digits[24];
	uint64_t seconds = 0;
	bool is_last = !text_to_u64(text_cut(&age, '.'), &seconds);

	buf_add_string(&name, is_last ? "over " : *before_s ? "" : "under ");
	if (*before_s)
		add_span(&name, *before_s);
	if (!is_last && *before_s)
		buf_add_string(&name, " to ");
	if (!is_last)
		add_span(&name, seconds);
	*before_s = seconds;
	snprintf(digits, sizeof(digits), "%" PRIu64, count);
	if (count)
		put_number(buf_text(&name), text_of(digits), false, false);
	buf_free(&name);
}

static bool put_ages(struct text metrics, const struct family *family)
{
	struct text age, number;
	uint64_t count, younger = 0, before_s = 0;
	bool is_told = false;

	puts(family->title);
	while (metrics.len) {
		if (!read_sample(text_cut(&metrics, '\n'), text_of(family->name), &age, &number) ||
			!text_to_u64(number, &count))
			continue;
		put_age(age, count > younger ? count - younger : 0, &before_s);
		younger = count;
		is_told = true;
	}
	return is_told;
}

static void put_title(const struct family *family, bool as_json)
{
	if (as_json)
		printf("\"%s\":%s", family->json, family->has_label ? "{" : "");
	else
		printf("%s%s", family->title, family->has_label ? "\n" : "  ");
}

static bool put_family(struct text metrics, const struct family *family, bool as_json)
{
	struct text value, number;
	bool is_first = true;

	while (metrics.len) {
		if (!read_sample(text_cut(&metrics, '\n'), text_of(family->name), &value, &number))
			continue;
		if (is_first)
			put_title(family, as_json);
		if (family->has_label)
			put_number(value, number, as_json, is_first);
		else
			put(number, 0);
		is_first = false;
	}
	if (!family->has_label && !as_json && !is_first)
		putchar('\n');
	if (as_json && family->has_label && !is_first)
		putchar('}');
	return !is_first;
}

bool queue_print_stats(struct text metrics, bool as_json)
{
	const struct family *ages = &families[sizeof(families) / sizeof(families[0]) - 1];
	bool is_told = false;

	if (!text_contains_nocase(metrics, TEXT("\nlettergate_queue_messages{")))
		return false;
	if (as_json)
		putchar('{');
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (as_json && i)
			putchar(',');
		is_told = !as_json && &families[i] == ages
				  ? put_ages(metrics, ages)
				  : put_family(metrics, &families[i], as_json);
	}
	if (as_json)
		printf("}\n");
	return is_told;
}
