#include "service/command/command_check.h"

#include "service/check/check_print.h"
#include "smtp/address/address.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, ARGS_MAX = 256, ADDRESSES_BYTES = 16384 };

extern char **environ;

/* The command line, with what is ours taken out. */
struct command_line {
	const char *to, *from, *relay; /* NULL: not given */
	char *rest[ARGS_MAX];
	size_t count;
};

static int complain(const char *why)
{
	fprintf(stderr, "lettergate: %s\n", why);
	return EXIT_USAGE;
}

/* The value of "--flag value" or "--flag=value"; NULL: another word, or nothing behind it. */
static const char *flag_value(char *const **args, const char *flag)
{
	size_t len = strlen(flag);
	const char *word = **args;

	if (strncmp(word, flag, len) != 0 || (word[len] && word[len] != '='))
		return NULL;
	if (word[len] == '=')
		return word + len + 1;
	if ((*args)[1])
		++*args;
	else
		return NULL;
	return **args;
}

/* NULL, or what is wrong. */
static const char *read_line(char *const *args, struct command_line *line)
{
	const char *value;

	for (; *args; args++) {
		if ((value = flag_value(&args, "--to")))
			line->to = value;
		else if ((value = flag_value(&args, "--from")))
			line->from = value;
		else if ((value = flag_value(&args, "--relay")))
			line->relay = value;
		else if (strcmp(*args, "--relay") == 0)
			return "--relay wants a relay's name";
		else if (strcmp(*args, "--to") == 0 || strcmp(*args, "--from") == 0)
			return "--to and --from want an address";
		else if (line->count + 1 < ARGS_MAX)
			line->rest[line->count++] = *args;
		else
			return "too many words";
	}
	if (line->from && !line->to)
		return "--from is for use with --to: give a recipient to ask the relay about";
	return NULL;
}

/* Into *address_out as it goes on the wire. */
static bool read_address(
	const char *flag, const char *given, struct region *region, const char **address_out)
{
	struct smtp_mailbox mailbox;
	const char *why = "no memory";

	if (!given || (!*given && strcmp(flag, "--from") == 0)) {
		*address_out = given;
		return true;
	}
	if (smtp_mailbox_parse(text_of(given), region, &mailbox, &why)) {
		fprintf(stderr, "lettergate: %s: not an address: %s\n", flag, why);
		return false;
	}
	*address_out = region_copy(region, mailbox.address).at;
	return *address_out != NULL;
}

static void print_relay(const struct relay_settings *relay)
{
	static const char *const secure[] = { [SMTP_TLS_NONE] = "NONE",
		[SMTP_TLS_OPPORTUNISTIC] = "OPPORTUNISTIC",
		[SMTP_TLS_STARTTLS] = "STARTTLS",
		[SMTP_TLS_IMPLICIT] = "TLS" };

	printf("Relay %s, port %u, SMTP_SECURE=%s, ", relay->host, relay->port, secure[relay->tls]);
	if (relay->user[0])
		printf("SMTP_USER=%s%s\n\n", relay->user, relay->token[0] ? " with a token" : "");
	else
		printf("without a login\n\n");
	fflush(stdout);
}

static void told(void *owner, const struct check_step *step)
{
	check_print_step(owner, step);
}

/* Gives the exit code. */
static int run_one(
	struct settings *settings, size_t index, struct check_wish *wish, struct buf *why)
{
	const struct relay_settings *relay = &settings->relays[index];
	struct check_paper paper = check_paper_of(stdout);
	struct check_report report;
	enum err err;
	bool is_sendable;

	wish->told = told;
	wish->owner = &paper;
	if (settings->relay_count > 1)
		printf("%s: ", relay->name);
	if (strcmp(relay->host, "capture") != 0)
		print_relay(relay);
	err = check_relay(settings, index, wish, &report, why);
	if (err) {
		buf_add_byte(why, '\0');
		complain(why->at && why->at[0] ? why->at : err_text(err));
		return err == ERR_TLS ? EXIT_USAGE : EXIT_FAILED;
	}
	check_print_end(&paper, &report);
	is_sendable = report.is_sendable;
	check_report_free(&report);
	return is_sendable ? EXIT_SUCCESS : EXIT_FAILED;
}

/* All, one after the other, or the one of this name. The first that fails gives the exit code. */
static int run(
	struct settings *settings, const char *name, struct check_wish *wish, struct buf *why)
{
	int status = EXIT_SUCCESS;
	bool found = false;

	for (size_t i = 0; i < settings->relay_count; i++) {
		int ended;

		if (name && strcmp(name, settings->relays[i].name) != 0)
			continue;
		if (found)
			printf("\n");
		found = true;
		buf_clear(why);
		ended = run_one(settings, i, wish, why);
		status = status ? status : ended;
	}
	if (found)
		return status;
	fprintf(stderr, "lettergate: --relay: there is no relay called %s\n", name);
	return EXIT_USAGE;
}

/* True: there is none, or it can be used. */
static bool try_store(const struct settings *settings)
{
	struct check_paper paper = check_paper_of(stdout);
	struct check_wish wish = { .told = told, .owner = &paper };
	bool is_good = !settings->store[0] || check_store(settings, &wish);

	if (settings->store[0])
		printf("\n");
	return is_good;
}

/* What the addresses are, and then all the rest. */
static int check_with(const struct command_line *line, struct settings *settings, struct buf *why)
{
	struct check_wish wish = { 0 };
	struct region *region;
	int status = EXIT_USAGE;

	if (region_open(ADDRESSES_BYTES, &region))
		return EXIT_FAILED;
	if (read_address("--to", line->to, region, &wish.to) &&
		read_address("--from", line->from, region, &wish.from)) {
		bool is_good = try_store(settings);

		status = run(settings, line->relay, &wish, why);
		if (!is_good) {
			printf("\nThe gateway would not start: see store, above\n");
			status = status == EXIT_SUCCESS ? EXIT_FAILED : status;
		}
	}
	region_close(region);
	return status;
}

int check_command(char *const *args)
{
	struct command_line line = { 0 };
	struct buf why = buf_born(2048);
	const char *wrong = read_line(args, &line);
	struct settings *settings;
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	if (wrong)
		return complain(wrong);
	if (settings_load(line.rest, environ, &settings, &why)) {
		buf_add_byte(&why, '\0');
		status = complain(why.at && why.at[0] ? why.at : "out of memory");
		buf_free(&why);
		return status;
	}
	if (settings->relays[0].host[0])
		status = check_with(&line, settings, &why);
	else
		status = complain("SMTP_HOST: no relay is set; give the name of your provider's "
				  "SMTP server");
	settings_free(settings);
	buf_free(&why);
	return status;
}
