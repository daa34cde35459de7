/* What is told of messages, and the templates. */
#include <string.h>

#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum err pg_look_up(void *self, struct look_up_job *look_up)
{
	enum turn turn;

	look_up->found = NULL;
	return pg_row_find(self, PG_FIND, look_up->id, look_up->key_id, &look_up->found, &turn);
}

enum err pg_body(void *self, struct body_job *body)
{
	struct pg_store *store = self;
	struct stored *stored = NULL;
	enum turn turn;
	enum err err = pg_row_find(store, PG_FIND, body->id, body->key_id, &stored, &turn);

	if (!err)
		err = stored->has_body ? pg_read_body(store, body->id, body->region, &body->body)
				       : ERR_VALUE;
	stored_free(stored);
	return err == ERR_SYNTAX ? ERR_VALUE : err;
}

/* ---- lists */

/* Columns of a list behind PG_COLUMNS. */
enum { FAR = PG_COLUMN_COUNT, SEEN, WANTED };

static enum err see(struct list_job *list, struct list_walk *walk, const PGresult *result, int row)
{
	uint64_t bytes = pg_text(result, row, PG_HEAD).len + pg_text(result, row, PG_COURSE).len;
	struct stored *stored;
	enum err err;

	id_from_bytes(pg_text(result, row, PG_ID), list->cursor);
	walk->read++;
	walk->bytes += bytes;
	err = pg_row_show(result, row, &stored);
	if (err)
		return err;
	if (!rules_wants(list, stored)) {
		stored_free(stored);
		return OK;
	}
	list->found[list->count++] = stored;
	list->bytes += bytes;
	return OK;
}

struct page {
	struct list_job *list;
	PGresult *rows;
	bool is_bare; /* they come without what is large */
};

/* Of a row that stands for one that is to be read by itself. */
static enum err see_alone(
	struct pg_store *store, const struct page *page, struct list_walk *walk, int row)
{
	char id[DELIVERY_ID_LEN + 1];
	PGresult *whole;
	enum err err;

	id_from_bytes(pg_text(page->rows, row, PG_ID), id);
	err = pg_row_ask(store, PG_FIND, id, &whole);
	if (err)
		return err;
	if (PQntuples(whole) == 1) /* it may have gone this moment */
		err = see(page->list, walk, whole, 0);
	PQclear(whole);
	return err;
}

/* All that are wanted, or so many as there is room for; the cursor stands behind the last. */
static enum err see_all(struct pg_store *store, const struct page *page)
{
	struct list_job *list = page->list;
	const PGresult *rows = page->rows;
	struct list_walk walk = { 0 };
	int64_t seen = pg_int(rows, 0, SEEN), wanted = pg_int(rows, 0, WANTED);
	enum err err = OK;

	for (int row = 0; !err && row < PQntuples(rows) && !PQgetisnull(rows, row, PG_ID) &&
			  rules_list_goes_on(list, &walk);
		row++)
		err = page->is_bare ? see_alone(store, page, &walk, row)
				    : see(list, &walk, rows, row);
	if (err || walk.read < wanted || wanted == STORE_LIST_STEPS)
		return err;
	if (seen < STORE_LIST_PASSED)
		*list->cursor = '\0';
	else
		id_from_bytes(pg_text(rows, 0, FAR), list->cursor);
	return OK;
}

/* Where it is looked for. */
static enum pg_sql choose(const struct list_job *list)
{
	if (!list->has_state)
		return PG_LIST;
	if (list->state == MESSAGE_HELD)
		return PG_LIST_HELD;
	if (list->state == MESSAGE_SCHEDULED)
		return PG_LIST_SCHEDULED;
	return message_state_is_settled(list->state) ? PG_LIST_SETTLED : PG_LIST_WAITING;
}

static enum err ask_page(struct pg_store *store, void *context, bool is_bare)
{
	struct page *page = context;
	const struct list_job *list = page->list;
	enum pg_sql sql = choose(list);
	struct pg_values values = { 0 };

	page->is_bare = is_bare;
	pg_id(&values, list->cursor);
	pg_number(&values, STORE_LIST_PASSED);
	pg_number(&values, list->has_state ? (int64_t)list->state : 0);
	pg_number(&values, list->has_state);
	pg_number(&values, list->key_id.at != NULL);
	pg_bytes(&values, list->key_id);
	pg_number(&values, STORE_LIST_STEPS);
	pg_number(&values, list->most_bytes && list->most_bytes < INT64_MAX
				   ? (int64_t)list->most_bytes
				   : INT64_MAX);
	pg_number(&values, is_bare);
	if (sql != PG_LIST && sql != PG_LIST_HELD)
		pg_number(&values, STORE_LIST_FEW);
	return pg_ask(store, sql, &values, &page->rows);
}

enum err pg_list(void *self, struct list_job *list)
{
	struct page page = { .list = list };
	enum err err;

	list->count = 0;
	list->bytes = 0;
	if (!rules_list_from(list))
		return ERR_VALUE;
	err = pg_carefully(self, ask_page, &page);
	if (!err)
		err = see_all(self, &page);
	PQclear(page.rows);
	return err;
}

/* ---- numbers */

static uint64_t count_waiting(const struct counts_job *counts)
{
	uint64_t count = 0;

	for (enum message_state state = 0; state < MESSAGE_STATES; state++)
		if (message_state_ages(state))
			count += counts->messages[state];
	return count;
}

/* Those that are older are counted, of the oldest so many as cost little; the rest is younger. */
static void note_ages(struct counts_job *counts, const uint64_t *older)
{
	uint64_t all = count_waiting(counts);

	for (int i = 0; i < STORE_AGES; i++)
		counts->aged[i] = older[i] < all ? all - older[i] : 0;
}

enum err pg_counts(void *self, struct counts_job *counts)
{
	struct pg_store *store = self;
	struct pg_values values = { 0 };
	uint64_t older[STORE_AGES] = { 0 };
	PGresult *result;
	enum err err;

	for (int i = 0; i < STORE_AGES; i++)
		pg_number(&values, counts->now_ms - store_ages_ms[i]);
	err = pg_ask(store, PG_OLDEST, &values, &result);
	if (err)
		return err;
	counts->oldest_ms = pg_int(result, 0, 0) / 1000 * 1000;
	for (int i = 0; i < STORE_AGES; i++)
		older[i] = (uint64_t)pg_int(result, 0, 1 + i);
	PQclear(result);
	err = pg_tally_ask(store);
	if (!err)
		err = pg_drain(store);
	if (err)
		return err;
	tally_count(&store->tally, counts);
	note_ages(counts, older);
	return OK;
}

/* ---- templates */

static enum err note_template(struct pg_store *store, const PGresult *result, void *context)
{
	struct template_job *template = context;

	(void)store;
	if (template->content.at)
		template->was_there = pg_int(result, 0, 0) != 0;
	else
		template->was_there = strcmp(PQcmdTuples((PGresult *)result), "0") != 0;
	return OK;
}

/* From then on others see that something has changed. */
static enum err revise(struct pg_store *store)
{
	struct pg_values values = { 0 };
	int64_t revision;

	random_bytes((unsigned char *)&revision, sizeof(revision));
	pg_number(&values, revision);
	return pg_send(store, PG_TEMPLATE_REVISE, &values, NULL, NULL);
}

enum err pg_template(void *self, struct template_job *template)
{
	struct pg_store *store = self;
	struct pg_values values = { 0 };
	bool is_put = template->content.at;
	enum err err = revise(store);

	if (err)
		return err;
	pg_bytes(&values, template->name);
	if (is_put)
		pg_bytes(&values, template->content);
	err = pg_send(store, is_put ? PG_TEMPLATE_PUT : PG_TEMPLATE_DROP, &values, note_template,
		template);
	if (!err)
		err = pg_drain(store);
	if (err)
		return err;
	return is_put || template->was_there ? OK : ERR_MISSING;
}

/* 0: nothing was changed ever. */
static enum err ask_revision(struct pg_store *store, uint64_t *revision_out)
{
	PGresult *result;
	enum err err = pg_ask(store, PG_TEMPLATE_REVISION, NULL, &result);

	if (err)
		return err;
	*revision_out = PQntuples(result) == 1 ? (uint64_t)pg_int(result, 0, 0) : 0;
	PQclear(result);
	return OK;
}

/* The revision first: what is changed between the two is seen the next time. */
enum err pg_templates(void *self, struct templates_job *templates)
{
	uint64_t revision;
	PGresult *result;
	enum err err = ask_revision(self, &revision);
	size_t count;

	templates->count = 0;
	if (err)
		return err;
	templates->is_same = templates->known && *templates->known == revision;
	templates->revision = revision;
	if (templates->is_same)
		return OK;
	err = pg_ask(self, PG_TEMPLATE_LIST, NULL, &result);
	if (err)
		return err;
	count = (size_t)PQntuples(result);
	templates->templates =
		region_zalloc(templates->region, count + 1, sizeof(*templates->templates));
	for (size_t i = 0; templates->templates && i < count; i++) {
		struct kept_template *kept = &templates->templates[i];

		kept->name = region_copy(templates->region, pg_text(result, (int)i, 0));
		kept->content = region_copy(templates->region, pg_text(result, (int)i, 1));
		if (!kept->name.at || !kept->content.at)
			err = ERR_MEMORY;
	}
	PQclear(result);
	if (!templates->templates || err)
		return ERR_MEMORY;
	templates->count = count;
	return OK;
}
