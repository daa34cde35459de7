#include "smtp/text.h"
#include "unit.h"

#include <string.h>

static const struct {
	struct text in;
	bool utf8, control;
} rows[] = {
	{ TEXT(""), true, false },
	{ TEXT("plain"), true, false },
	{ TEXT("gr\xc3\xbc\xc3\x9f"), true, false },
	{ TEXT("\xf0\x9f\x93\xa7"), true, false },
	{ TEXT("\xc0\x8d"), false, false },         /* overlong CR */
	{ TEXT("\xe0\x80\x8d"), false, false },     /* overlong CR, three bytes */
	{ TEXT("\xed\xa0\x80"), false, false },     /* surrogate */
	{ TEXT("\xf4\x90\x80\x80"), false, false }, /* over U+10FFFF */
	{ TEXT("\xe2\x82"), false, false },         /* cut */
	{ TEXT("a\rb"), true, true },
	{ TEXT("a\0b"), true, true },
	{ TEXT("a\x7f"), true, true },
	{ TEXT("a\xc2\x85"), true, true },     /* NEL */
	{ TEXT("a\xe2\x80\xa8"), true, true }, /* line separator */
	{ TEXT("a\xe2\x80\xa7"), true, false },
	{ TEXT("a\xc2\xa0"), true, false },
};

START_TEST(utf8_and_controls_are_told_apart)
{
	ck_assert_int_eq(text_is_utf8(rows[_i].in), rows[_i].utf8);
	ck_assert_int_eq(text_has_control(rows[_i].in), rows[_i].control);
}
END_TEST

START_TEST(numbers_are_digits_without_overflow)
{
	uint64_t value = 7;

	ck_assert(text_to_u64(TEXT("18446744073709551615"), &value));
	ck_assert_uint_eq(value, UINT64_MAX);
	value = 7;
	ck_assert(!text_to_u64(TEXT("18446744073709551616"), &value));
	ck_assert(!text_to_u64(TEXT(""), &value));
	ck_assert(!text_to_u64(TEXT("-1"), &value));
	ck_assert(!text_to_u64(TEXT("1 "), &value));
	ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(pieces_come_off_the_front)
{
	struct text rest = TEXT("a,b");

	ck_assert_uint_eq(text_count(rest, ',', 0), 0);
	ck_assert_uint_eq(text_count(rest, ',', 1), 1);
	ck_assert_uint_eq(text_count(TEXT(",a,,"), ',', 9), 3);
	ck_assert_uint_eq(text_count((struct text){ 0 }, ',', 9), 0);
	ck_assert(text_equal(text_cut(&rest, ','), TEXT("a")));
	ck_assert(text_equal(text_cut(&rest, ','), TEXT("b")));
	ck_assert_uint_eq(rest.len, 0);
	ck_assert(text_equal(text_trim(TEXT(" \tx ")), TEXT("x")));
	ck_assert(text_contains_nocase(TEXT("Too Many Connections"), TEXT("many")));
	ck_assert(!text_contains_nocase(TEXT("man"), TEXT("many")));
}
END_TEST

/* The quick ways look at eight bytes at a time: every byte at every place of them. */
START_TEST(a_byte_is_found_wherever_it_stands)
{
	char bytes[24];
	struct text text = { bytes, sizeof(bytes) };
	unsigned char byte = (unsigned char)_i;

	for (size_t at = 0; at < sizeof(bytes); at++) {
		memset(bytes, 'x', sizeof(bytes));
		bytes[at] = (char)byte;
		ck_assert_uint_eq(text_find_control(text), byte < 0x20 ? at : sizeof(bytes));
		ck_assert_int_eq(text_is_ascii(text), byte < 0x80);
		ck_assert_int_eq(text_is_utf8(text), byte < 0x80);
		ck_assert_int_eq(text_has_control(text), byte < 0x20 || byte == 0x7f);
		ck_assert_uint_eq(text_find(text, (char)byte), byte == 'x' ? 0 : at);
	}
	ck_assert_uint_eq(text_find_control((struct text){ 0 }), 0);
}
END_TEST

START_TEST(a_hexadecimal_digit_has_a_value)
{
	const char *digits = "0123456789abcdef", *found;
	char byte = (char)_i;

	found = byte ? strchr(digits, byte_lower(byte)) : NULL;
	ck_assert_int_eq(byte_hex(byte), found ? (int)(found - digits) : -1);
}
END_TEST

START_TEST(texts_have_an_order)
{
	static const struct text sorted[] = { TEXT(""), TEXT("\0"), TEXT("a"), TEXT("a\0"),
		TEXT("ab"), TEXT("b"), TEXT("\xc3\xa4") };
	const size_t count = sizeof(sorted) / sizeof(sorted[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			int order = text_compare(&sorted[i], &sorted[k]);

			ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
		}
}
END_TEST

UNIT_MAIN(text, tcase_add_loop_test(
			cases, utf8_and_controls_are_told_apart, 0, sizeof(rows) / sizeof(rows[0]));
	  tcase_add_loop_test(cases, a_byte_is_found_wherever_it_stands, 0, 256);
	  tcase_add_test(cases, numbers_are_digits_without_overflow);
	  tcase_add_loop_test(cases, a_hexadecimal_digit_has_a_value, 0, 256);
	  tcase_add_test(cases, texts_have_an_order);
	  tcase_add_test(cases, pieces_come_off_the_front);)
