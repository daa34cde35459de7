/* relay_trouble - sessions that could not be opened, a relay that wants less, and what becomes of
 * the deliveries that wait for it */
#include "service/clock.h"
#include "service/oauth/oauth.h"
#include "service/relay/relay_own.h"

#include <stdio.h>

enum { WARM_PAUSE_US = 5000000, BARREN_US = 30000000 };

/* What the relay takes for sure: a session that made room for another is not one fewer. */
static unsigned taken_for_sure(const struct relay *relay, uint64_t now_us)
{
	unsigned now = relay->opening + relay->established;

	return now_us < relay->peak_us + RELAY_PEAK_US && relay->peak > now ? relay->peak : now;
}

/* "Too many", of a relay that has some of our sessions, though they may all be slow: it is not
 * down. Those that wait do so for one of them, or for a place that a late answer makes
 * (relay_room.c). */
static bool is_full(const struct relay *relay, const struct relay_failure *failure)
{
	return failure->busy && relay->established &&
	       failure->verdict->category == SMTP_RELAY_THROTTLED;
}

static void note_trouble(struct relay *relay, const struct relay_failure *failure)
{
	struct relay_trouble *trouble = &relay->trouble;
	struct text said = failure->said->text;

	trouble->verdict = *failure->verdict;
	trouble->said = *failure->said;
	if (said.len)
		snprintf(trouble->words, sizeof(trouble->words), "%.*s",
			said.len > 500 ? 500 : (int)said.len, said.at);
	else
		snprintf(trouble->words, sizeof(trouble->words), "%s", failure->words);
	trouble->said.text = (struct text){ 0 };
	trouble->at_ms = now_unix_ms();
}

static bool is_about_credentials(const struct smtp_verdict *verdict)
{
	return verdict->category == SMTP_RELAY_AUTH_FAILED ||
	       verdict->category == SMTP_RELAY_ACCOUNT_DISABLED;
}

/* "Too many connections", of a relay that let some in before: the last ones are not forgotten there
 * yet. With no other relay to go to, those that wait go on waiting, unless it says so time after
 * time. */
static bool is_one_too_many(const struct relay *relay, const struct relay_failure *failure)
{
	return failure->busy && relay->worked_ms && relay->settings->relay_count == 1 &&
	       failure->verdict->category == SMTP_RELAY_THROTTLED;
}

/* True: those that wait have nothing to wait for. */
static bool judge_failure(
	struct relay *relay, struct relay_failure *failure, uint64_t now_us, bool *rests_out)
{
	bool others_up = relay_is_up(relay, now_us), others_try = relay->opening > 0;
	uint32_t asked_s = failure->busy ? smtp_retry_after_s(failure->said->text) : 0;

	*rests_out = false;
	if (is_about_credentials(failure->verdict)) {
		window_refused_auth(&relay->window, now_us);
		relay->is_proven = false;
		*rests_out = !others_up;
		return !others_up;
	}
	if (!others_up && is_full(relay, failure)) {
		window_fit(&relay->window, taken_for_sure(relay, now_us), now_us);
		if (relay->made_us)
			relay->barren_until_us = relay->made_us + BARREN_US;
		failure->was_too_many = true;
		return false;
	}
	if (others_up || (failure->busy && others_try)) {
		window_narrow(&relay->window, taken_for_sure(relay, now_us), now_us);
		failure->was_too_many = true;
		return false;
	}
	*rests_out = window_failed(&relay->window, now_us);
	if (asked_s) {
		window_throttled(&relay->window, asked_s, now_us);
		*rests_out = true;
	}
	if (*rests_out || !is_one_too_many(relay, failure))
		return true;
	window_pause(&relay->window, now_us);
	failure->was_too_many = true;
	return false;
}

struct delivery *relay_carrier_failed(struct relay *relay, struct relay_failure *failure,
	uint64_t now_us, struct relay_news *news_out)
{
	struct delivery *failed = NULL;
	struct relay_notes before;
	bool rests;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	relay->opening--;
	relay->bringing -= failure->brings;
	relay->warm_after_us = now_us + WARM_PAUSE_US;
	note_trouble(relay, failure);
	if (!failure->without_token || !window_rests(&relay->window, now_us))
		atomic_store(&relay->lacks_token, failure->without_token);
	if (judge_failure(relay, failure, now_us, &rests))
		failed = relay_take_all(
			relay, UINT64_MAX, rests ? UINT64_MAX : failure->began_us, SIZE_MAX);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
	return failed;
}

struct delivery *relay_carrier_prevented(
	struct relay *relay, bool brings, uint64_t began_us, uint64_t now_us)
{
	struct delivery *list = NULL;

	relay_carrier_abandoned(relay, brings, now_us);
	pthread_mutex_lock(&relay->lock);
	if (!relay->opening && !relay_is_up(relay, now_us))
		list = relay_take_all(relay, UINT64_MAX, began_us, SIZE_MAX);
	pthread_mutex_unlock(&relay->lock);
	return list;
}

bool relay_token_came(struct relay *relay, uint64_t now_us, struct relay_news *news_out)
{
	struct relay_notes before;

	if (!atomic_load_explicit(&relay->lacks_token, memory_order_relaxed) ||
		!oauth_has_token(relay->oauth, now_us))
		return false;
	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	atomic_store(&relay->lacks_token, false);
	relay->warm_after_us = now_us;
	window_wake(&relay->window);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
	return true;
}

void relay_throttled(
	struct relay *relay, uint32_t seconds, uint64_t now_us, struct relay_news *news_out)
{
	struct relay_notes before;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	window_narrow(&relay->window, relay_sessions(relay) / 2, now_us);
	window_slow(&relay->window, now_us);
	if (seconds)
		window_throttled(&relay->window, seconds, now_us);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
}

struct delivery *relay_stranded(struct relay *relay, uint64_t now_us, size_t most)
{
	struct delivery *list = NULL;

	if (!relay_has_work(relay))
		return NULL;
	pthread_mutex_lock(&relay->lock);
	if (window_rests(&relay->window, now_us)) {
		if (relay->window.cause == REST_THROTTLED)
			list = relay_take_all(relay, relay->window.rest_until_us, UINT64_MAX, most);
		else if (!relay_is_up(relay, now_us))
			list = relay_take_all(relay, UINT64_MAX, UINT64_MAX, most);
	}
	pthread_mutex_unlock(&relay->lock);
	return list;
}

struct delivery *relay_kept_waiting(struct relay *relay, uint64_t now_us, size_t most)
{
	struct delivery *list = NULL;

	if (!relay_has_work(relay))
		return NULL;
	pthread_mutex_lock(&relay->lock);
	if (!relay_is_up(relay, now_us)) {
		list = turns_take_long(&relay->turns, now_us, most);
		relay_note_waiting(relay);
	}
	pthread_mutex_unlock(&relay->lock);
	return list;
}

static struct delivery *take_out(struct relay *relay, uint64_t deadline_us, size_t most)
{
	struct delivery *list;

	pthread_mutex_lock(&relay->lock);
	list = relay_take_all(relay, deadline_us, UINT64_MAX, most);
	pthread_mutex_unlock(&relay->lock);
	return list;
}

struct delivery *relay_expire(struct relay *relay, uint64_t now_us, size_t most)
{
	return relay_has_work(relay) ? take_out(relay, now_us, most) : NULL;
}

struct delivery *relay_take_queued(struct relay *relay)
{
	struct delivery *list;

	pthread_mutex_lock(&relay->lock);
	list = turns_take_queued(&relay->turns);
	relay_note_waiting(relay);
	pthread_mutex_unlock(&relay->lock);
	return list;
}

struct delivery *relay_empty(struct relay *relay)
{
	return take_out(relay, UINT64_MAX, SIZE_MAX);
}
