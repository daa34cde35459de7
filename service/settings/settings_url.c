/* settings_url - SMTP_URL, taken apart (RFC 3986)
 *
 *   scheme "://" [ user [ ":" pass ] "@" ] host [ ":" port ] [ "/" ] [ "?" name=value *( "&" … ) ]
 *
 * A `?name=value` is a relay's setting in lower case without SMTP_. Nothing here quotes the URL:
 * there is a password in it. */
#include "service/settings/settings_draft.h"

#include <stdio.h>
#include <string.h>

static int hex_of(char byte)
{
	if (byte_is_digit(byte))
		return byte - '0';
	byte = byte_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static enum err wrong(struct draft *draft, const char *problem)
{
	return draft_refuse(
		draft, ERR_VALUE, "%s: %s", draft_given(draft, "SMTP_URL")->label, problem);
}

/* Percent-decodes into the region. */
static enum err decode(struct draft *draft, struct text in, struct text *out)
{
	char *at = region_alloc(draft->region, in.len + 1);
	size_t len = 0;

	if (!at)
		return ERR_MEMORY;
	for (size_t i = 0; i < in.len; i++) {
		int high = in.at[i] == '%' && i + 2 < in.len ? hex_of(in.at[i + 1]) : -1;
		int low = high >= 0 ? hex_of(in.at[i + 2]) : -1;

		if (in.at[i] == '%' && low < 0)
			return wrong(draft, "a % must be followed by two hexadecimal digits; "
					    "write % itself as %25");
		at[len++] = in.at[i] == '%' ? (char)(high << 4 | low) : in.at[i];
		i += in.at[i] == '%' ? 2 : 0;
	}
	at[len] = 0;
	*out = (struct text){ at, len };
	return OK;
}

static enum err take(struct draft *draft, const char *name, struct text value, bool encoded)
{
	char label[80];
	struct text decoded = value;
	enum err err = encoded ? decode(draft, value, &decoded) : OK;

	snprintf(label, sizeof(label), "%s (its %s)", draft_given(draft, "SMTP_URL")->label, name);
	return err ? err : draft_take(draft, setting_named(text_of(name)), decoded, label);
}

static enum err take_parameter(struct draft *draft, struct text name, struct text value)
{
	char full[64] = "SMTP_", label[160];
	struct text decoded = { 0 };
	enum err err = decode(draft, value, &decoded);

	if (err)
		return err;
	if (name.len == 0 || name.len > sizeof(full) - 6)
		return wrong(draft, "a parameter behind ? has no proper name");
	for (size_t i = 0; i < name.len; i++)
		full[5 + i] = (char)(name.at[i] >= 'a' && name.at[i] <= 'z' ? name.at[i] - 32
									    : name.at[i]);
	full[5 + name.len] = 0;
	snprintf(label, sizeof(label), "%s (its ?%.*s=)", draft_given(draft, "SMTP_URL")->label,
		(int)name.len, name.at);
	if (strcmp(full, "SMTP_URL") == 0)
		err = ERR_MISSING;
	else
		err = settings_take_named(draft, text_of(full), decoded, label);
	return err == ERR_MISSING ? settings_refuse_name(draft, text_of(full), "SMTP_", label)
				  : err;
}

static enum err take_parameters(struct draft *draft, struct text query)
{
	enum err err = OK;

	while (query.len && !err) {
		struct text value = text_cut(&query, '&');
		struct text name = text_cut(&value, '=');

		err = take_parameter(draft, name, value);
	}
	return err;
}

/* user:pass, in front of the last @ */
static enum err take_user(struct draft *draft, struct text pair)
{
	struct text user = text_cut(&pair, ':');
	enum err err = take(draft, "SMTP_USER", user, true);

	return err ? err : take(draft, "SMTP_PASS", pair, true);
}

static enum err take_host(struct draft *draft, struct text place)
{
	size_t colon = place.len;
	enum err err;

	for (size_t i = 0; i < place.len && place.at[i] != '\0'; i++)
		if (place.at[i] == ':')
			colon = i;
	if (place.len && place.at[place.len - 1] == ']')
		colon = place.len; /* a v6 address without a port */
	if (colon == 0 || place.len == 0)
		return wrong(draft, "there is no host in it; give smtp://host:587");
	err = take(draft, "SMTP_HOST", text_head(place, colon), true);
	if (err || colon >= place.len)
		return err;
	return take(draft, "SMTP_PORT", text_from(place, colon + 1), false);
}

/* A URL says it all: what an earlier source said of the place does not mix with it. */
static void forget_earlier(struct draft *draft)
{
	static const char *const parts[] = { "SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASS",
		"SMTP_SECURE" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!draft_has(draft, parts[i]))
			*draft_given(draft, parts[i]) = (struct given){ 0 };
}

enum err settings_expand_url(struct draft *draft)
{
	struct text rest = text_of(draft_given(draft, "SMTP_URL")->value), place, query;
	bool is_tls = text_starts_nocase(rest, TEXT("smtps://"));
	size_t at = 0, authority;
	enum err err;

	if (!draft_has(draft, "SMTP_URL"))
		return OK;
	if (!is_tls && !text_starts_nocase(rest, TEXT("smtp://")))
		return wrong(draft, "begins with neither smtp:// nor smtps://");
	forget_earlier(draft);
	rest = text_from(rest, is_tls ? 8 : 7);
	authority = text_find(rest, '?');
	query = text_from(rest, authority + 1);
	rest = text_head(rest, authority);
	for (size_t i = 0; i < rest.len; i++)
		if (rest.at[i] == '@')
			at = i + 1;
	place = text_from(rest, at);
	authority = text_find(place, '/');
	if (authority + 1 < place.len)
		return wrong(
			draft, "has a path; nothing but ?name=value may stand behind the host");
	err = at ? take_user(draft, text_head(rest, at - 1)) : OK;
	if (!err)
		err = take_host(draft, text_head(place, authority));
	if (!err && is_tls)
		err = take(draft, "SMTP_SECURE", TEXT("TLS"), false);
	return err ? err : take_parameters(draft, query);
}
