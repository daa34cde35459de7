/* What is the SQLite store's own: its file, its plans, and what a dead process left in it. */
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "service/store/store_sqlite_own.h"
#include "store_kit.h"
#include "unit.h"

static const struct store_limits no_limits;

/* ---- the file */

static char *read_file(const char *path, size_t *len_out)
{
	struct stat seen;
	int fd = open(path, O_RDONLY);
	char *bytes;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &seen), 0);
	bytes = malloc((size_t)seen.st_size + 1);
	ck_assert_int_eq(read(fd, bytes, (size_t)seen.st_size), seen.st_size);
	close(fd);
	*len_out = (size_t)seen.st_size;
	return bytes;
}

static void write_file(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

START_TEST(the_file_is_for_its_owner_alone)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	char wal[128];
	struct stat seen;

	put(&kit, 1, "a");
	snprintf(wal, sizeof(wal), "%s-wal", kit.path);
	ck_assert_int_eq(stat(kit.path, &seen), 0);
	ck_assert_uint_eq(seen.st_mode & 0777, 0600);
	ck_assert_int_eq(stat(wal, &seen), 0);
	ck_assert_uint_eq(seen.st_mode & 0777, 0600);
	kit_close(&kit);
}
END_TEST

/* Opens in a process of its own, as another gateway would: closing any descriptor of the file would
 * drop this process's locks. What it says is in `why`; gives the error. */
static int open_elsewhere(const struct kit *kit, char *why, size_t room)
{
	int ends[2], status;
	ssize_t len;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct buf line = buf_born(1000);
		struct store store;
		enum err err = store_sqlite_open(kit->path, &kit->limits, &store, &line);

		if (!err)
			store.verbs->close(store.self);
		_exit(line.len && write(ends[1], line.at, line.len) < 0 ? 99 : (int)err);
	}
	close(ends[1]);
	len = read(ends[0], why, room - 1);
	why[len > 0 ? len : 0] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(a_second_process_is_refused)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	char why[1000];

	put(&kit, 1, "a");
	ck_assert_int_eq(open_elsewhere(&kit, why, sizeof(why)), ERR_IO);
	ck_assert_ptr_nonnull(strstr(why, "another process has it open"));
	put(&kit, 2, "a");
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	kit.store.verbs->close(kit.store.self);
	ck_assert_int_eq(open_elsewhere(&kit, why, sizeof(why)), OK);
	kit_remove(&kit);
}
END_TEST

/* What is not ours, or cannot be read, is refused with words and left as it was. */
static void expect_refusal(const struct kit *kit, enum err wanted, const char *word)
{
	char why[1000];
	size_t before_len, after_len;
	char *before = read_file(kit->path, &before_len);
	char *after;

	ck_assert_int_eq(open_elsewhere(kit, why, sizeof(why)), wanted);
	ck_assert_msg(strstr(why, word) != NULL, "\"%s\" has no \"%s\"", why, word);
	ck_assert_ptr_nonnull(strstr(why, kit->path));
	after = read_file(kit->path, &after_len);
	ck_assert_uint_eq(before_len, after_len);
	ck_assert(before_len == 0 || memcmp(before, after, before_len) == 0);
	free(before);
	free(after);
}

START_TEST(a_foreign_file_is_refused_untouched)
{
	static const struct {
		const char *content;
		const char *word;
	} rows[] = { { "", "empty" }, { "x", "not an SQLite database" },
		{ "SQLite format 3", "not an SQLite database" },
		{ "PK\3\4 a zip file that is longer than the header of a database, so that it can "
		  "be looked at in earnest",
			"not an SQLite database" } };
	struct kit kit = kit_open(KIT_SQLITE, no_limits);

	kit.store.verbs->close(kit.store.self);
	for (int i = 0; i < 4; i++) {
		write_file(kit.path, rows[i].content, strlen(rows[i].content));
		expect_refusal(&kit, ERR_SYNTAX, rows[i].word);
	}
	kit_remove(&kit);
}
END_TEST

/* Runs SQL on the closed file. */
static void change_file(const struct kit *kit, const char *sql)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(kit->path, &db), SQLITE_OK);
	ck_assert_msg(
		sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

START_TEST(a_database_that_is_not_ours_is_refused)
{
	static const struct {
		const char *sql;
		enum err err;
		const char *word;
	} rows[] = { { "PRAGMA application_id = 7", ERR_SYNTAX, "not a queue" },
		{ "PRAGMA user_version = 7", ERR_VALUE, "newer version" },
		{ "DROP TABLE event", ERR_SYNTAX, "damaged" },
		{ "ALTER TABLE message DROP COLUMN maybe_sent", ERR_SYNTAX, "damaged" },
		{ "DELETE FROM tally", ERR_SYNTAX, "damaged" } };
	struct kit kit = kit_open(KIT_SQLITE, no_limits);

	put(&kit, 1, "a");
	kit.store.verbs->close(kit.store.self);
	change_file(&kit, rows[_i].sql);
	expect_refusal(&kit, rows[_i].err, rows[_i].word);
	kit_remove(&kit);
}
END_TEST

/* Its messages count as they did there, and its events are counted. */
START_TEST(a_queue_of_an_older_version_goes_on)
{
#define DROP_6 "DELETE FROM tally WHERE state >= 100; "
#define DROP_5                                                                                     \
	DROP_6 "ALTER TABLE message DROP COLUMN more_bytes; UPDATE tally SET bytes = 22 * "        \
	       "messages; "
#define DROP_4 DROP_5 "DROP INDEX message_held; "
#define DROP_3 DROP_4 "DROP INDEX message_over; "
	static const char *const older[] = {
		DROP_3 "DROP TABLE note; PRAGMA user_version = 1", DROP_3 "PRAGMA user_version = 2",
		DROP_4 "PRAGMA user_version = 3", DROP_5 "PRAGMA user_version = 4",
		DROP_6 "PRAGMA user_version = 5", "PRAGMA user_version = 6", /* what it is now */
	};
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	struct claimed claimed = { 0 };

	put(&kit, 1, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_DEFERRED, 0, false), OK);
	claimed_free(&claimed);
	for (int i = 0; i < 6; i++) {
		kit.store.verbs->close(kit.store.self);
		change_file(&kit, older[i]);
		kit_open_again(&kit);
		ck_assert_int_eq(state_of(&kit, 1), MESSAGE_DEFERRED);
		ck_assert_int_eq(note(&kit, names[i], 1, 0, NULL), OK);
		ck_assert_uint_eq(counts(&kit).bytes, 22);
		ck_assert_uint_eq(counts(&kit).events, 1);
		ck_assert_uint_eq(counts(&kit).event_bytes, TEXT("message.sent"
								 "a"
								 "{}")
									    .len +
								    64);
	}
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	ck_assert_uint_eq(counts(&kit).bytes, 0);
	kit.store.verbs->close(kit.store.self);
	change_file(&kit, "DROP INDEX message_over; DROP INDEX message_held"); /* fails where it is
										  not there */
	kit_remove(&kit);
}
END_TEST

START_TEST(a_log_without_its_file_is_told)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	char wal[128], why[1000];

	kit.store.verbs->close(kit.store.self);
	unlink(kit.path);
	snprintf(wal, sizeof(wal), "%s-wal", kit.path);
	write_file(wal, "x", 1);
	ck_assert_int_eq(open_elsewhere(&kit, why, sizeof(why)), ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why, "is missing"));
	ck_assert_int_ne(access(kit.path, F_OK), 0);
	unlink(wal);
	kit_remove(&kit);
}
END_TEST

START_TEST(a_path_that_cannot_be_is_told)
{
	static const char *const paths[] = { "/nowhere/at/all/queue.db", "/proc/queue.db", "/tmp" };
	struct buf why = buf_born(1000);
	struct store store;

	ck_assert_int_eq(store_sqlite_open(paths[_i], &no_limits, &store, &why), ERR_IO);
	ck_assert(text_starts(buf_text(&why), TEXT("STORE: /")));
	buf_free(&why);
}
END_TEST

/* ---- statements */

/* A million messages make a scan or a sort an outage. */
START_TEST(every_statement_has_an_index)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	sqlite3 *db;
	sqlite3_stmt *plan;
	char sql[2000];

	kit.store.verbs->close(kit.store.self);
	ck_assert_int_eq(sqlite3_open(kit.path, &db), SQLITE_OK);
	for (int i = SQL_ACCEPT; i < SQLS; i++) {
		bool may_scan = i == SQL_TALLY_LIST || i == SQL_TEMPLATE_LIST ||
				i == SQL_ONCE_CUT || i == SQL_NOTE_VOID || i == SQL_EVENT_NEWEST ||
				i == SQL_EVENT_LAST ||                          /* at its ends */
				i == SQL_FEW_WAITING || i == SQL_FEW_SETTLED;   /* bounded */
		bool may_sort = i == SQL_LIST_WAITING || i == SQL_LIST_SETTLED; /* few */

		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", sql_texts[i]);
		ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &plan, NULL) == SQLITE_OK, "%s",
			sqlite3_errmsg(db));
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(plan, 3);
			bool is_scan = strstr(step, "SCAN") && !strstr(step, "INDEX");

			/* a turn is found, not searched for */
			ck_assert(i != SQL_CLAIM_NEXT || strstr(step, "(lane=? AND key_id>?)"));
			ck_assert_msg((may_sort || !strstr(step, "TEMP B-TREE")) &&
					      (!is_scan || may_scan),
				"%s: %s", sql_texts[i], step);
		}
		sqlite3_finalize(plan);
	}
	sqlite3_close(db);
	kit_remove(&kit);
}
END_TEST

/* ---- what a dead process left */

/* The process ends without a word after `work`. */
static void die_after(struct kit *kit, void (*work)(struct kit *kit))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		kit_open_again(kit);
		work(kit);
		_exit(7);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static struct kit kit_closed(void)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);

	kit.store.verbs->close(kit.store.self);
	return kit;
}

/* Letters 1 to 4 are out: unmarked, with MAIL, with the end of the data, and given back; 5 waits,
 * and one request runs. */
static void leave_some_out(struct kit *kit)
{
	static const enum message_mark marks[] = { MARK_NONE, MARK_MAIL, MARK_END };
	struct claimed claimed = { 0 };
	struct once once = { .key_id = TEXT("a"), .key = TEXT("k") };
	struct once_begin_job begin = { .once = &once, .now_ms = NOW };

	for (unsigned i = 1; i <= 5; i++)
		put(kit, i, "a");
	ck_assert_uint_eq(claim(kit, &claimed, 4), 4);
	for (int i = 1; i < 3; i++) {
		struct fence_job fence = { .id = claimed.at[i]->id,
			.token = TOKEN,
			.mark = marks[i],
			.lease_for_ms = 60 * SECOND };

		ck_assert_int_eq(DO(kit, fence, &fence), OK);
	}
	ck_assert_int_eq(settle(kit, claimed.at[3], MESSAGE_HELD, 0, false), OK);
	ck_assert_int_eq(DO(kit, once_begin, &begin), OK);
}

/* The machine went down, or somebody took the note of whose MAIL was written away. */
START_TEST(where_no_note_is_left_all_that_was_out_may_have_been_sent)
{
	struct kit kit = kit_closed();
	char path[128];

	die_after(&kit, leave_some_out);
	snprintf(path, sizeof(path), "%s-strikes", kit.path);
	ck_assert_int_eq(unlink(path), 0);
	kit_open_again(&kit);
	for (unsigned i = 1; i <= 5; i++) {
		struct stored *stored = look_up(&kit, i, NULL);

		ck_assert_int_eq(stored->maybe_sent, i <= 3);
		ck_assert_uint_eq(stored->strikes, i == 2 || i == 3);
		stored_free(stored);
	}
	kit_close(&kit);
}
END_TEST

START_TEST(leases_of_a_dead_process_are_void)
{
	struct kit kit = kit_closed();
	struct claimed claimed = { 0 };

	die_after(&kit, leave_some_out);
	kit_open_again(&kit);
	for (unsigned i = 1; i <= 5; i++) {
		struct stored *stored = look_up(&kit, i, NULL);

		ck_assert_int_eq(stored->state, i < 4    ? MESSAGE_DEFERRED
						: i == 4 ? MESSAGE_HELD
							 : MESSAGE_QUEUED);
		ck_assert_uint_eq(stored->strikes, i == 2 || i == 3);
		ck_assert_int_eq(stored->maybe_sent, i == 2 || i == 3);
		ck_assert_uint_eq(stored->tries, i <= 4);
		ck_assert_uint_eq(stored->token, 0);
		stored_free(stored);
	}
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_DEFERRED], 3);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENDING], 0);
	/* The suspects first, and alone: nothing comes while one is out. */
	for (unsigned i = 2; i <= 3; i++) {
		ck_assert_uint_eq(claim(&kit, &claimed, 9), 1);
		ck_assert_uint_eq(number_of(claimed.at[0]), i);
		ck_assert_uint_eq(claimed.at[0]->strikes, 1);
		ck_assert(claimed.job.has_more);
		ck_assert_uint_eq(claim(&kit, &(struct claimed){ 0 }, 9), 0);
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_DEFERRED, 0, false), OK);
		claimed_free(&claimed);
	}
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 4); /* whoever lived to tell is no suspect */
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

static void leave_four_behind_their_mail(struct kit *kit)
{
	struct claimed claimed = { .job.mark = MARK_MAIL };

	for (unsigned i = 1; i <= 5; i++)
		put(kit, i, "a");
	ck_assert_uint_eq(claim(kit, &claimed, 4), 4);
}

/* F-47: after some seconds others come beside suspects, and those of one strike together. */
START_TEST(suspects_keep_others_waiting_for_some_seconds_in_all)
{
	struct kit kit = kit_closed();
	struct claimed first = { 0 }, claimed = { 0 };
	struct sqlite_store *store;

	die_after(&kit, leave_four_behind_their_mail);
	kit_open_again(&kit);
	store = kit.store.self;
	ck_assert_int_eq(sqlite3_exec(store->db,
				 "UPDATE message SET strikes = strikes + place % 2 "
				 "WHERE strikes > 0",
				 NULL, NULL, NULL),
		SQLITE_OK);
	ck_assert_uint_eq(claim(&kit, &first, 9), 1); /* of those with the most strikes */
	ck_assert_uint_eq(first.at[0]->strikes, 2);
	store->suspicion.since_ms = store->alive_ms - ALONE_ALL_MS + 1;
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 0);
	store->suspicion.since_ms--;
	ck_assert_uint_eq(claim(&kit, &claimed, 2), 2);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 1); /* two of one strike, and one of none */
	claimed_free(&claimed);
	ck_assert_int_eq(settle(&kit, first.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 1); /* the other one of two waited for it */
	ck_assert_uint_eq(claimed.at[0]->strikes, 2);
	claimed_free(&claimed);
	claimed_free(&first);
	kit_close(&kit);
}
END_TEST

static void die_over_the_suspect(struct kit *kit)
{
	struct claimed claimed = { .job.mark = MARK_MAIL };

	ck_assert_uint_eq(claim(kit, &claimed, 1), 1);
}

START_TEST(strikes_add_up)
{
	struct kit kit = kit_closed();
	struct claimed claimed = { 0 };
	static const struct text nowhere = { "", 0 };

	kit_open_again(&kit);
	put(&kit, 1, "a");
	kit.store.verbs->close(kit.store.self);
	for (int i = 0; i < 5; i++)
		die_after(&kit, die_over_the_suspect);
	kit_open_again(&kit);
	claimed.job.resting = &nowhere; /* a suspect whose relay rests holds nobody up */
	claimed.job.resting_count = 1;
	put_in(&kit, 2, "a", "backup");
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 1);
	ck_assert_uint_eq(number_of(claimed.at[0]), 2);
	claimed_free(&claimed);
	claimed.job.resting_count = 0;
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 1);
	ck_assert_uint_eq(claimed.at[0]->strikes, 5);
	ck_assert_uint_eq(claimed.at[0]->tries, 6);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(a_run_that_was_cut_short_is_told)
{
	struct kit kit = kit_closed();
	struct once once = { .key_id = TEXT("a"), .key = TEXT("k") };
	struct once_begin_job begin = { .once = &once, .now_ms = NOW };

	die_after(&kit, leave_some_out);
	kit_open_again(&kit);
	ck_assert_int_eq(DO(&kit, once_begin, &begin), OK);
	ck_assert_int_eq(begin.found, ONCE_CUT);
	ck_assert_int_eq(DO(&kit, once_begin, &begin), OK);
	ck_assert_int_eq(begin.found, ONCE_RUNNING); /* it is for whoever asked first to end it */
	kit_close(&kit);
}
END_TEST

static void take_note(struct kit *kit)
{
	ck_assert_int_eq(note(kit, "hook", 7, 1000 * SECOND, "cursor 5"), OK);
}

START_TEST(notes_of_a_dead_process_are_free)
{
	struct kit kit = kit_closed();

	die_after(&kit, take_note);
	kit_open_again(&kit);
	ck_assert_int_eq(note(&kit, "hook", 8, SECOND, NULL), OK);
	ck_assert_str_eq(kit.note, "cursor 5");
	kit_close(&kit);
}
END_TEST

/* Tells each letter that was accepted, over a pipe, until it is killed. */
static void accept_until_killed(const struct kit *kit, int told)
{
	struct kit own = *kit;

	kit_open_again(&own);
	for (unsigned i = 1;; i++) {
		struct claimed claimed = { 0 };

		put(&own, i, i % 2 ? "a" : "b");
		if (write(told, &i, sizeof(i)) != sizeof(i))
			_exit(1);
		if (i % 3)
			continue;
		(void)claim(&own, &claimed, 1);
		if (claimed.job.count)
			(void)settle(&own, claimed.at[0], MESSAGE_DEFERRED, -SECOND, false);
		claimed_free(&claimed);
	}
}

/* At whatever moment: what was acknowledged is there. */
START_TEST(a_process_that_is_killed_loses_nothing)
{
	struct kit kit = kit_closed();
	unsigned last = 0, seen;
	int ends[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		accept_until_killed(&kit, ends[1]);
	close(ends[1]);
	while (last < (unsigned)_i * 7 && read(ends[0], &seen, sizeof(seen)) == sizeof(seen))
		last = seen;
	usleep((unsigned)(_i * 37 % 997));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	while (read(ends[0], &seen, sizeof(seen)) == sizeof(seen))
		last = seen;
	close(ends[0]);
	kit_open_again(&kit);
	for (unsigned i = 1; i <= last; i++) {
		struct stored *stored = look_up(&kit, i, NULL);

		ck_assert_msg(stored != NULL, "%u of %u is lost", i, last);
		ck_assert(stored->has_body);
		stored_free(stored);
	}
	kit_close(&kit);
}
END_TEST

/* ---- damage in what is kept */

/* ---- no room on the disk (F-30) */

static void fill(const char *path, off_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(posix_fallocate(fd, 0, bytes), 0);
	close(fd);
}

/* A small disk that goes with this process; false: that needs more rights than there are. */
static bool mount_disk(struct kit *kit, const char *options)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", kit->folder, "tmpfs", 0, options) != 0) {
		printf("skipped: a disk of its own needs root\n");
		return false;
	}
	return true;
}

static void drop_disk(struct kit *kit)
{
	kit->store.verbs->close(kit->store.self);
	ck_assert_int_eq(umount(kit->folder), 0);
	kit_remove(kit);
}

/* Accepts until it fails; gives how many were taken. */
static unsigned accept_until_full(struct kit *kit, unsigned from)
{
	static char large[20000];
	struct letter letter;

	for (unsigned i = from;; i++) {
		memset(large, 'x', sizeof(large));
		letter_write(&letter, i, "a");
		letter.body = (struct text){ large, sizeof(large) };
		if (letter_accept(kit, &letter, NOW + i) != OK)
			return i - from;
		ck_assert_int_eq(kit->store.verbs->tidy(kit->store.self), OK);
	}
}

static unsigned drain(struct kit *kit)
{
	struct claimed claimed = { 0 };
	unsigned drained = 0;

	while (claim(kit, &claimed, 5)) {
		for (size_t i = 0; i < claimed.job.count; i++) {
			ck_assert_uint_gt(claimed.bodies[i].len, 0);
			ck_assert_int_eq(settle(kit, claimed.at[i], MESSAGE_SENT, 0, false), OK);
			drained++;
		}
		claimed_free(&claimed);
		ck_assert_int_eq(kit->store.verbs->tidy(kit->store.self), OK);
	}
	return drained;
}

START_TEST(a_full_disk_takes_nothing_and_gives_all)
{
	static const char *const sizes[] = { "size=2m", "size=8m", "size=200m" };
	struct kit kit = kit_closed();
	struct letter letter;
	char filler[96];
	unsigned taken;

	snprintf(filler, sizeof(filler), "%s/filler", kit.folder);
	if (!mount_disk(&kit, sizes[_i])) {
		kit_remove(&kit);
		return;
	}
	fill(filler, _i == 0 ? 1 << 20 : _i == 1 ? 4 << 20 : 150 << 20);
	kit_open_again(&kit);
	taken = accept_until_full(&kit, 1);
	ck_assert_uint_gt(taken, 10);
	ck_assert_int_eq(kit.store.verbs->tidy(kit.store.self), OK);
	letter_write(&letter, 100000, "a");
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	ck_assert_str_eq(kit.store.verbs->trouble(kit.store.self), "the disk is full");
	usleep(600000); /* what was given up is not taken for room */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	if (_i == 1) { /* also by another process */
		kit.store.verbs->close(kit.store.self);
		kit_open_again(&kit);
		usleep(600000);
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	}
	ck_assert_uint_eq(drain(&kit), taken);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENT], taken);
	ck_assert_int_eq(unlink(filler), 0);
	usleep(600000);
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_uint_gt(accept_until_full(&kit, 20000), 10);
	ck_assert_int_eq(drain(&kit) > 10, true);
	drop_disk(&kit);
}
END_TEST

/* What it deleted is room again, though none of it comes back to the disk. */
START_TEST(a_disk_that_the_queue_fills_takes_as_much_again)
{
	struct kit kit = kit_closed();
	struct letter letter;
	unsigned taken;

	if (!mount_disk(&kit, "size=8m")) {
		kit_remove(&kit);
		return;
	}
	kit_open_again(&kit);
	letter_write(&letter, 100000, "a");
	for (unsigned i = 0; i < 2; i++) {
		taken = accept_until_full(&kit, 1 + i * 1000);
		ck_assert_uint_gt(taken, 100);
		usleep(600000);
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
		ck_assert_uint_eq(drain(&kit), taken);
		usleep(600000);
	}
	drop_disk(&kit);
}
END_TEST

/* SIGSTOP, a frozen container: the file has one owner, and nobody else has sent anything meanwhile.
 */
START_TEST(who_stood_still_has_what_it_had)
{
	struct kit kit = kit_closed();
	struct claimed claimed = { 0 };
	struct lease lease = { .token = TOKEN };
	struct renew_job renew = { .leases = &lease, .count = 1, .lease_for_ms = 2500 };

	kit_open_again(&kit);
	put(&kit, 1, "web");
	tick_at(&kit, NOW);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	lease.id = claimed.at[0]->id;
	ck_assert_int_eq(DO(&kit, renew, &renew), OK);
	usleep(2700000);
	ck_assert_uint_eq(tick_at(&kit, NOW).ripe, 0);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(what_cannot_be_read_is_set_aside_and_told)
{
	static const char *const damages[] = { "UPDATE message SET head = x'00' WHERE place = 1",
		"UPDATE message SET course = head WHERE place = 1",
		"UPDATE body SET bytes = x'00' WHERE place = 1",
		"UPDATE body SET crc = crc + 1 WHERE place = 1",
		"DELETE FROM body WHERE place = 1" };
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	struct claimed claimed = { 0 };

	put(&kit, 1, "a");
	put(&kit, 2, "a");
	kit.store.verbs->close(kit.store.self);
	change_file(&kit, damages[_i]);
	kit_open_again(&kit);
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 1);
	ck_assert_uint_eq(number_of(claimed.at[0]), 2);
	ck_assert_uint_eq(claimed.job.damaged, 1);
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 0);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_HELD], 1);
	ck_assert_str_eq(claimed.damaged[0], "01990000-0001-7000-8000-0000000000ff");
	expect_set_aside(&kit, 1, _i < 2);
	kit_close(&kit);
}
END_TEST

enum { FLIPS = 200, LETTERS = CLAIM_MOST };

static void put_numbered(struct kit *kit)
{
	char body[64];

	for (unsigned i = 1; i <= LETTERS; i++) {
		struct letter letter;

		letter_write(&letter, i, "a");
		snprintf(body, sizeof(body), "Subject: %u\r\n\r\nHello %u.\r\n", i, i);
		letter.body = text_of(body);
		letter.stored.size_bytes = letter.body.len;
		ck_assert_int_eq(letter_accept(kit, &letter, NOW + LETTERS), OK);
	}
}

/* Is it one of put_numbered, as it was? */
static bool is_whole(const struct stored *stored, struct text message)
{
	char body[64], message_id[32], to[32];
	unsigned number = 0;

	if (message.len >= sizeof(body) ||
		sscanf(message.at, "Subject: %u", &number) != 1) /* a NUL is behind it */
		return false;
	snprintf(body, sizeof(body), "Subject: %u\r\n\r\nHello %u.\r\n", number, number);
	snprintf(message_id, sizeof(message_id), "<%u@example.com>", number);
	snprintf(to, sizeof(to), "ann%u@example.org", number);
	return text_equal(message, text_of(body)) &&
	       text_equal(stored->message_id, text_of(message_id)) && stored->count == 2 &&
	       text_equal(stored->to[0].address, text_of(to)) &&
	       text_equal(stored->sender, TEXT("shop@example.com"));
}

/* In a process of its own: opens it, and has all come out, as far as they can be read. Exits with
 * how many did not; 100: one was not what it was. */
static void have_all_out(const struct kit *kit)
{
	struct claimed claimed = { 0 };
	struct buf why = buf_born(1000);
	struct kit own = *kit;
	size_t count;

	if (store_sqlite_open(kit->path, &kit->limits, &own.store, &why))
		_exit(LETTERS);
	claimed.job = (struct claim_job){ .job.kind = JOB_CLAIM,
		.most = CLAIM_MOST,
		.has_body = true,
		.now_ms = NOW + LETTERS,
		.lease_for_ms = 30 * SECOND,
		.token = TOKEN,
		.claimed = claimed.at,
		.bodies = claimed.bodies };
	count = DO(&own, claim, &claimed.job) ? 0 : claimed.job.count;
	for (size_t i = 0; i < count; i++)
		if (!is_whole(claimed.at[i], claimed.bodies[i]))
			_exit(100);
	_exit(count > LETTERS ? 100 : (int)(LETTERS - count));
}

/* F-34: a bit is another one, anywhere in the file. The file is refused, or what cannot be read
 * does not come out; nothing comes out as it was not, and nothing crashes. */
START_TEST(of_a_file_with_a_flipped_bit_nothing_wrong_comes_out)
{
	struct kit kit = kit_open(KIT_SQLITE, no_limits);
	unsigned seed = 34, lost = 0, status;
	size_t len, place;
	char *bytes;

	put_numbered(&kit);
	kit.store.verbs->close(kit.store.self);
	bytes = read_file(kit.path, &len);
	for (int i = 0; i < FLIPS; i++) {
		pid_t pid;

		seed = seed * 1664525 + 1013904223;
		place = (size_t)(((uint64_t)seed * len) >> 32);
		bytes[place] = (char)(bytes[place] ^ 1 << i % 8);
		write_file(kit.path, bytes, len);
		bytes[place] = (char)(bytes[place] ^ 1 << i % 8);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			have_all_out(&kit);
		ck_assert_int_eq(waitpid(pid, (int *)&status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= LETTERS,
			"bit %d of byte %zu: %x", i % 8, place, status);
		lost += WEXITSTATUS(status);
	}
	ck_assert_uint_gt(lost, 0); /* else nothing was flipped */
	write_file(kit.path, bytes, len);
	free(bytes);
	kit_remove(&kit);
}
END_TEST

/* ---- how old those are that wait */

static void wait_since(struct ages *ages, int64_t second)
{
	ck_assert_int_eq(ages_make_room(ages), OK);
	ages_move(ages, second * 1000, MESSAGE_STATES, MESSAGE_QUEUED);
}

START_TEST(one_that_is_held_ages_in_no_process)
{
	struct kit kit = kit_closed();
	struct claimed claimed = { 0 };

	kit_open_again(&kit);
	put(&kit, 1, "a");
	put(&kit, 2, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_HELD, 0, false), OK);
	claimed_free(&claimed);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(counts(&kit).messages[MESSAGE_HELD], 1);
		ck_assert_uint_eq(counts(&kit).aged[STORE_AGES - 1], 1);
		kit.store.verbs->close(kit.store.self);
		kit_open_again(&kit);
	}
	kit_close(&kit);
}
END_TEST

START_TEST(a_second_that_a_transaction_emptied_is_there_again)
{
	struct counts_job counts = { .now_ms = 64000 };
	struct ages ages = { 0 };

	for (int64_t second = 1; second <= 64; second++)
		wait_since(&ages, second);
	ages_settle(&ages, true);
	ck_assert_int_eq(ages_make_room(&ages), OK);
	ages_move(&ages, 1000, MESSAGE_QUEUED, MESSAGE_SENT);
	for (int64_t second = 65; second <= 1000; second++)
		wait_since(&ages, second);
	ages_settle(&ages, false);
	ages_tell(&ages, &counts);
	ck_assert_int_eq(counts.oldest_ms, 1000);
	ck_assert_uint_eq(counts.aged[0], 61);
	ck_assert_uint_eq(counts.aged[1], 64);
	for (int64_t second = 1; second <= 64; second++) {
		ck_assert_int_eq(ages_make_room(&ages), OK);
		ages_move(&ages, second * 1000, MESSAGE_QUEUED, MESSAGE_SENT);
		ages_settle(&ages, true);
	}
	for (int64_t second = 2000; second <= 4000; second++) {
		wait_since(&ages, second);
		ages_settle(&ages, true);
		ck_assert_int_eq(ages_make_room(&ages), OK);
		ages_move(&ages, second * 1000, MESSAGE_QUEUED, MESSAGE_SENT);
		ages_settle(&ages, true);
	}
	ck_assert_msg(ages.room <= 2048, "what is empty is dropped in the end");
	ages_free(&ages);
}
END_TEST

UNIT_MAIN(store_sqlite, tcase_add_test(cases, a_second_that_a_transaction_emptied_is_there_again);
	  tcase_add_test(cases, one_that_is_held_ages_in_no_process);
	  tcase_add_test(cases, the_file_is_for_its_owner_alone);
	  tcase_add_test(cases, a_second_process_is_refused);
	  tcase_add_test(cases, a_foreign_file_is_refused_untouched);
	  tcase_add_loop_test(cases, a_database_that_is_not_ours_is_refused, 0, 5);
	  tcase_add_test(cases, a_log_without_its_file_is_told);
	  tcase_add_test(cases, a_queue_of_an_older_version_goes_on);
	  tcase_add_test(cases, notes_of_a_dead_process_are_free);
	  tcase_add_loop_test(cases, a_path_that_cannot_be_is_told, 0, 3);
	  tcase_add_test(cases, every_statement_has_an_index);
	  tcase_add_test(cases, where_no_note_is_left_all_that_was_out_may_have_been_sent);
	  tcase_add_test(cases, leases_of_a_dead_process_are_void);
	  tcase_add_test(cases, suspects_keep_others_waiting_for_some_seconds_in_all);
	  tcase_add_test(cases, of_a_file_with_a_flipped_bit_nothing_wrong_comes_out);
	  tcase_add_test(cases, strikes_add_up);
	  tcase_add_test(cases, a_run_that_was_cut_short_is_told);
	  tcase_add_loop_test(cases, a_process_that_is_killed_loses_nothing, 0, 30);
	  tcase_add_loop_test(cases, a_full_disk_takes_nothing_and_gives_all, 0, 3);
	  tcase_add_test(cases, a_disk_that_the_queue_fills_takes_as_much_again);
	  tcase_add_test(cases, who_stood_still_has_what_it_had);
	  tcase_add_loop_test(cases, what_cannot_be_read_is_set_aside_and_told, 0, 5);)
