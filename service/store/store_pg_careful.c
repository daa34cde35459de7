/* What cannot be read any more, and all that is read beside it.
 *
 * What PostgreSQL finds damaged on its disk makes the whole statement fail that reads it, and the
 * transaction with it: not one message would be handed out, and no page of a list be shown. So from
 * the first such failure on these statements run behind a savepoint. Where one fails, it is done
 * again without whatever lies apart from its rows, and that is read one by one. */
#include "service/store/store_pg_own.h"

/* Behind an error the server does nothing until the sync. */
static enum err go_back(struct pg_store *store)
{
	enum err err = pg_put_sync(store);

	if (!err && pg_drain(store) && !store->conn)
		err = ERR_IO;
	if (err)
		return err;
	store->err = OK;
	return pg_put(store, PG_GO_BACK, NULL, NULL, NULL);
}

enum err pg_carefully(struct pg_store *store, pg_attempt attempt, void *context)
{
	enum err err, end;

	if (!store->has_damage)
		return attempt(store, context, false);
	err = pg_send(store, PG_SAVEPOINT, NULL, NULL, NULL);
	if (!err)
		err = attempt(store, context, false);
	if (!err)
		err = pg_drain(store);
	if (err == ERR_SYNTAX && store->err == err) {
		err = go_back(store);
		if (!err)
			err = attempt(store, context, true);
	}
	if (store->err)
		return store->err;
	end = pg_send(store, PG_SAVEPOINT_END, NULL, NULL, NULL);
	return err ? err : end;
}

/* ---- bodies */

struct reading {
	const char *id;
	PGresult *row; /* NULL: it cannot be read */
};

static enum err ask_body(struct pg_store *store, void *context, bool is_bare)
{
	struct reading *reading = context;
	struct pg_values values = { 0 };

	if (is_bare)
		return OK;
	pg_id(&values, reading->id);
	return pg_ask(store, PG_BODY, &values, &reading->row);
}

enum err pg_read_body(
	struct pg_store *store, const char *id, struct region *region, struct text *body_out)
{
	struct reading reading = { .id = id };
	enum err err = pg_carefully(store, ask_body, &reading);

	if (!err)
		err = reading.row && PQntuples(reading.row) == 1
			      ? pg_row_body(reading.row, 0, 0, region, body_out)
			      : ERR_SYNTAX;
	PQclear(reading.row);
	return err;
}
