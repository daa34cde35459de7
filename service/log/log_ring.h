/* log_ring - lines that wait to be written: whole ones, in chunks that are made when needed
 *
 * Not for use by two threads at a time. A chunk that was taken out counts against the limit until
 * it is given back. */
#pragma once

#include "smtp/text.h"

enum { LOG_CHUNK = 16384 - 64, LOG_CHUNKS = 64 };

struct log_chunk {
	struct log_chunk *next;
	size_t len;
	char at[LOG_CHUNK];
};

struct log_ring {
	struct log_chunk *first, *last, *spare;
	size_t chunks; /* in the ring or taken out */
};

/* False: there is no room, and nothing was taken. */
bool log_ring_add(struct log_ring *ring, struct text line);
bool log_ring_is_empty(const struct log_ring *ring);
/* The oldest; NULL: none. */
struct log_chunk *log_ring_take(struct log_ring *ring);
void log_ring_give_back(struct log_ring *ring, struct log_chunk *chunk);
void log_ring_free(struct log_ring *ring);
