/* line - a client's TCP connection, and how long it may keep us waiting
 *
 * libmicrohttpd's own time-outs are idle times: a byte a second outlives them. Here each line has
 * one deadline for what it is doing. The thread that serves a line sets it; lines_tick, from any
 * thread, hangs up on those that are past theirs. */
#pragma once

#include "http/server/network.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LINE_BUCKETS = 1024 };

struct line {
	struct line *previous, *next;
	int fd;
	struct network_address address;
	char client[NETWORK_NAME];        /* the address as text */
	atomic_uint_fast64_t deadline_us; /* UINT64_MAX: none, a request is parked */
	atomic_bool is_idle;              /* between two requests, or before the first */
	atomic_bool is_reading;           /* a request has begun, and is not whole */
	atomic_bool had_request;
	uint64_t opened_us;
	atomic_uint_fast64_t silent_us; /* draining: since when it does not go on; 0: it did */
};

struct lines {
	pthread_mutex_t lock;
	struct line *buckets[LINE_BUCKETS]; /* by address */
	uint64_t looked_us;                 /* when it was last looked for clients that have gone */
	atomic_uint count;
};

void lines_open(struct lines *lines);
void lines_close(struct lines *lines);
/* When the connection is accepted: it is counted from now on. Nobody hangs up on it before
 * line_begin. NULL: out of memory. */
struct line *lines_add(
	struct lines *lines, int fd, struct network_address address, uint64_t now_us);
/* The one that was added for this descriptor; NULL: none. */
struct line *lines_find(struct lines *lines, int fd, const struct network_address *address);
/* Before the descriptor is closed. NULL is fine. */
void lines_drop(struct lines *lines, struct line *line);
/* How many come from this address? */
unsigned lines_from(struct lines *lines, const struct network_address *address);
/* Hangs up on those that are past their deadline, or whose client has gone in the midst of a
 * request, some seconds ago. `draining`: also on all that are idle, unless something has arrived on
 * them or they are so new that their first request may be on its way, and on those whose request
 * does not go on for two seconds. */
void lines_tick(struct lines *lines, uint64_t now_us, bool draining);

/* The library has it. Its first request is to be whole `headers_ms` after it was accepted. NULL is
 * fine. */
void line_begin(struct line *line, uint32_t headers_ms);
/* All but lines_tick: the serving thread's. NULL is fine. */
void line_set_deadline(struct line *line, uint64_t deadline_us);
