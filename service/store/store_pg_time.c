/* What time does: messages become due, leases end, and what is old is forgotten, some at a time.
 * All replicas do it, each what no other one has locked. */
#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum {
	LOOK_EVERY_US = 1000000,
	BEAT_EVERY_US = 10000000,
	/* Renewed every 10 s, a lease lasts 20 s more at the least. Of these a look may wait 10 s
	 * for what it asks, so that no lease ends unseen between two looks that are nearer. */
	QUIET_US = 5000000,
	DEAD_MS = 60000, /* nothing was heard of a replica for so long */
	FORGOTTEN_MS = 86400000,
};

/* Whoever else was cut off is back by then, and has a second or more to write what it could not. */
_Static_assert(PG_SETTLING_US >= PG_BACKOFF_MOST_US + PG_CONNECT_US + 2000000, "it is too short");

static const enum message_state later_states[] = { MESSAGE_SCHEDULED, MESSAGE_QUEUED,
	MESSAGE_DEFERRED };
enum { LATER_STATES = sizeof(later_states) / sizeof(*later_states) };

/* ---- becoming due */

static enum err note_next(struct pg_store *store, const PGresult *result, void *context)
{
	struct tick *tick = context;

	(void)store;
	tick->next_ms = PQntuples(result) == 1 && !PQgetisnull(result, 0, 0) ? pg_int(result, 0, 0)
									     : INT64_MAX;
	return OK;
}

static enum err send_ripen(struct pg_store *store, struct tick *tick)
{
	enum err err = OK;

	for (int i = 0; i < LATER_STATES && !err; i++) {
		struct pg_values values = { 0 };

		pg_number(&values, later_states[i]);
		pg_number(&values, tick->now_ms);
		pg_number(&values, STORE_RIPE_STEPS);
		err = pg_send(store, PG_RIPEN, &values, pg_tally_moved, &tick->ripe);
	}
	return err ? err : pg_send(store, PG_NEXT_DUE, NULL, note_next, tick);
}

/* ---- looked after once a second */

/* A server notes in its control file that it has started, recovered or been promoted (and that a
 * checkpoint is done, every few minutes): the others come back then, and so much we wait as well.
 * Where nobody can say, too: that holds up only leases that are over when we start. */
enum err pg_find_calm(struct pg_store *store)
{
	static const char words[] = /* it counts whole seconds */
		"SELECT clock_timestamp() - pg_control_last_modified > '11 s' FROM "
		"pg_control_system()";
	PGresult *result;
	bool is_well;

	_Static_assert(PG_SETTLING_US == 10000000, "so it is in the statement, and a second more");
	if (!pg_plain(store, words, &result))
		return ERR_IO;
	is_well = PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't';
	PQclear(result);
	store->well_us = is_well ? now_us() : 0;
	return OK;
}

/* Where we could not write for some seconds, others may not have been able to, either: leases may
 * be over that nobody could renew, ours among them. What their owners have to write they write now:
 * nobody takes anything from them yet. */
static bool is_calm(struct pg_store *store)
{
	if (store->looked_us > store->well_us + QUIET_US)
		store->calm_us = store->looked_us + PG_SETTLING_US;
	return store->looked_us >= store->calm_us;
}

/* Whoever held them is dead, or stands still, or was cut off. That counts as a strike where MAIL
 * may have been written, unless we had it ourselves: nobody died then. */
static enum err send_leases_over(struct pg_store *store, struct tick *tick)
{
	struct pg_values values = { 0 };

	pg_number(&values, store->owner);
	pg_number(&values, STORE_RIPE_STEPS);
	return pg_send(store, PG_LEASES_OVER, &values, pg_tally_moved, &tick->ripe);
}

static enum err note_written(struct pg_store *store, const PGresult *result, void *context)
{
	const char *count = PQcmdTuples((PGresult *)result);

	(void)context;
	store->is_written = store->is_written || (*count && *count != '0');
	return OK;
}

/* A clock was set back: nobody waits longer than the longest delay. What was noted in time waits as
 * long as it was told to, by another replica or before a reload. */
static enum err send_hasten(struct pg_store *store, const struct tick *tick)
{
	struct pg_values values = { 0 };
	int64_t furthest;

	if (__builtin_add_overflow(tick->now_ms, tick->furthest_ms, &furthest))
		furthest = INT64_MAX;
	pg_number(&values, furthest);
	pg_number(&values, STORE_RIPE_STEPS);
	pg_number(&values, tick->now_ms + RULES_SKEW_MS);
	return pg_send(store, PG_HASTEN, &values, note_written, NULL);
}

/* Who was not seen for long is not there. */
static enum err send_deaths(struct pg_store *store)
{
	struct pg_values cut = { 0 }, sweep = { 0 };
	enum err err;

	store->deaths_us = store->looked_us;
	store->is_written = true;
	pg_number(&cut, DEAD_MS);
	err = pg_send(store, PG_ONCE_CUT, &cut, NULL, NULL);
	if (err)
		return err;
	pg_number(&sweep, FORGOTTEN_MS);
	return pg_send(store, PG_REPLICA_SWEEP, &sweep, NULL, NULL);
}

static enum err look_after(struct pg_store *store, struct tick *tick)
{
	enum err err = OK;
	bool calm;

	store->looked_us = now_us();
	calm = is_calm(store);
	if (calm)
		err = send_leases_over(store, tick);
	if (!err)
		err = send_hasten(store, tick);
	if (!err)
		err = pg_tally_ask(store);
	if (!err && calm && store->looked_us >= store->deaths_us + BEAT_EVERY_US)
		err = send_deaths(store);
	/* we are there: the commit's note says it */
	if (store->looked_us >= store->beat_us + BEAT_EVERY_US)
		store->is_written = true;
	return err;
}

/* Between looks, only what we know of ourselves is asked for. */
enum err pg_tick(void *self, struct tick *tick)
{
	struct pg_store *store = self;
	bool looks = tick->looks || now_us() >= store->looked_us + LOOK_EVERY_US;
	enum err err = OK;

	tick->ripe = 0;
	tick->next_ms = store->next_ms;
	tick->has_more = false;
	tick->event_bytes = tally_event_bytes(&store->tally);
	if (!looks && tick->now_ms < store->next_ms)
		return OK;
	if (looks)
		err = look_after(store, tick);
	if (!err)
		err = send_ripen(store, tick);
	if (!err)
		err = pg_drain(store);
	if (err)
		return err;
	if (looks)
		store->well_us = now_us();
	store->next_ms = tick->next_ms;
	tick->event_bytes = tally_event_bytes(&store->tally);
	tick->has_more = tick->next_ms <= tick->now_ms && tick->ripe > 0;
	return OK;
}

/* ---- forgetting */

static enum err note_swept(struct pg_store *store, const PGresult *result, void *context)
{
	return pg_tally_moved(store, result, context);
}

static enum err note_dropped(struct pg_store *store, const PGresult *result, void *context)
{
	int64_t count = PQntuples(result) == 1 ? pg_int(result, 0, 0) : 0;

	*(size_t *)context += (size_t)count;
	store->is_written = store->is_written || count > 0;
	return OK;
}

static void take_off(unsigned *left, size_t count)
{
	*left -= count < *left ? (unsigned)count : *left;
}

static enum err sweep_state(
	struct pg_store *store, enum message_state state, const struct sweep *sweep, unsigned *left)
{
	struct pg_values values = { 0 };
	size_t count = 0;
	enum err err;

	pg_number(&values, state);
	pg_number(&values, sweep->now_ms - rules_keep_ms(state, &sweep->keeps));
	pg_number(&values, *left);
	err = pg_send(store, PG_SWEEP_STATE, &values, note_swept, &count);
	if (!err)
		err = pg_drain(store);
	if (!err)
		take_off(left, count);
	return err;
}

/* Statements that drop up to `left` rows older than `before`, and tell how many they were. */
static enum err sweep_rows(struct pg_store *store, enum pg_sql sql, int64_t before, unsigned *left)
{
	struct pg_values values = { 0 };
	size_t count = 0;
	enum err err;

	if (!*left)
		return OK;
	pg_number(&values, before);
	pg_number(&values, *left);
	err = pg_send(store, sql, &values, note_dropped, &count);
	if (!err)
		err = pg_drain(store);
	if (!err)
		take_off(left, count);
	return err;
}

struct swept {
	size_t count;
	bool has_more;
};

/* Of a row of events, and their bytes. */
static void note_gone(struct pg_store *store, const PGresult *result, size_t *count_out)
{
	struct tally_number gone = { pg_int(result, 0, 0), pg_int(result, 0, 1) };

	*count_out = (size_t)gone.messages;
	if (!gone.messages)
		return;
	tally_events_gone(&store->tally, gone);
	store->is_written = true;
}

/* Where all that were looked at are ahead, they wait for what stands behind them to become old. */
static enum err note_swept_events(struct pg_store *store, const PGresult *result, void *context)
{
	struct swept *swept = context;

	swept->has_more = pg_int(result, 0, 3) == STORE_SWEEP_STEPS;
	if (swept->has_more)
		store->swept = pg_int(result, 0, 2);
	note_gone(store, result, &swept->count);
	return OK;
}

/* What stands before an old one was written before it, whatever a clock said that was ahead. */
static enum err sweep_events(struct pg_store *store, const struct sweep *sweep, unsigned *left)
{
	struct pg_values values = { 0 };
	struct swept swept = { 0 };
	enum err err;

	if (!*left)
		return OK;
	pg_number(&values, sweep->now_ms - sweep->keeps.event_ms);
	pg_number(&values, *left);
	pg_number(&values, store->swept);
	pg_number(&values, sweep->now_ms + RULES_AHEAD_MS);
	pg_number(&values, STORE_SWEEP_STEPS);
	err = pg_send(store, PG_EVENT_SWEEP, &values, note_swept_events, &swept);
	if (!err)
		err = pg_drain(store);
	if (!err)
		take_off(left, swept.count);
	if (swept.has_more)
		*left = 0;
	return err;
}

static enum err note_shed(struct pg_store *store, const PGresult *result, void *context)
{
	note_gone(store, result, context);
	return OK;
}

/* Some of the oldest. The database knows better than we do how many bytes there are, but for what
 * is not committed yet: what this transaction has dropped before. */
static enum err shed_some(struct pg_store *store, uint64_t bound, int64_t most, size_t *count_out)
{
	int64_t excess = rules_excess_bytes(store->tally.log.events.bytes, bound);
	int64_t stays = store->tally.log.events.bytes - excess - store->tally.log.changed.bytes;
	struct pg_values values = { 0 };
	enum err err;

	*count_out = 0;
	if (excess <= 0)
		return OK;
	pg_number(&values, stays);
	pg_number(&values, most < STORE_SHED_STEPS ? most : STORE_SHED_STEPS);
	err = pg_send(store, PG_EVENT_SHED, &values, note_shed, count_out);
	return err ? err : pg_drain(store);
}

/* The events are past their bound. In several statements: each has its time. */
static enum err shed_events(struct pg_store *store, struct sweep *sweep)
{
	int64_t left = STORE_SHED_STEPS + tally_log_came(&store->tally);
	uint64_t bound = sweep->keeps.event_bytes;
	size_t count;
	enum err err;

	do {
		err = shed_some(store, bound, left, &count);
		sweep->dropped += count;
		left -= (int64_t)count;
	} while (!err && count && left > 0);
	if (sweep->dropped && rules_excess_bytes(store->tally.log.events.bytes, bound) > 0)
		sweep->has_more = true;
	return err;
}

enum err pg_sweep(void *self, struct sweep *sweep)
{
	unsigned left = STORE_SWEEP_STEPS;
	enum err err =
		sweep_rows(self, PG_SWEEP_BODIES, sweep->now_ms - sweep->keeps.body_ms, &left);

	for (unsigned state = 0; state < MESSAGE_STATES && !err && left; state++)
		if (message_state_is_settled(state))
			err = sweep_state(self, state, sweep, &left);
	if (!err)
		err = sweep_rows(self, PG_ONCE_SWEEP, sweep->now_ms - sweep->keeps.once_ms, &left);
	if (!err)
		err = sweep_events(self, sweep, &left);
	sweep->has_more = left == 0;
	sweep->dropped = 0;
	return err ? err : shed_events(self, sweep);
}
