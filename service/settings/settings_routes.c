/* settings_routes - the list of routes in the config file: which messages take which relays */
#include "service/settings/settings_place.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "http/near.h"
#include "smtp/address/address.h"

enum { ROUTES_MAX = 1000, PROBLEM_ROOM = 300, QUOTED_MAX = 80 };

/* ---- names, and which was meant */

static struct text member_name(const void *context, size_t index)
{
	return text_of(((const char *const *)context)[index]);
}

static struct text relay_name(const void *context, size_t index)
{
	const struct draft *draft = context;

	return text_of(draft->entry_count ? draft->entries[index].settings->relay.name
					  : draft->settings->relay.name);
}

static size_t relay_count(const struct draft *draft)
{
	return draft->entry_count ? draft->entry_count : 1;
}

static enum err refuse_member(const struct place *place, const char *name)
{
	static const char *const members[] = { "from_domain", "to_domain", "key", "tag", "relay" };
	size_t near = near_name(text_of(name), 5, member_name, members);
	char problem[PROBLEM_ROOM];

	snprintf(problem, sizeof(problem), "no such member; did you mean %s?",
		near < 5 ? members[near] : "");
	return place_refuse(place, name,
		near < 5 ? problem
			 : "no such member; there are from_domain, to_domain, key, tag and relay");
}

static enum err refuse_relay(const struct place *place, const char *where, struct text name)
{
	size_t count = relay_count(place->draft);
	size_t near = near_name(name, count, relay_name, place->draft);
	char problem[PROBLEM_ROOM];
	int len = snprintf(problem, sizeof(problem), "no relay is called \"%.*s\"",
		name.len > QUOTED_MAX ? QUOTED_MAX : (int)name.len, name.at);

	if (near < count) {
		struct text meant = relay_name(place->draft, near);

		snprintf(problem + len, sizeof(problem) - (size_t)len, "; did you mean %.*s?",
			(int)meant.len, meant.at);
	}
	return place_refuse(place, where, problem);
}

/* ---- what a route may hold */

static enum err take_text(
	const struct place *place, const char *name, const cJSON *member, struct text *out)
{
	struct text value = json_string(place->json, member);

	if (!cJSON_IsString(member) || !value.len)
		return place_refuse(place, name, "give a string that is not empty");
	if (text_has_control(value))
		return place_refuse(place, name, "holds a control character");
	*out = region_copy(place->draft->region, value);
	return out->at ? OK : ERR_MEMORY;
}

/* "*.example.org" becomes ".example.org"; both as they stand in addresses that were read. */
static enum err take_domain(
	const struct place *place, const char *name, const cJSON *member, struct text *out)
{
	struct region *region = place->draft->region;
	struct text given = { 0 }, address = { 0 };
	struct buf whole = buf_born(4096);
	const char *why = "it is too long";
	bool is_under;
	enum err err = take_text(place, name, member, &given);

	if (err)
		return err;
	is_under = text_starts(given, TEXT("*."));
	buf_add_string(&whole, "x@");
	buf_add(&whole, text_from(given, is_under ? 2 : 0));
	err = text_find(given, '@') < given.len ? ERR_SYNTAX : whole.err;
	if (err == ERR_SYNTAX)
		why = "there is an @ in it; give what is behind that";
	if (!err)
		err = smtp_address_parse(buf_text(&whole), region, &address, &why);
	buf_free(&whole);
	if (err == ERR_MEMORY)
		return err;
	if (err)
		return draft_refuse(place->draft, ERR_VALUE,
			"%s: %s/%s: not a domain like example.org or *.example.org: %s",
			place->draft->file, place->pointer, name, why);
	*out = smtp_address_domain(address);
	if (is_under) { /* the @ in front of it makes room for the dot; the copy is ours */
		*out = (struct text){ out->at - 1, out->len + 1 };
		*(char *)out->at = '.';
	}
	return OK;
}

static enum err add_relay(
	const struct place *place, const char *where, const cJSON *member, uint64_t *relays)
{
	struct text name = json_string(place->json, member);

	if (!cJSON_IsString(member))
		return place_refuse(place, where, "give a relay's name, or a list of names");
	for (size_t i = 0; i < relay_count(place->draft); i++) {
		if (!text_equal(name, relay_name(place->draft, i)))
			continue;
		if (*relays & UINT64_C(1) << i)
			return place_refuse(place, where, "names this relay twice");
		*relays |= UINT64_C(1) << i;
		return OK;
	}
	return refuse_relay(place, where, name);
}

static enum err take_relay(const struct place *place, const cJSON *member, uint64_t *relays)
{
	const cJSON *name;
	char where[32];
	size_t i = 0;
	enum err err = OK;

	if (!cJSON_IsArray(member))
		return add_relay(place, "relay", member, relays);
	if (!member->child)
		return place_refuse(place, "relay", "names no relay");
	cJSON_ArrayForEach(name, member)
	{
		snprintf(where, sizeof(where), "relay/%zu", i++);
		err = add_relay(place, where, name, relays);
		if (err)
			break;
	}
	return err;
}

static enum err take_member(
	const struct place *place, const cJSON *member, struct route_settings *route)
{
	struct text name = json_name(place->json, member);

	if (text_equal(name, TEXT("from_domain")))
		return take_domain(place, "from_domain", member, &route->from_domain);
	if (text_equal(name, TEXT("to_domain")))
		return take_domain(place, "to_domain", member, &route->to_domain);
	if (text_equal(name, TEXT("key")))
		return take_text(place, "key", member, &route->key);
	if (text_equal(name, TEXT("tag")))
		return take_text(place, "tag", member, &route->tag);
	if (text_equal(name, TEXT("relay")))
		return take_relay(place, member, &route->relays);
	return refuse_member(place, member->string);
}

static enum err take_route(
	const struct place *place, const cJSON *object, struct route_settings *route)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		enum err err = take_member(place, member, route);

		if (err)
			return err;
	}
	if (!route->relays)
		return place_refuse(place, "relay", "is missing");
	if (!route->from_domain.len && !route->to_domain.len && !route->key.len && !route->tag.len)
		return draft_refuse(place->draft, ERR_VALUE,
			"%s: %s: has no condition; give from_domain, to_domain, key or tag",
			place->draft->file, place->pointer);
	return OK;
}

enum err settings_take_routes(const struct place *place, const cJSON *list)
{
	struct route_settings *routes;
	const cJSON *object;
	char pointer[32];
	struct place inner = { place->draft, place->json, pointer };
	size_t i = 0, count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
	enum err err;

	if (!cJSON_IsArray(list))
		return place_refuse(place, "routes", "give a list of objects");
	if (count > ROUTES_MAX)
		return place_refuse(place, "routes", "there are more than 1000");
	routes = region_zalloc(place->draft->region, count + 1, sizeof(*routes));
	if (!routes)
		return ERR_MEMORY;
	cJSON_ArrayForEach(object, list)
	{
		snprintf(pointer, sizeof(pointer), "/routes/%zu", i);
		if (!cJSON_IsObject(object))
			return place_refuse(place, pointer + 1, "give an object");
		err = take_route(&inner, object, &routes[i++]);
		if (err)
			return err;
	}
	place->draft->settings->routes = routes;
	place->draft->settings->route_count = count;
	return OK;
}
