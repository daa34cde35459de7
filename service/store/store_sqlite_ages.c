/* How old the messages are that wait: how many of them were accepted in each second, in memory, so
 * that to tell it costs no search. Scheduled and held ones are left out. */
#include <stdlib.h>
#include <string.h>

#include "service/store/store_sqlite_own.h"

enum { ROOM_FIRST = 64 };

static bool is_counted(enum message_state state)
{
	return state != MESSAGE_STATES && message_state_ages(state);
}

/* Where the second is, or would be. */
static size_t place_of(const struct ages *ages, int64_t second)
{
	size_t low = 0, high = ages->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ages->seconds[middle].second < second)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Not amid a transaction: those that it emptied are needed where it is taken back. */
static void drop_empty(struct ages *ages)
{
	size_t kept = 0;

	for (size_t i = 0; i < ages->count; i++)
		if (ages->seconds[i].messages)
			ages->seconds[kept++] = ages->seconds[i];
	ages->count = kept;
}

enum err ages_make_room(struct ages *ages)
{
	size_t room = ages->room ? ages->room * 2 : ROOM_FIRST;
	struct age_change *changes;
	struct age *seconds;

	if (ages->change_count == ages->change_room) {
		changes = reallocarray(
			ages->changes, ages->change_count * 2 + ROOM_FIRST, sizeof(*changes));
		if (!changes)
			return ERR_MEMORY;
		ages->changes = changes;
		ages->change_room = ages->change_count * 2 + ROOM_FIRST;
	}
	if (ages->count < ages->room)
		return OK;
	if (!ages->change_count)
		drop_empty(ages);
	if (ages->room && ages->count <= ages->room / 2)
		return OK;
	seconds = reallocarray(ages->seconds, room, sizeof(*seconds));
	if (!seconds)
		return ERR_MEMORY;
	ages->seconds = seconds;
	ages->room = room;
	return OK;
}

/* There is room. */
static void add(struct ages *ages, int64_t second, int64_t messages)
{
	size_t place = place_of(ages, second);

	if (place == ages->count || ages->seconds[place].second != second) {
		memmove(&ages->seconds[place + 1], &ages->seconds[place],
			(ages->count - place) * sizeof(*ages->seconds));
		ages->seconds[place] = (struct age){ .second = second };
		ages->count++;
	}
	ages->seconds[place].messages += messages;
}

void ages_move(
	struct ages *ages, int64_t created_ms, enum message_state from, enum message_state to)
{
	int64_t messages = (int64_t)is_counted(to) - is_counted(from);

	if (!messages)
		return;
	add(ages, created_ms / 1000, messages);
	ages->changes[ages->change_count++] =
		(struct age_change){ created_ms / 1000, (int8_t)messages };
}

void ages_settle(struct ages *ages, bool is_committed)
{
	for (size_t i = 0; i < ages->change_count && !is_committed; i++)
		ages->seconds[place_of(ages, ages->changes[i].second)].messages -=
			ages->changes[i].messages;
	ages->change_count = 0;
}

/* Adds what a statement gives, each row the moment of one message; so many were there. */
static enum err read_rows(
	struct sqlite_store *store, enum sql sql, int64_t each, int64_t *count_out)
{
	sqlite3_stmt *rows = sql_use(store, sql);
	enum err err = OK, end;

	*count_out = 0;
	while (!err && sql_row(rows)) {
		err = ages_make_room(&store->ages);
		if (!err)
			add(&store->ages, sqlite3_column_int64(rows, 0) / 1000, each);
		++*count_out;
	}
	end = sql_end(store, rows);
	return err ? err : end;
}

enum err ages_read(struct sqlite_store *store, int64_t *waiting_out)
{
	int64_t others;
	enum err err = read_rows(store, SQL_WAITING, 1, waiting_out);

	return err ? err : read_rows(store, SQL_WAITING_AGELESS, -1, &others);
}

void ages_tell(const struct ages *ages, struct counts_job *counts)
{
	memset(counts->aged, 0, sizeof(counts->aged));
	counts->oldest_ms = 0;
	for (size_t i = 0; i < ages->count; i++) {
		const struct age *age = &ages->seconds[i];

		if (age->messages > 0 && !counts->oldest_ms)
			counts->oldest_ms = age->second * 1000;
		for (int bound = 0; bound < STORE_AGES; bound++)
			if (age->second * 1000 >= counts->now_ms - store_ages_ms[bound])
				counts->aged[bound] += (uint64_t)age->messages;
	}
}

void ages_free(struct ages *ages)
{
	free(ages->seconds);
	free(ages->changes);
}
