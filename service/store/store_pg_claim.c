/* Messages are handed out, held, and given back. Whoever is slower finds rows locked and takes
 * others: nobody waits for another replica here. */
#include <string.h>

#include "service/store/store_pg_own.h"

#include "service/clock.h"

/* Columns of a claim behind PG_COLUMNS. */
enum { WAS = PG_COLUMN_COUNT, CRC };

/* More than any message has. */
enum { NO_STRIKES = 1000000 };

/* ---- handing out */

static enum err note_turn(struct pg_store *store, const PGresult *result, int row)
{
	buf_clear(&store->lane);
	buf_clear(&store->lane_key);
	buf_add(&store->lane, pg_text(result, row, PG_LANE));
	buf_add(&store->lane_key, pg_text(result, row, PG_KEY));
	return store->lane.err ? store->lane.err : store->lane_key.err;
}

/* Also of one that cannot be read. */
static int64_t weight_of(const PGresult *result, int row)
{
	return pg_int(result, row, PG_SIZE) + pg_int(result, row, PG_MORE);
}

static enum message_state known_state(int64_t state)
{
	return state >= 0 && state < MESSAGE_STATES ? (enum message_state)state : MESSAGE_QUEUED;
}

enum err pg_set_aside(struct pg_store *store, struct claim_job *claim, const char *id,
	struct text key_id, int64_t weight)
{
	struct pg_values values = { 0 };
	struct event event;
	enum err err;

	if (claim->damaged_ids)
		memcpy(claim->damaged_ids[claim->damaged], id, DELIVERY_ID_LEN + 1);
	rules_tell_damaged(id, key_id, claim->now_ms, &store->course, &event);
	if (store->course.err)
		return store->course.err;
	pg_id(&values, id);
	pg_events_of(&values, &event, 1);
	err = pg_event_places(store, 1, &values);
	if (err) {
		pg_values_free(&values);
		return err;
	}
	tally_move(&store->tally, key_id, weight, MESSAGE_SENDING, MESSAGE_HELD);
	tally_events(&store->tally, &event, 1, true);
	claim->damaged++;
	return pg_send(store, PG_SET_ASIDE, &values, NULL, NULL);
}

static enum err set_row_aside(
	struct pg_store *store, struct claim_job *claim, const PGresult *result, int row)
{
	char id[DELIVERY_ID_LEN + 1];

	id_from_bytes(pg_text(result, row, PG_ID), id);
	return pg_set_aside(store, claim, id, pg_text(result, row, PG_KEY), weight_of(result, row));
}

static bool has_body(const struct pg_store *store, const struct claim_job *claim)
{
	return claim->has_body && !store->is_careful;
}

static enum err read_claimed(const struct pg_store *store, const struct claim_job *claim,
	const PGresult *result, int row, struct stored **stored_out)
{
	struct stored *stored;
	enum err err = pg_row_read(result, row, &stored);

	if (err)
		return err;
	if (has_body(store, claim)) {
		claim->bodies[claim->count] = (struct text){ 0 };
		err = pg_row_body(result, row, CRC, stored->region, &claim->bodies[claim->count]);
	}
	if (err) {
		stored_free(stored);
		return err;
	}
	*stored_out = stored;
	return OK;
}

static void count_down(const struct claim_job *claim, struct text lane)
{
	for (size_t i = 0; i < claim->narrow_count; i++)
		if (text_equal(claim->narrow[i].lane, lane) && claim->narrow[i].room > 0)
			claim->narrow[i].room--;
}

static enum err take_row(
	struct pg_store *store, struct claim_job *claim, const PGresult *result, int row)
{
	struct text key_id = pg_text(result, row, PG_KEY);
	enum err err = tally_make_room(&store->tally, key_id);

	if (!err)
		err = note_turn(store, result, row);
	if (err)
		return err;
	store->is_written = true;
	claim->bytes += (uint64_t)weight_of(result, row);
	tally_move(&store->tally, key_id, weight_of(result, row),
		known_state(pg_int(result, row, WAS)), MESSAGE_SENDING);
	err = read_claimed(store, claim, result, row, &claim->claimed[claim->count]);
	if (err == ERR_SYNTAX)
		return set_row_aside(store, claim, result, row);
	if (err)
		return err;
	claim->count++;
	count_down(claim, pg_text(result, row, PG_LANE));
	return OK;
}

static enum err take_rows(struct pg_store *store, const PGresult *result, void *context)
{
	struct claim_job *claim = context;
	enum err err = OK;

	for (int row = 0; row < PQntuples(result) && claim->count < claim->most && !err; row++)
		err = take_row(store, claim, result, row);
	return err;
}

static void add_lease(
	struct pg_store *store, const struct claim_job *claim, struct pg_values *values)
{
	pg_number(values, claim->mark);
	pg_number(values, (int64_t)claim->token);
	pg_number(values, store->owner);
	pg_number(values, claim->lease_for_ms);
	pg_number(values, has_body(store, claim));
}

static enum err take_suspect(struct pg_store *store, const PGresult *result, void *context)
{
	if (PQntuples(result))
		suspicion_note(&store->suspicion, (int64_t)(now_us() / 1000));
	return take_rows(store, result, context);
}

/* One that a process has died over: then the other statement finds that it is out, and nothing,
 * unless others may come beside it. */
static enum err send_suspect(struct pg_store *store, struct claim_job *claim, int64_t least)
{
	struct pg_values values = { 0 };

	pg_closed_lanes(&values, claim);
	add_lease(store, claim, &values);
	pg_number(&values, least);
	pg_resting_lanes(&values, claim);
	pg_number(&values, claim->now_ms);
	return pg_send(store, PG_SUSPECT, &values, take_suspect, claim);
}

static enum err send_claim(
	struct pg_store *store, struct claim_job *claim, size_t most, int64_t least)
{
	struct pg_values values = { 0 };

	pg_bytes(&values, buf_text(&store->lane));
	pg_bytes(&values, buf_text(&store->lane_key));
	pg_closed_lanes(&values, claim);
	pg_number(&values, (int64_t)most);
	add_lease(store, claim, &values);
	pg_narrow_lanes(&values, claim);
	pg_number(&values, claim->most_bytes && claim->most_bytes < INT64_MAX
				   ? (int64_t)claim->most_bytes
				   : INT64_MAX);
	pg_number(&values, least);
	pg_resting_lanes(&values, claim);
	pg_number(&values, claim->now_ms);
	pg_number(&values, (int64_t)rules_over_most(claim));
	return pg_send(store, PG_CLAIM, &values, take_rows, claim);
}

/* Suspects, and nothing else while there are any. */
static enum err send_apart(struct pg_store *store, struct claim_job *claim)
{
	enum err err = send_suspect(store, claim, 1);

	return err ? err : send_claim(store, claim, claim->most, 1);
}

/* One suspect of more than one strike, and others. Where there is room for one, by chance. */
static enum err send_beside(struct pg_store *store, struct claim_job *claim)
{
	bool is_for_others = claim->most == 1 && claim->token % 2;
	enum err err = pg_send(store, PG_SUSPECT_NO_MORE, &(struct pg_values){ 0 }, NULL, NULL);

	if (!err && !is_for_others)
		err = send_suspect(store, claim, 2);
	if (!err && (is_for_others || claim->most > 1))
		err = send_claim(store, claim, claim->most - !is_for_others, NO_STRIKES);
	return err;
}

/* Others may be waiting behind a suspect; so may others whose time is over. */
static bool may_have_more(const struct claim_job *claim)
{
	size_t over = 0, most = rules_over_most(claim);

	for (size_t i = 0; i < claim->count; i++)
		over += rules_is_resting(claim, claim->claimed[i]->lane);
	return rules_is_full(claim) || (most && over >= most) ||
	       (claim->count && claim->claimed[0]->strikes > 0);
}

enum err pg_claim(void *self, struct claim_job *claim)
{
	struct pg_store *store = self;
	enum err err;

	claim->count = claim->damaged = 0;
	claim->bytes = 0;
	claim->has_more = false;
	if (claim->most == 0)
		return OK;
	err = suspicion_is_over(&store->suspicion, (int64_t)(now_us() / 1000))
		      ? send_beside(store, claim)
		      : send_apart(store, claim);
	if (!err)
		err = pg_drain(store);
	if (!err && store->is_careful)
		err = pg_claim_bodies(store, claim);
	store->is_careful = store->is_careful || err == ERR_SYNTAX;
	if (!err)
		claim->has_more = may_have_more(claim);
	return err;
}

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
