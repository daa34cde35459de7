/* oauth - an OAuth 2.0 access token for one relay, fetched before anybody needs it
 *
 * A thread of its own asks the token endpoint: at the start, before the token expires, and when the
 * relay refuses it; one request at a time, whoever waits. What the endpoint says is logged, and no
 * secret ever. All functions are for any thread, and none waits for it; but see oauth_start. */
#pragma once

#include "service/oauth/oauth_life.h"
#include "service/settings/settings.h"

struct oauth;
struct oauth_crew;
struct relay_metrics;

/* For a relay that has a token endpoint. Copies what it needs; fetches nothing yet. */
MUST_USE enum err oauth_open(const struct relay_settings *settings, struct oauth **oauth_out);
/* References: oauth_open gives the first, and the last release ends the thread, within a second.
 * NULL is fine for release. */
struct oauth *oauth_hold(struct oauth *oauth);
void oauth_release(struct oauth *oauth);
/* Are these the settings that it was made from? Then it can serve that relay, too. */
bool oauth_fits(const struct oauth *oauth, const struct relay_settings *settings);
/* Starts the thread, one of `crew`, and has it counted in `metrics`: both are kept, and outlive it.
 * Without a crew nothing is logged, and the last release waits for the thread; `metrics` NULL: it
 * is not counted. Where it runs, whatever failed is tried again at once. */
MUST_USE enum err oauth_start(
	struct oauth *oauth, struct oauth_crew *crew, struct relay_metrics *metrics);

enum { OAUTH_FAILURE_WORDS = 640 };

/* Why there is no token. */
struct oauth_failure {
	struct smtp_verdict verdict;     /* relay_auth_temporary, or relay_auth_failed */
	char words[OAUTH_FAILURE_WORDS]; /* printable: what happened */
};

/* OAUTH_TAKEN: the token is appended to `token_out`, whose error the caller looks at. OAUTH_WAITS:
 * ask again soon, one is on its way. OAUTH_PAUSES: it could not be fetched, see *failure_out. */
enum oauth_state oauth_take(struct oauth *oauth, uint64_t now_us, struct buf *token_out,
	struct oauth_failure *failure_out);
/* The relay says that this token is no good. True: another takes its place, or already has: try
 * once more. False: it had been fetched for one that was refused. */
bool oauth_refuse(struct oauth *oauth, struct text token, uint64_t now_us);
/* The relay took this token. */
void oauth_prove(struct oauth *oauth, struct text token);
/* Is there a token that is good for now? Nothing is wanted by it. */
bool oauth_has_token(struct oauth *oauth, uint64_t now_us);

/* What came of the last fetch that went well, for people. */
struct oauth_facts {
	uint64_t took_us, expires_s;
	bool is_rotated; /* the refresh token in the settings is out of date */
};
struct oauth_facts oauth_facts(struct oauth *oauth);
