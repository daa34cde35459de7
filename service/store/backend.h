/* backend - where a store comes from: SQLite's file, or PostgreSQL's tables */
#pragma once

#include "service/store/store.h"

struct log;

/* Makes the file if there is none, mode 0600. All leases are void: those of messages whose MAIL was
 * marked, or noted in its `strikes`, become strikes. An error is one line in *why: ERR_IO, it
 * cannot be opened or written, or another process has it; ERR_SYNTAX, it is damaged or not ours;
 * ERR_VALUE, a newer version's. The file is left as it was then. */
MUST_USE enum err store_sqlite_open(const char *path, const struct store_limits *limits,
	struct store *store_out, struct buf *why);
/* `words`: a connection string or URI as libpq takes them; it has a password, and is never told.
 * Makes the tables if there are none, in the first schema of the search path. An error is one line
 * in *why: ERR_IO, it cannot be reached or used; ERR_SYNTAX, the tables are damaged or not ours;
 * ERR_VALUE, a newer version's. From then on it comes back by itself: until then, ERR_IO. What is
 * wrong meanwhile is in the log, which may be NULL and outlives the store. */
MUST_USE enum err store_pg_open(const char *words, const struct store_limits *limits,
	struct log *log, struct store *store_out, struct buf *why);

/* A store as it is found, for `lettergate check`. */
struct store_found {
	char server[64];        /* what it is, with its version */
	int64_t schema, newest; /* of its tables, 0: there are none yet; that we know of */
	bool is_held;           /* another process has it: it was not opened */
	char commits[32];       /* PostgreSQL: synchronous_commit */
	char unsafe[96];        /* settings with which what was accepted may be lost; "": none */
};

/* As the two above, and nothing of it is changed: what would become of them? OK: it can be opened
 * and written, as far as that can be known; or another process has it. */
MUST_USE enum err store_sqlite_inspect(
	const char *path, struct store_found *found_out, struct buf *why);
MUST_USE enum err store_pg_inspect(
	const char *words, struct store_found *found_out, struct buf *why);
