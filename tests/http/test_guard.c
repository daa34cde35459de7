#include "http/server/guard.h"
#include "unit.h"

#include <string.h>

static const struct {
	const char *method, *path, *version;
	const char *headers; /* "Name:value\n…" */
	enum guard_verdict verdict;
} rows[] = {
	{ "GET", "/", "HTTP/1.1", "Host:x\n", GUARD_PASS },
	{ "GET", "/", "HTTP/1.0", "", GUARD_PASS },
	{ "GET", "/", "HTTP/1.0", "Host:x\n", GUARD_PASS },
	{ "GET", "/", "HTTP/1.0", "Host:x\nHost:x\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nHost:y\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.9", "Host:x\n", GUARD_VERSION },
	{ "GET", "/", "HTTP/2.0", "Host:x\n", GUARD_VERSION },
	{ "GET", "/", "", "Host:x\n", GUARD_VERSION },
	{ "GET", "*", "HTTP/1.1", "Host:x\n", GUARD_BAD },
	{ "GET", "", "HTTP/1.1", "Host:x\n", GUARD_BAD },
	{ "GET", "http://x/", "HTTP/1.1", "Host:x\n", GUARD_BAD },
	{ "GET", "/%00", "HTTP/1.1", "Host:x\n", GUARD_BAD },
	{ "get", "/", "HTTP/1.1", "Host:x\n", GUARD_METHOD },
	{ "TRACE", "/", "HTTP/1.1", "Host:x\n", GUARD_METHOD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nContent-Length:0\n", GUARD_PASS },
	{ "GET", "/", "HTTP/1.1", "Host:x\nContent-Length:1\n", GUARD_UNWANTED_BODY },
	{ "DELETE", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding:chunked\n", GUARD_UNWANTED_BODY },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:5\n", GUARD_PASS },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:5\nContent-Length:5\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:5\nContent-Length:6\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:+5\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:5, 5\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:0x5\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length:99999999999999999999\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding:chunked\n", GUARD_PASS },
	{ "POST", "/", "HTTP/1.0", "Host:x\nTransfer-Encoding:chunked\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding:gzip, chunked\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding:\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding:chunked\nContent-Length:5\n",
		GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encoding :chunked\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nTransfer-Encodingx:chunked\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Length-A:5\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nAuthorization:a\nAuthorization:b\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nX-API-Key:a\nx-api-key:b\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nIdempotency-Key:a\nIdempotency-Key:b\n", GUARD_BAD },
	{ "POST", "/", "HTTP/1.1", "Host:x\nContent-Type:a\nContent-Type:b\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\n:empty name\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA b:c\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA(:c\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA:\x01\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA:b\rc\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA:\x7f\n", GUARD_BAD },
	{ "GET", "/", "HTTP/1.1", "Host:x\nA:b\tc \xc3\xa4\n", GUARD_PASS },
};

START_TEST(framing_is_beyond_doubt_or_refused)
{
	struct guard_header headers[8];
	struct text rest = text_of(rows[_i].headers);
	struct guard_request request = { .method = text_of(rows[_i].method),
		.path = text_of(rows[_i].path),
		.version = text_of(rows[_i].version),
		.headers = headers };
	const char *why = NULL;

	while (rest.len) {
		struct text line = text_cut(&rest, '\n');

		headers[request.count].name = text_cut(&line, ':');
		headers[request.count++].value = line;
	}
	ck_assert_int_eq(guard_check(&request, &why), rows[_i].verdict);
	ck_assert_int_eq(why != NULL, rows[_i].verdict == GUARD_BAD);
}
END_TEST

START_TEST(tokens)
{
	for (int byte = 0; byte < 256; byte++) {
		char name = (char)byte;
		bool wanted = byte && byte < 128 &&
			      strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
				      byte);

		ck_assert_int_eq(guard_is_token((struct text){ &name, 1 }), wanted);
	}
	ck_assert(!guard_is_token(TEXT("")));
}
END_TEST

UNIT_MAIN(guard, tcase_add_loop_test(cases, framing_is_beyond_doubt_or_refused, 0,
			 (int)(sizeof(rows) / sizeof(rows[0])));
	  tcase_add_test(cases, tokens);)
