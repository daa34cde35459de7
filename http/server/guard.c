#include "http/server/guard.h"

#include <string.h>

/* tchar, as two sets of 64 bits: bytes 0 to 63, and 64 to 127. */
static const uint64_t token_bytes[2] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe };

bool guard_is_token(struct text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];

		if (byte > 127 || !(token_bytes[byte / 64] >> byte % 64 & 1))
			return false;
	}
	return text.len > 0;
}

static bool is_clean_value(struct text value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char byte = (unsigned char)value.at[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

static size_t count_of(const struct guard_request *request, struct text name)
{
	size_t count = 0;

	for (size_t i = 0; i < request->count; i++)
		count += text_equal_nocase(request->headers[i].name, name);
	return count;
}

static struct text value_of(const struct guard_request *request, struct text name)
{
	for (size_t i = 0; i < request->count; i++)
		if (text_equal_nocase(request->headers[i].name, name))
			return request->headers[i].value;
	return (struct text){ 0 };
}

/* Names whose doubling, or whose gluing to the next line, changes what a request is. */
static const char *const weighty[] = { "content-length", "transfer-encoding", "host",
	"authorization", "x-api-key", "content-type", "idempotency-key" };

enum { GLUED = 5 }; /* the first five may not be the beginning of a longer name either */

static const char *check_headers(const struct guard_request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		const struct guard_header *header = &request->headers[i];

		if (!guard_is_token(header->name))
			return "a header's name holds what no name may hold";
		if (!is_clean_value(header->value))
			return "a header's value holds a control character";
		for (size_t w = 0; w < GLUED; w++)
			if (header->name.len > strlen(weighty[w]) &&
				text_starts_nocase(header->name, text_of(weighty[w])))
				return "a header's name only starts like one that matters";
	}
	for (size_t w = 0; w < sizeof(weighty) / sizeof(weighty[0]); w++)
		if (count_of(request, text_of(weighty[w])) > 1)
			return "a header that may stand once stands twice";
	return NULL;
}

static const char *check_framing(const struct guard_request *request)
{
	bool is_11 = text_equal(request->version, TEXT("HTTP/1.1"));
	bool has_length = count_of(request, TEXT("content-length")) > 0;
	bool has_coding = count_of(request, TEXT("transfer-encoding")) > 0;
	uint64_t length;

	if (is_11 && count_of(request, TEXT("host")) != 1)
		return "HTTP/1.1 wants exactly one Host";
	if (has_length && has_coding)
		return "Content-Length beside Transfer-Encoding";
	if (has_length &&
		!text_to_u64(text_trim(value_of(request, TEXT("content-length"))), &length))
		return "Content-Length is not a number";
	if (has_coding &&
		(!is_11 || !text_equal_nocase(
				   value_of(request, TEXT("transfer-encoding")), TEXT("chunked"))))
		return "Transfer-Encoding is not exactly chunked, or not in HTTP/1.1";
	if (request->path.len == 0 || request->path.at[0] != '/')
		return "the target is not a path";
	if (text_contains_nocase(request->path, TEXT("%00")))
		return "the path holds a NUL";
	return NULL;
}

static bool has_body(const struct guard_request *request)
{
	struct text length = text_trim(value_of(request, TEXT("content-length")));

	return count_of(request, TEXT("transfer-encoding")) > 0 ||
	       (length.len && !text_equal(length, TEXT("0")));
}

enum guard_verdict guard_check(const struct guard_request *request, const char **why_out)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE" };
	bool known = false, bodiless;
	const char *why;

	if (!text_equal(request->version, TEXT("HTTP/1.1")) &&
		!text_equal(request->version, TEXT("HTTP/1.0")))
		return GUARD_VERSION;
	why = check_headers(request);
	if (!why)
		why = check_framing(request);
	if (why) {
		*why_out = why;
		return GUARD_BAD;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		known |= text_equal(request->method, text_of(methods[i]));
	if (!known)
		return GUARD_METHOD;
	bodiless = !text_equal(request->method, TEXT("POST")) &&
		   !text_equal(request->method, TEXT("PUT"));
	return bodiless && has_body(request) ? GUARD_UNWANTED_BODY : GUARD_PASS;
}
