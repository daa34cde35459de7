/* settings_draft - settings while they are being read
 *
 * Values are gathered as text, source by source, later ones over earlier ones; then all are read by
 * their rows of the table, and last checked against each other. The first thing that is wrong ends
 * it, with one line in *why. */
#pragma once

#include "service/settings/settings_table.h"

enum { SETTINGS_BYTES = 16 << 20, SETTING_FILE_BYTES = 1 << 20 };

struct given {
	const char *value; /* NULL: not given */
	const char *label; /* how its giver calls it: "SMTP_PORT", "a.json: /smtp_port" */
	const char *path;  /* the file that held it; NULL: none did */
	unsigned source;   /* number of the source that gave it; 0: none, it is the default */
};

struct draft {
	struct settings *settings;
	struct region *region;
	struct buf *why;
	unsigned source;
	const char *file; /* the config file; NULL: none */
	/* The entries of its list of relays, each a draft with the relay in settings->relay. */
	struct draft *entries;
	size_t entry_count;
	const char *pointer; /* of an entry: where in the file it is, "/relays/1"; else NULL */
	struct given given[SETTINGS_MAX];
};

/* Writes the line and gives `err`. */
MUST_USE enum err draft_refuse(struct draft *draft, enum err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* How whoever writes the settings calls that of the name, at the head of a line and within: of an
 * entry "a.json: /relays/1/port" and "port", else both times the name. */
const char *draft_label(struct draft *draft, const char *name);
const char *draft_spelling(struct draft *draft, const char *name);
/* The values in the order of the table, in the region; NULL: no memory. */
const char **draft_values(struct draft *draft);
/* A copy in the region; NULL: no memory. */
const char *draft_copy(struct draft *draft, struct text text);
/* Takes a value for the row at `index`; an empty one counts as not given. `label` is copied. */
MUST_USE enum err draft_take(
	struct draft *draft, size_t index, struct text value, const char *label);
/* The same for the value in the file at `path`, without its last line end. */
MUST_USE enum err draft_take_file(
	struct draft *draft, size_t index, const char *path, const char *label);
/* Reads a whole file of at most SETTING_FILE_BYTES into `out`. `label` is to blame if it cannot be
 * read. */
MUST_USE enum err draft_read_file(
	struct draft *draft, const char *path, const char *label, struct buf *out);
/* Is there a value from the source that is being read? */
bool draft_has(const struct draft *draft, const char *name);
struct given *draft_given(struct draft *draft, const char *name);

/* settings.c: some in the region, with nothing given: strings are "", and there is one relay. */
MUST_USE enum err settings_empty(struct region *region, struct settings **settings_out);
/* settings_file.c: takes every value of the JSON file at draft->file. */
MUST_USE enum err settings_take_file(struct draft *draft);
/* settings_relays.c: makes settings->relays out of the entries, if there is a list. */
MUST_USE enum err settings_read_relays(struct draft *draft);
/* settings_names.c: takes the environment; refuses what is nearly a name of ours, or one of a
 * feature that does not exist yet. */
MUST_USE enum err settings_take_environment(struct draft *draft, char *const *environment);
/* The same for one name and value: `name` may end in _FILE. ERR_MISSING (nothing written): it is no
 * business of ours. */
MUST_USE enum err settings_take_named(
	struct draft *draft, struct text name, struct text value, const char *label);
/* Refuses a name that is none of ours, with the one that was meant if there is one: in lower case
 * without `prefix`, unless that is NULL. */
MUST_USE enum err settings_refuse_name(
	struct draft *draft, struct text name, const char *prefix, const char *label);
/* settings_url.c: SMTP_URL, if the source at hand gave it, into what it stands for. */
MUST_USE enum err settings_expand_url(struct draft *draft);
/* settings_value.c: reads one value into draft->settings. */
MUST_USE enum err setting_read(struct draft *draft, size_t index);
/* settings_pem.c: *pem_out is the text, whichever way it was given. */
MUST_USE enum err settings_read_pem(
	struct draft *draft, const struct given *given, const char **pem_out);
/* settings_oauth.c: https, or http to this machine. */
MUST_USE enum err settings_read_token_url(
	struct draft *draft, const struct given *given, const char **url_out);
/* What is missing for getting tokens, or is too much. */
MUST_USE enum err settings_check_oauth(struct draft *draft);
/* settings_queue.c: where messages are kept, and when they are tried again. */
MUST_USE enum err settings_read_store(struct draft *draft, const struct given *given);
MUST_USE enum err settings_read_delays(struct draft *draft, const struct given *given);
/* "0.2" → 200 */
MUST_USE enum err settings_read_share(
	struct draft *draft, const struct given *given, unsigned *thousandths_out);
/* settings_dkim.c: opens one more key; what it was given as may go afterwards. */
struct dkim_given {
	struct text domain, selector, pem;
	const char *domain_label, *selector_label, *key_label;
};
MUST_USE enum err settings_add_dkim(struct draft *draft, const struct dkim_given *given);
/* What DKIM_DOMAIN and its kin, read before, make of who signs. */
MUST_USE enum err settings_read_dkim(struct draft *draft);
/* settings_webhook.c: adds one; its URL is judged when all is read. */
struct webhook_given {
	struct webhook_settings settings; /* its name, url and filter */
	struct text secrets;
	const char *name_label, *url_label, *secret_label;
};
MUST_USE enum err settings_add_webhook(struct draft *draft, const struct webhook_given *given);
/* What WEBHOOK_URL and its kin, read before, make of who is told of events. */
MUST_USE enum err settings_read_webhooks(struct draft *draft);
/* settings_listen.c: reads a comma-separated list. */
MUST_USE enum err settings_read_listen(struct draft *draft, const struct given *given,
	const struct listen_settings **listen_out, size_t *count_out);
MUST_USE enum err settings_read_networks(struct draft *draft, const struct given *given,
	const char *const **networks_out, size_t *count_out);
/* Sockets passed in by systemd, if there are any. */
MUST_USE enum err settings_take_passed(struct draft *draft, char *const *environment);
/* settings_check.c: what one value makes of others that were not given; and which do not go
 * together. */
MUST_USE enum err settings_fill_in(struct draft *draft);
MUST_USE enum err settings_check_relay(struct draft *draft); /* draft->settings->relay */
MUST_USE enum err settings_check(struct draft *draft);
