/* exchange - one HTTP request and its answer, as the handlers see it
 *
 * A handler reads the request out of the exchange and either answers at once (HANDLED_ANSWERED) or
 * parks it (HANDLED_PARKED): then the connection sleeps, and exchange_wake, from any thread, makes
 * the server call `answer` in an HTTP thread. */
#pragma once

#include "http/gateway.h"
#include "http/problem.h"
#include "smtp/buf.h"

struct intake;
struct MHD_Connection;
struct route;

enum handled { HANDLED_ANSWERED, HANDLED_PARKED };

struct exchange {
	const struct gateway *gateway;
	const struct route *route;
	struct region *region;
	struct text path, query, id; /* id: what stands for {…} in the route */
	struct text request_id, traceparent, client;
	struct caller caller;
	struct rate_state rate;
	struct stamp began;
	char *body; /* changed in place by the parser */
	size_t body_len;
	struct intake *intake;     /* a form's body, in place of `body`; NULL: none */
	uint64_t deadline_most_us; /* SEND_DEADLINE */
	size_t template_steps;     /* that its templates took, of MUSTACHE_STEPS */

	/* the answer */
	unsigned status;
	const char *content_type;
	struct buf answer;
	uint32_t retry_after_s;
	struct text location;
	const char *preference_applied; /* RFC 7240; NULL: none was */
	const char *allow;
	const char *idempotency_scope; /* NULL: left out */
	size_t replayed;               /* messages whose first answer is told again */
	bool is_replayed;              /* all of them are */
	bool close;

	void (*when_woken)(struct exchange *exchange); /* fills in the answer of a parked one */
	void *waiting;                                 /* the handler's own */
};

/* Before HANDLED_PARKED is returned, and before anything that may wake it. */
void exchange_park(struct exchange *exchange, void (*when_woken)(struct exchange *exchange));
void exchange_wake(struct exchange *exchange);

/* It may be woken and answered while others still use its memory, until as many exchange_release.
 * The answer has memory of its own then, *region_out. One thread at a time, before it is woken.
 * False: there is none. */
bool exchange_hold(struct exchange *exchange, struct region **region_out);
/* The same for what is waited for (exchange->waiting): what `wait` points to, of `size` bytes, is
 * theirs from now on, and this is the answer's copy of it. NULL: there is none, and nothing held.
 */
void *exchange_hold_waiting(
	struct exchange *exchange, const void *wait, size_t size, struct region **region_out);
/* Any thread. */
void exchange_release(struct exchange *exchange);

/* Counts memory that the request took beside its body against the gateway's budget, until it is
 * over. What is small is not worth counting. False: there is no room for it. */
bool exchange_reserve(struct exchange *exchange, uint64_t bytes);
/* … that are reserved for it now. */
uint64_t exchange_reserved(const struct exchange *exchange);

/* Answers with a problem. */
enum handled exchange_refuse(struct exchange *exchange, const struct problem *problem);
/* The same in short: code and detail. */
enum handled exchange_refuse_as(struct exchange *exchange, const char *code, const char *detail);
/* The same where the budget has no room, with the time until it is worth trying again. */
enum handled exchange_refuse_overload(struct exchange *exchange);
/* A request's header; empty: not there. */
struct text exchange_header(const struct exchange *exchange, const char *name);
/* All of this name, with commas between (RFC 9110 section 5.3), in the region; empty: none. */
struct text exchange_header_list(const struct exchange *exchange, const char *name);
/* The query string's next member, its value decoded into the region; false: there is none. `rest`
 * begins as exchange->query. */
bool exchange_query_next(const struct exchange *exchange, struct text *rest, struct text *name_out,
	struct text *value_out);
/* A member of the query string, decoded into the region; empty: not there. */
struct text exchange_query(const struct exchange *exchange, struct text name);
/* Does the query string hold no member but these (NULL behind the last; 63 at most), and each of
 * them once? */
bool exchange_query_holds_only(const struct exchange *exchange, const char *const *names);
