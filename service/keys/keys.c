#include "service/keys/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"
#include "service/keys/keys_file.h"

enum { KEYS_BYTES = 64 << 20, SECRET_MOST = 512, DAY_MS = 86400000 };

/* What a key has used. */
struct meter {
	pthread_mutex_t lock;
	uint64_t paid_ns; /* the bucket is full again at this time, monotonic */
	int64_t day;      /* since 1970, UTC */
	uint32_t today;   /* messages in it */
};

struct keys {
	struct region *region; /* of what follows */
	struct key_list list;
	struct meter *meters; /* one per entry */
	uint32_t *slots;      /* hashed by id: index + 1, 0: free */
	size_t slot_mask;
	bool is_open, has_single;
	unsigned char single[KEY_HASH_BYTES];
	EVP_MD *sha256;
};

/* ---- finding */

static size_t hash_of(struct text id)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < id.len; i++)
		hash = (hash ^ (unsigned char)id.at[i]) * UINT64_C(1099511628211);
	return (size_t)(hash ^ hash >> 32);
}

/* Where an id stands, or the free slot where it would. */
static uint32_t *slot_of(const struct keys *keys, struct text id)
{
	size_t at = hash_of(id) & keys->slot_mask;

	while (keys->slots[at] && !text_equal(keys->list.at[keys->slots[at] - 1].id, id))
		at = (at + 1) & keys->slot_mask;
	return &keys->slots[at];
}

/* Index of the entry, or list.count. */
static size_t find(const struct keys *keys, struct text id)
{
	uint32_t slot = keys->list.count ? *slot_of(keys, id) : 0;

	return slot ? slot - 1 : keys->list.count;
}

static enum err index_all(struct keys *keys, const char *path, struct buf *why)
{
	size_t room = 4;

	while (room < keys->list.count * 2)
		room *= 2;
	keys->slots = region_zalloc(keys->region, room, sizeof(*keys->slots));
	keys->meters = region_zalloc(keys->region, keys->list.count + 1, sizeof(*keys->meters));
	if (!keys->slots || !keys->meters)
		return ERR_MEMORY;
	keys->slot_mask = room - 1;
	for (size_t i = 0; i < keys->list.count; i++) {
		struct text id = keys->list.at[i].id;
		uint32_t *slot = slot_of(keys, id);

		if (*slot) {
			buf_clear(why);
			buf_addf(why, "%s: /keys/%zu/id: \"%.*s\" stands twice", path, i,
				(int)id.len, id.at);
			return ERR_VALUE;
		}
		*slot = (uint32_t)i + 1;
		pthread_mutex_init(&keys->meters[i].lock, NULL);
	}
	return OK;
}

/* ---- life */

static bool digest(const struct keys *keys, struct text secret, unsigned char out[KEY_HASH_BYTES])
{
	return EVP_Digest(secret.at, secret.len, out, NULL, keys->sha256, NULL) == 1;
}

static enum err read_file(struct keys *keys, const char *path, struct buf *why)
{
	enum err err = keys_file_read(path, keys->region, &keys->list, why);

	if (err == ERR_MISSING)
		buf_addf(why, "; make it by lettergate keys create ID");
	return err ? err : index_all(keys, path, why);
}

enum err keys_load(const char *path, const char *single, struct keys **keys_out, struct buf *why)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	enum err err = keys ? region_open(KEYS_BYTES, &keys->region) : ERR_MEMORY;
	struct buf place = buf_born(4096);

	if (!err) {
		keys->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
		err = keys->sha256 ? OK : ERR_MEMORY;
	}
	if (!err && *path)
		err = read_file(keys, path, &place);
	if (!err && *single) {
		keys->has_single = true;
		err = digest(keys, text_of(single), keys->single) ? OK : ERR_MEMORY;
	}
	if (err) {
		buf_clear(why);
		buf_addf(why, "API_KEYS_FILE: %.*s", (int)place.len, place.len ? place.at : "");
		if (!place.len)
			buf_add_string(why, err_text(err));
		keys_free(keys);
	} else {
		keys->is_open = !*path && !*single;
		*keys_out = keys;
	}
	buf_free(&place);
	return err;
}

void keys_free(struct keys *keys)
{
	if (!keys)
		return;
	EVP_MD_free(keys->sha256);
	region_close(keys->region);
	free(keys);
}

bool keys_is_open(const struct keys *keys)
{
	return keys->is_open;
}

/* ---- admitting */

/* The id in "lg_<id>_<43 characters>"; empty: not of this form. Both may hold underscores: the
 * secret's length is what parts them. */
static struct text id_in(struct text secret)
{
	struct text start = TEXT("lg_");

	if (secret.len < start.len + 1 + 1 + KEY_SECRET_LEN || !text_starts(secret, start) ||
		secret.at[secret.len - KEY_SECRET_LEN - 1] != '_')
		return (struct text){ 0 };
	return (struct text){ secret.at + start.len, secret.len - start.len - 1 - KEY_SECRET_LEN };
}

static bool copy_list(struct region *region, const struct text *list, size_t count,
	const struct text **out, size_t *count_out)
{
	struct text *copy = count ? region_alloc(region, count * sizeof(*copy)) : NULL;

	for (size_t i = 0; i < count && copy; i++) {
		copy[i] = region_copy(region, list[i]);
		if (!copy[i].at)
			return false;
	}
	*out = copy;
	*count_out = count;
	return copy || !count;
}

static bool describe(const struct key_entry *entry, struct region *region, struct caller *out)
{
	struct caller caller = { .key_id = region_copy(region, entry->id),
		.scopes = entry->scopes };

	if (!caller.key_id.at ||
		!copy_list(
			region, entry->from, entry->from_count, &caller.from, &caller.from_count) ||
		!copy_list(region, entry->to, entry->to_count, &caller.to, &caller.to_count) ||
		!copy_list(region, entry->relays, entry->relay_count, &caller.relays,
			&caller.relay_count))
		return false; /* out of memory: a key without its limits is none */
	*out = caller;
	return true;
}

bool keys_admit(const struct keys *keys, struct text secret, int64_t now_ms, struct region *region,
	struct caller *caller_out)
{
	static const struct key_entry nobody;
	unsigned char hash[KEY_HASH_BYTES];
	const struct key_entry *entry = &nobody;
	bool is_single, fits, fits_old;
	size_t index;

	if (keys->is_open) {
		*caller_out = (struct caller){ .scopes = SCOPE_ALL };
		return true;
	}
	if (secret.len == 0 || secret.len > SECRET_MOST || !digest(keys, secret, hash))
		return false;
	index = find(keys, id_in(secret));
	if (index < keys->list.count)
		entry = &keys->list.at[index];
	/* the same three comparisons for everybody */
	is_single = CRYPTO_memcmp(hash, keys->single, sizeof(hash)) == 0;
	fits = CRYPTO_memcmp(hash, entry->hash, sizeof(hash)) == 0;
	fits_old = CRYPTO_memcmp(hash, entry->old_hash, sizeof(hash)) == 0;
	if (is_single && keys->has_single) {
		*caller_out = (struct caller){ .key_id = TEXT("default"), .scopes = SCOPE_ALL };
		return true;
	}
	if (entry == &nobody || (!fits && !(fits_old && now_ms < entry->old_expires_ms)))
		return false;
	if (entry->expires_ms && now_ms >= entry->expires_ms)
		return false;
	if (!describe(entry, region, caller_out))
		return false;
	caller_out->number = (unsigned)index + 1;
	return true;
}

/* ---- charging */

/* A bucket of one window's messages that fills evenly (GCRA: one time says how full it is). A batch
 * larger than the bucket is taken when it is full, and paid off afterwards. */
static bool draw(const struct key_entry *entry, struct meter *meter, size_t messages,
	uint64_t now_ns, struct rate_state *state, uint64_t *paid_ns_out)
{
	uint64_t window_ns = entry->rate_window_s * UINT64_C(1000000000);
	uint64_t each_ns = window_ns / entry->rate;
	uint64_t owed = meter->paid_ns > now_ns ? meter->paid_ns - now_ns : 0;
	uint64_t then = owed + messages * each_ns;
	bool fits = then <= window_ns || owed == 0;
	uint64_t left = fits ? then : owed;

	state->limit = entry->rate;
	state->window_s = entry->rate_window_s;
	state->remaining = left < window_ns ? (uint32_t)((window_ns - left) / each_ns) : 0;
	if (!fits) {
		uint64_t enough = messages <= entry->rate ? then - window_ns : owed;

		state->retry_after_s = whole_seconds((enough + 999) / 1000);
	}
	*paid_ns_out = now_ns + then;
	return fits;
}

static bool within_day(const struct key_entry *entry, const struct meter *meter, size_t messages,
	int64_t now_unix_ms, struct rate_state *state)
{
	uint32_t used = meter->day == now_unix_ms / DAY_MS ? meter->today : 0;
	int64_t left_ms = DAY_MS - now_unix_ms % DAY_MS;

	if (used > entry->daily)
		used = entry->daily; /* a reload may have lowered it */
	if (messages <= entry->daily - used)
		return true;
	*state = (struct rate_state){ (uint32_t)(left_ms / 1000 + 1), entry->daily,
		entry->daily - used, DAY_MS / 1000 };
	return false;
}

static bool charge(const struct key_entry *entry, struct meter *meter, size_t messages,
	uint64_t now_ns, int64_t now_unix_ms, struct rate_state *state)
{
	uint64_t paid_ns = meter->paid_ns;

	if (entry->rate && !draw(entry, meter, messages, now_ns, state, &paid_ns))
		return false;
	if (entry->daily) {
		if (!within_day(entry, meter, messages, now_unix_ms, state))
			return false;
		if (meter->day != now_unix_ms / DAY_MS)
			meter->today = 0;
		meter->day = now_unix_ms / DAY_MS;
		meter->today += (uint32_t)messages;
	}
	meter->paid_ns = paid_ns;
	return true;
}

bool keys_charge(struct keys *keys, struct text key_id, size_t messages, uint64_t now_us,
	int64_t now_unix_ms, struct rate_state *rate_out)
{
	size_t index = find(keys, key_id);
	struct rate_state state = { 0 };
	bool fits = true;

	if (index < keys->list.count && (keys->list.at[index].rate || keys->list.at[index].daily)) {
		struct meter *meter = &keys->meters[index];

		pthread_mutex_lock(&meter->lock);
		fits = charge(
			&keys->list.at[index], meter, messages, now_us * 1000, now_unix_ms, &state);
		pthread_mutex_unlock(&meter->lock);
	}
	*rate_out = state;
	return fits;
}

void keys_inherit(struct keys *keys, const struct keys *old)
{
	for (size_t i = 0; i < old->list.count; i++) {
		size_t index = find(keys, old->list.at[i].id);
		struct meter seen;

		if (index == keys->list.count)
			continue;
		pthread_mutex_lock(&old->meters[i].lock);
		seen = old->meters[i];
		pthread_mutex_unlock(&old->meters[i].lock);
		pthread_mutex_lock(&keys->meters[index].lock);
		keys->meters[index].paid_ns = seen.paid_ns;
		keys->meters[index].day = seen.day;
		keys->meters[index].today = seen.today;
		pthread_mutex_unlock(&keys->meters[index].lock);
	}
}
