/* The connection: what was sent and is not answered yet, and how long we wait for that.
 *
 * Never blocks in libpq: we read while we write, so that neither side waits for the other with full
 * buffers, and a database that says nothing for long is given up, whatever TCP thinks of it. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum { PENDING_FIRST = 64, UNFLUSHED_MOST = 1 << 20, TELL_EVERY_US = 1000000 };

/* ---- trouble */

static bool may_tell(struct pg_store *store)
{
	uint64_t now = now_us();

	if (store->told_us && now < store->told_us + TELL_EVERY_US)
		return false;
	store->told_us = now;
	return true;
}

/* libpq's words have addresses and names in them, never a password. */
static void tell(struct pg_store *store, const char *event, const char *why)
{
	struct log_line line;
	struct text words = text_of(why);

	if (!store->log)
		return;
	while (words.len && byte_is_space(words.at[words.len - 1]))
		words.len--;
	line = log_line(store->log, LOG_WARN, event);
	log_words(&line, "why", words);
	log_end(&line);
}

void pg_lose(struct pg_store *store, const char *why)
{
	if (store->is_open && !store->was_lost) {
		tell(store, "store_lost", why);
		store->was_lost = true;
	}
	PQfinish(store->conn);
	store->conn = NULL;
	store->has_begun = false;
	store->first = store->count = 0;
	store->unflushed = 0;
	store->may_again = true;
	if (!store->err)
		store->err = ERR_IO;
	store->trouble = "PostgreSQL does not answer";
}

/* A standby takes no writes: the connection is to the wrong one by now. */
static bool is_end(const char *state)
{
	return strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0 ||
	       strcmp(state, "25006") == 0;
}

/* Somebody else was in the way: a deadlock, a snapshot that cannot be kept, a lock not given. */
static bool is_conflict(const char *state)
{
	return strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 ||
	       strcmp(state, "55P03") == 0;
}

/* It has no room, or cannot read or write its files: so it may be with what others want to write.
 */
static bool is_unwell(const char *state)
{
	return strncmp(state, "53", 2) == 0 || strncmp(state, "58", 2) == 0;
}

static bool is_damage(const char *state)
{
	return strncmp(state, "XX00", 4) == 0 && state[4] != '0';
}

static const char *words_of(const char *state)
{
	if (strcmp(state, "53100") == 0)
		return "the disk of PostgreSQL is full";
	if (strncmp(state, "53", 2) == 0)
		return "PostgreSQL has no more memory, or connections";
	if (strcmp(state, "25006") == 0)
		return "PostgreSQL takes no writes, as a standby does";
	if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
		return "PostgreSQL takes too long";
	if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)
		return "PostgreSQL does not answer";
	if (is_damage(state))
		return "a table of PostgreSQL is damaged";
	return "PostgreSQL refuses what the queue asks for: see store_refused in the log";
}

enum err pg_judge(struct pg_store *store, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	state = state ? state : "";
	if (!store->err) {
		store->err = is_damage(state) ? ERR_SYNTAX : ERR_IO;
		store->may_again = is_conflict(state);
		if (may_tell(store))
			tell(store, "store_refused", words ? words : PQresultErrorMessage(result));
	}
	store->has_damage = store->has_damage || is_damage(state);
	if (is_unwell(state))
		store->well_us = 0;
	if (is_end(state))
		pg_lose(store, words ? words : "");
	store->trouble = words_of(state);
	return store->err;
}

/* ---- waiting */

/* Until there is something to read, or room to write. */
static bool wait_some(struct pg_store *store, bool writes, uint64_t until_us)
{
	struct pollfd watched = { PQsocket(store->conn), (short)(POLLIN | (writes ? POLLOUT : 0)),
		0 };
	uint64_t now = now_us();
	int count = now < until_us ? poll(&watched, 1, (int)((until_us - now) / 1000) + 1) : 0;

	if (count < 0 && errno == EINTR)
		return true;
	if (count <= 0) {
		pg_lose(store, "it does not answer");
		return false;
	}
	if ((watched.revents & (POLLIN | POLLERR | POLLHUP)) && !PQconsumeInput(store->conn)) {
		pg_lose(store, PQerrorMessage(store->conn));
		return false;
	}
	return true;
}

/* All that was sent is on its way. */
static bool flush(struct pg_store *store)
{
	uint64_t until_us = now_us() + store->patience_us;

	for (;;) {
		int left = PQflush(store->conn);

		if (left == 0) {
			store->unflushed = 0;
			return true;
		}
		if (left < 0) {
			pg_lose(store, PQerrorMessage(store->conn));
			return false;
		}
		if (!wait_some(store, true, until_us))
			return false;
	}
}

bool pg_next(struct pg_store *store, PGresult **result_out)
{
	uint64_t until_us = now_us() + store->patience_us;

	while (PQisBusy(store->conn))
		if (!wait_some(store, false, until_us))
			return false;
	*result_out = PQgetResult(store->conn);
	return true;
}

/* ---- sending */

static bool has_room(struct pg_store *store)
{
	size_t room = store->room ? store->room * 2 : PENDING_FIRST;
	struct pg_pending *pending;

	if (store->count < store->room)
		return true;
	pending = reallocarray(store->pending, room, sizeof(*pending));
	if (!pending)
		return false;
	store->pending = pending;
	store->room = room;
	return true;
}

static size_t size_of(const struct pg_values *values)
{
	size_t size = 0;

	for (int i = 0; i < values->count; i++)
		size += (size_t)values->lengths[i];
	return size;
}

static enum err send(struct pg_store *store, enum pg_sql sql, const struct pg_values *values)
{
	int formats[PG_VALUES];
	char name[16];
	struct buf buf = buf_over(name, sizeof(name));

	for (int i = 0; i < values->count; i++)
		formats[i] = 1; /* binary */
	buf_addf(&buf, "s%d", (int)sql);
	buf_add_byte(&buf, '\0');
	if (!PQsendQueryPrepared(
		    store->conn, name, values->count, values->at, values->lengths, formats, 1)) {
		pg_lose(store, PQerrorMessage(store->conn));
		return ERR_IO;
	}
	store->unflushed += size_of(values);
	if (store->unflushed > UNFLUSHED_MOST && !flush(store))
		return ERR_IO;
	return OK;
}

static enum err expect(struct pg_store *store, struct pg_pending pending)
{
	if (!has_room(store))
		return ERR_MEMORY;
	store->pending[store->count++] = pending;
	return OK;
}

enum err pg_expect(struct pg_store *store)
{
	return expect(store, (struct pg_pending){ 0 });
}

enum err pg_put(struct pg_store *store, enum pg_sql sql, struct pg_values *values, pg_take take,
	void *context)
{
	static const struct pg_values none;
	enum err err = store->err;

	if (!err && values)
		err = values->err;
	if (!err && !store->conn)
		err = ERR_IO;
	if (!err)
		err = expect(store, (struct pg_pending){ .take = take, .context = context });
	if (!err)
		err = send(store, sql, values ? values : &none);
	pg_values_free(values);
	return err;
}

enum err pg_send(struct pg_store *store, enum pg_sql sql, struct pg_values *values, pg_take take,
	void *context)
{
	if (values && values->err) { /* nothing of it is sent */
		pg_values_free(values);
		return values->err;
	}
	if (!store->has_begun && !store->err) {
		enum err err = pg_put(store, PG_BEGIN, NULL, NULL, NULL);

		if (err) {
			pg_values_free(values);
			return err;
		}
		store->has_begun = true;
	}
	store->is_written = store->is_written || pg_statements[sql].writes;
	return pg_put(store, sql, values, take, context);
}

enum err pg_put_sync(struct pg_store *store)
{
	enum err err = store->conn ? expect(store, (struct pg_pending){ .is_sync = true }) : ERR_IO;

	if (!err && !PQpipelineSync(store->conn)) {
		pg_lose(store, PQerrorMessage(store->conn));
		err = ERR_IO;
	}
	return err;
}

/* ---- reading */

static void note(struct pg_store *store, const struct pg_pending *pending, const PGresult *result)
{
	enum err err = OK;

	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		if (pending->take)
			err = pending->take(store, result, pending->context);
		if (err && !store->err)
			store->err = err;
		break;
	case PGRES_PIPELINE_SYNC:
		break;
	default: /* behind an error, the others are told as not done */
		pg_judge(store, result);
		break;
	}
}

/* The next one of those that are pending. */
static bool read_one(struct pg_store *store)
{
	struct pg_pending pending = store->pending[store->first];
	PGresult *result, *end = NULL;

	if (!pg_next(store, &result))
		return false;
	if (!result) {
		pg_lose(store, "an answer is missing");
		return false;
	}
	store->first++;
	note(store, &pending, result);
	PQclear(result);
	if (!store->conn)
		return false;
	if (pending.is_sync)
		return true;
	if (!pg_next(store, &end))
		return false;
	if (end) {
		PQclear(end);
		pg_lose(store, "there is one answer too many");
		return false;
	}
	return true;
}

/* Asks the server for what it has done so far. */
static bool ask_for_all(struct pg_store *store)
{
	if (!store->pending[store->count - 1].is_sync && !PQsendFlushRequest(store->conn)) {
		pg_lose(store, PQerrorMessage(store->conn));
		return false;
	}
	return flush(store);
}

/* Whoever reads may send more. */
enum err pg_drain(struct pg_store *store)
{
	if (!store->conn)
		return store->err ? store->err : ERR_IO;
	while (store->first < store->count) {
		size_t sent = store->count;

		if (!ask_for_all(store))
			return store->err;
		while (store->first < sent)
			if (!read_one(store))
				return store->err;
	}
	store->first = store->count = 0;
	return store->err;
}

static enum err keep_copy(struct pg_store *store, const PGresult *result, void *context)
{
	(void)store;
	*(PGresult **)context = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	return *(PGresult **)context ? OK : ERR_MEMORY;
}

enum err pg_ask(
	struct pg_store *store, enum pg_sql sql, struct pg_values *values, PGresult **result_out)
{
	PGresult *result = NULL;
	enum err err = pg_send(store, sql, values, keep_copy, &result);

	if (!err)
		err = pg_drain(store);
	if (err) {
		PQclear(result);
		return err;
	}
	*result_out = result;
	return OK;
}
