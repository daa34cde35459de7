#include "smtp/session/reply.h"
#include "unit.h"

#include <string.h>

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
	{ TEXT("\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("220 relay ESMTP\r\n"), SMTP_DONE, 220, { 0 }, "relay ESMTP" },
	{ TEXT("250-a\r\n250-\r\n250\r\n"), SMTP_DONE, 250, { 0 }, "a" },
	{ TEXT("250-a\r\n250 \r\n"), SMTP_DONE, 250, { 0 }, "a" },
	{ TEXT("250-a\n250 b\r\n"), SMTP_DONE, 250, { 0 }, "a b" },
	{ TEXT("250-2.1.5 a\r\n250-b\r\n250 c\r\n"), SMTP_DONE, 250, { 2, 1, 5 }, "a b c" },
	{ TEXT("550-5.1.1 a\r\n550 5.7.1 b\r\n"), SMTP_DONE, 550, { 5, 7, 1 }, "a b" },
	{ TEXT("250 2.0.0\r\n"), SMTP_DONE, 250, { 2, 0, 0 }, "" },
	{ TEXT("250 2.0.0 \r\n"), SMTP_DONE, 250, { 2, 0, 0 }, "" },
	{ TEXT("250 2.0.0x\r\n"), SMTP_DONE, 250, { 0 }, "2.0.0x" },
	{ TEXT("250 2.0\r\n"), SMTP_DONE, 250, { 0 }, "2.0" },
	{ TEXT("250 2.\r\n"), SMTP_DONE, 250, { 0 }, "2." },
	{ TEXT("250 2\r\n"), SMTP_DONE, 250, { 0 }, "2" },
	{ TEXT("250 2..1 x\r\n"), SMTP_DONE, 250, { 0 }, "2..1 x" },
	{ TEXT("250 3.0.0 x\r\n"), SMTP_DONE, 250, { 0 }, "3.0.0 x" },
	{ TEXT("550 5.7.999 x\r\n"), SMTP_DONE, 550, { 5, 7, 999 }, "x" },
	{ TEXT("550 5.7.1000 x\r\n"), SMTP_DONE, 550, { 0 }, "5.7.1000 x" },
	{ TEXT("550  5.1.1 x\r\n"), SMTP_DONE, 550, { 0 }, " 5.1.1 x" },
	{ TEXT("599 x\r\n"), SMTP_DONE, 599, { 0 }, "x" },
	{ TEXT("299 x\r\n"), SMTP_DONE, 299, { 0 }, "x" },
	{ TEXT("250 a\rb\r\n"), SMTP_DONE, 250, { 0 }, "a?b" },
	{ TEXT("250 gr\xc3\xbc\xc3\x9f\r\n"), SMTP_DONE, 250, { 0 }, "gr\xc3\xbc\xc3\x9f" },
	{ TEXT("250 a\xc2\x85z\r\n"), SMTP_DONE, 250, { 0 }, "a?z" },
	{ TEXT("250 a\xe2\x80\xa8z\r\n"), SMTP_DONE, 250, { 0 }, "a?z" },
	{ TEXT("250 \xc3\r\n"), SMTP_DONE, 250, { 0 }, "?" },
	{ TEXT("250 a\tb\r\n"), SMTP_DONE, 250, { 0 }, "a?b" },
	{ TEXT("250 %s%n<script>\r\n"), SMTP_DONE, 250, { 0 }, "%s%n<script>" },
	{ TEXT("2\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("2x0 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("150 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("050 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("999 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT(" 250 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250_x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250\0x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("25\xb2 x\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250-a\r\n251 b\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250-a\r\n\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("250-a\r\nhello\r\n"), SMTP_BAD, 0, { 0 }, "" },
	{ TEXT("HTTP/1.1 400 Bad Request\r\n"), SMTP_BAD, 0, { 0 }, "" },
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
		ck_assert_uint_eq(said.enhanced.subject, rows[_i].enhanced.subject);
		ck_assert_uint_eq(said.enhanced.detail, rows[_i].enhanced.detail);
		ck_assert(text_equal(said.text, text_of(rows[_i].text)));
	}
}
END_TEST

START_TEST(what_is_behind_a_reply_is_the_next_ones)
{
	struct text wire = TEXT("250-a\r\n250 b\r\n354 go\r\n4");
	struct smtp_reply reply = { 0 };

	ck_assert_int_eq(smtp_reply_feed(&reply, &wire), SMTP_LINE);
	ck_assert(text_equal(smtp_reply_line(&reply), TEXT("a")));
	ck_assert_int_eq(smtp_reply_feed(&reply, &wire), SMTP_DONE);
	ck_assert(text_equal(wire, TEXT("354 go\r\n4")));
	smtp_reply_reset(&reply);
	ck_assert_int_eq(smtp_reply_feed(&reply, &wire), SMTP_DONE);
	ck_assert_uint_eq(reply.code, 354);
	smtp_reply_reset(&reply);
	ck_assert_int_eq(smtp_reply_feed(&reply, &wire), SMTP_MORE);
	ck_assert_uint_eq(wire.len, 0);
}
END_TEST

START_TEST(every_byte_is_kept_as_something_that_may_be_shown)
{
	char line[] = "250 .\r\n";
	struct text wire = { line, sizeof(line) - 1 };
	struct smtp_reply reply = { 0 };
	struct text text;

	if (_i == '\n' || _i == '\r')
		return;
	line[4] = (char)_i;
	ck_assert_int_eq(smtp_reply_feed(&reply, &wire), SMTP_DONE);
	text = smtp_reply_said(&reply).text;
	ck_assert_uint_eq(text.len, 1);
	ck_assert_int_eq(text.at[0], _i >= 0x20 && _i < 0x7f ? _i : '?');
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
	struct smtp_reply reply = { 0 };
	struct text text, euro = TEXT("\xe2\x82\xac"), end = TEXT("\r\n"), code = TEXT("250 ");

	ck_assert_int_eq(smtp_reply_feed(&reply, &code), SMTP_MORE);
	for (int i = 0; i < 300; i++) {
		struct text bytes = euro;

		ck_assert_int_eq(smtp_reply_feed(&reply, &bytes), SMTP_MORE);
	}
	ck_assert_int_eq(smtp_reply_feed(&reply, &end), SMTP_DONE);
	text = smtp_reply_said(&reply).text;
	ck_assert_uint_eq(text.len, SMTP_REPLY_TEXT / 3 * 3);
	ck_assert(text_is_utf8(text));
}
END_TEST

START_TEST(a_reply_has_a_size)
{
	char line[1000];
	struct smtp_reply reply = { 0 };
	enum smtp_parsed parsed = SMTP_LINE;
	size_t fed = 0;

	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	while (parsed == SMTP_LINE) {
		struct text bytes = { line, sizeof(line) };

		parsed = smtp_reply_feed(&reply, &bytes);
		fed += sizeof(line);
		ck_assert_uint_lt(fed, SMTP_REPLY_BYTES + 2 * sizeof(line));
	}
	ck_assert_int_eq(parsed, SMTP_BAD);
	ck_assert_ptr_nonnull(reply.why);
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
	  tcase_add_test(cases, what_is_behind_a_reply_is_the_next_ones);
	  tcase_add_loop_test(cases, every_byte_is_kept_as_something_that_may_be_shown, 0, 256);
	  tcase_add_test(cases, a_long_text_is_cut_between_characters);
	  tcase_add_test(cases, a_reply_has_a_size); tcase_add_test(cases, a_reply_has_limits);)
