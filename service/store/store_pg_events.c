/* What is told of events. */
#include "service/store/store_pg_own.h"

static enum err copy_event(
	struct events_job *events, const PGresult *result, int row, struct text content)
{
	struct event *event = &events->events[events->count];

	*event = (struct event){
		.cursor = (uint64_t)pg_int(result, row, 0),
		.at_ms = pg_int(result, row, 1),
		.type = region_copy(events->region, pg_text(result, row, 2)),
		.key_id = region_copy(events->region, pg_text(result, row, 3)),
		.content = region_copy(events->region, content),
	};
	if (!event->type.at || !event->key_id.at || !event->content.at)
		return ERR_MEMORY;
	events->count++;
	return OK;
}

/* Rows of those that are wanted, and one that only tells how far it looked. */
static enum err copy_events(struct pg_store *store, const PGresult *result, void *context)
{
	struct events_job *events = context;
	uint64_t bytes = 0, most_bytes = events->most_bytes ? events->most_bytes : UINT64_MAX;
	enum err err = OK;

	(void)store;
	for (int row = 0; row < PQntuples(result) && !err; row++) {
		if (events->count == events->most || bytes >= most_bytes)
			break;
		events->cursor = (uint64_t)pg_int(result, row, 0);
		if (PQgetisnull(result, row, 1))
			break;
		bytes += pg_text(result, row, 4).len;
		err = copy_event(events, result, row, pg_text(result, row, 4));
	}
	return err;
}

struct one_event {
	struct events_job *events;
	const PGresult *rows;
	int row;
};

/* What is told of one whose content cannot be read: it has what each has, and is no message's. */
#define UNREAD                                                                                     \
	"{\"id\":\"00000000-0000-0000-0000-000000000000\",\"message_id\":\"\",\"tags\":[],"        \
	"\"metadata\":{},\"damaged\":true}"

static enum err ask_event(struct pg_store *store, void *context, bool is_bare)
{
	const struct one_event *one = context;
	struct pg_values values = { 0 };
	PGresult *content;
	enum err err;

	if (is_bare)
		return copy_event(one->events, one->rows, one->row, TEXT(UNREAD));
	pg_number(&values, pg_int(one->rows, one->row, 0));
	err = pg_ask(store, PG_EVENT, &values, &content);
	if (err)
		return err;
	if (PQntuples(content) == 1) /* it may have gone this moment */
		err = copy_event(one->events, one->rows, one->row, pg_text(content, 0, 0));
	PQclear(content);
	return err;
}

/* The page ends behind as many bytes as it would otherwise. */
static enum err copy_each(struct pg_store *store, struct events_job *events, const PGresult *rows)
{
	uint64_t bytes = 0, most_bytes = events->most_bytes ? events->most_bytes : UINT64_MAX;
	enum err err = OK;

	for (int row = 0; row < PQntuples(rows) && !err; row++) {
		size_t count = events->count;

		if (count == events->most || bytes >= most_bytes)
			break;
		events->cursor = (uint64_t)pg_int(rows, row, 0);
		if (PQgetisnull(rows, row, 1))
			break;
		err = pg_carefully(store, ask_event, &(struct one_event){ events, rows, row });
		if (events->count > count)
			bytes += events->events[count].content.len;
	}
	return err;
}

static enum err ask_events(struct pg_store *store, void *context, bool is_bare)
{
	struct events_job *events = context;
	struct pg_values values = { 0 };
	PGresult *rows;
	enum err err;

	pg_number(&values, events->after < INT64_MAX ? (int64_t)events->after : INT64_MAX);
	pg_number(&values, STORE_EVENT_STEPS);
	pg_number(&values, events->key_id.at != NULL);
	pg_bytes(&values, events->key_id);
	pg_number(&values, (int64_t)events->most);
	pg_number(&values, store->cursor_base);
	pg_number(&values, is_bare);
	if (!is_bare)
		return pg_send(store, PG_EVENTS, &values, copy_events, events);
	err = pg_ask(store, PG_EVENTS, &values, &rows);
	if (err)
		return err;
	err = copy_each(store, events, rows);
	PQclear(rows);
	return err;
}

static enum err note_newest(struct pg_store *store, const PGresult *result, void *context)
{
	struct events_job *events = context;

	(void)store;
	events->newest = (uint64_t)pg_int(result, 0, 0);
	events->last = (uint64_t)pg_int(result, 0, 1);
	return OK;
}

enum err pg_events(void *self, struct events_job *events)
{
	struct pg_store *store = self;
	struct pg_values base = { 0 };
	enum err err;

	events->job.err = OK;
	events->count = 0;
	events->cursor = events->after;
	err = pg_carefully(store, ask_events, events);
	if (err)
		return err;
	pg_number(&base, store->cursor_base);
	err = pg_send(store, PG_EVENT_NEWEST, &base, note_newest, events);
	return err ? err : pg_drain(store);
}
