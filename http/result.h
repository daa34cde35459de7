/* result - what came of a delivery, as JSON: one form for /send, /send/batch and /messages */
#pragma once

#include "http/delivery.h"
#include "http/problem.h"

/* The HTTP status for it: 200 where someone's message was taken. */
unsigned result_status(const struct result *result);
/* Is it a problem, or an answer of success? */
bool result_is_problem(const struct result *result);
/* Appends the answer to POST /send: an object of success, or a problem. `with_status` adds the
 * member `status` to the former (in a batch). */
void result_add(struct buf *out, const struct delivery *delivery, bool with_status);
/* Appends the least of it: id, outcome and status, and of a problem what it is. */
void result_add_brief(struct buf *out, const struct delivery *delivery);
/* Appends what GET /messages/{id} shows; `brief` leaves out recipients and attempts' replies. */
void result_add_record(struct buf *out, const struct record *record, bool brief);
/* What GET /messages calls it: "sent", "partial", "captured", "unknown", "queued", "failed". */
const char *result_state(enum smtp_outcome outcome);
/* Appends the member "smtp", if the relay said anything. */
void result_add_said(struct buf *out, const struct smtp_said *said);
