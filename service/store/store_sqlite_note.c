/* Small values kept under a name, each with a lease. */
#include "service/clock.h"
#include "service/store/store_sqlite_own.h"

/* What the row says, to whoever may hear it. */
static enum err judge(struct note_job *note, sqlite3_stmt *row, int64_t now)
{
	uint64_t token = (uint64_t)sqlite3_column_int64(row, 0);

	if (token && token != note->token && sqlite3_column_int64(row, 1) > now)
		return ERR_VALUE;
	note->found = region_copy(note->region, sql_column(row, 2));
	return note->found.at ? OK : ERR_MEMORY;
}

static enum err put(struct sqlite_store *store, const struct note_job *note, int64_t now)
{
	sqlite3_stmt *put = sql_use(store, SQL_NOTE_PUT);

	sql_text(put, 1, note->name);
	sql_number(put, 2, note->lease_for_ms ? (int64_t)note->token : 0);
	sql_number(put, 3, now + note->lease_for_ms);
	sql_bytes(put, 4, note->content.at ? note->content : note->found);
	return sql_run(store, put);
}

enum err sqlite_note(void *self, struct note_job *note)
{
	struct sqlite_store *store = self;
	sqlite3_stmt *get = sql_use(store, SQL_NOTE_GET);
	int64_t now = (int64_t)(now_us() / 1000);
	enum err err = OK, end;

	note->found = (struct text){ 0 };
	if (!note->token || note->name.len > STORE_NOTE_NAME_BYTES ||
		note->content.len > STORE_NOTE_BYTES)
		return ERR_VALUE;
	sql_text(get, 1, note->name);
	if (sql_row(get))
		err = judge(note, get, now);
	end = sql_end(store, get);
	if (!err)
		err = end;
	return err ? err : put(store, note, now);
}
