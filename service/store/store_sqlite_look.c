/* What is told of messages and events, and the templates. */
#include <string.h>

#include "service/store/store_sqlite_own.h"

enum err sqlite_look_up(void *self, struct look_up_job *look_up)
{
	enum turn turn;

	look_up->found = NULL;
	return row_find(self, look_up->id, look_up->key_id, &look_up->found, &turn);
}

enum err sqlite_body(void *self, struct body_job *body)
{
	struct sqlite_store *store = self;
	struct stored *stored = NULL;
	enum turn turn;
	enum err err = row_find(store, body->id, body->key_id, &stored, &turn);

	if (!err)
		err = stored->has_body ? body_read(store, stored->place, body->region, &body->body)
				       : ERR_VALUE;
	stored_free(stored);
	return err == ERR_SYNTAX && !store->is_failed ? ERR_VALUE : err;
}

/* ---- lists */

static enum err see(struct list_job *list, struct list_walk *walk, sqlite3_stmt *row)
{
	uint64_t bytes = sql_column(row, ROW_HEAD).len + sql_column(row, ROW_COURSE).len;
	struct stored *stored;
	enum err err;

	id_from_bytes(sql_column(row, ROW_ID), list->cursor);
	walk->read++;
	walk->bytes += bytes;
	err = row_show(row, &stored);
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

/* By their ids, all of them in their order. *ended_out: that was the last. */
static enum err walk_all(struct sqlite_store *store, struct list_job *list, bool *ended_out)
{
	sqlite3_stmt *rows = sql_use(store, SQL_LIST);
	struct list_walk walk = { 0 };
	enum err err = OK, end;

	sql_id(rows, 1, list->cursor);
	sql_number(rows, 2, STORE_LIST_PASSED);
	*ended_out = false;
	while (!err && rules_list_goes_on(list, &walk)) {
		if (!sql_row(rows)) {
			*ended_out = walk.read + walk.passed < STORE_LIST_PASSED;
			break;
		}
		if (rules_may_want(list, sql_column(rows, ROW_KEY),
			    sqlite3_column_int64(rows, ROW_STATE))) {
			err = see(list, &walk, rows);
		} else {
			walk.passed++;
			id_from_bytes(sql_column(rows, ROW_ID), list->cursor);
		}
	}
	end = sql_end(store, rows);
	return err ? err : end;
}

/* ---- by state, where there are few */

struct few {
	char ids[STORE_LIST_STEPS][DELIVERY_ID_LEN + 1];
	size_t count;
};

static enum err find_few(
	struct sqlite_store *store, const struct list_job *list, enum sql sql, struct few *few)
{
	sqlite3_stmt *rows = sql_use(store, sql);

	sql_id(rows, 1, list->cursor);
	sql_number(rows, 2, STORE_LIST_STEPS);
	sql_number(rows, 3, list->state);
	for (few->count = 0; few->count < STORE_LIST_STEPS && sql_row(rows); few->count++)
		id_from_bytes(sql_column(rows, 0), few->ids[few->count]);
	return sql_end(store, rows);
}

static enum err walk_few(
	struct sqlite_store *store, struct list_job *list, enum sql sql, bool *ended_out)
{
	struct list_walk walk = { 0 };
	struct few few;
	enum err err = find_few(store, list, sql, &few), end;
	size_t i = 0;

	for (; !err && i < few.count && rules_list_goes_on(list, &walk); i++) {
		sqlite3_stmt *row = sql_use(store, SQL_FIND);

		memcpy(list->cursor, few.ids[i], sizeof(list->cursor));
		sql_id(row, 1, few.ids[i]);
		if (sql_row(row) && rules_may_want(list, sql_column(row, ROW_KEY), list->state))
			err = see(list, &walk, row);
		end = sql_end(store, row);
		err = err ? err : end;
	}
	*ended_out = i == few.count && few.count < STORE_LIST_STEPS;
	return err;
}

static enum err count_few(struct sqlite_store *store, enum sql sql, enum message_state state,
	enum sql few, enum sql *sql_out)
{
	sqlite3_stmt *count = sql_use(store, sql);

	sql_number(count, 1, state);
	sql_number(count, 2, STORE_LIST_FEW + 1);
	if (sql_row(count) && sqlite3_column_int64(count, 0) <= STORE_LIST_FEW)
		*sql_out = few;
	return sql_end(store, count);
}

/* Where it is looked for. */
static enum err choose(struct sqlite_store *store, const struct list_job *list, enum sql *sql_out)
{
	*sql_out = SQL_LIST;
	if (!list->has_state)
		return OK;
	if (list->state == MESSAGE_HELD) {
		*sql_out = SQL_LIST_HELD;
		return OK;
	}
	if (message_state_is_settled(list->state))
		return count_few(store, SQL_FEW_SETTLED, list->state, SQL_LIST_SETTLED, sql_out);
	return count_few(store, SQL_FEW_WAITING, list->state, SQL_LIST_WAITING, sql_out);
}

enum err sqlite_list(void *self, struct list_job *list)
{
	struct sqlite_store *store = self;
	bool ended = false;
	enum sql sql;
	enum err err = choose(store, list, &sql);

	list->count = 0;
	list->bytes = 0;
	if (!rules_list_from(list))
		return ERR_VALUE;
	if (!err)
		err = sql == SQL_LIST ? walk_all(store, list, &ended)
				      : walk_few(store, list, sql, &ended);
	if (ended)
		*list->cursor = '\0';
	return err;
}

/* ---- events */

static enum err copy_event(struct events_job *events, sqlite3_stmt *row)
{
	struct event *event = &events->events[events->count];

	*event = (struct event){
		.cursor = (uint64_t)sqlite3_column_int64(row, 0),
		.at_ms = sqlite3_column_int64(row, 1),
		.type = region_copy(events->region, sql_column(row, 2)),
		.key_id = region_copy(events->region, sql_column(row, 3)),
		.content = region_copy(events->region, sql_column(row, 4)),
	};
	if (!event->type.at || !event->key_id.at || !event->content.at)
		return ERR_MEMORY;
	events->count++;
	return OK;
}

static enum err tell_newest(struct sqlite_store *store, struct events_job *events)
{
	sqlite3_stmt *newest = sql_use(store, SQL_EVENT_NEWEST), *last;
	enum err err;

	events->newest = sql_row(newest) ? (uint64_t)sqlite3_column_int64(newest, 0) : 0;
	err = sql_end(store, newest);
	if (err)
		return err;
	last = sql_use(store, SQL_EVENT_LAST);
	events->last = sql_row(last) ? (uint64_t)sqlite3_column_int64(last, 0) : 0;
	return sql_end(store, last);
}

enum err sqlite_events(void *self, struct events_job *events)
{
	struct sqlite_store *store = self;
	sqlite3_stmt *rows = sql_use(store, SQL_EVENT_LIST);
	uint64_t bytes = 0, most_bytes = events->most_bytes ? events->most_bytes : UINT64_MAX;
	enum err err = OK, end;

	events->count = 0;
	events->cursor = events->after;
	sql_number(rows, 1, events->after < INT64_MAX ? (int64_t)events->after : INT64_MAX);
	sql_number(rows, 2, STORE_EVENT_STEPS);
	while (!err && events->count < events->most && bytes < most_bytes && sql_row(rows)) {
		events->cursor = (uint64_t)sqlite3_column_int64(rows, 0);
		if (events->key_id.at && !text_equal(events->key_id, sql_column(rows, 3)))
			continue;
		err = copy_event(events, rows);
		if (!err)
			bytes += events->events[events->count - 1].content.len;
	}
	end = sql_end(store, rows);
	if (!err)
		err = end;
	return err ? err : tell_newest(store, events);
}

/* ---- numbers */

enum err sqlite_counts(void *self, struct counts_job *counts)
{
	struct sqlite_store *store = self;
	tally_count(&store->tally, counts);
	ages_tell(&store->ages, counts);
	return OK;
}

/* ---- templates */

enum err sqlite_template(void *self, struct template_job *template)
{
	struct sqlite_store *store = self;
	sqlite3_stmt *get = sql_use(store, SQL_TEMPLATE_GET);
	sqlite3_stmt *change =
		sql_use(store, template->content.at ? SQL_TEMPLATE_PUT : SQL_TEMPLATE_DROP);
	enum err err;

	sql_text(get, 1, template->name);
	template->was_there = sql_row(get);
	err = sql_end(store, get);
	if (err)
		return err;
	if (!template->content.at && !template->was_there)
		return ERR_MISSING;
	if (template->content.at && store->is_full)
		return ERR_IO;
	sql_text(change, 1, template->name);
	if (template->content.at)
		sql_bytes(change, 2, template->content);
	return sql_run(store, change);
}

static enum err copy_template(struct templates_job *templates, size_t *room, sqlite3_stmt *row)
{
	struct kept_template *grown;

	if (templates->count == *room) {
		*room = *room ? *room * 2 : 16;
		grown = region_zalloc(templates->region, *room, sizeof(*grown));
		if (!grown)
			return ERR_MEMORY;
		for (size_t i = 0; i < templates->count; i++)
			grown[i] = templates->templates[i];
		templates->templates = grown;
	}
	grown = &templates->templates[templates->count];
	grown->name = region_copy(templates->region, sql_column(row, 0));
	grown->content = region_copy(templates->region, sql_column(row, 1));
	if (!grown->name.at || !grown->content.at)
		return ERR_MEMORY;
	templates->count++;
	return OK;
}

enum err sqlite_templates(void *self, struct templates_job *templates)
{
	struct sqlite_store *store = self;
	sqlite3_stmt *rows = sql_use(store, SQL_TEMPLATE_LIST);
	size_t room = 0;
	enum err err = OK, end;

	templates->count = 0;
	templates->revision = 0; /* nobody else changes them, and nobody asks for it */
	templates->is_same = false;
	while (!err && sql_row(rows))
		err = copy_template(templates, &room, rows);
	end = sql_end(store, rows);
	return err ? err : end;
}
