/* spool - bytes that are too many to be held: in a file that has no name
 *
 * What is small stays in memory. The file is made in TMPDIR, else /tmp or /var/tmp, and where none
 * of them can be written, in memory that only the kernel holds. It is gone with spool_close, and
 * with the process. Some of the file system is left free for others. One thread writes; when all is
 * written, any number may read. */
#pragma once

#include "smtp/message/content.h"

enum { SPOOL_IN_MEMORY = 64 << 10 };

struct spool {
	struct buf head; /* all of it, while there is no file */
	int fd;          /* -1: none yet */
	bool in_memory;  /* the file is in memory: tmpfs */
	uint64_t len;
};

/* Several things may be written one behind the other: what stands where. */
struct spool_part {
	struct smtp_source source; /* first: for smtp_content */
	const struct spool *spool;
	uint64_t at, len;
};

void spool_open(struct spool *spool);
void spool_close(struct spool *spool);
/* Bytes of memory that it takes, the kernel's included. */
size_t spool_held(const struct spool *spool);
/* ERR_MEMORY; ERR_IO: errno says why. Then it is of no further use. */
MUST_USE enum err spool_add(struct spool *spool, struct text bytes);
/* The part, once all is written, to go out as base64. Borrows it and its spool. */
struct smtp_content spool_content(struct spool_part *part);
