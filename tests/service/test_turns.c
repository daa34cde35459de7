/* Fair turns between those who send. */
#include "service/relay/turns.h"
#include "unit.h"

enum { NOW = 1000, LATER = 1000000 };

static struct turns turns;
static struct delivery mails[600];

static void open_turns(void)
{
	turns_open(&turns);
}

/* Mail `i`, of that key; its deadline is a while off. */
static struct delivery *mail(int i, unsigned key)
{
	mails[i] = (struct delivery){ .key_number = key, .deadline_us = LATER, .queued_us = 10 };
	turns_add(&turns, &mails[i]);
	return &mails[i];
}

/* Its number; -1: nothing waits. */
static int next(uint64_t now_us)
{
	struct turn turn = turns_find(&turns, now_us);

	return turn.at ? (int)(turns_take(&turns, turn) - mails) : -1;
}

static void expect(const int *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(next(NOW), numbers[i]);
	ck_assert_int_eq(next(NOW), -1);
	ck_assert_uint_eq(turns.count, 0);
}

START_TEST(one_key_is_served_in_order)
{
	static const int order[] = { 0, 1, 2 };

	for (int i = 0; i < 3; i++)
		(void)mail(i, 7);
	expect(order, 3);
}
END_TEST

START_TEST(a_batch_does_not_hold_up_another_keys_mail)
{
	static const int order[] = { 0, 3, 4, 1, 2 };

	for (int i = 0; i < 3; i++)
		(void)mail(i, 7);
	(void)mail(3, 9);
	(void)mail(4, 200);
	expect(order, 5);
}
END_TEST

/* Keys of every number, with from one to three mails each: in any stretch between two turns of one
 * key every other that has something had its turn. */
START_TEST(every_key_has_its_turn_before_any_has_two)
{
	int count = 0;

	for (unsigned key = 0; key < LANES; key++)
		for (unsigned i = 0; i <= key % 2; i++)
			(void)mail(count++, key);
	for (int i = 0; i < LANES; i++)
		ck_assert_uint_eq(mails[next(NOW)].key_number, i);
	for (int i = 0; i < LANES / 2; i++)
		ck_assert_uint_eq(mails[next(NOW)].key_number, 2 * i + 1);
	ck_assert_int_eq(next(NOW), -1);
}
END_TEST

START_TEST(who_comes_late_waits_for_at_most_one_round)
{
	for (int i = 0; i < 200; i++)
		(void)mail(i, i % 2 ? 255 : 100);
	for (int i = 0; i < 51; i++)
		ck_assert_int_ge(next(NOW), 0);
	(void)mail(300, 0);
	ck_assert_int_ne(next(NOW), 300);
	ck_assert_int_eq(next(NOW), 300);
	(void)turns_take_all(&turns, UINT64_MAX, UINT64_MAX, SIZE_MAX);
}
END_TEST

/* Keys whose numbers are equal modulo LANES share a lane, and no more than that. */
START_TEST(numbers_beyond_the_lanes_share_them)
{
	static const int order[] = { 0, 1, 2 };

	(void)mail(0, 5);
	(void)mail(1, 5 + LANES);
	(void)mail(2, UINT32_MAX - LANES + 6); /* 5 as well */
	expect(order, 3);
}
END_TEST

START_TEST(what_is_put_back_goes_first)
{
	struct delivery *back;

	(void)mail(0, 3);
	(void)mail(1, 3);
	(void)mail(2, 90);
	back = &mails[next(NOW)];
	ck_assert_ptr_eq(back, &mails[0]);
	turns_put_back(&turns, back);
	ck_assert_uint_eq(turns.count, 3);
	ck_assert_int_eq(next(NOW), 0);
	ck_assert_int_eq(next(NOW), 2);
	ck_assert_int_eq(next(NOW), 1);
}
END_TEST

static void come_back(int i)
{
	turns_return(&turns, &mails[i]);
}

/* Whatever the order: where it was, and it is nobody's turn for that. */
START_TEST(what_returns_is_where_it_was)
{
	static const int order[] = { 9, 0, 1, 2, 3 };

	for (int i = 0; i < 4; i++)
		mail(i, 3)->queued_us = (uint64_t)i;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(next(NOW), i);
	(void)mail(9, 90);
	come_back(1);
	come_back(2);
	come_back(0);
	ck_assert_uint_eq(turns.count, 5);
	expect(order, 5);
	come_back(3); /* alone, it is the end of its lane */
	(void)mail(0, 3);
	ck_assert_int_eq(next(NOW), 3);
	come_back(3); /* … and behind another */
	mail(1, 3)->queued_us = 20;
	expect((const int[]){ 3, 0, 1 }, 3);
}
END_TEST

START_TEST(what_is_put_back_into_an_empty_lane_is_its_end_too)
{
	static const int order[] = { 0, 1 };

	mails[0] = (struct delivery){ .key_number = 63, .deadline_us = LATER };
	turns_put_back(&turns, &mails[0]);
	(void)mail(1, 63);
	expect(order, 2);
}
END_TEST

START_TEST(what_is_late_is_passed_over_and_stays)
{
	struct delivery *late = &mails[0], *list;

	*late = (struct delivery){ .key_number = 4, .deadline_us = NOW };
	turns_add(&turns, late);
	(void)mail(1, 4);
	ck_assert_int_eq(next(NOW), 1);
	ck_assert_int_eq(next(NOW), -1);
	ck_assert_uint_eq(turns.count, 1);
	(void)mail(2, 4); /* behind it */
	list = turns_take_all(&turns, NOW, UINT64_MAX, SIZE_MAX);
	ck_assert_ptr_eq(list, late);
	ck_assert_ptr_null(list->next);
	ck_assert_int_eq(next(NOW), 2);
}
END_TEST

/* The last of a lane, taken from behind one that is late, leaves an end that can be added to. */
START_TEST(the_end_of_a_lane_is_kept_right)
{
	(void)mail(0, 4);
	mails[0].deadline_us = NOW;
	(void)mail(1, 4);
	ck_assert_int_eq(next(NOW), 1);
	(void)mail(2, 4);
	(void)mail(3, 4);
	ck_assert_int_eq(next(NOW), 2);
	ck_assert_int_eq(next(NOW), 3);
	mails[0].deadline_us = LATER;
	ck_assert_int_eq(next(NOW), 0);
	ck_assert_uint_eq(turns.count, 0);
}
END_TEST

START_TEST(those_are_taken_out_that_were_queued_in_time)
{
	struct delivery *list;

	(void)mail(0, 70);
	(void)mail(1, 70);
	(void)mail(2, 1);
	mails[1].queued_us = 50;
	list = turns_take_all(&turns, UINT64_MAX, 20, SIZE_MAX);
	ck_assert_ptr_eq(list, &mails[2]);
	ck_assert_ptr_eq(list->next, &mails[0]);
	ck_assert_ptr_null(list->next->next);
	ck_assert_int_eq(next(NOW), 1);
}
END_TEST

/* ---- what is over is found without a walk through all that waits */

/* Mail `i`, of key `i`, with these times. */
static void timed(int i, uint64_t deadline_us, uint64_t elsewhere_us)
{
	mails[i] = (struct delivery){
		.key_number = (unsigned)i, .deadline_us = deadline_us, .elsewhere_us = elsewhere_us
	};
	turns_add(&turns, &mails[i]);
}

static int late(uint64_t now_us)
{
	struct delivery *list = turns_take_all(&turns, now_us, UINT64_MAX, 1);

	return list ? (int)(list - mails) : -1;
}

/* What is changed behind its back is found by a walk alone: so there was none. */
START_TEST(nobody_is_looked_at_before_the_first_deadline)
{
	timed(0, 500, 400);
	timed(1, 700, 300);
	mails[1].deadline_us = mails[1].elsewhere_us = 100;
	ck_assert_int_eq(late(499), -1);
	ck_assert_ptr_null(turns_take_long(&turns, 299, 9));
	ck_assert_msg(late(500) >= 0, "and then there is");
	(void)turns_take_all(&turns, UINT64_MAX, UINT64_MAX, SIZE_MAX);
}
END_TEST

/* … and learns when the next is due, of those that stayed. */
START_TEST(a_walk_learns_when_the_next_is_due)
{
	timed(0, 500, 450);
	timed(1, 700, 650);
	timed(2, 900, 850);
	ck_assert_int_eq(late(500), 0);
	ck_assert_int_eq(late(500), -1);
	mails[1].deadline_us = mails[2].deadline_us = 10;
	ck_assert_int_eq(late(699), -1);
	ck_assert_ptr_null(turns_take_long(&turns, 649, 9));
	timed(3, 600, 550);
	ck_assert_msg(late(600) >= 0, "one that comes may be due sooner");
	(void)turns_take_all(&turns, UINT64_MAX, UINT64_MAX, SIZE_MAX);
	ck_assert_uint_eq(turns.deadline_us, UINT64_MAX);
}
END_TEST

/* Those that stay are what their senders wait for. */
START_TEST(what_comes_out_of_the_queue_is_taken_out)
{
	struct delivery *list;

	for (int i = 0; i < 6; i++) {
		timed(i, (uint64_t)500 + 100 * (uint64_t)i, 400);
		mails[i].is_queued = i % 2;
		mails[i].parts = i == 3;
	}
	list = turns_take_queued(&turns);
	ck_assert_ptr_eq(list, &mails[1]);
	ck_assert_ptr_eq(list->next, &mails[3]);
	ck_assert_ptr_eq(list->next->next, &mails[5]);
	ck_assert_ptr_null(list->next->next->next);
	ck_assert_uint_eq(turns.count, 3);
	ck_assert_ptr_null(turns_take_queued(&turns));
	ck_assert_int_eq(late(500), 0);
	(void)turns_take_all(&turns, UINT64_MAX, UINT64_MAX, SIZE_MAX);
}
END_TEST

START_TEST(what_is_put_back_is_due_too)
{
	timed(0, 500, 450);
	timed(1, 700, 650);
	ck_assert_int_eq(next(100), 0);
	ck_assert_int_eq(late(500), -1); /* which learns that 700 is the next */
	turns_put_back(&turns, &mails[0]);
	ck_assert_int_eq(late(500), 0);
	ck_assert_int_eq(late(700), 1);
}
END_TEST

/* All in turn, a few at a time, whatever lane they are in; nothing is forgotten in between. */
START_TEST(many_are_taken_out_a_few_at_a_time)
{
	size_t taken = 0, looks = 0;

	for (int i = 0; i < 600; i++)
		timed(i, i % 3 ? 500 : 900, 300);
	while (taken < 400) {
		size_t before = taken;

		for (struct delivery *list = turns_take_all(&turns, 500, UINT64_MAX, 70); list;
			list = list->next)
			taken++;
		ck_assert_uint_le(taken - before, 70);
		ck_assert_uint_le(++looks, 6);
	}
	ck_assert_int_eq(late(899), -1);
	ck_assert_uint_eq(turns.count, 200);
	for (size_t left = 200; left; left -= 50) {
		struct delivery *list = turns_take_long(&turns, 300, 50);

		for (size_t i = 0; i < 50; i++, list = list->next)
			ck_assert_uint_eq(list->deadline_us, 900);
		ck_assert_ptr_null(list);
	}
	ck_assert_uint_eq(turns.count, 0);
}
END_TEST

static unsigned random_below(unsigned *seed, unsigned most)
{
	return (unsigned)rand_r(seed) % most;
}

/* Whatever is done in whatever order: each leaves once, and in a lane in the order it came. */
START_TEST(nothing_is_lost_and_nothing_comes_twice)
{
	unsigned seed = (unsigned)_i + 1, added = 0, taken = 0, last[LANES] = { 0 };
	unsigned keys = 1 + random_below(&seed, 300);

	while (taken < 500) {
		int number = added < 500 && random_below(&seed, 2) ? -1 : next(NOW);

		if (number < 0 && added < 500) {
			(void)mail((int)added++, random_below(&seed, keys));
		} else if (number >= 0 && random_below(&seed, 8) == 0) {
			turns_put_back(&turns, &mails[number]);
		} else if (number >= 0) {
			unsigned lane = mails[number].key_number % LANES;

			ck_assert_uint_ge((unsigned)number + 1, last[lane]);
			ck_assert_msg(mails[number].deadline_us, "%d comes twice", number);
			mails[number].deadline_us = 0;
			last[lane] = (unsigned)number + 1;
			taken++;
		}
		ck_assert_uint_eq(turns.count, added - taken);
	}
	ck_assert_int_eq(next(NOW), -1);
}
END_TEST

UNIT_MAIN(turns, tcase_add_checked_fixture(cases, open_turns, NULL);
	  tcase_add_test(cases, one_key_is_served_in_order);
	  tcase_add_test(cases, a_batch_does_not_hold_up_another_keys_mail);
	  tcase_add_test(cases, every_key_has_its_turn_before_any_has_two);
	  tcase_add_test(cases, who_comes_late_waits_for_at_most_one_round);
	  tcase_add_test(cases, numbers_beyond_the_lanes_share_them);
	  tcase_add_test(cases, what_is_put_back_goes_first);
	  tcase_add_test(cases, what_returns_is_where_it_was);
	  tcase_add_test(cases, what_is_put_back_into_an_empty_lane_is_its_end_too);
	  tcase_add_test(cases, what_is_late_is_passed_over_and_stays);
	  tcase_add_test(cases, the_end_of_a_lane_is_kept_right);
	  tcase_add_test(cases, those_are_taken_out_that_were_queued_in_time);
	  tcase_add_test(cases, nobody_is_looked_at_before_the_first_deadline);
	  tcase_add_test(cases, a_walk_learns_when_the_next_is_due);
	  tcase_add_test(cases, what_comes_out_of_the_queue_is_taken_out);
	  tcase_add_test(cases, what_is_put_back_is_due_too);
	  tcase_add_test(cases, many_are_taken_out_a_few_at_a_time);
	  tcase_add_loop_test(cases, nothing_is_lost_and_nothing_comes_twice, 0, 50);)
