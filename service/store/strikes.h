/* strikes - which messages are on their way: MAIL was written, and no verdict is in the store
 *
 * Noted in a small file beside the store: it survives the process, not the machine, so nothing is
 * synced, and a note costs one write to memory. What a process that died left there are the
 * messages that it may have died of.
 *
 * Threads: any. */
#pragma once

#include "http/delivery.h"

enum { STRIKES_MOST = 1024, STRIKE_NONE = -1 };

struct strikes;

/* Opens the file, or makes it. ERR_IO: it cannot be, or there is no room for it. */
MUST_USE enum err strikes_open(const char *path, struct strikes **strikes_out);
/* Did the process before note all that it wrote? Not where the machine went down, or there is no
 * file. Before strikes_forget_left. */
bool strikes_are_known(const struct strikes *strikes);
/* What the process before left, in turn from *place on, 0 at first. False: that was all. */
bool strikes_left(const struct strikes *strikes, size_t *place, char id_out[DELIVERY_ID_LEN + 1]);
/* … is counted: the file is empty from now on. Once, before the first note. */
void strikes_forget_left(struct strikes *strikes);
/* Its MAIL is about to be written. Gives the slot; STRIKE_NONE: it could not be noted. */
int strikes_note(struct strikes *strikes, const char *id);
/* What came of it is in the store. */
void strikes_clear(struct strikes *strikes, int slot);
/* In order: nothing is left, unless what was left was not counted. NULL is fine. */
void strikes_close(struct strikes *strikes);
