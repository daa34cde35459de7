#include "http/messages.h"

#include "http/result.h"

enum { LIST_USUAL = 50, LIST_MOST = 500 };

static void show(const struct record *record, void *context)
{
	struct exchange *exchange = context;

	result_add_record(&exchange->answer, record, false);
	buf_add_byte(&exchange->answer, '\n');
}

enum handled messages_show(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	exchange->status = 200;
	if (!gateway->look_up(gateway->self, &exchange->caller, exchange->id, show, exchange))
		return exchange_refuse_as(
			exchange, "not_found", "no message of this id is remembered");
	return HANDLED_ANSWERED;
}

struct listing {
	struct exchange *exchange;
	struct text last;
};

static void list_one(const struct record *record, void *context)
{
	struct listing *listing = context;

	json_add_comma(&listing->exchange->answer);
	result_add_record(&listing->exchange->answer, record, true);
	listing->last = region_copy(listing->exchange->region, text_of(record->id));
}

/* "2026-11-24T10:00:00Z", or milliseconds since 1970. */
static bool read_since(struct text text, int64_t *ms_out)
{
	uint64_t ms;

	if (!text_to_u64(text, &ms) || ms > INT64_MAX)
		return false;
	*ms_out = (int64_t)ms;
	return true;
}

enum handled messages_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct text limit = exchange_query(exchange, TEXT("limit"));
	struct text since = exchange_query(exchange, TEXT("since"));
	struct query query = { .state = exchange_query(exchange, TEXT("state")),
		.recipient = exchange_query(exchange, TEXT("recipient")),
		.tag = exchange_query(exchange, TEXT("tag")),
		.cursor = exchange_query(exchange, TEXT("cursor")),
		.limit = LIST_USUAL };
	struct listing listing = { exchange, { 0 } };
	uint64_t wanted;
	bool more;

	if (limit.len && (!text_to_u64(limit, &wanted) || wanted == 0 || wanted > LIST_MOST))
		return exchange_refuse_as(exchange, "invalid_request", "limit is 1 to 500");
	if (limit.len)
		query.limit = (size_t)wanted;
	if (since.len && !read_since(since, &query.since_ms))
		return exchange_refuse_as(
			exchange, "invalid_request", "since is in milliseconds since 1970");
	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"messages\":["));
	more = gateway->list(gateway->self, &exchange->caller, &query, list_one, &listing);
	buf_add(&exchange->answer, TEXT("],\"cursor\":"));
	if (more && listing.last.len)
		json_add_string(&exchange->answer, listing.last);
	else
		buf_add_string(&exchange->answer, "null");
	buf_add(&exchange->answer, TEXT("}\n"));
	return HANDLED_ANSWERED;
}

enum handled messages_raw(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct text raw;

	switch (gateway->raw(
		gateway->self, &exchange->caller, exchange->id, exchange->region, &raw)) {
	case OK:
		exchange->status = 200;
		exchange->content_type = "message/rfc822";
		buf_add(&exchange->answer, raw);
		return HANDLED_ANSWERED;
	case ERR_VALUE:
		return exchange_refuse_as(exchange, "not_kept", "");
	default:
		return exchange_refuse_as(
			exchange, "not_found", "no message of this id is remembered");
	}
}
