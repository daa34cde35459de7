/* The log of events: what is old is dropped, and the oldest where all of them take too much. */
#include "service/store/store_sqlite_own.h"

/* The oldest up to a place, up to so many, until these bytes are gone. */
static enum err drop_oldest(struct sqlite_store *store, int64_t last, int64_t most, int64_t bytes,
	struct tally_number *dropped_out)
{
	sqlite3_stmt *oldest = sql_use(store, SQL_EVENT_OLDEST), *drop;
	struct tally_number dropped = { 0 };
	int64_t place = 0;
	enum err err;

	sql_number(oldest, 1, last);
	sql_number(oldest, 2, most);
	for (; dropped.bytes < bytes && sql_row(oldest); dropped.messages++) {
		place = sqlite3_column_int64(oldest, 0);
		dropped.bytes += sqlite3_column_int64(oldest, 1);
	}
	err = sql_end(store, oldest);
	if (!err && dropped.messages) {
		drop = sql_use(store, SQL_EVENT_DROP);
		sql_number(drop, 1, place);
		err = sql_run(store, drop);
		tally_events_gone(&store->tally, dropped);
	}
	*dropped_out = dropped;
	return err;
}

/* Of the next events: the place of the last that is too old. What stands before it was written
 * before it, whatever a clock said that was ahead. Where all are ahead, they wait for what stands
 * behind them to become old. */
static enum err find_old_event(
	struct sqlite_store *store, const struct sweep *sweep, int64_t *old_out, bool *has_more_out)
{
	sqlite3_stmt *head = sql_use(store, SQL_EVENT_HEAD);
	int64_t place = 0;
	int count = 0, ahead = 0;

	*old_out = 0;
	sql_number(head, 1, store->swept);
	sql_number(head, 2, STORE_SWEEP_STEPS);
	for (; sql_row(head); count++) {
		int64_t at_ms = sqlite3_column_int64(head, 1);

		place = sqlite3_column_int64(head, 0);
		if (at_ms < sweep->now_ms - sweep->keeps.event_ms)
			*old_out = place;
		ahead += rules_is_ahead(at_ms, sweep->now_ms);
	}
	*has_more_out = ahead == STORE_SWEEP_STEPS;
	if (*has_more_out)
		store->swept = place;
	return sql_end(store, head);
}

enum err log_sweep(struct sqlite_store *store, const struct sweep *sweep, unsigned *left)
{
	struct tally_number dropped = { 0 };
	bool has_more;
	int64_t old;
	enum err err = find_old_event(store, sweep, &old, &has_more);

	if (!err && old)
		err = drop_oldest(store, old, *left, INT64_MAX, &dropped);
	*left = has_more ? 0 : *left - (unsigned)dropped.messages;
	return err;
}

enum err log_shed(struct sqlite_store *store, struct sweep *sweep)
{
	int64_t most = STORE_SHED_STEPS + tally_log_came(&store->tally);
	int64_t excess =
		rules_excess_bytes(store->tally.log.events.bytes, sweep->keeps.event_bytes);
	struct tally_number dropped = { 0 };
	enum err err = OK;

	if (excess > 0)
		err = drop_oldest(store, INT64_MAX, most, excess, &dropped);
	sweep->dropped = (size_t)dropped.messages;
	if (dropped.messages && tally_event_bytes(&store->tally) > sweep->keeps.event_bytes)
		sweep->has_more = true;
	return err;
}
