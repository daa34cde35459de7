/* The PostgreSQL backend: its life, its transactions, and what is done when nobody knows whether
 * one was committed.
 *
 * Each commit that writes notes its own number, by chance, in our row of lettergate_replica. Where
 * the connection breaks before the answer is there, the row is read back, under its lock: that is
 * given when the server is done with the old transaction, one way or the other. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum {
	PATIENCE_US = 15000000, /* statements end after 10 s by themselves */
	CLOSING_US = 2000000,
	BODY_BYTES = 1 << 30,
};

static int64_t by_chance(void)
{
	int64_t number = 0;

	while (number == 0)
		random_bytes((unsigned char *)&number, sizeof(number));
	return number;
}

/* ---- transactions */

/* Nothing is sent before there is something to be done. */
static enum err begin(void *self)
{
	struct pg_store *store = self;
	enum err err = pg_connect(store, NULL);

	if (err)
		return err;
	store->err = OK;
	store->has_begun = store->is_written = store->is_noted = store->may_again = false;
	store->event_count = 0;
	return OK;
}

static enum err read_commit_id(struct pg_store *store, const PGresult *result, void *context)
{
	(void)store;
	if (PQntuples(result) == 1)
		*(int64_t *)context = pg_int(result, 0, 0);
	return OK;
}

/* ERR_IO: it cannot be asked now. */
static enum err ask_commit_id(struct pg_store *store, int64_t *commit_id_out)
{
	struct pg_values values = { 0 };
	enum err err = pg_connect(store, NULL);

	if (err)
		return err;
	pg_number(&values, store->owner);
	err = pg_put(store, PG_REPLICA_ASK, &values, read_commit_id, commit_id_out);
	if (!err)
		err = pg_put_sync(store);
	if (!err)
		err = pg_drain(store);
	if (err && store->conn)
		pg_lose(store, "what was committed cannot be read back");
	return err;
}

static void pause_ms(long ms)
{
	struct timespec pause = { .tv_nsec = ms * 1000000L };

	nanosleep(&pause, NULL);
}

static void log_doubt(struct pg_store *store, const char *outcome)
{
	struct log_line line;

	if (!store->log)
		return;
	line = log_line(store->log, LOG_WARN, "commit_in_doubt");
	log_string(&line, "outcome", outcome);
	log_end(&line);
}

/* OK: it was committed. With ERR_IO and `may_again` it certainly was not. */
static enum err read_back(struct pg_store *store)
{
	uint64_t until_us = now_us() + store->patience_us;
	int64_t commit_id = 0;
	enum err err;

	while ((err = ask_commit_id(store, &commit_id)) != OK && now_us() < until_us)
		pause_ms(50);
	if (err) {
		log_doubt(store, "unknown");
		store->may_again = false;
		return ERR_DOUBT;
	}
	log_doubt(store, commit_id == store->commit_id ? "committed" : "not committed");
	if (commit_id == store->commit_id)
		return OK;
	store->err = ERR_IO;
	store->may_again = true;
	return ERR_IO;
}

/* What is heard of before the commit goes out, so that the row's lock is ours by then: whoever
 * reads it back waits for the end of this transaction. */
static enum err send_note(struct pg_store *store)
{
	struct pg_values values = { 0 };
	enum err err;

	store->commit_id = by_chance();
	pg_number(&values, store->owner);
	pg_number(&values, store->commit_id);
	pg_number(&values, store->slot);
	err = pg_send(store, PG_REPLICA_NOTE, &values, NULL, NULL);
	if (!err)
		store->beat_us = now_us();
	return err;
}

static bool may_hear(const struct pg_store *store)
{
	for (size_t i = store->first; i < store->count; i++)
		if (store->pending[i].take)
			return true;
	return false;
}

/* Some statements write only where they find something, and are noted when that is known. Notes
 * alone go out with their commit: whoever stands still in between has locked nothing. */
static enum err hear_all(struct pg_store *store)
{
	enum err err = OK;
	bool is_noted;

	do {
		is_noted = store->is_written;
		if (is_noted)
			err = send_note(store);
		if (!err && store->has_begun && (is_noted || may_hear(store)))
			err = pg_drain(store);
	} while (!err && store->is_written && !is_noted);
	return err;
}

/* A wait for a standby must not end with the time for statements: PostgreSQL would call it
 * committed then, with a warning. */
static enum err send_counts(struct pg_store *store)
{
	enum err err = pg_tally_send(store);

	return err ? err : pg_send(store, PG_NO_TIMEOUT, NULL, NULL, NULL);
}

static enum err note_commit(struct pg_store *store, const PGresult *result, void *context)
{
	(void)store;
	/* of a transaction that has failed it says ROLLBACK */
	*(bool *)context = strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0;
	return OK;
}

static enum err send_commit(struct pg_store *store)
{
	bool is_committed = false;
	enum err err = pg_put(store, PG_COMMIT, NULL, note_commit, &is_committed);

	if (!err)
		err = pg_put_sync(store);
	if (!err)
		err = pg_drain(store);
	if (err && !store->conn && store->is_written && !is_committed)
		return read_back(store);
	if (is_committed)
		return OK; /* whatever became of the connection then */
	return err ? err : ERR_IO;
}

static enum err commit(void *self)
{
	struct pg_store *store = self;
	enum err err = store->err;

	if (!err)
		err = hear_all(store);
	if (!err && store->is_written)
		err = send_counts(store);
	else if (!err && store->is_noted)
		err = pg_send(store, PG_NO_SYNC, NULL, NULL, NULL);
	if (!err && store->has_begun)
		err = send_commit(store);
	if (err)
		return err;
	store->has_begun = false;
	store->err = OK;
	tally_settle(&store->tally, true);
	return OK;
}

/* Behind the first error the server does nothing until the sync. */
static void rollback(void *self)
{
	struct pg_store *store = self;
	bool may_again = store->may_again;
	enum err err = OK;

	if (store->conn && store->has_begun) {
		if (store->first < store->count || store->err)
			err = pg_put_sync(store);
		if (!err && pg_drain(store) && !store->conn)
			err = ERR_IO;
		store->err = OK;
		if (!err)
			err = pg_put(store, PG_ROLLBACK, NULL, NULL, NULL);
		if (!err)
			err = pg_put_sync(store);
		if (!err)
			err = pg_drain(store);
		if (err && store->conn)
			pg_lose(store, "a transaction cannot be ended");
	}
	store->has_begun = false;
	store->err = OK;
	store->may_again = may_again;
	tally_settle(&store->tally, false);
}

static bool may_again(void *self)
{
	const struct pg_store *store = self;

	return store->may_again;
}

/* The note of the commit is what is written. */
static enum err prove(void *self)
{
	struct pg_store *store = self;

	store->is_written = true;
	return OK;
}

static const char *trouble(void *self)
{
	const struct pg_store *store = self;

	return store->trouble;
}

/* Vacuum is PostgreSQL's own. */
static enum err tidy(void *self)
{
	(void)self;
	return OK;
}

/* ---- life */

/* What is still ours is others' at once, not when the leases are over. */
static void sign_out(struct pg_store *store)
{
	struct pg_values own = { 0 }, owner = { 0 };
	size_t count = 0;
	enum err err;

	store->patience_us = CLOSING_US;
	if (!store->conn || begin(store))
		return;
	pg_number(&own, store->owner);
	pg_number(&owner, store->owner);
	err = pg_send(store, PG_LEASES_OWN, &own, pg_tally_moved, &count);
	if (!err)
		err = pg_send(store, PG_REPLICA_END, &owner, NULL, NULL);
	if (!err)
		err = pg_drain(store);
	if (!err)
		err = pg_tally_send(store);
	if (!err)
		err = send_commit(store);
	if (err)
		rollback(store);
}

static void close_store(void *self)
{
	struct pg_store *store = self;

	sign_out(store);
	PQfinish(store->conn);
	free(store->pending);
	if (store->words)
		explicit_bzero(store->words, strlen(store->words));
	free(store->words);
	tally_free(&store->tally);
	buf_free(&store->lane);
	buf_free(&store->lane_key);
	buf_free(&store->head);
	buf_free(&store->course);
	buf_free(&store->body);
	free(store);
}

static const struct store_verbs verbs = {
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.may_again = may_again,
	.accept = pg_accept,
	.claim = pg_claim,
	.fence = pg_fence,
	.renew = pg_renew,
	.release = pg_release,
	.settle = pg_settle,
	.change = pg_change,
	.look_up = pg_look_up,
	.body = pg_body,
	.list = pg_list,
	.events = pg_events,
	.once_begin = pg_once_begin,
	.once_end = pg_once_end,
	.note = pg_note,
	.template = pg_template,
	.templates = pg_templates,
	.counts = pg_counts,
	.tick = pg_tick,
	.sweep = pg_sweep,
	.tell = pg_tell,
	.hears = pg_hears,
	.prove = prove,
	.trouble = trouble,
	.tidy = tidy,
	.close = close_store,
};

enum err store_pg_open(const char *words, const struct store_limits *limits, struct log *log,
	struct store *store_out, struct buf *why)
{
	struct pg_store *store = calloc(1, sizeof(*store));
	enum err err;

	if (!store)
		return ERR_MEMORY;
	store->words = strdup(words);
	store->log = log;
	store->limits = *limits;
	store->owner = by_chance();
	store->patience_us = PATIENCE_US;
	store->next_ms = INT64_MAX;
	store->head = buf_born(STORED_HEAD_BYTES);
	store->course = buf_born(STORED_COURSE_BYTES);
	store->body = buf_born(BODY_BYTES);
	store->lane = buf_born(STORE_LANE_BYTES);
	store->lane_key = buf_born(UINT16_MAX);
	err = store->words ? pg_connect(store, why) : ERR_MEMORY;
	if (err) {
		close_store(store);
		return err;
	}
	store->is_open = true;
	*store_out = (struct store){ .verbs = &verbs, .self = store, .is_shared = true };
	return OK;
}
