/* gateway_relays - GET /relays: how each relay is, and why it is not better */
#include "service/gateway_own.h"

#include "http/json/json.h"
#include "http/result.h"
#include "service/clock.h"

/* ---- small parts */

static void open_object(struct buf *json, const char *name)
{
	json_add_name(json, name);
	buf_add_byte(json, '{');
}

static void add_null(struct buf *json, const char *name)
{
	json_add_name(json, name);
	buf_add(json, TEXT("null"));
}

static void add_time(struct buf *json, const char *name, int64_t unix_ms)
{
	json_add_name(json, name);
	if (unix_ms)
		json_add_time(json, unix_ms);
	else
		buf_add(json, TEXT("null"));
}

/* Milliseconds as seconds; 0: null. */
static void add_seconds(struct buf *json, const char *name, uint32_t ms)
{
	json_add_name(json, name);
	if (ms)
		buf_addf(json, "%u.%03u", ms / 1000, ms % 1000);
	else
		buf_add(json, TEXT("null"));
}

/* ---- one relay */

static const char *state_of(struct relay *relay, const struct relay_state *state, uint64_t now)
{
	uint64_t until_us;

	if (relay_is_probing(relay, now))
		return "probing";
	if (relay_rests(relay, now, &until_us))
		return "resting";
	return state->worked_ms ? "working" : "untried";
}

static void add_settings(struct buf *json, const struct relay_settings *settings)
{
	json_add_member(json, "name", text_of(settings->name));
	json_add_member(json, "host", text_of(settings->host));
	json_add_member_u64(json, "port", settings->port);
	json_add_member_u64(json, "priority", settings->priority);
	json_add_member_u64(json, "weight", settings->weight);
}

static void add_sessions(
	struct buf *json, const struct relay_state *state, const struct relay_settings *settings)
{
	const struct relay_counts *counts = &state->counts;

	open_object(json, "sessions");
	json_add_member_u64(json, "opening", counts->opening);
	json_add_member_u64(json, "idle", counts->idle);
	json_add_member_u64(json, "busy", counts->busy);
	json_add_member_u64(json, "awaiting_late", counts->detached);
	json_add_member_u64(json, "leaving", counts->leaving);
	json_add_member_u64(json, "most", settings->sessions);
	buf_add_byte(json, '}');
	json_add_member_u64(json, "waiting", counts->waiting);
	json_add_member_u64(json, "window", counts->window);
}

const char *holdback_name(enum holdback which)
{
	static const char *const names[HOLDBACKS] = {
		[HELD_BY_CONNECTIONS] = "too_many_connections",
		[HELD_BY_PACE] = "too_fast",
		[HELD_BY_PIPELINING] = "pipelining_went_wrong",
		[HELD_BY_HANG_UPS] = "hangs_up",
		[HELD_BY_LATE_ANSWERS] = "late_answers",
	};

	return names[which];
}

bool holds_back(const struct relay_state *state, enum holdback which)
{
	switch (which) {
	case HELD_BY_CONNECTIONS:
		return state->window.width < state->window.most;
	case HELD_BY_PACE:
		return state->window.interval_us > 0;
	case HELD_BY_PIPELINING:
		return state->distrusts_pipelining;
	case HELD_BY_HANG_UPS:
		return state->learned.hung_up_us != 0;
	case HELD_BY_LATE_ANSWERS:
		return state->counts.detached > 0;
	case HOLDBACKS:
		break;
	}
	return false;
}

static void add_bounds(
	struct buf *json, const struct relay_state *state, const struct relay_settings *settings)
{
	const struct window *window = &state->window;
	double found = window->interval_us ? 1e6 / (double)window->interval_us : 0;
	double rate = settings->rate_per_s;

	if (found > 0 && (rate <= 0 || found < rate))
		rate = found;
	json_add_name(json, "rate");
	if (rate > 0)
		buf_addf(json, "%.3g", rate);
	else
		buf_add(json, TEXT("null"));
	json_add_name(json, "held_back_by");
	buf_add_byte(json, '[');
	for (enum holdback which = 0; which < HOLDBACKS; which++)
		if (holds_back(state, which)) {
			json_add_comma(json);
			json_add_string(json, text_of(holdback_name(which)));
		}
	buf_add_byte(json, ']');
}

/* A rest that is over and was not followed by a success is told, too: a probe is due. */
static void add_rest(struct buf *json, const struct window *window, uint64_t now)
{
	uint64_t left_us = window->rest_until_us > now ? window->rest_until_us - now : 0;

	if (window->cause == REST_NONE) {
		add_null(json, "rest");
		return;
	}
	open_object(json, "rest");
	json_add_member(json, "cause", text_of(rest_cause_name(window->cause)));
	json_add_member_u64(json, "failures", window->failures);
	add_time(json, "until", now_unix_ms() + (int64_t)(left_us / 1000));
	json_add_member_u64(json, "seconds_left", (left_us + 999999) / 1000000);
	buf_add_byte(json, '}');
}

/* What its last EHLO offered. */
static void add_offer(struct buf *json, const struct relay_state *state)
{
	const struct smtp_features *offer = &state->offer;

	if (!state->worked_ms) {
		add_null(json, "offers");
		return;
	}
	open_object(json, "offers");
	json_add_name(json, "tls");
	if (state->tls)
		json_add_string(json, text_of(state->tls));
	else
		buf_add(json, TEXT("null"));
	json_add_member_bool(json, "pipelining", offer->offered & SMTP_PIPELINING);
	json_add_member_bool(json, "chunking", offer->offered & SMTP_CHUNKING);
	json_add_member_bool(json, "smtputf8", offer->offered & SMTP_SMTPUTF8);
	json_add_member_bool(json, "dsn", offer->offered & SMTP_DSN);
	json_add_member_some(json, "size", offer->size_bytes);
	json_add_member_some(json, "messages", offer->mail_max);
	json_add_member_some(json, "recipients", offer->rcpt_max);
	json_add_member_some(json, "domains", offer->rcpt_domain_max);
	buf_add_byte(json, '}');
}

static void add_learned(struct buf *json, const struct learned *learned)
{
	open_object(json, "learned");
	add_seconds(json, "idle_s", learned->limits[LEARNED_IDLE].limit);
	json_add_member_some(json, "messages", learned->limits[LEARNED_MESSAGES].limit);
	add_seconds(json, "lifetime_s", learned->limits[LEARNED_LIFETIME].limit);
	json_add_member_some(json, "recipients", learned->recipients);
	buf_add_byte(json, '}');
}

static void add_trouble(struct buf *json, const struct relay_trouble *trouble)
{
	struct smtp_said said = trouble->said;

	if (!trouble->at_ms) {
		add_null(json, "last_error");
		return;
	}
	said.text = text_of(trouble->words);
	open_object(json, "last_error");
	add_time(json, "at", trouble->at_ms);
	json_add_member(
		json, "code", text_of(smtp_category_words(trouble->verdict.category)->code));
	json_add_member(json, "phase", text_of(smtp_phase_name(trouble->verdict.phase)));
	json_add_member(json, "detail", said.text);
	json_add_member(json, "hint", text_of(trouble->verdict.hint));
	result_add_said(json, &said);
	buf_add_byte(json, '}');
}

static void add_relay(struct buf *json, struct relay *relay)
{
	const struct relay_settings *settings = relay_settings(relay);
	uint64_t now = now_us();
	struct relay_state state;

	relay_state(relay, now, &state);
	add_settings(json, settings);
	json_add_member(json, "state", text_of(state_of(relay, &state, now)));
	add_rest(json, &state.window, now);
	add_sessions(json, &state, settings);
	add_bounds(json, &state, settings);
	add_offer(json, &state);
	add_learned(json, &state.learned);
	add_time(json, "last_ready", state.worked_ms);
	add_trouble(json, &state.trouble);
}

void gateway_relays(void *self, struct buf *json)
{
	struct lettergate *lettergate = self;
	const struct settings *settings;

	pthread_rwlock_rdlock(&lettergate->lock);
	settings = lettergate->settings;
	for (size_t i = 0; i < settings->relay_count; i++) {
		json_add_comma(json);
		buf_add_byte(json, '{');
		if (lettergate->fleet) {
			add_relay(json, lettergate->fleet->relays[i]);
		} else {
			add_settings(json, &settings->relays[i]);
			json_add_member(json, "state", TEXT("capturing"));
		}
		buf_add_byte(json, '}');
	}
	pthread_rwlock_unlock(&lettergate->lock);
}
