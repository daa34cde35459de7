#include "service/check/check_run.h"

#include "service/clock.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REPORT_BYTES = 1 << 20,
	TRACE_BYTES = 1 << 20,
	TOKEN_BYTES = 16384,
	TICK_MS = 20,
	OTHERS_US = 300000
};

/* ---- the name */

static void looked_up(void *self, int family, enum smtp_loss loss,
	const struct sockaddr_storage *addresses, size_t count)
{
	struct check_run *run = self;

	run->lookups[family == AF_INET6 ? 0 : 1] = NULL;
	if (run->lookup_loss != SMTP_LOSS_NO_LOOKUP)
		run->lookup_loss = loss;
	memcpy(run->addresses + run->count, addresses, count * sizeof(addresses[0]));
	run->count += count;
}

static enum err look_up(struct check_run *run)
{
	static const int families[] = { AF_INET6, AF_INET };
	const struct relay_settings *settings = run->settings;
	enum err err = OK;

	if (resolver_read_address(settings->host, settings->port, &run->addresses[0])) {
		run->count = 1;
		return OK;
	}
	for (int i = 0; i < 2 && !err; i++)
		err = resolver_ask(run->resolver, settings->host, families[i], settings->port,
			looked_up, run, &run->lookups[i]);
	return err;
}

static bool is_looking_up(const struct check_run *run)
{
	return run->lookups[0] || run->lookups[1];
}

static void name_candidates(struct check_run *run)
{
	for (size_t i = 0; i < run->count; i++)
		(void)getnameinfo((struct sockaddr *)&run->addresses[i], sizeof(run->addresses[i]),
			run->candidates[i].host, sizeof(run->candidates[i].host), NULL, 0,
			NI_NUMERICHOST);
}

static void tell_addresses(struct check_run *run)
{
	const char *host = run->settings->host;
	struct buf words = buf_born(4096);

	name_candidates(run);
	if (run->count == 1 && strcmp(run->candidates[0].host, host) == 0) {
		check_note(run, "look-up", CHECK_SKIPPED, "SMTP_HOST is an address", "");
	} else {
		buf_addf(&words, "%s is ", host);
		for (size_t i = 0; i < run->count; i++)
			buf_addf(&words, "%s%s", i ? ", " : "", run->candidates[i].host);
		check_add(run, "look-up", CHECK_OK, true, &words, "");
	}
	buf_free(&words);
}

/* ---- the addresses, all at once */

static void told(void *self, enum link_event event)
{
	struct candidate *candidate = self;
	struct check_run *run = candidate->run;

	if (event == LINK_READY) {
		if (run->stage == CHECK_TALKING && candidate == run->used)
			check_talk_ready(run);
		return;
	}
	candidate->state = event == LINK_CONNECTED ? CANDIDATE_CONNECTED : CANDIDATE_FAILED;
	if (event == LINK_CONNECTED && !run->used) {
		run->used = candidate;
		run->connected_us = now_us();
	}
}

static enum err begin_to_connect(struct check_run *run)
{
	enum err err = OK;

	run->stage = CHECK_CONNECTING;
	run->since_us = now_us();
	for (size_t i = 0; i < run->count && !err; i++) {
		struct candidate *candidate = &run->candidates[i];

		candidate->run = run;
		err = link_open(run->resolver, &run->loop, candidate->host, run->settings->port,
			told, candidate, &candidate->link);
	}
	return err;
}

static bool is_settled(const struct check_run *run)
{
	uint64_t now = now_us();
	bool any_running = false;

	for (size_t i = 0; i < run->count; i++)
		any_running |= run->candidates[i].state == CANDIDATE_RUNNING;
	return !any_running || (run->used && now - run->connected_us >= OTHERS_US) ||
	       now - run->since_us >= run->settings->connect_ms * 1000ull;
}

static void give_up_the_rest(struct check_run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct candidate *candidate = &run->candidates[i];

		if (candidate->state == CANDIDATE_RUNNING) {
			link_give_up(candidate->link, SMTP_LOSS_TIMEOUT);
			candidate->state = CANDIDATE_FAILED;
		}
		if (candidate->state == CANDIDATE_CONNECTED && candidate != run->used) {
			link_close(candidate->link);
			candidate->link = NULL;
		}
	}
}

/* Which address is used, and what became of the others. */
static void tell_connection(struct check_run *run)
{
	struct buf words = buf_born(4096);
	const char *hint = "";

	buf_add_string(&words, link_address(run->used->link));
	for (size_t i = 0; i < run->count; i++) {
		const struct candidate *candidate = &run->candidates[i];

		if (candidate == run->used)
			continue;
		if (candidate->state == CANDIDATE_CONNECTED) {
			buf_addf(&words, "\n%s connects, too", candidate->host);
		} else {
			bool is_silent = link_loss(candidate->link) == SMTP_LOSS_TIMEOUT;

			buf_addf(&words, "\n%s%s", is_silent ? candidate->host : "",
				is_silent ? ": no answer" : link_words(candidate->link));
			if (is_silent)
				hint = "An address that is silent costs each new session up to a "
				       "quarter of a second.";
		}
	}
	/* the loop was left to see what the others do */
	run->since_us += now_us() - run->connected_us;
	check_add(run, "connect", hint[0] ? CHECK_WARNING : CHECK_OK, true, &words, hint);
	buf_free(&words);
}

/* ---- stage by stage */

static enum err advance(struct check_run *run)
{
	uint64_t now = now_us();

	switch (run->stage) {
	case CHECK_GETTING_TOKEN:
		if (!check_token(run))
			return OK;
		run->stage = CHECK_LOOKING_UP;
		run->began_us = run->since_us = now_us();
		return look_up(run);
	case CHECK_LOOKING_UP:
		if (is_looking_up(run) && now - run->began_us < run->settings->connect_ms * 1000ull)
			return OK;
		if (!run->count) {
			check_blame_lookup(run);
			return OK;
		}
		tell_addresses(run);
		return begin_to_connect(run);
	case CHECK_CONNECTING:
		if (!is_settled(run))
			return OK;
		give_up_the_rest(run);
		if (!run->used) {
			check_blame_connect(run);
			return OK;
		}
		tell_connection(run);
		run->stage = CHECK_TALKING;
		check_talk(run);
		return OK;
	case CHECK_TALKING:
		check_talk_tick(run);
		return OK;
	case CHECK_PROBING:
		check_suspect_tick(run);
		return OK;
	default:
		return OK;
	}
}

static void ticked(uv_timer_t *timer)
{
	(void)timer; /* wakes the loop */
}

static void break_off(struct check_run *run)
{
	const char *why = run->wish->is_over(run->wish->owner);
	struct buf words = buf_born(512);

	buf_add_string(&words, why ? why : "");
	if (why)
		check_fail(run, "end", &words, "");
	buf_free(&words);
}

static enum err go(struct check_run *run)
{
	enum err err = resolver_open(&run->loop, NULL, &run->resolver);

	uv_timer_start(&run->tick, ticked, TICK_MS, TICK_MS);
	run->began_us = run->since_us = now_us();
	while (!err && run->stage != CHECK_OVER) {
		err = advance(run);
		if (!err && run->stage != CHECK_OVER && run->wish->is_over)
			break_off(run);
		if (!err && run->stage != CHECK_OVER)
			uv_run(&run->loop, UV_RUN_ONCE);
	}
	return err;
}

static void tidy(struct check_run *run)
{
	for (size_t i = 0; i < run->count; i++)
		link_close(run->candidates[i].link);
	probe_end(&run->probe);
	if (run->is_open)
		smtp_session_close(&run->session);
	for (int i = 0; i < 2; i++)
		if (run->lookups[i])
			lookup_cancel(run->lookups[i]);
	resolver_close(run->resolver);
	uv_close((uv_handle_t *)&run->tick, NULL);
	uv_run(&run->loop, UV_RUN_DEFAULT);
	uv_loop_close(&run->loop);
	relay_release(run->relay);
	buf_wipe(&run->token);
	buf_free(&run->trace);
	buf_free(&run->from);
}

/* ---- the interface */

void check_sender(const struct relay_settings *settings, struct buf *out)
{
	if (strchr(settings->user, '@'))
		buf_add_string(out, settings->user);
	else if (settings->ehlo_name[0] != '[') /* many relays, Exim among them, take no literal */
		buf_addf(out, "postmaster@%s", settings->ehlo_name);
}

static void set_envelope(struct check_run *run)
{
	const struct check_wish *wish = run->wish;

	run->from = buf_born(4096);
	if (wish->from)
		buf_add_string(&run->from, wish->from);
	else
		check_sender(run->settings, &run->from);
	run->to = text_of(wish->to);
	run->envelope = (struct smtp_envelope){ .from = buf_text(&run->from),
		.to = &run->to,
		.count = 1,
		.needs_utf8 = !text_is_ascii(run->to) || !text_is_ascii(buf_text(&run->from)) };
	run->message = (struct smtp_message){ .size = 1024 }; /* never read */
}

static enum err check_remote(
	struct check_run *run, struct settings *settings, size_t relay, struct buf *why)
{
	enum err err = relay_open(settings, relay, 1, &run->relay, why);

	if (err)
		return err;
	run->settings = relay_settings(run->relay);
	run->policy = *relay_policy(run->relay);
	run->token = buf_born(TOKEN_BYTES);
	run->trace = buf_born(TRACE_BYTES);
	set_envelope(run);
	if (uv_loop_init(&run->loop)) {
		relay_release(run->relay);
		buf_free(&run->from);
		return ERR_MEMORY;
	}
	uv_timer_init(&run->loop, &run->tick);
	err = go(run);
	tidy(run);
	return err;
}

static void check_capture(struct check_report *report, const struct check_wish *wish)
{
	static const struct check_step step = { "capture", CHECK_OK, -1,
		"SMTP_HOST=capture: messages are kept in memory and sent nowhere",
		"To send mail, set SMTP_HOST to the name of your provider's SMTP server." };

	report->steps[report->count++] = step;
	report->is_sendable = true;
	if (wish->told)
		wish->told(wish->owner, &step);
}

enum err check_relay(struct settings *settings, size_t relay, const struct check_wish *wish,
	struct check_report *report_out, struct buf *why)
{
	struct check_report report = { .why = "" };
	struct check_run *run;
	enum err err = region_open(REPORT_BYTES, &report.region);

	if (err)
		return err;
	run = calloc(1, sizeof(*run));
	if (!run) {
		check_report_free(&report);
		return ERR_MEMORY;
	}
	run->report = &report;
	run->wish = wish;
	check_dkim(run, &settings->dkim);
	if (strcmp(settings->relays[relay].host, "capture") == 0)
		check_capture(&report, wish);
	else
		err = check_remote(run, settings, relay, why);
	free(run);
	if (err)
		check_report_free(&report);
	else
		*report_out = report;
	return err;
}
