#include "service/queue/looking.h"

#include "service/clock.h"
#include "service/queue/awaited.h"
#include "service/queue/leaving.h"
#include "service/queue/queue.h"
#include "service/queue/recorded.h"
#include "service/queue/told.h"
#include "service/store/tally.h"

#include <string.h>

/* One question, in the memory of whoever asks. */
struct looking {
	struct lettergate *lettergate;
	struct asking *asking;
	char id[DELIVERY_ID_LEN + 1];
	union {
		struct job job;
		struct look_up_job one;
		struct body_job body;
		struct change_job change;
	};
	struct text key_id;
	uint64_t until_us; /* that it waits for the store; 0: for ever */
};

static enum err describe(struct asking *asking, const struct stored *found)
{
	struct record *record = region_zalloc(asking->region, 1, sizeof(*record));

	if (!record || !recorded_describe(found, asking->region, record))
		return ERR_MEMORY;
	asking->records = record;
	asking->count = 1;
	return OK;
}

/* ---- answers; the queue's thread */

static void told(struct looking *looking, enum err err)
{
	looking->asking->err = err;
	looking->asking->why = leaving_why(looking->lettergate, err, looking->until_us);
	looking->asking->done(looking->asking); /* nothing of ours is there any more */
}

static void found_one(struct job *job)
{
	struct looking *looking = job->waiter;
	struct stored *found = looking->one.found;
	enum err err = job->err ? job->err : describe(looking->asking, found);

	stored_free(found);
	told(looking, err);
}

static void found_text(struct job *job)
{
	struct looking *looking = job->waiter;

	looking->asking->raw = looking->body.body;
	told(looking, job->err);
}

static void changed(struct job *job)
{
	struct looking *looking = job->waiter;

	looking->asking->state = message_state_name(looking->change.state);
	looking->asking->lacks_text = looking->change.lacks_body;
	looking->asking->is_damaged = looking->change.is_damaged;
	looking->asking->full = tally_words(looking->change.full);
	if (!job->err && looking->change.change == CHANGE_CANCEL)
		awaited_cancelled(looking->lettergate->awaited, looking->id);
	told(looking, job->err);
}

/* ---- who waits no longer; under the queue's lock */

static bool leave_as(struct looking *looking, enum err err)
{
	struct asking *asking = looking->asking;
	struct asking *left = asking->leave ? asking->leave(asking) : NULL;

	if (!left)
		return false;
	left->err = err;
	left->why = leaving_why(looking->lettergate, err, looking->until_us);
	left->done(left);
	return true;
}

static bool leave_read(struct job *job)
{
	return leave_as(job->waiter, ERR_IO);
}

/* It may have been done, or come to be done. */
static bool leave_change(struct job *job)
{
	return leave_as(job->waiter, ERR_DOUBT);
}

/* ---- questions */

static void put(struct looking *looking, struct job *job, bool (*leave)(struct job *job))
{
	job->waiter = looking;
	job->until_us = looking->until_us;
	job->leave = leave;
	queue_put(looking->lettergate->queue, job);
}

static void ask_change(struct looking *looking, enum change change)
{
	struct lettergate *lettergate = looking->lettergate;
	int64_t now_ms = now_unix_ms();

	looking->change = (struct change_job){ .job = { .kind = JOB_CHANGE, .done = changed },
		.id = looking->id,
		.key_id = looking->key_id,
		.change = change,
		.now_ms = now_ms,
		.tell = change == CHANGE_CANCEL ? told_of_cancelled : NULL };
	pthread_rwlock_rdlock(&lettergate->lock);
	looking->change.keep_body = lettergate->settings->keep_body_ms > 0;
	looking->change.expires_ms = schedule_expires_ms(&lettergate->settings->retry, now_ms);
	pthread_rwlock_unlock(&lettergate->lock);
	put(looking, &looking->change.job, leave_change);
}

static void ask_one(struct looking *looking)
{
	looking->one = (struct look_up_job){ .job = { .kind = JOB_LOOK_UP, .done = found_one },
		.id = looking->id,
		.key_id = looking->key_id };
	put(looking, &looking->one.job, leave_read);
}

static void ask_text(struct looking *looking)
{
	looking->body = (struct body_job){ .job = { .kind = JOB_BODY, .done = found_text },
		.id = looking->id,
		.key_id = looking->key_id,
		.region = looking->asking->region };
	put(looking, &looking->body.job, leave_read);
}

void looking_ask(struct lettergate *lettergate, struct asking *asking)
{
	struct looking *looking = region_zalloc(asking->region, 1, sizeof(*looking));
	bool is_admin = asking->caller->scopes & SCOPE_ADMIN;
	struct text key_id = is_admin ? (struct text){ 0 } : asking->caller->key_id;

	if (!looking || asking->id.len >= sizeof(looking->id)) {
		asking->err = looking ? ERR_MISSING : ERR_MEMORY;
		asking->done(asking);
		return;
	}
	looking->lettergate = lettergate;
	looking->asking = asking;
	looking->until_us = leaving_until(asking->patience_us);
	looking->key_id = key_id;
	memcpy(looking->id, asking->id.at, asking->id.len);
	switch (asking->what) {
	case ASK_ONE:
		ask_one(looking);
		break;
	case ASK_RAW:
		ask_text(looking);
		break;
	case ASK_CANCEL:
		ask_change(looking, CHANGE_CANCEL);
		break;
	case ASK_RETRY:
		ask_change(looking, CHANGE_RETRY);
		break;
	case ASK_COUNTS: /* counting_ask */
	case ASK_LIST:   /* lists_ask */
	case ASK_EVENTS: /* listening_ask */
		break;
	}
}
