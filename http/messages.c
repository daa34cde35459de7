#include "http/messages.h"

#include "http/moment.h"
#include "http/result.h"

/* A page ends at this part of what an answer may hold: a thousand recipients and what the relay
 * said to each are more than a megabyte. */
enum { LIST_USUAL = 50, LIST_MOST = 500, PART = 8 };

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
	bool is_full; /* what comes now is for the next page */
};

static void list_one(const struct record *record, void *context)
{
	struct listing *listing = context;
	const struct buf *answer = &listing->exchange->answer;

	listing->is_full |= answer->len >= answer->limit / PART;
	if (listing->is_full)
		return;
	json_add_comma(&listing->exchange->answer);
	result_add_record(&listing->exchange->answer, record, true);
	listing->last = region_copy(listing->exchange->region, text_of(record->id));
}

/* An RFC 3339 time, or milliseconds since 1970. */
static bool read_since(struct text text, int64_t *ms_out)
{
	uint64_t ms;
	int64_t seconds;

	if (moment_parse(text, &seconds)) {
		*ms_out = seconds * 1000;
		return true;
	}
	if (!text_to_u64(text, &ms) || ms > INT64_MAX)
		return false;
	*ms_out = (int64_t)ms;
	return true;
}

static bool is_state(struct text state)
{
	static const char *const states[] = { "scheduled", "queued", "sending", "sent", "partial",
		"deferred", "failed", "unknown", "held", "cancelled", "captured" };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (text_equal(state, text_of(states[i])))
			return true;
	return false;
}

/* What is wrong with the query; NULL: nothing. */
static const char *read_query(struct exchange *exchange, struct query *query)
{
	static const char *const names[] = { "state", "recipient", "tag", "since", "limit",
		"cursor", NULL };
	struct text limit = exchange_query(exchange, TEXT("limit"));
	struct text since = exchange_query(exchange, TEXT("since")), other;
	uint64_t wanted = LIST_USUAL;

	if (!exchange_query_holds_only(exchange, names, &other))
		return "the query takes state, recipient, tag, since, limit and cursor";
	*query = (struct query){ .state = exchange_query(exchange, TEXT("state")),
		.recipient = exchange_query(exchange, TEXT("recipient")),
		.tag = exchange_query(exchange, TEXT("tag")),
		.cursor = exchange_query(exchange, TEXT("cursor")) };
	if (limit.len && (!text_to_u64(limit, &wanted) || wanted == 0 || wanted > LIST_MOST))
		return "limit is 1 to 500";
	query->limit = (size_t)wanted;
	if (since.len && !read_since(since, &query->since_ms))
		return "since is a time such as 2026-11-24T10:00:00Z";
	if (query->state.len && !is_state(query->state))
		return "there is no such state";
	return NULL;
}

enum handled messages_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct listing listing = { .exchange = exchange };
	struct query query;
	const char *why = read_query(exchange, &query);
	bool more;

	if (why)
		return exchange_refuse_as(exchange, "invalid_request", why);
	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"messages\":["));
	more = gateway->list(gateway->self, &exchange->caller, &query, list_one, &listing);
	buf_add(&exchange->answer, TEXT("],\"cursor\":"));
	if ((more || listing.is_full) && listing.last.len)
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
