#include "service/metrics/metrics.h"
#include "service/store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#define NAME "pri\"m\\ary\n"

static const struct relay_gauges relays[] = {
	{ .name = NAME,
		.opening = 1,
		.idle = 2,
		.busy = 3,
		.leaving = 5,
		.waiting = 4,
		.window = 16,
		.is_resting = true,
		.learned = { { "idle", 7.5 }, { "messages", 10 } },
		.rests = { { "failures", 2.25 }, { "auth", 0 } },
		.held_back = { { "too_fast", 1 } } },
	{ .name = "backup", .window = 8 },
};
static const struct counts_job queue = { .messages = { [MESSAGE_SCHEDULED] = 2,
						 [MESSAGE_QUEUED] = 3,
						 [MESSAGE_SENT] = 9,
						 [MESSAGE_HELD] = 1 },
	.bytes = 4096,
	.events = 12,
	.event_bytes = 3456,
	.oldest_ms = 5000,
	.now_ms = 95999,
	.aged = { 1, 3, 3, 3, 3, 3, 3, 3 } };
static const struct webhook_gauges webhooks[] = { { "shop", 61 }, { "archive", 0 } };
static const struct metrics_gauges gauges = { .relay_count = 2,
	.relays = relays,
	.in_flight = 7,
	.in_flight_bytes = UINT64_C(1) << 40,
	.log_dropped = 9,
	.webhook_count = 2,
	.webhooks = webhooks,
	.queue = &queue };

static char *print(struct metrics *metrics, const struct metrics_gauges *what, bool open_metrics)
{
	struct buf out = buf_born(1 << 20);

	metrics_print(metrics, what, open_metrics, &out);
	buf_add_byte(&out, 0);
	ck_assert_int_eq(out.err, OK);
	return out.at;
}

static struct metrics *open_metrics_set(void)
{
	struct metrics *metrics = NULL;

	ck_assert_int_eq(metrics_open(&metrics), OK);
	return metrics;
}

static void count_some(struct metrics *metrics)
{
	struct relay_metrics *relay;

	metrics_request(metrics, "/send", 200, 499);
	metrics_request(metrics, "/send", 200, 700);
	metrics_request(metrics, "/send", 503, 70000000);
	metrics_request(metrics, "/messages/{id}", 200, 0);
	metrics_send(metrics, SMTP_ACCEPTED, SMTP_IN_DOT, 1000);
	metrics_send(metrics, SMTP_NOT_SENT, SMTP_IN_QUEUE, 1001);
	metrics_recipient(metrics, SMTP_ACCEPTED);
	metrics_recipient(metrics, SMTP_REJECTED);
	metrics_phase(metrics, SMTP_IN_TLS, 2500);
	metrics_events_dropped(metrics, 3);
	metrics_events_dropped(metrics, 4);
	relay = metrics_relay(metrics, NAME);
	metrics_session_opened(relay);
	metrics_not_recorded(metrics);
	metrics_token_wanted(relay);
	metrics_token(relay, OAUTH_GRANTED);
	metrics_token(relay, OAUTH_GRANTED);
	metrics_token(relay, OAUTH_FAILED);
	metrics_token_wanted(NULL);
	metrics_token(NULL, OAUTH_FAILED);
	metrics_session_closed(metrics, relay, SESSION_END_USED_UP, 100);
	metrics_session_failed(relay);
	metrics_session_failed(NULL);
	metrics_session_opened(NULL);
	metrics_session_closed(metrics, metrics_relay(metrics, "backup"), SESSION_END_IDLE, 1);
}

/* ---- what is told */

static const char *const told[] = {
	("lettergate_build_info{version=\"" LETTERGATE_VERSION "\"} 1\n"),
	"lettergate_http_requests_total{route=\"/send\",status=\"200\"} 2\n",
	"lettergate_http_requests_total{route=\"/send\",status=\"503\"} 1\n",
	"lettergate_http_requests_total{route=\"/messages/{id}\",status=\"200\"} 1\n",
	"lettergate_http_request_duration_seconds_bucket{le=\"0.0005\"} 2\n",
	"lettergate_http_request_duration_seconds_bucket{le=\"0.001\"} 3\n",
	"lettergate_http_request_duration_seconds_bucket{le=\"60.0\"} 3\n",
	"lettergate_http_request_duration_seconds_bucket{le=\"+Inf\"} 4\n",
	"lettergate_http_request_duration_seconds_sum 70.001199\n",
	"lettergate_http_request_duration_seconds_count 4\n",
	"lettergate_sends_total{outcome=\"accepted\",phase=\"dot\"} 1\n",
	"lettergate_sends_total{outcome=\"not_sent\",phase=\"\"} 1\n",
	"lettergate_recipients_total{outcome=\"rejected\"} 1\n",
	"lettergate_send_duration_seconds_bucket{le=\"0.001\"} 1\n",
	"lettergate_send_duration_seconds_bucket{le=\"0.0025\"} 2\n",
	"lettergate_smtp_phase_duration_seconds_bucket{phase=\"tls\",le=\"0.0025\"} 1\n",
	"lettergate_smtp_phase_duration_seconds_count{phase=\"tls\"} 1\n",
	"lettergate_smtp_sessions{relay=\"pri\\\"m\\\\ary\\n\",state=\"idle\"} 2\n",
	"lettergate_smtp_sessions{relay=\"pri\\\"m\\\\ary\\n\",state=\"leaving\"} 5\n",
	"lettergate_smtp_sessions_closed_total{relay=\"backup\",reason=\"idle\"} 1\n",
	"lettergate_relay_window{relay=\"backup\"} 8\n",
	"lettergate_relay_limit_learned{relay=\"pri\\\"m\\\\ary\\n\",limit=\"idle\"} 7.5\n",
	"lettergate_relay_rest_seconds{relay=\"pri\\\"m\\\\ary\\n\",cause=\"failures\"} 2.25\n",
	"lettergate_relay_rest_seconds{relay=\"pri\\\"m\\\\ary\\n\",cause=\"auth\"} 0\n",
	"lettergate_relay_held_back{relay=\"pri\\\"m\\\\ary\\n\",reason=\"too_fast\"} 1\n",
	"lettergate_relay_limit_learned{relay=\"pri\\\"m\\\\ary\\n\",limit=\"messages\"} 10\n",
	"lettergate_smtp_sessions_opened_total{relay=\"pri\\\"m\\\\ary\\n\"} 1\n",
	"lettergate_smtp_sessions_closed_total{relay=\"pri\\\"m\\\\ary\\n\",reason=\"used_up\"} "
	"1\n",
	"lettergate_oauth_refreshes_total{relay=\"pri\\\"m\\\\ary\\n\",result=\"granted\"} 2\n",
	"lettergate_oauth_refreshes_total{relay=\"pri\\\"m\\\\ary\\n\",result=\"refused\"} 0\n",
	"lettergate_oauth_refreshes_total{relay=\"pri\\\"m\\\\ary\\n\",result=\"failed\"} 1\n",
	"lettergate_smtp_session_messages_bucket{le=\"1.0\"} 1\n",
	"lettergate_smtp_session_messages_bucket{le=\"100.0\"} 2\n",
	"lettergate_smtp_sessions_closed_total{relay=\"pri\\\"m\\\\ary\\n\",reason=\"failed\"} "
	"1\n",
	"lettergate_relay_window{relay=\"pri\\\"m\\\\ary\\n\"} 16\n",
	"lettergate_relay_resting{relay=\"pri\\\"m\\\\ary\\n\"} 1\n",
	"lettergate_in_flight 7\n",
	"lettergate_in_flight_bytes 1099511627776\n",
	"lettergate_log_lines_dropped_total 9\n",
	"lettergate_queue_messages{state=\"scheduled\"} 2\n",
	"lettergate_queue_messages{state=\"queued\"} 3\n",
	"lettergate_queue_messages{state=\"sending\"} 0\n",
	"lettergate_queue_messages{state=\"sent\"} 9\n",
	"lettergate_queue_bytes 4096\n",
	"lettergate_queue_oldest_seconds 90\n",
	"lettergate_not_recorded_total 1\n",
	"lettergate_events_kept 12\n",
	"lettergate_events_kept_bytes 3456\n",
	"lettergate_events_dropped_total 7\n",
	"lettergate_webhook_behind_seconds{webhook=\"shop\"} 61\n",
	"lettergate_webhook_behind_seconds{webhook=\"archive\"} 0\n",
	"lettergate_queue_age_messages{le=\"60.0\"} 1\n",
	"lettergate_queue_age_messages{le=\"300.0\"} 3\n",
	"lettergate_queue_age_messages{le=\"+Inf\"} 3\n",
};

START_TEST(what_was_counted_is_told)
{
	struct metrics *metrics = open_metrics_set();
	char *text;

	count_some(metrics);
	text = print(metrics, &gauges, false);
	ck_assert_msg(strstr(text, told[_i]) != NULL, "wanted %s in\n%s", told[_i], text);
	free(text);
	metrics_close(metrics);
}
END_TEST

/* ---- the grammar: every sample belongs to the family that was declared last */

struct family {
	char name[100], type[20];
	double bucket; /* last le and count of a histogram's series */
	double bound;
	char series[200];
};

static void read_declaration(const char *line, bool open_metrics, struct family *family)
{
	char name[100], type[20];
	size_t len;

	if (sscanf(line, "# HELP %99s", name) == 1) {
		ck_assert_msg(strcmp(name, family->name) != 0, "declared twice: %s", line);
		ck_assert_msg(line[strlen(line) - 1] == '.', "no sentence: %s", line);
		snprintf(family->name, sizeof(family->name), "%s", name);
		family->type[0] = 0;
		return;
	}
	ck_assert_msg(sscanf(line, "# TYPE %99s %19s", name, type) == 2, "%s", line);
	ck_assert_str_eq(name, family->name);
	snprintf(family->type, sizeof(family->type), "%s", type);
	len = strlen(name);
	if (strcmp(type, "counter") == 0)
		ck_assert_msg((len > 6 && strcmp(name + len - 6, "_total") == 0) != open_metrics,
			"%s", line);
}

/* name{a="b",…} value: gives where the value starts; `le` is NAN where there is none. */
static const char *read_series(const char *line, char *name, char *rest, char *le)
{
	size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
	const char *at = line + len;

	ck_assert_uint_gt(len, 0);
	snprintf(name, 100, "%.*s", (int)len, line);
	*rest = *le = 0;
	if (*at == ' ')
		return at + 1;
	ck_assert_int_eq(*at, '{');
	do {
		const char *label = ++at, *value;

		at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
		ck_assert_msg(at > label && at[0] == '=' && at[1] == '"', "%s", line);
		for (value = at += 2; *at != '"'; at++) {
			ck_assert_msg(*at, "%s", line);
			if (*at == '\\')
				ck_assert_msg(*++at && strchr("\\\"n", *at), "%s", line);
		}
		if (strncmp(label, "le=", 3) == 0)
			snprintf(le, 40, "%.*s", (int)(at - value), value);
		else
			snprintf(rest + strlen(rest), 150, "%.*s,", (int)(at - label), label);
		at++;
	} while (*at == ',');
	ck_assert_msg(at[0] == '}' && at[1] == ' ', "%s", line);
	return at + 2;
}

static void check_bucket(
	struct family *family, const char *line, const char *series, const char *le, double value)
{
	double bound = strcmp(le, "+Inf") == 0 ? 1e99 : strtod(le, NULL);

	ck_assert_msg(*le && strchr(le, le[0] == '+' ? 'I' : '.'), "le is no float: %s", line);
	if (strcmp(series, family->series) == 0 && family->bound < 1e99) {
		ck_assert_msg(bound > family->bound, "%s", line);
		ck_assert_msg(value >= family->bucket, "%s", line);
	}
	snprintf(family->series, sizeof(family->series), "%s", series);
	family->bound = bound;
	family->bucket = value;
}

static void read_sample(const char *line, bool open_metrics, struct family *family)
{
	char name[100], series[200], le[40], *end, wanted[130];
	double value = strtod(read_series(line, name, series, le), &end);
	const char *ending = name + strlen(family->name);

	ck_assert_msg(*end == 0 && value >= 0, "%s", line);
	ck_assert_msg(strncmp(name, family->name, strlen(family->name)) == 0, "%s in %s", line,
		family->name);
	if (strcmp(family->type, "histogram") == 0) {
		ck_assert_msg(strcmp(ending, "_bucket") == 0 || strcmp(ending, "_sum") == 0 ||
				      strcmp(ending, "_count") == 0,
			"%s", line);
		if (strcmp(ending, "_bucket") == 0)
			check_bucket(family, line, series, le, value);
		else if (strcmp(ending, "_count") == 0)
			ck_assert_msg(family->bound == 1e99 && value == family->bucket, "%s", line);
		return;
	}
	snprintf(wanted, sizeof(wanted), "%s%s", family->name,
		strcmp(family->type, "info") == 0                      ? "_info"
		: strcmp(family->type, "counter") == 0 && open_metrics ? "_total"
								       : "");
	ck_assert_str_eq(name, wanted);
}

START_TEST(the_text_follows_its_grammar)
{
	bool open_metrics = _i & 1, counted = _i & 2, has_relay = _i & 4;
	struct metrics *metrics = open_metrics_set();
	struct metrics_gauges none = { 0 };
	struct family family = { 0 };
	char *text, *line, *end;

	if (counted)
		count_some(metrics);
	text = print(metrics, has_relay ? &gauges : &none, open_metrics);
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (strcmp(line, "# EOF") == 0) {
			ck_assert(open_metrics && end[1] == 0);
			open_metrics = false;
		} else if (line[0] == '#') {
			read_declaration(line, _i & 1, &family);
		} else {
			ck_assert_msg(family.type[0], "undeclared: %s", line);
			read_sample(line, _i & 1, &family);
		}
	}
	ck_assert_msg(*line == 0, "no line end: %s", line);
	ck_assert_msg(!open_metrics, "no # EOF");
	free(text);
	metrics_close(metrics);
}
END_TEST

START_TEST(tokens_are_told_of_where_there_are_any)
{
	struct metrics *metrics = open_metrics_set();
	char *text;

	count_some(metrics);
	text = print(metrics, &gauges, false);
	ck_assert_ptr_null(strstr(text, "oauth_refreshes_total{relay=\"backup\""));
	for (enum oauth_result result = 0; result < OAUTH_RESULTS; result++)
		ck_assert_uint_gt(strlen(oauth_result_name(result)), 0);
	free(text);
	metrics_close(metrics);
}
END_TEST

START_TEST(a_route_that_looks_the_same_is_the_same)
{
	static const char one[] = "/send", other[] = "/send";
	struct metrics *metrics = open_metrics_set();
	char *text;

	metrics_request(metrics, one, 200, 1);
	metrics_request(metrics, other, 200, 1);
	text = print(metrics, &gauges, false);
	ck_assert_ptr_nonnull(strstr(text, "{route=\"/send\",status=\"200\"} 2\n"));
	free(text);
	metrics_close(metrics);
}
END_TEST

/* Statuses come from our own tables, so this is no way to be flooded; still it must not break. */
START_TEST(too_many_rows_are_counted_together)
{
	struct metrics *metrics = open_metrics_set();
	char *text;

	for (unsigned status = 100; status < 300; status++)
		metrics_request(metrics, "/send", status, 1);
	text = print(metrics, &gauges, false);
	ck_assert_ptr_nonnull(strstr(text, "{route=\"/send\",status=\"226\"} 1\n"));
	ck_assert_ptr_null(strstr(text, "{route=\"/send\",status=\"227\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "{route=\"\",status=\"\"} 73\n"));
	free(text);
	metrics_close(metrics);
}
END_TEST

static void *count_many(void *self)
{
	for (int i = 0; i < 10000; i++) {
		metrics_request(self, "/send", 200 + i % 5, 10);
		metrics_send(self, SMTP_ACCEPTED, SMTP_IN_DOT, 10);
	}
	return NULL;
}

START_TEST(threads_lose_nothing)
{
	struct metrics *metrics = open_metrics_set();
	pthread_t threads[12]; /* more than there are shares */
	char *text;

	for (size_t i = 0; i < 12; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, metrics), 0);
	for (size_t i = 0; i < 12; i++)
		pthread_join(threads[i], NULL);
	text = print(metrics, &gauges, false);
	ck_assert_ptr_nonnull(strstr(text, "{route=\"/send\",status=\"204\"} 24000\n"));
	ck_assert_ptr_nonnull(strstr(text, "{outcome=\"accepted\",phase=\"dot\"} 120000\n"));
	ck_assert_ptr_nonnull(strstr(text, "send_duration_seconds_sum 1.200000\n"));
	free(text);
	metrics_close(metrics);
}
END_TEST

static uint64_t second_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

START_TEST(the_rate_is_that_of_the_last_second)
{
	struct metrics *metrics = open_metrics_set();
	uint64_t before = second_now();
	double rate = 0;

	ck_assert(metrics_sends_per_s(metrics, before * 1000000) == 0);
	for (int i = 0; i < 500; i++)
		metrics_send(metrics, SMTP_ACCEPTED, SMTP_IN_DOT, 10);
	/* asked for in the second after: counted in one second, or in two */
	for (uint64_t second = before; second <= second_now(); second++)
		if (metrics_sends_per_s(metrics, (second + 1) * 1000000) > rate)
			rate = metrics_sends_per_s(metrics, (second + 1) * 1000000);
	ck_assert_msg(rate > 0 && rate <= 500, "%f", rate);
	ck_assert(metrics_sends_per_s(metrics, (second_now() + 100) * 1000000) == 0);
	metrics_close(metrics);
}
END_TEST

START_TEST(every_end_has_a_name)
{
	ck_assert_ptr_nonnull(session_end_name((enum session_end)_i));
	ck_assert_uint_gt(strlen(session_end_name((enum session_end)_i)), 0);
}
END_TEST

UNIT_MAIN(metrics,
	  tcase_add_loop_test(cases, what_was_counted_is_told, 0, sizeof(told) / sizeof(told[0]));
	  tcase_add_loop_test(cases, the_text_follows_its_grammar, 0, 8);
	  tcase_add_test(cases, tokens_are_told_of_where_there_are_any);
	  tcase_add_test(cases, a_route_that_looks_the_same_is_the_same);
	  tcase_add_test(cases, too_many_rows_are_counted_together);
	  tcase_add_test(cases, threads_lose_nothing);
	  tcase_add_test(cases, the_rate_is_that_of_the_last_second);
	  tcase_add_loop_test(cases, every_end_has_a_name, 0, SESSION_ENDS);)
