#include "service/command/client.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/json/json.h"
#include "service/command/terminal.h"

enum { KEY_BYTES = 4096, WORDS_BYTES = 4096 };

int client_complain(const struct client *client, const char *what, const char *words)
{
	fprintf(stderr, "%s: %s%s%s\n", client->command, what, *what ? ": " : "", words);
	return 1;
}

static bool read_all(int fd, struct buf *out)
{
	ssize_t got = 1;

	while (got > 0) {
		char *room = buf_reserve(out, 65536);

		got = room ? read(fd, room, 65536) : -1;
		if (got > 0)
			buf_took(out, (size_t)got);
		else if (got < 0 && room && errno == EINTR)
			got = 1;
	}
	return got == 0;
}

bool client_read_file(const struct client *client, const char *path, struct buf *out)
{
	bool is_input = strcmp(path, "-") == 0;
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	bool read = fd >= 0 && read_all(fd, out);

	if (!read)
		client_complain(client, path, out->err ? err_text(out->err) : strerror(errno));
	if (fd >= 0 && !is_input)
		close(fd);
	return read;
}

/* The key, with a NUL behind it; nothing where there is none. */
static bool read_key(const struct client *client, struct buf *key)
{
	const char *given = getenv("LETTERGATE_KEY"), *path = getenv("LETTERGATE_KEY_FILE");

	if (given && *given)
		buf_add_string(key, given);
	else if (path && *path && !client_read_file(client, path, key))
		return false;
	while (key->len && (key->at[key->len - 1] == '\n' || key->at[key->len - 1] == '\r'))
		key->len--;
	buf_add_byte(key, 0);
	return !key->err;
}

bool client_open(struct client *client, const char *command)
{
	const char *base = getenv("LETTERGATE_URL");

	*client = (struct client){ .command = command,
		.base = base && *base ? base : "http://127.0.0.1:8080",
		.key = buf_born(KEY_BYTES) };
	return read_key(client, &client->key);
}

void client_close(struct client *client)
{
	buf_wipe(&client->key);
}

bool client_call(const struct client *client, struct call *call)
{
	struct buf why = buf_born(WORDS_BYTES);
	enum err err;

	call->base = client->base;
	call->key = client->key.at;
	err = call_gateway(call, &why);
	if (err) {
		buf_add_byte(&why, 0);
		client_complain(client, "", why.at ? why.at : "");
		buf_free(&call->answer);
	}
	buf_free(&why);
	return !err;
}

/* ---- problems */

static struct text member(const struct json *json, const char *name)
{
	return json_string(json, cJSON_GetObjectItemCaseSensitive(json->root, name));
}

static void show_line(struct text words)
{
	if (!words.len)
		return;
	fputs("  ", stderr);
	terminal_put(words, stderr);
	putc('\n', stderr);
}

void client_explain(const struct client *client, struct call *call)
{
	struct json json = { 0 };
	struct region *region = NULL;
	struct text title = { 0 };

	if (region_open(CALL_ANSWER_BYTES, &region))
		return;
	if (!json_parse(call->answer.at, call->answer.len, region, &json) &&
		cJSON_IsObject(json.root))
		title = member(&json, "title");
	fprintf(stderr, "%s: %ld ", client->command, call->status);
	terminal_put(title, stderr);
	putc('\n', stderr);
	if (title.len) {
		show_line(member(&json, "detail"));
		show_line(member(&json, "hint"));
	}
	region_close(region);
}
