/* mail - a message in JSON → an envelope and a mail (docs: POST /send)
 *
 * A table of fields, each with its reader; what is unknown, of the wrong type, or holds what a
 * header must not hold is complained about with its JSON pointer. */
#pragma once

#include "http/delivery.h"
#include "http/json/json.h"
#include "smtp/message/encode.h"
#include "smtp/message/raw.h"

struct cJSON;
struct exchange;

/* How a message wants to be handled, beside what it says. */
struct wishes {
	struct text relay;
	const struct text *tags;
	size_t tag_count;
	struct text metadata;
	bool all_or_none, trace;
	enum dry_run dry_run;
	uint64_t deadline_us; /* from now; 0: unsaid */
	enum delivery_way way;
	int64_t send_at_ms; /* 0: unsaid */
	enum on_unknown on_unknown;
};

struct posted {
	struct exchange *exchange; /* set by the caller: where templates come from; NULL: nowhere */
	struct smtp_mail mail;
	const struct smtp_raw *raw; /* a whole message instead of a mail; NULL: none */
	struct smtp_envelope envelope;
	bool has_envelope_to; /* its recipients were named apart from the header's */
	bool has_date;
	const char *refused_as; /* the problem's code; NULL: invalid_request */
	struct wishes wishes;
};

/* What comes in other parts of the request than the object. */
struct mail_besides {
	struct text raw;                  /* a whole message, unencoded; `at` NULL: none */
	const struct smtp_content *files; /* contents of the last ones of `attachments` */
	size_t file_count;
};

/* Reads a message object. Everything is borrowed from `json`, its body, `besides` (NULL is fine)
 * and `region`. False where there are complaints. `at` is where the object stands. */
bool mail_read(const struct json *json, const struct cJSON *object, const struct json_at *at,
	const struct mail_besides *besides, struct region *region, struct posted *posted_out,
	struct complaints *complaints);
