#include "service/serve.h"

#include "service/clock.h"
#include "service/deadline.h"
#include "service/listen.h"
#include "service/serve_own.h"
#include "service/welcome.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	EXIT_FAILED = 1,
	EXIT_SETTINGS = 2,
	WORDS = 2048,
	LAST_ANSWERS_MS = 2000,
	CLOSING_MS = 2000
};

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
		serve_explain_certificate(why);
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
	if (!err && !serve_is_possible(program->settings, program->started, why))
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

/* ---- stop */

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
	serve_reload_forget(program);
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
	err = serve_hold_signals(&program);
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
	serve_run(&program);
	close_program(&program);
	return program.is_hurried ? EXIT_FAILED : EXIT_SUCCESS;
}
