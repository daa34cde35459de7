/* call - one request to a running gateway, for the commands that speak to one */
#pragma once

#include "smtp/buf.h"

enum { CALL_ANSWER_BYTES = 64 << 20 };

struct call {
	const char *base;   /* "http://…", "https://…" or "unix:/path" */
	const char *path;   /* "/send" */
	const char *key;    /* NULL: none */
	struct text body;   /* JSON to POST; at NULL: a GET */
	const char *method; /* in place of these; NULL: as above */
	long timeout_ms;
	bool is_local; /* no proxy, and a certificate need not bear this machine's address */
	/* what came of it */
	long status;
	struct buf answer; /* the caller frees it */
};

/* ERR_VALUE: the address or key cannot be used; ERR_IO: there was no answer. The phrase in `why`
 * says more. */
MUST_USE enum err call_gateway(struct call *call, struct buf *why);
