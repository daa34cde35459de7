/* recorded - a stored message as those who ask see it. Pure. */
#pragma once

#include "http/delivery.h"
#include "service/store/stored.h"

/* What came of each recipient so far, in `region`; NULL: out of memory. */
struct smtp_answer *recorded_answers(const struct stored *stored, struct region *region);
/* … and of the whole. Not while it waits. */
struct smtp_verdict recorded_verdict(
	const struct stored *stored, const struct smtp_answer *answers);
/* Adds the reply that speaks for the whole, and the relay that gave it, to a result with its
 * verdict; nothing where none does: nobody knows, it was cancelled, or an older version kept less.
 */
void recorded_add_reply(const struct stored *stored, struct region *region, struct result *result);
/* Fills *record_out, in `region`; false: out of memory. */
bool recorded_describe(
	const struct stored *stored, struct region *region, struct record *record_out);
