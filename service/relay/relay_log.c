#include "service/relay/relay_log.h"

#include "service/log/log.h"

/* Whose line it is. */
struct subject {
	struct log *log;
	const struct relay *relay;
};

/* The line about the relay, to which more may be added. */
static struct log_line line_about(
	const struct subject *subject, enum log_level level, const char *event)
{
	struct log_line line = log_line(subject->log, level, event);

	log_string(&line, "relay", relay_settings(subject->relay)->name);
	return line;
}

static void log_rest(const struct subject *subject, const struct relay_news *news)
{
	struct log_line line = line_about(subject, LOG_WARN, "relay_rests");

	log_string(&line, "cause", rest_cause_name(news->cause));
	log_ms(&line, "rest_ms", news->rest_us);
	log_end(&line);
}

static void log_working(const struct subject *subject, const struct relay_news *news)
{
	struct log_line line = line_about(subject, LOG_INFO, "relay_works_again");

	log_string(&line, "cause", rest_cause_name(news->cause));
	log_end(&line);
}

static void log_narrowing(const struct subject *subject, const struct relay_news *news)
{
	struct log_line line = line_about(subject, LOG_WARN, "relay_narrowed");

	log_u64(&line, "window", news->width);
	log_end(&line);
}

static void log_slowing(const struct subject *subject, const struct relay_news *news)
{
	struct log_line line = line_about(subject, LOG_WARN, "relay_slowed");

	log_ms(&line, "interval_ms", news->interval_us);
	log_end(&line);
}

/* Where none is known any more, it is the one that was. */
static void log_limit(const struct subject *subject, const char *name, bool is_time,
	const struct relay_limit_news *limit)
{
	uint32_t value = limit->now ? limit->now : limit->before;
	struct log_line line;

	if (limit->now == limit->before)
		return;
	line = line_about(subject, LOG_INFO, limit->now ? "limit_learned" : "limit_forgotten");
	log_string(&line, "limit", name);
	if (is_time)
		log_ms(&line, "value_ms", value * UINT64_C(1000));
	else
		log_u64(&line, "value", value);
	log_end(&line);
}

void relay_log_news(struct log *log, const struct relay *relay, const struct relay_news *news)
{
	const struct subject subject = { log, relay };

	if (news->rests)
		log_rest(&subject, news);
	if (news->works_again)
		log_working(&subject, news);
	if (news->width)
		log_narrowing(&subject, news);
	if (news->interval_us)
		log_slowing(&subject, news);
	for (enum learned_limit which = 0; which < LEARNED_LIMITS; which++)
		log_limit(&subject, learned_limit_name(which), which != LEARNED_MESSAGES,
			&news->limits[which]);
	log_limit(&subject, "recipients", false, &news->recipients);
}
