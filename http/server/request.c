#include "http/server/request.h"

#include "http/server/guard.h"
#include "http/intake/intake.h"
#include "http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACEPARENT = 55, FORWARDED_MAX = 4096 };

uint64_t request_now_us(const struct request *request)
{
	const struct gateway *gateway = request->exchange.gateway;
	struct stamp stamp;

	gateway->stamp(gateway->self, &stamp);
	return stamp.now_us;
}

void request_set_deadline(struct request *request, uint64_t from_us, uint64_t ms)
{
	line_set_deadline(request->line, from_us + ms * 1000);
}

/* ---- it begins and ends */

bool request_open_region(const struct server *server, struct region **region_out)
{
	return region_open(server->settings.body_max_bytes * 2 + server->settings.spare_bytes,
		       region_out) == OK;
}

static void forget(struct request *request)
{
	struct server *server = request->door->server;

	if (request->reserved)
		server->gateway->release(server->gateway->self, request->reserved);
	free(request->exchange.body);
	intake_close(request->exchange.intake);
	buf_free(&request->exchange.answer);
	region_close(request->exchange.region);
	if (request->spare) {
		region_close(request->spare);
		atomic_fetch_sub(&server->held, 1);
	}
	free(request);
	atomic_fetch_sub(&server->busy, 1);
}

void request_release(struct request *request)
{
	if (atomic_fetch_sub(&request->holds, 1) == 1)
		forget(request);
}

void *request_begun(void *self, const char *target, struct MHD_Connection *connection)
{
	struct door *door = self;
	struct server *server = door->server;
	const union MHD_ConnectionInfo *context =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *request = calloc(1, sizeof(*request));
	struct text path;

	if (!request)
		return NULL;
	if (!request_open_region(server, &request->exchange.region)) {
		free(request);
		return NULL;
	}
	atomic_init(&request->holds, 1);
	request->door = door;
	request->connection = connection;
	request->line = context ? context->socket_context : NULL;
	request->exchange.gateway = server->gateway;
	request->exchange.deadline_most_us = server->settings.send_deadline_us;
	request->exchange.answer = buf_born(server->settings.answer_max_bytes);
	server->gateway->stamp(server->gateway->self, &request->exchange.began);
	path = region_copy(request->exchange.region, text_of(target));
	request->exchange.path = text_cut(&path, '?');
	request->exchange.query = path;
	atomic_fetch_add(&server->busy, 1);
	if (!request->line)
		return request;
	atomic_store(&request->line->is_reading, true);
	atomic_store(&request->line->is_idle, false);
	/* The first request's time runs since the connection was made. */
	if (atomic_exchange(&request->line->had_request, true))
		request_set_deadline(
			request, request->exchange.began.now_us, server->settings.headers_ms);
	return request;
}

/* Where its region is in use, the answer is written into another one. */
static void wake(struct request *request)
{
	struct region *region = request->exchange.region;

	if (request->spare) {
		request->exchange.region = request->spare;
		request->spare = region;
	}
	request->stage = STAGE_WOKEN;
	atomic_fetch_sub(&request->door->server->parked, 1);
	request->exchange.when_woken(&request->exchange);
}

void request_ended(void *self, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;
	struct server *server = ((struct door *)self)->server;

	(void)connection, (void)code;
	*context = NULL;
	if (!request)
		return;
	/* Whoever slept was woken, and the client left meanwhile: what is to be done when the
	 * answer is there is done, though it is told to nobody. */
	if (request->stage == STAGE_PARKED)
		wake(request);
	if (request->line) {
		atomic_store(&request->line->is_idle, true);
		request_set_deadline(request,
			request->answered_us ? request->answered_us : request_now_us(request),
			server->settings.idle_ms);
	}
	request_release(request);
}

/* ---- who asks */

static bool is_usable_id(struct text id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!byte_is_letter(id.at[i]) && !byte_is_digit(id.at[i]) &&
			!memchr("-._", id.at[i], 3))
			return false;
	return id.len > 0 && id.len < REQUEST_ID;
}

static void name_request(struct request *request)
{
	struct text given = exchange_header(&request->exchange, "X-Request-Id");
	const unsigned char *random = request->exchange.began.random;
	static const char hex[] = "0123456789abcdef";

	if (is_usable_id(given)) {
		memcpy(request->id, given.at, given.len);
	} else {
		given.len = 32;
		for (size_t i = 0; i < given.len; i++)
			request->id[i] = hex[random[i / 2] >> (i % 2 ? 0 : 4) & 15];
	}
	request->exchange.request_id = (struct text){ request->id, given.len };
}

static enum MHD_Result join_forwarded(void *joined, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	if (!text_equal_nocase((struct text){ name, name_len }, TEXT("X-Forwarded-For")))
		return MHD_YES;
	buf_add(joined, TEXT(","));
	buf_add(joined, (struct text){ value, value ? value_len : 0 });
	return MHD_YES;
}

/* A proxy may add a field of its own behind the client's: all of them are one list, in order (RFC
 * 9110 5.3). */
static struct text forwarded_for(struct request *request)
{
	struct buf joined = buf_born(FORWARDED_MAX);
	struct text list;

	MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, join_forwarded, &joined);
	list = region_copy(request->exchange.region, text_from(buf_text(&joined), 1));
	if (joined.err)
		list.len = 0;
	buf_free(&joined);
	return list;
}

static void name_client(struct request *request)
{
	const struct server *server = request->door->server;
	struct exchange *exchange = &request->exchange;
	struct network_address client;

	if (!request->line)
		return;
	exchange->client = text_of(request->line->client);
	if (!network_holds(server->trusted, server->trusted_count, &request->line->address))
		return;
	client = network_client(server->trusted, server->trusted_count, &request->line->address,
		forwarded_for(request));
	network_address_name(&client, request->client);
	exchange->client = text_of(request->client);
}

/* "00-" trace id "-" parent id "-" flags, in lower-case hex (W3C Trace Context); else it is none.
 */
static struct text read_traceparent(struct text given)
{
	static const char form[] = "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";

	if (given.len < TRACEPARENT || (given.len > TRACEPARENT && given.at[TRACEPARENT] != '-'))
		return (struct text){ 0 };
	for (size_t i = 0; i < TRACEPARENT; i++) {
		bool is_hex =
			byte_is_digit(given.at[i]) || (given.at[i] >= 'a' && given.at[i] <= 'f');

		if (form[i] == '-' ? given.at[i] != '-' : !is_hex)
			return (struct text){ 0 };
	}
	return text_head(given, TRACEPARENT);
}

static struct text key_of(const struct exchange *exchange)
{
	struct text given = exchange_header(exchange, "Authorization");

	if (!given.len)
		return exchange_header(exchange, "X-API-Key");
	if (text_starts_nocase(given, TEXT("Bearer ")))
		return text_trim(text_from(given, 7));
	return (struct text){ 0 };
}

static const char *words_of_scope(unsigned scope)
{
	switch (scope) {
	case SCOPE_SEND:
		return "this takes a key with the scope send";
	case SCOPE_READ:
		return "this takes a key with the scope read";
	case SCOPE_TEMPLATES:
		return "this takes a key with the scope templates";
	default:
		return "this takes a key with the scope admin";
	}
}

/* True: there is a route, and the key may use it. */
static bool pass_door(struct request *request, const char *method)
{
	struct exchange *exchange = &request->exchange;
	const struct gateway *gateway = exchange->gateway;
	const struct route *route =
		route_find(text_of(method), exchange->path, &exchange->id, &exchange->allow);
	bool elsewhere = request->door->server->settings.has_admin_listener && route &&
			 route->is_admin && !request->door->is_admin;

	if (!route || elsewhere) {
		exchange_refuse_as(exchange,
			!elsewhere && exchange->allow ? "method_not_allowed" : "not_found", "");
		return false;
	}
	exchange->allow = NULL;
	exchange->route = route;
	if (!route->scope)
		return true;
	if (!gateway->admit(gateway->self, key_of(exchange), exchange->region, &exchange->caller)) {
		exchange_refuse_as(exchange, "unauthorized",
			"send the key as Authorization: Bearer KEY, or as X-API-Key: KEY");
		return false;
	}
	if (exchange->caller.scopes & (route->scope | SCOPE_ADMIN))
		return true;
	exchange_refuse_as(exchange, "forbidden", words_of_scope(route->scope));
	return false;
}

/* ---- from step to step */

static enum MHD_Result run(struct request *request)
{
	request->exchange.content_type = "application/json";
	if (request->line) { /* what comes now takes our time, not the client's */
		atomic_store(&request->line->is_reading, false);
		line_set_deadline(request->line, UINT64_MAX);
	}
	if (request->exchange.route->handle(&request->exchange) == HANDLED_PARKED)
		return MHD_YES;
	return request_answer(request);
}

static enum MHD_Result take_headers(
	struct request *request, const char *method, const char *version)
{
	struct exchange *exchange = &request->exchange;
	enum MHD_Result result = MHD_NO;

	snprintf(request->method, sizeof(request->method), "%s", method);
	name_request(request);
	name_client(request);
	if (!request_pass_guard(request, version, &result))
		return result;
	exchange->traceparent = read_traceparent(exchange_header(exchange, "traceparent"));
	/* An answer in the library's first call ends the connection: fit only for a request whose
	 * body nobody wants to read. */
	if (!pass_door(request, method)) {
		exchange->close = request_has_body(request);
		request->stage = STAGE_REFUSED;
		return exchange->close ? request_answer(request) : MHD_YES;
	}
	if (exchange->route->has_body)
		return request_expect_body(request);
	request->stage = STAGE_BODY;
	return MHD_YES;
}

static enum MHD_Result body_is_whole(struct request *request)
{
	return request->stage == STAGE_BODY ? run(request) : request_refuse_body(request);
}

enum MHD_Result request_handle(void *self, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len,
	void **context)
{
	struct request *request = *context;

	(void)self, (void)connection, (void)url;
	if (!request)
		return MHD_NO;
	switch (request->stage) {
	case STAGE_HEADERS:
		return take_headers(request, method, version);
	case STAGE_REFUSED:
		return request_answer(request);
	case STAGE_BODY:
	case STAGE_SWALLOW:
		return *upload_len ? request_take_body(request, upload, upload_len)
				   : body_is_whole(request);
	case STAGE_PARKED:
		wake(request);
		return request_answer(request);
	default:
		return MHD_NO;
	}
}
