/* posting - a message in JSON, with the request it came in → a delivery, or a refusal */
#pragma once

#include "http/exchange.h"
#include "http/mail/mail.h"

#include <stdatomic.h>

/* What stops a message before it is handed over. */
struct refusal {
	struct problem problem;
	struct complaints complaints;
};

/* Deliveries that one exchange waits for. */
struct posting {
	struct exchange *exchange;
	size_t count;
	struct delivery **deliveries; /* NULL: refused before it was sent */
	struct text *refusals;        /* as JSON; empty: there was no room */
	const char **codes;           /* the refusals' */
	atomic_size_t open;           /* not yet settled, and one for whoever submits */
	/* What the request had reserved when it was looked at last; each message's part of what it
	 * had at first. */
	uint64_t reserved_bytes, bytes_each;
	bool is_member; /* a batch's list was its member `messages` */
};

/* NULL: out of memory. */
struct posting *posting_new(struct exchange *exchange, size_t count);
/* Counts messages against the key's rate. False: it was answered with a refusal. */
bool posting_charge(struct exchange *exchange, size_t messages);

/* Fills in the refusal; always false. */
bool refusal_set(struct refusal *refusal, const char *code, struct text detail);
/* False: *refusal says why not. `at` is where the message stands in the body, `besides` what came
 * in other parts of it (NULL: nothing). */
bool posting_make(struct exchange *exchange, const struct json *json, const struct cJSON *object,
	const struct json_at *at, const struct mail_besides *besides, struct region *region,
	struct refusal *refusal, struct delivery **delivery_out);
/* Hands the delivery over, as the posting's at `place`. False: it was not taken, *refusal says why.
 */
bool posting_submit(struct posting *posting, size_t place, struct delivery *delivery,
	const struct json_at *at, struct refusal *refusal);
/* Was it refused after it had been taken? Then *refusal says why, in the delivery's region. */
bool posting_is_refused(const struct exchange *exchange, const struct delivery *delivery,
	const struct json_at *at, struct refusal *refusal);
/* After the answer was written: what is outside the region goes. */
void posting_forget(struct delivery *delivery);
/* A 503 always says when to come again. */
void posting_set_pause(struct result *result);
