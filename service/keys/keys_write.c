/* keys_write - changing API_KEYS_FILE: one editor at a time, the old file or the new one, never a
 * piece of it */
#include "service/keys/keys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/json/json.h"

static enum err say(struct buf *why, const char *path, const char *what)
{
	buf_clear(why);
	buf_addf(why, "%s: cannot %s: %s", path, what, strerror(errno));
	return ERR_IO;
}

/* Opens the directory that the file is in. */
static int open_directory(const char *path)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
	const char *directory = !slash ? "." : slash == copy ? "/" : copy;
	int fd;

	if (!copy)
		return -1;
	if (slash && slash != copy)
		*slash = 0;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	return fd;
}

enum err keys_file_lock(const char *path, struct region *region, struct key_list *list_out,
	int *lock_out, struct buf *why)
{
	int lock = open_directory(path); /* locking it leaves nothing behind */
	enum err err;

	if (lock < 0 || flock(lock, LOCK_EX)) {
		err = say(why, path, "lock its directory");
		if (lock >= 0)
			close(lock);
		return err;
	}
	err = keys_file_read(path, region, list_out, why);
	if (err == ERR_MISSING) {
		*list_out = (struct key_list){ 0 };
		err = OK;
	}
	if (err) {
		close(lock);
		return err;
	}
	*lock_out = lock;
	return OK;
}

void keys_file_unlock(int lock)
{
	close(lock); /* and the lock with it */
}

/* ---- as JSON, one entry a line */

static void add_hash(struct buf *out, const char *name, const unsigned char *hash)
{
	json_add_name(out, name);
	buf_add_string(out, "\"sha256:");
	for (size_t i = 0; i < KEY_HASH_BYTES; i++)
		buf_addf(out, "%02x", hash[i]);
	buf_add_byte(out, '"');
}

static void add_list(struct buf *out, const char *name, const struct text *list, size_t count)
{
	if (!count)
		return;
	json_add_name(out, name);
	buf_add_byte(out, '[');
	for (size_t i = 0; i < count; i++) {
		json_add_comma(out);
		json_add_string(out, list[i]);
	}
	buf_add_byte(out, ']');
}

static void add_entry(struct buf *out, const struct key_entry *entry)
{
	buf_add_byte(out, '{');
	json_add_member(out, "id", entry->id);
	add_hash(out, "hash", entry->hash);
	json_add_name(out, "scopes");
	buf_add_string(out, "[\"");
	key_scopes_add(out, entry->scopes, "\",\"");
	buf_add_string(out, "\"]");
	add_list(out, "from", entry->from, entry->from_count);
	add_list(out, "to", entry->to, entry->to_count);
	add_list(out, "relays", entry->relays, entry->relay_count);
	if (entry->rate) {
		json_add_name(out, "rate");
		buf_addf(out, "\"%u/%s\"", entry->rate,
			entry->rate_window_s == 1    ? "s"
			: entry->rate_window_s == 60 ? "m"
						     : "h");
	}
	if (entry->daily)
		json_add_member_u64(out, "daily", entry->daily);
	if (entry->expires_ms) {
		json_add_name(out, "expires");
		json_add_time(out, entry->expires_ms);
	}
	if (entry->old_expires_ms) {
		add_hash(out, "old_hash", entry->old_hash);
		json_add_name(out, "old_expires");
		json_add_time(out, entry->old_expires_ms);
	}
	buf_add_byte(out, '}');
}

static void add_all(struct buf *out, const struct key_list *list)
{
	buf_add_string(out, "{\"keys\":[");
	for (size_t i = 0; i < list->count; i++) {
		buf_add_string(out, i ? ",\n" : "\n");
		add_entry(out, &list->at[i]);
	}
	buf_add_string(out, "\n]}\n");
}

/* ---- on disk */

static bool write_all(int fd, struct text text)
{
	while (text.len) {
		ssize_t written = write(fd, text.at, text.len);

		if (written < 0 && errno != EINTR)
			return false;
		if (written > 0)
			text = text_from(text, (size_t)written);
	}
	return true;
}

/* Whoever may read the file today may read it tomorrow: the gateway may run as somebody else. */
static bool keep_owner(int fd, const char *path)
{
	struct stat old;

	if (stat(path, &old))
		return errno == ENOENT;
	return fchown(fd, old.st_uid, old.st_gid) == 0 && fchmod(fd, old.st_mode & 0777) == 0;
}

static enum err replace(
	const char *path, const char *fresh, int fd, struct text text, struct buf *why)
{
	int directory;
	bool synced;

	if (!keep_owner(fd, path))
		return say(why, path, "keep its owner and mode");
	if (!write_all(fd, text) || fsync(fd))
		return say(why, fresh, "write");
	if (rename(fresh, path))
		return say(why, path, "be replaced");
	directory = open_directory(path);
	synced = directory >= 0 && fsync(directory) == 0;
	if (directory >= 0)
		close(directory);
	return synced ? OK : say(why, path, "reach the disk");
}

enum err keys_file_write(const char *path, const struct key_list *list, struct buf *why)
{
	char *real = realpath(path, NULL); /* what a symbolic link points at is replaced, not it */
	const char *target = real ? real : path;
	struct buf text = buf_born(KEYS_FILE_BYTES), fresh = buf_born(8192);
	enum err err;
	int fd;

	add_all(&text, list);
	buf_addf(&fresh, "%s.XXXXXX", target);
	buf_add_byte(&fresh, 0);
	err = text.err ? text.err : fresh.err;
	if (!err) {
		fd = mkostemp(fresh.at, O_CLOEXEC); /* mode 0600 */
		err = fd < 0 ? say(why, target, "be written anew in its directory")
			     : replace(target, fresh.at, fd, buf_text(&text), why);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 && err)
			unlink(fresh.at);
	}
	buf_free(&fresh);
	buf_free(&text);
	free(real);
	return err;
}
