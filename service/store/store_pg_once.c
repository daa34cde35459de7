/* Requests that are to be done once: idempotency keys, scoped to their API key, for all replicas.
 */
#include <string.h>

#include "service/store/store_pg_own.h"

void pg_once_name(struct pg_values *values, const struct once *once)
{
	pg_bytes(values, once->key_id);
	pg_bytes(values, once->key);
}

static bool is_same(const struct once *once, struct text hash)
{
	return hash.len == sizeof(once->hash) && memcmp(hash.at, once->hash, hash.len) == 0;
}

enum err pg_once_judge(const struct once *once, const PGresult *row, struct region *region,
	enum once_found *found_out, struct text *answer_out)
{
	struct text answer = { 0 };
	int64_t state;

	if (PQntuples(row) != 1)
		return ERR_IO; /* it was freed this moment: to be tried again */
	state = pg_int(row, 0, 0);
	if (!is_same(once, pg_text(row, 0, 1))) {
		*found_out = ONCE_OTHER;
		return OK;
	}
	if (state == ONCE_IS_DONE) {
		answer = region_copy(region, pg_text(row, 0, 2));
		if (!answer.at)
			return ERR_MEMORY;
		*answer_out = answer;
	}
	*found_out = state == ONCE_IS_DONE  ? ONCE_DONE
		     : state == ONCE_IS_CUT ? ONCE_CUT
					    : ONCE_RUNNING;
	return OK;
}

static enum err note_new(struct pg_store *store, const PGresult *result, void *context)
{
	struct once_begin_job *begin = context;

	(void)store;
	begin->found = strcmp(PQcmdTuples((PGresult *)result), "1") == 0 ? ONCE_NEW : ONCE_RUNNING;
	return OK;
}

static enum err note_found(struct pg_store *store, const PGresult *result, void *context)
{
	struct once_begin_job *begin = context;

	(void)store;
	if (begin->found == ONCE_NEW)
		return OK;
	return pg_once_judge(begin->once, result, begin->region, &begin->found, &begin->answer);
}

static void put_values(struct pg_store *store, const struct once *once, int state, int64_t now_ms,
	struct pg_values *values)
{
	pg_once_name(values, once);
	pg_number(values, state);
	pg_bytes(values, (struct text){ (const char *)once->hash, sizeof(once->hash) });
	pg_number(values, now_ms);
	pg_bytes(values, state == ONCE_IS_DONE ? once->answer : (struct text){ 0 });
	pg_number(values, store->owner);
}

enum err pg_once_begin(void *self, struct once_begin_job *begin)
{
	struct pg_store *store = self;
	struct pg_values put = { 0 }, get = { 0 };
	enum err err;

	begin->job.err = OK;
	put_values(store, begin->once, ONCE_IS_RUNNING, begin->now_ms, &put);
	err = pg_send(store, PG_ONCE_BEGIN, &put, note_new, begin);
	if (err)
		return err;
	pg_once_name(&get, begin->once);
	return pg_send(store, PG_ONCE_GET, &get, note_found, begin);
}

enum err pg_once_end(void *self, struct once_end_job *end)
{
	struct pg_store *store = self;
	struct pg_values values = { 0 };

	end->job.err = OK;
	if (!end->is_free) {
		put_values(store, end->once, ONCE_IS_DONE, end->now_ms, &values);
		return pg_send(store, PG_ONCE_PUT, &values, NULL, NULL);
	}
	pg_once_name(&values, end->once);
	return pg_send(store, PG_ONCE_DROP, &values, NULL, NULL);
}
