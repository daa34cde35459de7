#include "http/messages.h"

#include "http/mail/moment.h"
#include "http/result.h"

/* A page ends at this part of what an answer may hold: a thousand recipients and what the relay
 * said to each are more than a megabyte. */
enum { LIST_USUAL = 50, LIST_MOST = 500, PART = 8 };
enum { FULL_PAUSE_S = 60 }; /* as POST /send */

static const char in_doubt[] = "the store did not say whether it has changed the message: it may "
			       "have, or yet do so; GET /messages/{id} shows it";

static void show(const struct record *record, void *context)
{
	struct exchange *exchange = context;

	result_add_record(&exchange->answer, record, false);
	buf_add_byte(&exchange->answer, '\n');
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

static void end_list(struct listing *listing, bool has_more)
{
	struct buf *answer = &listing->exchange->answer;

	buf_add(answer, TEXT("],\"cursor\":"));
	if ((has_more || listing->is_full) && listing->last.len)
		json_add_string(answer, listing->last);
	else
		buf_add_string(answer, "null");
	buf_add(answer, TEXT("}\n"));
}

/* ---- out of the queue */

static void tell_list(struct exchange *exchange, const struct asking *asking)
{
	struct listing listing = { .exchange = exchange };

	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"messages\":["));
	for (size_t i = 0; i < asking->count; i++)
		list_one(&asking->records[i], &listing);
	if (!listing.is_full) /* a page may be empty, and there be more nevertheless */
		listing.last = asking->cursor;
	end_list(&listing, asking->cursor.len > 0);
}

static void tell_change(struct exchange *exchange, const struct asking *asking)
{
	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{"));
	json_add_member(&exchange->answer, "id", asking->id);
	json_add_member(&exchange->answer, "state", text_of(asking->state));
	buf_add(&exchange->answer, TEXT("}\n"));
}

/* One that is being sent has its answer soon. */
static void refuse_change(struct exchange *exchange, const struct asking *asking)
{
	struct buf detail = buf_born(200);
	bool is_sending = asking->state && text_equal(text_of(asking->state), TEXT("sending"));

	if (asking->what == ASK_RAW) {
		exchange_refuse_as(exchange, "not_kept",
			"the message's text was deleted when it was settled, or when KEEP_BODY was "
			"over; or it cannot be read");
		return;
	}
	buf_addf(&detail,
		asking->is_damaged   ? "the message is %s, and what is kept of it is damaged"
		: asking->lacks_text ? "the message is %s, and its text is not kept any more"
				     : "the message is %s",
		asking->state ? asking->state : "settled");
	exchange_refuse(
		exchange, &(struct problem){ .code = "already_settled",
				  .state = asking->state,
				  .may_retry = is_sending,
				  .retry_after_s = is_sending ? PROBLEM_PAUSE_S : 0,
				  .detail = region_copy(exchange->region, buf_text(&detail)) });
	buf_free(&detail);
}

static void refuse(struct exchange *exchange, const char *code, const char *detail, uint32_t pause)
{
	exchange_refuse(exchange,
		&(struct problem){
			.code = code, .detail = text_of(detail), .retry_after_s = pause });
}

static bool is_change(const struct asking *asking)
{
	return asking->what == ASK_CANCEL || asking->what == ASK_RETRY;
}

static void tell_asked(struct exchange *exchange)
{
	const struct asking *asking = exchange->waiting;

	if (asking->err == ERR_MISSING) {
		refuse(exchange, "not_found", "no message of this id is remembered", 0);
	} else if (asking->err == ERR_VALUE) {
		refuse_change(exchange, asking);
	} else if (asking->err == ERR_LIMIT && asking->what == ASK_LIST) {
		refuse(exchange, "overloaded", "too many ask for lists already", PROBLEM_PAUSE_S);
	} else if (asking->err == ERR_LIMIT) {
		refuse(exchange, "queue_full", asking->full, FULL_PAUSE_S);
	} else if (asking->err == ERR_DOUBT && is_change(asking)) {
		refuse(exchange, "outcome_unknown", in_doubt, 0);
	} else if (asking->err) {
		refuse(exchange, "storage_unavailable",
			asking->why ? asking->why : err_text(asking->err), 0);
	} else if (asking->what == ASK_ONE) {
		exchange->status = 200;
		show(&asking->records[0], exchange);
	} else if (asking->what == ASK_LIST) {
		tell_list(exchange, asking);
	} else if (asking->what == ASK_RAW) {
		exchange->status = 200;
		exchange->content_type = "message/rfc822";
		buf_add(&exchange->answer, asking->raw);
	} else {
		tell_change(exchange, asking);
	}
}

static void asked(struct asking *asking)
{
	exchange_wake(asking->waiter);
}

/* The answer is on its way, or was given. */
static void left_asked(struct asking *asking)
{
	exchange_release(asking->waiter);
}

static struct asking *leave(struct asking *asking)
{
	struct region *region;
	struct asking *copy =
		exchange_hold_waiting(asking->waiter, asking, sizeof(*asking), &region);

	if (!copy)
		return NULL;
	copy->region = region;
	asking->done = left_asked;
	return copy;
}

static enum handled ask(struct exchange *exchange, enum asking_for what, const struct query *query)
{
	const struct gateway *gateway = exchange->gateway;
	struct asking *asking = region_zalloc(exchange->region, 1, sizeof(*asking));

	if (!asking)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	*asking = (struct asking){ .what = what,
		.caller = &exchange->caller,
		.id = exchange->id,
		.query = query,
		.region = exchange->region,
		.patience_us = exchange->deadline_most_us,
		.leave = leave,
		.done = asked,
		.waiter = exchange };
	exchange->waiting = asking;
	exchange_park(exchange, tell_asked);
	gateway->ask(gateway->self, asking);
	return HANDLED_PARKED;
}

/* ---- one message */

enum handled messages_show(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	if (gateway->has_store)
		return ask(exchange, ASK_ONE, NULL);
	exchange->status = 200;
	if (!gateway->look_up(gateway->self, &exchange->caller, exchange->id, show, exchange))
		return exchange_refuse_as(
			exchange, "not_found", "no message of this id is remembered");
	return HANDLED_ANSWERED;
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

/* A cursor is the id of a message. */
static bool is_cursor(struct text cursor)
{
	if (cursor.len != DELIVERY_ID_LEN)
		return false;
	for (size_t i = 0; i < cursor.len; i++) {
		bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_hyphen ? cursor.at[i] != '-' : byte_hex(cursor.at[i]) < 0)
			return false;
	}
	return true;
}

/* What is wrong with the query; NULL: nothing. */
static const char *read_query(struct exchange *exchange, struct query *query)
{
	static const char *const names[] = { "state", "recipient", "tag", "since", "limit",
		"cursor", NULL };
	struct text limit = exchange_query(exchange, TEXT("limit"));
	struct text since = exchange_query(exchange, TEXT("since"));
	uint64_t wanted = LIST_USUAL;

	if (!exchange_query_holds_only(exchange, names))
		return "the query takes state, recipient, tag, since, limit and cursor, each once";
	*query = (struct query){ .state = exchange_query(exchange, TEXT("state")),
		.recipient = exchange_query(exchange, TEXT("recipient")),
		.tag = exchange_query(exchange, TEXT("tag")),
		.cursor = exchange_query(exchange, TEXT("cursor")) };
	if (limit.len && (!text_to_u64(limit, &wanted) || wanted == 0 || wanted > LIST_MOST))
		return "limit is 1 to 500";
	query->limit = (size_t)wanted;
	if (since.len && !read_since(since, &query->since_ms))
		return "since is a time such as 2026-11-24T10:00:00Z (in a URL a + is written %2B)";
	if (query->state.len && !is_state(query->state))
		return "state is one of scheduled, queued, sending, sent, partial, deferred, "
		       "failed, unknown, held, cancelled and captured";
	if (query->cursor.len && !is_cursor(query->cursor))
		return "cursor is the one of an earlier answer";
	return NULL;
}

enum handled messages_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct listing listing = { .exchange = exchange };
	struct query *query = region_zalloc(exchange->region, 1, sizeof(*query));
	const char *why = query ? read_query(exchange, query) : "out of memory";

	if (why)
		return exchange_refuse_as(exchange, "invalid_request", why);
	if (gateway->has_store)
		return ask(exchange, ASK_LIST, query);
	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"messages\":["));
	end_list(&listing,
		gateway->list(gateway->self, &exchange->caller, query, list_one, &listing));
	return HANDLED_ANSWERED;
}

enum handled messages_raw(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct text raw;

	if (gateway->has_store)
		return ask(exchange, ASK_RAW, NULL);
	switch (gateway->raw(
		gateway->self, &exchange->caller, exchange->id, exchange->region, &raw)) {
	case OK:
		exchange->status = 200;
		exchange->content_type = "message/rfc822";
		buf_add(&exchange->answer, raw);
		return HANDLED_ANSWERED;
	case ERR_VALUE:
		return exchange_refuse_as(exchange, "not_kept",
			"without STORE only captured messages are kept, for ten minutes");
	default:
		return exchange_refuse_as(
			exchange, "not_found", "no message of this id is remembered");
	}
}

/* ---- changes */

enum handled messages_cancel(struct exchange *exchange)
{
	if (exchange->gateway->has_store)
		return ask(exchange, ASK_CANCEL, NULL);
	return exchange_refuse_as(exchange, "store_required", "nothing waits without STORE");
}

enum handled messages_retry(struct exchange *exchange)
{
	if (exchange->gateway->has_store)
		return ask(exchange, ASK_RETRY, NULL);
	return exchange_refuse_as(exchange, "store_required", "nothing is kept without STORE");
}
