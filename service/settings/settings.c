#include "service/settings/settings_draft.h"

#include <stdlib.h>
#include <string.h>

/* ---- flags */

struct flags {
	const char *listen;
	size_t set_count;
	char *const *sets[SETTINGS_MAX]; /* where NAME=VALUE stands */
	size_t set_skip[SETTINGS_MAX];   /* bytes before it: those of "--set=" */
};

/* The value of a flag given as "--flag value" or "--flag=value"; NULL: another flag. *args moves on
 * to the value's word. An empty value: none was given. */
static const char *flag_value(char *const **args, const char *flag)
{
	const char *word = **args;
	size_t len = strlen(flag);

	if (strncmp(word, flag, len) != 0 || (word[len] && word[len] != '='))
		return NULL;
	if (word[len] == '=')
		return word + len + 1;
	if (!(*args)[1])
		return "";
	++*args;
	return **args;
}

static enum err read_flag(struct draft *draft, struct flags *flags, char *const **args)
{
	const char *word = **args, *value;

	if (strcmp(word, "--dev") == 0) {
		draft->settings->dev = true;
		return OK;
	}
	if ((value = flag_value(args, "--config")))
		draft->file = value;
	else if ((value = flag_value(args, "--listen")))
		flags->listen = value;
	else if ((value = flag_value(args, "--set")) && flags->set_count < SETTINGS_MAX) {
		flags->sets[flags->set_count] = *args;
		flags->set_skip[flags->set_count++] = (size_t)(value - **args);
	}
	if (!value)
		return draft_refuse(draft, ERR_SYNTAX,
			"%s: no such flag; there are --dev, --config FILE, --listen ADDR and "
			"--set NAME=VALUE",
			word);
	if (!*value)
		return draft_refuse(draft, ERR_SYNTAX, "%s: is given without a value", word);
	return OK;
}

static enum err take_set(struct draft *draft, const char *pair)
{
	struct text value = text_of(pair), name = text_cut(&value, '=');
	const char *label = draft_copy(draft, name);
	enum err err;

	if (!label)
		return ERR_MEMORY;
	if (name.len == strlen(pair))
		return draft_refuse(draft, ERR_SYNTAX, "--set %s: give NAME=VALUE", pair);
	err = settings_take_named(draft, name, value, label);
	return err == ERR_MISSING ? settings_refuse_name(draft, name, NULL, label) : err;
}

static enum err take_flags(struct draft *draft, const struct flags *flags)
{
	enum err err = OK;

	if (flags->listen)
		err = draft_take(draft, setting_named(TEXT("HTTP_LISTEN")), text_of(flags->listen),
			"--listen");
	for (size_t i = 0; i < flags->set_count && !err; i++)
		err = take_set(draft, *flags->sets[i] + flags->set_skip[i]);
	return err ? err : settings_expand_url(draft);
}

/* ---- loading */

enum err settings_empty(struct region *region, struct settings **settings_out)
{
	struct settings *settings = region_zalloc(region, 1, sizeof(*settings));

	if (!settings)
		return ERR_MEMORY;
	for (size_t i = 0; i < settings_count; i++)
		setting_clear(settings, i);
	settings->relay.name = "default";
	settings->relay.priority = settings->relay.weight = 1;
	settings->relay.token_file = "";
	settings->relays = &settings->relay;
	settings->relay_count = 1;
	settings->region = region;
	atomic_init(&settings->references, 1);
	*settings_out = settings;
	return OK;
}

static enum err gather(struct draft *draft, char *const *args, char *const *environment)
{
	struct flags flags = { 0 };
	enum err err = OK;

	for (; args && *args && !err; args++)
		err = read_flag(draft, &flags, &args);
	draft->source = 1;
	if (!err && draft->file)
		err = settings_take_file(draft);
	if (!err)
		err = settings_expand_url(draft);
	draft->source = 2;
	if (!err)
		err = settings_take_environment(draft, environment);
	if (!err)
		err = settings_expand_url(draft);
	draft->source = 3;
	return err ? err : take_flags(draft, &flags);
}

static enum err read_all(struct draft *draft)
{
	static const char *const of_list[] = { "DKIM_DOMAIN", "DKIM_SELECTOR" };
	const char **values = draft_values(draft);
	enum err err = values ? OK : ERR_MEMORY;

	for (size_t i = 0; i < settings_count && !err; i++)
		if (values[i])
			err = setting_read(draft, i);
	for (size_t i = 0; i < 2 && !err && draft->settings->dkim.key_count; i++) {
		const char **value = &values[setting_named(text_of(of_list[i]))];

		*value = *value ? *value : "(a list)";
	}
	draft->settings->values = draft->settings->relay.values = values;
	if (draft_given(draft, "SMTP_OAUTH_TOKEN")->path)
		draft->settings->relay.token_file = draft_given(draft, "SMTP_OAUTH_TOKEN")->path;
	return err;
}

enum err settings_load(char *const *args, char *const *environment, struct settings **settings_out,
	struct buf *why)
{
	struct draft draft = { .why = why };
	enum err err = region_open(SETTINGS_BYTES, &draft.region);

	if (!err)
		err = settings_empty(draft.region, &draft.settings);
	if (!err)
		err = gather(&draft, args, environment);
	if (!err)
		err = settings_fill_in(&draft);
	if (!err)
		err = read_all(&draft);
	if (!err)
		err = settings_read_relays(&draft);
	if (!err)
		err = settings_take_passed(&draft, environment);
	if (!err)
		err = settings_read_dkim(&draft);
	if (!err)
		err = settings_read_webhooks(&draft);
	if (!err)
		err = settings_check(&draft);
	if (err == ERR_MEMORY)
		err = draft_refuse(&draft, err, "out of memory");
	if (err) {
		if (draft.settings)
			settings_free(draft.settings);
		else
			region_close(draft.region);
		return err;
	}
	*settings_out = draft.settings;
	return OK;
}

struct settings *settings_hold(struct settings *settings)
{
	atomic_fetch_add(&settings->references, 1);
	return settings;
}

void settings_free(struct settings *settings)
{
	struct region *region;

	if (!settings || atomic_fetch_sub(&settings->references, 1) > 1)
		return;
	for (size_t i = 0; i < settings->dkim.key_count; i++)
		dkim_key_close(settings->dkim.keys[i]);
	region = settings->region; /* it lives there itself */
	region_wipe(region);
	region_close(region);
}
