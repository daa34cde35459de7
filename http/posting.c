#include "http/posting.h"

#include "http/mail/message_id.h"
#include "http/permission.h"
#include "http/prefer.h"
#include "http/repeat.h"
#include "http/result.h"

#include <cjson/cJSON.h>
#include <string.h>

enum { LEFT_BYTES = 1 << 20, TRACE_BYTES = 65536, USUAL_PAUSE_S = 60, FULL_WORDS = 300 };

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

/* ---- the delivery */

bool refusal_set(struct refusal *refusal, const char *code, struct text detail)
{
	refusal->problem = (struct problem){ .code = code,
		.outcome = "not_sent",
		.detail = detail,
		.complaints = &refusal->complaints };
	return false;
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
	delivery->dry_run = wishes->dry_run;
	delivery->way = wishes->send_at_ms ? DELIVER_QUEUED : wishes->way;
	delivery->send_at_ms = wishes->send_at_ms;
	delivery->on_unknown = wishes->on_unknown;
	prefer_take(exchange, delivery);
	delivery->relay = wishes->relay;
	delivery->relays = exchange->caller.relays;
	delivery->relay_count = exchange->caller.relay_count;
	delivery->tags = wishes->tags;
	delivery->tag_count = wishes->tag_count;
	delivery->metadata = wishes->metadata;
	if (wishes->trace) {
		delivery->trace = region_alloc(delivery->region, sizeof(*delivery->trace));
		if (delivery->trace)
			*delivery->trace = buf_born(TRACE_BYTES);
	}
}

/* Where the region is the exchange's own, what the exchange points at lives as long. */
static struct text keep(struct exchange *exchange, struct delivery *delivery, struct text text)
{
	return delivery->region == exchange->region || !text.len
		       ? text
		       : region_copy(delivery->region, text);
}

/* The value of the first field of its kind as it stands, on one line; empty: there is none. */
static struct text line_of(
	struct delivery *delivery, const struct smtp_raw *raw, enum smtp_raw_kind kind)
{
	for (size_t i = 0; i < raw->field_count; i++) {
		struct text value = raw->fields[i].value;
		char *line;
		size_t len = 0;

		if (raw->fields[i].kind != kind)
			continue;
		line = region_alloc(delivery->region, value.len + 1);
		for (size_t j = 0; line && j < value.len; j++)
			if (value.at[j] != '\r' && value.at[j] != '\n')
				line[len++] = value.at[j];
		return text_trim((struct text){ line, len });
	}
	return (struct text){ 0 };
}

/* One that is of no usual form is still the one that its recipients see. */
static struct text message_id_of(struct delivery *delivery, const struct smtp_raw *raw)
{
	return raw->message_id.len ? raw->message_id : line_of(delivery, raw, SMTP_RAW_MESSAGE_ID);
}

/* The author, by whom DKIM signs, whoever sent it on; a raw message has one always. */
static struct text author_of(const struct posted *posted)
{
	const struct smtp_raw *raw = posted->raw;

	for (size_t i = 0; raw && i < raw->sender_count; i++)
		if (raw->senders[i].field->kind == SMTP_RAW_FROM)
			return raw->senders[i].address;
	return posted->mail.from.address;
}

static enum err compose(
	struct delivery *delivery, const struct posted *posted, const struct stamp *stamp)
{
	if (posted->raw)
		return smtp_raw_compose(posted->raw, delivery->message_id, stamp->unix_ms / 1000,
			delivery->region, &delivery->message);
	return smtp_message_compose(
		&posted->mail, stamp->random + 16, delivery->region, &delivery->message);
}

static enum err fill_delivery(
	struct exchange *exchange, struct delivery *delivery, struct posted *posted)
{
	const struct gateway *gateway = exchange->gateway;
	struct stamp stamp;
	enum err err;

	gateway->stamp(gateway->self, &stamp);
	make_id(&stamp, delivery->id);
	delivery->request_id = keep(exchange, delivery, exchange->request_id);
	delivery->traceparent = keep(exchange, delivery, exchange->traceparent);
	delivery->key_id = keep(exchange, delivery, exchange->caller.key_id);
	delivery->key_number = exchange->caller.number;
	delivery->created_ms = stamp.unix_ms;
	delivery->began_us = stamp.now_us;
	delivery->envelope = posted->envelope;
	delivery->from = author_of(posted);
	delivery->subject = posted->raw ? line_of(delivery, posted->raw, SMTP_RAW_SUBJECT)
					: posted->mail.subject;
	delivery->message_id =
		posted->raw ? message_id_of(delivery, posted->raw) : posted->mail.message_id;
	err = repeat_take(exchange, delivery, posted);
	if (err)
		return err;
	if (!delivery->message_id.len)
		delivery->message_id = message_id_make(delivery);
	posted->mail.message_id = delivery->message_id;
	if (!posted->has_date)
		posted->mail.date_s = stamp.unix_ms / 1000;
	take_wishes(exchange, delivery, posted);
	delivery->result.count = delivery->envelope.count;
	delivery->result.to = delivery->envelope.to;
	delivery->result.answers = region_zalloc(
		delivery->region, delivery->envelope.count, sizeof(*delivery->result.answers));
	if (!delivery->result.answers || !delivery->message_id.len)
		return ERR_MEMORY;
	err = compose(delivery, posted, &stamp);
	return err ? err
		   : gateway->sign(gateway->self, smtp_address_domain(delivery->from),
			     stamp.unix_ms / 1000, delivery->region, &delivery->message);
}

/* Why there is no message to send. */
static bool refuse_message(struct refusal *refusal, enum err err)
{
	switch (err) {
	case ERR_LIMIT:
		return refusal_set(refusal, "body_too_large",
			TEXT("the message, as it would be sent, is larger than is taken"));
	case ERR_MEMORY:
		return refusal_set(refusal, "overloaded", TEXT("out of memory"));
	case ERR_SYNTAX:
	case ERR_MISSING:
		return refusal_set(refusal, "invalid_request",
			TEXT("the message cannot be signed (DKIM): its header is malformed"));
	case ERR_TLS:
	case ERR_VALUE: /* a file that its content is in cannot be read */
		return refusal_set(
			refusal, "internal", TEXT("the message could not be signed (DKIM)"));
	default:
		return refusal_set(
			refusal, "invalid_request", TEXT("the message cannot be composed"));
	}
}

bool posting_make(struct exchange *exchange, const struct json *json, const struct cJSON *object,
	const struct json_at *at, const struct mail_besides *besides, struct region *region,
	struct refusal *refusal, struct delivery **delivery_out)
{
	struct posted posted = { .exchange = exchange };
	struct delivery *delivery = region_zalloc(region, 1, sizeof(*delivery));
	enum err err;

	refusal->complaints.region = region;
	if (!delivery)
		return refusal_set(refusal, "overloaded", TEXT("out of memory"));
	delivery->region = region;
	if (!mail_read(json, object, at, besides, region, &posted, &refusal->complaints))
		return refusal_set(refusal,
			posted.refused_as ? posted.refused_as : "invalid_request",
			TEXT("errors names each place; nothing was sent"));
	if (!permission_check(exchange, &posted, at, refusal))
		return false;
	delivery->place = at ? at->index + 1 : 0;
	err = fill_delivery(exchange, delivery, &posted);
	if (err)
		return refuse_message(refusal, err);
	if (!exchange_reserve(exchange, region_used(region))) {
		refusal_set(refusal, "overloaded", TEXT("MAX_IN_FLIGHT_BYTES is reached"));
		refusal->problem.retry_after_s =
			exchange->gateway->overload_pause_s(exchange->gateway->self);
		return false;
	}
	*delivery_out = delivery;
	return true;
}

/* ---- handing over, and waiting */

static void delivery_done(struct delivery *delivery)
{
	struct posting *posting = delivery->waiter;

	if (atomic_fetch_sub(&posting->open, 1) == 1)
		exchange_wake(posting->exchange);
}

/* The answer is on its way, or was given. */
static void left_done(struct delivery *delivery)
{
	struct posting *posting = delivery->waiter;

	if (delivery->place) /* of a batch each has its own */
		region_close(delivery->region);
	exchange_release(posting->exchange);
}

static struct delivery *copy_of(const struct delivery *delivery, struct region *region)
{
	struct delivery *copy = region_alloc(region, sizeof(*copy));
	size_t count = delivery->result.count, len = count * sizeof(*copy->result.answers);

	if (!copy)
		return NULL;
	*copy = *delivery;
	copy->region = region;
	copy->result.answers = region_alloc(region, len);
	if (!copy->result.answers)
		return NULL;
	memcpy(copy->result.answers, delivery->result.answers, len);
	return copy;
}

/* Whoever submits may still be at others of a batch: of the posting only its place is touched. */
static struct delivery *delivery_leave(struct delivery *delivery)
{
	struct posting *posting = delivery->waiter;
	size_t place = delivery->place ? delivery->place - 1 : 0;
	struct region *spare, *region;
	struct delivery *copy;

	if (!exchange_hold(posting->exchange, &spare))
		return NULL;
	region = spare;
	if (delivery->place && region_open(region_used(delivery->region) + LEFT_BYTES, &region)) {
		exchange_release(posting->exchange);
		return NULL;
	}
	copy = copy_of(delivery, region);
	if (!copy) {
		if (delivery->place)
			region_close(region);
		exchange_release(posting->exchange);
		return NULL;
	}
	posting->deliveries[place] = copy;
	delivery->done = left_done;
	delivery->is_left = true;
	return copy;
}

static struct text name_full(const struct delivery *delivery)
{
	struct buf words = buf_born(FULL_WORDS);
	struct text named;

	buf_addf(&words,
		"the relay %.*s has its part of MAX_IN_FLIGHT or MAX_IN_FLIGHT_BYTES under way; "
		"the rest is for others",
		(int)delivery->full_relay.len, delivery->full_relay.at);
	named = words.err ? (struct text){ 0 } : region_copy(delivery->region, buf_text(&words));
	buf_free(&words);
	return named.at ? named : TEXT("the relay has its part of what may be under way");
}

static bool refuse_submission(const struct exchange *exchange, enum submission submission,
	const struct delivery *delivery, const struct json_at *at, struct refusal *refusal)
{
	const struct gateway *gateway = exchange->gateway;
	struct json_at relay = { at, TEXT("relay"), 0 };

	switch (submission) {
	case SUBMISSION_NO_RELAY:
		complain(&refusal->complaints, &relay,
			delivery->relay.len ? "no relay has this name" : "no relay is set up");
		return refusal_set(refusal, "invalid_request", delivery->relay);
	case SUBMISSION_RELAY_FORBIDDEN:
		return refusal_set(refusal, "relay_not_allowed",
			TEXT("the key's relays do not name the one that this would go to"));
	case SUBMISSION_DRAINING:
		refusal_set(refusal, "draining", TEXT("the gateway is stopping"));
		refusal->problem.retry_after_s = 1;
		return false;
	case SUBMISSION_RELAY_FULL:
		refusal_set(refusal, "overloaded", name_full(delivery));
		refusal->problem.retry_after_s = gateway->overload_pause_s(gateway->self);
		return false;
	default:
		refusal_set(refusal, "overloaded", TEXT("MAX_IN_FLIGHT is reached"));
		refusal->problem.retry_after_s = gateway->overload_pause_s(gateway->self);
		return false;
	}
}

bool posting_is_refused(const struct exchange *exchange, const struct delivery *delivery,
	const struct json_at *at, struct refusal *refusal)
{
	if (!delivery->refused)
		return false;
	refusal->complaints.region = delivery->region;
	refuse_submission(exchange, delivery->refused, delivery, at, refusal);
	return true;
}

bool posting_submit(struct posting *posting, size_t place, struct delivery *delivery,
	const struct json_at *at, struct refusal *refusal)
{
	const struct gateway *gateway = posting->exchange->gateway;
	uint64_t reserved_bytes = exchange_reserved(posting->exchange);
	enum submission submission;

	delivery->reserved_bytes = posting->bytes_each + reserved_bytes - posting->reserved_bytes;
	posting->reserved_bytes = reserved_bytes;
	delivery->done = delivery_done;
	delivery->leave = delivery_leave;
	delivery->waiter = posting;
	posting->deliveries[place] = delivery;
	atomic_fetch_add(&posting->open, 1);
	submission = gateway->submit(gateway->self, delivery);
	if (submission == SUBMITTED)
		return true;
	atomic_fetch_sub(&posting->open, 1);
	posting->deliveries[place] = NULL;
	return refuse_submission(posting->exchange, submission, delivery, at, refusal);
}

struct posting *posting_new(struct exchange *exchange, size_t count)
{
	struct posting *posting = region_zalloc(exchange->region, 1, sizeof(*posting));

	if (!posting)
		return NULL;
	posting->exchange = exchange;
	posting->count = count;
	posting->reserved_bytes = exchange_reserved(exchange);
	posting->bytes_each = posting->reserved_bytes / count;
	posting->deliveries = region_zalloc(exchange->region, count, sizeof(*posting->deliveries));
	posting->refusals = region_zalloc(exchange->region, count, sizeof(*posting->refusals));
	posting->codes = region_zalloc(exchange->region, count, sizeof(*posting->codes));
	atomic_init(&posting->open, 1);
	return posting->deliveries && posting->refusals && posting->codes ? posting : NULL;
}

void posting_forget(struct delivery *delivery)
{
	if (delivery->trace)
		buf_free(delivery->trace);
}

void posting_set_pause(struct result *result)
{
	if (result_status(result) == 503 && !result->verdict.expired &&
		!result->verdict.retry_after_s)
		result->verdict.retry_after_s = USUAL_PAUSE_S;
}
