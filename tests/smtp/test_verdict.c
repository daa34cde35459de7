#include "smtp/verdict.h"
#include "unit.h"

static const struct {
	uint16_t code;
	struct smtp_enhanced enhanced;
	const char *text;
	enum smtp_phase phase;
	enum smtp_category category;
	uint16_t status;
	enum smtp_outcome outcome;
} rows[] = {
	{ 250, { 2, 0, 0 }, "Ok", SMTP_IN_DOT, SMTP_OK_CATEGORY, 200, SMTP_ACCEPTED },
	{ 250, { 0 }, "Ok", SMTP_IN_DATA, SMTP_PROTOCOL_ERROR, 502, SMTP_NOT_SENT },
	{ 354, { 0 }, "go", SMTP_IN_DOT, SMTP_OUTCOME_UNKNOWN, 504, SMTP_UNKNOWN },
	{ 421, { 4, 3, 2 }, "bye", SMTP_IN_MAIL, SMTP_RELAY_BUSY, 503, SMTP_NOT_SENT },
	{ 421, { 4, 3, 2 }, "bye", SMTP_IN_DOT, SMTP_RELAY_BUSY, 503, SMTP_DEFERRED },
	{ 421, { 4, 7, 0 }, "slow", SMTP_IN_GREETING, SMTP_RELAY_THROTTLED, 503, SMTP_NOT_SENT },
	{ 450, { 4, 7, 1 }, "wait", SMTP_IN_RCPT, SMTP_POLICY_DEFERRED, 503, SMTP_DEFERRED },
	{ 535, { 5, 7, 8 }, "no", SMTP_IN_AUTH, SMTP_RELAY_AUTH_FAILED, 502, SMTP_NOT_SENT },
	{ 550, { 5, 1, 1 }, "no", SMTP_IN_RCPT, SMTP_RECIPIENT_REJECTED, 422, SMTP_REJECTED },
	{ 550, { 5, 4, 5 }, "daily", SMTP_IN_DOT, SMTP_RELAY_QUOTA, 503, SMTP_REJECTED },
	{ 552, { 5, 3, 4 }, "big", SMTP_IN_DOT, SMTP_MESSAGE_TOO_LARGE, 413, SMTP_REJECTED },
	{ 554, { 0 }, "Relay access denied", SMTP_IN_RCPT, SMTP_RELAYING_DENIED, 422,
		SMTP_REJECTED },
};

START_TEST(a_reply_means_what_the_map_says)
{
	struct smtp_said said = { rows[_i].code, rows[_i].enhanced, text_of(rows[_i].text) };
	struct smtp_verdict verdict =
		smtp_verdict_of_said(&said, rows[_i].phase, (struct smtp_verdict_rules){ 0 });

	ck_assert_str_eq(smtp_category_words(verdict.category)->code,
		smtp_category_words(rows[_i].category)->code);
	ck_assert_uint_eq(verdict.status, rows[_i].status);
	ck_assert_int_eq(verdict.outcome, rows[_i].outcome);
	ck_assert(verdict.status != 503 || verdict.retry_after_s > 0);
}
END_TEST

START_TEST(behind_the_last_byte_every_loss_is_unknown)
{
	for (int loss = SMTP_LOSS_NO_NAME; loss < SMTP_LOSSES; loss++) {
		ck_assert_int_eq(
			smtp_verdict_of_loss((enum smtp_loss)loss, SMTP_IN_DOT, true).outcome,
			SMTP_UNKNOWN);
		ck_assert_int_eq(
			smtp_verdict_of_loss((enum smtp_loss)loss, SMTP_IN_RCPT, false).outcome,
			SMTP_NOT_SENT);
	}
}
END_TEST

START_TEST(hints_are_read_from_words)
{
	ck_assert_uint_eq(smtp_retry_after_s(TEXT("try again in 5 minutes")), 300);
	ck_assert_uint_eq(smtp_retry_after_s(TEXT("Greylisted for 60s")), 60);
	ck_assert_uint_eq(smtp_retry_after_s(TEXT("10.0.0.1 blocked, try later")), 0);
	ck_assert_uint_eq(smtp_retry_after_s(TEXT("mailbox of 5 minutes")), 0);
	ck_assert(text_equal(smtp_queue_id(TEXT("Ok: queued as 4XyZ")), TEXT("4XyZ")));
	ck_assert(text_equal(smtp_queue_id(TEXT("OK id=1tABcd-0001-2x")), TEXT("1tABcd-0001-2x")));
	ck_assert_uint_eq(smtp_queue_id(TEXT("Ok")).len, 0);
}
END_TEST

UNIT_MAIN(verdict, tcase_add_loop_test(cases, a_reply_means_what_the_map_says, 0,
			   sizeof(rows) / sizeof(rows[0]));
	  tcase_add_test(cases, behind_the_last_byte_every_loss_is_unknown);
	  tcase_add_test(cases, hints_are_read_from_words);)
