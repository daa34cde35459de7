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

	if (PQntuples(row) != 1) {
		*found_out = ONCE_RUNNING; /* it was freed this moment: whoever asks again may */
		return OK;
	}
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

/* ---- what was cut short */

static enum err note_cut(struct pg_store *store, const PGresult *result, void *context)
{
	(void)store;
	if (strcmp(PQcmdTuples((PGresult *)result), "1") == 0)
		*(enum once_found *)context = ONCE_CUT;
	return OK;
}

enum err pg_once_take_cut(
	struct pg_store *store, const struct once *once, int64_t now_ms, enum once_found *found_out)
{
	struct pg_values values = { 0 };

	pg_once_name(&values, once);
	pg_number(&values, store->owner);
	pg_number(&values, now_ms);
	pg_bytes(&values, (struct text){ (const char *)once->hash, STORE_ONCE_HASH });
	return pg_send(store, PG_ONCE_TAKE_CUT, &values, note_cut, found_out);
}

enum err pg_once_get(struct pg_store *store, const struct once *once, pg_take take, void *context)
{
	struct pg_values name = { 0 };

	pg_once_name(&name, once);
	return pg_send(store, PG_ONCE_GET, &name, take, context);
}

/* ---- the verbs */

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
	if (begin->found != ONCE_RUNNING)
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
	struct pg_values put = { 0 };
	enum err err;

	begin->job.err = OK;
	put_values(store, begin->once, ONCE_IS_RUNNING, begin->now_ms, &put);
	err = pg_send(store, PG_ONCE_BEGIN, &put, note_new, begin);
	if (!err)
		err = pg_once_take_cut(store, begin->once, begin->now_ms, &begin->found);
	return err ? err : pg_once_get(store, begin->once, note_found, begin);
}

enum err pg_once_finish(struct pg_store *store, const struct once *once, bool is_free,
	int64_t began_ms, int64_t now_ms)
{
	struct pg_values values = { 0 };

	if (!is_free) {
		put_values(store, once, ONCE_IS_DONE, now_ms, &values);
		pg_number(&values, began_ms);
		return pg_send(store, PG_ONCE_PUT, &values, NULL, NULL);
	}
	pg_once_name(&values, once);
	pg_number(&values, store->owner);
	pg_number(&values, began_ms);
	return pg_send(store, PG_ONCE_DROP, &values, NULL, NULL);
}

enum err pg_once_end(void *self, struct once_end_job *end)
{
	end->job.err = OK;
	return pg_once_finish(self, end->once, end->is_free, end->began_ms, end->now_ms);
}
