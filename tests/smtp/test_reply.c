#include "smtp/reply.h"
#include "unit.h"

static const struct {
	struct text wire;
	enum smtp_parsed end;
	uint16_t code;
	struct smtp_enhanced enhanced;
	const char *text;
} rows[] = {
	{ TEXT("250 2.1.5 Ok\r\n"), SMTP_DONE, 250, { 2, 1, 5 }, "Ok" },
	{ TEXT("250\r\n"), SMTP_DONE, 250, { 0 }, "" },
	{ TEXT("250 \r\n"), SMTP_DONE, 250, { 0 }, "" },
	{ TEXT("250 Ok\n"), SMTP_DONE, 250, { 0 }, "Ok" },
	{ TEXT("550-5.1.1 No\r\n550 5.1.1 such user\r\n"), SMTP_DONE, 550, { 5, 1, 1 },
		"No such user" },
	{ TEXT("550 4.1.1 class differs\r\n"), SMTP_DONE, 550, { 0 }, "class differs" },
	{ TEXT("354 2.0.0 go\r\n"), SMTP_DONE, 354, { 0 }, "go" },
	{ TEXT("250 a\0b\x1b\xff\r\n"), SMTP_DONE, 250, { 0 }, "a?b??" },
	{ TEXT("25\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("2500 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("-250 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250\tx\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("650 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250-a\r\n500 b\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("\r\n"), SMTP_BAD, 0, { 0 }, "" },
};

static enum smtp_parsed feed_all(struct smtp_reply *reply, struct text bytes)
{
	enum smtp_parsed parsed = SMTP_MORE;

	while (bytes.len && (parsed == SMTP_MORE || parsed == SMTP_LINE))
		parsed = smtp_reply_feed(reply, &bytes);
	return parsed;
}

START_TEST(a_reply_reads_the_same_wherever_it_is_cut)
{
	struct text wire = rows[_i].wire;

	for (size_t cut = 0; cut < wire.len; cut++) {
		struct smtp_reply reply = { 0 };
		struct smtp_said said;

		(void)feed_all(&reply, text_head(wire, cut));
		ck_assert_int_eq(feed_all(&reply, text_from(wire, cut)), rows[_i].end);
		if (rows[_i].end == SMTP_BAD)
			continue;
		said = smtp_reply_said(&reply);
		ck_assert_uint_eq(said.code, rows[_i].code);
		ck_assert_uint_eq(said.enhanced.class, rows[_i].enhanced.class);
		ck_assert_uint_eq(said.enhanced.detail, rows[_i].enhanced.detail);
		ck_assert(text_equal(said.text, text_of(rows[_i].text)));
	}
}
END_TEST

START_TEST(a_reply_has_limits)
{
	struct smtp_reply reply = { 0 };
	char line[SMTP_REPLY_LINE + 2];
	struct text bytes = { line, sizeof(line) };
	enum smtp_parsed parsed = SMTP_LINE;

	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = 'x';
	ck_assert_int_eq(smtp_reply_feed(&reply, &bytes), SMTP_BAD);
	smtp_reply_reset(&reply);
	for (int i = 0; i < SMTP_REPLY_LINES && parsed == SMTP_LINE; i++)
		parsed = feed_all(&reply, TEXT("250-x\r\n"));
	ck_assert_int_eq(parsed, SMTP_LINE);
	ck_assert_int_eq(feed_all(&reply, TEXT("250-x\r\n")), SMTP_BAD);
}
END_TEST

UNIT_MAIN(reply, tcase_add_loop_test(cases, a_reply_reads_the_same_wherever_it_is_cut, 0,
			 sizeof(rows) / sizeof(rows[0]));
	  tcase_add_test(cases, a_reply_has_limits);)
