#include "service/settings/settings_place.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 64, LABEL_ROOM = 400 };

enum err place_refuse(const struct place *place, const char *name, const char *problem)
{
	return draft_refuse(place->draft, ERR_VALUE, "%s: %s/%s: %s", place->draft->file,
		place->pointer, name, problem);
}

/* ---- values, as they would stand in the environment */

static void add_scalar(struct buf *out, const struct place *place, const cJSON *value)
{
	if (cJSON_IsString(value))
		buf_add(out, json_string(place->json, value));
	else if (value->valuedouble == (double)(long long)value->valuedouble)
		buf_addf(out, "%lld", (long long)value->valuedouble);
	else
		buf_addf(out, "%g", value->valuedouble);
}

static bool is_scalar(const cJSON *value)
{
	return cJSON_IsString(value) || cJSON_IsNumber(value);
}

/* A list of strings is as good as one with commas. */
static enum err read_value(
	const struct place *place, const char *name, const cJSON *value, struct buf *out)
{
	const cJSON *member;

	if (cJSON_IsNull(value))
		return OK; /* not given */
	if (!is_scalar(value) && !cJSON_IsArray(value))
		return place_refuse(place, name, "give a string or a number");
	if (is_scalar(value))
		add_scalar(out, place, value);
	else
		cJSON_ArrayForEach(member, value)
		{
			if (!is_scalar(member))
				return place_refuse(place, name, "give a list of strings");
			if (out->len)
				buf_add_byte(out, ',');
			add_scalar(out, place, member);
		}
	return out->err;
}

enum err place_take_setting(const struct place *place, const cJSON *member, const char *prefix)
{
	struct text name = json_name(place->json, member);
	struct buf value = buf_born(SETTING_FILE_BYTES + 8192);
	char full[NAME_ROOM], label[LABEL_ROOM];
	size_t len = (size_t)snprintf(full, sizeof(full), "%s", prefix);
	enum err err;

	snprintf(label, sizeof(label), "%s: %s/%.*s", place->draft->file, place->pointer,
		name.len > NAME_ROOM ? NAME_ROOM : (int)name.len, name.at);
	if (name.len + len >= sizeof(full))
		return draft_refuse(place->draft, ERR_VALUE, "%s: no such setting", label);
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] >= 'A' && name.at[i] <= 'Z')
			return draft_refuse(place->draft, ERR_VALUE,
				"%s: no such setting; names are in lower case here", label);
		full[len++] = (char)(name.at[i] >= 'a' && name.at[i] <= 'z' ? name.at[i] - 32
									    : name.at[i]);
	}
	full[len] = 0;
	err = read_value(place, member->string, member, &value);
	if (!err)
		err = settings_take_named(place->draft, text_of(full), buf_text(&value), label);
	if (err == ERR_MISSING)
		err = settings_refuse_name(place->draft, text_of(full), prefix, label);
	buf_wipe(&value);
	return err;
}

/* ---- keys for DKIM, as a list: those of several domains */

struct dkim_entry {
	struct text domain, selector, key, key_file;
};

static enum err read_entry(const struct place *place, const cJSON *object, struct dkim_entry *entry)
{
	const struct {
		struct text name, *value;
	} members[] = { { TEXT("domain"), &entry->domain }, { TEXT("selector"), &entry->selector },
		{ TEXT("key"), &entry->key }, { TEXT("key_file"), &entry->key_file } };
	const cJSON *member;
	size_t i;

	cJSON_ArrayForEach(member, object)
	{
		for (i = 0; i < 4; i++)
			if (text_equal(json_name(place->json, member), members[i].name))
				break;
		if (i == 4)
			return place_refuse(place, member->string,
				"no such member; there are domain, selector, key and key_file");
		if (!cJSON_IsString(member))
			return place_refuse(place, member->string, "give a string");
		*members[i].value = json_string(place->json, member);
	}
	for (i = 0; i < 2; i++)
		if (!members[i].value->len)
			return place_refuse(place, members[i].name.at, "is missing");
	if (entry->key.len && entry->key_file.len)
		return place_refuse(place, "key_file", "key is given, too; leave one out");
	return entry->key.len || entry->key_file.len
		       ? OK
		       : place_refuse(place, "key", "is missing, or a path as key_file");
}

static const char *label_of(const struct place *place, const char *name)
{
	char label[LABEL_ROOM];

	snprintf(label, sizeof(label), "%s: %s/%s", place->draft->file, place->pointer, name);
	return draft_copy(place->draft, text_of(label));
}

static enum err open_entry(const struct place *place, const struct dkim_entry *entry)
{
	struct draft *draft = place->draft;
	bool is_path = entry->key_file.len > 0;
	char *value = (char *)draft_copy(draft, is_path ? entry->key_file : entry->key);
	struct given key = { .value = value,
		.label = label_of(place, is_path ? "key_file" : "key") };
	struct dkim_given given = { .domain = entry->domain,
		.selector = entry->selector,
		.domain_label = label_of(place, "domain"),
		.selector_label = label_of(place, "selector"),
		.key_label = key.label };
	const char *pem = NULL;
	enum err err =
		value && key.label && given.domain_label && given.selector_label ? OK : ERR_MEMORY;

	if (!err)
		err = settings_read_pem(draft, &key, &pem);
	if (!err) {
		given.pem = text_of(pem);
		err = settings_add_dkim(draft, &given);
		explicit_bzero((char *)pem, strlen(pem)); /* ours, in the region */
	}
	if (value)
		explicit_bzero(value, strlen(value));
	return err;
}

static enum err take_dkim(const struct place *place, const cJSON *list)
{
	struct dkim_entry entry;
	char pointer[NAME_ROOM];
	struct place inner = { place->draft, place->json, pointer };
	const cJSON *object;
	size_t count = 0;
	enum err err =
		cJSON_IsArray(list) ? OK : place_refuse(place, "dkim", "give a list of objects");

	if (err)
		return err;
	cJSON_ArrayForEach(object, list)
	{
		entry = (struct dkim_entry){ 0 };
		snprintf(pointer, sizeof(pointer), "/dkim/%zu", count++);
		if (!cJSON_IsObject(object))
			return place_refuse(place, pointer + 1, "give an object");
		err = read_entry(&inner, object, &entry);
		if (!err)
			err = open_entry(&inner, &entry);
		if (err)
			return err;
	}
	return OK;
}

static enum err take_member(const struct place *place, const cJSON *member)
{
	struct text name = json_name(place->json, member);

	if (text_equal(name, TEXT("relays")))
		return settings_take_relays(place, member);
	if (text_equal(name, TEXT("dkim")))
		return take_dkim(place, member);
	if (text_equal(name, TEXT("routes")))
		return OK; /* behind all else: see take_body */
	if (text_equal(name, TEXT("webhooks")))
		return settings_take_webhooks(place, member);
	return place_take_setting(place, member, "");
}

/* ---- the whole */

static void find_line(struct text text, size_t at, size_t *line_out, size_t *column_out)
{
	*line_out = 1;
	*column_out = 1;
	for (size_t i = 0; i < at && i < text.len; i++) {
		++*column_out;
		if (text.at[i] == '\n') {
			++*line_out;
			*column_out = 1;
		}
	}
}

static enum err take_body(struct draft *draft, struct buf *body, struct region *region)
{
	struct json json = { 0 };
	struct place place = { draft, &json, "" };
	size_t line, column;
	const cJSON *member;
	enum err err = json_parse(body->at, body->len, region, &json);

	if (err == ERR_MEMORY)
		return err;
	if (err) {
		find_line(buf_text(body), json.at, &line, &column);
		return draft_refuse(draft, ERR_SYNTAX, "%s: line %zu, column %zu: %s", draft->file,
			line, column, json.why);
	}
	if (!cJSON_IsObject(json.root))
		return draft_refuse(
			draft, ERR_SYNTAX, "%s: give an object of settings", draft->file);
	cJSON_ArrayForEach(member, json.root)
	{
		err = take_member(&place, member);
		if (err)
			return err;
	}
	member = cJSON_GetObjectItemCaseSensitive(json.root, "routes");
	return member ? settings_take_routes(&place, member) : OK; /* they name relays */
}

enum err settings_take_file(struct draft *draft)
{
	struct buf body = buf_born(SETTING_FILE_BYTES + 8192);
	struct region *region = NULL;
	enum err err = draft_read_file(draft, draft->file, "--config", &body);

	if (!err && body.len == 0)
		err = draft_refuse(
			draft, ERR_SYNTAX, "--config: %s is empty; give {} at least", draft->file);
	if (!err)
		err = region_open(SETTINGS_BYTES, &region);
	if (!err)
		err = take_body(draft, &body, region);
	region_wipe(region);
	region_close(region);
	buf_wipe(&body);
	return err;
}
