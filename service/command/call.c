#include "service/command/call.h"

#include <curl/curl.h>
#include <string.h>

enum { CONNECT_MS = 10000, ADDRESS_BYTES = 4096 };

/* libcurl hands over what arrived. */
static size_t take_bytes(char *bytes, size_t one, size_t count, void *self)
{
	struct call *call = self;

	buf_add(&call->answer, (struct text){ bytes, one * count });
	return call->answer.err ? 0 : one * count;
}

static bool add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *more = curl_slist_append(*headers, line);

	if (more)
		*headers = more;
	return more != NULL;
}

static enum err make_headers(const struct call *call, struct curl_slist **headers, struct buf *why)
{
	struct buf line = buf_born(ADDRESS_BYTES);
	bool added = add_header(headers, "Expect:"); /* no round trip for 100-continue */

	if (call->body.at)
		added &= add_header(headers, "Content-Type: application/json");
	if (call->key && *call->key) {
		if (text_has_control(text_of(call->key))) {
			buf_add_string(why, "the key holds a control character");
			return ERR_VALUE;
		}
		buf_addf(&line, "Authorization: Bearer %s", call->key);
		buf_add_byte(&line, 0);
		added &= !line.err && add_header(headers, line.at);
		buf_wipe(&line);
	}
	return added ? OK : ERR_MEMORY;
}

static enum err set_address(CURL *curl, const struct call *call, struct buf *why)
{
	struct text base = text_of(call->base);
	bool is_unix = text_starts(base, TEXT("unix:"));
	struct buf url = buf_born(ADDRESS_BYTES);
	CURLcode code = CURLE_OK;

	if (!is_unix && !text_starts_nocase(base, TEXT("http://")) &&
		!text_starts_nocase(base, TEXT("https://"))) {
		buf_addf(why, "\"%s\" is no address; give http://…, https://… or unix:/path",
			call->base);
		return ERR_VALUE;
	}
	while (base.len && base.at[base.len - 1] == '/')
		base.len--;
	buf_add(&url, is_unix ? TEXT("http://localhost") : base);
	buf_add_string(&url, call->path);
	buf_add_byte(&url, 0);
	if (!url.err)
		code = curl_easy_setopt(curl, CURLOPT_URL, url.at);
	if (!url.err && !code && is_unix)
		code = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, call->base + 5);
	code = url.err ? CURLE_OUT_OF_MEMORY : code;
	buf_free(&url);
	return code ? ERR_MEMORY : OK;
}

static void set_options(CURL *curl, struct call *call, struct curl_slist *headers, char *words)
{
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, call->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "lettergate/" LETTERGATE_VERSION);
	if (call->is_local) {
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (call->method)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->body.at) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.at);
	}
}

static enum err perform(CURL *curl, struct call *call, struct curl_slist *headers, struct buf *why)
{
	char words[CURL_ERROR_SIZE] = "";
	CURLcode code;

	set_options(curl, call, headers, words);
	code = curl_easy_perform(curl);
	if (!code)
		code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call->status);
	if (!code)
		return OK;
	buf_addf(why, "%s: %s", call->base, *words ? words : curl_easy_strerror(code));
	return ERR_IO;
}

enum err call_gateway(struct call *call, struct buf *why)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	enum err err = curl ? OK : ERR_MEMORY;

	call->answer = buf_born(CALL_ANSWER_BYTES);
	if (!err)
		err = set_address(curl, call, why);
	if (!err)
		err = make_headers(call, &headers, why);
	if (!err)
		err = perform(curl, call, headers, why);
	if (err == ERR_MEMORY)
		buf_add_string(why, "out of memory");
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return err;
}
