/* How many messages each API key has in each state, so that bounds and counts cost no search. What
 * a transaction changes is written with its commit, a row for each number, and taken back with its
 * rollback. */
#include <stdlib.h>
#include <string.h>

#include "service/store/store_sqlite_own.h"

enum { ROOM_FIRST = 16 };

static int compare(const struct tally_key *key, struct text key_id)
{
	struct text own = { key->key_id, key->len };

	return text_compare(&own, &key_id);
}

/* Where it is, or would be. */
static size_t place_of(const struct tally *tally, struct text key_id)
{
	size_t low = 0, high = tally->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&tally->keys[middle], key_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct tally_key *find(const struct tally *tally, struct text key_id)
{
	size_t place = place_of(tally, key_id);

	return place < tally->count && compare(&tally->keys[place], key_id) == 0
		       ? &tally->keys[place]
		       : NULL;
}

static enum err grow(struct tally *tally)
{
	size_t room = tally->room ? tally->room * 2 : ROOM_FIRST;
	struct tally_key *keys;

	if (tally->count < tally->room)
		return OK;
	keys = reallocarray(tally->keys, room, sizeof(*keys));
	if (!keys)
		return ERR_MEMORY;
	tally->keys = keys;
	tally->room = room;
	return OK;
}

enum err tally_make_room(struct sqlite_store *store, struct text key_id)
{
	struct tally *tally = &store->tally;
	size_t place = place_of(tally, key_id);
	char *copy;

	if (find(tally, key_id))
		return OK;
	copy = malloc(key_id.len + 1);
	if (!copy || grow(tally)) {
		free(copy);
		return ERR_MEMORY;
	}
	if (key_id.len)
		memcpy(copy, key_id.at, key_id.len);
	memmove(&tally->keys[place + 1], &tally->keys[place],
		(tally->count - place) * sizeof(*tally->keys));
	tally->keys[place] = (struct tally_key){ .key_id = copy, .len = key_id.len };
	tally->count++;
	return OK;
}

static bool is_within(int64_t are, uint64_t more, uint64_t most)
{
	return most == 0 || ((uint64_t)are < most && more <= most - (uint64_t)are);
}

bool tally_has_room(const struct sqlite_store *store, struct text key_id, uint64_t bytes)
{
	const struct tally_key *key = find(&store->tally, key_id);
	int64_t own = 0;

	for (int state = 0; key && state < MESSAGE_STATES; state++)
		if (!message_state_is_settled(state))
			own += key->messages[state];
	return is_within(store->tally.waiting, 1, store->limits.messages) &&
	       is_within(store->tally.waiting_bytes, bytes, store->limits.bytes) &&
	       is_within(own, 1, store->limits.per_key);
}

static void add(struct tally *tally, struct tally_key *key, enum message_state state,
	int64_t messages, int64_t bytes)
{
	if (state == MESSAGE_STATES)
		return;
	key->messages[state] += messages;
	key->changed[state] += messages;
	key->bytes[state] += bytes;
	key->bytes_changed[state] += bytes;
	key->is_dirty = true;
	if (!message_state_is_settled(state)) {
		tally->waiting += messages;
		tally->waiting_bytes += bytes;
	}
}

void tally_move(struct sqlite_store *store, struct text key_id, int64_t bytes,
	enum message_state from, enum message_state to)
{
	struct tally_key *key = find(&store->tally, key_id);

	if (!key)
		return;
	add(&store->tally, key, from, -1, -bytes);
	add(&store->tally, key, to, 1, bytes);
}

void tally_move_all(struct sqlite_store *store, enum message_state from, enum message_state to)
{
	for (size_t i = 0; i < store->tally.count; i++) {
		struct tally_key *key = &store->tally.keys[i];
		int64_t messages = key->messages[from], bytes = key->bytes[from];

		add(&store->tally, key, from, -messages, -bytes);
		add(&store->tally, key, to, messages, bytes);
	}
}

static enum err write_key(struct sqlite_store *store, const struct tally_key *key)
{
	for (int state = 0; state < MESSAGE_STATES; state++) {
		sqlite3_stmt *put = sql_use(store, SQL_TALLY_PUT);
		enum err err;

		if (!key->changed[state] && !key->bytes_changed[state])
			continue;
		sql_text(put, 1, (struct text){ key->key_id, key->len });
		sql_number(put, 2, state);
		sql_number(put, 3, key->messages[state]);
		sql_number(put, 4, key->bytes[state]);
		err = sql_run(store, put);
		if (err)
			return err;
	}
	return OK;
}

enum err tally_write(struct sqlite_store *store)
{
	enum err err = OK;

	for (size_t i = 0; i < store->tally.count && !err; i++)
		if (store->tally.keys[i].is_dirty)
			err = write_key(store, &store->tally.keys[i]);
	return err;
}

static void take_back(struct tally *tally, struct tally_key *key)
{
	for (int state = 0; state < MESSAGE_STATES; state++)
		add(tally, key, state, -key->changed[state], -key->bytes_changed[state]);
}

void tally_settle(struct sqlite_store *store, bool is_committed)
{
	for (size_t i = 0; i < store->tally.count; i++) {
		struct tally_key *key = &store->tally.keys[i];

		if (!key->is_dirty)
			continue;
		if (!is_committed)
			take_back(&store->tally, key);
		memset(key->changed, 0, sizeof(key->changed));
		memset(key->bytes_changed, 0, sizeof(key->bytes_changed));
		key->is_dirty = false;
	}
}

static enum err read_row(struct sqlite_store *store, sqlite3_stmt *row)
{
	int64_t state = sqlite3_column_int64(row, 1), messages = sqlite3_column_int64(row, 2);
	int64_t bytes = sqlite3_column_int64(row, 3);
	struct text key_id = sql_column(row, 0);
	struct tally_key *key;
	enum err err = tally_make_room(store, key_id);

	if (err)
		return err;
	if (state < 0 || state >= MESSAGE_STATES || messages < 0 || bytes < 0)
		return ERR_SYNTAX;
	key = find(&store->tally, key_id);
	add(&store->tally, key, (enum message_state)state, messages, bytes);
	memset(key->changed, 0, sizeof(key->changed));
	memset(key->bytes_changed, 0, sizeof(key->bytes_changed));
	key->is_dirty = false;
	return OK;
}

/* Are there as many that wait as were counted? */
static enum err compare_with_messages(struct sqlite_store *store)
{
	sqlite3_stmt *census = sql_use(store, SQL_CENSUS);
	int64_t waiting = sql_row(census) ? sqlite3_column_int64(census, 0) : -1;
	enum err err = sql_end(store, census);

	return err ? err : waiting == store->tally.waiting ? OK : ERR_SYNTAX;
}

enum err tally_read(struct sqlite_store *store)
{
	sqlite3_stmt *list = sql_use(store, SQL_TALLY_LIST);
	enum err err = OK, end;

	while (!err && sql_row(list))
		err = read_row(store, list);
	end = sql_end(store, list);
	if (!err)
		err = end;
	return err ? err : compare_with_messages(store);
}

void tally_free(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++)
		free(tally->keys[i].key_id);
	free(tally->keys);
}
