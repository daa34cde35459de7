#include "service/queue/lists.h"

#include "service/queue/leaving.h"
#include "service/queue/queue.h"
#include "service/queue/recorded.h"

#include <stdlib.h>
#include <string.h>

enum {
	AT_A_TIME = 2,
	OF_KEY_AT_A_TIME = 1,
	LINE_MOST = 500,
	LINE_OF_KEY_MOST = 50,
	STEP_BYTES = 1 << 20, /* of what one step looks into */
	PAGE_BYTES = 1 << 20, /* of what a page holds, as it is kept */
	STEPS_USUAL = 10,     /* for one page */
	STEPS_MOST = 50,      /* … that found nothing yet */
};

/* One question, in the memory of whoever asks. */
struct paging {
	struct lettergate *lettergate;
	struct asking *asking;
	struct list_job job;
	struct record *records; /* room for as many as are wanted */
	size_t count;
	unsigned steps;
	uint64_t bytes;    /* of those */
	uint64_t until_us; /* that he waits for the store; 0: for ever */
	bool is_left;      /* he was told that it took too long */
	struct paging *next;
};

struct lists {
	pthread_mutex_t lock; /* of all that follows */
	struct paging *line, **last;
	struct paging *under_way;
	bool is_stopped;
};

static void tell(struct paging *paging, enum err err)
{
	struct asking *asking = paging->asking;

	asking->err = err;
	asking->why = leaving_why(paging->lettergate, err, paging->until_us);
	asking->records = paging->records;
	asking->count = paging->count;
	if (!err && *paging->job.cursor) {
		asking->cursor = region_copy(asking->region, text_of(paging->job.cursor));
		if (!asking->cursor.at)
			asking->err = ERR_MEMORY;
	}
	asking->done(asking); /* nothing of ours is there any more */
}

/* ---- the line; under the lock */

static bool is_same_key(const struct paging *one, const struct paging *other)
{
	return text_equal(one->asking->caller->key_id, other->asking->caller->key_id);
}

static void count(
	const struct paging *list, const struct paging *wanted, unsigned *all, unsigned *of_key)
{
	*all = *of_key = 0;
	for (; list; list = list->next) {
		++*all;
		*of_key += is_same_key(list, wanted);
	}
}

static bool has_room(const struct lists *lists, const struct paging *paging)
{
	unsigned all, of_key;

	count(lists->line, paging, &all, &of_key);
	return all < LINE_MOST && of_key < LINE_OF_KEY_MOST;
}

static bool may_begin(const struct lists *lists, const struct paging *paging)
{
	unsigned all, of_key;

	count(lists->under_way, paging, &all, &of_key);
	return all < AT_A_TIME && of_key < OF_KEY_AT_A_TIME;
}

static struct paging *take_next(struct lists *lists)
{
	struct paging **at = &lists->line, *next;

	while (*at && !may_begin(lists, *at))
		at = &(*at)->next;
	next = *at;
	if (!next)
		return NULL;
	*at = next->next;
	if (!*at)
		lists->last = at;
	next->next = lists->under_way;
	lists->under_way = next;
	return next;
}

/* ---- steps */

/* Begins as many as may be under way. */
static void begin(struct lettergate *lettergate)
{
	struct lists *lists = lettergate->lists;
	struct paging *next;

	do {
		pthread_mutex_lock(&lists->lock);
		next = take_next(lists);
		pthread_mutex_unlock(&lists->lock);
		if (next)
			queue_put(lettergate->queue, &next->job.job);
	} while (next);
}

static void end(struct paging *paging, enum err err)
{
	struct lettergate *lettergate = paging->lettergate;
	struct lists *lists = lettergate->lists;
	struct paging **at = &lists->under_way;

	pthread_mutex_lock(&lists->lock);
	while (*at != paging)
		at = &(*at)->next;
	*at = paging->next;
	pthread_mutex_unlock(&lists->lock);
	tell(paging, err);
	begin(lettergate);
}

/* A list tells no attempts. */
static enum err describe(struct paging *paging)
{
	struct list_job *job = &paging->job;
	enum err err = job->job.err;

	for (size_t i = 0; i < job->count; i++) {
		struct stored *stored = job->found[i];

		stored->attempt_count = 0;
		if (!err && !recorded_describe(stored, paging->asking->region,
				    &paging->records[paging->count]))
			err = ERR_MEMORY;
		paging->count += !err;
		stored_free(stored);
	}
	paging->bytes += job->bytes;
	job->count = 0;
	return err;
}

static bool is_over(const struct paging *paging)
{
	return paging->is_left || !*paging->job.cursor ||
	       paging->count == paging->asking->query->limit || paging->bytes >= PAGE_BYTES ||
	       paging->steps >= (paging->count ? STEPS_USUAL : STEPS_MOST);
}

/* The queue's thread. */
static void stepped(struct job *job)
{
	struct paging *paging = job->waiter;
	enum err err = describe(paging);

	paging->steps++;
	if (err || is_over(paging)) {
		end(paging, err);
		return;
	}
	paging->job.most = paging->asking->query->limit - paging->count;
	queue_put(paging->lettergate->queue, job);
}

/* ---- who waits no longer */

/* Under the queue's lock. It is under way until its step is over: so few are. */
static bool leave(struct job *job)
{
	struct paging *paging = job->waiter;
	struct asking *asking = paging->asking;
	struct asking *left = asking->leave ? asking->leave(asking) : NULL;

	if (!left)
		return false;
	paging->is_left = true;
	left->err = ERR_IO;
	left->why = leaving_why(paging->lettergate, ERR_IO, paging->until_us);
	left->done(left);
	return true;
}

/* Those in the line that wait no longer than until then; under the lock. */
static struct paging *take_late(struct lists *lists, uint64_t now_us)
{
	struct paging **at = &lists->line, *taken = NULL;

	while (*at) {
		struct paging *paging = *at;

		if (!paging->until_us || now_us < paging->until_us) {
			at = &paging->next;
			continue;
		}
		*at = paging->next;
		paging->next = taken;
		taken = paging;
	}
	lists->last = at;
	return taken;
}

static void tell_all(struct paging *list, enum err err)
{
	for (struct paging *next; list; list = next) {
		next = list->next;
		tell(list, err);
	}
}

void lists_tick(struct lists *lists, uint64_t now_us)
{
	struct paging *late;

	pthread_mutex_lock(&lists->lock);
	late = take_late(lists, now_us);
	pthread_mutex_unlock(&lists->lock);
	tell_all(late, ERR_IO);
}

/* ---- questions */

/* NULL: out of memory. */
static struct paging *paging_new(struct lettergate *lettergate, struct asking *asking)
{
	const struct query *query = asking->query;
	struct region *region = asking->region;
	struct paging *paging = region_zalloc(region, 1, sizeof(*paging));
	struct stored **found = region_zalloc(region, query->limit + 1, sizeof(struct stored *));
	struct list_job *job;

	if (!paging || !found)
		return NULL;
	paging->records = region_zalloc(region, query->limit + 1, sizeof(*paging->records));
	if (!paging->records)
		return NULL;
	paging->lettergate = lettergate;
	paging->asking = asking;
	paging->until_us = leaving_until(asking->patience_us);
	job = &paging->job;
	*job = (struct list_job){ .job = { .kind = JOB_LIST,
					  .done = stepped,
					  .waiter = paging,
					  .until_us = paging->until_us,
					  .leave = leave },
		.recipient = query->recipient,
		.tag = query->tag,
		.since_ms = query->since_ms,
		.most = query->limit,
		.most_bytes = STEP_BYTES,
		.found = found };
	if (!(asking->caller->scopes & SCOPE_ADMIN))
		job->key_id = asking->caller->key_id;
	job->has_state = query->state.len && message_state_find(query->state, &job->state);
	if (query->cursor.len < sizeof(job->cursor))
		memcpy(job->cursor, query->cursor.at ? query->cursor.at : "", query->cursor.len);
	return paging;
}

void lists_ask(struct lettergate *lettergate, struct asking *asking)
{
	struct paging *paging = paging_new(lettergate, asking);
	struct lists *lists = lettergate->lists;
	enum err err = OK;

	if (!paging) {
		asking->err = ERR_MEMORY;
		asking->done(asking);
		return;
	}
	pthread_mutex_lock(&lists->lock);
	if (lists->is_stopped)
		err = ERR_IO;
	else if (!has_room(lists, paging))
		err = ERR_LIMIT;
	if (!err) {
		*lists->last = paging;
		lists->last = &paging->next;
	}
	pthread_mutex_unlock(&lists->lock);
	if (err)
		tell(paging, err);
	else
		begin(lettergate);
}

/* ---- life */

enum err lists_open(struct lists **lists_out)
{
	struct lists *lists = calloc(1, sizeof(*lists));

	if (!lists)
		return ERR_MEMORY;
	pthread_mutex_init(&lists->lock, NULL);
	lists->last = &lists->line;
	*lists_out = lists;
	return OK;
}

void lists_stop(struct lists *lists)
{
	struct paging *line;

	pthread_mutex_lock(&lists->lock);
	lists->is_stopped = true;
	line = lists->line;
	lists->line = NULL;
	lists->last = &lists->line;
	pthread_mutex_unlock(&lists->lock);
	tell_all(line, ERR_IO);
}

void lists_close(struct lists *lists)
{
	if (!lists)
		return;
	pthread_mutex_destroy(&lists->lock);
	free(lists);
}
