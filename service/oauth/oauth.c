#include "service/oauth/oauth.h"

#include "service/clock.h"
#include "service/metrics/metrics.h"
#include "service/oauth/oauth_crew.h"
#include "service/oauth/oauth_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SETTINGS_BYTES = 1 << 20, URL_SHOWN = 128 };

/* ---- the thread */

static void wait_until(struct oauth *oauth, uint64_t due_us)
{
	struct timespec due = { .tv_sec = (time_t)(due_us / 1000000),
		.tv_nsec = (long)(due_us % 1000000) * 1000 };

	if (due_us == UINT64_MAX)
		pthread_cond_wait(&oauth->changed, &oauth->lock);
	else
		pthread_cond_timedwait(&oauth->changed, &oauth->lock, &due);
}

static void oauth_free(struct oauth *oauth)
{
	buf_wipe(&oauth->token);
	buf_wipe(&oauth->refresh_token);
	oauth_wipe_text(oauth->grant.client_secret);
	oauth_wipe_text(oauth->grant.refresh_token);
	region_close(oauth->region);
	pthread_cond_destroy(&oauth->changed);
	pthread_mutex_destroy(&oauth->lock);
	free(oauth);
}

/* With a crew, whoever let go of it last does not wait: the thread clears up. */
static void *run(void *self)
{
	struct oauth *oauth = self;
	struct oauth_crew *crew = oauth->crew;
	uint64_t due, now;

	pthread_mutex_lock(&oauth->lock);
	while (!atomic_load(&oauth->must_stop)) {
		due = oauth_life_due(&oauth->life);
		now = now_us();
		if (due > now) {
			wait_until(oauth, due);
			continue;
		}
		oauth_life_begin(&oauth->life, now);
		pthread_mutex_unlock(&oauth->lock);
		oauth_fetch(oauth);
		pthread_mutex_lock(&oauth->lock);
	}
	pthread_mutex_unlock(&oauth->lock);
	if (crew) {
		oauth_free(oauth);
		oauth_crew_leave(crew);
	}
	return NULL;
}

/* ---- life */

static enum err copy(struct region *region, const char *from, struct text *copy_out)
{
	*copy_out = region_copy(region, text_of(from));
	return copy_out->at ? OK : ERR_MEMORY;
}

static enum err copy_settings(struct oauth *oauth, const struct relay_settings *settings)
{
	struct oauth_grant *grant = &oauth->grant;
	struct text relay = { 0 }, url = { 0 };
	enum err err = copy(oauth->region, settings->name, &relay);

	if (!err)
		err = copy(oauth->region, settings->oauth_token_url, &url);
	if (!err)
		err = copy(oauth->region, settings->oauth_client_id, &grant->client_id);
	if (!err)
		err = copy(oauth->region, settings->oauth_client_secret, &grant->client_secret);
	if (!err)
		err = copy(oauth->region, settings->oauth_refresh_token, &grant->refresh_token);
	if (!err)
		err = copy(oauth->region, settings->oauth_scope, &grant->scope);
	oauth->relay = relay.at;
	oauth->url = url.at;
	oauth->shown_url = text_head(text_head(url, text_find(url, '?')), URL_SHOWN);
	return err;
}

static void open_lock(struct oauth *oauth)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&oauth->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as now_us */
	pthread_cond_init(&oauth->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

enum err oauth_open(const struct relay_settings *settings, struct oauth **oauth_out)
{
	struct oauth *oauth = calloc(1, sizeof(*oauth));
	enum err err;

	if (!oauth)
		return ERR_MEMORY;
	atomic_init(&oauth->references, 1);
	open_lock(oauth);
	oauth->token = buf_born(OAUTH_TOKEN_BYTES);
	oauth->refresh_token = buf_born(OAUTH_TOKEN_BYTES);
	oauth->hint = "";
	err = region_open(SETTINGS_BYTES, &oauth->region);
	if (!err)
		err = copy_settings(oauth, settings);
	if (err) {
		oauth_release(oauth);
		return err;
	}
	*oauth_out = oauth;
	return OK;
}

struct oauth *oauth_hold(struct oauth *oauth)
{
	atomic_fetch_add(&oauth->references, 1);
	return oauth;
}

void oauth_release(struct oauth *oauth)
{
	bool is_the_threads, is_running;

	if (!oauth || atomic_fetch_sub(&oauth->references, 1) > 1)
		return;
	pthread_mutex_lock(&oauth->lock);
	is_running = oauth->is_running;
	is_the_threads = is_running && oauth->crew;
	atomic_store(&oauth->must_stop, true);
	pthread_cond_signal(&oauth->changed);
	pthread_mutex_unlock(&oauth->lock);
	if (is_the_threads)
		return; /* it may be gone by now */
	if (is_running)
		pthread_join(oauth->thread, NULL);
	oauth_free(oauth);
}

bool oauth_fits(const struct oauth *oauth, const struct relay_settings *settings)
{
	const struct oauth_grant *grant = &oauth->grant;

	return strcmp(oauth->relay, settings->name) == 0 &&
	       strcmp(oauth->url, settings->oauth_token_url) == 0 &&
	       text_equal(grant->client_id, text_of(settings->oauth_client_id)) &&
	       text_equal(grant->client_secret, text_of(settings->oauth_client_secret)) &&
	       text_equal(grant->refresh_token, text_of(settings->oauth_refresh_token)) &&
	       text_equal(grant->scope, text_of(settings->oauth_scope));
}

static enum err start_thread(struct oauth *oauth)
{
	if (oauth->crew)
		return oauth_crew_start(oauth->crew, run, oauth);
	return pthread_create(&oauth->thread, NULL, run, oauth) ? ERR_IO : OK;
}

enum err oauth_start(struct oauth *oauth, struct oauth_crew *crew, struct relay_metrics *metrics)
{
	enum err err = OK;

	pthread_mutex_lock(&oauth->lock);
	if (oauth->is_running) {
		oauth_life_hurry(&oauth->life);
		pthread_cond_signal(&oauth->changed);
	} else {
		oauth->crew = crew;
		oauth->log = crew ? oauth_crew_log(crew) : NULL;
		oauth->metrics = metrics;
		metrics_token_wanted(metrics);
		err = start_thread(oauth);
		oauth->is_running = !err;
	}
	pthread_mutex_unlock(&oauth->lock);
	return err;
}

/* ---- the token */

static void describe(const struct oauth *oauth, uint64_t now, struct oauth_failure *failure)
{
	const struct oauth_life *life = &oauth->life;
	enum smtp_loss loss = life->is_refused ? SMTP_LOSS_BAD_AUTH : SMTP_LOSS_NO_TOKEN;
	uint64_t left_us = life->pause_to_us > now ? life->pause_to_us - now : 0;

	failure->verdict = smtp_verdict_of_loss(loss, SMTP_IN_AUTH, false);
	failure->verdict.hint = oauth->hint;
	failure->verdict.retry_after_s = (uint32_t)(left_us / 1000000 + 1);
	memcpy(failure->words, oauth->words, sizeof(failure->words));
}

enum oauth_state oauth_take(struct oauth *oauth, uint64_t now_us, struct buf *token_out,
	struct oauth_failure *failure_out)
{
	enum oauth_state state;
	bool was_wanted;

	pthread_mutex_lock(&oauth->lock);
	was_wanted = oauth->life.is_wanted;
	state = oauth_life_ask(&oauth->life, now_us);
	if (!was_wanted && oauth->life.is_wanted)
		pthread_cond_signal(&oauth->changed);
	if (state == OAUTH_TAKEN)
		buf_add(token_out, buf_text(&oauth->token));
	else if (state == OAUTH_PAUSES)
		describe(oauth, now_us, failure_out);
	pthread_mutex_unlock(&oauth->lock);
	return state;
}

bool oauth_refuse(struct oauth *oauth, struct text token, uint64_t now_us)
{
	bool is_worth_it;

	pthread_mutex_lock(&oauth->lock);
	if (oauth->life.has_token && text_equal(token, buf_text(&oauth->token))) {
		buf_wipe(&oauth->token);
		is_worth_it = oauth_life_drop(&oauth->life, now_us);
		if (!is_worth_it) {
			snprintf(oauth->words, sizeof(oauth->words),
				"the relay refused an access token that had just been fetched");
			oauth->hint = "Check SMTP_USER and SMTP_OAUTH_SCOPE, and that the account "
				      "may send by SMTP.";
		}
		pthread_cond_signal(&oauth->changed);
	} else {
		is_worth_it = oauth_life_state(&oauth->life, now_us) != OAUTH_PAUSES;
	}
	pthread_mutex_unlock(&oauth->lock);
	return is_worth_it;
}

void oauth_prove(struct oauth *oauth, struct text token)
{
	pthread_mutex_lock(&oauth->lock);
	if (oauth->life.has_token && text_equal(token, buf_text(&oauth->token)))
		oauth_life_prove(&oauth->life);
	pthread_mutex_unlock(&oauth->lock);
}

bool oauth_has_token(struct oauth *oauth, uint64_t now_us)
{
	bool has_token;

	pthread_mutex_lock(&oauth->lock);
	has_token = oauth_life_state(&oauth->life, now_us) == OAUTH_TAKEN;
	pthread_mutex_unlock(&oauth->lock);
	return has_token;
}

struct oauth_facts oauth_facts(struct oauth *oauth)
{
	struct oauth_facts facts;

	pthread_mutex_lock(&oauth->lock);
	facts = oauth->facts;
	pthread_mutex_unlock(&oauth->lock);
	return facts;
}
