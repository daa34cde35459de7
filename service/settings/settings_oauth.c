/* settings_oauth - where tokens are to be had, and by what (RFC 6749) */
#include "service/settings/settings_draft.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

/* ---- SMTP_OAUTH_TOKEN_URL */

static enum err wrong(struct draft *draft, const struct given *given, const char *problem)
{
	return draft_refuse(
		draft, ERR_VALUE, "%s: \"%.*s\" %s", given->label, 80, given->value, problem);
}

static bool has_part(CURLU *url, CURLUPart what)
{
	char *part = NULL;
	bool found = curl_url_get(url, what, &part, 0) == CURLUE_OK;

	curl_free(part);
	return found;
}

static bool host_is_local(CURLU *url)
{
	char *host = NULL;
	bool local = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	size_t len = local ? strlen(host) : 0;

	if (len > 2 && host[0] == '[') {
		host[len - 1] = 0;
		local = settings_host_is_local(host + 1);
	} else {
		local = local && settings_host_is_local(host);
	}
	curl_free(host);
	return local;
}

static enum err check_url(struct draft *draft, const struct given *given, CURLU *url)
{
	bool is_https = strncasecmp(given->value, "https://", 8) == 0;

	if (!is_https && strncasecmp(given->value, "http://", 7) != 0)
		return wrong(draft, given, "does not begin with https://");
	if (curl_url_set(url, CURLUPART_URL, given->value, 0) != CURLUE_OK)
		return wrong(draft, given,
			"is not a URL; give one like https://login.example.com/oauth2/token");
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return draft_refuse(draft, ERR_VALUE,
			"%s: there is a user's name in it; who asks is said by "
			"SMTP_OAUTH_CLIENT_ID and SMTP_OAUTH_CLIENT_SECRET",
			given->label);
	if (has_part(url, CURLUPART_FRAGMENT))
		return wrong(draft, given, "has a #; leave out what is behind it");
	if (!is_https && !host_is_local(url))
		return wrong(draft, given,
			"would show the secrets to anybody on the way; give https:// (http:// is "
			"for this machine)");
	return OK;
}

enum err settings_read_token_url(
	struct draft *draft, const struct given *given, const char **url_out)
{
	CURLU *url = curl_url();
	enum err err = url ? OK : ERR_MEMORY;

	for (const char *at = given->value; *at && !err; at++)
		if (*at <= ' ' || *at > '~')
			err = wrong(draft, given,
				"holds a blank or a character that no URL may "
				"hold");
	if (!err)
		err = check_url(draft, given, url);
	curl_url_cleanup(url);
	if (!err)
		*url_out = given->value;
	return err;
}

/* ---- what goes together */

static enum err refuse_both(struct draft *draft, const char *name)
{
	return draft_refuse(draft, ERR_VALUE, "%s and %s are both given; leave one out",
		draft_label(draft, name), draft_spelling(draft, "SMTP_OAUTH_TOKEN_URL"));
}

static enum err missing(struct draft *draft, const char *name, const char *given)
{
	return draft_refuse(draft, ERR_MISSING, "%s: is missing, though %s is given",
		draft_label(draft, name), draft_spelling(draft, given));
}

static enum err check_without_url(struct draft *draft)
{
	static const char *const others[] = { "SMTP_OAUTH_CLIENT_ID", "SMTP_OAUTH_CLIENT_SECRET",
		"SMTP_OAUTH_REFRESH_TOKEN", "SMTP_OAUTH_SCOPE" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (draft_given(draft, others[i])->value)
			return missing(draft, "SMTP_OAUTH_TOKEN_URL", others[i]);
	return OK;
}

enum err settings_check_oauth(struct draft *draft)
{
	const struct relay_settings *relay = &draft->settings->relay;

	if (!relay->oauth_token_url[0])
		return check_without_url(draft);
	if (relay->pass[0])
		return refuse_both(draft, "SMTP_PASS");
	if (relay->token[0])
		return refuse_both(draft, "SMTP_OAUTH_TOKEN");
	if (!relay->oauth_client_id[0])
		return missing(draft, "SMTP_OAUTH_CLIENT_ID", "SMTP_OAUTH_TOKEN_URL");
	if (!relay->oauth_refresh_token[0] && !relay->oauth_client_secret[0])
		return draft_refuse(draft, ERR_MISSING,
			"%s: is missing, or %s in its place: by one of them tokens are had",
			draft_label(draft, "SMTP_OAUTH_REFRESH_TOKEN"),
			draft_spelling(draft, "SMTP_OAUTH_CLIENT_SECRET"));
	return OK;
}
