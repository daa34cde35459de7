/* The tally in its table: a row for each number that a transaction changes. */
#include "service/store/store_sqlite_own.h"

enum err sqlite_make_room(struct sqlite_store *store, struct text key_id)
{
	enum err err = ages_make_room(&store->ages);

	return err ? err : tally_make_room(&store->tally, key_id);
}

void sqlite_move(struct sqlite_store *store, struct text key_id, int64_t bytes, int64_t created_ms,
	enum message_state from, enum message_state to)
{
	ages_move(&store->ages, created_ms, from, to);
	tally_move(&store->tally, key_id, bytes, from, to);
}

static enum err write_row(
	struct sqlite_store *store, struct text key_id, int64_t state, struct tally_number number)
{
	sqlite3_stmt *put = sql_use(store, SQL_TALLY_PUT);

	sql_text(put, 1, key_id);
	sql_number(put, 2, state);
	sql_number(put, 3, number.messages);
	sql_number(put, 4, number.bytes);
	return sql_run(store, put);
}

static enum err write_key(struct sqlite_store *store, const struct tally_key *key)
{
	enum err err = OK;

	for (int state = 0; state < MESSAGE_STATES && !err; state++)
		if (key->changed[state] || key->bytes_changed[state])
			err = write_row(store, (struct text){ key->key_id, key->len }, state,
				(struct tally_number){ key->messages[state], key->bytes[state] });
	return err;
}

static enum err write_log(struct sqlite_store *store)
{
	const struct tally_log *log = &store->tally.log;

	if (!log->changed.messages && !log->changed.bytes)
		return OK;
	return write_row(store, (struct text){ 0 }, TALLY_LOG, log->events);
}

enum err sqlite_tally_write(struct sqlite_store *store)
{
	enum err err = write_log(store);

	for (size_t i = 0; i < store->tally.count && !err; i++)
		if (store->tally.keys[i].is_dirty)
			err = write_key(store, &store->tally.keys[i]);
	return err;
}

static enum err read_row(struct sqlite_store *store, sqlite3_stmt *row)
{
	struct tally_number number = { sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3) };

	if (number.messages < 0 || number.bytes < 0)
		return ERR_SYNTAX;
	return tally_note(&store->tally, sql_column(row, 0), sqlite3_column_int64(row, 1), number);
}

/* Are there as many that wait as were counted? */
static enum err compare_with_messages(struct sqlite_store *store)
{
	int64_t waiting;
	enum err err = ages_read(store, &waiting);

	return err ? err : waiting == store->tally.waiting ? OK : ERR_SYNTAX;
}

enum err sqlite_tally_read(struct sqlite_store *store)
{
	sqlite3_stmt *list = sql_use(store, SQL_TALLY_LIST);
	enum err err = OK, end;

	while (!err && sql_row(list))
		err = read_row(store, list);
	end = sql_end(store, list);
	if (!err)
		err = end;
	return err ? err : compare_with_messages(store);
}
