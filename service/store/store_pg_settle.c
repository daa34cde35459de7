/* Verdicts, and what people decide: the message, its bytes and its events change together. */
#include "service/store/store_pg_own.h"

static enum err pack_course(struct pg_store *store, const struct stored *stored)
{
	buf_clear(&store->course);
	stored_pack_course(stored, &store->course);
	return store->course.err;
}

/* ---- verdicts */

/* It was counted as settled when it was sent. */
static enum err note_settled(struct pg_store *store, const PGresult *result, void *context)
{
	struct settle_job *settle = context;
	const struct stored *stored = settle->stored;

	if (pg_int(result, 0, 0) == 1)
		return OK;
	settle->job.err = ERR_VALUE;
	tally_move(&store->tally, stored->key_id, (int64_t)stored_weight(stored), stored->state,
		MESSAGE_SENDING);
	tally_events(&store->tally, settle->events, settle->event_count, false);
	return OK;
}

static enum err send_settle(struct pg_store *store, struct settle_job *settle)
{
	const struct stored *stored = settle->stored;
	enum turn turn = turn_of(stored->state, stored->due_ms, settle->now_ms, 0);
	struct pg_values values = { 0 };
	enum err err;

	pg_id(&values, stored->id);
	pg_number(&values, (int64_t)stored->token);
	pg_number(&values, stored->state);
	pg_number(&values, turn);
	pg_bytes(&values, stored->lane);
	pg_number(&values, stored->due_ms);
	pg_number(&values, stored->expires_ms);
	pg_number(&values, settle->now_ms);
	pg_number(&values, rules_keeps_body(stored, settle->keep_body));
	pg_bytes(&values, buf_text(&store->course));
	pg_number(&values, stored->maybe_sent);
	pg_number(&values, stored->attempt_count > 0);
	pg_events_of(&values, settle->events, settle->event_count);
	err = pg_event_places(store, settle->event_count, &values);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	err = pg_send(store, PG_SETTLE, &values, note_settled, settle);
	if (!err)
		pg_note_due(store, turn, stored->due_ms);
	return err;
}

static enum err note_part_settled(struct pg_store *store, const PGresult *result, void *context)
{
	struct settle_job *settle = context;

	if (pg_int(result, 0, 0) == 1)
		return OK;
	settle->job.err = ERR_VALUE;
	tally_events(&store->tally, settle->events, settle->event_count, false);
	return OK;
}

static enum err settle_part(struct pg_store *store, struct settle_job *settle)
{
	const struct stored *stored = settle->stored;
	struct pg_values values = { 0 };
	enum err err = pack_course(store, stored);

	if (err)
		return err;
	pg_id(&values, stored->id);
	pg_number(&values, (int64_t)stored->token);
	pg_bytes(&values, buf_text(&store->course));
	pg_events_of(&values, settle->events, settle->event_count);
	err = pg_event_places(store, settle->event_count, &values);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	err = pg_send(store, PG_SETTLE_PART, &values, note_part_settled, settle);
	if (!err)
		tally_events(&store->tally, settle->events, settle->event_count, true);
	return err;
}

enum err pg_settle(void *self, struct settle_job *settle)
{
	struct pg_store *store = self;
	const struct stored *stored = settle->stored;
	enum err err;

	settle->job.err = OK;
	if (!stored->token || settle->goes_on != (stored->state == MESSAGE_SENDING))
		return ERR_VALUE;
	if (settle->goes_on)
		return settle_part(store, settle);
	err = tally_make_room(&store->tally, stored->key_id);
	if (!err)
		err = pack_course(store, stored);
	if (!err)
		err = send_settle(store, settle);
	if (err)
		return err;
	tally_move(&store->tally, stored->key_id, (int64_t)stored_weight(stored), MESSAGE_SENDING,
		stored->state);
	tally_events(&store->tally, settle->events, settle->event_count, true);
	return OK;
}

/* ---- decisions */

static enum err put_change(
	struct pg_store *store, const struct change_job *change, const struct stored *stored)
{
	struct pg_values values = { 0 };
	enum err err;

	pg_id(&values, stored->id);
	pg_number(&values, stored->state);
	pg_number(&values, turn_of(stored->state, stored->due_ms, change->now_ms, 0));
	pg_number(&values, stored->due_ms);
	pg_number(&values, stored->expires_ms);
	pg_number(&values, change->now_ms);
	pg_number(&values, rules_keeps_body(stored, change->keep_body));
	pg_bytes(&values, buf_text(&store->course));
	pg_events_of(&values, change->events, change->event_count);
	err = pg_event_places(store, change->event_count, &values);
	pg_number(&values, stored->maybe_sent);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	return pg_send(store, PG_CHANGE, &values, NULL, NULL);
}

static enum err carry_out(
	struct pg_store *store, struct change_job *change, struct stored *stored, enum turn turn)
{
	enum message_state from = stored->state;
	enum err err = rules_change(change, stored, turn);

	if (!err)
		err = tally_make_room(&store->tally, stored->key_id);
	if (!err && message_state_is_settled(from) && !message_state_is_settled(stored->state))
		change->full = tally_full(
			&store->tally, &store->limits, stored->key_id, stored_weight(stored));
	if (!err && change->full)
		err = ERR_LIMIT;
	if (!err)
		err = pack_course(store, stored);
	if (!err)
		err = put_change(store, change, stored);
	if (err)
		return err;
	tally_move(
		&store->tally, stored->key_id, (int64_t)stored_weight(stored), from, stored->state);
	tally_events(&store->tally, change->events, change->event_count, true);
	change->state = stored->state;
	return OK;
}

/* A held one whose bytes cannot be read would only be set aside again. */
static enum err judge_body(
	struct pg_store *store, const struct change_job *change, struct stored *stored)
{
	struct text body;
	enum err err;

	if (change->change != CHANGE_RETRY || stored->state != MESSAGE_HELD || !stored->has_body)
		return OK;
	err = pg_read_body(store, stored->id, stored->region, &body);
	if (err != ERR_SYNTAX)
		return err;
	stored->is_damaged = true;
	return OK;
}

/* The row is locked: nobody claims it meanwhile. */
enum err pg_change(void *self, struct change_job *change)
{
	struct pg_store *store = self;
	struct stored *stored = NULL;
	enum turn turn;
	enum err err =
		pg_row_find(store, PG_FIND_LOCKED, change->id, change->key_id, &stored, &turn);

	change->job.err = OK;
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
