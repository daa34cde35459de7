#include "crash_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct crash_plan crash_plan;

/* A file by its name, whether it is open or not. */
struct tracked {
	struct tracked *next;
	char *path;
	char *synced, *now; /* contents */
	size_t synced_len, now_len;
	bool *is_dirty; /* by sector, of the longer of both */
	size_t sectors;
};

struct crash_file {
	sqlite3_file base;
	struct tracked *tracked;
	sqlite3_file *real; /* lies behind */
};

static struct tracked *all;
static sqlite3_vfs *below;
static int64_t total_bytes;

static uint64_t chance(void)
{
	crash_plan.seed = crash_plan.seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return crash_plan.seed >> 33;
}

/* ---- the power goes */

static void write_out(const struct tracked *file, const char *bytes, size_t len)
{
	int fd = open(file->path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	close(fd);
}

static void copy_sector(char *to, const char *from, size_t from_len, size_t sector)
{
	size_t start = sector * SECTOR;

	if (start < from_len)
		memcpy(to + start, from + start,
			from_len - start < SECTOR ? from_len - start : SECTOR);
}

/* What was synced, and of what was written since each sector or not; `odds` of four. */
static void lose_some(const struct tracked *file, unsigned odds)
{
	size_t longest = file->sectors * SECTOR, len = file->synced_len;
	char *left = calloc(1, longest + 1);

	if (file->synced_len)
		memcpy(left, file->synced, file->synced_len);
	for (size_t sector = 0; sector < file->sectors; sector++)
		if (file->is_dirty[sector] && chance() % 4 < odds) {
			copy_sector(left, file->now, file->now_len, sector);
			if ((sector + 1) * SECTOR > len)
				len = (sector + 1) * SECTOR;
		}
	if (len > file->now_len && file->now_len >= file->synced_len)
		len = file->now_len;
	if (file->now_len < file->synced_len && chance() % 2)
		len = file->now_len;
	if (file->now_len > len && chance() % 2)
		len = file->now_len; /* the length went to disk, the content did not */
	write_out(file, left, len);
	free(left);
}

void crash_now(void)
{
	for (struct tracked *file = all; file; file = file->next)
		if (access(file->path, F_OK) == 0)
			lose_some(file, (unsigned)(chance() % 5));
	_exit(CRASH_STATUS);
}

static void step(void)
{
	if (++crash_plan.steps == crash_plan.crash_at)
		crash_now();
}

/* ---- what is remembered */

static void grow(struct tracked *file, size_t len)
{
	size_t sectors = (len + SECTOR - 1) / SECTOR;

	if (sectors > file->sectors) {
		file->is_dirty = realloc(file->is_dirty, sectors * sizeof(bool));
		memset(file->is_dirty + file->sectors, 0, (sectors - file->sectors) * sizeof(bool));
		file->now = realloc(file->now, sectors * SECTOR);
		memset(file->now + file->sectors * SECTOR, 0, (sectors - file->sectors) * SECTOR);
		file->sectors = sectors;
	}
	if (len > file->now_len)
		file->now_len = len;
}

static void note_write(struct tracked *file, const void *bytes, size_t len, size_t at)
{
	size_t before = file->now_len;

	grow(file, at + len);
	total_bytes += (int64_t)(file->now_len - before);
	memcpy(file->now + at, bytes, len);
	for (size_t sector = at / SECTOR; sector * SECTOR < at + len; sector++)
		file->is_dirty[sector] = true;
}

static void note_sync(struct tracked *file)
{
	file->synced = realloc(file->synced, file->sectors * SECTOR + 1);
	for (size_t sector = 0; sector < file->sectors; sector++)
		if (file->is_dirty[sector])
			memcpy(file->synced + sector * SECTOR, file->now + sector * SECTOR, SECTOR);
	file->synced_len = file->now_len;
	if (file->sectors)
		memset(file->is_dirty, 0, file->sectors * sizeof(bool));
}

static struct tracked *track(const char *path)
{
	struct tracked *file = all;
	struct stat seen;
	int fd;

	while (file && strcmp(file->path, path) != 0)
		file = file->next;
	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	file->path = strdup(path);
	file->next = all;
	all = file;
	fd = open(path, O_RDONLY); /* what is there already is on disk */
	if (fd >= 0 && fstat(fd, &seen) == 0 && seen.st_size > 0) {
		grow(file, (size_t)seen.st_size);
		if (read(fd, file->now, file->now_len) != (ssize_t)file->now_len)
			abort();
		total_bytes += seen.st_size;
	}
	if (fd >= 0)
		close(fd);
	if (file->sectors)
		memset(file->is_dirty, true, file->sectors * sizeof(bool));
	note_sync(file);
	return file;
}

/* ---- what SQLite calls */

#define REAL(file) (((struct crash_file *)(file))->real)

static int close_file(sqlite3_file *file)
{
	return REAL(file)->pMethods->xClose(REAL(file));
}

static int read_some(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	return REAL(file)->pMethods->xRead(REAL(file), bytes, len, at);
}

static int write_some(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	struct tracked *tracked = ((struct crash_file *)file)->tracked;
	int64_t more = at + len - (int64_t)(tracked ? tracked->now_len : 0);
	int rc;

	step();
	crash_plan.writes++;
	if (crash_plan.fail_write_from && crash_plan.writes >= crash_plan.fail_write_from &&
		(!crash_plan.fail_write_to || crash_plan.writes <= crash_plan.fail_write_to))
		return SQLITE_IOERR_WRITE;
	if (crash_plan.room_bytes && more > 0 && total_bytes + more > crash_plan.room_bytes)
		return SQLITE_FULL;
	rc = REAL(file)->pMethods->xWrite(REAL(file), bytes, len, at);
	if (rc == SQLITE_OK && tracked)
		note_write(tracked, bytes, (size_t)len, (size_t)at);
	return rc;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 len)
{
	struct tracked *tracked = ((struct crash_file *)file)->tracked;
	int rc;

	step();
	rc = REAL(file)->pMethods->xTruncate(REAL(file), len);
	if (rc == SQLITE_OK && tracked && (size_t)len < tracked->now_len) {
		memset(tracked->now + len, 0, tracked->sectors * SECTOR - (size_t)len);
		total_bytes -= (int64_t)tracked->now_len - len;
		tracked->now_len = (size_t)len;
	}
	return rc;
}

static int sync_file(sqlite3_file *file, int flags)
{
	struct tracked *tracked = ((struct crash_file *)file)->tracked;

	(void)flags;
	step();
	if (++crash_plan.syncs == crash_plan.fail_sync_at)
		return SQLITE_IOERR_FSYNC;
	if (tracked)
		note_sync(tracked);
	return SQLITE_OK; /* it is remembered here: the real disk need not */
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return REAL(file)->pMethods->xFileSize(REAL(file), size);
}

static int lock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int unlock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int check_lock(sqlite3_file *file, int *is_reserved)
{
	return REAL(file)->pMethods->xCheckReservedLock(REAL(file), is_reserved);
}

static int control(sqlite3_file *file, int what, void *argument)
{
	return REAL(file)->pMethods->xFileControl(REAL(file), what, argument);
}

static int sector_size(sqlite3_file *file)
{
	(void)file;
	return SECTOR;
}

/* No promises: pages may be torn. */
static int characteristics(sqlite3_file *file)
{
	(void)file;
	return 0;
}

static const sqlite3_io_methods methods = { 1, close_file, read_some, write_some, truncate_file,
	sync_file, file_size, lock, unlock, check_lock, control, sector_size, characteristics, NULL,
	NULL, NULL, NULL, NULL, NULL };

static int open_file(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *opened, int flags, int *flags_out)
{
	struct crash_file *file = (struct crash_file *)opened;
	int rc;

	(void)vfs;
	file->real = (sqlite3_file *)(file + 1);
	file->tracked = name ? track(name) : NULL;
	rc = below->xOpen(below, name, file->real, flags, flags_out);
	file->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
	return rc;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	struct tracked *file = track(name);

	(void)vfs;
	step();
	total_bytes -= (int64_t)file->now_len;
	file->now_len = file->synced_len = 0;
	if (file->sectors)
		memset(file->is_dirty, 0, file->sectors * sizeof(bool));
	return below->xDelete(below, name, sync_folder);
}

void crash_vfs_begin(void)
{
	static sqlite3_vfs vfs;

	below = sqlite3_vfs_find(NULL);
	vfs = *below;
	vfs.iVersion = 1;
	vfs.zName = "lettergate-crash";
	vfs.szOsFile = (int)sizeof(struct crash_file) + below->szOsFile;
	vfs.xOpen = open_file;
	vfs.xDelete = delete_file;
	sqlite3_vfs_register(&vfs, 1);
}
