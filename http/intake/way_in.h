/* way_in - the forms in which a message may be posted: JSON, a form, the message itself
 *
 * Whichever it is, it becomes an object like the one that JSON would have been, and what comes
 * beside it. */
#pragma once

#include "http/exchange.h"
#include "http/mail/mail.h"

/* Reads the request's body. False: it was answered with a refusal. */
bool way_in_read(struct exchange *exchange, struct json *json, struct mail_besides *besides);
/* Refuses a query where all fields stand in the body: what stood in it, a wish or a recipient,
 * would be lost. */
bool way_in_has_no_query(struct exchange *exchange);
/* Reads a body that may be JSON alone. */
bool way_in_read_json(struct exchange *exchange, struct json *json);
