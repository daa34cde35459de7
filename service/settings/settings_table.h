/* settings_table - one row for every setting: what it is called, what it takes, where it goes
 *
 * The rest of settings_*.c is driven by it, and so are `lettergate settings` and the docs. */
#pragma once

#include "service/settings/settings.h"

enum setting_kind {
	SETTING_TEXT,
	SETTING_HOST,
	SETTING_PORT,
	SETTING_WORD, /* one of `words`, into an enum */
	SETTING_FLAG, /* the same, into a bool */
	SETTING_COUNT,
	SETTING_BYTES,
	SETTING_DURATION, /* bounds in milliseconds */
	SETTING_PERIOD,   /* the same, into 64 bits */
	SETTING_RATE,
	SETTING_PEM,
	SETTING_PIN,
	SETTING_LISTEN,
	SETTING_ADMIN_LISTEN,
	SETTING_NETWORKS,
	SETTING_WEBHOOK_NETWORKS,
	SETTING_API_KEY,
	SETTING_TOKEN_URL,
	SETTING_STORE,
	SETTING_DELAYS,
	SETTING_SHARE, /* 0 to 1, into thousandths */
	SETTING_URL,   /* stands for several others: settings_url.c */
};

struct setting_word {
	const char *word; /* NULL: the end */
	int value;
};

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t at;               /* offset in struct settings */
	const char *usual;       /* the default as one would write it; NULL: none */
	const char *usual_words; /* the default in words, where it depends; NULL: see usual */
	uint64_t least, most;
	const struct setting_word *words;
	bool is_secret;
	const char *meaning;
};

enum { SETTINGS_MAX = 96 };

extern const struct setting settings_table[];
extern const size_t settings_count;

/* Is it one of a relay's, which an entry of the list may give, too? */
bool setting_is_of_relay(size_t index);
/* Sets a string to "", as where nothing was given; lets all else be. */
void setting_clear(struct settings *settings, size_t index);
/* Index of the row of that name (as in the environment), or settings_count. */
size_t setting_named(struct text name);
/* Reads "500ms", "30s", "5m", "2h", "7d" or "0". */
bool setting_duration(const char *value, uint64_t *ms_out);
