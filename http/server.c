#include "http/server.h"

#include "http/certificate.h"
#include "http/guard.h"
#include "http/route.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_PER_MS = 64, SWALLOW_BYTES = 1 << 20, REGION_SPARE = 24 << 20, ID_LEN = 64 };
enum { ANSWER_MAX = 64 << 20, WRITE_MS = 60000, CHUNKED_START = 16384, POOL_BYTES = 16384 };

/* One TCP connection: what server_tick has to know of it. */
struct line {
	struct line *previous, *next;
	int fd;
	atomic_uint_fast64_t deadline_us; /* UINT64_MAX: a request is parked */
	atomic_bool is_idle;
};

struct door {
	struct MHD_Daemon *daemon;
	struct server *server;
	bool is_admin;
};

struct server {
	struct server_settings settings;
	const struct gateway *gateway;
	struct door *doors;
	size_t door_count;
	pthread_mutex_t lock; /* over the list of lines */
	struct line *lines;
	atomic_bool draining;
	atomic_uint busy;
};

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_SWALLOW, STAGE_PARKED, STAGE_ANSWERED };

struct request {
	struct exchange exchange; /* first: a handler's exchange is the request */
	struct door *door;
	struct MHD_Connection *connection;
	struct line *line;
	enum stage stage;
	size_t body_room;
	uint64_t reserved; /* bytes of the gateway's budget */
	size_t swallowed;
	char id[ID_LEN];
	char method[8];
};

/* ---- time */

static uint64_t now_us(const struct server *server)
{
	struct stamp stamp;

	server->gateway->stamp(server->gateway->self, &stamp);
	return stamp.now_us;
}

static void set_deadline(struct request *request, uint64_t from_us, uint64_t ms)
{
	if (request->line)
		atomic_store_explicit(
			&request->line->deadline_us, from_us + ms * 1000, memory_order_relaxed);
}

static void no_deadline(struct request *request)
{
	if (request->line)
		atomic_store_explicit(
			&request->line->deadline_us, UINT64_MAX, memory_order_relaxed);
}

void server_tick(struct server *server, uint64_t now)
{
	bool draining = atomic_load(&server->draining);

	pthread_mutex_lock(&server->lock);
	for (struct line *line = server->lines; line; line = line->next)
		if (now >= atomic_load_explicit(&line->deadline_us, memory_order_relaxed) ||
			(draining && atomic_load(&line->is_idle)))
			shutdown(line->fd, SHUT_RDWR);
	pthread_mutex_unlock(&server->lock);
}

/* ---- connections */

static void line_opened(struct server *server, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct line *line = calloc(1, sizeof(*line));

	*context = line;
	if (!line)
		return;
	line->fd = fd ? fd->connect_fd : -1;
	atomic_init(&line->deadline_us, now_us(server) + server->settings.headers_ms * 1000ull);
	atomic_init(&line->is_idle, false);
	pthread_mutex_lock(&server->lock);
	line->next = server->lines;
	if (line->next)
		line->next->previous = line;
	server->lines = line;
	pthread_mutex_unlock(&server->lock);
}

static void line_closed(struct server *server, struct line *line)
{
	if (!line)
		return;
	pthread_mutex_lock(&server->lock);
	if (line->next)
		line->next->previous = line->previous;
	if (line->previous)
		line->previous->next = line->next;
	else
		server->lines = line->next;
	pthread_mutex_unlock(&server->lock);
	free(line);
}

static void line_changed(void *self, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct door *door = self;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		line_opened(door->server, connection, context);
	else
		line_closed(door->server, *context);
}

/* ---- a request begins */

static bool is_usable_id(struct text id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!byte_is_letter(id.at[i]) && !byte_is_digit(id.at[i]) &&
			!memchr("-._", id.at[i], 3))
			return false;
	return id.len > 0 && id.len < ID_LEN;
}

static void name_request(struct request *request)
{
	struct text given = exchange_header(&request->exchange, "X-Request-Id");
	const unsigned char *random = request->exchange.began.random;
	static const char hex[] = "0123456789abcdef";

	if (is_usable_id(given)) {
		memcpy(request->id, given.at, given.len);
	} else {
		for (size_t i = 0; i < 32; i++)
			request->id[i] = hex[random[i / 2] >> (i % 2 ? 0 : 4) & 15];
	}
	request->exchange.request_id = text_of(request->id);
}

/* Called with the target as it came, before anything is decoded or looked at. */
static void *request_begun(void *self, const char *target, struct MHD_Connection *connection)
{
	struct door *door = self;
	struct server *server = door->server;
	struct request *request = calloc(1, sizeof(*request));
	const union MHD_ConnectionInfo *context =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct text path = text_of(target);

	if (!request)
		return NULL;
	if (region_open(server->settings.body_max_bytes * 2 + REGION_SPARE,
		    &request->exchange.region)) {
		free(request);
		return NULL;
	}
	request->door = door;
	request->connection = connection;
	request->line = context ? context->socket_context : NULL;
	request->exchange.gateway = server->gateway;
	request->exchange.deadline_most_us = server->settings.send_deadline_us;
	request->exchange.answer = buf_born(ANSWER_MAX);
	server->gateway->stamp(server->gateway->self, &request->exchange.began);
	path = region_copy(request->exchange.region, path);
	request->exchange.path = text_cut(&path, '?');
	request->exchange.query = path;
	if (request->line)
		atomic_store(&request->line->is_idle, false);
	set_deadline(request, request->exchange.began.now_us, server->settings.headers_ms);
	atomic_fetch_add(&server->busy, 1);
	return request;
}

static void request_ended(void *self, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;
	struct door *door = self;
	struct server *server = door->server;

	(void)connection, (void)code;
	*context = NULL;
	if (!request)
		return;
	if (request->line) {
		atomic_store(&request->line->is_idle, true);
		set_deadline(request, now_us(server), server->settings.idle_ms);
	}
	server->gateway->release(server->gateway->self, request->reserved);
	free(request->exchange.body);
	buf_free(&request->exchange.answer);
	region_close(request->exchange.region);
	free(request);
	atomic_fetch_sub(&server->busy, 1);
}

/* ---- answering */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

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
	if (exchange->allow)
		add_header(response, "Allow", exchange->allow);
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
		.took_us = now_us(request->door->server) - exchange->began.now_us };

	gateway->observe(gateway->self, &seen);
}

static enum MHD_Result answer(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	struct MHD_Response *response;
	enum MHD_Result result;

	request->stage = STAGE_ANSWERED;
	if (exchange->answer.err)
		return MHD_NO;
	set_deadline(request, now_us(request->door->server),
		WRITE_MS + exchange->answer.len / BYTES_PER_MS);
	response = MHD_create_response_from_buffer(
		exchange->answer.len, exchange->answer.at, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	add_headers(request, response);
	result = MHD_queue_response(request->connection, exchange->status, response);
	MHD_destroy_response(response);
	tell_of_it(request);
	return result;
}

enum handled exchange_refuse(struct exchange *exchange, const struct problem *problem)
{
	exchange->status = problem_status(problem);
	exchange->content_type = "application/problem+json";
	exchange->retry_after_s = problem->retry_after_s;
	buf_clear(&exchange->answer);
	problem_add(&exchange->answer, problem, exchange->request_id);
	return HANDLED_ANSWERED;
}

enum handled exchange_refuse_as(struct exchange *exchange, const char *code, const char *detail)
{
	return exchange_refuse(
		exchange, &(struct problem){ .code = code, .detail = text_of(detail) });
}

static enum MHD_Result refuse_as(struct request *request, const char *code, const char *detail)
{
	exchange_refuse_as(&request->exchange, code, detail);
	return answer(request);
}

/* ---- headers */

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

/* True: it passed; else the refusal is in *result_out. */
static bool pass_guard(struct request *request, const char *method, const char *version,
	enum MHD_Result *result_out)
{
	struct collected collected = { .count = 0, .too_many = false };
	struct guard_request framed = { .method = text_of(method),
		.path = request->exchange.path,
		.version = text_of(version),
		.headers = collected.headers };
	const char *code = "bad_framing", *why = "the request has too many headers";
	enum guard_verdict verdict = GUARD_TOO_MANY_FIELDS;

	MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, collect, &collected);
	framed.count = collected.count;
	if (!collected.too_many)
		verdict = guard_check(&framed, &why);
	switch (verdict) {
	case GUARD_PASS:
		return true;
	case GUARD_VERSION:
		code = "version_not_supported";
		why = "";
		break;
	case GUARD_METHOD:
		code = "method_unknown";
		why = "";
		break;
	case GUARD_UNWANTED_BODY:
		why = "this method takes no body";
		break;
	default:
		break;
	}
	request->exchange.close = true;
	*result_out = refuse_as(request, code, why);
	return false;
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

/* True: there is a route, and the key may use it. */
static bool pass_door(struct request *request, const char *method, enum MHD_Result *result_out)
{
	struct exchange *exchange = &request->exchange;
	const struct gateway *gateway = exchange->gateway;
	const struct route *route =
		route_find(text_of(method), exchange->path, &exchange->id, &exchange->allow);
	bool elsewhere = request->door->server->settings.has_admin_listener && route &&
			 route->is_admin && !request->door->is_admin;

	if (!route || elsewhere) {
		*result_out = !elsewhere && exchange->allow
				      ? refuse_as(request, "method_not_allowed", "")
				      : refuse_as(request, "not_found", "");
		return false;
	}
	exchange->allow = NULL;
	exchange->route = route;
	if (!route->scope)
		return true;
	if (!gateway->admit(gateway->self, key_of(exchange), exchange->region, &exchange->caller)) {
		*result_out = refuse_as(request, "unauthorized", "");
		return false;
	}
	if (exchange->caller.scopes & (route->scope | SCOPE_ADMIN))
		return true;
	*result_out = refuse_as(request, "forbidden", "");
	return false;
}

static enum MHD_Result refuse_overload(struct request *request)
{
	const struct gateway *gateway = request->exchange.gateway;

	request->exchange.close = true;
	exchange_refuse(&request->exchange,
		&(struct problem){ .code = "overloaded",
			.outcome = "not_sent",
			.detail = TEXT("MAX_IN_FLIGHT_BYTES is reached"),
			.retry_after_s = gateway->overload_pause_s(gateway->self) });
	return answer(request);
}

static bool body_has_room(struct request *request, uint64_t room)
{
	const struct gateway *gateway = request->exchange.gateway;
	char *more;

	if (room + 1 <= request->body_room)
		return true;
	if (!gateway->reserve(gateway->self, room + 1 - request->body_room))
		return false;
	request->reserved += room + 1 - request->body_room;
	more = realloc(request->exchange.body, room + 1);
	if (!more)
		return false;
	request->exchange.body = more;
	request->body_room = room + 1;
	return true;
}

static enum MHD_Result expect_body(struct request *request)
{
	const struct server_settings *settings = &request->door->server->settings;
	struct exchange *exchange = &request->exchange;
	struct text said = exchange_header(exchange, "Content-Length");
	bool is_chunked = exchange_header(exchange, "Transfer-Encoding").len > 0;
	uint64_t length = 0;

	(void)text_to_u64(said, &length);
	if (length > settings->body_max_bytes) {
		exchange->close = true;
		return refuse_as(request, "body_too_large", "HTTP_MAX_BODY says how much is taken");
	}
	if (!body_has_room(request, is_chunked ? CHUNKED_START : length))
		return refuse_overload(request);
	set_deadline(request, exchange->began.now_us, settings->body_ms + length / BYTES_PER_MS);
	request->stage = STAGE_BODY;
	return MHD_YES;
}

static enum MHD_Result run(struct request *request)
{
	request->exchange.content_type = "application/json";
	if (request->exchange.route->handle(&request->exchange) == HANDLED_PARKED)
		return MHD_YES;
	return answer(request);
}

static void name_client(struct request *request)
{
	const union MHD_ConnectionInfo *address =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char name[64] = "";

	if (address && address->client_addr && address->client_addr->sa_family != AF_UNIX)
		(void)getnameinfo(address->client_addr,
			address->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
								    : sizeof(struct sockaddr_in),
			name, sizeof(name), NULL, 0, NI_NUMERICHOST);
	request->exchange.client = region_copy(request->exchange.region, text_of(name));
}

static enum MHD_Result take_headers(
	struct request *request, const char *method, const char *version)
{
	struct exchange *exchange = &request->exchange;
	enum MHD_Result result = MHD_NO;

	snprintf(request->method, sizeof(request->method), "%s", method);
	name_request(request);
	name_client(request);
	if (!pass_guard(request, method, version, &result))
		return result;
	exchange->traceparent = text_head(exchange_header(exchange, "traceparent"), 64);
	if (!pass_door(request, method, &result))
		return result;
	if (exchange->route->has_body)
		return expect_body(request);
	return run(request);
}

/* ---- body */

static enum MHD_Result take_body(struct request *request, const char *bytes, size_t *len)
{
	const struct server_settings *settings = &request->door->server->settings;
	struct exchange *exchange = &request->exchange;
	size_t all = exchange->body_len + *len;
	size_t room = request->body_room - 1;

	if (request->stage == STAGE_SWALLOW) {
		request->swallowed += *len;
		*len = 0;
		return request->swallowed > SWALLOW_BYTES ? MHD_NO : MHD_YES;
	}
	while (room < all)
		room = room * 2 < settings->body_max_bytes || room >= settings->body_max_bytes
			       ? room * 2
			       : settings->body_max_bytes;
	if (all > settings->body_max_bytes || !body_has_room(request, room)) {
		exchange->status = all > settings->body_max_bytes ? 413 : 503;
		request->stage = STAGE_SWALLOW;
		*len = 0;
		return MHD_YES;
	}
	memcpy(exchange->body + exchange->body_len, bytes, *len);
	exchange->body_len = all;
	*len = 0;
	set_deadline(request, exchange->began.now_us, settings->body_ms + all / BYTES_PER_MS);
	return MHD_YES;
}

static enum MHD_Result body_is_whole(struct request *request)
{
	if (request->stage == STAGE_BODY)
		return run(request);
	request->exchange.close = true;
	if (request->exchange.status == 413)
		return refuse_as(request, "body_too_large", "HTTP_MAX_BODY says how much is taken");
	return refuse_overload(request);
}

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *url,
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
	case STAGE_BODY:
	case STAGE_SWALLOW:
		return *upload_len ? take_body(request, upload, upload_len)
				   : body_is_whole(request);
	case STAGE_PARKED:
		request->exchange.when_woken(&request->exchange);
		return answer(request);
	default:
		return MHD_NO;
	}
}

void exchange_park(struct exchange *exchange, void (*when_woken)(struct exchange *exchange))
{
	struct request *request = (struct request *)exchange;

	exchange->when_woken = when_woken;
	request->stage = STAGE_PARKED;
	no_deadline(request);
	MHD_suspend_connection(request->connection);
}

void exchange_wake(struct exchange *exchange)
{
	MHD_resume_connection(((struct request *)exchange)->connection);
}

/* ---- the query string */

static size_t undo_percent(char *at, size_t len)
{
	char *out = at;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (at[i] == '%' && i + 2 < len && sscanf(at + i + 1, "%2x", &byte) == 1) {
			*out++ = (char)byte;
			i += 2;
		} else {
			*out++ = at[i] == '+' ? ' ' : at[i];
		}
	}
	return (size_t)(out - at);
}

struct text exchange_query(const struct exchange *exchange, struct text name)
{
	struct text rest = exchange->query;

	while (rest.len) {
		struct text member = text_cut(&rest, '&');

		if (text_equal(text_cut(&member, '='), name)) {
			struct text value = region_copy(exchange->region, member);

			value.len = undo_percent((char *)value.at, value.len);
			return value;
		}
	}
	return (struct text){ 0 };
}

/* ---- life */

static size_t leave_encoded(void *self, struct MHD_Connection *connection, char *text)
{
	(void)self, (void)connection;
	return strlen(text);
}

static void be_silent(void *self, const char *format, va_list args)
{
	(void)self, (void)format, (void)args;
}

static enum err open_door(struct server *server, const struct server_listener *listener)
{
	const struct server_settings *settings = &server->settings;
	struct door *door = &server->doors[server->door_count];
	unsigned flags =
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	unsigned threads = settings->threads > 1 ? settings->threads : 0;

	door->server = server;
	door->is_admin = listener->is_admin;
	if (settings->tls_cert)
		flags |= MHD_USE_TLS;
	door->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, door,
		MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL, MHD_OPTION_LISTEN_SOCKET, listener->fd,
		MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_LIMIT,
		settings->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		settings->connections_per_ip, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		request_begun, door, MHD_OPTION_NOTIFY_COMPLETED, request_ended, door,
		MHD_OPTION_NOTIFY_CONNECTION, line_changed, door, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_encoded, NULL,
		settings->tls_cert ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END,
		certificate_callback(), MHD_OPTION_END);
	if (!door->daemon)
		return ERR_IO;
	server->door_count++;
	return OK;
}

enum err server_open(const struct server_settings *settings, const struct gateway *gateway,
	struct server **server_out)
{
	struct server *server = calloc(1, sizeof(*server));
	enum err err = OK;

	if (!server)
		return ERR_MEMORY;
	server->settings = *settings;
	server->gateway = gateway;
	pthread_mutex_init(&server->lock, NULL);
	server->doors = calloc(settings->listener_count, sizeof(*server->doors));
	if (!server->doors)
		err = ERR_MEMORY;
	if (!err && settings->tls_cert)
		err = certificate_set(settings->tls_cert, settings->tls_key);
	for (size_t i = 0; !err && i < settings->listener_count; i++)
		err = open_door(server, &settings->listeners[i]);
	if (err) {
		server_close(server);
		return err;
	}
	*server_out = server;
	return OK;
}

void server_drain(struct server *server)
{
	atomic_store(&server->draining, true);
	for (size_t i = 0; i < server->door_count; i++) {
		MHD_socket fd = MHD_quiesce_daemon(server->doors[i].daemon);

		if (fd != MHD_INVALID_SOCKET)
			close(fd);
	}
}

unsigned server_busy(struct server *server)
{
	return atomic_load(&server->busy);
}

enum err server_renew_tls(struct server *server, const char *cert, const char *key)
{
	return server->settings.tls_cert ? certificate_set(cert, key) : ERR_VALUE;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < server->door_count; i++)
		MHD_stop_daemon(server->doors[i].daemon);
	certificate_forget();
	pthread_mutex_destroy(&server->lock);
	free(server->doors);
	free(server);
}
