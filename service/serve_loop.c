#include "service/serve_own.h"

#include "service/clock.h"
#include "service/queue/keeper.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { TICK_MS = 50, STOPPING_MS = 3500 };

/* ---- drain */

static void begin_to_drain(struct program *program)
{
	struct log_line line;

	program->is_draining = true;
	program->drain_us = now_us();
	atomic_store(&program->lettergate->is_draining, true);
	keeper_stop(program->lettergate);
	line = log_line(program->log, LOG_INFO, "drain");
	log_u64(&line, "in_flight", lettergate_in_flight(program->lettergate));
	log_end(&line);
}

/* Goodbyes and last answers take time, too, and DRAIN_TIMEOUT is when we are gone. */
static uint32_t time_to_stop_ms(const struct settings *settings)
{
	return settings->drain_timeout_ms / 3 < STOPPING_MS ? settings->drain_timeout_ms / 3
							    : STOPPING_MS;
}

static void go_on_draining(struct program *program, uint64_t now)
{
	uint64_t waited_ms = (now - program->drain_us) / 1000;

	lettergate_give_back(program->lettergate);
	if (!program->is_closed_to_new && waited_ms >= program->settings->drain_delay_ms) {
		server_drain(program->server);
		keeper_answer_all(program->lettergate);
		server_tick(program->server, now);
		program->is_closed_to_new = true;
	}
	if (program->is_closed_to_new && server_is_done(program->server) &&
		keeper_out(program->lettergate) == 0)
		uv_stop(&program->loop);
	if (waited_ms + time_to_stop_ms(program->settings) >= program->settings->drain_timeout_ms)
		program->is_hurried = true;
	if (program->is_hurried)
		uv_stop(&program->loop);
}

static void ticked(uv_timer_t *timer)
{
	struct program *program = timer->data;
	uint64_t now = now_us();

	server_tick(program->server, now);
	keeper_tick(program->lettergate, now);
	serve_reload_tick(program);
	if (program->is_draining)
		go_on_draining(program, now);
}

static void take_signal(struct program *program, uint32_t number)
{
	if (number == SIGHUP)
		serve_reload(program);
	else if (program->is_draining)
		program->is_hurried = true;
	else
		begin_to_drain(program);
	if (program->is_draining)
		go_on_draining(program, now_us());
}

/* One at a time: what comes while the last one stops the loop is of no use. */
static void signalled(uv_poll_t *handle, int status, int events)
{
	struct program *program = handle->data;
	struct signalfd_siginfo info;

	(void)status;
	(void)events;
	if (read(program->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		take_signal(program, info.ssi_signo);
}

/* ---- the loop */

/* Held from the first moment to the last, in each thread: the loop reads them where it is ready to.
 * One that comes while we start waits for it. */
enum err serve_hold_signals(struct program *program)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	program->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return program->signal_fd < 0 ? ERR_MEMORY : OK;
}

static void start_loop(struct program *program)
{
	uv_loop_init(&program->loop);
	uv_timer_init(&program->loop, &program->tick);
	program->tick.data = program;
	uv_timer_start(&program->tick, ticked, TICK_MS, TICK_MS);
	uv_poll_init(&program->loop, &program->signals, program->signal_fd);
	program->signals.data = program;
	uv_poll_start(&program->signals, UV_READABLE, signalled);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	uv_close(handle, NULL);
}

static void stop_loop(struct program *program)
{
	uv_walk(&program->loop, close_handle, NULL);
	uv_run(&program->loop, UV_RUN_DEFAULT);
	uv_loop_close(&program->loop);
	close(program->signal_fd);
}

void serve_run(struct program *program)
{
	start_loop(program);
	uv_run(&program->loop, UV_RUN_DEFAULT);
	stop_loop(program);
}
