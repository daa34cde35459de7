/* queue_job - what each kind of job is to the queue: its verb, and what may come of it */
#pragma once

#include "service/store/store.h"

/* Does it, within a transaction, and notes in job->err what came of it. OK also where the store
 * refused it: then nothing was written. */
MUST_USE enum err queue_job_run(struct store *store, struct job *job);
/* It was done: may there be something to claim now? */
bool queue_job_may_ripen(const struct job *job);
/* … and events? */
bool queue_job_may_tell(const struct job *job);
/* What it found before a rollback may never have been. */
void queue_job_forget(struct job *job);
