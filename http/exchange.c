#include "http/exchange.h"

#include "http/server/request.h"
#include "http/route.h"

#include <string.h>

enum { SMALL_BYTES = 65536, LIST_BYTES = 8192 };

/* ---- parking */

/* The connection is asleep before anything may wake it. What is woken runs in this same thread, so
 * not before the handler has returned. */
void exchange_park(struct exchange *exchange, void (*when_woken)(struct exchange *exchange))
{
	struct request *request = (struct request *)exchange;

	exchange->when_woken = when_woken;
	request->stage = STAGE_PARKED;
	atomic_fetch_add(&request->door->server->parked, 1);
	line_set_deadline(request->line, UINT64_MAX);
	MHD_suspend_connection(request->connection);
}

void exchange_wake(struct exchange *exchange)
{
	MHD_resume_connection(((struct request *)exchange)->connection);
}

bool exchange_hold(struct exchange *exchange, struct region **region_out)
{
	struct request *request = (struct request *)exchange;

	if (!request->spare) {
		if (!request_open_region(request->door->server, &request->spare))
			return false;
		atomic_fetch_add(&request->door->server->held, 1);
	}
	atomic_fetch_add(&request->holds, 1);
	*region_out = request->spare;
	return true;
}

void *exchange_hold_waiting(
	struct exchange *exchange, const void *wait, size_t size, struct region **region_out)
{
	void *copy;

	if (!exchange_hold(exchange, region_out))
		return NULL;
	copy = region_zalloc(*region_out, 1, size);
	if (!copy) {
		exchange_release(exchange);
		return NULL;
	}
	memcpy(copy, wait, size);
	exchange->waiting = copy;
	return copy;
}

void exchange_release(struct exchange *exchange)
{
	request_release((struct request *)exchange);
}

/* ---- the budget */

bool exchange_reserve(struct exchange *exchange, uint64_t bytes)
{
	struct request *request = (struct request *)exchange;

	if (bytes <= SMALL_BYTES)
		return true;
	if (!exchange->gateway->reserve(exchange->gateway->self, request->reserved, bytes))
		return false;
	request->reserved += bytes;
	return true;
}

uint64_t exchange_reserved(const struct exchange *exchange)
{
	return ((const struct request *)exchange)->reserved;
}

/* ---- refusals */

enum handled exchange_refuse(struct exchange *exchange, const struct problem *problem)
{
	struct problem told = *problem;

	exchange->status = problem_status(problem);
	told.retry_after_s = problem_pause_s(problem);
	if (!told.outcome && exchange->route && route_is_send(exchange->route))
		told.outcome = "not_sent";
	exchange->content_type = "application/problem+json";
	exchange->retry_after_s = told.retry_after_s;
	buf_clear(&exchange->answer);
	problem_add(&exchange->answer, &told, exchange->request_id);
	buf_add_byte(&exchange->answer, '\n');
	return HANDLED_ANSWERED;
}

enum handled exchange_refuse_overload(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	return exchange_refuse(
		exchange, &(struct problem){ .code = "overloaded",
				  .detail = TEXT("MAX_IN_FLIGHT_BYTES is reached"),
				  .retry_after_s = gateway->overload_pause_s(gateway->self) });
}

enum handled exchange_refuse_as(struct exchange *exchange, const char *code, const char *detail)
{
	return exchange_refuse(
		exchange, &(struct problem){ .code = code, .detail = text_of(detail) });
}

/* ---- what the request says */

struct text exchange_header(const struct exchange *exchange, const char *name)
{
	const struct request *request = (const struct request *)exchange;
	const char *value = NULL;
	size_t len = 0;

	if (MHD_lookup_connection_value_n(request->connection, MHD_HEADER_KIND, name, strlen(name),
		    &value, &len) != MHD_YES ||
		!value)
		return (struct text){ 0 };
	return text_trim((struct text){ value, len });
}

struct listed {
	const char *name;
	struct buf values;
};

static enum MHD_Result list_value(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct listed *listed = context;

	(void)kind;
	if (!value || !text_equal_nocase(text_of(name), text_of(listed->name)))
		return MHD_YES;
	if (listed->values.len)
		buf_add_byte(&listed->values, ',');
	buf_add_string(&listed->values, value);
	return MHD_YES;
}

struct text exchange_header_list(const struct exchange *exchange, const char *name)
{
	const struct request *request = (const struct request *)exchange;
	struct listed listed = { name, buf_born(LIST_BYTES) };
	struct text copy = { 0 };

	(void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, list_value, &listed);
	if (!listed.values.err && listed.values.len)
		copy = region_copy(exchange->region, buf_text(&listed.values));
	buf_free(&listed.values);
	return copy;
}

static size_t undo_percent(char *at, size_t len)
{
	char *out = at;

	for (size_t i = 0; i < len; i++) {
		int high = at[i] == '%' && i + 2 < len ? byte_hex(at[i + 1]) : -1;
		int low = high >= 0 ? byte_hex(at[i + 2]) : -1;

		if (low >= 0) {
			*out++ = (char)(high << 4 | low);
			i += 2;
		} else {
			*out++ = at[i] == '+' ? ' ' : at[i];
		}
	}
	return (size_t)(out - at);
}

bool exchange_query_next(const struct exchange *exchange, struct text *rest, struct text *name_out,
	struct text *value_out)
{
	struct text value;

	if (!rest->len)
		return false;
	value = text_cut(rest, '&');
	*name_out = text_cut(&value, '=');
	*value_out = region_copy(exchange->region, value);
	value_out->len = undo_percent((char *)value_out->at, value_out->len);
	return true;
}

struct text exchange_query(const struct exchange *exchange, struct text name)
{
	struct text rest = exchange->query, found, value;

	while (exchange_query_next(exchange, &rest, &found, &value))
		if (text_equal(found, name))
			return value;
	return (struct text){ 0 };
}

bool exchange_query_holds_only(const struct exchange *exchange, const char *const *names)
{
	struct text rest = exchange->query;
	uint64_t seen = 0;

	while (rest.len) {
		struct text member = text_cut(&rest, '&'), name = text_cut(&member, '=');
		size_t i = 0;

		while (names[i] && !text_equal(name, text_of(names[i])))
			i++;
		if (name.len && (!names[i] || (seen >> i & 1)))
			return false;
		seen |= UINT64_C(1) << i;
	}
	return true;
}
