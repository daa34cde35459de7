/* serve_own - the running program, as the files of `lettergate serve` share it
 *
 * serve.c starts and stops it; serve_loop.c has its loop: signals, ticks, drain; serve_reload.c
 * takes up new settings. */
#pragma once

#include "http/server/server.h"
#include "service/lettergate.h"

#include <uv.h>

struct program {
	char *const *args;
	struct settings *started;  /* those of the start: what cannot change */
	struct settings *settings; /* those in force */
	struct log *log;
	struct lettergate *lettergate;
	struct gateway gateway;
	struct server *server;
	uv_loop_t loop;
	uv_timer_t tick;
	uv_poll_t signals;
	int signal_fd;
	struct reading *reading; /* of new settings; NULL: there is none */
	bool reads_again;        /* they were asked for while it was under way */
	/* the end */
	bool is_draining, is_closed_to_new, is_hurried;
	uint64_t drain_us; /* when it began */
};

/* What makes no sense for a server, though each setting by itself is right. `started`: those by
 * which it listens. */
bool serve_is_possible(
	const struct settings *settings, const struct settings *started, struct buf *why);
void serve_explain_certificate(struct buf *why);
/* Reads the settings anew, in a thread of its own: a file may not answer for long, and leases and
 * clients do not wait for that. */
void serve_reload(struct program *program);
/* All that was read is taken up, or none. What is wrong is in the log. */
void serve_reload_tick(struct program *program);
void serve_reload_forget(struct program *program); /* at the end */

/* From now on SIGTERM, SIGINT and SIGHUP wait for the loop. */
MUST_USE enum err serve_hold_signals(struct program *program);
/* Until it is told to stop, and has drained, or is hurried. */
void serve_run(struct program *program);
