/* settings_place - where in the config file we are, for those who read its lists */
#pragma once

#include "http/json/json.h"
#include "service/settings/settings_draft.h"

struct place {
	struct draft *draft;
	const struct json *json;
	const char *pointer; /* "" or "/relays/0" */
};

/* "FILE: POINTER/NAME: PROBLEM" */
MUST_USE enum err place_refuse(const struct place *place, const char *name, const char *problem);
/* Takes a member that is a setting: `prefix` and its name in capitals. */
MUST_USE enum err place_take_setting(
	const struct place *place, const struct cJSON *member, const char *prefix);
/* settings_webhooks.c: the list of those who are told of events. */
MUST_USE enum err settings_take_webhooks(const struct place *place, const struct cJSON *list);
/* settings_routes.c: the list of routes, once the relays' names are known. */
MUST_USE enum err settings_take_routes(const struct place *place, const struct cJSON *list);
/* settings_relays.c: the list of relays, each entry into a draft of its own. */
MUST_USE enum err settings_take_relays(const struct place *place, const struct cJSON *list);
