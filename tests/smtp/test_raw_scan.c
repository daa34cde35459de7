#include "smtp/message/raw_part.h"
#include "unit.h"

#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

static const struct {
	struct text in;
	struct smtp_raw_scan out;
	const char *why; /* part of the phrase; NULL: it is taken */
} rows[] = {
	{ TEXT(""), { 0, 0, 0, 0 }, NULL },
	{ TEXT("a"), { 1, 0, 1, 0 }, NULL },
	{ TEXT("a\n"), { 1, 1, 1, 0 }, NULL },
	{ TEXT("a\r\n"), { 1, 0, 1, 0 }, NULL },
	{ TEXT("\n"), { 1, 1, 0, 0 }, NULL },
	{ TEXT("\r\n"), { 1, 0, 0, 0 }, NULL },
	{ TEXT("\n\r\n\n"), { 3, 2, 0, 0 }, NULL },
	{ TEXT("ab\r\ncdefghijklm\nno"), { 3, 1, 11, 0 }, NULL },
	{ TEXT("a\tb\x01\x1b\x7f\xff\n"), { 1, 1, 7, 0 }, NULL },
	{ TEXT("\r"), { 0, 0, 0, 0 }, "CR" },
	{ TEXT("a\nb\rc\n"), { 1, 1, 1, 0 }, "CR" },
	{ TEXT("a\nb\r"), { 1, 1, 1, 0 }, "CR" },
	{ TEXT("a\n\r\r\n"), { 1, 1, 1, 0 }, "CR" },
	{ TEXT("a\n\n\0"), { 2, 2, 1, 0 }, "NUL" },
	{ TEXT("a\r\nb\0c\n"), { 1, 0, 1, 0 }, "NUL" },
	{ TEXT("a\r\0\n"), { 0, 0, 0, 0 }, "CR" },
};

START_TEST(lines_are_counted)
{
	struct smtp_raw_scan scan;
	const char *why;
	enum err err = smtp_raw_scan(rows[_i].in, &scan, &why);

	ck_assert_int_eq(err, rows[_i].why ? ERR_VALUE : OK);
	ck_assert_int_eq(why != NULL, rows[_i].why != NULL);
	if (why)
		ck_assert_ptr_nonnull(strstr(why, rows[_i].why));
	ck_assert_uint_eq(scan.lines, rows[_i].out.lines);
	ck_assert_uint_eq(scan.bare, rows[_i].out.bare);
	ck_assert_uint_eq(scan.longest, rows[_i].out.longest);
	ck_assert_uint_eq(scan.long_line, 0);
}
END_TEST

/* A length of 998 is the last one that is let through, whichever the line end. */
START_TEST(the_first_line_over_998_bytes_is_named)
{
	static const char *const ends[] = { "\n", "\r\n", "" };
	char message[2048];

	for (size_t end = 0; end < 3; end++)
		for (size_t len = 997; len <= 1000; len++) {
			size_t used = 2;
			struct smtp_raw_scan scan;
			const char *why;

			message[0] = message[1] = '\n';
			memset(message + used, 'x', len);
			used += len;
			memcpy(message + used, ends[end], strlen(ends[end]) + 1);
			used += strlen(ends[end]);
			ck_assert_int_eq(
				smtp_raw_scan((struct text){ message, used }, &scan, &why), OK);
			ck_assert_uint_eq(scan.longest, len);
			ck_assert_uint_eq(scan.long_line, len > 998 ? 3 : 0);
		}
}
END_TEST

/* What text_find_control leaps over must not depend on where in a word it begins. */
START_TEST(a_lone_cr_and_a_nul_are_seen_at_every_place)
{
	static const char bytes[] = { '\r', 0 };

	for (size_t len = 1; len < 40; len++)
		for (size_t at = 0; at < len; at++)
			for (size_t i = 0; i < 2; i++) {
				char *message = malloc(len); /* its own size: no byte too many */
				struct smtp_raw_scan scan;
				const char *why;

				ck_assert_ptr_nonnull(message);
				memset(message, 'x', len);
				message[at] = bytes[i];
				ck_assert_int_eq(
					smtp_raw_scan((struct text){ message, len }, &scan, &why),
					ERR_VALUE);
				ck_assert_ptr_nonnull(strstr(why, i ? "NUL" : "CR"));
				free(message);
			}
}
END_TEST

UNIT_MAIN(raw_scan, tcase_add_loop_test(cases, lines_are_counted, 0, COUNT(rows));
	  tcase_add_test(cases, the_first_line_over_998_bytes_is_named);
	  tcase_add_test(cases, a_lone_cr_and_a_nul_are_seen_at_every_place);)
