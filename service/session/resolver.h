/* resolver - names to addresses by c-ares, within a worker's loop
 *
 * One per loop, used by its thread only. No look-up blocks anything. While name servers give no
 * answer, the last good addresses are used (RFC 8767); that a name does not exist is an answer. */
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include "service/session/doubt.h"
#include "service/session/known.h"
#include "smtp/verdict/verdict.h"

enum { LOOKUP_ADDRESSES = KNOWN_ADDRESSES };

struct resolver;
struct lookup;

/* `addresses` are in the order to try them, their port set; borrowed for the call. loss is
 * SMTP_LOSS_NONE, or SMTP_LOSS_NO_NAME, SMTP_LOSS_NO_LOOKUP with count 0. With it the look-up is
 * over, and its pointer to be forgotten. */
typedef void lookup_done(void *owner, int family, enum smtp_loss loss,
	const struct sockaddr_storage *addresses, size_t count);

/* `known` must live as long; NULL: nothing is kept. */
MUST_USE enum err resolver_open(
	uv_loop_t *loop, struct known *known, struct resolver **resolver_out);
/* Closes its handles: run the loop once more after it. NULL is fine. */
void resolver_close(struct resolver *resolver);
/* The name servers may be others by now: their list is read again when nothing is being asked. */
void resolver_forget(struct resolver *resolver);

/* What those who connect within its loop found out about addresses. */
struct doubts *resolver_doubts(struct resolver *resolver);

/* Is `host` an address, not a name? Then it needs no look-up. */
bool resolver_read_address(const char *host, uint16_t port, struct sockaddr_storage *address_out);
/* Asks for the addresses of one family, AF_INET or AF_INET6. done() may be called before this
 * returns. */
MUST_USE enum err resolver_ask(struct resolver *resolver, const char *host, int family,
	uint16_t port, lookup_done *done, void *owner, struct lookup **lookup_out);
/* done() will not be called. */
void lookup_cancel(struct lookup *lookup);
