/* web - one POST by libcurl: to token endpoints, and with events
 *
 * TLS is verified against the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR name others). No
 * redirects, no proxies, no cookies, no other protocol than the URL's. Blocks the calling thread.
 */
#pragma once

#include <stdatomic.h>

#include "smtp/buf.h"

struct sockaddr;

/* Keeps a connection for the next post to the same place. One post at a time. */
struct web;
MUST_USE enum err web_open(struct web **web_out);
void web_close(struct web *web); /* NULL is fine */

struct web_post {
	struct web *web;            /* NULL: a connection for this one alone */
	const char *url;            /* http:// or https:// */
	const char *const *headers; /* "Name: value"; NULL ends them */
	struct text body;
	uint32_t connect_ms, all_ms;  /* patience: until it is connected, in all */
	const atomic_bool *must_stop; /* ends it within a second */
	/* May it connect to this address? Asked about the very one that is connected to, so that no
	 * name can point elsewhere meanwhile. NULL: to any. */
	bool (*may_connect)(void *self, const struct sockaddr *address);
	void *self;
};

struct web_answer {
	long status;            /* 0: there was none */
	uint32_t retry_after_s; /* as it asks; 0: it does not */
	bool was_forbidden;     /* may_connect refused an address, and no other one answered */
};

/* The answer's body goes to *body_out as far as that has room (then its error is ERR_LIMIT, and the
 * answer counts). ERR_IO: no answer, *why says why. ERR_MEMORY. */
MUST_USE enum err web_post(const struct web_post *post, struct web_answer *answer_out,
	struct buf *body_out, struct buf *why);
