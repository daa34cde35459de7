/* The database as it is found, for `lettergate check`: nothing is made, and nobody signs in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/store/store_pg_own.h"

enum { PATIENCE_US = 5000000 };

static enum err say(struct buf *why, const char *words, const char *more)
{
	struct text text = text_of(more);

	text = text_cut(&text, '\n');
	buf_addf(why, "STORE: PostgreSQL: %s%s%.*s", words, text.len ? ": " : "", (int)text.len,
		text.len ? text.at : "");
	return ERR_IO;
}

/* One row, to be freed by PQclear. */
static enum err ask(
	struct pg_store *store, const char *words, PGresult **result_out, struct buf *why)
{
	PGresult *result;
	enum err err = OK;

	if (!pg_plain(store, words, &result))
		return say(why, "it does not answer", "");
	if (pg_plain_is_ok(result) && PQntuples(result) == 1) {
		*result_out = result;
		return OK;
	}
	err = say(why, "it refuses what the queue needs", PQresultErrorMessage(result));
	PQclear(result);
	return err;
}

static void note_unsafe(struct store_found *found, const PGresult *result)
{
	static const char *const names[] = { "fsync", "full_page_writes", "synchronous_commit" };
	struct buf unsafe = buf_over(found->unsafe, sizeof(found->unsafe));

	for (int i = 0; i < 3; i++)
		if (strcmp(PQgetvalue(result, 0, i), "off") == 0)
			buf_addf(&unsafe, "%s%s=off", unsafe.len ? ", " : "", names[i]);
	buf_add_byte(&unsafe, '\0');
	snprintf(found->commits, sizeof(found->commits), "%s", PQgetvalue(result, 0, 2));
}

static enum err inspect_server(struct pg_store *store, struct store_found *found, struct buf *why)
{
	PGresult *result;
	struct text version;
	enum err err = ask(store,
		"SET client_min_messages = error; SET statement_timeout = '5s'; "
		"SELECT current_setting('fsync'), current_setting('full_page_writes'), "
		"current_setting('synchronous_commit'), current_setting('server_version')",
		&result, why);

	if (err)
		return err;
	note_unsafe(found, result);
	version = text_of(PQgetvalue(result, 0, 3));
	version = text_cut(&version, ' ');
	snprintf(found->server, sizeof(found->server), "PostgreSQL %.*s", (int)version.len,
		version.at);
	PQclear(result);
	return OK;
}

/* May we do what we will have to? */
static enum err inspect_rights(struct pg_store *store, bool has_tables, struct buf *why)
{
	PGresult *result;
	bool may;
	enum err err = ask(store,
		has_tables ? "SELECT has_table_privilege('lettergate_message', 'INSERT') AND "
			     "has_table_privilege('lettergate_message', 'UPDATE') AND "
			     "has_table_privilege('lettergate_message', 'DELETE')"
			   : "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), "
			     "false)",
		&result, why);

	if (err)
		return err;
	may = *PQgetvalue(result, 0, 0) == 't';
	PQclear(result);
	if (may)
		return OK;
	return say(why,
		has_tables ? "its user may not write the tables" : "its user may not make tables",
		"");
}

static enum err inspect(struct pg_store *store, struct store_found *found, struct buf *why)
{
	enum err err = pg_reach(store, why);

	if (!err)
		err = inspect_server(store, found, why);
	if (err)
		return err;
	err = pg_schema_version(store, &found->schema);
	if (err) {
		(void)say(why,
			err == ERR_SYNTAX ? "the table lettergate_schema is damaged"
					  : "its tables cannot be looked at",
			"");
		return err;
	}
	if (found->schema > found->newest) {
		(void)say(why, "its tables were made by a newer version of lettergate", "");
		return ERR_VALUE;
	}
	return inspect_rights(store, found->schema > 0, why);
}

enum err store_pg_inspect(const char *words, struct store_found *found_out, struct buf *why)
{
	struct store_found found = { .newest = pg_schema_newest() };
	struct pg_store store = { .words = strdup(words), .patience_us = PATIENCE_US };
	enum err err = store.words ? inspect(&store, &found, why) : ERR_MEMORY;

	PQfinish(store.conn);
	free(store.pending);
	if (store.words)
		explicit_bzero(store.words, strlen(store.words));
	free(store.words);
	if (err)
		return err;
	*found_out = found;
	return OK;
}
