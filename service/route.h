/* route - which relays a message may take, by the settings' routes. Pure. */
#pragma once

#include "service/settings.h"

struct route_question {
	struct text from_domain; /* of the header's author, else the envelope's sender */
	const struct text *to;   /* recipients */
	size_t to_count;
	struct text key; /* id */
	const struct text *tags;
	size_t tag_count;
};

/* Bit i: settings->relays[i]. Those of the first route that fits, else all. */
uint64_t route_choose(const struct settings *settings, const struct route_question *question);
