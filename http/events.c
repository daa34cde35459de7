#include "http/events.h"

#include "http/event.h"
#include "http/json/json.h"

#include <inttypes.h>

enum { LIMIT_USUAL = 100, LIMIT_MOST = 500, WAIT_MOST_S = 60 };

/* ---- the answer */

static bool list_all(struct exchange *exchange, const struct asking *asking)
{
	char id[EVENT_ID_LEN + 1];

	for (size_t i = 0; i < asking->count; i++) {
		if (!event_id(&asking->events[i], id))
			return false;
		json_add_comma(&exchange->answer);
		event_add(&exchange->answer, &asking->events[i], id);
	}
	return true;
}

static void tell(struct exchange *exchange)
{
	const struct asking *asking = exchange->waiting;

	if (asking->err == ERR_VALUE) {
		exchange_refuse_as(exchange, "invalid_request",
			"after lies behind the newest event there ever was: the store is older "
			"than this cursor (a backup that was put back?); go on with after=now, or "
			"after=0 for all that it has");
		return;
	}
	if (asking->err == ERR_LIMIT) {
		exchange_refuse_as(exchange, "overloaded", "too many wait for events already");
		return;
	}
	if (asking->err) {
		exchange_refuse(exchange,
			&(struct problem){ .code = "storage_unavailable",
				.detail = text_of(
					asking->why ? asking->why : err_text(asking->err)) });
		return;
	}
	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"events\":["));
	if (!list_all(exchange, asking)) {
		exchange_refuse_as(exchange, "overloaded", "out of memory");
		return;
	}
	buf_addf(&exchange->answer, "],\"cursor\":\"%" PRIu64 "\"}\n", asking->event_cursor);
}

static void asked(struct asking *asking)
{
	exchange_wake(asking->waiter);
}

/* ---- the question */

/* NULL, or what is wrong: some of several with commas between. */
static const char *read_types(struct text types, struct event_filter *filter)
{
	while (types.len)
		if (!event_filter_add(filter, text_trim(text_cut(&types, ','))))
			return "type is one or several (with commas) of message.queued, "
			       "message.sent, message.deferred, message.failed, message.unknown "
			       "and message.cancelled";
	return NULL;
}

static const char *read_query(const struct exchange *exchange, struct events_query *query)
{
	static const char *const names[] = { "after", "wait", "limit", "type", "tag", "id", NULL };
	struct text after = exchange_query(exchange, TEXT("after"));
	struct text wait = exchange_query(exchange, TEXT("wait"));
	struct text limit = exchange_query(exchange, TEXT("limit"));
	uint64_t wait_s = 0, most = LIMIT_USUAL;

	if (!exchange_query_holds_only(exchange, names))
		return "the query takes after, wait, limit, type, tag and id, each once";
	query->is_from_now = text_equal(after, TEXT("now"));
	if (after.len && !query->is_from_now && !text_to_u64(after, &query->after))
		return "after is the cursor of an earlier answer, 0 (from the start) or now";
	if (wait.len && (!text_to_u64(wait, &wait_s) || wait_s > WAIT_MOST_S))
		return "wait is 0 to 60 seconds";
	if (limit.len && (!text_to_u64(limit, &most) || most == 0 || most > LIMIT_MOST))
		return "limit is 1 to 500";
	query->wait_s = (uint32_t)wait_s;
	query->limit = (size_t)most;
	query->filter.tag = exchange_query(exchange, TEXT("tag"));
	query->filter.id = exchange_query(exchange, TEXT("id"));
	return read_types(exchange_query(exchange, TEXT("type")), &query->filter);
}

enum handled events_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct asking *asking = region_zalloc(exchange->region, 1, sizeof(*asking));
	struct events_query *query = region_zalloc(exchange->region, 1, sizeof(*query));
	const char *why = NULL;

	if (!gateway->has_store)
		return exchange_refuse_as(
			exchange, "store_required", "no events are kept without STORE");
	if (!asking || !query)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	why = read_query(exchange, query);
	if (why)
		return exchange_refuse_as(exchange, "invalid_request", why);
	*asking = (struct asking){ .what = ASK_EVENTS,
		.caller = &exchange->caller,
		.events_query = query,
		.region = exchange->region,
		.patience_us = exchange->deadline_most_us,
		.done = asked,
		.waiter = exchange };
	exchange->waiting = asking;
	exchange_park(exchange, tell);
	gateway->ask(gateway->self, asking);
	return HANDLED_PARKED;
}
