#include "smtp/buf.h"
#include "unit.h"

#include <string.h>

START_TEST(it_grows_up_to_its_limit_and_no_further)
{
	struct buf buf = buf_born(1000);

	for (int i = 0; i < 1000; i++)
		buf_add_byte(&buf, (char)('a' + i % 26));
	ck_assert_int_eq(buf.err, OK);
	ck_assert_uint_eq(buf.len, 1000);
	ck_assert_uint_le(buf.room, 1000);
	ck_assert(memcmp(buf.at, buf.at + 26, 1000 - 26) == 0);
	ck_assert(text_starts(buf_text(&buf), TEXT("abcdefghijklmnopqrstuvwxyz")));
	buf_add_byte(&buf, 'x');
	ck_assert_int_eq(buf.err, ERR_LIMIT);
	ck_assert_uint_eq(buf.len, 1000);
	buf_free(&buf);
	ck_assert_int_eq(buf.err, OK);
	ck_assert_uint_eq(buf.limit, 1000);
	buf_free(&buf);
	buf_free(NULL);
}
END_TEST

START_TEST(a_small_limit_holds_too)
{
	for (size_t limit = 0; limit < 300; limit++) {
		struct buf buf = buf_born(limit);

		for (size_t i = 0; i < 301; i++)
			buf_add_byte(&buf, 'a');
		ck_assert_uint_eq(buf.len, limit);
		ck_assert_int_eq(buf.err, ERR_LIMIT);
		buf_free(&buf);
		buf_addf(&buf, "%0300d", 1);
		ck_assert_int_eq(buf.err, ERR_LIMIT);
		buf_free(&buf);
	}
}
END_TEST

START_TEST(the_first_error_sticks)
{
	struct buf buf = buf_born(4);

	buf_add(&buf, TEXT("abcde"));
	ck_assert_int_eq(buf.err, ERR_LIMIT);
	buf_add(&buf, TEXT("a"));
	buf_add_string(&buf, "a");
	buf_add_byte(&buf, 'a');
	buf_add_u64(&buf, 1);
	buf_addf(&buf, "%d", 1);
	ck_assert_ptr_null(buf_reserve(&buf, 1));
	ck_assert_uint_eq(buf.len, 0);
	buf_clear(&buf);
	buf_add(&buf, TEXT("abcd"));
	ck_assert(text_equal(buf_text(&buf), TEXT("abcd")));
	ck_assert_int_eq(buf.err, OK);
	buf_free(&buf);
}
END_TEST

START_TEST(a_size_that_overflows_is_over_the_limit)
{
	struct buf buf = buf_born(SIZE_MAX);

	buf_add(&buf, TEXT("a"));
	ck_assert_ptr_null(buf_reserve(&buf, SIZE_MAX));
	ck_assert_int_eq(buf.err, ERR_LIMIT);
	buf_free(&buf);
}
END_TEST

START_TEST(formats_fit_at_every_place)
{
	struct buf buf = buf_born(4096);
	char filler[600];

	memset(filler, 'x', sizeof(filler));
	for (size_t before = 0; before < sizeof(filler); before++) {
		buf_free(&buf);
		buf_add(&buf, (struct text){ filler, before });
		buf_addf(&buf, "%s-%03d", "abc", 7);
		ck_assert_int_eq(buf.err, OK);
		ck_assert_uint_eq(buf.len, before + 7);
		ck_assert(text_equal(text_from(buf_text(&buf), before), TEXT("abc-007")));
		ck_assert_uint_le(buf.len, buf.room);
	}
	buf_free(&buf);
}
END_TEST

START_TEST(numbers_are_decimal)
{
	struct buf buf = buf_born(64);

	buf_add_u64(&buf, 0);
	buf_add_byte(&buf, ' ');
	buf_add_u64(&buf, 1234567890);
	buf_add_byte(&buf, ' ');
	buf_add_u64(&buf, UINT64_MAX);
	ck_assert(text_equal(buf_text(&buf), TEXT("0 1234567890 18446744073709551615")));
	buf_free(&buf);
}
END_TEST

START_TEST(what_was_wiped_is_empty_and_grows_again)
{
	struct buf buf = buf_born(64);

	buf_add(&buf, TEXT("abcdef"));
	buf_wipe(&buf);
	ck_assert_ptr_null(buf.at);
	ck_assert_uint_eq(buf.len, 0);
	buf_add(&buf, TEXT("gh"));
	ck_assert(text_equal(buf_text(&buf), TEXT("gh")));
	buf_free(&buf);
}
END_TEST

UNIT_MAIN(buf, tcase_add_test(cases, it_grows_up_to_its_limit_and_no_further);
	  tcase_add_test(cases, the_first_error_sticks);
	  tcase_add_test(cases, a_small_limit_holds_too);
	  tcase_add_test(cases, a_size_that_overflows_is_over_the_limit);
	  tcase_add_test(cases, formats_fit_at_every_place);
	  tcase_add_test(cases, numbers_are_decimal);
	  tcase_add_test(cases, what_was_wiped_is_empty_and_grows_again);)
