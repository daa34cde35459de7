/* request - one HTTP request from its first line to the end of its answer (for server.c alone) */
#pragma once

#include "http/server/acceptor.h"
#include "http/exchange.h"
#include "http/server/line.h"
#include "http/server/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

enum { REQUEST_ID = 64, BYTES_PER_MS = 64 };

/* One of the library's threads, with its share of the connections. */
struct door {
	struct MHD_Daemon *daemon;
	struct server *server;
	bool is_admin;
	int pulse; /* eventfd in the library's epoll set */
	atomic_uint lines;
};

struct server {
	struct server_settings settings;
	const struct gateway *gateway;
	struct network *trusted;
	size_t trusted_count;
	struct door *doors;
	size_t door_count, public_doors; /* the admin door stands behind the public ones */
	struct acceptor *acceptor;
	struct lines lines;
	atomic_bool draining;
	atomic_uint busy, parked;
	atomic_uint held; /* requests whose memory is, or was, needed beyond their answer */
};

enum stage {
	STAGE_HEADERS,
	STAGE_REFUSED, /* the answer is there, and goes out when the library asks again */
	STAGE_BODY,
	STAGE_SWALLOW, /* the body is too much: read and forgotten, then refused */
	STAGE_PARKED,
	STAGE_WOKEN,
	STAGE_ANSWERED
};

struct request {
	struct exchange exchange; /* first: a handler's exchange is the request */
	struct door *door;
	struct MHD_Connection *connection;
	struct line *line; /* NULL: out of memory when it was opened */
	enum stage stage;
	size_t body_room;  /* of what is held; a form's is its own matter */
	uint64_t reserved; /* bytes of the gateway's budget */
	size_t swallowed;
	bool is_endless; /* the body would not end: it is answered all the same */
	uint64_t answered_us;
	atomic_uint holds;    /* who needs its memory: the connection, and exchange_hold */
	struct region *spare; /* for an answer while others have its region; NULL: none has */
	char id[REQUEST_ID];
	char client[NETWORK_NAME];
	char method[8];
};

/* MHD_OPTION_URI_LOG_CALLBACK: the first line is there, nothing is decoded or looked at yet. */
void *request_begun(void *door, const char *target, struct MHD_Connection *connection);
/* Of the size for one request. False: out of memory. */
bool request_open_region(const struct server *server, struct region **region_out);
/* One needs it no longer. */
void request_release(struct request *request);
/* MHD_OPTION_NOTIFY_COMPLETED */
void request_ended(void *door, struct MHD_Connection *connection, void **request,
	enum MHD_RequestTerminationCode code);
/* MHD_AccessHandlerCallback */
enum MHD_Result request_handle(void *door, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len,
	void **request);

/* Does one come with it? */
bool request_has_body(const struct request *request);
/* The headers are there: is the body to be read? What is refused here is refused before the client
 * was told to continue, or while it still sends. */
enum MHD_Result request_expect_body(struct request *request);
enum MHD_Result request_take_body(struct request *request, const char *bytes, size_t *len);
/* What could not be taken, once it was read and forgotten. */
enum MHD_Result request_refuse_body(struct request *request);

/* Sends what stands in the exchange. */
enum MHD_Result request_answer(struct request *request);
/* The same with a problem in short. */
enum MHD_Result request_refuse(struct request *request, const char *code, const char *detail);
/* True: the framing is beyond doubt; else it was refused, as *result_out. */
bool request_pass_guard(struct request *request, const char *version, enum MHD_Result *result_out);
uint64_t request_now_us(const struct request *request);
/* `ms` from `from_us` on. */
void request_set_deadline(struct request *request, uint64_t from_us, uint64_t ms);
