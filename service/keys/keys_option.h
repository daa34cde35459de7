/* keys_option - what is asked of `lettergate keys`, read from its command line */
#pragma once

#include "service/keys/keys_file.h"

enum { PATTERNS_MAX = 64, KEYS_USAGE = 2 }; /* exit code of wrong usage */

struct patterns {
	struct text at[PATTERNS_MAX];
	size_t count;
};

struct wishes {
	const char *verb, *file;
	struct text id;
	struct patterns from, to, relays;
	unsigned scopes;
	uint32_t rate, rate_window_s, daily;
	int64_t expires_ms;
	uint64_t overlap_ms;
};

/* `args` begin with the verb. 0, or KEYS_USAGE after a line on standard error. The wishes borrow
 * from `args`. */
int keys_options_read(char *const *args, struct wishes *wishes_out);
/* Writes `lettergate keys: WHAT "VALUE" WHY` and gives KEYS_USAGE. */
int keys_refuse(const char *what, const char *value, const char *why);
