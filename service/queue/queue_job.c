#include "service/queue/queue_job.h"

/* The verb of each kind of job. The struct of a job has struct job as its first member. */
#define VERB(name, kind)                                                                           \
	static enum err run_##name(struct store *store, struct job *job)                           \
	{                                                                                          \
		return store->verbs->name(store->self, (struct kind *)job);                        \
	}

VERB(accept, accept_job)
VERB(claim, claim_job)
VERB(fence, fence_job)
VERB(renew, renew_job)
VERB(release, release_job)
VERB(settle, settle_job)
VERB(change, change_job)
VERB(look_up, look_up_job)
VERB(body, body_job)
VERB(list, list_job)
VERB(events, events_job)
VERB(once_begin, once_begin_job)
VERB(once_end, once_end_job)
VERB(note, note_job)
VERB(template, template_job)
VERB(templates, templates_job)
VERB(counts, counts_job)

static const struct {
	enum err (*run)(struct store *store, struct job *job);
	bool may_ripen; /* there may be something to claim afterwards */
	bool may_tell;  /* … and events */
} kinds[JOB_KINDS] = {
	[JOB_ACCEPT] = { run_accept, true, true },
	[JOB_CLAIM] = { run_claim, false, false },
	[JOB_FENCE] = { run_fence, false, false },
	[JOB_RENEW] = { run_renew, false, false },
	[JOB_RELEASE] = { run_release, true, false },
	[JOB_SETTLE] = { run_settle, true, true },
	[JOB_CHANGE] = { run_change, true, true },
	[JOB_LOOK_UP] = { run_look_up, false, false },
	[JOB_BODY] = { run_body, false, false },
	[JOB_LIST] = { run_list, false, false },
	[JOB_EVENTS] = { run_events, false, false },
	[JOB_ONCE_BEGIN] = { run_once_begin, false, false },
	[JOB_ONCE_END] = { run_once_end, false, false },
	[JOB_NOTE] = { run_note, false, false },
	[JOB_TEMPLATE] = { run_template, false, false },
	[JOB_TEMPLATES] = { run_templates, false, false },
	[JOB_COUNTS] = { run_counts, false, false },
};

/* With these, nothing was written: the others of its group need not care. */
static bool is_refusal(enum err err)
{
	return err == ERR_LIMIT || err == ERR_MISSING || err == ERR_VALUE;
}

enum err queue_job_run(struct store *store, struct job *job)
{
	job->err = kinds[job->kind].run(store, job);
	return is_refusal(job->err) ? OK : job->err;
}

bool queue_job_may_ripen(const struct job *job)
{
	return !job->err && kinds[job->kind].may_ripen;
}

bool queue_job_may_tell(const struct job *job)
{
	if (job->kind == JOB_CLAIM && !job->err) /* of what it set aside */
		return ((const struct claim_job *)job)->damaged > 0;
	return !job->err && kinds[job->kind].may_tell;
}

static void forget_list(struct stored **list, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		stored_free(list[i]);
	*count = 0;
}

void queue_job_forget(struct job *job)
{
	if (job->kind == JOB_CLAIM) {
		struct claim_job *claim = (struct claim_job *)job;

		forget_list(claim->claimed, &claim->count);
	} else if (job->kind == JOB_LIST) {
		struct list_job *list = (struct list_job *)job;

		forget_list(list->found, &list->count);
	} else if (job->kind == JOB_LOOK_UP) {
		struct look_up_job *look_up = (struct look_up_job *)job;

		stored_free(look_up->found);
		look_up->found = NULL;
	}
}
