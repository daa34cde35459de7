/* Messages come in: the message, its bytes, its event, and the answer to its Idempotency-Key in one
 * statement, so that all of it is there, or nothing. What came of it is read later. */
#include "service/store/pack.h"
#include "service/store/store_pg_own.h"

static enum err pack(struct pg_store *store, const struct stored *stored)
{
	buf_clear(&store->head);
	buf_clear(&store->course);
	stored_pack_head(stored, &store->head);
	stored_pack_course(stored, &store->course);
	return store->head.err ? store->head.err : store->course.err;
}

/* Before anything is sent: can it be packed, and is there room? */
static enum err check(struct pg_store *store, struct accept_job *accept, struct text *body_out)
{
	const struct stored *stored = accept->stored;
	char id[ID_BYTES];
	enum err err = tally_make_room(&store->tally, stored->key_id);

	if (err)
		return err;
	if (!id_to_bytes(stored->id, id))
		return ERR_VALUE;
	err = pack(store, stored);
	if (err)
		return err;
	accept->weight = stored->size_bytes + stored_more_bytes(stored, store->head.len);
	if (!tally_admits(&store->tally, &store->limits, accept))
		return ERR_LIMIT;
	return rules_gather(accept, &store->body, body_out);
}

/* In the order of PG_ACCEPT's values. */
static enum err fill(struct pg_store *store, const struct accept_job *accept,
	enum message_state state, struct text body, struct pg_values *values)
{
	const struct stored *stored = accept->stored;
	bool is_leased = state == MESSAGE_SENDING;
	enum err err;

	pg_id(values, stored->id);
	pg_bytes(values, stored->key_id);
	pg_bytes(values, stored->lane);
	pg_number(values, state);
	pg_number(values, turn_of(state, stored->due_ms, accept->now_ms, 0));
	pg_number(values, stored->created_ms);
	pg_number(values, stored->due_ms);
	pg_number(values, stored->expires_ms);
	pg_number(values, stored->updated_ms);
	pg_number(values, (int64_t)stored->size_bytes);
	pg_number(values, stored->has_body);
	pg_number(values, is_leased ? 1 : stored->tries);
	pg_number(values, is_leased ? (int64_t)stored->token : 0);
	pg_number(values, is_leased ? store->owner : 0);
	pg_number(values, accept->lease_for_ms);
	pg_bytes(values, buf_text(&store->head));
	pg_bytes(values, buf_text(&store->course));
	pg_number(values, stored->attempt_count > 0);
	pg_number(values, pack_crc(0, body));
	pg_bytes(values, body);
	pg_events_of(values, accept->events, accept->event_count);
	err = pg_event_places(store, accept->event_count, values);
	pg_number(values, (int64_t)(accept->weight - stored->size_bytes));
	return err;
}

static void count_in(struct pg_store *store, const struct accept_job *accept, bool is_in)
{
	const struct stored *stored = accept->stored;
	enum message_state state = rules_state_of(stored, accept->now_ms);

	tally_move(&store->tally, stored->key_id, (int64_t)accept->weight,
		is_in ? MESSAGE_STATES : state, is_in ? state : MESSAGE_STATES);
	tally_events(&store->tally, accept->events, accept->event_count, is_in);
}

/* Was the key new? */
static enum err note_new(struct pg_store *store, const PGresult *result, void *context)
{
	struct accept_job *accept = context;

	accept->found = pg_int(result, 0, 0) ? ONCE_NEW : ONCE_RUNNING;
	if (accept->found != ONCE_NEW)
		count_in(store, accept, false);
	return OK;
}

/* The queue is full: what was accepted before is told nevertheless. */
static enum err note_full(struct pg_store *store, const PGresult *result, void *context)
{
	struct accept_job *accept = context;

	(void)store;
	if (accept->found == ONCE_CUT)
		return OK;
	if (PQntuples(result) == 0) {
		accept->job.err = ERR_LIMIT;
		return OK;
	}
	return pg_once_judge(accept->once, result, accept->region, &accept->found, &accept->answer);
}

static enum err ask_when_full(struct pg_store *store, struct accept_job *accept)
{
	enum err err;

	if (!accept->once || accept->step != ACCEPT_BEGINS)
		return ERR_LIMIT;
	err = pg_once_take_cut(store, accept->once, accept->now_ms, &accept->found);
	return err ? err : pg_once_get(store, accept->once, note_full, accept);
}

/* It was not: what became of the first one? */
static enum err note_found(struct pg_store *store, const PGresult *result, void *context)
{
	struct accept_job *accept = context;

	(void)store;
	if (accept->found != ONCE_RUNNING)
		return OK;
	return pg_once_judge(accept->once, result, accept->region, &accept->found, &accept->answer);
}

static enum err send_beginning(
	struct pg_store *store, struct accept_job *accept, struct pg_values *values)
{
	enum err err;

	pg_once_name(values, accept->once);
	pg_number(values, accept->now_ms);
	pg_number(values, store->owner);
	pg_bytes(values, (struct text){ (const char *)accept->once->hash, STORE_ONCE_HASH });
	pg_bytes(values, accept->once->answer);
	err = pg_send(store, PG_ACCEPT_ONCE, values, note_new, accept);
	if (!err)
		err = pg_once_take_cut(store, accept->once, accept->now_ms, &accept->found);
	return err ? err : pg_once_get(store, accept->once, note_found, accept);
}

static enum err send_values(
	struct pg_store *store, struct accept_job *accept, struct pg_values *values)
{
	enum err err = OK;

	if (accept->once && accept->step == ACCEPT_BEGINS)
		return send_beginning(store, accept, values);
	if (accept->once)
		err = pg_once_finish(
			store, accept->once, accept->step == ACCEPT_FREES, 0, accept->now_ms);
	if (err) {
		pg_values_free(values);
		return err;
	}
	return pg_send(store, PG_ACCEPT, values, NULL, NULL);
}

enum err pg_accept(void *self, struct accept_job *accept)
{
	struct pg_store *store = self;
	struct pg_values values = { 0 };
	enum message_state state = rules_state_of(accept->stored, accept->now_ms);
	struct text body = { 0 };
	enum err err = check(store, accept, &body);

	accept->job.err = OK;
	accept->found = ONCE_NEW;
	if (err == ERR_LIMIT)
		return ask_when_full(store, accept);
	if (!err)
		err = fill(store, accept, state, body, &values);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	err = send_values(store, accept, &values);
	if (err)
		return err;
	count_in(store, accept, true);
	pg_note_due(store, turn_of(state, accept->stored->due_ms, accept->now_ms, 0),
		accept->stored->due_ms);
	return OK;
}
