/* store_pg_pieces - what several statements of store_pg_sql.c have in common */
#pragma once

#define M "lettergate_message"

/* Rows for pg_tally_moved out of `moved` (key_id, was, state, weight). */
#define MOVED                                                                                      \
	"SELECT key_id, was::bigint, state::bigint, count(*), sum(weight)::bigint FROM moved "     \
	"GROUP BY key_id, was, state"
#define WEIGHT "size_bytes + more_bytes AS weight"

/* What a claim gives; `l` has the ids and their states before. With: 0 without the bodies, 1 with
 * them, 2 without anything that is large. */
#define LEASE(mark, token, owner, lease, with)                                                     \
	"leased AS (UPDATE " M " m SET state = 2, turn = 4, tries = tries + 1, mark = " mark       \
	", token = " token ", owner = " owner ", lease_ms = " PG_NOW_MS " + " lease                \
	", out_ms = " PG_NOW_MS                                                                    \
	" FROM locked l WHERE m.id = l.id RETURNING m.*, l.was, l.n, l.r) "                        \
	"SELECT " PG_COLUMNS(with                                                                  \
		" = 2") ", m.was, b.crc, b.bytes FROM leased m LEFT JOIN "                         \
			"lettergate_body b ON b.id = m.id AND m.has_body = 1 AND " with " = 1"

/* None of ours is out, of so many strikes at least, for no longer than rules_alone_ms. */
#define NO_SUSPECT_OF(owner, least)                                                                \
	"NOT EXISTS (SELECT 1 FROM " M " WHERE turn = 4 AND strikes > 0 AND owner = " owner        \
	" AND strikes >= " least " AND (strikes > 3 OR out_ms > " PG_NOW_MS                        \
	" - CASE strikes WHEN 1 THEN 1000 WHEN 2 THEN 5000 ELSE 60000 END))"

/* The next key with anything due behind that of `x`: the index is asked once for each, however many
 * messages they have. A lane that rests is passed over as a whole. */
#define NEXT_KEY                                                                                   \
	"CROSS JOIN LATERAL ((SELECT lane, key_id FROM " M " WHERE turn = 1 AND NOT x.rests AND "  \
	"(lane, key_id) > (x.lane, x.key_id) ORDER BY lane, key_id LIMIT 1) UNION ALL "            \
	"(SELECT lane, key_id FROM " M " WHERE turn = 1 AND x.rests AND lane > x.lane "            \
	"ORDER BY lane, key_id LIMIT 1)) s"

/* Takes back those of `over`: 1 strike where MAIL may have been written by another that is gone. */
#define TAKE_BACK                                                                                  \
	"moved AS (UPDATE " M " m SET strikes = o.strikes, "                                       \
	"maybe_sent = CASE WHEN m.mark = 2 THEN 1 WHEN m.maybe_sent = 0 AND m.mark > 0 THEN 2 "    \
	"ELSE m.maybe_sent END, "                                                                  \
	"turn = CASE WHEN o.strikes > 0 THEN 3 ELSE 1 END, state = 5, token = 0, mark = 0, "       \
	"owner = 0 FROM over o WHERE m.id = o.id "                                                 \
	"RETURNING m.key_id, 2 AS was, m.state, " WEIGHT ") " MOVED

/* Events of four arrays, at places from these. */
#define EVENTS(moments, types, keys, contents, base, first, from)                                  \
	"INSERT INTO lettergate_event (cursor, at_ms, type, key_id, content) "                     \
	"SELECT ((txid_current() + " base ") << 20) + " first " + u.place, u.at_ms, u.type, "      \
	"u.key_id, u.content FROM " from "unnest(" moments ", " types ", " keys ", " contents      \
	") WITH ORDINALITY AS u(at_ms, type, key_id, content, place)"

/* What an event counts, as rules_event_bytes. */
#define EVENT_BYTES "octet_length(type) + octet_length(key_id) + octet_length(content) + 64"

/* What the log of events has, as one row more of the tally. */
#define LOG_ROW                                                                                    \
	" UNION ALL SELECT ''::bytea, 100::bigint, coalesce(sum(events), 0)::bigint, "             \
	"coalesce(sum(bytes), 0)::bigint FROM lettergate_event_tally"

/* A page of a list, newest first: each row says how far was looked, at how many, and how many of
 * them are wanted. There is one at least. */
#define SHOWN                                                                                      \
	"wanted AS MATERIALIZED (SELECT id FROM seen WHERE ($4 = 0 OR state = $3) AND ($5 = 0 OR " \
	"key_id = $6) ORDER BY id DESC LIMIT $7), sized AS (SELECT m.id, "                         \
	"octet_length(m.head) + octet_length(m.course) AS bytes FROM wanted JOIN " M " m USING "   \
	"(id)), fit AS (SELECT id, sum(bytes) OVER (ORDER BY id DESC) - bytes AS before FROM "     \
	"sized) SELECT " PG_COLUMNS(                                                               \
		"$9 = 1") ", (SELECT id FROM seen ORDER BY id LIMIT 1), (SELECT "                  \
			  "count(*) FROM seen), (SELECT count(*) FROM wanted) FROM (SELECT 1) "    \
			  "one LEFT JOIN fit ON "                                                  \
			  "before < $8 LEFT JOIN " M " m ON m.id = fit.id ORDER BY m.id DESC"
#define ALL "SELECT id, key_id, state FROM " M " WHERE id < $1 ORDER BY id DESC LIMIT $2"
/* Those of a pool, if they are few; else all. */
#define FEW(pool, order)                                                                           \
	"WITH few AS MATERIALIZED (SELECT id, key_id, state FROM " M " WHERE " pool                \
	" ORDER BY " order                                                                         \
	" LIMIT $10 + 1), seen AS MATERIALIZED ((SELECT * FROM few WHERE id < $1 AND state "       \
	"= $3 AND (SELECT count(*) FROM few) <= $10 ORDER BY id DESC LIMIT $2) UNION ALL (SELECT " \
	"* FROM (" ALL ") a WHERE (SELECT count(*) FROM few) > $10)), " SHOWN
#define LIST_TYPES "unnnnbnnn"

#define MESSAGE_VALUES                                                                             \
	"INSERT INTO " M " (id, key_id, lane, state, turn, created_ms, due_ms, expires_ms, "       \
	"updated_ms, size_bytes, has_body, tries, token, owner, lease_ms, head, course, "          \
	"attempted, strikes, mark, maybe_sent, more_bytes) "                                       \
	"SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, " PG_NOW_MS           \
	" + $15, $16, $17, $18, 0, 0, 0, $27"
#define MESSAGE_TYPES "ubbnnnnnnnnnnnnbbnnbNBBBnnn"
