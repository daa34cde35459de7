#include "service/oauth_call.h"

#include "service/oauth_grant.h"

#include <curl/curl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

enum { TOTAL_MS = 10000, CONNECT_MS = 5000 };

struct transfer {
	const atomic_bool *must_stop;
	struct buf *answer;
};

static size_t take_bytes(char *bytes, size_t one, size_t count, void *self)
{
	struct transfer *transfer = self;

	buf_add(transfer->answer, (struct text){ bytes, one * count });
	return transfer->answer->err ? 0 : one * count;
}

/* libcurl looks in many times a second. */
static int look_in(
	void *self, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	const struct transfer *transfer = self;

	(void)down_all, (void)down, (void)up_all, (void)up;
	return atomic_load(transfer->must_stop);
}

/* Only who asks for tokens pays for it. */
static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
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
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* waits for no name server at its end */
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_in);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
}

static enum err perform(CURL *curl, const char *url, struct text form, struct transfer *transfer,
	long *status_out, struct buf *why)
{
	bool is_clear = text_starts_nocase(text_of(url), TEXT("http://"));
	char words[CURL_ERROR_SIZE] = "";
	CURLcode code;

	set_trust(curl);
	set_limits(curl, transfer);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_clear ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "lettergate/" LETTERGATE_VERSION);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form.len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form.at);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_out);
	if (!code || (code == CURLE_WRITE_ERROR && transfer->answer->err == ERR_LIMIT))
		return OK;
	buf_add_string(why, *words ? words : curl_easy_strerror(code));
	return code == CURLE_OUT_OF_MEMORY ? ERR_MEMORY : ERR_IO;
}

enum err oauth_call(const char *url, struct text form, const atomic_bool *must_stop,
	long *status_out, struct buf *answer_out, struct buf *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct transfer transfer = { must_stop, answer_out };
	struct curl_slist *headers;
	enum err err = ERR_MEMORY;
	CURL *curl;

	pthread_once(&once, init_curl);
	curl = curl_easy_init();
	headers = curl_slist_append(NULL, "Accept: application/json");
	if (curl && headers) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		err = perform(curl, url, form, &transfer, status_out, why);
	}
	if (err == ERR_MEMORY)
		buf_add_string(why, "out of memory");
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return err;
}
