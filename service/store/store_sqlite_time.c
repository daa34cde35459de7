/* What time does: messages become due, leases end, and what is old is forgotten, some at a time. */
#include "service/clock.h"
#include "service/store/store_sqlite_own.h"

enum { LOOK_EVERY_MS = 1000, AT_A_TIME_MS = 2000 };

/* ---- becoming due */

static const enum message_state later_states[] = { MESSAGE_SCHEDULED, MESSAGE_QUEUED,
	MESSAGE_DEFERRED };
enum { LATER_STATES = sizeof(later_states) / sizeof(*later_states) };

/* Moves the message of a row of place, key_id, state, weight, strikes, created_ms. */
static enum err make_due(struct sqlite_store *store, sqlite3_stmt *row, enum message_state to)
{
	bool is_suspect = sqlite3_column_int64(row, 4) > 0;
	int64_t from = sqlite3_column_int64(row, 2);

	if (from < 0 || from >= MESSAGE_STATES)
		return ERR_SYNTAX;
	return row_move(store, sqlite3_column_int64(row, 0), sql_column(row, 1),
		sqlite3_column_int64(row, 3), sqlite3_column_int64(row, 5),
		(enum message_state)from, to, is_suspect ? TURN_SUSPECT : TURN_READY);
}

/* One row at a time: what is moved is in no index that it came from. */
static enum err ripen(struct sqlite_store *store, enum message_state state, struct tick *tick)
{
	enum message_state to = state == MESSAGE_SCHEDULED ? MESSAGE_QUEUED : state;
	bool is_any = true;
	enum err err = OK;

	while (!err && is_any && tick->ripe < STORE_RIPE_STEPS) {
		sqlite3_stmt *ripe = sql_use(store, SQL_RIPE);
		enum err end;

		sql_number(ripe, 1, state);
		sql_number(ripe, 2, tick->now_ms);
		is_any = sql_row(ripe);
		if (is_any) {
			err = make_due(store, ripe, to);
			tick->ripe++;
		}
		end = sql_end(store, ripe);
		err = err ? err : end;
	}
	return err;
}

static enum err next_due(struct sqlite_store *store, enum message_state state, struct tick *tick)
{
	sqlite3_stmt *next = sql_use(store, SQL_NEXT_DUE);

	sql_number(next, 1, state);
	if (sql_row(next) && sqlite3_column_int64(next, 0) < tick->next_ms)
		tick->next_ms = sqlite3_column_int64(next, 0);
	return sql_end(store, next);
}

/* ---- looked after once a second */

/* The process lives and nobody settled it: whoever had it lost it, and may be sending it. */
static enum err take_back_leases(struct sqlite_store *store, int64_t now, struct tick *tick)
{
	bool is_any = true;
	enum err err = OK;

	while (!err && is_any) {
		sqlite3_stmt *over = sql_use(store, SQL_LEASES_OVER);
		enum err end;

		sql_number(over, 1, now);
		is_any = sql_row(over);
		if (is_any) {
			sqlite3_stmt *doubt = sql_use(store, SQL_DOUBT);

			sql_number(doubt, 1, sqlite3_column_int64(over, 0));
			err = sql_run(store, doubt);
			if (!err)
				err = make_due(store, over, MESSAGE_DEFERRED);
			tick->ripe++;
		}
		end = sql_end(store, over);
		err = err ? err : end;
	}
	return err;
}

/* A clock was set back: nobody waits longer than the longest delay. What was noted in time waits as
 * long as it was told to, before a reload. */
static enum err hasten(struct sqlite_store *store, const struct tick *tick)
{
	sqlite3_stmt *hasten = sql_use(store, SQL_HASTEN);
	int64_t furthest;

	if (__builtin_add_overflow(tick->now_ms, tick->furthest_ms, &furthest))
		furthest = INT64_MAX;
	sql_number(hasten, 1, furthest);
	sql_number(hasten, 2, STORE_RIPE_STEPS);
	sql_number(hasten, 3, tick->now_ms + RULES_SKEW_MS);
	return sql_run(store, hasten);
}

/* A process that was stopped, or a container that was frozen, still has what it had: it is the
 * store's only owner, and its leases are as they were. */
static void live_on(struct sqlite_store *store)
{
	int64_t now = (int64_t)(now_us() / 1000), passed = now - store->seen_ms;

	if (store->seen_ms)
		store->alive_ms += passed < AT_A_TIME_MS ? passed : AT_A_TIME_MS;
	store->seen_ms = now;
}

static enum err look_after(struct sqlite_store *store, struct tick *tick)
{
	int64_t now = store->alive_ms;
	enum err err;

	if (store->looked_ms && now < store->looked_ms + LOOK_EVERY_MS && !tick->looks)
		return OK;
	store->looked_ms = now;
	err = take_back_leases(store, now, tick);
	return err ? err : hasten(store, tick);
}

enum err sqlite_tick(void *self, struct tick *tick)
{
	struct sqlite_store *store = self;
	enum err err;

	tick->ripe = 0;
	tick->next_ms = INT64_MAX;
	live_on(store);
	err = look_after(store, tick);
	for (int i = 0; i < LATER_STATES && !err; i++) {
		err = ripen(store, later_states[i], tick);
		if (!err)
			err = next_due(store, later_states[i], tick);
	}
	tick->has_more = tick->next_ms <= tick->now_ms;
	tick->event_bytes = tally_event_bytes(&store->tally);
	return err;
}

/* ---- forgetting */

static enum err forget(struct sqlite_store *store, sqlite3_stmt *row, enum message_state state)
{
	sqlite3_stmt *forget = sql_use(store, SQL_FORGET);
	sqlite3_stmt *drop = sql_use(store, SQL_BODY_DROP);
	struct text key_id = sql_column(row, 1);
	enum err err = sqlite_make_room(store, key_id);

	if (err)
		return err;
	sql_number(forget, 1, sqlite3_column_int64(row, 0));
	err = sql_run(store, forget);
	if (err)
		return err;
	sqlite_move(store, key_id, sqlite3_column_int64(row, 3), 0, state, MESSAGE_STATES);
	if (!sqlite3_column_int64(row, 4))
		return OK;
	sql_number(drop, 1, sqlite3_column_int64(row, 0));
	return sql_run(store, drop);
}

static enum err sweep_state(
	struct sqlite_store *store, enum message_state state, struct sweep *sweep, unsigned *left)
{
	bool is_any = true;
	enum err err = OK;

	while (!err && is_any && *left > 0) {
		sqlite3_stmt *settled = sql_use(store, SQL_SETTLED);
		enum err end;

		sql_number(settled, 1, state);
		sql_number(settled, 2, sweep->now_ms - rules_keep_ms(state, &sweep->keeps));
		is_any = sql_row(settled);
		if (is_any) {
			err = forget(store, settled, state);
			--*left;
		}
		end = sql_end(store, settled);
		err = err ? err : end;
	}
	return err;
}

static enum err drop_body(struct sqlite_store *store, int64_t place)
{
	sqlite3_stmt *drop = sql_use(store, SQL_BODY_DROP), *gone = sql_use(store, SQL_BODY_GONE);
	enum err err;

	sql_number(drop, 1, place);
	err = sql_run(store, drop);
	if (err)
		return err;
	sql_number(gone, 1, place);
	return sql_run(store, gone);
}

static enum err sweep_bodies(struct sqlite_store *store, struct sweep *sweep, unsigned *left)
{
	bool is_any = true;
	enum err err = OK;

	while (!err && is_any && *left > 0) {
		sqlite3_stmt *bodied = sql_use(store, SQL_BODIED);
		int64_t place;

		sql_number(bodied, 1, sweep->now_ms - sweep->keeps.body_ms);
		is_any = sql_row(bodied);
		place = is_any ? sqlite3_column_int64(bodied, 0) : 0;
		err = sql_end(store, bodied);
		if (!err && is_any) {
			err = drop_body(store, place);
			--*left;
		}
	}
	return err;
}

/* Statements that drop up to `left` rows up to `before`. */
static enum err sweep_rows(struct sqlite_store *store, enum sql sql, int64_t before, unsigned *left)
{
	sqlite3_stmt *statement = sql_use(store, sql);
	unsigned dropped;
	enum err err;

	sql_number(statement, 1, before);
	sql_number(statement, 2, *left);
	err = sql_run(store, statement);
	if (err)
		return err;
	dropped = (unsigned)sqlite3_changes(store->db);
	*left -= dropped < *left ? dropped : *left;
	return OK;
}

enum err sqlite_sweep(void *self, struct sweep *sweep)
{
	struct sqlite_store *store = self;
	unsigned left = STORE_SWEEP_STEPS;
	enum err err = sweep_bodies(store, sweep, &left);

	for (unsigned state = 0; state < MESSAGE_STATES && !err; state++)
		if (message_state_is_settled(state))
			err = sweep_state(store, state, sweep, &left);
	if (!err && left)
		err = sweep_rows(
			store, SQL_ONCE_SWEEP, sweep->now_ms - sweep->keeps.once_ms, &left);
	if (!err && left)
		err = log_sweep(store, sweep, &left);
	sweep->has_more = left == 0;
	return err ? err : log_shed(store, sweep);
}

/* ---- at the start */

/* The process that died had written their MAIL. */
static enum err mark_struck(struct sqlite_store *store)
{
	char id[DELIVERY_ID_LEN + 1];
	enum err err = OK;
	size_t place = 0;

	while (!err && store->strikes && strikes_left(store->strikes, &place, id)) {
		sqlite3_stmt *struck = sql_use(store, SQL_STRUCK);

		if (sql_id(struck, 1, id))
			err = sql_run(store, struck);
	}
	return err;
}

/* Where it left no word of what it had written, it may have written all. */
static enum err void_all(struct sqlite_store *store)
{
	sqlite3_stmt *all = sql_use(store, SQL_VOID);

	sql_number(all, 1, !store->strikes || !strikes_are_known(store->strikes));
	return sql_run(store, all);
}

enum err sqlite_void_leases(struct sqlite_store *store)
{
	enum err err = mark_struck(store);

	if (!err)
		err = void_all(store);
	tally_move_all(&store->tally, MESSAGE_SENDING, MESSAGE_DEFERRED);
	if (!err)
		err = sql_run(store, sql_use(store, SQL_ONCE_CUT));
	return err ? err : sql_run(store, sql_use(store, SQL_NOTE_VOID));
}
