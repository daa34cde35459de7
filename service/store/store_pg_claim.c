/* Messages are handed out. Whoever is slower finds rows locked and takes
 * others: nobody waits for another replica here. */
#include <string.h>

#include "service/store/store_pg_own.h"

#include "service/clock.h"

/* Columns of a claim behind PG_COLUMNS. */
enum { WAS = PG_COLUMN_COUNT, CRC };

/* More than any message has. */
enum { NO_STRIKES = 1000000 };

/* ---- handing out */

static enum err note_turn(struct pg_store *store, const PGresult *result, int row)
{
	buf_clear(&store->lane);
	buf_clear(&store->lane_key);
	buf_add(&store->lane, pg_text(result, row, PG_LANE));
	buf_add(&store->lane_key, pg_text(result, row, PG_KEY));
	return store->lane.err ? store->lane.err : store->lane_key.err;
}

/* Also of one that cannot be read. */
static int64_t weight_of(const PGresult *result, int row)
{
	return pg_int(result, row, PG_SIZE) + pg_int(result, row, PG_MORE);
}

static enum message_state known_state(int64_t state)
{
	return state >= 0 && state < MESSAGE_STATES ? (enum message_state)state : MESSAGE_QUEUED;
}

/* What cannot be read is set aside, or it would be handed out for ever. */
static enum err set_aside(struct pg_store *store, struct claim_job *claim, const char *id,
	struct text key_id, int64_t weight)
{
	struct pg_values values = { 0 };
	struct event event;
	enum err err;

	if (claim->damaged_ids)
		memcpy(claim->damaged_ids[claim->damaged], id, DELIVERY_ID_LEN + 1);
	rules_tell_damaged(id, key_id, claim->now_ms, &store->course, &event);
	if (store->course.err)
		return store->course.err;
	pg_id(&values, id);
	pg_events_of(&values, &event, 1);
	err = pg_event_places(store, 1, &values);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	tally_move(&store->tally, key_id, weight, MESSAGE_SENDING, MESSAGE_HELD);
	tally_events(&store->tally, &event, 1, true);
	claim->damaged++;
	return pg_send(store, PG_SET_ASIDE, &values, NULL, NULL);
}

static enum err set_row_aside(
	struct pg_store *store, struct claim_job *claim, const PGresult *result, int row)
{
	char id[DELIVERY_ID_LEN + 1];

	id_from_bytes(pg_text(result, row, PG_ID), id);
	return set_aside(store, claim, id, pg_text(result, row, PG_KEY), weight_of(result, row));
}

static enum err read_claimed(
	const struct claim_job *claim, const PGresult *result, int row, struct stored **stored_out)
{
	struct stored *stored;
	enum err err = pg_row_read(result, row, &stored);

	if (err)
		return err;
	if (claim->has_body) {
		claim->bodies[claim->count] = (struct text){ 0 };
		err = pg_row_body(result, row, CRC, stored->region, &claim->bodies[claim->count]);
	}
	if (err) {
		stored_free(stored);
		return err;
	}
	*stored_out = stored;
	return OK;
}

static void count_down(const struct claim_job *claim, struct text lane)
{
	for (size_t i = 0; i < claim->narrow_count; i++)
		if (text_equal(claim->narrow[i].lane, lane) && claim->narrow[i].room > 0)
			claim->narrow[i].room--;
}

static enum err take_row(
	struct pg_store *store, struct claim_job *claim, const PGresult *result, int row)
{
	struct text key_id = pg_text(result, row, PG_KEY);
	enum err err = tally_make_room(&store->tally, key_id);

	if (!err)
		err = note_turn(store, result, row);
	if (err)
		return err;
	store->is_written = true;
	claim->bytes += (uint64_t)weight_of(result, row);
	tally_move(&store->tally, key_id, weight_of(result, row),
		known_state(pg_int(result, row, WAS)), MESSAGE_SENDING);
	err = read_claimed(claim, result, row, &claim->claimed[claim->count]);
	if (err == ERR_SYNTAX)
		return set_row_aside(store, claim, result, row);
	if (err)
		return err;
	claim->count++;
	count_down(claim, pg_text(result, row, PG_LANE));
	return OK;
}

static enum err take_rows(struct pg_store *store, const PGresult *result, void *context)
{
	struct claim_job *claim = context;
	enum err err = OK;

	for (int row = 0; row < PQntuples(result) && claim->count < claim->most && !err; row++)
		err = take_row(store, claim, result, row);
	return err;
}

/* What stands in the way of the others is read by itself. */
struct one {
	struct claim_job *claim;
	const PGresult *rows;
	int row;
};

static enum err take_one(struct pg_store *store, void *context, bool is_bare)
{
	const struct one *one = context;
	struct pg_values values = { 0 };
	PGresult *whole;
	enum err err;
	char id[DELIVERY_ID_LEN + 1];

	if (is_bare) /* which cannot be read */
		return take_row(store, one->claim, one->rows, one->row);
	id_from_bytes(pg_text(one->rows, one->row, PG_ID), id);
	pg_id(&values, id);
	pg_number(&values, pg_int(one->rows, one->row, WAS));
	pg_number(&values, one->claim->has_body);
	err = pg_ask(store, PG_CLAIMED, &values, &whole);
	if (err)
		return err;
	err = take_row(store, one->claim, whole, 0);
	PQclear(whole);
	return err;
}

static enum err take_each(struct pg_store *store, struct claim_job *claim, const PGresult *rows)
{
	enum err err = OK;

	for (int row = 0; row < PQntuples(rows) && claim->count < claim->most && !err; row++)
		err = pg_carefully(store, take_one, &(struct one){ claim, rows, row });
	return err;
}

/* ---- what is asked for */

struct round {
	struct claim_job *claim;
	size_t most;
	int64_t least; /* strikes */
};

static void add_lease(struct pg_store *store, const struct claim_job *claim, bool is_bare,
	struct pg_values *values)
{
	pg_number(values, claim->mark);
	pg_number(values, (int64_t)claim->token);
	pg_number(values, store->owner);
	pg_number(values, claim->lease_for_ms);
	pg_number(values, is_bare ? 2 : claim->has_body);
}

static enum err take_suspect(struct pg_store *store, const PGresult *result, void *context)
{
	if (PQntuples(result))
		suspicion_note(&store->suspicion, (int64_t)(now_us() / 1000));
	return take_rows(store, result, context);
}

static enum err hand_out(struct pg_store *store, enum pg_sql sql, struct pg_values *values,
	struct claim_job *claim, bool is_bare)
{
	bool is_suspect = sql == PG_SUSPECT;
	PGresult *rows;
	enum err err;

	if (!is_bare)
		return pg_send(store, sql, values, is_suspect ? take_suspect : take_rows, claim);
	err = pg_ask(store, sql, values, &rows);
	if (err)
		return err;
	if (is_suspect && PQntuples(rows))
		suspicion_note(&store->suspicion, (int64_t)(now_us() / 1000));
	err = take_each(store, claim, rows);
	PQclear(rows);
	return err;
}

/* One that a process has died over: then the other statement finds that it is out, and nothing,
 * unless others may come beside it. */
static enum err ask_suspect(struct pg_store *store, void *context, bool is_bare)
{
	const struct round *round = context;
	struct claim_job *claim = round->claim;
	struct pg_values values = { 0 };

	pg_closed_lanes(&values, claim);
	add_lease(store, claim, is_bare, &values);
	pg_number(&values, round->least);
	pg_resting_lanes(&values, claim);
	pg_number(&values, claim->now_ms);
	return hand_out(store, PG_SUSPECT, &values, claim, is_bare);
}

static enum err ask_claim(struct pg_store *store, void *context, bool is_bare)
{
	const struct round *round = context;
	struct claim_job *claim = round->claim;
	struct pg_values values = { 0 };

	pg_bytes(&values, buf_text(&store->lane));
	pg_bytes(&values, buf_text(&store->lane_key));
	pg_closed_lanes(&values, claim);
	pg_number(&values, (int64_t)round->most);
	add_lease(store, claim, is_bare, &values);
	pg_narrow_lanes(&values, claim);
	pg_number(&values, claim->most_bytes && claim->most_bytes < INT64_MAX
				   ? (int64_t)claim->most_bytes
				   : INT64_MAX);
	pg_number(&values, round->least);
	pg_resting_lanes(&values, claim);
	pg_number(&values, claim->now_ms);
	pg_number(&values, (int64_t)rules_over_most(claim));
	return hand_out(store, PG_CLAIM, &values, claim, is_bare);
}

static enum err send_suspect(struct pg_store *store, struct claim_job *claim, int64_t least)
{
	return pg_carefully(store, ask_suspect, &(struct round){ claim, 1, least });
}

static enum err send_claim(
	struct pg_store *store, struct claim_job *claim, size_t most, int64_t least)
{
	return pg_carefully(store, ask_claim, &(struct round){ claim, most, least });
}

/* Suspects, and nothing else while there are any. */
static enum err send_apart(struct pg_store *store, struct claim_job *claim)
{
	enum err err = send_suspect(store, claim, 1);

	return err ? err : send_claim(store, claim, claim->most, 1);
}

/* One suspect of more than one strike, and others. Where there is room for one, by chance. */
static enum err send_beside(struct pg_store *store, struct claim_job *claim)
{
	bool is_for_others = claim->most == 1 && claim->token % 2;
	enum err err = pg_send(store, PG_SUSPECT_NO_MORE, &(struct pg_values){ 0 }, NULL, NULL);

	if (!err && !is_for_others)
		err = send_suspect(store, claim, 2);
	if (!err && (is_for_others || claim->most > 1))
		err = send_claim(store, claim, claim->most - !is_for_others, NO_STRIKES);
	return err;
}

/* Others may be waiting behind a suspect; so may others whose time is over. */
static bool may_have_more(const struct claim_job *claim)
{
	size_t over = 0, most = rules_over_most(claim);

	for (size_t i = 0; i < claim->count; i++)
		over += rules_is_resting(claim, claim->claimed[i]->lane);
	return rules_is_full(claim) || (most && over >= most) ||
	       (claim->count && claim->claimed[0]->strikes > 0);
}

enum err pg_claim(void *self, struct claim_job *claim)
{
	struct pg_store *store = self;
	enum err err;

	claim->count = claim->damaged = 0;
	claim->bytes = 0;
	claim->has_more = false;
	if (claim->most == 0)
		return OK;
	err = suspicion_is_over(&store->suspicion, (int64_t)(now_us() / 1000))
		      ? send_beside(store, claim)
		      : send_apart(store, claim);
	if (!err)
		err = pg_drain(store);
	if (!err)
		claim->has_more = may_have_more(claim);
	return err;
}
