/* How far a webhook is, and what a receiver's status means. */
#include "service/webhook/webhook_place.h"
#include "service/webhook/webhook_post.h"
#include "unit.h"

#include <string.h>

START_TEST(it_is_read_as_it_was_written)
{
	static const struct webhook_place places[] = { { 0 }, { .cursor = 7 },
		{ .cursor = UINT64_MAX, .head = UINT64_MAX, .tries = 10, .due_ms = INT64_MAX } };
	char room[100];
	struct buf out = buf_over(room, sizeof(room));
	struct webhook_place found;

	webhook_place_write(&places[_i], &out);
	ck_assert_int_eq(webhook_place_read(buf_text(&out), &found), OK);
	ck_assert_uint_eq(found.cursor, places[_i].cursor);
	ck_assert_uint_eq(found.head, places[_i].head);
	ck_assert_uint_eq(found.tries, places[_i].tries);
	ck_assert_int_eq(found.due_ms, places[_i].due_ms);
}
END_TEST

START_TEST(what_it_cannot_be_is_not_read)
{
	static const char *const wrong[] = { "", "1", "2 1 1 1 1", "1 1 1 1", "1 1 1 1 1 1",
		"1 1 1 1 x", "1 -1 1 1 1", "1 1 1 70000 1", "1 1 1 1 9223372036854775808",
		"1 18446744073709551616 1 1 1", "1  1 1 1" };
	struct webhook_place place;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_msg(webhook_place_read(text_of(wrong[i]), &place) == ERR_SYNTAX, "%s",
			wrong[i]);
}
END_TEST

START_TEST(a_status_means_one_thing)
{
	static const struct {
		long status;
		enum webhook_result result;
	} rows[] = { { 200, WEBHOOK_DELIVERED }, { 204, WEBHOOK_DELIVERED },
		{ 299, WEBHOOK_DELIVERED }, { 0, WEBHOOK_FAILED }, { 199, WEBHOOK_FAILED },
		{ 301, WEBHOOK_FAILED }, { 307, WEBHOOK_FAILED }, { 400, WEBHOOK_FAILED },
		{ 404, WEBHOOK_FAILED }, { 410, WEBHOOK_GONE }, { 429, WEBHOOK_THROTTLED },
		{ 500, WEBHOOK_FAILED }, { 502, WEBHOOK_THROTTLED }, { 503, WEBHOOK_THROTTLED },
		{ 504, WEBHOOK_THROTTLED } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_msg(
			webhook_judge(rows[i].status) == rows[i].result, "%ld", rows[i].status);
	for (enum webhook_result result = 0; result < WEBHOOK_RESULTS; result++)
		ck_assert_uint_gt(strlen(webhook_result_name(result)), 0);
}
END_TEST

UNIT_MAIN(webhook_place, tcase_add_loop_test(cases, it_is_read_as_it_was_written, 0, 3);
	  tcase_add_test(cases, what_it_cannot_be_is_not_read);
	  tcase_add_test(cases, a_status_means_one_thing);)
