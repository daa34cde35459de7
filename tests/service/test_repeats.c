/* What is remembered under idempotency keys: for how long, how much of it, and what comes again. */
#include "service/queue/repeats.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { HOUR_US_PER = 3600 };

#define SECOND_US UINT64_C(1000000)
#define TTL_US    (HOUR_US_PER * SECOND_US)

static struct repeats *repeats;

static void open_with(size_t entries, size_t bytes)
{
	const struct repeats_limits limits = { entries, bytes, TTL_US };

	ck_assert_int_eq(repeats_open(&limits, &repeats), OK);
}

/* One message of a request, and what came of it. */
struct post {
	struct delivery delivery;
	char key[32];
};

static enum repeat begin_as(struct post *post, const char *key_id, const char *key, size_t place,
	char says, uint64_t now)
{
	*post = (struct post){ 0 };
	snprintf(post->key, sizeof(post->key), "%s", key);
	ck_assert_int_eq(region_open(4 << 20, &post->delivery.region), OK);
	post->delivery.key_id = text_of(key_id);
	post->delivery.idempotency_key = text_of(post->key);
	post->delivery.place = place;
	memset(post->delivery.digest, says, DIGEST_LEN);
	return repeats_begin(repeats, &post->delivery, now);
}

static enum repeat begin(struct post *post, const char *key, uint64_t now)
{
	return begin_as(post, "web", key, 0, 'x', now);
}

static void end(struct post *post, enum smtp_outcome outcome, const char *answer, uint64_t now)
{
	snprintf(post->delivery.id, sizeof(post->delivery.id), "0199aaaa-%.20s", post->key);
	post->delivery.result.verdict.outcome = outcome;
	post->delivery.result.verdict.status = 200;
	repeats_end(repeats, &post->delivery, text_of(answer), now);
}

static void forget(struct post *post)
{
	region_close(post->delivery.region);
}

/* What a key finds now; nothing of it stays. */
static enum repeat look(const char *key, uint64_t now)
{
	struct post post;
	enum repeat found = begin(&post, key, now);

	if (found == REPEAT_FIRST)
		repeats_undo(repeats, &post.delivery);
	forget(&post);
	return found;
}

static void remember(const char *key, const char *answer, uint64_t now)
{
	struct post post;

	ck_assert_int_eq(begin(&post, key, now), REPEAT_FIRST);
	end(&post, SMTP_ACCEPTED, answer, now);
	forget(&post);
}

START_TEST(the_first_answer_is_told_again)
{
	struct post first, again;

	open_with(10, 1 << 20);
	ck_assert_int_eq(begin(&first, "a", 5), REPEAT_FIRST);
	ck_assert_int_eq(begin(&again, "a", 6), REPEAT_RUNNING);
	forget(&again);
	end(&first, SMTP_PARTIAL, "{\"id\":1}", 7);
	ck_assert_int_eq(begin(&again, "a", 8), REPEAT_AGAIN);
	ck_assert(text_equal(again.delivery.first_answer, TEXT("{\"id\":1}")));
	ck_assert_str_eq(again.delivery.id, first.delivery.id);
	ck_assert_int_eq(again.delivery.result.verdict.outcome, SMTP_PARTIAL);
	ck_assert_uint_eq(again.delivery.result.verdict.status, 200);
	forget(&first);
	forget(&again);
	repeats_close(repeats);
}
END_TEST

/* The same key is another one for another API key, and at another place. */
START_TEST(keys_meet_only_their_like)
{
	static const struct {
		const char *key_id, *key;
		size_t place;
		char says;
		enum repeat found;
	} rows[] = {
		{ "web", "a", 0, 'x', REPEAT_AGAIN },
		{ "web", "a", 0, 'y', REPEAT_MISMATCH },
		{ "web", "a", 1, 'x', REPEAT_FIRST },
		{ "web", "b", 0, 'x', REPEAT_FIRST },
		{ "app", "a", 0, 'x', REPEAT_FIRST },
		{ "app", "a", 0, 'y', REPEAT_FIRST },
		{ "", "weba", 0, 'x', REPEAT_FIRST },
		{ "weba", "", 0, 'x', REPEAT_FIRST },
		{ "we", "ba", 0, 'x', REPEAT_FIRST },
	};
	struct post post;

	open_with(100, 1 << 20);
	remember("a", "{}", 0);
	ck_assert_int_eq(begin(&post, "running", 0), REPEAT_FIRST);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct post other;

		ck_assert_int_eq(begin_as(&other, rows[i].key_id, rows[i].key, rows[i].place,
					 rows[i].says, 1),
			rows[i].found);
		if (rows[i].found == REPEAT_FIRST)
			repeats_undo(repeats, &other.delivery);
		forget(&other);
	}
	repeats_undo(repeats, &post.delivery);
	forget(&post);
	ck_assert_int_eq(begin_as(&post, "web", "running", 0, 'x', 1), REPEAT_FIRST);
	forget(&post);
	ck_assert_int_eq(begin_as(&post, "web", "running", 0, 'y', 1), REPEAT_MISMATCH);
	forget(&post);
	repeats_close(repeats); /* with one that runs: it goes as well */
}
END_TEST

START_TEST(the_outcome_decides_whether_the_key_is_free_again)
{
	static const struct {
		enum smtp_outcome outcome;
		enum repeat found;
	} rows[] = {
		{ SMTP_ACCEPTED, REPEAT_AGAIN },
		{ SMTP_PARTIAL, REPEAT_AGAIN },
		{ SMTP_QUEUED, REPEAT_AGAIN },
		{ SMTP_CAPTURED, REPEAT_AGAIN },
		{ SMTP_REJECTED, REPEAT_AGAIN },
		{ SMTP_UNKNOWN, REPEAT_AGAIN },
		{ SMTP_NOT_SENT, REPEAT_FIRST },
		{ SMTP_DEFERRED, REPEAT_FIRST },
		{ SMTP_RENDERED, REPEAT_FIRST },
		{ SMTP_PROBED, REPEAT_FIRST },
	};

	ck_assert_uint_eq(sizeof(rows) / sizeof(rows[0]), SMTP_OUTCOMES);
	open_with(100, 1 << 20);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct post post;
		char key[8];

		snprintf(key, sizeof(key), "%zu", i);
		ck_assert_int_eq(begin(&post, key, 0), REPEAT_FIRST);
		end(&post, rows[i].outcome, "{}", 0);
		forget(&post);
		ck_assert_int_eq(look(key, 1), rows[i].found);
	}
	repeats_close(repeats);
}
END_TEST

/* From its end, and what runs never ends by it. */
START_TEST(an_answer_is_remembered_for_a_time)
{
	struct post slow;

	open_with(10, 1 << 20);
	ck_assert_int_eq(begin(&slow, "slow", 0), REPEAT_FIRST);
	remember("a", "{}", 100);
	ck_assert_int_eq(look("a", TTL_US + 99), REPEAT_AGAIN);
	ck_assert_int_eq(look("a", TTL_US + 100), REPEAT_FIRST);
	ck_assert_int_eq(look("slow", 9 * TTL_US), REPEAT_RUNNING);
	end(&slow, SMTP_ACCEPTED, "{}", 9 * TTL_US);
	forget(&slow);
	ck_assert_int_eq(look("slow", 10 * TTL_US - 1), REPEAT_AGAIN);
	repeats_set_ttl(repeats, SECOND_US);
	ck_assert_int_eq(look("slow", 9 * TTL_US + SECOND_US - 1), REPEAT_AGAIN);
	ck_assert_int_eq(look("slow", 9 * TTL_US + SECOND_US), REPEAT_FIRST);
	ck_assert_uint_eq(repeats_counts(repeats).entries, 0);
	ck_assert_uint_eq(repeats_counts(repeats).bytes, 0);
	ck_assert_uint_eq(repeats_counts(repeats).forgotten, 0);
	repeats_close(repeats);
}
END_TEST

/* Whoever comes clears away what is over, whatever it is that it looks for. */
START_TEST(what_is_over_goes)
{
	char key[16];

	open_with(1000, 1 << 20);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "%d", i);
		remember(key, "{}", (uint64_t)i);
	}
	ck_assert_uint_eq(repeats_counts(repeats).entries, 500);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(look("other", TTL_US + 249), REPEAT_FIRST);
	ck_assert_uint_eq(repeats_counts(repeats).entries, 250);
	ck_assert_int_eq(look("249", TTL_US + 249), REPEAT_FIRST);
	ck_assert_int_eq(look("250", TTL_US + 249), REPEAT_AGAIN);
	repeats_close(repeats);
}
END_TEST

START_TEST(the_oldest_go_first_and_those_that_run_never)
{
	struct post running[3];

	open_with(5, 1 << 20);
	ck_assert_int_eq(begin(&running[0], "r0", 0), REPEAT_FIRST);
	remember("a", "{}", 0);
	remember("b", "{}", 0);
	remember("c", "{}", 0);
	ck_assert_int_eq(begin(&running[1], "r1", 0), REPEAT_FIRST);
	ck_assert_uint_eq(repeats_counts(repeats).forgotten, 0);
	ck_assert_int_eq(begin(&running[2], "r2", 0), REPEAT_FIRST); /* in a's place */
	ck_assert_uint_eq(repeats_counts(repeats).forgotten, 1);
	ck_assert_int_eq(look("b", 0), REPEAT_AGAIN);
	ck_assert_int_eq(look("c", 0), REPEAT_AGAIN);
	ck_assert_int_eq(look("a", 0), REPEAT_FIRST); /* in b's */
	ck_assert_int_eq(look("b", 0), REPEAT_FIRST); /* in the one that a left */
	ck_assert_int_eq(look("c", 0), REPEAT_AGAIN);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(look(running[i].key, 9 * TTL_US), REPEAT_RUNNING);
		forget(&running[i]);
	}
	repeats_close(repeats);
}
END_TEST

/* Never silently unprotected. */
START_TEST(nothing_begins_where_nothing_can_go)
{
	struct post running[2];

	open_with(2, 1 << 20);
	ck_assert_int_eq(begin(&running[0], "r0", 0), REPEAT_FIRST);
	ck_assert_int_eq(begin(&running[1], "r1", 0), REPEAT_FIRST);
	ck_assert_int_eq(look("a", 0), REPEAT_NO_ROOM);
	ck_assert_int_eq(look("r1", 0), REPEAT_RUNNING);
	end(&running[1], SMTP_DEFERRED, "{}", 0);
	ck_assert_int_eq(look("a", 0), REPEAT_FIRST);
	ck_assert_uint_eq(repeats_counts(repeats).found[REPEAT_NO_ROOM], 1);
	for (int i = 0; i < 2; i++)
		forget(&running[i]);
	repeats_close(repeats);
	open_with(2, 10); /* too little for any */
	ck_assert_int_eq(look("a", 0), REPEAT_NO_ROOM);
	repeats_close(repeats);
}
END_TEST

/* The verdict is known in any case: a message is not sent twice for its long answer. */
START_TEST(an_answer_without_room_is_remembered_in_short)
{
	static char answer[REPEATS_ANSWER_MOST + 2];
	static const struct {
		size_t room, len, kept;
	} rows[] = {
		{ 4 << 20, REPEATS_ANSWER_MOST, REPEATS_ANSWER_MOST },
		{ 4 << 20, REPEATS_ANSWER_MOST + 1, 0 },
		{ 4 << 20, 0, 0 },
		{ 65536, 50000, 50000 },
		{ 65536, 65536, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct post post;

		open_with(100, rows[i].room);
		remember("older", "{}", 0);
		memset(answer, ' ', rows[i].len);
		answer[rows[i].len] = '\0';
		remember("a", answer, 0);
		ck_assert_int_eq(begin(&post, "a", 1), REPEAT_AGAIN);
		ck_assert_uint_eq(post.delivery.first_answer.len, rows[i].kept);
		ck_assert_int_eq(post.delivery.result.verdict.outcome, SMTP_ACCEPTED);
		ck_assert_str_eq(post.delivery.id, "0199aaaa-a");
		ck_assert_uint_le(repeats_counts(repeats).bytes, rows[i].room);
		forget(&post);
		repeats_close(repeats);
	}
}
END_TEST

/* A hundred thousand keys, in a room for some of them. */
START_TEST(memory_is_bounded)
{
	enum { KEYS = 100000, ROOM = 8 << 20 };
	char key[16], answer[701];
	size_t again = 0, least = 0;

	memset(answer, 'x', sizeof(answer) - 1);
	answer[sizeof(answer) - 1] = '\0';
	open_with(KEYS, ROOM);
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		remember(key, answer, (uint64_t)i);
		ck_assert_uint_le(repeats_counts(repeats).bytes, ROOM);
	}
	least = repeats_counts(repeats).entries;
	ck_assert_uint_gt(least, ROOM / 2000);
	ck_assert_uint_eq(repeats_counts(repeats).forgotten, KEYS - least);
	for (int i = KEYS - (int)least; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		again += look(key, KEYS) == REPEAT_AGAIN;
	}
	ck_assert_uint_eq(again, least); /* the youngest, all of them */
	repeats_close(repeats);
}
END_TEST

/* ---- many at a time */

static atomic_uint firsts, agains, runnings;

static void *ask_often(void *unused)
{
	char key[16];

	(void)unused;
	for (int i = 0; i < 2000; i++) {
		struct post post;
		enum repeat found;

		snprintf(key, sizeof(key), "%d", i);
		found = begin(&post, key, 0);
		atomic_fetch_add(found == REPEAT_FIRST   ? &firsts
				 : found == REPEAT_AGAIN ? &agains
							 : &runnings,
			1);
		if (found == REPEAT_FIRST)
			end(&post, SMTP_ACCEPTED, "{}", 0);
		forget(&post);
	}
	return NULL;
}

START_TEST(of_many_at_a_time_one_is_the_first)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];

	open_with(10000, 16 << 20);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(atomic_load(&firsts), 2000);
	ck_assert_uint_eq(atomic_load(&firsts) + atomic_load(&agains) + atomic_load(&runnings),
		THREADS * 2000);
	ck_assert_uint_eq(repeats_counts(repeats).found[REPEAT_FIRST], 2000);
	repeats_close(repeats);
}
END_TEST

UNIT_MAIN(repeats, tcase_add_test(cases, the_first_answer_is_told_again);
	  tcase_add_test(cases, keys_meet_only_their_like);
	  tcase_add_test(cases, the_outcome_decides_whether_the_key_is_free_again);
	  tcase_add_test(cases, an_answer_is_remembered_for_a_time);
	  tcase_add_test(cases, what_is_over_goes);
	  tcase_add_test(cases, the_oldest_go_first_and_those_that_run_never);
	  tcase_add_test(cases, nothing_begins_where_nothing_can_go);
	  tcase_add_test(cases, an_answer_without_room_is_remembered_in_short);
	  tcase_add_test(cases, memory_is_bounded);
	  tcase_add_test(cases, of_many_at_a_time_one_is_the_first);)
