/* carrier_tick - a carrier's deadlines, looked at many times a second */
#include "service/session/carrier.h"
#include "service/session/carrier_outcome.h"
#include "service/clock.h"
#include "service/relay/settle.h"

enum { GOODBYE_MS = 2000, HURRIED_GOODBYE_MS = 200 };

static bool is_past(uint64_t since_ms, uint64_t patience_ms, uint64_t now_ms)
{
	return now_ms - since_ms >= patience_ms;
}

static void tick_busy(struct carrier *carrier)
{
	struct smtp_session *session = &carrier->session;

	smtp_session_tick(session, carrier_now_ms(carrier));
	if (carrier->stage == CARRIER_BUSY && carrier->delivery && !carrier->transaction.is_over &&
		now_us() >= carrier->delivery->deadline_us)
		smtp_session_give_up(session, SMTP_LOSS_DEADLINE, carrier_now_ms(carrier));
	if (carrier->transaction.is_over || smtp_session_need(session) == SMTP_NEED_CLOSE ||
		carrier->is_asking)
		carrier_pump(carrier);
}

/* What it brings wants to know; the session may serve others. */
static void let_go_of_late(struct carrier *carrier)
{
	static const struct smtp_said nothing;
	struct delivery *delivery = carrier->delivery;
	struct smtp_verdict verdict;

	if (carrier->stage != CARRIER_OPENING || !delivery || now_us() < delivery->deadline_us)
		return;
	carrier->delivery = NULL;
	verdict = smtp_verdict_of_loss(SMTP_LOSS_DEADLINE,
		carrier->is_connected ? smtp_session_phase(&carrier->session)
		: carrier->link       ? SMTP_IN_CONNECT
				      : SMTP_IN_AUTH,
		false);
	settle_failed(carrier->worker->lettergate, delivery, &verdict, &nothing,
		"the deadline passed before a fresh session to the relay was ready");
}

/* A relay that lets QUIT go unanswered holds up nobody for long. */
static uint64_t patience_for_goodbye(const struct carrier *carrier)
{
	return relay_has_work(carrier->relay) ? HURRIED_GOODBYE_MS : GOODBYE_MS;
}

void carrier_tick(struct carrier *carrier)
{
	const struct relay_settings *settings = relay_settings(carrier->relay);
	uint64_t now = carrier_now_ms(carrier);
	bool is_unwanted = carrier->worker->is_stopping || relay_is_retired(carrier->relay);

	let_go_of_late(carrier);
	if (!carrier->is_connected && !carrier->link) {
		if (is_unwanted && !carrier->delivery)
			carrier_drop(carrier, SMTP_LOSS_DRAINING);
		else
			carrier_seek_token(carrier);
	} else if (!carrier->is_connected) {
		if (now_us() - carrier->opened_us >= settings->connect_ms * 1000ull)
			carrier_drop(carrier, SMTP_LOSS_TIMEOUT);
	} else if (carrier->stage == CARRIER_IDLE) {
		if (is_unwanted)
			carrier_leave(carrier, SESSION_END_DRAIN);
		else if (is_past(carrier->since_ms, relay_idle_ms(carrier->relay), now) ||
			 carrier_is_old(carrier) || relay_is_crowded(carrier->relay))
			carrier_leave(carrier, SESSION_END_IDLE);
	} else if (carrier->stage == CARRIER_LEAVING &&
		   is_past(carrier->since_ms, patience_for_goodbye(carrier), now)) {
		carrier_drop(carrier, SMTP_LOSS_TIMEOUT);
	} else if (carrier->is_detached && relay_is_retired(carrier->relay) &&
		   is_past(carrier->since_ms, CARRIER_LATE_MS, now)) {
		carrier_drop(carrier, SMTP_LOSS_DEADLINE); /* it counts for no window any more */
	} else {
		tick_busy(carrier);
	}
}
