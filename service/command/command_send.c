#include "service/command/command_send.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service/command/client.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum { MAIL_BYTES = 1 << 30, SEND_MS = 660000 };

static const char usage[] =
	"usage: lettergate send [--file mail.json]\n"
	"\n"
	"Sends a message through a running gateway: the JSON of POST /send, from a file or from\n"
	"standard input. Prints the answer; the exit code is 0 if somebody's message was taken.\n"
	"\n" CLIENT_USAGE;

static int show_answer(const struct client *client, struct call *call)
{
	bool good = call->status >= 200 && call->status < 300;

	if (call->answer.len)
		fwrite(call->answer.at, 1, call->answer.len, stdout);
	if (call->answer.len && call->answer.at[call->answer.len - 1] != '\n')
		putchar('\n');
	if (fflush(stdout))
		return client_complain(client, "standard output", strerror(errno));
	if (!good)
		client_explain(client, call);
	return good ? EXIT_DONE : EXIT_FAILED;
}

static int send_file(const char *path)
{
	struct buf mail = buf_born(MAIL_BYTES);
	struct call call = { .path = "/send", .timeout_ms = SEND_MS };
	struct client client;
	int status = EXIT_FAILED;

	if (client_open(&client, "lettergate send") && client_read_file(&client, path, &mail)) {
		call.body = mail.len ? buf_text(&mail) : TEXT("");
		if (client_call(&client, &call)) {
			status = show_answer(&client, &call);
			buf_free(&call.answer);
		}
	}
	client_close(&client);
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
			fprintf(stderr, "lettergate send: %s %s; see lettergate send --help\n",
				*args,
				strcmp(*args, "--file") ? "is no option here" : "wants a value");
			return EXIT_USAGE;
		}
	}
	return send_file(path);
}
