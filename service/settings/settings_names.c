#include "service/settings/settings_draft.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	NAME_MAX_LEN = 40,
	APART_MOST = 2, /* further apart, one is no slip for the other */
};

/* What is written for one of ours so often that it is worth knowing. */
static const struct {
	const char *name, *right;
} aliases[] = {
	{ "SMTP_PASSWORD", "SMTP_PASS" },
	{ "SMTP_PASSWD", "SMTP_PASS" },
	{ "SMTP_PWD", "SMTP_PASS" },
	{ "SMTP_SECRET", "SMTP_PASS" },
	{ "SMTP_USERNAME", "SMTP_USER" },
	{ "SMTP_LOGIN", "SMTP_USER" },
	{ "SMTP_SERVER", "SMTP_HOST" },
	{ "SMTP_HOSTNAME", "SMTP_HOST" },
	{ "SMTP_RELAY", "SMTP_HOST" },
	{ "SMTP_RELAYHOST", "SMTP_HOST" },
	{ "SMTP_ADDRESS", "SMTP_HOST" },
	{ "SMTP_ADDR", "SMTP_HOST" },
	{ "SMTP_URI", "SMTP_URL" },
	{ "SMTP_DSN", "SMTP_URL" },
	{ "SMTP_TLS", "SMTP_SECURE" },
	{ "SMTP_SSL", "SMTP_SECURE" },
	{ "SMTP_STARTTLS", "SMTP_SECURE" },
	{ "SMTP_USE_TLS", "SMTP_SECURE" },
	{ "SMTP_USE_SSL", "SMTP_SECURE" },
	{ "SMTP_ENCRYPTION", "SMTP_SECURE" },
	{ "SMTP_SECURITY", "SMTP_SECURE" },
	{ "SMTP_AUTHENTICATION", "SMTP_AUTH" },
	{ "SMTP_AUTH_METHOD", "SMTP_AUTH" },
	{ "SMTP_TOKEN", "SMTP_OAUTH_TOKEN" },
	{ "SMTP_OAUTH_URL", "SMTP_OAUTH_TOKEN_URL" },
	{ "SMTP_OAUTH_SECRET", "SMTP_OAUTH_CLIENT_SECRET" },
	{ "SMTP_OAUTH_REFRESH", "SMTP_OAUTH_REFRESH_TOKEN" },
	{ "SMTP_OAUTH_SCOPES", "SMTP_OAUTH_SCOPE" },
	{ "SMTP_CA", "SMTP_CA_FILE" },
	{ "SMTP_CA_CERT", "SMTP_CA_FILE" },
	{ "SMTP_TLS_CA", "SMTP_CA_FILE" },
	{ "SMTP_TLS_CA_FILE", "SMTP_CA_FILE" },
	{ "SMTP_TLS_SERVERNAME", "SMTP_TLS_NAME" },
	{ "SMTP_TLS_CERT", "SMTP_CLIENT_CERT" },
	{ "SMTP_TLS_KEY", "SMTP_CLIENT_KEY" },
	{ "SMTP_PIN", "SMTP_TLS_PIN" },
	{ "SMTP_TLS_VERIFY", "SMTP_TLS_PIN or SMTP_CA_FILE: checking cannot be turned off" },
	{ "SMTP_TLS_REJECT_UNAUTHORIZED",
		"SMTP_TLS_PIN or SMTP_CA_FILE: checking cannot be turned off" },
	{ "SMTP_POOL", "SMTP_SESSIONS" },
	{ "SMTP_POOL_SIZE", "SMTP_SESSIONS" },
	{ "SMTP_CONNECTIONS", "SMTP_SESSIONS" },
	{ "SMTP_MAX_CONNECTIONS", "SMTP_SESSIONS" },
	{ "SMTP_MAX_SESSIONS", "SMTP_SESSIONS" },
	{ "SMTP_TIMEOUT", "SMTP_TIMEOUT_CONNECT, _COMMAND, _DATA and _DOT" },
	{ "SMTP_HELO", "SMTP_EHLO_NAME" },
	{ "SMTP_HELO_NAME", "SMTP_EHLO_NAME" },
	{ "SMTP_EHLO", "SMTP_EHLO_NAME" },
	{ "HTTP_PORT", "HTTP_LISTEN, as in 127.0.0.1:8080" },
	{ "HTTP_ADDR", "HTTP_LISTEN" },
	{ "HTTP_ADDRESS", "HTTP_LISTEN" },
	{ "HTTP_BIND", "HTTP_LISTEN" },
	{ "HTTP_CERT", "HTTP_TLS_CERT" },
	{ "HTTP_SSL_CERT", "HTTP_TLS_CERT" },
	{ "HTTP_KEY", "HTTP_TLS_KEY" },
	{ "HTTP_SSL_KEY", "HTTP_TLS_KEY" },
	{ "HTTP_MAX_BODY_SIZE", "HTTP_MAX_BODY" },
	{ "HTTP_TIMEOUT", "HTTP_TIMEOUT_HEADERS, _BODY and _IDLE" },
	{ "API_KEYS", "API_KEYS_FILE, or API_KEY for a single one" },
	{ "SEND_TIMEOUT", "SEND_DEADLINE" },
	{ "MAX_INFLIGHT", "MAX_IN_FLIGHT" },
	{ "MAX_BODY", "HTTP_MAX_BODY" },
	{ "DKIM_PRIVATE_KEY", "DKIM_KEY" },
	{ "DKIM_PRIVATEKEY", "DKIM_KEY" },
	{ "DKIM_KEY_PATH", "DKIM_KEY" },
	{ "DKIM_KEYS", "DKIM_KEY" },
	{ "DKIM_DOMAIN_NAME", "DKIM_DOMAIN" },
	{ "DKIM_DOMAINS", "DKIM_DOMAIN, or for several the list in the file of --config" },
	{ "DKIM_KEY_SELECTOR", "DKIM_SELECTOR" },
	{ "DKIM_SKIP_FIELDS", "DKIM_UNSIGN" },
	{ "WEBHOOK_SIGNING_SECRET", "WEBHOOK_SECRET" },
	{ "WEBHOOK_SIGNING_KEY", "WEBHOOK_SECRET" },
	{ "WEBHOOK_ENDPOINT", "WEBHOOK_URL" },
	{ "WEBHOOK_ALLOWED_NETWORKS", "WEBHOOK_ALLOW_NETWORKS" },
};

/* Near to one of ours, and nevertheless somebody else's. */
static const char *const foreign[] = { "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"FTP_PROXY", "HTTP_HOST", "HTTP_USER", "HTTP_USER_AGENT", "LOG_DIR", "LOG_FILE", "LOG_PATH",
	"LOG_LEVELS", "APP_KEY", "API_URL", "API_HOST", "SMTP_FROM", "SMTP_SENDER" };

/* Of the contract, and not here yet. `usual` says what is the case anyway. */
static const struct {
	const char *name, *usual;
} later[] = { { "CONSOLE", "off" } };

static const char *const prefixes[] = { "SMTP_", "HTTP_", "API_", "LOG_", "SEND_", "MAX_", "DRAIN_",
	"DKIM_", "RETRY_", "QUEUE_", "KEEP_", "WEBHOOK_" };

/* Beginnings that nobody else uses: a name that starts so was meant for us. */
static const char *const ours[] = { "SMTP_TIMEOUT_", "SMTP_CLIENT_", "SMTP_OAUTH_", "HTTP_TIMEOUT_",
	"HTTP_ADMIN_", "HTTP_TLS_", "MAX_IN_FLIGHT", "DRAIN_", "DKIM_" };

static bool is_among(struct text name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

#define IS_AMONG(name, names) is_among(name, names, sizeof(names) / sizeof((names)[0]))

/* Off by `_FILE`, if it ends so. */
static struct text without_file(struct text name)
{
	struct text ending = TEXT("_FILE");

	if (name.len > ending.len && text_equal(text_from(name, name.len - ending.len), ending))
		name.len -= ending.len;
	return name;
}

/* ---- how far apart two names are (Damerau and Levenshtein: two letters changed over count once)
 */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned distance(struct text a, struct text b)
{
	unsigned rows[3][NAME_MAX_LEN + APART_MOST + 1];

	if (a.len > NAME_MAX_LEN || a.len > b.len + APART_MOST || b.len > a.len + APART_MOST)
		return NAME_MAX_LEN;
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *top = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			bool same = a.at[i - 1] == b.at[j - 1];

			row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] &&
				a.at[i - 2] == b.at[j - 1])
				row[j] = least(row[j], top[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

static struct text prefix_of(struct text name)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (text_starts(name, text_of(prefixes[i])))
			return text_of(prefixes[i]);
	return (struct text){ 0 };
}

/* The name of ours that is meant, and how near it is; NULL: none. A name that bears one of our
 * prefixes is only held against those with the same: HTTP_HOST is not a way to write SMTP_HOST.
 * Short names allow for one slip, long ones for two. */
static const char *nearest(struct text name, unsigned *apart_out)
{
	struct text prefix = prefix_of(name);
	const char *best = NULL;

	*apart_out = APART_MOST + 1;
	for (size_t i = 0; i < settings_count; i++) {
		struct text row = text_of(settings_table[i].name);
		unsigned apart = text_starts(row, prefix) ? distance(name, row) : NAME_MAX_LEN;

		if (apart < *apart_out && (apart == 1 || row.len > 7)) {
			*apart_out = apart;
			best = settings_table[i].name;
		}
	}
	return best;
}

/* The same for a slip in what is often written for one of ours: SMTP_PASWORD. */
static const char *nearest_alias(struct text name)
{
	struct text prefix = prefix_of(name);

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		struct text alias = text_of(aliases[i].name);

		if (alias.len > 10 && text_starts(alias, prefix) &&
			distance(name, alias) <= APART_MOST)
			return aliases[i].right;
	}
	return NULL;
}

static const char *alias_of(struct text name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (text_equal(name, text_of(aliases[i].name)))
			return aliases[i].right;
	return NULL;
}

/* What was meant by a name that is none of ours, with or without the _FILE at its end; NULL:
 * nothing of ours. *ending_out is to be put behind it. */
static const char *meant_by(struct text name, const char **ending_out)
{
	struct text stem = without_file(name);
	const char *right = alias_of(name), *of_stem;
	unsigned apart, stem_apart;

	*ending_out = "";
	if (!right)
		right = alias_of(stem);
	if (right)
		return right;
	right = nearest(name, &apart);
	of_stem = nearest(stem, &stem_apart);
	if (stem_apart < apart) { /* SMTP_PAS_FILE is nearer to SMTP_PASS than to SMTP_CA_FILE */
		*ending_out = "_FILE";
		return of_stem;
	}
	if (!right)
		right = nearest_alias(name);
	return right ? right : nearest_alias(stem);
}

/* ---- names */

static enum err refuse_later(struct draft *draft, struct text name, struct text value)
{
	struct text stem = without_file(name);

	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (!text_equal(stem, text_of(later[i].name)))
			continue;
		if (value.len == 0 ||
			(stem.len == name.len && text_equal_nocase(value, text_of(later[i].usual))))
			return OK;
		return draft_refuse(draft, ERR_VALUE, "%s is not supported yet; take it out%s%s",
			later[i].name, *later[i].usual ? ", or leave it at " : "", later[i].usual);
	}
	return ERR_MISSING;
}

enum err settings_take_named(
	struct draft *draft, struct text name, struct text value, const char *label)
{
	size_t index = setting_named(name), stem = setting_named(without_file(name));
	const char *path;
	enum err err;

	if (index < settings_count)
		return draft_take(draft, index, value, label);
	if (stem == settings_count)
		return refuse_later(draft, name, value);
	if (value.len == 0)
		return OK;
	path = draft_copy(draft, value);
	err = path ? draft_take_file(draft, stem, path, label) : ERR_MEMORY;
	return err;
}

/* What Kubernetes sets for a service that happens to be called smtp, http, … */
static bool is_service_link(struct text name, struct text value)
{
	return text_starts(value, TEXT("tcp://")) || text_starts(value, TEXT("udp://")) ||
	       text_contains_nocase(name, TEXT("_SERVICE_HOST")) ||
	       text_contains_nocase(name, TEXT("_SERVICE_PORT")) ||
	       text_contains_nocase(name, TEXT("_TCP_"));
}

static enum err refuse_service_link(struct draft *draft, struct text value)
{
	return draft_refuse(draft, ERR_VALUE,
		"SMTP_PORT: \"%.*s\" was set by Kubernetes for a service called smtp; set "
		"enableServiceLinks: false in the pod, or set SMTP_PORT in it yourself",
		value.len > 80 ? 80 : (int)value.len, value.at);
}

static enum err refuse_near(struct draft *draft, struct text name)
{
	struct text stem = without_file(name);
	struct text prefix = TEXT("LETTERGATE_");
	const char *right, *ending;

	if (text_starts(name, prefix) &&
		setting_named(without_file(text_from(name, prefix.len))) < settings_count)
		return draft_refuse(draft, ERR_VALUE, "%.*s: no such setting; write %.*s",
			(int)name.len, name.at, (int)(name.len - prefix.len), name.at + prefix.len);
	if (IS_AMONG(name, foreign) || IS_AMONG(stem, foreign))
		return OK;
	right = meant_by(name, &ending);
	if (right)
		return draft_refuse(draft, ERR_VALUE, "%.*s: no such setting; did you mean %s%s?",
			(int)name.len, name.at, right, ending);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (text_starts(name, text_of(ours[i])))
			return draft_refuse(draft, ERR_VALUE,
				"%.*s: no such setting; lettergate settings shows all",
				(int)name.len, name.at);
	return OK;
}

enum err settings_take_environment(struct draft *draft, char *const *environment)
{
	enum err err = OK;

	for (; environment && *environment && !err; environment++) {
		struct text value = text_of(*environment);
		struct text name = text_cut(&value, '=');
		char label[NAME_MAX_LEN + 1];

		if (name.len == 0 || name.len > NAME_MAX_LEN)
			continue;
		snprintf(label, sizeof(label), "%.*s", (int)name.len, name.at);
		if (text_equal(name, TEXT("SMTP_PORT")) && is_service_link(name, value))
			return refuse_service_link(draft, value);
		err = settings_take_named(draft, name, value, label);
		if (err == ERR_MISSING)
			err = value.len == 0 || is_service_link(name, value)
				      ? OK
				      : refuse_near(draft, name);
	}
	return err;
}

/* As it is written where names are in lower case, and lack `prefix`. */
static void write_lower(const char *name, const char *prefix, char *out, size_t room)
{
	size_t skip = strncmp(name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0, len = 0;

	for (const char *at = name + skip; *at && len + 1 < room; at++)
		out[len++] = byte_lower(*at);
	out[len] = 0;
}

enum err settings_refuse_name(
	struct draft *draft, struct text name, const char *prefix, const char *label)
{
	const char *ending, *right = meant_by(name, &ending);
	char whole[200], lower[200];

	if (!right)
		return draft_refuse(draft, ERR_VALUE,
			"%s: no such setting; lettergate settings shows all", label);
	snprintf(whole, sizeof(whole), "%s%s", right, ending);
	if (prefix)
		write_lower(whole, prefix, lower, sizeof(lower));
	return draft_refuse(draft, ERR_VALUE, "%s: no such setting; did you mean %s?", label,
		prefix ? lower : whole);
}
