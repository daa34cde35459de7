/* oauth_fetch - one request for a token, and what came of it */
#include "service/clock.h"
#include "service/log/log.h"
#include "service/metrics/metrics.h"
#include "service/oauth/oauth_own.h"
#include "service/web.h"

#include <stdio.h>
#include <string.h>

enum { FORM_BYTES = 1 << 20, TREE_BYTES = 8 << 20, WHY_BYTES = 512 };
enum { CONNECT_MS = 5000, ALL_MS = 10000 };

/* ---- what came of a fetch; under the lock */

static void replace(struct buf *secret, struct text with)
{
	buf_wipe(secret);
	buf_add(secret, with);
}

static void note_granted(
	struct oauth *oauth, const struct oauth_answer *answer, uint64_t now, bool *rotated_out)
{
	struct text rotated = answer->refresh_token;
	bool is_first = !oauth->facts.is_rotated;

	replace(&oauth->token, answer->token);
	if (oauth->grant.refresh_token.len && rotated.len &&
		!text_equal(rotated, oauth->grant.refresh_token)) {
		replace(&oauth->refresh_token, rotated);
		oauth->facts.is_rotated = true;
	}
	*rotated_out = is_first && oauth->facts.is_rotated;
	oauth->facts.took_us = now - oauth->life.began_us;
	oauth->facts.expires_s = answer->expires_s;
	oauth_life_granted(&oauth->life, answer->expires_s);
}

static void note_failed(struct oauth *oauth, const struct oauth_answer *answer, const char *words)
{
	snprintf(oauth->words, sizeof(oauth->words), "%s", words);
	oauth->hint = answer->result == OAUTH_REFUSED ? oauth_hint(answer->error)
						      : "Try again later. If it lasts, check "
							"SMTP_OAUTH_TOKEN_URL, and whether this "
							"machine may connect to it.";
	oauth_life_failed(&oauth->life, answer->result == OAUTH_REFUSED, now_us());
}

/* ---- the log; without the lock, by the thread alone, which changes all that is read here */

static void log_granted(struct oauth *oauth, bool is_rotated)
{
	struct log_line line = log_line(oauth->log, LOG_INFO, "oauth_token");

	log_string(&line, "relay", oauth->relay);
	log_ms(&line, "took_ms", oauth->facts.took_us);
	log_u64(&line, "expires_s", oauth->facts.expires_s);
	log_end(&line);
	if (!is_rotated)
		return;
	line = log_line(oauth->log, LOG_WARN, "oauth_refresh_token_changed");
	log_string(&line, "relay", oauth->relay);
	log_string(&line, "detail",
		"the token endpoint gave another refresh token, which is used from now on: "
		"SMTP_OAUTH_REFRESH_TOKEN is out of date, and may be refused after a restart");
	log_end(&line);
}

/* `words`: of this fetch; those in *oauth may be others by now. */
static void log_failed(struct oauth *oauth, enum smtp_category category, const char *words)
{
	struct log_line line = log_line(oauth->log, LOG_WARN, "oauth_failed");

	log_string(&line, "relay", oauth->relay);
	log_string(&line, "code", smtp_category_words(category)->code);
	log_words(&line, "detail", text_of(words));
	log_end(&line);
}

/* ---- one request */

/* What is asked with now. Nobody else changes the refresh token. */
static struct oauth_grant current_grant(const struct oauth *oauth)
{
	struct oauth_grant grant = oauth->grant;

	if (oauth->refresh_token.len)
		grant.refresh_token = buf_text(&oauth->refresh_token);
	return grant;
}

static void conclude(struct oauth *oauth, const struct oauth_answer *answer, const char *words)
{
	bool is_granted = answer->result == OAUTH_GRANTED, is_rotated = false;

	pthread_mutex_lock(&oauth->lock);
	if (is_granted)
		note_granted(oauth, answer, now_us(), &is_rotated);
	else
		note_failed(oauth, answer, words);
	pthread_mutex_unlock(&oauth->lock);
	if (atomic_load(&oauth->must_stop))
		return; /* it was broken off, and is nobody's */
	metrics_token(oauth->metrics, answer->result);
	if (!oauth->log)
		return;
	if (is_granted)
		log_granted(oauth, is_rotated);
	else
		log_failed(oauth,
			answer->result == OAUTH_REFUSED ? SMTP_RELAY_AUTH_FAILED
							: SMTP_RELAY_AUTH_TEMPORARY,
			words);
}

static void add_part(struct buf *words, struct text part)
{
	if (part.len) {
		buf_add_string(words, ": ");
		buf_add(words, part);
	}
}

/* "no access token from https://…: 400: invalid_grant: It was revoked." `why`: there was no answer.
 */
static void add_words(const struct oauth *oauth, long status, const struct oauth_answer *answer,
	struct text why, struct buf *words)
{
	buf_add_string(words, "no access token from ");
	buf_add(words, oauth->shown_url);
	add_part(words, why);
	if (status && status != 200)
		buf_addf(words, ": %ld", status);
	add_part(words, text_of(answer->why));
	add_part(words, answer->error);
	add_part(words, answer->description);
	buf_add_byte(words, '\0');
}

void oauth_wipe_text(struct text secret)
{
	if (secret.len)
		explicit_bzero((char *)secret.at, secret.len); /* ours, in a region */
}

/* Grants over HTTP. Where there was no answer, *why says why. */
static enum err ask(struct oauth *oauth, const struct oauth_grant *grant, long *status_out,
	struct buf *body, struct buf *why)
{
	static const char *const headers[] = { "Accept: application/json", NULL };
	struct buf form = buf_born(FORM_BYTES);
	struct web_post post = { .url = oauth->url,
		.headers = headers,
		.connect_ms = CONNECT_MS,
		.all_ms = ALL_MS,
		.must_stop = &oauth->must_stop };
	struct web_answer answer = { 0 };
	enum err err;

	oauth_add_request(grant, &form);
	err = form.err;
	post.body = buf_text(&form);
	if (!err)
		err = web_post(&post, &answer, body, why);
	*status_out = answer.status;
	if (err && !why->len)
		buf_add_string(why, err_text(err));
	buf_wipe(&form);
	return err;
}

void oauth_fetch(struct oauth *oauth)
{
	struct oauth_grant grant = current_grant(oauth);
	struct oauth_answer answer = { .result = OAUTH_FAILED };
	struct buf body = buf_born(OAUTH_ANSWER_BYTES), why = buf_born(WHY_BYTES);
	struct buf words = buf_born(OAUTH_FAILURE_WORDS);
	struct region *region = NULL;
	long status = 0;
	enum err err = region_open(TREE_BYTES, &region);

	if (!err)
		err = ask(oauth, &grant, &status, &body, &why);
	if (!err)
		oauth_read_answer(status, &body, &grant, region, &answer);
	add_words(oauth, err ? 0 : status, &answer, buf_text(&why), &words);
	conclude(oauth, &answer, words.err ? "no access token" : words.at);
	oauth_wipe_text(answer.token);
	oauth_wipe_text(answer.refresh_token);
	region_close(region);
	buf_wipe(&body);
	buf_free(&why);
	buf_free(&words);
}
