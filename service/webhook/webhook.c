/* One receiver of events: a thread that reads, sends, and notes how far it is. */
#include "service/clock.h"
#include "service/queue/schedule.h"
#include "service/webhook/webhook_own.h"

#include <stdio.h>

enum {
	LEASE_MS = 60000, /* longer than a try and the time between two renewals */
	LOOK_MS = 2000,   /* whether the lease is free, or another process has written events */
	AGAIN_MS = 1000,
	NOTE_US = 1000000, /* a run of events is noted that often, and at the end of each page */
	WHY_BYTES = 500,
	PACE_LEAST_MS = 250,
	PACE_MOST_MS = 60000,
};

/* ---- waiting */

/* Under the lock: is there something to do before the time is over? */
static bool is_called(const struct webhook *webhook, bool by_news)
{
	const struct webhooks *all = webhook->webhooks;

	return all->is_stopped || webhook->ends || webhook->version != webhook->taken_version ||
	       (by_news && all->news != webhook->news);
}

/* No longer than until the lease is to be renewed. */
static void rest(struct webhook *webhook, int64_t ms, bool by_news)
{
	struct webhooks *all = webhook->webhooks;
	uint64_t now = now_us();
	int64_t until_renewal =
		webhook->renew_us > now ? (int64_t)(webhook->renew_us - now) / 1000 : 0;
	struct timespec until;
	int rc = 0;

	if (webhook->has_lease && ms > until_renewal)
		ms = until_renewal + 1;
	until = moment_in_ms(ms > 0 ? ms : 0);
	pthread_mutex_lock(&all->lock);
	while (!is_called(webhook, by_news) && rc == 0)
		rc = pthread_cond_timedwait(&all->change, &all->lock, &until);
	pthread_mutex_unlock(&all->lock);
}

/* ---- the lease */

static void lose_lease(struct webhook *webhook)
{
	struct log_line line;

	if (!webhook->is_elsewhere) {
		line = log_line(webhook->webhooks->log, LOG_DEBUG, "webhook_elsewhere");
		log_string(&line, "webhook", webhook->webhook->name);
		log_end(&line);
	}
	webhook->is_elsewhere = true;
	webhook->has_lease = webhook->has_taken = false;
	webhook_page_age(webhook, false, 0);
	webhook_page_drop(webhook);
}

/* Said once, until it is over. */
static void note_trouble(struct webhook *webhook, enum err err)
{
	if (err && !webhook->is_troubled)
		webhook_log_trouble(webhook, err, "the store cannot be asked: nothing is sent");
	webhook->is_troubled = err != OK;
}

/* False: not now; it has waited. */
static bool hold_lease(struct webhook *webhook)
{
	enum err err = webhook_note(webhook, LEASE_MS);

	if (!err && webhook->is_behind) /* it is new: from where on is noted before anything */
		err = webhook_note(webhook, LEASE_MS);
	note_trouble(webhook, err == ERR_VALUE ? OK : err);
	if (!err)
		return true;
	if (err == ERR_VALUE)
		lose_lease(webhook);
	rest(webhook, err == ERR_VALUE ? LOOK_MS : AGAIN_MS, false);
	webhook->renew_us = 0; /* now */
	return false;
}

/* ---- what came of a try */

static void log_try(const struct webhook *webhook, const struct event *event, const char *id,
	enum webhook_result result, const struct webhook_answer *answer, const struct buf *why)
{
	enum log_level level = result == WEBHOOK_DELIVERED ? LOG_DEBUG : LOG_WARN;
	char name[32];
	struct log_line line;

	snprintf(name, sizeof(name), "webhook_%s", webhook_result_name(result));
	line = log_line(webhook->webhooks->log, level, name);
	log_string(&line, "webhook", webhook->webhook->name);
	log_string(&line, "event_id", id);
	log_text(&line, "type", event->type);
	if (answer->status)
		log_u64(&line, "status", (uint64_t)answer->status);
	log_text(&line, "why", buf_text(why));
	log_u64(&line, "attempt", webhook->place.tries + 1);
	log_end(&line);
}

static void log_given_up(const struct webhook *webhook, const struct event *event, const char *id)
{
	struct log_line line = log_line(webhook->webhooks->log, LOG_ERROR, "webhook_given_up");

	log_string(&line, "webhook", webhook->webhook->name);
	log_string(&line, "event_id", id);
	log_text(&line, "type", event->type);
	log_u64(&line, "attempts", webhook->place.tries);
	log_string(&line, "detail", "it was not taken in all its tries; the next one goes on");
	log_end(&line);
}

static void disable(struct webhook *webhook)
{
	struct log_line line = log_line(webhook->webhooks->log, LOG_ERROR, "webhook_disabled");

	log_string(&line, "webhook", webhook->webhook->name);
	log_string(&line, "detail", "it answered 410: nothing is sent there until a reload");
	log_end(&line);
	pthread_mutex_lock(&webhook->webhooks->lock);
	webhook->is_gone = true;
	pthread_mutex_unlock(&webhook->webhooks->lock);
}

static void put_off(
	struct webhook *webhook, const struct event *event, const char *id, uint32_t retry_after_s)
{
	struct webhook_place *place = &webhook->place;
	uint32_t chance;

	random_bytes((unsigned char *)&chance, sizeof(chance));
	if (place->head != event->cursor)
		place->tries = 0;
	place->head = event->cursor;
	place->tries++;
	if (schedule_next(&schedule_webhook, place->tries, retry_after_s, INT64_MAX, now_unix_ms(),
		    chance, &place->due_ms))
		return;
	metrics_webhook(webhook->webhooks->metrics, WEBHOOK_GIVEN_UP);
	log_given_up(webhook, event, id);
	webhook_page_pass(webhook);
}

/* Who says "too many" gets the next ones slower, and faster again as it takes them. */
static void adapt_pace(struct webhook *webhook, enum webhook_result result)
{
	if (result == WEBHOOK_THROTTLED)
		webhook->pace_ms = webhook->pace_ms ? webhook->pace_ms * 2 : PACE_LEAST_MS * 2;
	else if (result == WEBHOOK_DELIVERED)
		webhook->pace_ms /= 2;
	if (webhook->pace_ms < PACE_LEAST_MS)
		webhook->pace_ms = 0;
	if (webhook->pace_ms > PACE_MOST_MS)
		webhook->pace_ms = PACE_MOST_MS;
}

/* True: it was taken. */
static bool try_event(struct webhook *webhook, const struct event *event)
{
	struct webhooks *all = webhook->webhooks;
	char id[EVENT_ID_LEN + 1], words[WHY_BYTES];
	struct buf why = buf_over(words, sizeof(words));
	struct webhook_try attempt = { .settings = webhook->taken,
		.webhook = webhook->webhook,
		.event = event,
		.id = id,
		.web = webhook->web,
		.must_stop = &all->must_stop };
	struct webhook_answer answer = { 0 };
	enum webhook_result result;

	if (!event_id(event, id)) {
		rest(webhook, AGAIN_MS, false);
		return false;
	}
	result = webhook_post(&attempt, &answer, &why);
	if (result != WEBHOOK_DELIVERED && atomic_load(&all->must_stop))
		return false; /* it was cut short: that was no try */
	metrics_webhook(all->metrics, result);
	log_try(webhook, event, id, result, &answer, &why);
	adapt_pace(webhook, result);
	webhook->next_us = now_us() + UINT64_C(1000) * webhook->pace_ms;
	webhook->is_behind = true;
	if (result == WEBHOOK_DELIVERED)
		webhook_page_pass(webhook);
	else if (result == WEBHOOK_GONE)
		disable(webhook);
	else
		put_off(webhook, event, id, answer.retry_after_s);
	return result == WEBHOOK_DELIVERED;
}

/* ---- one thing after the other */

/* What a reload changed. A new receiver is as good as none that failed. */
static void take_settings(struct webhook *webhook)
{
	struct webhooks *all = webhook->webhooks;
	struct settings *old = webhook->taken;
	struct web *web;

	pthread_mutex_lock(&all->lock);
	webhook->taken = settings_hold(webhook->settings);
	webhook->webhook = webhook->wanted;
	webhook->taken_version = webhook->version;
	webhook->is_gone = false;
	pthread_mutex_unlock(&all->lock);
	settings_free(old);
	webhook->place.due_ms = 0;
	webhook->pace_ms = 0;
	webhook->next_us = 0;
	if (web_open(&web) != OK)
		return;
	web_close(webhook->web); /* what is connected may not be reached any more */
	webhook->web = web;
}

enum todo { TODO_END, TODO_SETTINGS, TODO_NOTHING, TODO_SEND };

static enum todo what_to_do(struct webhook *webhook)
{
	struct webhooks *all = webhook->webhooks;
	enum todo todo = TODO_SEND;

	pthread_mutex_lock(&all->lock);
	if (all->is_stopped || webhook->ends)
		todo = TODO_END;
	else if (webhook->version != webhook->taken_version)
		todo = TODO_SETTINGS;
	else if (webhook->is_gone)
		todo = TODO_NOTHING;
	pthread_mutex_unlock(&all->lock);
	return todo;
}

static void look_for_events(struct webhook *webhook)
{
	enum err err = webhook_page_read(webhook);

	note_trouble(webhook, err);
	if (err) {
		rest(webhook, AGAIN_MS, false);
	} else if (!webhook->count && webhook->page_cursor == webhook->place.cursor) {
		webhook_page_drop(webhook);
		webhook_page_age(webhook, true, 0);
		rest(webhook, LOOK_MS, true);
	}
}

/* Until the head may be tried again, or the pace allows for the next one; 0: now. */
static int64_t wait_ms(const struct webhook *webhook, const struct event *event)
{
	int64_t furthest_ms = schedule_furthest_ms(&schedule_webhook);
	uint64_t now = now_us();
	int64_t pace = webhook->next_us > now ? (int64_t)(webhook->next_us - now) / 1000 + 1 : 0;
	int64_t wait = 0;

	if (webhook->place.head == event->cursor)
		wait = webhook->place.due_ms - now_unix_ms();
	if (wait > furthest_ms) /* the clock was set back */
		wait = 0;
	return wait > pace ? wait : pace;
}

/* A run of events costs few commits: what was taken since the last one comes again after a crash,
 * as the same events. */
static void try_next(struct webhook *webhook, const struct event *event)
{
	bool is_taken = try_event(webhook, event);

	webhook->has_taken = webhook->has_taken || is_taken;
	if (webhook->is_behind && (!is_taken || now_us() >= webhook->noted_us + NOTE_US))
		(void)hold_lease(webhook);
}

static void send_next(struct webhook *webhook)
{
	const struct event *event = webhook_page_next(webhook);
	int64_t wait;

	if (!event && webhook->region) {
		webhook_page_end(webhook);
		if (webhook->has_taken)
			(void)hold_lease(webhook);
		return;
	}
	if (!event) {
		look_for_events(webhook);
		return;
	}
	webhook_page_age(webhook, true, event->at_ms);
	wait = wait_ms(webhook, event);
	if (wait > 0 && webhook->has_taken)
		(void)hold_lease(webhook);
	else if (wait > 0)
		rest(webhook, wait, false);
	else
		try_next(webhook, event);
}

static void leave(struct webhook *webhook)
{
	struct webhooks *all = webhook->webhooks;

	if (webhook->has_lease && webhook_note(webhook, 0))
		webhook_log_trouble(webhook, ERR_IO, "how far it is could not be noted");
	webhook_page_drop(webhook);
	web_close(webhook->web);
	settings_free(webhook->taken);
	pthread_mutex_lock(&all->lock);
	webhook->is_over = true;
	pthread_cond_broadcast(&all->change);
	pthread_mutex_unlock(&all->lock);
}

void *webhook_run(void *self)
{
	struct webhook *webhook = self;
	enum todo todo;

	take_settings(webhook);
	while (!webhook->token)
		random_bytes((unsigned char *)&webhook->token, sizeof(webhook->token));
	while ((todo = what_to_do(webhook)) != TODO_END) {
		if (todo == TODO_SETTINGS)
			take_settings(webhook);
		else if (now_us() >= webhook->renew_us && !hold_lease(webhook))
			continue;
		else if (todo == TODO_NOTHING)
			rest(webhook, LEASE_MS, false);
		else
			send_next(webhook);
	}
	leave(webhook);
	return NULL;
}
