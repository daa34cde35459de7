/* told - what is told of a message in events: webhooks and GET /events have the same words
 *
 * One event for each recipient of whom something became certain, or that is tried again; one for
 * the message when it comes in, or is cancelled. Pure. */
#pragma once

#include "service/store/store.h"

/* Of the message as a whole, with those recipients that are to be sent to: its content is appended
 * to `out`, and *event_out points to nothing else but that and `stored`. */
void told_of_queued(
	const struct stored *stored, int64_t now_ms, struct buf *out, struct event *event_out);
/* The same with those that it was still to go to, as it is before it is cancelled; in the message's
 * region. */
MUST_USE enum err told_of_cancelled(
	const struct stored *stored, int64_t now_ms, struct event *event_out);

/* What an attempt changed (course_note): one event for each recipient that was open before it. In
 * the message's region; NULL: out of memory. `was_open[i]` is of recipient `i`,
 * NULL: all were. */
const struct event *told_of_attempt(
	const struct stored *stored, const bool *was_open, int64_t now_ms, size_t *count_out);
