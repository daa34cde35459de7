#include "service/session/carrier_token.h"

#include "service/clock.h"

enum oauth_state carrier_take_token(struct carrier *carrier, struct oauth_failure *failure_out)
{
	struct oauth *oauth = relay_oauth(carrier->relay);

	return oauth ? oauth_take(oauth, now_us(), &carrier->token, failure_out) : OAUTH_TAKEN;
}

/* Some say so by an error challenge, others by the 535 alone. */
static bool is_refused(const struct carrier *carrier)
{
	const struct smtp_session *session = &carrier->session;

	return carrier->stage == CARRIER_OPENING && carrier->is_connected &&
	       session->said.code == 535 && session->verdict.phase == SMTP_IN_AUTH;
}

static void tell(const struct carrier *carrier)
{
	struct log_line line =
		log_line(carrier->worker->lettergate->log, LOG_INFO, "oauth_token_refused");

	log_string(&line, "relay", relay_settings(carrier->relay)->name);
	log_u64(&line, "smtp_code", carrier->session.said.code);
	log_words(&line, "smtp_text", carrier->session.said.text);
	log_end(&line);
}

bool carrier_may_begin_anew(struct carrier *carrier)
{
	struct oauth *oauth = relay_oauth(carrier->relay);
	bool is_worth_it;

	if (!oauth || !is_refused(carrier))
		return false;
	tell(carrier);
	is_worth_it = oauth_refuse(oauth, buf_text(&carrier->token), now_us());
	return is_worth_it && !carrier->has_begun_anew;
}

void carrier_prove_token(struct carrier *carrier)
{
	struct oauth *oauth = relay_oauth(carrier->relay);

	if (oauth)
		oauth_prove(oauth, buf_text(&carrier->token));
}
