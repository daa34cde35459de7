#include "service/serve.h"

#include "http/server/server.h"
#include "service/clock.h"
#include "service/deadline.h"
#include "service/queue/keeper.h"
#include "service/lettergate.h"
#include "service/listen.h"
#include "service/welcome.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <uv.h>

enum {
	EXIT_FAILED = 1,
	EXIT_SETTINGS = 2,
	TICK_MS = 50,
	WORDS = 2048,
	LAST_ANSWERS_MS = 2000,
	CLOSING_MS = 2000,
	STOPPING_MS = 3500
};

extern char **environ;

/* The running program. */
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
	/* the end */
	bool is_draining, is_closed_to_new, is_hurried;
	uint64_t drain_us; /* when it began */
};

/* ---- what is wrong */

/* What makes no sense for a server, though each setting by itself is right. `started`: those by
 * which it listens. */
static bool is_servable(
	const struct settings *settings, const struct settings *started, struct buf *why)
{
	bool has_keys = settings->api_key[0] || settings->api_keys_file[0];

	if (!settings->relays[0].host[0]) {
		buf_add_string(why, "SMTP_HOST: no relay is set; give the name of your provider's "
				    "SMTP server, or use --dev to capture messages");
		return false;
	}
	if (!has_keys && !settings_listens_locally(started)) {
		buf_add_string(why,
			"API_KEY: without a key, HTTP_LISTEN must be loopback or a unix "
			"socket; set API_KEY or API_KEYS_FILE");
		return false;
	}
	return true;
}

static void explain_certificate(struct buf *why)
{
	buf_add_string(why, "HTTP_TLS_CERT: certificate and HTTP_TLS_KEY cannot be used together; "
			    "give a PEM chain and its unencrypted key");
}

/* ---- reload */

/* What development made up at the start goes on counting. */
static void keep_made_key(const struct program *program, struct settings *settings)
{
	bool has_keys = settings->api_key[0] || settings->api_keys_file[0];

	if (program->started->dev && !has_keys)
		settings->api_key =
			region_copy(settings->region, text_of(program->started->api_key)).at;
}

/* All or nothing. Takes over `settings`. */
static enum err take_up(struct program *program, struct settings *settings, struct buf *why)
{
	enum err err = is_servable(settings, program->started, why) ? OK : ERR_VALUE;
	bool has_cert = program->started->http_cert_pem[0] && settings->http_cert_pem[0];

	if (!err && has_cert) {
		err = server_renew_tls(
			program->server, settings->http_cert_pem, settings->http_key_pem);
		if (err)
			explain_certificate(why);
	}
	if (!err)
		err = lettergate_reload(program->lettergate, settings_hold(settings), why);
	/* the relay or the keys were wrong: as before, all of it */
	if (err && has_cert &&
		server_renew_tls(program->server, program->settings->http_cert_pem,
			program->settings->http_key_pem))
		explain_certificate(why);
	if (err) {
		settings_free(settings);
		return err;
	}
	settings_free(program->settings);
	program->settings = settings;
	log_adjust(program->log, settings);
	return OK;
}

static void log_restart(struct program *program)
{
	struct log_line line = log_line(program->log, LOG_WARN, "restart_needed");

	log_string(&line, "setting", "STORE");
	log_string(&line, "detail", "the queue stays where it was at the start, until a restart");
	log_end(&line);
}

static void reload(struct program *program)
{
	struct buf why = buf_born(WORDS);
	struct settings *settings;
	enum err err = settings_load(program->args, environ, &settings, &why);
	struct log_line line;

	if (!err) {
		keep_made_key(program, settings);
		err = take_up(program, settings, &why);
	}
	line = log_line(program->log, err ? LOG_ERROR : LOG_INFO, err ? "reload_failed" : "reload");
	if (err)
		log_text(&line, "why", why.len ? buf_text(&why) : text_of(err_text(err)));
	log_end(&line);
	buf_free(&why);
	if (!err && strcmp(program->settings->store, program->started->store) != 0)
		log_restart(program);
}

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
	if (program->is_draining)
		go_on_draining(program, now);
}

static void take_signal(struct program *program, uint32_t number)
{
	if (number == SIGHUP)
		reload(program);
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

/* ---- start */

/* Secrets neither in core files, nor to be read by others of the same user. */
static void keep_secrets(void)
{
	struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

static void warn_of_limit(struct program *program)
{
	unsigned limit = 0;
	struct log_line line;

	if (listen_make_room(program->settings->max_connections, &limit))
		return;
	line = log_line(program->log, LOG_WARN, "few_descriptors");
	log_u64(&line, "limit", limit);
	log_string(&line, "detail",
		"fewer than HTTP_MAX_CONNECTIONS wants: raise the limit (ulimit -n)");
	log_end(&line);
}

static enum err open_server(struct program *program, struct buf *why)
{
	const struct settings *settings = program->settings;
	struct server_listener sockets[LISTEN_SOCKETS];
	struct server_settings wanted = { .listeners = sockets,
		.has_admin_listener = settings->admin_listen != NULL,
		.threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
		.body_max_bytes = settings->max_body,
		.connections_max = settings->max_connections,
		.connections_per_ip = settings->max_per_ip,
		.headers_ms = settings->headers_ms,
		.body_ms = settings->body_ms,
		.idle_ms = settings->idle_ms,
		.send_deadline_us = settings->send_deadline_ms * 1000ull,
		.tls_cert = settings->http_cert_pem[0] ? settings->http_cert_pem : NULL,
		.tls_key = settings->http_cert_pem[0] ? settings->http_key_pem : NULL,
		.trusted_proxies = settings->trusted_proxies,
		.trusted_proxy_count = settings->trusted_proxy_count };
	enum err err = listen_open(settings, sockets, &wanted.listener_count, why);

	if (err)
		return err;
	lettergate_serve(program->lettergate, &program->gateway);
	err = server_open(&wanted, &program->gateway, &program->server);
	if (err == ERR_TLS)
		explain_certificate(why);
	else if (err)
		buf_addf(why, "the HTTP server did not start: %s", err_text(err));
	if (err)
		listen_forget(settings);
	return err;
}

static enum err open_program(struct program *program, struct buf *why)
{
	enum err err = settings_load(program->args, environ, &program->settings, why);

	if (!err)
		program->started = settings_hold(program->settings);
	if (!err && !is_servable(program->settings, program->started, why))
		err = ERR_VALUE;
	if (!err && program->settings->dev) {
		welcome_make_folder(program->settings);
		err = welcome_make_key(program->settings);
	}
	if (!err)
		err = log_open(STDOUT_FILENO, program->settings, &program->log);
	if (!err)
		warn_of_limit(program);
	if (!err)
		err = lettergate_open(
			settings_hold(program->settings), program->log, &program->lettergate, why);
	if (!err)
		err = open_server(program, why);
	return err;
}

/* Settings that are wrong, or the machine that refused? */
static int exit_code(const struct program *program, enum err err)
{
	bool was_configured = program->lettergate != NULL;

	return err == ERR_MEMORY || err == ERR_AWAY || (err == ERR_IO && was_configured)
		       ? EXIT_FAILED
		       : EXIT_SETTINGS;
}

/* Held from the first moment to the last, in each thread: the loop reads them where it is ready to.
 * One that comes while we start waits for it. */
static enum err hold_signals(struct program *program)
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

/* ---- stop */

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

/* Those that were just settled are still to be told. */
static void wait_for_answers(struct program *program)
{
	uint64_t until = now_us() + LAST_ANSWERS_MS * 1000ull;

	while (!server_is_done(program->server) && now_us() < until) {
		server_tick(program->server, now_us());
		usleep(5000);
	}
}

/* The store does not answer, and some wait for nothing else. They cannot be woken, and the library
 * cannot end with them: what is ours in the store is taken back as after a crash. */
static void end_at_once(struct program *program)
{
	struct log_line line = log_line(program->log, LOG_ERROR, "ended_at_once");

	log_u64(&line, "requests", server_parked(program->server));
	log_string(&line, "detail", "the store does not answer: neither will they be");
	log_end(&line);
	log_finish(program->log);
	listen_forget(program->started);
	_exit(EXIT_FAILED);
}

/* What closes the store may have to wait for it, and nobody is to wait for that longer than
 * DRAIN_TIMEOUT, or once we are hurried. */
static void bound_close(const struct program *program)
{
	uint64_t end_us = program->drain_us + program->settings->drain_timeout_ms * UINT64_C(1000);
	uint64_t now = now_us(), least_us = CLOSING_MS * UINT64_C(1000);
	uint64_t left_us = program->is_hurried || end_us < now + least_us ? least_us : end_us - now;

	deadline_set(left_us);
}

static void close_program(struct program *program)
{
	if (program->server) {
		server_drain(program->server);
		lettergate_stop(program->lettergate);
		wait_for_answers(program);
		if (server_parked(program->server))
			end_at_once(program);
		bound_close(program);
		server_close(program->server);
		listen_forget(program->started);
	} else if (program->lettergate) {
		lettergate_stop(program->lettergate);
	}
	lettergate_close(program->lettergate);
	deadline_set(0);
	log_close(program->log);
	settings_free(program->settings);
	settings_free(program->started);
}

int serve_command(char *const *args)
{
	struct program program = { .args = args };
	struct buf why = buf_born(WORDS);
	enum err err;
	int code;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file that may grow no more is an error of write(2) */
	keep_secrets();
	err = hold_signals(&program);
	if (!err)
		err = open_program(&program, &why);
	if (err) {
		buf_add_byte(&why, '\0');
		fprintf(stderr, "lettergate: %s\n", why.at && why.at[0] ? why.at : err_text(err));
		code = exit_code(&program, err);
		close_program(&program);
		buf_free(&why);
		return code;
	}
	buf_free(&why);
	welcome(program.settings, program.log);
	start_loop(&program);
	uv_run(&program.loop, UV_RUN_DEFAULT);
	stop_loop(&program);
	close_program(&program);
	return program.is_hurried ? EXIT_FAILED : EXIT_SUCCESS;
}
