/* queue - how many messages a second the queue accepts, and hands out and settles
 *
 * usage: queue STORE SECONDS WAITING SUBMITTERS…
 *
 * Puts WAITING messages of 3 KB in first, then prints a line for each number of submitters, each of
 * whom hands in the next message when the last is on disk; then claims and settles. STORE is a
 * file, which is removed before and left behind, or postgresql://…: several may run on that. */
#include "service/queue/queue.h"
#include "service/store/backend.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/clock.h"

enum { BODY = 3000, MOST = 1024, TIMES = 1 << 20, KEYS = 10, CLAIM = 64, CLAIMERS = 4 };

static char body_bytes[BODY];
static const struct text body = { body_bytes, BODY };
static struct queue *queue;
static atomic_uint next_number;
static sem_t dones;
static uint64_t end_us;
static unsigned left; /* to put in, where a number is wanted */

/* ---- accepting */

struct submitter {
	struct accept_job job;
	struct stored stored;
	struct stored_recipient to;
	char key[16], message_id[48];
	uint64_t began_us;
};

static uint64_t times[TIMES]; /* the queue's thread alone writes them */
static size_t taken, failed;

static void submit(struct submitter *submitter)
{
	unsigned number = next_number++;
	int64_t now = now_unix_ms();
	struct stored *stored = &submitter->stored;

	*stored = (struct stored){ .state = MESSAGE_QUEUED,
		.created_ms = now,
		.due_ms = now,
		.updated_ms = now,
		.expires_ms = now + 86400000,
		.size_bytes = BODY,
		.has_body = true,
		.to = &submitter->to,
		.count = 1,
		.from = TEXT("shop@example.com"),
		.sender = TEXT("shop@example.com"),
		.subject = TEXT("Your order") };
	snprintf(stored->id, sizeof(stored->id), "0199%04x-%04x-7000-8000-%012x", number >> 16,
		number & 0xffff, (unsigned)getpid());
	snprintf(submitter->key, sizeof(submitter->key), "key%u", number % KEYS);
	snprintf(submitter->message_id, sizeof(submitter->message_id), "<%s@e.com>", stored->id);
	stored->key_id = text_of(submitter->key);
	stored->message_id = text_of(submitter->message_id);
	submitter->to = (struct stored_recipient){
		.address = TEXT("ann@example.org"), .is_open = true, .outcome = SMTP_QUEUED
	};
	submitter->job.now_ms = now;
	submitter->began_us = now_us();
	queue_put(queue, &submitter->job.job);
}

static void on_accept(struct job *job)
{
	struct submitter *submitter = job->waiter;
	uint64_t now = now_us();

	if (job->err)
		failed++;
	else if (taken < TIMES)
		times[taken++] = now - submitter->began_us;
	else
		taken++;
	if (left ? --left >= MOST : now < end_us)
		submit(submitter);
	else
		sem_post(&dones);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static uint64_t run_submitters(unsigned count)
{
	static struct submitter submitters[MOST];
	uint64_t began = now_us();

	taken = failed = 0;
	for (unsigned i = 0; i < count; i++) {
		submitters[i].job = (struct accept_job){
			.job = { .kind = JOB_ACCEPT, .done = on_accept, .waiter = &submitters[i] },
			.stored = &submitters[i].stored,
			.pieces = &body,
			.piece_count = 1
		};
		submit(&submitters[i]);
	}
	for (unsigned i = 0; i < count; i++)
		sem_wait(&dones);
	return now_us() - began;
}

/* ---- claiming and settling */

struct claimer {
	struct claim_job claim;
	struct stored *claimed[CLAIM];
	struct text bodies[CLAIM];
	struct settle_job settles[CLAIM];
	struct event events[CLAIM];
	size_t open;
};

static void claim_more(struct claimer *claimer)
{
	claimer->claim.now_ms = now_unix_ms();
	queue_put(queue, &claimer->claim.job);
}

static void on_settle(struct job *job)
{
	struct claimer *claimer = job->waiter;
	struct settle_job *settle = (struct settle_job *)job;

	taken += job->err == OK;
	failed += job->err != OK;
	stored_free((struct stored *)settle->stored);
	if (--claimer->open)
		return;
	if (now_us() < end_us)
		claim_more(claimer);
	else
		sem_post(&dones);
}

static void on_claim(struct job *job)
{
	struct claimer *claimer = job->waiter;

	if (job->err || !claimer->claim.count) {
		sem_post(&dones);
		return;
	}
	claimer->open = claimer->claim.count;
	for (size_t i = 0; i < claimer->claim.count; i++) {
		struct stored *stored = claimer->claimed[i];

		stored->state = MESSAGE_SENT;
		claimer->events[i] = (struct event){ .at_ms = now_unix_ms(),
			.type = TEXT("message.sent"),
			.key_id = stored->key_id,
			.content = TEXT("{\"id\":\"0199\",\"outcome\":\"accepted\"}") };
		claimer->settles[i] = (struct settle_job){
			.job = { .kind = JOB_SETTLE, .done = on_settle, .waiter = claimer },
			.stored = stored,
			.now_ms = now_unix_ms(),
			.events = &claimer->events[i],
			.event_count = 1
		};
		queue_put(queue, &claimer->settles[i].job);
	}
}

static uint64_t run_claimers(void)
{
	static struct claimer claimers[CLAIMERS];
	uint64_t began = now_us();

	taken = failed = 0;
	for (unsigned i = 0; i < CLAIMERS; i++) {
		claimers[i].claim = (struct claim_job){
			.job = { .kind = JOB_CLAIM, .done = on_claim, .waiter = &claimers[i] },
			.most = CLAIM,
			.has_body = true,
			.mark = MARK_MAIL,
			.token = 1 + i,
			.lease_for_ms = 30000,
			.claimed = claimers[i].claimed,
			.bodies = claimers[i].bodies
		};
		claim_more(&claimers[i]);
	}
	for (unsigned i = 0; i < CLAIMERS; i++)
		sem_wait(&dones);
	return now_us() - began;
}

/* ---- the whole */

static long rss_kb(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "RssAnon:", 8) == 0)
			kb = strtol(line + 8, NULL, 10);
	if (status)
		fclose(status);
	return kb;
}

static void open_queue(const char *path)
{
	static const struct store_limits no_limits;
	static const struct queue_settings settings = { .furthest_ms = 3600000,
		.keeps = { 86400000, 86400000, 0, 86400000, 86400000 } };
	struct buf why = buf_born(1000);
	struct store store;
	uint64_t began = now_us();
	enum err err = *path == '/' ? store_sqlite_open(path, &no_limits, &store, &why)
				    : store_pg_open(path, &no_limits, NULL, &store, &why);

	if (err || queue_open(&settings, store, &queue) != OK) {
		fprintf(stderr, "%.*s\n", (int)why.len, why.at);
		exit(1);
	}
	printf("opened in %lu ms\n", (unsigned long)((now_us() - began) / 1000));
}

static void report(const char *what, unsigned count, uint64_t took_us)
{
	size_t timed = taken < TIMES ? taken : TIMES;

	printf("%-22s %5u  %8.0f /s", what, count, (double)taken * 1e6 / (double)took_us);
	if (times[0]) {
		qsort(times, timed, sizeof(*times), compare);
		printf("  p50 %.2f ms  p99 %.2f ms", (double)times[timed / 2] / 1000,
			(double)times[timed * 99 / 100] / 1000);
	}
	printf("  failed %zu  RssAnon %ld MB\n", failed, rss_kb() / 1024);
	fflush(stdout);
	memset(times, 0, sizeof(times));
}

static void remove_file(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-reserve" };
	char name[4096];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

int main(int count, char **words)
{
	unsigned seconds, waiting;

	if (count < 5) {
		fprintf(stderr, "usage: queue STORE SECONDS WAITING SUBMITTERS...\n");
		return 2;
	}
	seconds = (unsigned)strtoul(words[2], NULL, 10);
	waiting = (unsigned)strtoul(words[3], NULL, 10);
	memset(body_bytes, 'x', BODY);
	sem_init(&dones, 0, 0);
	if (*words[1] == '/')
		remove_file(words[1]);
	open_queue(words[1]);
	if (waiting >= 2 * MOST) {
		left = waiting;
		report("filling", MOST, run_submitters(MOST));
		left = 0;
		queue_close(queue);
		open_queue(words[1]);
	}
	for (int i = 4; i < count; i++) {
		unsigned submitters = (unsigned)strtoul(words[i], NULL, 10);

		end_us = now_us() + seconds * UINT64_C(1000000);
		report("accepts, submitters", submitters,
			run_submitters(submitters < MOST ? submitters : MOST));
	}
	end_us = now_us() + seconds * UINT64_C(1000000);
	report("claims and verdicts", CLAIMERS * CLAIM, run_claimers());
	queue_close(queue);
	return 0;
}
