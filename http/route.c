#include "http/route.h"

#include "http/events.h"
#include "http/messages.h"
#include "http/operate.h"
#include "http/relays.h"
#include "http/send.h"
#include "http/templates.h"

#include <string.h>

static const struct route routes[] = {
	{ "POST", "/send", SCOPE_SEND, true, false, send_one },
	{ "POST", "/send/batch", SCOPE_SEND, true, false, send_batch },
	{ "GET", "/messages", SCOPE_READ, false, false, messages_list },
	{ "GET", "/messages/{id}", SCOPE_READ, false, false, messages_show },
	{ "DELETE", "/messages/{id}", SCOPE_SEND, false, false, messages_cancel },
	{ "POST", "/messages/{id}/retry", SCOPE_SEND, true, false, messages_retry },
	{ "GET", "/messages/{id}/raw", SCOPE_READ, false, false, messages_raw },
	{ "GET", "/events", SCOPE_READ, false, false, events_list },
	{ "GET", "/templates", SCOPE_SEND | SCOPE_TEMPLATES, false, false, templates_list },
	{ "GET", "/templates/{name}", SCOPE_SEND | SCOPE_TEMPLATES, false, false, templates_show },
	{ "PUT", "/templates/{name}", SCOPE_TEMPLATES, true, false, templates_put },
	{ "DELETE", "/templates/{name}", SCOPE_TEMPLATES, false, false, templates_remove },
	{ "POST", "/templates/{name}/render", SCOPE_SEND | SCOPE_TEMPLATES, true, false,
		templates_render },
	{ "GET", "/relays", SCOPE_ADMIN, false, true, relays_list },
	{ "POST", "/relays/{name}/check", SCOPE_ADMIN, true, true, relays_check },
	{ "GET", "/healthz", 0, false, false, operate_alive },
	{ "GET", "/readyz", 0, false, false, operate_ready },
	{ "GET", "/metrics", 0, false, true, operate_metrics },
	{ "GET", "/problems", 0, false, false, operate_problems },
	{ "GET", "/problems/{code}", 0, false, false, operate_problem },
	{ "GET", "/openapi.json", 0, false, false, operate_openapi },
};

enum { GETS = 1, POSTS = 2, PUTS = 4, DELETES = 8 };

/* Segment by segment, on the path as it came: no decoding, so no second spelling. */
static bool fits(const char *pattern, struct text path, struct text *id_out)
{
	struct text want = text_of(pattern);

	while (want.len && path.len) {
		struct text segment;

		if (want.at[0] != '{') {
			if (want.at[0] != path.at[0])
				return false;
			want = text_from(want, 1);
			path = text_from(path, 1);
			continue;
		}
		(void)text_cut(&want, '}');
		segment = text_head(path, text_find(path, '/'));
		if (!segment.len)
			return false;
		*id_out = segment;
		path = text_from(path, segment.len);
	}
	return want.len == 0 && path.len == 0;
}

/* The Allow header for each set of methods that some path takes. */
static const char *const allows[] = { [GETS] = "GET, HEAD",
	[POSTS] = "POST",
	[GETS | DELETES] = "GET, HEAD, DELETE",
	[GETS | PUTS | DELETES] = "GET, HEAD, PUT, DELETE",
	[GETS | POSTS | PUTS | DELETES] = NULL };

static unsigned method_of(const struct route *route)
{
	switch (route->method[0]) {
	case 'G':
		return GETS;
	case 'D':
		return DELETES;
	default:
		return route->method[1] == 'O' ? POSTS : PUTS;
	}
}

const struct route *route_find(
	struct text method, struct text path, struct text *id_out, const char **allow_out)
{
	bool is_head = text_equal(method, TEXT("HEAD"));
	unsigned methods = 0;

	*allow_out = NULL;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!fits(routes[i].pattern, path, id_out))
			continue;
		if (text_equal(method, text_of(routes[i].method)) ||
			(is_head && strcmp(routes[i].method, "GET") == 0))
			return &routes[i];
		methods |= method_of(&routes[i]);
	}
	*allow_out = allows[methods];
	return NULL;
}

bool route_is_send(const struct route *route)
{
	return route->handle == send_one || route->handle == send_batch;
}

const struct route *route_at(size_t index)
{
	return index < sizeof(routes) / sizeof(routes[0]) ? &routes[index] : NULL;
}
