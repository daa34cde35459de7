/* Messages come in: the message, its bytes, its event, and the answer to its Idempotency-Key, or
 * nothing of them. */
#include "service/clock.h"
#include "service/store/pack.h"
#include "service/store/store_sqlite_own.h"

static enum err put_body(struct sqlite_store *store, int64_t place, struct text body)
{
	sqlite3_stmt *put = sql_use(store, SQL_BODY_PUT);

	sql_number(put, 1, place);
	sql_number(put, 2, pack_crc(0, body));
	sql_bytes(put, 3, body);
	return sql_run(store, put);
}

static enum err pack(struct sqlite_store *store, const struct stored *stored)
{
	buf_clear(&store->head);
	buf_clear(&store->course);
	stored_pack_head(stored, &store->head);
	stored_pack_course(stored, &store->course);
	return store->head.err ? store->head.err : store->course.err;
}

static enum err put_message(struct sqlite_store *store, const struct accept_job *accept)
{
	const struct stored *stored = accept->stored;
	sqlite3_stmt *put = sql_use(store, SQL_ACCEPT);
	enum message_state state = rules_state_of(stored, accept->now_ms);
	bool is_leased = state == MESSAGE_SENDING;
	enum err err;

	if (!sql_id(put, 1, stored->id))
		return ERR_VALUE;
	sql_text(put, 2, stored->key_id);
	sql_text(put, 3, stored->lane);
	sql_number(put, 4, state);
	sql_number(put, 5, turn_of(state, stored->due_ms, accept->now_ms, 0));
	sql_number(put, 6, stored->created_ms);
	sql_number(put, 7, stored->due_ms);
	sql_number(put, 8, stored->expires_ms);
	sql_number(put, 9, stored->updated_ms);
	sql_number(put, 10, (int64_t)stored->size_bytes);
	sql_number(put, 11, stored->has_body);
	sql_number(put, 12, is_leased ? 1 : stored->tries);
	sql_number(put, 13, is_leased ? (int64_t)stored->token : 0);
	sql_number(put, 14, store->alive_ms + accept->lease_for_ms);
	sql_bytes(put, 15, buf_text(&store->head));
	sql_bytes(put, 16, buf_text(&store->course));
	sql_number(put, 17, (int64_t)(accept->weight - stored->size_bytes));
	err = sql_run(store, put);
	if (!err)
		sqlite_move(store, stored->key_id, (int64_t)accept->weight, stored->created_ms,
			MESSAGE_STATES, state);
	return err;
}

/* Before anything is written: can it be packed, and is there room? */
static enum err check(struct sqlite_store *store, struct accept_job *accept, struct text *body_out)
{
	const struct stored *stored = accept->stored;
	uint64_t absent = stored->has_body ? 0 : stored->size_bytes;
	char id[ID_BYTES];
	enum err err = sqlite_make_room(store, stored->key_id);

	if (!err)
		err = pack(store, stored);
	if (err)
		return err;
	accept->weight = stored->size_bytes + stored_more_bytes(stored, store->head.len);
	if (!reserve_takes(store, accept->weight - absent))
		return ERR_IO;
	if (!id_to_bytes(stored->id, id))
		return ERR_VALUE;
	if (!tally_admits(&store->tally, &store->limits, accept))
		return ERR_LIMIT;
	return rules_gather(accept, &store->body, body_out);
}

/* Was it accepted before? One that was cut short is the caller's from now on. */
static enum err ask_once(struct sqlite_store *store, struct accept_job *accept)
{
	enum err err;

	accept->found = ONCE_NEW;
	if (!accept->once || accept->step != ACCEPT_BEGINS)
		return OK;
	err = once_find(store, accept->once, accept->region, &accept->found, &accept->answer);
	if (!err && accept->found == ONCE_CUT)
		err = once_run(store, accept->once, accept->now_ms);
	return err;
}

enum err sqlite_accept(void *self, struct accept_job *accept)
{
	struct sqlite_store *store = self;
	struct text body = { 0 };
	enum err err = ask_once(store, accept);

	if (err || accept->found != ONCE_NEW)
		return err;
	err = check(store, accept, &body);
	if (err)
		return err;
	if (accept->once)
		err = once_end(
			store, accept->once, accept->step == ACCEPT_FREES, 0, accept->now_ms);
	if (!err)
		err = put_message(store, accept);
	if (!err && accept->stored->has_body)
		err = put_body(store, sqlite3_last_insert_rowid(store->db), body);
	return err ? err : events_put(store, accept->events, accept->event_count);
}
