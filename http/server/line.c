#include "http/server/line.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { SILENCE_US = 2000000, LOOK_US = 1000000, NEW_US = 1000000 };

static size_t bucket_of(const struct network_address *address)
{
	uint32_t sum = 2166136261u; /* FNV-1a: only spreads, nothing depends on it */

	for (size_t i = 0; i < sizeof(address->bytes); i++)
		sum = (sum ^ address->bytes[i]) * 16777619u;
	return sum % LINE_BUCKETS;
}

void lines_open(struct lines *lines)
{
	pthread_mutex_init(&lines->lock, NULL);
}

void lines_close(struct lines *lines)
{
	pthread_mutex_destroy(&lines->lock);
}

struct line *lines_add(struct lines *lines, int fd, struct network_address address, uint64_t now_us)
{
	struct line *line = calloc(1, sizeof(*line)), **bucket;

	if (!line)
		return NULL;
	line->fd = fd;
	line->address = address;
	network_address_name(&address, line->client);
	line->opened_us = now_us;
	atomic_init(&line->deadline_us, UINT64_MAX);
	bucket = &lines->buckets[bucket_of(&address)];
	pthread_mutex_lock(&lines->lock);
	line->next = *bucket;
	if (line->next)
		line->next->previous = line;
	*bucket = line;
	atomic_fetch_add(&lines->count, 1);
	pthread_mutex_unlock(&lines->lock);
	return line;
}

struct line *lines_find(struct lines *lines, int fd, const struct network_address *address)
{
	struct line *line;

	pthread_mutex_lock(&lines->lock);
	line = lines->buckets[bucket_of(address)];
	while (line && line->fd != fd)
		line = line->next;
	pthread_mutex_unlock(&lines->lock);
	return line;
}

void lines_drop(struct lines *lines, struct line *line)
{
	if (!line)
		return;
	pthread_mutex_lock(&lines->lock);
	if (line->next)
		line->next->previous = line->previous;
	if (line->previous)
		line->previous->next = line->next;
	else
		lines->buckets[bucket_of(&line->address)] = line->next;
	atomic_fetch_sub(&lines->count, 1);
	pthread_mutex_unlock(&lines->lock);
	free(line);
}

unsigned lines_from(struct lines *lines, const struct network_address *address)
{
	unsigned count = 0;

	pthread_mutex_lock(&lines->lock);
	for (struct line *line = lines->buckets[bucket_of(address)]; line; line = line->next)
		count += network_address_equal(&line->address, address);
	pthread_mutex_unlock(&lines->lock);
	return count;
}

static bool is_silent(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Does the request, which is not whole, go on no more? */
static bool is_standing(struct line *line, uint64_t now_us)
{
	uint64_t since;

	if (!atomic_load(&line->is_reading))
		return false;
	since = atomic_load(&line->silent_us);
	if (!since)
		atomic_store(&line->silent_us, now_us);
	return since && now_us - since > SILENCE_US;
}

/* Who has just connected is about to ask. */
static bool is_new(const struct line *line, uint64_t now_us)
{
	return !atomic_load(&line->had_request) && now_us < line->opened_us + NEW_US;
}

/* Draining: will nothing more come of it? */
static bool is_stuck(struct line *line, uint64_t now_us)
{
	if (!atomic_load(&line->is_idle))
		return is_standing(line, now_us);
	return !is_new(line, now_us) && is_silent(line->fd);
}

/* The client has closed, and its request is not whole. Where its FIN came together with the last
 * bytes, libmicrohttpd does not hear of it (epoll, edge-triggered: a short read counts as the last
 * one), and would keep all that it holds until the deadline. */
static bool is_left(struct line *line, uint64_t now_us)
{
	char byte;

	return atomic_load(&line->is_reading) &&
	       recv(line->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 && is_standing(line, now_us);
}

void lines_tick(struct lines *lines, uint64_t now_us, bool draining)
{
	bool looks;

	pthread_mutex_lock(&lines->lock);
	looks = now_us - lines->looked_us >= LOOK_US;
	if (looks)
		lines->looked_us = now_us;
	for (size_t i = 0; i < LINE_BUCKETS; i++) {
		for (struct line *line = lines->buckets[i]; line; line = line->next) {
			if (now_us >= atomic_load_explicit(
					      &line->deadline_us, memory_order_relaxed) ||
				(draining && is_stuck(line, now_us)) ||
				(looks && is_left(line, now_us)))
				shutdown(line->fd, SHUT_RDWR);
		}
	}
	pthread_mutex_unlock(&lines->lock);
}

void line_begin(struct line *line, uint32_t headers_ms)
{
	if (!line)
		return;
	atomic_store(&line->is_idle, true);
	line_set_deadline(line, line->opened_us + headers_ms * 1000ull);
}

void line_set_deadline(struct line *line, uint64_t deadline_us)
{
	if (line)
		atomic_store_explicit(&line->deadline_us, deadline_us, memory_order_relaxed);
}
