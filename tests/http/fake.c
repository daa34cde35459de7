#include "http/result.h"
#include "fake.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 50000 };

static const char record_id[] = "0199aaaa-0000-7000-8000-000000000001";

/* ---- the gateway */

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t fake_now_us(struct fake *fake)
{
	return monotonic_us() + atomic_load(&fake->skew_us);
}

static void stamp(void *self, struct stamp *stamp_out)
{
	stamp_out->unix_ms = 1795500000000;
	stamp_out->now_us = fake_now_us(self);
	(void)!getrandom(stamp_out->random, sizeof(stamp_out->random), 0);
}

static bool admit(void *self, struct text secret, struct region *region, struct caller *caller_out)
{
	struct fake *fake = self;

	(void)region;
	if (fake->key && !text_equal(secret, text_of(fake->key)))
		return false;
	*caller_out = fake->caller;
	return true;
}

static bool charge(
	void *self, const struct caller *caller, size_t messages, struct rate_state *rate_out)
{
	struct fake *fake = self;

	(void)caller, (void)messages;
	*rate_out = fake->rate;
	return !fake->over_rate;
}

static bool reserve(void *self, uint64_t held, uint64_t bytes)
{
	struct fake *fake = self;

	(void)held;
	if (atomic_fetch_add(&fake->reserved, bytes) + bytes <= fake->budget)
		return true;
	atomic_fetch_sub(&fake->reserved, bytes);
	return false;
}

static void release(void *self, uint64_t bytes)
{
	atomic_fetch_sub(&((struct fake *)self)->reserved, bytes);
}

static uint32_t overload_pause_s(void *self)
{
	(void)self;
	return 7;
}

static void settle(struct delivery *delivery, enum fake_mode mode, struct text words)
{
	struct smtp_said yes = { 250, { 2, 0, 0 }, TEXT("Ok: queued as 4XyZ") };
	struct smtp_said no = { 550, { 5, 1, 1 }, TEXT("<x>: user unknown") };
	struct smtp_said later = { 451, { 4, 7, 1 }, TEXT("try again in 300 seconds") };
	struct smtp_said said = mode == FAKE_REJECTS ? no : mode == FAKE_DEFERS ? later : yes;
	struct result *result = &delivery->result;

	if (mode == FAKE_REJECTS && words.len)
		said.text = words;
	for (size_t i = 0; i < result->count; i++) {
		result->answers[i].said = mode == FAKE_KNOWS_NOT ? (struct smtp_said){ 0 } : said;
		result->answers[i].verdict =
			mode == FAKE_KNOWS_NOT
				? smtp_verdict_of_loss(SMTP_LOSS_TIMEOUT, SMTP_IN_DOT, true)
				: smtp_verdict_of_said(&said,
					  mode == FAKE_REJECTS || mode == FAKE_DEFERS ? SMTP_IN_RCPT
										      : SMTP_IN_DOT,
					  (struct smtp_verdict_rules){ 0 });
	}
	result->verdict = result->answers[0].verdict;
	result->said = result->answers[0].said;
	result->relay_name = TEXT("primary");
	result->relay_host = TEXT("smtp.example.com");
	delivery->done(delivery);
}

static void note(struct fake *fake, const struct delivery *delivery)
{
	struct smtp_message_reader reader = { 0 };
	char piece[1000];
	size_t len;

	buf_clear(&fake->message);
	while ((len = smtp_message_read(&delivery->message, &reader, piece, sizeof(piece))))
		buf_add(&fake->message, (struct text){ piece, len });
	ck_assert_uint_eq(fake->message.len, delivery->message.size);
	buf_clear(&fake->envelope);
	buf_add(&fake->envelope, delivery->envelope.from);
	for (size_t i = 0; i < delivery->envelope.count; i++) {
		buf_add_byte(&fake->envelope, i ? ',' : ';');
		buf_add(&fake->envelope, delivery->envelope.to[i]);
	}
	snprintf(fake->message_id, sizeof(fake->message_id), "%.*s", (int)delivery->message_id.len,
		delivery->message_id.at);
	memcpy(fake->digest, delivery->digest, DIGEST_LEN);
	fake->all_or_none = delivery->all_or_none;
	fake->has_trace = delivery->trace;
	fake->patience_us = delivery->deadline_us - delivery->began_us;
}

static enum err sign(void *self, struct text domain, int64_t time_s, struct region *region,
	struct smtp_message *message)
{
	struct fake *fake = self;

	(void)time_s, (void)region, (void)message;
	pthread_mutex_lock(&fake->lock);
	snprintf(fake->signed_for, sizeof(fake->signed_for), "%.*s", (int)domain.len, domain.at);
	pthread_mutex_unlock(&fake->lock);
	return fake->sign_err;
}

/* False: it is told what was found. */
static bool begin(struct fake *fake, struct delivery *delivery)
{
	struct smtp_said said = { 250, { 2, 0, 0 }, TEXT("Ok") };

	delivery->repeat = fake->finds ? fake->finds : REPEAT_FIRST;
	if (delivery->repeat == REPEAT_FIRST)
		atomic_fetch_add(&fake->begun, 1);
	if (delivery->repeat != REPEAT_AGAIN)
		return delivery->repeat == REPEAT_FIRST;
	snprintf(delivery->id, sizeof(delivery->id), "%s", record_id);
	delivery->first_answer = fake->first_answer;
	delivery->result.verdict =
		smtp_verdict_of_said(&said, SMTP_IN_DOT, (struct smtp_verdict_rules){ 0 });
	return false;
}

static void remember(void *self, const struct delivery *delivery, struct text answer)
{
	struct fake *fake = self;

	ck_assert_int_eq(delivery->repeat, REPEAT_FIRST);
	pthread_mutex_lock(&fake->lock);
	buf_clear(&fake->remembered);
	buf_add(&fake->remembered, answer);
	pthread_mutex_unlock(&fake->lock);
	atomic_fetch_add(&fake->ended, 1);
}

static enum submission submit(void *self, struct delivery *delivery)
{
	struct fake *fake = self;
	enum fake_mode mode = atomic_load(&fake->mode);

	if (mode == FAKE_IS_OVERLOADED)
		return SUBMISSION_OVERLOADED;
	if (mode == FAKE_DRAINS)
		return SUBMISSION_DRAINING;
	if (mode == FAKE_HAS_NO_RELAY)
		return SUBMISSION_NO_RELAY;
	if (delivery->idempotency_key.len && !begin(fake, delivery)) {
		delivery->done(delivery);
		return SUBMITTED;
	}
	atomic_fetch_add(&fake->submitted, 1);
	pthread_mutex_lock(&fake->lock);
	note(fake, delivery);
	if (mode == FAKE_PARKS) {
		delivery->next = fake->parked;
		fake->parked = delivery;
		atomic_fetch_add(&fake->parked_count, 1);
		delivery = NULL;
	}
	pthread_mutex_unlock(&fake->lock);
	if (delivery)
		settle(delivery, mode, fake->words);
	return SUBMITTED;
}

void fake_settle_all(struct fake *fake)
{
	struct delivery *delivery, *next;

	pthread_mutex_lock(&fake->lock);
	delivery = fake->parked;
	fake->parked = NULL;
	atomic_store(&fake->parked_count, 0);
	pthread_mutex_unlock(&fake->lock);
	for (; delivery; delivery = next) {
		next = delivery->next;
		settle(delivery, FAKE_ACCEPTS, fake->words);
	}
}

void fake_await_parked(struct fake *fake, unsigned count)
{
	for (int i = 0; atomic_load(&fake->parked_count) < count; i++) {
		ck_assert_int_lt(i, PATIENCE_MS);
		usleep(1000);
	}
}

static struct record a_record(struct smtp_answer *answer, const struct text *to)
{
	struct smtp_said said = { 250, { 2, 0, 0 }, TEXT("Ok") };
	struct record record = { .id = record_id, .from = TEXT("a@example.com") };

	answer->verdict =
		smtp_verdict_of_said(&said, SMTP_IN_DOT, (struct smtp_verdict_rules){ 0 });
	record.result.verdict = answer->verdict;
	record.result.count = 1;
	record.result.answers = answer;
	record.result.to = to;
	return record;
}

static bool look_up(void *self, const struct caller *caller, struct text id,
	void (*see)(const struct record *record, void *context), void *context)
{
	struct smtp_answer answer = { 0 };
	struct text to = TEXT("b@example.com");
	struct record record = a_record(&answer, &to);

	(void)self, (void)caller;
	if (!text_equal(id, text_of(record_id)))
		return false;
	see(&record, context);
	return true;
}

/* Records of many recipients, with ids that count up, behind the cursor's. */
static bool list_crowds(const struct fake *fake, const struct query *query,
	void (*see)(const struct record *record, void *context), void *context)
{
	struct smtp_answer *answers = calloc(fake->crowd, sizeof(*answers));
	struct text *to = calloc(fake->crowd, sizeof(*to));
	struct record record = a_record(answers, to);
	struct smtp_said no = { 550, { 5, 1, 1 }, fake->words };
	char id[DELIVERY_ID_LEN + 1];
	uint64_t at = 0;

	for (size_t i = 0; i < fake->crowd; i++) {
		to[i] = TEXT("b@example.com");
		answers[i].said = no;
		answers[i].verdict =
			smtp_verdict_of_said(&no, SMTP_IN_RCPT, (struct smtp_verdict_rules){ 0 });
	}
	record.result.count = fake->crowd;
	record.id = id;
	if (query->cursor.len && text_to_u64(text_from(query->cursor, 33), &at))
		at++;
	for (size_t i = 0; i < query->limit && at < fake->records; i++, at++) {
		snprintf(id, sizeof(id), "%.33s%03u", record_id, (unsigned)at);
		see(&record, context);
	}
	free(answers);
	free(to);
	return at < fake->records;
}

static bool list(void *self, const struct caller *caller, const struct query *query,
	void (*see)(const struct record *record, void *context), void *context)
{
	struct smtp_answer answer = { 0 };
	struct text to = TEXT("b@example.com");
	struct record record = a_record(&answer, &to);

	(void)caller;
	if (((struct fake *)self)->records)
		return list_crowds(self, query, see, context);
	for (size_t i = 0; i < query->limit && i < 3; i++)
		see(&record, context);
	return query->limit < 3;
}

static enum err raw(void *self, const struct caller *caller, struct text id, struct region *region,
	struct text *raw_out)
{
	(void)self, (void)caller;
	if (text_equal(id, TEXT("gone")))
		return ERR_VALUE;
	if (!text_equal(id, text_of(record_id)))
		return ERR_MISSING;
	*raw_out = region_copy(region, TEXT("From: a\r\n\r\n"));
	return OK;
}

static bool ready(void *self, struct buf *json)
{
	buf_add(json, TEXT("{\"ready\":true}"));
	return atomic_load(&((struct fake *)self)->mode) != FAKE_DRAINS;
}

static void metrics(void *self, bool open_metrics, const void *counts, struct buf *text)
{
	(void)counts;
	(void)self;
	buf_add_string(text, open_metrics ? "lettergate_up 1\n# EOF\n" : "lettergate_up 1\n");
}

static void relays(void *self, struct buf *json)
{
	(void)self;
	buf_add_string(json, "{\"name\":\"default\"}");
}

static void *run_check(void *argument)
{
	struct checking *checking = argument;

	usleep(20000);
	buf_add_string(&checking->report, "{\"relay\":\"default\",\"sendable\":true}");
	checking->done(checking);
	return NULL;
}

static enum checking_start check(void *self, struct text name, struct checking *checking)
{
	struct fake *fake = self;
	pthread_t thread;

	snprintf(fake->checked, sizeof(fake->checked), "%.*s", (int)name.len, name.at);
	snprintf(fake->checked_to, sizeof(fake->checked_to), "%.*s", (int)checking->to.len,
		checking->to.len ? checking->to.at : "");
	if (fake->checking)
		return fake->checking;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_check, checking), 0);
	pthread_detach(thread);
	return CHECKING;
}

static void observe(void *self, const struct exchange_seen *seen)
{
	struct fake *fake = self;

	pthread_mutex_lock(&fake->lock);
	snprintf(fake->seen_route, sizeof(fake->seen_route), "%s", seen->route);
	snprintf(fake->seen_client, sizeof(fake->seen_client), "%.*s", (int)seen->client.len,
		seen->client.at);
	snprintf(fake->seen_request_id, sizeof(fake->seen_request_id), "%.*s",
		(int)seen->request_id.len, seen->request_id.at);
	fake->seen_status = seen->status;
	fake->seen_replayed = seen->replayed;
	pthread_mutex_unlock(&fake->lock);
	atomic_fetch_add(&fake->observed, 1);
}

void fake_open(struct fake *fake)
{
	*fake = (struct fake){ .caller = { .key_id = TEXT("web"), .scopes = SCOPE_ALL },
		.budget = 512 << 20,
		.gateway = { .self = fake,
			.stamp = stamp,
			.admit = admit,
			.charge = charge,
			.reserve = reserve,
			.release = release,
			.overload_pause_s = overload_pause_s,
			.sign = sign,
			.submit = submit,
			.remember = remember,
			.repeats_last = "process",
			.look_up = look_up,
			.list = list,
			.raw = raw,
			.ready = ready,
			.metrics = metrics,
			.relays = relays,
			.check = check,
			.observe = observe } };
	fake_templates_open(&fake->templates, &fake->gateway);
	pthread_mutex_init(&fake->lock, NULL);
	fake->message = buf_born(64 << 20);
	fake->remembered = buf_born(64 << 20);
	fake->envelope = buf_born(1 << 20);
}

void fake_close(struct fake *fake)
{
	ck_assert_uint_eq(atomic_load(&fake->reserved), 0);
	ck_assert_uint_eq(atomic_load(&fake->begun), atomic_load(&fake->ended));
	buf_free(&fake->message);
	buf_free(&fake->remembered);
	buf_free(&fake->envelope);
	fake_templates_close(&fake->templates);
	pthread_mutex_destroy(&fake->lock);
}

/* ---- the server */

void served_prepare(struct served *served)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*served = (struct served){ 0 };
	fake_open(&served->fake);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1024), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	served->port = ntohs(address.sin_port);
	served->listener = (struct server_listener){ fd, false };
	served->settings = (struct server_settings){ .listeners = &served->listener,
		.listener_count = 1,
		.threads = 2,
		.body_max_bytes = 1 << 20,
		.connections_max = 2000,
		.headers_ms = 10000,
		.body_ms = 60000,
		.idle_ms = 75000,
		.send_deadline_us = 50000000 };
}

void served_start(struct served *served)
{
	ck_assert_int_eq(
		server_open(&served->settings, &served->fake.gateway, &served->server), OK);
}

void served_stop(struct served *served)
{
	fake_settle_all(&served->fake);
	server_close(served->server);
	fake_close(&served->fake);
}
