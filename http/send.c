#include "http/send.h"

#include "http/posting.h"
#include "http/result.h"

#include <stdio.h>

enum { IDEMPOTENCY_KEY = 255 };

/* ---- what a request must be, before its messages are looked at */

static bool is_json_type(struct text type)
{
	return text_equal_nocase(text_trim(text_cut(&type, ';')), TEXT("application/json"));
}

/* Bare or quoted (draft-ietf-httpapi-idempotency-key-header), 1 to 255 printable ASCII. */
static bool is_idempotency_key(struct text key)
{
	if (key.len >= 2 && key.at[0] == '"' && key.at[key.len - 1] == '"')
		key = (struct text){ key.at + 1, key.len - 2 };
	for (size_t i = 0; i < key.len; i++)
		if (key.at[i] < 0x20 || key.at[i] > 0x7e)
			return false;
	return key.len > 0 && key.len <= IDEMPOTENCY_KEY;
}

static bool check_headers(struct exchange *exchange)
{
	struct text key = exchange_header(exchange, "Idempotency-Key");

	if (!is_json_type(exchange_header(exchange, "Content-Type")))
		exchange_refuse_as(exchange, "unsupported_media_type",
			"Content-Type: application/json is wanted");
	else if (exchange_header(exchange, "Content-Encoding").len)
		exchange_refuse_as(exchange, "unsupported_media_type",
			"compressed bodies are not taken: leave Content-Encoding out");
	else if (key.at && !is_idempotency_key(key))
		exchange_refuse_as(exchange, "invalid_request",
			"Idempotency-Key: 1 to 255 printable ASCII characters are wanted");
	else
		return true;
	return false;
}

static void refuse_json(struct exchange *exchange, enum err err, const struct json *json)
{
	struct complaints complaints = { .region = exchange->region, .count = 1 };
	const char *why = json->why ? json->why : err_text(err);
	char detail[200];

	if (err == ERR_MEMORY) {
		exchange_refuse_as(exchange, "overloaded", "out of memory");
		return;
	}
	snprintf(detail, sizeof(detail), "%s, at byte %zu", why, json->at);
	complaints.at[0] = (struct complaint){ json->pointer, text_of(why) };
	exchange_refuse(exchange, &(struct problem){ .code = "invalid_json",
					  .detail = text_of(detail),
					  .complaints = &complaints });
}

bool posting_read(struct exchange *exchange, struct json *json)
{
	enum err err;

	if (!check_headers(exchange))
		return false;
	err = json_parse(exchange->body, exchange->body_len, exchange->region, json);
	if (err)
		refuse_json(exchange, err, json);
	return !err;
}

bool posting_charge(struct exchange *exchange, size_t messages)
{
	const struct gateway *gateway = exchange->gateway;

	if (gateway->charge(gateway->self, &exchange->caller, messages, &exchange->rate))
		return true;
	exchange_refuse(exchange, &(struct problem){ .code = "rate_limited",
					  .retry_after_s = exchange->rate.retry_after_s });
	return false;
}

/* ---- POST /send */

static void answer_one(struct exchange *exchange)
{
	struct posting *posting = exchange->waiting;
	struct delivery *delivery = posting->deliveries[0];

	if (!delivery)
		return; /* it was not taken: the answer is there */
	posting_set_pause(&delivery->result);
	exchange->status = result_status(&delivery->result);
	if (result_is_problem(&delivery->result)) {
		exchange->content_type = "application/problem+json";
		exchange->retry_after_s = delivery->result.verdict.retry_after_s;
	}
	result_add(&exchange->answer, delivery, false);
	buf_add_byte(&exchange->answer, '\n');
	posting_forget(delivery);
}

enum handled send_one(struct exchange *exchange)
{
	struct json json = { 0 };
	struct refusal refusal = { 0 };
	struct posting *posting;
	struct delivery *delivery;

	if (!posting_read(exchange, &json))
		return HANDLED_ANSWERED;
	if (!posting_make(exchange, &json, json.root, NULL, exchange->region, &refusal, &delivery))
		return exchange_refuse(exchange, &refusal.problem);
	posting = posting_new(exchange, 1);
	if (!posting)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	if (!posting_charge(exchange, 1))
		return HANDLED_ANSWERED;
	exchange->waiting = posting;
	exchange_park(exchange, answer_one);
	if (!posting_submit(posting, 0, delivery, NULL, &refusal))
		exchange_refuse(exchange, &refusal.problem);
	if (atomic_fetch_sub(&posting->open, 1) == 1)
		exchange_wake(exchange);
	return HANDLED_PARKED;
}
