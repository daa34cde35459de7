/* Messages are handed out, held, and given back. */
#include <string.h>

#include "service/store/store_sqlite_own.h"

/* Leases end with the process anyway, and by a clock that stands still when it does. */
static int64_t lease_end(const struct sqlite_store *store, int64_t for_ms)
{
	return store->alive_ms + for_ms;
}

/* ---- whose turn it is */

/* NULL: there is room for as many as come. */
static struct narrow_lane *find_narrow(const struct claim_job *claim, struct text lane)
{
	for (size_t i = 0; i < claim->narrow_count; i++)
		if (text_equal(claim->narrow[i].lane, lane))
			return &claim->narrow[i];
	return NULL;
}

static bool is_closed(const struct claim_job *claim, struct text lane)
{
	const struct narrow_lane *narrow = find_narrow(claim, lane);

	return rules_is_resting(claim, lane) || (narrow && narrow->room == 0);
}

/* What waits for a relay that rests comes all the same when its time is over: it is told so. */
static bool is_over(const struct claim_job *claim, struct text lane, int64_t expires_ms)
{
	return claim->now_ms >= expires_ms && rules_is_resting(claim, lane);
}

static enum err note_turn(struct sqlite_store *store, struct text lane, struct text key_id)
{
	buf_clear(&store->lane);
	buf_clear(&store->lane_key);
	buf_add(&store->lane, lane);
	buf_add(&store->lane_key, key_id);
	store->has_lane = true;
	return store->lane.err ? store->lane.err : store->lane_key.err;
}

/* Where the next message is looked for. */
enum step {
	STEP_KEY,   /* of the next key of this lane */
	STEP_LANE,  /* of the next lane */
	STEP_START, /* of the first of all */
};

static sqlite3_stmt *next_in_turn(struct sqlite_store *store, enum step step)
{
	static const enum sql sqls[] = { SQL_CLAIM_NEXT, SQL_CLAIM_NEXT_LANE, SQL_CLAIM_FIRST };
	sqlite3_stmt *next = sql_use(store, sqls[step]);

	if (step != STEP_START)
		sql_text(next, 1, buf_text(&store->lane));
	if (step == STEP_KEY)
		sql_text(next, 2, buf_text(&store->lane_key));
	return next;
}

/* ---- handing out */

static enum err lease(struct sqlite_store *store, struct claim_job *claim, struct stored *stored)
{
	sqlite3_stmt *lease = sql_use(store, SQL_LEASE);
	enum err err = sqlite_make_room(store, stored->key_id);

	if (err)
		return err;
	sql_number(lease, 1, stored->place);
	sql_number(lease, 2, claim->mark);
	sql_number(lease, 3, (int64_t)claim->token);
	sql_number(lease, 4, lease_end(store, claim->lease_for_ms));
	err = sql_run(store, lease);
	if (err)
		return err;
	sqlite_move(store, stored->key_id, (int64_t)stored_weight(stored), stored->created_ms,
		stored->state, MESSAGE_SENDING);
	stored->state = MESSAGE_SENDING;
	stored->tries++;
	stored->token = claim->token;
	claim->bytes += stored_weight(stored);
	if (claim->has_body) {
		claim->bodies[claim->count] = (struct text){ 0 };
		err = body_read(store, stored->place, stored->region, &claim->bodies[claim->count]);
	}
	return err;
}

/* What cannot be read is set aside, or it would be handed out for ever. */
static enum err set_aside(
	struct sqlite_store *store, struct claim_job *claim, const struct stored *stored)
{
	struct event event;
	enum err err;

	if (claim->damaged_ids)
		memcpy(claim->damaged_ids[claim->damaged], stored->id, sizeof(stored->id));
	claim->damaged++;
	err = row_move(store, stored->place, stored->key_id, (int64_t)stored_weight(stored),
		stored->created_ms, stored->state, MESSAGE_HELD, TURN_HELD);
	rules_tell_damaged(stored->id, stored->key_id, claim->now_ms, &store->course, &event);
	if (!err)
		err = store->course.err;
	return err ? err : events_put(store, &event, 1);
}

/* The same of a row as such. */
static enum err set_row_aside(
	struct sqlite_store *store, struct claim_job *claim, sqlite3_stmt *row)
{
	int64_t state = sqlite3_column_int64(row, ROW_STATE);
	struct stored known = { .place = sqlite3_column_int64(row, ROW_PLACE),
		.key_id = sql_column(row, ROW_KEY),
		.size_bytes = (uint64_t)sqlite3_column_int64(row, ROW_SIZE),
		.more_bytes = (uint64_t)sqlite3_column_int64(row, ROW_MORE),
		.created_ms = sqlite3_column_int64(row, ROW_CREATED),
		.state = state >= 0 && state < MESSAGE_STATES ? (enum message_state)state
							      : MESSAGE_QUEUED };
	enum err err, end;

	id_from_bytes(sql_column(row, ROW_ID), known.id);
	err = set_aside(store, claim, &known);
	end = sql_end(store, row);
	return err ? err : end;
}

/* The row that the statement stands on; ends the statement. */
static enum err take(struct sqlite_store *store, struct claim_job *claim, sqlite3_stmt *row)
{
	struct narrow_lane *narrow = find_narrow(claim, sql_column(row, ROW_LANE));
	struct stored *stored = NULL;
	enum err err = row_read(row, &stored), end;

	if (err == ERR_SYNTAX)
		return set_row_aside(store, claim, row);
	end = sql_end(store, row);
	if (!err)
		err = end ? end : lease(store, claim, stored);
	if (err == ERR_SYNTAX && !store->is_failed) { /* its bytes */
		err = set_aside(store, claim, stored);
		stored_free(stored);
		return err;
	}
	if (err) {
		stored_free(stored);
		return err;
	}
	if (narrow)
		narrow->room--;
	claim->claimed[claim->count++] = stored;
	return OK;
}

/* One that a process died over so many times. *took_out: there was one. */
static enum err claim_suspect_of(
	struct sqlite_store *store, struct claim_job *claim, int64_t strikes, bool *took_out)
{
	sqlite3_stmt *suspects = sql_use(store, SQL_SUSPECTS);
	enum err err = OK, end;

	sql_number(suspects, 1, strikes);
	while (sql_row(suspects)) {
		if (is_closed(claim, sql_column(suspects, ROW_LANE)) &&
			!is_over(claim, sql_column(suspects, ROW_LANE),
				sqlite3_column_int64(suspects, ROW_EXPIRES)))
			continue;
		err = note_turn(
			store, sql_column(suspects, ROW_LANE), sql_column(suspects, ROW_KEY));
		if (err)
			break;
		*took_out = true;
		suspicion_note(&store->suspicion, store->alive_ms);
		return take(store, claim, suspects);
	}
	end = sql_end(store, suspects);
	return err ? err : end;
}

/* Of those that it died over the most. */
static enum err claim_suspect(struct sqlite_store *store, struct claim_job *claim, bool *took_out)
{
	sqlite3_stmt *worst = sql_use(store, SQL_SUSPECT_WORST);
	int64_t strikes = sql_row(worst) ? sqlite3_column_int64(worst, 0) : 0;
	enum err err = sql_end(store, worst);

	*took_out = false;
	for (; !err && strikes > 0 && !*took_out; strikes--)
		err = claim_suspect_of(store, claim, strikes, took_out);
	return err;
}

/* `least`: strikes from which on it counts. */
static enum err is_suspect_out(struct sqlite_store *store, int64_t least, bool *is_out)
{
	sqlite3_stmt *out = sql_use(store, SQL_SUSPECT_OUT);
	int64_t strikes = sql_row(out) ? sqlite3_column_int64(out, 0) : 0;

	*is_out = strikes >= least &&
		  store->alive_ms - store->suspicion.last_ms < rules_alone_ms(strikes);
	return sql_end(store, out);
}

/* *alone_out: nothing else is to come beside a suspect, one of these or one that is out. */
static enum err claim_suspects(struct sqlite_store *store, struct claim_job *claim, bool *alone_out)
{
	bool is_over = suspicion_is_over(&store->suspicion, store->alive_ms);
	bool is_out = false, took = false;
	enum err err = OK;

	if (is_over)
		err = sql_run(store, sql_use(store, SQL_SUSPECT_NO_MORE));
	if (!err)
		err = is_suspect_out(store, is_over ? 2 : 1, &is_out);
	if (!err && !is_out)
		err = claim_suspect(store, claim, &took);
	*alone_out = (is_out || took) && !is_over;
	claim->has_more = !err && took;
	return err;
}

/* Whose time is over though its relay rests, of those that have waited the longest since. */
static enum err claim_over(struct sqlite_store *store, struct claim_job *claim)
{
	size_t most = rules_over_most(claim), lane = 0;
	enum err err = OK;

	while (!err && lane < claim->resting_count && claim->count < most &&
		!rules_is_full(claim)) {
		sqlite3_stmt *over = sql_use(store, SQL_CLAIM_OVER);

		sql_text(over, 1, claim->resting[lane]);
		sql_number(over, 2, claim->now_ms);
		if (sql_row(over)) {
			err = take(store, claim, over);
			continue;
		}
		err = sql_end(store, over);
		lane++;
	}
	claim->has_more = claim->has_more || (most && claim->count == most);
	return err;
}

/* The row that the statement stands on is taken, unless it has to wait for its relay. */
static enum err take_in_turn(
	struct sqlite_store *store, struct claim_job *claim, sqlite3_stmt *row, bool *rests_out)
{
	enum err err = note_turn(store, sql_column(row, ROW_LANE), sql_column(row, ROW_KEY)), end;

	*rests_out = is_closed(claim, buf_text(&store->lane));
	if (!err && !*rests_out)
		return take(store, claim, row);
	end = sql_end(store, row);
	return err ? err : end;
}

/* Around the circle of keys, one of each at a time, until there are enough, or a whole round gave
 * none. */
static enum err claim_in_turn(struct sqlite_store *store, struct claim_job *claim)
{
	enum step step = store->has_lane ? STEP_KEY : STEP_START;
	bool found = false, is_whole_round = step == STEP_START, rests;
	enum err err = OK;

	while (!err && !rules_is_full(claim)) {
		sqlite3_stmt *next = next_in_turn(store, step);

		if (sql_row(next)) {
			err = take_in_turn(store, claim, next, &rests);
			found = found || !rests;
			step = rests ? STEP_LANE : STEP_KEY;
			continue;
		}
		err = sql_end(store, next);
		if (step == STEP_START || (step == STEP_LANE && is_whole_round && !found))
			break;
		if (step == STEP_LANE) {
			is_whole_round = true;
			found = false;
		}
		step++;
	}
	claim->has_more = claim->has_more || rules_is_full(claim);
	return err;
}

enum err sqlite_claim(void *self, struct claim_job *claim)
{
	struct sqlite_store *store = self;
	bool is_alone = false;
	enum err err;

	claim->count = claim->damaged = 0;
	claim->bytes = 0;
	claim->has_more = false;
	if (claim->most == 0)
		return OK;
	err = claim_suspects(store, claim, &is_alone);
	if (err || is_alone)
		return err;
	err = claim_over(store, claim);
	return err ? err : claim_in_turn(store, claim);
}

/* ---- holding */

static enum err hold(struct sqlite_store *store, sqlite3_stmt *statement)
{
	enum err err = sql_run(store, statement);

	return err ? err : sqlite3_changes(store->db) == 1 ? OK : ERR_VALUE;
}

enum err sqlite_fence(void *self, struct fence_job *fence)
{
	struct sqlite_store *store = self;
	sqlite3_stmt *statement = sql_use(store, SQL_FENCE);

	if (!fence->token || !sql_id(statement, 1, fence->id))
		return ERR_VALUE;
	sql_number(statement, 2, (int64_t)fence->token);
	sql_number(statement, 3, fence->mark);
	sql_number(statement, 4, lease_end(store, fence->lease_for_ms));
	return hold(store, statement);
}

enum err sqlite_renew(void *self, struct renew_job *renew)
{
	struct sqlite_store *store = self;
	enum err err = OK;

	for (size_t i = 0; i < renew->count && (!err || err == ERR_VALUE); i++) {
		struct lease *lease = &renew->leases[i];
		sqlite3_stmt *statement = sql_use(store, SQL_RENEW);

		lease->is_lost = true;
		if (!lease->token || !sql_id(statement, 1, lease->id))
			continue;
		sql_number(statement, 2, (int64_t)lease->token);
		sql_number(statement, 3, lease_end(store, renew->lease_for_ms));
		err = hold(store, statement);
		lease->is_lost = err == ERR_VALUE;
	}
	return err == ERR_VALUE ? OK : err;
}

/* ---- giving back */

static enum err give_back(
	struct sqlite_store *store, const struct release_job *release, const struct stored *stored)
{
	enum message_state state = stored->attempt_count > 0 ? MESSAGE_DEFERRED : MESSAGE_QUEUED;
	sqlite3_stmt *statement = sql_use(store, SQL_RELEASE);
	enum err err = sqlite_make_room(store, stored->key_id);

	if (err)
		return err;
	sql_number(statement, 1, stored->place);
	sql_number(statement, 2, state);
	sql_number(statement, 3, turn_of(state, release->due_ms, release->now_ms, stored->strikes));
	sql_text(statement, 4, release->lane);
	sql_number(statement, 5, release->due_ms);
	sql_number(statement, 6, release->now_ms);
	err = sql_run(store, statement);
	if (!err)
		sqlite_move(store, stored->key_id, (int64_t)stored_weight(stored),
			stored->created_ms, MESSAGE_SENDING, state);
	return err;
}

enum err sqlite_release(void *self, struct release_job *release)
{
	struct sqlite_store *store = self;
	struct stored *stored = NULL;
	enum turn turn;
	enum err err = row_find(store, release->id, (struct text){ 0 }, &stored, &turn);

	if (err)
		return err;
	if (turn != TURN_LEASED || stored->token != release->token)
		err = ERR_VALUE;
	if (!err)
		err = give_back(store, release, stored);
	stored_free(stored);
	return err;
}
