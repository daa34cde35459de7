/* The families, but for those of relays: the text that Prometheus reads, and OpenMetrics 1.0, which
 * differs in how counters and build_info are declared and in how the text ends. */
#include "service/metrics/metrics_own.h"

#include "service/store/store.h"

#include <stdio.h>

static void add_build(const struct printing *printing)
{
	print_family(printing, printing->open_metrics ? "build" : "build_info",
		printing->open_metrics ? "info" : "gauge", "The version that runs.");
	print_sample(printing, "build_info", "version", LETTERGATE_VERSION, NULL, NULL, 1);
}

static void add_requests(const struct printing *printing)
{
	const struct metrics *metrics = printing->metrics;
	const struct metrics_share *first = &metrics->shares[0];
	size_t count = atomic_load_explicit(&metrics->request_count, memory_order_acquire);
	uint64_t rest = metrics_sum(metrics, &first->requests[REQUEST_ROWS]);
	char status[16];

	print_family(
		printing, "http_requests", "counter", "Requests answered, by route and status.");
	for (size_t i = 0; i < count; i++) {
		snprintf(status, sizeof(status), "%u", metrics->requests[i].status);
		print_sample(printing, "http_requests_total", "route", metrics->requests[i].route,
			"status", status, metrics_sum(metrics, &first->requests[i]));
	}
	if (rest)
		print_sample(printing, "http_requests_total", "route", "", "status", "", rest);
	print_family(printing, "http_request_duration_seconds", "histogram",
		"From the first byte of a request to its answer.");
	print_durations(
		printing, "http_request_duration_seconds", NULL, NULL, &first->request_durations);
}

static void add_sends(const struct printing *printing)
{
	const struct metrics_share *first = &printing->metrics->shares[0];

	print_family(printing, "sends", "counter",
		"Messages settled, by outcome and the phase that decided.");
	for (enum smtp_outcome outcome = 0; outcome < SMTP_OUTCOMES; outcome++)
		for (enum smtp_phase phase = 0; phase < SMTP_PHASES; phase++) {
			uint64_t count =
				metrics_sum(printing->metrics, &first->sends[outcome][phase]);

			if (count || (outcome == SMTP_ACCEPTED && phase == SMTP_IN_DOT))
				print_sample(printing, "sends_total", "outcome",
					smtp_outcome_name(outcome), "phase", smtp_phase_name(phase),
					count);
		}
	print_family(printing, "recipients", "counter", "Recipients settled, by outcome.");
	for (enum smtp_outcome outcome = 0; outcome < SMTP_OUTCOMES; outcome++) {
		uint64_t count = metrics_sum(printing->metrics, &first->recipients[outcome]);

		if (count || outcome == SMTP_ACCEPTED)
			print_sample(printing, "recipients_total", "outcome",
				smtp_outcome_name(outcome), NULL, NULL, count);
	}
	print_family(printing, "send_duration_seconds", "histogram",
		"From a message's acceptance to its verdict.");
	print_durations(printing, "send_duration_seconds", NULL, NULL, &first->send_durations);
	print_family(printing, "smtp_phase_duration_seconds", "histogram",
		"Time spent waiting for the relay, by phase.");
	for (enum smtp_phase phase = SMTP_IN_DNS; phase < SMTP_IN_RESET; phase++) {
		const struct durations *durations = &first->phase_durations[phase];
		uint64_t any = 0;

		for (size_t i = 0; i <= DURATION_BOUNDS; i++)
			any |= metrics_sum(printing->metrics, &durations->buckets[i]);
		if (any)
			print_durations(printing, "smtp_phase_duration_seconds", "phase",
				smtp_phase_name(phase), durations);
	}
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

	print_family(printing, "idempotency", "counter",
		"Messages that came with an Idempotency-Key, by what was known of it.");
	for (enum repeat repeat = REPEAT_FIRST; repeat < REPEAT_KINDS; repeat++)
		print_sample(printing, "idempotency_total", "result", names[repeat], NULL, NULL,
			counts->found[repeat]);
	print_family(printing, "idempotency_forgotten", "counter",
		"Answers forgotten before IDEMPOTENCY_TTL, for want of room.");
	print_sample(
		printing, "idempotency_forgotten_total", NULL, NULL, NULL, NULL, counts->forgotten);
	print_gauge(printing, "idempotency_kept", "Messages whose idempotency key is kept.",
		counts->entries);
}

static void add_not_recorded(const struct printing *printing)
{
	print_family(printing, "not_recorded", "counter",
		"Messages sent directly whose answer could not be noted in the store.");
	print_sample(printing, "not_recorded_total", NULL, NULL, NULL, NULL,
		atomic_load(&printing->metrics->not_recorded));
}

static void add_events(const struct printing *printing)
{
	print_family(printing, "webhook_deliveries", "counter",
		"Tries to deliver an event, by what came of them, and events given up.");
	for (enum webhook_result result = 0; result < WEBHOOK_RESULTS; result++)
		print_sample(printing, "webhook_deliveries_total", "result",
			webhook_result_name(result), NULL, NULL,
			atomic_load(&printing->metrics->webhooks[result]));
	print_gauge(printing, "webhooks_disabled",
		"Webhooks that get nothing more, because they answered 410.",
		printing->gauges->webhooks_gone);
	print_family(printing, "events_dropped", "counter",
		"Events that this gateway dropped before their time, past KEEP_EVENTS_BYTES.");
	print_sample(printing, "events_dropped_total", NULL, NULL, NULL, NULL,
		atomic_load(&printing->metrics->events_dropped));
	print_family(printing, "webhook_behind_seconds", "gauge",
		"How long ago the oldest event was written that the webhook has not had; told by "
		"the gateway that posts to it.");
	for (size_t i = 0; i < printing->gauges->webhook_count; i++)
		print_sample(printing, "webhook_behind_seconds", "webhook",
			printing->gauges->webhooks[i].name, NULL, NULL,
			printing->gauges->webhooks[i].behind_s);
}

static void add_ages(const struct printing *printing, const struct counts_job *counts)
{
	uint64_t all = 0;
	char room[24];

	print_family(printing, "queue_age_messages", "gauge",
		"Messages that wait, by how many seconds ago they were accepted, at the most; "
		"scheduled and held ones are left out.");
	for (int i = 0; i < STORE_AGES; i++)
		print_sample(printing, "queue_age_messages", "le",
			bound_text((double)store_ages_ms[i] / 1000, room), NULL, NULL,
			counts->aged[i]);
	for (enum message_state state = 0; state < MESSAGE_STATES; state++)
		if (message_state_ages(state))
			all += counts->messages[state];
	print_sample(printing, "queue_age_messages", "le", "+Inf", NULL, NULL, all);
}

static void add_queue(const struct printing *printing)
{
	const struct counts_job *counts = printing->gauges->queue;
	int64_t age_ms = counts->oldest_ms ? counts->now_ms - counts->oldest_ms : 0;

	print_family(printing, "queue_messages", "gauge", "Messages in the store, by state.");
	for (enum message_state state = 0; state < MESSAGE_STATES; state++)
		print_sample(printing, "queue_messages", "state", message_state_name(state), NULL,
			NULL, counts->messages[state]);
	print_gauge(printing, "queue_bytes", "What those that wait count in bytes.", counts->bytes);
	print_gauge(printing, "queue_oldest_seconds",
		"How long ago the oldest was accepted that waits, scheduled and held ones left "
		"out; 0: "
		"none.",
		age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
	add_ages(printing, counts);
	print_gauge(printing, "events_kept", "Events in the store.", counts->events);
	print_gauge(
		printing, "events_kept_bytes", "What they count in bytes.", counts->event_bytes);
}

void metrics_print(struct metrics *metrics, const struct metrics_gauges *gauges, bool open_metrics,
	struct buf *out)
{
	const struct printing printing = { metrics, gauges, open_metrics, out };

	add_build(&printing);
	add_requests(&printing);
	add_sends(&printing);
	if (gauges->relay_count)
		print_relays(&printing);
	print_gauge(&printing, "in_flight", "Messages that were taken and are not settled.",
		gauges->in_flight);
	print_gauge(&printing, "in_flight_bytes", "Their bytes.", gauges->in_flight_bytes);
	add_repeats(&printing);
	add_not_recorded(&printing);
	add_events(&printing);
	if (gauges->queue)
		add_queue(&printing);
	print_family(&printing, "log_lines_dropped", "counter",
		"Lines that could not be written in time.");
	print_sample(
		&printing, "log_lines_dropped_total", NULL, NULL, NULL, NULL, gauges->log_dropped);
	if (open_metrics)
		buf_add_string(out, "# EOF\n");
}
