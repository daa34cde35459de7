/* check_token - the access token, where it has to be fetched */
#include "service/check/check_run.h"

#include "service/clock.h"

static void tell_token(struct check_run *run)
{
	struct oauth_facts facts = oauth_facts(run->oauth);
	const char *hint = "";
	struct buf words = buf_born(4096);

	buf_add_string(&words, "the token endpoint gave one, which expires in ");
	if (facts.expires_s % 3600 == 0)
		buf_addf(&words, "%u h", (unsigned)(facts.expires_s / 3600));
	else if (facts.expires_s >= 120)
		buf_addf(&words, "%u min", (unsigned)(facts.expires_s / 60));
	else
		buf_addf(&words, "%u s", (unsigned)facts.expires_s);
	if (facts.is_rotated) {
		buf_add_string(&words, "\nit gave another refresh token, too");
		hint = "SMTP_OAUTH_REFRESH_TOKEN is out of date: if the provider takes each "
		       "refresh token only once, it has to be set anew.";
	}
	check_add(run, "token", facts.is_rotated ? CHECK_WARNING : CHECK_OK, true, &words, hint);
	buf_free(&words);
}

/* The gateway's own, if it runs: two that use up one refresh token would be one too many. */
static bool begin(struct check_run *run)
{
	struct oauth *oauth = run->wish->oauth ? run->wish->oauth : relay_oauth(run->relay);

	run->oauth = oauth;
	if (!oauth)
		return true;
	if (!oauth_start(oauth, NULL, NULL))
		return true;
	check_note(run, "token", CHECK_FAILED, "no thread can be started", "");
	run->stage = CHECK_OVER;
	return false;
}

bool check_token(struct check_run *run)
{
	struct buf words = buf_born(OAUTH_FAILURE_WORDS);
	struct oauth_failure failure;
	enum oauth_state state;

	if (!run->oauth && !begin(run))
		return false;
	if (!run->oauth)
		return true;
	state = oauth_take(run->oauth, now_us(), &run->token, &failure);
	if (state == OAUTH_TAKEN) {
		tell_token(run);
		run->policy.credentials.token = buf_text(&run->token);
	} else if (state == OAUTH_PAUSES) {
		buf_add_string(&words, failure.words);
		check_fail(run, "token", &words, failure.verdict.hint);
	}
	buf_free(&words);
	return state == OAUTH_TAKEN;
}
