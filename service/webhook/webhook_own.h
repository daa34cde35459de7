/* webhook_own - what webhooks.c (all of them), webhook.c (one), webhook_page.c (its events) and
 * webhook_note.c (how far it is) share */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "service/queue/queue.h"
#include "service/webhook/webhook_place.h"
#include "service/webhook/webhook_post.h"
#include "service/webhook/webhooks.h"

enum { PAGE_EVENTS = 50 };

struct webhooks {
	struct queue *queue;
	struct log *log;
	struct metrics *metrics;
	atomic_bool must_stop; /* what is under way is cut short */
	pthread_mutex_t lock;  /* over all that follows, and what is said to be in struct webhook */
	pthread_cond_t change;
	struct webhook *all;
	uint64_t news; /* grows */
	bool is_stopped;

	bool is_begun;   /* there were settings */
	uint64_t newest; /* the last event that there was when the program began */
	bool lacks_newest;
};

struct webhook {
	struct webhooks *webhooks;
	pthread_t thread;
	/* behind the lock */
	struct webhook *next;
	struct settings *settings; /* held; in force from the next event on */
	const struct webhook_settings *wanted;
	unsigned version; /* of the two, grows */
	bool ends, is_over, is_gone;
	bool is_ours;      /* we have its lease, and have looked for events */
	int64_t oldest_ms; /* then: when the oldest was written that it has not had; 0: it had all
			    */

	/* the thread's own */
	struct settings *taken; /* held */
	const struct webhook_settings *webhook;
	unsigned taken_version;
	struct web *web;
	uint64_t token;
	bool has_lease, is_elsewhere; /* elsewhere: another process has it, and that was told */
	bool is_behind;               /* something is not noted yet */
	bool has_taken;               /* … of which events that were taken */
	uint64_t noted_us;            /* when it was noted last */
	uint64_t renew_us;
	struct webhook_place place;
	bool begins_at_newest; /* there is no note, and it begins at webhooks->newest */
	uint32_t pace_ms;      /* between two events, after it asked for less */
	uint64_t next_us;      /* not before that */
	bool is_troubled;      /* the store is, and the log says so */
	struct region *region; /* of the page; NULL: there is none */
	struct event events[PAGE_EVENTS];
	size_t count, at;
	uint64_t page_cursor, page_next, news; /* page_next: the first of the next page; 0: it is
						  not known */
	uint64_t missed_us;                    /* when the log said last that it has missed some */
};

/* webhook.c: the thread of one; `self` is it. */
void *webhook_run(void *self);

/* webhook_page.c: reads what comes next; the page is empty where there is nothing. */
MUST_USE enum err webhook_page_read(struct webhook *webhook);
/* The next one that it wants; NULL: none in this page. */
const struct event *webhook_page_next(struct webhook *webhook);
/* That one is done with. */
void webhook_page_pass(struct webhook *webhook);
/* All of it is done with. */
void webhook_page_end(struct webhook *webhook);
void webhook_page_drop(struct webhook *webhook);
/* For /metrics: as is_ours and oldest_ms say. */
void webhook_page_age(struct webhook *webhook, bool is_ours, int64_t oldest_ms);

/* webhook_note.c: takes or renews the lease (`lease_ms` 0: gives it back), and notes how far it is;
 * with the lease it learns that (is_behind then: there was no note yet). ERR_VALUE: another process
 * has it. */
MUST_USE enum err webhook_note(struct webhook *webhook, int64_t lease_ms);
void webhook_log_trouble(const struct webhook *webhook, enum err err, const char *detail);
