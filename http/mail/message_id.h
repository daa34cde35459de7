/* message_id - the Message-ID of a message that brings none
 *
 * With an Idempotency-Key, whoever sends the same again gets the same Message-ID, so that what
 * arrives twice is known as one: it is derived from the API key's id, the idempotency key, the
 * place in the batch and the message. Without one it is the delivery's id. */
#pragma once

#include "http/delivery.h"
#include "http/digest.h"

/* With <>, at the domain of delivery->from; in the delivery's region. Empty: out of memory. */
struct text message_id_make(const struct delivery *delivery);
/* The same out of its key, its place and what it says (mail_digest). */
struct text message_id_derive(
	const struct delivery *delivery, struct text key, const unsigned char says[DIGEST_LEN]);
