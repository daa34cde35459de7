#include "smtp/verdict/verdict.h"
#include "unit.h"

#include <string.h>

#include "smtp/verdict_rows.h"

static struct smtp_said read_said(struct smtp_reply *reply, const char *wire)
{
	struct text line = text_of(wire), end = TEXT("\r\n");

	ck_assert_int_eq(smtp_reply_feed(reply, &line), SMTP_MORE);
	ck_assert_int_eq(smtp_reply_feed(reply, &end), SMTP_DONE);
	return smtp_reply_said(reply);
}

static bool may_help(const char *wire, enum smtp_phase phase, bool reused)
{
	struct smtp_verdict_rules rules = { .reused = reused };
	struct smtp_reply reply = { 0 };
	struct smtp_said said = read_said(&reply, wire);

	return smtp_verdict_of_said(&said, phase, rules).fresh_may_help;
}

START_TEST(a_reply_means_what_the_map_says)
{
	struct smtp_reply reply = { 0 };
	struct smtp_said said = read_said(&reply, rows[_i].wire);
	struct smtp_verdict verdict =
		smtp_verdict_of_said(&said, rows[_i].phase, (struct smtp_verdict_rules){ 0 });
	const char *category = smtp_category_words(verdict.category)->code;

	ck_assert_msg(strcmp(category, rows[_i].category) == 0, "%s at %s: %s, not %s",
		rows[_i].wire, smtp_phase_name(rows[_i].phase), category, rows[_i].category);
	ck_assert_msg(verdict.status == rows[_i].status, "%s at %s: %u", rows[_i].wire,
		smtp_phase_name(rows[_i].phase), verdict.status);
	ck_assert_msg(verdict.retryable == rows[_i].retryable, "%s", rows[_i].wire);
	ck_assert_str_eq(smtp_outcome_name(verdict.outcome), rows[_i].outcome);
	ck_assert(verdict.status != 503 || verdict.retry_after_s > 0);
	ck_assert(!verdict.fresh_may_help);
	ck_assert_ptr_nonnull(verdict.hint);
}
END_TEST

START_TEST(a_fresh_session_is_tried_where_the_old_one_may_be_the_cause)
{
	static const struct {
		const char *wire;
		enum smtp_phase phase;
		bool may_help;
	} cases[] = { { "421 bye", SMTP_IN_MAIL, true }, { "421 bye", SMTP_IN_RCPT, true },
		{ "421 bye", SMTP_IN_DATA, true }, { "421 bye", SMTP_IN_CONTENT, true },
		{ "421 bye", SMTP_IN_DOT, false }, { "421 bye", SMTP_IN_AUTH, false },
		{ "221 bye", SMTP_IN_MAIL, true }, { "221 bye", SMTP_IN_DOT, false },
		{ "450 4.7.0 enough", SMTP_IN_MAIL, true }, { "452 enough", SMTP_IN_MAIL, true },
		{ "503 5.5.1 Sender already specified", SMTP_IN_MAIL, true },
		{ "503 5.7.0 No identity changes permitted", SMTP_IN_MAIL, true },
		{ "550 no", SMTP_IN_MAIL, false }, { "450 no", SMTP_IN_RCPT, false },
		{ "450 no", SMTP_IN_DOT, false } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(may_help(cases[i].wire, cases[i].phase, true) == cases[i].may_help,
			"%s at %s", cases[i].wire, smtp_phase_name(cases[i].phase));
		ck_assert(!may_help(cases[i].wire, cases[i].phase, false));
	}
}
END_TEST

START_TEST(provider_overrides_can_be_left_out)
{
	struct smtp_verdict_rules plain = { .no_overrides = true };
	struct smtp_reply reply = { 0 };
	struct smtp_said said = read_said(&reply, "550 5.4.5 Daily user sending limit exceeded");
	struct smtp_verdict verdict = smtp_verdict_of_said(&said, SMTP_IN_DOT, plain);

	ck_assert_int_eq(verdict.category, SMTP_RELAY_THROTTLED);
	ck_assert_uint_eq(verdict.status, 502);
	ck_assert(!verdict.retryable);
}
END_TEST

static const struct {
	enum smtp_loss loss;
	const char *category;
	uint16_t status;
	bool retryable;
} losses[] = {
	{ SMTP_LOSS_NO_NAME, "relay_dns", 502, true },
	{ SMTP_LOSS_NO_LOOKUP, "relay_dns", 503, true },
	{ SMTP_LOSS_UNREACHABLE, "relay_unreachable", 503, true },
	{ SMTP_LOSS_TIMEOUT, "relay_timeout", 504, true },
	{ SMTP_LOSS_DEADLINE, "relay_timeout", 504, true }, /* it had a session */
	{ SMTP_LOSS_DISCONNECTED, "relay_disconnected", 503, true },
	{ SMTP_LOSS_CERTIFICATE, "tls_verify_failed", 502, false },
	{ SMTP_LOSS_HANDSHAKE, "tls_handshake_failed", 502, true },
	{ SMTP_LOSS_WRONG_PROTOCOL, "wrong_protocol", 502, false },
	{ SMTP_LOSS_GARBLED, "protocol_error", 502, true },
	{ SMTP_LOSS_NO_TLS, "tls_unavailable", 502, false },
	{ SMTP_LOSS_NO_AUTH, "auth_unavailable", 502, false },
	{ SMTP_LOSS_BAD_AUTH, "relay_auth_failed", 502, false },
	{ SMTP_LOSS_NO_TOKEN, "relay_auth_temporary", 503, true },
	{ SMTP_LOSS_NO_FEATURE, "unsupported_feature", 422, false },
	{ SMTP_LOSS_TOO_LARGE, "message_too_large", 413, false },
	{ SMTP_LOSS_WITHHELD, "policy_rejected", 422, false },
	{ SMTP_LOSS_DRAINING, "draining", 503, true },
	{ SMTP_LOSS_UNFENCED, "storage_unavailable", 503, true },
	{ SMTP_LOSS_INTERNAL, "internal", 503, true },
};

START_TEST(a_deadline_in_the_queue_is_our_own)
{
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_DEADLINE, SMTP_IN_QUEUE, false);

	ck_assert_str_eq(smtp_category_words(verdict.category)->code, "deadline_passed");
	ck_assert_uint_eq(verdict.status, 504);
	ck_assert_int_eq(verdict.outcome, SMTP_NOT_SENT);
}
END_TEST

START_TEST(a_loss_means_what_the_map_says)
{
	struct smtp_verdict before = smtp_verdict_of_loss(losses[_i].loss, SMTP_IN_RCPT, false);
	struct smtp_verdict behind = smtp_verdict_of_loss(losses[_i].loss, SMTP_IN_DOT, true);

	ck_assert_str_eq(smtp_category_words(before.category)->code, losses[_i].category);
	ck_assert_uint_eq(before.status, losses[_i].status);
	ck_assert_int_eq(before.retryable, losses[_i].retryable);
	ck_assert_int_eq(before.outcome, SMTP_NOT_SENT);
	ck_assert(before.status != 503 || before.retry_after_s > 0);
	/* behind the last byte every loss is unknown */
	ck_assert_int_eq(behind.outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(behind.class, SMTP_UNCERTAIN);
	ck_assert_int_eq(behind.category, SMTP_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(behind.status, 504);
	ck_assert(!behind.retryable);
	ck_assert_int_eq(behind.phase, SMTP_IN_DOT);
}
END_TEST

START_TEST(every_category_has_words)
{
	const struct smtp_category_words *words = smtp_category_words((enum smtp_category)_i);

	ck_assert(words->code && words->code[0]);
	ck_assert(words->title && words->title[0]);
	ck_assert(_i == SMTP_OK_CATEGORY || words->meaning[0]);
	ck_assert_uint_ge(words->status, 200);
	for (int other = 0; other < _i; other++)
		ck_assert_str_ne(words->code, smtp_category_words((enum smtp_category)other)->code);
}
END_TEST

START_TEST(the_verdict_over_all_is_the_contracts)
{
	static const struct {
		const char *at_rcpt[3]; /* NULL: taken */
		const char *outcome;
		uint16_t status;
	} cases[] = {
		{ { NULL, NULL, NULL }, "accepted", 200 },
		{ { NULL, "550 no", NULL }, "partial", 200 },
		{ { "450 no", NULL, "550 no" }, "partial", 200 },
		{ { "550 no", "450 no", "550 no" }, "deferred", 503 },
		{ { "550 no", "550 no", "553 no" }, "rejected", 422 },
		/* one was refused by nobody: it may be tried again */
		{ { "421 bye", "550 no", "550 no" }, "not_sent", 503 },
		{ { "421 bye", "450 no", "550 no" }, "deferred", 503 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_answer answers[3] = { 0 };
		struct smtp_verdict all;

		for (size_t to = 0; to < 3; to++) {
			const char *wire = cases[i].at_rcpt[to];
			struct smtp_reply reply = { 0 };
			struct smtp_said said = read_said(&reply, wire ? wire : "250 ok");

			answers[to].verdict = smtp_verdict_of_said(
				&said, SMTP_IN_RCPT, (struct smtp_verdict_rules){ 0 });
		}
		all = smtp_verdict_of_all(answers, 3);
		ck_assert_str_eq(smtp_outcome_name(all.outcome), cases[i].outcome);
		ck_assert_uint_eq(all.status, cases[i].status);
		ck_assert(all.status != 503 || all.retry_after_s > 0);
	}
}
END_TEST

static const struct {
	const char *said;
	uint32_t seconds;
} waits[] = {
	{ "try again in 5 minutes", 300 },
	{ "Greylisted for 60s", 60 },
	{ "Greylisted, see http://example.org/help?x=1 for 300 seconds", 300 },
	{ "please retry after 300 seconds", 300 },
	{ "Try again later, in 1 hour", 3600 },
	{ "wait 90 sec", 90 },
	{ "Temporarily deferred; retry in 2 hours", 7200 },
	{ "You have been greylisted. Please wait 4min", 240 },
	{ "try again in 300", 0 },
	{ "Limit of 500 messages per 1 day reached, try again in 10 minutes", 600 },
	{ "Only 5 mails every 2 minutes; try again later", 0 },
	{ "Your domain is 3 days old, try again later", 0 },
	{ "try again in 1 day", 86400 },
	{ "Daily limit reached, please try again after 2 days.", 2 * 86400 },
	{ "try again in 1 daydream", 0 },
	{ "try again in 40 hours", 144000 },
	{ "try again in 7 days", 7 * 86400 },
	{ "try again in 8 days", 7 * 86400 },
	{ "try again in 400 hours", 7 * 86400 },
	{ "try again in 18446744073709551615 days", 7 * 86400 },
	{ "try again in 99999999999999999999 seconds", 0 },
	{ "try again in 30 minutes and 20 seconds", 1800 },
	{ "10.0.0.1 blocked, try later", 0 },
	{ "mailbox of 5 minutes", 0 },
	{ "retry in 0 seconds", 0 },
	{ "retry", 0 },
	{ "", 0 },
};

START_TEST(a_time_to_wait_is_read_from_words)
{
	ck_assert_msg(smtp_retry_after_s(text_of(waits[_i].said)) == waits[_i].seconds, "%s: %u",
		waits[_i].said, smtp_retry_after_s(text_of(waits[_i].said)));
}
END_TEST

static const struct {
	const char *said, *id;
} ids[] = {
	{ "Ok: queued as 4XyZ", "4XyZ" },
	{ "Ok: queued as 3FA9E401C2", "3FA9E401C2" },
	{ "Ok: 12345 bytes queued as 4c9XrT0zQmz1", "4c9XrT0zQmz1" },
	{ "OK id=1tABcd-0001-2x", "1tABcd-0001-2x" },
	{ "OK id=1tABcd-00000001xyz-2AbC", "1tABcd-00000001xyz-2AbC" },
	{ "4AB1c2D3012345 Message accepted for delivery", "4AB1c2D3012345" },
	{ "a1b2c3d4 Message accepted for delivery", "a1b2c3d4" },
	{ "Message accepted for delivery: a1b2c3d4", "a1b2c3d4" },
	{ "<x@example.com> [InternalId=42949672960, Hostname=HOST.example] Queued mail for "
	  "delivery",
		"42949672960" },
	{ "OK  1700000000 d2e1a72fcca58-6c4.12 - gsmtp", "d2e1a72fcca58-6c4.12" },
	{ "Ok 0102018f0a1b2c3d-11111111-2222-3333-4444-555555555555-000000",
		"0102018f0a1b2c3d-11111111-2222-3333-4444-555555555555-000000" },
	{ "Ok", "" },
	{ "Message accepted for delivery", "" },
	{ "thanks", "" },
	{ "", "" },
};

START_TEST(the_relays_name_for_the_message_is_read)
{
	struct text id = smtp_queue_id(text_of(ids[_i].said));

	ck_assert_msg(text_equal(id, text_of(ids[_i].id)), "%s: %.*s", ids[_i].said, (int)id.len,
		id.at ? id.at : "");
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

UNIT_MAIN(verdict, tcase_add_loop_test(cases, a_reply_means_what_the_map_says, 0, COUNT(rows));
	  tcase_add_test(cases, a_fresh_session_is_tried_where_the_old_one_may_be_the_cause);
	  tcase_add_test(cases, provider_overrides_can_be_left_out);
	  tcase_add_test(cases, a_deadline_in_the_queue_is_our_own);
	  tcase_add_loop_test(cases, a_loss_means_what_the_map_says, 0, COUNT(losses));
	  tcase_add_loop_test(cases, every_category_has_words, 0, SMTP_CATEGORIES);
	  tcase_add_test(cases, the_verdict_over_all_is_the_contracts);
	  tcase_add_loop_test(cases, a_time_to_wait_is_read_from_words, 0, COUNT(waits));
	  tcase_add_loop_test(cases, the_relays_name_for_the_message_is_read, 0, COUNT(ids));)
