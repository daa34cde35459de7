/* gateway_check - POST /relays/{name}/check: a check in a thread of its own
 *
 * It ends by itself within SEND_DEADLINE, and at once when the gateway stops: who asked for it is
 * parked, and has to be woken before the server closes. */
#include "service/gateway_own.h"

#include "http/json/json.h"
#include "service/check/check.h"
#include "service/clock.h"
#include "service/oauth/oauth.h"
#include "service/relay/relay_log.h"

#include <stdlib.h>
#include <string.h>

enum { CHECKS_MAX = 2, TO_ROOM = 256 };

struct job {
	struct lettergate *lettergate;
	struct settings *settings; /* held */
	struct oauth *oauth;       /* held: the relay's; NULL: it has none */
	size_t relay;
	struct checking *checking;
	uint64_t until_us;
	char to[TO_ROOM];
};

/* ---- the report as JSON */

/* Fixed: clients depend on them. */
static const char *const marks[] = { [CHECK_OK] = "ok",
	[CHECK_WARNING] = "warning",
	[CHECK_FAILED] = "failed",
	[CHECK_SKIPPED] = "skipped" };

/* A string, or null for "". */
static void add_some(struct buf *json, const char *name, const char *value)
{
	if (value[0]) {
		json_add_member(json, name, text_of(value));
		return;
	}
	json_add_name(json, name);
	buf_add(json, TEXT("null"));
}

static void add_step(struct buf *json, const struct check_step *step)
{
	json_add_comma(json);
	buf_add_byte(json, '{');
	json_add_member(json, "name", text_of(step->name));
	json_add_member(json, "mark", text_of(marks[step->mark]));
	if (step->us >= 0) {
		json_add_member_ms(json, "ms", (uint64_t)step->us);
	} else {
		json_add_name(json, "ms");
		buf_add(json, TEXT("null"));
	}
	json_add_member(json, "words", text_of(step->words));
	add_some(json, "hint", step->hint);
	buf_add_byte(json, '}');
}

static void add_report(struct buf *json, const char *relay, const struct check_report *report)
{
	buf_add_byte(json, '{');
	json_add_member(json, "relay", text_of(relay));
	json_add_member_bool(json, "sendable", report->is_sendable);
	add_some(json, "why", report->why);
	json_add_name(json, "steps");
	buf_add_byte(json, '[');
	for (size_t i = 0; i < report->count; i++)
		add_step(json, &report->steps[i]);
	buf_add(json, TEXT("]}"));
}

/* Certificates of the settings that cannot be used: a report of one step. */
static void add_refusal(struct buf *json, const char *relay, struct buf *why)
{
	struct check_report report = { .count = 1 };

	buf_add_byte(why, '\0');
	report.why = why->at ? why->at : "";
	report.steps[0] = (struct check_step){ "settings", CHECK_FAILED, -1, report.why, "" };
	add_report(json, relay, &report);
}

/* ---- the thread */

static const char *is_over(void *owner)
{
	const struct job *job = owner;

	if (atomic_load(&job->lettergate->is_draining))
		return "broken off: the gateway is stopping";
	return now_us() > job->until_us
		       ? "broken off: it took longer than SEND_DEADLINE; lettergate check waits as "
			 "long as SMTP_TIMEOUT_… say"
		       : NULL;
}

static void forget(struct job *job)
{
	atomic_fetch_sub(&job->lettergate->checks, 1);
	settings_free(job->settings);
	oauth_release(job->oauth);
	free(job);
}

/* Who tries a relay has mended it, as like as not: if it works, its rest is over. */
static void wake_relay(struct lettergate *lettergate, const char *name)
{
	struct relay_news news;
	struct relay *relay;

	pthread_rwlock_rdlock(&lettergate->lock);
	relay = lettergate->fleet ? fleet_find(lettergate->fleet, text_of(name)) : NULL;
	if (relay) {
		relay_wake(relay, &news);
		relay_log_news(lettergate->log, relay, &news);
	}
	pthread_rwlock_unlock(&lettergate->lock);
}

/* What is ours is gone before done() is called: then the gateway may close. */
static void *run(void *argument)
{
	struct job *job = argument;
	struct checking *checking = job->checking;
	struct check_wish wish = { .to = job->to[0] ? job->to : NULL,
		.is_over = is_over,
		.owner = job,
		.oauth = job->oauth };
	const char *relay = job->settings->relays[job->relay].name;
	struct check_report report;
	struct buf why = buf_born(2048);
	enum err err = check_relay(job->settings, job->relay, &wish, &report, &why);

	if (!err) {
		add_report(&checking->report, relay, &report);
		if (report.is_sendable)
			wake_relay(job->lettergate, relay);
		check_report_free(&report);
	} else if (err != ERR_MEMORY) {
		add_refusal(&checking->report, relay, &why);
	}
	buf_free(&why);
	forget(job);
	checking->done(checking);
	return NULL;
}

/* ---- starting */

static struct oauth *hold_oauth(const struct fleet *fleet, struct text name)
{
	struct relay *relay = fleet ? fleet_find(fleet, name) : NULL;
	struct oauth *oauth = relay ? relay_oauth(relay) : NULL;

	return oauth ? oauth_hold(oauth) : NULL;
}

/* Holds the settings in force, and what fetches the relay's token; relay_count: there is none of
 * this name. */
static size_t find_relay(struct lettergate *lettergate, struct text name,
	struct settings **settings_out, struct oauth **oauth_out)
{
	struct settings *settings;
	size_t i = 0;

	pthread_rwlock_rdlock(&lettergate->lock);
	settings = settings_hold(lettergate->settings);
	*oauth_out = hold_oauth(lettergate->fleet, name);
	pthread_rwlock_unlock(&lettergate->lock);
	while (i < settings->relay_count && !text_equal(name, text_of(settings->relays[i].name)))
		i++;
	*settings_out = settings;
	return i;
}

static enum checking_start launch(struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int failed;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	failed = pthread_create(&thread, &attributes, run, job);
	pthread_attr_destroy(&attributes);
	if (!failed)
		return CHECKING;
	forget(job);
	return CHECKING_TOO_MANY;
}

enum checking_start gateway_check(void *self, struct text name, struct checking *checking)
{
	struct lettergate *lettergate = self;
	struct settings *settings;
	struct oauth *oauth;
	size_t relay = find_relay(lettergate, name, &settings, &oauth);
	bool is_known = relay < settings->relay_count;
	struct job *job = is_known ? calloc(1, sizeof(*job)) : NULL;

	if (!job || atomic_load(&lettergate->is_draining)) {
		enum checking_start refused = !is_known ? CHECKING_NO_RELAY
					      : job     ? CHECKING_DRAINING
							: CHECKING_TOO_MANY;

		settings_free(settings);
		oauth_release(oauth);
		free(job);
		return refused;
	}
	*job = (struct job){ .lettergate = lettergate,
		.settings = settings,
		.oauth = oauth,
		.relay = relay,
		.checking = checking,
		.until_us = now_us() + settings->send_deadline_ms * 1000ull };
	if (checking->to.len < TO_ROOM && checking->to.len) /* an address has 254 at most */
		memcpy(job->to, checking->to.at, checking->to.len);
	if (atomic_fetch_add(&lettergate->checks, 1) >= CHECKS_MAX) {
		forget(job);
		return CHECKING_TOO_MANY;
	}
	return launch(job);
}
