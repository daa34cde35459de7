/* The families of relays and their sessions. */
#include "service/metrics/metrics_own.h"

static void add_states(const struct printing *printing, const struct relay_gauges *relay)
{
	const struct {
		const char *name;
		unsigned count;
	} states[] = { { "opening", relay->opening }, { "idle", relay->idle },
		{ "busy", relay->busy }, { "leaving", relay->leaving } };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		print_sample(printing, "smtp_sessions", "relay", relay->name, "state",
			states[i].name, states[i].count);
}

static void add_session_counts(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	size_t count = atomic_load_explicit(&metrics->relay_count, memory_order_acquire);

	print_family(printing, "smtp_sessions_opened", "counter", "Sessions that became ready.");
	for (size_t i = 0; i < count; i++)
		print_sample(printing, "smtp_sessions_opened_total", "relay",
			metrics->relays[i].name, NULL, NULL,
			atomic_load(&metrics->relays[i].opened));
	print_family(printing, "smtp_sessions_closed", "counter", "Sessions that ended, and why.");
	for (size_t i = 0; i < count; i++)
		for (enum session_end end = 0; end < SESSION_ENDS; end++)
			print_sample(printing, "smtp_sessions_closed_total", "relay",
				metrics->relays[i].name, "reason", session_end_name(end),
				atomic_load(&metrics->relays[i].closed[end]));
}

/* Of those relays that have a token endpoint. */
static void add_tokens(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	size_t count = atomic_load_explicit(&metrics->relay_count, memory_order_acquire);

	print_family(printing, "oauth_refreshes", "counter",
		"Requests for an access token, and what the token endpoint made of them.");
	for (size_t i = 0; i < count; i++) {
		const struct relay_metrics *relay = &metrics->relays[i];

		if (!atomic_load_explicit(&relay->wants_tokens, memory_order_relaxed))
			continue;
		for (enum oauth_result result = 0; result < OAUTH_RESULTS; result++)
			print_sample(printing, "oauth_refreshes_total", "relay", relay->name,
				"result", oauth_result_name(result),
				atomic_load(&relay->tokens[result]));
	}
}

static void add_values(const struct printing *printing, const char *name,
	const struct relay_gauges *relay, const char *label, const struct relay_value *values)
{
	for (; values->name; values++) {
		buf_addf(printing->out, "lettergate_%s", name);
		print_label(printing, "{", "relay", relay->name);
		print_label(printing, ",", label, values->name);
		buf_addf(printing->out, "} %.10g\n", values->value);
	}
}

/* Why a relay is not as good as it could be, and what was found out. */
static void add_reasons(const struct printing *printing)
{
	const struct metrics_gauges *gauges = printing->gauges;
	const struct relay_gauges *end = gauges->relays + gauges->relay_count, *relay;

	print_family(printing, "relay_rest_seconds", "gauge",
		"How long nothing is tried at the relay yet, by why it rests.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_rest_seconds", relay, "cause", relay->rests);
	print_family(printing, "relay_held_back", "gauge",
		"1 while that keeps sessions, or messages a second, fewer than they could be.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_held_back", relay, "reason", relay->held_back);
	print_family(printing, "relay_limit_learned", "gauge",
		"Where the relay hangs up, as it was found out: seconds, messages, recipients.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_limit_learned", relay, "limit", relay->learned);
}

/* One family after the other, each with all relays. */
void print_relays(const struct printing *printing)
{
	const struct metrics_gauges *gauges = printing->gauges;
	const struct relay_gauges *end = gauges->relays + gauges->relay_count, *relay;
	const struct metrics_share *first = &printing->metrics->shares[0];

	print_family(printing, "smtp_sessions", "gauge", "Sessions to the relay, by state.");
	for (relay = gauges->relays; relay < end; relay++)
		add_states(printing, relay);
	add_session_counts(printing);
	add_tokens(printing);
	print_family(
		printing, "smtp_session_messages", "histogram", "Messages that a session took.");
	print_histogram(printing, "smtp_session_messages", NULL, NULL, first->session_messages,
		message_bounds, MESSAGE_BOUNDS, 1, &first->session_messages_sum);
	print_family(
		printing, "relay_window", "gauge", "Most sessions that are allowed at the moment.");
	for (relay = gauges->relays; relay < end; relay++)
		print_sample(
			printing, "relay_window", "relay", relay->name, NULL, NULL, relay->window);
	print_family(printing, "relay_resting", "gauge", "1 while nothing is tried at the relay.");
	for (relay = gauges->relays; relay < end; relay++)
		print_sample(printing, "relay_resting", "relay", relay->name, NULL, NULL,
			relay->is_resting);
	print_family(printing, "relay_waiting", "gauge", "Messages that wait for a session.");
	for (relay = gauges->relays; relay < end; relay++)
		print_sample(printing, "relay_waiting", "relay", relay->name, NULL, NULL,
			relay->waiting);
	add_reasons(printing);
}
