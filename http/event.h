/* event - something that happened to a message, as webhooks and GET /events tell it
 *
 * Pure. */
#pragma once

#include "smtp/buf.h"

enum { EVENT_TYPES = 6, EVENT_ID_LEN = 36 };

struct event {
	uint64_t cursor;     /* grows with each; given by the store */
	int64_t at_ms;       /* since 1970 */
	struct text type;    /* "message.sent" */
	struct text key_id;  /* whose message it is */
	struct text content; /* a JSON object: `data` of what is told */
};

/* Which ones are wanted. { 0 }: all. */
struct event_filter {
	unsigned types;  /* bit i: the one of event_type_name(i); 0: any */
	struct text tag; /* one of the message's; empty: any */
	struct text id;  /* the message's; empty: any */
};

/* "message.queued"; NULL behind the last, EVENT_TYPES. */
const char *event_type_name(size_t index);
/* Adds the type of this name to a filter; false: there is none. */
bool event_filter_add(struct event_filter *filter, struct text name);
/* A content that cannot be read has neither tags nor an id. */
bool event_fits(const struct event *event, const struct event_filter *filter);
/* The same for each time that it is told, and of no other event: "evt_" and 32 hexadecimal digits.
 * False: out of memory. */
MUST_USE bool event_id(const struct event *event, char id_out[EVENT_ID_LEN + 1]);
/* Appends {"type":…,"timestamp":…,"data":…}, with `id` in front unless that is NULL. */
void event_add(struct buf *out, const struct event *event, const char *id);
