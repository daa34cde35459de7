/* request_body - a request's body as it arrives: held, or taken in as a form (for request.c) */
#include "http/server/request.h"

#include "http/intake/intake.h"
#include "http/route.h"
#include "http/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A form is charged by its length up to FORM_SHARE, and beyond that in such steps by what it holds.
 */
enum { CHUNKED_START = 16384, FORM_SHARE = 65536 };

static enum MHD_Result refuse_overload(struct request *request)
{
	exchange_refuse_overload(&request->exchange);
	return request_answer(request);
}

static enum MHD_Result refuse_too_large(struct request *request)
{
	char detail[100];

	snprintf(detail, sizeof(detail), "at most %llu bytes are taken (HTTP_MAX_BODY)",
		(unsigned long long)request->door->server->settings.body_max_bytes);
	return request_refuse(request, "body_too_large", detail);
}

static bool reserve(struct request *request, uint64_t bytes)
{
	const struct gateway *gateway = request->exchange.gateway;

	if (!gateway->reserve(gateway->self, request->reserved, bytes))
		return false;
	request->reserved += bytes;
	return true;
}

static bool body_has_room(struct request *request, uint64_t room)
{
	char *more;

	if (room + 1 <= request->body_room)
		return true;
	if (!reserve(request, room + 1 - request->body_room))
		return false;
	request->body_room = room + 1;
	more = realloc(request->exchange.body, room + 1);
	if (!more)
		return false;
	request->exchange.body = more;
	return true;
}

/* Room for `len` bytes more of what is held. */
static bool body_grows(struct request *request, size_t len)
{
	const struct server_settings *settings = &request->door->server->settings;
	size_t all = request->exchange.body_len + len, room = request->body_room - 1;

	while (room < all)
		room = room ? room * 2 : CHUNKED_START;
	if (room > settings->body_max_bytes)
		room = settings->body_max_bytes;
	return body_has_room(request, room);
}

/* False: what it holds now is more than there is room for. */
static bool form_takes(struct request *request, struct text piece)
{
	struct intake *intake = request->exchange.intake;
	uint64_t held;

	intake_feed(intake, piece);
	held = intake_held(intake);
	if (held <= request->reserved)
		return true;
	held = (held - request->reserved + FORM_SHARE - 1) / FORM_SHARE * FORM_SHARE;
	return reserve(request, held);
}

static bool is_chunked(const struct request *request)
{
	return exchange_header(&request->exchange, "Transfer-Encoding").len > 0;
}

bool request_has_body(const struct request *request)
{
	struct text length = exchange_header(&request->exchange, "Content-Length");

	return is_chunked(request) || (length.len && !text_equal(length, TEXT("0")));
}

/* False: out of memory. */
static bool open_intake(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	struct text type = exchange_header(exchange, "Content-Type");

	if (exchange->route->handle != send_one || !intake_fits(type))
		return true;
	exchange->intake =
		intake_open(type, request->door->server->settings.body_max_bytes, exchange->region);
	return exchange->intake;
}

static bool begin_body(struct request *request, uint64_t len)
{
	if (!request->exchange.intake)
		return body_has_room(request, len);
	return reserve(request, len < FORM_SHARE ? len + 1 : FORM_SHARE);
}

enum MHD_Result request_expect_body(struct request *request)
{
	const struct server_settings *settings = &request->door->server->settings;
	struct exchange *exchange = &request->exchange;
	uint64_t length = 0;

	(void)text_to_u64(exchange_header(exchange, "Content-Length"), &length);
	exchange->close = true;
	if (length > settings->body_max_bytes)
		return refuse_too_large(request);
	if (!open_intake(request) ||
		!begin_body(request, is_chunked(request) ? CHUNKED_START : length))
		return refuse_overload(request);
	exchange->close = false;
	request_set_deadline(
		request, exchange->began.now_us, settings->body_ms + length / BYTES_PER_MS);
	request->stage = STAGE_BODY;
	return MHD_YES;
}

enum MHD_Result request_refuse_body(struct request *request)
{
	request->exchange.close = true;
	return request->exchange.status == 413 ? refuse_too_large(request)
					       : refuse_overload(request);
}

static bool keep(struct request *request, struct text piece)
{
	if (request->exchange.intake)
		return form_takes(request, piece);
	if (!body_grows(request, piece.len))
		return false;
	memcpy(request->exchange.body + request->exchange.body_len, piece.at, piece.len);
	return true;
}

enum MHD_Result request_take_body(struct request *request, const char *bytes, size_t *len)
{
	const struct server_settings *settings = &request->door->server->settings;
	struct exchange *exchange = &request->exchange;
	struct text piece = { bytes, *len };
	size_t all = exchange->body_len + piece.len;

	if (request->stage == STAGE_SWALLOW) {
		request->swallowed += *len;
		*len = 0;
		/* who still sends may hear no answer: as much again is read and forgotten */
		request->is_endless = request->swallowed > settings->body_max_bytes;
		return request->is_endless ? request_refuse_body(request) : MHD_YES;
	}
	*len = 0;
	if (request->line)
		atomic_store_explicit(&request->line->silent_us, 0, memory_order_relaxed);
	if (all > settings->body_max_bytes || !keep(request, piece)) {
		exchange->status = all > settings->body_max_bytes ? 413 : 503;
		request->stage = STAGE_SWALLOW;
		return MHD_YES;
	}
	exchange->body_len = all;
	if (is_chunked(request))
		request_set_deadline(
			request, exchange->began.now_us, settings->body_ms + all / BYTES_PER_MS);
	return MHD_YES;
}
