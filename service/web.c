#include "service/web.h"

#include <curl/curl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct web {
	CURL *curl;
};

struct transfer {
	const struct web_post *post;
	struct web_answer *answer;
	struct buf *body;
};

static size_t take_bytes(char *bytes, size_t one, size_t count, void *self)
{
	struct transfer *transfer = self;

	buf_add(transfer->body, (struct text){ bytes, one * count });
	return transfer->body->err ? 0 : one * count;
}

/* libcurl looks in many times a second. */
static int look_in(
	void *self, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	const struct transfer *transfer = self;

	(void)down_all, (void)down, (void)up_all, (void)up;
	return atomic_load(transfer->post->must_stop);
}

/* Between look-up and connect(2): there is no moment in which the address could change. */
static curl_socket_t open_socket(void *self, curlsocktype purpose, struct curl_sockaddr *peer)
{
	struct transfer *transfer = self;
	const struct web_post *post = transfer->post;

	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (post->may_connect && !post->may_connect(post->self, &peer->addr)) {
		transfer->answer->was_forbidden = true;
		return CURL_SOCKET_BAD;
	}
	return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
}

/* Only who asks for tokens or sends events pays for it. */
static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURL *new_handle(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_curl);
	return curl_easy_init();
}

/* The library knows where the system has its authorities; the variables are the tool's alone. */
static void set_trust(CURL *curl)
{
	const char *file = getenv(X509_get_default_cert_file_env());
	const char *directory = getenv(X509_get_default_cert_dir_env());

	if (file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, file);
	if (directory)
		curl_easy_setopt(curl, CURLOPT_CAPATH, directory);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
}

static void set_limits(CURL *curl, struct transfer *transfer)
{
	bool is_clear = text_starts_nocase(text_of(transfer->post->url), TEXT("http://"));

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_clear ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* waits for no name server at its end */
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->post->connect_ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)transfer->post->all_ms);
}

static void set_hooks(CURL *curl, struct transfer *transfer)
{
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_in);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
}

static enum err perform(
	CURL *curl, const struct curl_slist *headers, struct transfer *transfer, struct buf *why)
{
	const struct web_post *post = transfer->post;
	char words[CURL_ERROR_SIZE] = "";
	curl_off_t retry_after_s = 0;
	CURLcode code;

	set_trust(curl);
	set_limits(curl, transfer);
	set_hooks(curl, transfer);
	curl_easy_setopt(curl, CURLOPT_URL, post->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "lettergate/" LETTERGATE_VERSION);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post->body.len ? post->body.at : "");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	code = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &transfer->answer->status);
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > 0)
		transfer->answer->retry_after_s =
			retry_after_s < UINT32_MAX ? (uint32_t)retry_after_s : UINT32_MAX;
	if (!code || (code == CURLE_WRITE_ERROR && transfer->body->err == ERR_LIMIT)) {
		transfer->answer->was_forbidden = false; /* another address was not */
		return OK;
	}
	transfer->answer->status = 0;
	buf_add_string(why, transfer->answer->was_forbidden ? "the address is not allowed"
			    : *words                        ? words
							    : curl_easy_strerror(code));
	return code == CURLE_OUT_OF_MEMORY ? ERR_MEMORY : ERR_IO;
}

static struct curl_slist *list_headers(const char *const *headers)
{
	/* It is 100-continue that costs a second where a receiver does not know it. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;

	for (; list && *headers; headers++) {
		longer = curl_slist_append(list, *headers);
		if (!longer)
			curl_slist_free_all(list);
		list = longer;
	}
	return list;
}

enum err web_post(const struct web_post *post, struct web_answer *answer_out, struct buf *body_out,
	struct buf *why)
{
	struct transfer transfer = { post, answer_out, body_out };
	struct curl_slist *headers;
	enum err err = ERR_MEMORY;
	CURL *curl;

	*answer_out = (struct web_answer){ 0 };
	curl = post->web ? post->web->curl : new_handle();
	headers = list_headers(post->headers);
	if (curl && headers)
		err = perform(curl, headers, &transfer, why);
	else
		buf_add_string(why, "out of memory");
	if (post->web)
		curl_easy_reset(curl); /* it points at what is ours alone */
	else
		curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return err;
}

enum err web_open(struct web **web_out)
{
	struct web *web = calloc(1, sizeof(*web));

	if (!web)
		return ERR_MEMORY;
	web->curl = new_handle();
	if (!web->curl) {
		free(web);
		return ERR_MEMORY;
	}
	*web_out = web;
	return OK;
}

void web_close(struct web *web)
{
	if (!web)
		return;
	curl_easy_cleanup(web->curl);
	free(web);
}
