/* The tables: made and raised in one transaction, by whichever replica comes first.
 *
 * Two that start at once both try; the one that was slower finds the tables there, fails, and looks
 * again. A schema that is newer than we know is refused: there are two versions of lettergate on
 * it, and this one is the older. */
#include <time.h>

#include "service/store/store_pg_own.h"

enum { SCHEMA_BYTES = 16384, TRIES = 20, PAUSE_MS = 100, RAISE_S = 3600 };

/* From each version to the next; a new one is added at the end, and none is ever changed.
 *
 * All that comes from outside is bytea: any byte may be in it, it has no encoding, and its order is
 * that of the bytes. A message that waits is in one of the indexes of `turn`. `lease_ms`, `mark`
 * and `token` are in none, so that a lease is renewed in place. */
static const char *const steps[] = {
	"CREATE TABLE lettergate_schema (version integer NOT NULL, cursor_base bigint NOT NULL);"
	"INSERT INTO lettergate_schema VALUES (0, 0);"
	"CREATE TABLE lettergate_message (id uuid PRIMARY KEY, created_ms bigint NOT NULL, "
	"due_ms bigint NOT NULL, expires_ms bigint NOT NULL, updated_ms bigint NOT NULL, "
	"size_bytes bigint NOT NULL, token bigint NOT NULL, owner bigint NOT NULL, "
	"lease_ms bigint NOT NULL, tries bigint NOT NULL, strikes bigint NOT NULL, "
	"state smallint NOT NULL, turn smallint NOT NULL, mark smallint NOT NULL, "
	"maybe_sent smallint NOT NULL, has_body smallint NOT NULL, attempted smallint NOT NULL, "
	"key_id bytea NOT NULL, lane bytea NOT NULL, head bytea NOT NULL, course bytea NOT NULL) "
	"WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, "
	"autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 1);"
	"CREATE INDEX lettergate_message_ready ON lettergate_message (lane, key_id, due_ms) "
	"WHERE turn = 1;"
	"CREATE INDEX lettergate_message_later ON lettergate_message (state, due_ms) "
	"WHERE turn = 2;"
	"CREATE INDEX lettergate_message_suspect ON lettergate_message (due_ms) WHERE turn = 3;"
	"CREATE INDEX lettergate_message_leased ON lettergate_message (strikes) WHERE turn = 4;"
	"CREATE INDEX lettergate_message_unsettled ON lettergate_message (created_ms) "
	"WHERE turn > 0;"
	"CREATE INDEX lettergate_message_settled ON lettergate_message (state, updated_ms) "
	"WHERE turn = 0;"
	"CREATE INDEX lettergate_message_bodied ON lettergate_message (updated_ms) "
	"WHERE turn = 0 AND has_body = 1;"
	"CREATE TABLE lettergate_body (id uuid PRIMARY KEY, crc bigint NOT NULL, "
	"bytes bytea NOT NULL) WITH (toast_tuple_target = 8160, "
	"autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, "
	"autovacuum_vacuum_cost_delay = 1);"
	"ALTER TABLE lettergate_body ALTER COLUMN bytes SET STORAGE EXTERNAL;"
	"CREATE TABLE lettergate_event (cursor bigint PRIMARY KEY, at_ms bigint NOT NULL, "
	"type bytea NOT NULL, key_id bytea NOT NULL, content bytea NOT NULL);"
	"CREATE TABLE lettergate_once (key_id bytea NOT NULL, word bytea NOT NULL, "
	"at_ms bigint NOT NULL, owner bigint NOT NULL, state smallint NOT NULL, "
	"hash bytea NOT NULL, answer bytea NOT NULL, PRIMARY KEY (key_id, word));"
	"CREATE INDEX lettergate_once_at ON lettergate_once (at_ms);"
	"CREATE INDEX lettergate_once_running ON lettergate_once (owner) WHERE state = 1;"
	"CREATE TABLE lettergate_note (name bytea PRIMARY KEY, token bigint NOT NULL, "
	"lease_ms bigint NOT NULL, content bytea NOT NULL);"
	"CREATE TABLE lettergate_template (name bytea PRIMARY KEY, content bytea NOT NULL);"
	"CREATE TABLE lettergate_tally (slot bigint NOT NULL, key_id bytea NOT NULL, "
	"state smallint NOT NULL, messages bigint NOT NULL, bytes bigint NOT NULL, "
	"PRIMARY KEY (slot, key_id, state)) WITH (fillfactor = 50);"
	"CREATE TABLE lettergate_replica (owner bigint PRIMARY KEY, slot bigint NOT NULL, "
	"seen_ms bigint NOT NULL, commit_id bigint NOT NULL) WITH (fillfactor = 50);",
	/* When a message was handed out; those whose time is over, by lane (most wait for any
	 * relay, and are not there); those that wait, without the scheduled ones. */
	"ALTER TABLE lettergate_message ADD COLUMN out_ms bigint NOT NULL DEFAULT 0;"
	"CREATE INDEX lettergate_message_over ON lettergate_message (lane, expires_ms) "
	"WHERE turn = 1 AND lane <> '';"
	"DROP INDEX lettergate_message_unsettled;"
	"CREATE INDEX lettergate_message_waiting ON lettergate_message (created_ms) "
	"WHERE turn > 0 AND state <> 0;",
	"CREATE INDEX lettergate_message_held ON lettergate_message (id) WHERE turn = 5;",
	/* what is there counts as it did */
	"ALTER TABLE lettergate_message ADD COLUMN more_bytes bigint NOT NULL DEFAULT 0;",
	/* what the log of events has, by slot. Not among the states of messages: an older replica
	 * that goes on beside us reads those */
	"CREATE TABLE lettergate_event_tally (slot bigint PRIMARY KEY, events bigint NOT NULL, "
	"bytes bigint NOT NULL) WITH (fillfactor = 50);"
	"INSERT INTO lettergate_event_tally SELECT 0, count(*), coalesce(sum(octet_length(type) + "
	"octet_length(key_id) + octet_length(content) + 64), 0) FROM lettergate_event;",
};
enum { SCHEMA = sizeof(steps) / sizeof(*steps) };

static void say(struct buf *why, const char *words, const char *more)
{
	if (why)
		buf_addf(why, "STORE: PostgreSQL: %s%s%s", words, *more ? ": " : "", more);
}

static void pause_some(void)
{
	struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	nanosleep(&pause, NULL);
}

/* ERR_SYNTAX: there is not one row with a number. */
static enum err read_number(struct pg_store *store, const char *words, int64_t *number_out)
{
	PGresult *result;
	uint64_t number = 0;
	bool is_read;

	if (!pg_plain(store, words, &result))
		return ERR_IO;
	is_read = pg_plain_is_ok(result) && PQntuples(result) == 1 &&
		  text_to_u64(pg_text(result, 0, 0), &number);
	PQclear(result);
	if (!is_read)
		return ERR_SYNTAX;
	*number_out = (int64_t)number;
	return OK;
}

enum err pg_schema_version(struct pg_store *store, int64_t *version_out)
{
	PGresult *result;
	enum err err = OK;

	if (!pg_plain(store, "SELECT to_regclass('lettergate_schema') IS NULL", &result))
		return ERR_IO;
	*version_out = 0;
	if (!pg_plain_is_ok(result) || PQntuples(result) != 1)
		err = ERR_IO;
	else if (*PQgetvalue(result, 0, 0) == 'f')
		*version_out = -1;
	PQclear(result);
	if (err || *version_out == 0)
		return err;
	return read_number(store, "SELECT version FROM lettergate_schema", version_out);
}

/* What is added to the database's transaction numbers: 0, unless it was dumped and restored, and
 * numbers from the beginning again. Cursors of events must go on growing. */
static enum err read_base(struct pg_store *store)
{
	return read_number(store,
		"UPDATE lettergate_schema SET cursor_base = e.last FROM "
		"(SELECT max(cursor) >> 20 AS last FROM lettergate_event) e "
		"WHERE e.last > txid_current() + cursor_base; "
		"SELECT cursor_base FROM lettergate_schema",
		&store->cursor_base);
}

/* From `version`; false: another one was quicker, or it cannot be. */
static bool raise_from(struct pg_store *store, int64_t version, struct buf *why, enum err *err_out)
{
	struct buf words = buf_born(SCHEMA_BYTES);
	uint64_t patience_us = store->patience_us;
	PGresult *result = NULL;
	bool is_raised = false;

	/* an index over millions takes a while */
	buf_add_string(&words, "BEGIN; SET LOCAL statement_timeout = 0;");
	store->patience_us = RAISE_S * UINT64_C(1000000);
	if (version > 0)
		buf_addf(&words,
			"SELECT 1 / count(*) FROM (SELECT 1 FROM lettergate_schema "
			"WHERE version = %d FOR UPDATE) s;",
			(int)version);
	for (int64_t step = version; step < SCHEMA; step++)
		buf_add_string(&words, steps[step]);
	buf_addf(&words, "UPDATE lettergate_schema SET version = %d; COMMIT", (int)SCHEMA);
	buf_add_byte(&words, '\0');
	*err_out = words.err;
	if (!words.err && pg_plain(store, words.at, &result)) {
		is_raised = pg_plain_is_ok(result);
		if (!is_raised && why) {
			buf_clear(why);
			say(why, "its tables cannot be made", PQresultErrorMessage(result));
		}
		PQclear(result);
		if (!is_raised && pg_plain(store, "ROLLBACK", &result))
			PQclear(result);
	}
	store->patience_us = patience_us;
	if (!*err_out && !store->conn)
		*err_out = ERR_IO;
	buf_free(&words);
	return is_raised;
}

int64_t pg_schema_newest(void)
{
	return SCHEMA;
}

enum err pg_schema(struct pg_store *store, struct buf *why)
{
	enum err err = OK;

	for (int tries = 0; !err && tries < TRIES; tries++) {
		int64_t version;

		err = pg_schema_version(store, &version);
		if (err == ERR_SYNTAX)
			say(why, "the table lettergate_schema is damaged", "");
		if (err)
			return err;
		if (version > SCHEMA) {
			say(why, "its tables were made by a newer version of lettergate", "");
			return ERR_VALUE;
		}
		if (version == SCHEMA) {
			if (why)
				buf_clear(why);
			return read_base(store);
		}
		if (!raise_from(store, version, why, &err) && !err)
			pause_some();
	}
	return err ? err : ERR_IO;
}
