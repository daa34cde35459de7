/* The SQLite backend: its life, its transactions, and how statements are run.
 *
 * One connection does all writes and checkpoints (SQLite before 3.51 can lose a checkpoint that two
 * make at a time); the log is synced with each commit. Whatever SQLite says of a sync that failed
 * or of damage ends it: the kernel forgets what it could not write, so nothing may be tried again
 * as if it were good. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/store/store_sqlite_own.h"

enum {
	BODY_BYTES = 1 << 30,
};

/* ---- statements */

static const char *words_of(int code)
{
	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
		return "a sync of the disk failed: the gateway has to be started again";
	switch (code & 0xff) {
	case SQLITE_FULL:
		return "the disk is full";
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return "the file of the queue is damaged";
	case SQLITE_READONLY:
		return "the file of the queue may only be read";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another process has the file of the queue";
	case SQLITE_IOERR:
		return "the disk failed to read or to write";
	default:
		return NULL;
	}
}

/* What ended it stays. */
static void note_trouble(struct sqlite_store *store, int code)
{
	bool is_fine = code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE;

	if (!is_fine && !store->is_failed)
		store->trouble = words_of(code);
}

enum err sql_failed(struct sqlite_store *store, int code)
{
	note_trouble(store, code);
	switch (code) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_IOERR_FSYNC:
	case SQLITE_IOERR_DIR_FSYNC:
		store->is_failed = true;
		return ERR_IO;
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	case SQLITE_FULL:
		reserve_release(store);
		return ERR_IO;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		store->is_failed = true;
		return ERR_SYNTAX;
	default:
		if (sqlite3_system_errno(store->db) == EDQUOT)
			reserve_release(store);
		return ERR_IO;
	}
}

sqlite3_stmt *sql_use(struct sqlite_store *store, enum sql sql)
{
	return store->statements[sql];
}

void sql_number(sqlite3_stmt *statement, int place, int64_t value)
{
	sqlite3_bind_int64(statement, place, value);
}

/* What has no length is empty, not NULL. */
void sql_text(sqlite3_stmt *statement, int place, struct text text)
{
	sqlite3_bind_text64(
		statement, place, text.len ? text.at : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bytes(sqlite3_stmt *statement, int place, struct text bytes)
{
	sqlite3_bind_blob64(statement, place, bytes.len ? bytes.at : "", bytes.len, SQLITE_STATIC);
}

bool sql_row(sqlite3_stmt *statement)
{
	return sqlite3_step(statement) == SQLITE_ROW;
}

/* The reset tells again what the last step did, unless it was a row or the end. */
enum err sql_end(struct sqlite_store *store, sqlite3_stmt *statement)
{
	int code = sqlite3_reset(statement);

	sqlite3_clear_bindings(statement);
	return sql_failed(store, code);
}

enum err sql_run(struct sqlite_store *store, sqlite3_stmt *statement)
{
	while (sql_row(statement))
		;
	return sql_end(store, statement);
}

struct text sql_column(sqlite3_stmt *statement, int column)
{
	const void *at = sqlite3_column_blob(statement, column);

	return (struct text){ at, at ? (size_t)sqlite3_column_bytes(statement, column) : 0 };
}

/* ---- transactions */

static void settle_counts(struct sqlite_store *store, bool is_committed)
{
	tally_settle(&store->tally, is_committed);
	ages_settle(&store->ages, is_committed);
}

/* What was written and could not be synced may be there when the file is opened again. */
static enum err commit(void *self)
{
	struct sqlite_store *store = self;
	enum err err = store->is_failed ? ERR_IO : sqlite_tally_write(store);

	if (err)
		return err;
	err = sql_run(store, sql_use(store, SQL_COMMIT));
	if (!err)
		settle_counts(store, true);
	return err && store->is_failed ? ERR_DOUBT : err;
}

/* Some errors have ended the transaction already. */
static void rollback(void *self)
{
	struct sqlite_store *store = self;
	enum err err = OK;

	if (!sqlite3_get_autocommit(store->db))
		err = sql_run(store, sql_use(store, SQL_ROLLBACK));
	if (err)
		store->is_failed = true;
	settle_counts(store, false);
}

static int count_pages(void *self, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_store *store = self;

	(void)db;
	(void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

static enum err checkpoint(struct sqlite_store *store, int mode)
{
	int code = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);

	if (code == SQLITE_OK)
		store->wal_pages = 0;
	return sql_failed(store, code);
}

static enum err tidy(void *self)
{
	struct sqlite_store *store = self;
	bool was_spent = store->is_spent;
	enum err err;

	if (store->is_failed)
		return ERR_IO;
	if (store->wal_pages == 0 || (store->wal_pages < store->wal_most && !store->is_spent))
		return OK;
	err = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	if (err && store->is_spent && !was_spent) /* there is room now that was set aside */
		err = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	return err;
}

/* On a full disk the log must not grow: it is put into the file each time, and begins anew. */
static enum err begin(void *self)
{
	struct sqlite_store *store = self;

	if (store->is_failed)
		return ERR_IO;
	reserve_restore(store);
	if (store->is_spent)
		(void)tidy(store); /* without it, what little is left has to do */
	return store->is_failed ? ERR_IO : sql_run(store, sql_use(store, SQL_BEGIN));
}

/* Puts a page into the log. */
static enum err prove(void *self)
{
	struct sqlite_store *store = self;

	return store->is_full ? ERR_IO : sql_run(store, sql_use(store, SQL_PROVE));
}

/* Where it is full nothing need have failed since. */
static const char *trouble(void *self)
{
	const struct sqlite_store *store = self;

	return store->is_full && !store->is_failed ? words_of(SQLITE_FULL) : store->trouble;
}

/* ---- life */

static void close_store(void *self)
{
	struct sqlite_store *store = self;

	if (!store->is_failed)
		(void)checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
	for (int sql = 0; sql < SQLS; sql++)
		sqlite3_finalize(store->statements[sql]);
	sqlite3_close(store->db);
	reserve_close(store);
	strikes_close(store->strikes);
	tally_free(&store->tally);
	ages_free(&store->ages);
	buf_free(&store->head);
	buf_free(&store->course);
	buf_free(&store->body);
	buf_free(&store->lane);
	buf_free(&store->lane_key);
	free(store);
}

static const struct store_verbs verbs = {
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.accept = sqlite_accept,
	.claim = sqlite_claim,
	.fence = sqlite_fence,
	.renew = sqlite_renew,
	.release = sqlite_release,
	.settle = sqlite_settle,
	.change = sqlite_change,
	.look_up = sqlite_look_up,
	.body = sqlite_body,
	.list = sqlite_list,
	.events = sqlite_events,
	.once_begin = sqlite_once_begin,
	.once_end = sqlite_once_end,
	.note = sqlite_note,
	.template = sqlite_template,
	.templates = sqlite_templates,
	.counts = sqlite_counts,
	.tick = sqlite_tick,
	.sweep = sqlite_sweep,
	.prove = prove,
	.trouble = trouble,
	.tidy = tidy,
	.close = close_store,
};

/* All of them fit the tables, or the file is not what it says. */
static enum err prepare_all(struct sqlite_store *store)
{
	for (int sql = 0; sql < SQLS; sql++) {
		int code = sqlite3_prepare_v3(store->db, sql_texts[sql], -1,
			SQLITE_PREPARE_PERSISTENT, &store->statements[sql], NULL);

		if (code != SQLITE_OK)
			return code == SQLITE_ERROR ? ERR_SYNTAX : sql_failed(store, code);
	}
	return OK;
}

/* What the last process left. */
static enum err take_over(struct sqlite_store *store)
{
	enum err err = begin(store);

	if (!err)
		err = sqlite_void_leases(store);
	if (!err)
		err = commit(store);
	if (err)
		rollback(store);
	else if (store->strikes)
		strikes_forget_left(store->strikes);
	return err;
}

/* Without it the store is as good, but for messages that a process dies of. */
static void open_strikes(struct sqlite_store *store, const char *path)
{
	char name[PATH_BYTES];
	struct buf buf = buf_over(name, sizeof(name));

	buf_addf(&buf, "%s-strikes", path);
	buf_add_byte(&buf, '\0');
	if (buf.err || strikes_open(name, &store->strikes))
		store->strikes = NULL;
}

static enum err read_all(struct sqlite_store *store, const char *path, struct buf *why)
{
	enum err err = prepare_all(store);

	if (!err)
		err = sqlite_tally_read(store);
	if (!err)
		err = reserve_open(store, path);
	if (!err)
		open_strikes(store, path);
	if (!err)
		err = take_over(store);
	if (err == ERR_IO && store->is_full && !store->is_failed)
		err = take_over(store); /* in the room that was given up */
	if (err) {
		sqlite_say(
			why, path, err == ERR_SYNTAX ? "is damaged" : "cannot be used", store->db);
		store->is_failed = true; /* it is left as it was */
	}
	return err;
}

enum err store_sqlite_open(const char *path, const struct store_limits *limits,
	struct store *store_out, struct buf *why)
{
	struct sqlite_store *store = calloc(1, sizeof(*store));
	enum err err;

	if (!store)
		return ERR_MEMORY;
	store->limits = *limits;
	store->reserve_fd = -1;
	store->head = buf_born(STORED_HEAD_BYTES);
	store->course = buf_born(STORED_COURSE_BYTES);
	store->body = buf_born(BODY_BYTES);
	store->lane = buf_born(STORE_LANE_BYTES);
	store->lane_key = buf_born(UINT16_MAX);
	err = sqlite_file_open(path, &store->db, why);
	if (err) {
		free(store);
		return err;
	}
	sqlite3_wal_hook(store->db, count_pages, store);
	err = read_all(store, path, why);
	if (err) {
		close_store(store);
		return err;
	}
	*store_out = (struct store){ .verbs = &verbs, .self = store, .strikes = store->strikes };
	return OK;
}
