#include "load.h"
#include "unit.h"

#define PIN         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define TOKEN_URL   "SMTP_OAUTH_TOKEN_URL=https://a.example/token"
#define SLASHED_PIN "/Mt8viNnPpTAGBUAjPDz+IeeD7+TrFnxszvnH1o+qi4="

/* ---- what is taken: one setting each, and what it becomes, as settings_print shows it */

static const struct {
	const char *line;
	size_t at;
	enum { NUMBER_16, NUMBER_32, NUMBER_64, STRING, FLAG } kind;
	uint64_t number;
	const char *string;
} taken[] = {
#define AT(field) offsetof(struct settings, field)
	{ "SMTP_HOST=smtp.example.com", AT(relay.host), STRING, 0, "smtp.example.com" },
	{ "SMTP_HOST=capture", AT(relay.host), STRING, 0, "capture" },
	{ "SMTP_HOST=192.0.2.1", AT(relay.host), STRING, 0, "192.0.2.1" },
	{ "SMTP_HOST=2001:db8::1", AT(relay.host), STRING, 0, "2001:db8::1" },
	{ "SMTP_HOST=[2001:db8::1]", AT(relay.host), STRING, 0, "2001:db8::1" },
	{ "SMTP_PORT=1", AT(relay.port), NUMBER_16, 1, NULL },
	{ "SMTP_PORT=65535", AT(relay.port), NUMBER_16, 65535, NULL },
	{ "SMTP_PORT=465", AT(relay.tls), NUMBER_32, SMTP_TLS_IMPLICIT, NULL },
	{ "SMTP_PORT=587", AT(relay.tls), NUMBER_32, SMTP_TLS_STARTTLS, NULL },
	{ "SMTP_SECURE=TLS", AT(relay.port), NUMBER_16, 465, NULL },
	{ "SMTP_SECURE=none", AT(relay.tls), NUMBER_32, SMTP_TLS_NONE, NULL },
	{ "SMTP_SECURE=Opportunistic", AT(relay.tls), NUMBER_32, SMTP_TLS_OPPORTUNISTIC, NULL },
	{ "SMTP_TLS_MIN=1.3", AT(relay.tls_min), NUMBER_32, 13, NULL },
	{ "SMTP_TLS_PIN=sha256/" PIN, AT(relay.tls_pin), STRING, 0, PIN },
	{ "SMTP_TLS_PIN=sha256//" PIN, AT(relay.tls_pin), STRING, 0, PIN },
	{ "SMTP_TLS_PIN=sha256/" SLASHED_PIN, AT(relay.tls_pin), STRING, 0, SLASHED_PIN },
	{ "SMTP_TLS_PIN=sha256//" SLASHED_PIN, AT(relay.tls_pin), STRING, 0, SLASHED_PIN },
	{ "SMTP_TLS_NAME=mx.example.com", AT(relay.tls_name), STRING, 0, "mx.example.com" },
	{ "SMTP_SESSIONS=1000", AT(relay.sessions), NUMBER_32, 1000, NULL },
	{ "SMTP_ONE_WRITE=0", AT(relay.one_write_bytes), NUMBER_64, 0, NULL },
	{ "SMTP_ONE_WRITE=100", AT(relay.one_write_bytes), NUMBER_64, 100, NULL },
	{ "SMTP_ONE_WRITE=1m", AT(relay.one_write_bytes), NUMBER_64, 1 << 20, NULL },
	{ "SMTP_IDLE=1500ms", AT(relay.idle_ms), NUMBER_32, 1500, NULL },
	{ "SMTP_IDLE=5m", AT(relay.idle_ms), NUMBER_32, 300000, NULL },
	{ "SMTP_IDLE=2h", AT(relay.idle_ms), NUMBER_32, 7200000, NULL },
	{ "SMTP_IDLE=1d", AT(relay.idle_ms), NUMBER_32, 86400000, NULL },
	{ "SMTP_EHLO_NAME=mail.example.com", AT(relay.ehlo_name), STRING, 0, "mail.example.com" },
	{ "SMTP_EHLO_NAME=[192.0.2.1]", AT(relay.ehlo_name), STRING, 0, "[192.0.2.1]" },
	{ "SMTP_EHLO_NAME=[IPv6:2001:db8::1]", AT(relay.ehlo_name), STRING, 0,
		"[IPv6:2001:db8::1]" },
	{ "HTTP_MAX_BODY=256M", AT(max_body), NUMBER_64, 256 << 20, NULL },
	{ "HTTP_MAX_PER_IP=off", AT(max_per_ip), NUMBER_32, 0, NULL },
	{ "HTTP_MAX_PER_IP=64", AT(max_per_ip), NUMBER_32, 64, NULL },
	{ "API_KEY=0123456789abcdef", AT(api_key), STRING, 0, "0123456789abcdef" },
	{ "API_KEYS_FILE=/etc/keys.json", AT(api_keys_file), STRING, 0, "/etc/keys.json" },
	{ "LOG_LEVEL=DEBUG", AT(log_level), NUMBER_32, LOG_DEBUG, NULL },
	{ "LOG_FORMAT=text", AT(log_text), FLAG, 1, NULL },
	{ "LOG_ADDRESSES=none", AT(log_addresses), NUMBER_32, LOG_NONE, NULL },
	{ "DRAIN_DELAY=0", AT(drain_delay_ms), NUMBER_32, 0, NULL },
	{ "SEND_DEADLINE=20s", AT(send_deadline_ms), NUMBER_32, 20000, NULL },
	{ "STORE=sqlite:/var/lib/q.db", AT(store), STRING, 0, "/var/lib/q.db" },
	{ "STORE=none", AT(store), STRING, 0, "" },
	{ "RETRY_DELAYS=1s,5m", AT(retry.count), NUMBER_32, 2, NULL },
	{ "RETRY_DELAYS=500ms, 2h", AT(retry.delays_ms[1]), NUMBER_32, 7200000, NULL },
	{ "RETRY_FOR=2d", AT(retry.for_ms), NUMBER_64, 172800000, NULL },
	{ "RETRY_JITTER=0", AT(retry.jitter_thousand), NUMBER_32, 0, NULL },
	{ "RETRY_JITTER=1", AT(retry.jitter_thousand), NUMBER_32, 1000, NULL },
	{ "RETRY_JITTER=0.05", AT(retry.jitter_thousand), NUMBER_32, 50, NULL },
	{ "ON_UNKNOWN=hold", AT(hold_unknown), FLAG, 1, NULL },
	{ "QUEUE_MAX=5", AT(queue_max), NUMBER_32, 5, NULL },
	{ "QUEUE_MAX_PER_KEY=100", AT(queue_max_per_key), NUMBER_32, 100, NULL },
	{ "QUEUE_MAX_BYTES=1G", AT(queue_max_bytes), NUMBER_64, 1 << 30, NULL },
	{ "KEEP_SENT=90d", AT(keep_sent_ms), NUMBER_64, UINT64_C(7776000000), NULL },
	{ "KEEP_EVENTS_BYTES=2G", AT(keep_events_bytes), NUMBER_64, UINT64_C(2) << 30, NULL },
	{ "KEEP_EVENTS_BYTES=0", AT(keep_events_bytes), NUMBER_64, 0, NULL },
	{ "KEEP_BODY=0", AT(keep_body_ms), NUMBER_64, 0, NULL },
	/* the defaults of the contract */
	{ "A=b", AT(store), STRING, 0, "" },
	{ "A=b", AT(retry.count), NUMBER_32, 6, NULL },
	{ "A=b", AT(retry.delays_ms[5]), NUMBER_32, 3600000, NULL },
	{ "A=b", AT(retry.jitter_thousand), NUMBER_32, 200, NULL },
	{ "A=b", AT(retry.for_ms), NUMBER_64, 86400000, NULL },
	{ "A=b", AT(hold_unknown), FLAG, 0, NULL },
	{ "A=b", AT(queue_max), NUMBER_32, 1000000, NULL },
	{ "A=b", AT(queue_max_per_key), NUMBER_32, 0, NULL },
	{ "A=b", AT(keep_failed_ms), NUMBER_64, UINT64_C(2592000000), NULL },
	{ "A=b", AT(relay.port), NUMBER_16, 587, NULL },
	{ "A=b", AT(relay.sessions), NUMBER_32, 16, NULL },
	{ "A=b", AT(relay.one_write_bytes), NUMBER_64, 65536, NULL },
	{ "A=b", AT(relay.dot_ms), NUMBER_32, 600000, NULL },
	{ "A=b", AT(max_connections), NUMBER_32, 16384, NULL },
	{ "A=b", AT(max_in_flight_bytes), NUMBER_64, 512 << 20, NULL },
	{ "A=b", AT(send_deadline_ms), NUMBER_32, 50000, NULL },
	{ "A=b", AT(relay.host), STRING, 0, "" },
	{ "A=b", AT(relay.name), STRING, 0, "default" },
	{ "A=b", AT(api_key), STRING, 0, "" },
	/* an empty value is as good as none */
	{ "SMTP_PORT=", AT(relay.port), NUMBER_16, 587, NULL },
	/* features that are not there may be left off in so many words */
	{ "STORE=none", AT(relay.port), NUMBER_16, 587, NULL },
	{ "CONSOLE=off", AT(relay.port), NUMBER_16, 587, NULL },
	{ "WEBHOOK_URL=", AT(relay.port), NUMBER_16, 587, NULL },
	/* names of other programs */
	{ "HTTP_PROXY=http://proxy:3128", AT(relay.port), NUMBER_16, 587, NULL },
	{ "HTTP_HOST=example.com", AT(relay.port), NUMBER_16, 587, NULL },
	{ "APP_KEY=base64:xyz", AT(relay.port), NUMBER_16, 587, NULL },
	{ "LOG_DIR=/var/log", AT(relay.port), NUMBER_16, 587, NULL },
	{ "PORT=3000", AT(relay.port), NUMBER_16, 587, NULL },
	{ "LETTERGATE_PORT=tcp://10.0.0.1:8080", AT(relay.port), NUMBER_16, 587, NULL },
	{ "LETTERGATE_KEY=abc", AT(relay.port), NUMBER_16, 587, NULL },
	{ "HTTP_PORT=tcp://10.0.0.1:80", AT(relay.port), NUMBER_16, 587, NULL },
	{ "SMTP_SERVICE_HOST=10.0.0.1", AT(relay.port), NUMBER_16, 587, NULL },
	{ "SMTP_PORT_25_TCP_ADDR=10.0.0.1", AT(relay.port), NUMBER_16, 587, NULL },
#undef AT
};

START_TEST(a_value_is_taken)
{
	const char *environment[] = { taken[_i].line, NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);
	const char *at = (const char *)settings + taken[_i].at;

	ck_assert_msg(settings != NULL, "%s: %s", taken[_i].line, why);
	switch (taken[_i].kind) {
	case NUMBER_16:
		ck_assert_uint_eq(*(const uint16_t *)at, taken[_i].number);
		break;
	case NUMBER_32:
		ck_assert_uint_eq(*(const uint32_t *)at, taken[_i].number);
		break;
	case NUMBER_64:
		ck_assert_uint_eq(*(const uint64_t *)at, taken[_i].number);
		break;
	case STRING:
		ck_assert_str_eq(*(const char *const *)at, taken[_i].string);
		break;
	case FLAG:
		ck_assert_int_eq(*(const bool *)at, taken[_i].number != 0);
		break;
	}
	settings_free(settings);
}
END_TEST

/* ---- what is refused: up to five lines, and words that the refusal must hold */

static const struct {
	const char *lines[6];
	const char *names, *says;
} refused[] = {
	{ { "SMTP_PORT=abc" }, "SMTP_PORT: \"abc\"", "1 to 65535" },
	{ { "SMTP_PORT=0" }, "SMTP_PORT", "1 to 65535" },
	{ { "SMTP_PORT=65536" }, "SMTP_PORT", "1 to 65535" },
	{ { "SMTP_PORT=tcp://10.96.0.7:25" }, "SMTP_PORT", "enableServiceLinks: false" },
	{ { "SMTP_URL=smtp://a:25", "SMTP_PORT=tcp://10.96.0.7:25" }, "SMTP_PORT",
		"enableServiceLinks: false" },
	{ { "SMTP_HOST=smtp://a" }, "SMTP_HOST", "SMTP_URL" },
	{ { "SMTP_HOST=a.example:25" }, "SMTP_HOST", "SMTP_PORT" },
	{ { "SMTP_HOST=a b" }, "SMTP_HOST", "host name" },
	{ { "SMTP_HOST=a..b" }, "SMTP_HOST", "host name" },
	{ { "SMTP_HOST=-a" }, "SMTP_HOST", "host name" },
	{ { "SMTP_HOST=[::x]" }, "SMTP_HOST", "IPv6" },
	{ { "SMTP_EHLO_NAME=a b" }, "SMTP_EHLO_NAME", "[192.0.2.1]" },
	{ { "SMTP_SECURE=ssl" }, "SMTP_SECURE: \"ssl\"", "STARTTLS, TLS, OPPORTUNISTIC or NONE" },
	{ { "SMTP_AUTH=digest-md5" }, "SMTP_AUTH", "scram-sha-256" },
	{ { "SMTP_TLS_PIN=" PIN }, "SMTP_TLS_PIN", "sha256/" },
	{ { "SMTP_TLS_PIN=sha256/abc" }, "SMTP_TLS_PIN", "44 characters" },
	{ { "SMTP_TLS_MIN=1.1" }, "SMTP_TLS_MIN", "1.2 or 1.3" },
	{ { "SMTP_SESSIONS=0" }, "SMTP_SESSIONS: \"0\"", "1 to 1000" },
	{ { "SMTP_SESSIONS=1001" }, "SMTP_SESSIONS", "1 to 1000" },
	{ { "SMTP_SESSIONS=-1" }, "SMTP_SESSIONS", "1 to 1000" },
	{ { "SMTP_SESSIONS=99999999999999999999" }, "SMTP_SESSIONS", "1 to 1000" },
	{ { "SMTP_MIN_SESSIONS=17" }, "SMTP_MIN_SESSIONS", "SMTP_SESSIONS" },
	{ { "SMTP_IDLE=30" }, "SMTP_IDLE: \"30\"", "no unit" },
	{ { "SMTP_IDLE=1.5s" }, "SMTP_IDLE", "500ms" },
	{ { "SMTP_IDLE=999ms" }, "SMTP_IDLE", "1s to 1d" },
	{ { "SMTP_IDLE=25h" }, "SMTP_IDLE", "1s to 1d" },
	{ { "SMTP_IDLE=s" }, "SMTP_IDLE", "500ms" },
	{ { "HTTP_MAX_BODY=1" }, "HTTP_MAX_BODY", "1K to 1G" },
	{ { "HTTP_MAX_BODY=32MB" }, "HTTP_MAX_BODY", "64K" },
	{ { "HTTP_MAX_BODY=1G", "MAX_IN_FLIGHT_BYTES=1M" }, "HTTP_MAX_BODY",
		"MAX_IN_FLIGHT_BYTES" },
	{ { "SMTP_RATE=ten" }, "SMTP_RATE", "10/s" },
	{ { "SMTP_RATE=-1" }, "SMTP_RATE", "10/s" },
	{ { "SMTP_RATE=nan" }, "SMTP_RATE", "10/s" },
	{ { "HTTP_LISTEN=8080" }, "HTTP_LISTEN", "127.0.0.1:8080" },
	{ { "HTTP_LISTEN=:8080" }, "HTTP_LISTEN", "0.0.0.0:8080" },
	{ { "HTTP_LISTEN=example.com:80" }, "HTTP_LISTEN", "numeric address" },
	{ { "HTTP_LISTEN=127.0.0.1:http" }, "HTTP_LISTEN", "port" },
	{ { "HTTP_LISTEN=127.0.0.1:65536" }, "HTTP_LISTEN", "port" },
	{ { "HTTP_LISTEN=::1:80" }, "HTTP_LISTEN", "[brackets]" },
	{ { "HTTP_LISTEN=unix:relative" }, "HTTP_LISTEN", "path" },
	{ { "HTTP_LISTEN=127.0.0.1:80," }, "HTTP_LISTEN", "address" },
	{ { "HTTP_ADMIN_LISTEN=127.0.0.1:1,127.0.0.1:2" }, "HTTP_ADMIN_LISTEN", "one" },
	{ { "HTTP_TRUSTED_PROXIES=10.0.0.0/33" }, "HTTP_TRUSTED_PROXIES", "network" },
	{ { "HTTP_TRUSTED_PROXIES=proxy" }, "HTTP_TRUSTED_PROXIES", "network" },
	{ { "API_KEY=short" }, "API_KEY", "16 characters" },
	{ { "API_KEY=with a blank in it" }, "API_KEY", "blank" },
	{ { "SMTP_USER=a\nb", "SMTP_PASS=x" }, "SMTP_USER", "control" },
	{ { "SMTP_USER=a\xff", "SMTP_PASS=x" }, "SMTP_USER", "UTF-8" },
	/* what does not go together */
	{ { "SMTP_USER=a" }, "SMTP_PASS", "missing" },
	{ { "SMTP_PASS=a" }, "SMTP_USER", "missing" },
	{ { "SMTP_OAUTH_TOKEN=a" }, "SMTP_USER", "missing" },
	{ { "SMTP_USER=u", "SMTP_PASS=p", "SMTP_OAUTH_TOKEN=a" }, "SMTP_OAUTH_TOKEN",
		"leave one out" },
	{ { "SMTP_USER=u", "SMTP_PASS=p", "SMTP_AUTH=xoauth2" }, "SMTP_OAUTH_TOKEN", "missing" },
	{ { "SMTP_AUTH=plain" }, "SMTP_USER", "missing" },
	{ { "SMTP_OAUTH_TOKEN_URL=ftp://a" }, "SMTP_OAUTH_TOKEN_URL: \"ftp://a\"", "https://" },
	{ { "SMTP_OAUTH_TOKEN_URL=a.example/token" }, "SMTP_OAUTH_TOKEN_URL", "https://" },
	{ { "SMTP_OAUTH_TOKEN_URL=http://a.example/token" }, "SMTP_OAUTH_TOKEN_URL", "on the way" },
	{ { "SMTP_OAUTH_TOKEN_URL=http://127.0.0.1.example/" }, "SMTP_OAUTH_TOKEN_URL",
		"on the way" },
	{ { "SMTP_OAUTH_TOKEN_URL=https://" }, "SMTP_OAUTH_TOKEN_URL", "not a URL" },
	{ { "SMTP_OAUTH_TOKEN_URL=https://a:99999/" }, "SMTP_OAUTH_TOKEN_URL", "not a URL" },
	{ { "SMTP_OAUTH_TOKEN_URL=https://a b/" }, "SMTP_OAUTH_TOKEN_URL", "blank" },
	{ { "SMTP_OAUTH_TOKEN_URL=https://a/#b" }, "SMTP_OAUTH_TOKEN_URL", "#" },
	{ { "SMTP_OAUTH_TOKEN_URL=https://me:x@a/" }, "SMTP_OAUTH_TOKEN_URL: there",
		"SMTP_OAUTH_CLIENT_SECRET" },
	{ { TOKEN_URL, "SMTP_USER=u", "SMTP_OAUTH_REFRESH_TOKEN=r" }, "SMTP_OAUTH_CLIENT_ID",
		"missing" },
	{ { TOKEN_URL, "SMTP_USER=u", "SMTP_OAUTH_CLIENT_ID=c" },
		"SMTP_OAUTH_REFRESH_TOKEN: is missing", "SMTP_OAUTH_CLIENT_SECRET" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_OAUTH_CLIENT_SECRET=s" }, "SMTP_USER",
		"SMTP_OAUTH_TOKEN_URL" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_USER=u", "SMTP_PASS=p" }, "SMTP_PASS",
		"leave one out" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_USER=u", "SMTP_OAUTH_TOKEN=p" },
		"SMTP_OAUTH_TOKEN and", "leave one out" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_OAUTH_CLIENT_SECRET=s",
		  "SMTP_SECURE=OPPORTUNISTIC" },
		"SMTP_USER", "missing" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_OAUTH_CLIENT_SECRET=s",
		  "SMTP_AUTH=oauthbearer", "SMTP_SECURE=OPPORTUNISTIC" },
		"SMTP_SECURE", "STARTTLS" },
	{ { TOKEN_URL, "SMTP_OAUTH_CLIENT_ID=c", "SMTP_OAUTH_CLIENT_SECRET=s", "SMTP_USER=u",
		  "SMTP_AUTH=plain" },
		"SMTP_PASS", "missing" },
	{ { "SMTP_OAUTH_SCOPE=mail" }, "SMTP_OAUTH_TOKEN_URL", "missing" },
	{ { "SMTP_OAUTH_CLIENT_SECRET_FILE=/etc/hostname" }, "SMTP_OAUTH_TOKEN_URL", "missing" },
	{ { "SMTP_OAUTH_TOKN=x" }, "SMTP_OAUTH_TOKN", "SMTP_OAUTH_TOKEN?" },
	{ { "SMTP_OAUTH_SECRET=x" }, "SMTP_OAUTH_SECRET", "SMTP_OAUTH_CLIENT_SECRET?" },
	{ { "SMTP_HOST=a.example", "SMTP_USER=u", "SMTP_PASS=p", "SMTP_SECURE=OPPORTUNISTIC" },
		"SMTP_SECURE", "STARTTLS" },
	{ { "SMTP_HOST=a.example", "SMTP_USER=u", "SMTP_PASS=p", "SMTP_SECURE=NONE" },
		"SMTP_SECURE", "STARTTLS" },
	{ { "SMTP_HOST=localhost.example", "SMTP_USER=u", "SMTP_PASS=p", "SMTP_SECURE=NONE" },
		"SMTP_SECURE", "STARTTLS" },
	{ { "SMTP_SECURE=NONE", "SMTP_TLS_PIN=sha256/" PIN }, "SMTP_TLS_PIN", "SMTP_SECURE" },
	{ { "SMTP_CLIENT_CERT=-----BEGIN x" }, "SMTP_CLIENT_KEY", "missing" },
	{ { "HTTP_TLS_KEY=-----BEGIN x" }, "HTTP_TLS_CERT", "missing" },
	/* files */
	{ { "SMTP_PASS_FILE=/does/not/exist" }, "SMTP_PASS_FILE", "No such file" },
	{ { "SMTP_CA_FILE=/does/not/exist" }, "SMTP_CA_FILE", "No such file" },
	{ { "SMTP_CA_FILE=/etc/hostname" }, "SMTP_CA_FILE", "-----BEGIN" },
	{ { "SMTP_PASS=a", "SMTP_PASS_FILE=/etc/hostname" }, "SMTP_PASS_FILE", "leave one out" },
	/* names */
	{ { "SMTP_PASWORD=x" }, "SMTP_PASWORD", "SMTP_PASS?" },
	{ { "SMTP_PASSWORD=x" }, "SMTP_PASSWORD", "SMTP_PASS?" },
	{ { "SMTP_PASSWORD_FILE=/x" }, "SMTP_PASSWORD_FILE", "SMTP_PASS?" },
	{ { "SMTP_PAS_FILE=/x" }, "SMTP_PAS_FILE", "SMTP_PASS_FILE?" },
	{ { "SMTP_CA_FIEL=/x" }, "SMTP_CA_FIEL", "SMTP_CA_FILE?" },
	{ { "API_KEYSFILE=/x" }, "API_KEYSFILE", "API_KEYS_FILE?" },
	{ { "SMTP_USERNAME=x" }, "SMTP_USERNAME", "SMTP_USER?" },
	{ { "SMTP_SERVER=x" }, "SMTP_SERVER", "SMTP_HOST?" },
	{ { "SMPT_HOST=x" }, "SMPT_HOST", "SMTP_HOST?" },
	{ { "STMP_HOST=x" }, "STMP_HOST", "SMTP_HOST?" },
	{ { "SMTP_HSOT=x" }, "SMTP_HSOT", "SMTP_HOST?" },
	{ { "SMTPHOST=x" }, "SMTPHOST", "SMTP_HOST?" },
	{ { "HTTP_LISTN=x" }, "HTTP_LISTN", "HTTP_LISTEN?" },
	{ { "HTTP_PORT=8080" }, "HTTP_PORT", "HTTP_LISTEN" },
	{ { "API_KEYS=x" }, "API_KEYS", "API_KEYS_FILE" },
	{ { "LOG_LEVLE=x" }, "LOG_LEVLE", "LOG_LEVEL?" },
	{ { "SMTP_TIMEOUT=30s" }, "SMTP_TIMEOUT", "SMTP_TIMEOUT_CONNECT" },
	{ { "SMTP_TIMEOUT_EVERYTHING=1s" }, "SMTP_TIMEOUT_EVERYTHING", "lettergate settings" },
	{ { "SMTP_TLS_VERIFY=false" }, "SMTP_TLS_VERIFY", "SMTP_TLS_PIN" },
	{ { "LETTERGATE_SMTP_HOST=x" }, "LETTERGATE_SMTP_HOST", "write SMTP_HOST" },
	/* not there yet */
	{ { "STORE=postgresql://a:s3cret@h/b%zz" }, "STORE", "no connection string" },
	{ { "STORE=mysql://x" }, "STORE", "sqlite:/path" },
	{ { "STORE=/var/q.db" }, "STORE", "sqlite:/path" },
	{ { "STORE=sqlite:q.db" }, "STORE", "absolute path" },
	{ { "RETRY_DELAYS=1" }, "RETRY_DELAYS", "1s,30s,10m" },
	{ { "RETRY_DELAYS=1s,,2s" }, "RETRY_DELAYS", "1s,30s,10m" },
	{ { "RETRY_DELAYS=99ms" }, "RETRY_DELAYS", "from 100ms" },
	{ { "RETRY_DELAYS=8d" }, "RETRY_DELAYS", "to 7d" },
	{ { "RETRY_DELAYS=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,"
	    "1s,1s,1s,1s,1s,1s,1s,1s,1s" },
		"RETRY_DELAYS", "32" },
	{ { "RETRY_JITTER=1.1" }, "RETRY_JITTER", "0 to 1" },
	{ { "RETRY_JITTER=nan" }, "RETRY_JITTER", "0 to 1" },
	{ { "RETRY_JITTER=20%" }, "RETRY_JITTER", "0 to 1" },
	{ { "RETRY_FOR=0" }, "RETRY_FOR", "1s to 365d" },
	{ { "ON_UNKNOWN=drop" }, "ON_UNKNOWN", "retry or hold" },
	{ { "QUEUE_MAX=0" }, "QUEUE_MAX", "1 to" },
	{ { "RETRY_DELAY=1s" }, "RETRY_DELAY", "RETRY_DELAYS" },
	{ { "CONSOLE=on" }, "CONSOLE", "not supported yet" },
	{ { "WEBHOOK_SIGNING_SECRET=x" }, "WEBHOOK_SIGNING_SECRET", "WEBHOOK_SECRET" },
	{ { "WEBHOOK_URI=x" }, "WEBHOOK_URI", "WEBHOOK_URL" },
};

START_TEST(a_wrong_value_is_named_and_mended)
{
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, refused[_i].lines, why);

	ck_assert_msg(!settings, "%s was taken", refused[_i].lines[0]);
	ck_assert_msg(strstr(why, refused[_i].names) && strstr(why, refused[_i].says),
		"%s: wanted \"%s\" and \"%s\" in: %s", refused[_i].lines[0], refused[_i].names,
		refused[_i].says, why);
	ck_assert_msg(!strchr(why, '\n'), "more than one line: %s", why);
}
END_TEST

/* ---- relays on this machine */

START_TEST(a_password_may_go_in_clear_to_this_machine_only)
{
	static const char *const hosts[] = { "SMTP_HOST=localhost", "SMTP_HOST=127.0.0.1",
		"SMTP_HOST=127.9.9.9", "SMTP_HOST=::1" };
	const char *environment[] = { hosts[_i], "SMTP_USER=u", "SMTP_PASS=p", "SMTP_SECURE=NONE",
		NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s: %s", hosts[_i], why);
	ck_assert(settings_relay_is_local(&settings->relay));
	settings_free(settings);
}
END_TEST

/* ---- files for values */

START_TEST(a_value_may_stand_in_a_file)
{
	char *path = file_of("p\xc3\xa4ss word\n"), line[200], why[LOAD_WHY];
	const char *environment[] = { line, "SMTP_USER=u", NULL };
	struct settings *settings;

	snprintf(line, sizeof(line), "SMTP_PASS_FILE=%s", path);
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.pass, "p\xc3\xa4ss word");
	settings_free(settings);
	remove_file(path);
}
END_TEST

START_TEST(an_empty_file_is_no_value)
{
	char *path = file_of("\n"), line[200], why[LOAD_WHY];
	const char *environment[] = { line, NULL };

	snprintf(line, sizeof(line), "SMTP_PASS_FILE=%s", path);
	ck_assert(!load(NULL, environment, why));
	ck_assert_ptr_nonnull(strstr(why, "is empty"));
	remove_file(path);
}
END_TEST

static void write_file(const char *path, const char *content)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(content, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void expect_token(const struct settings *settings, const char *token)
{
	struct buf read = buf_born(100000);

	ck_assert_int_eq(settings_read_token(&settings->relay, &read), OK);
	ck_assert_msg(text_equal(buf_text(&read), text_of(token)), "%.*s", (int)read.len, read.at);
	buf_free(&read);
}

START_TEST(a_token_is_read_again)
{
	char *path = file_of("first\n"), line[200], why[LOAD_WHY];
	const char *environment[] = { line, "SMTP_USER=u", NULL };
	struct settings *settings;

	snprintf(line, sizeof(line), "SMTP_OAUTH_TOKEN_FILE=%s", path);
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	expect_token(settings, "first");
	write_file(path, "second");
	expect_token(settings, "second");
	write_file(path, "\n"); /* amidst being written: the one known to be good */
	expect_token(settings, "first");
	write_file(path, "two\nlines");
	expect_token(settings, "first");
	remove_file(path);
	expect_token(settings, "first");
	settings_free(settings);
}
END_TEST

START_TEST(a_token_given_as_such_stays)
{
	const char *environment[] = { "SMTP_OAUTH_TOKEN=given", "SMTP_USER=u", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.token_file, "");
	expect_token(settings, "given");
	settings_free(settings);
}
END_TEST

START_TEST(tokens_may_be_fetched)
{
	char *secret = file_of("shh\n"), line[200], why[LOAD_WHY];
	const char *environment[] = { "SMTP_USER=me", "SMTP_OAUTH_CLIENT_ID=c",
		"SMTP_OAUTH_REFRESH_TOKEN=r", "SMTP_OAUTH_SCOPE=one two", line,
		_i == 0   ? "SMTP_OAUTH_TOKEN_URL=https://a.example/token?tenant=t"
		: _i == 1 ? "SMTP_OAUTH_TOKEN_URL=http://127.0.0.1:8/token"
		: _i == 2 ? "SMTP_OAUTH_TOKEN_URL=http://[::1]:8/token"
			  : "SMTP_OAUTH_TOKEN_URL=HTTP://localhost/token",
		NULL };
	const struct relay_settings *relay;
	struct settings *settings;

	snprintf(line, sizeof(line), "SMTP_OAUTH_CLIENT_SECRET_FILE=%s", secret);
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	relay = &settings->relay;
	ck_assert_str_eq(relay->oauth_token_url, strchr(environment[5], '=') + 1);
	ck_assert_str_eq(relay->oauth_client_id, "c");
	ck_assert_str_eq(relay->oauth_client_secret, "shh");
	ck_assert_str_eq(relay->oauth_refresh_token, "r");
	ck_assert_str_eq(relay->oauth_scope, "one two");
	ck_assert_str_eq(relay->token_file, "");
	settings_free(settings);
	remove_file(secret);
}
END_TEST

/* Given as text, as text on one line, as a path, and as a file that holds either. */
START_TEST(certificates_come_in_any_way)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	char *path = file_of(pem), *indirect = file_of(path), line[300], why[LOAD_WHY];
	const char *environment[] = { line, NULL };
	struct settings *settings;

	if (_i == 0)
		snprintf(line, sizeof(line), "SMTP_CA_FILE=%s", pem);
	else if (_i == 1)
		snprintf(line, sizeof(line),
			"SMTP_CA_FILE=-----BEGIN CERTIFICATE-----\\nAAAA\\n"
			"-----END CERTIFICATE-----\\n");
	else
		snprintf(line, sizeof(line), "SMTP_CA_FILE%s=%s", _i == 2 ? "" : "_FILE",
			_i == 4 ? indirect : path);
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%d: %s", _i, why);
	ck_assert_int_eq(strncmp(settings->relay.ca_pem, pem, strlen(pem) - 1), 0);
	settings_free(settings);
	remove_file(path);
	remove_file(indirect);
}
END_TEST

/* ---- SMTP_URL */

START_TEST(a_url_says_it_all)
{
	const char *environment[] = {
		"SMTP_URL=smtps://me%40example.com:p%3A%2F%25@[2001:db8::7]:4650"
		"?sessions=3&tls_min=1.3&timeout_dot=5m",
		NULL
	};
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.host, "2001:db8::7");
	ck_assert_uint_eq(settings->relay.port, 4650);
	ck_assert_str_eq(settings->relay.user, "me@example.com");
	ck_assert_str_eq(settings->relay.pass, "p:/%");
	ck_assert_int_eq(settings->relay.tls, SMTP_TLS_IMPLICIT);
	ck_assert_uint_eq(settings->relay.sessions, 3);
	ck_assert_uint_eq(settings->relay.tls_min, 13);
	ck_assert_uint_eq(settings->relay.dot_ms, 300000);
	settings_free(settings);
}
END_TEST

static const struct {
	const char *url;
	const char *host;
	unsigned port;
	enum smtp_tls tls;
} urls[] = {
	{ "SMTP_URL=smtp://a.example", "a.example", 587, SMTP_TLS_STARTTLS },
	{ "SMTP_URL=smtp://a.example/", "a.example", 587, SMTP_TLS_STARTTLS },
	{ "SMTP_URL=smtp://a.example:465", "a.example", 465, SMTP_TLS_IMPLICIT },
	{ "SMTP_URL=smtps://a.example", "a.example", 465, SMTP_TLS_IMPLICIT },
	{ "SMTP_URL=smtp://a.example:25?secure=none", "a.example", 25, SMTP_TLS_NONE },
	{ "SMTP_URL=SMTP://[::1]", "::1", 587, SMTP_TLS_STARTTLS },
	{ "SMTP_URL=smtp://capture", "capture", 587, SMTP_TLS_STARTTLS },
};

START_TEST(a_url_has_the_usual_ports)
{
	const char *environment[] = { urls[_i].url, NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s: %s", urls[_i].url, why);
	ck_assert_str_eq(settings->relay.host, urls[_i].host);
	ck_assert_uint_eq(settings->relay.port, urls[_i].port);
	ck_assert_int_eq(settings->relay.tls, urls[_i].tls);
	settings_free(settings);
}
END_TEST

static const struct {
	const char *lines[3], *says;
} wrong_urls[] = {
	{ { "SMTP_URL=http://a" }, "smtp://" },
	{ { "SMTP_URL=smtp://" }, "no host" },
	{ { "SMTP_URL=smtp://:25" }, "no host" },
	{ { "SMTP_URL=smtp://u:topsecret@h/path" }, "path" },
	{ { "SMTP_URL=smtp://u:topsecret%@h" }, "%25" },
	{ { "SMTP_URL=smtp://u:topsecret@h:port" }, "not a port" },
	{ { "SMTP_URL=smtp://u:topsecret@h?sesions=3" }, "mean sessions?" },
	{ { "SMTP_URL=smtp://u:topsecret@h?sessions=0" }, "1 to 1000" },
	{ { "SMTP_URL=smtp://u:topsecret@h?oauth_token_url=x" }, "https://" },
	{ { "SMTP_URL=smtps://u:topsecret@h?secure=none" }, "leave one out" },
	{ { "SMTP_URL=smtp://u:topsecret@h", "SMTP_HOST=other" }, "leave one out" },
	{ { "SMTP_URL=smtp://u:topsecret@h", "SMTP_PASS=topsecret" }, "leave one out" },
};

START_TEST(a_wrong_url_is_not_quoted)
{
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, wrong_urls[_i].lines, why);

	ck_assert_msg(!settings, "%s was taken", wrong_urls[_i].lines[0]);
	ck_assert_msg(
		strstr(why, wrong_urls[_i].says) != NULL, "%s: %s", wrong_urls[_i].lines[0], why);
	ck_assert_msg(!strstr(why, "topsecret"), "%s", why);
}
END_TEST

/* ---- listening */

START_TEST(listeners_are_taken_apart)
{
	const char *environment[] = {
		"HTTP_LISTEN=127.0.0.1:0, [::1]:80,unix:/run/l.sock,localhost:81",
		"HTTP_ADMIN_LISTEN=0.0.0.0:9090", "HTTP_TRUSTED_PROXIES=10.0.0.0/8, ::1", NULL
	};
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->listen_count, 4);
	ck_assert_str_eq(settings->listen[0].address, "127.0.0.1");
	ck_assert_uint_eq(settings->listen[0].port, 0);
	ck_assert_str_eq(settings->listen[1].address, "::1");
	ck_assert_int_eq(settings->listen[2].kind, LISTEN_UNIX);
	ck_assert_str_eq(settings->listen[2].address, "/run/l.sock");
	ck_assert_str_eq(settings->listen[3].address, "127.0.0.1");
	ck_assert_uint_eq(settings->admin_listen->port, 9090);
	ck_assert(!settings_listens_locally(settings));
	ck_assert_uint_eq(settings->trusted_proxy_count, 2);
	ck_assert_str_eq(settings->trusted_proxies[1], "::1");
	settings_free(settings);
}
END_TEST

static const struct {
	const char *line;
	bool local;
} places[] = {
	{ "HTTP_LISTEN=127.0.0.1:80", true },
	{ "HTTP_LISTEN=127.1.2.3:80,[::1]:80,unix:/a", true },
	{ "HTTP_LISTEN=0.0.0.0:80", false },
	{ "HTTP_LISTEN=[::]:80", false },
	{ "HTTP_LISTEN=127.0.0.1:80,192.0.2.1:80", false },
	{ "HTTP_ADMIN_LISTEN=192.0.2.1:80", false },
};

START_TEST(local_listeners_are_known)
{
	const char *environment[] = { places[_i].line, NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_int_eq(settings_listens_locally(settings), places[_i].local);
	settings_free(settings);
}
END_TEST

START_TEST(passed_sockets_take_the_place)
{
	char pid[40], why[LOAD_WHY];
	const char *environment[] = { pid, "LISTEN_FDS=2", "HTTP_LISTEN=127.0.0.1:80", NULL };
	struct settings *settings;

	snprintf(pid, sizeof(pid), "LISTEN_PID=%d", getpid());
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->listen_count, 2);
	ck_assert_int_eq(settings->listen[1].kind, LISTEN_PASSED);
	ck_assert_uint_eq(settings->listen[1].port, 4);
	settings_free(settings);
	snprintf(pid, sizeof(pid), "LISTEN_PID=%d", getpid() + 1); /* not meant for us */
	settings = load(NULL, environment, why);
	ck_assert_int_eq(settings->listen[0].kind, LISTEN_TCP);
	settings_free(settings);
}
END_TEST

UNIT_MAIN(
	settings, tcase_add_loop_test(cases, a_value_is_taken, 0, sizeof(taken) / sizeof(taken[0]));
	tcase_add_loop_test(
		cases, a_wrong_value_is_named_and_mended, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(cases, a_password_may_go_in_clear_to_this_machine_only, 0, 4);
	tcase_add_test(cases, a_value_may_stand_in_a_file);
	tcase_add_test(cases, an_empty_file_is_no_value);
	tcase_add_test(cases, a_token_is_read_again);
	tcase_add_test(cases, a_token_given_as_such_stays);
	tcase_add_loop_test(cases, tokens_may_be_fetched, 0, 4);
	tcase_add_loop_test(cases, certificates_come_in_any_way, 0, 5);
	tcase_add_test(cases, a_url_says_it_all);
	tcase_add_loop_test(cases, a_url_has_the_usual_ports, 0, sizeof(urls) / sizeof(urls[0]));
	tcase_add_loop_test(
		cases, a_wrong_url_is_not_quoted, 0, sizeof(wrong_urls) / sizeof(wrong_urls[0]));
	tcase_add_test(cases, listeners_are_taken_apart); tcase_add_loop_test(
		cases, local_listeners_are_known, 0, sizeof(places) / sizeof(places[0]));
	tcase_add_test(cases, passed_sockets_take_the_place);)
