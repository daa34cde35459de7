/* message_id - the Message-ID of a message that brings none
 *
 * With an Idempotency-Key, whoever sends the same again gets the same Message-ID, so that what
 * arrives twice is known as one: it is derived from the API key's id, the idempotency key, the
 * place in the batch and the message. Without one it is the delivery's id. */
#pragma once

#include "http/exchange.h"
#include "http/mail.h"

/* The request's Idempotency-Key without its quotes; `at` NULL: there is none. */
struct text message_id_key(const struct exchange *exchange);
/* With <>, at the domain of delivery->from; in the delivery's region. `at` is where the message
 * stands in the body, NULL: it is alone. Reads attachments that lie in files. Empty: out of memory.
 */
struct text message_id_make(const struct exchange *exchange, const struct delivery *delivery,
	const struct posted *posted, const struct json_at *at);
