#include "service/log/log_ring.h"

#include <stdlib.h>
#include <string.h>

static bool extend(struct log_ring *ring)
{
	struct log_chunk *chunk = ring->spare;

	if (!chunk && ring->chunks < LOG_CHUNKS) {
		chunk = malloc(sizeof(*chunk));
		ring->chunks += chunk != NULL;
	}
	if (!chunk)
		return false;
	ring->spare = NULL;
	chunk->next = NULL;
	chunk->len = 0;
	if (ring->last)
		ring->last->next = chunk;
	else
		ring->first = chunk;
	ring->last = chunk;
	return true;
}

bool log_ring_add(struct log_ring *ring, struct text line)
{
	if (line.len > LOG_CHUNK)
		return false;
	if ((!ring->last || LOG_CHUNK - ring->last->len < line.len) && !extend(ring))
		return false;
	memcpy(ring->last->at + ring->last->len, line.at, line.len);
	ring->last->len += line.len;
	return true;
}

bool log_ring_is_empty(const struct log_ring *ring)
{
	return !ring->first;
}

struct log_chunk *log_ring_take(struct log_ring *ring)
{
	struct log_chunk *chunk = ring->first;

	if (!chunk)
		return NULL;
	ring->first = chunk->next;
	if (!ring->first)
		ring->last = NULL;
	return chunk;
}

void log_ring_give_back(struct log_ring *ring, struct log_chunk *chunk)
{
	if (!ring->spare) {
		ring->spare = chunk;
		return;
	}
	free(chunk);
	ring->chunks--;
}

void log_ring_free(struct log_ring *ring)
{
	struct log_chunk *chunk;

	while ((chunk = log_ring_take(ring)))
		free(chunk);
	free(ring->spare);
	*ring = (struct log_ring){ 0 };
}
