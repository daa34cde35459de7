/* Rows of messages, bodies and events. */
#include <string.h>

#include "service/store/pack.h"
#include "service/store/store_sqlite_own.h"

enum { ROW_BYTES = 64 << 20 };

bool sql_id(sqlite3_stmt *statement, int place, const char *id)
{
	char bytes[ID_BYTES];

	if (!id_to_bytes(id, bytes))
		return false;
	sqlite3_bind_blob(statement, place, bytes, ID_BYTES, SQLITE_TRANSIENT);
	return true;
}

/* ---- messages */

static int64_t number(sqlite3_stmt *row, enum row_column column)
{
	return sqlite3_column_int64(row, column);
}

static enum err copy(
	sqlite3_stmt *row, enum row_column column, struct region *region, struct text *text_out)
{
	*text_out = region_copy(region, sql_column(row, column));
	return text_out->at ? OK : ERR_MEMORY;
}

static enum err read_numbers(sqlite3_stmt *row, struct stored *stored)
{
	int64_t state = number(row, ROW_STATE), tries = number(row, ROW_TRIES);
	int64_t strikes = number(row, ROW_STRIKES);

	if (state < 0 || state >= MESSAGE_STATES || tries < 0 || tries > UINT32_MAX ||
		strikes < 0 || strikes > UINT32_MAX)
		return ERR_SYNTAX;
	stored->place = number(row, ROW_PLACE);
	stored->state = (enum message_state)state;
	stored->created_ms = number(row, ROW_CREATED);
	stored->due_ms = number(row, ROW_DUE);
	stored->expires_ms = number(row, ROW_EXPIRES);
	stored->updated_ms = number(row, ROW_UPDATED);
	stored->size_bytes = (uint64_t)number(row, ROW_SIZE);
	stored->more_bytes = (uint64_t)number(row, ROW_MORE);
	stored->has_body = number(row, ROW_HAS_BODY) != 0;
	stored->tries = (unsigned)tries;
	stored->strikes = (unsigned)strikes;
	stored->token = (uint64_t)number(row, ROW_TOKEN);
	id_from_bytes(sql_column(row, ROW_ID), stored->id);
	return OK;
}

/* Of one that is damaged, whatever it says. */
static enum err read_beside(sqlite3_stmt *row, struct region *region, struct stored *stored)
{
	enum err err = copy(row, ROW_KEY, region, &stored->key_id);

	if (!err)
		err = copy(row, ROW_LANE, region, &stored->lane);
	if (err)
		return err;
	if (read_numbers(row, stored) == ERR_SYNTAX) {
		stored->place = number(row, ROW_PLACE);
		stored->state = MESSAGE_HELD;
		id_from_bytes(sql_column(row, ROW_ID), stored->id);
	}
	stored->is_damaged = true;
	return OK;
}

static enum err read_into(sqlite3_stmt *row, struct region *region, struct stored *stored)
{
	struct text head, course;
	enum err err = read_numbers(row, stored);

	if (!err)
		err = copy(row, ROW_KEY, region, &stored->key_id);
	if (!err)
		err = copy(row, ROW_LANE, region, &stored->lane);
	if (!err)
		err = copy(row, ROW_HEAD, region, &head);
	if (!err)
		err = copy(row, ROW_COURSE, region, &course);
	if (!err)
		err = stored_unpack_head(head, region, stored);
	if (!err)
		err = stored_unpack_course(course, region, stored);
	stored->maybe_sent = rules_maybe_sent(number(row, ROW_MAYBE_SENT), stored);
	return err;
}

static enum err read_by(sqlite3_stmt *statement,
	enum err (*read)(sqlite3_stmt *row, struct region *region, struct stored *stored),
	struct stored **stored_out)
{
	size_t size = (size_t)number(statement, ROW_SIZE);
	struct stored *stored;
	struct region *region;
	enum err err =
		region_open(size < SIZE_MAX - ROW_BYTES ? size + ROW_BYTES : SIZE_MAX, &region);

	if (err)
		return err;
	stored = region_zalloc(region, 1, sizeof(*stored));
	err = stored ? read(statement, region, stored) : ERR_MEMORY;
	if (err) {
		region_close(region);
		return err;
	}
	stored->region = region;
	*stored_out = stored;
	return OK;
}

enum err row_read(sqlite3_stmt *statement, struct stored **stored_out)
{
	return read_by(statement, read_into, stored_out);
}

enum err row_show(sqlite3_stmt *statement, struct stored **stored_out)
{
	enum err err = row_read(statement, stored_out);

	return err == ERR_SYNTAX ? read_by(statement, read_beside, stored_out) : err;
}

enum err row_find(struct sqlite_store *store, const char *id, struct text key_id,
	struct stored **stored_out, enum turn *turn_out)
{
	sqlite3_stmt *find = sql_use(store, SQL_FIND);
	struct stored *stored = NULL;
	enum err err = ERR_MISSING, end;

	if (!sql_id(find, 1, id))
		return ERR_MISSING;
	if (sql_row(find) && (!key_id.at || text_equal(key_id, sql_column(find, ROW_KEY)))) {
		*turn_out = (enum turn)number(find, ROW_TURN);
		err = row_show(find, &stored);
	}
	end = sql_end(store, find);
	if (end) {
		stored_free(stored);
		return end;
	}
	if (!err)
		*stored_out = stored;
	return err;
}

enum err row_move(struct sqlite_store *store, int64_t place, struct text key_id, int64_t weight,
	int64_t created_ms, enum message_state from, enum message_state to, enum turn turn)
{
	sqlite3_stmt *move = sql_use(store, SQL_MOVE);
	enum err err = sqlite_make_room(store, key_id);

	if (err)
		return err;
	sql_number(move, 1, place);
	sql_number(move, 2, to);
	sql_number(move, 3, turn);
	err = sql_run(store, move);
	if (!err)
		sqlite_move(store, key_id, weight, created_ms, from, to);
	return err;
}

/* ---- bodies and events */

enum err body_read(
	struct sqlite_store *store, int64_t place, struct region *region, struct text *body_out)
{
	sqlite3_stmt *get = sql_use(store, SQL_BODY_GET);
	struct text body = { 0 };
	enum err err = ERR_SYNTAX, end;

	sql_number(get, 1, place);
	if (sql_row(get)) {
		body = sql_column(get, 1);
		if ((int64_t)pack_crc(0, body) == sqlite3_column_int64(get, 0)) {
			body = region_copy(region, body);
			err = body.at ? OK : ERR_MEMORY;
		}
	}
	end = sql_end(store, get);
	if (end)
		return end;
	if (!err)
		*body_out = body;
	return err;
}

static enum err event_put(struct sqlite_store *store, const struct event *event)
{
	sqlite3_stmt *put = sql_use(store, SQL_EVENT_PUT);

	sql_number(put, 1, event->at_ms);
	sql_text(put, 2, event->type);
	sql_text(put, 3, event->key_id);
	sql_text(put, 4, event->content);
	tally_events(&store->tally, event, 1, true);
	return sql_run(store, put);
}

enum err events_put(struct sqlite_store *store, const struct event *events, size_t count)
{
	enum err err = OK;

	for (size_t i = 0; i < count && !err; i++)
		err = event_put(store, &events[i]);
	return err;
}
