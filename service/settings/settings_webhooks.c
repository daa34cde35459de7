/* settings_webhooks - the list of webhooks in the config file */
#include "service/settings/settings_place.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 32, LABEL_ROOM = 400, POINTER_ROOM = 32 };

struct entry {
	struct text name, url, secret, secret_file, tag;
	const cJSON *events;
};

/* ---- reading */

static bool is_name(struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_letter(name.at[i]) && !byte_is_digit(name.at[i]) &&
			!strchr("-_.", name.at[i]))
			return false;
	return name.len > 0 && name.len <= NAME_MAX_LEN;
}

static enum err take_member(const struct place *place, const cJSON *member, struct entry *entry)
{
	const struct {
		struct text name, *value;
	} members[] = { { TEXT("name"), &entry->name }, { TEXT("url"), &entry->url },
		{ TEXT("secret"), &entry->secret }, { TEXT("secret_file"), &entry->secret_file },
		{ TEXT("tag"), &entry->tag } };
	struct text name = json_name(place->json, member);

	if (text_equal(name, TEXT("events"))) {
		entry->events = member;
		return OK;
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (!text_equal(name, members[i].name))
			continue;
		*members[i].value = json_string(place->json, member);
		if (!members[i].value->len || text_has_control(*members[i].value))
			return place_refuse(place, member->string,
				"give a string that is not empty, without control characters");
		return OK;
	}
	return place_refuse(place, member->string,
		"no such member; there are name, url, secret, secret_file, events and tag");
}

static enum err check_entry(const struct place *place, const struct entry *entry, bool is_alone)
{
	if (entry->name.len && !is_name(entry->name))
		return place_refuse(place, "name",
			"give 1 to 32 letters, digits, hyphens, underscores and dots");
	if (!entry->name.len && !is_alone)
		return place_refuse(
			place, "name", "is missing; each of several webhooks needs one");
	if (!entry->url.len)
		return place_refuse(place, "url", "is missing");
	if (entry->secret.len && entry->secret_file.len)
		return place_refuse(place, "secret_file", "secret is given, too; leave one out");
	if (!entry->secret.len && !entry->secret_file.len)
		return place_refuse(place, "secret", "is missing, or a path as secret_file");
	return OK;
}

static enum err read_events(
	const struct place *place, const cJSON *list, struct event_filter *filter)
{
	const cJSON *member;

	if (list && (!cJSON_IsArray(list) || !list->child))
		return place_refuse(place, "events",
			"give a list of types, as in [\"message.failed\"]; without it all are "
			"sent");
	cJSON_ArrayForEach(member, list)
	{
		if (!event_filter_add(filter, json_string(place->json, member)))
			return place_refuse(place, "events",
				"there are message.queued, message.sent, message.deferred, "
				"message.failed, message.unknown and message.cancelled");
	}
	return OK;
}

/* ---- adding */

static const char *label_of(const struct place *place, const char *name)
{
	char label[LABEL_ROOM];

	snprintf(label, sizeof(label), "%s: %s/%s", place->draft->file, place->pointer, name);
	return draft_copy(place->draft, text_of(label));
}

static enum err read_secret(
	const struct place *place, const struct entry *entry, const char *label, struct buf *out)
{
	const char *path;

	if (entry->secret.len) {
		buf_add(out, entry->secret);
		return out->err;
	}
	path = draft_copy(place->draft, entry->secret_file);
	return path ? draft_read_file(place->draft, path, label, out) : ERR_MEMORY;
}

static enum err add_entry(const struct place *place, const struct entry *entry)
{
	struct draft *draft = place->draft;
	struct buf secret = buf_born(SETTING_FILE_BYTES + 8192);
	struct webhook_given given = { .name_label = label_of(place, "name"),
		.url_label = label_of(place, "url"),
		.secret_label = label_of(place, entry->secret.len ? "secret" : "secret_file") };
	struct webhook_settings *webhook = &given.settings;
	enum err err;

	webhook->name = draft_copy(draft, entry->name.len ? entry->name : TEXT("default"));
	webhook->url = draft_copy(draft, entry->url);
	webhook->filter.tag = region_copy(draft->region, entry->tag);
	if (!given.name_label || !given.url_label || !given.secret_label || !webhook->name ||
		!webhook->url || !webhook->filter.tag.at)
		return ERR_MEMORY;
	err = read_events(place, entry->events, &webhook->filter);
	if (!err)
		err = read_secret(place, entry, given.secret_label, &secret);
	given.secrets = buf_text(&secret);
	if (!err)
		err = settings_add_webhook(draft, &given);
	buf_wipe(&secret);
	return err;
}

enum err settings_take_webhooks(const struct place *place, const cJSON *list)
{
	char pointer[POINTER_ROOM];
	struct place inner = { place->draft, place->json, pointer };
	const cJSON *object, *member;
	size_t i = 0;

	if (!cJSON_IsArray(list))
		return place_refuse(place, "webhooks", "give a list of objects");
	cJSON_ArrayForEach(object, list)
	{
		struct entry entry = { 0 };
		enum err err = OK;

		snprintf(pointer, sizeof(pointer), "/webhooks/%zu", i++);
		if (!cJSON_IsObject(object))
			return place_refuse(place, pointer + 1, "give an object");
		cJSON_ArrayForEach(member, object)
		{
			err = err ? err : take_member(&inner, member, &entry);
		}
		if (!err)
			err = check_entry(&inner, &entry, cJSON_GetArraySize(list) == 1);
		if (!err)
			err = add_entry(&inner, &entry);
		if (err)
			return err;
	}
	return OK;
}
