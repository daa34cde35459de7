/* settings_relays - the list of relays in the config file
 *
 * Each entry is a draft of its own over the same table: what it does not give it takes from what
 * SMTP_… say for all, and it is checked like a relay that is alone. */
#include "service/settings/settings_place.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { RELAY_NAME_MAX = 32, SHARE_MAX = 1000 };

/* ---- reading the list */

static enum err take_name(const struct place *place, const cJSON *member)
{
	struct text name = json_string(place->json, member);

	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_letter(name.at[i]) && !byte_is_digit(name.at[i]) &&
			!strchr("-_.", name.at[i]))
			name.len = 0;
	if (name.len == 0 || name.len > RELAY_NAME_MAX)
		return place_refuse(
			place, "name", "give 1 to 32 letters, digits, hyphens and dots");
	place->draft->settings->relay.name = draft_copy(place->draft, name);
	return place->draft->settings->relay.name ? OK : ERR_MEMORY;
}

static enum err take_share(
	const struct place *place, const char *name, const cJSON *member, unsigned *share_out)
{
	double share = cJSON_IsNumber(member) ? member->valuedouble : 0;

	if (share < 1 || share > SHARE_MAX || share != (double)(unsigned)share)
		return place_refuse(place, name, "give a whole number from 1 to 1000");
	*share_out = (unsigned)share;
	return OK;
}

static enum err take_member(const struct place *place, const cJSON *member)
{
	struct relay_settings *relay = &place->draft->settings->relay;
	struct text name = json_name(place->json, member);

	if (text_equal(name, TEXT("name")))
		return take_name(place, member);
	if (text_equal(name, TEXT("priority")))
		return take_share(place, "priority", member, &relay->priority);
	if (text_equal(name, TEXT("weight")))
		return take_share(place, "weight", member, &relay->weight);
	return place_take_setting(place, member, "SMTP_");
}

static enum err take_entry(const struct place *place, const cJSON *object)
{
	enum err err = settings_empty(place->draft->region, &place->draft->settings);
	const cJSON *member;

	if (err)
		return err;
	place->draft->settings->relay.name = ""; /* not given yet */
	cJSON_ArrayForEach(member, object)
	{
		err = take_member(place, member);
		if (err)
			return err;
	}
	err = settings_expand_url(place->draft);
	if (!err && !draft_given(place->draft, "SMTP_HOST")->value)
		err = place_refuse(place, "host", "is missing; an entry names a relay by it");
	return err;
}

/* Several need names, and these must differ: logs, keys and routes go by them. */
static enum err check_name(const struct draft *draft, const struct place *place)
{
	const char *name = place->draft->settings->relay.name;
	char problem[200];

	if (!name[0] && draft->entry_count > 1)
		return place_refuse(place, "name", "is missing; each of several relays needs one");
	for (const struct draft *other = draft->entries; other < place->draft; other++) {
		if (strcmp(other->settings->relay.name, name) != 0)
			continue;
		snprintf(problem, sizeof(problem), "\"%s\" is the name of %s, too", name,
			other->pointer);
		return place_refuse(place, "name", problem);
	}
	if (!name[0])
		place->draft->settings->relay.name = "default";
	return OK;
}

static enum err open_entries(struct draft *draft, const struct place *place, const cJSON *list)
{
	size_t count = (size_t)cJSON_GetArraySize(list);

	if (count > RELAYS_MAX)
		return place_refuse(place, "relays", "there are more than 64");
	draft->entries = region_zalloc(draft->region, count, sizeof(*draft->entries));
	draft->entry_count = count;
	return draft->entries ? OK : ERR_MEMORY;
}

enum err settings_take_relays(const struct place *place, const cJSON *list)
{
	struct draft *draft = place->draft;
	const cJSON *object;
	char pointer[32];
	size_t i = 0;
	enum err err;

	if (!cJSON_IsArray(list))
		return place_refuse(place, "relays", "give a list of objects");
	if (!list->child)
		return OK;
	err = open_entries(draft, place, list);
	cJSON_ArrayForEach(object, list)
	{
		struct draft *entry = err ? NULL : &draft->entries[i];
		struct place inner = { entry, place->json, pointer };

		if (err)
			break;
		snprintf(pointer, sizeof(pointer), "/relays/%zu", i++);
		if (!cJSON_IsObject(object))
			return place_refuse(place, pointer + 1, "give an object");
		*entry = (struct draft){ .region = draft->region,
			.why = draft->why,
			.file = draft->file,
			.source = 1,
			.pointer = draft_copy(draft, text_of(pointer)) };
		err = entry->pointer ? take_entry(&inner, object) : ERR_MEMORY;
		if (!err)
			err = check_name(draft, &inner);
	}
	return err;
}

/* ---- what an entry takes from what is said for all */

static bool gives(struct draft *entry, const char *name)
{
	return draft_given(entry, name)->source == 1;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* What an entry says of place, login or client certificate does not mix with what is said of the
 * same for all: half of one and half of the other fit no relay. */
static bool may_inherit(struct draft *entry, const char *name)
{
	static const char *const of_url[] = { "SMTP_PORT", "SMTP_SECURE", "SMTP_USER", "SMTP_PASS",
		NULL };
	static const char *const of_cert[] = { "SMTP_CLIENT_CERT", "SMTP_CLIENT_KEY", NULL };
	bool by_url = gives(entry, "SMTP_URL");
	bool by_token = gives(entry, "SMTP_OAUTH_TOKEN");
	bool by_token_url = gives(entry, "SMTP_OAUTH_TOKEN_URL");

	if (strcmp(name, "SMTP_HOST") == 0 || strcmp(name, "SMTP_URL") == 0 ||
		(by_url && is_among(name, of_url)))
		return false;
	if (strcmp(name, "SMTP_PASS") == 0)
		return !by_token && !by_token_url;
	if (strcmp(name, "SMTP_OAUTH_TOKEN") == 0 && by_token_url)
		return false;
	if (text_starts(text_of(name), TEXT("SMTP_OAUTH_")))
		return !by_token && !gives(entry, "SMTP_PASS") &&
		       (!by_url || gives(entry, "SMTP_USER"));
	return !is_among(name, of_cert) || (!gives(entry, of_cert[0]) && !gives(entry, of_cert[1]));
}

/* The relay becomes the one of all, but for what may not be inherited and what the entry gives;
 * what is inherited was read once, and is shared. */
static enum err read_entry(struct draft *draft, struct draft *entry)
{
	struct relay_settings *relay = &entry->settings->relay, own = *relay;
	bool inherits[SETTINGS_MAX] = { false };
	enum err err;

	*relay = draft->settings->relay;
	relay->name = own.name;
	relay->priority = own.priority;
	relay->weight = own.weight;
	for (size_t i = 0; i < settings_count; i++) {
		const char *name = settings_table[i].name;

		inherits[i] = setting_is_of_relay(i) && !entry->given[i].value &&
			      draft->given[i].source && may_inherit(entry, name);
		if (inherits[i])
			entry->given[i] = draft->given[i];
		else if (setting_is_of_relay(i))
			setting_clear(entry->settings, i);
	}
	err = settings_fill_in(entry);
	for (size_t i = 0; i < settings_count && !err; i++)
		if (setting_is_of_relay(i) && !inherits[i] && entry->given[i].value)
			err = setting_read(entry, i);
	relay->values = draft_values(entry);
	relay->token_file = draft_given(entry, "SMTP_OAUTH_TOKEN")->path;
	if (!relay->token_file)
		relay->token_file = "";
	if (!err && !relay->values)
		err = ERR_MEMORY;
	return err ? err : settings_check_relay(entry);
}

/* What is captured goes nowhere: beside others it would be a share of the mail that is lost. */
static enum err check_capture(const struct draft *draft, struct draft *entry)
{
	if (draft->entry_count == 1 || strcmp(entry->settings->relay.host, "capture") != 0)
		return OK;
	return draft_refuse(entry, ERR_VALUE,
		"%s: capture keeps messages instead of sending them; it can only be alone in the "
		"list",
		draft_label(entry, "SMTP_HOST"));
}

/* The relay is named in one place: the list, if there is one. */
static enum err check_one_place(struct draft *draft)
{
	static const char *const names[] = { "SMTP_HOST", "SMTP_URL" };

	for (size_t i = 0; i < 2; i++) {
		const struct given *given = draft_given(draft, names[i]);

		if (given->source)
			return draft_refuse(draft, ERR_VALUE,
				"%s: %s has a list of relays; name the relay in one place",
				given->label, draft->file);
	}
	return OK;
}

enum err settings_read_relays(struct draft *draft)
{
	struct relay_settings *relays;
	enum err err;

	if (!draft->entry_count)
		return OK;
	err = check_one_place(draft);
	if (err)
		return err;
	relays = region_zalloc(draft->region, draft->entry_count, sizeof(*relays));
	if (!relays)
		return ERR_MEMORY;
	for (size_t i = 0; i < draft->entry_count && !err; i++) {
		err = read_entry(draft, &draft->entries[i]);
		if (!err)
			err = check_capture(draft, &draft->entries[i]);
		relays[i] = draft->entries[i].settings->relay;
	}
	if (err)
		return err;
	draft->settings->relays = relays;
	draft->settings->relay_count = draft->entry_count;
	return OK;
}
