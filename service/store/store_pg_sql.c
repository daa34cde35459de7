/* Every statement of the PostgreSQL backend. The literal conditions on `turn` are those of the
 * partial indexes in store_pg_schema.c: without them an index is of no use. What is locked is
 * materialized first, or a plan might lock it more than once. */
#include "service/store/store_pg_own.h"
#include "service/store/store_pg_pieces.h"

/* clang-format off */
const struct pg_statement pg_statements[PG_SQLS] = {
	[PG_BEGIN] = { "BEGIN", "", false },
	[PG_COMMIT] = { "COMMIT", "", false },
	[PG_ROLLBACK] = { "ROLLBACK", "", false },
	[PG_SAVEPOINT] = { "SAVEPOINT s", "", false },
	[PG_SAVEPOINT_END] = { "RELEASE s", "", false },
	[PG_GO_BACK] = { "ROLLBACK TO s", "", false },
	[PG_NO_TIMEOUT] = { "SET LOCAL statement_timeout = 0", "", false },
	[PG_NO_SYNC] = { "SET LOCAL synchronous_commit = off", "", false },
	[PG_ACCEPT] = {
		"WITH m AS (" MESSAGE_VALUES " RETURNING id), e AS ("
		EVENTS("$21", "$22", "$23", "$24", "$25", "$26", "") ") INSERT INTO "
		"lettergate_body (id, crc, bytes) SELECT $1, $19, $20 WHERE $11 = 1",
		MESSAGE_TYPES, true },
	[PG_ACCEPT_ONCE] = {
		"WITH o AS (INSERT INTO lettergate_once (key_id, word, at_ms, owner, state, hash, "
		"answer) VALUES ($28, $29, $30, $31, 0, $32, $33) ON CONFLICT DO NOTHING RETURNING "
		"1), m AS (" MESSAGE_VALUES " FROM o RETURNING id), e AS ("
		EVENTS("$21", "$22", "$23", "$24", "$25", "$26", "o, ") "), b AS (INSERT INTO "
		"lettergate_body (id, crc, bytes) SELECT $1, $19, $20 FROM o WHERE $11 = 1) SELECT "
		"count(*) FROM o",
		MESSAGE_TYPES "bbnnbb", true },
	[PG_SUSPECT_NO_MORE] = {
		"WITH locked AS MATERIALIZED (SELECT id FROM " M " WHERE turn = 3 AND strikes = 1 "
		"FOR UPDATE SKIP LOCKED) UPDATE " M " m SET turn = 1 FROM locked l WHERE m.id = l.id",
		"", false },
	/* lanes that are closed, mark, token, owner, lease, with its bytes, least strikes; of
	 * them those that rest, and now */
	[PG_SUSPECT] = {
		"WITH locked AS MATERIALIZED (SELECT id, state AS was, 1 AS n, 1 AS r FROM " M " "
		"WHERE turn = 3 AND (NOT (lane = ANY ($1)) OR (lane = ANY ($8) AND expires_ms <= $9)) "
		"AND " NO_SUSPECT_OF("$4", "$7") " ORDER BY strikes DESC, due_ms LIMIT 1 FOR UPDATE SKIP LOCKED), " LEASE("$2", "$3", "$4", "$5", "$6"),
		"BnnnnnnBn", false },
	/* lane and key whose turn it was last, lanes that are closed, messages, then as above;
	 * narrow lanes and the room in each; bytes; least strikes; lanes that rest, now, and how
	 * many whose time is `over` there.
	 * `after` and `before` are the keys that have any, in a circle; each is given so many
	 * as its turns are, and these are locked, without those that somebody else has. Of
	 * them those are left whose bytes are too many. */
	[PG_CLAIM] = {
		"WITH RECURSIVE after(lane, key_id, rests, n) AS (SELECT $1, $2, $1 = ANY ($3), 0 "
		"UNION ALL SELECT s.lane, s.key_id, s.lane = ANY ($3), x.n + 1 FROM after x "
		NEXT_KEY "), before(lane, key_id, rests, n) AS ((SELECT lane, key_id, lane = ANY "
		"($3), 1000000 FROM " M " WHERE turn = 1 ORDER BY lane, key_id LIMIT 1) UNION ALL "
		"SELECT s.lane, s.key_id, s.lane = ANY ($3), x.n + 1 FROM before x " NEXT_KEY " "
		"WHERE (x.lane, x.key_id) < ($1, $2)), calm AS MATERIALIZED (SELECT 1 WHERE "
		NO_SUSPECT_OF("$7", "$13") "), over AS MATERIALIZED (SELECT o.id, o.was, "
		"o.weight, row_number() OVER () AS n FROM unnest($14) AS l(lane) CROSS JOIN "
		"LATERAL (SELECT id, state AS was, " WEIGHT " FROM " M " WHERE turn = 1 AND lane "
		"<> '' AND lane = l.lane AND expires_ms <= $15 ORDER BY expires_ms LIMIT $16 FOR UPDATE SKIP LOCKED) "
		"o WHERE EXISTS (SELECT 1 FROM calm) LIMIT $16), circle AS MATERIALIZED (SELECT * FROM "
		"(SELECT lane, key_id, n FROM after WHERE n > 0 AND NOT rests UNION ALL SELECT "
		"lane, key_id, n FROM before WHERE NOT rests AND (lane, key_id) <= ($1, $2)) c "
		"WHERE EXISTS (SELECT 1 FROM calm) LIMIT $4), waiting AS (SELECT c.n, c.lane, c.key_id, "
		"o.r, row_number() OVER (PARTITION BY c.lane ORDER BY o.r, c.n) AS place FROM "
		"circle c CROSS JOIN LATERAL (SELECT row_number() OVER () AS r FROM (SELECT 1 FROM "
		M " WHERE turn = 1 AND lane = c.lane AND key_id = c.key_id LIMIT $4) o) o), turns "
		"AS MATERIALIZED (SELECT n, lane, key_id, count(*) AS messages FROM (SELECT w.* "
		"FROM waiting w LEFT JOIN unnest($10, $11) AS narrow(lane, room) USING (lane) "
		"WHERE w.place <= coalesce(room, w.place) ORDER BY w.r, w.n LIMIT $4 - (SELECT "
		"count(*) FROM over)) t GROUP BY n, "
		"lane, key_id), free AS MATERIALIZED (SELECT o.id, o.was, o.weight, t.n, "
		"row_number() OVER (PARTITION BY t.n ORDER BY o.due_ms) AS r FROM turns t CROSS "
		"JOIN LATERAL (SELECT id, due_ms, state AS was, " WEIGHT " FROM " M " WHERE turn = "
		"1 AND lane = t.lane AND key_id = t.key_id ORDER BY due_ms LIMIT t.messages FOR "
		"UPDATE SKIP LOCKED) o UNION ALL SELECT id, was, weight, n, 0 FROM over), locked AS MATERIALIZED (SELECT id, was, n, r FROM (SELECT "
		"id, was, n, r, sum(weight) OVER (ORDER BY r, n) - weight AS bytes FROM "
		"free) f WHERE bytes < $12), " LEASE("$5", "$6", "$7", "$8", "$9") " ORDER BY m.r, "
		"m.n",
		"bbBnnnnnnBNnnBnn", false },
	/* id, state before, with its bytes */
	[PG_CLAIMED] = {
		"SELECT " PG_COLUMNS("false") ", $2, b.crc, b.bytes FROM " M " m LEFT JOIN "
		"lettergate_body b ON b.id = m.id AND m.has_body = 1 AND $3 = 1 WHERE m.id = $1",
		"unn", false },
	[PG_SET_ASIDE] = {
		"WITH m AS (UPDATE " M " SET state = 8, turn = 5, token = 0, mark = 0, owner = 0 "
		"WHERE id = $1) " EVENTS("$2", "$3", "$4", "$5", "$6", "$7", ""),
		"uNBBBnn", true },
	[PG_FENCE] = {
		"UPDATE " M " SET mark = $3, lease_ms = " PG_NOW_MS " + $4 WHERE id = $1 AND token "
		"= $2 AND turn = 4 AND lease_ms > " PG_NOW_MS,
		"unnn", true },
	[PG_MARK] = {
		"UPDATE " M " SET mark = $3 WHERE id = $1 AND token = $2 AND turn = 4 AND mark < $3",
		"unn", false },
	[PG_RENEW] = {
		"UPDATE " M " SET lease_ms = " PG_NOW_MS " + $3 WHERE id = $1 AND token = $2 AND "
		"turn = 4",
		"unn", true },
	/* id, token, lane, due, whether that is later, now */
	[PG_RELEASE] = {
		"WITH moved AS (UPDATE " M " SET state = CASE WHEN attempted > 0 THEN 5 ELSE 1 "
		"END, turn = CASE WHEN $5 = 1 THEN 2 WHEN strikes > 0 THEN 3 ELSE 1 END, lane = "
		"$3, due_ms = $4, tries = tries - 1, token = 0, mark = 0, owner = 0, updated_ms "
		"= $6 WHERE id = $1 AND token = $2 AND turn = 4 RETURNING key_id, 2 AS was, state, "
		WEIGHT ") " MOVED,
		"unbnnn", true },
	[PG_SETTLE] = {
		"WITH s AS (UPDATE " M " SET state = $3, turn = $4, lane = $5, due_ms = $6, "
		"expires_ms = $7, updated_ms = $8, has_body = $9, course = $10, maybe_sent = $11, "
		"attempted = $12, strikes = 0, mark = 0, token = 0, owner = 0 WHERE id = $1 AND "
		"token = $2 AND turn = 4 RETURNING 1), b AS (DELETE FROM lettergate_body WHERE id "
		"= $1 AND $9 = 0 AND EXISTS (SELECT 1 FROM s)), e AS ("
		EVENTS("$13", "$14", "$15", "$16", "$17", "$18", "s, ") ") SELECT count(*) FROM s",
		"unnnbnnnnbnnNBBBnn", true },
	[PG_SETTLE_PART] = {
		"WITH s AS (UPDATE " M " SET course = $3, mark = least(mark, 1), maybe_sent = 0, "
		"attempted = 1 WHERE id = $1 AND token = $2 AND turn = 4 RETURNING 1), e AS ("
		EVENTS("$4", "$5", "$6", "$7", "$8", "$9", "s, ") ") SELECT count(*) FROM s",
		"unbNBBBnn", true },
	[PG_FIND] = {
		"SELECT " PG_COLUMNS("$2 = 1") " FROM " M " m WHERE id = $1",
		"un", false },
	[PG_FIND_LOCKED] = {
		"SELECT " PG_COLUMNS("$2 = 1") " FROM " M " m WHERE id = $1 FOR UPDATE",
		"un", false },
	[PG_CHANGE] = {
		"WITH s AS (UPDATE " M " SET state = $2, turn = $3, due_ms = $4, expires_ms = $5, "
		"updated_ms = $6, has_body = $7, course = $8, strikes = 0, maybe_sent = $15 WHERE "
		"id = $1), b AS (DELETE FROM lettergate_body WHERE id = $1 AND $7 = 0) "
		EVENTS("$9", "$10", "$11", "$12", "$13", "$14", ""),
		"unnnnnnbNBBBnnn", true },
	[PG_BODY] = { "SELECT crc, bytes FROM lettergate_body WHERE id = $1", "u", false },
	/* before, passed over, state, by state, by key, the key, looked into, bytes, bare */
	[PG_LIST] = { "WITH seen AS MATERIALIZED (" ALL "), " SHOWN, LIST_TYPES, false },
	[PG_LIST_HELD] = {
		"WITH seen AS MATERIALIZED (SELECT id, key_id, state FROM " M " WHERE turn = 5 AND "
		"state = $3 AND id < $1 ORDER BY id DESC LIMIT $2), " SHOWN,
		LIST_TYPES, false },
	[PG_LIST_SCHEDULED] = { FEW("turn = 2 AND state = 0", "due_ms"), LIST_TYPES "n", false },
	[PG_LIST_WAITING] = {
		FEW("turn > 0 AND state <> 0", "created_ms"), LIST_TYPES "n", false },
	[PG_LIST_SETTLED] = {
		FEW("turn = 0 AND state = $3", "updated_ms"), LIST_TYPES "n", false },
	/* after, steps, by key, the key, events, base, bare */
	[PG_EVENTS] = {
		"WITH seen AS MATERIALIZED (SELECT cursor, key_id FROM lettergate_event WHERE "
		"cursor > $1 AND cursor < (txid_snapshot_xmin(txid_current_snapshot()) + $6) << 20 "
		"ORDER BY cursor LIMIT $2), wanted AS MATERIALIZED (SELECT cursor FROM seen WHERE "
		"$3 = 0 OR key_id = $4 ORDER BY cursor LIMIT $5) SELECT e.cursor, e.at_ms, e.type, "
		"e.key_id, CASE WHEN $7 = 1 THEN NULL ELSE e.content END FROM wanted w JOIN "
		"lettergate_event e USING (cursor) UNION "
		"ALL SELECT max(cursor), NULL, NULL, NULL, NULL FROM seen HAVING max(cursor) IS "
		"NOT NULL ORDER BY 1, 2",
		"nnnbnnn", false },
	[PG_EVENT] = { "SELECT content FROM lettergate_event WHERE cursor = $1", "n", false },
	[PG_EVENT_NEWEST] = {
		"SELECT coalesce((SELECT cursor FROM lettergate_event WHERE cursor < "
		"(txid_snapshot_xmin(txid_current_snapshot()) + $1) << 20 ORDER BY cursor DESC "
		"LIMIT 1), 0), (txid_snapshot_xmax(txid_current_snapshot()) + $1) << 20",
		"n", false },
	[PG_OLDEST] = {
		"SELECT coalesce(min(created_ms), 0), count(*) FILTER (WHERE created_ms < $1), "
		"count(*) FILTER (WHERE created_ms < $2), count(*) FILTER (WHERE created_ms < $3), "
		"count(*) FILTER (WHERE created_ms < $4), count(*) FILTER (WHERE created_ms < $5), "
		"count(*) FILTER (WHERE created_ms < $6), count(*) FILTER (WHERE created_ms < $7), "
		"count(*) FILTER (WHERE created_ms < $8) FROM (SELECT created_ms FROM " M
		" WHERE turn > 0 AND turn <> 5 AND state <> 0 ORDER BY created_ms LIMIT 100000) oldest",
		"nnnnnnnn", false },
	[PG_ONCE_BEGIN] = {
		"INSERT INTO lettergate_once (key_id, word, state, hash, at_ms, answer, owner) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		"bbnbnbn", true },
	[PG_ONCE_TAKE_CUT] = {
		"UPDATE lettergate_once SET state = 1, owner = $3, at_ms = $4 WHERE key_id = $1 "
		"AND word = $2 AND state = 2 AND hash = $5",
		"bbnnb", true },
	[PG_ONCE_GET] = {
		"SELECT state, hash, answer FROM lettergate_once WHERE key_id = $1 AND word = $2",
		"bb", false },
	[PG_ONCE_PUT] = {
		"INSERT INTO lettergate_once (key_id, word, state, hash, at_ms, answer, owner) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_id, word) DO UPDATE SET "
		"state = excluded.state, hash = excluded.hash, at_ms = excluded.at_ms, answer = "
		"excluded.answer, owner = excluded.owner WHERE $8 = 0 OR "
		"(lettergate_once.state <> 0 AND lettergate_once.owner = $7 AND "
		"lettergate_once.at_ms = $8)",
		"bbnbnbnn", true },
	[PG_ONCE_DROP] = {
		"DELETE FROM lettergate_once WHERE key_id = $1 AND word = $2 AND ($4 = 0 OR "
		"(state <> 0 AND owner = $3 AND at_ms = $4))",
		"bbnn", true },
	[PG_ONCE_CUT] = {
		"UPDATE lettergate_once o SET state = 2 WHERE state = 1 AND NOT EXISTS (SELECT 1 "
		"FROM lettergate_replica r WHERE r.owner = o.owner AND r.seen_ms > " PG_NOW_MS " - "
		"$1)",
		"n", true },
	[PG_ONCE_SWEEP] = {
		"WITH old AS MATERIALIZED (SELECT key_id, word FROM lettergate_once WHERE state <> "
		"1 AND at_ms < $1 ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED), gone AS (DELETE "
		"FROM lettergate_once o USING old WHERE o.key_id = old.key_id AND o.word = "
		"old.word) SELECT count(*) FROM old",
		"nn", false },
	/* So that there is a row to be locked. */
	[PG_NOTE_MAKE] = {
		"INSERT INTO lettergate_note (name, token, lease_ms, content) VALUES ($1, 0, 0, "
		"'') ON CONFLICT DO NOTHING",
		"b", true },
	/* name, token, lease, whether it says something new, what */
	[PG_NOTE_TAKE] = {
		"UPDATE lettergate_note n SET token = CASE WHEN $3 > 0 THEN $2 ELSE 0 END, "
		"lease_ms = " PG_NOW_MS " + $3, content = CASE WHEN $4 = 1 THEN $5 ELSE n.content "
		"END FROM (SELECT content FROM lettergate_note WHERE name = $1 FOR UPDATE) o WHERE "
		"n.name = $1 AND (n.token = 0 OR n.token = $2 OR n.lease_ms <= " PG_NOW_MS ") "
		"RETURNING o.content",
		"bnnnb", true },
	/* Before anything else of a change, so that two of them wait for each other only here. */
	[PG_TEMPLATE_REVISE] = {
		"INSERT INTO lettergate_note (name, token, lease_ms, content) VALUES "
		"('templates', $1, 0, '') ON CONFLICT (name) DO UPDATE SET token = $1",
		"n", true },
	[PG_TEMPLATE_REVISION] = {
		"SELECT token FROM lettergate_note WHERE name = 'templates'", "", false },
	[PG_TEMPLATE_PUT] = {
		"WITH old AS MATERIALIZED (SELECT count(*) AS many FROM lettergate_template WHERE "
		"name = $1), put AS (INSERT INTO lettergate_template (name, content) VALUES ($1, "
		"$2) ON CONFLICT (name) DO UPDATE SET content = excluded.content) SELECT many FROM "
		"old",
		"bb", true },
	[PG_TEMPLATE_DROP] = { "DELETE FROM lettergate_template WHERE name = $1", "b", true },
	[PG_TEMPLATE_LIST] = {
		"SELECT name, content FROM lettergate_template ORDER BY name",
		"", false },
	/* state, now, messages */
	[PG_RIPEN] = {
		"WITH due AS MATERIALIZED (SELECT id, state FROM " M " WHERE turn = 2 AND state = "
		"$1 AND due_ms <= $2 ORDER BY due_ms LIMIT $3 FOR UPDATE SKIP LOCKED), moved AS "
		"(UPDATE " M " m SET turn = CASE WHEN m.strikes > 0 THEN 3 ELSE 1 END, state = "
		"CASE WHEN m.state = 0 THEN 1 ELSE m.state END FROM due d WHERE m.id = d.id "
		"RETURNING m.key_id, d.state AS was, m.state, " WEIGHT ") " MOVED,
		"nnn", false },
	[PG_NEXT_DUE] = {
		"SELECT least((SELECT due_ms FROM " M " WHERE turn = 2 AND state = 0 ORDER BY "
		"due_ms LIMIT 1), (SELECT due_ms FROM " M " WHERE turn = 2 AND state = 1 ORDER BY "
		"due_ms LIMIT 1), (SELECT due_ms FROM " M " WHERE turn = 2 AND state = 5 ORDER BY "
		"due_ms LIMIT 1))",
		"", false },
	/* until when, messages, noted later than that */
	[PG_HASTEN] = {
		"WITH far AS MATERIALIZED (SELECT id, updated_ms FROM " M " WHERE turn = 2 AND "
		"state IN (1, 5) AND due_ms > $1 LIMIT $2), wrong AS MATERIALIZED (SELECT m.id "
		"FROM far JOIN " M " m USING (id) WHERE far.updated_ms > $3 AND m.turn = 2 FOR "
		"UPDATE OF m SKIP LOCKED) UPDATE " M " m SET due_ms = $1 FROM wrong w WHERE m.id = "
		"w.id",
		"nnn", false },
	/* owner, messages */
	[PG_LEASES_OVER] = {
		"WITH over AS MATERIALIZED (SELECT id, strikes + CASE WHEN mark > 0 AND owner <> "
		"$1 THEN 1 ELSE 0 END AS strikes FROM " M " WHERE turn = 4 AND lease_ms <= "
		PG_NOW_MS " LIMIT $2 FOR UPDATE SKIP LOCKED), " TAKE_BACK,
		"nn", false },
	[PG_LEASES_OWN] = {
		"WITH cut AS (UPDATE lettergate_once SET state = 2 WHERE state = 1 AND owner = "
		"$1), over AS MATERIALIZED (SELECT id, strikes FROM " M " WHERE turn = 4 AND owner "
		"= $1 FOR UPDATE SKIP LOCKED), " TAKE_BACK,
		"n", false },
	/* state, before, messages */
	[PG_SWEEP_STATE] = {
		"WITH old AS MATERIALIZED (SELECT id FROM " M " WHERE turn = 0 AND state = $1 AND "
		"updated_ms < $2 ORDER BY updated_ms LIMIT $3 FOR UPDATE SKIP LOCKED), bodies AS "
		"(DELETE FROM lettergate_body b USING old WHERE b.id = old.id), moved AS (DELETE "
		"FROM " M " m USING old WHERE m.id = old.id RETURNING m.key_id, m.state AS was, 11 "
		"AS state, " WEIGHT ") " MOVED,
		"nnn", false },
	[PG_SWEEP_BODIES] = {
		"WITH old AS MATERIALIZED (SELECT id FROM " M " WHERE turn = 0 AND has_body = 1 "
		"AND updated_ms < $1 AND state <> 10 ORDER BY updated_ms LIMIT $2 FOR UPDATE SKIP LOCKED), bodies "
		"AS (DELETE FROM lettergate_body b USING old WHERE b.id = old.id), messages AS "
		"(UPDATE " M " m SET has_body = 0 FROM old WHERE m.id = old.id) SELECT count(*) "
		"FROM old",
		"nn", false },
	/* before, events, all up to there are ahead, ahead, events looked at */
	[PG_EVENT_SWEEP] = {
		"WITH first AS MATERIALIZED (SELECT cursor, at_ms FROM lettergate_event WHERE "
		"cursor > $3 ORDER BY cursor LIMIT $5), old AS MATERIALIZED (SELECT cursor FROM "
		"lettergate_event WHERE cursor <= (SELECT max(cursor) FROM first WHERE at_ms < $1) "
		"ORDER BY cursor LIMIT $2 FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM "
		"lettergate_event e USING old WHERE e.cursor = old.cursor RETURNING " EVENT_BYTES
		" AS bytes) SELECT count(*), coalesce(sum(bytes), 0), (SELECT "
		"coalesce(max(cursor), 0) FROM first), (SELECT count(*) FROM first WHERE at_ms > "
		"$4) FROM gone",
		"nnnnn", false },
	/* bytes that may stay, events */
	[PG_EVENT_SHED] = {
		"WITH past AS MATERIALIZED (SELECT coalesce(sum(bytes), 0) - $1 AS bytes FROM "
		"lettergate_event_tally), first AS MATERIALIZED (SELECT cursor, sum(bytes) OVER "
		"(ORDER BY cursor) - bytes AS before FROM (SELECT cursor, " EVENT_BYTES " AS bytes "
		"FROM lettergate_event ORDER BY cursor LIMIT $2) e), old AS MATERIALIZED (SELECT "
		"cursor FROM lettergate_event WHERE cursor <= (SELECT max(cursor) FROM first, past "
		"WHERE before < past.bytes) ORDER BY cursor LIMIT $2 FOR UPDATE SKIP LOCKED), gone "
		"AS (DELETE FROM lettergate_event e USING old WHERE e.cursor = old.cursor "
		"RETURNING " EVENT_BYTES " AS bytes) SELECT count(*), coalesce(sum(bytes), 0) FROM "
		"gone",
		"nn", false },
	/* what waits, by key; all else as one, with no key */
	[PG_TALLY_LIST] = {
		"SELECT CASE WHEN state IN (0, 1, 2, 5, 8) THEN key_id ELSE '' END, state::bigint, "
		"sum(messages)::bigint, sum(bytes)::bigint FROM lettergate_tally GROUP BY 1, 2 "
		"HAVING sum(messages) <> 0 OR sum(bytes) <> 0" LOG_ROW,
		"", false },
	[PG_TALLY_SUM] = {
		"SELECT ''::bytea, state::bigint, sum(messages)::bigint, sum(bytes)::bigint FROM "
		"lettergate_tally GROUP BY state" LOG_ROW,
		"", false },
	[PG_TALLY_ADD] = {
		"INSERT INTO lettergate_tally AS t (slot, key_id, state, messages, bytes) VALUES "
		"($1, $2, $3, $4, $5) ON CONFLICT (slot, key_id, state) DO UPDATE SET messages = "
		"t.messages + excluded.messages, bytes = t.bytes + excluded.bytes",
		"nbnnn", true },
	[PG_TALLY_LOG] = {
		"INSERT INTO lettergate_event_tally AS t (slot, events, bytes) VALUES ($1, $2, $3) "
		"ON CONFLICT (slot) DO UPDATE SET events = t.events + excluded.events, bytes = "
		"t.bytes + excluded.bytes",
		"nnn", true },
	/* owner, a slot if none is free */
	[PG_REPLICA_BEGIN] = {
		"INSERT INTO lettergate_replica AS r (owner, slot, seen_ms, commit_id) VALUES ($1, "
		"coalesce((SELECT min(s) FROM generate_series(0, 15) s WHERE s NOT IN (SELECT slot "
		"FROM lettergate_replica WHERE seen_ms > " PG_NOW_MS " - 60000)), $2), " PG_NOW_MS
		", 0) ON CONFLICT (owner) DO UPDATE SET seen_ms = excluded.seen_ms RETURNING slot",
		"nn", true },
	/* owner, number of the commit, slot: the row may be gone, if we stood still for a day */
	[PG_REPLICA_NOTE] = {
		"INSERT INTO lettergate_replica (owner, commit_id, slot, seen_ms) "
		"VALUES ($1, $2, $3, " PG_NOW_MS ") ON CONFLICT (owner) DO UPDATE SET "
		"commit_id = excluded.commit_id, seen_ms = excluded.seen_ms",
		"nnn", true },
	[PG_REPLICA_ASK] = {
		"SELECT commit_id FROM lettergate_replica WHERE owner = $1 FOR UPDATE",
		"n", false },
	[PG_REPLICA_SWEEP] = {
		"DELETE FROM lettergate_replica WHERE seen_ms < " PG_NOW_MS " - $1",
		"n", true },
	[PG_REPLICA_END] = { "DELETE FROM lettergate_replica WHERE owner = $1", "n", true },
};
/* clang-format on */
