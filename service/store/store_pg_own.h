/* store_pg_own - what the files of the PostgreSQL backend share
 *
 * store_pg.c opens, commits and closes; …_link.c has the connection and what is on its way over it,
 * …_session.c what is done when it is new; …_schema.c makes the tables; …_sql.c has every
 * statement; …_values.c packs what goes with them; the others have the verbs by topic.
 *
 * Statements of a transaction are sent one behind the other, and what came of them is read when
 * somebody has to know: a verb that hands in a `take` may return before it is called. It is called
 * by the next pg_drain, which each commit begins with, and tells a refusal in the job's err. */
#pragma once

#include <libpq-fe.h>

#include "service/log/log.h"
#include "service/store/backend.h"
#include "service/store/rules.h"
#include "service/store/tally.h"

enum pg_sql {
	PG_BEGIN,
	PG_COMMIT,
	PG_ROLLBACK,
	PG_SAVEPOINT,
	PG_SAVEPOINT_END,
	PG_GO_BACK,
	PG_NO_TIMEOUT,
	PG_NO_SYNC,
	PG_ACCEPT,
	PG_ACCEPT_ONCE,
	PG_SUSPECT,
	PG_SUSPECT_NO_MORE,
	PG_CLAIM,
	PG_CLAIMED,
	PG_SET_ASIDE,
	PG_FENCE,
	PG_MARK,
	PG_RENEW,
	PG_RELEASE,
	PG_SETTLE,
	PG_SETTLE_PART,
	PG_FIND,
	PG_FIND_LOCKED,
	PG_CHANGE,
	PG_BODY,
	PG_LIST,
	PG_LIST_HELD,
	PG_LIST_SCHEDULED,
	PG_LIST_WAITING,
	PG_LIST_SETTLED,
	PG_EVENTS,
	PG_EVENT,
	PG_EVENT_NEWEST,
	PG_OLDEST,
	PG_ONCE_BEGIN,
	PG_ONCE_TAKE_CUT,
	PG_ONCE_GET,
	PG_ONCE_PUT,
	PG_ONCE_DROP,
	PG_ONCE_CUT,
	PG_ONCE_SWEEP,
	PG_NOTE_MAKE,
	PG_NOTE_TAKE,
	PG_TEMPLATE_REVISE,
	PG_TEMPLATE_REVISION,
	PG_TEMPLATE_PUT,
	PG_TEMPLATE_DROP,
	PG_TEMPLATE_LIST,
	PG_RIPEN,
	PG_NEXT_DUE,
	PG_HASTEN,
	PG_LEASES_OVER,
	PG_LEASES_OWN,
	PG_SWEEP_STATE,
	PG_SWEEP_BODIES,
	PG_EVENT_SWEEP,
	PG_EVENT_SHED,
	PG_TALLY_LIST,
	PG_TALLY_SUM,
	PG_TALLY_ADD,
	PG_TALLY_LOG,
	PG_REPLICA_BEGIN,
	PG_REPLICA_NOTE,
	PG_REPLICA_ASK,
	PG_REPLICA_SWEEP,
	PG_REPLICA_END,
	PG_SQLS,
};

/* Types of its values, a letter each: n bigint, b bytea, u uuid; N, B, U: arrays of them. */
struct pg_statement {
	const char *text, *types;
	bool writes; /* whether it was committed has to be known */
};

extern const struct pg_statement pg_statements[PG_SQLS];

/* Milliseconds of the database's clock: leases end by it, whatever ours say. */
#define PG_NOW_MS "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

struct pg_store;
/* What came of a statement. */
typedef enum err (*pg_take)(struct pg_store *store, const PGresult *result, void *context);

struct pg_pending {
	pg_take take; /* NULL: nobody wants to know */
	void *context;
	bool is_sync;
};

struct pg_store {
	char *words; /* the connection string: has a password */
	struct log *log;
	struct store_limits limits;
	int64_t owner; /* who we are, by chance */
	int64_t slot;  /* of our rows of the tally */

	PGconn *conn;               /* NULL: there is none */
	struct pg_pending *pending; /* sent, and not read */
	size_t first, count, room;
	size_t unflushed; /* bytes */
	uint64_t patience_us;
	uint64_t retry_us, backoff_us; /* when it is tried again, monotonic */
	bool is_open, was_lost;        /* it was there once; it is gone, as the log has it */
	uint64_t told_us;              /* when an error was last told */
	const char *trouble;           /* what went wrong last, in plain words */

	/* of this transaction */
	bool has_begun, is_written;
	bool is_noted;  /* something that need not be synced */
	bool may_again; /* what failed may be done again as it was */
	enum err err;   /* the first that failed */
	int64_t commit_id;
	int64_t event_count;

	struct tally tally;
	bool listens, has_news; /* to others; for others */
	uint64_t news_us;       /* when they were told last */
	int64_t cursor_base;
	int64_t swept;   /* all events up to this cursor were written by a clock that was ahead */
	int64_t next_ms; /* when the next becomes due, as far as we know */
	uint64_t looked_us, beat_us, deaths_us;
	uint64_t well_us;           /* when it was last looked after, and all was well */
	uint64_t calm_us;           /* until then nothing is taken from anybody */
	struct buf lane, lane_key;  /* whose turn it was last */
	struct suspicion suspicion; /* of ours, by the monotonic clock */
	bool has_damage;            /* of its data, since we came: see store_pg_careful.c */
	struct buf head, course, body;
};

/* ---- values */

enum { PG_VALUES = 33 };

/* What goes with a statement; borrowed until it is sent. */
struct pg_values {
	int count;
	const char *at[PG_VALUES];
	int lengths[PG_VALUES];
	char numbers[PG_VALUES][ID_BYTES];
	struct buf arrays[4]; /* freed when it is sent */
	int array_count;
	enum err err; /* the first that went wrong */
};

void pg_number(struct pg_values *values, int64_t number);
void pg_bytes(struct pg_values *values, struct text bytes); /* empty is not NULL */
/* ERR_VALUE in values->err: there can be no such message. */
void pg_id(struct pg_values *values, const char *id);
/* An array of the lanes that rest. */
void pg_resting_lanes(struct pg_values *values, const struct claim_job *claim);
/* An array of the lanes that give nothing: they rest, or have no room. */
void pg_closed_lanes(struct pg_values *values, const struct claim_job *claim);
/* Two arrays: those that are narrow, and the room in each. */
void pg_narrow_lanes(struct pg_values *values, const struct claim_job *claim);
/* Four arrays: moments, types, keys and contents. */
void pg_events_of(struct pg_values *values, const struct event *events, size_t count);
void pg_values_free(struct pg_values *values); /* NULL is fine */

int64_t pg_int(const PGresult *result, int row, int column);
struct text pg_text(const PGresult *result, int row, int column);

/* ---- the link */

/* As part of the transaction, which it begins if it is the first. Frees `values`. NULL: none. */
MUST_USE enum err pg_send(struct pg_store *store, enum pg_sql sql, struct pg_values *values,
	pg_take take, void *context);
/* The same outside of any. */
MUST_USE enum err pg_put(struct pg_store *store, enum pg_sql sql, struct pg_values *values,
	pg_take take, void *context);
/* Something else was sent that has an answer. */
MUST_USE enum err pg_expect(struct pg_store *store);
/* Ends a row of them: behind an error, the next is taken from here on. */
MUST_USE enum err pg_put_sync(struct pg_store *store);
/* Reads what came of all that was sent. The first error, also one of before. */
MUST_USE enum err pg_drain(struct pg_store *store);
/* Sends, drains, and hands over the result, to be freed by PQclear. */
MUST_USE enum err pg_ask(
	struct pg_store *store, enum pg_sql sql, struct pg_values *values, PGresult **result_out);
/* The next result of what was sent, within our patience. False: the connection is gone. */
bool pg_next(struct pg_store *store, PGresult **result_out);
/* Ends the connection; whatever was on its way fails. */
void pg_lose(struct pg_store *store, const char *why);
/* Notes what failed, and what that means. */
enum err pg_judge(struct pg_store *store, const PGresult *result);

/* ---- what cannot be read */

/* `is_bare`: without what lies apart from its rows, and may be damaged. */
typedef enum err (*pg_attempt)(struct pg_store *store, void *context, bool is_bare);
/* One that is not bare; and if that meets damage, one that is. The first time the transaction fails
 * with ERR_SYNTAX: whoever does it again comes further. */
MUST_USE enum err pg_carefully(struct pg_store *store, pg_attempt attempt, void *context);
/* ERR_SYNTAX: there is none, or not as it was written. */
MUST_USE enum err pg_read_body(
	struct pg_store *store, const char *id, struct region *region, struct text *body_out);

/* ---- a new connection */

enum {
	PG_CONNECT_US = 5000000,      /* one attempt */
	PG_BACKOFF_MOST_US = 2000000, /* between two */
	PG_SETTLING_US = 10000000,    /* nothing is taken from others, after the store was away */
};

/* OK at once if there is one. *why: NULL is fine. */
MUST_USE enum err pg_connect(struct pg_store *store, struct buf *why);
/* The first part of it: it is connected, and nothing is asked yet. */
MUST_USE enum err pg_reach(struct pg_store *store, struct buf *why);
/* As many as we know of. */
int64_t pg_schema_newest(void);
/* 0: there are no tables. ERR_SYNTAX: they are damaged. */
MUST_USE enum err pg_schema_version(struct pg_store *store, int64_t *version_out);
/* Makes or raises the tables; refuses what is newer (ERR_VALUE). In the simple protocol. */
MUST_USE enum err pg_schema(struct pg_store *store, struct buf *why);
/* Was it away just before we came? In the simple protocol. */
MUST_USE enum err pg_find_calm(struct pg_store *store);
/* From now on it is told what is new. */
MUST_USE enum err pg_listen(struct pg_store *store);
/* One or more statements in the simple protocol, before anything is prepared; the last result. */
bool pg_plain(struct pg_store *store, const char *words, PGresult **result_out);
bool pg_plain_is_ok(const PGresult *result);

/* ---- rows */

enum pg_column {
	PG_ID,
	PG_KEY,
	PG_LANE,
	PG_STATE,
	PG_TURN,
	PG_CREATED,
	PG_DUE,
	PG_EXPIRES,
	PG_UPDATED,
	PG_SIZE,
	PG_MORE,
	PG_HAS_BODY,
	PG_TRIES,
	PG_STRIKES,
	PG_MAYBE_SENT,
	PG_TOKEN,
	PG_HEAD,
	PG_COURSE,
	PG_COLUMN_COUNT,
};
/* `unless`: the large ones, which lie apart, are not to be read. */
#define PG_COLUMNS(unless)                                                                         \
	"m.id, m.key_id, m.lane, m.state, m.turn, m.created_ms, m.due_ms, m.expires_ms, "          \
	"m.updated_ms, m.size_bytes, m.more_bytes, m.has_body, m.tries, m.strikes, "               \
	"m.maybe_sent, m.token, CASE WHEN " unless " THEN NULL ELSE m.head END, CASE WHEN " unless \
	" THEN NULL ELSE m.course END"

MUST_USE enum err pg_row_read(const PGresult *result, int row, struct stored **stored_out);
/* The same, to be told: one that is damaged comes as such, with what stands beside its bytes. */
MUST_USE enum err pg_row_show(const PGresult *result, int row, struct stored **stored_out);
/* The row of this id, if there is one: to be freed. Of what is damaged, without its large columns.
 */
MUST_USE enum err pg_row_ask(
	struct pg_store *store, enum pg_sql sql, const char *id, PGresult **row_out);
/* The message of this id, if it is this key's (`at` NULL: whosever). ERR_MISSING. */
MUST_USE enum err pg_row_find(struct pg_store *store, enum pg_sql sql, const char *id,
	struct text key_id, struct stored **stored_out, enum turn *turn_out);
/* Of a row's two columns, a checksum and bytes. */
MUST_USE enum err pg_row_body(
	const PGresult *result, int row, int column, struct region *region, struct text *body_out);
/* The place of the first of `count` events in their order. ERR_LIMIT: too many at once. */
MUST_USE enum err pg_event_places(struct pg_store *store, size_t count, struct pg_values *values);
/* Something becomes due then. */
void pg_note_due(struct pg_store *store, enum turn turn, int64_t due_ms);

/* ---- tally */

MUST_USE enum err pg_tally_send(struct pg_store *store);
/* Asks for what all replicas have counted. */
MUST_USE enum err pg_tally_ask(struct pg_store *store);
/* `take` of rows key_id, from, to, messages, bytes. *context: size_t, the messages are added. */
enum err pg_tally_moved(struct pg_store *store, const PGresult *result, void *context);

/* ---- the verbs */

void pg_tell(void *self);
bool pg_hears(void *self);
enum err pg_accept(void *self, struct accept_job *accept);
enum err pg_claim(void *self, struct claim_job *claim);
enum err pg_fence(void *self, struct fence_job *fence);
enum err pg_renew(void *self, struct renew_job *renew);
enum err pg_release(void *self, struct release_job *release);
enum err pg_settle(void *self, struct settle_job *settle);
enum err pg_change(void *self, struct change_job *change);
enum err pg_look_up(void *self, struct look_up_job *look_up);
enum err pg_body(void *self, struct body_job *body);
enum err pg_list(void *self, struct list_job *list);
enum err pg_events(void *self, struct events_job *events);
enum err pg_once_begin(void *self, struct once_begin_job *begin);
enum err pg_once_end(void *self, struct once_end_job *end);
enum err pg_note(void *self, struct note_job *note);
enum err pg_template(void *self, struct template_job *template);
enum err pg_templates(void *self, struct templates_job *templates);
enum err pg_counts(void *self, struct counts_job *counts);
enum err pg_tick(void *self, struct tick *tick);
enum err pg_sweep(void *self, struct sweep *sweep);

/* Kept in the table of `once`. */
enum { ONCE_IS_DONE, ONCE_IS_RUNNING, ONCE_IS_CUT };
/* What a row of state, hash, answer says of it. */
MUST_USE enum err pg_once_judge(const struct once *once, const PGresult *row, struct region *region,
	enum once_found *found_out, struct text *answer_out);
/* What was cut short is ours from now on, and *found_out says so. */
MUST_USE enum err pg_once_take_cut(struct pg_store *store, const struct once *once, int64_t now_ms,
	enum once_found *found_out);
/* `take` of a row of state, hash, answer. */
MUST_USE enum err pg_once_get(
	struct pg_store *store, const struct once *once, pg_take take, void *context);
/* `began_ms` as in once_end_job. */
MUST_USE enum err pg_once_finish(struct pg_store *store, const struct once *once, bool is_free,
	int64_t began_ms, int64_t now_ms);
void pg_once_name(struct pg_values *values, const struct once *once);
