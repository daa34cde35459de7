/* What every store promises, whatever is behind it. */
#include "service/clock.h"
#include "service/queue/told.h"
#include "store_kit.h"
#include "unit.h"

static const struct store_limits no_limits;

#define OPENED(name) struct kit name = kit_open(_i, no_limits)

/* ---- accepted, claimed, settled */

START_TEST(what_was_accepted_is_claimed_as_it_was)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct stored *got;

	put_in(&kit, 1, "web", "primary");
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 1);
	got = claimed.at[0];
	ck_assert_uint_eq(number_of(got), 1);
	ck_assert(text_equal(got->key_id, TEXT("web")));
	ck_assert(text_equal(got->lane, TEXT("primary")));
	ck_assert(text_equal(got->message_id, TEXT("<1@example.com>")));
	ck_assert(text_equal(got->metadata, TEXT("{\"order\":\"42\"}")));
	ck_assert_uint_eq(got->count, 2);
	ck_assert(text_equal(got->to[0].address, TEXT("ann1@example.org")));
	ck_assert(got->to[0].is_open && got->to[1].is_open);
	ck_assert(text_equal(claimed.bodies[0], TEXT("Subject: x\r\n\r\nHello.\r\n")));
	ck_assert_int_eq(got->state, MESSAGE_SENDING);
	ck_assert_uint_eq(got->tries, 1);
	ck_assert_uint_eq(got->token, TOKEN);
	ck_assert_int_eq(got->created_ms, NOW + 1);
	ck_assert_int_eq(got->expires_ms, NOW + 1000 * SECOND);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_out_is_handed_to_nobody_else)
{
	OPENED(kit);
	struct claimed claimed = { 0 }, again = { 0 };

	put(&kit, 1, "web");
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 1);
	ck_assert_uint_eq(claim(&kit, &again, 10), 0);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SENDING);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_uint_eq(claim(&kit, &again, 10), 0);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SENT);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_verdict_counts_once)
{
	OPENED(kit);
	struct claimed claimed = { 0 };

	put(&kit, 1, "web");
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_FAILED, 0, false), ERR_VALUE);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SENT);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

static enum err settle_part(struct kit *kit, struct stored *stored, bool goes_on)
{
	struct event event = { .at_ms = NOW,
		.type = TEXT("message.sent"),
		.key_id = stored->key_id,
		.content = TEXT("{}") };
	struct settle_job job = { .job.kind = JOB_SETTLE,
		.stored = stored,
		.goes_on = goes_on,
		.now_ms = NOW,
		.events = &event,
		.event_count = 1 };

	return DO(kit, settle, &job);
}

/* A process that dies behind it has the others to send, to whom the end has not gone. */
START_TEST(a_part_is_settled_while_the_rest_is_out)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct fence_job end = { .token = TOKEN, .mark = MARK_END, .lease_for_ms = SECOND };
	struct lease lease = { .token = TOKEN };
	struct renew_job renew = { .leases = &lease, .count = 1, .lease_for_ms = -1 };
	struct event found[4];
	struct events_job events = { .most = 4, .events = found };
	struct letter letter;
	struct stored *got;

	letter_write(&letter, 1, "web");
	letter.stored.hold_unknown = true;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW + 1), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	got = claimed.at[0];
	end.id = lease.id = letter.stored.id;
	ck_assert_int_eq(DO(&kit, fence, &end), OK);
	got->to[0].is_open = false;
	got->to[0].outcome = SMTP_ACCEPTED;
	ck_assert_int_eq(settle_part(&kit, got, false), ERR_VALUE);
	got->token++;
	ck_assert_int_eq(settle_part(&kit, got, true), ERR_VALUE);
	got->token--;
	ck_assert_int_eq(settle_part(&kit, got, true), OK);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SENDING);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 0);
	ck_assert_int_eq(DO(&kit, renew, &renew), OK); /* it is over from now on */
	(void)tick_at(&kit, NOW);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	got = claimed.at[0];
	ck_assert(!got->maybe_sent);
	ck_assert(!got->to[0].is_open && got->to[1].is_open);
	ck_assert_int_eq(got->to[0].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(region_open(100000, &events.region), OK);
	ck_assert_int_eq(DO(&kit, events, &events), OK);
	ck_assert_uint_eq(events.count, 1);
	region_close(events.region);
	ck_assert_int_eq(settle(&kit, got, MESSAGE_SENT, 0, false), OK);
	got->state = MESSAGE_SENDING;
	ck_assert_int_eq(settle_part(&kit, got, true), ERR_VALUE);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_deferred_one_comes_when_it_is_due_with_all_that_came_of_it)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct stored *got;
	struct tick tick;

	put(&kit, 1, "web");
	(void)claim(&kit, &claimed, 1);
	got = claimed.at[0];
	got->to[0].is_open = false;
	got->to[0].outcome = SMTP_ACCEPTED;
	got->to[1].outcome = SMTP_DEFERRED;
	got->to[1].phase = SMTP_IN_RCPT;
	got->to[1].said = (struct smtp_said){ 450, { 4, 2, 1 }, TEXT("later") };
	got->attempts[got->attempt_count++] = (struct stored_attempt){ NOW,
		{ .relay = TEXT("primary"), .outcome = SMTP_PARTIAL, .took_us = 1400 } };
	got->lane = TEXT("backup");
	ck_assert_int_eq(settle(&kit, got, MESSAGE_DEFERRED, 5 * SECOND, false), OK);
	claimed_free(&claimed);

	tick = tick_at(&kit, NOW + 5 * SECOND - 1);
	ck_assert_uint_eq(tick.ripe, 0);
	ck_assert_int_eq(tick.next_ms, NOW + 5 * SECOND);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 0);
	tick = tick_at(&kit, NOW + 5 * SECOND);
	ck_assert_uint_eq(tick.ripe, 1);
	ck_assert_int_eq(tick.next_ms, INT64_MAX);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	got = claimed.at[0];
	ck_assert(!got->to[0].is_open && got->to[1].is_open);
	ck_assert_int_eq(got->to[0].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(got->to[1].phase, SMTP_IN_RCPT);
	ck_assert_uint_eq(got->to[1].said.code, 450);
	ck_assert_uint_eq(got->to[1].said.enhanced.subject, 2);
	ck_assert(text_equal(got->to[1].said.text, TEXT("later")));
	ck_assert_uint_eq(got->attempt_count, 1);
	ck_assert_uint_eq(got->attempts[0].attempt.took_us, 1400);
	ck_assert(text_equal(got->lane, TEXT("backup")));
	ck_assert_uint_eq(got->tries, 2);
	ck_assert(claimed.bodies[0].len > 0);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_scheduled_one_waits_for_its_moment)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;

	letter_write(&letter, 1, "web");
	letter.stored.state = MESSAGE_SCHEDULED;
	letter.stored.due_ms = NOW + 100 * SECOND;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	letter_write(&letter, 2, "web");
	letter.stored.state = MESSAGE_SCHEDULED;
	letter.stored.due_ms = NOW - 1; /* past: now */
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 1);
	ck_assert_uint_eq(number_of(claimed.at[0]), 2);
	claimed_free(&claimed);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SCHEDULED);
	ck_assert_uint_eq(tick_at(&kit, NOW + 100 * SECOND).ripe, 1);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 1);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(who_accepts_it_may_keep_it_to_send_it)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;
	struct stored *stored;

	letter_write(&letter, 1, "web");
	letter.stored.state = MESSAGE_SENDING;
	letter.stored.token = 5;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 0);
	stored = look_up(&kit, 1, NULL);
	ck_assert_uint_eq(stored->tries, 1);
	ck_assert_int_eq(settle(&kit, stored, MESSAGE_SENT, 0, false), OK);
	stored_free(stored);
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_only_remembered_never_comes)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;

	letter_write(&letter, 1, "web");
	letter.stored.state = MESSAGE_SENT;
	letter.stored.has_body = false;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 0);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_SENT);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENT], 1);
	kit_close(&kit);
}
END_TEST

/* ---- whose turn it is */

/* One key's many do not starve another's one. */
START_TEST(keys_take_turns)
{
	static const unsigned wanted[] = { 1, 51, 61, 2, 52, 3, 4, 5 };
	OPENED(kit);
	struct claimed claimed = { 0 };

	for (unsigned i = 1; i <= 20; i++)
		put(&kit, i, "a");
	put(&kit, 51, "b");
	put(&kit, 52, "b");
	put(&kit, 61, "c");
	ck_assert_uint_eq(claim(&kit, &claimed, 8), 8);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(number_of(claimed.at[i]), wanted[i]);
	ck_assert(claimed.job.has_more);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 64), 15);
	ck_assert(!claimed.job.has_more);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* All of these count the same. */
START_TEST(a_claim_ends_with_its_bytes)
{
	uint64_t weight = letter_weight(1, "a");
	const struct {
		uint64_t most_bytes;
		size_t count;
	} rows[] = { { 1, 1 }, { weight, 1 }, { weight + 1, 2 }, { 3 * weight, 3 }, { 0, 2 } };
	OPENED(kit);
	struct claimed claimed = { 0 };

	for (unsigned i = 1; i <= 9; i++)
		put(&kit, i, i % 2 ? "a" : "b");
	for (int row = 0; row < 5; row++) {
		claimed.job.most_bytes = rows[row].most_bytes;
		ck_assert_uint_eq(claim(&kit, &claimed, 20), rows[row].count);
		ck_assert_uint_eq(claimed.job.bytes, weight * rows[row].count);
		ck_assert_int_eq(claimed.job.has_more, row < 4);
		claimed_free(&claimed);
	}
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENDING], 9);
	kit_close(&kit);
}
END_TEST

/* The turn goes on where the last claim ended. */
START_TEST(a_turn_goes_on_with_the_next_claim)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	unsigned of[4] = { 0 };

	for (unsigned i = 0; i < 40; i++) {
		static const char *const keys[] = { "a", "b", "c", "d" };

		put(&kit, i + 1, keys[i / 10]);
	}
	for (int i = 0; i < 8; i++) {
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		of[(number_of(claimed.at[0]) - 1) / 10]++;
		claimed_free(&claimed);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(of[i], 2);
	kit_close(&kit);
}
END_TEST

START_TEST(the_oldest_that_is_due_comes_first)
{
	OPENED(kit);
	struct claimed claimed = { 0 };

	put(&kit, 3, "a");
	put(&kit, 1, "a");
	put(&kit, 2, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(number_of(claimed.at[i]), i + 1);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_relay_that_rests_holds_only_its_own)
{
	static const struct text resting[] = { { "backup", 6 }, { "primary", 7 } };
	OPENED(kit);
	struct claimed claimed = { 0 };

	for (unsigned i = 1; i <= 10; i++)
		put_in(&kit, i, i % 2 ? "a" : "b", "primary");
	put_in(&kit, 11, "a", "third");
	put_in(&kit, 12, "a", "");
	claimed.job.resting = resting;
	claimed.job.resting_count = 2;
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 2);
	ck_assert_uint_eq(number_of(claimed.at[0]) + number_of(claimed.at[1]), 23);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 10), 0);
	claimed.job.resting_count = 1;
	ck_assert_uint_eq(claim(&kit, &claimed, 20), 10);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* One whose time is over. */
static void put_over(struct kit *kit, unsigned number, const char *key_id, const char *lane)
{
	struct letter letter;

	letter_write(&letter, number, key_id);
	letter.stored.lane = text_of(lane);
	letter.stored.expires_ms = NOW;
	ck_assert_int_eq(letter_accept(kit, &letter, NOW + number), OK);
}

START_TEST(what_is_over_does_not_wait_for_its_relay)
{
	static const struct text resting[] = { TEXT("primary") };
	OPENED(kit);
	struct claimed claimed = { .job.resting = resting, .job.resting_count = 1 };

	for (unsigned i = 1; i <= 9; i++)
		put_in(&kit, i, i % 2 ? "a" : "b", "primary");
	put_over(&kit, 10, "b", "primary");
	ck_assert_uint_eq(claim(&kit, &claimed, 20), 1);
	ck_assert_uint_eq(number_of(claimed.at[0]), 10);
	ck_assert(!claimed.job.has_more);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* Nor do the others wait for those: at most a quarter of a claim is theirs. */
START_TEST(what_is_over_leaves_room_for_the_rest)
{
	static const struct text resting[] = { TEXT("backup"), TEXT("primary") };
	OPENED(kit);
	struct claimed claimed = { .job.resting = resting, .job.resting_count = 2 };
	unsigned over = 0;

	for (unsigned i = 1; i <= 9; i++)
		put_over(&kit, i, "a", i % 3 ? "backup" : "primary");
	put_over(&kit, 10, "a", "third"); /* that one waits for nothing but its turn */
	for (unsigned i = 11; i <= 16; i++)
		put_in(&kit, i, "b", "third");
	ck_assert_uint_eq(claim(&kit, &claimed, 8), 8);
	ck_assert(claimed.job.has_more);
	for (int i = 0; i < 8; i++)
		over += number_of(claimed.at[i]) < 10;
	ck_assert_uint_eq(over, 2);
	claimed_free(&claimed);
	for (over = 2; claim(&kit, &claimed, 8) > 0; claimed_free(&claimed)) {
		ck_assert_int_eq(claimed.job.has_more, claimed.job.count >= 2);
		over += (unsigned)claimed.job.count;
	}
	ck_assert_uint_eq(over, 10);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENDING], 16);
	kit_close(&kit);
}
END_TEST

/* F-46: a relay that is just back gets no more than it may. */
START_TEST(a_narrow_lane_gives_no_more_than_it_may)
{
	OPENED(kit);
	struct narrow_lane narrow[] = { { TEXT("+primary"), 3 }, { TEXT("third"), 5 } };
	struct claimed claimed = { 0 };

	for (unsigned i = 1; i <= 10; i++)
		put_in(&kit, i, i % 2 ? "a" : "b", "+primary");
	put_in(&kit, 11, "a", "third");
	put_in(&kit, 12, "a", "");
	claimed.job.narrow = narrow;
	claimed.job.narrow_count = 2;
	ck_assert_uint_eq(claim(&kit, &claimed, 20), 5);
	ck_assert_uint_eq(narrow[0].room, 0);
	ck_assert_uint_eq(narrow[1].room, 4);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 20), 0);
	narrow[0].room = 1;
	ck_assert_uint_eq(claim(&kit, &claimed, 20), 1);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* ---- leases */

START_TEST(a_fence_asks_whether_the_lease_is_ours)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct fence_job fence = { .token = TOKEN, .mark = MARK_MAIL, .lease_for_ms = SECOND };

	put(&kit, 1, "web");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	fence.id = claimed.at[0]->id;
	ck_assert_int_eq(DO(&kit, fence, &fence), OK);
	fence.token = TOKEN + 1;
	ck_assert_int_eq(DO(&kit, fence, &fence), ERR_VALUE);
	fence.token = 0;
	ck_assert_int_eq(DO(&kit, fence, &fence), ERR_VALUE);
	fence.token = TOKEN;
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(DO(&kit, fence, &fence), ERR_VALUE);
	fence.id = "no such id";
	ck_assert_int_eq(DO(&kit, fence, &fence), ERR_VALUE);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_lease_that_is_over_gives_the_message_to_others)
{
	OPENED(kit);
	struct claimed claimed = { 0 }, again = { 0 };
	struct lease leases[2] = { { .token = TOKEN }, { .token = TOKEN } };
	struct renew_job renew = { .leases = leases, .count = 2, .lease_for_ms = 60 * SECOND };
	struct fence_job end = { .token = TOKEN, .mark = MARK_END, .lease_for_ms = -1 };

	put(&kit, 1, "a");
	put(&kit, 2, "b");
	ck_assert_uint_eq(claim(&kit, &claimed, 2), 2);
	leases[0].id = claimed.at[0]->id;
	leases[1].id = claimed.at[1]->id;
	ck_assert_int_eq(DO(&kit, renew, &renew), OK);
	ck_assert_uint_eq(tick_at(&kit, NOW).ripe, 0);
	end.id = claimed.at[1]->id;
	ck_assert_int_eq(DO(&kit, fence, &end), OK); /* its lease is over from now on */
	ck_assert_uint_eq(tick_at(&kit, NOW).ripe, 1);
	ck_assert_int_eq(DO(&kit, renew, &renew), OK);
	ck_assert(!leases[0].is_lost);
	ck_assert(leases[1].is_lost);
	ck_assert_int_eq(settle(&kit, claimed.at[1], MESSAGE_SENT, 0, false), ERR_VALUE);
	ck_assert_uint_eq(claim(&kit, &again, 2), 1);
	ck_assert_uint_eq(number_of(again.at[0]), 2);
	ck_assert(again.at[0]->maybe_sent);
	ck_assert_uint_eq(again.at[0]->strikes, 0); /* nobody died */
	claimed_free(&claimed);
	claimed_free(&again);
	kit_close(&kit);
}
END_TEST

/* Who held it may have sent it: that is known until the course has it, and whoever wants it tried
 * again does not undo it. */
static const struct {
	enum message_mark mark;
	bool hold, is_in_doubt;
} doubts[] = {
	{ MARK_MAIL, false, true },
	{ MARK_END, false, true },
	{ MARK_MAIL, true, false }, /* the end would have been noted */
	{ MARK_END, true, true },
};

static void leave_in_doubt(struct kit *kit, unsigned number, enum message_mark mark, bool hold)
{
	struct fence_job fence = { .token = TOKEN, .mark = mark, .lease_for_ms = -1 };
	struct claimed claimed = { 0 };
	struct letter letter;

	letter_write(&letter, number, "a");
	letter.stored.hold_unknown = hold;
	ck_assert_int_eq(letter_accept(kit, &letter, NOW + number), OK);
	ck_assert_uint_eq(claim(kit, &claimed, 1), 1);
	fence.id = claimed.at[0]->id;
	ck_assert_int_eq(DO(kit, fence, &fence), OK);
	ck_assert_uint_eq(tick_at(kit, NOW).ripe, 1);
	claimed_free(&claimed);
}

static void expect_doubt(struct kit *kit, unsigned number, bool maybe, enum smtp_outcome outcome)
{
	struct stored *stored = look_up(kit, number, NULL);

	ck_assert_int_eq(stored->maybe_sent, maybe);
	ck_assert_int_eq(stored->to[0].outcome, outcome);
	ck_assert_int_eq(stored->to[1].outcome, outcome);
	stored_free(stored);
}

START_TEST(what_may_have_been_sent_is_remembered_until_it_is_noted)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;
	struct change_job change = {
		.id = letter.stored.id, .now_ms = NOW, .expires_ms = NOW + 1000 * SECOND
	};

	for (unsigned i = 0; i < sizeof(doubts) / sizeof(*doubts); i++) {
		bool maybe = doubts[i].is_in_doubt;

		leave_in_doubt(&kit, i + 1, doubts[i].mark, doubts[i].hold);
		expect_doubt(&kit, i + 1, maybe, SMTP_QUEUED);
		letter_write(&letter, i + 1, "a");
		change.change = CHANGE_RETRY;
		ck_assert_int_eq(DO(&kit, change, &change), OK);
		expect_doubt(&kit, i + 1, maybe, SMTP_QUEUED);
		change.change = CHANGE_CANCEL;
		ck_assert_int_eq(DO(&kit, change, &change), OK);
		expect_doubt(&kit, i + 1, false, maybe ? SMTP_UNKNOWN : SMTP_QUEUED);
	}
	/* held for it: whoever wants it sent again knows */
	leave_in_doubt(&kit, 9, MARK_END, true);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	claimed.at[0]->to[0].is_open = claimed.at[0]->to[1].is_open = false;
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_HELD, 0, true), OK);
	claimed_free(&claimed);
	letter_write(&letter, 9, "a");
	change.change = CHANGE_RETRY;
	ck_assert_int_eq(DO(&kit, change, &change), OK);
	expect_doubt(&kit, 9, false, SMTP_QUEUED);
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_given_back_untried_does_not_count)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct release_job release = {
		.token = TOKEN, .now_ms = NOW, .due_ms = NOW, .lane = TEXT("backup")
	};

	put(&kit, 1, "web");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	release.id = claimed.at[0]->id;
	ck_assert_int_eq(DO(&kit, release, &release), OK);
	ck_assert_int_eq(DO(&kit, release, &release), ERR_VALUE);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_uint_eq(claimed.at[0]->tries, 1);
	ck_assert(text_equal(claimed.at[0]->lane, TEXT("backup")));
	release.id = claimed.at[0]->id;
	release.due_ms = NOW + SECOND;
	ck_assert_int_eq(DO(&kit, release, &release), OK);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 0);
	ck_assert_uint_eq(tick_at(&kit, NOW + SECOND).ripe, 1);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* The clock was a year ahead when the moment was noted (F-36). */
START_TEST(a_clock_that_is_set_back_leaves_nobody_waiting)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct release_job release = {
		.token = TOKEN, .now_ms = NOW, .due_ms = NOW + 365 * 86400 * SECOND
	};
	int64_t back = NOW - 3600 * SECOND;
	struct letter letter;

	put(&kit, 1, "web");
	letter_write(&letter, 2, "web");
	letter.stored.state = MESSAGE_SCHEDULED;
	letter.stored.due_ms = NOW + 9000000 * SECOND;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(
		settle(&kit, claimed.at[0], MESSAGE_DEFERRED, 365 * 86400 * SECOND, false), OK);
	claimed_free(&claimed);
	put(&kit, 3, "web");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	release.id = claimed.at[0]->id;
	ck_assert_int_eq(DO(&kit, release, &release), OK);
	claimed_free(&claimed);
	/* noted in time, by another's longer delays */
	ck_assert_int_eq(tick_at(&kit, NOW).next_ms, NOW + 9000000 * SECOND);
	ck_assert_int_eq(tick_at(&kit, back).next_ms, back + 4000 * SECOND);
	ck_assert_uint_eq(tick_at(&kit, back + 4000 * SECOND).ripe, 2);
	ck_assert_int_eq(state_of(&kit, 2), MESSAGE_SCHEDULED); /* that was meant */
	kit_close(&kit);
}
END_TEST

/* ---- bounds and counts */

START_TEST(a_full_queue_takes_no_more)
{
	const struct {
		struct store_limits limits;
		enum store_bound full;
		bool others_may;
	} rows[] = { { { .messages = 2 }, BOUND_MESSAGES, false },
		{ { .bytes = 3 * letter_weight(1, "a") - 1 }, BOUND_BYTES, false },
		{ { .per_key = 2 }, BOUND_OF_KEY, true } };

	for (int row = 0; row < 3; row++) {
		struct kit kit = kit_open(_i, rows[row].limits);
		struct claimed claimed = { 0 };
		struct letter letter;
		struct accept_job third = { .job.kind = JOB_ACCEPT,
			.stored = &letter.stored,
			.pieces = &letter.body,
			.piece_count = 1,
			.now_ms = NOW };

		put(&kit, 1, "a");
		put(&kit, 2, "a");
		letter_write(&letter, 3, "a");
		ck_assert_int_eq(DO(&kit, accept, &third), ERR_LIMIT);
		ck_assert_int_eq(third.full, rows[row].full);
		ck_assert_ptr_null(look_up(&kit, 3, NULL));
		letter_write(&letter, 4, "b");
		ck_assert_int_eq(
			letter_accept(&kit, &letter, NOW), rows[row].others_may ? OK : ERR_LIMIT);
		letter_write(&letter, 5, "a"); /* what is only remembered takes no place */
		letter.stored.state = MESSAGE_FAILED;
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
		letter_write(&letter, 6, "a");
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
		claimed_free(&claimed);
		kit_close(&kit);
	}
}
END_TEST

START_TEST(counts_are_by_state)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct counts_job now;

	ck_assert_int_eq(counts(&kit).oldest_ms, 0);
	for (unsigned i = 1; i <= 5; i++)
		put(&kit, i, i % 2 ? "a" : "b");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 3);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(settle(&kit, claimed.at[1], MESSAGE_HELD, 0, false), OK);
	now = counts(&kit);
	ck_assert_uint_eq(now.messages[MESSAGE_QUEUED], 2);
	ck_assert_uint_eq(now.messages[MESSAGE_SENDING], 1);
	ck_assert_uint_eq(now.messages[MESSAGE_SENT], 1);
	ck_assert_uint_eq(now.messages[MESSAGE_HELD], 1);
	ck_assert_uint_eq(now.bytes, 4 * letter_weight(1, "a"));
	ck_assert_int_eq(now.oldest_ms, NOW / 1000 * 1000); /* to the second */
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

static struct counts_job counts_at(struct kit *kit, int64_t now_ms)
{
	struct counts_job job = { .job.kind = JOB_COUNTS, .now_ms = now_ms };

	ck_assert_int_eq(DO(kit, counts, &job), OK);
	return job;
}

/* … whatever becomes of them; those that are scheduled or held are meant to wait. */
START_TEST(those_that_wait_are_counted_by_age)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct counts_job now;
	struct letter letter;

	for (unsigned i = 1; i <= 4; i++) {
		letter_write(&letter, i, "a");
		letter.stored.created_ms = NOW - i * store_ages_ms[i] + 1000;
		letter.stored.due_ms = NOW;
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	}
	letter_write(&letter, 5, "a");
	letter.stored.state = MESSAGE_SCHEDULED;
	letter.stored.created_ms = NOW - store_ages_ms[STORE_AGES - 1];
	letter.stored.due_ms = NOW + 50 * SECOND;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	now = counts_at(&kit, NOW);
	ck_assert_int_eq(now.oldest_ms, (NOW - 4 * store_ages_ms[4] + 1000) / 1000 * 1000);
	ck_assert_uint_eq(now.aged[0], 0);
	ck_assert_uint_eq(now.aged[1], 1);
	ck_assert_uint_eq(now.aged[STORE_AGES - 1], 4);
	ck_assert_uint_eq(counts_at(&kit, NOW + 2 * SECOND).aged[1], 0);
	ck_assert_uint_eq(claim(&kit, &claimed, 4), 4);
	ck_assert_uint_eq(counts_at(&kit, NOW).aged[STORE_AGES - 1], 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(
			settle(&kit, claimed.at[i], i ? MESSAGE_FAILED : MESSAGE_DEFERRED, 0, true),
			OK);
	ck_assert_uint_eq(counts_at(&kit, NOW).aged[STORE_AGES - 1], 1);
	tick_at(&kit, NOW + 60 * SECOND); /* the scheduled one is due */
	ck_assert_uint_eq(counts_at(&kit, NOW).aged[STORE_AGES - 1], 2);
	ck_assert_int_eq(counts_at(&kit, NOW).oldest_ms,
		(NOW - store_ages_ms[STORE_AGES - 1]) / 1000 * 1000);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 4), 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(settle(&kit, claimed.at[i], MESSAGE_HELD, 0, true), OK);
	ck_assert_uint_eq(counts_at(&kit, NOW).aged[STORE_AGES - 1], 0);
	ck_assert_int_eq(counts_at(&kit, NOW).oldest_ms, 0);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* … its head and its recipients, too; however long what relays say becomes, it counts the same
 * until it is settled, and again when it is tried again. */
START_TEST(all_of_a_message_counts)
{
	OPENED(kit);
	uint64_t weight = letter_weight(1, "a") - TEXT("{\"order\":\"42\"}").len + 4000;
	struct claimed claimed = { 0 };
	char said[400], metadata[4000];
	struct letter letter;
	struct change_job change = { .id = letter.stored.id,
		.now_ms = NOW,
		.expires_ms = NOW + 1000 * SECOND,
		.change = CHANGE_RETRY };
	struct release_job release = { .id = letter.stored.id, .token = TOKEN, .now_ms = NOW };

	memset(said, 'x', sizeof(said));
	memset(metadata, 'y', sizeof(metadata));
	letter_write(&letter, 1, "a");
	letter.stored.metadata = (struct text){ metadata, sizeof(metadata) };
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW + 1), OK);
	ck_assert_uint_eq(counts(&kit).bytes, weight + 1); /* its length takes a byte more */
	for (int round = 0; round < 2; round++) {
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_uint_eq(claimed.at[0]->size_bytes, letter.body.len);
		claimed.at[0]->to[0].said.text = (struct text){ said, sizeof(said) };
		ck_assert_int_eq(
			settle(&kit, claimed.at[0], MESSAGE_DEFERRED, 10 * SECOND, true), OK);
		claimed_free(&claimed);
		ck_assert_uint_eq(counts(&kit).bytes, weight + 1);
		tick_at(&kit, NOW + 10 * SECOND);
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		claimed_free(&claimed);
		ck_assert_int_eq(DO(&kit, release, &release), OK);
		ck_assert_uint_eq(counts(&kit).bytes, weight + 1);
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		kit.store.verbs->close(kit.store.self); /* its lease is void */
		kit_open_again(&kit);
		claimed_free(&claimed);
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_FAILED, 0, true), OK);
		claimed_free(&claimed);
		ck_assert_uint_eq(counts(&kit).bytes, 0);
		ck_assert_int_eq(DO(&kit, change, &change), OK);
		ck_assert_uint_eq(counts(&kit).bytes, weight + 1);
	}
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_rolled_back_never_was)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;
	struct accept_job accept = {
		.stored = &letter.stored, .pieces = &letter.body, .piece_count = 1, .now_ms = NOW
	};

	put(&kit, 1, "a");
	letter_write(&letter, 2, "b");
	letter.stored.due_ms = NOW;
	ck_assert_int_eq(kit.store.verbs->begin(kit.store.self), OK);
	ck_assert_int_eq(kit.store.verbs->accept(kit.store.self, &accept), OK);
	claimed.job = (struct claim_job){
		.most = 5, .token = TOKEN, .claimed = claimed.at, .now_ms = NOW
	};
	ck_assert_int_eq(kit.store.verbs->claim(kit.store.self, &claimed.job), OK);
	ck_assert_uint_eq(claimed.job.count, 2);
	kit.store.verbs->rollback(kit.store.self);
	claimed_free(&claimed);
	ck_assert_ptr_null(look_up(&kit, 2, NULL));
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_QUEUED], 1);
	ck_assert_uint_eq(counts_at(&kit, NOW).aged[0], 1);
	ck_assert_uint_eq(claim(&kit, &claimed, 5), 1);
	ck_assert_uint_eq(claimed.at[0]->tries, 1);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* ---- looking and deciding */

START_TEST(another_keys_message_is_not_there)
{
	OPENED(kit);
	struct stored *stored;
	struct region *region;
	struct letter letter;
	struct body_job body = { .id = letter.stored.id, .key_id = TEXT("b") };
	struct change_job change = { .id = letter.stored.id, .key_id = TEXT("b") };

	ck_assert_int_eq(region_open(10000, &region), OK);
	put(&kit, 1, "a");
	letter_write(&letter, 1, "a");
	ck_assert_ptr_null(look_up(&kit, 1, "b"));
	stored = look_up(&kit, 1, "a");
	ck_assert_ptr_nonnull(stored);
	stored_free(stored);
	body.region = region;
	ck_assert_int_eq(DO(&kit, body, &body), ERR_MISSING);
	ck_assert_int_eq(DO(&kit, change, &change), ERR_MISSING);
	body.key_id = TEXT("a");
	ck_assert_int_eq(DO(&kit, body, &body), OK);
	ck_assert(text_equal(body.body, letter.body));
	region_close(region);
	kit_close(&kit);
}
END_TEST

START_TEST(the_bytes_go_with_the_verdict_unless_they_are_to_stay)
{
	static const struct {
		enum message_state state;
		bool keep, stays;
	} rows[] = { { MESSAGE_SENT, false, false }, { MESSAGE_SENT, true, true },
		{ MESSAGE_FAILED, false, false }, { MESSAGE_HELD, false, true },
		{ MESSAGE_DEFERRED, false, true } };
	OPENED(kit);
	struct region *region;

	ck_assert_int_eq(region_open(10000, &region), OK);
	for (unsigned i = 0; i < 5; i++) {
		struct claimed claimed = { 0 };
		struct letter letter;
		struct body_job body = { .id = letter.stored.id, .region = region };

		letter_write(&letter, i, "a");
		put(&kit, i, "a");
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(
			settle(&kit, claimed.at[0], rows[i].state, SECOND, rows[i].keep), OK);
		ck_assert_int_eq(DO(&kit, body, &body), rows[i].stays ? OK : ERR_VALUE);
		claimed_free(&claimed);
	}
	region_close(region);
	kit_close(&kit);
}
END_TEST

START_TEST(what_was_not_sent_can_be_cancelled)
{
	static const struct {
		enum message_state from;
		bool may;
	} rows[] = { { MESSAGE_QUEUED, true }, { MESSAGE_SENDING, false }, { MESSAGE_SENT, false },
		{ MESSAGE_DEFERRED, true }, { MESSAGE_HELD, true }, { MESSAGE_FAILED, false },
		{ MESSAGE_CANCELLED, false }, { MESSAGE_UNKNOWN, false } };
	OPENED(kit);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct claimed claimed = { 0 };
		struct letter letter;
		struct change_job change = { .id = letter.stored.id, .now_ms = NOW };

		letter_write(&letter, i, "a");
		put(&kit, i, "a");
		if (rows[i].from != MESSAGE_QUEUED)
			ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		if (claimed.job.count && rows[i].from != MESSAGE_SENDING)
			ck_assert_int_eq(
				settle(&kit, claimed.at[0], rows[i].from, SECOND, false), OK);
		ck_assert_int_eq(DO(&kit, change, &change), rows[i].may ? OK : ERR_VALUE);
		ck_assert_int_eq(change.state, rows[i].may ? MESSAGE_CANCELLED : rows[i].from);
		claimed_free(&claimed);
		ck_assert_uint_eq(claim(&kit, &claimed, 9), 0);
	}
	kit_close(&kit);
}
END_TEST

/* What was true before an attempt is not told behind it. */
START_TEST(what_is_cancelled_is_told_as_it_was_found)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct event found[9];
	struct events_job told = { .most = 9, .events = found };
	struct letter letter;
	struct change_job change = {
		.id = letter.stored.id, .now_ms = NOW, .tell = told_of_cancelled
	};

	ck_assert_int_eq(region_open(100000, &told.region), OK);
	letter_write(&letter, 1, "a");
	put(&kit, 1, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(DO(&kit, change, &change), ERR_VALUE); /* and nothing is told */
	claimed.at[0]->to[0].is_open = false;
	claimed.at[0]->to[0].outcome = SMTP_ACCEPTED;
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_DEFERRED, SECOND, false), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, change, &change), OK);
	ck_assert_int_eq(DO(&kit, change, &change), ERR_VALUE);
	ck_assert_int_eq(DO(&kit, events, &told), OK);
	ck_assert_uint_eq(told.count, 2);
	ck_assert(text_equal(found[1].type, TEXT("message.cancelled")));
	ck_assert(text_equal(found[1].key_id, TEXT("a")));
	ck_assert(text_contains_nocase(
		found[1].content, TEXT("\"recipients\":[\"bo@example.net\"]")));
	region_close(told.region);
	kit_close(&kit);
}
END_TEST

START_TEST(a_failed_one_can_be_tried_again)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct letter letter;
	struct change_job change = {
		.id = letter.stored.id, .change = CHANGE_RETRY, .now_ms = NOW, .expires_ms = NOW + 7
	};

	letter_write(&letter, 1, "a");
	put(&kit, 1, "a");
	ck_assert_int_eq(DO(&kit, change, &change), ERR_VALUE); /* it is to come anyway */
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	claimed.at[0]->to[0].is_open = claimed.at[0]->to[1].is_open = false;
	claimed.at[0]->to[0].outcome = SMTP_ACCEPTED;
	claimed.at[0]->to[1].outcome = SMTP_REJECTED;
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_PARTIAL, 0, true), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, change, &change), OK);
	ck_assert_int_eq(change.state, MESSAGE_QUEUED);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert(!claimed.at[0]->to[0].is_open && claimed.at[0]->to[1].is_open);
	ck_assert_int_eq(claimed.at[0]->expires_ms, NOW + 7);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_FAILED, 0, false), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, change, &change), ERR_VALUE);
	ck_assert(change.lacks_body);
	kit_close(&kit);
}
END_TEST

static size_t list_page(struct kit *kit, struct list_job *list, unsigned *numbers)
{
	struct stored *found[10];

	list->found = found;
	list->most = list->most ? list->most : 10;
	ck_assert_int_eq(DO(kit, list, list), OK);
	for (size_t i = 0; i < list->count; i++) {
		numbers[i] = number_of(found[i]);
		stored_free(found[i]);
	}
	return list->count;
}

START_TEST(lists_are_newest_first_in_pages)
{
	OPENED(kit);
	struct list_job list = { .most = 4 };
	unsigned numbers[10], next = 9;

	for (unsigned i = 0; i < 10; i++)
		put(&kit, i, "a");
	for (int page = 0; page < 3; page++) {
		size_t count = list_page(&kit, &list, numbers);

		ck_assert_uint_eq(count, page < 2 ? 4 : 2);
		for (size_t i = 0; i < count; i++)
			ck_assert_uint_eq(numbers[i], next--);
		ck_assert_int_eq(*list.cursor != '\0', page < 2);
	}
	kit_close(&kit);
}
END_TEST

START_TEST(lists_are_filtered)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct list_job by_key = { .key_id = TEXT("b") };
	struct list_job by_state = { .has_state = true, .state = MESSAGE_SENDING };
	struct list_job by_tag = { .tag = TEXT("tag1") };
	struct list_job by_recipient = { .recipient = TEXT("ANN3@example.org") };
	struct list_job since = { .since_ms = NOW + 4 };
	unsigned numbers[10];

	for (unsigned i = 0; i < 6; i++)
		put(&kit, i, i < 4 ? "a" : "b");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_uint_eq(list_page(&kit, &by_key, numbers), 2);
	ck_assert_uint_eq(numbers[0], 5);
	ck_assert_uint_eq(list_page(&kit, &by_state, numbers), 1);
	ck_assert_uint_eq(numbers[0], 0);
	ck_assert_uint_eq(list_page(&kit, &by_tag, numbers), 2);
	ck_assert_uint_eq(numbers[0], 4);
	ck_assert_uint_eq(list_page(&kit, &by_recipient, numbers), 1);
	ck_assert_uint_eq(numbers[0], 3);
	ck_assert_uint_eq(list_page(&kit, &since, numbers), 2);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

/* Under one commit; what is settled has no bytes. */
static void put_from(struct kit *kit, unsigned first, unsigned count, enum message_state state)
{
	const struct store *store = &kit->store;

	ck_assert_int_eq(store->verbs->begin(store->self), OK);
	for (unsigned i = first; i < first + count; i++) {
		struct letter letter;
		struct accept_job accept = { .stored = &letter.stored,
			.pieces = &letter.body,
			.piece_count = 1,
			.now_ms = NOW + i };

		letter_write(&letter, i, "a");
		letter.stored.state = state;
		letter.stored.has_body = !message_state_is_settled(state);
		ck_assert_int_eq(store->verbs->accept(store->self, &accept), OK);
	}
	ck_assert_int_eq(store->verbs->commit(store->self), OK);
}

static void put_many(struct kit *kit, unsigned count, enum message_state state)
{
	put_from(kit, 0, count, state);
}

/* Whoever looks for what is not there does not keep the others waiting. */
START_TEST(a_page_looks_at_so_many_and_goes_on_from_there)
{
	OPENED(kit);
	struct list_job list = { .recipient = TEXT("ann0@example.org") };
	unsigned numbers[10];
	int pages = 1;

	put_many(&kit, STORE_LIST_STEPS * 2 - 1, MESSAGE_QUEUED);
	while (!list_page(&kit, &list, numbers)) {
		ck_assert_int_ne(*list.cursor, '\0');
		pages++;
	}
	ck_assert_int_eq(pages, 2);
	ck_assert_uint_eq(numbers[0], 0);
	kit_close(&kit);
}
END_TEST

START_TEST(a_page_ends_with_its_bytes)
{
	OPENED(kit);
	struct list_job list = { .most_bytes = 1 };
	unsigned numbers[10], next = 4;

	for (unsigned i = 0; i < 5; i++)
		put(&kit, i, "a");
	do {
		size_t count = list_page(&kit, &list, numbers);

		ck_assert_uint_le(count, 1);
		if (!count)
			continue;
		ck_assert_uint_gt(list.bytes, 50);
		ck_assert_uint_eq(numbers[0], next--);
	} while (*list.cursor);
	ck_assert_int_eq((int)next, -1);
	kit_close(&kit);
}
END_TEST

/* Those of a state of which there are few are found however many others are newer. */
START_TEST(a_state_of_which_there_are_few_is_found_by_it)
{
	static const enum message_state states[] = { MESSAGE_HELD, MESSAGE_FAILED,
		MESSAGE_DEFERRED };
	OPENED(kit);

	for (unsigned i = 0; i < 9; i++) {
		struct claimed claimed = { 0 };

		put(&kit, i, i % 2 ? "b" : "a");
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(settle(&kit, claimed.at[0], states[i / 3], SECOND, false), OK);
		claimed_free(&claimed);
	}
	put_from(&kit, 9, STORE_LIST_PASSED + 1, MESSAGE_SENT);
	for (unsigned i = 0; i < 3; i++) {
		struct list_job list = { .has_state = true, .state = states[i], .most = 2 };
		struct list_job of_key = {
			.has_state = true, .state = states[i], .key_id = TEXT("b")
		};
		unsigned numbers[10];

		ck_assert_uint_eq(list_page(&kit, &list, numbers), 2);
		ck_assert_uint_eq(numbers[0], 3 * i + 2);
		ck_assert_uint_eq(numbers[1], 3 * i + 1);
		ck_assert_uint_eq(list_page(&kit, &list, numbers), 1);
		ck_assert_uint_eq(numbers[0], 3 * i);
		ck_assert_int_eq(*list.cursor, '\0');
		ck_assert_uint_eq(list_page(&kit, &of_key, numbers), i == 1 ? 2 : 1);
		ck_assert_int_eq(*of_key.cursor, '\0');
	}
	kit_close(&kit);
}
END_TEST

/* … and of many those that come first, without looking for the rest. */
START_TEST(a_state_of_which_there_are_many_is_looked_for_in_steps)
{
	OPENED(kit);
	struct list_job list = { .has_state = true, .state = MESSAGE_SENT, .most = 10 };
	unsigned numbers[10], pages = 0;

	put_from(&kit, 0, STORE_LIST_FEW + 1, MESSAGE_SENT);
	put_from(&kit, STORE_LIST_FEW + 1, STORE_LIST_PASSED + 1, MESSAGE_QUEUED);
	while (!list_page(&kit, &list, numbers)) {
		ck_assert_int_ne(*list.cursor, '\0');
		ck_assert_uint_lt(++pages, 5);
	}
	ck_assert_uint_eq(pages, 1);
	ck_assert_uint_eq(numbers[0], STORE_LIST_FEW);
	ck_assert_uint_eq(list.count, 10);
	kit_close(&kit);
}
END_TEST

/* ---- events */

START_TEST(events_are_told_in_the_order_of_writing)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct region *region;
	struct event events[10];
	struct events_job job = { .most = 2, .events = events };

	ck_assert_int_eq(region_open(100000, &region), OK);
	job.region = region;
	for (unsigned i = 0; i < 3; i++)
		put(&kit, i, i == 1 ? "b" : "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(settle(&kit, claimed.at[i], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), ERR_VALUE);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 2);
	ck_assert(text_equal(events[0].type, TEXT("message.sent")));
	ck_assert(events[0].cursor > 0 && events[1].cursor > events[0].cursor);
	job.after = job.cursor;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	job.after = job.cursor;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 0);
	ck_assert_uint_eq(job.cursor, job.after);
	job.after = 0;
	job.key_id = TEXT("b");
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	region_close(region);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(events_are_told_in_small_pages)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct region *region;
	struct event events[10];
	struct events_job job = { .most = 10, .most_bytes = 3, .events = events };

	ck_assert_int_eq(region_open(100000, &region), OK);
	job.region = region;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.newest, 0);
	for (unsigned i = 0; i < 3; i++)
		put(&kit, i, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 3);
	for (int i = 0; i < 3; i++) /* each event has two bytes */
		ck_assert_int_eq(settle(&kit, claimed.at[i], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 2);
	job.after = job.cursor;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	ck_assert_uint_eq(job.newest, job.cursor);
	job.most = job.after = 0;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 0);
	ck_assert_uint_eq(job.cursor, 0);
	ck_assert_uint_gt(job.newest, 0);
	ck_assert_uint_ge(job.last, job.newest);
	job.most = 10;
	job.after = UINT64_MAX;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 0);
	region_close(region);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(events_come_with_the_message)
{
	OPENED(kit);
	struct letter letter;
	struct event told[2] = { { .type = TEXT("message.queued") },
		{ .type = TEXT("message.sent") } };
	struct event events[10];
	struct events_job job = { .most = 10, .events = events };
	struct accept_job accept = { .job.kind = JOB_ACCEPT,
		.stored = &letter.stored,
		.pieces = &letter.body,
		.piece_count = 1,
		.now_ms = NOW,
		.events = told,
		.event_count = 2 };

	ck_assert_int_eq(region_open(100000, &job.region), OK);
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 2);
	ck_assert(text_equal(events[1].type, TEXT("message.sent")));
	region_close(job.region);
	kit_close(&kit);
}
END_TEST

/* ---- notes */

START_TEST(a_note_has_one_writer_at_a_time)
{
	OPENED(kit);
	char long_name[STORE_NOTE_NAME_BYTES + 2] = "";

	ck_assert_int_eq(note(&kit, "a", 1, 1000 * SECOND, NULL), OK);
	ck_assert_str_eq(kit.note, "");
	ck_assert_int_eq(note(&kit, "a", 2, SECOND, "theirs"), ERR_VALUE);
	ck_assert_int_eq(note(&kit, "b", 2, SECOND, "beside"), OK);
	ck_assert_int_eq(note(&kit, "a", 1, 1000 * SECOND, "one"), OK);
	ck_assert_int_eq(note(&kit, "a", 1, 1000 * SECOND, NULL), OK);
	ck_assert_str_eq(kit.note, "one");
	ck_assert_int_eq(note(&kit, "a", 1, 0, "two"), OK);
	ck_assert_str_eq(kit.note, "one");
	ck_assert_int_eq(note(&kit, "a", 2, 1, NULL), OK);
	ck_assert_str_eq(kit.note, "two");
	ck_assert_int_eq(usleep(3000), 0);
	ck_assert_int_eq(note(&kit, "a", 1, SECOND, NULL), OK); /* the lease was over */
	ck_assert_int_eq(note(&kit, "a", 2, SECOND, "late"), ERR_VALUE);
	memset(long_name, 'n', STORE_NOTE_NAME_BYTES + 1);
	ck_assert_int_eq(note(&kit, long_name, 1, SECOND, NULL), ERR_VALUE);
	ck_assert_int_eq(note(&kit, long_name + 1, 1, SECOND, NULL), OK);
	ck_assert_int_eq(note(&kit, "a", 0, SECOND, NULL), ERR_VALUE);
	kit_close(&kit);
}
END_TEST

/* ---- once */

static enum once_found once_begin(
	struct kit *kit, const struct once *once, struct region *region, struct text *answer)
{
	struct once_begin_job begin = { .once = once, .now_ms = NOW, .region = region };

	ck_assert_int_eq(DO(kit, once_begin, &begin), OK);
	*answer = begin.answer;
	return begin.found;
}

START_TEST(what_is_to_be_done_once_is_done_once)
{
	OPENED(kit);
	struct region *region;
	struct text answer;
	struct once once = { .key_id = TEXT("a"), .key = TEXT("k1"), .hash = "one" };
	struct once other = { .key_id = TEXT("a"), .key = TEXT("k1"), .hash = "two" };
	struct once theirs = { .key_id = TEXT("b"), .key = TEXT("k1"), .hash = "two" };
	struct once_end_job end = { .once = &once, .now_ms = NOW };

	ck_assert_int_eq(region_open(10000, &region), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_NEW);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_RUNNING);
	ck_assert_int_eq(once_begin(&kit, &other, region, &answer), ONCE_OTHER);
	ck_assert_int_eq(once_begin(&kit, &theirs, region, &answer), ONCE_NEW);
	end.is_free = true;
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &other, region, &answer), ONCE_NEW);
	end.once = &other;
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_NEW);
	once.answer = TEXT("202 queued");
	end.once = &once;
	end.is_free = false;
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_DONE);
	ck_assert(text_equal(answer, TEXT("202 queued")));
	region_close(region);
	kit_close(&kit);
}
END_TEST

/* It may be told when it was done already, and the key runs anew. */
START_TEST(an_end_ends_no_run_but_its_own)
{
	OPENED(kit);
	struct region *region;
	struct text answer;
	struct once once = { .key_id = TEXT("a"), .key = TEXT("k1"), .hash = "one" };
	struct once_end_job end = {
		.once = &once, .is_free = true, .began_ms = NOW - 1, .now_ms = NOW
	};

	ck_assert_int_eq(region_open(10000, &region), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_NEW);
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_RUNNING);
	end.is_free = false;
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_RUNNING);
	end.began_ms = NOW;
	once.answer = TEXT("200 accepted");
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_DONE);
	once.answer = TEXT("504 unknown");
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	end.is_free = true;
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_DONE);
	ck_assert(text_equal(answer, TEXT("200 accepted")));
	region_close(region);
	kit_close(&kit);
}
END_TEST

START_TEST(a_message_that_is_to_be_accepted_once_is_accepted_once)
{
	OPENED(kit);
	struct region *region;
	struct letter letter;
	struct once once = {
		.key_id = TEXT("a"), .key = TEXT("k1"), .hash = "one", .answer = TEXT("2\0002")
	};
	struct accept_job accept = { .stored = &letter.stored,
		.pieces = &letter.body,
		.piece_count = 1,
		.now_ms = NOW,
		.once = &once };

	ck_assert_int_eq(region_open(10000, &region), OK);
	accept.region = region;
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_NEW);
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_DONE);
	ck_assert(text_equal(accept.answer, TEXT("2\0002")));
	ck_assert_ptr_null(look_up(&kit, 2, NULL));
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_QUEUED], 1);
	region_close(region);
	kit_close(&kit);
}
END_TEST

/* Whoever asks again is told, whatever there is room for; what was refused has left no key. */
START_TEST(what_was_accepted_once_is_told_by_a_full_queue)
{
	struct kit kit = kit_open(_i, (struct store_limits){ .messages = 1 });
	struct region *region;
	struct letter letter;
	struct once first = { .key_id = TEXT("a"), .key = TEXT("1"), .answer = TEXT("202") };
	struct once second = { .key_id = TEXT("a"), .key = TEXT("2"), .answer = TEXT("202") };
	struct accept_job accept = { .stored = &letter.stored,
		.pieces = &letter.body,
		.piece_count = 1,
		.now_ms = NOW,
		.once = &first };
	struct text answer;

	ck_assert_int_eq(region_open(10000, &region), OK);
	accept.region = region;
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_DONE);
	letter_write(&letter, 2, "a");
	accept.once = &second;
	ck_assert_int_eq(DO(&kit, accept, &accept), ERR_LIMIT);
	ck_assert_int_eq(once_begin(&kit, &second, region, &answer), ONCE_NEW);
	region_close(region);
	kit_close(&kit);
}
END_TEST

START_TEST(what_ran_ends_with_its_message)
{
	OPENED(kit);
	struct region *region;
	struct letter letter;
	struct once once = { .key_id = TEXT("a"), .key = TEXT("1"), .answer = TEXT("200") };
	struct accept_job accept = { .stored = &letter.stored,
		.pieces = &letter.body,
		.piece_count = 1,
		.now_ms = NOW,
		.once = &once,
		.step = ACCEPT_FREES };
	struct text answer;

	ck_assert_int_eq(region_open(10000, &region), OK);
	letter_write(&letter, 1, "a");
	letter.stored.state = MESSAGE_FAILED;
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_NEW);
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_NEW);
	letter_write(&letter, 2, "a");
	letter.stored.state = MESSAGE_SENT;
	accept.step = ACCEPT_ENDS;
	ck_assert_int_eq(DO(&kit, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_NEW);
	ck_assert_int_eq(once_begin(&kit, &once, region, &answer), ONCE_DONE);
	ck_assert(text_equal(answer, TEXT("200")));
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_FAILED);
	ck_assert_int_eq(state_of(&kit, 2), MESSAGE_SENT);
	region_close(region);
	kit_close(&kit);
}
END_TEST

/* ---- templates, and forgetting */

START_TEST(templates_are_kept_by_name)
{
	OPENED(kit);
	struct region *region;
	struct template_job put_b = { .name = TEXT("b"), .content = TEXT("one") };
	struct template_job put_a = { .name = TEXT("a"), .content = TEXT("two") };
	struct template_job drop = { .name = TEXT("b") };
	struct templates_job all = { 0 };

	ck_assert_int_eq(region_open(100000, &region), OK);
	all.region = region;
	ck_assert_int_eq(DO(&kit, template, &drop), ERR_MISSING);
	ck_assert_int_eq(DO(&kit, template, &put_b), OK);
	ck_assert(!put_b.was_there);
	ck_assert_int_eq(DO(&kit, template, &put_a), OK);
	put_b.content = TEXT("three");
	ck_assert_int_eq(DO(&kit, template, &put_b), OK);
	ck_assert(put_b.was_there);
	ck_assert_int_eq(DO(&kit, templates, &all), OK);
	ck_assert_uint_eq(all.count, 2);
	ck_assert(text_equal(all.templates[0].content, TEXT("two")));
	ck_assert(text_equal(all.templates[1].content, TEXT("three")));
	ck_assert_int_eq(DO(&kit, template, &drop), OK);
	ck_assert_int_eq(DO(&kit, templates, &all), OK);
	ck_assert_uint_eq(all.count, 1);
	region_close(region);
	kit_close(&kit);
}
END_TEST

static struct sweep sweep_past(struct kit *kit, int64_t now_ms, uint64_t event_bytes)
{
	struct sweep sweep = { .now_ms = now_ms,
		.keeps = { .sent_ms = 10 * SECOND,
			.failed_ms = 30 * SECOND,
			.body_ms = 5 * SECOND,
			.once_ms = 20 * SECOND,
			.event_ms = 20 * SECOND,
			.event_bytes = event_bytes } };

	ck_assert_int_eq(DO_IT(kit, sweep, &sweep), OK);
	return sweep;
}

static bool sweep_at(struct kit *kit, int64_t now_ms)
{
	return sweep_past(kit, now_ms, 0).has_more;
}

START_TEST(what_is_settled_is_forgotten_in_its_time)
{
	static const struct {
		enum message_state state;
		int64_t forgotten_s; /* 0: never */
	} rows[] = { { MESSAGE_SENT, 10 }, { MESSAGE_FAILED, 30 }, { MESSAGE_PARTIAL, 30 },
		{ MESSAGE_UNKNOWN, 30 }, { MESSAGE_HELD, 0 }, { MESSAGE_DEFERRED, 0 },
		{ MESSAGE_CANCELLED, 10 }, { MESSAGE_CAPTURED, 10 } };
	enum { ROWS = sizeof(rows) / sizeof(*rows) };
	static const int64_t moments[] = { 0, 10, 11, 30, 31, 1000000 };
	OPENED(kit);

	for (unsigned i = 0; i < ROWS; i++) {
		struct claimed claimed = { 0 };

		put(&kit, i, "a");
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(
			settle(&kit, claimed.at[0], rows[i].state, 100 * SECOND, true), OK);
		claimed_free(&claimed);
	}
	for (int moment = 0; moment < 6; moment++) {
		ck_assert(!sweep_at(&kit, NOW + moments[moment] * SECOND));
		for (unsigned i = 0; i < ROWS; i++) {
			struct stored *stored = look_up(&kit, i, NULL);
			bool is_gone = rows[i].forgotten_s && rows[i].forgotten_s < moments[moment];

			ck_assert_msg((stored == NULL) == is_gone, "%s at %d",
				message_state_name(rows[i].state), moment);
			if (stored)
				ck_assert_int_eq(stored->has_body,
					moments[moment] <= 5 || rows[i].state == MESSAGE_CAPTURED ||
						!message_state_is_settled(rows[i].state));
			stored_free(stored);
		}
	}
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENT], 0);
	kit_close(&kit);
}
END_TEST

START_TEST(it_is_forgotten_in_small_steps)
{
	OPENED(kit);
	int steps = 1;

	put_many(&kit, 2 * STORE_SWEEP_STEPS + 5, MESSAGE_SENT);
	while (sweep_at(&kit, NOW + 1000 * SECOND))
		steps++;
	ck_assert_int_eq(steps, 3);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENT], 0);
	kit_close(&kit);
}
END_TEST

START_TEST(answers_and_events_are_forgotten_too)
{
	OPENED(kit);
	struct claimed claimed = { 0 };
	struct region *region;
	struct event events[4];
	struct events_job job = { .most = 4, .events = events };
	struct once done = { .key_id = TEXT("a"), .key = TEXT("1"), .answer = TEXT("x") };
	struct once running = { .key_id = TEXT("a"), .key = TEXT("2") };
	struct once_end_job end = { .once = &done, .now_ms = NOW };
	struct text answer;

	ck_assert_int_eq(region_open(100000, &region), OK);
	job.region = region;
	put(&kit, 1, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, once_end, &end), OK);
	ck_assert_int_eq(once_begin(&kit, &running, region, &answer), ONCE_NEW);
	(void)sweep_at(&kit, NOW + 20 * SECOND);
	ck_assert_int_eq(once_begin(&kit, &done, region, &answer), ONCE_DONE);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	job.after = events[0].cursor - 1;
	(void)sweep_at(&kit, NOW + 21 * SECOND);
	ck_assert_int_eq(once_begin(&kit, &done, region, &answer), ONCE_NEW);
	ck_assert_int_eq(once_begin(&kit, &running, region, &answer), ONCE_RUNNING);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 0);
	put(&kit, 2, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	ck_assert_msg(events[0].cursor > job.after + 1, "a cursor is never given twice");
	region_close(region);
	kit_close(&kit);
}
END_TEST

static void put_event(struct kit *kit, unsigned number, int64_t at_ms)
{
	struct letter letter;
	struct event event = {
		.at_ms = at_ms, .type = TEXT("message.queued"), .content = TEXT("{}")
	};
	struct accept_job accept = { .job.kind = JOB_ACCEPT,
		.stored = &letter.stored,
		.now_ms = NOW,
		.events = &event,
		.event_count = 1 };

	letter_write(&letter, number, "a");
	letter.stored.state = MESSAGE_SENT;
	letter.stored.has_body = false;
	ck_assert_int_eq(kit->store.verbs->accept(kit->store.self, &accept), OK);
}

static void put_events(struct kit *kit, unsigned first, unsigned count, int64_t at_ms)
{
	ck_assert_int_eq(kit->store.verbs->begin(kit->store.self), OK);
	for (unsigned i = first; i < first + count; i++)
		put_event(kit, i, at_ms);
	ck_assert_int_eq(kit->store.verbs->commit(kit->store.self), OK);
}

/* F-36: the clock was ahead, and was set right. */
START_TEST(events_of_a_clock_that_was_ahead_hold_up_no_others)
{
	OPENED(kit);
	struct event events[4];
	struct events_job job = { .most = 4, .events = events };
	int64_t year = INT64_C(365) * 86400 * SECOND;
	unsigned number = 0;

	ck_assert_int_eq(region_open(100000, &job.region), OK);
	put_events(&kit, number, 2 * STORE_SWEEP_STEPS + 1, NOW + year);
	number += 2 * STORE_SWEEP_STEPS + 1;
	put_events(&kit, number++, 1, NOW);
	put_events(&kit, number++, 1, NOW + 10 * SECOND);
	for (int i = 0; i < 10; i++)
		(void)sweep_at(&kit, NOW + 10 * SECOND);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_msg(job.count == 4, "none of them is old yet");
	for (int i = 0; i < 10; i++)
		(void)sweep_at(&kit, NOW + 21 * SECOND);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	ck_assert_int_eq(events[0].at_ms, NOW + 10 * SECOND);
	ck_assert(!sweep_at(&kit, NOW + 21 * SECOND));
	region_close(job.region);
	kit_close(&kit);
}
END_TEST

/* What put_event writes. */
static const uint64_t event_bytes = sizeof("message.queued{}") - 1 + 64;

static void expect_events(struct kit *kit, uint64_t count)
{
	ck_assert_uint_eq(counts(kit).events, count);
	ck_assert_uint_eq(counts(kit).event_bytes, count * event_bytes);
	ck_assert_uint_eq(tick_at(kit, NOW).event_bytes, count * event_bytes);
}

START_TEST(events_are_counted)
{
	OPENED(kit);
	struct claimed claimed = { 0 };

	put_events(&kit, 0, 5, NOW);
	expect_events(&kit, 5);
	ck_assert_int_eq(kit.store.verbs->begin(kit.store.self), OK);
	put_event(&kit, 5, NOW);
	kit.store.verbs->rollback(kit.store.self);
	expect_events(&kit, 5);
	put(&kit, 6, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	claimed.at[0]->token++; /* it is somebody else's: the verdict does not count */
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), ERR_VALUE);
	claimed_free(&claimed);
	expect_events(&kit, 5);
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit);
	expect_events(&kit, 5);
	put_events(&kit, 7, 2, NOW + 10 * SECOND);
	(void)sweep_at(&kit, NOW + 21 * SECOND);
	expect_events(&kit, 2);
	kit_close(&kit);
}
END_TEST

/* The oldest of all, in steps, until a little less is left than may be. */
START_TEST(events_go_before_their_time_where_they_take_too_much)
{
	OPENED(kit);
	struct event events[2];
	struct events_job job = { .most = 2, .events = events };
	struct sweep sweep;
	uint64_t first, last;

	ck_assert_int_eq(region_open(100000, &job.region), OK);
	put_events(&kit, 0, 16, NOW);
	sweep = sweep_past(&kit, NOW, 16 * event_bytes);
	ck_assert_uint_eq(sweep.dropped, 0); /* that is within it */
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	put_events(&kit, 16, 1, NOW);
	sweep = sweep_past(&kit, NOW, 0);
	ck_assert_uint_eq(sweep.dropped, 0);
	sweep = sweep_past(&kit, NOW, 16 * event_bytes);
	ck_assert_uint_eq(sweep.dropped, 2);
	ck_assert(!sweep.has_more);
	expect_events(&kit, 15);
	job.after = events[1].cursor; /* these two are gone */
	last = job.after;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 2);
	first = events[0].cursor;
	job.after = 0;
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(events[0].cursor, first);
	ck_assert_uint_gt(first, last);
	region_close(job.region);
	kit_close(&kit);
}
END_TEST

/* … never so many that others wait long for it, and never less than came. */
START_TEST(events_go_as_fast_as_they_come)
{
	OPENED(kit);
	unsigned number = 0;

	put_events(&kit, number, 3 * STORE_SHED_STEPS, NOW);
	number += 3 * STORE_SHED_STEPS;
	ck_assert_uint_eq(sweep_past(&kit, NOW, 16 * event_bytes).dropped,
		3 * STORE_SHED_STEPS - 15); /* these all came since the last time */
	put_events(&kit, number, 2 * STORE_SHED_STEPS + 10, NOW);
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit); /* and of these nothing is known but that they are there */
	ck_assert_uint_eq(
		sweep_past(&kit, NOW, 16 * event_bytes).dropped, (size_t)STORE_SHED_STEPS);
	ck_assert(sweep_past(&kit, NOW, 16 * event_bytes).has_more);
	ck_assert(!sweep_past(&kit, NOW, 16 * event_bytes).has_more);
	expect_events(&kit, 15);
	kit_close(&kit);
}
END_TEST

#define EACH(test) tcase_add_loop_test(cases, test, 0, backends)

UNIT_MAIN(
	store, int backends = pg_server_start() ? KIT_BACKENDS : KIT_PG;
	EACH(what_was_accepted_is_claimed_as_it_was); EACH(what_is_out_is_handed_to_nobody_else);
	EACH(a_verdict_counts_once); EACH(a_part_is_settled_while_the_rest_is_out);
	EACH(a_deferred_one_comes_when_it_is_due_with_all_that_came_of_it);
	EACH(a_scheduled_one_waits_for_its_moment); EACH(who_accepts_it_may_keep_it_to_send_it);
	EACH(what_is_only_remembered_never_comes); EACH(keys_take_turns);
	EACH(a_claim_ends_with_its_bytes); EACH(a_turn_goes_on_with_the_next_claim);
	EACH(the_oldest_that_is_due_comes_first); EACH(a_relay_that_rests_holds_only_its_own);
	EACH(a_fence_asks_whether_the_lease_is_ours); EACH(a_narrow_lane_gives_no_more_than_it_may);
	EACH(what_is_over_does_not_wait_for_its_relay); EACH(what_is_over_leaves_room_for_the_rest);
	EACH(a_lease_that_is_over_gives_the_message_to_others);
	EACH(what_may_have_been_sent_is_remembered_until_it_is_noted);
	EACH(what_is_given_back_untried_does_not_count);
	EACH(a_clock_that_is_set_back_leaves_nobody_waiting); EACH(a_full_queue_takes_no_more);
	EACH(counts_are_by_state); EACH(all_of_a_message_counts);
	EACH(those_that_wait_are_counted_by_age); EACH(what_is_rolled_back_never_was);
	EACH(another_keys_message_is_not_there);
	EACH(the_bytes_go_with_the_verdict_unless_they_are_to_stay);
	EACH(what_was_not_sent_can_be_cancelled); EACH(what_is_cancelled_is_told_as_it_was_found);
	EACH(a_failed_one_can_be_tried_again); EACH(lists_are_newest_first_in_pages);
	EACH(lists_are_filtered); EACH(a_page_looks_at_so_many_and_goes_on_from_there);
	EACH(events_are_told_in_the_order_of_writing); EACH(events_are_told_in_small_pages);
	EACH(events_come_with_the_message); EACH(a_note_has_one_writer_at_a_time);
	EACH(what_is_to_be_done_once_is_done_once); EACH(an_end_ends_no_run_but_its_own);
	EACH(a_message_that_is_to_be_accepted_once_is_accepted_once);
	EACH(what_was_accepted_once_is_told_by_a_full_queue); EACH(what_ran_ends_with_its_message);
	EACH(templates_are_kept_by_name); EACH(what_is_settled_is_forgotten_in_its_time);
	EACH(a_page_ends_with_its_bytes); EACH(a_state_of_which_there_are_few_is_found_by_it);
	EACH(a_state_of_which_there_are_many_is_looked_for_in_steps);
	EACH(events_of_a_clock_that_was_ahead_hold_up_no_others); EACH(events_are_counted);
	EACH(events_go_before_their_time_where_they_take_too_much);
	EACH(events_go_as_fast_as_they_come); EACH(it_is_forgotten_in_small_steps);
	EACH(answers_and_events_are_forgotten_too);)
