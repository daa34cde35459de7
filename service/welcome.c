#include "service/welcome.h"

#include "service/clock.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32, PATH_BYTES = 4096 };

enum err welcome_make_key(struct settings *settings)
{
	static const char prefix[] = "lg_dev_";
	unsigned char secret[KEY_BYTES];
	unsigned char base64[(KEY_BYTES + 2) / 3 * 4 + 1];
	char *key;

	if (settings->api_key[0] || settings->api_keys_file[0])
		return OK;
	random_bytes(secret, sizeof(secret));
	EVP_EncodeBlock(base64, secret, sizeof(secret));
	explicit_bzero(secret, sizeof(secret));
	for (char *at = (char *)base64; *at; at++)
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at == '=' ? '\0' : *at;
	key = region_alloc(settings->region, sizeof(prefix) + sizeof(base64));
	if (!key)
		return ERR_MEMORY;
	snprintf(key, sizeof(prefix) + sizeof(base64), "%s%s", prefix, (const char *)base64);
	settings->api_key = key;
	return OK;
}

void welcome_make_folder(struct settings *settings)
{
	struct text store = text_of(settings->store);
	struct text ours = TEXT(SETTINGS_DEV_STORE);
	char folder[PATH_BYTES];
	size_t len;

	if (store.len < ours.len || !text_equal(text_from(store, store.len - ours.len), ours))
		return;
	len = (size_t)(strrchr(settings->store, '/') - settings->store);
	if (len < sizeof(folder)) {
		memcpy(folder, settings->store, len);
		folder[len] = '\0';
		if (mkdir(folder, 0700) == 0 || (errno == EEXIST && access(folder, W_OK) == 0))
			return;
	}
	settings->store = "";
}

static void print_address(const struct settings *settings, char *out, size_t room)
{
	const struct listen_settings *first = &settings->listen[0];
	const char *scheme = settings->http_cert_pem[0] ? "https" : "http";

	if (first->kind != LISTEN_TCP)
		snprintf(out, room, "%s://localhost", scheme);
	else
		snprintf(out, room, strchr(first->address, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
			scheme, first->address, first->port);
}

static void greet_developer(const struct settings *settings)
{
	const struct listen_settings *first = &settings->listen[0];
	char url[200];

	print_address(settings, url, sizeof(url));
	printf("Lettergate in development mode at %s\n"
	       "%s\n"
	       "API key: %s\n\n"
	       "Paste this into another terminal:\n\n"
	       "curl -sS %s%s%s%s/send -H 'Authorization: Bearer %s' "
	       "-H 'Content-Type: application/json' "
	       "-d '{\"from\":\"Shop <shop@example.com>\",\"to\":\"ann@example.org\","
	       "\"subject\":\"Your order\",\"text\":\"Hello Ann, it is on its way.\"}'\n\n"
	       "See what was captured: GET %s/messages, GET %s/messages/{id}/raw\n\n",
		url,
		strcmp(settings->relays[0].host, "capture") == 0
			? (settings->store[0] ? "Messages are captured: kept in "
						"./lettergate-dev, sent nowhere."
					      : "Messages are captured: kept in memory, sent "
						"nowhere.")
			: "Messages are sent to the relay that is set.",
		settings->api_key, first->kind == LISTEN_UNIX ? "--unix-socket " : "",
		first->kind == LISTEN_UNIX ? first->address : "",
		first->kind == LISTEN_UNIX ? " " : "", url, settings->api_key, url, url);
	fflush(stdout);
}

void welcome(const struct settings *settings, struct log *log)
{
	bool has_keys = settings->api_key[0] || settings->api_keys_file[0];
	struct log_line line = log_line(log, LOG_INFO, "start");
	char url[200];

	if (settings->dev)
		greet_developer(settings);
	print_address(settings, url, sizeof(url));
	log_string(&line, "version", LETTERGATE_VERSION);
	log_string(&line, "listen", url);
	log_string(&line, "relay", settings->relays[0].host);
	log_u64(&line, "port", settings->relays[0].port);
	log_end(&line);
	if (has_keys)
		return;
	line = log_line(log, LOG_WARN, "no_api_key");
	log_string(&line, "detail",
		"whoever reaches this socket may send: set API_KEY or API_KEYS_FILE");
	log_end(&line);
}
