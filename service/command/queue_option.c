#include "service/command/queue_option.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const uint64_t LIMIT_MOST = 1000000000;

int queue_refuse(const char *what, const char *words)
{
	fprintf(stderr, "lettergate queue: %s %s; see lettergate queue --help\n", what, words);
	return QUEUE_USAGE;
}

void queue_add_encoded(struct buf *out, struct text value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char byte = (unsigned char)value.at[i];

		if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
			(byte >= 'A' && byte <= 'Z') || strchr("-._~", byte))
			buf_add_byte(out, (char)byte);
		else
			buf_addf(out, "%%%02X", byte);
	}
}

static bool is_one_of(const char *word, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(word, *names) == 0)
			return true;
	return false;
}

static int read_limit(const char *value, struct queue_wishes *wishes)
{
	uint64_t limit;

	if (!text_to_u64(text_of(value), &limit) || limit == 0 || limit > LIMIT_MOST)
		return queue_refuse("--limit", "wants a number from 1 to 1000000000");
	wishes->limit = (unsigned long)limit;
	return 0;
}

static int read_filter(const char *option, const char *value, struct queue_wishes *wishes)
{
	if (!value)
		return queue_refuse(option, "wants a value");
	if (strcmp(option, "--limit") == 0)
		return read_limit(value, wishes);
	buf_addf(&wishes->query, "&%s=", option + 2);
	queue_add_encoded(&wishes->query, text_of(value));
	return 0;
}

static bool read_switch(
	const struct queue_verb *verb, const char *word, struct queue_wishes *wishes)
{
	bool *wish = verb->takes_json && strcmp(word, "--json") == 0 ? &wishes->as_json
		     : verb->is_list && strcmp(word, "--ids") == 0   ? &wishes->as_ids
		     : verb->is_list && strcmp(word, "--all") == 0   ? &wishes->is_all
								     : NULL;

	if (wish)
		*wish = true;
	return wish;
}

static int check(const struct queue_verb *verb, const struct queue_wishes *wishes, char *const *ids,
	size_t count)
{
	if (count < verb->least)
		return queue_refuse(verb->name, "wants an id");
	if (count > verb->most)
		return queue_refuse(ids[verb->most],
			verb->most ? "is one id too many" : "stands where no id is wanted");
	if (wishes->is_all && wishes->limit)
		return queue_refuse("--limit and --all", "do not go together");
	if (wishes->as_json && wishes->as_ids)
		return queue_refuse("--json and --ids", "do not go together");
	return 0;
}

int queue_options_read(
	const struct queue_verb *verb, char *const *words, struct queue_wishes *wishes, char **ids)
{
	static const char *const filters[] = { "--state", "--recipient", "--tag", "--since",
		"--limit", NULL };
	size_t count = 0;
	int status;

	for (; *words; words++) {
		if (read_switch(verb, *words, wishes))
			continue;
		if (strncmp(*words, "--", 2) != 0) {
			ids[count++] = *words;
			continue;
		}
		if (!verb->is_list || !is_one_of(*words, filters))
			return queue_refuse(*words, "is no option here");
		status = read_filter(words[0], words[1], wishes);
		if (status)
			return status;
		words++;
	}
	ids[count] = NULL;
	wishes->ids = ids;
	return check(verb, wishes, ids, count);
}
