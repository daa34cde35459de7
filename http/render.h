/* render - the message that would be sent, as the answer (dry_run: render) */
#pragma once

#include "http/exchange.h"

/* Answers with a JSON object, or with the bytes themselves where they are asked for by
 * Accept: message/rfc822. */
enum handled render_answer(struct exchange *exchange, const struct delivery *delivery);
