/* Claims where a body cannot be read any more.
 *
 * What PostgreSQL finds damaged on its disk makes the whole statement fail that reads it, and the
 * transaction with it: not one message would be handed out. So from the first such failure on they
 * are claimed without their bodies, and these are read one by one. The one that fails is known
 * then: the next claim sets it aside, and goes on, until a claim has found them all good. */
#include <string.h>

#include "service/store/store_pg_own.h"

static void leave_out(struct claim_job *claim, size_t place)
{
	stored_free(claim->claimed[place]);
	claim->count--;
	memmove(&claim->claimed[place], &claim->claimed[place + 1],
		(claim->count - place) * sizeof(*claim->claimed));
}

/* True: it was among them. */
static bool set_known_aside(struct pg_store *store, struct claim_job *claim, enum err *err_out)
{
	for (size_t i = 0; i < claim->count; i++) {
		const struct stored *stored = claim->claimed[i];

		if (strcmp(stored->id, store->damaged_id) != 0)
			continue;
		*err_out = pg_set_aside(
			store, claim, stored->id, stored->key_id, (int64_t)stored_weight(stored));
		leave_out(claim, i);
		return true;
	}
	return false;
}

/* They come in the order in which they were asked for. */
static enum err take_body(struct pg_store *store, const PGresult *result, void *context)
{
	struct claim_job *claim = context;
	size_t place = store->bodies_read;
	enum err err = PQntuples(result) == 1
			       ? pg_row_body(result, 0, 0, claim->claimed[place]->region,
					 &claim->bodies[place])
			       : ERR_SYNTAX;

	if (!err)
		store->bodies_read++;
	return err;
}

static enum err ask_for_bodies(struct pg_store *store, struct claim_job *claim)
{
	enum err err = OK;

	store->bodies_read = 0;
	for (size_t i = 0; i < claim->count && !err; i++) {
		struct pg_values values = { 0 };

		claim->bodies[i] = (struct text){ 0 };
		pg_id(&values, claim->claimed[i]->id);
		err = pg_send(store, PG_BODY, &values, take_body, claim);
	}
	return err ? err : pg_drain(store);
}

enum err pg_claim_bodies(struct pg_store *store, struct claim_job *claim)
{
	enum err err = OK;
	bool was_known = set_known_aside(store, claim, &err);

	if (!claim->has_body)
		return err;
	if (!err)
		err = ask_for_bodies(store, claim);
	store->damaged_id[0] = '\0';
	if (err == ERR_SYNTAX && store->bodies_read < claim->count)
		memcpy(store->damaged_id, claim->claimed[store->bodies_read]->id,
			sizeof(store->damaged_id));
	if (!err && !was_known)
		store->is_careful = false;
	return err;
}
