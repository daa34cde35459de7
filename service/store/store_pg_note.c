/* Small values kept under a name, each with a lease. */
#include "service/store/store_pg_own.h"

static enum err note_taken(struct pg_store *store, const PGresult *result, void *context)
{
	struct note_job *note = context;

	(void)store;
	if (PQntuples(result) != 1) {
		note->job.err = ERR_VALUE;
		return OK;
	}
	note->found = region_copy(note->region, pg_text(result, 0, 0));
	return note->found.at ? OK : ERR_MEMORY;
}

enum err pg_note(void *self, struct note_job *note)
{
	struct pg_store *store = self;
	struct pg_values name = { 0 }, values = { 0 };
	enum err err;

	note->job.err = OK;
	note->found = (struct text){ 0 };
	if (!note->token || note->name.len > STORE_NOTE_NAME_BYTES ||
		note->content.len > STORE_NOTE_BYTES)
		return ERR_VALUE;
	pg_bytes(&name, note->name);
	err = pg_send(store, PG_NOTE_MAKE, &name, NULL, NULL);
	if (err)
		return err;
	pg_bytes(&values, note->name);
	pg_number(&values, (int64_t)note->token);
	pg_number(&values, note->lease_for_ms);
	pg_number(&values, note->content.at != NULL);
	pg_bytes(&values, note->content);
	return pg_send(store, PG_NOTE_TAKE, &values, note_taken, note);
}
