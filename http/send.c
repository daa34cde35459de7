#include "http/send.h"

#include "http/mail.h"
#include "http/result.h"

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { BATCH_MAX = 1000, TRACE_BYTES = 65536, SMALL_REGION = 64 << 20 };

/* Requests that one exchange waits for. */
struct sending {
	struct exchange *exchange;
	size_t count;
	struct delivery **deliveries; /* NULL: refused before it was sent, see refusals */
	struct problem_text {
		unsigned status;
		struct text json;
	} * refusals;
	atomic_size_t open; /* not yet settled, and one for whoever submits */
};

/* ---- one message → one delivery */

/* RFC 9562 section 5.7: 48 bits of milliseconds, the rest at random. */
static void make_id(const struct stamp *stamp, char out[DELIVERY_ID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[16];
	char *to = out;

	memcpy(bytes, stamp->random, sizeof(bytes));
	for (int i = 0; i < 6; i++)
		bytes[i] = (unsigned char)((uint64_t)stamp->unix_ms >> (40 - 8 * i));
	bytes[6] = (bytes[6] & 0x0f) | 0x70;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = hex[bytes[i] >> 4];
		*to++ = hex[bytes[i] & 15];
	}
	*to = '\0';
}

static bool allows(const struct text *patterns, size_t count, struct text address)
{
	for (size_t i = 0; i < count; i++)
		if (smtp_address_matches(address, patterns[i]))
			return true;
	return count == 0;
}

/* NULL: the key may send this; else a problem's code, and in *about_out what it is about. */
static const char *forbidden(
	const struct caller *caller, const struct posted *posted, struct text *about_out)
{
	const struct smtp_envelope *envelope = &posted->envelope;
	bool relay_ok = caller->relay_count == 0 || posted->wishes.relay.len == 0;

	*about_out = posted->mail.from.address;
	if (!allows(caller->from, caller->from_count, *about_out))
		return "sender_not_allowed";
	*about_out = envelope->from;
	if (!allows(caller->from, caller->from_count, *about_out))
		return "sender_not_allowed";
	for (size_t i = 0; i < envelope->count; i++) {
		*about_out = envelope->to[i];
		if (!allows(caller->to, caller->to_count, *about_out))
			return "recipient_not_allowed";
	}
	*about_out = posted->wishes.relay;
	for (size_t i = 0; !relay_ok && i < caller->relay_count; i++)
		relay_ok = text_equal(caller->relays[i], posted->wishes.relay);
	if (!relay_ok)
		return "relay_not_allowed";
	*about_out = TEXT("trace");
	return posted->wishes.trace && !(caller->scopes & (SCOPE_TRACE | SCOPE_ADMIN)) ? "forbidden"
										       : NULL;
}

static void make_message_id(struct delivery *delivery, const struct smtp_mail *mail)
{
	struct text domain = smtp_address_domain(mail->from.address);
	struct buf id = buf_born(400);

	buf_add_byte(&id, '<');
	buf_add_string(&id, delivery->id);
	buf_add_byte(&id, '@');
	buf_add(&id, domain);
	buf_add_byte(&id, '>');
	delivery->message_id = region_copy(delivery->region, buf_text(&id));
	buf_free(&id);
}

static struct delivery *delivery_new(struct region *region)
{
	struct delivery *delivery = region_zalloc(region, 1, sizeof(*delivery));

	if (delivery)
		delivery->region = region;
	return delivery;
}

static void take_wishes(
	struct exchange *exchange, struct delivery *delivery, const struct posted *posted)
{
	const struct wishes *wishes = &posted->wishes;
	uint64_t patience_us = exchange->deadline_most_us;

	if (wishes->deadline_us && wishes->deadline_us < patience_us)
		patience_us = wishes->deadline_us;
	delivery->deadline_us = delivery->began_us + patience_us;
	delivery->all_or_none = wishes->all_or_none;
	delivery->relay = wishes->relay;
	delivery->tags = wishes->tags;
	delivery->tag_count = wishes->tag_count;
	delivery->metadata = wishes->metadata;
	if (wishes->trace) {
		delivery->trace = region_alloc(delivery->region, sizeof(*delivery->trace));
		if (delivery->trace)
			*delivery->trace = buf_born(TRACE_BYTES);
	}
}

static enum err fill_delivery(
	struct exchange *exchange, struct delivery *delivery, struct posted *posted)
{
	struct stamp stamp;
	enum err err;

	exchange->gateway->stamp(exchange->gateway->self, &stamp);
	make_id(&stamp, delivery->id);
	delivery->request_id = region_copy(delivery->region, exchange->request_id);
	delivery->traceparent = region_copy(delivery->region, exchange->traceparent);
	delivery->key_id = region_copy(delivery->region, exchange->caller.key_id);
	delivery->created_ms = stamp.unix_ms;
	delivery->began_us = stamp.now_us;
	delivery->envelope = posted->envelope;
	delivery->from = posted->mail.from.address;
	delivery->subject = posted->mail.subject;
	if (!posted->mail.message_id.len) {
		make_message_id(delivery, &posted->mail);
		posted->mail.message_id = delivery->message_id;
	}
	delivery->message_id = posted->mail.message_id;
	if (!posted->mail.date_s)
		posted->mail.date_s = stamp.unix_ms / 1000;
	take_wishes(exchange, delivery, posted);
	delivery->result.count = delivery->envelope.count;
	delivery->result.to = delivery->envelope.to;
	delivery->result.answers = region_zalloc(
		delivery->region, delivery->envelope.count, sizeof(*delivery->result.answers));
	if (!delivery->result.answers)
		return ERR_MEMORY;
	err = smtp_message_compose(
		&posted->mail, stamp.random + 16, delivery->region, &delivery->message);
	return err;
}

/* What stops a message before it is handed over. */
struct refusal {
	struct problem problem;
	struct complaints complaints;
};

static bool refuse(struct refusal *refusal, const char *code, struct text detail)
{
	refusal->problem = (struct problem){
		.code = code, .detail = detail, .complaints = &refusal->complaints
	};
	return false;
}

/* False: *refusal says why not. `at` is where the message stands in the body. */
static bool make_delivery(struct exchange *exchange, const struct json *json,
	const struct cJSON *object, const struct json_at *at, struct region *region,
	struct refusal *refusal, struct delivery **delivery_out)
{
	struct posted posted = { 0 };
	struct delivery *delivery = delivery_new(region);
	struct text about;
	const char *code;

	refusal->complaints.region = region;
	if (!delivery)
		return refuse(refusal, "overloaded", TEXT("out of memory"));
	if (!mail_read(json, object, at, region, &posted, &refusal->complaints))
		return refuse(refusal, "invalid_request",
			TEXT("errors names each place; nothing was sent"));
	if (posted.wishes.needs_store)
		return refuse(refusal, "store_required",
			TEXT("delivery other than now, and send_at, need STORE"));
	code = forbidden(&exchange->caller, &posted, &about);
	if (code)
		return refuse(refusal, code, about);
	if (fill_delivery(exchange, delivery, &posted))
		return refuse(refusal, "invalid_request", TEXT("the message cannot be composed"));
	*delivery_out = delivery;
	return true;
}

static void refuse_submission(const struct exchange *exchange, enum submission submission,
	const struct delivery *delivery, struct refusal *refusal)
{
	const struct gateway *gateway = exchange->gateway;

	if (submission == SUBMISSION_NO_RELAY) {
		struct json_at at = { NULL, TEXT("relay"), 0 };

		complain(&refusal->complaints, &at, "no relay has this name");
		refuse(refusal, "invalid_request", delivery->relay);
		return;
	}
	if (submission == SUBMISSION_DRAINING)
		refuse(refusal, "draining", TEXT("the gateway is stopping"));
	else
		refuse(refusal, "overloaded", TEXT("MAX_IN_FLIGHT is reached"));
	refusal->problem.outcome = "not_sent";
	refusal->problem.retry_after_s =
		submission == SUBMISSION_DRAINING ? 1 : gateway->overload_pause_s(gateway->self);
}

/* ---- waiting */

static void delivery_done(struct delivery *delivery)
{
	struct sending *sending = delivery->waiter;

	if (atomic_fetch_sub(&sending->open, 1) == 1)
		exchange_wake(sending->exchange);
}

static void forget_trace(struct delivery *delivery)
{
	if (delivery->trace)
		buf_free(delivery->trace);
}

static void answer_one(struct exchange *exchange)
{
	struct sending *sending = exchange->waiting;
	struct delivery *delivery = sending->deliveries[0];
	const struct result *result;

	if (!delivery)
		return; /* refused at the door: the answer is there */
	result = &delivery->result;
	exchange->status = result_status(result);
	if (result_is_problem(result)) {
		exchange->content_type = "application/problem+json";
		exchange->retry_after_s = result->verdict.retry_after_s;
		if (!exchange->retry_after_s && exchange->status == 503)
			exchange->retry_after_s = 60;
	}
	result_add(&exchange->answer, delivery, false);
	buf_add_byte(&exchange->answer, '\n');
	forget_trace(delivery);
}

static bool charge(struct exchange *exchange, size_t messages, enum handled *handled_out)
{
	const struct gateway *gateway = exchange->gateway;

	if (gateway->charge(gateway->self, &exchange->caller, messages, &exchange->rate))
		return true;
	*handled_out =
		exchange_refuse(exchange, &(struct problem){ .code = "rate_limited",
						  .outcome = "not_sent",
						  .retry_after_s = exchange->rate.retry_after_s });
	return false;
}

/* ---- the body */

static bool is_json_type(struct text type)
{
	return text_equal_nocase(text_trim(text_cut(&type, ';')), TEXT("application/json"));
}

static bool read_json(struct exchange *exchange, struct json *json, enum handled *handled_out)
{
	char detail[200];
	enum err err;

	if (!is_json_type(exchange_header(exchange, "Content-Type"))) {
		*handled_out = exchange_refuse_as(exchange, "unsupported_media_type",
			"Content-Type: application/json is wanted");
		return false;
	}
	if (exchange_header(exchange, "Content-Encoding").len) {
		*handled_out = exchange_refuse_as(exchange, "unsupported_media_type",
			"compressed bodies are not taken: leave Content-Encoding out");
		return false;
	}
	err = json_parse(exchange->body, exchange->body_len, exchange->region, json);
	if (!err)
		return true;
	snprintf(detail, sizeof(detail), "%s, at byte %zu", json->why ? json->why : err_text(err),
		json->at);
	*handled_out = exchange_refuse(
		exchange, &(struct problem){ .code = "invalid_json", .detail = text_of(detail) });
	return false;
}

static struct sending *sending_new(struct exchange *exchange, size_t count)
{
	struct sending *sending = region_zalloc(exchange->region, 1, sizeof(*sending));

	if (!sending)
		return NULL;
	sending->exchange = exchange;
	sending->count = count;
	sending->deliveries = region_zalloc(exchange->region, count, sizeof(*sending->deliveries));
	sending->refusals = region_zalloc(exchange->region, count, sizeof(*sending->refusals));
	atomic_init(&sending->open, 1);
	return sending->deliveries && sending->refusals ? sending : NULL;
}

enum handled send_one(struct exchange *exchange)
{
	struct json json = { 0 };
	struct refusal refusal = { 0 };
	struct sending *sending = sending_new(exchange, 1);
	const struct gateway *gateway = exchange->gateway;
	struct delivery *delivery;
	enum handled handled;
	enum submission submission;

	if (!sending)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	if (!read_json(exchange, &json, &handled))
		return handled;
	if (!make_delivery(exchange, &json, json.root, NULL, exchange->region, &refusal, &delivery))
		return exchange_refuse(exchange, &refusal.problem);
	if (!charge(exchange, 1, &handled))
		return handled;
	delivery->done = delivery_done;
	delivery->waiter = sending;
	sending->deliveries[0] = delivery;
	exchange->waiting = sending;
	exchange_park(exchange, answer_one);
	submission = gateway->submit(gateway->self, delivery);
	if (submission != SUBMITTED) {
		sending->deliveries[0] = NULL;
		refuse_submission(exchange, submission, delivery, &refusal);
		exchange_refuse(exchange, &refusal.problem);
		exchange_wake(exchange);
	}
	return HANDLED_PARKED;
}

/* ---- batches */

static void keep_refusal(struct sending *sending, size_t place, const struct refusal *refusal)
{
	struct buf json = buf_born(65536);

	problem_add(&json, &refusal->problem, sending->exchange->request_id);
	sending->refusals[place].status = problem_status(&refusal->problem);
	sending->refusals[place].json = region_copy(sending->exchange->region, buf_text(&json));
	buf_free(&json);
}

static void answer_batch(struct exchange *exchange)
{
	struct sending *sending = exchange->waiting;
	struct buf *out = &exchange->answer;

	exchange->status = 200;
	buf_add(out, TEXT("{\"results\":["));
	for (size_t i = 0; i < sending->count; i++) {
		struct delivery *delivery = sending->deliveries[i];

		json_add_comma(out);
		if (!delivery) {
			buf_add(out, sending->refusals[i].json);
			continue;
		}
		result_add(out, delivery, true);
		forget_trace(delivery);
		region_close(delivery->region);
	}
	buf_add(out, TEXT("]}\n"));
}

static void submit_place(struct sending *sending, const struct json *json,
	const struct cJSON *object, const struct json_at *at, size_t place)
{
	const struct gateway *gateway = sending->exchange->gateway;
	struct refusal refusal = { 0 };
	struct delivery *delivery;
	struct region *region;
	enum submission submission;

	if (region_open(SMALL_REGION, &region)) {
		refuse(&refusal, "overloaded", TEXT("out of memory"));
		keep_refusal(sending, place, &refusal);
		return;
	}
	if (!make_delivery(sending->exchange, json, object, at, region, &refusal, &delivery)) {
		keep_refusal(sending, place, &refusal);
		region_close(region);
		return;
	}
	delivery->done = delivery_done;
	delivery->waiter = sending;
	delivery->place = place;
	sending->deliveries[place] = delivery;
	atomic_fetch_add(&sending->open, 1);
	submission = gateway->submit(gateway->self, delivery);
	if (submission == SUBMITTED)
		return;
	atomic_fetch_sub(&sending->open, 1);
	sending->deliveries[place] = NULL;
	refuse_submission(sending->exchange, submission, delivery, &refusal);
	keep_refusal(sending, place, &refusal);
	region_close(region);
}

static const struct cJSON *messages_of(struct exchange *exchange, const struct json *json,
	struct complaints *complaints, struct json_at *at)
{
	const struct cJSON *member, *list = cJSON_IsArray(json->root) ? json->root : NULL;

	complaints->region = exchange->region;
	cJSON_ArrayForEach(member, json->root)
	{
		struct json_at here = { NULL, json_name(json, member), 0 };

		if (list)
			break;
		if (!text_equal(here.name, TEXT("messages"))) {
			complain(complaints, &here, "unknown field");
		} else {
			*at = here;
			list = member;
		}
	}
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
		complain(complaints, at->name.at ? at : NULL, "a list of messages is wanted");
	else if (cJSON_GetArraySize(list) > BATCH_MAX)
		complain(complaints, at->name.at ? at : NULL, "more than %d messages", BATCH_MAX);
	return complaints->count ? NULL : list;
}

enum handled send_batch(struct exchange *exchange)
{
	struct json json = { 0 };
	struct refusal refusal = { 0 };
	struct json_at at = { 0 };
	const struct cJSON *list, *message;
	struct sending *sending;
	enum handled handled;
	size_t place = 0;

	if (!read_json(exchange, &json, &handled))
		return handled;
	list = messages_of(exchange, &json, &refusal.complaints, &at);
	if (!list) {
		refuse(&refusal, "invalid_request", TEXT("nothing was sent"));
		return exchange_refuse(exchange, &refusal.problem);
	}
	sending = sending_new(exchange, (size_t)cJSON_GetArraySize(list));
	if (!sending)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	if (!charge(exchange, sending->count, &handled))
		return handled;
	exchange->waiting = sending;
	exchange_park(exchange, answer_batch);
	cJSON_ArrayForEach(message, list)
	{
		struct json_at here = { at.name.at ? &at : NULL, { 0 }, place };

		submit_place(sending, &json, message, &here, place++);
	}
	if (atomic_fetch_sub(&sending->open, 1) == 1)
		exchange_wake(exchange);
	return HANDLED_PARKED;
}
