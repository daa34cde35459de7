/* Verdicts, and what people decide: the message, its bytes and its events change together. */
#include "service/store/store_sqlite_own.h"

static enum err drop_body(struct sqlite_store *store, int64_t place)
{
	sqlite3_stmt *drop = sql_use(store, SQL_BODY_DROP);

	sql_number(drop, 1, place);
	return sql_run(store, drop);
}

static enum err pack_course(struct sqlite_store *store, const struct stored *stored)
{
	buf_clear(&store->course);
	stored_pack_course(stored, &store->course);
	return store->course.err;
}

/* ---- verdicts */

static enum err put_verdict(
	struct sqlite_store *store, const struct settle_job *settle, bool keeps_body)
{
	const struct stored *stored = settle->stored;
	sqlite3_stmt *put = sql_use(store, SQL_SETTLE);
	enum err err;

	sql_number(put, 1, stored->place);
	sql_number(put, 2, (int64_t)stored->token);
	sql_number(put, 3, stored->state);
	sql_number(put, 4, turn_of(stored->state, stored->due_ms, settle->now_ms, 0));
	sql_text(put, 5, stored->lane);
	sql_number(put, 6, stored->due_ms);
	sql_number(put, 7, stored->expires_ms);
	sql_number(put, 8, settle->now_ms);
	sql_number(put, 9, keeps_body);
	sql_bytes(put, 10, buf_text(&store->course));
	sql_number(put, 11, stored->maybe_sent);
	err = sql_run(store, put);
	return err ? err : sqlite3_changes(store->db) == 1 ? OK : ERR_VALUE;
}

static enum err settle_part(struct sqlite_store *store, const struct settle_job *settle)
{
	const struct stored *stored = settle->stored;
	sqlite3_stmt *put = sql_use(store, SQL_SETTLE_PART);
	enum err err = pack_course(store, stored);

	sql_number(put, 1, stored->place);
	sql_number(put, 2, (int64_t)stored->token);
	sql_bytes(put, 3, buf_text(&store->course));
	if (!err)
		err = sql_run(store, put);
	if (err)
		return err;
	return sqlite3_changes(store->db) == 1
		       ? events_put(store, settle->events, settle->event_count)
		       : ERR_VALUE;
}

enum err sqlite_settle(void *self, struct settle_job *settle)
{
	struct sqlite_store *store = self;
	const struct stored *stored = settle->stored;
	bool keeps_body = rules_keeps_body(stored, settle->keep_body);
	enum err err;

	if (!stored->token || settle->goes_on != (stored->state == MESSAGE_SENDING))
		return ERR_VALUE;
	if (settle->goes_on)
		return settle_part(store, settle);
	err = sqlite_make_room(store, stored->key_id);
	if (!err)
		err = pack_course(store, stored);
	if (!err)
		err = put_verdict(store, settle, keeps_body);
	if (err)
		return err;
	sqlite_move(store, stored->key_id, (int64_t)stored_weight(stored), stored->created_ms,
		MESSAGE_SENDING, stored->state);
	if (stored->has_body && !keeps_body)
		err = drop_body(store, stored->place);
	return err ? err : events_put(store, settle->events, settle->event_count);
}

/* ---- decisions */

static enum err put_change(struct sqlite_store *store, const struct change_job *change,
	const struct stored *stored, bool keeps_body)
{
	sqlite3_stmt *put = sql_use(store, SQL_CHANGE);

	sql_number(put, 1, stored->place);
	sql_number(put, 2, stored->state);
	sql_number(put, 3, turn_of(stored->state, stored->due_ms, change->now_ms, 0));
	sql_number(put, 4, stored->due_ms);
	sql_number(put, 5, stored->expires_ms);
	sql_number(put, 6, change->now_ms);
	sql_number(put, 7, keeps_body);
	sql_bytes(put, 8, buf_text(&store->course));
	sql_number(put, 9, stored->maybe_sent);
	return sql_run(store, put);
}

static enum err carry_out(struct sqlite_store *store, struct change_job *change,
	struct stored *stored, enum turn turn)
{
	enum message_state from = stored->state;
	enum err err = rules_change(change, stored, turn);
	bool keeps_body = rules_keeps_body(stored, change->keep_body);

	if (!err)
		err = sqlite_make_room(store, stored->key_id);
	if (!err && message_state_is_settled(from) && !message_state_is_settled(stored->state))
		change->full = tally_full(
			&store->tally, &store->limits, stored->key_id, stored_weight(stored));
	if (!err && change->full)
		err = ERR_LIMIT;
	if (!err)
		err = pack_course(store, stored);
	if (!err)
		err = put_change(store, change, stored, keeps_body);
	if (err)
		return err;
	sqlite_move(store, stored->key_id, (int64_t)stored_weight(stored), stored->created_ms, from,
		stored->state);
	change->state = stored->state;
	if (stored->has_body && !keeps_body)
		err = drop_body(store, stored->place);
	return err ? err : events_put(store, change->events, change->event_count);
}

/* A held one whose bytes cannot be read would only be set aside again. */
static enum err judge_body(
	struct sqlite_store *store, const struct change_job *change, struct stored *stored)
{
	struct text body;
	enum err err;

	if (change->change != CHANGE_RETRY || stored->state != MESSAGE_HELD || !stored->has_body)
		return OK;
	err = body_read(store, stored->place, stored->region, &body);
	if (err != ERR_SYNTAX || store->is_failed)
		return err;
	stored->is_damaged = true;
	return OK;
}

enum err sqlite_change(void *self, struct change_job *change)
{
	struct sqlite_store *store = self;
	struct stored *stored = NULL;
	enum turn turn;
	enum err err = row_find(store, change->id, change->key_id, &stored, &turn);

	change->lacks_body = change->is_damaged = false;
	if (err)
		return err;
	change->state = stored->state;
	err = judge_body(store, change, stored);
	if (!err)
		err = carry_out(store, change, stored, turn);
	stored_free(stored);
	return err;
}
