#include "http/repeat.h"

#include "http/mail/mail_digest.h"
#include "http/mail/message_id.h"
#include "http/result.h"

/* ---- what it is known by */

struct text repeat_key(const struct exchange *exchange)
{
	struct text key = exchange_header(exchange, "Idempotency-Key");

	if (key.len >= 2 && key.at[0] == '"' && key.at[key.len - 1] == '"')
		key = (struct text){ key.at + 1, key.len - 2 };
	return key;
}

enum err repeat_take(
	struct exchange *exchange, struct delivery *delivery, const struct posted *posted)
{
	struct text key = repeat_key(exchange);
	unsigned char says[DIGEST_LEN];

	if (!key.len)
		return OK;
	if (!mail_digest(posted, says) || !mail_digest_whole(posted, says, delivery->digest))
		return ERR_MEMORY;
	if (!delivery->message_id.len)
		delivery->message_id = message_id_derive(delivery, key, says);
	if (!delivery->message_id.len)
		return ERR_MEMORY;
	if (posted->wishes.dry_run)
		return OK;
	exchange->idempotency_scope = exchange->gateway->repeats_last;
	delivery->idempotency_key = region_copy(delivery->region, key);
	return delivery->idempotency_key.len ? OK : ERR_MEMORY;
}

/* ---- what is told */

bool repeat_is_refused(const struct exchange *exchange, const struct delivery *delivery,
	struct problem *problem_out)
{
	const struct gateway *gateway = exchange->gateway;

	switch (delivery->repeat) {
	case REPEAT_RUNNING: /* it may be sent yet: `not_sent` would not be true */
		*problem_out = (struct problem){ .code = "idempotency_running",
			.detail = TEXT(
				"the first request with this Idempotency-Key has no answer yet"),
			.retry_after_s = PROBLEM_PAUSE_S,
			.outcome = "" };
		return true;
	case REPEAT_MISMATCH:
		*problem_out = (struct problem){ .code = "idempotency_mismatch",
			.detail = TEXT("this Idempotency-Key came before, with a message that "
				       "differs from this one"),
			.outcome = "not_sent" };
		return true;
	case REPEAT_NO_ROOM:
		*problem_out = (struct problem){ .code = "overloaded",
			.detail = TEXT("no more idempotency keys can be kept at the moment"),
			.retry_after_s = gateway->overload_pause_s(gateway->self),
			.outcome = "not_sent" };
		return true;
	default:
		return false;
	}
}

/* The object that was just written gets one member more. */
static void add_replayed(struct buf *out)
{
	if (out->err)
		return;
	out->len--;
	json_add_member_bool(out, "replayed", true);
	buf_add_byte(out, '}');
}

void repeat_tell_brief(struct exchange *exchange, const struct delivery *delivery, bool in_batch)
{
	struct problem problem;

	if (repeat_is_refused(exchange, delivery, &problem)) {
		problem_add(&exchange->answer, &problem, exchange->request_id);
		return;
	}
	result_add_brief(&exchange->answer, delivery);
	if (in_batch && delivery->repeat == REPEAT_AGAIN)
		add_replayed(&exchange->answer);
}

void repeat_tell(struct exchange *exchange, struct delivery *delivery, bool in_batch)
{
	const struct gateway *gateway = exchange->gateway;
	struct buf *out = &exchange->answer;
	size_t start = out->len;

	if (delivery->first_answer.len) {
		buf_add(out, delivery->first_answer);
		if (in_batch && delivery->repeat == REPEAT_AGAIN)
			add_replayed(out);
		return;
	}
	if (delivery->repeat > REPEAT_FIRST) {
		repeat_tell_brief(exchange, delivery, in_batch);
		return;
	}
	result_add(out, delivery, in_batch);
	if (delivery->repeat == REPEAT_FIRST)
		gateway->remember(gateway->self, delivery,
			out->err ? (struct text){ 0 } : text_from(buf_text(out), start));
}
