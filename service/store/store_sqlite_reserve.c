/* Room that is set aside on the disk, given up when the disk is full: what was accepted can be
 * settled, and nothing more is accepted until there is as much room again, and as much beside it.
 *
 * The file says how much it is, also while it is given up: then it is a hole of that size. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "service/clock.h"
#include "service/store/store_sqlite_own.h"

enum {
	RESERVE_BYTES = 32 << 20, /* twice what the log holds, or of a small disk a quarter */
	RESERVE_LEAST = 64 << 10,
	SHARE = 4,
	TRY_EVERY_US = 500000,
	PAGE_BYTES = 8192, /* at the most: files of before have 4096 */
	LOG_PAGES = 1000,
	BLOCK_BYTES = 512, /* of st_blocks */
};

/* ---- how much there is */

static uint64_t free_on_disk(int fd)
{
	struct statvfs seen;

	return fstatvfs(fd, &seen) == 0 ? (uint64_t)seen.f_bavail * seen.f_frsize : 0;
}

/* What holds nothing in the file is as good as room on the disk. */
static int64_t free_in_file(struct sqlite_store *store)
{
	sqlite3_stmt *free = sql_use(store, SQL_FREE_BYTES);
	int64_t bytes = sql_row(free) ? sqlite3_column_int64(free, 0) : 0;

	return sql_end(store, free) == OK ? bytes : 0;
}

/* To put the log into the file takes as much room as it has, so it is kept to half of this. */
static void bound_log(struct sqlite_store *store)
{
	int64_t pages = store->reserve_bytes / 2 / PAGE_BYTES;

	store->wal_most = pages < LOG_PAGES ? (int)pages : LOG_PAGES;
}

/* It grows with the disk and never shrinks: what was given up is no small disk. */
static void measure(struct sqlite_store *store)
{
	uint64_t share = free_on_disk(store->reserve_fd) / SHARE;

	if (share > RESERVE_BYTES)
		share = RESERVE_BYTES;
	if (share >= RESERVE_LEAST && (int64_t)share > store->reserve_bytes)
		store->reserve_bytes = (int64_t)share;
	bound_log(store);
}

/* ---- setting it aside, and giving it up */

static void give_up(struct sqlite_store *store)
{
	store->is_spent = true;
	if (store->reserve_fd < 0 || ftruncate(store->reserve_fd, 0) != 0)
		return; /* then there is nothing to give up */
	if (ftruncate(store->reserve_fd, store->reserve_bytes) != 0)
		return; /* the next process will measure anew */
}

/* It takes all that has to be there, and gives back what is beside it. */
static bool set_aside(struct sqlite_store *store, int64_t beside)
{
	int64_t bytes = store->reserve_bytes, all = bytes + beside;

	if (bytes == 0 || free_on_disk(store->reserve_fd) < (uint64_t)all ||
		posix_fallocate(store->reserve_fd, 0, all) != 0 ||
		ftruncate(store->reserve_fd, bytes) != 0) {
		give_up(store);
		return false;
	}
	store->is_spent = false;
	return true;
}

static void open_file(struct sqlite_store *store)
{
	store->reserve_fd =
		open(store->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool is_whole(const struct stat *seen)
{
	return seen->st_size >= RESERVE_LEAST &&
	       (int64_t)seen->st_blocks * BLOCK_BYTES >= seen->st_size;
}

/* Where none was known it is measured of what is free, so that more is left beside it. */
static void begin(struct sqlite_store *store, const struct stat *seen)
{
	int64_t known = seen->st_size < RESERVE_LEAST   ? 0
			: seen->st_size > RESERVE_BYTES ? RESERVE_BYTES
							: seen->st_size;
	bool is_there = is_whole(seen);

	store->reserve_bytes = known;
	measure(store);
	if (is_there && store->reserve_bytes == known)
		return;
	if (!set_aside(store, is_there ? 0 : known))
		reserve_release(store);
}

/* Without the reserve, so much stays free in the file in its place. */
static int64_t least_in_file(const struct sqlite_store *store)
{
	return store->reserve_bytes ? store->reserve_bytes : RESERVE_BYTES;
}

/* ---- the interface */

enum err reserve_open(struct sqlite_store *store, const char *path)
{
	struct buf name = buf_over(store->reserve_path, sizeof(store->reserve_path));
	struct stat seen;

	buf_addf(&name, "%s-reserve", path);
	buf_add_byte(&name, '\0');
	if (name.err)
		return ERR_IO;
	open_file(store);
	if (store->reserve_fd < 0 && errno != ENOSPC && errno != EDQUOT)
		return ERR_IO;
	if (store->reserve_fd < 0)
		reserve_release(store);
	else if (fstat(store->reserve_fd, &seen) != 0)
		return ERR_IO;
	else
		begin(store, &seen);
	return OK;
}

void reserve_release(struct sqlite_store *store)
{
	store->is_full = true;
	store->tried_us = now_us();
	if (!store->is_spent)
		give_up(store);
}

void reserve_restore(struct sqlite_store *store)
{
	uint64_t now = now_us();
	int64_t in_file;

	if (!store->is_spent || now < store->tried_us + TRY_EVERY_US)
		return;
	store->tried_us = now;
	if (store->reserve_fd < 0)
		open_file(store);
	measure(store);
	in_file = free_in_file(store);
	if (set_aside(store, in_file < store->reserve_bytes ? store->reserve_bytes : 0) ||
		in_file >= 2 * least_in_file(store))
		store->is_full = false;
}

bool reserve_takes(struct sqlite_store *store, uint64_t bytes)
{
	if (store->is_spent && !store->is_full &&
		free_in_file(store) < least_in_file(store) + (int64_t)bytes)
		store->is_full = true;
	return !store->is_full;
}

void reserve_close(struct sqlite_store *store)
{
	if (store->reserve_fd >= 0)
		close(store->reserve_fd);
}
