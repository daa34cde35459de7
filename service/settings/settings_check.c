#include "service/settings/settings_draft.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* ---- what follows from others */

static void fall_back(struct draft *draft, const char *name, const char *value)
{
	struct given *given = draft_given(draft, name);

	if (!given->value)
		*given = (struct given){ .value = value, .label = name };
}

static bool is_given_as(struct draft *draft, const char *name, const char *value)
{
	const struct given *given = draft_given(draft, name);

	return given->value && strcasecmp(given->value, value) == 0;
}

/* A relay may refuse who has no full name: where the machine's has no dot (a container's id, say),
 * an address literal is what RFC 5321 4.1.4 leaves. */
static const char *own_name(struct draft *draft)
{
	char name[256] = "";
	size_t len;

	if (gethostname(name, sizeof(name) - 1))
		return "[127.0.0.1]";
	len = strlen(name);
	for (size_t i = 0; i < len; i++)
		if (!byte_is_letter(name[i]) && !byte_is_digit(name[i]) && !strchr("-.", name[i]))
			return "[127.0.0.1]";
	if (!strchr(name, '.') || name[0] == '.' || name[0] == '-' || name[len - 1] == '.' ||
		strstr(name, "..") || len > 253)
		return "[127.0.0.1]";
	return draft_copy(draft, text_of(name));
}

/* "sqlite:/where/we/are/lettergate-dev/queue.db" */
static const char *store_here(struct draft *draft)
{
	char here[PATH_BYTES];
	struct buf words = buf_born(PATH_BYTES * 2);
	const char *copy = NULL;

	if (getcwd(here, sizeof(here)))
		buf_addf(&words, "sqlite:%s" SETTINGS_DEV_STORE, strcmp(here, "/") ? here : "");
	if (words.len && !words.err && !text_has_control(buf_text(&words)))
		copy = draft_copy(draft, buf_text(&words));
	buf_free(&words);
	return copy ? copy : "none";
}

enum err settings_fill_in(struct draft *draft)
{
	if (draft->settings->dev && !draft_given(draft, "STORE")->value)
		fall_back(draft, "STORE", store_here(draft));
	if (draft->settings->dev && !draft->entry_count)
		fall_back(draft, "SMTP_HOST", "capture");
	fall_back(draft, "SMTP_PORT", is_given_as(draft, "SMTP_SECURE", "TLS") ? "465" : "587");
	fall_back(
		draft, "SMTP_SECURE", is_given_as(draft, "SMTP_PORT", "465") ? "TLS" : "STARTTLS");
	if (!draft_given(draft, "SMTP_EHLO_NAME")->value)
		fall_back(draft, "SMTP_EHLO_NAME", own_name(draft));
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].usual)
			fall_back(draft, settings_table[i].name, settings_table[i].usual);
	return draft_given(draft, "SMTP_EHLO_NAME")->value ? OK : ERR_MEMORY;
}

/* ---- what does not go together */

bool settings_host_is_local(const char *host)
{
	unsigned char v4[4];
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, v4) == 1)
		return v4[0] == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(host, "localhost") == 0;
}

bool settings_relay_is_local(const struct relay_settings *relay)
{
	return settings_host_is_local(relay->host);
}

static enum err check_clear(struct draft *draft)
{
	const struct relay_settings *relay = &draft->settings->relay;
	bool logs_in = relay->user[0] || relay->token[0] || relay->oauth_token_url[0];
	const char *user = draft_spelling(draft, "SMTP_USER");

	if (relay->tls == SMTP_TLS_OPPORTUNISTIC && logs_in)
		return draft_refuse(draft, ERR_VALUE,
			"%s: OPPORTUNISTIC could show %s's password to anybody on the way; use "
			"STARTTLS or TLS",
			draft_label(draft, "SMTP_SECURE"), user);
	if (relay->tls == SMTP_TLS_NONE && logs_in && !settings_relay_is_local(relay))
		return draft_refuse(draft, ERR_VALUE,
			"%s: NONE would show %s's password to anybody on the way to %s; use "
			"STARTTLS or TLS (NONE is for a relay on this machine)",
			draft_label(draft, "SMTP_SECURE"), user, relay->host);
	if (relay->tls == SMTP_TLS_NONE && relay->tls_pin[0])
		return draft_refuse(draft, ERR_VALUE,
			"%s: there is nothing to pin with %s=NONE; use STARTTLS or TLS",
			draft_label(draft, "SMTP_TLS_PIN"), draft_spelling(draft, "SMTP_SECURE"));
	return OK;
}

static enum err missing(struct draft *draft, const char *name, const char *given)
{
	return draft_refuse(draft, ERR_MISSING, "%s: is missing, though %s is given",
		draft_label(draft, name), draft_spelling(draft, given));
}

static enum err check_login(struct draft *draft)
{
	const struct relay_settings *relay = &draft->settings->relay;
	bool has_token = relay->token[0] || relay->oauth_token_url[0];
	bool by_token = relay->mechanism == SMTP_XOAUTH2 || relay->mechanism == SMTP_OAUTHBEARER;

	if (relay->pass[0] && relay->token[0])
		return draft_refuse(draft, ERR_VALUE, "%s and %s are both given; leave one out",
			draft_label(draft, "SMTP_PASS"), draft_spelling(draft, "SMTP_OAUTH_TOKEN"));
	if (relay->pass[0] && !relay->user[0])
		return missing(draft, "SMTP_USER", "SMTP_PASS");
	if (relay->user[0] && !relay->pass[0] && !has_token)
		return missing(draft, "SMTP_PASS", "SMTP_USER");
	if (has_token && !relay->user[0] && relay->mechanism != SMTP_OAUTHBEARER)
		return missing(draft, "SMTP_USER",
			relay->token[0] ? "SMTP_OAUTH_TOKEN" : "SMTP_OAUTH_TOKEN_URL");
	if (by_token && !has_token)
		return draft_refuse(draft, ERR_MISSING,
			"%s: is missing (or %s), though %s names a mechanism of tokens",
			draft_label(draft, "SMTP_OAUTH_TOKEN"),
			draft_spelling(draft, "SMTP_OAUTH_TOKEN_URL"),
			draft_spelling(draft, "SMTP_AUTH"));
	if (relay->mechanism != SMTP_AUTH_NONE && !by_token && !relay->pass[0])
		return draft_refuse(draft, ERR_MISSING,
			"%s and %s: are missing, though %s is given",
			draft_label(draft, "SMTP_USER"), draft_spelling(draft, "SMTP_PASS"),
			draft_spelling(draft, "SMTP_AUTH"));
	return OK;
}

static enum err check_pair(
	struct draft *draft, const char *a, const char *b, const char *a_pem, const char *b_pem)
{
	if (!a_pem[0] == !b_pem[0])
		return OK;
	return missing(draft, a_pem[0] ? b : a, a_pem[0] ? a : b);
}

static enum err check_sessions(struct draft *draft)
{
	const struct relay_settings *relay = &draft->settings->relay;

	if (relay->min_sessions <= relay->sessions)
		return OK;
	return draft_refuse(draft, ERR_VALUE, "%s: %u is more than %s, which is %u",
		draft_label(draft, "SMTP_MIN_SESSIONS"), relay->min_sessions,
		draft_spelling(draft, "SMTP_SESSIONS"), relay->sessions);
}

enum err settings_check_relay(struct draft *draft)
{
	const struct relay_settings *relay = &draft->settings->relay;
	enum err err = settings_check_oauth(draft);

	if (!err)
		err = check_login(draft);
	if (!err)
		err = check_clear(draft);
	if (!err)
		err = check_pair(draft, "SMTP_CLIENT_CERT", "SMTP_CLIENT_KEY",
			relay->client_cert_pem, relay->client_key_pem);
	return err ? err : check_sessions(draft);
}

/* ---- the whole */

enum err settings_check(struct draft *draft)
{
	const struct settings *settings = draft->settings;
	enum err err = draft->entry_count ? OK : settings_check_relay(draft);

	if (!err)
		err = check_pair(draft, "HTTP_TLS_CERT", "HTTP_TLS_KEY", settings->http_cert_pem,
			settings->http_key_pem);
	if (!err && settings->max_body > settings->max_in_flight_bytes)
		err = draft_refuse(draft, ERR_VALUE,
			"HTTP_MAX_BODY: is more than MAX_IN_FLIGHT_BYTES; no such request could "
			"be taken");
	return err;
}
