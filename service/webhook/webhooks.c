#include "service/webhook/webhooks.h"

#include "service/webhook/webhook_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAST_S = 1 };

/* ---- one of them */

static void forget(struct webhook *webhook)
{
	pthread_join(webhook->thread, NULL);
	settings_free(webhook->settings);
	free(webhook);
}

static const struct webhook_settings *find_wanted(const struct settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->webhook_count; i++)
		if (strcmp(settings->webhooks[i].name, name) == 0)
			return &settings->webhooks[i];
	return NULL;
}

/* Under the lock. One that ends may still have its name. */
static bool is_there(const struct webhooks *webhooks, const char *name)
{
	for (const struct webhook *each = webhooks->all; each; each = each->next)
		if (!each->ends && strcmp(each->wanted->name, name) == 0)
			return true;
	return false;
}

static enum err begin(struct webhooks *webhooks, struct settings *settings,
	const struct webhook_settings *wanted, bool is_first)
{
	struct webhook *webhook = calloc(1, sizeof(*webhook));
	enum err err;

	if (!webhook)
		return ERR_MEMORY;
	webhook->webhooks = webhooks;
	webhook->wanted = wanted;
	webhook->begins_at_newest = is_first && !webhooks->lacks_newest;
	err = web_open(&webhook->web);
	if (!err)
		webhook->settings = settings_hold(settings);
	if (!err && pthread_create(&webhook->thread, NULL, webhook_run, webhook) != 0)
		err = ERR_MEMORY;
	if (err) {
		settings_free(webhook->settings);
		web_close(webhook->web);
		free(webhook);
		return err;
	}
	pthread_mutex_lock(&webhooks->lock);
	webhook->next = webhooks->all;
	webhooks->all = webhook;
	pthread_mutex_unlock(&webhooks->lock);
	return OK;
}

/* Under the lock: those that go on take up the new settings, the others end. */
static void tell_all(struct webhooks *webhooks, struct settings *settings)
{
	for (struct webhook *each = webhooks->all; each; each = each->next) {
		const struct webhook_settings *wanted = find_wanted(settings, each->wanted->name);
		struct settings *old = each->settings;

		each->ends = each->ends || !wanted;
		if (each->ends)
			continue;
		each->settings = settings_hold(settings);
		each->wanted = wanted;
		each->version++;
		settings_free(old);
	}
	pthread_cond_broadcast(&webhooks->change);
}

/* Under the lock: takes off those that are over. */
static struct webhook *take_over(struct webhooks *webhooks)
{
	struct webhook **at = &webhooks->all, *over = NULL;

	while (*at) {
		struct webhook *webhook = *at;

		if (!webhook->is_over) {
			at = &webhook->next;
			continue;
		}
		*at = webhook->next;
		webhook->next = over;
		over = webhook;
	}
	return over;
}

/* ---- all of them */

enum err webhooks_adjust(struct webhooks *webhooks, struct settings *settings)
{
	bool is_first = !webhooks->is_begun;
	struct webhook *over;
	enum err err = OK;

	webhooks->is_begun = true;
	pthread_mutex_lock(&webhooks->lock);
	tell_all(webhooks, settings);
	over = take_over(webhooks);
	pthread_mutex_unlock(&webhooks->lock);
	while (over) {
		struct webhook *next = over->next;

		forget(over);
		over = next;
	}
	for (size_t i = 0; i < settings->webhook_count && !err; i++) {
		bool there;

		pthread_mutex_lock(&webhooks->lock);
		there = is_there(webhooks, settings->webhooks[i].name);
		pthread_mutex_unlock(&webhooks->lock);
		if (!there)
			err = begin(webhooks, settings, &settings->webhooks[i], is_first);
	}
	return err;
}

void webhooks_news(struct webhooks *webhooks)
{
	pthread_mutex_lock(&webhooks->lock);
	webhooks->news++;
	pthread_cond_broadcast(&webhooks->change);
	pthread_mutex_unlock(&webhooks->lock);
}

unsigned webhooks_gone(struct webhooks *webhooks)
{
	unsigned gone = 0;

	pthread_mutex_lock(&webhooks->lock);
	for (const struct webhook *each = webhooks->all; each; each = each->next)
		gone += each->is_gone && !each->ends;
	pthread_mutex_unlock(&webhooks->lock);
	return gone;
}

size_t webhooks_look(struct webhooks *webhooks, int64_t now_ms, struct webhook_gauges *gauges_out)
{
	size_t count = 0;

	pthread_mutex_lock(&webhooks->lock);
	for (const struct webhook *each = webhooks->all; each; each = each->next) {
		int64_t age_ms = each->oldest_ms ? now_ms - each->oldest_ms : 0;

		if (each->ends || !each->is_ours || count == WEBHOOKS_MAX)
			continue;
		gauges_out[count].behind_s = age_ms > 0 ? (uint64_t)age_ms / 1000 : 0;
		snprintf(gauges_out[count].name, sizeof(gauges_out[count].name), "%s",
			each->wanted->name);
		count++;
	}
	pthread_mutex_unlock(&webhooks->lock);
	return count;
}

/* ---- life */

enum err webhooks_open(struct queue *queue, struct log *log, struct metrics *metrics,
	struct webhooks **webhooks_out)
{
	struct webhooks *webhooks = calloc(1, sizeof(*webhooks));
	struct events_job newest = { .job.kind = JOB_EVENTS };
	pthread_condattr_t monotonic;

	if (!webhooks)
		return ERR_MEMORY;
	webhooks->queue = queue;
	webhooks->log = log;
	webhooks->metrics = metrics;
	pthread_mutex_init(&webhooks->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&webhooks->change, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (queue_do(queue, &newest.job) == OK)
		webhooks->newest = newest.newest;
	else
		webhooks->lacks_newest = true;
	*webhooks_out = webhooks;
	return OK;
}

void webhooks_stop(struct webhooks *webhooks)
{
	pthread_mutex_lock(&webhooks->lock);
	webhooks->is_stopped = true;
	pthread_cond_broadcast(&webhooks->change);
	pthread_mutex_unlock(&webhooks->lock);
}

static bool are_over(const struct webhooks *webhooks)
{
	for (const struct webhook *each = webhooks->all; each; each = each->next)
		if (!each->is_over)
			return false;
	return true;
}

static void wait_a_little(struct webhooks *webhooks)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LAST_S;
	pthread_mutex_lock(&webhooks->lock);
	while (!are_over(webhooks) && rc == 0)
		rc = pthread_cond_timedwait(&webhooks->change, &webhooks->lock, &until);
	pthread_mutex_unlock(&webhooks->lock);
}

void webhooks_end(struct webhooks *webhooks)
{
	if (!webhooks)
		return;
	webhooks_stop(webhooks);
	wait_a_little(webhooks);
	atomic_store(&webhooks->must_stop, true);
	while (webhooks->all) {
		struct webhook *webhook = webhooks->all;

		webhooks->all = webhook->next;
		forget(webhook);
	}
}

void webhooks_close(struct webhooks *webhooks)
{
	if (!webhooks)
		return;
	pthread_cond_destroy(&webhooks->change);
	pthread_mutex_destroy(&webhooks->lock);
	free(webhooks);
}
