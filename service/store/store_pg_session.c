/* A new connection: made within seconds or given up, its session set up, all statements prepared.
 *
 * The session looks for rows by index only: a plan that was made while a table was empty would read
 * all of it when it is full. */
#include <poll.h>
#include <string.h>

#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum {
	BACKOFF_FIRST_US = 100000,
	SETUP_BYTES = 4096,
	SLOTS = 16,
	PATIENCE_LEAST_MS = 100,
	PATIENCE_MOST_MS = 60000,
};

/* ---- connecting */

/* What the connection string says goes before these, which go before libpq's own. */
static PGconn *start(const struct pg_store *store)
{
	static const char *const names[] = { "fallback_application_name", "connect_timeout",
		"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
		"target_session_attrs", "dbname", "client_encoding", NULL };
	const char *const values[] = { "lettergate", "5", "10", "5", "3", "15000", "read-write",
		store->words, "SQL_ASCII", NULL };

	return PQconnectStartParams(names, values, 1);
}

static bool wait_for(PGconn *conn, bool writes, uint64_t until_us)
{
	struct pollfd watched = { PQsocket(conn), writes ? POLLOUT : POLLIN, 0 };
	uint64_t now = now_us();

	return now < until_us && poll(&watched, 1, (int)((until_us - now) / 1000) + 1) > 0;
}

static bool connect_within(PGconn *conn, uint64_t until_us)
{
	PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

	if (PQstatus(conn) == CONNECTION_BAD)
		return false;
	while (wants == PGRES_POLLING_READING || wants == PGRES_POLLING_WRITING) {
		if (!wait_for(conn, wants == PGRES_POLLING_WRITING, until_us))
			return false;
		wants = PQconnectPoll(conn);
	}
	return wants == PGRES_POLLING_OK;
}

static void ignore_notice(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

/* libpq's words come in lines, some of them with a tab in front. */
static void add_in_one_line(struct buf *why, struct text words)
{
	bool was_space = false;

	for (size_t i = 0; i < words.len; i++) {
		bool is_space = byte_is_space(words.at[i]);

		if (!is_space)
			buf_add_byte(why, words.at[i]);
		else if (!was_space)
			buf_add_byte(why, ' ');
		was_space = is_space;
	}
}

static void say(struct buf *why, const char *words, const char *more)
{
	struct text text = text_of(more);

	if (!why)
		return;
	while (text.len && byte_is_space(text.at[text.len - 1]))
		text.len--;
	buf_addf(why, "STORE: PostgreSQL: %s", words);
	if (text.len) {
		buf_add_string(why, ": ");
		add_in_one_line(why, text);
	}
}

/* ---- the session */

bool pg_plain_is_ok(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

bool pg_plain(struct pg_store *store, const char *words, PGresult **result_out)
{
	PGresult *last = NULL, *next = NULL;

	if (!PQsendQuery(store->conn, words)) {
		pg_lose(store, PQerrorMessage(store->conn));
		return false;
	}
	do {
		if (!pg_next(store, &next)) {
			PQclear(last);
			return false;
		}
		if (next) {
			PQclear(last);
			last = next;
		}
	} while (next);
	*result_out = last;
	return true;
}

static const char setup[] =
	"SET client_min_messages = error; SET statement_timeout = '10s'; SET lock_timeout = '5s'; "
	"SET idle_in_transaction_session_timeout = '30s'; "
	"SET default_transaction_isolation = 'read committed'; SET jit = off; "
	"SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; "
	"SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; "
	"SELECT current_setting('fsync'), current_setting('full_page_writes'), "
	"current_setting('synchronous_commit')";

/* Of a connection that ended without a word the server would keep the locks for hours, that on our
 * own row among them: it waits for us no longer than we for it. What it has no such setting for,
 * stays. */
static void add_patience(struct buf *words, uint64_t patience_us)
{
	unsigned ms = (unsigned)(patience_us / 1000), third_s = ms / 3000 ? ms / 3000 : 1;

	buf_addf(words,
		"SELECT set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '%u'), "
		"('tcp_keepalives_interval', '%u'), ('tcp_keepalives_count', '2'), "
		"('tcp_user_timeout', '%u')) v (name, value) JOIN pg_settings USING (name); ",
		third_s, third_s, ms);
}

static bool send_setup(struct pg_store *store, PGresult **result_out)
{
	struct buf words = buf_born(SETUP_BYTES);
	bool is_sent;

	add_patience(&words, store->patience_us);
	buf_add_string(&words, setup);
	buf_add_byte(&words, '\0');
	is_sent = !words.err && pg_plain(store, words.at, result_out);
	buf_free(&words);
	return is_sent;
}

static void warn(struct pg_store *store, const char *what)
{
	struct log_line line;

	if (!store->log)
		return;
	line = log_line(store->log, LOG_WARN, "store_unsafe");
	log_string(&line, "setting", what);
	log_string(&line, "detail",
		"a crash of PostgreSQL may lose messages that were answered with 202");
	log_end(&line);
}

static bool is_off(const PGresult *result, int column)
{
	return strcmp(PQgetvalue(result, 0, column), "off") == 0;
}

static enum err set_up(struct pg_store *store, struct buf *why)
{
	PGresult *result;
	enum err err = OK;

	if (!send_setup(store, &result))
		return ERR_IO;
	if (!pg_plain_is_ok(result) || PQntuples(result) != 1) {
		say(why, "it refuses what the queue needs", PQresultErrorMessage(result));
		err = ERR_IO;
	} else {
		if (is_off(result, 0))
			warn(store, "fsync=off");
		if (is_off(result, 1))
			warn(store, "full_page_writes=off");
		if (is_off(result, 2))
			warn(store, "synchronous_commit=off");
	}
	PQclear(result);
	return err;
}

static Oid oid_of(char letter)
{
	switch (letter) {
	case 'n':
		return 20;
	case 'b':
		return 17;
	case 'u':
		return 2950;
	case 'N':
		return 1016;
	default: /* B */
		return 1001;
	}
}

static enum err prepare(struct pg_store *store, enum pg_sql sql)
{
	const struct pg_statement *statement = &pg_statements[sql];
	Oid types[PG_VALUES];
	int count = (int)strlen(statement->types);
	char name[16];
	struct buf buf = buf_over(name, sizeof(name));

	for (int i = 0; i < count; i++)
		types[i] = oid_of(statement->types[i]);
	buf_addf(&buf, "s%d", (int)sql);
	buf_add_byte(&buf, '\0');
	if (!PQsendPrepare(store->conn, name, statement->text, count, types))
		return ERR_IO;
	return OK;
}

/* In the pipeline from now on: that is what pg_put and pg_drain count on. */
static enum err prepare_all(struct pg_store *store)
{
	if (!PQenterPipelineMode(store->conn))
		return ERR_IO;
	for (int sql = 0; sql < PG_SQLS; sql++) {
		enum err err = pg_expect(store);

		if (!err)
			err = prepare(store, (enum pg_sql)sql);
		if (err)
			return err;
	}
	if (pg_put_sync(store))
		return ERR_IO;
	return pg_drain(store);
}

/* ---- who we are, and what is there */

static enum err note_slot(struct pg_store *store, const PGresult *result, void *context)
{
	(void)context;
	if (PQntuples(result) == 1)
		store->slot = pg_int(result, 0, 0);
	return OK;
}

static enum err sign_in(struct pg_store *store)
{
	struct pg_values values = { 0 };
	enum err err;

	pg_number(&values, store->owner);
	pg_number(&values, (int64_t)((uint64_t)store->owner % SLOTS));
	err = pg_put(store, PG_REPLICA_BEGIN, &values, note_slot, NULL);
	if (!err)
		err = pg_put_sync(store);
	if (!err)
		err = pg_tally_ask(store);
	if (!err)
		err = pg_put_sync(store);
	return err ? err : pg_drain(store);
}

/* As long as TCP has for it: tcp_user_timeout, if the connection string has another one. */
static void read_patience(struct pg_store *store)
{
	PQconninfoOption *options = PQconninfo(store->conn);
	uint64_t ms = 0;

	for (const PQconninfoOption *option = options; option && option->keyword; option++)
		if (strcmp(option->keyword, "tcp_user_timeout") == 0 && option->val)
			(void)text_to_u64(text_of(option->val), &ms);
	PQconninfoFree(options);
	if (ms >= PATIENCE_LEAST_MS && ms <= PATIENCE_MOST_MS)
		store->patience_us = ms * 1000;
}

static enum err begin_session(struct pg_store *store, struct buf *why)
{
	enum err err;

	read_patience(store);
	err = set_up(store, why);
	if (!err)
		err = pg_schema(store, why);
	if (!err && !store->is_open)
		err = pg_find_calm(store);
	if (!err)
		err = pg_listen(store);
	if (err)
		return err;
	err = prepare_all(store);
	if (!err)
		err = sign_in(store);
	if (err)
		say(why, "its tables are not those of lettergate",
			store->conn ? PQerrorMessage(store->conn) : "");
	return err;
}

static void come_back(struct pg_store *store)
{
	struct log_line line;

	if (!store->was_lost)
		return;
	store->was_lost = false;
	store->well_us = 0; /* nor was it for others, perhaps */
	if (!store->log)
		return;
	line = log_line(store->log, LOG_INFO, "store_back");
	log_end(&line);
}

static void wait_longer(struct pg_store *store)
{
	store->backoff_us = store->backoff_us ? store->backoff_us * 2 : BACKOFF_FIRST_US;
	if (store->backoff_us > PG_BACKOFF_MOST_US)
		store->backoff_us = PG_BACKOFF_MOST_US;
	store->retry_us = now_us() + store->backoff_us;
}

static uint64_t connect_us(const struct pg_store *store)
{
	return store->patience_us < PG_CONNECT_US ? store->patience_us : PG_CONNECT_US;
}

enum err pg_reach(struct pg_store *store, struct buf *why)
{
	store->conn = start(store);
	if (!store->conn)
		return ERR_MEMORY;
	if (!connect_within(store->conn, now_us() + connect_us(store))) {
		const char *words = PQerrorMessage(store->conn);

		say(why, "cannot be reached", *words ? words : "it does not answer");
		pg_lose(store, *words ? words : "it does not answer");
		return ERR_IO;
	}
	PQsetNoticeReceiver(store->conn, ignore_notice, NULL);
	return PQsetnonblocking(store->conn, 1) == 0 ? OK : ERR_IO;
}

static enum err open_link(struct pg_store *store, struct buf *why)
{
	enum err err = pg_reach(store, why);

	return err ? err : begin_session(store, why);
}

enum err pg_connect(struct pg_store *store, struct buf *why)
{
	enum err err;

	if (store->conn)
		return OK;
	store->may_again = false;
	if (now_us() < store->retry_us)
		return ERR_IO;
	store->err = OK;
	err = open_link(store, why);
	if (err) {
		if (why && why->len == 0)
			say(why, "cannot be used", "");
		if (store->conn)
			pg_lose(store, "its session cannot be set up");
		store->may_again = false; /* nor what pg_lose says */
		wait_longer(store);
		return err;
	}
	store->err = OK;
	store->backoff_us = 0;
	store->looked_us = store->beat_us = 0;
	come_back(store);
	return OK;
}
