#include "http/send.h"

#include "http/posting.h"
#include "http/prefer.h"
#include "http/render.h"
#include "http/repeat.h"
#include "http/result.h"
#include "http/intake/way_in.h"

enum { PLACE_BYTES = 64 };

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

static struct text place_of(struct exchange *exchange, const struct delivery *delivery)
{
	struct buf place = buf_born(PLACE_BYTES);
	struct text copy;

	buf_addf(&place, "/messages/%s", delivery->id);
	copy = region_copy(exchange->region, buf_text(&place));
	buf_free(&place);
	return copy;
}

static void tell(struct exchange *exchange, struct delivery *delivery)
{
	posting_set_pause(&delivery->result);
	exchange->is_replayed = delivery->repeat == REPEAT_AGAIN;
	exchange->replayed = exchange->is_replayed;
	exchange->status = result_status(&delivery->result);
	if (exchange->status == 202)
		exchange->location = place_of(exchange, delivery);
	else
		exchange->preference_applied = prefer_told(exchange, delivery);
	if (result_is_problem(&delivery->result)) {
		exchange->content_type = "application/problem+json";
		exchange->retry_after_s = delivery->result.verdict.retry_after_s;
	}
	repeat_tell(exchange, delivery, false);
	if (exchange->answer.err) { /* no room: what became of it is told in any case */
		buf_clear(&exchange->answer);
		repeat_tell_brief(exchange, delivery, false);
	}
	buf_add_byte(&exchange->answer, '\n');
}

static void answer_one(struct exchange *exchange)
{
	struct posting *posting = exchange->waiting;
	struct delivery *delivery = posting->deliveries[0];
	struct refusal refusal = { 0 };
	struct problem problem;

	if (!delivery)
		return; /* it was not taken: the answer is there */
	if (posting_is_refused(exchange, delivery, NULL, &refusal))
		exchange_refuse(exchange, &refusal.problem);
	else if (repeat_is_refused(exchange, delivery, &problem))
		exchange_refuse(exchange, &problem);
	else
		tell(exchange, delivery);
	posting_forget(delivery);
}

enum handled send_one(struct exchange *exchange)
{
	struct json json = { 0 };
	struct mail_besides besides = { 0 };
	struct refusal refusal = { 0 };
	struct posting *posting;
	struct delivery *delivery;

	if (!way_in_read(exchange, &json, &besides))
		return HANDLED_ANSWERED;
	if (!posting_make(exchange, &json, json.root, NULL, &besides, exchange->region, &refusal,
		    &delivery))
		return exchange_refuse(exchange, &refusal.problem);
	if (!posting_charge(exchange, 1))
		return HANDLED_ANSWERED;
	if (delivery->dry_run == DRY_RENDER)
		return render_answer(exchange, delivery);
	posting = posting_new(exchange, 1);
	if (!posting)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	exchange->waiting = posting;
	exchange_park(exchange, answer_one);
	if (!posting_submit(posting, 0, delivery, NULL, &refusal))
		exchange_refuse(exchange, &refusal.problem);
	if (atomic_fetch_sub(&posting->open, 1) == 1)
		exchange_wake(exchange);
	return HANDLED_PARKED;
}
