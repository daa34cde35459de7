#include "smtp/region.h"
#include "unit.h"

#include <stdalign.h>
#include <string.h>

START_TEST(pieces_of_any_size_do_not_overlap)
{
	unsigned char *pieces[600];
	struct region *region;

	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	for (size_t i = 0; i < 600; i++) {
		pieces[i] = region_alloc(region, i * 61 % 20000 + 1);
		ck_assert_ptr_nonnull(pieces[i]);
		ck_assert_uint_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		memset(pieces[i], (int)(i % 251), i * 61 % 20000 + 1);
	}
	for (size_t i = 0; i < 600; i++) {
		size_t same = 0;

		while (same < i * 61 % 20000 + 1 && pieces[i][same] == i % 251)
			same++;
		ck_assert_uint_eq(same, i * 61 % 20000 + 1);
	}
	region_close(region);
	region_close(NULL);
}
END_TEST

START_TEST(what_a_piece_did_not_need_goes_back)
{
	static const size_t lengths[] = { 100, 3000, 20000, 4 << 20 };

	for (size_t i = 0; i < 4; i++) {
		struct region *region;
		size_t before, kept = lengths[i] / 3;
		char *at, *next;

		ck_assert_int_eq(region_open(lengths[i] + 64, &region), OK);
		before = region_used(region);
		at = region_alloc(region, lengths[i]);
		ck_assert_ptr_nonnull(at);
		memset(at, 0x5a, lengths[i]);
		at = region_shrink(region, at, lengths[i], kept);
		ck_assert_uint_le(region_used(region), before + kept + alignof(max_align_t));
		next = region_alloc(region, lengths[i] / 2);
		ck_assert_ptr_nonnull(next); /* which the limit would not have allowed */
		memset(next, 0xa5, lengths[i] / 2);
		for (size_t j = 0; j < kept; j++)
			ck_assert_int_eq(at[j], 0x5a);
		at = region_shrink(region, next, lengths[i] / 2, 0);
		ck_assert_uint_le(region_used(region), before + kept + alignof(max_align_t));
		region_close(region);
	}
}
END_TEST

START_TEST(what_was_wiped_is_zero)
{
	unsigned char *pieces[100];
	static const size_t lengths[] = { 9000, 1, 100,
		5000 }; /* large ones: blocks of their own */
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	for (size_t i = 0; i < 100; i++) {
		pieces[i] = region_alloc(region, lengths[i % 4] + i);
		ck_assert_ptr_nonnull(pieces[i]);
		memset(pieces[i], 0xa5, lengths[i % 4] + i);
	}
	region_wipe(region);
	for (size_t i = 0; i < 100; i++)
		for (size_t j = 0; j < lengths[i % 4] + i; j++)
			ck_assert_uint_eq(pieces[i][j], 0);
	ck_assert_ptr_nonnull(region_alloc(region, 1));
	region_close(region);
	region_wipe(NULL);
}
END_TEST

START_TEST(it_hands_out_no_more_than_its_limit)
{
	struct region *region;

	ck_assert_int_eq(region_open(1000, &region), OK);
	ck_assert_ptr_nonnull(region_alloc(region, 512));
	ck_assert_ptr_null(region_alloc(region, 512));
	ck_assert_ptr_nonnull(region_alloc(region, 256));
	ck_assert_uint_le(region_used(region), 1000);
	ck_assert_int_eq(region_why_not(region, 512), ERR_LIMIT);
	ck_assert_int_eq(region_why_not(region, SIZE_MAX), ERR_LIMIT);
	ck_assert_int_eq(region_why_not(region, region_left(region) & ~(size_t)15), ERR_MEMORY);
	ck_assert_ptr_null(region_alloc(region, SIZE_MAX));
	ck_assert_ptr_null(region_zalloc(region, SIZE_MAX / 2, 3));
	ck_assert_ptr_null(region_copy(region, (struct text){ "", SIZE_MAX }).at);
	region_close(region);
}
END_TEST

START_TEST(a_copy_ends_in_nul_and_is_its_own)
{
	char bytes[] = "abc";
	struct region *region;
	struct text copy;
	char *zeroes;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	copy = region_copy(region, (struct text){ bytes, 3 });
	bytes[0] = 'x';
	ck_assert_str_eq(copy.at, "abc");
	ck_assert_uint_eq(copy.len, 3);
	copy = region_copy(region, (struct text){ 0 });
	ck_assert_ptr_nonnull(copy.at);
	ck_assert_int_eq(copy.at[0], 0);
	zeroes = region_zalloc(region, 100, 50);
	ck_assert(zeroes[0] == 0 && memcmp(zeroes, zeroes + 1, 4999) == 0);
	region_close(region);
}
END_TEST

UNIT_MAIN(region, tcase_add_test(cases, pieces_of_any_size_do_not_overlap);
	  tcase_add_test(cases, what_a_piece_did_not_need_goes_back);
	  tcase_add_test(cases, what_was_wiped_is_zero);
	  tcase_add_test(cases, it_hands_out_no_more_than_its_limit);
	  tcase_add_test(cases, a_copy_ends_in_nul_and_is_its_own);)
