/* log_own - what log.c (writing) and log_line.c (building) share */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "service/log/log.h"
#include "service/log/log_ring.h"

struct log {
	int fd;
	bool is_file;     /* takes any amount at a time */
	atomic_int level; /* of enum log_level */
	atomic_bool is_text;
	atomic_int addresses; /* of enum log_addresses */
	atomic_uint_least64_t dropped;
	uint64_t dropped_told; /* the writer's */
	pthread_t writer;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t filled;
	struct log_ring ring;
	bool writer_waits, closing, is_finished;
	struct timespec give_up; /* once closing: monotonic */
};

/* Takes a complete line, or counts it as dropped. Never waits for the writer. */
void log_hand_over(struct log *log, struct text line);
enum log_addresses log_shown_addresses(const struct log *log);
