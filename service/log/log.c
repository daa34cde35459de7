#include "service/log/log_own.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The writer gathers for a moment, so that it is not woken for every line. */
enum { GATHER_MS = 2, LOOK_MS = 50, CLOSE_S = 1, PIPE_PIECE = 4096 };

void log_hand_over(struct log *log, struct text line)
{
	bool taken;

	pthread_mutex_lock(&log->lock);
	taken = log_ring_add(&log->ring, line);
	if (taken && log->writer_waits) {
		log->writer_waits = false;
		pthread_cond_signal(&log->filled);
	}
	pthread_mutex_unlock(&log->lock);
	if (!taken)
		atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
}

/* ---- the writer */

static bool is_time_to_give_up(struct log *log)
{
	struct timespec now;
	bool closing;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&log->lock);
	closing = log->closing;
	pthread_mutex_unlock(&log->lock);
	return closing &&
	       (now.tv_sec > log->give_up.tv_sec ||
		       (now.tv_sec == log->give_up.tv_sec && now.tv_nsec >= log->give_up.tv_nsec));
}

/* A pipe that is writable takes a page without blocking, even where it was not made non-blocking.
 * False: what is left cannot be written. */
static bool write_all(struct log *log, struct text *text)
{
	while (text->len) {
		struct pollfd wait = { .fd = log->fd, .events = POLLOUT };
		struct text piece = text_head(*text, log->is_file ? text->len : PIPE_PIECE);
		ssize_t written;

		if (!log->is_file && poll(&wait, 1, LOOK_MS) <= 0) {
			if (is_time_to_give_up(log))
				return false;
			continue;
		}
		written = write(log->fd, piece.at, piece.len);
		if (written > 0)
			*text = text_from(*text, (size_t)written);
		else if (written < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		else if (is_time_to_give_up(log))
			return false;
	}
	return true;
}

static bool write_chunk(struct log *log, const struct log_chunk *chunk)
{
	struct text text = { chunk->at, chunk->len };
	uint64_t lost = 0;

	if (write_all(log, &text))
		return true;
	for (size_t i = 0; i < text.len; i++)
		lost += text.at[i] == '\n';
	atomic_fetch_add_explicit(&log->dropped, lost, memory_order_relaxed);
	return false;
}

static void tell_dropped(struct log *log)
{
	uint64_t dropped = log_dropped(log);
	struct log_line line;

	if (dropped == log->dropped_told)
		return;
	line = log_line(log, LOG_ERROR, "log_dropped");
	log_u64(&line, "lines", dropped - log->dropped_told);
	log_end(&line);
	log->dropped_told = dropped;
}

/* The next chunk to write; NULL: it is over. */
static struct log_chunk *next_chunk(struct log *log)
{
	const struct timespec moment = { 0, GATHER_MS * 1000000 };
	struct log_chunk *chunk;
	bool waited = false;

	pthread_mutex_lock(&log->lock);
	while (log_ring_is_empty(&log->ring) && !log->closing) {
		log->writer_waits = true;
		pthread_cond_wait(&log->filled, &log->lock);
		log->writer_waits = false;
		waited = true;
	}
	if (waited && !log->closing) {
		pthread_mutex_unlock(&log->lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&log->lock);
	}
	chunk = log_ring_take(&log->ring);
	pthread_mutex_unlock(&log->lock);
	return chunk;
}

static void *write_lines(void *self)
{
	struct log *log = self;
	struct log_chunk *chunk;
	bool written;

	while ((chunk = next_chunk(log))) {
		written = write_chunk(log, chunk);
		pthread_mutex_lock(&log->lock);
		log_ring_give_back(&log->ring, chunk);
		pthread_mutex_unlock(&log->lock);
		if (written) /* else nobody reads it, and it would be lost in turn */
			tell_dropped(log);
	}
	return NULL;
}

/* ---- life */

/* Signals are for the main thread; a closed pipe is an error of write(2), not a signal. */
static int start_writer(struct log *log)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&log->writer, NULL, write_lines, log);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

enum err log_open(int fd, const struct settings *settings, struct log **log_out)
{
	struct log *log = calloc(1, sizeof(*log));
	struct stat about;

	if (!log)
		return ERR_MEMORY;
	log->fd = fd;
	log->is_file = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->filled, NULL);
	log_adjust(log, settings);
	if (start_writer(log)) {
		pthread_cond_destroy(&log->filled);
		pthread_mutex_destroy(&log->lock);
		free(log);
		return ERR_MEMORY;
	}
	*log_out = log;
	return OK;
}

void log_finish(struct log *log)
{
	if (log->is_finished)
		return;
	pthread_mutex_lock(&log->lock);
	clock_gettime(CLOCK_MONOTONIC, &log->give_up);
	log->give_up.tv_sec += CLOSE_S;
	log->closing = true;
	pthread_cond_signal(&log->filled);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->writer, NULL);
	log->is_finished = true;
}

void log_close(struct log *log)
{
	if (!log)
		return;
	log_finish(log);
	log_ring_free(&log->ring);
	pthread_cond_destroy(&log->filled);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void log_adjust(struct log *log, const struct settings *settings)
{
	atomic_store(&log->level, (int)settings->log_level);
	atomic_store(&log->is_text, settings->log_text);
	atomic_store(&log->addresses, (int)settings->log_addresses);
}

bool log_shows(const struct log *log, enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t log_dropped(const struct log *log)
{
	return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}
