#include "service/carrier_log.h"

#include "service/advice.h"
#include "service/carrier_outcome.h"
#include "service/clock.h"
#include "service/oauth.h"

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
	bool failed = carrier->stage == CARRIER_OPENING;
	struct buf words = buf_born(CARRIER_WORDS);
	struct log_line line = log_line(lettergate->log, failed ? LOG_WARN : LOG_DEBUG,
		failed ? "session_failed" : "session_closed");

	log_string(&line, "relay", relay_settings(carrier->relay)->name);
	log_string(&line, "reason", session_end_name(carrier_end_reason(carrier)));
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

/* The line about the relay, to which more may be added. */
static struct log_line line_about(
	const struct carrier *carrier, enum log_level level, const char *event)
{
	struct log_line line = log_line(carrier->worker->lettergate->log, level, event);

	log_string(&line, "relay", relay_settings(carrier->relay)->name);
	return line;
}

static void log_rest(const struct carrier *carrier, const struct relay_news *news)
{
	struct log_line line = line_about(carrier, LOG_WARN, "relay_rests");

	log_string(&line, "cause", rest_cause_name(news->cause));
	log_ms(&line, "rest_ms", news->rest_us);
	log_end(&line);
}

static void log_working(const struct carrier *carrier, const struct relay_news *news)
{
	struct log_line line = line_about(carrier, LOG_INFO, "relay_works_again");

	log_string(&line, "cause", rest_cause_name(news->cause));
	log_end(&line);
}

static void log_narrowing(const struct carrier *carrier, const struct relay_news *news)
{
	struct log_line line = line_about(carrier, LOG_WARN, "relay_narrowed");

	log_u64(&line, "window", news->width);
	log_end(&line);
}

static void log_slowing(const struct carrier *carrier, const struct relay_news *news)
{
	struct log_line line = line_about(carrier, LOG_WARN, "relay_slowed");

	log_ms(&line, "interval_ms", news->interval_us);
	log_end(&line);
}

/* Where none is known any more, it is the one that was. */
static void log_limit(const struct carrier *carrier, const char *name, bool is_time,
	const struct relay_limit_news *limit)
{
	uint32_t value = limit->now ? limit->now : limit->before;
	struct log_line line;

	if (limit->now == limit->before)
		return;
	line = line_about(carrier, LOG_INFO, limit->now ? "limit_learned" : "limit_forgotten");
	log_string(&line, "limit", name);
	if (is_time)
		log_ms(&line, "value_ms", value * UINT64_C(1000));
	else
		log_u64(&line, "value", value);
	log_end(&line);
}

void carrier_log_news(const struct carrier *carrier, const struct relay_news *news)
{
	if (news->rests)
		log_rest(carrier, news);
	if (news->works_again)
		log_working(carrier, news);
	if (news->width)
		log_narrowing(carrier, news);
	if (news->interval_us)
		log_slowing(carrier, news);
	for (enum learned_limit which = 0; which < LEARNED_LIMITS; which++)
		log_limit(carrier, learned_limit_name(which), which != LEARNED_MESSAGES,
			&news->limits[which]);
	log_limit(carrier, "recipients", false, &news->recipients);
}
