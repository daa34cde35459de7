#include "service/session/carrier_outcome.h"

#include "service/session/advice.h"
#include "service/session/carrier_log.h"
#include "service/session/carrier_parts.h"
#include "service/clock.h"
#include "service/relay/fate.h"
#include "service/oauth/oauth.h"
#include "service/queue/late.h"
#include "service/relay/settle.h"
#include "service/session/worker.h"

#include <stdlib.h>
#include <string.h>

enum { SENT_BACK_MOST = 3, END_WORDS = 1000 };

void carrier_name_relay(const struct carrier *carrier, struct delivery *delivery)
{
	const struct relay_settings *settings = relay_settings(carrier->relay);
	struct result *result = &delivery->result;

	result->relay_name = region_copy(delivery->region, text_of(settings->name));
	result->relay_host = region_copy(delivery->region, text_of(settings->host));
	result->tls = carrier->link ? link_tls(carrier->link) : NULL;
}

/* Hints that fit the settings and the relay's offer, in place of those that have to fit all. */
static void improve_hints(const struct carrier *carrier, struct delivery *delivery)
{
	struct result *result = &delivery->result;
	const struct relay_settings *settings = relay_settings(carrier->relay);
	const struct smtp_session *session = &carrier->session;

	if (result->verdict.outcome == SMTP_ACCEPTED)
		return;
	result->verdict.hint = advice_hint(settings, session, &result->verdict);
	for (size_t i = 0; i < result->count; i++)
		if (!delivery->is_settled || !delivery->is_settled[i])
			result->answers[i].verdict.hint =
				advice_hint(settings, session, &result->answers[i].verdict);
}

/* What ended it, where the relay says nothing of that. NULL: nothing is known of it. */
static const char *words_of_end(const struct carrier *carrier, struct region *region)
{
	const char *words = carrier_words(carrier), *copy;
	struct buf told = buf_born(END_WORDS);

	if (carrier->transaction.verdict.outcome == SMTP_UNKNOWN) {
		buf_add_string(&told, "the message's last byte was sent, and no answer came: ");
		if (!words[0])
			words = smtp_loss_name(carrier->session.loss);
	}
	buf_add_string(&told, words);
	copy = words[0] && !told.err ? region_copy(region, buf_text(&told)).at : NULL;
	buf_free(&told);
	return copy;
}

/* ---- one delivery */

/* `verdict`: on all recipients; `here`: on the attempt that is over. */
static void take_over_result(struct carrier *carrier, struct delivery *delivery,
	struct smtp_verdict verdict, struct smtp_verdict here)
{
	const struct smtp_transaction *transaction = &carrier->transaction;
	struct result *result = &delivery->result;
	uint64_t now = now_us();

	carrier_name_relay(carrier, delivery);
	result->verdict = verdict;
	result->last = transaction->verdict;
	result->said = transaction->said;
	result->detail = result->said.code ? NULL : words_of_end(carrier, delivery->region);
	improve_hints(carrier, delivery);
	if (result->verdict.class == SMTP_TAKEN)
		result->queue_id = smtp_queue_id(result->said.text);
	result->send_us = now - carrier->begun_us;
	note_attempt(delivery, result->relay_name, &here, result->send_us);
}

/* Once more, silently, on a session of its own: what was wrong was the age of this one. It makes
 * room, so that there are never more sessions than allowed. Where none is to be had, it waits for
 * others: that one of those is of some age, too, says nothing about it. */
static void try_fresh(struct carrier *carrier, struct delivery *delivery)
{
	smtp_session_lost(&carrier->session, SMTP_LOSS_DISCONNECTED, NULL);
	if (!carrier->part.places) /* else they are those of other parts */
		parts_begin_anew(delivery);
	if (relay_admit_carrier(carrier->relay, now_us())) {
		delivery->was_retried = true;
		carrier_open(carrier->worker, carrier->relay, carrier->berth, delivery);
		return;
	}
	delivery->was_retried = ++delivery->sent_back >= SENT_BACK_MOST;
	carrier->delivery = delivery;
	carrier_give_back(carrier);
}

/* A 4xx to MAIL is "no more on this session" only where the session was good for something before;
 * else it is the relay's answer, and further sessions would be an answer to "slow down". One fresh
 * session is tried, and one more where it shows that the relay gets pipelining wrong: that one goes
 * without, and so do all others for a while. */
static bool is_worth_another_session(const struct carrier *carrier, const struct delivery *delivery)
{
	const struct smtp_verdict *verdict = &carrier->transaction.verdict;

	if (now_us() >= delivery->deadline_us || carrier->told_to_wait)
		return false;
	if (carrier->session.pipelining_suspect && verdict->outcome == SMTP_NOT_SENT)
		return true;
	if (delivery->was_retried || (verdict->outcome == SMTP_DEFERRED && !carrier->life.messages))
		return false;
	return verdict->fresh_may_help;
}

/* ---- one transaction */

/* The relay wants less of us. */
static void slow_down(struct carrier *carrier)
{
	const struct smtp_transaction *transaction = &carrier->transaction;
	struct relay_news news;

	relay_throttled(
		carrier->relay, smtp_retry_after_s(transaction->said.text), now_us(), &news);
	carrier_log_news(carrier, &news);
}

static void note_life(struct carrier *carrier)
{
	struct session_life *life = &carrier->life;
	const struct smtp_transaction *transaction = &carrier->transaction;
	bool taken = transaction->verdict.class == SMTP_TAKEN;

	carrier->was_taken = taken;
	carrier->told_to_wait = !taken && transaction->verdict.category == SMTP_RELAY_THROTTLED &&
				smtp_retry_after_s(transaction->said.text) > 0;
	carrier->quiet_since_ms = carrier_now_ms(carrier);
	if (!taken)
		return;
	life->messages++;
	life->opened_us = carrier->opened_us;
	life->used_us = life->ended_us = now_us();
	if (carrier->quiet_ms > life->longest_quiet_ms)
		life->longest_quiet_ms = (uint32_t)carrier->quiet_ms;
}

/* It got further than is known to be possible, and others should not go on to keep to that. */
static void tell_survival(struct carrier *carrier)
{
	uint32_t limit = relay_messages(carrier->relay);
	struct relay_news news;

	if (!limit || carrier->life.messages <= limit)
		return;
	relay_learn(carrier->relay, &carrier->life, &news);
	carrier_log_news(carrier, &news);
}

/* Its answer may still come: then it is known what it is for. Without memory nobody hears of it. */
static void expect_late(struct carrier *carrier, const struct delivery *delivery)
{
	if (carrier->transaction.verdict.outcome != SMTP_UNKNOWN ||
		smtp_session_need(&carrier->session) == SMTP_NEED_CLOSE)
		return;
	carrier_forget_late(carrier);
	if (part_places(&carrier->part, &carrier->late_places)) {
		carrier->late = late_new(carrier->worker->lettergate, delivery, &carrier->part,
			relay_settings(carrier->relay)->name);
		memcpy(carrier->late_id, delivery->id, sizeof(carrier->late_id));
	}
}

void carrier_forget_late(struct carrier *carrier)
{
	free(carrier->late_places.at);
	late_free(carrier->late);
	carrier->late = NULL;
	carrier->late_places = (struct places){ 0 };
	carrier->late_id[0] = '\0';
}

struct delivery *carrier_conclude(struct carrier *carrier)
{
	struct delivery *delivery = carrier->delivery;
	const struct smtp_verdict *verdict = &carrier->transaction.verdict;

	carrier->delivery = NULL;
	note_life(carrier);
	tell_survival(carrier);
	if (carrier->session.pipelining_suspect)
		relay_distrust_pipelining(carrier->relay, now_us());
	if (is_worth_another_session(carrier, delivery)) {
		take_over_result(carrier, delivery, *verdict, *verdict);
		try_fresh(carrier, delivery);
		return NULL;
	}
	if (verdict->category == SMTP_RELAY_THROTTLED && verdict->class != SMTP_TAKEN)
		slow_down(carrier);
	expect_late(carrier, delivery);
	if (carrier_goes_on(carrier, delivery))
		return NULL;
	if (delivery->parts)
		take_over_result(carrier, delivery, delivery->result.verdict,
			parts_verdict_here(delivery, verdict));
	else
		take_over_result(carrier, delivery, *verdict, *verdict);
	return delivery;
}

void carrier_settle_late(struct carrier *carrier)
{
	struct smtp_session *session = &carrier->session;
	struct lettergate *lettergate = carrier->worker->lettergate;
	struct log_line line = log_line(lettergate->log, LOG_INFO, "late_answer");

	records_settle_late(lettergate->records, carrier->late_id, carrier->late_places,
		&session->verdict, &session->said, smtp_queue_id(session->said.text),
		now_unix_ms());
	late_settle(carrier->late, &session->verdict, &session->said);
	carrier->late = NULL;
	log_string(&line, "id", carrier->late_id);
	log_string(&line, "relay", relay_settings(carrier->relay)->name);
	log_string(&line, "outcome", smtp_outcome_name(session->verdict.outcome));
	log_u64(&line, "smtp_code", session->said.code);
	log_words(&line, "smtp_text", session->said.text);
	log_end(&line);
	carrier_forget_late(carrier);
	session->late_answer = false;
	relay_trust_pipelining(carrier->relay); /* it was slow, and lost nothing */
}

/* ---- the opening failed */

static void fail(
	struct carrier *carrier, struct delivery *list, const struct relay_failure *failure)
{
	struct fate_cause cause = { .relay = carrier->relay,
		.tls = carrier->link ? link_tls(carrier->link) : NULL,
		.verdict = *failure->verdict,
		.said = failure->said,
		.words = failure->words,
		.trace = buf_text(&carrier->trace),
		.began_us = carrier->opened_us };

	cause.verdict.hint = advice_hint(relay_settings(carrier->relay),
		carrier->is_connected ? &carrier->session : NULL, failure->verdict);
	fate_meet(carrier->worker, list, &cause);
}

/* Those that waited for this carrier, or for any: they could not be served. */
void carrier_fail_waiting(struct carrier *carrier, const struct smtp_verdict *verdict)
{
	const struct smtp_session *session = &carrier->session;
	static const struct smtp_said nothing;
	const struct smtp_said *said = carrier->is_connected ? &session->said : &nothing;
	bool busy = said->code / 100 == 4;
	struct buf words = buf_born(CARRIER_WORDS);
	struct relay_failure failure = { .verdict = verdict,
		.said = said,
		.brings = carrier->brings,
		.busy = busy,
		.without_token = carrier->failure != NULL,
		.began_us = carrier->opened_us };
	struct delivery *failed, *delivery = carrier->delivery;
	struct relay_news news;

	carrier_add_opening_words(carrier, &words);
	failure.words = words.err ? carrier_words(carrier) : words.at;
	failed = relay_carrier_failed(carrier->relay, &failure, now_us(), &news);
	metrics_session_failed(relay_metrics_of(carrier->relay));
	carrier_log_news(carrier, &news);
	if (delivery && !(failure.was_too_many && relay_put_back(carrier->relay, delivery))) {
		delivery->next = failed;
		failed = delivery;
	}
	carrier->delivery = NULL;
	fail(carrier, failed, &failure);
	buf_free(&words);
}

/* ---- the end */

bool carrier_is_old(const struct carrier *carrier)
{
	uint32_t lifetime_ms = relay_lifetime_ms(carrier->relay);

	return lifetime_ms && now_us() - carrier->opened_us >= lifetime_ms * 1000ull;
}

/* All that the next message was, went out, and nothing at all came back. */
static bool is_cut_off(const struct carrier *carrier)
{
	return carrier->session.one_write && carrier->transaction.verdict.outcome == SMTP_UNKNOWN &&
	       !carrier->transaction.said.code && !carrier->session.rcpt_answered;
}

/* Did the relay end it of its own accord: while it idled, right behind a message, or in place of an
 * answer to the next? */
static bool is_ended_by_relay(const struct carrier *carrier)
{
	const struct smtp_verdict *verdict = &carrier->transaction.verdict;
	bool at_mail = verdict->phase == SMTP_IN_MAIL && verdict->class == SMTP_LATER;

	if (carrier->stage != CARRIER_IDLE && carrier->told_to_wait)
		return false;
	return carrier_end_reason(carrier) == SESSION_END_RELAY &&
	       (carrier->stage == CARRIER_IDLE || carrier->was_taken || at_mail ||
		       is_cut_off(carrier));
}

void carrier_tell_end(struct carrier *carrier)
{
	struct session_life *life = &carrier->life;
	uint64_t quiet_ms = carrier_now_ms(carrier) - carrier->quiet_since_ms;
	struct relay_news news;

	life->opened_us = carrier->opened_us;
	life->ended_us = now_us();
	life->ended_by_relay = is_ended_by_relay(carrier);
	life->without_a_word = carrier->session.said.code != 421 &&
			       carrier->transaction.said.code != 421 &&
			       !carrier->session.said_goodbye;
	if (carrier->stage != CARRIER_IDLE) /* before the message that was not taken any more */
		quiet_ms = carrier->was_taken ? 0 : carrier->quiet_ms;
	life->quiet_ms = quiet_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)quiet_ms;
	relay_learn(carrier->relay, life, &news);
	carrier_log_news(carrier, &news);
	metrics_session_closed(carrier->worker->lettergate->metrics,
		relay_metrics_of(carrier->relay), carrier_end_reason(carrier), carrier->messages);
}

enum session_end carrier_end_reason(const struct carrier *carrier)
{
	const struct smtp_session *session = &carrier->session;

	if (carrier->stage == CARRIER_OPENING)
		return SESSION_END_FAILED;
	if (carrier->stage == CARRIER_LEAVING)
		return carrier->end;
	switch (session->loss) {
	case SMTP_LOSS_TIMEOUT:
	case SMTP_LOSS_DEADLINE:
		return SESSION_END_TIMEOUT;
	case SMTP_LOSS_DISCONNECTED:
		return SESSION_END_RELAY;
	case SMTP_LOSS_DRAINING:
		return SESSION_END_DRAIN;
	default:
		return session->said.code == 421 || carrier->transaction.said.code == 421
			       ? SESSION_END_RELAY
			       : SESSION_END_ERROR;
	}
}
