/* client - what commands that speak to a gateway share: where it is, with which key, and its
 * problems */
#pragma once

#include "service/command/call.h"

/* Out of the environment, for usage texts. */
#define CLIENT_USAGE                                                                               \
	"  LETTERGATE_URL  http://127.0.0.1:8080, https://…, or unix:/path of its socket\n"      \
	"  LETTERGATE_KEY  the API key, or LETTERGATE_KEY_FILE: a file that holds it\n"

struct client {
	const char *command; /* "lettergate send": begins each line on standard error */
	const char *base;
	struct buf key; /* with a NUL behind it */
};

/* False: it was complained of. In each case it is to be closed. */
bool client_open(struct client *client, const char *command);
void client_close(struct client *client);
/* "-": standard input. False: it was complained of. */
bool client_read_file(const struct client *client, const char *path, struct buf *out);
/* Always 1, the exit code. */
int client_complain(const struct client *client, const char *what, const char *words);
/* False: there was no answer, and that was complained of. The answer is the caller's to free. */
bool client_call(const struct client *client, struct call *call);
/* Title, detail and hint of a problem, on standard error; changes the answer in place. */
void client_explain(const struct client *client, struct call *call);
