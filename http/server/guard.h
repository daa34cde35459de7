/* guard - is a request's framing beyond doubt? (RFC 9112; request smuggling)
 *
 * libmicrohttpd by itself takes two Content-Lengths, Content-Length beside Transfer-Encoding,
 * "TE : chunked", names that obs-fold has glued together. Behind a balancer each of them is a
 * second request that nobody checked. Looked at before the first byte of the body. */
#pragma once

#include "smtp/text.h"

struct guard_header {
	struct text name, value;
};

struct guard_request {
	struct text method, path, version;
	const struct guard_header *headers;
	size_t count;
};

enum guard_verdict {
	GUARD_PASS,
	GUARD_BAD,            /* 400: `why` says what */
	GUARD_VERSION,        /* 505 */
	GUARD_METHOD,         /* 501 */
	GUARD_UNWANTED_BODY,  /* 400 */
	GUARD_TOO_MANY_FIELDS /* 400 */
};

enum { GUARD_HEADERS = 128 };

enum guard_verdict guard_check(const struct guard_request *request, const char **why_out);
/* RFC 9110 5.6.2: one or more tchar. */
bool guard_is_token(struct text text);
