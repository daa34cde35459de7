#include "service/records.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/result.h"
#include "service/records_kept.h"

/* Whatever relays answer to a thousand recipients, all records together stay below this. */
enum { BYTES_MOST = 64 << 20 };

struct records {
	size_t most;
	int64_t keep_ms;
	uint64_t raw_most;
	pthread_mutex_t lock; /* of what follows */
	struct kept *newest, *oldest;
	struct kept *raw_oldest; /* nobody older has a raw message */
	size_t count, bytes;
	uint64_t raw_bytes;
	struct kept **slots; /* hashed by id */
	size_t slot_mask;
};

/* ---- life */

enum err records_open(
	size_t most, int64_t keep_ms, uint64_t raw_bytes, struct records **records_out)
{
	struct records *records = calloc(1, sizeof(*records));
	size_t slots = 16;

	while (slots < most)
		slots *= 2;
	if (records)
		records->slots = calloc(slots, sizeof(struct kept *));
	if (!records || !records->slots) {
		free(records);
		return ERR_MEMORY;
	}
	records->most = most ? most : 1;
	records->keep_ms = keep_ms;
	records->raw_most = raw_bytes;
	records->slot_mask = slots - 1;
	pthread_mutex_init(&records->lock, NULL);
	*records_out = records;
	return OK;
}

void records_close(struct records *records)
{
	if (!records)
		return;
	for (struct kept *kept = records->newest, *older; kept; kept = older) {
		older = kept->older;
		kept_free(kept);
	}
	pthread_mutex_destroy(&records->lock);
	free(records->slots);
	free(records);
}

/* ---- finding, linking, forgetting: under the lock */

static struct kept **slot_of(const struct records *records, struct text id)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < id.len; i++)
		hash = (hash ^ (unsigned char)id.at[i]) * UINT64_C(1099511628211);
	return &records->slots[(hash ^ hash >> 32) & records->slot_mask];
}

static struct kept *find(const struct records *records, struct text id)
{
	struct kept *kept = *slot_of(records, id);

	while (kept && !text_equal(text_of(kept->id), id))
		kept = kept->chain;
	return kept;
}

static void link_in(struct records *records, struct kept *kept)
{
	struct kept **slot = slot_of(records, text_of(kept->id));

	kept->chain = *slot;
	*slot = kept;
	kept->older = records->newest;
	if (records->newest)
		records->newest->newer = kept;
	else
		records->oldest = kept;
	records->newest = kept;
	if (kept->raw.at && !records->raw_oldest)
		records->raw_oldest = kept;
	records->count++;
	records->bytes += kept->bytes;
	records->raw_bytes += kept->raw.len;
}

static void unlink_oldest(struct records *records)
{
	struct kept *kept = records->oldest;
	struct kept **at = slot_of(records, text_of(kept->id));

	while (*at != kept)
		at = &(*at)->chain;
	*at = kept->chain;
	records->oldest = kept->newer;
	if (kept->newer)
		kept->newer->older = NULL;
	else
		records->newest = NULL;
	if (records->raw_oldest == kept)
		records->raw_oldest = kept->newer;
	records->count--;
	records->bytes -= kept->bytes;
	records->raw_bytes -= kept->raw.len;
	kept_free(kept);
}

static void forget_raw(struct records *records)
{
	while (records->raw_bytes > records->raw_most && records->raw_oldest) {
		struct kept *kept = records->raw_oldest;

		records->raw_bytes -= kept->raw.len;
		free(kept->raw_block);
		kept->raw_block = NULL;
		kept->raw = (struct text){ 0 };
		records->raw_oldest = kept->newer;
	}
}

static void forget_old(struct records *records, int64_t now_ms)
{
	while (records->oldest && (records->count > records->most || records->bytes > BYTES_MOST ||
					  records->oldest->added_ms + records->keep_ms <= now_ms))
		unlink_oldest(records);
}

static int64_t unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- adding */

void records_add(
	struct records *records, const struct delivery *delivery, int64_t now_ms, struct text raw)
{
	struct kept *kept = kept_new(delivery, now_ms, raw);

	if (!kept)
		return;
	pthread_mutex_lock(&records->lock);
	link_in(records, kept);
	forget_old(records, now_ms);
	forget_raw(records);
	pthread_mutex_unlock(&records->lock);
}

void records_settle_late(struct records *records, const char *id, struct places places,
	const struct smtp_verdict *verdict, const struct smtp_said *said, struct text queue_id,
	int64_t now_ms)
{
	struct kept *kept;

	pthread_mutex_lock(&records->lock);
	kept = find(records, text_of(id));
	if (kept)
		records->bytes += kept_settle(kept, places, verdict, said, queue_id, now_ms);
	pthread_mutex_unlock(&records->lock);
}

/* ---- looking */

static bool may_see(const struct caller *caller, const struct kept *kept)
{
	return (caller->scopes & SCOPE_ADMIN) || text_equal(caller->key_id, kept->key_id);
}

static void show(const struct kept *kept, void (*see)(const struct record *record, void *context),
	void *context)
{
	struct record record;

	kept_describe(kept, &record);
	see(&record, context);
}

bool records_look_up(struct records *records, const struct caller *caller, struct text id,
	void (*see)(const struct record *record, void *context), void *context)
{
	struct kept *kept;
	bool found;

	pthread_mutex_lock(&records->lock);
	forget_old(records, unix_ms());
	kept = find(records, id);
	found = kept && may_see(caller, kept);
	if (found)
		show(kept, see, context);
	pthread_mutex_unlock(&records->lock);
	return found;
}

static bool has_recipient(const struct kept *kept, struct text address)
{
	for (size_t i = 0; i < kept->count; i++)
		if (text_equal_nocase(kept->to[i], address))
			return true;
	return false;
}

static bool has_tag(const struct kept *kept, struct text tag)
{
	for (size_t i = 0; i < kept->tag_count; i++)
		if (text_equal(kept->tags[i], tag))
			return true;
	return false;
}

static bool fits(const struct kept *kept, const struct query *query)
{
	if (kept->created_ms < query->since_ms)
		return false;
	if (query->state.len &&
		!text_equal(query->state, text_of(result_state(kept->verdict.outcome))))
		return false;
	if (query->recipient.len && !has_recipient(kept, query->recipient))
		return false;
	return !query->tag.len || has_tag(kept, query->tag);
}

bool records_list(struct records *records, const struct caller *caller, const struct query *query,
	void (*see)(const struct record *record, void *context), void *context)
{
	struct kept *kept;
	size_t shown = 0;
	bool more = false;

	pthread_mutex_lock(&records->lock);
	forget_old(records, unix_ms());
	kept = records->newest;
	if (query->cursor.len) {
		/* one that is forgotten had nothing but forgotten ones behind it */
		kept = find(records, query->cursor);
		kept = kept ? kept->older : NULL;
	}
	for (; kept && !more; kept = kept->older) {
		if (!may_see(caller, kept) || !fits(kept, query))
			continue;
		more = shown == query->limit;
		if (!more) {
			show(kept, see, context);
			shown++;
		}
	}
	pthread_mutex_unlock(&records->lock);
	return more;
}

enum err records_raw(struct records *records, const struct caller *caller, struct text id,
	struct region *region, struct text *raw_out)
{
	enum err err = ERR_MISSING;
	struct kept *kept;
	struct text raw;

	pthread_mutex_lock(&records->lock);
	forget_old(records, unix_ms());
	kept = find(records, id);
	if (kept && may_see(caller, kept))
		err = kept->raw.at ? OK : ERR_VALUE;
	if (!err) {
		raw = region_copy(region, kept->raw);
		if (raw.at)
			*raw_out = raw;
		else
			err = ERR_MEMORY;
	}
	pthread_mutex_unlock(&records->lock);
	return err;
}
