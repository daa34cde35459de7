/* lettergate - an HTTP-to-SMTP gateway: see README.md */
#include "service/command/command_check.h"
#include "service/command/command_health.h"
#include "service/command/command_queue.h"
#include "service/command/command_send.h"
#include "service/command/command_settings.h"
#include "service/keys/keys.h"
#include "service/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int version_command(char *const *args)
{
	(void)args;
	puts("lettergate " LETTERGATE_VERSION);
	return 0;
}

static int run_keys(char *const *args)
{
	return keys_command(args, getenv("API_KEYS_FILE"));
}

static const struct command {
	const char *name, *summary, *usage;
	int (*run)(char *const *args); /* args: behind the name */
} commands[] = {
	{ "serve", "run the gateway",
		"lettergate serve [--dev] [--config FILE] [--listen ADDR] [--set NAME=VALUE]…\n\n"
		"Settings come from the config file, then the environment, then flags; see\n"
		"`lettergate settings`. --dev listens on 127.0.0.1:8080, captures messages instead "
		"of\nsending them (unless SMTP_HOST is set), and prints a key and a curl line.\n"
		"SIGTERM drains and stops, a second one hurries; SIGHUP reloads.",
		serve_command },
	{ "check", "find out what is wrong with the relay",
		"lettergate check [--relay NAME] [--to ADDRESS] [--from ADDRESS] [--config FILE] "
		"[--set NAME=VALUE]…\n\n"
		"Goes through the store, name look-up, connection, greeting, EHLO, STARTTLS, "
		"certificate,\nAUTH and, with --to, MAIL and RCPT, and says in words what is wrong "
		"and what to change.\nSends no message. Exits 0 only if one could be sent.",
		check_command },
	{ "keys", "create, list, revoke, rotate API keys", NULL, run_keys },
	{ "send", "send a message through a running gateway", NULL, send_command },
	{ "queue", "list, show, retry, cancel what is queued; how much there is", NULL,
		queue_command },
	{ "health", "is the gateway on this machine ready?", NULL, health_command },
	{ "settings", "print every setting: name, value, default, meaning",
		"lettergate settings [--markdown] [--config FILE] [--set NAME=VALUE]…",
		settings_command },
	{ "version", "print the version", "lettergate version", version_command },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
	fputs("lettergate - an HTTP-to-SMTP gateway\n\nusage: lettergate COMMAND […]\n\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`lettergate COMMAND --help` says more on each.\n", out);
}

static bool asks_for_help(const char *word)
{
	return word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
			       strcmp(word, "help") == 0);
}

int main(int argc, char **argv)
{
	if (argc < 2 || asks_for_help(argv[1])) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : 0;
	}
	if (strcmp(argv[1], "--version") == 0)
		return version_command(argv + 2);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (asks_for_help(argv[2]) && commands[i].usage) {
			printf("usage: %s\n", commands[i].usage);
			return 0;
		}
		return commands[i].run(argv + 2);
	}
	fprintf(stderr, "lettergate: there is no command \"%s\"; see lettergate --help\n", argv[1]);
	return EXIT_USAGE;
}
