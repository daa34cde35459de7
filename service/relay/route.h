/* route - which relays a message may take, by the routes of the settings */
#pragma once

#include "service/settings/settings.h"

/* What the routes look at; all of it lower case where it is a domain's. */
struct route_question {
	struct text
		from_domain; /* of the sender in the header; where that is empty: the envelope's */
	const struct text *to; /* the recipients, as in the envelope */
	size_t to_count;
	struct text key; /* its id; "": none */
	const struct text *tags;
	size_t tag_count;
};

/* Bit i: settings->relays[i] may take it. Those of the first route that fits, else all there are;
 * never none. Any thread. */
uint64_t route_choose(const struct settings *settings, const struct route_question *question);
