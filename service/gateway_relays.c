/* gateway_relays - GET /relays: how each relay is */
#include "service/gateway_own.h"

#include "http/json.h"
#include "service/clock.h"

static const char *state_of(struct relay *relay, const struct relay_state *state, uint64_t now)
{
	uint64_t until_us;

	if (relay_is_probing(relay))
		return "probing";
	if (relay_rests(relay, now, &until_us))
		return "resting";
	return state->worked_ms ? "working" : "untried";
}

static void add_sessions(struct buf *json, const struct relay_counts *counts)
{
	json_add_name(json, "sessions");
	buf_add_byte(json, '{');
	json_add_member_u64(json, "opening", counts->opening);
	json_add_member_u64(json, "idle", counts->idle);
	json_add_member_u64(json, "busy", counts->busy);
	json_add_member_u64(json, "leaving", counts->leaving);
	buf_add_byte(json, '}');
	json_add_member_u64(json, "waiting", counts->waiting);
	json_add_member_u64(json, "window", counts->window);
}

/* `relay` is NULL where messages are captured. */
static void add_relay(struct buf *json, const struct relay_settings *settings, struct relay *relay)
{
	struct relay_state state = { 0 };
	uint64_t now = now_us();

	if (relay)
		relay_state(relay, now, &state);
	json_add_comma(json);
	buf_add_byte(json, '{');
	json_add_member(json, "name", text_of(settings->name));
	json_add_member(json, "host", text_of(settings->host));
	json_add_member_u64(json, "port", settings->port);
	json_add_member_u64(json, "priority", settings->priority);
	json_add_member_u64(json, "weight", settings->weight);
	json_add_member(json, "state", text_of(relay ? state_of(relay, &state, now) : "capturing"));
	if (relay)
		add_sessions(json, &state.counts);
	buf_add_byte(json, '}');
}

void gateway_relays(void *self, struct buf *json)
{
	struct lettergate *lettergate = self;
	const struct settings *settings;

	pthread_rwlock_rdlock(&lettergate->lock);
	settings = lettergate->settings;
	for (size_t i = 0; i < settings->relay_count; i++)
		add_relay(json, &settings->relays[i],
			lettergate->fleet ? lettergate->fleet->relays[i] : NULL);
	pthread_rwlock_unlock(&lettergate->lock);
}
