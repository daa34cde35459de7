/* PostgreSQL alone: several replicas, connections that break, and who makes the tables. */
#include "service/clock.h"
#include "service/store/store_pg_own.h"
#include "store_kit.h"
#include "unit.h"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const struct store_limits no_limits;

/* Another replica on the same tables. */
static struct kit another(const struct kit *kit)
{
	struct kit other = { .backend = KIT_PG, .limits = kit->limits };

	other.words = strdup(kit->words);
	kit_open_again(&other);
	return other;
}

/* Runs SQL beside the store; the number in the last result's first field, 0 if there is none. */
static long sql(const struct kit *kit, const char *words)
{
	PGconn *conn = PQconnectdb(kit->words);
	PGresult *result = PQexec(conn, words);
	long number = 0;

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK ||
			      PQresultStatus(result) == PGRES_TUPLES_OK,
		"%s", PQerrorMessage(conn));
	if (PQntuples(result) > 0)
		number = strtol(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	PQfinish(conn);
	return number;
}

#define OTHERS_OF                                                                                  \
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "                     \
	"pg_backend_pid() AND application_name = 'lettergate'"

/* ---- news */

static bool hears_in_time(const struct kit *kit)
{
	for (int i = 0; i < 5000; i++) {
		if (kit->store.verbs->hears(kit->store.self))
			return true;
		usleep(1000);
	}
	return false;
}

static void tell(const struct kit *kit)
{
	kit->store.verbs->tell(kit->store.self);
	(void)kit->store.verbs->hears(kit->store.self); /* now it goes out */
}

static void come_back(struct kit *kit)
{
	struct counts_job counts = { .now_ms = NOW };

	while (DO(kit, counts, &counts) != OK)
		usleep(10000);
}

/* Others may use this database at the same time: that nothing is heard cannot be shown. */
START_TEST(what_one_tells_others_hear_and_after_they_came_back)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);

	tell(&kit);
	ck_assert(hears_in_time(&other));
	(void)sql(&kit, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
			"WHERE pid <> pg_backend_pid() AND application_name = 'lettergate'");
	come_back(&kit);
	come_back(&other);
	usleep(200000); /* not more often */
	tell(&kit);
	ck_assert(hears_in_time(&other));
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* ---- the tables */

enum { STARTERS = 6 };

static void *start(void *context)
{
	struct kit *kit = context;
	struct buf why = buf_born(1000);
	enum err err = store_pg_open(kit->words, &no_limits, NULL, &kit->store, &why);

	buf_free(&why);
	return err == OK ? kit : NULL;
}

START_TEST(all_that_start_at_once_find_or_make_the_tables)
{
	struct kit kits[STARTERS] = { 0 };
	pthread_t threads[STARTERS];
	char *words = pg_server_schema();

	for (int i = 0; i < STARTERS; i++) {
		kits[i] = (struct kit){ .backend = KIT_PG, .words = strdup(words) };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, start, &kits[i]), 0);
	}
	for (int i = 0; i < STARTERS; i++) {
		void *opened;

		pthread_join(threads[i], &opened);
		ck_assert_ptr_nonnull(opened);
	}
	put(&kits[0], 1, "a");
	ck_assert_int_eq(state_of(&kits[STARTERS - 1], 1), MESSAGE_QUEUED);
	for (int i = 0; i < STARTERS; i++)
		kit_close(&kits[i]);
	free(words);
}
END_TEST

START_TEST(tables_that_are_newer_or_damaged_are_refused)
{
	static const struct {
		const char *sql;
		enum err err;
	} rows[] = {
		{ "UPDATE lettergate_schema SET version = 999", ERR_VALUE },
		{ "DELETE FROM lettergate_schema", ERR_SYNTAX },
		{ "ALTER TABLE lettergate_message DROP COLUMN course", ERR_IO },
	};
	struct buf why = buf_born(1000);

	for (int row = 0; row < 3; row++) {
		struct kit kit = kit_open(KIT_PG, no_limits);
		struct store store;

		kit.store.verbs->close(kit.store.self);
		(void)sql(&kit, rows[row].sql);
		ck_assert_int_eq(
			store_pg_open(kit.words, &no_limits, NULL, &store, &why), rows[row].err);
		ck_assert_msg(memcmp(why.at, "STORE: PostgreSQL: ", 19) == 0, "%.*s", (int)why.len,
			why.at);
		buf_clear(&why);
		kit_remove(&kit);
	}
	buf_free(&why);
}
END_TEST

/* What raised them from version 1, taken back. */
static const char older[] =
	"DROP TABLE lettergate_event_tally;"
	"DROP INDEX lettergate_message_over, lettergate_message_waiting, lettergate_message_held;"
	"ALTER TABLE lettergate_message DROP COLUMN out_ms, DROP COLUMN more_bytes;"
	"UPDATE lettergate_tally SET bytes = 22 * messages;"
	"CREATE INDEX lettergate_message_unsettled ON lettergate_message (created_ms) "
	"WHERE turn > 0;"
	"UPDATE lettergate_schema SET version = 1";

START_TEST(tables_of_an_older_version_are_raised)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct claimed claimed = { 0 };

	put(&kit, 1, "a");
	put(&kit, 2, "b");
	kit.store.verbs->close(kit.store.self);
	for (int i = 1; i <= 2; i++) {
		(void)sql(&kit, i == 1 ? older : "SELECT 1");
		kit_open_again(&kit);
		ck_assert_int_eq(sql(&kit, "SELECT version FROM lettergate_schema"), 5);
		ck_assert_uint_eq(counts(&kit).bytes, 22 * (3 - (unsigned)i));
		ck_assert_uint_eq(counts(&kit).events, (unsigned)i - 1);
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_uint_eq(number_of(claimed.at[0]), (unsigned)i);
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
		claimed_free(&claimed);
		kit.store.verbs->close(kit.store.self);
	}
	kit_open_again(&kit);
	ck_assert_uint_eq(counts(&kit).bytes, 0);
	kit_close(&kit);
}
END_TEST

START_TEST(what_cannot_be_reached_is_told_without_the_password)
{
	struct buf why = buf_born(1000);
	struct store store;

	ck_assert_int_eq(store_pg_open("postgresql://me:s3cret@127.0.0.1:1/none", &no_limits, NULL,
				 &store, &why),
		ERR_IO);
	buf_add_byte(&why, '\0');
	ck_assert_ptr_nonnull(strstr(why.at, "127.0.0.1"));
	ck_assert_ptr_null(strstr(why.at, "s3cret"));
	buf_clear(&why);
	ck_assert_int_eq(store_pg_open("postgresql:///none?host=/nonexistent", &no_limits, NULL,
				 &store, &why),
		ERR_IO);
	buf_add_byte(&why, '\0');
	ck_assert_ptr_nonnull(strstr(why.at, "/nonexistent"));
	ck_assert_msg(!strpbrk(why.at, "\n\t"), "one line: %s", why.at);
	buf_free(&why);
}
END_TEST

/* ---- several replicas */

static struct sweep shed(struct kit *kit, uint64_t bound)
{
	struct sweep sweep = { .now_ms = NOW,
		.keeps = { .sent_ms = 1000 * SECOND,
			.failed_ms = 1000 * SECOND,
			.body_ms = 1000 * SECOND,
			.once_ms = 1000 * SECOND,
			.event_ms = 1000 * SECOND,
			.event_bytes = bound } };

	ck_assert_int_eq(DO_IT(kit, sweep, &sweep), OK);
	return sweep;
}

/* Each counts what it writes; what all have counts for the bound, and is dropped once. */
START_TEST(events_are_all_replicas)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 };
	uint64_t each = TEXT("message.sent"
			     "a"
			     "{}")
				.len +
			64;

	for (unsigned i = 0; i < 20; i++) {
		struct kit *own = i % 2 ? &kit : &other;

		put(own, i, "a");
		ck_assert_uint_eq(claim(own, &claimed, 1), 1);
		ck_assert_int_eq(settle(own, claimed.at[0], MESSAGE_SENT, 0, false), OK);
		claimed_free(&claimed);
	}
	ck_assert_uint_eq(counts(&kit).events, 20);
	ck_assert_uint_eq(counts(&other).event_bytes, 20 * each);
	ck_assert_uint_eq(shed(&kit, 16 * each).dropped, 5); /* to 15/16 of the bound */
	ck_assert_uint_eq(shed(&other, 16 * each).dropped, 0);
	ck_assert_int_eq(sql(&kit, "SELECT count(*) FROM lettergate_event"), 15);
	ck_assert_uint_eq(counts(&other).events, 15);
	ck_assert_uint_eq(tick_at(&kit, NOW).event_bytes, 15 * each);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

START_TEST(each_message_is_one_replicas)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 }, theirs = { 0 };

	for (unsigned i = 0; i < 20; i++)
		put(&kit, i, "a");
	ck_assert_int_eq(kit.store.verbs->begin(kit.store.self), OK);
	claimed.job = (struct claim_job){
		.most = 10, .token = TOKEN, .lease_for_ms = 30 * SECOND, .claimed = claimed.at
	};
	ck_assert_int_eq(kit.store.verbs->claim(kit.store.self, &claimed.job), OK);
	ck_assert_uint_eq(claimed.job.count, 10);
	/* not committed yet: the other one waits for nothing, and takes what is left */
	ck_assert_uint_eq(claim(&other, &theirs, 20), 10);
	ck_assert_int_eq(kit.store.verbs->commit(kit.store.self), OK);
	for (int i = 0; i < 10; i++)
		for (int j = 0; j < 10; j++)
			ck_assert_str_ne(claimed.at[i]->id, theirs.at[j]->id);
	claimed_free(&claimed);
	claimed_free(&theirs);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* A replica that is gone, or stands still: its leases end by the database's clock. */
START_TEST(what_a_dead_one_held_is_anothers_and_a_strike_where_it_may_have_been_sent)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 }, theirs = { 0 };
	struct fence_job fence = { .token = TOKEN, .mark = MARK_END, .lease_for_ms = 10 * SECOND };

	put(&kit, 1, "a");
	put(&kit, 2, "b");
	ck_assert_uint_eq(claim(&kit, &claimed, 2), 2);
	fence.id = claimed.at[1]->id;
	ck_assert_int_eq(DO(&kit, fence, &fence), OK);
	ck_assert_uint_eq(tick_at(&other, NOW).ripe, 0);
	(void)sql(&kit, "UPDATE lettergate_message SET lease_ms = 0");
	ck_assert_int_eq(DO(&kit, fence, &fence), ERR_VALUE); /* it is over, taken back or not */
	ck_assert_uint_eq(tick_at(&other, NOW).ripe, 2);
	ck_assert_uint_eq(claim(&other, &theirs, 2), 1); /* the suspect, alone */
	ck_assert_uint_eq(number_of(theirs.at[0]), 2);
	ck_assert_uint_eq(theirs.at[0]->strikes, 1);
	ck_assert(theirs.at[0]->maybe_sent);
	ck_assert(theirs.job.has_more);
	(void)sql(&kit, "UPDATE lettergate_message SET token = 5 WHERE turn = 4");
	theirs.at[0]->token = 5;
	ck_assert_int_eq(settle(&kit, claimed.at[1], MESSAGE_SENT, 0, false), ERR_VALUE);
	ck_assert_int_eq(settle(&other, theirs.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&theirs);
	ck_assert_uint_eq(claim(&other, &theirs, 2), 1);
	ck_assert_uint_eq(theirs.at[0]->strikes, 0); /* no MAIL of it was written */
	ck_assert(!theirs.at[0]->maybe_sent);
	claimed_free(&theirs);
	claimed_free(&claimed);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

static void expect_taken_after_a_while(struct kit *kit, size_t count)
{
	struct pg_store *store = kit->store.self;
	uint64_t begun = now_us();

	ck_assert_uint_eq(tick_at(kit, NOW).ripe, 0);
	ck_assert_uint_ge(store->calm_us, begun + PG_SETTLING_US);
	ck_assert_uint_le(store->calm_us, now_us() + PG_SETTLING_US); /* well below one lease */
	ck_assert_uint_eq(tick_at(kit, NOW).ripe, 0);
	store->calm_us = now_us();
	ck_assert_uint_eq(tick_at(kit, NOW).ripe, count);
}

static void lease_again(const struct kit *kit, const char *how)
{
	(void)sql(kit, "UPDATE lettergate_message SET turn = 4, state = 2, token = 1, "
		       "lease_ms = 0, owner = 7");
	if (how)
		(void)sql(kit, how);
}

/* That a lease is over says nothing where nobody could renew it. */
START_TEST(where_the_store_was_away_nothing_is_taken_from_others_for_a_while)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct pg_store *store = kit.store.self;
	struct letter letter;

	put(&kit, 1, "a");
	lease_again(&kit, NULL);
	ck_assert_uint_eq(tick_at(&kit, NOW).ripe, 1);

	lease_again(&kit, NULL); /* some statement stood for long, whatever it waited for */
	store->well_us -= 5100000;
	expect_taken_after_a_while(&kit, 1);

	lease_again(&kit, OTHERS_OF); /* the connection was gone for long */
	come_back(&kit);
	expect_taken_after_a_while(&kit, 1);

	lease_again(&kit, "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS "
			  "$$BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END$$; "
			  "CREATE TRIGGER fills BEFORE INSERT ON lettergate_message "
			  "EXECUTE FUNCTION is_full()");
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), ERR_IO);
	expect_taken_after_a_while(&kit, 1);
	kit_close(&kit);
}
END_TEST

/* It sees when the server started in truth: others look at another answer, see pg_server.c. */
static struct kit another_that_looks(const struct kit *kit)
{
	struct kit other = { .backend = KIT_PG, .limits = kit->limits };

	other.words = strdup(kit->words);
	*strstr(other.words, ",aged") = '\0';
	kit_open_again(&other);
	return other;
}

/* One of its processes is killed: PostgreSQL ends them all then, and recovers. */
START_TEST(who_starts_when_the_store_was_away_takes_nothing_from_others_for_a_while)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other;
	const struct pg_store *store = kit.store.self;

	put(&kit, 1, "a");
	lease_again(&kit, NULL);
	ck_assert_int_eq(kill(PQbackendPID(store->conn), SIGKILL), 0);
	come_back(&kit);
	other = another_that_looks(&kit);
	expect_taken_after_a_while(&other, 1);
	kit_close(&other);

	lease_again(&kit, NULL); /* that was long ago */
	other = another(&kit);
	ck_assert_uint_eq(tick_at(&other, NOW).ripe, 1);
	kit_close(&other);

	lease_again(&kit, "CREATE FUNCTION pg_control_system(OUT pg_control_last_modified "
			  "timestamptz) LANGUAGE plpgsql AS $$BEGIN RAISE 'none'; END$$");
	other = another(&kit); /* nobody can say */
	expect_taken_after_a_while(&other, 1);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* That it was begun is noted without waiting for the disk: no commit of it is read back. */
START_TEST(whose_mail_was_written_is_suspected_and_nobody_else)
{
	static const char commit[] = "SELECT sum(commit_id) FROM lettergate_replica";
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 };
	struct fence_job fence = { .token = TOKEN + 1, .mark = MARK_MAIL, .only_notes = true };
	long before;

	for (unsigned i = 1; i <= 3; i++)
		put(&kit, i, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 3);
	before = sql(&kit, commit);
	for (int i = 0; i < 2; i++, fence.token = TOKEN) {
		fence.id = claimed.at[i]->id;
		ck_assert_int_eq(DO(&kit, fence, &fence), OK);
	}
	ck_assert_int_eq(sql(&kit, commit), before);
	(void)sql(&kit, "UPDATE lettergate_message SET lease_ms = 0");
	ck_assert_uint_eq(tick_at(&other, NOW).ripe, 3);
	for (unsigned i = 1; i <= 3; i++) {
		struct stored *stored = look_up(&other, i, NULL);

		ck_assert_uint_eq(stored->strikes, i == 2);
		ck_assert_int_eq(stored->maybe_sent, i == 2);
		stored_free(stored);
	}
	claimed_free(&claimed);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

START_TEST(what_another_changes_of_templates_is_seen)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct template_job put = { .name = TEXT("a"), .content = TEXT("one") };
	struct template_job drop = { .name = TEXT("a") };
	struct templates_job all = { 0 };
	uint64_t known;

	ck_assert_int_eq(region_open(100000, &all.region), OK);
	ck_assert_int_eq(DO(&other, templates, &all), OK);
	ck_assert(!all.is_same);
	known = all.revision;
	all.known = &known;
	ck_assert_int_eq(DO(&other, templates, &all), OK);
	ck_assert(all.is_same);
	ck_assert_int_eq(DO(&kit, template, &put), OK);
	ck_assert_int_eq(DO(&other, templates, &all), OK);
	ck_assert(!all.is_same);
	ck_assert_uint_eq(all.count, 1);
	known = all.revision;
	ck_assert_int_eq(DO(&kit, template, &put), OK);
	ck_assert_int_eq(DO(&other, templates, &all), OK);
	ck_assert_msg(!all.is_same, "also where it is put as it was");
	known = all.revision;
	ck_assert_int_eq(DO(&other, template, &drop), OK);
	ck_assert_int_eq(DO(&kit, templates, &all), OK);
	ck_assert(!all.is_same);
	ck_assert_uint_eq(all.count, 0);
	region_close(all.region);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* A suspect of ours keeps us from others for a while; another replica goes on. */
START_TEST(a_suspect_holds_up_its_own_replica_alone)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 }, again = { 0 };

	put(&kit, 1, "a");
	put(&kit, 2, "b");
	(void)sql(&kit, "UPDATE lettergate_message SET strikes = 1, turn = 3 "
			"WHERE key_id = 'a'");
	ck_assert_uint_eq(claim(&kit, &claimed, 2), 1);
	ck_assert_uint_eq(number_of(claimed.at[0]), 1);
	ck_assert_uint_eq(claim(&kit, &again, 2), 0);
	ck_assert_uint_eq(claim(&other, &again, 2), 1);
	claimed_free(&again);
	(void)sql(&kit, "UPDATE lettergate_message SET out_ms = out_ms - 5000 WHERE strikes > 0");
	for (unsigned i = 3; i <= 5; i++)
		put(&kit, i, i == 4 ? "a" : "b");
	(void)sql(&kit, "UPDATE lettergate_message SET strikes = 1, turn = 3 "
			"WHERE key_id = 'a' AND turn = 1");
	claimed_free(&claimed);
	ck_assert_uint_eq(claim(&kit, &claimed, 2), 1); /* the next suspect, alone as well */
	ck_assert_uint_eq(number_of(claimed.at[0]), 4);
	ck_assert_uint_eq(claim(&kit, &again, 2), 0);
	(void)sql(&kit, "UPDATE lettergate_message SET out_ms = out_ms - 5000 WHERE strikes > 0");
	ck_assert_uint_eq(claim(&kit, &again, 2), 2); /* while both are out */
	claimed_free(&claimed);
	claimed_free(&again);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* F-47: after some seconds others come beside suspects, and those of one strike together. */
START_TEST(suspects_keep_others_waiting_for_some_seconds_in_all)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct claimed first = { 0 }, claimed = { 0 };
	struct pg_store *store = kit.store.self;

	for (unsigned i = 1; i <= 5; i++)
		put(&kit, i, i == 5 ? "c" : i < 3 ? "a" : "b");
	(void)sql(&kit, "UPDATE lettergate_message SET turn = 3, strikes = CASE WHEN key_id = 'a' "
			"THEN 2 ELSE 1 END WHERE key_id <> 'c'");
	ck_assert_uint_eq(claim(&kit, &first, 9), 1); /* of those with the most strikes */
	ck_assert_uint_eq(first.at[0]->strikes, 2);
	store->suspicion.since_ms -= ALONE_ALL_MS / 2;
	ck_assert_uint_eq(claim(&kit, &claimed, 9), 0);
	store->suspicion.since_ms -= ALONE_ALL_MS / 2;
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 2);
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

START_TEST(who_ends_in_order_leaves_no_lease_behind)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 };

	put(&kit, 1, "a");
	ck_assert_uint_eq(claim(&other, &claimed, 1), 1);
	claimed_free(&claimed);
	kit_close(&other);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_SENDING], 0);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_DEFERRED], 1);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_uint_eq(claimed.at[0]->strikes, 0);
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(bounds_are_of_all_together)
{
	struct kit kit = kit_open(KIT_PG, (struct store_limits){ .messages = 3 });
	struct kit other = another(&kit);
	struct claimed claimed = { 0 };
	struct letter letter;

	put(&kit, 1, "a");
	put(&other, 2, "b");
	put(&kit, 3, "a");
	(void)tick_at(&other, NOW);
	letter_write(&letter, 4, "b");
	ck_assert_int_eq(letter_accept(&other, &letter, NOW), ERR_LIMIT);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_QUEUED], 3);
	/* settled here, and taken in there, which is not known here yet */
	ck_assert_uint_eq(claim(&other, &claimed, 3), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(settle(&other, claimed.at[i], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	(void)tick_at(&kit, NOW);
	put(&other, 5, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 3), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	put(&kit, 6, "a");
	ck_assert_int_eq(sql(&kit, "SELECT count(DISTINCT slot) FROM lettergate_tally"), 2);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

START_TEST(bounds_of_a_key_are_of_all_together)
{
	struct kit kit = kit_open(KIT_PG, (struct store_limits){ .per_key = 2 });
	struct kit other = another(&kit);
	struct claimed claimed = { 0 };
	struct letter letter;

	put(&kit, 1, "a");
	put(&other, 2, "a");
	put(&other, 3, "b");
	for (unsigned i = 4; i <= 5; i++) { /* the second time as many were sent */
		(void)tick_at(&kit, NOW);
		letter_write(&letter, i, "a");
		ck_assert_int_eq(letter_accept(&kit, &letter, NOW + i), i == 4 ? ERR_LIMIT : OK);
		ck_assert_int_eq(counts(&kit).messages[MESSAGE_QUEUED], i == 4 ? 3 : 1);
		while (claim(&other, &claimed, 1) > 0) {
			ck_assert_int_eq(settle(&other, claimed.at[0], MESSAGE_SENT, 0, false), OK);
			claimed_free(&claimed);
		}
	}
	ck_assert_int_eq(counts(&kit).messages[MESSAGE_SENT], 4);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* Whether the statement, prepared, goes by that index. */
static bool goes_by(const struct kit *kit, enum pg_sql sql, const char *index)
{
	static const char letters[] = "nbuNB";
	static const char *const types[] = { "bigint", "bytea", "uuid", "bigint[]", "bytea[]" };
	PGconn *conn = PQconnectdb(kit->words);
	struct buf words = buf_born(20000);
	bool is_found = false;
	PGresult *result;

	buf_add_string(&words, "SET enable_seqscan = off; SET enable_bitmapscan = off; "
			       "SET plan_cache_mode = force_generic_plan; PREPARE it (");
	for (const char *type = pg_statements[sql].types; *type; type++)
		buf_addf(&words, "%s%s", type == pg_statements[sql].types ? "" : ", ",
			types[strchr(letters, *type) - letters]);
	buf_addf(&words, ") AS %s; EXPLAIN EXECUTE it (", pg_statements[sql].text);
	for (const char *type = pg_statements[sql].types; *type; type++)
		buf_addf(&words, "%sNULL", type == pg_statements[sql].types ? "" : ", ");
	buf_add_string(&words, ")");
	buf_add_byte(&words, '\0');
	ck_assert_int_eq(words.err, OK);
	result = PQexec(conn, words.at);
	ck_assert_msg(
		PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQresultErrorMessage(result));
	for (int row = 0; row < PQntuples(result); row++)
		is_found = is_found || strstr(PQgetvalue(result, row, 0), index);
	PQclear(result);
	PQfinish(conn);
	buf_free(&words);
	return is_found;
}

/* However much is scheduled, or waits for a relay that rests: it is not looked at. */
START_TEST(what_is_asked_often_goes_by_an_index)
{
	struct kit kit = kit_open(KIT_PG, no_limits);

	(void)sql(&kit,
		"INSERT INTO lettergate_message SELECT md5(i::text)::uuid, i, i, i, i, 0, 0, "
		"0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 'k', 'lane', '', '' FROM "
		"generate_series(1, 3000) i; ANALYZE lettergate_message");
	ck_assert(goes_by(&kit, PG_OLDEST, "lettergate_message_waiting"));
	ck_assert(goes_by(&kit, PG_CLAIM, "lettergate_message_over"));
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_done_once_is_done_once_by_all)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct region *region;
	struct once once = { .key_id = TEXT("a"), .key = TEXT("1"), .answer = TEXT("202") };
	struct once_begin_job begin = { .once = &once, .now_ms = NOW };
	struct letter letter;
	struct accept_job accept = { .stored = &letter.stored,
		.pieces = &letter.body,
		.piece_count = 1,
		.now_ms = NOW,
		.once = &once };

	ck_assert_int_eq(region_open(10000, &region), OK);
	begin.region = accept.region = region;
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(DO(&kit, once_begin, &begin), OK);
	ck_assert_int_eq(begin.found, ONCE_NEW);
	ck_assert_int_eq(DO(&other, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_RUNNING);
	ck_assert_ptr_null(look_up(&other, 1, NULL));
	/* the first one died a while ago */
	(void)sql(&kit, "UPDATE lettergate_replica SET seen_ms = seen_ms - 61000 WHERE owner IN "
			"(SELECT owner FROM lettergate_once)");
	ck_assert_int_eq(sql(&kit, "UPDATE lettergate_once o SET state = 2 WHERE state = 1 AND "
				   "EXISTS (SELECT 1 FROM lettergate_replica r WHERE r.owner = "
				   "o.owner AND r.seen_ms < extract(epoch FROM now()) * 1000 - "
				   "60000) RETURNING 1"),
		1);
	ck_assert_int_eq(DO(&other, accept, &accept), OK);
	ck_assert_int_eq(accept.found, ONCE_CUT);
	ck_assert_int_eq(DO(&kit, once_begin, &begin), OK);
	ck_assert_int_eq(begin.found, ONCE_RUNNING); /* the other one's now */
	accept.step = ACCEPT_ENDS;
	ck_assert_int_eq(DO(&other, accept, &accept), OK);
	ck_assert_int_eq(DO(&kit, once_begin, &begin), OK);
	ck_assert_int_eq(begin.found, ONCE_DONE);
	ck_assert(text_equal(begin.answer, TEXT("202")));
	region_close(region);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* An event that is committed late has a cursor that nobody has read past. */
START_TEST(no_event_is_passed_over)
{
	struct kit kit = kit_open(KIT_PG, no_limits), other = another(&kit);
	struct claimed claimed = { 0 }, theirs = { 0 };
	struct region *region;
	struct event events[4];
	struct events_job job = { .most = 4, .events = events };
	struct event event = { .type = TEXT("late"), .key_id = TEXT("a"), .content = TEXT("{}") };
	struct settle_job late = { .events = &event, .event_count = 1, .now_ms = NOW };
	struct counts_job drained = { 0 };

	ck_assert_int_eq(region_open(100000, &region), OK);
	job.region = region;
	put(&kit, 1, "a");
	put(&kit, 2, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_uint_eq(claim(&other, &theirs, 1), 1);
	late.stored = claimed.at[0];
	claimed.at[0]->state = MESSAGE_SENT;
	ck_assert_int_eq(kit.store.verbs->begin(kit.store.self), OK);
	ck_assert_int_eq(kit.store.verbs->settle(kit.store.self, &late), OK);
	ck_assert_int_eq(kit.store.verbs->counts(kit.store.self, &drained), OK);
	ck_assert_int_eq(settle(&other, theirs.at[0], MESSAGE_SENT, 0, false), OK);
	ck_assert_int_eq(DO(&other, events, &job), OK);
	ck_assert_uint_eq(job.count, 0);
	ck_assert_uint_eq(job.newest, 0);
	ck_assert_uint_eq(job.cursor, 0);
	ck_assert_int_eq(kit.store.verbs->commit(kit.store.self), OK);
	ck_assert_int_eq(DO(&other, events, &job), OK);
	ck_assert_uint_eq(job.count, 2);
	ck_assert(text_equal(events[0].type, TEXT("late")));
	ck_assert_uint_eq(job.newest, events[1].cursor);
	claimed_free(&claimed);
	claimed_free(&theirs);
	region_close(region);
	kit_close(&other);
	kit_close(&kit);
}
END_TEST

/* Nor one whose content lies apart from its row, and is damaged. */
START_TEST(an_event_that_cannot_be_read_is_told_without_its_content)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct event events[4];
	struct events_job job = { .most = 4, .events = events };
	struct sweep sweep = { .now_ms = NOW + SECOND, .keeps.event_ms = 1 };
	struct claimed claimed = { 0 };

	ck_assert_int_eq(region_open(100000, &job.region), OK);
	for (unsigned i = 0; i < 3; i++) {
		put(&kit, i, "a");
		ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
		ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
		claimed_free(&claimed);
	}
	(void)sql(&kit, "UPDATE lettergate_event SET content = (SELECT string_agg(decode("
			"md5(i::text), 'hex'), '') FROM generate_series(1, 500) i) WHERE cursor = "
			"(SELECT cursor FROM lettergate_event ORDER BY cursor LIMIT 1 OFFSET 1)");
	(void)sql(&kit, "CREATE EXTENSION pg_surgery; SELECT heap_force_kill("
			"reltoastrelid::regclass, ARRAY['(0,1)']::tid[]) FROM pg_class WHERE oid = "
			"'lettergate_event'::regclass");
	ck_assert_int_eq(DO(&kit, events, &job), ERR_SYNTAX); /* the queue comes again */
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 3);
	ck_assert(text_equal(events[0].content, TEXT("{}")));
	ck_assert_ptr_nonnull(
		memmem(events[1].content.at, events[1].content.len, "\"damaged\":true", 14));
	ck_assert(text_equal(events[2].content, TEXT("{}")));
	ck_assert_uint_eq(job.cursor, events[2].cursor);
	ck_assert_int_eq(DO_IT(&kit, sweep, &sweep), OK);
	ck_assert_int_eq(sql(&kit, "SELECT count(*) FROM lettergate_event"), 0);
	region_close(job.region);
	kit_close(&kit);
}
END_TEST

/* Numbers of transactions begin anew where the tables are brought into another server. */
START_TEST(cursors_go_on_growing_in_another_server)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct claimed claimed = { 0 };
	struct event event;
	struct events_job job = { .most = 1, .events = &event, .after = UINT64_C(1) << 60 };
	struct region *region;

	ck_assert_int_eq(region_open(100000, &region), OK);
	job.region = region;
	(void)sql(&kit, "INSERT INTO lettergate_event VALUES (1::bigint << 60, 0, '', '', '')");
	kit.store.verbs->close(kit.store.self);
	kit_open_again(&kit);
	put(&kit, 1, "a");
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert_int_eq(settle(&kit, claimed.at[0], MESSAGE_SENT, 0, false), OK);
	claimed_free(&claimed);
	ck_assert_int_eq(DO(&kit, events, &job), OK);
	ck_assert_uint_eq(job.count, 1);
	ck_assert_uint_gt(event.cursor, UINT64_C(1) << 60);
	region_close(region);
	kit_close(&kit);
}
END_TEST

START_TEST(any_byte_is_kept)
{
	static const char odd[] = "a\0b\xff\xc3(\\x'\"";
	struct text text = { odd, sizeof(odd) };
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct claimed claimed = { 0 }, again = { 0 };
	struct letter letter;

	letter_write(&letter, 1, "");
	letter.stored.key_id = letter.stored.lane = letter.stored.subject = letter.body = text;
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW + 10), OK);
	ck_assert_uint_eq(claim(&kit, &claimed, 1), 1);
	ck_assert(text_equal(claimed.at[0]->key_id, text));
	ck_assert(text_equal(claimed.at[0]->lane, text));
	ck_assert(text_equal(claimed.at[0]->subject, text));
	ck_assert(text_equal(claimed.bodies[0], text));
	ck_assert_uint_eq(claim(&kit, &again, 1), 0); /* the turn begins behind it */
	claimed_free(&claimed);
	kit_close(&kit);
}
END_TEST

START_TEST(what_is_damaged_is_set_aside)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct claimed claimed = { 0 };

	for (unsigned i = 0; i < 3; i++)
		put(&kit, i, "a");
	(void)sql(&kit, "UPDATE lettergate_message SET course = 'x' WHERE due_ms = "
			"(SELECT min(due_ms) FROM lettergate_message); "
			"UPDATE lettergate_body SET bytes = 'y' WHERE id = "
			"(SELECT max(id::text)::uuid FROM lettergate_message)");
	ck_assert_uint_eq(claim(&kit, &claimed, 5), 1);
	ck_assert_uint_eq(claimed.job.damaged, 2);
	ck_assert_uint_eq(number_of(claimed.at[0]), 1);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_HELD], 2);
	claimed_free(&claimed);
	ck_assert_str_eq(claimed.damaged[0], "01990000-0000-7000-8000-0000000000ff");
	ck_assert_str_eq(claimed.damaged[1], "01990000-0002-7000-8000-0000000000ff");
	expect_set_aside(&kit, 0, true);
	expect_set_aside(&kit, 2, false);
	kit_close(&kit);
}
END_TEST

/* ---- connections that break */

START_TEST(a_connection_that_was_cut_comes_back)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct letter letter;
	struct accept_job accept = {
		.stored = &letter.stored, .pieces = &letter.body, .piece_count = 1, .now_ms = NOW
	};
	const struct store *store = &kit.store;

	put(&kit, 1, "a");
	(void)sql(&kit, OTHERS_OF);
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(store->verbs->begin(store->self), OK);
	ck_assert_int_eq(store->verbs->accept(store->self, &accept), OK);
	ck_assert_int_eq(store->verbs->commit(store->self), ERR_IO);
	store->verbs->rollback(store->self);
	ck_assert(store->verbs->may_again(store->self));
	ck_assert_int_eq(letter_accept(&kit, &letter, NOW), OK);
	ck_assert_int_eq(state_of(&kit, 2), MESSAGE_QUEUED);
	ck_assert_uint_eq(counts(&kit).messages[MESSAGE_QUEUED], 2);
	kit_close(&kit);
}
END_TEST

enum { LETS_ALL, EATS_COMMIT, EATS_ANSWER };

/* Stands between the store and the server, and lets the next COMMIT come to a bad end. */
static struct proxy {
	char path[128];
	int listener;
	atomic_int mode;
	pthread_t thread;
} proxy;

static bool pass_on(int from, int to, bool is_server)
{
	char room[65536];
	ssize_t len = read(from, room, sizeof(room));

	if (len <= 0)
		return false;
	/* the name of the prepared COMMIT, in its Bind */
	if (!is_server && proxy.mode == EATS_COMMIT && memmem(room, (size_t)len, "\0s1\0", 4)) {
		proxy.mode = LETS_ALL;
		return false;
	}
	if (is_server && proxy.mode == EATS_ANSWER && memmem(room, (size_t)len, "COMMIT", 6)) {
		proxy.mode = LETS_ALL;
		return false;
	}
	return write(to, room, (size_t)len) == len;
}

static int connect_to_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(
		address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", pg_server_folder());
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void *stand_between(void *context)
{
	(void)context;
	for (;;) {
		int client = accept(proxy.listener, NULL, NULL), server;
		struct pollfd watched[2];

		if (client < 0)
			return NULL; /* proxy_stop */
		server = connect_to_server();
		watched[0] = (struct pollfd){ client, POLLIN, 0 };
		watched[1] = (struct pollfd){ server, POLLIN, 0 };
		while (poll(watched, 2, -1) > 0) {
			if (watched[0].revents && !pass_on(client, server, false))
				break;
			if (watched[1].revents && !pass_on(server, client, true))
				break;
		}
		close(client);
		close(server);
	}
}

static char *proxy_start(const struct kit *kit)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *options = strstr(kit->words, "&user=");
	char *words = NULL;

	snprintf(proxy.path, sizeof(proxy.path), "%s/x%d", pg_server_folder(), getpid());
	ck_assert_int_eq(mkdir(proxy.path, 0700), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/.s.PGSQL.5432", proxy.path);
	proxy.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(proxy.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(proxy.listener, 5), 0);
	ck_assert_int_eq(pthread_create(&proxy.thread, NULL, stand_between, NULL), 0);
	ck_assert_int_gt(
		asprintf(&words, "postgresql:///postgres?host=%s%s", proxy.path, options), 0);
	return words;
}

static void proxy_stop(void)
{
	shutdown(proxy.listener, SHUT_RDWR);
	pthread_join(proxy.thread, NULL);
	close(proxy.listener);
}

/* Nobody knows whether it was committed, until it is read back. */
START_TEST(a_commit_in_doubt_is_read_back)
{
	struct kit kit = kit_open(KIT_PG, no_limits);
	struct kit through = { .backend = KIT_PG, .words = proxy_start(&kit) };
	struct letter letter;

	kit_open_again(&through);
	proxy.mode = EATS_ANSWER;
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(letter_accept(&through, &letter, NOW), OK);
	ck_assert_int_eq(proxy.mode, LETS_ALL);
	ck_assert_int_eq(state_of(&kit, 1), MESSAGE_QUEUED);
	ck_assert_uint_eq(counts(&through).messages[MESSAGE_QUEUED], 1);

	proxy.mode = EATS_COMMIT;
	letter_write(&letter, 2, "a");
	ck_assert_int_eq(letter_accept(&through, &letter, NOW), ERR_IO);
	ck_assert_int_eq(proxy.mode, LETS_ALL);
	ck_assert(through.store.verbs->may_again(through.store.self));
	ck_assert_ptr_null(look_up(&kit, 2, NULL));
	ck_assert_uint_eq(counts(&through).messages[MESSAGE_QUEUED], 1);
	ck_assert_int_eq(letter_accept(&through, &letter, NOW), OK);
	ck_assert_int_eq(state_of(&kit, 2), MESSAGE_QUEUED);
	kit_close(&through);
	proxy_stop();
	kit_close(&kit);
}
END_TEST

static void add_all(TCase *cases)
{
	tcase_add_test(cases, what_one_tells_others_hear_and_after_they_came_back);
	tcase_add_test(cases, all_that_start_at_once_find_or_make_the_tables);
	tcase_add_test(cases, tables_that_are_newer_or_damaged_are_refused);
	tcase_add_test(cases, tables_of_an_older_version_are_raised);
	tcase_add_test(cases, what_cannot_be_reached_is_told_without_the_password);
	tcase_add_test(cases, events_are_all_replicas);
	tcase_add_test(cases, each_message_is_one_replicas);
	tcase_add_test(
		cases, what_a_dead_one_held_is_anothers_and_a_strike_where_it_may_have_been_sent);
	tcase_add_test(cases, where_the_store_was_away_nothing_is_taken_from_others_for_a_while);
	tcase_add_test(
		cases, who_starts_when_the_store_was_away_takes_nothing_from_others_for_a_while);
	tcase_add_test(cases, whose_mail_was_written_is_suspected_and_nobody_else);
	tcase_add_test(cases, a_suspect_holds_up_its_own_replica_alone);
	tcase_add_test(cases, suspects_keep_others_waiting_for_some_seconds_in_all);
	tcase_add_test(cases, what_another_changes_of_templates_is_seen);
	tcase_add_test(cases, who_ends_in_order_leaves_no_lease_behind);
	tcase_add_test(cases, bounds_are_of_all_together);
	tcase_add_test(cases, bounds_of_a_key_are_of_all_together);
	tcase_add_test(cases, what_is_asked_often_goes_by_an_index);
	tcase_add_test(cases, what_is_done_once_is_done_once_by_all);
	tcase_add_test(cases, no_event_is_passed_over);
	tcase_add_test(cases, an_event_that_cannot_be_read_is_told_without_its_content);
	tcase_add_test(cases, cursors_go_on_growing_in_another_server);
	tcase_add_test(cases, any_byte_is_kept);
	tcase_add_test(cases, what_is_damaged_is_set_aside);
	tcase_add_test(cases, a_connection_that_was_cut_comes_back);
	tcase_add_test(cases, a_commit_in_doubt_is_read_back);
}

UNIT_MAIN(store_pg, if (pg_server_start()) add_all(cases);)
