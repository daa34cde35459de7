#include "service/command/command_queue.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/command/client.h"
#include "service/command/queue_print.h"
#include "service/command/terminal.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum { CALL_MS = 60000, PATH_BYTES = 8192, TREE_BYTES = 256 << 20 };
enum { LIST_USUAL = 50, PAGE_MOST = 500 };

static const char usage[] =
	"usage: lettergate queue list [--state S] [--recipient ADDRESS] [--tag T] [--since TIME]\n"
	"                             [--limit N | --all] [--json | --ids]\n"
	"       lettergate queue show ID [--json]\n"
	"       lettergate queue retry ID...\n"
	"       lettergate queue cancel ID...\n"
	"       lettergate queue stats [--json]\n"
	"\n"
	"Asks a running gateway about its queue, with a key of scope `read` for its own messages\n"
	"or `admin` for all; `send` to retry or cancel.\n"
	"\n"
	"  list    the newest 50 first; --json prints one message a line, --ids only their ids\n"
	"  show    one message, what came of its recipients, and every attempt\n"
	"  retry   tries failed, held, partial, unknown or deferred ones now\n"
	"  cancel  what has not been sent\n"
	"  stats   how many there are by state and age, and how long the oldest has waited\n"
	"\n"
	"The exit code is 0 if all was done, 1 if something was not, 2 for a wrong command line.\n"
	"\n" CLIENT_USAGE;

struct wishes {
	bool as_json, as_ids, is_all, has_head;
	unsigned long limit;
	struct buf query; /* behind the "?" */
	char *const *ids;
};

static int refuse(const char *what, const char *words)
{
	fprintf(stderr, "lettergate queue: %s %s\n%s", what, words, usage);
	return EXIT_USAGE;
}

/* ---- asking */

static void add_encoded(struct buf *out, struct text value)
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

/* The answer's tree in *json, in *region; false: it was complained of. */
static bool ask(
	const struct client *client, struct call *call, struct region **region, struct json *json)
{
	call->timeout_ms = CALL_MS;
	if (!client_call(client, call))
		return false;
	if (call->status != 200) {
		client_explain(client, call);
		buf_free(&call->answer);
		return false;
	}
	if (region_open(TREE_BYTES, region) == OK) {
		if (json_parse(call->answer.at, call->answer.len, *region, json) == OK &&
			cJSON_IsObject(json->root))
			return true;
		region_close(*region);
	}
	client_complain(client, client->base, "answered what is no JSON object");
	buf_free(&call->answer);
	return false;
}

/* ---- list */

static void show_json(const struct json *json, const struct cJSON *value)
{
	struct buf line = buf_born(CALL_ANSWER_BYTES);

	json_add_tree(&line, json, value);
	buf_add_byte(&line, '\n');
	if (!line.err)
		fwrite(line.at, 1, line.len, stdout);
	buf_free(&line);
}

static void put_line(struct text words)
{
	terminal_put(words, stdout);
	putchar('\n');
}

static void show_line(
	const struct wishes *wishes, const struct json *json, const struct cJSON *message)
{
	struct text id = json_string(json, cJSON_GetObjectItemCaseSensitive(message, "id"));

	if (wishes->as_json)
		show_json(json, message);
	else if (wishes->as_ids)
		put_line(id);
	else
		queue_print_line(json, message);
}

/* Shows a page, up to what is wanted; `cursor` for the next one: empty, that was all. */
static bool show_page(const struct client *client, struct wishes *wishes, struct buf *cursor)
{
	unsigned long page =
		wishes->is_all || wishes->limit > PAGE_MOST ? PAGE_MOST : wishes->limit;
	struct buf path = buf_born(PATH_BYTES);
	struct call call = { .path = "" };
	struct region *region;
	struct json json = { 0 };
	const struct cJSON *message;
	bool is_good;

	buf_addf(&path, "/messages?limit=%lu", page);
	buf_add(&path, buf_text(&wishes->query));
	if (cursor->len) {
		buf_add_string(&path, "&cursor=");
		add_encoded(&path, buf_text(cursor));
	}
	buf_add_byte(&path, 0);
	call.path = path.err ? "/messages" : path.at;
	is_good = !path.err && ask(client, &call, &region, &json);
	buf_free(&path);
	if (!is_good)
		return false;
	if (wishes->has_head) /* once, when there is an answer */
		queue_print_head();
	wishes->has_head = false;
	cJSON_ArrayForEach(message, cJSON_GetObjectItemCaseSensitive(json.root, "messages"))
	{
		show_line(wishes, &json, message);
		wishes->limit -= !wishes->is_all;
	}
	buf_clear(cursor);
	buf_add(cursor, json_string(&json, cJSON_GetObjectItemCaseSensitive(json.root, "cursor")));
	region_close(region);
	buf_free(&call.answer);
	return !cursor->err;
}

static int list(const struct client *client, struct wishes *wishes)
{
	struct buf cursor = buf_born(PATH_BYTES);
	bool is_good;

	wishes->has_head = !wishes->as_json && !wishes->as_ids;
	do
		is_good = show_page(client, wishes, &cursor);
	while (is_good && cursor.len && (wishes->is_all || wishes->limit));
	buf_free(&cursor);
	return is_good ? EXIT_DONE : EXIT_FAILED;
}

/* ---- one message */

static bool call_about(const struct client *client, struct call *call, const char *id,
	const char *ending, struct region **region, struct json *json)
{
	struct buf path = buf_born(PATH_BYTES);
	bool is_good;

	buf_add_string(&path, "/messages/");
	add_encoded(&path, text_of(id));
	buf_add_string(&path, ending);
	buf_add_byte(&path, 0);
	call->path = path.err ? "/messages" : path.at;
	is_good = !path.err && ask(client, call, region, json);
	buf_free(&path);
	return is_good;
}

static int show(const struct client *client, struct wishes *wishes)
{
	struct call call = { 0 };
	struct region *region;
	struct json json = { 0 };

	if (!call_about(client, &call, wishes->ids[0], "", &region, &json))
		return EXIT_FAILED;
	if (wishes->as_json)
		show_json(&json, json.root);
	else
		queue_print_message(&json, json.root);
	region_close(region);
	buf_free(&call.answer);
	return EXIT_DONE;
}

/* One after the other, whatever becomes of one. */
static int change(const struct client *client, const struct wishes *wishes, const char *method,
	const char *ending)
{
	int status = EXIT_DONE;

	for (char *const *id = wishes->ids; *id; id++) {
		struct call call = { .method = method };
		struct region *region;
		struct json json = { 0 };
		struct text state;

		if (!call_about(client, &call, *id, ending, &region, &json)) {
			fprintf(stderr, "  %s was left as it is\n", *id);
			status = EXIT_FAILED;
			continue;
		}
		state = json_string(&json, cJSON_GetObjectItemCaseSensitive(json.root, "state"));
		printf("%s ", *id);
		put_line(state);
		region_close(region);
		buf_free(&call.answer);
	}
	return status;
}

static int retry(const struct client *client, struct wishes *wishes)
{
	return change(client, wishes, "POST", "/retry");
}

static int cancel(const struct client *client, struct wishes *wishes)
{
	return change(client, wishes, "DELETE", "");
}

/* ---- numbers */

static int stats(const struct client *client, struct wishes *wishes)
{
	struct call call = { .path = "/metrics", .timeout_ms = CALL_MS };
	int status = EXIT_FAILED;

	if (!client_call(client, &call))
		return EXIT_FAILED;
	if (call.status != 200)
		client_complain(client, client->base,
			"does not tell its metrics; with HTTP_ADMIN_LISTEN they are there alone");
	else if (queue_print_stats(buf_text(&call.answer), wishes->as_json))
		status = EXIT_DONE;
	else
		client_complain(client, client->base, "has no store (STORE), or cannot read it");
	buf_free(&call.answer);
	return status;
}

/* ---- the command line */

static const struct verb {
	const char *name;
	int (*run)(const struct client *client, struct wishes *wishes);
	bool is_list, takes_json;
	size_t least, most; /* ids */
} verbs[] = {
	{ "list", list, true, true, 0, 0 },
	{ "show", show, false, true, 1, 1 },
	{ "retry", retry, false, false, 1, SIZE_MAX },
	{ "cancel", cancel, false, false, 1, SIZE_MAX },
	{ "stats", stats, false, true, 0, 0 },
};

static bool read_limit(const char *word, struct wishes *wishes)
{
	uint64_t limit;

	if (!text_to_u64(text_of(word), &limit) || limit == 0 || limit > 1000000000)
		return false;
	wishes->limit = (unsigned long)limit;
	return true;
}

/* An option of the list with its value; false: there is none such. */
static bool read_filter(const char *name, const char *value, struct wishes *wishes)
{
	static const char *const names[] = { "state", "recipient", "tag", "since" };

	if (!value)
		return false;
	if (strcmp(name, "limit") == 0)
		return read_limit(value, wishes);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		buf_addf(&wishes->query, "&%s=", name);
		add_encoded(&wishes->query, text_of(value));
		return true;
	}
	return false;
}

static bool read_switch(const struct verb *verb, const char *word, struct wishes *wishes)
{
	bool *wish = verb->takes_json && strcmp(word, "--json") == 0 ? &wishes->as_json
		     : verb->is_list && strcmp(word, "--ids") == 0   ? &wishes->as_ids
		     : verb->is_list && strcmp(word, "--all") == 0   ? &wishes->is_all
								     : NULL;

	if (wish)
		*wish = true;
	return wish;
}

/* Options first or last, ids as they come: these are gathered at `ids`, in room for all words. */
static int read_words(
	const struct verb *verb, char *const *words, struct wishes *wishes, char **ids)
{
	size_t count = 0;

	for (; *words; words++) {
		if (read_switch(verb, *words, wishes))
			continue;
		if (strncmp(*words, "--", 2) != 0) {
			ids[count++] = *words;
		} else if (verb->is_list && read_filter(*words + 2, words[1], wishes)) {
			words++;
		} else {
			return refuse(*words, "is not understood");
		}
	}
	ids[count] = NULL;
	wishes->ids = ids;
	if (count < verb->least)
		return refuse(verb->name, "wants an id");
	return count > verb->most ? refuse(ids[verb->most], "is not understood") : EXIT_DONE;
}

static int run(const struct verb *verb, char *const *words, char **ids)
{
	struct wishes wishes = { .limit = LIST_USUAL, .query = buf_born(PATH_BYTES) };
	int status = read_words(verb, words, &wishes, ids);
	struct client client;

	if (!status) {
		status = client_open(&client, "lettergate queue") ? verb->run(&client, &wishes)
								  : EXIT_FAILED;
		if (fflush(stdout))
			status = client_complain(&client, "standard output", strerror(errno));
		client_close(&client);
	}
	buf_free(&wishes.query);
	return status;
}

int queue_command(char *const *args)
{
	size_t words = 0;
	char **ids;
	int status;

	for (; args[words]; words++)
		if (strcmp(args[words], "--help") == 0 || strcmp(args[words], "-h") == 0) {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
	if (!words)
		return refuse("one of", "list, show, retry, cancel or stats is wanted");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(args[0], verbs[i].name) != 0)
			continue;
		ids = calloc(words + 1, sizeof(*ids));
		status = ids ? run(&verbs[i], args + 1, ids) : EXIT_FAILED;
		free(ids);
		return status;
	}
	return refuse(args[0], "is not understood");
}
