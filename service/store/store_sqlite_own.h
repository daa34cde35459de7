/* store_sqlite_own - what the files of the SQLite backend share
 *
 * store_sqlite.c opens, commits and closes; …_file.c makes and judges the file; …_sql.c has every
 * statement; …_row.c reads rows; …_tally.c keeps the counts; the others have the verbs by topic. */
#pragma once

#include <sqlite3.h>

#include "service/store/backend.h"
#include "service/store/rules.h"
#include "service/store/strikes.h"
#include "service/store/tally.h"

enum sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_ACCEPT,
	SQL_BODY_PUT,
	SQL_BODY_GET,
	SQL_BODY_DROP,
	SQL_EVENT_PUT,
	SQL_EVENT_LIST,
	SQL_EVENT_NEWEST,
	SQL_EVENT_LAST,
	SQL_EVENT_HEAD,
	SQL_EVENT_OLDEST,
	SQL_EVENT_DROP,
	SQL_CLAIM_FIRST,
	SQL_CLAIM_NEXT,
	SQL_CLAIM_NEXT_LANE,
	SQL_CLAIM_OVER,
	SQL_SUSPECTS,
	SQL_SUSPECT_WORST,
	SQL_SUSPECT_OUT,
	SQL_SUSPECT_NO_MORE,
	SQL_LEASE,
	SQL_FENCE,
	SQL_RENEW,
	SQL_FIND,
	SQL_MOVE,
	SQL_RELEASE,
	SQL_SETTLE,
	SQL_SETTLE_PART,
	SQL_CHANGE,
	SQL_RIPE,
	SQL_NEXT_DUE,
	SQL_HASTEN,
	SQL_LEASES_OVER,
	SQL_DOUBT,
	SQL_STRUCK,
	SQL_VOID,
	SQL_LIST,
	SQL_LIST_HELD,
	SQL_LIST_WAITING,
	SQL_LIST_SETTLED,
	SQL_FEW_WAITING,
	SQL_FEW_SETTLED,
	SQL_WAITING,
	SQL_WAITING_AGELESS,
	SQL_SETTLED,
	SQL_BODIED,
	SQL_BODY_GONE,
	SQL_FORGET,
	SQL_ONCE_GET,
	SQL_ONCE_PUT,
	SQL_ONCE_DROP,
	SQL_ONCE_CUT,
	SQL_ONCE_SWEEP,
	SQL_NOTE_GET,
	SQL_NOTE_PUT,
	SQL_NOTE_VOID,
	SQL_TEMPLATE_PUT,
	SQL_TEMPLATE_DROP,
	SQL_TEMPLATE_GET,
	SQL_TEMPLATE_LIST,
	SQL_TALLY_LIST,
	SQL_TALLY_PUT,
	SQL_FREE_BYTES,
	SQL_PROVE,
	SQLS,
};

extern const char *const sql_texts[SQLS];

enum { PATH_BYTES = 4096 };

/* Messages that wait, by the second in which they were accepted. */
struct ages {
	struct age {
		int64_t second, messages;
	} * seconds; /* sorted */
	size_t count, room;
	/* Of this transaction, to be taken back with it. */
	struct age_change {
		int64_t second;
		int8_t messages;
	} * changes;
	size_t change_count, change_room;
};

struct sqlite_store {
	sqlite3 *db;
	sqlite3_stmt *statements[SQLS];
	struct store_limits limits;
	struct tally tally;
	struct ages ages;
	struct buf head, course, body; /* what is being written */
	struct buf lane, lane_key;     /* whose turn it was last */
	bool has_lane;
	struct strikes *strikes;    /* NULL: none are counted */
	struct suspicion suspicion; /* by alive_ms */
	int64_t alive_ms;           /* grows as time passes, but for spells in which nothing ran */
	int64_t seen_ms;            /* when it was last moved on; monotonic */
	int64_t looked_ms;       /* when leases and far moments were last looked after; alive_ms */
	int wal_pages, wal_most; /* of the log; at how many they are put into the file */
	bool is_failed; /* a sync failed, or the file is damaged: nothing is believed any more */
	const char *trouble; /* what went wrong last, in plain words */
	bool is_full;        /* nothing more is accepted, see store_sqlite_reserve.c */
	bool is_spent;       /* the reserve was given up, or could not be set aside */
	char reserve_path[PATH_BYTES];
	int reserve_fd;
	int64_t reserve_bytes; /* that are to be set aside; 0: not known yet */
	uint64_t tried_us;     /* when room was last looked for */
	int64_t swept; /* all events up to this place were written by a clock that was ahead */
};

/* ---- statements: a statement is used from sql_use() to the end of sql_run() or sql_end() */

/* Ready for its values; NULL: see sql_failed. */
sqlite3_stmt *sql_use(struct sqlite_store *store, enum sql sql);
void sql_number(sqlite3_stmt *statement, int place, int64_t value);
void sql_text(sqlite3_stmt *statement, int place, struct text text);
void sql_bytes(sqlite3_stmt *statement, int place, struct text bytes);
/* Runs it to its end; rows are passed over. */
MUST_USE enum err sql_run(struct sqlite_store *store, sqlite3_stmt *statement);
/* The next row; false: the end, or an error, which sql_end tells. */
bool sql_row(sqlite3_stmt *statement);
MUST_USE enum err sql_end(struct sqlite_store *store, sqlite3_stmt *statement);
/* What SQLite's code means, and for the store as a whole. */
enum err sql_failed(struct sqlite_store *store, int code);
struct text sql_column(sqlite3_stmt *statement, int column); /* until the next step */

/* ---- files */

enum { FILE_SCHEMA = 6 };

/* Without opening it as a database. ERR_MISSING: there is none; else as store_sqlite_open. */
MUST_USE enum err sqlite_file_look(const char *path, unsigned *version_out, struct buf *why);
/* Opens the file, or makes it. */
MUST_USE enum err sqlite_file_open(const char *path, sqlite3 **db_out, struct buf *why);
/* Appends SQLite's own word. */
void sqlite_say(struct buf *why, const char *path, const char *words, sqlite3 *db);
/* The same of a call that failed, with errno. ERR_IO. */
MUST_USE enum err sqlite_say_errno(struct buf *why, const char *path, const char *words);
/* Of what was tried last, and what that means. */
enum err sqlite_say_refused(struct buf *why, const char *path, sqlite3 *db);
int sqlite_version_of(sqlite3 *db);
/* False: it is too long. */
bool sqlite_folder_of(const char *path, char folder_out[PATH_BYTES]);

/* ---- room on the disk */

/* ERR_IO: it cannot be opened. Without room for it the store is full from the beginning. */
MUST_USE enum err reserve_open(struct sqlite_store *store, const char *path);
/* The disk is full. */
void reserve_release(struct sqlite_store *store);
/* Is there room again? Looked at now and then; outside of transactions. */
void reserve_restore(struct sqlite_store *store);
/* May so much more be accepted? Where the reserve is spent, out of free room in the file alone. */
bool reserve_takes(struct sqlite_store *store, uint64_t bytes);
void reserve_close(struct sqlite_store *store);

/* ---- rows */

/* Binds an id; false: there can be no such message. */
bool sql_id(sqlite3_stmt *statement, int place, const char *id);
/* Reads the row (ROW_COLUMNS) that the statement stands on. */
MUST_USE enum err row_read(sqlite3_stmt *statement, struct stored **stored_out);
/* The same, to be told: one that is damaged comes as such, with what stands beside its bytes. */
MUST_USE enum err row_show(sqlite3_stmt *statement, struct stored **stored_out);
enum row_column {
	ROW_PLACE,
	ROW_ID,
	ROW_KEY,
	ROW_LANE,
	ROW_STATE,
	ROW_TURN,
	ROW_CREATED,
	ROW_DUE,
	ROW_EXPIRES,
	ROW_UPDATED,
	ROW_SIZE,
	ROW_MORE,
	ROW_HAS_BODY,
	ROW_TRIES,
	ROW_STRIKES,
	ROW_MAYBE_SENT,
	ROW_TOKEN,
	ROW_HEAD,
	ROW_COURSE,
};
#define ROW_COLUMNS                                                                                \
	"place, id, key_id, lane, state, turn, created_ms, due_ms, expires_ms, updated_ms, "       \
	"size_bytes, more_bytes, has_body, tries, strikes, maybe_sent, token, head, course"
/* The message of this id, if it is this key's (`at` NULL: whosever). ERR_MISSING. */
MUST_USE enum err row_find(struct sqlite_store *store, const char *id, struct text key_id,
	struct stored **stored_out, enum turn *turn_out);
/* Moves it to another state without a verdict. */
MUST_USE enum err row_move(struct sqlite_store *store, int64_t place, struct text key_id,
	int64_t weight, int64_t created_ms, enum message_state from, enum message_state to,
	enum turn turn);
MUST_USE enum err body_read(
	struct sqlite_store *store, int64_t place, struct region *region, struct text *body_out);
MUST_USE enum err events_put(struct sqlite_store *store, const struct event *events, size_t count);

/* ---- tally */

MUST_USE enum err sqlite_tally_read(struct sqlite_store *store);
MUST_USE enum err sqlite_tally_write(struct sqlite_store *store);
/* Room for a key and one move, so that sqlite_move cannot fail. */
MUST_USE enum err sqlite_make_room(struct sqlite_store *store, struct text key_id);
/* As tally_move, and its age is noted. */
void sqlite_move(struct sqlite_store *store, struct text key_id, int64_t bytes, int64_t created_ms,
	enum message_state from, enum message_state to);

/* ---- ages: beside the tally */

/* So that one ages_move cannot fail. */
MUST_USE enum err ages_make_room(struct ages *ages);
void ages_move(
	struct ages *ages, int64_t created_ms, enum message_state from, enum message_state to);
void ages_settle(struct ages *ages, bool is_committed);
/* So many wait, scheduled ones included. */
MUST_USE enum err ages_read(struct sqlite_store *store, int64_t *waiting_out);
void ages_tell(const struct ages *ages, struct counts_job *counts);
void ages_free(struct ages *ages);

/* ---- the verbs */

enum err sqlite_accept(void *self, struct accept_job *accept);
enum err sqlite_claim(void *self, struct claim_job *claim);
enum err sqlite_fence(void *self, struct fence_job *fence);
enum err sqlite_renew(void *self, struct renew_job *renew);
enum err sqlite_release(void *self, struct release_job *release);
enum err sqlite_settle(void *self, struct settle_job *settle);
enum err sqlite_change(void *self, struct change_job *change);
enum err sqlite_look_up(void *self, struct look_up_job *look_up);
enum err sqlite_body(void *self, struct body_job *body);
enum err sqlite_list(void *self, struct list_job *list);
enum err sqlite_events(void *self, struct events_job *events);
enum err sqlite_once_begin(void *self, struct once_begin_job *begin);
enum err sqlite_once_end(void *self, struct once_end_job *end);
enum err sqlite_note(void *self, struct note_job *note);
enum err sqlite_template(void *self, struct template_job *template);
enum err sqlite_templates(void *self, struct templates_job *templates);
enum err sqlite_counts(void *self, struct counts_job *counts);
enum err sqlite_tick(void *self, struct tick *tick);
enum err sqlite_sweep(void *self, struct sweep *sweep);

/* Drops some events that are old; *left: steps. */
MUST_USE enum err log_sweep(struct sqlite_store *store, const struct sweep *sweep, unsigned *left);
/* Drops the oldest where they are past their bound. */
MUST_USE enum err log_shed(struct sqlite_store *store, struct sweep *sweep);
/* What is known of it; nothing is written. */
MUST_USE enum err once_find(struct sqlite_store *store, const struct once *once,
	struct region *region, enum once_found *found_out, struct text *answer_out);
/* It runs from now on. ERR_IO also where there is no room for more. */
MUST_USE enum err once_run(struct sqlite_store *store, const struct once *once, int64_t now_ms);
/* `began_ms` as in once_end_job. */
MUST_USE enum err once_end(struct sqlite_store *store, const struct once *once, bool is_free,
	int64_t began_ms, int64_t now_ms);
/* All leases are void, what ran is cut short: the process that held them is dead. */
MUST_USE enum err sqlite_void_leases(struct sqlite_store *store);
