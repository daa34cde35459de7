/* Messages that are out are held, and given back. */
#include <string.h>

#include "service/store/store_pg_own.h"

/* ---- holding */

/* A refusal, if there is no such row. */
static enum err note_found(struct pg_store *store, const PGresult *result, void *context)
{
	struct job *job = context;

	(void)store;
	if (strcmp(PQcmdTuples((PGresult *)result), "1") != 0)
		job->err = ERR_VALUE;
	return OK;
}

/* Its commit waits for no disk, unless somebody else's shares it. */
static enum err send_mark(struct pg_store *store, const struct fence_job *fence)
{
	struct pg_values values = { 0 };

	pg_id(&values, fence->id);
	pg_number(&values, (int64_t)fence->token);
	pg_number(&values, fence->mark);
	store->is_noted = true;
	return pg_send(store, PG_MARK, &values, NULL, NULL);
}

enum err pg_fence(void *self, struct fence_job *fence)
{
	struct pg_values values = { 0 };

	fence->job.err = OK;
	if (!fence->token)
		return ERR_VALUE;
	if (fence->only_notes)
		return send_mark(self, fence);
	pg_id(&values, fence->id);
	pg_number(&values, (int64_t)fence->token);
	pg_number(&values, fence->mark);
	pg_number(&values, fence->lease_for_ms);
	return pg_send(self, PG_FENCE, &values, note_found, &fence->job);
}

static enum err note_renewed(struct pg_store *store, const PGresult *result, void *context)
{
	struct lease *lease = context;

	(void)store;
	lease->is_lost = strcmp(PQcmdTuples((PGresult *)result), "1") != 0;
	return OK;
}

enum err pg_renew(void *self, struct renew_job *renew)
{
	enum err err = OK;

	renew->job.err = OK;
	for (size_t i = 0; i < renew->count && (!err || err == ERR_VALUE); i++) {
		struct lease *lease = &renew->leases[i];
		struct pg_values values = { 0 };

		lease->is_lost = true;
		if (!lease->token)
			continue;
		pg_id(&values, lease->id);
		pg_number(&values, (int64_t)lease->token);
		pg_number(&values, renew->lease_for_ms);
		err = pg_send(self, PG_RENEW, &values, note_renewed, lease);
	}
	return err == ERR_VALUE ? OK : err;
}

/* ---- giving back */

static enum err note_released(struct pg_store *store, const PGresult *result, void *context)
{
	struct release_job *release = context;
	size_t count = 0;
	enum err err = pg_tally_moved(store, result, &count);

	if (!err && count == 0)
		release->job.err = ERR_VALUE;
	return err;
}

enum err pg_release(void *self, struct release_job *release)
{
	struct pg_store *store = self;
	struct pg_values values = { 0 };
	enum err err;

	release->job.err = OK;
	if (!release->token)
		return ERR_VALUE;
	pg_id(&values, release->id);
	pg_number(&values, (int64_t)release->token);
	pg_bytes(&values, release->lane);
	pg_number(&values, release->due_ms);
	pg_number(&values, release->due_ms > release->now_ms);
	pg_number(&values, release->now_ms);
	err = pg_send(store, PG_RELEASE, &values, note_released, release);
	pg_note_due(store, release->due_ms > release->now_ms ? TURN_LATER : TURN_READY,
		release->due_ms);
	return err == ERR_VALUE ? ERR_MISSING : err;
}
