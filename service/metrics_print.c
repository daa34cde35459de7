/* metrics_print - the text that Prometheus reads, and OpenMetrics 1.0, which differs in how
 * counters and build_info are declared and in how the text ends */
#include "service/metrics_own.h"

#include "service/store/store.h"

#include <stdio.h>

struct printing {
	const struct metrics *metrics;
	const struct metrics_gauges *gauges;
	bool open_metrics;
	struct buf *out;
};

/* ---- sums over all shares, by where the counter stands in a share */

static uint64_t sum(const struct metrics *metrics, const atomic_uint_least64_t *in_first_share)
{
	size_t at = (size_t)((const char *)in_first_share - (const char *)&metrics->shares[0]);
	uint64_t total = 0;

	for (size_t i = 0; i < SHARES; i++) {
		const void *share = &metrics->shares[i];
		const atomic_uint_least64_t *counter = (const void *)((const char *)share + at);

		total += atomic_load_explicit(counter, memory_order_relaxed);
	}
	return total;
}

/* ---- lines */

static void declare(
	const struct printing *printing, const char *name, const char *type, const char *help)
{
	bool counter = type[0] == 'c';
	const char *ending = counter && !printing->open_metrics ? "_total" : "";

	buf_addf(printing->out, "# HELP lettergate_%s%s %s\n# TYPE lettergate_%s%s %s\n", name,
		ending, help, name, ending, type);
}

/* A label's value: closed sets need no escape, a relay's configured name might. */
static void add_label(
	const struct printing *printing, const char *separator, const char *name, const char *value)
{
	buf_addf(printing->out, "%s%s=\"", separator, name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			buf_add_byte(printing->out, '\\');
		if (*value == '\n')
			buf_add_string(printing->out, "\\n");
		else
			buf_add_byte(printing->out, *value);
	}
	buf_add_byte(printing->out, '"');
}

/* Up to two labels; NULL: no more. */
static void add_sample(const struct printing *printing, const char *name, const char *label_a,
	const char *value_a, const char *label_b, const char *value_b, uint64_t value)
{
	buf_addf(printing->out, "lettergate_%s", name);
	if (label_a)
		add_label(printing, "{", label_a, value_a);
	if (label_b)
		add_label(printing, ",", label_b, value_b);
	buf_add_string(printing->out, label_a ? "} " : " ");
	buf_add_u64(printing->out, value);
	buf_add_byte(printing->out, '\n');
}

static void add_gauge(
	const struct printing *printing, const char *name, const char *help, uint64_t value)
{
	declare(printing, name, "gauge", help);
	add_sample(printing, name, NULL, NULL, NULL, NULL, value);
}

/* "0.0025", "1.0": floats, as OpenMetrics wants them. */
static const char *bound_text(double bound, char room[24])
{
	snprintf(room, 24, "%g", bound);
	for (const char *at = room; *at; at++)
		if (*at == '.')
			return room;
	snprintf(room, 24, "%g.0", bound);
	return room;
}

static void add_bucket(const struct printing *printing, const char *name, const char *label,
	const char *value, const char *bound, uint64_t count)
{
	char full[64];

	snprintf(full, sizeof(full), "%s_bucket", name);
	if (label)
		add_sample(printing, full, label, value, "le", bound, count);
	else
		add_sample(printing, full, "le", bound, NULL, NULL, count);
}

/* Buckets count all that is below, so they are summed up as they come. */
static void add_histogram(const struct printing *printing, const char *name, const char *label,
	const char *value, const atomic_uint_least64_t *buckets, const uint32_t *bounds,
	size_t count, double unit, const atomic_uint_least64_t *total)
{
	uint64_t below = 0;
	char room[24];

	for (size_t i = 0; i < count; i++) {
		below += sum(printing->metrics, &buckets[i]);
		add_bucket(printing, name, label, value, bound_text(bounds[i] * unit, room), below);
	}
	below += sum(printing->metrics, &buckets[count]);
	add_bucket(printing, name, label, value, "+Inf", below);
	buf_addf(printing->out, "lettergate_%s_sum", name);
	if (label)
		add_label(printing, "{", label, value);
	buf_addf(printing->out, "%s %.6f\n", label ? "}" : "",
		(double)sum(printing->metrics, total) * unit);
	buf_addf(printing->out, "lettergate_%s_count", name);
	if (label)
		add_label(printing, "{", label, value);
	buf_addf(printing->out, "%s ", label ? "}" : "");
	buf_add_u64(printing->out, below);
	buf_add_byte(printing->out, '\n');
}

static void add_durations(const struct printing *printing, const char *name, const char *label,
	const char *value, const struct durations *durations)
{
	add_histogram(printing, name, label, value, durations->buckets, duration_bounds_us,
		DURATION_BOUNDS, 1e-6, &durations->sum_us);
}

/* ---- families */

static void add_build(const struct printing *printing)
{
	declare(printing, printing->open_metrics ? "build" : "build_info",
		printing->open_metrics ? "info" : "gauge", "The version that runs.");
	add_sample(printing, "build_info", "version", LETTERGATE_VERSION, NULL, NULL, 1);
}

static void add_requests(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	const struct metrics_share *first = &metrics->shares[0];
	size_t count = atomic_load_explicit(&metrics->request_count, memory_order_acquire);
	uint64_t rest = sum(metrics, &first->requests[REQUEST_ROWS]);
	char status[16];

	declare(printing, "http_requests", "counter", "Requests answered, by route and status.");
	for (size_t i = 0; i < count; i++) {
		snprintf(status, sizeof(status), "%u", metrics->requests[i].status);
		add_sample(printing, "http_requests_total", "route", metrics->requests[i].route,
			"status", status, sum(metrics, &first->requests[i]));
	}
	if (rest)
		add_sample(printing, "http_requests_total", "route", "", "status", "", rest);
	declare(printing, "http_request_duration_seconds", "histogram",
		"From the first byte of a request to its answer.");
	add_durations(
		printing, "http_request_duration_seconds", NULL, NULL, &first->request_durations);
}

static void add_sends(const struct printing *printing)
{
	const struct metrics_share *first = &printing->metrics->shares[0];

	declare(printing, "sends", "counter",
		"Messages settled, by outcome and the phase that decided.");
	for (enum smtp_outcome outcome = 0; outcome < SMTP_OUTCOMES; outcome++)
		for (enum smtp_phase phase = 0; phase < SMTP_PHASES; phase++) {
			uint64_t count = sum(printing->metrics, &first->sends[outcome][phase]);

			if (count || (outcome == SMTP_ACCEPTED && phase == SMTP_IN_DOT))
				add_sample(printing, "sends_total", "outcome",
					smtp_outcome_name(outcome), "phase", smtp_phase_name(phase),
					count);
		}
	declare(printing, "recipients", "counter", "Recipients settled, by outcome.");
	for (enum smtp_outcome outcome = 0; outcome < SMTP_OUTCOMES; outcome++) {
		uint64_t count = sum(printing->metrics, &first->recipients[outcome]);

		if (count || outcome == SMTP_ACCEPTED)
			add_sample(printing, "recipients_total", "outcome",
				smtp_outcome_name(outcome), NULL, NULL, count);
	}
	declare(printing, "send_duration_seconds", "histogram",
		"From a message's acceptance to its verdict.");
	add_durations(printing, "send_duration_seconds", NULL, NULL, &first->send_durations);
	declare(printing, "smtp_phase_duration_seconds", "histogram",
		"Time spent waiting for the relay, by phase.");
	for (enum smtp_phase phase = SMTP_IN_DNS; phase < SMTP_IN_RESET; phase++) {
		const struct durations *durations = &first->phase_durations[phase];
		uint64_t any = 0;

		for (size_t i = 0; i <= DURATION_BOUNDS; i++)
			any |= sum(printing->metrics, &durations->buckets[i]);
		if (any)
			add_durations(printing, "smtp_phase_duration_seconds", "phase",
				smtp_phase_name(phase), durations);
	}
}

static void add_states(const struct printing *printing, const struct relay_gauges *relay)
{
	const struct {
		const char *name;
		unsigned count;
	} states[] = { { "opening", relay->opening }, { "idle", relay->idle },
		{ "busy", relay->busy }, { "leaving", relay->leaving } };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		add_sample(printing, "smtp_sessions", "relay", relay->name, "state", states[i].name,
			states[i].count);
}

static void add_session_counts(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	size_t count = atomic_load_explicit(&metrics->relay_count, memory_order_acquire);

	declare(printing, "smtp_sessions_opened", "counter", "Sessions that became ready.");
	for (size_t i = 0; i < count; i++)
		add_sample(printing, "smtp_sessions_opened_total", "relay", metrics->relays[i].name,
			NULL, NULL, atomic_load(&metrics->relays[i].opened));
	declare(printing, "smtp_sessions_closed", "counter", "Sessions that ended, and why.");
	for (size_t i = 0; i < count; i++)
		for (enum session_end end = 0; end < SESSION_ENDS; end++)
			add_sample(printing, "smtp_sessions_closed_total", "relay",
				metrics->relays[i].name, "reason", session_end_name(end),
				atomic_load(&metrics->relays[i].closed[end]));
}

/* Of those relays that have a token endpoint. */
static void add_tokens(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	size_t count = atomic_load_explicit(&metrics->relay_count, memory_order_acquire);

	declare(printing, "oauth_refreshes", "counter",
		"Requests for an access token, and what the token endpoint made of them.");
	for (size_t i = 0; i < count; i++) {
		const struct relay_metrics *relay = &metrics->relays[i];

		if (!atomic_load_explicit(&relay->wants_tokens, memory_order_relaxed))
			continue;
		for (enum oauth_result result = 0; result < OAUTH_RESULTS; result++)
			add_sample(printing, "oauth_refreshes_total", "relay", relay->name,
				"result", oauth_result_name(result),
				atomic_load(&relay->tokens[result]));
	}
}

static void add_values(const struct printing *printing, const char *name,
	const struct relay_gauges *relay, const char *label, const struct relay_value *values)
{
	for (; values->name; values++) {
		buf_addf(printing->out, "lettergate_%s", name);
		add_label(printing, "{", "relay", relay->name);
		add_label(printing, ",", label, values->name);
		buf_addf(printing->out, "} %.10g\n", values->value);
	}
}

/* Why a relay is not as good as it could be, and what was found out. */
static void add_reasons(const struct printing *printing)
{
	const struct metrics_gauges *gauges = printing->gauges;
	const struct relay_gauges *end = gauges->relays + gauges->relay_count, *relay;

	declare(printing, "relay_rest_seconds", "gauge",
		"How long nothing is tried at the relay yet, by why it rests.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_rest_seconds", relay, "cause", relay->rests);
	declare(printing, "relay_held_back", "gauge",
		"1 while that keeps sessions, or messages a second, fewer than they could be.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_held_back", relay, "reason", relay->held_back);
	declare(printing, "relay_limit_learned", "gauge",
		"Where the relay hangs up, as it was found out: seconds, messages, recipients.");
	for (relay = gauges->relays; relay < end; relay++)
		add_values(printing, "relay_limit_learned", relay, "limit", relay->learned);
}

/* One family after the other, each with all relays. */
static void add_relays(const struct printing *printing)
{
	const struct metrics_gauges *gauges = printing->gauges;
	const struct relay_gauges *end = gauges->relays + gauges->relay_count, *relay;
	const struct metrics_share *first = &printing->metrics->shares[0];

	declare(printing, "smtp_sessions", "gauge", "Sessions to the relay, by state.");
	for (relay = gauges->relays; relay < end; relay++)
		add_states(printing, relay);
	add_session_counts(printing);
	add_tokens(printing);
	declare(printing, "smtp_session_messages", "histogram", "Messages that a session took.");
	add_histogram(printing, "smtp_session_messages", NULL, NULL, first->session_messages,
		message_bounds, MESSAGE_BOUNDS, 1, &first->session_messages_sum);
	declare(printing, "relay_window", "gauge", "Most sessions that are allowed at the moment.");
	for (relay = gauges->relays; relay < end; relay++)
		add_sample(
			printing, "relay_window", "relay", relay->name, NULL, NULL, relay->window);
	declare(printing, "relay_resting", "gauge", "1 while nothing is tried at the relay.");
	for (relay = gauges->relays; relay < end; relay++)
		add_sample(printing, "relay_resting", "relay", relay->name, NULL, NULL,
			relay->is_resting);
	declare(printing, "relay_waiting", "gauge", "Messages that wait for a session.");
	for (relay = gauges->relays; relay < end; relay++)
		add_sample(printing, "relay_waiting", "relay", relay->name, NULL, NULL,
			relay->waiting);
	add_reasons(printing);
}

static void add_repeats(const struct printing *printing)
{
	static const char *const names[REPEAT_KINDS] = {
		[REPEAT_FIRST] = "first",
		[REPEAT_AGAIN] = "replayed",
		[REPEAT_RUNNING] = "running",
		[REPEAT_MISMATCH] = "mismatch",
		[REPEAT_NO_ROOM] = "no_room",
	};
	const struct repeats_counts *counts = &printing->gauges->repeats;

	declare(printing, "idempotency", "counter",
		"Messages that came with an Idempotency-Key, by what was known of it.");
	for (enum repeat repeat = REPEAT_FIRST; repeat < REPEAT_KINDS; repeat++)
		add_sample(printing, "idempotency_total", "result", names[repeat], NULL, NULL,
			counts->found[repeat]);
	declare(printing, "idempotency_forgotten", "counter",
		"Answers forgotten before IDEMPOTENCY_TTL, for want of room.");
	add_sample(
		printing, "idempotency_forgotten_total", NULL, NULL, NULL, NULL, counts->forgotten);
	add_gauge(printing, "idempotency_kept", "Messages whose idempotency key is kept.",
		counts->entries);
}

static void add_webhooks(const struct printing *printing)
{
	declare(printing, "webhook_deliveries", "counter",
		"Tries to deliver an event, by what came of them, and events given up.");
	for (enum webhook_result result = 0; result < WEBHOOK_RESULTS; result++)
		add_sample(printing, "webhook_deliveries_total", "result",
			webhook_result_name(result), NULL, NULL,
			atomic_load(&printing->metrics->webhooks[result]));
	add_gauge(printing, "webhooks_disabled",
		"Webhooks that get nothing more, because they answered 410.",
		printing->gauges->webhooks_gone);
	declare(printing, "webhook_behind_seconds", "gauge",
		"How long ago the oldest event was written that the webhook has not had; told by "
		"the gateway that posts to it.");
	for (size_t i = 0; i < printing->gauges->webhook_count; i++)
		add_sample(printing, "webhook_behind_seconds", "webhook",
			printing->gauges->webhooks[i].name, NULL, NULL,
			printing->gauges->webhooks[i].behind_s);
}

static void add_ages(const struct printing *printing, const struct counts_job *counts)
{
	uint64_t all = 0;
	char room[24];

	declare(printing, "queue_age_messages", "gauge",
		"Messages that wait, by how many seconds ago they were accepted, at the most; "
		"scheduled ones are left out.");
	for (int i = 0; i < STORE_AGES; i++)
		add_sample(printing, "queue_age_messages", "le",
			bound_text((double)store_ages_ms[i] / 1000, room), NULL, NULL,
			counts->aged[i]);
	for (enum message_state state = 0; state < MESSAGE_STATES; state++)
		if (state != MESSAGE_SCHEDULED && !message_state_is_settled(state))
			all += counts->messages[state];
	add_sample(printing, "queue_age_messages", "le", "+Inf", NULL, NULL, all);
}

static void add_queue(const struct printing *printing)
{
	const struct counts_job *counts = printing->gauges->queue;
	int64_t age_ms = counts->oldest_ms ? counts->now_ms - counts->oldest_ms : 0;

	declare(printing, "queue_messages", "gauge", "Messages in the store, by state.");
	for (enum message_state state = 0; state < MESSAGE_STATES; state++)
		add_sample(printing, "queue_messages", "state", message_state_name(state), NULL,
			NULL, counts->messages[state]);
	add_gauge(printing, "queue_bytes", "Bytes of those that wait.", counts->bytes);
	add_gauge(printing, "queue_oldest_seconds",
		"How long ago the oldest was accepted that waits and is not scheduled; 0: none.",
		age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
	add_ages(printing, counts);
}

void metrics_print(struct metrics *metrics, const struct metrics_gauges *gauges, bool open_metrics,
	struct buf *out)
{
	const struct printing printing = { metrics, gauges, open_metrics, out };

	add_build(&printing);
	add_requests(&printing);
	add_sends(&printing);
	if (gauges->relay_count)
		add_relays(&printing);
	add_gauge(&printing, "in_flight", "Messages that were taken and are not settled.",
		gauges->in_flight);
	add_gauge(&printing, "in_flight_bytes", "Their bytes.", gauges->in_flight_bytes);
	add_repeats(&printing);
	add_webhooks(&printing);
	if (gauges->queue)
		add_queue(&printing);
	declare(&printing, "log_lines_dropped", "counter",
		"Lines that could not be written in time.");
	add_sample(
		&printing, "log_lines_dropped_total", NULL, NULL, NULL, NULL, gauges->log_dropped);
	if (open_metrics)
		buf_add_string(out, "# EOF\n");
}
