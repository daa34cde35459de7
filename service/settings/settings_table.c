#include "service/settings/settings_table.h"

static const struct setting_word secure_words[] = { { "STARTTLS", SMTP_TLS_STARTTLS },
	{ "TLS", SMTP_TLS_IMPLICIT }, { "OPPORTUNISTIC", SMTP_TLS_OPPORTUNISTIC },
	{ "NONE", SMTP_TLS_NONE }, { 0 } };
static const struct setting_word auth_words[] = { { "auto", SMTP_AUTH_NONE },
	{ "plain", SMTP_PLAIN }, { "login", SMTP_LOGIN }, { "cram-md5", SMTP_CRAM_MD5 },
	{ "scram-sha-256", SMTP_SCRAM_SHA_256 }, { "xoauth2", SMTP_XOAUTH2 },
	{ "oauthbearer", SMTP_OAUTHBEARER }, { 0 } };
static const struct setting_word tls_words[] = { { "1.2", 12 }, { "1.3", 13 }, { 0 } };
static const struct setting_word level_words[] = { { "debug", LOG_DEBUG }, { "info", LOG_INFO },
	{ "warn", LOG_WARN }, { "error", LOG_ERROR }, { 0 } };
static const struct setting_word format_words[] = { { "json", 0 }, { "text", 1 }, { 0 } };
static const struct setting_word unknown_words[] = { { "retry", 0 }, { "hold", 1 }, { 0 } };
static const struct setting_word address_words[] = { { "masked", LOG_MASKED }, { "full", LOG_FULL },
	{ "none", LOG_NONE }, { 0 } };

#define AT(field)                         offsetof(struct settings, field)
#define SECOND                            UINT64_C(1000)
#define HOUR                              (3600 * SECOND)
#define DAY                               (24 * HOUR)
#define MEGA                              (UINT64_C(1) << 20)
#define PLAIN(field)                      AT(field), NULL, NULL, 0, 0, NULL, false
#define SECRET(field)                     AT(field), NULL, NULL, 0, 0, NULL, true
#define USUAL(field, usual)               AT(field), usual, NULL, 0, 0, NULL, false
#define WORDS(field, usual, words)        AT(field), usual, NULL, 0, 0, words, false
#define BOUNDS(field, usual, least, most) AT(field), usual, NULL, least, most, NULL, false

const struct setting settings_table[] = {
	{ "SMTP_HOST", SETTING_HOST, PLAIN(relay.host),
		"the relay: a host name or an address; `capture` keeps messages instead of "
		"sending them (development)" },
	{ "SMTP_PORT", SETTING_PORT, AT(relay.port), NULL, "587; 465 with SMTP_SECURE=TLS", 1,
		65535, NULL, false, "the relay's port" },
	{ "SMTP_USER", SETTING_TEXT, PLAIN(relay.user), "user name at the relay" },
	{ "SMTP_PASS", SETTING_TEXT, SECRET(relay.pass), "its password" },
	{ "SMTP_URL", SETTING_URL, 0, NULL, NULL, 0, 0, NULL, true,
		"the same in one: smtp://user:pass@host:587 or smtps://…; a relay's other settings "
		"as ?sessions=8&tls_pin=…" },
	{ "SMTP_SECURE", SETTING_WORD, AT(relay.tls), NULL, "STARTTLS; TLS on port 465", 0, 0,
		secure_words, false,
		"STARTTLS (required), TLS (from the first byte), OPPORTUNISTIC (not with a user), "
		"NONE (with a user only on loopback)" },
	{ "SMTP_AUTH", SETTING_WORD, WORDS(relay.mechanism, "auto", auth_words),
		"auto, plain, login, cram-md5, scram-sha-256, xoauth2 or oauthbearer; one that is "
		"named and not offered is an error" },
	{ "SMTP_OAUTH_TOKEN", SETTING_TEXT, SECRET(relay.token),
		"an OAuth 2.0 access token, in place of SMTP_PASS; SMTP_OAUTH_TOKEN_FILE is read "
		"anew for every session" },
	{ "SMTP_OAUTH_TOKEN_URL", SETTING_TOKEN_URL, PLAIN(relay.oauth_token_url),
		"where such tokens are to be had, https://…: then they are fetched and renewed in "
		"time" },
	{ "SMTP_OAUTH_CLIENT_ID", SETTING_TEXT, PLAIN(relay.oauth_client_id),
		"who asks there, as registered with the provider" },
	{ "SMTP_OAUTH_CLIENT_SECRET", SETTING_TEXT, SECRET(relay.oauth_client_secret),
		"its secret; without a refresh token, tokens are had by it alone (client "
		"credentials)" },
	{ "SMTP_OAUTH_REFRESH_TOKEN", SETTING_TEXT, SECRET(relay.oauth_refresh_token),
		"the refresh token that tokens are had by" },
	{ "SMTP_OAUTH_SCOPE", SETTING_TEXT, PLAIN(relay.oauth_scope),
		"what to ask for, with blanks between; the provider says whether it is needed" },
	{ "SMTP_CA_FILE", SETTING_PEM, AT(relay.ca_pem), NULL, "the system's", 0, 0, NULL, false,
		"certificates of the CAs to trust: PEM text or a path" },
	{ "SMTP_TLS_NAME", SETTING_HOST, AT(relay.tls_name), NULL, "SMTP_HOST", 0, 0, NULL, false,
		"the name that the relay's certificate must bear" },
	{ "SMTP_TLS_PIN", SETTING_PIN, PLAIN(relay.tls_pin),
		"sha256/… of the relay's public key, in place of chain, name and expiry: the "
		"answer "
		"to a self-signed relay" },
	{ "SMTP_TLS_MIN", SETTING_WORD, WORDS(relay.tls_min, "1.2", tls_words),
		"oldest TLS version: 1.2 or 1.3" },
	{ "SMTP_CLIENT_CERT", SETTING_PEM, PLAIN(relay.client_cert_pem),
		"a certificate to show to the relay: PEM text or a path" },
	{ "SMTP_CLIENT_KEY", SETTING_PEM, SECRET(relay.client_key_pem),
		"its key: PEM text or a path" },
	{ "SMTP_SESSIONS", SETTING_COUNT, BOUNDS(relay.sessions, "16", 1, 1000),
		"most sessions to the relay at a time" },
	{ "SMTP_MIN_SESSIONS", SETTING_COUNT, BOUNDS(relay.min_sessions, "0", 0, 1000),
		"sessions that are kept ready" },
	{ "SMTP_ONE_WRITE", SETTING_BYTES, BOUNDS(relay.one_write_bytes, "64K", 0, MEGA),
		"largest message that may go out in one write with its envelope" },
	{ "SMTP_IDLE", SETTING_DURATION, BOUNDS(relay.idle_ms, "30s", SECOND, 24 * HOUR),
		"an idle session is closed after this" },
	{ "SMTP_MAX_MESSAGES", SETTING_COUNT, BOUNDS(relay.max_messages, "0", 0, 1000000),
		"messages a session; 0: as many as the relay allows" },
	{ "SMTP_RATE", SETTING_RATE, AT(relay.rate_per_s), NULL, "no limit", 0, 1000000, NULL,
		false, "messages a second to the relay: 10, 10/s or 600/m" },
	{ "SMTP_EHLO_NAME", SETTING_HOST, AT(relay.ehlo_name), NULL,
		"the host's name if it has a dot, else [127.0.0.1]", 0, 0, NULL, false,
		"how we introduce ourselves to the relay" },
	{ "SMTP_TIMEOUT_CONNECT", SETTING_DURATION, BOUNDS(relay.connect_ms, "10s", 100, HOUR),
		"patience with look-up, connection and TLS, in all" },
	{ "SMTP_TIMEOUT_COMMAND", SETTING_DURATION, BOUNDS(relay.command_ms, "60s", 100, HOUR),
		"patience with greeting and commands" },
	{ "SMTP_TIMEOUT_DATA", SETTING_DURATION, BOUNDS(relay.data_ms, "180s", 100, HOUR),
		"patience while a message is sent; grows by its size at 64 KB/s" },
	{ "SMTP_TIMEOUT_DOT", SETTING_DURATION, BOUNDS(relay.dot_ms, "600s", 100, HOUR),
		"patience with the answer to a message" },
	{ "HTTP_LISTEN", SETTING_LISTEN, USUAL(listen, "127.0.0.1:8080"),
		"where to listen, separated by commas: addr:port, [v6]:port, unix:/path; sockets "
		"passed in by systemd take its place" },
	{ "HTTP_TLS_CERT", SETTING_PEM, PLAIN(http_cert_pem),
		"serve HTTPS with this certificate chain: PEM text or a path" },
	{ "HTTP_TLS_KEY", SETTING_PEM, SECRET(http_key_pem), "its key: PEM text or a path" },
	{ "HTTP_MAX_BODY", SETTING_BYTES, BOUNDS(max_body, "32M", 1024, 1024 * MEGA),
		"largest request" },
	{ "HTTP_MAX_CONNECTIONS", SETTING_COUNT, BOUNDS(max_connections, "16384", 1, 1000000),
		"most connections of clients at a time" },
	{ "HTTP_MAX_PER_IP", SETTING_COUNT, BOUNDS(max_per_ip, "off", 0, 1000000),
		"the same for one address; off: no limit" },
	{ "HTTP_TIMEOUT_HEADERS", SETTING_DURATION, BOUNDS(headers_ms, "10s", 100, HOUR),
		"a request's headers must be there within this, in all" },
	{ "HTTP_TIMEOUT_BODY", SETTING_DURATION, BOUNDS(body_ms, "60s", 100, HOUR),
		"and its body within this; grows by its size at 64 KB/s" },
	{ "HTTP_TIMEOUT_IDLE", SETTING_DURATION, BOUNDS(idle_ms, "75s", 100, HOUR),
		"an idle connection is closed after this" },
	{ "HTTP_TRUSTED_PROXIES", SETTING_NETWORKS, PLAIN(trusted_proxies),
		"X-Forwarded-For counts only from these networks: 10.0.0.0/8,::1" },
	{ "HTTP_ADMIN_LISTEN", SETTING_ADMIN_LISTEN, PLAIN(admin_listen),
		"when set, /metrics answers there only" },
	{ "API_KEY", SETTING_API_KEY, SECRET(api_key),
		"one key that may do everything: 16 characters or more" },
	{ "API_KEYS_FILE", SETTING_TEXT, PLAIN(api_keys_file),
		"a file of hashed, scoped keys: see `lettergate keys`" },
	{ "DKIM_DOMAIN", SETTING_TEXT, PLAIN(dkim_domain),
		"sign what is from this domain, or from one under it: example.com" },
	{ "DKIM_SELECTOR", SETTING_TEXT, PLAIN(dkim_selector),
		"the name of the key in DNS, at SELECTOR._domainkey.DOMAIN; for two keys two "
		"names: rsa,ed" },
	{ "DKIM_KEY", SETTING_PEM, SECRET(dkim_key_pem),
		"the private key, RSA or Ed25519: PEM text or a path; with two in it, behind each "
		"other, each signs" },
	{ "DKIM_UNSIGN", SETTING_TEXT, PLAIN(dkim_unsign),
		"header fields to leave unsigned, because the relay writes them anew: "
		"Date,Message-ID" },
	{ "MAX_IN_FLIGHT", SETTING_COUNT, BOUNDS(max_in_flight, "10000", 1, 10000000),
		"messages that may wait at a time; past it: 503 overloaded. Those that "
		"are being sent from the queue are half of them at the most" },
	{ "MAX_IN_FLIGHT_BYTES", SETTING_BYTES,
		BOUNDS(max_in_flight_bytes, "512M", MEGA, 1024 * 1024 * MEGA),
		"the same in bytes" },
	{ "SEND_DEADLINE", SETTING_DURATION, BOUNDS(send_deadline_ms, "50s", 100, HOUR),
		"how long a send may take in all; a request may ask for less. Nothing else "
		"that is asked waits for the store for longer" },
	{ "IDEMPOTENCY_TTL", SETTING_DURATION,
		BOUNDS(idempotency_ttl_ms, "24h", SECOND, 720 * HOUR),
		"how long the answer to a request with an Idempotency-Key is remembered" },
	{ "STORE", SETTING_STORE, AT(store), NULL, "none", 0, 0, NULL, false,
		"where accepted messages are kept: none, sqlite:/path/queue.db for one process, or "
		"postgresql://user:password@host/database for several" },
	{ "RETRY_DELAYS", SETTING_DELAYS, USUAL(retry, "1s,5s,30s,2m,10m,1h"),
		"when a queued message is tried again; the last one repeats" },
	{ "RETRY_FOR", SETTING_PERIOD, BOUNDS(retry.for_ms, "24h", SECOND, 365 * DAY),
		"how long a queued message is tried in all" },
	{ "RETRY_JITTER", SETTING_SHARE, USUAL(retry.jitter_thousand, "0.2"),
		"the share of a delay that chance may add to it" },
	{ "ON_UNKNOWN", SETTING_FLAG, WORDS(hold_unknown, "retry", unknown_words),
		"retry, or hold: a message whose outcome is unknown is not sent again by itself" },
	{ "QUEUE_MAX", SETTING_COUNT, BOUNDS(queue_max, "1000000", 1, 100000000),
		"messages that may be in the queue; past it: 503 queue_full" },
	{ "QUEUE_MAX_BYTES", SETTING_BYTES,
		BOUNDS(queue_max_bytes, "10G", MEGA, 1024 * 1024 * MEGA),
		"the same in bytes: of their texts, addresses, tags and metadata, and 1 KB for "
		"each recipient" },
	{ "QUEUE_MAX_PER_KEY", SETTING_COUNT, BOUNDS(queue_max_per_key, "off", 0, 100000000),
		"messages of one API key in the queue; off: no limit" },
	{ "KEEP_SENT", SETTING_PERIOD, BOUNDS(keep_sent_ms, "7d", 0, 3650 * DAY),
		"how long the store remembers what was sent" },
	{ "KEEP_FAILED", SETTING_PERIOD, BOUNDS(keep_failed_ms, "30d", 0, 3650 * DAY),
		"and what was not; events are kept as long" },
	{ "KEEP_BODY", SETTING_PERIOD, BOUNDS(keep_body_ms, "0s", 0, 3650 * DAY),
		"how long it keeps the text of a queued message that is settled" },
	{ "KEEP_EVENTS_BYTES", SETTING_BYTES,
		BOUNDS(keep_events_bytes, "10G", 0, 1024 * 1024 * MEGA),
		"how many bytes of events it keeps: past that the oldest go before their time; 0: "
		"no bound" },
	{ "WEBHOOK_URL", SETTING_TEXT, PLAIN(webhook_url),
		"where events are posted to, https://…; needs STORE" },
	{ "WEBHOOK_SECRET", SETTING_TEXT, SECRET(webhook_secret),
		"what they are signed with: whsec_ and base64 of 24 to 64 bytes; two with a blank "
		"between while one takes the place of the other" },
	{ "WEBHOOK_ALLOW_NETWORKS", SETTING_WEBHOOK_NETWORKS, PLAIN(webhook_allow),
		"networks that events may go to though they are not public: 10.1.0.0/16,fd00::/8" },
	{ "TEMPLATES_DIR", SETTING_TEXT, PLAIN(templates_dir),
		"a folder of templates: order.subject.mustache, order.text.mustache, "
		"order.html.mustache; read at the start and on SIGHUP" },
	{ "LOG_LEVEL", SETTING_WORD, WORDS(log_level, "info", level_words),
		"debug, info, warn or error" },
	{ "LOG_FORMAT", SETTING_FLAG, WORDS(log_text, "json", format_words),
		"json, or text for people" },
	{ "LOG_ADDRESSES", SETTING_WORD, WORDS(log_addresses, "masked", address_words),
		"mail addresses in the log: masked (a***@example.com), full or none" },
	{ "DRAIN_DELAY", SETTING_DURATION, BOUNDS(drain_delay_ms, "0s", 0, HOUR),
		"from SIGTERM until no new connections are taken" },
	{ "DRAIN_TIMEOUT", SETTING_DURATION, BOUNDS(drain_timeout_ms, "25s", 0, HOUR),
		"from SIGTERM until the end, at the latest" },
};
const size_t settings_count = sizeof(settings_table) / sizeof(settings_table[0]);
_Static_assert(sizeof(settings_table) / sizeof(settings_table[0]) <= SETTINGS_MAX, "too many");

size_t setting_named(struct text name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (text_equal(name, text_of(settings_table[i].name)))
			return i;
	return settings_count;
}

bool setting_is_of_relay(size_t index)
{
	return text_starts(text_of(settings_table[index].name), TEXT("SMTP_"));
}

void setting_clear(struct settings *settings, size_t index)
{
	const struct setting *row = &settings_table[index];

	if (row->kind == SETTING_TEXT || row->kind == SETTING_HOST || row->kind == SETTING_PEM ||
		row->kind == SETTING_PIN || row->kind == SETTING_API_KEY ||
		row->kind == SETTING_TOKEN_URL || row->kind == SETTING_STORE)
		*(const char **)((char *)settings + row->at) = "";
}
