#include "http/intake/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What is left free of a file system: a twentieth of it, or so much; looked at so often. */
enum { LEAVE_SHARE = 20, LEAVE_BYTES = 256 << 20, LOOK_BYTES = 1 << 20 };

static size_t read_file(const struct spool *spool, uint64_t at, char *out, size_t room)
{
	size_t done = 0;

	while (done < room) {
		ssize_t len = pread(spool->fd, out + done, room - done, (off_t)(at + done));

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			break;
		done += (size_t)len;
	}
	return done;
}

static size_t read_part(const struct smtp_source *source, uint64_t at, char *out, size_t room)
{
	const struct spool_part *part = (const struct spool_part *)source;
	uint64_t left = at < part->len ? part->len - at : 0;

	return read_file(part->spool, part->at + at, out, room < left ? room : (size_t)left);
}

void spool_open(struct spool *spool)
{
	*spool = (struct spool){ .head = buf_born(SPOOL_IN_MEMORY), .fd = -1 };
}

void spool_close(struct spool *spool)
{
	buf_free(&spool->head);
	if (spool->fd >= 0)
		close(spool->fd);
	spool->fd = -1;
}

/* Some file systems (overlayfs, before Linux 6.3) give a file no life without a name. */
static int open_in(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	char path[4096];

	if (fd >= 0 || errno != EOPNOTSUPP ||
		snprintf(path, sizeof(path), "%s/lettergate-XXXXXX", folder) >= (int)sizeof(path))
		return fd;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int open_nameless(void)
{
	const char *const places[] = { getenv("TMPDIR"), "/tmp", "/var/tmp" };
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i] && places[i][0])
			fd = open_in(places[i]);
	return fd >= 0 ? fd : memfd_create("lettergate", MFD_CLOEXEC);
}

static enum err write_all(int fd, struct text bytes)
{
	while (bytes.len) {
		ssize_t len = write(fd, bytes.at, bytes.len);

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return ERR_IO;
		bytes = text_from(bytes, (size_t)len);
	}
	return OK;
}

/* A file system that does not say its size has no bound of its own. */
static enum err check_room(struct spool *spool)
{
	uint64_t free_bytes, leave;
	struct statfs found;

	if (fstatfs(spool->fd, &found))
		return ERR_IO;
	spool->in_memory = found.f_type == TMPFS_MAGIC || found.f_type == RAMFS_MAGIC;
	free_bytes = (uint64_t)found.f_bavail * (uint64_t)found.f_bsize;
	leave = (uint64_t)found.f_blocks * (uint64_t)found.f_bsize / LEAVE_SHARE;
	if (leave > LEAVE_BYTES)
		leave = LEAVE_BYTES;
	if (!found.f_blocks || free_bytes >= leave)
		return OK;
	errno = ENOSPC;
	return ERR_IO;
}

static enum err move_to_file(struct spool *spool)
{
	enum err err;

	spool->fd = open_nameless();
	if (spool->fd < 0)
		return ERR_IO;
	err = check_room(spool);
	if (!err)
		err = write_all(spool->fd, buf_text(&spool->head));
	buf_free(&spool->head);
	return err;
}

enum err spool_add(struct spool *spool, struct text bytes)
{
	enum err err = OK;

	if (spool->fd < 0 && spool->len + bytes.len > SPOOL_IN_MEMORY)
		err = move_to_file(spool);
	if (err)
		return err;
	if (spool->fd >= 0) {
		if (spool->len / LOOK_BYTES != (spool->len + bytes.len) / LOOK_BYTES)
			err = check_room(spool);
		if (!err)
			err = write_all(spool->fd, bytes);
	} else {
		buf_add(&spool->head, bytes);
		err = spool->head.err;
	}
	spool->len += bytes.len;
	return err;
}

size_t spool_held(const struct spool *spool)
{
	return spool->fd >= 0 && spool->in_memory ? spool->len : spool->head.room;
}

struct smtp_content spool_content(struct spool_part *part)
{
	struct text held = buf_text(&part->spool->head);

	part->source.read = read_part;
	if (part->spool->fd < 0)
		return (struct smtp_content){ .encoding = SMTP_BASE64,
			.text = text_head(text_from(held, part->at), part->len) };
	return (struct smtp_content){
		.encoding = SMTP_BASE64, .source = &part->source, .len = part->len
	};
}
