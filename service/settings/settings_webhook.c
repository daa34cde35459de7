/* settings_webhook - who is told of events: one by WEBHOOK_URL, or those of the config file's list
 */
#include "service/settings/settings_draft.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "service/webhook/webhook_reach.h"

enum {
	KEEP_LEAST_MS = 4 * 24 * 3600 * 1000,
	URL_MOST = 2000,
	SECRETS_ROOM = 256,
	LABEL_ROOM = 400
};

/* ---- the URL */

static bool has_part(CURLU *url, CURLUPart what)
{
	char *part = NULL;
	bool found = curl_url_get(url, what, &part, 0) == CURLUE_OK;

	curl_free(part);
	return found;
}

/* Is it an address that no event may go to? A name is only looked up when it is used. */
static bool is_shut(const struct settings *settings, CURLU *url)
{
	struct network_address address;
	char *host = NULL;
	bool shut = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		    network_address_read(text_of(host), &address) &&
		    !webhook_may_reach(
			    &address, settings->webhook_networks, settings->webhook_network_count);

	curl_free(host);
	return shut;
}

/* NULL, or what is wrong with it. */
static const char *judge_url(const struct settings *settings, const char *value, CURLU *url)
{
	for (const char *at = value; *at; at++)
		if (*at <= ' ' || *at > '~')
			return "holds a blank or a character that no URL may hold";
	if (strlen(value) > URL_MOST)
		return "is longer than 2000 characters";
	if (strncasecmp(value, "https://", 8) != 0)
		return "does not begin with https://";
	if (curl_url_set(url, CURLUPART_URL, value, 0) != CURLUE_OK)
		return "is not a URL; give one like https://app.example.com/mail-events";
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return "has a user's name in it; events are signed instead";
	if (has_part(url, CURLUPART_FRAGMENT))
		return "has a #; leave out what is behind it";
	if (is_shut(settings, url))
		return "is not a public address; name its network in WEBHOOK_ALLOW_NETWORKS if "
		       "it is meant";
	return NULL;
}

static enum err check_url(struct draft *draft, const struct webhook_given *given)
{
	CURLU *url = curl_url();
	const char *wrong = url ? judge_url(draft->settings, given->settings.url, url) : NULL;

	curl_url_cleanup(url);
	if (!url)
		return ERR_MEMORY;
	return wrong ? draft_refuse(draft, ERR_VALUE, "%s: %s", given->url_label, wrong) : OK;
}

/* ---- the secrets */

/* A file may have them line by line. */
static const char *read_keys(struct text secrets, struct webhook_keys *keys_out)
{
	char room[SECRETS_ROOM];
	struct buf line = buf_over(room, sizeof(room));
	const char *wrong;

	for (size_t i = 0; i < secrets.len; i++)
		buf_add_byte(&line, strchr("\r\n\t", secrets.at[i]) ? ' ' : secrets.at[i]);
	wrong = line.err ? "is too long" : webhook_keys_read(buf_text(&line), keys_out);
	explicit_bzero(room, sizeof(room));
	return wrong;
}

/* ---- one more */

/* The array is ours as long as settings are read; a reader of them finds it const. */
static enum err room_for_one(struct draft *draft, struct webhook_settings **room_out)
{
	struct settings *settings = draft->settings;

	if (!settings->webhooks)
		settings->webhooks =
			region_zalloc(draft->region, WEBHOOKS_MAX, sizeof(*settings->webhooks));
	if (!settings->webhooks)
		return ERR_MEMORY;
	*room_out = (struct webhook_settings *)&settings->webhooks[settings->webhook_count];
	return OK;
}

enum err settings_add_webhook(struct draft *draft, const struct webhook_given *given)
{
	struct settings *settings = draft->settings;
	struct webhook_settings *room;
	const char *wrong;
	enum err err;

	if (settings->webhook_count == WEBHOOKS_MAX)
		return draft_refuse(draft, ERR_VALUE, "%s: there are more than %d webhooks",
			given->url_label, WEBHOOKS_MAX);
	for (size_t i = 0; i < settings->webhook_count; i++)
		if (strcmp(settings->webhooks[i].name, given->settings.name) == 0)
			return draft_refuse(draft, ERR_VALUE,
				"%s: \"%s\" is another's name, too; each of several webhooks "
				"needs one of its own",
				given->name_label, given->settings.name);
	err = room_for_one(draft, &room);
	if (err)
		return err;
	*room = given->settings;
	wrong = read_keys(given->secrets, &room->keys);
	if (wrong)
		return draft_refuse(draft, ERR_VALUE,
			"%s: %s; make one with: echo \"whsec_$(openssl rand -base64 32)\"",
			given->secret_label, wrong);
	settings->webhook_count++;
	return OK;
}

/* ---- all of them */

static enum err read_allowed(struct draft *draft)
{
	struct settings *settings = draft->settings;
	size_t count = settings->webhook_allow_count;
	struct network *networks = region_zalloc(draft->region, count + 1, sizeof(*networks));

	for (size_t i = 0; networks && i < count; i++)
		if (!network_read(text_of(settings->webhook_allow[i]), &networks[i]))
			return draft_refuse(draft, ERR_VALUE,
				"WEBHOOK_ALLOW_NETWORKS: \"%s\" is not a network",
				settings->webhook_allow[i]);
	settings->webhook_networks = networks;
	settings->webhook_network_count = count;
	return networks ? OK : ERR_MEMORY;
}

static enum err add_single(struct draft *draft)
{
	const struct settings *settings = draft->settings;
	struct webhook_given given = { .settings = { .name = "default",
					       .url = settings->webhook_url },
		.secrets = text_of(settings->webhook_secret),
		.url_label = draft_given(draft, "WEBHOOK_URL")->label,
		.secret_label = draft_given(draft, "WEBHOOK_SECRET")->label };
	const char *present = given.url_label ? given.url_label : given.secret_label;
	enum err err;

	if (!present)
		return OK;
	if (settings->webhook_count)
		return draft_refuse(draft, ERR_VALUE,
			"%s: %s has a list, webhooks; name them in one place", present,
			draft->file);
	if (!given.url_label || !given.secret_label)
		return draft_refuse(draft, ERR_MISSING, "%s: is missing, though %s is given",
			given.url_label ? "WEBHOOK_SECRET" : "WEBHOOK_URL", present);
	err = check_url(draft, &given);
	return err ? err : settings_add_webhook(draft, &given);
}

/* Those of the list were read before it was known what is allowed. */
static enum err check_list(struct draft *draft)
{
	for (size_t i = 0; i < draft->settings->webhook_count; i++) {
		struct webhook_given given = { .settings = draft->settings->webhooks[i] };
		char label[LABEL_ROOM];
		enum err err;

		snprintf(label, sizeof(label), "%s: /webhooks/%zu/url", draft->file, i);
		given.url_label = label;
		err = check_url(draft, &given);
		if (err)
			return err;
	}
	return OK;
}

enum err settings_read_webhooks(struct draft *draft)
{
	const struct settings *settings = draft->settings;
	enum err err = read_allowed(draft);

	if (!err)
		err = check_list(draft);
	if (!err)
		err = add_single(draft);
	if (err || !settings->webhook_count)
		return err;
	if (!settings->store[0])
		return draft_refuse(draft, ERR_MISSING,
			"STORE: is missing; webhooks tell what is kept there, as in "
			"STORE=sqlite:/var/lib/lettergate/queue.db");
	if (settings->keep_failed_ms < KEEP_LEAST_MS)
		return draft_refuse(draft, ERR_VALUE,
			"KEEP_FAILED: is less than 4d; events for webhooks are kept as long, and "
			"tried for "
			"three days");
	return OK;
}
