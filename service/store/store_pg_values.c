/* Values as PostgreSQL has them in binary: numbers from the highest byte, arrays with a header. */
#include <string.h>

#include "service/store/store_pg_own.h"

enum { ARRAY_MOST = 1 << 30, OID_BIGINT = 20, OID_BYTEA = 17 };

static void put(char *at, uint64_t number, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (char)(number >> 8 * (bytes - 1 - i));
}

static void add(struct pg_values *values, const char *at, size_t len)
{
	if (values->count == PG_VALUES || len > INT32_MAX) {
		values->err = values->err ? values->err : ERR_LIMIT;
		return;
	}
	values->at[values->count] = at;
	values->lengths[values->count++] = (int)len;
}

void pg_number(struct pg_values *values, int64_t number)
{
	char *at = values->numbers[values->count % PG_VALUES];

	put(at, (uint64_t)number, 8);
	add(values, at, 8);
}

void pg_bytes(struct pg_values *values, struct text bytes)
{
	add(values, bytes.len ? bytes.at : "", bytes.len);
}

void pg_id(struct pg_values *values, const char *id)
{
	char *at = values->numbers[values->count % PG_VALUES];

	if (!id_to_bytes(id, at))
		values->err = values->err ? values->err : ERR_VALUE;
	add(values, at, ID_BYTES);
}

/* ---- arrays */

static void add_number(struct buf *buf, uint64_t number, int bytes)
{
	char at[8];

	put(at, number, bytes);
	buf_add(buf, (struct text){ at, (size_t)bytes });
}

static struct buf *begin(struct pg_values *values, unsigned oid, size_t count)
{
	struct buf *buf = &values->arrays[values->array_count++];

	*buf = buf_born(ARRAY_MOST);
	add_number(buf, count ? 1 : 0, 4); /* dimensions */
	add_number(buf, 0, 4);             /* none is NULL */
	add_number(buf, oid, 4);
	if (count) {
		add_number(buf, count, 4);
		add_number(buf, 1, 4); /* the first one's number */
	}
	return buf;
}

static void end(struct pg_values *values, const struct buf *buf)
{
	if (buf->err && !values->err)
		values->err = buf->err;
	add(values, buf->at, buf->len);
}

static void add_text(struct buf *buf, struct text text)
{
	add_number(buf, text.len, 4);
	buf_add(buf, text);
}

void pg_resting_lanes(struct pg_values *values, const struct claim_job *claim)
{
	struct buf *buf = begin(values, OID_BYTEA, claim->resting_count);

	for (size_t i = 0; i < claim->resting_count; i++)
		add_text(buf, claim->resting[i]);
	end(values, buf);
}

void pg_closed_lanes(struct pg_values *values, const struct claim_job *claim)
{
	size_t full = 0;
	struct buf *buf;

	for (size_t i = 0; i < claim->narrow_count; i++)
		full += claim->narrow[i].room == 0;
	buf = begin(values, OID_BYTEA, claim->resting_count + full);
	for (size_t i = 0; i < claim->resting_count; i++)
		add_text(buf, claim->resting[i]);
	for (size_t i = 0; i < claim->narrow_count; i++)
		if (claim->narrow[i].room == 0)
			add_text(buf, claim->narrow[i].lane);
	end(values, buf);
}

void pg_narrow_lanes(struct pg_values *values, const struct claim_job *claim)
{
	struct buf *lanes = begin(values, OID_BYTEA, claim->narrow_count);
	struct buf *rooms = begin(values, OID_BIGINT, claim->narrow_count);

	for (size_t i = 0; i < claim->narrow_count; i++) {
		add_text(lanes, claim->narrow[i].lane);
		add_number(rooms, 8, 4);
		add_number(rooms, claim->narrow[i].room, 8);
	}
	end(values, lanes);
	end(values, rooms);
}

void pg_events_of(struct pg_values *values, const struct event *events, size_t count)
{
	struct buf *moments = begin(values, OID_BIGINT, count);
	struct buf *types = begin(values, OID_BYTEA, count);
	struct buf *keys = begin(values, OID_BYTEA, count);
	struct buf *contents = begin(values, OID_BYTEA, count);

	for (size_t i = 0; i < count; i++) {
		add_number(moments, 8, 4);
		add_number(moments, (uint64_t)events[i].at_ms, 8);
		add_text(types, events[i].type);
		add_text(keys, events[i].key_id);
		add_text(contents, events[i].content);
	}
	end(values, moments);
	end(values, types);
	end(values, keys);
	end(values, contents);
}

void pg_values_free(struct pg_values *values)
{
	if (!values)
		return;
	for (int i = 0; i < values->array_count; i++)
		buf_free(&values->arrays[i]);
	values->array_count = 0;
}

/* ---- results */

int64_t pg_int(const PGresult *result, int row, int column)
{
	const unsigned char *at = (const unsigned char *)PQgetvalue(result, row, column);
	int len = PQgetlength(result, row, column);
	uint64_t value = len && (*at & 0x80) ? UINT64_MAX : 0;

	for (int i = 0; i < len; i++)
		value = value << 8 | at[i];
	return (int64_t)value;
}

struct text pg_text(const PGresult *result, int row, int column)
{
	return (struct text){ PQgetvalue(result, row, column),
		(size_t)PQgetlength(result, row, column) };
}
