/* Rows of messages and bodies, and the places of events. */
#include "service/store/pack.h"
#include "service/store/store_pg_own.h"

enum { ROW_BYTES = 64 << 20, PLACES = 1 << 20 };

static enum err copy(const PGresult *result, int row, enum pg_column column, struct region *region,
	struct text *text_out)
{
	*text_out = region_copy(region, pg_text(result, row, column));
	return text_out->at ? OK : ERR_MEMORY;
}

static enum err read_numbers(const PGresult *result, int row, struct stored *stored)
{
	int64_t state = pg_int(result, row, PG_STATE), tries = pg_int(result, row, PG_TRIES);
	int64_t strikes = pg_int(result, row, PG_STRIKES);

	if (state < 0 || state >= MESSAGE_STATES || tries < 0 || tries > UINT32_MAX ||
		strikes < 0 || strikes > UINT32_MAX)
		return ERR_SYNTAX;
	stored->state = (enum message_state)state;
	stored->created_ms = pg_int(result, row, PG_CREATED);
	stored->due_ms = pg_int(result, row, PG_DUE);
	stored->expires_ms = pg_int(result, row, PG_EXPIRES);
	stored->updated_ms = pg_int(result, row, PG_UPDATED);
	stored->size_bytes = (uint64_t)pg_int(result, row, PG_SIZE);
	stored->more_bytes = (uint64_t)pg_int(result, row, PG_MORE);
	stored->has_body = pg_int(result, row, PG_HAS_BODY) != 0;
	stored->tries = (unsigned)tries;
	stored->strikes = (unsigned)strikes;
	stored->token = (uint64_t)pg_int(result, row, PG_TOKEN);
	id_from_bytes(pg_text(result, row, PG_ID), stored->id);
	return OK;
}

/* Of one that is damaged, whatever it says. */
static enum err read_beside(
	const PGresult *result, int row, struct region *region, struct stored *stored)
{
	enum err err = copy(result, row, PG_KEY, region, &stored->key_id);

	if (!err)
		err = copy(result, row, PG_LANE, region, &stored->lane);
	if (err)
		return err;
	if (read_numbers(result, row, stored) == ERR_SYNTAX) {
		stored->state = MESSAGE_HELD;
		id_from_bytes(pg_text(result, row, PG_ID), stored->id);
	}
	stored->is_damaged = true;
	return OK;
}

static enum err read_into(
	const PGresult *result, int row, struct region *region, struct stored *stored)
{
	struct text head, course;
	enum err err = read_numbers(result, row, stored);

	if (!err)
		err = copy(result, row, PG_KEY, region, &stored->key_id);
	if (!err)
		err = copy(result, row, PG_LANE, region, &stored->lane);
	if (!err)
		err = copy(result, row, PG_HEAD, region, &head);
	if (!err)
		err = copy(result, row, PG_COURSE, region, &course);
	if (!err)
		err = stored_unpack_head(head, region, stored);
	if (!err)
		err = stored_unpack_course(course, region, stored);
	stored->maybe_sent = rules_maybe_sent(pg_int(result, row, PG_MAYBE_SENT), stored);
	return err;
}

static enum err read_by(const PGresult *result, int row,
	enum err (*read)(
		const PGresult *result, int row, struct region *region, struct stored *stored),
	struct stored **stored_out)
{
	size_t size = (size_t)pg_int(result, row, PG_SIZE);
	struct stored *stored;
	struct region *region;
	enum err err =
		region_open(size < SIZE_MAX - ROW_BYTES ? size + ROW_BYTES : SIZE_MAX, &region);

	if (err)
		return err;
	stored = region_zalloc(region, 1, sizeof(*stored));
	err = stored ? read(result, row, region, stored) : ERR_MEMORY;
	if (err) {
		region_close(region);
		return err;
	}
	stored->region = region;
	*stored_out = stored;
	return OK;
}

enum err pg_row_read(const PGresult *result, int row, struct stored **stored_out)
{
	return read_by(result, row, read_into, stored_out);
}

enum err pg_row_show(const PGresult *result, int row, struct stored **stored_out)
{
	enum err err = pg_row_read(result, row, stored_out);

	return err == ERR_SYNTAX ? read_by(result, row, read_beside, stored_out) : err;
}

struct asking {
	enum pg_sql sql;
	const char *id;
	PGresult *row;
};

static enum err ask(struct pg_store *store, void *context, bool is_bare)
{
	struct asking *asking = context;
	struct pg_values values = { 0 };

	pg_id(&values, asking->id);
	pg_number(&values, is_bare);
	return pg_ask(store, asking->sql, &values, &asking->row);
}

enum err pg_row_ask(struct pg_store *store, enum pg_sql sql, const char *id, PGresult **row_out)
{
	struct asking asking = { .sql = sql, .id = id };
	enum err err = pg_carefully(store, ask, &asking);

	if (err)
		PQclear(asking.row);
	else
		*row_out = asking.row;
	return err;
}

enum err pg_row_find(struct pg_store *store, enum pg_sql sql, const char *id, struct text key_id,
	struct stored **stored_out, enum turn *turn_out)
{
	PGresult *result;
	enum err err = pg_row_ask(store, sql, id, &result);

	if (err)
		return err == ERR_VALUE ? ERR_MISSING : err;
	if (PQntuples(result) != 1 ||
		(key_id.at && !text_equal(key_id, pg_text(result, 0, PG_KEY)))) {
		PQclear(result);
		return ERR_MISSING;
	}
	*turn_out = (enum turn)pg_int(result, 0, PG_TURN);
	err = pg_row_show(result, 0, stored_out);
	PQclear(result);
	return err;
}

enum err pg_row_body(
	const PGresult *result, int row, int column, struct region *region, struct text *body_out)
{
	struct text body = pg_text(result, row, column + 1);

	if (PQgetisnull(result, row, column) ||
		(int64_t)pack_crc(0, body) != pg_int(result, row, column))
		return ERR_SYNTAX;
	*body_out = region_copy(region, body);
	return body_out->at ? OK : ERR_MEMORY;
}

/* An event's cursor is the number of its transaction and its place therein. Those who read take
 * only what is below the oldest transaction that is still running: so none comes later that has a
 * lower one, however late it was committed. (Numbers of a sequence are given out in one order and
 * committed in another.) */
enum err pg_event_places(struct pg_store *store, size_t count, struct pg_values *values)
{
	if (count >= (size_t)(PLACES - store->event_count))
		return ERR_LIMIT;
	pg_number(values, store->cursor_base);
	pg_number(values, store->event_count);
	store->event_count += (int64_t)count;
	return OK;
}

void pg_note_due(struct pg_store *store, enum turn turn, int64_t due_ms)
{
	if (turn == TURN_LATER && due_ms < store->next_ms)
		store->next_ms = due_ms;
}
