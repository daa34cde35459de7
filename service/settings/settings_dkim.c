/* settings_dkim - the keys that sign, opened as they are read: a wrong one is found at the start
 *
 * One domain by DKIM_DOMAIN, DKIM_SELECTOR and DKIM_KEY; several by the list in the config file. */
#include "service/settings/settings_draft.h"

#include <string.h>

enum { DKIM_KEYS_MAX = 256, QUOTED_MAX = 80 };

/* ---- one key */

/* NULL, or what is wrong with them together. */
static const char *wrong_with(struct text pem, struct text domain, struct text selector)
{
	struct dkim_key *key = NULL;
	const char *why = NULL;
	enum err err = dkim_key_open(pem, domain, selector, &key, &why);

	dkim_key_close(key);
	return err ? why : NULL;
}

static enum err refuse_name(
	struct draft *draft, const char *label, struct text name, const char *why)
{
	return draft_refuse(draft, ERR_VALUE, "%s: \"%.*s\": %s", label,
		(int)text_head(name, QUOTED_MAX).len, name.len ? name.at : "", why);
}

/* Which of the three is to blame, found out by putting in good ones for the others. */
static enum err blame(struct draft *draft, const struct dkim_given *given, const char *why)
{
	struct text name = given->selector;
	const char *found = wrong_with(given->pem, TEXT("example.com"), TEXT("dkim"));

	if (found)
		return draft_refuse(draft, ERR_VALUE, "%s: %s (selector %.*s)", given->key_label,
			found, (int)text_head(name, QUOTED_MAX).len, name.len ? name.at : "");
	found = wrong_with(given->pem, given->domain, TEXT("dkim"));
	if (found)
		return refuse_name(draft, given->domain_label, given->domain, found);
	return refuse_name(draft, given->selector_label, given->selector, why);
}

static bool is_known(const struct dkim_signer *signer, const struct dkim_given *given)
{
	for (size_t i = 0; i < signer->key_count; i++)
		if (text_equal_nocase(dkim_key_domain(signer->keys[i]), given->domain) &&
			text_equal_nocase(dkim_key_selector(signer->keys[i]), given->selector))
			return true;
	return false;
}

/* The keys' array is ours as long as settings are read; a reader of them finds it const. */
static struct dkim_key **room_for_key(struct draft *draft)
{
	struct dkim_signer *signer = &draft->settings->dkim;

	if (!signer->keys)
		signer->keys = region_zalloc(draft->region, DKIM_KEYS_MAX, sizeof(*signer->keys));
	return signer->keys ? (struct dkim_key **)&signer->keys[signer->key_count] : NULL;
}

enum err settings_add_dkim(struct draft *draft, const struct dkim_given *given)
{
	struct dkim_signer *signer = &draft->settings->dkim;
	struct dkim_key **room = room_for_key(draft);
	const char *why = "";
	enum err err;

	if (!room)
		return ERR_MEMORY;
	if (signer->key_count == DKIM_KEYS_MAX)
		return draft_refuse(draft, ERR_VALUE, "%s: there are more than %d keys",
			given->key_label, DKIM_KEYS_MAX);
	if (is_known(signer, given))
		return refuse_name(draft, given->selector_label, given->selector,
			"is given twice for one domain; each key needs a name of its own");
	err = dkim_key_open(given->pem, given->domain, given->selector, room, &why);
	signer->key_count += !err;
	return err && err != ERR_MEMORY ? blame(draft, given, why) : err;
}

/* ---- DKIM_DOMAIN, DKIM_SELECTOR, DKIM_KEY */

/* Where the next block with a private key begins, at the earliest at `from`; pem.len: nowhere. */
static size_t find_key(struct text pem, size_t from)
{
	struct text rest = text_from(pem, from);

	while (rest.len) {
		size_t at = pem.len - rest.len;
		struct text line = text_cut(&rest, '\n');

		if (text_starts(line, TEXT("-----BEGIN ")) &&
			text_contains_nocase(line, TEXT("PRIVATE KEY-----")))
			return at;
	}
	return pem.len;
}

/* The first key, with what stands before it; *pem becomes what is behind. */
static struct text cut_key(struct text *pem)
{
	size_t first = find_key(*pem, 0);
	size_t next = first < pem->len ? find_key(*pem, first + 1) : pem->len;
	struct text key = text_head(*pem, next);

	*pem = text_from(*pem, next);
	return key;
}

static size_t count_keys(struct text pem)
{
	size_t count = 0;

	for (; pem.len; count++)
		(void)cut_key(&pem);
	return count;
}

static size_t count_names(struct text names)
{
	size_t count = 1;

	for (size_t i = 0; i < names.len; i++)
		count += names.at[i] == ',';
	return count;
}

static const char *const three[] = { "DKIM_DOMAIN", "DKIM_SELECTOR", "DKIM_KEY" };

/* How the first of the three that is given, or is not, is called; NULL: there is none. */
static const char *first(struct draft *draft, bool is_given)
{
	for (size_t i = 0; i < 3; i++) {
		const struct given *given = draft_given(draft, three[i]);

		if ((given->value != NULL) == is_given)
			return is_given ? given->label : three[i];
	}
	return NULL;
}

static enum err add_each(struct draft *draft, struct text selectors, struct text pem)
{
	struct dkim_given given = { .domain = text_of(draft->settings->dkim_domain),
		.domain_label = draft_given(draft, "DKIM_DOMAIN")->label,
		.selector_label = draft_given(draft, "DKIM_SELECTOR")->label,
		.key_label = draft_given(draft, "DKIM_KEY")->label };
	enum err err = OK;

	if (count_names(selectors) != count_keys(pem))
		return draft_refuse(draft, ERR_VALUE,
			"%s: each key in %s needs one name (names: %zu, keys: %zu); give them in "
			"the keys' order, with commas between them",
			given.selector_label, given.key_label, count_names(selectors),
			count_keys(pem));
	while (pem.len && !err) {
		given.selector = text_trim(text_cut(&selectors, ','));
		given.pem = cut_key(&pem);
		err = settings_add_dkim(draft, &given);
	}
	return err;
}

/* ---- DKIM_UNSIGN */

/* field-name (RFC 5322 3.6.8) */
static bool is_field_name(struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] <= ' ' || name.at[i] > '~' || name.at[i] == ':')
			return false;
	return name.len > 0;
}

static enum err take_unsign(struct draft *draft)
{
	const char *label = draft_given(draft, "DKIM_UNSIGN")->label;
	struct text rest = text_of(draft->settings->dkim_unsign);
	struct dkim_signer *signer = &draft->settings->dkim;
	struct text *names = region_zalloc(draft->region, count_names(rest), sizeof(*names));

	if (!names)
		return ERR_MEMORY;
	signer->unsign = names;
	while (rest.len) {
		struct text name = text_trim(text_cut(&rest, ','));

		if (!is_field_name(name))
			return refuse_name(draft, label, name,
				"is not the name of a header field; give names with commas "
				"between them, as in Date,Message-ID");
		if (text_equal_nocase(name, TEXT("From")))
			return draft_refuse(
				draft, ERR_VALUE, "%s: From is always signed; leave it out", label);
		names[signer->unsign_count++] = name;
	}
	return OK;
}

enum err settings_read_dkim(struct draft *draft)
{
	const struct settings *settings = draft->settings;
	const char *given = first(draft, true), *missing = first(draft, false);
	enum err err = OK;

	if (given && settings->dkim.key_count)
		return draft_refuse(draft, ERR_VALUE,
			"%s: %s has a list, dkim; name the keys in one place", given, draft->file);
	if (given && missing)
		return draft_refuse(
			draft, ERR_MISSING, "%s: is missing, though %s is given", missing, given);
	if (given)
		err = add_each(
			draft, text_of(settings->dkim_selector), text_of(settings->dkim_key_pem));
	return err ? err : take_unsign(draft);
}
