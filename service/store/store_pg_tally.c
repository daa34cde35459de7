/* The tally in its table. Each replica has rows of its own, by its slot, so that none waits for
 * another; what all have counted is the sum, read once a second: until then a bound of the queue
 * may be passed by what the others took in meanwhile. Of keys, of which there may be thousands,
 * only those are read that have something waiting, and only if that has a bound. */
#include "service/store/store_pg_own.h"

static enum err send_key(struct pg_store *store, const struct tally_key *key)
{
	enum err err = OK;

	for (int state = 0; state < MESSAGE_STATES && !err; state++) {
		struct pg_values values = { 0 };

		if (!key->changed[state] && !key->bytes_changed[state])
			continue;
		pg_number(&values, store->slot);
		pg_bytes(&values, (struct text){ key->key_id, key->len });
		pg_number(&values, state);
		pg_number(&values, key->changed[state]);
		pg_number(&values, key->bytes_changed[state]);
		err = pg_send(store, PG_TALLY_ADD, &values, NULL, NULL);
	}
	return err;
}

static enum err send_log(struct pg_store *store)
{
	const struct tally_log *log = &store->tally.log;
	struct pg_values values = { 0 };

	if (!log->changed.messages && !log->changed.bytes)
		return OK;
	pg_number(&values, store->slot);
	pg_number(&values, log->changed.messages);
	pg_number(&values, log->changed.bytes);
	return pg_send(store, PG_TALLY_LOG, &values, NULL, NULL);
}

/* In the order of keys and states, so that two of one slot wait for each other in one direction. */
enum err pg_tally_send(struct pg_store *store)
{
	enum err err = OK;

	for (size_t i = 0; i < store->tally.count && !err; i++)
		if (store->tally.keys[i].is_dirty)
			err = send_key(store, &store->tally.keys[i]);
	return err ? err : send_log(store);
}

static enum err note_all(struct pg_store *store, const PGresult *result, void *context)
{
	enum err err = OK;

	(void)context;
	tally_forget(&store->tally);
	for (int row = 0; row < PQntuples(result) && !err; row++)
		err = tally_note(&store->tally, pg_text(result, row, 0), pg_int(result, row, 1),
			(struct tally_number){ pg_int(result, row, 2), pg_int(result, row, 3) });
	return err;
}

enum err pg_tally_ask(struct pg_store *store)
{
	return pg_put(
		store, store->limits.per_key ? PG_TALLY_LIST : PG_TALLY_SUM, NULL, note_all, NULL);
}

enum err pg_tally_moved(struct pg_store *store, const PGresult *result, void *context)
{
	size_t *count = context;

	for (int row = 0; row < PQntuples(result); row++) {
		struct text key_id = pg_text(result, row, 0);
		int64_t from = pg_int(result, row, 1), to = pg_int(result, row, 2);
		struct tally_number number = { pg_int(result, row, 3), pg_int(result, row, 4) };
		enum err err = tally_make_room(&store->tally, key_id);

		if (err)
			return err;
		if (from < 0 || from > MESSAGE_STATES || to < 0 || to > MESSAGE_STATES)
			return ERR_SYNTAX;
		tally_move_many(&store->tally, key_id, number, (enum message_state)from,
			(enum message_state)to);
		store->is_written = true;
		*count += (size_t)number.messages;
	}
	return OK;
}
