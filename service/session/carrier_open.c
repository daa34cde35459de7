/* carrier_open - how a carrier comes to be: a token where it needs one, a connection, a session */
#include "service/session/carrier_own.h"

#include "service/session/carrier_bytes.h"
#include "service/session/carrier_log.h"
#include "service/session/carrier_token.h"
#include "service/clock.h"
#include "service/relay/fate.h"
#include "service/relay/settle.h"

#include <stdlib.h>
#include <string.h>

enum { TRACE_BYTES = 16384, TOKEN_BYTES = 16384 };

/* ---- connected */

/* A token is short-lived, and its file is written anew: every session reads it. */
static void take_policy(struct carrier *carrier)
{
	const struct relay_settings *settings = relay_settings(carrier->relay);

	carrier->policy = *relay_policy(carrier->relay);
	carrier->policy.max_messages = relay_messages(carrier->relay);
	carrier->policy.credentials.scram_keys =
		relay_scram_keys(carrier->relay, carrier->worker->number);
	if (relay_oauth(carrier->relay))
		carrier->policy.credentials.token = buf_text(&carrier->token);
	else if (settings->token_file[0] && !settings_read_token(settings, &carrier->token))
		carrier->policy.credentials.token = buf_text(&carrier->token);
}

static void connected(struct carrier *carrier)
{
	unsigned char nonce[18];

	random_bytes(nonce, sizeof(nonce));
	carrier_note_phase(carrier);
	take_policy(carrier);
	smtp_session_open(&carrier->session, &carrier->policy, nonce, carrier_now_ms(carrier));
	explicit_bzero(nonce, sizeof(nonce));
	carrier->session.trace = &carrier->trace;
	carrier->is_connected = true;
	carrier_pump(carrier);
}

static void told(void *owner, enum link_event event)
{
	struct carrier *carrier = owner;

	switch (event) {
	case LINK_CONNECTED:
		connected(carrier);
		break;
	case LINK_READY:
		if (smtp_session_need(&carrier->session) != SMTP_NEED_TLS)
			(void)carrier_read(carrier);
		carrier_pump(carrier);
		break;
	case LINK_FAILED:
		carrier_note_phase(carrier);
		carrier_end(carrier);
		break;
	}
}

/* ---- the interface */

static struct carrier *carrier_new(
	struct worker *worker, struct relay *relay, struct berth *berth, struct delivery *delivery)
{
	struct carrier *carrier = calloc(1, sizeof(*carrier));

	if (!carrier)
		return NULL;
	carrier->worker = worker;
	carrier->relay = relay_hold(relay);
	carrier->token = buf_born(TOKEN_BYTES);
	carrier->opened_us = carrier->phase_us = now_us();
	carrier->phase = SMTP_IN_DNS;
	carrier->trace = buf_born(TRACE_BYTES);
	carrier->delivery = delivery;
	carrier->brings = delivery != NULL;
	carrier->berth = berth;
	return carrier;
}

static enum err open_link(struct carrier *carrier)
{
	const struct relay_settings *settings = relay_settings(carrier->relay);
	struct worker *worker = carrier->worker;

	carrier->opened_us = carrier->phase_us = now_us();
	relay_note_opening(carrier->relay, carrier->phase);
	return link_open(worker->resolver, &worker->loop, settings->host, settings->port, told,
		carrier, &carrier->link);
}

/* Opens the link, or else waits for the token. Why that cannot be had, the next tick finds. */
static enum err set_out(struct carrier *carrier)
{
	struct oauth_failure failure;

	if (carrier_take_token(carrier, &failure) == OAUTH_TAKEN)
		return open_link(carrier);
	relay_note_opening(carrier->relay, SMTP_IN_AUTH);
	return OK;
}

bool carrier_is_abandoned(const struct carrier *carrier, const struct smtp_verdict *verdict)
{
	return carrier->stage == CARRIER_OPENING &&
	       (verdict->category == SMTP_DRAINING || verdict->category == SMTP_INTERNAL);
}

/* Behind a reload those that wait do so at the new relay, and when we stop they are told elsewhere.
 * Where there are no descriptors, or no memory, they hear of that. */
void carrier_abandon(struct carrier *carrier, const struct smtp_verdict *verdict)
{
	static const struct smtp_said nothing;
	struct buf words = buf_born(CARRIER_WORDS);
	struct fate_cause cause = { .relay = carrier->relay,
		.verdict = *verdict,
		.said = &nothing,
		.trace = buf_text(&carrier->trace),
		.began_us = carrier->opened_us };
	struct delivery *list = NULL, *delivery = carrier->delivery;

	if (verdict->category == SMTP_INTERNAL)
		list = relay_carrier_prevented(
			carrier->relay, carrier->brings, carrier->opened_us, now_us());
	else
		relay_carrier_abandoned(carrier->relay, carrier->brings, now_us());
	if (delivery) {
		delivery->next = list;
		list = delivery;
	}
	carrier->delivery = NULL;
	carrier_add_opening_words(carrier, &words);
	cause.words = words.err ? carrier_words(carrier) : words.at;
	fate_meet(carrier->worker, list, &cause);
	buf_free(&words);
}

bool carrier_open(
	struct worker *worker, struct relay *relay, struct berth *berth, struct delivery *delivery)
{
	struct carrier *carrier = carrier_new(worker, relay, berth, delivery);

	if (carrier && !set_out(carrier)) {
		if (berth)
			berth->carriers++;
		carrier_move_to(carrier, &worker->active);
		return true;
	}
	if (carrier) {
		buf_wipe(&carrier->token);
		relay_release(carrier->relay);
		free(carrier);
	}
	relay_carrier_abandoned(relay, delivery != NULL, now_us());
	if (delivery)
		settle_lost(worker->lettergate, delivery, SMTP_LOSS_INTERNAL, "out of memory");
	return false;
}

void carrier_note_ready(struct carrier *carrier)
{
	struct relay_news news;

	link_trust(carrier->link);
	relay_carrier_opened(carrier->relay, carrier->brings, &news);
	carrier_log_news(carrier, &news);
	carrier->brings = false;
	carrier->ready_us = now_us();
	carrier->quiet_since_ms = carrier_now_ms(carrier);
	metrics_session_opened(relay_metrics_of(carrier->relay));
	relay_note_offer(carrier->relay, &carrier->session.features, link_tls(carrier->link));
	carrier_prove_token(carrier);
	carrier->session.trace = NULL;
	carrier->stage = CARRIER_BUSY;
	worker_wake(carrier->worker); /* others may be opened now */
}

void carrier_seek_token(struct carrier *carrier)
{
	struct oauth_failure failure;
	enum oauth_state state = carrier_take_token(carrier, &failure);

	carrier->opened_us = now_us(); /* the relay has nothing to do with it */
	if (state == OAUTH_WAITS || (state == OAUTH_TAKEN && !open_link(carrier)))
		return;
	if (state == OAUTH_PAUSES)
		carrier->failure = &failure;
	carrier->given_up = SMTP_LOSS_INTERNAL; /* where there is none: no memory */
	carrier_end(carrier);
}
