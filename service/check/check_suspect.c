/* check_suspect - is it another service's port, or one that wants TLS differently?
 *
 * A relay that wants TLS from the first byte waits for ours, a web server for a request: neither
 * says a word until its patience ends. And what answers TLS in clear may be SMTP, or not. So where
 * the opening does not go as it should, a probe finds out what is spoken there; the session goes on
 * waiting meanwhile, or what ended it is told only then. */
#include "service/check/check_run.h"

#include "service/clock.h"

#include <stdio.h>

enum { SILENCE_US = 3000000, PATIENCE_US = 2000000 };

static bool is_implicit(const struct check_run *run)
{
	return run->settings->tls == SMTP_TLS_IMPLICIT;
}

/* At most `us`, and less where the settings are in a hurry. */
static uint64_t at_most(const struct check_run *run, uint64_t us)
{
	uint64_t half = run->settings->command_ms * 1000ull / 2;

	return half < us ? half : us;
}

static void begin(struct check_run *run, unsigned tries)
{
	const struct relay_settings *settings = run->settings;
	const char *name = settings->tls_name[0] ? settings->tls_name : settings->host;
	struct sockaddr_storage address;
	struct probe_wish wish = { .resolver = run->resolver,
		.loop = &run->loop,
		.host = run->used->host,
		.port = settings->port,
		.name = resolver_read_address(name, 0, &address) ? "" : name,
		.tries = tries,
		.patience_us = at_most(run, PATIENCE_US) };

	probe_begin(&run->probe, &wish);
}

/* Does what was found rule out that the session goes well? */
static bool is_decisive(const struct check_run *run)
{
	const struct probe *probe = &run->probe;

	switch (probe->speech) {
	case SPEECH_NONE:
		return false;
	case SPEECH_SMTP:
	case SPEECH_TLS:
		return probe->behind_tls != is_implicit(run);
	default:
		return true;
	}
}

/* Some relays pause within their greeting, and bar whoever talks meanwhile. */
static bool has_begun_to_greet(const struct smtp_session *session)
{
	return speech_of((struct text){ session->opening, session->opening_len }) == SPEECH_SMTP;
}

void check_suspect(struct check_run *run)
{
	bool is_silent = now_us() - run->since_us >= at_most(run, SILENCE_US);

	if (run->session.state != SMTP_AWAIT_GREETING || has_begun_to_greet(&run->session))
		return;
	if (!run->probe.is_begun && is_silent)
		begin(run, is_implicit(run) ? PROBE_TLS : PROBE_TLS | PROBE_HTTP);
	if (probe_tick(&run->probe) && is_decisive(run))
		smtp_session_lost(&run->session, SMTP_LOSS_WRONG_PROTOCOL, NULL);
}

/* The session is lost: is there more to be found out about the port? */
static bool is_worth_a_probe(const struct check_run *run, enum smtp_state state)
{
	enum smtp_loss loss = run->session.loss;

	if (run->probe.is_begun)
		return run->probe.now != 0;
	return state == SMTP_AWAIT_TLS && is_implicit(run) &&
	       (loss == SMTP_LOSS_WRONG_PROTOCOL || loss == SMTP_LOSS_TIMEOUT ||
		       loss == SMTP_LOSS_DISCONNECTED);
}

bool check_suspect_late(struct check_run *run, enum smtp_state state)
{
	struct link *link = run->used->link;

	if (!is_worth_a_probe(run, state))
		return false;
	if (!run->probe.is_begun)
		begin(run, PROBE_LISTEN | PROBE_HTTP);
	run->stage = CHECK_PROBING;
	run->lost_us = now_us();
	/* its words are kept; it would tell on and on that its end can be read */
	snprintf(run->lost_words, sizeof(run->lost_words), "%s", link_words(link));
	link_close(link);
	run->used->link = NULL;
	return true;
}

void check_suspect_tick(struct check_run *run)
{
	if (!probe_tick(&run->probe))
		return;
	run->since_us += now_us() - run->lost_us; /* the step's time is the session's */
	check_blame_session(run, run->state);
}

enum speech check_speech(const struct check_run *run, bool *behind_tls_out, struct text *line_out)
{
	const struct smtp_session *session = &run->session;
	struct text opening = { session->opening, session->opening_len };
	struct text line = { session->reply.line, session->reply.line_len };

	*behind_tls_out = session->secure;
	*line_out = line.len ? line : opening;
	if (session->loss == SMTP_LOSS_WRONG_PROTOCOL || session->loss == SMTP_LOSS_GARBLED)
		if (opening.len && speech_of(opening) != SPEECH_SMTP)
			return speech_of(opening);
	*behind_tls_out = run->probe.behind_tls;
	*line_out = run->probe.line;
	return is_decisive(run) ? run->probe.speech : SPEECH_NONE;
}
