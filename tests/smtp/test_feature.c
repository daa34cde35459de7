#include "smtp/session/feature.h"
#include "unit.h"

static const struct {
	const char *lines[4];
	unsigned offered, mechanisms;
	uint64_t size_bytes;
	uint32_t mail_max, rcpt_max, rcpt_domain_max;
} rows[] = {
	{ .lines = { "PIPELINING" }, .offered = SMTP_PIPELINING },
	{ .lines = { "pipelining " }, .offered = SMTP_PIPELINING },
	{ .lines = { "8BITMIME", "CHUNKING", "DSN", "SMTPUTF8" },
		.offered = SMTP_8BITMIME | SMTP_CHUNKING | SMTP_DSN | SMTP_SMTPUTF8 },
	{ .lines = { "ENHANCEDSTATUSCODES", "STARTTLS" },
		.offered = SMTP_ENHANCEDSTATUSCODES | SMTP_STARTTLS },
	{ .lines = { "SIZE" }, .offered = SMTP_SIZE },
	{ .lines = { "SIZE 0" }, .offered = SMTP_SIZE },
	{ .lines = { "SIZE 35882577" }, .offered = SMTP_SIZE, .size_bytes = 35882577 },
	{ .lines = { "SIZE  1000" }, .offered = SMTP_SIZE, .size_bytes = 1000 },
	{ .lines = { "SIZE -1" }, .offered = SMTP_SIZE },
	{ .lines = { "SIZE 99999999999999999999999" }, .offered = SMTP_SIZE },
	{ .lines = { "SIZE 1x" }, .offered = SMTP_SIZE },
	{ .lines = { "SIZE=1000" } },
	{ .lines = { "AUTH PLAIN LOGIN" },
		.offered = SMTP_AUTH,
		.mechanisms = SMTP_PLAIN | SMTP_LOGIN },
	{ .lines = { "AUTH=PLAIN LOGIN" },
		.offered = SMTP_AUTH,
		.mechanisms = SMTP_PLAIN | SMTP_LOGIN },
	{ .lines = { "AUTH LOGIN", "AUTH=LOGIN PLAIN" },
		.offered = SMTP_AUTH,
		.mechanisms = SMTP_PLAIN | SMTP_LOGIN },
	{ .lines = { "auth scram-sha-256 cram-md5 xoauth2 oauthbearer GSSAPI NTLM" },
		.offered = SMTP_AUTH,
		.mechanisms =
			SMTP_SCRAM_SHA_256 | SMTP_CRAM_MD5 | SMTP_XOAUTH2 | SMTP_OAUTHBEARER },
	{ .lines = { "AUTH" }, .offered = SMTP_AUTH },
	{ .lines = { "AUTH SCRAM-SHA-256-PLUS PLAINX" }, .offered = SMTP_AUTH },
	{ .lines = { "LIMITS MAILMAX=50 RCPTMAX=100 RCPTDOMAINMAX=3" },
		.offered = SMTP_LIMITS,
		.mail_max = 50,
		.rcpt_max = 100,
		.rcpt_domain_max = 3 },
	{ .lines = { "LIMITS mailmax=7 X=1 RCPTMAX=0" }, .offered = SMTP_LIMITS, .mail_max = 7 },
	{ .lines = { "LIMITS MAILMAX=-1 RCPTMAX=x RCPTDOMAINMAX" }, .offered = SMTP_LIMITS },
	{ .lines = { "LIMITS MAILMAX=99999999999" }, .offered = SMTP_LIMITS },
	{ .lines = { "LIMITS" }, .offered = SMTP_LIMITS },
	{ .lines = { "PIPELININGX", "XPIPELINING", "HELP", "" } },
	{ .lines = { " ", "  SIZE 5" }, .offered = SMTP_SIZE, .size_bytes = 5 },
};

START_TEST(an_offer_is_read)
{
	struct smtp_features features = { 0 };

	for (size_t i = 0; i < 4 && rows[_i].lines[i]; i++)
		smtp_features_add(&features, text_of(rows[_i].lines[i]));
	ck_assert_uint_eq(features.offered, rows[_i].offered);
	ck_assert_uint_eq(features.mechanisms, rows[_i].mechanisms);
	ck_assert_uint_eq(features.size_bytes, rows[_i].size_bytes);
	ck_assert_uint_eq(features.mail_max, rows[_i].mail_max);
	ck_assert_uint_eq(features.rcpt_max, rows[_i].rcpt_max);
	ck_assert_uint_eq(features.rcpt_domain_max, rows[_i].rcpt_domain_max);
}
END_TEST

START_TEST(a_mechanism_has_one_name)
{
	for (unsigned bit = 1; bit <= SMTP_OAUTHBEARER; bit <<= 1) {
		const char *name = smtp_mechanism_name((enum smtp_mechanism)bit);

		ck_assert_str_ne(name, "");
		ck_assert_uint_eq(smtp_mechanism_named(text_of(name)), bit);
	}
	ck_assert_int_eq(smtp_mechanism_named(TEXT("")), SMTP_AUTH_NONE);
	ck_assert_str_eq(smtp_mechanism_name(SMTP_AUTH_NONE), "");
}
END_TEST

UNIT_MAIN(feature, tcase_add_loop_test(cases, an_offer_is_read, 0, sizeof(rows) / sizeof(rows[0]));
	  tcase_add_test(cases, a_mechanism_has_one_name);)
