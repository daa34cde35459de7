/* What is told of messages and events, and the templates. */
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
	return err;
}

/* ---- lists */

static enum err see(struct list_job *list, sqlite3_stmt *row)
{
	struct stored *stored;
	enum err err;

	id_from_bytes(sql_column(row, ROW_ID), list->cursor);
	if (!rules_may_want(list, sql_column(row, ROW_KEY), sqlite3_column_int64(row, ROW_STATE)))
		return OK;
	err = row_read(row, &stored);
	if (err)
		return err == ERR_SYNTAX ? OK : err; /* one that cannot be read hides no other */
	if (rules_wants(list, stored))
		list->found[list->count++] = stored;
	else
		stored_free(stored);
	return OK;
}

enum err sqlite_list(void *self, struct list_job *list)
{
	static const char newest[] = "ffffffff-ffff-ffff-ffff-ffffffffffff";
	struct sqlite_store *store = self;
	sqlite3_stmt *rows = sql_use(store, SQL_LIST);
	int steps = 0;
	enum err err = OK, end;

	list->count = 0;
	if (!sql_id(rows, 1, *list->cursor ? list->cursor : newest))
		return ERR_VALUE;
	sql_number(rows, 2, STORE_LIST_STEPS);
	while (!err && list->count < list->most && sql_row(rows)) {
		err = see(list, rows);
		steps++;
	}
	end = sql_end(store, rows);
	if (steps < STORE_LIST_STEPS && list->count < list->most)
		*list->cursor = '\0';
	return err ? err : end;
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
	sqlite3_stmt *newest = sql_use(store, SQL_EVENT_NEWEST);

	events->newest = sql_row(newest) ? (uint64_t)sqlite3_column_int64(newest, 0) : 0;
	return sql_end(store, newest);
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
	sql_number(rows, 2, STORE_LIST_STEPS);
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
