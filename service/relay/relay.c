#include "service/clock.h"
#include "service/oauth/oauth.h"
#include "service/relay/relay_own.h"
#include "service/relay/share.h"
#include "service/session/tls.h"

#include <stdlib.h>
#include <string.h>

enum { DISTRUST_US = 60000000 };

static void set_policy(struct relay *relay, const struct relay_settings *settings)
{
	relay->policy = (struct smtp_policy){
		.ehlo_name = text_of(settings->ehlo_name),
		.tls = settings->tls,
		.mechanism = settings->mechanism,
		.authenticates =
			settings->user[0] || settings->token[0] || settings->oauth_token_url[0],
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

enum err relay_open(struct settings *settings, size_t index, unsigned workers,
	struct relay **relay_out, struct buf *why)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	const struct relay_settings *own = &settings->relays[index];
	enum err err;

	if (!relay)
		return ERR_MEMORY;
	atomic_init(&relay->references, 1);
	relay->settings = settings_hold(settings);
	relay->own = own;
	relay->workers = workers;
	turns_open(&relay->turns);
	window_open(&relay->window, own->sessions);
	if (own->rate_per_s > 0)
		relay->interval_us = (uint64_t)(1e6 / own->rate_per_s);
	pthread_mutex_init(&relay->lock, NULL);
	set_policy(relay, own);
	relay_show(relay);
	err = share_open(&relay->share);
	if (!err && own->tls != SMTP_TLS_NONE)
		err = tls_open(own, &relay->tls, why);
	if (!err && own->oauth_token_url[0])
		err = oauth_open(own, &relay->oauth);
	if (err) {
		relay_release(relay);
		return err;
	}
	*relay_out = relay;
	return OK;
}

/* Does it get its tokens as the other one does? */
static bool shares_tokens(const struct relay *relay, const struct relay *other)
{
	if (relay->oauth && other->oauth)
		return oauth_fits(other->oauth, relay->own);
	return !relay->oauth && !other->oauth;
}

static bool is_same_account(const struct relay_settings *one, const struct relay_settings *other)
{
	return strcmp(one->host, other->host) == 0 && one->port == other->port &&
	       one->tls == other->tls && strcmp(one->user, other->user) == 0 &&
	       strcmp(one->pass, other->pass) == 0 && strcmp(one->token, other->token) == 0;
}

static bool is_same_trust(const struct relay_settings *one, const struct relay_settings *other)
{
	return one->tls_min == other->tls_min && one->mechanism == other->mechanism &&
	       strcmp(one->ca_pem, other->ca_pem) == 0 &&
	       strcmp(one->tls_pin, other->tls_pin) == 0 &&
	       strcmp(one->tls_name, other->tls_name) == 0 &&
	       strcmp(one->client_cert_pem, other->client_cert_pem) == 0;
}

void relay_inherit(struct relay *relay, struct relay *old)
{
	unsigned most = relay->own->sessions;

	share_release(relay->share);
	relay->share = share_hold(old->share);
	if (!shares_tokens(relay, old))
		return;
	if (relay->oauth) {
		oauth_release(relay->oauth);
		relay->oauth = oauth_hold(old->oauth);
	}
	if (!is_same_account(relay->own, old->own))
		return;
	pthread_mutex_lock(&old->lock);
	relay->window = old->window;
	relay->learned = old->learned;
	relay->trouble = old->trouble;
	relay->offer = old->offer;
	relay->offer_tls = old->offer_tls;
	relay->worked_ms = old->worked_ms;
	atomic_store(&relay->lacks_token, atomic_load(&old->lacks_token));
	if (relay->window.width == relay->window.most || relay->window.width > most)
		relay->window.width = most;
	relay->window.most = most;
	if (!is_same_trust(relay->own, old->own))
		window_wake(&relay->window); /* that may have been what was wrong */
	relay_show(relay);
	pthread_mutex_unlock(&old->lock);
}

enum err relay_start(struct relay *relay, struct oauth_crew *crew)
{
	return relay->oauth ? oauth_start(relay->oauth, crew, relay->metrics) : OK;
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
	share_release(relay->share);
	oauth_release(relay->oauth);
	tls_close(relay->tls);
	settings_free(relay->settings);
	pthread_mutex_destroy(&relay->lock);
	free(relay);
}

const struct relay_settings *relay_settings(const struct relay *relay)
{
	return relay->own;
}

const struct smtp_policy *relay_policy(const struct relay *relay)
{
	return &relay->policy;
}

struct tls *relay_tls(const struct relay *relay)
{
	return relay->tls;
}

struct oauth *relay_oauth(const struct relay *relay)
{
	return relay->oauth;
}

struct share *relay_share(const struct relay *relay)
{
	return relay->share;
}

struct scram_keys *relay_scram_keys(struct relay *relay, unsigned worker)
{
	return &relay->scram_keys[worker];
}

void relay_count_in(struct relay *relay, struct relay_metrics *metrics)
{
	relay->metrics = metrics;
}

struct relay_metrics *relay_metrics_of(const struct relay *relay)
{
	return relay->metrics;
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

/* ---- to be looked at */

static struct relay_counts counts_of(const struct relay *relay)
{
	return (struct relay_counts){ relay->opening, relay->idle_all,
		relay->established - relay->idle_all, relay->leaving, (unsigned)relay->turns.count,
		relay->window.width, relay->detached,
		(enum smtp_phase)atomic_load(&relay->opening_phase) };
}

struct relay_counts relay_counts(struct relay *relay)
{
	struct relay_counts counts;

	pthread_mutex_lock(&relay->lock);
	counts = counts_of(relay);
	pthread_mutex_unlock(&relay->lock);
	return counts;
}

void relay_state(struct relay *relay, uint64_t now_us, struct relay_state *state_out)
{
	pthread_mutex_lock(&relay->lock);
	*state_out = (struct relay_state){ .counts = counts_of(relay),
		.window = relay->window,
		.learned = relay->learned,
		.trouble = relay->trouble,
		.offer = relay->offer,
		.tls = relay->offer_tls,
		.worked_ms = relay->worked_ms,
		.distrusts_pipelining = relay_distrusts_pipelining(relay, now_us) };
	pthread_mutex_unlock(&relay->lock);
}

bool relay_rests(const struct relay *relay, uint64_t now_us, uint64_t *until_us)
{
	*until_us = atomic_load_explicit(&relay->closed_until_us, memory_order_relaxed);
	return now_us < *until_us;
}

bool relay_is_probing(const struct relay *relay, uint64_t now_us)
{
	return atomic_load_explicit(&relay->is_probing, memory_order_relaxed) ||
	       now_us >= atomic_load_explicit(&relay->unsure_from_us, memory_order_relaxed);
}

uint32_t relay_idle_ms(const struct relay *relay)
{
	return atomic_load_explicit(&relay->idle_ms, memory_order_relaxed);
}

uint32_t relay_lifetime_ms(const struct relay *relay)
{
	return atomic_load_explicit(&relay->lifetime_ms, memory_order_relaxed);
}

uint32_t relay_messages(const struct relay *relay)
{
	return atomic_load_explicit(&relay->messages, memory_order_relaxed);
}

uint32_t relay_recipients(const struct relay *relay)
{
	return atomic_load_explicit(&relay->recipients, memory_order_relaxed);
}

bool relay_hangs_up(const struct relay *relay)
{
	return atomic_load_explicit(&relay->hangs_up, memory_order_relaxed);
}

/* ---- what was found out */

struct relay_notes relay_notes(const struct relay *relay)
{
	return (struct relay_notes){ relay->window, relay->learned };
}

struct relay_news relay_news(const struct relay *relay, const struct relay_notes *before)
{
	const struct window *window = &relay->window;
	struct relay_news news = { .recipients = { before->learned.recipients,
					   relay->learned.recipients } };

	news.rests = window->rest_until_us > before->window.rest_until_us;
	news.works_again = before->window.cause != REST_NONE && window->cause == REST_NONE;
	news.cause = news.works_again ? before->window.cause : window->cause;
	news.rest_us = window->rest_us;
	if (window->width < before->window.width)
		news.width = window->width;
	if (window->interval_us > before->window.interval_us)
		news.interval_us = window->interval_us;
	for (unsigned i = 0; i < LEARNED_LIMITS; i++)
		news.limits[i] = (struct relay_limit_news){ before->learned.limits[i].limit,
			relay->learned.limits[i].limit };
	return news;
}

void relay_learn(struct relay *relay, const struct session_life *life, struct relay_news *news_out)
{
	struct relay_notes before;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	learned_forget_old(&relay->learned, life->ended_us);
	(void)learned_from(&relay->learned, life);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
}

void relay_learn_recipients(
	struct relay *relay, uint32_t taken, uint64_t now_us, struct relay_news *news_out)
{
	struct relay_notes before;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	learned_recipients(&relay->learned, taken, now_us);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
}

void relay_note_offer(struct relay *relay, const struct smtp_features *offer, const char *tls)
{
	pthread_mutex_lock(&relay->lock);
	relay->offer = *offer;
	relay->offer_tls = tls;
	relay->worked_ms = now_unix_ms();
	pthread_mutex_unlock(&relay->lock);
}

void relay_wake(struct relay *relay, struct relay_news *news_out)
{
	struct relay_notes before;

	pthread_mutex_lock(&relay->lock);
	before = relay_notes(relay);
	window_wake(&relay->window);
	relay_show(relay);
	*news_out = relay_news(relay, &before);
	pthread_mutex_unlock(&relay->lock);
}
