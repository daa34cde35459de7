/* Room that is set aside on the disk, given up when the disk is full: what was accepted can be
 * settled, and nothing more is accepted until there is as much room again. */
#include <errno.h>
#include <fcntl.h>
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
};

/* 0: there is not enough to speak of. */
static off_t size_for(int fd)
{
	struct statvfs seen;
	uint64_t share;

	if (fstatvfs(fd, &seen) != 0)
		return 0;
	share = (uint64_t)seen.f_bavail * seen.f_frsize / SHARE;
	if (share > RESERVE_BYTES)
		return RESERVE_BYTES;
	return share < RESERVE_LEAST ? 0 : (off_t)share;
}

/* To put the log into the file takes as much room as it has, so it is kept to half of this. */
static void bound_log(struct sqlite_store *store, off_t size)
{
	int pages = (int)(size / 2 / PAGE_BYTES);

	store->wal_most = pages < LOG_PAGES ? pages : LOG_PAGES;
}

static bool set_aside(struct sqlite_store *store)
{
	off_t size = size_for(store->reserve_fd);

	if (size == 0 || posix_fallocate(store->reserve_fd, 0, size) != 0)
		return false;
	bound_log(store, size);
	return true;
}

/* What holds nothing in the file is as good as room on the disk. */
static bool has_free_bytes(struct sqlite_store *store)
{
	sqlite3_stmt *free = sql_use(store, SQL_FREE_BYTES);
	int64_t bytes = sql_row(free) ? sqlite3_column_int64(free, 0) : 0;

	return sql_end(store, free) == OK && bytes >= RESERVE_BYTES;
}

enum err reserve_open(struct sqlite_store *store, const char *path)
{
	char name[PATH_BYTES];
	struct buf buf = buf_over(name, sizeof(name));
	off_t size;

	buf_addf(&buf, "%s-reserve", path);
	buf_add_byte(&buf, '\0');
	if (buf.err)
		return ERR_IO;
	store->reserve_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->reserve_fd < 0)
		return errno == ENOSPC || errno == EDQUOT ? OK : ERR_IO;
	size = lseek(store->reserve_fd, 0, SEEK_END);
	if (size >= RESERVE_LEAST)
		bound_log(store, size);
	else if (!set_aside(store))
		reserve_release(store);
	return OK;
}

void reserve_release(struct sqlite_store *store)
{
	store->is_full = true;
	store->tried_us = now_us();
	if (store->reserve_fd >= 0 && ftruncate(store->reserve_fd, 0) != 0)
		return; /* then there is nothing to give up */
}

void reserve_restore(struct sqlite_store *store)
{
	uint64_t now = now_us();

	if (!store->is_full || now < store->tried_us + TRY_EVERY_US)
		return;
	store->tried_us = now;
	if ((store->reserve_fd >= 0 && set_aside(store)) || has_free_bytes(store))
		store->is_full = false;
}

void reserve_close(struct sqlite_store *store)
{
	if (store->reserve_fd >= 0)
		close(store->reserve_fd);
}
