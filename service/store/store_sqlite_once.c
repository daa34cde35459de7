/* Requests that are to be done once: idempotency keys, scoped to their API key. */
#include <string.h>

#include "service/store/store_sqlite_own.h"

/* Kept in the file. */
enum { ONCE_IS_DONE, ONCE_IS_RUNNING, ONCE_IS_CUT };

static enum err put(struct sqlite_store *store, const struct once *once, int state,
	int64_t began_ms, int64_t now_ms)
{
	sqlite3_stmt *put = sql_use(store, SQL_ONCE_PUT);

	sql_text(put, 1, once->key_id);
	sql_text(put, 2, once->key);
	sql_number(put, 3, state);
	sql_bytes(put, 4, (struct text){ (const char *)once->hash, sizeof(once->hash) });
	sql_number(put, 5, now_ms);
	sql_bytes(put, 6, state == ONCE_IS_DONE ? once->answer : (struct text){ 0 });
	sql_number(put, 7, began_ms);
	return sql_run(store, put);
}

static bool is_same(const struct once *once, struct text hash)
{
	return hash.len == sizeof(once->hash) && memcmp(hash.at, once->hash, hash.len) == 0;
}

/* What the row says of it. */
static enum err judge(const struct once *once, sqlite3_stmt *row, struct region *region,
	enum once_found *found_out, struct text *answer_out)
{
	int64_t state = sqlite3_column_int64(row, 0);
	struct text answer = { 0 };

	if (!is_same(once, sql_column(row, 1))) {
		*found_out = ONCE_OTHER;
		return OK;
	}
	if (state == ONCE_IS_DONE) {
		answer = region_copy(region, sql_column(row, 2));
		if (!answer.at)
			return ERR_MEMORY;
		*answer_out = answer;
	}
	*found_out = state == ONCE_IS_DONE  ? ONCE_DONE
		     : state == ONCE_IS_CUT ? ONCE_CUT
					    : ONCE_RUNNING;
	return OK;
}

enum err once_find(struct sqlite_store *store, const struct once *once, struct region *region,
	enum once_found *found_out, struct text *answer_out)
{
	sqlite3_stmt *get = sql_use(store, SQL_ONCE_GET);
	enum once_found found = ONCE_NEW;
	enum err err = OK, end;

	sql_text(get, 1, once->key_id);
	sql_text(get, 2, once->key);
	if (sql_row(get))
		err = judge(once, get, region, &found, answer_out);
	end = sql_end(store, get);
	if (!err)
		err = end;
	if (!err)
		*found_out = found;
	return err;
}

enum err once_run(struct sqlite_store *store, const struct once *once, int64_t now_ms)
{
	return store->is_full ? ERR_IO : put(store, once, ONCE_IS_RUNNING, 0, now_ms);
}

enum err once_end(struct sqlite_store *store, const struct once *once, bool is_free,
	int64_t began_ms, int64_t now_ms)
{
	sqlite3_stmt *drop = sql_use(store, SQL_ONCE_DROP);

	if (!is_free)
		return put(store, once, ONCE_IS_DONE, began_ms, now_ms);
	sql_text(drop, 1, once->key_id);
	sql_text(drop, 2, once->key);
	sql_number(drop, 3, began_ms);
	return sql_run(store, drop);
}

enum err sqlite_once_begin(void *self, struct once_begin_job *begin)
{
	struct sqlite_store *store = self;
	enum err err = once_find(store, begin->once, begin->region, &begin->found, &begin->answer);

	if (!err && (begin->found == ONCE_NEW || begin->found == ONCE_CUT))
		err = once_run(store, begin->once, begin->now_ms);
	return err;
}

enum err sqlite_once_end(void *self, struct once_end_job *end)
{
	return once_end(self, end->once, end->is_free, end->began_ms, end->now_ms);
}
