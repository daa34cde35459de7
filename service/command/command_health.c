#include "service/command/command_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/command/call.h"
#include "service/settings/settings.h"

enum { HEALTH_MS = 2000, WORDS_BYTES = 4096 };

extern char **environ;

static const char usage[] =
	"usage: lettergate health [--config FILE] [--listen ADDR] [--set NAME=VALUE]...\n"
	"\n"
	"Asks the gateway at LETTERGATE_URL, or else at the first address of HTTP_LISTEN, whether "
	"it\n"
	"is ready. The exit code is 0 if it is, else 1.\n";

/* Who listens on all addresses is reached on the loopback one. */
static void add_base(struct buf *out, const struct settings *settings)
{
	const struct listen_settings *listen = &settings->listen[0];
	const char *address = listen->address;
	bool is_v6 = strchr(address, ':') != NULL;

	if (listen->kind == LISTEN_UNIX) {
		buf_addf(out, "unix:%s", address);
		return;
	}
	if (strcmp(address, "0.0.0.0") == 0)
		address = "127.0.0.1";
	else if (strcmp(address, "::") == 0)
		address = "::1";
	buf_addf(out, "%s://%s%s%s:%u", settings->http_cert_pem[0] ? "https" : "http",
		is_v6 ? "[" : "", address, is_v6 ? "]" : "", listen->port);
}

static enum err find_base(char *const *args, struct buf *base, struct buf *why)
{
	const char *given = getenv("LETTERGATE_URL");
	struct settings *settings;
	enum err err;

	if (given && *given) {
		buf_add_string(base, given);
	} else {
		err = settings_load(args, environ, &settings, why);
		if (err)
			return err;
		add_base(base, settings);
		settings_free(settings);
	}
	buf_add_byte(base, 0);
	return base->err;
}

static enum err ask(const char *base, struct buf *why)
{
	struct call call = {
		.base = base, .path = "/readyz", .timeout_ms = HEALTH_MS, .is_local = true
	};
	enum err err = call_gateway(&call, why);

	if (!err && call.status != 200) {
		buf_addf(why, "%s answered %ld: %.*s", base, call.status,
			(int)text_find(buf_text(&call.answer), '\n'),
			call.answer.len ? call.answer.at : "");
		err = ERR_VALUE;
	}
	buf_free(&call.answer);
	return err;
}

int health_command(char *const *args)
{
	struct buf base = buf_born(WORDS_BYTES), why = buf_born(WORDS_BYTES);
	enum err err;

	if (*args && (strcmp(*args, "--help") == 0 || strcmp(*args, "-h") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	err = find_base(args, &base, &why);
	if (!err)
		err = ask(base.at, &why);
	if (err)
		printf("not ready: %.*s\n", (int)why.len, why.len ? why.at : "");
	else
		printf("ready: %s\n", base.at);
	buf_free(&why);
	buf_free(&base);
	return err ? 1 : 0;
}
