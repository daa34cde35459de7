/* How much of the room for messages each relay takes up. */
#include "service/relay/share.h"
#include "unit.h"

enum { MOST = 60, RELAYS = 10, KB = 1024 };

static struct share *shares[RELAYS];
static struct delivery deliveries[2 * MOST];
static size_t used;
static struct room room;

static void begin(void)
{
	room = (struct room){ .most = { MOST, MOST * KB } };
	pthread_mutex_init(&room.lock, NULL);
	used = 0;
	for (size_t i = 0; i < RELAYS; i++)
		ck_assert_int_eq(share_open(&shares[i]), OK);
}

/* Nothing is left anywhere. */
static void end(void)
{
	for (size_t i = 0; i < used; i++) {
		share_give_back(&room, &deliveries[i]);
		ck_assert_ptr_null(deliveries[i].share);
	}
	ck_assert_uint_eq(room.taken.messages, 0);
	ck_assert_uint_eq(room.taken.bytes, 0);
	for (size_t i = 0; i < RELAYS; i++) {
		ck_assert_uint_eq(shares[i]->taken.messages, 0);
		ck_assert_uint_eq(shares[i]->taken.bytes, 0);
		share_release(shares[i]);
	}
	pthread_mutex_destroy(&room.lock);
}

/* How many more of so many bytes one of `count` relays takes, while there is any room at all. */
static unsigned fill(size_t which, size_t count, uint64_t bytes)
{
	unsigned taken = 0;

	while (room.taken.messages < MOST && room.taken.bytes + bytes <= MOST * KB) {
		deliveries[used] = (struct delivery){ .reserved_bytes = bytes };
		if (!share_take(&room, shares, count, shares[which], &deliveries[used]))
			break;
		ck_assert_ptr_eq(deliveries[used].share, shares[which]);
		used++;
		taken++;
	}
	return taken;
}

START_TEST(the_only_relay_has_it_all)
{
	ck_assert_uint_eq(fill(0, 1, _i), MOST);
}
END_TEST

START_TEST(one_that_hangs_takes_half)
{
	size_t count = (size_t)_i + 2;

	ck_assert_uint_eq(fill(count - 1, count, 0), MOST / 2);
	ck_assert_uint_eq(fill(0, count, 0) > 0, 1);
}
END_TEST

START_TEST(all_others_hang_and_one_finds_its_part)
{
	size_t count = (size_t)_i + 2;
	uint64_t equal = MOST / (count + 1), of_half = MOST / 2 / (count - 1);

	for (size_t i = 0; i + 1 < count; i++)
		(void)fill(i, count, 0);
	ck_assert_uint_ge(fill(count - 1, count, 0), equal < of_half ? equal : of_half);
}
END_TEST

START_TEST(all_others_hang_with_long_messages)
{
	size_t count = (size_t)_i + 2;
	uint64_t equal = MOST / (count + 1), of_half = MOST / 2 / (count - 1);

	ck_assert_uint_eq(fill(0, count, KB), MOST / 2);
	for (size_t i = 1; i + 1 < count; i++)
		(void)fill(i, count, KB);
	ck_assert_uint_ge(fill(count - 1, count, KB), equal < of_half ? equal : of_half);
}
END_TEST

START_TEST(the_first_has_room_however_long)
{
	deliveries[used].reserved_bytes = MOST * KB;
	ck_assert(share_take(&room, shares, 2, shares[0], &deliveries[used++]));
	deliveries[used].reserved_bytes = 1;
	ck_assert(!share_take(&room, shares, 2, shares[0], &deliveries[used]));
	ck_assert_ptr_null(deliveries[used].share);
	ck_assert(share_take(&room, shares, 2, shares[1], &deliveries[used++]));
}
END_TEST

START_TEST(what_goes_elsewhere_is_counted_there_alone)
{
	ck_assert_uint_eq(fill(0, 2, KB), MOST / 2);
	ck_assert(share_take(&room, shares, 2, shares[1], &deliveries[0]));
	ck_assert_uint_eq(shares[0]->taken.messages, MOST / 2 - 1);
	ck_assert_uint_eq(shares[1]->taken.bytes, KB);
	ck_assert_uint_eq(room.taken.messages, MOST / 2);
	ck_assert(share_take(&room, shares, 2, shares[1], &deliveries[0]));
	ck_assert_uint_eq(shares[1]->taken.messages, 1);
	ck_assert_uint_eq(fill(0, 2, KB), 1);
	ck_assert(!share_take(&room, shares, 2, shares[0], &deliveries[0]));
	ck_assert_ptr_eq(deliveries[0].share, shares[1]);
}
END_TEST

START_TEST(it_outlives_its_relay)
{
	struct share *own = shares[0];

	ck_assert_uint_eq(fill(0, 1, KB), MOST);
	(void)share_hold(own);
	share_release(own);
	share_give_back(&room, &deliveries[0]);
	share_give_back(&room, &deliveries[0]);
	ck_assert_uint_eq(own->taken.messages, MOST - 1);
}
END_TEST

/* ---- of what comes out of the queue */

static bool take_queued_of(size_t which, size_t count, uint64_t bytes)
{
	deliveries[used] = (struct delivery){ .is_queued = true, .reserved_bytes = bytes };
	if (!share_take(&room, shares, count, shares[which], &deliveries[used]))
		return false;
	used++;
	return true;
}

static bool take_queued(size_t which, size_t count)
{
	return take_queued_of(which, count, 0);
}

/* The last one that was taken is settled so. */
static void settle_last(struct smtp_verdict last)
{
	struct delivery *delivery = &deliveries[--used];

	delivery->result.last = last;
	delivery->result.attempt_count = 1;
	share_give_back(&room, delivery);
}

static const struct smtp_verdict yes = { .class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED }, broken = {
	.class = SMTP_LATER, .outcome = SMTP_NOT_SENT, .reach = SMTP_REACH_RELAY
};

START_TEST(each_relay_has_its_part_of_the_queues)
{
	room.most.messages = UINT64_C(2) * SHARE_QUEUED;
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 1, false), SHARE_QUEUED);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 64, false), SHARE_QUEUED_LEAST);
	ck_assert(take_queued(0, 4));
	ck_assert(take_queued(0, 4));
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4 - 2);
	settle_last(yes);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4 - 1);
	(void)fill(0, 4, 0); /* what is sent directly does not count */
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4 - 1);
}
END_TEST

/* … of half of all that may be in flight, where that is less. */
START_TEST(the_queue_leaves_half_to_what_comes_in)
{
	ck_assert_uint_eq(share_queued(MOST), MOST / 2);
	ck_assert_uint_eq(share_queued(UINT64_MAX), SHARE_QUEUED);
	ck_assert_uint_eq(share_queued(1), 1);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 1, false), MOST / 2);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 3, false), MOST / 2 / 3);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 64, false), 1);
	for (int i = 0; i < MOST / 2; i++)
		ck_assert(take_queued(0, 1));
	ck_assert(!take_queued(0, 1));
}
END_TEST

/* Half of all for the queue, and of that each relay's part: but a message that is alone may go. */
START_TEST(each_relay_has_its_part_of_the_queues_bytes)
{
	ck_assert_uint_eq(share_queue_bytes(&room, 3), 10 * KB);
	ck_assert(take_queued_of(0, 3, 9 * KB));
	ck_assert(take_queued_of(0, 3, 9 * KB));
	ck_assert(!take_queued_of(0, 3, 1));
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 3, false), 0);
	ck_assert(take_queued_of(1, 3, 20 * KB));
	ck_assert(!take_queued_of(1, 3, 1));
	settle_last(yes);
	ck_assert(take_queued_of(1, 3, 1));
	ck_assert_uint_gt(fill(0, 3, KB), 0); /* what is sent directly goes by other rules */
}
END_TEST

/* F-46: one goes first, and each that is taken makes room for two. */
START_TEST(after_an_outage_it_begins_with_one)
{
	unsigned more = 1;

	room.most.messages = UINT64_C(2) * SHARE_QUEUED;
	ck_assert(take_queued(0, 4));
	ck_assert(take_queued(0, 4));
	settle_last(broken);
	settle_last(broken);
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, true), SHARE_QUEUED / 4);
	for (int round = 0; round < 4; round++, more *= 2) {
		ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), more);
		for (unsigned i = 0; i < more; i++)
			ck_assert(take_queued(0, 4));
		ck_assert(!take_queued(0, 4));
		ck_assert(take_queued(1, 4)); /* nobody else has to wait */
		settle_last(yes);
		for (unsigned i = 0; i < more; i++)
			settle_last(yes);
	}
	for (int i = 0; i < SHARE_QUEUED; i++) {
		ck_assert(take_queued(0, 4));
		settle_last(yes);
	}
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4);
	/* what says nothing of the relay, or comes from it, is no outage */
	ck_assert(take_queued(0, 4));
	settle_last((struct smtp_verdict){ .class = SMTP_LATER, .outcome = SMTP_NOT_SENT });
	ck_assert(take_queued(0, 4));
	settle_last((struct smtp_verdict){ .class = SMTP_NEVER, .outcome = SMTP_REJECTED });
	ck_assert_uint_eq(share_queue_room(&room, shares[0], 4, false), SHARE_QUEUED / 4);
}
END_TEST

UNIT_MAIN(share, tcase_add_checked_fixture(cases, begin, end);
	  tcase_add_loop_test(cases, the_only_relay_has_it_all, 0, 2);
	  tcase_add_loop_test(cases, one_that_hangs_takes_half, 0, RELAYS - 1);
	  tcase_add_loop_test(cases, all_others_hang_and_one_finds_its_part, 0, RELAYS - 1);
	  tcase_add_loop_test(cases, all_others_hang_with_long_messages, 0, RELAYS - 1);
	  tcase_add_test(cases, the_first_has_room_however_long);
	  tcase_add_test(cases, what_goes_elsewhere_is_counted_there_alone);
	  tcase_add_test(cases, it_outlives_its_relay);
	  tcase_add_test(cases, each_relay_has_its_part_of_the_queues);
	  tcase_add_test(cases, the_queue_leaves_half_to_what_comes_in);
	  tcase_add_test(cases, each_relay_has_its_part_of_the_queues_bytes);
	  tcase_add_test(cases, after_an_outage_it_begins_with_one);)
