#include "service/session/carrier_log.h"

#include "service/session/advice.h"
#include "service/session/carrier_outcome.h"
#include "service/clock.h"
#include "service/oauth/oauth.h"
#include "service/relay/relay_log.h"

/* ---- words */

const char *carrier_words(const struct carrier *carrier)
{
	const char *words = carrier->link ? link_words(carrier->link) : "";

	if (carrier->failure)
		return carrier->failure->words;
	if (!words[0] && carrier->is_connected && carrier->session.detail)
		words = carrier->session.detail;
	return words;
}

void carrier_add_opening_words(const struct carrier *carrier, struct buf *words)
{
	const struct smtp_session *session = &carrier->session;

	if (carrier->is_connected && session->loss)
		advice_add_loss(
			relay_settings(carrier->relay), session, link_words(carrier->link), words);
	else
		buf_add_string(words, carrier_words(carrier));
	buf_add_byte(words, '\0');
}

/* ---- lines */

void carrier_log_end(const struct carrier *carrier, const struct smtp_verdict *verdict)
{
	const struct lettergate *lettergate = carrier->worker->lettergate;
	bool drains = verdict->category == SMTP_DRAINING;
	bool failed = carrier->stage == CARRIER_OPENING && !drains;
	struct buf words = buf_born(CARRIER_WORDS);
	struct log_line line = log_line(lettergate->log, failed ? LOG_WARN : LOG_DEBUG,
		failed ? "session_failed" : "session_closed");

	log_string(&line, "relay", relay_settings(carrier->relay)->name);
	log_string(&line, "reason",
		session_end_name(drains ? SESSION_END_DRAIN : carrier_end_reason(carrier)));
	log_u64(&line, "messages", carrier->messages);
	if (failed) {
		log_string(&line, "code", smtp_category_words(verdict->category)->code);
		log_string(&line, "phase", smtp_phase_name(verdict->phase));
		if (carrier->is_connected && carrier->session.said.code) {
			log_u64(&line, "smtp_code", carrier->session.said.code);
			log_words(&line, "smtp_text", carrier->session.said.text);
		}
		carrier_add_opening_words(carrier, &words);
		log_string(&line, "detail", words.err ? carrier_words(carrier) : words.at);
		buf_free(&words);
	}
	log_ms(&line, "age_ms", now_us() - carrier->opened_us);
	log_end(&line);
}

void carrier_log_news(const struct carrier *carrier, const struct relay_news *news)
{
	relay_log_news(carrier->worker->lettergate->log, carrier->relay, news);
}
