#include "service/relay/dispatch.h"

#include "service/relay/capture.h"
#include "service/clock.h"
#include "service/relay/parts.h"
#include "service/relay/settle.h"
#include "service/session/worker.h"

enum { ASK_AGAIN_US = 1000000 };

/* What a delivery comes with that is to be handed to a relay. */
enum history {
	WITHOUT_ATTEMPT, /* nothing, or what stands: answers to parts of it, earlier attempts */
	AFTER_ATTEMPT,   /* what came of the relay before: whom it did not settle is open again */
};

/* ---- all rest */

static void add_cause(struct buf *words, const struct relay_state *state, const char *name)
{
	static const char *const causes[REST_CAUSES] = {
		[REST_NONE] = "rests",
		[REST_FAILURES] = "rests, because sessions to it failed time after time",
		[REST_AUTH] =
			"rests, because it refused our credentials: more tries could lock us out",
		[REST_THROTTLED] = "rests, as it asked for",
	};

	buf_addf(words, "%s %s", name, causes[state->window.cause]);
	if (state->trouble.at_ms)
		buf_addf(words, "; the last that was heard: %s", state->trouble.words);
	buf_add_byte(words, '\0');
}

/* Nothing is tried: the answer is that of the last try, for as long as the rest takes. */
static void settle_resting(
	struct lettergate *lettergate, struct delivery *delivery, struct relay *relay)
{
	static const struct smtp_said nothing;
	const struct relay_settings *own = relay_settings(relay);
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_QUEUE, false);
	struct buf words = buf_born(1024);
	struct relay_state state;
	uint64_t now = now_us(), until;

	relay_state(relay, now, &state);
	if (state.trouble.at_ms)
		verdict = state.trouble.verdict;
	verdict.outcome = SMTP_NOT_SENT;
	verdict.class = SMTP_LATER;
	verdict.status = 503;
	verdict.retryable = true;
	verdict.fresh_may_help = false;
	verdict.retry_after_s = relay_rests(relay, now, &until) ? whole_seconds(until - now) : 1;
	add_cause(&words, &state, own->name);
	if (!delivery->parts) /* else some have the answer of the one that is named */
		delivery->result.relay_name = delivery->result.relay_host = (struct text){ 0 };
	settle_failed(lettergate, delivery, &verdict, &nothing,
		words.err ? "all relays that it may use rest" : words.at);
	buf_free(&words);
}

/* ---- one delivery */

static void wake(struct lettergate *lettergate, int worker)
{
	if (worker != NO_WORKER)
		worker_wake(lettergate->workers[worker]);
}

/* What the choice means for one that was never tried. */
static enum submission meaning_of(enum fleet_choice choice)
{
	switch (choice) {
	case FLEET_NO_SUCH:
		return SUBMISSION_NO_RELAY;
	case FLEET_FORBIDDEN:
		return SUBMISSION_RELAY_FORBIDDEN;
	case FLEET_FULL:
		return SUBMISSION_RELAY_FULL;
	default:
		return SUBMITTED;
	}
}

/* Were parts of it settled at another relay, which it leaves without a word from that one? */
static bool leaves_parts(const struct delivery *delivery, const struct relay *relay)
{
	struct text before = delivery->result.relay_name;

	return delivery->parts && before.len &&
	       !text_equal(before, text_of(relay_settings(relay)->name));
}

/* What came of a relay that stopped to take anything up, while the delivery waited for it. */
static void note_left(
	struct delivery *delivery, struct text name, struct smtp_verdict last, uint64_t took_us)
{
	struct smtp_verdict here = parts_verdict_here(delivery, &last);

	delivery->result.verdict = delivery->result.last = last;
	delivery->result.said = (struct smtp_said){ 0 };
	note_attempt(delivery, name, &here, took_us);
}

/* It goes to `relay`, from another one or as it came. False: out of memory. */
static bool get_ready(struct delivery *delivery, const struct relay *relay, enum history history,
	uint64_t waited_us)
{
	struct result *result = &delivery->result;

	if (history == WITHOUT_ATTEMPT && leaves_parts(delivery, relay)) {
		note_left(delivery, result->relay_name,
			smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_QUEUE, false),
			waited_us);
		history = AFTER_ATTEMPT;
	}
	if (history == WITHOUT_ATTEMPT)
		return true;
	if (!parts_go_elsewhere(delivery))
		return false;
	if (delivery->parts) /* it is not the next one's fault if that is not even asked */
		result->relay_name = result->relay_host = (struct text){ 0 };
	return true;
}

/* When half of the time is over that it has from now on. */
static uint64_t half_time(const struct delivery *delivery)
{
	uint64_t from = delivery->queued_us, to = delivery->deadline_us;

	return to > from ? from + (to - from) / 2 : to;
}

/* With the lock. One that has room, which is taken. */
static enum fleet_choice choose(
	struct lettergate *lettergate, struct delivery *delivery, struct relay **relay_out)
{
	struct fleet *fleet = lettergate->fleet;
	enum fleet_choice choice;
	uint64_t full = 0;

	choice = fleet_choose(fleet, delivery, full, delivery->queued_us, relay_out);
	while (choice == FLEET_CHOSEN && !share_take(&lettergate->room, fleet->shares, fleet->count,
						 relay_share(*relay_out), delivery)) {
		full |= fleet_set(fleet, *relay_out);
		choice = fleet_choose(fleet, delivery, full, delivery->queued_us, relay_out);
	}
	return choice;
}

/* The relay may be gone when that is told. */
static void name_full(struct delivery *delivery, const struct relay *relay)
{
	delivery->full_relay = region_copy(delivery->region, text_of(relay_settings(relay)->name));
}

bool dispatch_goes_back(struct lettergate *lettergate, const struct delivery *delivery)
{
	return delivery->is_queued && atomic_load(&lettergate->is_draining);
}

/* With the lock. */
static enum submission choose_and_submit(struct lettergate *lettergate, struct delivery *delivery,
	enum history history, enum fleet_choice *choice_out, struct relay **relay_out,
	int *worker_out)
{
	uint64_t since_us = delivery->queued_us;
	enum submission submission;

	if (lettergate->is_stopping || dispatch_goes_back(lettergate, delivery))
		return SUBMISSION_DRAINING;
	delivery->queued_us = now_us();
	*choice_out = choose(lettergate, delivery, relay_out);
	submission = meaning_of(*choice_out);
	if (*choice_out == FLEET_FULL)
		name_full(delivery, *relay_out);
	if (submission || *choice_out != FLEET_CHOSEN)
		return submission;
	if (!get_ready(delivery, *relay_out, history, delivery->queued_us - since_us))
		return SUBMISSION_OVERLOADED;
	delivery->elsewhere_us = half_time(delivery);
	*worker_out = relay_submit(*relay_out, delivery);
	return SUBMITTED;
}

static enum submission dispatch_to_relay(
	struct lettergate *lettergate, struct delivery *delivery, enum history history)
{
	enum fleet_choice choice = FLEET_EXHAUSTED;
	struct relay *relay = NULL;
	int worker = NO_WORKER;
	enum submission submission;

	pthread_rwlock_rdlock(&lettergate->lock);
	submission = choose_and_submit(lettergate, delivery, history, &choice, &relay, &worker);
	if (!submission && choice == FLEET_RESTING)
		relay_hold(relay);
	pthread_rwlock_unlock(&lettergate->lock);
	wake(lettergate, worker);
	if (submission || choice == FLEET_CHOSEN)
		return submission;
	if (choice == FLEET_RESTING && history == WITHOUT_ATTEMPT)
		settle_resting(lettergate, delivery, relay);
	if (choice == FLEET_RESTING)
		relay_release(relay);
	return history == WITHOUT_ATTEMPT && choice == FLEET_RESTING ? SUBMITTED
								     : SUBMISSION_NO_RELAY;
}

static bool is_stopping(struct lettergate *lettergate)
{
	bool stops;

	pthread_rwlock_rdlock(&lettergate->lock);
	stops = lettergate->is_stopping;
	pthread_rwlock_unlock(&lettergate->lock);
	return stops;
}

static enum submission may_be_captured(const struct delivery *delivery)
{
	bool is_allowed = delivery->relay_count == 0;

	if (delivery->relay.len && !text_equal(delivery->relay, TEXT("capture")))
		return SUBMISSION_NO_RELAY;
	for (size_t i = 0; i < delivery->relay_count; i++)
		is_allowed |= text_equal(delivery->relays[i], TEXT("capture"));
	return is_allowed ? SUBMITTED : SUBMISSION_RELAY_FORBIDDEN;
}

enum submission dispatch(struct lettergate *lettergate, struct delivery *delivery)
{
	enum submission submission;

	if (!lettergate->captures)
		return dispatch_to_relay(lettergate, delivery, WITHOUT_ATTEMPT);
	submission = is_stopping(lettergate) ? SUBMISSION_DRAINING : may_be_captured(delivery);
	delivery->queued_us = now_us();
	if (!submission)
		capture(lettergate, delivery);
	return submission;
}

enum submission dispatch_may(struct lettergate *lettergate, const struct delivery *delivery)
{
	enum fleet_choice choice;

	if (lettergate->captures)
		return may_be_captured(delivery);
	pthread_rwlock_rdlock(&lettergate->lock);
	choice = fleet_may_take(lettergate->fleet, delivery);
	pthread_rwlock_unlock(&lettergate->lock);
	return meaning_of(choice);
}

/* Nobody decided over what was tried last, or the relay put it off at MAIL; and another relay may
 * do better, for some at least. */
static bool may_go_on(const struct delivery *delivery)
{
	const struct smtp_verdict *verdict = &delivery->result.last;
	bool is_ours = verdict->category == SMTP_DEADLINE_PASSED ||
		       verdict->category == SMTP_DRAINING ||
		       verdict->category == SMTP_STORE_FAILED || verdict->category == SMTP_INTERNAL;

	if (is_ours || delivery->result.attempt_count == ATTEMPTS_MAX ||
		now_us() >= delivery->deadline_us)
		return false;
	if (verdict->outcome != SMTP_NOT_SENT &&
		(verdict->outcome != SMTP_DEFERRED || verdict->phase != SMTP_IN_MAIL))
		return false;
	return parts_may_go_elsewhere(delivery);
}

bool dispatch_elsewhere(struct lettergate *lettergate, struct delivery *delivery)
{
	bool was_retried = delivery->was_retried;

	if (!may_go_on(delivery))
		return false;
	delivery->was_retried = false;
	if (dispatch_to_relay(lettergate, delivery, AFTER_ATTEMPT) == SUBMITTED)
		return true;
	delivery->was_retried = was_retried;
	return false;
}

/* The last attempt's answer stands, for all who have none. */
static void settle_as_tried(struct lettergate *lettergate, struct delivery *delivery)
{
	struct smtp_verdict last = delivery->result.last;

	parts_end(delivery, &last);
	settle(lettergate, delivery, (struct text){ 0 });
}

/* Nobody takes it. It is the gateway that stops, that has no room, or that has no relay for it. */
static void settle_refused(struct lettergate *lettergate, struct delivery *delivery,
	enum submission submission, const char *words)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_QUEUE, false);

	if (submission == SUBMISSION_DRAINING) {
		settle_lost(lettergate, delivery, SMTP_LOSS_DRAINING, words);
		return;
	}
	if (submission == SUBMISSION_RELAY_FULL) {
		verdict.category = SMTP_RELAY_BUSY;
		words = "the relay that it may use has its part of what may be under way";
		verdict.hint = "Try again; nothing has to be changed.";
	} else if (delivery->result.attempt_count && (!delivery->parts || delivery->is_settled)) {
		settle_as_tried(lettergate, delivery);
		return;
	} else {
		verdict.hint = "The settings changed meanwhile: send it again to hear whether "
			       "another relay may take it.";
	}
	settle_failed(lettergate, delivery, &verdict, &nothing, words);
}

void dispatch_list(struct lettergate *lettergate, struct delivery *list, const char *words)
{
	enum submission submission;
	struct delivery *next;

	for (struct delivery *delivery = list; delivery; delivery = next) {
		next = delivery->next;
		delivery->next = NULL;
		submission = dispatch(lettergate, delivery);
		if (submission)
			settle_refused(lettergate, delivery, submission, words);
	}
}

static void note_waiting(struct delivery *delivery, struct relay *relay)
{
	struct relay_counts counts = relay_counts(relay);

	note_left(delivery, region_copy(delivery->region, text_of(relay_settings(relay)->name)),
		smtp_verdict_of_loss(SMTP_LOSS_TIMEOUT,
			counts.opening ? counts.opening_phase : SMTP_IN_QUEUE, false),
		now_us() - delivery->queued_us);
}

/* False: there is none now, and it is as it was. */
static bool leave_for_another(
	struct lettergate *lettergate, struct relay *relay, struct delivery *delivery)
{
	const struct result before = delivery->result;
	uint64_t queued_us = delivery->queued_us;

	note_waiting(delivery, relay);
	if (dispatch_elsewhere(lettergate, delivery))
		return true;
	delivery->result = before;
	delivery->queued_us = queued_us;
	return false;
}

/* Others may be ready later. */
static void wait_on(struct lettergate *lettergate, struct relay *relay, struct delivery *delivery)
{
	uint64_t now = now_us(), left_us = 0;
	int worker = NO_WORKER;

	if (delivery->deadline_us > now)
		left_us = delivery->deadline_us - now;
	delivery->elsewhere_us = now + (left_us / 2 > ASK_AGAIN_US ? left_us / 2 : ASK_AGAIN_US);
	if (relay_take_back(relay, delivery, RELAY_WHERE_IT_WAS, &worker))
		wake(lettergate, worker);
	else
		dispatch_list(lettergate, delivery, "the relay was taken out of the settings");
}

void dispatch_waiting(struct lettergate *lettergate, struct relay *relay, struct delivery *list)
{
	struct delivery *next;

	for (struct delivery *delivery = list; delivery; delivery = next) {
		next = delivery->next;
		delivery->next = NULL;
		if (!leave_for_another(lettergate, relay, delivery))
			wait_on(lettergate, relay, delivery);
	}
}
