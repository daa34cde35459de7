/* The queue's thread: jobs under shared commits, failures that stay alone, time that passes. */
#include "service/queue/queue.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "service/clock.h"
#include "store_kit.h"
#include "unit.h"

enum { EVENT_BYTES = 100 }; /* that may be kept */

/* A store that only counts, and fails when it is told to. */
static struct {
	sem_t commits_begun, may_commit;
	atomic_bool holds;    /* commits wait to be let on */
	atomic_bool has_jobs; /* between begin and commit: else it is the clock's or a sweep */
	atomic_int begins, commits, rollbacks, accepts, settles, ticks, sweeps, closes;
	_Atomic(const struct stored *) bad; /* to accept it fails */
	atomic_int commits_fail;            /* so many */
	atomic_int hangs_at;                /* the one that fails when so many are left: a while */
	_Atomic(enum err) commit_err;       /* … with this; OK: with ERR_IO */
	atomic_int proves, proves_fail;
	atomic_bool is_accepting; /* between begin and commit */
	_Atomic int64_t due_ms, furthest_ms;
	atomic_int tells;      /* others were told */
	atomic_bool has_heard; /* one of them told */
	_Atomic uint64_t event_bytes;
	atomic_int drops_at_a_time; /* events, of a byte each */
} fake;

static enum err fake_begin(void *self)
{
	(void)self;
	fake.begins++;
	fake.is_accepting = true;
	fake.has_jobs = false;
	return OK;
}

static enum err fake_commit(void *self)
{
	(void)self;
	fake.is_accepting = false;
	if (!fake.has_jobs)
		return OK;
	if (fake.holds) {
		sem_post(&fake.commits_begun);
		sem_wait(&fake.may_commit);
	}
	if (fake.commits_fail > 0) {
		if (fake.commits_fail-- == fake.hangs_at)
			usleep(1100000);
		return fake.commit_err ? fake.commit_err : ERR_IO;
	}
	fake.commits++;
	return OK;
}

static void fake_rollback(void *self)
{
	(void)self;
	fake.rollbacks++;
	fake.is_accepting = false;
}

static enum err fake_accept(void *self, struct accept_job *accept)
{
	(void)self;
	ck_assert(fake.is_accepting);
	fake.has_jobs = true;
	fake.accepts++;
	return accept->stored == fake.bad ? ERR_IO : OK;
}

static enum err fake_settle(void *self, struct settle_job *settle)
{
	(void)self;
	(void)settle;
	fake.has_jobs = true;
	fake.settles++;
	return ERR_VALUE;
}

/* Finds one, in a region of its own. */
static enum err fake_claim(void *self, struct claim_job *claim)
{
	struct region *region;

	(void)self;
	fake.has_jobs = true;
	ck_assert_int_eq(region_open(10000, &region), OK);
	claim->claimed[0] = region_zalloc(region, 1, sizeof(struct stored));
	claim->claimed[0]->region = region;
	claim->count = 1;
	return OK;
}

static enum err fake_tick(void *self, struct tick *tick)
{
	(void)self;
	fake.ticks++;
	fake.furthest_ms = tick->furthest_ms;
	tick->next_ms = fake.due_ms;
	tick->event_bytes = fake.event_bytes;
	if (tick->now_ms >= fake.due_ms) {
		tick->ripe = 1;
		fake.due_ms = tick->next_ms = INT64_MAX;
	}
	return OK;
}

static enum err fake_sweep(void *self, struct sweep *sweep)
{
	(void)self;
	sweep->has_more = ++fake.sweeps < 3;
	if (fake.event_bytes > sweep->keeps.event_bytes) {
		sweep->dropped = (size_t)fake.drops_at_a_time;
		fake.event_bytes -= sweep->dropped;
	}
	return OK;
}

static enum err fake_prove(void *self)
{
	(void)self;
	fake.proves++;
	return fake.proves_fail-- > 0 ? ERR_IO : OK;
}

static enum err fake_tidy(void *self)
{
	(void)self;
	return OK;
}

static void fake_tell(void *self)
{
	(void)self;
	fake.tells++;
}

static bool fake_hears(void *self)
{
	(void)self;
	return atomic_exchange(&fake.has_heard, false);
}

static void fake_close(void *self)
{
	(void)self;
	fake.closes++;
}

static const struct store_verbs fake_verbs = {
	.begin = fake_begin,
	.commit = fake_commit,
	.rollback = fake_rollback,
	.accept = fake_accept,
	.settle = fake_settle,
	.claim = fake_claim,
	.tick = fake_tick,
	.sweep = fake_sweep,
	.tell = fake_tell,
	.hears = fake_hears,
	.prove = fake_prove,
	.tidy = fake_tidy,
	.close = fake_close,
};

static sem_t ripes, dones;
static atomic_int tolds, drops;

static void told(void *context)
{
	(void)context;
	tolds++;
}

static void dropped(void *context, size_t events)
{
	(void)context;
	atomic_fetch_add(&drops, (int)events);
}

static void ripe(void *context)
{
	(void)context;
	sem_post(&ripes);
}

static void done(struct job *job)
{
	ck_assert(!fake.is_accepting);
	*(enum err *)job->waiter = job->err;
	sem_post(&dones);
}

static struct queue *open_fake(void)
{
	static const struct queue_settings settings = {
		.keeps.event_bytes = EVENT_BYTES, .ripe = ripe, .told = told, .dropped = dropped
	};
	struct queue *queue;

	memset(&fake, 0, sizeof(fake));
	tolds = drops = 0;
	fake.due_ms = INT64_MAX;
	sem_init(&fake.commits_begun, 0, 0);
	sem_init(&fake.may_commit, 0, 0);
	sem_init(&ripes, 0, 0);
	sem_init(&dones, 0, 0);
	ck_assert_int_eq(queue_open(&settings, (struct store){ .verbs = &fake_verbs }, &queue), OK);
	return queue;
}

enum { JOBS = 20 };

/* Accepts of letters, and what came of each. */
struct batch {
	struct letter letters[JOBS];
	struct accept_job jobs[JOBS];
	enum err errs[JOBS];
};

static void hand_in(struct queue *queue, struct batch *batch, int from, int to)
{
	for (int i = from; i < to; i++) {
		letter_write(&batch->letters[i], (unsigned)i + 1, "a");
		batch->errs[i] = ERR_TLS; /* none of a store's */
		batch->jobs[i] = (struct accept_job){
			.job = { .kind = JOB_ACCEPT, .done = done, .waiter = &batch->errs[i] },
			.stored = &batch->letters[i].stored,
			.pieces = &batch->letters[i].body,
			.piece_count = 1,
			.now_ms = NOW
		};
		queue_put(queue, &batch->jobs[i].job);
	}
}

static void wait_for(sem_t *semaphore, int times)
{
	while (times-- > 0)
		ck_assert_int_eq(sem_wait(semaphore), 0);
}

/* ---- one commit for many */

/* Holds the first job's commit while the others are handed in, then lets all go on. */
static void run_behind_one(struct queue *queue, struct batch *batch)
{
	fake.holds = true;
	hand_in(queue, batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, batch, 1, JOBS);
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, JOBS);
}

START_TEST(jobs_that_arrive_while_a_commit_runs_share_the_next)
{
	struct queue *queue = open_fake();
	struct batch batch;

	run_behind_one(queue, &batch);
	ck_assert_int_eq(fake.commits, 2);
	ck_assert_int_eq(fake.accepts, JOBS);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], OK);
	queue_close(queue);
	ck_assert_int_eq(fake.closes, 1);
}
END_TEST

START_TEST(a_bad_job_does_not_fail_its_neighbours)
{
	struct queue *queue = open_fake();
	struct batch batch;

	fake.bad = &batch.letters[7].stored;
	run_behind_one(queue, &batch);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], i == 7 ? ERR_IO : OK);
	ck_assert_int_eq(fake.rollbacks, 2); /* the group, and it alone */
	queue_close(queue);
}
END_TEST

/* F-31: that there was nothing to write, or that something could be read, proves nothing. */
START_TEST(it_is_unsound_until_something_was_written)
{
	struct queue *queue = open_fake();
	struct batch batch;
	struct stored *claimed[1];
	enum err err = OK;
	struct claim_job claim = { .job = { .kind = JOB_CLAIM, .done = done, .waiter = &err },
		.claimed = claimed,
		.most = 1 };

	ck_assert(queue_is_sound(queue));
	fake.bad = &batch.letters[0].stored;
	fake.proves_fail = 1;
	hand_in(queue, &batch, 0, 1);
	wait_for(&dones, 1);
	ck_assert(!queue_is_sound(queue));
	queue_put(queue, &claim.job);
	wait_for(&dones, 1);
	ck_assert_int_eq(err, OK);
	stored_free(claimed[0]);
	ck_assert(!queue_is_sound(queue));
	while (fake.proves < 1)
		usleep(1000);
	ck_assert(!queue_is_sound(queue));
	for (int i = 0; i < 5000 && !queue_is_sound(queue); i++)
		usleep(1000);
	ck_assert(queue_is_sound(queue));
	ck_assert_int_eq(fake.proves, 2);
	queue_close(queue);
}
END_TEST

START_TEST(a_commit_that_fails_is_done_again_for_each)
{
	struct queue *queue = open_fake();
	struct batch batch;

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, JOBS);
	fake.commits_fail = 2; /* of the first, and of the first alone */
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, JOBS);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], i == 0 ? ERR_IO : OK);
	queue_close(queue);
}
END_TEST

/* It does not answer: each would take as long. */
START_TEST(a_store_that_hangs_is_not_asked_for_each)
{
	struct queue *queue = open_fake();
	struct batch batch;

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, JOBS);
	fake.commits_fail = 100;
	fake.hangs_at = 97; /* the first, it alone, the others, and the second alone */
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, JOBS);
	ck_assert_int_eq(fake.commits_fail, 96);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], ERR_IO);
	fake.commits_fail = 0;
	queue_close(queue);
}
END_TEST

/* ---- who waits no longer */

static atomic_int leaves;

static bool leave(struct job *job)
{
	(void)job;
	return ++leaves > 1; /* not at first */
}

/* The first is under way; of the others nothing ever was. */
START_TEST(who_waits_no_longer_is_told_so)
{
	struct queue *queue = open_fake();
	uint64_t now = now_us();
	struct batch batch;

	leaves = 0;
	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	batch.jobs[0].job.until_us = 1;
	batch.jobs[0].job.leave = leave;
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, 4);
	batch.jobs[1].job.until_us = batch.jobs[3].job.until_us = now + 1000000;
	hand_in(queue, &batch, 5, 6);
	batch.jobs[5].job.until_us = now + 2000000;
	batch.jobs[5].job.leave = leave;
	batch.jobs[5].job.stays = true;
	queue_tick(queue, now);
	ck_assert_int_eq(leaves, 1);
	ck_assert_int_eq(batch.errs[1], ERR_TLS);
	queue_tick(queue, now + 1000000);
	wait_for(&dones, 2);
	ck_assert_int_eq(batch.errs[1], ERR_IO);
	ck_assert_int_eq(batch.errs[2], ERR_TLS);
	ck_assert_int_eq(batch.errs[3], ERR_IO);
	ck_assert_int_eq(leaves, 2);
	queue_tick(queue, now + 2000000);
	ck_assert_int_eq(leaves, 3);
	ck_assert_int_eq(batch.errs[5], ERR_TLS);
	ck_assert_int_eq(batch.errs[0], ERR_TLS);
	hand_in(queue, &batch, 4, 5); /* behind what is left */
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, 4);
	ck_assert_int_eq(batch.errs[0], OK);
	ck_assert_int_eq(batch.errs[2], OK);
	ck_assert_int_eq(batch.errs[4], OK);
	ck_assert_int_eq(batch.errs[5], OK);
	ck_assert_int_eq(fake.accepts, 4);
	queue_tick(queue, UINT64_MAX);
	ck_assert_int_eq(leaves, 3);
	queue_close(queue);
}
END_TEST

START_TEST(others_are_told_and_what_they_tell_is_passed_on)
{
	struct queue *queue = open_fake();
	struct batch batch;

	hand_in(queue, &batch, 0, 1);
	wait_for(&dones, 1);
	wait_for(&ripes, 1);
	for (int i = 0; i < 5000 && !fake.tells; i++)
		usleep(1000);
	ck_assert_int_eq(fake.tells, 1);
	ck_assert_int_eq(tolds, 1);
	fake.has_heard = true;
	wait_for(&ripes, 1);
	for (int i = 0; i < 5000 && tolds < 2; i++)
		usleep(1000);
	ck_assert_int_eq(tolds, 2);
	ck_assert_int_eq(fake.tells, 1); /* it is no news of ours */
	queue_close(queue);
}
END_TEST

/* It may have been done, so it must not be done again. */
START_TEST(a_commit_in_doubt_is_told_to_all)
{
	struct queue *queue = open_fake();
	struct batch batch;

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, JOBS);
	fake.commit_err = ERR_DOUBT;
	fake.commits_fail = 2;
	fake.proves_fail = INT_MAX;
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, JOBS);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], ERR_DOUBT);
	ck_assert_int_eq(fake.accepts, JOBS);
	ck_assert(!queue_is_sound(queue));
	queue_close(queue);
}
END_TEST

/* Nothing was written: there is nothing to take back. */
START_TEST(a_refusal_takes_nothing_back)
{
	struct queue *queue = open_fake();
	struct batch batch;
	enum err err = OK;
	struct settle_job settle = { .job = { .kind = JOB_SETTLE, .done = done, .waiter = &err } };

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, 10);
	queue_put(queue, &settle.job);
	hand_in(queue, &batch, 10, JOBS);
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, JOBS + 1);
	ck_assert_int_eq(fake.rollbacks, 0);
	ck_assert_int_eq(fake.settles, 1);
	ck_assert_int_eq(err, ERR_VALUE);
	ck_assert(queue_is_sound(queue));
	queue_close(queue);
}
END_TEST

/* What a claim found in a group that was rolled back, it has to find again: nothing leaks. */
START_TEST(findings_of_a_group_that_failed_are_forgotten)
{
	struct queue *queue = open_fake();
	struct batch batch;
	struct stored *claimed[1];
	enum err err = ERR_TLS;
	struct claim_job claim = { .job = { .kind = JOB_CLAIM, .done = done, .waiter = &err },
		.claimed = claimed,
		.most = 1 };

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	queue_put(queue, &claim.job);
	hand_in(queue, &batch, 1, 2);
	fake.bad = &batch.letters[1].stored;
	fake.holds = false;
	sem_post(&fake.may_commit);
	wait_for(&dones, 3);
	ck_assert_int_eq(err, OK);
	ck_assert_uint_eq(claim.count, 1);
	stored_free(claimed[0]);
	fake.commits_fail = 2;
	queue_put(queue, &claim.job);
	wait_for(&dones, 1);
	ck_assert_int_eq(err, ERR_IO);
	ck_assert_uint_eq(claim.count, 0);
	queue_close(queue);
}
END_TEST

START_TEST(closing_does_all_that_was_handed_in)
{
	struct queue *queue = open_fake();
	struct batch batch;

	fake.holds = true;
	hand_in(queue, &batch, 0, 1);
	wait_for(&fake.commits_begun, 1);
	hand_in(queue, &batch, 1, JOBS);
	fake.holds = false;
	sem_post(&fake.may_commit);
	queue_close(queue);
	for (int i = 0; i < JOBS; i++)
		ck_assert_int_eq(batch.errs[i], OK);
	ck_assert_int_eq(fake.closes, 1);
	queue_close(NULL);
}
END_TEST

/* ---- time */

START_TEST(who_claims_is_told_that_there_is_something)
{
	struct queue *queue = open_fake();
	struct batch batch;

	hand_in(queue, &batch, 0, 1);
	wait_for(&ripes, 1);
	fake.due_ms = now_unix_ms() + 500; /* found with the next job, which is sooner */
	hand_in(queue, &batch, 1, 2);
	wait_for(&ripes, 2); /* for the job, and when it is due */
	ck_assert(now_unix_ms() >= fake.due_ms || fake.due_ms == INT64_MAX);
	queue_close(queue);
}
END_TEST

START_TEST(it_is_swept_until_there_is_no_more)
{
	struct queue *queue = open_fake();

	for (int i = 0; i < 5000 && fake.sweeps < 3; i++)
		usleep(1000);
	ck_assert_int_eq(fake.sweeps, 3);
	queue_close(queue);
}
END_TEST

/* … behind each group, whatever the pause; where none may be dropped, now and then. */
START_TEST(events_past_their_bound_are_swept_at_once)
{
	struct queue *queue = open_fake();
	struct batch batch;

	for (int i = 0; i < 5000 && fake.sweeps < 3; i++)
		usleep(1000);
	fake.drops_at_a_time = 5;
	fake.event_bytes = EVENT_BYTES + 15;
	for (int i = 0; i < 5000 && drops < 15; i++)
		usleep(1000);
	ck_assert_int_eq(drops, 15);
	ck_assert_int_eq(fake.sweeps, 3 + 3);
	fake.drops_at_a_time = 0;
	fake.event_bytes = EVENT_BYTES + 1;
	for (int i = 0; i < 200; i++) {
		hand_in(queue, &batch, 0, 1);
		wait_for(&dones, 1);
	}
	ck_assert_int_ge(fake.sweeps, 6 + 1);
	ck_assert_int_lt(fake.sweeps, 6 + 100);
	ck_assert_int_eq(drops, 15);
	queue_close(queue);
}
END_TEST

/* F-36: the longest delay is that of the settings in force. */
START_TEST(a_reload_changes_the_longest_delay)
{
	static const struct store_keeps keeps;
	struct queue *queue = open_fake();

	queue_adjust(queue, &keeps, 7654);
	for (int i = 0; i < 5000 && fake.furthest_ms != 7654; i++)
		usleep(1000);
	ck_assert_int_eq(fake.furthest_ms, 7654);
	queue_close(queue);
}
END_TEST

/* ---- many threads and a real store */

enum { THREADS = 8, EACH = 50 };

struct sender {
	struct queue *queue;
	unsigned first;
	pthread_t thread;
};

struct waited {
	sem_t is_done;
	enum err err;
};

static void tell(struct job *job)
{
	struct waited *waited = job->waiter;

	waited->err = job->err;
	sem_post(&waited->is_done);
}

static enum err put_and_wait(struct queue *queue, struct job *job)
{
	struct waited waited;

	sem_init(&waited.is_done, 0, 0);
	job->done = tell;
	job->waiter = &waited;
	queue_put(queue, job);
	wait_for(&waited.is_done, 1);
	sem_destroy(&waited.is_done);
	return waited.err;
}

static void *send_some(void *self)
{
	struct sender *sender = self;

	for (unsigned i = 0; i < EACH; i++) {
		struct letter letter;
		struct accept_job accept = { .job.kind = JOB_ACCEPT,
			.stored = &letter.stored,
			.pieces = &letter.body,
			.piece_count = 1,
			.now_ms = NOW + 100000 };

		letter_write(&letter, sender->first + i, "a");
		if (put_and_wait(sender->queue, &accept.job) != OK)
			return NULL;
	}
	return self;
}

START_TEST(many_threads_put_and_one_takes_all)
{
	static const struct store_limits no_limits;
	static const struct queue_settings settings = { .furthest_ms = 1000 };
	struct kit kit = kit_open(_i, no_limits);
	struct sender senders[THREADS];
	struct stored *claimed[CLAIM_MOST];
	struct claim_job claim = { .job.kind = JOB_CLAIM,
		.most = CLAIM_MOST,
		.claimed = claimed,
		.token = TOKEN,
		.lease_for_ms = 60 * SECOND };
	bool seen[THREADS * EACH] = { 0 };
	struct queue *queue;

	ck_assert_int_eq(queue_open(&settings, kit.store, &queue), OK);
	for (unsigned i = 0; i < THREADS; i++) {
		senders[i] = (struct sender){ .queue = queue, .first = i * EACH };
		ck_assert_int_eq(
			pthread_create(&senders[i].thread, NULL, send_some, &senders[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *went_well;

		pthread_join(senders[i].thread, &went_well);
		ck_assert_ptr_nonnull(went_well);
	}
	for (unsigned taken = 0; taken < THREADS * EACH; taken += (unsigned)claim.count) {
		ck_assert_int_eq(put_and_wait(queue, &claim.job), OK);
		ck_assert_uint_gt(claim.count, 0);
		for (size_t i = 0; i < claim.count; i++) {
			ck_assert(!seen[number_of(claimed[i])]);
			seen[number_of(claimed[i])] = true;
			stored_free(claimed[i]);
		}
	}
	queue_close(queue);
	kit_remove(&kit);
}
END_TEST

START_TEST(who_can_wait_waits_and_news_are_told)
{
	struct queue *queue = open_fake();
	struct letter letter;
	struct accept_job accept = { .job.kind = JOB_ACCEPT, .stored = &letter.stored };
	struct settle_job settle = { .job.kind = JOB_SETTLE, .stored = &letter.stored };
	struct claim_job claim = { .job.kind = JOB_CLAIM };
	struct stored *claimed[1];

	claim.claimed = claimed;
	letter_write(&letter, 1, "a");
	ck_assert_int_eq(queue_do(queue, &claim.job), OK);
	stored_free(claimed[0]);
	ck_assert_int_eq(queue_do(queue, &settle.job), ERR_VALUE);
	ck_assert_int_eq(tolds, 0);
	ck_assert_int_eq(queue_do(queue, &accept.job), OK);
	queue_close(queue);
	ck_assert_int_eq(tolds, 1);
}
END_TEST

UNIT_MAIN(queue, int backends = pg_server_start() ? KIT_BACKENDS : KIT_PG;
	  tcase_add_test(cases, jobs_that_arrive_while_a_commit_runs_share_the_next);
	  tcase_add_test(cases, a_bad_job_does_not_fail_its_neighbours);
	  tcase_add_test(cases, it_is_unsound_until_something_was_written);
	  tcase_add_test(cases, a_commit_that_fails_is_done_again_for_each);
	  tcase_add_test(cases, a_store_that_hangs_is_not_asked_for_each);
	  tcase_add_test(cases, who_waits_no_longer_is_told_so);
	  tcase_add_test(cases, a_commit_in_doubt_is_told_to_all);
	  tcase_add_test(cases, others_are_told_and_what_they_tell_is_passed_on);
	  tcase_add_test(cases, a_refusal_takes_nothing_back);
	  tcase_add_test(cases, findings_of_a_group_that_failed_are_forgotten);
	  tcase_add_test(cases, closing_does_all_that_was_handed_in);
	  tcase_add_test(cases, who_claims_is_told_that_there_is_something);
	  tcase_add_test(cases, who_can_wait_waits_and_news_are_told);
	  tcase_add_test(cases, it_is_swept_until_there_is_no_more);
	  tcase_add_test(cases, events_past_their_bound_are_swept_at_once);
	  tcase_add_test(cases, a_reload_changes_the_longest_delay);
	  tcase_add_loop_test(cases, many_threads_put_and_one_takes_all, 0, backends);)
