/* Every statement of the SQLite backend. They keep to what PostgreSQL takes as well, but for
 * PRAGMA. The literal conditions on `turn` are those of the partial indexes in
 * store_sqlite_file.c: without them an index is of no use. */
#include "service/store/store_sqlite_own.h"

#define WEIGHT "size_bytes + more_bytes"
/* As enum DOUBT_END, DOUBT_MAIL; `begun`: was its MAIL written, as far as is known? */
#define DOUBT(begun)                                                                               \
	"CASE WHEN mark = 2 THEN 1 WHEN maybe_sent = 0 AND (" begun ") THEN 2 ELSE maybe_sent END"
#define READY "SELECT " ROW_COLUMNS " FROM message WHERE turn = 1"

const char *const sql_texts[SQLS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",

	[SQL_ACCEPT] = "INSERT INTO message (id, key_id, lane, state, turn, created_ms, due_ms, "
		       "expires_ms, updated_ms, size_bytes, has_body, tries, strikes, mark, "
		       "maybe_sent, token, lease_ms, head, course, more_bytes) VALUES (?1, ?2, ?3, "
		       "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0, 0, ?13, ?14, ?15, ?16, ?17)",
	[SQL_BODY_PUT] = "INSERT INTO body (place, crc, bytes) VALUES (?1, ?2, ?3)",
	[SQL_BODY_GET] = "SELECT crc, bytes FROM body WHERE place = ?1",
	[SQL_BODY_DROP] = "DELETE FROM body WHERE place = ?1",

	[SQL_EVENT_PUT] = "INSERT INTO event (at_ms, type, key_id, content) "
			  "VALUES (?1, ?2, ?3, ?4)",
	[SQL_EVENT_LIST] = "SELECT place, at_ms, type, key_id, content FROM event "
			   "WHERE place > ?1 ORDER BY place LIMIT ?2",
	[SQL_EVENT_NEWEST] = "SELECT place FROM event ORDER BY place DESC LIMIT 1",
	[SQL_EVENT_LAST] = "SELECT seq FROM sqlite_sequence WHERE name = 'event'",
	[SQL_EVENT_HEAD] = "SELECT place, at_ms FROM event WHERE place > ?1 ORDER BY place "
			   "LIMIT ?2",
	[SQL_EVENT_OLDEST] = "SELECT place, length(CAST(type AS BLOB)) + length(CAST(key_id AS "
			     "BLOB)) + length(CAST(content AS BLOB)) + 64 FROM event WHERE place "
			     "<= ?1 ORDER BY place LIMIT ?2",
	[SQL_EVENT_DROP] = "DELETE FROM event WHERE place <= ?1",

	/* One row is the oldest of the next key that has any: keys take turns by their order, lane
	 * by lane. (A comparison of both at once, as rows, would look at all of the key before.) */
	[SQL_CLAIM_FIRST] = READY " ORDER BY lane, key_id, due_ms LIMIT 1",
	[SQL_CLAIM_NEXT] = READY " AND lane = ?1 AND key_id > ?2 ORDER BY key_id, due_ms LIMIT 1",
	[SQL_CLAIM_NEXT_LANE] = READY " AND lane > ?1 ORDER BY lane, key_id, due_ms LIMIT 1",
	[SQL_CLAIM_OVER] = READY " AND lane <> '' AND lane = ?1 AND expires_ms <= ?2 "
				 "ORDER BY expires_ms LIMIT 1",
	[SQL_SUSPECTS] = "SELECT " ROW_COLUMNS " FROM message WHERE turn = 3 AND strikes = ?1 "
			 "ORDER BY due_ms",
	[SQL_SUSPECT_WORST] = "SELECT max(strikes) FROM message WHERE turn = 3",
	[SQL_SUSPECT_OUT] = "SELECT max(strikes) FROM message WHERE turn = 4 AND strikes > 0",
	[SQL_SUSPECT_NO_MORE] = "UPDATE message SET turn = 1 WHERE turn = 3 AND strikes = 1",
	[SQL_LEASE] = "UPDATE message SET state = 2, turn = 4, tries = tries + 1, mark = ?2, "
		      "token = ?3, lease_ms = ?4 WHERE place = ?1",
	[SQL_FENCE] = "UPDATE message SET mark = ?3, lease_ms = ?4 "
		      "WHERE id = ?1 AND token = ?2 AND turn = 4",
	[SQL_RENEW] = "UPDATE message SET lease_ms = ?3 WHERE id = ?1 AND token = ?2 AND turn = 4",
	[SQL_FIND] = "SELECT " ROW_COLUMNS " FROM message WHERE id = ?1",
	[SQL_MOVE] = "UPDATE message SET state = ?2, turn = ?3, token = 0, mark = 0 "
		     "WHERE place = ?1",
	[SQL_RELEASE] = "UPDATE message SET state = ?2, turn = ?3, lane = ?4, due_ms = ?5, "
			"tries = tries - 1, token = 0, mark = 0, updated_ms = ?6 WHERE place = ?1",
	[SQL_SETTLE] = "UPDATE message SET state = ?3, turn = ?4, lane = ?5, due_ms = ?6, "
		       "expires_ms = ?7, updated_ms = ?8, has_body = ?9, course = ?10, "
		       "strikes = 0, mark = 0, maybe_sent = ?11, token = 0 "
		       "WHERE place = ?1 AND token = ?2 AND turn = 4",
	[SQL_SETTLE_PART] = "UPDATE message SET course = ?3, mark = min(mark, 1), maybe_sent = 0 "
			    "WHERE place = ?1 AND token = ?2 AND turn = 4",
	[SQL_CHANGE] = "UPDATE message SET state = ?2, turn = ?3, due_ms = ?4, expires_ms = ?5, "
		       "updated_ms = ?6, has_body = ?7, course = ?8, strikes = 0, maybe_sent = ?9 "
		       "WHERE place = ?1",

	[SQL_RIPE] = "SELECT place, key_id, state, " WEIGHT ", strikes, created_ms FROM message "
		     "WHERE turn = 2 AND state = ?1 AND due_ms <= ?2 ORDER BY due_ms LIMIT 1",
	[SQL_NEXT_DUE] = "SELECT due_ms FROM message WHERE turn = 2 AND state = ?1 "
			 "ORDER BY due_ms LIMIT 1",
	[SQL_HASTEN] =
		"UPDATE message SET due_ms = ?1 WHERE updated_ms > ?3 AND place IN (SELECT place "
		"FROM message WHERE turn = 2 AND state IN (1, 5) AND due_ms > ?1 LIMIT ?2)",
	[SQL_LEASES_OVER] =
		"SELECT place, key_id, state, " WEIGHT ", strikes, created_ms FROM message "
		"WHERE turn = 4 AND lease_ms <= ?1 LIMIT 1",
	[SQL_DOUBT] = "UPDATE message SET maybe_sent = " DOUBT("1") " WHERE place = ?1",
	[SQL_STRUCK] = "UPDATE message SET mark = 1 WHERE id = ?1 AND turn = 4 AND mark = 0",
	[SQL_VOID] = "UPDATE message SET strikes = strikes + CASE WHEN mark > 0 THEN 1 ELSE 0 END, "
		     "maybe_sent = " DOUBT(
			     "mark > 0 OR ?1 = 1") ", "
						   "turn = CASE WHEN strikes > 0 OR mark > 0 THEN "
						   "3 ELSE 1 END, "
						   "state = 5, token = 0, mark = 0 WHERE turn = 4",

	[SQL_LIST] = "SELECT " ROW_COLUMNS " FROM message WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
	[SQL_LIST_HELD] = "SELECT id FROM message WHERE turn = 5 AND state = ?3 AND id < ?1 "
			  "ORDER BY id DESC LIMIT ?2",
	[SQL_LIST_WAITING] = "SELECT id FROM message WHERE turn > 0 AND state = ?3 AND +id < ?1 "
			     "ORDER BY +id DESC LIMIT ?2",
	[SQL_LIST_SETTLED] = "SELECT id FROM message WHERE turn = 0 AND state = ?3 AND +id < ?1 "
			     "ORDER BY +id DESC LIMIT ?2",
	[SQL_FEW_WAITING] = "SELECT count(*) FROM (SELECT 1 FROM message WHERE turn > 0 LIMIT ?2)",
	[SQL_FEW_SETTLED] = "SELECT count(*) FROM (SELECT 1 FROM message WHERE turn = 0 "
			    "AND state = ?1 LIMIT ?2)",
	[SQL_WAITING] = "SELECT created_ms FROM message WHERE turn > 0 ORDER BY created_ms",
	[SQL_WAITING_AGELESS] = "SELECT created_ms FROM message WHERE turn = 2 AND state = 0 "
				"UNION ALL SELECT created_ms FROM message WHERE turn = 5",

	[SQL_SETTLED] = "SELECT place, key_id, state, " WEIGHT ", has_body FROM message "
			"WHERE turn = 0 AND state = ?1 AND updated_ms < ?2 "
			"ORDER BY updated_ms LIMIT 1",
	/* what was captured is there to be read */
	[SQL_BODIED] = "SELECT place FROM message WHERE turn = 0 AND has_body = 1 "
		       "AND updated_ms < ?1 AND state <> 10 ORDER BY updated_ms LIMIT 1",
	[SQL_BODY_GONE] = "UPDATE message SET has_body = 0 WHERE place = ?1",
	[SQL_FORGET] = "DELETE FROM message WHERE place = ?1",

	[SQL_ONCE_GET] = "SELECT state, hash, answer FROM once WHERE key_id = ?1 AND word = ?2",
	[SQL_ONCE_PUT] = "INSERT INTO once (key_id, word, state, hash, at_ms, answer) "
			 "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (key_id, word) DO UPDATE SET "
			 "state = excluded.state, hash = excluded.hash, at_ms = excluded.at_ms, "
			 "answer = excluded.answer "
			 "WHERE ?7 = 0 OR (once.state <> 0 AND once.at_ms = ?7)",
	[SQL_ONCE_DROP] = "DELETE FROM once WHERE key_id = ?1 AND word = ?2 "
			  "AND (?3 = 0 OR (state <> 0 AND at_ms = ?3))",
	[SQL_ONCE_CUT] = "UPDATE once SET state = 2 WHERE state = 1",
	[SQL_ONCE_SWEEP] =
		"DELETE FROM once WHERE (key_id, word) IN (SELECT key_id, word FROM once "
		"WHERE state <> 1 AND at_ms < ?1 ORDER BY at_ms LIMIT ?2)",

	[SQL_NOTE_GET] = "SELECT token, lease_ms, content FROM note WHERE name = ?1",
	[SQL_NOTE_PUT] = "INSERT INTO note (name, token, lease_ms, content) "
			 "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET "
			 "token = excluded.token, lease_ms = excluded.lease_ms, "
			 "content = excluded.content",
	[SQL_NOTE_VOID] = "UPDATE note SET token = 0",

	[SQL_TEMPLATE_PUT] = "INSERT INTO template (name, content) VALUES (?1, ?2) "
			     "ON CONFLICT (name) DO UPDATE SET content = excluded.content",
	[SQL_TEMPLATE_DROP] = "DELETE FROM template WHERE name = ?1",
	[SQL_TEMPLATE_GET] = "SELECT 1 FROM template WHERE name = ?1",
	[SQL_TEMPLATE_LIST] = "SELECT name, content FROM template ORDER BY name",

	[SQL_TALLY_LIST] = "SELECT key_id, state, messages, bytes FROM tally ORDER BY key_id",
	[SQL_TALLY_PUT] = "INSERT INTO tally (key_id, state, messages, bytes) "
			  "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key_id, state) DO UPDATE SET "
			  "messages = excluded.messages, bytes = excluded.bytes",
	[SQL_FREE_BYTES] = "SELECT freelist_count * page_size FROM pragma_freelist_count, "
			   "pragma_page_size",
	[SQL_PROVE] = "PRAGMA application_id = 1279742285", /* what it is already */
};
