#include "service/queue/repeats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"

/* SLOTS is a power of two. What malloc adds to a piece is OVERHEAD or less. */
enum { SLOTS = 1 << 17, SALT = 16, SWEPT_AT_ONCE = 64, OVERHEAD = 32 };

#define RUNNING UINT64_MAX

struct entry {
	struct entry *chain;
	struct entry *older, *newer; /* where it is remembered: by when it ended */
	unsigned char name[DIGEST_LEN], digest[DIGEST_LEN];
	uint64_t ended_us; /* RUNNING: not yet */
	struct smtp_verdict verdict;
	char id[DELIVERY_ID_LEN + 1];
	char *answer; /* NULL: it is kept in short */
	size_t answer_len;
};

struct repeats {
	size_t entries_most, bytes_most;
	unsigned char salt[SALT]; /* so that nobody can choose keys of one slot */
	pthread_mutex_t lock;     /* of what follows */
	uint64_t ttl_us;
	struct entry *oldest, *newest;
	struct repeats_counts counts;
	struct entry *slots[SLOTS];
};

/* ---- life */

enum err repeats_open(const struct repeats_limits *limits, struct repeats **repeats_out)
{
	struct repeats *repeats = calloc(1, sizeof(*repeats));

	if (!repeats)
		return ERR_MEMORY;
	repeats->entries_most = limits->entries;
	repeats->bytes_most = limits->bytes;
	repeats->ttl_us = limits->ttl_us;
	random_bytes(repeats->salt, sizeof(repeats->salt));
	pthread_mutex_init(&repeats->lock, NULL);
	*repeats_out = repeats;
	return OK;
}

static void free_entry(struct entry *entry)
{
	free(entry->answer);
	free(entry);
}

void repeats_close(struct repeats *repeats)
{
	if (!repeats)
		return;
	for (size_t i = 0; repeats->counts.entries && i < SLOTS; i++)
		for (struct entry *entry = repeats->slots[i], *next; entry; entry = next) {
			next = entry->chain;
			repeats->counts.entries--;
			free_entry(entry);
		}
	pthread_mutex_destroy(&repeats->lock);
	free(repeats);
}

void repeats_set_ttl(struct repeats *repeats, uint64_t ttl_us)
{
	pthread_mutex_lock(&repeats->lock);
	repeats->ttl_us = ttl_us;
	pthread_mutex_unlock(&repeats->lock);
}

/* ---- finding, linking, forgetting: under the lock */

static bool name_of(const struct repeats *repeats, const struct delivery *delivery,
	unsigned char name_out[DIGEST_LEN])
{
	struct digest digest = digest_begin();

	digest_add_bytes(&digest, (struct text){ (const char *)repeats->salt, SALT });
	digest_add_text(&digest, delivery->key_id);
	digest_add_text(&digest, delivery->idempotency_key);
	digest_add_number(&digest, delivery->place);
	return digest_end(&digest, name_out);
}

static struct entry **slot_of(struct repeats *repeats, const unsigned char name[DIGEST_LEN])
{
	size_t number;

	memcpy(&number, name, sizeof(number));
	return &repeats->slots[number % SLOTS];
}

static struct entry *find(struct repeats *repeats, const unsigned char name[DIGEST_LEN])
{
	struct entry *entry = *slot_of(repeats, name);

	while (entry && memcmp(entry->name, name, DIGEST_LEN) != 0)
		entry = entry->chain;
	return entry;
}

static size_t bytes_of(const struct entry *entry)
{
	return sizeof(*entry) + OVERHEAD +
	       (entry->answer ? entry->answer_len + OVERHEAD : (size_t)0);
}

static void link_newest(struct repeats *repeats, struct entry *entry)
{
	entry->older = repeats->newest;
	if (repeats->newest)
		repeats->newest->newer = entry;
	else
		repeats->oldest = entry;
	repeats->newest = entry;
}

static void unlink_remembered(struct repeats *repeats, struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &repeats->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &repeats->oldest) = entry->newer;
}

static void drop(struct repeats *repeats, struct entry *entry)
{
	struct entry **at = slot_of(repeats, entry->name);

	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	if (entry->ended_us != RUNNING)
		unlink_remembered(repeats, entry);
	repeats->counts.entries--;
	repeats->counts.bytes -= bytes_of(entry);
	free_entry(entry);
}

static bool is_over(const struct repeats *repeats, const struct entry *entry, uint64_t now_us)
{
	return entry->ended_us != RUNNING && now_us - entry->ended_us >= repeats->ttl_us;
}

/* A few at a time, which is more than come: nobody waits long for it. */
static void sweep(struct repeats *repeats, uint64_t now_us)
{
	for (int i = 0; i < SWEPT_AT_ONCE && repeats->oldest; i++) {
		if (!is_over(repeats, repeats->oldest, now_us))
			return;
		drop(repeats, repeats->oldest);
	}
}

/* Makes room for so much more, but for `but` at whatever else is remembered's cost. */
static bool make_room(
	struct repeats *repeats, size_t entries, size_t bytes, const struct entry *but)
{
	struct repeats_counts *counts = &repeats->counts;

	while (counts->entries + entries > repeats->entries_most ||
		counts->bytes + bytes > repeats->bytes_most) {
		if (!repeats->oldest || repeats->oldest == but)
			return false;
		drop(repeats, repeats->oldest);
		counts->forgotten++;
	}
	return true;
}

/* ---- beginning */

static enum repeat begin_first(
	struct repeats *repeats, const unsigned char name[DIGEST_LEN], struct delivery *delivery)
{
	struct entry **slot = slot_of(repeats, name), *entry;

	if (!make_room(repeats, 1, sizeof(*entry) + OVERHEAD, NULL))
		return REPEAT_NO_ROOM;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return REPEAT_NO_ROOM;
	memcpy(entry->name, name, DIGEST_LEN);
	memcpy(entry->digest, delivery->digest, DIGEST_LEN);
	entry->ended_us = RUNNING;
	entry->chain = *slot;
	*slot = entry;
	repeats->counts.entries++;
	repeats->counts.bytes += bytes_of(entry);
	delivery->begun = entry;
	return REPEAT_FIRST;
}

/* A different message first: of that its sender must hear, and it will not pass. */
static enum repeat compare(const struct entry *entry, struct delivery *delivery)
{
	if (memcmp(entry->digest, delivery->digest, DIGEST_LEN) != 0)
		return REPEAT_MISMATCH;
	if (entry->ended_us == RUNNING)
		return REPEAT_RUNNING;
	memcpy(delivery->id, entry->id, sizeof(delivery->id));
	delivery->result.verdict = entry->verdict;
	if (entry->answer)
		delivery->first_answer = region_copy(
			delivery->region, (struct text){ entry->answer, entry->answer_len });
	return REPEAT_AGAIN;
}

enum repeat repeats_begin(struct repeats *repeats, struct delivery *delivery, uint64_t now_us)
{
	unsigned char name[DIGEST_LEN];
	bool is_named = name_of(repeats, delivery, name);
	enum repeat repeat = REPEAT_NO_ROOM;
	struct entry *entry;

	pthread_mutex_lock(&repeats->lock);
	if (is_named) {
		sweep(repeats, now_us);
		entry = find(repeats, name);
		if (entry && is_over(repeats, entry, now_us)) {
			drop(repeats, entry);
			entry = NULL;
		}
		repeat = entry ? compare(entry, delivery) : begin_first(repeats, name, delivery);
	}
	repeats->counts.found[repeat]++;
	pthread_mutex_unlock(&repeats->lock);
	return repeat;
}

/* ---- ending */

/* What is decided, and what may have been sent. What certainly was not may be tried again. */
bool repeats_is_remembered(enum smtp_outcome outcome)
{
	switch (outcome) {
	case SMTP_ACCEPTED:
	case SMTP_PARTIAL:
	case SMTP_QUEUED:
	case SMTP_CAPTURED:
	case SMTP_REJECTED:
	case SMTP_UNKNOWN:
		return true;
	default:
		return false;
	}
}

/* Where there is no room for the answer, the verdict is remembered all the same. */
static void remember(struct repeats *repeats, struct entry *entry, const struct delivery *delivery,
	char *answer, size_t len, uint64_t now_us)
{
	memcpy(entry->id, delivery->id, sizeof(entry->id));
	entry->verdict = delivery->result.verdict;
	entry->verdict.hint = ""; /* whose ever it was */
	entry->ended_us = now_us;
	link_newest(repeats, entry);
	if (!answer)
		return;
	if (!make_room(repeats, 0, len + OVERHEAD, entry)) {
		free(answer);
		return;
	}
	entry->answer = answer;
	entry->answer_len = len;
	repeats->counts.bytes += len + OVERHEAD;
}

void repeats_end(struct repeats *repeats, const struct delivery *delivery, struct text answer,
	uint64_t now_us)
{
	bool is_kept = repeats_is_remembered(delivery->result.verdict.outcome);
	char *copy = NULL;

	if (is_kept && answer.len && answer.len <= REPEATS_ANSWER_MOST)
		copy = malloc(answer.len);
	if (copy)
		memcpy(copy, answer.at, answer.len);
	pthread_mutex_lock(&repeats->lock);
	if (is_kept)
		remember(repeats, delivery->begun, delivery, copy, answer.len, now_us);
	else
		drop(repeats, delivery->begun);
	sweep(repeats, now_us);
	pthread_mutex_unlock(&repeats->lock);
}

void repeats_undo(struct repeats *repeats, const struct delivery *delivery)
{
	pthread_mutex_lock(&repeats->lock);
	drop(repeats, delivery->begun);
	pthread_mutex_unlock(&repeats->lock);
}

/* ---- told */

void repeats_note(struct repeats *repeats, enum repeat repeat)
{
	pthread_mutex_lock(&repeats->lock);
	repeats->counts.found[repeat]++;
	pthread_mutex_unlock(&repeats->lock);
}

struct repeats_counts repeats_counts(struct repeats *repeats)
{
	struct repeats_counts counts;

	pthread_mutex_lock(&repeats->lock);
	counts = repeats->counts;
	pthread_mutex_unlock(&repeats->lock);
	return counts;
}
