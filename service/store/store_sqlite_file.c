/* The database file: making it, opening it, and refusing what it is not.
 *
 * It is made under another name, whole and synced, and then linked into place: a file of this name
 * is always one of ours, so an empty or foreign one is never overwritten. What is refused is left
 * as it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/store/store_sqlite_own.h"

enum {
	APPLICATION = 0x4c47514d, /* "LGQM" */
	SCHEMA = FILE_SCHEMA,
	HEADER_BYTES = 100,
};

/* Version 1, to which what came later is added. INTEGER PRIMARY KEY is SQLite's own row
 * number; messages are added at the end of each tree but those of the keys' turns, and one that
 * waits is in one of the trees of `turn`. */
static const char schema[] =
	"CREATE TABLE message (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, "
	"key_id TEXT NOT NULL, lane TEXT NOT NULL, state BIGINT NOT NULL, turn BIGINT NOT NULL, "
	"created_ms BIGINT NOT NULL, due_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, "
	"updated_ms BIGINT NOT NULL, size_bytes BIGINT NOT NULL, has_body BIGINT NOT NULL, "
	"tries BIGINT NOT NULL, strikes BIGINT NOT NULL, mark BIGINT NOT NULL, "
	"maybe_sent BIGINT NOT NULL, token BIGINT NOT NULL, lease_ms BIGINT NOT NULL, "
	"head BLOB NOT NULL, course BLOB NOT NULL);"
	"CREATE TABLE body (place INTEGER PRIMARY KEY, crc BIGINT NOT NULL, bytes BLOB NOT NULL);"
	"CREATE TABLE event (place INTEGER PRIMARY KEY AUTOINCREMENT, at_ms BIGINT NOT NULL, "
	"type TEXT NOT NULL, key_id TEXT NOT NULL, content TEXT NOT NULL);"
	"CREATE TABLE once (key_id TEXT NOT NULL, word TEXT NOT NULL, state BIGINT NOT NULL, "
	"hash BLOB NOT NULL, at_ms BIGINT NOT NULL, answer BLOB NOT NULL, "
	"PRIMARY KEY (key_id, word));"
	"CREATE TABLE template (name TEXT PRIMARY KEY, content BLOB NOT NULL);"
	"CREATE TABLE tally (key_id TEXT NOT NULL, state BIGINT NOT NULL, messages BIGINT NOT "
	"NULL, "
	"bytes BIGINT NOT NULL, PRIMARY KEY (key_id, state));"
	"CREATE INDEX message_ready ON message (lane, key_id, due_ms) WHERE turn = 1;"
	"CREATE INDEX message_later ON message (state, due_ms) WHERE turn = 2;"
	"CREATE INDEX message_suspect ON message (due_ms) WHERE turn = 3;"
	"CREATE INDEX message_leased ON message (strikes, lease_ms) WHERE turn = 4;"
	"CREATE INDEX message_unsettled ON message (created_ms) WHERE turn > 0;"
	"CREATE INDEX message_settled ON message (state, updated_ms) WHERE turn = 0;"
	"CREATE INDEX message_bodied ON message (updated_ms) WHERE turn = 0 AND has_body = 1;"
	"CREATE INDEX once_at ON once (at_ms);";

/* What came with version 2, and with each later one; none is ever changed. */
static const char *const additions[SCHEMA - 1] = {
	("CREATE TABLE note (name TEXT PRIMARY KEY, token BIGINT NOT NULL, "
	 "lease_ms BIGINT NOT NULL, content BLOB NOT NULL);"),
	/* most wait for any relay, and are in none */
	"CREATE INDEX message_over ON message (lane, expires_ms) WHERE turn = 1 AND lane <> '';",
	"CREATE INDEX message_held ON message (id) WHERE turn = 5;",
	/* what is there counts as it did */
	"ALTER TABLE message ADD COLUMN more_bytes BIGINT NOT NULL DEFAULT 0;",
	/* what the log of events has, see tally.h */
	("INSERT INTO tally (key_id, state, messages, bytes) SELECT '', 100, count(*), "
	 "coalesce(sum(length(CAST(type AS BLOB)) + length(CAST(key_id AS BLOB)) + "
	 "length(CAST(content AS BLOB)) + 64), 0) FROM event;"),
};

void sqlite_say(struct buf *why, const char *path, const char *words, sqlite3 *db)
{
	buf_addf(why, "STORE: %s: %s", path, words);
	if (db)
		buf_addf(why, " (%s)", sqlite3_errmsg(db));
}

enum err sqlite_say_errno(struct buf *why, const char *path, const char *words)
{
	int reason = errno;

	buf_addf(why, "STORE: %s: %s: %s%s", path, words, strerror(reason),
		reason == ENOENT ? ": make the folder, or name another place" : "");
	return ERR_IO;
}

/* ---- making it */

bool sqlite_folder_of(const char *path, char folder_out[PATH_BYTES])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	struct buf folder = buf_over(folder_out, PATH_BYTES);

	buf_add(&folder, (struct text){ path, len });
	if (!len)
		buf_add_string(&folder, slash ? "/" : ".");
	buf_add_byte(&folder, '\0');
	return !folder.err;
}

static bool sync_folder(const char *path)
{
	char folder[PATH_BYTES];
	bool is_synced;
	int fd;

	if (!sqlite_folder_of(path, folder))
		return false;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	is_synced = fsync(fd) == 0;
	close(fd);
	return is_synced;
}

static bool does(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool write_number(sqlite3 *db, const char *pragma, int number)
{
	char room[64];
	struct buf sql = buf_over(room, sizeof(room));

	buf_addf(&sql, "PRAGMA %s = %d", pragma, number);
	buf_add_byte(&sql, '\0');
	return does(db, room);
}

static bool raise_from(sqlite3 *db, int version)
{
	bool is_done = true;

	for (int i = version; is_done && i < SCHEMA; i++)
		is_done = does(db, additions[i - 1]);
	return is_done && write_number(db, "user_version", SCHEMA);
}

/* In one transaction of the rollback journal, so that the file itself has all of it. */
static bool write_schema(sqlite3 *db)
{
	return does(db, "PRAGMA page_size = 8192; PRAGMA synchronous = FULL; BEGIN") &&
	       does(db, schema) && write_number(db, "application_id", APPLICATION) &&
	       raise_from(db, 1) && does(db, "COMMIT");
}

static enum err make_at(const char *path, const char *name, struct buf *why)
{
	sqlite3 *db = NULL;
	enum err err = OK;

	if (sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
			SQLITE_OK ||
		!write_schema(db)) {
		sqlite_say(why, path, "cannot be made", db);
		err = ERR_IO;
	}
	if (sqlite3_close(db) != SQLITE_OK && !err)
		err = ERR_IO;
	/* Whoever was quicker has made one as good. */
	if (!err && link(name, path) != 0 && errno != EEXIST)
		err = sqlite_say_errno(why, path, "cannot be made");
	return err;
}

static enum err make(const char *path, struct buf *why)
{
	char name[PATH_BYTES];
	struct buf buf = buf_over(name, sizeof(name));
	enum err err;
	int fd;

	buf_addf(&buf, "%s-new-XXXXXX", path);
	buf_add_byte(&buf, '\0');
	if (buf.err) {
		sqlite_say(why, path, "is too long", NULL);
		return ERR_IO;
	}
	fd = mkostemp(name, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return sqlite_say_errno(why, path, "cannot be made");
	close(fd);
	err = make_at(path, name, why);
	unlink(name);
	if (!err && !sync_folder(path))
		err = sqlite_say_errno(why, path, "its folder cannot be synced");
	return err;
}

/* ---- judging it */

static uint32_t big_endian(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static enum err judge(const char *path, const unsigned char *header, ssize_t len,
	unsigned *version_out, struct buf *why)
{
	if (len == 0) {
		sqlite_say(why, path,
			"is empty, so it is no queue; remove it to begin with a new one", NULL);
		return ERR_SYNTAX;
	}
	if (len < HEADER_BYTES || memcmp(header, "SQLite format 3", 16) != 0) {
		sqlite_say(why, path, "is not an SQLite database, or damaged", NULL);
		return ERR_SYNTAX;
	}
	if (big_endian(header + 68) != APPLICATION) {
		sqlite_say(why, path, "is a database, but not a queue of lettergate's", NULL);
		return ERR_SYNTAX;
	}
	if (big_endian(header + 60) > SCHEMA) {
		sqlite_say(why, path, "was written by a newer version of lettergate", NULL);
		return ERR_VALUE;
	}
	*version_out = big_endian(header + 60);
	return OK;
}

/* A log without its file was somebody's queue. */
static bool has_orphan(const char *path)
{
	char name[PATH_BYTES];
	struct buf buf = buf_over(name, sizeof(name));

	buf_addf(&buf, "%s-wal", path);
	buf_add_byte(&buf, '\0');
	return !buf.err && access(name, F_OK) == 0;
}

static enum err say_missing(const char *path, struct buf *why)
{
	if (errno != ENOENT)
		return sqlite_say_errno(why, path, "cannot be opened");
	if (!has_orphan(path))
		return ERR_MISSING;
	sqlite_say(why, path, "is missing, though its -wal is there", NULL);
	return ERR_SYNTAX;
}

/* Before SQLite has it open: to close a file that is open elsewhere in the process drops its
 * locks. */
enum err sqlite_file_look(const char *path, unsigned *version_out, struct buf *why)
{
	unsigned char header[HEADER_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return say_missing(path, why);
	len = read(fd, header, sizeof(header));
	close(fd);
	return len < 0 ? sqlite_say_errno(why, path, "cannot be read")
		       : judge(path, header, len, version_out, why);
}

/* ---- opening it */

int sqlite_version_of(sqlite3 *db)
{
	sqlite3_stmt *row = NULL;
	int version = 0;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &row, NULL) == SQLITE_OK &&
		sqlite3_step(row) == SQLITE_ROW)
		version = sqlite3_column_int(row, 0);
	sqlite3_finalize(row);
	return version;
}

/* A queue of an older version goes on as one of this version. */
static bool upgrade(sqlite3 *db)
{
	int version = sqlite_version_of(db);

	return version < 1 || version >= SCHEMA ||
	       (does(db, "BEGIN IMMEDIATE") && raise_from(db, version) && does(db, "COMMIT"));
}

static bool prepare(sqlite3 *db)
{
	static const char pragmas[] =
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON; "
		"PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; "
		"PRAGMA cache_size = -32768; PRAGMA journal_mode = WAL; "
		"PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; "
		"BEGIN IMMEDIATE; SELECT count(*) FROM sqlite_schema; COMMIT";

	sqlite3_extended_result_codes(db, 1);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	/* What is refused is left as it was; what is closed in order, store_sqlite.c tidies. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	return does(db, pragmas) && upgrade(db);
}

enum err sqlite_say_refused(struct buf *why, const char *path, sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		sqlite_say(why, path, "another process has it open", NULL);
		return ERR_IO;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:
		sqlite_say(why, path, "is damaged", db);
		return ERR_SYNTAX;
	case SQLITE_NOMEM:
		sqlite_say(why, path, "there is no memory", NULL);
		return ERR_MEMORY;
	default:
		sqlite_say(why, path, "cannot be opened", db);
		return ERR_IO;
	}
}

enum err sqlite_file_open(const char *path, sqlite3 **db_out, struct buf *why)
{
	sqlite3 *db = NULL;
	unsigned version;
	enum err err = sqlite_file_look(path, &version, why);

	if (err == ERR_MISSING)
		err = make(path, why);
	if (err)
		return err;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
			SQLITE_OK ||
		!prepare(db)) {
		err = sqlite_say_refused(why, path, db);
		sqlite3_close(db);
		return err;
	}
	*db_out = db;
	return OK;
}
