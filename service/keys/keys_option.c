#include "service/keys/keys_option.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "service/settings/settings_table.h"

int keys_refuse(const char *what, const char *value, const char *why)
{
	fprintf(stderr, "lettergate keys: %s%s\"%s\" %s\n", what, *what ? " " : "", value, why);
	return KEYS_USAGE;
}

/* ---- options: each reads its value, and says in *why what is wrong with it */

static bool add_pattern(struct patterns *patterns, struct text value, const char **why)
{
	if (patterns->count == PATTERNS_MAX) {
		*why = "is one too many; 64 are enough";
		return false;
	}
	patterns->at[patterns->count++] = value;
	return true;
}

static bool take_from(struct wishes *wishes, struct text value, const char **why)
{
	return key_pattern_is_good(value, why) && add_pattern(&wishes->from, value, why);
}

static bool take_to(struct wishes *wishes, struct text value, const char **why)
{
	return key_pattern_is_good(value, why) && add_pattern(&wishes->to, value, why);
}

static bool take_relay(struct wishes *wishes, struct text value, const char **why)
{
	*why = "is no relay's name";
	return value.len && text_is_utf8(value) && !text_has_control(value) &&
	       add_pattern(&wishes->relays, value, why);
}

static bool take_scope(struct wishes *wishes, struct text value, const char **why)
{
	unsigned scope;

	*why = "is no scope; there are send, read, templates, trace and admin";
	if (!key_scope_named(value, &scope))
		return false;
	wishes->scopes |= scope;
	return true;
}

static bool take_rate(struct wishes *wishes, struct text value, const char **why)
{
	*why = "is no rate; give one like 50/s, 100/m or 1000/h";
	return key_rate_read(value, &wishes->rate, &wishes->rate_window_s);
}

static bool take_daily(struct wishes *wishes, struct text value, const char **why)
{
	uint64_t daily;

	*why = "is no number of messages from 1 to 4000000000";
	if (!text_to_u64(value, &daily) || daily == 0 || daily > 4000000000U)
		return false;
	wishes->daily = (uint32_t)daily;
	return true;
}

static bool take_expires(struct wishes *wishes, struct text value, const char **why)
{
	*why = "is no time; give one like 2027-01-01T00:00:00Z";
	if (!key_time_read(value, &wishes->expires_ms))
		return false;
	*why = "is over already";
	return wishes->expires_ms > (int64_t)time(NULL) * 1000;
}

static bool take_overlap(struct wishes *wishes, struct text value, const char **why)
{
	*why = "is no time; give one like 30m, 24h or 7d, at most 365d";
	return setting_duration(value.at, &wishes->overlap_ms) &&
	       wishes->overlap_ms <= UINT64_C(365) * 86400000;
}

static const struct {
	const char *name, *verb;
	bool (*take)(struct wishes *wishes, struct text value, const char **why);
} options[] = { { "--from", "create", take_from }, { "--to", "create", take_to },
	{ "--relay", "create", take_relay }, { "--scope", "create", take_scope },
	{ "--rate", "create", take_rate }, { "--daily", "create", take_daily },
	{ "--expires", "create", take_expires }, { "--overlap", "rotate", take_overlap } };

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

/* The value of "--option value" or "--option=value"; *args moves on to the last word used. */
static const char *value_of(char *const **args, size_t name_len)
{
	if ((**args)[name_len] == '=')
		return **args + name_len + 1;
	return (*args)[1] ? *++*args : NULL;
}

static int read_option(struct wishes *wishes, char *const **args)
{
	const char *word = **args, *value, *why;
	size_t len = strcspn(word, "=");
	struct text name = { word, len };

	if (text_equal(name, TEXT("--file"))) {
		wishes->file = value_of(args, len);
		return wishes->file ? 0 : keys_refuse("", word, "wants a value");
	}
	for (size_t i = 0; i < OPTIONS; i++) {
		if (!text_equal(name, text_of(options[i].name)))
			continue;
		if (strcmp(wishes->verb, options[i].verb) != 0)
			return keys_refuse(wishes->verb, options[i].name, "is no option of it");
		value = value_of(args, len);
		if (!value)
			return keys_refuse("", options[i].name, "wants a value");
		if (!options[i].take(wishes, text_of(value), &why))
			return keys_refuse(options[i].name, value, why);
		return 0;
	}
	return keys_refuse("", word, "is no option; see lettergate keys --help");
}

int keys_options_read(char *const *args, struct wishes *wishes)
{
	int status = 0;

	wishes->verb = *args++;
	for (; *args && status == 0; args++) {
		if ((*args)[0] == '-')
			status = read_option(wishes, &args);
		else if (wishes->id.len)
			status = keys_refuse("", *args, "is one word too many");
		else
			wishes->id = text_of(*args);
	}
	return status;
}
