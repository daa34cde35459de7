#include "service/serve_own.h"

#include <string.h>

enum { WORDS = 2048 };

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
	enum err err = serve_is_possible(settings, program->started, why) ? OK : ERR_VALUE;
	bool has_cert = program->started->http_cert_pem[0] && settings->http_cert_pem[0];

	if (!err && has_cert) {
		err = server_renew_tls(
			program->server, settings->http_cert_pem, settings->http_key_pem);
		if (err)
			serve_explain_certificate(why);
	}
	if (!err)
		err = lettergate_reload(program->lettergate, settings_hold(settings), why);
	/* the relay or the keys were wrong: as before, all of it */
	if (err && has_cert &&
		server_renew_tls(program->server, program->settings->http_cert_pem,
			program->settings->http_key_pem))
		serve_explain_certificate(why);
	if (err) {
		settings_free(settings);
		return err;
	}
	settings_free(program->settings);
	program->settings = settings;
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

void serve_reload(struct program *program)
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
	if (!err)
		log_restarts(program);
}
