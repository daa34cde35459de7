/* The database file as it is found, for `lettergate check`: opened as for writing, and left as it
 * was. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "service/store/store_sqlite_own.h"

enum { ROOM_BYTES = 1 << 20 };

/* Its log and what is set aside stand beside it. */
static enum err inspect_folder(const char *path, struct buf *why)
{
	char folder[PATH_BYTES];
	struct statvfs seen;

	if (!sqlite_folder_of(path, folder)) {
		sqlite_say(why, path, "is too long", NULL);
		return ERR_IO;
	}
	if (access(folder, W_OK | X_OK) != 0 || statvfs(folder, &seen) != 0)
		return sqlite_say_errno(why, path, "its folder cannot be written");
	if ((uint64_t)seen.f_bavail * seen.f_frsize < ROOM_BYTES) {
		sqlite_say(why, path, "there is no room on the disk", NULL);
		return ERR_IO;
	}
	return OK;
}

/* With the lock of whoever writes, which is given back. A log that a crash left is read, and stays.
 */
static bool try_to_open(sqlite3 *db)
{
	static const char words[] =
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; "
		"PRAGMA mmap_size = 0; BEGIN IMMEDIATE; SELECT count(*) FROM sqlite_schema";

	sqlite3_extended_result_codes(db, 1);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	return sqlite3_exec(db, words, NULL, NULL, NULL) == SQLITE_OK;
}

static bool is_busy(sqlite3 *db)
{
	int code = sqlite3_errcode(db) & 0xff;

	return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

static enum err inspect_file(const char *path, struct store_found *found, struct buf *why)
{
	sqlite3 *db = NULL;
	enum err err = OK;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
			SQLITE_OK &&
		try_to_open(db)) {
		found->schema = sqlite_version_of(db);
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	} else if (db && is_busy(db)) {
		found->is_held = true;
	} else {
		err = sqlite_say_refused(why, path, db);
	}
	sqlite3_close(db);
	return err;
}

enum err store_sqlite_inspect(const char *path, struct store_found *found_out, struct buf *why)
{
	struct store_found found = { .newest = FILE_SCHEMA };
	unsigned version = 0;
	enum err err = sqlite_file_look(path, &version, why);

	snprintf(found.server, sizeof(found.server), "SQLite %s", sqlite3_libversion());
	found.schema = version;
	if (!err)
		err = inspect_file(path, &found, why);
	if (!err || err == ERR_MISSING)
		err = inspect_folder(path, why);
	if (err)
		return err;
	*found_out = found;
	return OK;
}
