/* oauth_grant - how a token endpoint is asked, and what its answer means (RFC 6749)
 *
 * The refresh-token grant (section 6) where there is a refresh token, else that of client
 * credentials (section 4.4); the client names itself in the body (section 2.3.1). Pure. */
#pragma once

#include "smtp/buf.h"
#include "smtp/region.h"

enum { OAUTH_ANSWER_BYTES = 65536, OAUTH_TOKEN_BYTES = 8192, OAUTH_WORDS = 200 };

/* What is asked with; { 0 } in a field: there is none. */
struct oauth_grant {
	struct text client_id, client_secret, refresh_token, scope;
};

/* Appends the request's body, application/x-www-form-urlencoded. It holds the secrets. */
void oauth_add_request(const struct oauth_grant *grant, struct buf *out);

enum oauth_result {
	OAUTH_GRANTED,
	OAUTH_REFUSED, /* the endpoint's own no, which asking again will not change */
	OAUTH_FAILED,  /* anything else, which may pass */
	OAUTH_RESULTS,
};
const char *oauth_result_name(enum oauth_result result); /* "granted", "refused", "failed" */

struct oauth_answer {
	enum oauth_result result;
	/* granted; of printable ASCII, and secret */
	struct text token;         /* up to OAUTH_TOKEN_BYTES */
	struct text refresh_token; /* that takes the place of the one asked with; empty: none */
	uint64_t expires_s;        /* a guess where the endpoint does not say; never 0 */
	/* not granted; printable, each up to OAUTH_WORDS bytes of UTF-8 */
	struct text error;       /* "invalid_grant"; empty: none was given */
	struct text description; /* empty: none */
	const char *why;         /* what is wrong with the answer; NULL: error says it */
};

/* Reads the answer to `grant`; `status`: that of HTTP. `body` is changed in place, and is wiped by
 * whoever owns it. The texts live in it and in `region`. Words that repeat a secret are left out.
 */
void oauth_read_answer(long status, struct buf *body, const struct oauth_grant *grant,
	struct region *region, struct oauth_answer *answer_out);
/* What to change, by the endpoint's error, as a sentence; static. */
const char *oauth_hint(struct text error);
