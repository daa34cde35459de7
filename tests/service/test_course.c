/* What becomes of a queued message behind an attempt. */
#include "service/queue/course.h"
#include "service/queue/recorded.h"
#include "service/queue/told.h"
#include "service/relay/parts.h"
#include "unit.h"

#include <string.h>

enum { NOW = 1000000, SECOND = 1000 };

static const struct schedule schedule = { .delays_ms = { SECOND, 5 * SECOND }, .count = 2 };
static const struct course_moment moment = { NOW, 0 };
static const struct text names[3] = { { "a@x.test", 8 }, { "b@x.test", 8 }, { "c@x.test", 8 } };

static struct region *region;
static struct stored_recipient to[3];
static struct smtp_answer answers[3];
static struct stored stored;
static struct result result;

static void open_region(void)
{
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
}

static void close_region(void)
{
	region_close(region);
}

static void set_message(size_t count)
{
	stored = (struct stored){ .region = region,
		.to = to,
		.count = count,
		.tries = 1,
		.state = MESSAGE_SENDING,
		.expires_ms = INT64_MAX };
	for (size_t i = 0; i < count; i++)
		to[i] = (struct stored_recipient){
			.address = names[i], .is_open = true, .outcome = SMTP_QUEUED
		};
	result = (struct result){ .count = count, .to = names, .answers = answers };
}

/* "2": taken, "4", "5": at RCPT; "8": 451, "9": 554 to the whole; "d": no connection, "l": login
 * refused, "?": unknown, "w": withheld, "z": the gateway stopped before he was asked for. */
static struct smtp_verdict verdict_of(char letter, struct smtp_said *said_out)
{
	static const struct smtp_said taken = { .code = 250 }, later = { .code = 450 },
				      never = { .code = 550, .enhanced = { 5, 1, 1 } },
				      all_later = { .code = 451 }, all_never = { .code = 554 };
	const struct smtp_verdict_rules rules = { 0 };

	*said_out = (struct smtp_said){ 0 };
	switch (letter) {
	case '2':
		*said_out = taken;
		return (struct smtp_verdict){ .class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED };
	case '4':
		*said_out = later;
		return smtp_verdict_of_said(&later, SMTP_IN_RCPT, rules);
	case '5':
		*said_out = never;
		return smtp_verdict_of_said(&never, SMTP_IN_RCPT, rules);
	case '8':
		result.said = all_later;
		return smtp_verdict_of_said(&all_later, SMTP_IN_DOT, rules);
	case '9':
		result.said = all_never;
		return smtp_verdict_of_said(&all_never, SMTP_IN_DOT, rules);
	case 'd':
		return smtp_verdict_of_loss(SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, false);
	case 'l':
		return smtp_verdict_of_loss(SMTP_LOSS_BAD_AUTH, SMTP_IN_AUTH, false);
	case 'w':
		return smtp_verdict_of_loss(SMTP_LOSS_WITHHELD, SMTP_IN_RCPT, false);
	case 'z':
		return smtp_verdict_of_loss(SMTP_LOSS_DRAINING, SMTP_IN_QUEUE, false);
	default:
		return smtp_verdict_of_loss(SMTP_LOSS_DISCONNECTED, SMTP_IN_DOT, true);
	}
}

static void attempt(const char *letters)
{
	result.count = strlen(letters);
	for (size_t i = 0; i < result.count; i++)
		answers[i].verdict = verdict_of(letters[i], &answers[i].said);
	ck_assert_int_eq(course_note(&stored, &result, &schedule, moment), OK);
}

static const struct {
	const char *letters, *open; /* which are tried again */
	enum message_state state;
	bool hold, all_or_none;
} rows[] = {
	{ "222", "---", MESSAGE_SENT, false, false },
	{ "225", "---", MESSAGE_PARTIAL, false, false },
	{ "555", "---", MESSAGE_FAILED, false, false },
	{ "999", "---", MESSAGE_FAILED, false, false },
	{ "224", "--c", MESSAGE_DEFERRED, false, false },
	{ "245", "-b-", MESSAGE_DEFERRED, false, false },
	{ "888", "abc", MESSAGE_DEFERRED, false, false },
	{ "ddd", "abc", MESSAGE_DEFERRED, false, false },
	/* for the operator, and no reason to give the mail up */
	{ "lll", "abc", MESSAGE_DEFERRED, false, false },
	{ "???", "abc", MESSAGE_DEFERRED, false, false },
	{ "5??", "-bc", MESSAGE_DEFERRED, false, false },
	{ "???", "---", MESSAGE_HELD, true, false },
	{ "2??", "---", MESSAGE_HELD, true, false },
	{ "4??", "a--", MESSAGE_DEFERRED, true, false },
	{ "222", "---", MESSAGE_SENT, true, false },
	{ "ddd", "abc", MESSAGE_DEFERRED, true, false },
	/* all or none */
	{ "w5w", "---", MESSAGE_FAILED, false, true },
	{ "w4w", "abc", MESSAGE_DEFERRED, false, true },
	{ "45w", "---", MESSAGE_FAILED, false, true },
	{ "222", "---", MESSAGE_SENT, false, true },
	{ "???", "abc", MESSAGE_DEFERRED, false, true },
	{ "???", "---", MESSAGE_HELD, true, true },
	{ "lll", "abc", MESSAGE_DEFERRED, false, true },
};

START_TEST(what_comes_of_an_attempt)
{
	char open[4] = "---";

	set_message(3);
	stored.hold_unknown = rows[_i].hold;
	stored.all_or_none = rows[_i].all_or_none;
	attempt(rows[_i].letters);
	for (size_t i = 0; i < 3; i++)
		if (to[i].is_open)
			open[i] = "abc"[i];
	ck_assert_str_eq(open, rows[_i].open);
	ck_assert_str_eq(message_state_name(stored.state), message_state_name(rows[_i].state));
	if (stored.state == MESSAGE_DEFERRED)
		ck_assert_int_eq(stored.due_ms, NOW + SECOND);
}
END_TEST

/* What was decided stays so; the next attempt has the others alone. */
START_TEST(only_open_recipients_are_asked_again)
{
	const struct text *open;
	size_t count;

	set_message(3);
	attempt("245");
	open = course_open_recipients(&stored, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert(text_equal(open[0], names[1]));
	stored.tries = 2;
	result.to = open;
	attempt("2");
	ck_assert_int_eq(stored.state, MESSAGE_PARTIAL);
	ck_assert_int_eq(to[0].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(to[1].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(to[2].outcome, SMTP_REJECTED);
	ck_assert_uint_eq(to[2].said.code, 550);
}
END_TEST

/* What an attempt left unknown stays so, unless a later one was taken. */
static const struct {
	const char *first, *second;
	enum message_state state;
	const char *outcomes; /* of each: "2", "?", or as the second attempt says */
	bool hold;
} doubts[] = {
	{ "???", "ddd", MESSAGE_UNKNOWN, "???", false },
	{ "???", "555", MESSAGE_UNKNOWN, "???", false },
	{ "???", "999", MESSAGE_UNKNOWN, "???", false },
	{ "???", "222", MESSAGE_SENT, "222", false },
	{ "???", "25d", MESSAGE_UNKNOWN, "2??", false },
	{ "?44", "d2d", MESSAGE_UNKNOWN, "?2d", false },
	{ "?44", "244", MESSAGE_PARTIAL, "244", false },
	{ "ddd", "?5d", MESSAGE_UNKNOWN, "?5d", false },
	/* somebody has said that it is to be sent again */
	{ "???", "ddd", MESSAGE_UNKNOWN, "???", true },
	{ "???", "55d", MESSAGE_UNKNOWN, "???", true },
	{ "???", "?5d", MESSAGE_HELD, "???", true },
	{ "???", "222", MESSAGE_SENT, "222", true },
};

static void expect_outcomes(const char *outcomes)
{
	struct smtp_said said;

	for (size_t i = 0; i < stored.count; i++) {
		enum smtp_outcome outcome = verdict_of(outcomes[i], &said).outcome;

		ck_assert_int_eq(to[i].outcome, outcome);
		if (outcome == SMTP_UNKNOWN) {
			ck_assert_int_eq(to[i].phase, SMTP_IN_DOT);
			ck_assert_int_eq(to[i].category, SMTP_OUTCOME_UNKNOWN);
			ck_assert_uint_eq(to[i].said.code, 0);
		}
	}
}

START_TEST(what_is_unknown_stays_so_unless_it_is_taken)
{
	set_message(3);
	stored.hold_unknown = doubts[_i].hold;
	attempt(doubts[_i].first);
	if (stored.state == MESSAGE_HELD)
		stored_reopen(&stored);
	ck_assert(to[0].is_open && to[1].is_open && to[2].is_open);
	stored.expires_ms = NOW;
	stored.tries = 2;
	attempt(doubts[_i].second);
	ck_assert_str_eq(message_state_name(stored.state), message_state_name(doubts[_i].state));
	expect_outcomes(doubts[_i].outcomes);
}
END_TEST

/* A process died over it, and left no attempt: those whom it may have been sent to are as unknown.
 */
START_TEST(what_a_dead_process_may_have_sent_is_unknown)
{
	const struct smtp_answer *told;

	set_message(3);
	stored.maybe_sent = true;
	attempt("25d");
	ck_assert_int_eq(stored.state, MESSAGE_DEFERRED);
	ck_assert(!stored.maybe_sent && to[2].is_open);
	expect_outcomes("2??");
	stored.state = MESSAGE_CANCELLED;
	told = recorded_answers(&stored, region);
	ck_assert_int_eq(told[2].verdict.outcome, SMTP_UNKNOWN);
	ck_assert_uint_eq(told[2].verdict.status, 504);
}
END_TEST

/* The relay's wish counts, also where what it says does not change what is known. */
START_TEST(who_is_unknown_waits_as_the_relay_says)
{
	static const struct smtp_said wait = { .code = 451,
		.text = { "4.7.1 Greylisted, try again in 4 seconds", 40 } };

	set_message(1);
	attempt("?");
	result.said = wait;
	answers[0].verdict =
		smtp_verdict_of_said(&wait, SMTP_IN_DOT, (struct smtp_verdict_rules){ 0 });
	stored.tries = 2;
	ck_assert_int_eq(course_note(&stored, &result, &schedule, moment), OK);
	ck_assert_int_eq(to[0].outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(stored.due_ms, NOW + 4 * SECOND);
}
END_TEST

/* Set aside for its strikes, after it was unknown and somebody wanted it sent again. */
START_TEST(what_is_set_aside_is_as_unknown_as_before)
{
	set_message(2);
	stored.hold_unknown = true;
	attempt("?4");
	stored_reopen(&stored);
	to[0].is_open = true;
	course_hold(&stored, SMTP_SET_ASIDE);
	ck_assert_int_eq(to[0].outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(to[1].outcome, SMTP_NOT_SENT);
}
END_TEST

/* The relay's answer came after all. */
static const struct {
	const char *first, *second; /* attempts; NULL: none. They end at relays "r1" and "r2" */
	char answer;                /* to the first */
	bool hold, is_over, is_cancelled;
	enum message_state state;
	const char *outcomes; /* NULL: nothing changes */
	const char *open;
} lates[] = {
	{ "???", NULL, '2', false, false, false, MESSAGE_SENT, "222", "---" },
	{ "???", NULL, '9', false, false, false, MESSAGE_FAILED, "999", "---" },
	{ "???", NULL, '8', false, false, false, MESSAGE_DEFERRED, "888", "abc" },
	{ "5??", NULL, '2', false, false, false, MESSAGE_PARTIAL, "522", "---" },
	{ "d??", NULL, '2', false, false, false, MESSAGE_DEFERRED, "d22", "a--" },
	{ "???", NULL, '2', false, true, false, MESSAGE_SENT, "222", "---" },
	{ "???", NULL, '8', false, true, false, MESSAGE_FAILED, "888", "---" },
	{ "???", NULL, '2', true, false, false, MESSAGE_SENT, "222", "---" },
	{ "???", NULL, '9', true, false, false, MESSAGE_FAILED, "999", "---" },
	{ "???", NULL, '8', true, false, false, MESSAGE_DEFERRED, "888", "abc" },
	/* of two that are unknown a no tells of one, a yes is enough */
	{ "???", "???", '2', false, false, false, MESSAGE_SENT, "222", "---" },
	{ "???", "???", '9', false, false, false, MESSAGE_DEFERRED, NULL, "abc" },
	{ "???", "ddd", '9', false, false, false, MESSAGE_FAILED, "999", "---" },
	{ "???", "2dd", '2', false, false, false, MESSAGE_SENT, "222", "---" },
	{ "222", NULL, '2', false, false, false, MESSAGE_SENT, NULL, "---" },
	{ "???", NULL, '2', false, false, true, MESSAGE_CANCELLED, "222", "---" },
	{ "???", NULL, '9', false, false, true, MESSAGE_CANCELLED, NULL, "abc" },
};

static void attempt_at(const char *letters, struct text relay, size_t number)
{
	const struct text *open;
	size_t count;

	open = course_open_recipients(&stored, &count);
	ck_assert_uint_eq(count, strlen(letters));
	result.to = open;
	result.attempt_count = 1;
	result.attempts[0] = (struct attempt){ .relay = relay, .outcome = SMTP_UNKNOWN };
	if (!strchr(letters, '?'))
		result.attempts[0].outcome = SMTP_NOT_SENT;
	stored.tries = (unsigned)number;
	attempt(letters);
}

START_TEST(a_late_answer_is_noted_for_those_who_are_unknown)
{
	struct course_late late = { .to = names, .count = 3, .is_whole = true, .at_ms = NOW };
	bool was_changed[3];
	char open[4] = "---";

	set_message(3);
	stored.hold_unknown = lates[_i].hold;
	if (lates[_i].is_over)
		stored.expires_ms = NOW;
	attempt_at(lates[_i].first, TEXT("r1"), 1);
	if (lates[_i].second)
		attempt_at(lates[_i].second, TEXT("r2"), 2);
	if (lates[_i].is_cancelled)
		stored.state = MESSAGE_CANCELLED;
	late.relay = TEXT("r1");
	late.verdict = verdict_of(lates[_i].answer, &late.said);
	late.said.code = lates[_i].answer == '2' ? 250 : 554;
	ck_assert_int_eq(
		course_note_late(&stored, &late, NOW + 1, was_changed), lates[_i].outcomes != NULL);
	for (size_t i = 0; i < 3; i++)
		if (to[i].is_open)
			open[i] = "abc"[i];
	ck_assert_str_eq(open, lates[_i].open);
	ck_assert_str_eq(message_state_name(stored.state), message_state_name(lates[_i].state));
	if (!lates[_i].outcomes)
		return;
	expect_outcomes(lates[_i].outcomes);
	for (size_t i = 0; i < 3; i++)
		ck_assert(!was_changed[i] || to[i].said.code == late.said.code);
	ck_assert_int_eq(stored.attempts[0].attempt.outcome, late.verdict.outcome);
	ck_assert_uint_eq(stored.attempts[0].attempt.said.code, late.said.code);
}
END_TEST

/* A message in parts: it is for those of its part. */
START_TEST(a_late_answer_is_for_its_own_recipients)
{
	struct course_late late = { .to = names + 1, .count = 1, .relay = TEXT("r1") };
	bool was_changed[3];

	set_message(3);
	attempt_at("???", TEXT("r1"), 1);
	late.verdict = verdict_of('2', &late.said);
	ck_assert(course_note_late(&stored, &late, NOW + 1, was_changed));
	ck_assert(!was_changed[0] && was_changed[1] && !was_changed[2]);
	expect_outcomes("?2?");
	ck_assert_int_eq(stored.state, MESSAGE_DEFERRED);
	ck_assert_int_eq(stored.attempts[0].attempt.outcome, SMTP_UNKNOWN);
}
END_TEST

/* What each of three recipients answered so far ("-": not asked yet), whether he is over by that,
 * and whether somebody has it, or may have it. */
static const struct {
	const char *answers;
	bool hold;
	const char *over;
	bool is_any;
} parts[] = {
	{ "2--", false, "y--", true },
	{ "2--", true, "y--", true },
	{ "24-", false, "y--", true },
	{ "25-", false, "yy-", true },
	{ "5--", false, "y--", false },
	{ "4--", false, "---", false },
	{ "?--", false, "---", false },
	{ "?--", true, "y--", true },
};

START_TEST(a_part_decides_over_its_own)
{
	bool closed[3] = { 0 };

	set_message(3);
	stored.hold_unknown = parts[_i].hold;
	for (size_t i = 0; i < 3; i++) {
		answers[i] = (struct smtp_answer){ 0 };
		if (parts[_i].answers[i] == '-')
			continue;
		answers[i].verdict = verdict_of(parts[_i].answers[i], &answers[i].said);
		answers[i].verdict.status = 200;
	}
	ck_assert_int_eq(course_note_part(&stored, &result, closed), parts[_i].is_any);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(closed[i], parts[_i].over[i] == 'y');
		ck_assert_int_eq(to[i].is_open, !closed[i]);
		ck_assert_int_eq(to[i].outcome == SMTP_QUEUED, !closed[i]);
	}
	ck_assert_int_eq(stored.state, MESSAGE_SENDING);
	set_message(3); /* the next one tells nothing new */
	stored.hold_unknown = parts[_i].hold;
	ck_assert(!course_note_part(
		&stored, &(struct result){ .count = 3, .to = names, .answers = answers }, closed));
	ck_assert_int_eq(to[0].is_open, !closed[0]);
}
END_TEST

/* The second and third are asked for, of those that are open; the third was refused by then. */
START_TEST(an_end_may_have_gone_to_its_own)
{
	static size_t places[] = { 0, 1 };
	struct smtp_answer own[2] = { 0 };
	struct part part = { .envelope.count = 2, .places = places, .answers = own };
	struct stored_recipient before_to[3];
	struct smtp_answer *shown;
	struct stored before;

	set_message(3);
	to[0].is_open = false;
	to[0].outcome = SMTP_ACCEPTED;
	memcpy(before_to, to, sizeof(to));
	before = stored;
	before.to = before_to;
	stored.hold_unknown = _i;
	own[1].verdict = verdict_of('5', &own[1].said);
	course_note_end(&stored, &before, &part);
	ck_assert_int_eq(to[0].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(to[1].outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(to[2].outcome, SMTP_QUEUED);
	ck_assert(!to[1].is_open && to[2].is_open);
	ck_assert(!course_is_untold(&stored, &to[0]) && !course_is_untold(&stored, &to[2]));
	ck_assert_int_eq(course_is_untold(&stored, &to[1]), _i);
	if (_i) {
		shown = recorded_answers(&stored, region);
		ck_assert_int_eq(shown[1].verdict.outcome, SMTP_QUEUED); /* he is on his way … */
		ck_assert(shown[1].verdict.retryable);
		stored.state = MESSAGE_DEFERRED;
		shown = recorded_answers(&stored, region);
		ck_assert_int_eq(shown[1].verdict.outcome, SMTP_UNKNOWN); /* … or was */
		ck_assert_int_eq(shown[1].verdict.phase, SMTP_IN_DOT);
	}
	course_find_untold(&stored);
	ck_assert(!course_is_untold(&stored, &to[1])); /* once */
}
END_TEST

START_TEST(others_than_its_own_are_refused)
{
	set_message(3);
	result.to = names + 1;
	result.count = 2;
	ck_assert_int_eq(course_note(&stored, &result, &schedule, moment), ERR_VALUE);
	result.to = names;
	ck_assert_int_eq(course_note(&stored, &result, &schedule, moment), ERR_VALUE);
	ck_assert_int_eq(stored.state, MESSAGE_SENDING);
	ck_assert(to[0].is_open && to[1].is_open && to[2].is_open);
}
END_TEST

static const struct {
	const char *letters;
	enum message_state state;
	bool hold;
	const char *given_up;
} ends[] = {
	{ "444", MESSAGE_FAILED, false, "xxx" },
	{ "244", MESSAGE_PARTIAL, false, "-xx" },
	{ "45d", MESSAGE_FAILED, false, "x-x" },
	{ "??4", MESSAGE_UNKNOWN, false, "xxx" },
	{ "2??", MESSAGE_UNKNOWN, false, "-xx" },
	{ "?44", MESSAGE_HELD, true, "-xx" },
	{ "2zz", MESSAGE_PARTIAL, false, "-xx" },
};

START_TEST(when_its_time_is_over)
{
	set_message(3);
	stored.hold_unknown = ends[_i].hold;
	stored.expires_ms = NOW;
	attempt(ends[_i].letters);
	ck_assert_str_eq(message_state_name(stored.state), message_state_name(ends[_i].state));
	for (size_t i = 0; i < 3; i++) {
		ck_assert(!to[i].is_open);
		ck_assert_int_eq(to[i].is_given_up, ends[_i].given_up[i] == 'x');
	}
}
END_TEST

/* They wait for the next process, as they were, and nothing is told of them: also of who was put
 * off or unknown before. */
START_TEST(whom_a_gateway_that_stops_did_not_get_to_is_due_at_once)
{
	const struct event *events;
	size_t count;

	set_message(3);
	attempt("4?4");
	result.count = 3;
	attempt("2zz");
	ck_assert_int_eq(stored.state, MESSAGE_DEFERRED);
	ck_assert_int_eq(stored.due_ms, NOW);
	ck_assert_int_eq(to[0].outcome, SMTP_ACCEPTED);
	ck_assert(!to[0].is_open && to[1].is_open && to[2].is_open);
	ck_assert_int_eq(to[1].outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(to[2].outcome, SMTP_DEFERRED);
	ck_assert_uint_eq(to[2].said.code, 450);
	events = told_of_attempt(&stored, NULL, NOW, &count);
	ck_assert_ptr_nonnull(events);
	ck_assert_uint_eq(count, 1);
	ck_assert(text_equal(events[0].type, TEXT("message.sent")));
	result.to = names + 1;
	attempt("44");
	ck_assert_int_gt(stored.due_ms, NOW);
	(void)told_of_attempt(&stored, NULL, NOW, &count);
	ck_assert_uint_eq(count, 3);
}
END_TEST

/* What was sent directly was never to be tried again, so its time is not why it ended. */
START_TEST(what_has_no_time_is_not_given_up)
{
	set_message(3);
	stored.expires_ms = 0;
	attempt("4d?");
	ck_assert_int_eq(stored.state, MESSAGE_UNKNOWN);
	for (size_t i = 0; i < 3; i++)
		ck_assert(!to[i].is_open && !to[i].is_given_up);
}
END_TEST

/* The data of a message in parts has several replies, and nobody is told another one's. */
START_TEST(who_took_it_is_told_the_reply_to_its_data)
{
	static const struct smtp_said taken = { 250, { 2, 0, 0 }, { "Ok: queued as 4XyZ", 18 } };
	const struct event *events;
	size_t count;

	for (int mixed = 0; mixed < 2; mixed++) {
		set_message(2);
		result.said = taken;
		result.is_mixed = mixed;
		result.detail = "nobody needs to know";
		attempt("24");
		events = told_of_attempt(&stored, NULL, NOW, &count);
		ck_assert_uint_eq(count, 2);
		ck_assert_int_eq(mixed,
			!text_contains_nocase(events[0].content, TEXT("\"text\":\"Ok: queued")));
		ck_assert_int_eq(mixed,
			!text_contains_nocase(events[0].content, TEXT("\"queue_id\":\"4XyZ\"")));
		ck_assert(!text_contains_nocase(events[1].content, TEXT("queue_id")));
		ck_assert(text_contains_nocase(events[1].content, TEXT("\"code\":450")));
		ck_assert(!text_contains_nocase(events[1].content, TEXT("detail")));
	}
}
END_TEST

/* A later attempt that is known to have failed does not tell why nobody knows of the earlier one.
 */
START_TEST(what_is_unknown_has_no_later_reason)
{
	struct record record = { 0 };
	const struct event *events;
	size_t count;

	set_message(1);
	result.relay_host = TEXT("smtp.example.com");
	for (int i = 0; i < 2; i++) {
		result.detail = i ? "connection refused" : "no answer came";
		result.attempt_count = 1;
		result.attempts[0] = (struct attempt){ .relay = TEXT("primary"),
			.outcome = i ? SMTP_NOT_SENT : SMTP_UNKNOWN,
			.category = i ? SMTP_RELAY_UNREACHABLE : SMTP_OUTCOME_UNKNOWN };
		stored.expires_ms = i ? NOW : INT64_MAX;
		attempt(i ? "d" : "?");
		events = told_of_attempt(&stored, NULL, NOW, &count);
		ck_assert_int_eq(i, !text_contains_nocase(events[0].content, TEXT("\"detail\":")));
	}
	ck_assert(recorded_describe(&stored, region, &record));
	ck_assert_int_eq(record.result.verdict.outcome, SMTP_UNKNOWN);
	ck_assert_ptr_null(strstr(record.result.detail, "refused"));
	ck_assert(!record.result.relay_name.len);
	ck_assert(text_equal(record.detail, TEXT("connection refused"))); /* of that attempt */
}
END_TEST

/* A process died over it: what came of tries before says nothing of that one. */
START_TEST(what_a_process_died_over_has_no_reply)
{
	struct record record = { 0 };

	set_message(1);
	result.relay_host = TEXT("smtp.example.com");
	result.detail = "once upon a time";
	result.attempt_count = 1;
	result.attempts[0] = (struct attempt){
		.outcome = SMTP_UNKNOWN, .category = SMTP_OUTCOME_UNKNOWN, .relay = TEXT("primary")
	};
	attempt("?");
	course_hold(&stored, SMTP_OUTCOME_UNKNOWN);
	ck_assert(recorded_describe(&stored, region, &record));
	ck_assert_int_eq(record.result.verdict.outcome, SMTP_UNKNOWN);
	ck_assert(!record.result.relay_name.len && !record.result.said.code);
	ck_assert(!record.result.detail && !record.detail.len);
}
END_TEST

START_TEST(the_relay_says_when)
{
	static const struct smtp_said wait = { .code = 451,
		.text = { "4.7.1 Greylisted, try again in 4 seconds", 40 } };

	set_message(1);
	result.said = wait;
	answers[0].verdict =
		smtp_verdict_of_said(&wait, SMTP_IN_DOT, (struct smtp_verdict_rules){ 0 });
	stored.tries = 2;
	ck_assert_int_eq(course_note(&stored, &result, &schedule, moment), OK);
	ck_assert_int_eq(stored.due_ms, NOW + 4 * SECOND);
}
END_TEST

/* A message in parts: what the relay said to the last one is no answer to the others. */
START_TEST(who_is_unknown_has_no_answer)
{
	set_message(3);
	result.said = (struct smtp_said){ .code = 250 };
	attempt("2?5");
	ck_assert_uint_eq(to[0].said.code, 250);
	ck_assert_uint_eq(to[1].said.code, 0);
	ck_assert_uint_eq(to[2].said.code, 550);
}
END_TEST

/* Taken, held as unknown, and to come: the last is queued, and the last two are what there is to
 * cancel. */
START_TEST(those_are_told_that_it_is_about)
{
	struct buf told = buf_born(10000);
	struct event event;

	set_message(3);
	stored.hold_unknown = true;
	attempt("2?4");
	told_of_queued(&stored, NOW, &told, &event);
	ck_assert(text_contains_nocase(event.content, TEXT("\"recipients\":[\"c@x.test\"]")));
	ck_assert_int_eq(told_of_cancelled(&stored, NOW, &event), OK);
	ck_assert(text_contains_nocase(
		event.content, TEXT("\"recipients\":[\"b@x.test\",\"c@x.test\"]")));
	ck_assert(text_equal(event.type, TEXT("message.cancelled")));
	buf_free(&told);
}
END_TEST

/* What is told of a cancelled message: certain where it is, and never that anybody took it. */
START_TEST(what_was_cancelled_is_told_so)
{
	static const struct {
		const char *letters;
		enum smtp_outcome all;
		uint16_t status;
		enum smtp_outcome first;
	} cases[] = { { "444", SMTP_NOT_SENT, 409, SMTP_NOT_SENT },
		{ "455", SMTP_NOT_SENT, 409, SMTP_NOT_SENT },
		{ "4?5", SMTP_UNKNOWN, 504, SMTP_NOT_SENT },
		{ "24?", SMTP_PARTIAL, 200, SMTP_ACCEPTED },
		{ "", SMTP_NOT_SENT, 409, SMTP_NOT_SENT } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct smtp_answer *told;
		struct smtp_verdict verdict;

		set_message(3);
		stored.hold_unknown = true;
		if (cases[i].letters[0])
			attempt(cases[i].letters);
		stored.state = MESSAGE_CANCELLED;
		told = recorded_answers(&stored, region);
		ck_assert_ptr_nonnull(told);
		verdict = recorded_verdict(&stored, told);
		ck_assert_int_eq(verdict.outcome, cases[i].all);
		ck_assert_uint_eq(verdict.status, cases[i].status);
		ck_assert_int_eq(told[0].verdict.outcome, cases[i].first);
		ck_assert_uint_eq(told[0].said.code, cases[i].first == SMTP_ACCEPTED ? 250 : 0);
	}
}
END_TEST

/* As out of a backup: nobody was asked, so nobody has taken it. */
START_TEST(what_is_held_untried_is_queued)
{
	struct record record = { 0 };

	set_message(3);
	stored.state = MESSAGE_HELD;
	ck_assert(recorded_describe(&stored, region, &record));
	ck_assert_int_eq(record.result.verdict.outcome, SMTP_QUEUED);
	ck_assert_str_eq(record.state, "held");
	stored.hold_unknown = true;
	attempt("2??");
	ck_assert_int_eq(stored.state, MESSAGE_HELD);
	ck_assert(recorded_describe(&stored, region, &record));
	ck_assert_int_eq(record.result.verdict.outcome, SMTP_PARTIAL);
}
END_TEST

START_TEST(attempts_are_kept_in_order)
{
	set_message(1);
	for (unsigned i = 0; i < 3; i++) {
		stored.tries = i + 1;
		result.attempt_count = 2;
		result.attempts[0].relay = TEXT("first");
		result.attempts[1].relay = TEXT("second");
		result.attempts[1].took_us = i;
		attempt(i < 2 ? "d" : "2");
	}
	ck_assert_uint_eq(stored.attempt_count, 6);
	ck_assert(text_equal(stored.attempts[4].attempt.relay, TEXT("first")));
	ck_assert_uint_eq(stored.attempts[3].attempt.took_us, 1);
	ck_assert_int_eq(stored.attempts[5].at_ms, NOW);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

UNIT_MAIN(course, tcase_add_checked_fixture(cases, open_region, close_region);
	  tcase_add_loop_test(cases, what_comes_of_an_attempt, 0, COUNT(rows));
	  tcase_add_loop_test(cases, when_its_time_is_over, 0, COUNT(ends));
	  tcase_add_test(cases, whom_a_gateway_that_stops_did_not_get_to_is_due_at_once);
	  tcase_add_test(cases, what_has_no_time_is_not_given_up);
	  tcase_add_test(cases, who_took_it_is_told_the_reply_to_its_data);
	  tcase_add_test(cases, what_is_unknown_has_no_later_reason);
	  tcase_add_test(cases, what_a_process_died_over_has_no_reply);
	  tcase_add_test(cases, only_open_recipients_are_asked_again);
	  tcase_add_loop_test(cases, what_is_unknown_stays_so_unless_it_is_taken, 0, COUNT(doubts));
	  tcase_add_test(cases, what_a_dead_process_may_have_sent_is_unknown);
	  tcase_add_test(cases, who_is_unknown_waits_as_the_relay_says);
	  tcase_add_test(cases, what_is_set_aside_is_as_unknown_as_before); tcase_add_loop_test(
		  cases, a_late_answer_is_noted_for_those_who_are_unknown, 0, COUNT(lates));
	  tcase_add_test(cases, a_late_answer_is_for_its_own_recipients);
	  tcase_add_loop_test(cases, a_part_decides_over_its_own, 0, COUNT(parts));
	  tcase_add_loop_test(cases, an_end_may_have_gone_to_its_own, 0, 2);
	  tcase_add_test(cases, others_than_its_own_are_refused);
	  tcase_add_test(cases, the_relay_says_when);
	  tcase_add_test(cases, who_is_unknown_has_no_answer);
	  tcase_add_test(cases, those_are_told_that_it_is_about);
	  tcase_add_test(cases, what_was_cancelled_is_told_so);
	  tcase_add_test(cases, what_is_held_untried_is_queued);
	  tcase_add_test(cases, attempts_are_kept_in_order);)
