/* keys_file - API_KEYS_FILE: hashed, scoped keys as JSON (docs: keys)
 *
 * Read strictly: whoever misspells a limit must not get a key without it. Written whole, beside the
 * old one and then over it, so that a reader sees one or the other. */
#pragma once

#include "http/gateway.h"
#include "smtp/buf.h"

enum { KEY_HASH_BYTES = 32, KEY_SECRET_LEN = 43, KEY_ID_MAX = 64, KEYS_FILE_BYTES = 16 << 20 };

struct key_entry {
	struct text id;
	unsigned char hash[KEY_HASH_BYTES];     /* SHA-256 of the whole key */
	unsigned char old_hash[KEY_HASH_BYTES]; /* of the one before the last rotation */
	int64_t old_expires_ms;                 /* 0: there is none */
	unsigned scopes;                        /* of enum scope */
	const struct text *from, *to, *relays;  /* empty: everything */
	size_t from_count, to_count, relay_count;
	uint32_t rate, rate_window_s; /* messages, in so many seconds; 0: no limit */
	uint32_t daily;               /* messages in a day of UTC; 0: no limit */
	int64_t expires_ms;           /* since 1970; 0: never */
};

struct key_list {
	struct key_entry *at;
	size_t count;
};

/* All of it goes into `region`. ERR_MISSING: there is no such file; ERR_IO, ERR_SYNTAX, ERR_VALUE;
 * the line in *why names file and place. */
MUST_USE enum err keys_file_read(
	const char *path, struct region *region, struct key_list *list_out, struct buf *why);
/* The same, and holds the right to change it until keys_file_unlock: *lock_out. A file that does
 * not exist is an empty one. */
MUST_USE enum err keys_file_lock(const char *path, struct region *region, struct key_list *list_out,
	int *lock_out, struct buf *why);
void keys_file_unlock(int lock);
/* On disk when it returns, or nothing has changed. A new file is readable by its owner only. */
MUST_USE enum err keys_file_write(const char *path, const struct key_list *list, struct buf *why);

/* What may stand in an entry, also for the command line. False with a phrase in *why_out. */
bool key_id_is_good(struct text id, const char **why_out);
bool key_pattern_is_good(struct text pattern, const char **why_out);
bool key_scope_named(struct text name, unsigned *scope_out);
/* "50/s", "100/m", "1000/h" */
bool key_rate_read(struct text text, uint32_t *rate_out, uint32_t *window_s_out);
/* RFC 3339, or a date alone: its first moment in UTC. */
bool key_time_read(struct text text, int64_t *unix_ms_out);
/* Appends "send, read". */
void key_scopes_add(struct buf *out, unsigned scopes, const char *separator);
