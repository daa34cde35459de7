#include "service/session/carrier.h"

#include "service/session/carrier_bytes.h"
#include "service/session/carrier_fence.h"
#include "service/session/carrier_log.h"
#include "service/session/carrier_outcome.h"
#include "service/session/carrier_own.h"
#include "service/session/carrier_parts.h"
#include "service/session/carrier_token.h"
#include "service/session/fence.h"
#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/relay/settle.h"

#include <stdlib.h>
#include <string.h>

/* ---- its place */

void carrier_move_to(struct carrier *carrier, struct carrier **list)
{
	if (carrier->list) {
		if (carrier->next)
			carrier->next->previous = carrier->previous;
		if (carrier->previous)
			carrier->previous->next = carrier->next;
		else
			*carrier->list = carrier->next;
	}
	carrier->list = list;
	carrier->previous = NULL;
	carrier->next = list ? *list : NULL;
	if (carrier->next)
		carrier->next->previous = carrier;
	if (list)
		*list = carrier;
}

uint64_t carrier_now_ms(const struct carrier *carrier)
{
	return uv_now(&carrier->worker->loop);
}

/* The relay's count of carriers, for one that is no longer to be counted on. */
static void be_uncounted(struct carrier *carrier)
{
	if (carrier->stage == CARRIER_IDLE)
		relay_idle_left(carrier->relay, carrier->worker->number);
	if (carrier->is_detached)
		relay_carrier_detached(carrier->relay, false);
	if (carrier->stage != CARRIER_OPENING)
		relay_carrier_left(carrier->relay, carrier->stage == CARRIER_LEAVING);
	if (carrier->berth)
		carrier->berth->carriers--;
	carrier->berth = NULL;
	worker_wake(carrier->worker); /* there may be work for another in its place */
}

static void free_carrier(struct carrier *carrier)
{
	if (carrier->worker->is_stopping)
		worker_wake(carrier->worker); /* it ends with its last carrier */
	carrier_move_to(carrier, NULL);
	link_close(carrier->link);
	if (carrier->is_connected)
		smtp_session_close(&carrier->session);
	carrier_forget_late(carrier);
	buf_wipe(&carrier->token);
	buf_free(&carrier->trace);
	relay_release(carrier->relay);
	free(carrier);
}

/* ---- the end */

static struct smtp_verdict judge_link(const struct link *link)
{
	enum smtp_loss loss = link_loss(link);
	bool has_no_address = loss == SMTP_LOSS_NO_NAME || loss == SMTP_LOSS_NO_LOOKUP;

	return smtp_verdict_of_loss(loss,
		has_no_address || link_is_looking_up(link) ? SMTP_IN_DNS : SMTP_IN_CONNECT, false);
}

static struct smtp_verdict judge(const struct carrier *carrier)
{
	if (carrier->is_connected)
		return carrier->session.verdict;
	if (carrier->failure)
		return carrier->failure->verdict;
	return carrier->link ? judge_link(carrier->link)
			     : smtp_verdict_of_loss(carrier->given_up, SMTP_IN_AUTH, false);
}

/* It keeps its place, its delivery and whoever waits for it. The next tick goes on. */
static void begin_anew(struct carrier *carrier, enum smtp_phase phase)
{
	link_close(carrier->link);
	carrier->link = NULL;
	smtp_session_close(&carrier->session);
	memset(&carrier->session, 0, sizeof(carrier->session));
	carrier->is_connected = false;
	buf_wipe(&carrier->token);
	relay_note_opening(carrier->relay, phase);
}

/* What answers at the address is no use as a relay, or nothing does; and the name has another one.
 * Where it says "not now" that is heard, and where we give up, the address is not to blame. */
static bool may_try_another(struct carrier *carrier, const struct smtp_verdict *verdict)
{
	const struct smtp_session *session = &carrier->session;
	bool is_ours = session->loss == SMTP_LOSS_DRAINING || session->loss == SMTP_LOSS_DEADLINE ||
		       session->loss == SMTP_LOSS_INTERNAL;

	if (carrier->stage != CARRIER_OPENING || !carrier->is_connected || is_ours ||
		verdict->phase >= SMTP_IN_AUTH || session->said.code / 100 == 4)
		return false;
	return link_doubt(carrier->link) && !relay_is_retired(carrier->relay);
}

void carrier_end(struct carrier *carrier)
{
	struct smtp_verdict verdict = judge(carrier);

	if (carrier_may_begin_anew(carrier)) {
		carrier->has_begun_anew = true;
		begin_anew(carrier, SMTP_IN_AUTH);
		return;
	}
	if (may_try_another(carrier, &verdict)) {
		carrier_log_end(carrier, &verdict);
		begin_anew(carrier, SMTP_IN_CONNECT);
		return;
	}
	carrier_log_end(carrier, &verdict);
	if (carrier_is_abandoned(carrier, &verdict))
		carrier_abandon(carrier, &verdict);
	else if (carrier->stage == CARRIER_OPENING)
		carrier_fail_waiting(carrier, &verdict);
	else
		carrier_tell_end(carrier);
	be_uncounted(carrier);
	if (carrier->delivery) /* a part of it is still to come */
		carrier_give_back(carrier);
	free_carrier(carrier);
}

/* ---- work */

/* How long the delivery waited for this carrier to become ready. */
static uint64_t connect_time(const struct carrier *carrier, const struct delivery *delivery)
{
	uint64_t from =
		carrier->opened_us > delivery->queued_us ? carrier->opened_us : delivery->queued_us;

	return carrier->session.transactions == 0 && carrier->ready_us > from
		       ? carrier->ready_us - from
		       : 0;
}

/* When the delivery wants to know, in the loop's time. */
static uint64_t deadline_in_loop(const struct carrier *carrier, const struct delivery *delivery)
{
	uint64_t now = now_us();
	uint64_t left = delivery->deadline_us > now ? delivery->deadline_us - now : 0;

	return carrier_now_ms(carrier) + left / 1000;
}

static void begin(struct carrier *carrier, struct delivery *delivery)
{
	uint64_t now = now_us();
	bool is_first = carrier->session.transactions == 0, is_cut;

	carrier_move_to(carrier, &carrier->worker->active);
	carrier->stage = CARRIER_BUSY;
	carrier->delivery = delivery;
	carrier->begun_us = now;
	carrier->messages++;
	carrier->quiet_ms = carrier_now_ms(carrier) - carrier->quiet_since_ms;
	if (!delivery->parts) {
		delivery->result.connect_us = connect_time(carrier, delivery);
		delivery->result.queue_us = now - delivery->queued_us - delivery->result.connect_us;
	}
	if (delivery->trace && is_first)
		buf_add(delivery->trace, buf_text(&carrier->trace));
	if (is_first)
		buf_free(&carrier->trace);
	is_cut = carrier_cut(carrier);
	carrier->transaction = (struct smtp_transaction){ .envelope = &carrier->part.envelope,
		.message = &delivery->message,
		.all_or_none = delivery->all_or_none,
		.probe = delivery->dry_run == DRY_ENVELOPE,
		.no_pipelining = relay_distrusts_pipelining(carrier->relay, now),
		.envelope_first = !is_first && relay_hangs_up(carrier->relay),
		.asks_first = carrier_wants_fence(carrier),
		.deadline_ms = deadline_in_loop(carrier, delivery),
		.region = delivery->region,
		.trace = delivery->trace,
		.answers = carrier->part.answers };
	if (!is_cut) {
		carrier_refuse_uncut(carrier);
		return;
	}
	if (delivery->fence && delivery->fence->begin)
		delivery->fence->begin(delivery->fence);
	smtp_session_begin(&carrier->session, &carrier->transaction, carrier_now_ms(carrier));
}

/* It takes no more work, and its place until the relay has let it go. */
static void note_leaving(struct carrier *carrier, enum session_end reason)
{
	if (carrier->stage == CARRIER_IDLE)
		relay_idle_left(carrier->relay, carrier->worker->number);
	relay_carrier_leaves(carrier->relay);
	carrier->stage = CARRIER_LEAVING;
	carrier->end = reason;
	carrier->since_ms = carrier_now_ms(carrier);
	carrier_move_to(carrier, &carrier->worker->active);
}

static void leave(struct carrier *carrier, enum session_end reason)
{
	note_leaving(carrier, reason);
	smtp_session_quit(&carrier->session, carrier_now_ms(carrier));
}

/* The next part of a message is a message like any other, where those have to wait. */
static bool has_to_queue(const struct carrier *carrier)
{
	return !carrier->worker->is_stopping && !relay_is_retired(carrier->relay) &&
	       relay_wants_turns(carrier->relay, now_us());
}

/* … and where the gateway stops, none is begun of one out of the queue. */
static bool goes_back(const struct carrier *carrier)
{
	return carrier->delivery->parts &&
	       dispatch_goes_back(carrier->worker->lettergate, carrier->delivery);
}

/* The session is ready for work. False: there is none, and nothing more to do for now. */
static bool find_work(struct carrier *carrier)
{
	struct worker *worker = carrier->worker;
	struct delivery *delivery = carrier->delivery; /* that it brings */
	bool is_fresh = carrier->stage == CARRIER_OPENING;

	if (is_fresh)
		carrier_note_ready(carrier);
	if (delivery && (goes_back(carrier) || (!is_fresh && has_to_queue(carrier)))) {
		carrier_give_back(carrier);
		delivery = NULL;
	}
	if ((worker->is_stopping || relay_is_retired(carrier->relay)) && !delivery) {
		leave(carrier, SESSION_END_DRAIN);
		return true;
	}
	if (!delivery && (carrier_is_old(carrier) || relay_is_crowded(carrier->relay))) {
		leave(carrier, SESSION_END_USED_UP);
		return true;
	}
	if (!delivery)
		delivery = relay_pull(
			carrier->relay, worker->number, carrier->stage == CARRIER_IDLE, now_us());
	if (delivery) {
		begin(carrier, delivery);
		return true;
	}
	if (carrier->stage != CARRIER_IDLE) {
		carrier->stage = CARRIER_IDLE;
		carrier->since_ms = carrier_now_ms(carrier);
		carrier_move_to(carrier, &carrier->berth->idle);
		link_rest(carrier->link);
	}
	return false;
}

/* ---- from step to step */

/* What is over goes on the list `settled`. */
static void look_at_results(struct carrier *carrier, struct delivery **settled)
{
	struct delivery *delivery = NULL;

	if (carrier->delivery && carrier->transaction.is_over) {
		carrier_forget_fence(carrier);
		delivery = carrier_conclude(carrier);
	}
	if (delivery) {
		delivery->next = *settled;
		*settled = delivery;
	}
	if (carrier->late_id[0] && carrier->session.late_answer)
		carrier_settle_late(carrier);
	if (carrier->stage == CARRIER_BUSY && carrier->session.state == SMTP_AWAIT_QUIT) {
		if (carrier->delivery) /* a part of it is still to come */
			carrier_give_back(carrier);
		note_leaving(carrier, SESSION_END_USED_UP); /* it says goodbye by itself */
	}
}

/* Its delivery was given back without an answer, and it waits on for that: of no use to others. */
static void note_detached(struct carrier *carrier)
{
	const struct smtp_session *session = &carrier->session;
	bool is_detached = carrier->stage == CARRIER_BUSY && !session->transaction &&
			   session->state >= SMTP_AWAIT_MAIL && session->state <= SMTP_AWAIT_DOT;

	if (is_detached == carrier->is_detached)
		return;
	carrier->is_detached = is_detached;
	carrier->since_ms = carrier_now_ms(carrier);
	relay_carrier_detached(carrier->relay, is_detached);
}

/* True: goes on at once. The end of the carrier is not yet noticed. */
static bool step(struct carrier *carrier)
{
	switch (smtp_session_need(&carrier->session)) {
	case SMTP_NEED_TLS:
		return carrier_shake_hands(carrier);
	case SMTP_NEED_WORK:
		return find_work(carrier);
	case SMTP_NEED_RELAY:
		return carrier_write(carrier) ||
		       (smtp_session_holds_end(&carrier->session) && carrier_pass_fence(carrier));
	default:
		return false;
	}
}

/* Deliveries are given back when the carrier has gone on to the next, or idles: who hears of one
 * and sends another finds it free. */
void carrier_pump(struct carrier *carrier)
{
	struct lettergate *lettergate = carrier->worker->lettergate;
	struct delivery *settled = NULL, *next;
	bool goes_on = true;

	while (goes_on) {
		carrier_note_phase(carrier);
		look_at_results(carrier, &settled);
		note_detached(carrier);
		goes_on = step(carrier);
	}
	if (smtp_session_need(&carrier->session) == SMTP_NEED_CLOSE) {
		look_at_results(carrier, &settled); /* that step may have been the last */
		carrier_end(carrier);
	}
	for (; settled; settled = next) {
		next = settled->next;
		settled->next = NULL;
		settle_attempt(lettergate, settled);
	}
}

/* ---- the interface */

bool carrier_is_fit(struct carrier *carrier)
{
	if (!link_is_quiet(carrier->link))
		(void)carrier_read(carrier);
	if (smtp_session_need(&carrier->session) == SMTP_NEED_WORK)
		return true;
	carrier_end(carrier);
	return false;
}

void carrier_carry(struct carrier *carrier, struct delivery *delivery)
{
	begin(carrier, delivery);
	carrier_pump(carrier);
}

void carrier_leave(struct carrier *carrier, enum session_end reason)
{
	leave(carrier, reason);
	carrier_pump(carrier);
}

void carrier_drop(struct carrier *carrier, enum smtp_loss loss)
{
	if (carrier->is_connected) {
		smtp_session_lost(&carrier->session, loss, NULL);
		carrier_pump(carrier);
	} else {
		if (carrier->link)
			link_give_up(carrier->link, loss);
		carrier->given_up = loss;
		carrier_end(carrier);
	}
}
