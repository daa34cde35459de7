/* oauth_call - one request to a token endpoint
 *
 * TLS is verified against the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR name others). No
 * redirects, no proxies, no cookies; ten seconds in all. That http goes to this machine alone is
 * for the settings to see to. Blocks the calling thread. */
#pragma once

#include <stdatomic.h>

#include "smtp/buf.h"

/* POSTs a form. `must_stop` ends it within a second. The answer is secret; where it passes the
 * limit of `answer_out`, that has ERR_LIMIT. ERR_IO: there was none, *why says why. ERR_MEMORY. */
MUST_USE enum err oauth_call(const char *url, struct text form, const atomic_bool *must_stop,
	long *status_out, struct buf *answer_out, struct buf *why);
