#include "service/relay_own.h"
#include "service/tls.h"

#include <stdlib.h>

enum { DISTRUST_US = 60000000 };

static void set_policy(struct relay *relay, const struct relay_settings *settings)
{
	relay->policy = (struct smtp_policy){
		.ehlo_name = text_of(settings->ehlo_name),
		.tls = settings->tls,
		.mechanism = settings->mechanism,
		.authenticates = settings->user[0] || settings->token[0],
		.credentials = { .user = text_of(settings->user),
			.pass = text_of(settings->pass),
			.token = text_of(settings->token),
			.host = text_of(settings->host),
			.port = settings->port },
		.command_ms = settings->command_ms,
		.max_messages = settings->max_messages,
		.data_ms = settings->data_ms,
		.dot_ms = settings->dot_ms,
		.one_write_bytes = settings->one_write_bytes,
		.clear_auth =
			settings->tls == SMTP_TLS_NONE, /* settings allow it on loopback only */
	};
}

enum err relay_open(
	struct settings *settings, unsigned workers, struct relay **relay_out, struct buf *why)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	enum err err = OK;

	if (!relay) {
		settings_free(settings);
		return ERR_MEMORY;
	}
	atomic_init(&relay->references, 1);
	relay->settings = settings;
	relay->workers = workers;
	relay->last = &relay->first;
	relay->window = settings->relay.sessions;
	if (settings->relay.rate_per_s > 0)
		relay->interval_us = (uint64_t)(1e6 / settings->relay.rate_per_s);
	pthread_mutex_init(&relay->lock, NULL);
	set_policy(relay, &settings->relay);
	if (settings->relay.tls != SMTP_TLS_NONE)
		err = tls_open(&settings->relay, &relay->tls, why);
	if (err) {
		relay_release(relay);
		return err;
	}
	*relay_out = relay;
	return OK;
}

struct relay *relay_hold(struct relay *relay)
{
	atomic_fetch_add(&relay->references, 1);
	return relay;
}

void relay_release(struct relay *relay)
{
	if (!relay || atomic_fetch_sub(&relay->references, 1) > 1)
		return;
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		scram_keys_wipe(&relay->scram_keys[i]);
	tls_close(relay->tls);
	settings_free(relay->settings);
	pthread_mutex_destroy(&relay->lock);
	free(relay);
}

const struct relay_settings *relay_settings(const struct relay *relay)
{
	return &relay->settings->relay;
}

const struct smtp_policy *relay_policy(const struct relay *relay)
{
	return &relay->policy;
}

struct tls *relay_tls(const struct relay *relay)
{
	return relay->tls;
}

struct scram_keys *relay_scram_keys(struct relay *relay, unsigned worker)
{
	return &relay->scram_keys[worker];
}

void relay_distrust_pipelining(struct relay *relay, uint64_t now_us)
{
	atomic_store(&relay->distrust_until_us, now_us + DISTRUST_US);
}

void relay_trust_pipelining(struct relay *relay)
{
	atomic_store(&relay->distrust_until_us, 0);
}

bool relay_distrusts_pipelining(const struct relay *relay, uint64_t now_us)
{
	return now_us < atomic_load_explicit(&relay->distrust_until_us, memory_order_relaxed);
}

void relay_retire(struct relay *relay)
{
	atomic_store(&relay->is_retired, true);
}

bool relay_is_retired(const struct relay *relay)
{
	return atomic_load_explicit(&relay->is_retired, memory_order_relaxed);
}

void relay_note_opening(struct relay *relay, enum smtp_phase phase)
{
	atomic_store(&relay->opening_phase, (int)phase);
}

struct relay_counts relay_counts(struct relay *relay)
{
	struct relay_counts counts;

	pthread_mutex_lock(&relay->lock);
	counts = (struct relay_counts){ relay->opening, relay->idle_all,
		relay->established - relay->idle_all, relay->waiting, relay->window,
		(enum smtp_phase)atomic_load(&relay->opening_phase) };
	pthread_mutex_unlock(&relay->lock);
	return counts;
}
