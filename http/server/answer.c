/* answer - what stands in an exchange, as libmicrohttpd's response */
#include "http/server/request.h"

#include "http/server/guard.h"
#include "http/route.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/socket.h>

enum { ENDLESS_BYTES = 16384 };

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

/* draft-ietf-httpapi-ratelimit-headers */
static void add_rate(struct MHD_Response *response, const struct rate_state *rate)
{
	char line[100];

	if (!rate->limit)
		return;
	snprintf(line, sizeof(line), "\"key\";q=%u;w=%u", rate->limit, rate->window_s);
	add_header(response, "RateLimit-Policy", line);
	snprintf(line, sizeof(line), "\"key\";r=%u;t=%u", rate->remaining, rate->retry_after_s);
	add_header(response, "RateLimit", line);
}

static void add_headers(struct request *request, struct MHD_Response *response)
{
	const struct exchange *exchange = &request->exchange;
	char number[24];

	add_header(response, "Content-Type",
		exchange->content_type ? exchange->content_type : "application/json");
	if (request->id[0])
		add_header(response, "X-Request-Id", request->id);
	add_header(response, "Cache-Control", "no-store");
	add_header(response, "X-Content-Type-Options", "nosniff");
	add_rate(response, &exchange->rate);
	if (exchange->retry_after_s) {
		snprintf(number, sizeof(number), "%u", exchange->retry_after_s);
		add_header(response, "Retry-After", number);
	}
	if (exchange->location.len)
		add_header(response, "Location", exchange->location.at);
	if (exchange->preference_applied)
		add_header(response, "Preference-Applied", exchange->preference_applied);
	if (exchange->allow)
		add_header(response, "Allow", exchange->allow);
	if (exchange->idempotency_scope)
		add_header(response, "Idempotency-Scope", exchange->idempotency_scope);
	if (exchange->is_replayed)
		add_header(response, "Idempotency-Replayed", "true");
	if (exchange->status == 401)
		add_header(response, "WWW-Authenticate", "Bearer");
	if (exchange->close || atomic_load(&request->door->server->draining))
		add_header(response, "Connection", "close");
}

static void tell_of_it(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	const struct gateway *gateway = exchange->gateway;
	struct exchange_seen seen = { .method = request->method,
		.route = exchange->route ? exchange->route->pattern : "other",
		.request_id = exchange->request_id,
		.key_id = exchange->caller.key_id,
		.traceparent = exchange->traceparent,
		.client = exchange->client,
		.status = exchange->status,
		.replayed = exchange->replayed,
		.took_us = request->answered_us - exchange->began.now_us };

	gateway->observe(gateway->self, &seen);
}

/* The client may still be sending what nobody wants: a close on unread bytes is a reset, which can
 * overtake the answer. */
static void linger(struct request *request)
{
	if (request->line && request->exchange.close && request->stage < STAGE_BODY)
		acceptor_linger(request->door->server->acceptor, request->line->fd);
}

/* ---- while the client still sends */

static enum MHD_Result write_header(
	void *head, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	buf_addf(head, "%s: %s\r\n", name, value);
	return MHD_YES;
}

/* As much as the connection takes at once, which has carried no answer yet: all of it. */
static void write_out(const struct request *request, struct text bytes)
{
	const union MHD_ConnectionInfo *tls =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	if (tls && tls->tls_session)
		(void)gnutls_record_send(tls->tls_session, bytes.at, bytes.len);
	else
		(void)!send(request->line->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* libmicrohttpd takes no answer before the body has ended. Where it does not end, we write the
 * answer past it, and have the connection closed. */
static enum MHD_Result answer_endless(struct request *request, struct MHD_Response *response)
{
	const struct exchange *exchange = &request->exchange;
	struct buf wire = buf_born(ENDLESS_BYTES);

	buf_addf(&wire, "HTTP/1.1 %u %s\r\n", exchange->status,
		MHD_get_reason_phrase_for(exchange->status));
	(void)MHD_get_response_headers(response, write_header, &wire);
	buf_addf(&wire, "Content-Length: %zu\r\n\r\n", exchange->answer.len);
	buf_add(&wire, buf_text(&exchange->answer));
	if (request->line && !wire.err) {
		write_out(request, buf_text(&wire));
		acceptor_linger(request->door->server->acceptor, request->line->fd);
	}
	buf_free(&wire);
	return MHD_NO;
}

/* ---- any answer */

enum MHD_Result request_answer(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	struct MHD_Response *response;
	enum MHD_Result result;

	request->answered_us = request_now_us(request);
	if (request->line)
		atomic_store(&request->line->is_reading, false);
	if (exchange->answer.err) { /* too large, or no memory: never no answer at all */
		exchange->close = true;
		exchange_refuse_as(exchange, "internal", "the answer cannot be told");
	}
	if (exchange->answer.err)
		return MHD_NO;
	linger(request);
	request->stage = STAGE_ANSWERED;
	request_set_deadline(request, request->answered_us,
		request->door->server->settings.idle_ms + exchange->answer.len / BYTES_PER_MS);
	response = MHD_create_response_from_buffer(
		exchange->answer.len, exchange->answer.at, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	add_headers(request, response);
	result = request->is_endless
			 ? answer_endless(request, response)
			 : MHD_queue_response(request->connection, exchange->status, response);
	MHD_destroy_response(response);
	tell_of_it(request);
	return result;
}

enum MHD_Result request_refuse(struct request *request, const char *code, const char *detail)
{
	exchange_refuse_as(&request->exchange, code, detail);
	return request_answer(request);
}

/* ---- the guard */

struct collected {
	struct guard_header headers[GUARD_HEADERS];
	size_t count;
	bool too_many;
};

static enum MHD_Result collect(void *context, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	struct collected *collected = context;

	(void)kind;
	if (collected->count == GUARD_HEADERS) {
		collected->too_many = true;
		return MHD_NO;
	}
	collected->headers[collected->count++] =
		(struct guard_header){ { name, name_len }, { value, value ? value_len : 0 } };
	return MHD_YES;
}

static enum MHD_Result refuse_framing(
	struct request *request, enum guard_verdict verdict, const char *why)
{
	request->exchange.close = true;
	switch (verdict) {
	case GUARD_VERSION:
		return request_refuse(request, "version_not_supported", "");
	case GUARD_METHOD:
		return request_refuse(request, "method_unknown", "");
	case GUARD_UNWANTED_BODY:
		return request_refuse(request, "bad_framing", "this method takes no body");
	default:
		return request_refuse(request, "bad_framing", why);
	}
}

bool request_pass_guard(struct request *request, const char *version, enum MHD_Result *result_out)
{
	struct collected collected; /* 4 KB: not cleared */
	struct guard_request framed = { .method = text_of(request->method),
		.path = request->exchange.path,
		.version = text_of(version),
		.headers = collected.headers };
	const char *why = "the request has too many headers";
	enum guard_verdict verdict = GUARD_TOO_MANY_FIELDS;

	collected.count = 0;
	collected.too_many = false;
	MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, collect, &collected);
	framed.count = collected.count;
	if (!collected.too_many)
		verdict = guard_check(&framed, &why);
	if (verdict == GUARD_PASS)
		return true;
	*result_out = refuse_framing(request, verdict, why);
	return false;
}
