#include "service/command/command_send.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/json/json.h"
#include "service/command/call.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum { MAIL_BYTES = 1 << 30, KEY_BYTES = 4096, SEND_MS = 660000, WORDS_BYTES = 4096 };

static const char usage[] =
	"usage: lettergate send [--file mail.json]\n"
	"\n"
	"Sends a message through a running gateway: the JSON of POST /send, from a file or from\n"
	"standard input. Prints the answer; the exit code is 0 if somebody's message was taken.\n"
	"\n"
	"  LETTERGATE_URL  http://127.0.0.1:8080, https://…, or unix:/path of its socket\n"
	"  LETTERGATE_KEY  the API key, or LETTERGATE_KEY_FILE: a file that holds it\n";

static int complain_of(const char *what, const char *words)
{
	fprintf(stderr, "lettergate send: %s%s%s\n", what, *what ? ": " : "", words);
	return EXIT_FAILED;
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

static bool read_file(const char *path, struct buf *out)
{
	bool is_input = strcmp(path, "-") == 0;
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	bool read = fd >= 0 && read_all(fd, out);

	if (!read)
		complain_of(path, out->err ? err_text(out->err) : strerror(errno));
	if (fd >= 0 && !is_input)
		close(fd);
	return read;
}

/* The key, with a NUL behind it; nothing where there is none. */
static bool read_key(struct buf *key)
{
	const char *given = getenv("LETTERGATE_KEY"), *path = getenv("LETTERGATE_KEY_FILE");

	if (given && *given)
		buf_add_string(key, given);
	else if (path && *path && !read_file(path, key))
		return false;
	while (key->len && (key->at[key->len - 1] == '\n' || key->at[key->len - 1] == '\r'))
		key->len--;
	buf_add_byte(key, 0);
	return !key->err;
}

/* ---- the answer */

static struct text member(const struct json *json, const char *name)
{
	return json_string(json, cJSON_GetObjectItemCaseSensitive(json->root, name));
}

static void show_line(struct text words)
{
	if (words.len)
		fprintf(stderr, "  %.*s\n", (int)words.len, words.at);
}

/* Title, detail and hint of a problem, for people; changes the answer in place. */
static void explain(struct call *call)
{
	struct json json = { 0 };
	struct region *region = NULL;
	struct text title = { 0 };

	if (region_open(CALL_ANSWER_BYTES, &region))
		return;
	if (!json_parse(call->answer.at, call->answer.len, region, &json) &&
		cJSON_IsObject(json.root))
		title = member(&json, "title");
	fprintf(stderr, "lettergate send: %ld %.*s\n", call->status, (int)title.len,
		title.len ? title.at : "");
	if (title.len) {
		show_line(member(&json, "detail"));
		show_line(member(&json, "hint"));
	}
	region_close(region);
}

static int show_answer(struct call *call)
{
	bool good = call->status >= 200 && call->status < 300;

	if (call->answer.len)
		fwrite(call->answer.at, 1, call->answer.len, stdout);
	if (call->answer.len && call->answer.at[call->answer.len - 1] != '\n')
		putchar('\n');
	if (fflush(stdout))
		return complain_of("standard output", strerror(errno));
	if (!good)
		explain(call);
	return good ? EXIT_DONE : EXIT_FAILED;
}

static int send_file(const char *path)
{
	const char *base = getenv("LETTERGATE_URL");
	struct buf mail = buf_born(MAIL_BYTES), key = buf_born(KEY_BYTES);
	struct buf why = buf_born(WORDS_BYTES);
	struct call call = { .base = base && *base ? base : "http://127.0.0.1:8080",
		.path = "/send",
		.timeout_ms = SEND_MS };
	int status = EXIT_FAILED;

	if (read_file(path, &mail) && read_key(&key)) {
		call.key = key.at;
		call.body = mail.len ? buf_text(&mail) : TEXT("");
		if (call_gateway(&call, &why)) {
			buf_add_byte(&why, 0);
			complain_of("", why.at ? why.at : "");
		} else {
			status = show_answer(&call);
		}
		buf_free(&call.answer);
	}
	buf_free(&why);
	buf_wipe(&key);
	buf_free(&mail);
	return status;
}

int send_command(char *const *args)
{
	const char *path = "-";

	for (; *args; args++) {
		if (strcmp(*args, "--help") == 0 || strcmp(*args, "-h") == 0) {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (strncmp(*args, "--file=", 7) == 0) {
			path = *args + 7;
		} else if (strcmp(*args, "--file") == 0 && args[1]) {
			path = *++args;
		} else {
			fprintf(stderr, "lettergate send: \"%s\" is not understood\n%s", *args,
				usage);
			return EXIT_USAGE;
		}
	}
	return send_file(path);
}
