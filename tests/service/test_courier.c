/* The courier: what is asked before a message goes, and what is left of it when a process dies. The
 * queue and its store are real; the relay is the test. */
#include "service/queue/courier.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "service/clock.h"
#include "service/relay/parts.h"
#include "service/session/fence.h"
#include "store_kit.h"
#include "unit.h"

enum { HELD = 16 };

static struct world {
	struct kit kit;
	struct queue *queue;
	struct courier *courier;
	pthread_mutex_t lock;
	struct delivery *at[HELD]; /* handed over, in that order */
	size_t count;
} world;

static void deliver(void *self, struct delivery *delivery)
{
	(void)self;
	pthread_mutex_lock(&world.lock);
	ck_assert_uint_lt(world.count, HELD);
	world.at[world.count++] = delivery;
	pthread_mutex_unlock(&world.lock);
}

static atomic_uint room_for;
static atomic_uint_fast64_t room_bytes;
/* What look_for_room tells of relay "r"; no `tells`: nothing. */
static struct {
	bool tells, rests;
	size_t room;
} narrow;

static unsigned look_for_room(void *self, struct claim_room *room, uint64_t *bytes_out)
{
	unsigned there = room_for;

	(void)self;
	*bytes_out = room_bytes > courier_bytes(world.courier)
			     ? room_bytes - courier_bytes(world.courier)
			     : 0;
	if (narrow.tells)
		claim_room_put(room, "r", narrow.room, narrow.rests);
	if (there != UINT_MAX)
		room_for = 0; /* it is for the one who asks */
	return there;
}

static atomic_bool is_gone; /* relay "r" */

static bool may_go(void *self, const struct delivery *delivery)
{
	(void)self;
	return !is_gone || !text_equal(delivery->relay, TEXT("r"));
}

static atomic_uint heard; /* verdicts that are on disk */

static void hear(void *self, const struct stored *stored, const struct result *last)
{
	(void)self;
	(void)stored;
	(void)last;
	heard++;
}

/* A store of which nobody hears that the next verdict was written. */
static struct store_verbs doubtful;
static struct {
	bool is_wanted, is_due, is_over;
} doubt; /* the queue's thread */

static enum err settle_in_doubt(void *self, struct settle_job *settle)
{
	doubt.is_due = doubt.is_wanted;
	doubt.is_wanted = false;
	return world.kit.store.verbs->settle(self, settle);
}

static enum err commit_in_doubt(void *self)
{
	enum err err = world.kit.store.verbs->commit(self);

	doubt.is_over = !err && doubt.is_due;
	doubt.is_due = false;
	return doubt.is_over ? ERR_DOUBT : err;
}

static void rollback_in_doubt(void *self)
{
	if (!doubt.is_over)
		world.kit.store.verbs->rollback(self);
	doubt.is_over = false;
}

static struct store doubtful_store(void)
{
	struct store store = world.kit.store;

	doubtful = *store.verbs;
	doubtful.settle = settle_in_doubt;
	doubtful.commit = commit_in_doubt;
	doubtful.rollback = rollback_in_doubt;
	store.verbs = &doubtful;
	return store;
}

/* Over the store that is open. */
static void set_out(bool is_shared)
{
	static const struct courier_settings settings = {
		.schedule = { .delays_ms = { 50 }, .count = 1, .for_ms = INT64_C(100000000000000) },
		.most = HELD,
		.attempt_us = 60000000,
		.deliver = deliver,
		.may_go = may_go,
		.look = look_for_room,
		.settled = hear
	};
	struct queue_settings own = { .furthest_ms = 1000, .ripe = courier_wake };

	pthread_mutex_init(&world.lock, NULL);
	world.count = 0;
	ck_assert_int_eq(courier_open(&settings, &world.courier), OK);
	own.context = world.courier;
	world.kit.store.is_shared = is_shared;
	ck_assert_int_eq(queue_open(&own, doubt.is_wanted ? doubtful_store() : world.kit.store,
				 &world.queue),
		OK);
	courier_start(world.courier, world.queue);
}

static size_t count_out(void)
{
	size_t count;

	pthread_mutex_lock(&world.lock);
	count = world.count;
	pthread_mutex_unlock(&world.lock);
	return count;
}

/* The delivery of that number, from 0 on, when it was handed over. */
static struct delivery *wait_out(size_t number)
{
	for (int i = 0; i < 5000 && count_out() <= number; i++)
		usleep(1000);
	ck_assert_uint_gt(count_out(), number);
	return world.at[number];
}

static void put_letter_in(unsigned number, const char *lane, bool hold)
{
	struct letter letter;

	letter_write(&letter, number, "a");
	letter.stored.lane = text_of(lane);
	letter.stored.hold_unknown = hold;
	letter.stored.expires_ms = INT64_MAX;
	ck_assert_int_eq(letter_accept(&world.kit, &letter, NOW + number), OK);
}

static void put_letter(unsigned number, bool hold)
{
	put_letter_in(number, "", hold);
}

static void go_home(void)
{
	courier_stop(world.courier);
	queue_close(world.queue);
	courier_close(world.courier);
}

/* What a killed process leaves: what was written, and leases that nobody holds. */
static void die_and_come_back(bool is_shared)
{
	go_home();
	kit_open_again(&world.kit);
	set_out(is_shared);
}

/* The same where the process was killed with MAIL written of those that are out. `more`: a letter
 * that is there as well then; 0: none. */
static void be_killed(unsigned more)
{
	char name[128], kept[1 << 17];
	FILE *file;
	size_t len;

	snprintf(name, sizeof(name), "%s-strikes", world.kit.path);
	file = fopen(name, "re");
	len = fread(kept, 1, sizeof(kept), file);
	fclose(file);
	go_home();
	file = fopen(name, "we");
	ck_assert_uint_eq(fwrite(kept, 1, len, file), len);
	fclose(file);
	kit_open_again(&world.kit);
	if (more)
		put_letter(more, false);
	set_out(false);
}

static void end(void)
{
	go_home();
	kit_remove(&world.kit);
}

static struct stored *look(unsigned number)
{
	struct letter letter;
	struct look_up_job look_up = { .job.kind = JOB_LOOK_UP };

	letter_write(&letter, number, "a");
	look_up.id = letter.stored.id;
	ck_assert_int_eq(DO(&world.kit, look_up, &look_up), OK);
	return look_up.found;
}

static enum fence_answer ask(struct delivery *delivery)
{
	enum fence_answer answer;

	ck_assert_ptr_nonnull(delivery->fence);
	ck_assert_ptr_nonnull(delivery->fence->ask);
	fence_ask(delivery->fence, NULL);
	while ((answer = fence_hear(delivery->fence)) == FENCE_ASKED)
		usleep(100);
	return answer;
}

static void answer_all(struct delivery *delivery, enum smtp_outcome outcome)
{
	struct smtp_verdict verdict = { .outcome = outcome,
		.class = outcome == SMTP_ACCEPTED ? SMTP_TAKEN : SMTP_LATER,
		.category = outcome == SMTP_ACCEPTED ? SMTP_OK_CATEGORY : SMTP_RELAY_BUSY,
		.retryable = outcome != SMTP_ACCEPTED };

	for (size_t i = 0; i < delivery->result.count; i++)
		delivery->result.answers[i].verdict = verdict;
	delivery->result.verdict = verdict;
	delivery->result.attempts[0] = (struct attempt){ .relay = TEXT("r"), .outcome = outcome };
	delivery->result.attempt_count = 1;
	delivery->done(delivery);
}

/* For a moment: what is asked for next counts as out, too, until it is known that there is none. */
static void wait_settled(void)
{
	unsigned out = courier_out(world.courier);

	for (int i = 0; i < 5000 && out > 0; i++) {
		usleep(1000);
		out = courier_out(world.courier);
	}
	ck_assert_uint_eq(out, 0);
}

static void begin(void)
{
	static const struct store_limits no_limits;

	world.kit = kit_open(KIT_SQLITE, no_limits);
	room_for = UINT_MAX;
	room_bytes = UINT64_MAX;
	narrow.tells = narrow.rests = false;
}

START_TEST(only_what_is_held_is_asked_for)
{
	begin();
	put_letter(1, false);
	put_letter(2, true);
	set_out(false);
	wait_out(1);
	for (size_t i = 0; i < 2; i++) {
		struct delivery *delivery = world.at[i];
		bool asks = delivery->fence && delivery->fence->ask;

		ck_assert_int_eq(asks, text_equal(delivery->message_id, TEXT("<2@example.com>")));
		answer_all(delivery, SMTP_ACCEPTED);
	}
	wait_settled();
	end();
}
END_TEST

/* F-32: the mark is set when it is asked, for that message alone. */
START_TEST(what_was_not_asked_for_is_tried_again)
{
	struct delivery *delivery;

	begin();
	put_letter(1, true);
	put_letter(2, true);
	set_out(false);
	wait_out(1);
	delivery = text_equal(world.at[0]->message_id, TEXT("<1@example.com>")) ? world.at[0]
										: world.at[1];
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	die_and_come_back(false);
	delivery = wait_out(0);
	ck_assert(text_equal(delivery->message_id, TEXT("<2@example.com>")));
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
	ck_assert_uint_eq(count_out(), 1); /* the other one is not sent again */
	go_home();
	kit_open_again(&world.kit);
	{
		struct stored *stored = look(1);

		ck_assert_int_eq(stored->state, MESSAGE_HELD);
		ck_assert_int_eq(stored->to[0].outcome, SMTP_UNKNOWN);
		stored_free(stored);
	}
	kit_close(&world.kit);
}
END_TEST

/* An answer means that it was not sent: the mark is gone with it, and the next try has its own. */
START_TEST(a_mark_lasts_until_the_verdict)
{
	struct delivery *delivery;

	begin();
	put_letter(1, true);
	set_out(false);
	delivery = wait_out(0);
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	answer_all(delivery, SMTP_DEFERRED);
	wait_out(1);
	die_and_come_back(false);
	answer_all(wait_out(0), SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

/* Another process may have it by now: whoever had it does not write the last byte. */
START_TEST(a_verdict_in_doubt_that_was_written_is_told)
{
	struct stored *stored;

	begin();
	heard = 0;
	put_letter(1, false);
	doubt.is_wanted = true;
	set_out(false);
	answer_all(wait_out(0), SMTP_ACCEPTED);
	for (int i = 0; i < 5000 && !heard; i++) {
		courier_tick(world.courier, now_us() + 2000000); /* it is tried again */
		usleep(1000);
	}
	wait_settled();
	ck_assert(!doubt.is_wanted);
	ck_assert_uint_eq(heard, 1);
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_SENT);
	stored_free(stored);
	kit_close(&world.kit);
}
END_TEST

START_TEST(a_lease_that_was_lost_stops_it)
{
	static const struct queue_settings plain = { .furthest_ms = 1000 };
	struct delivery *delivery;

	begin();
	put_letter(1, false);
	set_out(true);
	delivery = wait_out(0);
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	ck_assert_int_eq(ask(delivery), FENCE_YES); /* each writer asks for himself */
	courier_stop(world.courier);
	queue_close(world.queue);
	kit_open_again(&world.kit); /* takes all leases away */
	ck_assert_int_eq(queue_open(&plain, world.kit.store, &world.queue), OK);
	courier_start(world.courier, world.queue);
	ck_assert_int_eq(ask(delivery), FENCE_NO);
	answer_all(delivery, SMTP_DEFERRED); /* and what came of it is not noted */
	wait_settled();
	end();
}
END_TEST

/* Of an answer that nobody waited for, the next who asks must not take it for his own. */
START_TEST(an_old_answer_is_not_a_new_one)
{
	struct delivery *delivery;

	begin();
	put_letter(1, true);
	set_out(false);
	delivery = wait_out(0);
	fence_ask(delivery->fence, NULL);
	while (delivery->fence->answer == FENCE_ASKED)
		usleep(100);
	fence_ask(delivery->fence, NULL);
	ck_assert_int_ne(fence_hear(delivery->fence), FENCE_NONE);
	while (delivery->fence->answer == FENCE_ASKED)
		usleep(100);
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

/* ---- in parts */

static void part_is_taken(struct delivery *delivery)
{
	delivery->result.relay_name = TEXT("r");
	delivery->result.answers[0].verdict = (struct smtp_verdict){
		.class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED, .status = 200
	};
	delivery->fence->part(delivery->fence);
}

/* F-32: who has it is on disk before the end of the next part may go. */
START_TEST(who_has_a_part_is_not_sent_it_by_the_next_process)
{
	struct delivery *delivery;

	begin();
	put_letter(1, false);
	set_out(false);
	delivery = wait_out(0);
	ck_assert_ptr_null(delivery->fence->ask); /* that costs nothing where there are none */
	part_is_taken(delivery);
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	die_and_come_back(false);
	delivery = wait_out(0);
	ck_assert_uint_eq(delivery->envelope.count, 1);
	ck_assert(text_equal(delivery->envelope.to[0], TEXT("bo@example.net")));
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

/* The mark is for those who are asked now: it falls when they have their answer. */
START_TEST(the_mark_of_a_part_falls_with_it)
{
	struct delivery *delivery;

	begin();
	put_letter(1, true);
	set_out(false);
	delivery = wait_out(0);
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	part_is_taken(delivery);
	die_and_come_back(false);
	ck_assert_uint_eq(wait_out(0)->envelope.count, 1);
	answer_all(world.at[0], SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

/* The process dies when the end of that part may go. The next one has bo alone to send, and does.
 */
static void die_at_the_end_of(const struct part *part, struct delivery *delivery)
{
	delivery->fence->asks_for = part;
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	die_and_come_back(false);
	delivery = wait_out(0);
	ck_assert_uint_eq(delivery->envelope.count, 1);
	ck_assert(text_equal(delivery->envelope.to[0], TEXT("bo@example.net")));
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
}

static size_t count_events(const char *type)
{
	struct event found[8];
	struct events_job events = { .most = 8, .events = found };
	size_t count = 0;

	ck_assert_int_eq(region_open(100000, &events.region), OK);
	ck_assert_int_eq(DO(&world.kit, events, &events), OK);
	for (size_t i = 0; i < events.count; i++)
		count += text_equal(found[i].type, text_of(type));
	region_close(events.region);
	return count;
}

/* F-32: … and who is asked later is sent it. */
START_TEST(the_mark_of_a_part_is_for_its_own)
{
	struct smtp_answer answer = { 0 };
	size_t place = 0;
	struct part part = { .envelope.count = 1, .places = &place, .answers = &answer };
	struct delivery *delivery;
	struct stored *stored;

	begin();
	put_letter(1, true);
	set_out(false);
	delivery = wait_out(0);
	die_at_the_end_of(&part, delivery);
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_HELD);
	ck_assert_int_eq(stored->to[0].outcome, SMTP_UNKNOWN);
	ck_assert_int_eq(stored->to[0].phase, SMTP_IN_DOT);
	ck_assert_int_eq(stored->to[1].outcome, SMTP_ACCEPTED);
	stored_free(stored);
	ck_assert_uint_eq(count_events("message.unknown"), 1);
	ck_assert_uint_eq(count_events("message.sent"), 1);
	kit_close(&world.kit);
}
END_TEST

static void put_letter_to_three(void)
{
	struct stored_recipient to[3];
	struct letter letter;

	letter_write(&letter, 1, "a");
	memcpy(to, letter.to, sizeof(letter.to));
	to[2] = to[1];
	to[2].address = TEXT("cy@example.net");
	letter.stored.to = to;
	letter.stored.count = 3;
	letter.stored.hold_unknown = true;
	letter.stored.expires_ms = INT64_MAX;
	ck_assert_int_eq(letter_accept(&world.kit, &letter, NOW), OK);
}

/* The next process dies, too, when the next part is noted, or its end may have gone: who was in the
 * first is told by the third. */
START_TEST(who_is_unknown_is_told_however_many_die)
{
	struct smtp_answer answer = { 0 };
	size_t place = 0, unknown = _i ? 2 : 1;
	struct part part = { .envelope.count = 1, .places = &place, .answers = &answer };
	struct delivery *delivery;

	begin();
	put_letter_to_three();
	set_out(false);
	delivery = wait_out(0);
	delivery->fence->asks_for = &part;
	ck_assert_int_eq(ask(delivery), FENCE_YES);
	die_and_come_back(false);
	delivery = wait_out(0);
	ck_assert_uint_eq(delivery->envelope.count, 2);
	delivery->fence->asks_for = &part;
	if (_i)
		ck_assert_int_eq(ask(delivery), FENCE_YES);
	else
		part_is_taken(delivery);
	die_and_come_back(false);
	delivery = wait_out(0);
	ck_assert_uint_eq(delivery->envelope.count, 1);
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
	go_home();
	kit_open_again(&world.kit);
	ck_assert_uint_eq(count_events("message.unknown"), unknown);
	kit_close(&world.kit);
}
END_TEST

/* F-32: the last part is asked for; whom the relay had put off in the first is tried again. */
START_TEST(who_was_put_off_in_a_part_before_is_not_held)
{
	struct smtp_answer answer = { 0 };
	size_t place = 2;
	struct part part = { .envelope.count = 1, .places = &place, .answers = &answer };
	struct delivery *delivery;
	struct stored *stored;

	begin();
	put_letter_to_three();
	set_out(false);
	delivery = wait_out(0);
	delivery->result.answers[1].verdict = (struct smtp_verdict){
		.class = SMTP_LATER, .outcome = SMTP_DEFERRED, .status = 503, .retryable = true
	};
	part_is_taken(delivery);
	die_at_the_end_of(&part, delivery);
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_HELD);
	ck_assert_int_eq(stored->to[1].outcome, SMTP_ACCEPTED);
	ck_assert_int_eq(stored->to[2].outcome, SMTP_UNKNOWN);
	stored_free(stored);
	kit_close(&world.kit);
}
END_TEST

/* The first part is the whole until the relay says 452: that one is not of it. */
START_TEST(who_was_too_many_is_not_held)
{
	struct smtp_answer answers[3] = { 0 };
	struct part part = { .answers = answers };
	struct delivery *delivery;

	begin();
	put_letter_to_three();
	set_out(false);
	delivery = wait_out(0);
	part.envelope = delivery->envelope;
	answers[1].verdict = (struct smtp_verdict){
		.class = SMTP_LATER, .outcome = SMTP_NOT_SENT, .status = 503, .retryable = true
	};
	die_at_the_end_of(&part, delivery);
	end();
}
END_TEST

/* Its verdict is there while the part is being written, or when nobody knows whether it was. */
START_TEST(each_part_is_told_once)
{
	bool is_doubtful = _i == 1;
	struct delivery *delivery;
	struct stored *stored;

	begin();
	put_letter(1, false);
	doubt.is_wanted = is_doubtful;
	set_out(false);
	delivery = wait_out(0);
	part_is_taken(delivery);
	if (is_doubtful)
		ck_assert_int_eq(ask(delivery), FENCE_NO);
	answer_all(delivery, SMTP_ACCEPTED);
	wait_settled();
	ck_assert(!doubt.is_wanted);
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_SENT);
	ck_assert_uint_eq(stored->attempt_count, 1);
	stored_free(stored);
	ck_assert_uint_eq(count_events("message.sent"), 2);
	kit_close(&world.kit);
}
END_TEST

static bool is_letter(const struct delivery *delivery, unsigned number)
{
	char words[32];

	snprintf(words, sizeof(words), "<%u@example.com>", number);
	return text_equal(delivery->message_id, text_of(words));
}

/* The delivery of that letter, among `count` that are out. */
static struct delivery *find_out(unsigned number, size_t count)
{
	wait_out(count - 1);
	for (size_t i = 0; i < count; i++)
		if (is_letter(world.at[i], number))
			return world.at[i];
	ck_abort_msg("letter %u is not out", number);
	return NULL;
}

/* F-47: a process dies over a message, time after time: it is suspected, sent alone, set aside at
 * last, and nobody else is suspected for it. */
START_TEST(a_message_that_kills_is_set_aside)
{
	struct delivery *poison;
	struct stored *stored;

	begin();
	for (unsigned i = 1; i <= 3; i++)
		put_letter(i, false);
	set_out(false);
	poison = find_out(2, 3);
	poison->fence->begin(poison->fence);
	for (int kills = 1; kills < SCHEDULE_STRIKES; kills++) {
		be_killed(0);
		poison = wait_out(0);
		ck_assert(is_letter(poison, 2));
		usleep(20000);
		ck_assert_uint_eq(count_out(), 1); /* alone */
		poison->fence->begin(poison->fence);
		poison->fence->begin(poison->fence); /* at another relay: it counts once */
	}
	be_killed(0);
	wait_out(1);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(!is_letter(world.at[i], 2));
		answer_all(world.at[i], SMTP_ACCEPTED);
	}
	wait_settled();
	go_home();
	kit_open_again(&world.kit);
	stored = look(2);
	ck_assert_int_eq(stored->state, MESSAGE_HELD);
	ck_assert_int_eq(stored->to[0].category, SMTP_SET_ASIDE);
	ck_assert_int_eq(stored->to[0].outcome, SMTP_UNKNOWN);
	stored_free(stored);
	kit_close(&world.kit);
}
END_TEST

/* Whose end would have been noted was certainly not sent. */
START_TEST(one_that_is_noted_is_known_not_to_be_sent)
{
	struct stored *stored;

	begin();
	put_letter(1, true);
	set_out(false);
	for (int kills = 0; kills < SCHEDULE_STRIKES; kills++) {
		struct delivery *poison = wait_out(0);

		poison->fence->begin(poison->fence);
		be_killed(0);
	}
	for (int i = 0; i < 1000 && courier_out(world.courier); i++)
		usleep(1000);
	usleep(10000);
	ck_assert_uint_eq(count_out(), 0);
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_HELD);
	ck_assert_int_eq(stored->to[0].category, SMTP_SET_ASIDE);
	ck_assert_int_eq(stored->to[0].outcome, SMTP_NOT_SENT);
	stored_free(stored);
	kit_close(&world.kit);
}
END_TEST

/* What came of it is on disk, so that what the process dies of later is not this. */
START_TEST(a_verdict_ends_the_suspicion)
{
	struct delivery *delivery;

	begin();
	put_letter(1, false);
	set_out(false);
	delivery = wait_out(0);
	delivery->fence->begin(delivery->fence);
	answer_all(delivery, SMTP_DEFERRED);
	delivery = wait_out(1); /* again, and not as far as MAIL */
	be_killed(2);
	wait_out(1); /* it is not alone */
	for (size_t i = 0; i < 2; i++)
		answer_all(world.at[i], SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

START_TEST(no_more_comes_out_than_there_is_room_for)
{
	begin();
	for (unsigned i = 1; i <= 3; i++)
		put_letter(i, false);
	set_out(false);
	wait_out(2);
	for (size_t i = 0; i < 3; i++)
		answer_all(world.at[i], SMTP_DEFERRED); /* for 50 ms */
	room_for = 0;
	usleep(100000);
	courier_wake(world.courier);
	usleep(20000);
	ck_assert_uint_le(count_out(), 6);
	wait_settled();
	world.count = 0;
	room_for = 1;
	courier_wake(world.courier);
	wait_out(0);
	usleep(20000);
	ck_assert_uint_eq(courier_out(world.courier), 1);
	answer_all(world.at[0], SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

/* What is out takes up memory: the next one comes when that is given back. */
START_TEST(no_more_comes_out_than_there_are_bytes_for)
{
	begin();
	for (unsigned i = 1; i <= 3; i++)
		put_letter(i, false);
	set_out(false);
	wait_out(2);
	ck_assert_uint_gt(courier_bytes(world.courier), 0);
	room_bytes = 1;
	for (size_t i = 0; i < 3; i++)
		answer_all(world.at[i], SMTP_DEFERRED); /* for 50 ms */
	for (size_t i = 3; i < 6; i++) {
		struct delivery *next = wait_out(i);

		usleep(5000);
		ck_assert_uint_eq(count_out(), i + 1);
		answer_all(next, SMTP_ACCEPTED);
	}
	wait_settled();
	ck_assert_uint_eq(courier_bytes(world.courier), 0);
	end();
}
END_TEST

/* Letters 1 to 3 are for relay "r" alone, 4 to 6 wait for room there, 7 and 8 for nothing. */
static void put_in_lanes(size_t room, bool rests)
{
	begin();
	for (unsigned i = 1; i <= 8; i++)
		put_letter_in(i, i <= 3 ? "r" : i <= 6 ? "+r" : "", false);
	room_for = HELD;
	narrow.room = room;
	narrow.rests = rests;
	narrow.tells = true;
	set_out(false);
}

/* How many of these letters are out, when `count` are, and then all have their answer. */
static size_t out_of(unsigned first, unsigned last, size_t count)
{
	size_t found = 0;

	wait_out(count - 1);
	usleep(20000);
	ck_assert_uint_eq(count_out(), count);
	for (size_t i = 0; i < count; i++)
		for (unsigned number = first; number <= last; number++)
			found += is_letter(world.at[i], number);
	return found;
}

static void answer_out(void)
{
	for (size_t i = 0; i < count_out(); i++)
		answer_all(world.at[i], SMTP_ACCEPTED);
	wait_settled();
	end();
}

START_TEST(of_each_lane_of_a_narrow_relay_no_more_comes_than_it_has_room_for)
{
	put_in_lanes(1, false);
	ck_assert_uint_eq(out_of(1, 3, 4), 1);
	ck_assert_uint_eq(out_of(4, 6, 4), 1);
	ck_assert_uint_eq(out_of(7, 8, 4), 2);
	answer_out();
}
END_TEST

/* What only waited for room there may go to another one. */
START_TEST(a_relay_that_rests_holds_its_own_alone)
{
	put_in_lanes(0, true);
	ck_assert_uint_eq(out_of(1, 3, 5), 0);
	ck_assert_uint_eq(out_of(4, 6, 5), 3);
	answer_out();
}
END_TEST

/* Relay "r" had no room for it: it waits there, unless it is for one relay alone. */
START_TEST(what_found_no_room_waits_in_a_lane_of_its_own)
{
	static const char *const wishes[] = { "", "r" }, *const lanes[] = { "+r", "r" };
	struct letter letter;
	struct delivery *delivery;
	struct stored *stored;

	begin();
	letter_write(&letter, 1, "a");
	letter.stored.wish = letter.stored.lane = text_of(wishes[_i]);
	letter.stored.expires_ms = INT64_MAX;
	ck_assert_int_eq(letter_accept(&world.kit, &letter, NOW), OK);
	set_out(false);
	delivery = wait_out(0);
	delivery->full_relay = TEXT("r");
	delivery->result.verdict.outcome = SMTP_NOT_SENT;
	delivery->done(delivery);
	wait_settled();
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_QUEUED);
	ck_assert(text_equal(stored->lane, text_of(lanes[_i])));
	ck_assert_uint_eq(stored->tries, 0); /* that was none */
	stored_free(stored);
	kit_close(&world.kit);
}
END_TEST

/* A reload took relay "r" away: its messages come out once, and again when it is back. */
START_TEST(what_is_for_a_relay_that_is_gone_waits_until_it_is_back)
{
	struct stored *stored;
	struct letter letter;

	begin();
	for (unsigned i = 1; i <= 3; i++) {
		letter_write(&letter, i, "a");
		letter.stored.wish = letter.stored.lane = i < 3 ? TEXT("r") : (struct text){ 0 };
		letter.stored.expires_ms = i == 2 ? now_unix_ms() + 3000 : INT64_MAX;
		ck_assert_int_eq(letter_accept(&world.kit, &letter, NOW), OK);
	}
	is_gone = true;
	set_out(false);
	ck_assert(is_letter(wait_out(0), 3));
	answer_all(world.at[0], SMTP_ACCEPTED);
	wait_settled();
	go_home();
	kit_open_again(&world.kit);
	stored = look(1);
	ck_assert_int_eq(stored->state, MESSAGE_QUEUED);
	ck_assert(text_equal(stored->lane, TEXT("!r")));
	ck_assert_uint_eq(stored->tries, 0);
	stored_free(stored);
	set_out(false);
	/* of those whose time is over, each is handed over to be told so */
	for (int i = 0; i < 8000 && !count_out(); i += 10) {
		usleep(10000);
		courier_tick(world.courier, now_us());
	}
	ck_assert(is_letter(wait_out(0), 2));
	answer_all(world.at[0], SMTP_REJECTED);
	wait_settled();
	ck_assert_uint_eq(count_out(), 1);
	is_gone = false;
	courier_wake(world.courier);
	ck_assert(is_letter(wait_out(1), 1));
	answer_all(world.at[1], SMTP_ACCEPTED);
	wait_settled();
	end();
}
END_TEST

UNIT_MAIN(courier, tcase_add_test(cases, no_more_comes_out_than_there_is_room_for);
	  tcase_add_test(cases, no_more_comes_out_than_there_are_bytes_for);
	  tcase_add_test(cases, only_what_is_held_is_asked_for);
	  tcase_add_test(cases, what_was_not_asked_for_is_tried_again);
	  tcase_add_test(cases, a_mark_lasts_until_the_verdict);
	  tcase_add_test(cases, a_verdict_in_doubt_that_was_written_is_told);
	  tcase_add_test(cases, who_has_a_part_is_not_sent_it_by_the_next_process);
	  tcase_add_test(cases, the_mark_of_a_part_falls_with_it);
	  tcase_add_test(cases, the_mark_of_a_part_is_for_its_own);
	  tcase_add_loop_test(cases, who_is_unknown_is_told_however_many_die, 0, 2);
	  tcase_add_test(cases, who_was_put_off_in_a_part_before_is_not_held);
	  tcase_add_test(cases, who_was_too_many_is_not_held);
	  tcase_add_loop_test(cases, each_part_is_told_once, 0, 2);
	  tcase_add_test(cases, a_lease_that_was_lost_stops_it);
	  tcase_add_test(cases, an_old_answer_is_not_a_new_one);
	  tcase_add_test(cases, a_message_that_kills_is_set_aside);
	  tcase_add_test(cases, one_that_is_noted_is_known_not_to_be_sent);
	  tcase_add_test(cases, a_verdict_ends_the_suspicion);
	  tcase_add_test(cases, of_each_lane_of_a_narrow_relay_no_more_comes_than_it_has_room_for);
	  tcase_add_test(cases, a_relay_that_rests_holds_its_own_alone);
	  tcase_add_test(cases, what_is_for_a_relay_that_is_gone_waits_until_it_is_back);
	  tcase_add_loop_test(cases, what_found_no_room_waits_in_a_lane_of_its_own, 0, 2);)
