/* peer_curl - sends mail with libcurl as a careful program would: one easy handle kept per thread
 *
 * usage: peer_curl URL THREADS MESSAGES MIME-FILE [CA-FILE]
 *
 * URL: smtp://127.0.0.1:PORT, with a CA file STARTTLS is required. Prints one line of JSON. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LARGEST = 1 << 25 };

struct reading {
	size_t place;
};

static const char *url, *ca;
static char *mail;
static size_t mail_len;
static atomic_long left, taken, failed;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static size_t give(char *to, size_t size, size_t count, void *arg)
{
	struct reading *reading = arg;
	size_t len = mail_len - reading->place;

	if (len > size * count)
		len = size * count;
	memcpy(to, mail + reading->place, len);
	reading->place += len;
	return len;
}

static void set_up(CURL *curl, struct reading *reading, struct curl_slist *to)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, "<orders@shop.example.com>");
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(curl, CURLOPT_READDATA, reading);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 65536L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (ca) {
		curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
		curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	}
}

static void *send_all(void *arg)
{
	struct reading reading = { 0 };
	struct curl_slist *to = curl_slist_append(NULL, "<ann@example.org>");
	CURL *curl = curl_easy_init();

	(void)arg;
	if (!curl || !to)
		die("curl");
	set_up(curl, &reading, to);
	while (atomic_fetch_sub(&left, 1) > 0) {
		reading.place = 0;
		if (curl_easy_perform(curl) == CURLE_OK)
			atomic_fetch_add(&taken, 1);
		else
			atomic_fetch_add(&failed, 1);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(to);
	return NULL;
}

static void read_mail(const char *path)
{
	FILE *file = fopen(path, "rb");

	mail = malloc(LARGEST);
	if (!file || !mail)
		die(path);
	mail_len = fread(mail, 1, LARGEST, file);
	fclose(file);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	unsigned long count;
	double began;

	if (argc < 5) {
		fputs("usage: peer_curl URL THREADS MESSAGES MIME-FILE [CA-FILE]\n", stderr);
		return 2;
	}
	url = argv[1];
	count = strtoul(argv[2], NULL, 10);
	atomic_store(&left, strtol(argv[3], NULL, 10));
	read_mail(argv[4]);
	ca = argc > 5 ? argv[5] : NULL;
	curl_global_init(CURL_GLOBAL_ALL);
	threads = calloc(count, sizeof(*threads));
	if (!threads)
		die("calloc");
	began = now_s();
	for (unsigned long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, send_all, NULL) != 0)
			die("pthread_create");
	for (unsigned long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("RESULT {\"answers\": %ld, \"refused\": %ld, \"broken\": 0, \"seconds\": %.6f}\n",
		atomic_load(&taken), atomic_load(&failed), now_s() - began);
	return 0;
}
