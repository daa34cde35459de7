/* crash_vfs - a disk that forgets: what was not synced is lost when the power goes, in part
 *
 * Stands before SQLite's own file layer, as its default. Of each file it remembers what was synced
 * last; when it crashes, every file becomes that, with a random part of what was written since, in
 * sectors of 512 bytes, in any order, and the process ends. One thread only. */
#pragma once

#include <stdint.h>

enum { CRASH_STATUS = 42, SECTOR = 512 };

struct crash_plan {
	int crash_at;        /* the power goes before this write, sync or truncation; 0: never */
	uint64_t seed;       /* of what survives */
	int fail_sync_at;    /* this sync fails, and takes nothing to the disk; 0: none */
	int fail_write_from; /* this write and those behind it fail, as on a bad disk; 0: none */
	int fail_write_to;   /* … but for those behind this one; 0: all */
	int64_t room_bytes;  /* all files together hold no more: the disk is full; 0: no bound */
	/* told */
	int steps, writes, syncs;
};

extern struct crash_plan crash_plan;

/* From now on; once in a process. */
void crash_vfs_begin(void);
/* The power goes now. */
_Noreturn void crash_now(void);
