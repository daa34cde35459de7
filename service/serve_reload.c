#include "service/serve_own.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 2048 };

/* Its thread's until it is done, then the loop's. */
struct reading {
	char *const *args;
	struct settings *started;
	struct settings *settings;
	struct lettergate_files files;
	struct buf why;
	enum err err;
	atomic_bool is_done;
};

extern char **environ;

/* ---- what is wrong */

bool serve_is_possible(
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

void serve_explain_certificate(struct buf *why)
{
	buf_add_string(why, "HTTP_TLS_CERT: certificate and HTTP_TLS_KEY cannot be used together; "
			    "give a PEM chain and its unencrypted key");
}

/* ---- reading */

/* What development made up at the start goes on counting. */
static void keep_made_key(const struct settings *started, struct settings *settings)
{
	bool has_keys = settings->api_key[0] || settings->api_keys_file[0];

	if (started->dev && !has_keys)
		settings->api_key = region_copy(settings->region, text_of(started->api_key)).at;
}

static void *read_all(void *argument)
{
	struct reading *reading = argument;

	reading->err = settings_load(reading->args, environ, &reading->settings, &reading->why);
	if (!reading->err) {
		keep_made_key(reading->started, reading->settings);
		reading->err = lettergate_read(reading->settings, &reading->files, &reading->why);
		if (reading->err) {
			settings_free(reading->settings);
			reading->settings = NULL;
		}
	}
	atomic_store(&reading->is_done, true);
	return NULL;
}

static void reading_free(struct reading *reading)
{
	lettergate_forget(&reading->files);
	settings_free(reading->settings);
	settings_free(reading->started);
	buf_free(&reading->why);
	free(reading);
}

static struct reading *reading_new(const struct program *program)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	pthread_t thread;

	if (!reading)
		return NULL;
	reading->args = program->args;
	reading->started = settings_hold(program->started);
	reading->why = buf_born(WORDS);
	if (pthread_create(&thread, NULL, read_all, reading)) {
		reading_free(reading);
		return NULL;
	}
	pthread_detach(thread); /* nobody waits for a file that never answers */
	return reading;
}

/* ---- taking up */

/* All or nothing. */
static enum err take_up(struct program *program, struct reading *reading, struct buf *why)
{
	struct settings *settings = reading->settings;
	enum err err = serve_is_possible(settings, program->started, why) ? OK : ERR_VALUE;
	bool has_cert = program->started->http_cert_pem[0] && settings->http_cert_pem[0];

	if (!err && has_cert) {
		err = server_renew_tls(
			program->server, settings->http_cert_pem, settings->http_key_pem);
		if (err)
			serve_explain_certificate(why);
	}
	if (!err)
		err = lettergate_reload(
			program->lettergate, settings_hold(settings), &reading->files, why);
	/* the relay or the keys were wrong: as before, all of it */
	if (err && has_cert &&
		server_renew_tls(program->server, program->settings->http_cert_pem,
			program->settings->http_key_pem))
		serve_explain_certificate(why);
	if (err)
		return err;
	settings_free(program->settings);
	program->settings = settings;
	reading->settings = NULL;
	log_adjust(program->log, settings);
	return OK;
}

static void log_restart(struct program *program, const char *setting)
{
	struct log_line line = log_line(program->log, LOG_WARN, "restart_needed");

	log_string(&line, "setting", setting);
	log_string(&line, "detail", "it stays what it was at the start, until a restart");
	log_end(&line);
}

static void log_restarts(struct program *program)
{
	const struct settings *now = program->settings, *then = program->started;

	if (strcmp(now->store, then->store) != 0)
		log_restart(program, "STORE");
	if (now->queue_max != then->queue_max)
		log_restart(program, "QUEUE_MAX");
	if (now->queue_max_bytes != then->queue_max_bytes)
		log_restart(program, "QUEUE_MAX_BYTES");
	if (now->queue_max_per_key != then->queue_max_per_key)
		log_restart(program, "QUEUE_MAX_PER_KEY");
}

static void log_reload(struct program *program, enum err err, const struct buf *why)
{
	struct log_line line = log_line(
		program->log, err ? LOG_ERROR : LOG_INFO, err ? "reload_failed" : "reload");

	if (err)
		log_text(&line, "why", why->len ? buf_text(why) : text_of(err_text(err)));
	log_end(&line);
}

void serve_reload(struct program *program)
{
	static const struct buf nothing;

	program->reads_again = program->reading;
	if (program->reading)
		return;
	program->reading = reading_new(program);
	if (!program->reading)
		log_reload(program, ERR_MEMORY, &nothing);
}

void serve_reload_tick(struct program *program)
{
	struct reading *reading = program->reading;
	enum err err;

	if (!reading || !atomic_load(&reading->is_done))
		return;
	program->reading = NULL;
	err = reading->err;
	if (!err)
		err = take_up(program, reading, &reading->why);
	log_reload(program, err, &reading->why);
	if (!err)
		log_restarts(program);
	reading_free(reading);
	if (program->reads_again)
		serve_reload(program);
}

void serve_reload_forget(struct program *program)
{
	if (program->reading && atomic_load(&program->reading->is_done))
		reading_free(program->reading);
}
