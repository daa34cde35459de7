/* What a check prints, and what it makes of words that come from outside. */
#include "service/check_print.h"
#include "service/check_run.h"
#include "unit.h"

#include <string.h>

enum { PRINTED = 4096 };

static const char *printed(size_t width, const struct check_step *step)
{
	static char text[PRINTED];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct check_paper paper = { .out = out, .width = width };

	memset(text, 0, sizeof(text));
	ck_assert_ptr_nonnull(out);
	check_print_step(&paper, step);
	(void)fclose(out);
	return text;
}

START_TEST(columns_are_aligned)
{
	struct check_step step = { "EHLO", CHECK_OK, 1234, "one\ntwo", "change this" };

	ck_assert_str_eq(printed(0, &step), "EHLO        ok           1.2 ms  one\n"
					    "                                 two\n"
					    "                              -> change this\n");
	step = (struct check_step){ "certificate", CHECK_FAILED, -1, "", "" };
	ck_assert_str_eq(printed(0, &step), "certificate FAILED               \n");
}
END_TEST

START_TEST(long_lines_break_between_words)
{
	struct check_step step = { "EHLO", CHECK_OK, -1, "aaaa bbbb cccc dddddddddddddddd ee", "" };

	ck_assert_str_eq(printed(33 + 10, &step),
		"EHLO        ok                   aaaa bbbb\n"
		"                                 cccc\n"
		"                                 dddddddddddddddd\n"
		"                                 ee\n");
}
END_TEST

static const struct {
	struct text raw, shown;
} foreign[] = {
	{ TEXT(""), TEXT("") }, { TEXT("plain"), TEXT("plain") },
	{ TEXT("a\x1b[31mb\nc\0d\x7f"), TEXT("a?[31mb?c?d?") },
	{ TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") },
	{ TEXT("\xff\xc3"), TEXT("??") }, { TEXT("\xc3\x41"), TEXT("?A") },
	{ TEXT("\xc2\x9b."), TEXT("??.") },         /* C1 */
	{ TEXT("\xe2\x80\xa8."), TEXT("???.") },    /* line separator */
	{ TEXT("\xed\xa0\x80"), TEXT("???") },      /* surrogate */
	{ TEXT("\xf4\x90\x80\x80"), TEXT("????") }, /* above U+10FFFF */
};

START_TEST(foreign_words_are_made_safe)
{
	struct buf out = buf_born(100);

	check_add_foreign(&out, foreign[_i].raw);
	ck_assert_uint_eq(out.len, foreign[_i].shown.len);
	ck_assert(text_equal(buf_text(&out), foreign[_i].shown));
	buf_free(&out);
}
END_TEST

START_TEST(replies_and_durations_are_told_shortly)
{
	struct smtp_said said = { 550, { 5, 1, 1 }, TEXT("no\x07") };
	struct buf out = buf_born(100);

	check_add_said(&out, &said);
	ck_assert(text_equal(buf_text(&out), TEXT("550 5.1.1 no?")));
	buf_clear(&out);
	said.enhanced.class = 0;
	check_add_said(&out, &said);
	ck_assert(text_equal(buf_text(&out), TEXT("550 no?")));
	buf_clear(&out);
	check_add_duration(&out, 200);
	buf_add_byte(&out, ' ');
	check_add_duration(&out, 1500);
	buf_add_byte(&out, ' ');
	check_add_duration(&out, 60000);
	ck_assert(text_equal(buf_text(&out), TEXT("200 ms 1.5 s 60 s")));
	buf_free(&out);
}
END_TEST

START_TEST(the_sender_is_the_user_if_that_is_an_address)
{
	struct relay_settings settings = { .user = "me@example.com", .ehlo_name = "gate.test" };
	struct buf out = buf_born(100);

	check_sender(&settings, &out);
	ck_assert(text_equal(buf_text(&out), TEXT("me@example.com")));
	buf_clear(&out);
	settings.user = "apikey";
	check_sender(&settings, &out);
	ck_assert(text_equal(buf_text(&out), TEXT("postmaster@gate.test")));
	buf_free(&out);
}
END_TEST

UNIT_MAIN(check, tcase_add_test(cases, columns_are_aligned);
	  tcase_add_test(cases, long_lines_break_between_words); tcase_add_loop_test(cases,
		  foreign_words_are_made_safe, 0, (int)(sizeof(foreign) / sizeof(foreign[0])));
	  tcase_add_test(cases, replies_and_durations_are_told_shortly);
	  tcase_add_test(cases, the_sender_is_the_user_if_that_is_an_address))
