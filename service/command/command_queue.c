#include "service/command/command_queue.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/command/client.h"
#include "service/command/queue_option.h"
#include "service/command/queue_print.h"
#include "service/command/terminal.h"

enum { EXIT_DONE, EXIT_FAILED };
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
	"  stats   how many there are by state and age, and how long the oldest has waited; with\n"
	"          HTTP_ADMIN_LISTEN, LETTERGATE_URL is to be that address\n"
	"\n"
	"The exit code is 0 if all was done, 1 if something was not, 2 for a wrong command line.\n"
	"\n" CLIENT_USAGE;

/* ---- asking */

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
	const struct queue_wishes *wishes, const struct json *json, const struct cJSON *message)
{
	struct text id = json_string(json, cJSON_GetObjectItemCaseSensitive(message, "id"));

	if (wishes->as_json)
		show_json(json, message);
	else if (wishes->as_ids)
		put_line(id);
	else
		queue_print_line(json, message);
}

struct listing {
	const struct client *client;
	const struct queue_wishes *wishes;
	unsigned long left; /* so many are still wanted */
	bool has_head;      /* it stands there already, or none is wanted */
	struct buf cursor;  /* for the next page; empty: that was all */
};

static bool show_page(struct listing *listing)
{
	unsigned long page = listing->left > PAGE_MOST ? PAGE_MOST : listing->left;
	struct buf path = buf_born(PATH_BYTES);
	struct call call = { .path = "" };
	struct region *region;
	struct json json = { 0 };
	const struct cJSON *message;
	bool is_good;

	buf_addf(&path, "/messages?limit=%lu", page);
	buf_add(&path, buf_text(&listing->wishes->query));
	if (listing->cursor.len) {
		buf_add_string(&path, "&cursor=");
		queue_add_encoded(&path, buf_text(&listing->cursor));
	}
	buf_add_byte(&path, 0);
	call.path = path.err ? "/messages" : path.at;
	is_good = !path.err && ask(listing->client, &call, &region, &json);
	buf_free(&path);
	if (!is_good)
		return false;
	if (!listing->has_head) /* once, when there is an answer */
		queue_print_head();
	listing->has_head = true;
	cJSON_ArrayForEach(message, cJSON_GetObjectItemCaseSensitive(json.root, "messages"))
	{
		show_line(listing->wishes, &json, message);
		listing->left--;
	}
	buf_clear(&listing->cursor);
	buf_add(&listing->cursor,
		json_string(&json, cJSON_GetObjectItemCaseSensitive(json.root, "cursor")));
	region_close(region);
	buf_free(&call.answer);
	return !listing->cursor.err;
}

static int list(const struct client *client, const struct queue_wishes *wishes)
{
	struct listing listing = { .client = client,
		.wishes = wishes,
		.left = wishes->is_all  ? ULONG_MAX
			: wishes->limit ? wishes->limit
					: LIST_USUAL,
		.has_head = wishes->as_json || wishes->as_ids,
		.cursor = buf_born(PATH_BYTES) };
	bool is_good;

	do
		is_good = show_page(&listing);
	while (is_good && listing.cursor.len && listing.left);
	buf_free(&listing.cursor);
	return is_good ? EXIT_DONE : EXIT_FAILED;
}

/* ---- one message */

static bool call_about(const struct client *client, struct call *call, const char *id,
	const char *ending, struct region **region, struct json *json)
{
	struct buf path = buf_born(PATH_BYTES);
	bool is_good;

	buf_add_string(&path, "/messages/");
	queue_add_encoded(&path, text_of(id));
	buf_add_string(&path, ending);
	buf_add_byte(&path, 0);
	call->path = path.err ? "/messages" : path.at;
	is_good = !path.err && ask(client, call, region, json);
	buf_free(&path);
	return is_good;
}

static int show(const struct client *client, const struct queue_wishes *wishes)
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
static int change(const struct client *client, const struct queue_wishes *wishes,
	const char *method, const char *ending)
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

static int retry(const struct client *client, const struct queue_wishes *wishes)
{
	return change(client, wishes, "POST", "/retry");
}

static int cancel(const struct client *client, const struct queue_wishes *wishes)
{
	return change(client, wishes, "DELETE", "");
}

/* ---- numbers */

static int stats(const struct client *client, const struct queue_wishes *wishes)
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
	struct queue_verb takes;
	int (*run)(const struct client *client, const struct queue_wishes *wishes);
} verbs[] = {
	{ { "list", true, true, 0, 0 }, list },
	{ { "show", false, true, 1, 1 }, show },
	{ { "retry", false, false, 1, SIZE_MAX }, retry },
	{ { "cancel", false, false, 1, SIZE_MAX }, cancel },
	{ { "stats", false, true, 0, 0 }, stats },
};

static int run(const struct verb *verb, char *const *words, char **ids)
{
	struct queue_wishes wishes = { .query = buf_born(PATH_BYTES) };
	int status = queue_options_read(&verb->takes, words, &wishes, ids);
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
		return queue_refuse("one of list, show, retry, cancel and stats", "is wanted");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(args[0], verbs[i].takes.name) != 0)
			continue;
		ids = calloc(words + 1, sizeof(*ids));
		status = ids ? run(&verbs[i], args + 1, ids) : EXIT_FAILED;
		free(ids);
		return status;
	}
	return queue_refuse(args[0], "is none of list, show, retry, cancel and stats");
}
