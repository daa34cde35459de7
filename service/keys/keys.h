/* keys - who may use the gateway, and for what (docs: keys)
 *
 * A loaded set is frozen but for its rates, and may be used by every thread. The file holds hashes
 * only; a key is shown once, when it is made. */
#pragma once

#include "http/gateway.h"
#include "smtp/buf.h"

struct keys;

/* `path` is API_KEYS_FILE, `single` API_KEY ("": none; its id is "default", it may do everything).
 * Both empty: an open set, whoever asks may do everything (id ""). The line in *why names the place
 * in the file. */
MUST_USE enum err keys_load(
	const char *path, const char *single, struct keys **keys_out, struct buf *why);
void keys_free(struct keys *keys);
bool keys_is_open(const struct keys *keys);

/* Compares hashes in constant time, also for unknown ids. `now_ms` is since 1970 (expiry). What
 * *caller_out points at is copied into `region`. */
bool keys_admit(const struct keys *keys, struct text secret, int64_t now_ms, struct region *region,
	struct caller *caller_out);
/* Counts `messages` against rate and daily number; false: over it, nothing was counted. */
bool keys_charge(struct keys *keys, struct text key_id, size_t messages, uint64_t now_us,
	int64_t now_unix_ms, struct rate_state *rate_out);
/* After a reload: what the old set has counted goes on counting in the new one. */
void keys_inherit(struct keys *keys, const struct keys *old);

/* `lettergate keys …`: args as argv behind "keys". Gives the exit code. */
int keys_command(char *const *args, const char *path);
