/* The SQLite store on a disk that fails, is full, or forgets when the power goes.
 *
 * STORE_CRASHES=1000 has the power go so often; STORE_SEED=N begins elsewhere. */
#include <sqlite3.h>
#include <sys/wait.h>

#include "crash_vfs.h"
#include "service/store/store_sqlite_own.h"
#include "store_kit.h"
#include "unit.h"

static const struct store_limits no_limits;

/* ---- the power goes */

/* What was acknowledged is told through a pipe before the next thing is begun. */
struct told {
	unsigned number;
	enum { TOLD_ACCEPTED, TOLD_SENT, TOLD_HELD } what;
};

static void tell(int to, unsigned number, int what)
{
	struct told told = { .number = number, .what = what };

	if (write(to, &told, sizeof(told)) != sizeof(told))
		_exit(1);
}

enum { BODY_LEAST = 20, BODY_MOST = 10000 }; /* of a file's pages: less than one, or some */

static struct text body_of(unsigned number, char room[static BODY_MOST])
{
	size_t len = BODY_LEAST + (number % 4 ? number % 100 : number * 37 % 9000);

	for (size_t i = 0; i < len; i++)
		room[i] = (char)('a' + (number + i / 7) % 26);
	return (struct text){ room, len };
}

static void put_group(struct kit *kit, unsigned from, unsigned count, int to)
{
	const struct store *store = &kit->store;
	struct letter letter;
	char room[BODY_MOST];

	if (store->verbs->begin(store->self) != OK)
		_exit(1);
	for (unsigned i = from; i < from + count; i++) {
		struct accept_job accept = { .stored = &letter.stored,
			.pieces = &letter.body,
			.piece_count = 1,
			.now_ms = NOW + 100000 };

		letter_write(&letter, i, i % 3 ? "a" : "b");
		letter.body = body_of(i, room);
		letter.stored.size_bytes = letter.body.len;
		if (store->verbs->accept(store->self, &accept) != OK)
			_exit(1);
	}
	if (store->verbs->commit(store->self) != OK)
		_exit(1);
	for (unsigned i = from; i < from + count; i++)
		tell(to, i, TOLD_ACCEPTED);
}

/* Accepts, claims and settles until the power goes; also checkpoints, and sweeps. */
static void work(struct kit *kit, unsigned from, int to)
{
	for (unsigned i = from, round = 0;; i += 3, round++) {
		struct claimed claimed = { 0 };

		put_group(kit, i, 3, to);
		(void)claim(kit, &claimed, 2);
		for (size_t n = 0; n < claimed.job.count; n++) {
			bool is_sent = number_of(claimed.at[n]) % 2;

			if (settle(kit, claimed.at[n], is_sent ? MESSAGE_SENT : MESSAGE_HELD, 0,
				    false) != OK)
				_exit(1);
			tell(to, number_of(claimed.at[n]), is_sent ? TOLD_SENT : TOLD_HELD);
		}
		claimed_free(&claimed);
		(void)tick_at(kit, NOW);
		if (round % 5 == 4) /* sooner than it would */
			((struct sqlite_store *)kit->store.self)->wal_pages = 1 << 20;
		if (kit->store.verbs->tidy(kit->store.self) != OK)
			_exit(1);
	}
}

/* Runs until the power goes; gives how many were told, which are appended. */
static size_t run_until_crash(
	struct kit *kit, uint64_t seed, unsigned from, struct told *told, size_t room)
{
	int ends[2], status;
	size_t count = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		crash_vfs_begin();
		crash_plan.seed = seed;
		crash_plan.crash_at = (int)(1 + seed * 2654435761 % 1500);
		kit_open_again(kit);
		work(kit, from, ends[1]);
	}
	close(ends[1]);
	while (count < room && read(ends[0], &told[count], sizeof(*told)) == sizeof(*told))
		count++;
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == CRASH_STATUS,
		"seed %lu: it ended by itself, %x", seed, (unsigned)status);
	return count;
}

static void expect_integrity(struct kit *kit, uint64_t seed)
{
	struct sqlite_store *store = kit->store.self;
	sqlite3_stmt *check;

	ck_assert_int_eq(sqlite3_prepare_v2(store->db, "PRAGMA integrity_check", -1, &check, NULL),
		SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(check), SQLITE_ROW);
	ck_assert_msg(strcmp((const char *)sqlite3_column_text(check, 0), "ok") == 0,
		"seed %lu: %s", seed, (const char *)sqlite3_column_text(check, 0));
	sqlite3_finalize(check);
}

/* Byte by byte, as it came. */
static void expect_body(struct kit *kit, uint64_t seed, unsigned number)
{
	struct letter letter;
	struct body_job body = { .id = letter.stored.id };
	char room[BODY_MOST];

	letter_write(&letter, number, "");
	ck_assert_int_eq(region_open(1 << 20, &body.region), OK);
	ck_assert_msg(DO(kit, body, &body) == OK && text_equal(body.body, body_of(number, room)),
		"seed %lu: the text of %u is another one", seed, number);
	region_close(body.region);
}

static void expect_all(struct kit *kit, uint64_t seed, const struct told *told, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct stored *stored = look_up(kit, told[i].number, NULL);

		ck_assert_msg(stored != NULL, "seed %lu: %u is lost", seed, told[i].number);
		if (told[i].what != TOLD_ACCEPTED)
			ck_assert_msg(stored->state == (told[i].what == TOLD_SENT ? MESSAGE_SENT
										  : MESSAGE_HELD),
				"seed %lu: the verdict on %u is lost", seed, told[i].number);
		if (stored->has_body)
			expect_body(kit, seed, told[i].number);
		else
			ck_assert_int_eq(stored->state, MESSAGE_SENT);
		stored_free(stored);
	}
}

static uint64_t number_in(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : otherwise;
}

enum { TOLD_MOST = 4000, LIVES = 4 };

/* A file goes through a few lives; after each all that was acknowledged in any of them is there. */
START_TEST(what_was_acknowledged_survives_the_loss_of_power)
{
	uint64_t first = number_in("STORE_SEED", 1), crashes = number_in("STORE_CRASHES", 120);
	static struct told told[TOLD_MOST];
	size_t total = 0;

	for (uint64_t seed = first; seed < first + crashes; seed += LIVES) {
		struct kit kit = kit_open(KIT_SQLITE, no_limits);
		size_t count = 0;

		kit.store.verbs->close(kit.store.self);
		for (unsigned life = 0; life < LIVES; life++) {
			count += run_until_crash(&kit, seed + life, 1 + life * 10000, told + count,
				TOLD_MOST - count);
			kit_open_again(&kit);
			expect_integrity(&kit, seed + life);
			expect_all(&kit, seed + life, told, count);
			kit.store.verbs->close(kit.store.self);
		}
		total += count;
		kit_remove(&kit);
	}
	ck_assert_uint_gt(total, crashes * 10);
	printf("%lu losses of power, %zu acknowledgements\n", crashes, total);
}
END_TEST

/* ---- in one process: each test is a process of its own */

static struct kit kit_on_plan(void)
{
	crash_vfs_begin();
	return kit_open(KIT_SQLITE, no_limits);
}

/* Durability cannot be switched off without being seen. */
START_TEST(every_group_is_synced_before_it_is_acknowledged)
{
	struct kit kit = kit_on_plan();

	for (unsigned i = 1; i < 20; i++) {
		int before = crash_plan.syncs;

		put(&kit, i, "a");
		ck_assert_int_gt(crash_plan.syncs, before);
	}
	for (unsigned i = 1; i < 20; i++) {
		struct claimed claimed = { 0 };
		int before = crash_plan.syncs;

		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_gt(crash_plan.syncs, before);
		before = crash_plan.syncs;
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
		ck_assert_int_gt(crash_plan.syncs, before);
		claimed_free(&claimed);
	}
	kit_close(&kit);
}
END_TEST

/* The kernel has forgotten what it could not write: a second sync would tell a lie (F-31). */
START_TEST(after_a_sync_that_failed_nothing_is_believed)
{
	struct kit kit = kit_on_plan();
	struct letter letter;

	put(&kit, 1, "a");
	crash_plan.fail_sync_at = crash_plan.syncs + 1;
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_DOUBT);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	ck_assert_int_eq(kit.store.verbs->tidy(kit.store.self), ERR_IO);
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit); /* as after a restart */
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	kit_close(&kit);
}
END_TEST

START_TEST(a_checkpoint_whose_sync_failed_ends_it_too)
{
	struct kit kit = kit_on_plan();
	struct letter letter;

	put(&kit, 1, "a");
	((struct sqlite_store *)kit.store.self)->wal_pages = 1 << 20;
	crash_plan.fail_sync_at = crash_plan.syncs + 1;
	ck_assert_int_eq(kit.store.verbs->tidy(kit.store.self), ERR_IO);
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	kit_close(&kit);
}
END_TEST

/* Each write in turn: what was taken is there afterwards, and the store goes on. */
START_TEST(a_write_that_fails_fails_its_job_alone)
{
	struct kit kit = kit_on_plan();
	bool taken[100] = { 0 };
	int failed = 0;

	for (unsigned i = 1; i < 100; i++) {
		struct letter letter;
		enum err err;

		crash_plan.fail_write_from = crash_plan.fail_write_to =
			i % 2 ? crash_plan.writes + 1 + (int)i / 2 % 12 : 0;
		letter_write(&letter, i, "a");
		err = letter_accept(&kit, &letter, NOW);
		ck_assert(err == OK || err == ERR_IO);
		taken[i] = err == OK;
		failed += err != OK;
	}
	ck_assert_int_gt(failed, 10);
	crash_plan.fail_write_from = 0;
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit);
	expect_integrity(&kit, 0);
	for (unsigned i = 1; i < 100; i++) {
		struct stored *stored = look_up(&kit, i, NULL);

		ck_assert_int_eq(stored != NULL, taken[i]);
		stored_free(stored);
	}
	kit_close(&kit);
}
END_TEST

UNIT_MAIN(store_crash, srunner_set_fork_status(runner, CK_FORK); /* one such disk in a process */
	  tcase_set_timeout(cases, 600);
	  tcase_add_test(cases, what_was_acknowledged_survives_the_loss_of_power);
	  tcase_add_test(cases, every_group_is_synced_before_it_is_acknowledged);
	  tcase_add_test(cases, after_a_sync_that_failed_nothing_is_believed);
	  tcase_add_test(cases, a_checkpoint_whose_sync_failed_ends_it_too);
	  tcase_add_test(cases, a_write_that_fails_fails_its_job_alone);)
