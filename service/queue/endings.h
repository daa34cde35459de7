/* endings - idempotency keys whose run is over, where the store could not be told so
 *
 * Until it is, whoever asks with such a key hears that the first request is running. It is told
 * again and again, while the process lives; where that dies, the next start cuts the run short. */
#pragma once

#include "service/store/store.h"

struct queue;
struct endings;

MUST_USE enum err endings_open(struct endings **endings_out);
/* Takes a copy. `began_ms` as in once_end_job: it may have been written already, and another run
 * have begun under this key. Without memory, or beyond a bound, it is left to the next start. */
void endings_keep(struct endings *endings, const struct once *once, bool is_free, int64_t began_ms);
/* Some times a second. */
void endings_tick(struct endings *endings, struct queue *queue, uint64_t now_us);
/* When the queue was closed. NULL is fine. */
void endings_close(struct endings *endings);
