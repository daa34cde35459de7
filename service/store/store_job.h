/* store_job - what a store is asked to do, one job at a time, and what it is told beside them
 *
 * What the verbs of store.h answer is told there. Whoever hands in a job keeps it. */
#pragma once

#include "http/event.h"
#include "service/store/stored.h"

enum {
	STORE_LANE_BYTES = 255,
	STORE_LIST_STEPS = 200,   /* messages looked into for one page, at most */
	STORE_LIST_PASSED = 2000, /* … and passed over by what stands beside their bytes */
	STORE_LIST_FEW = 1000,    /* of one state: these are looked for by it */
	STORE_EVENT_STEPS = 2000, /* events looked at for one page, at most */
	STORE_SWEEP_STEPS = 200,  /* messages swept at a time, at most */
	STORE_SHED_STEPS = 1000,  /* events dropped at a time to keep their bound, and as many as
				     came since the last time */
	STORE_RIPE_STEPS = 1000,
	STORE_ONCE_HASH = 32,
	STORE_NOTE_NAME_BYTES = 255,
	STORE_NOTE_BYTES = 4096,
};

/* Settings of a store. 0 is no bound. */
struct store_limits {
	uint64_t messages, bytes, per_key; /* that are not settled; bytes: by stored_weight */
};

/* Which of them is reached. */
enum store_bound { BOUND_NONE, BOUND_MESSAGES, BOUND_BYTES, BOUND_OF_KEY };

/* How long things are remembered after they are settled, in ms. */
struct store_keeps {
	int64_t sent_ms, failed_ms, body_ms, once_ms, event_ms;
	uint64_t event_bytes; /* of all events, by rules_event_bytes; 0: no bound */
};

/* A request that is to be done once (Idempotency-Key), scoped to its API key. */
struct once {
	struct text key_id, key;
	unsigned char hash[STORE_ONCE_HASH]; /* of the message: what has to be the same */
	struct text answer;                  /* what is told again; opaque */
};

enum once_found {
	ONCE_NEW, /* it is noted as running, by whoever asked */
	ONCE_RUNNING,
	ONCE_CUT, /* a process died over it: nobody knows what became of it. Whoever asked has it
		     now, and is to end it */
	ONCE_DONE,
	ONCE_OTHER, /* the key was used for another message */
};

/* What an accept does about its `once`, in its transaction. */
enum accept_once {
	ACCEPT_BEGINS, /* unless it is new, nothing is accepted, and `found` is why */
	ACCEPT_ENDS,   /* it runs, and is the caller's: its answer is kept */
	ACCEPT_FREES,  /* the same, and it may be done again */
};

enum job_kind {
	JOB_ACCEPT,
	JOB_CLAIM,
	JOB_FENCE,
	JOB_RENEW,
	JOB_RELEASE,
	JOB_SETTLE,
	JOB_CHANGE,
	JOB_LOOK_UP,
	JOB_BODY,
	JOB_LIST,
	JOB_EVENTS,
	JOB_ONCE_BEGIN,
	JOB_ONCE_END,
	JOB_NOTE,
	JOB_TEMPLATE,
	JOB_TEMPLATES,
	JOB_COUNTS,
	JOB_KINDS,
};

/* The first member of every job. Whoever hands it in keeps it, and all that it points at, until
 * done(). */
struct job {
	enum job_kind kind;
	struct job *next; /* the queue's own */
	enum err err;     /* what came of it */
	void (*done)(struct job *job);
	void *waiter; /* for done() */
	/* Until when somebody waits for it, monotonic; 0: for ever. One that was not begun by then
	 * is done, with ERR_IO, if it need not be begun later (`stays`). Else this is called, once:
	 * whoever waits is to hear something, and done() is called as ever. False: not now. Under a
	 * lock: it must not wait, nor hand in another. NULL: he waits on. */
	uint64_t until_us;
	bool (*leave)(struct job *job);
	bool stays;
};

/* A message comes in. Its state says what is to become of it: queued, scheduled and deferred ones
 * wait for due_ms; a sending one is the caller's, as if claimed; settled ones are only remembered,
 * with their bytes if `has_body` says so. */
struct accept_job {
	struct job job;
	const struct stored *stored;
	const struct text *pieces; /* its bytes, in pieces */
	size_t piece_count;
	int64_t now_ms;
	int64_t lease_for_ms; /* of a sending one, with its token */
	const struct event *events;
	size_t event_count;
	const struct once *once; /* NULL: none */
	enum accept_once step;
	struct region *region; /* ACCEPT_BEGINS: what was told before is copied into it */
	enum once_found found;
	struct text answer;
	enum store_bound full; /* told with ERR_LIMIT */
	uint64_t weight;       /* the store's own: what it counts, as stored_weight */
};

/* A lane out of which no more than so many are to come. */
struct narrow_lane {
	struct text lane;
	size_t room; /* told: what is left of it */
};

/* Messages that are due, the oldest of each key's first, keys taking turns; for relays that are not
 * in `resting`. Of those whose time is over meanwhile some come with each claim. One that a process
 * has died over comes alone, and for its first seconds out nothing else comes. Each counts as a try
 * from then on. */
struct claim_job {
	struct job job;
	const struct text *resting; /* lanes that are left out; "" is the lane of those for any */
	size_t resting_count;
	struct narrow_lane *narrow; /* others than those */
	size_t narrow_count;
	size_t most;         /* messages */
	uint64_t most_bytes; /* by stored_weight: that was the last that passes it; 0: no bound */
	bool has_body;
	enum message_mark mark; /* set from the beginning */
	int64_t now_ms, lease_for_ms;
	uint64_t token;          /* of all of them; not 0 */
	struct stored **claimed; /* room for `most`; the caller's, to be freed by stored_free */
	struct text *bodies;     /* the same, if has_body; in the message's region */
	size_t count;
	uint64_t bytes; /* told: of those that were claimed, the same */
	bool has_more;  /* there may be others that are due */
	size_t damaged; /* so many could not be read, and are held from now on; events tell it */
	char (*damaged_ids)[DELIVERY_ID_LEN +
			    1]; /* told: theirs; room for `most`. NULL: not told */
};

/* Is the lease still ours? Asked right before what cannot be taken back; sets the mark with it.
 * ERR_VALUE: it is not. A mark of MARK_END has to be on disk when that is told. Where it
 * `only_notes` nobody waits for it: it is there for a process that dies, and may be lost when the
 * store does. */
struct fence_job {
	struct job job;
	const char *id;
	uint64_t token;
	int64_t lease_for_ms; /* it is renewed with that */
	enum message_mark mark;
	bool only_notes;
};

struct lease {
	const char *id;
	uint64_t token;
	bool is_lost; /* told: it is somebody else's, or nobody's */
};

struct renew_job {
	struct job job;
	struct lease *leases;
	size_t count;
	int64_t lease_for_ms;
};

/* Given back untried: the try does not count, there is no mark. `lane` as it is from now on. */
struct release_job {
	struct job job;
	const char *id;
	uint64_t token;
	int64_t now_ms, due_ms;
	struct text lane;
};

/* What came of a claimed message: state, course, lane, due_ms and expires_ms of `stored`, in one
 * transaction with its events. Its bytes go if it is settled, unless `keep_body`. */
struct settle_job {
	struct job job;
	const struct stored *stored; /* with the token of its lease */
	bool keep_body;
	bool goes_on; /* of a part of it: it stays out, under the same lease, in the state that it
			 is in. Only its course and the events are written; the end of its data
			 has not gone to those who are still open */
	int64_t now_ms;
	const struct event *events;
	size_t event_count;
};

/* Somebody wants a message cancelled, or tried again now; or the relay's answer came late. */
struct change_job {
	struct job job;
	const char *id;
	struct text key_id; /* whose it has to be; `at` NULL: anybody's */
	enum change { CHANGE_CANCEL, CHANGE_RETRY, CHANGE_LATE } change;
	bool keep_body;
	int64_t now_ms, expires_ms; /* expires_ms: of one that is tried again */
	/* What is told of it, written with the change: of the message as it was found, in its
	 * region. The queue's thread. NULL: nothing. */
	enum err (*tell)(const struct stored *found, int64_t now_ms, struct event *event_out);
	/* CHANGE_LATE: notes it in the message, if nobody is sending that, and gives what is told
	 * of it. ERR_VALUE: it changes nothing. The queue's thread. */
	enum err (*note)(struct change_job *change, struct stored *found);
	const struct event *events; /* what is told of it */
	size_t event_count;
	struct event event;       /* the store's own */
	enum message_state state; /* told: the one it is in. ERR_VALUE: it was left alone */
	bool lacks_body;          /* told with ERR_VALUE: its text is not kept any more */
	bool is_damaged;          /* told with ERR_VALUE: it cannot be read */
	enum store_bound full;    /* told with ERR_LIMIT */
};

struct look_up_job {
	struct job job;
	const char *id;
	struct text key_id;   /* as above */
	struct stored *found; /* to be freed by stored_free */
};

/* ERR_VALUE: its text is not kept, or damaged. */
struct body_job {
	struct job job;
	const char *id;
	struct text key_id; /* as above */
	struct region *region;
	struct text body;
};

/* Newest first. One page looks into STORE_LIST_STEPS messages at most, so that nobody waits long
 * for it; it may hold few or none and there be more nevertheless. */
struct list_job {
	struct job job;
	struct text key_id; /* as above */
	bool has_state;
	enum message_state state;
	struct text recipient, tag; /* empty: any */
	int64_t since_ms;
	char cursor[DELIVERY_ID_LEN + 1]; /* in: older than that; "": from the newest. Out: for the
					     next page; "": that was all */
	size_t most;
	uint64_t most_bytes;   /* of what is looked into: that was the last that passes it; 0: no
				  bound */
	struct stored **found; /* room for `most`; to be freed by stored_free */
	size_t count;
	uint64_t bytes; /* told: of those that were found, without their texts */
};

/* In the order in which they were written. Whoever asks from a cursor on misses none: nothing is
 * ever committed with a cursor at or below one that was told. (A backend whose writers run beside
 * each other has to see to that.) Like a list, one page may hold few or none and there be more
 * nevertheless; that was all when `cursor` is `after`. */
struct events_job {
	struct job job;
	uint64_t after;
	struct text key_id;  /* as above */
	size_t most;         /* 0: only `newest` is asked for */
	uint64_t most_bytes; /* of contents: that was the last that passes it; 0: no bound */
	struct region *region;
	struct event *events; /* room for `most` */
	size_t count;
	uint64_t cursor; /* told: to ask for the next from there */
	uint64_t newest; /* told: the last of all there are; 0: there is none */
	uint64_t last;   /* told: no cursor was ever given behind this one */
};

struct once_begin_job {
	struct job job;
	const struct once *once; /* but for its answer */
	int64_t now_ms;
	struct region *region;
	enum once_found found;
	struct text answer; /* ONCE_DONE */
};

/* `is_free`: it may be done again; else the answer is kept. Of another run than the one that began
 * then nothing is changed: so it may be told again when it is in doubt whether it was. */
struct once_end_job {
	struct job job;
	const struct once *once;
	bool is_free;
	int64_t began_ms; /* now_ms of its once_begin_job; 0: any */
	int64_t now_ms;
};

/* A small value kept under a name, and who may change it: one at a time, of all processes that
 * share the store. Asking makes it, takes its lease or renews it. ERR_VALUE: somebody else has the
 * lease, or the name or the content is too long. */
struct note_job {
	struct job job;
	struct text name;     /* at most STORE_NOTE_NAME_BYTES */
	uint64_t token;       /* of whoever asks; not 0 */
	int64_t lease_for_ms; /* 0: it is given back */
	struct text content;  /* what it says from now on, at most STORE_NOTE_BYTES; opaque. `at`
				 NULL: what it said */
	struct region *region;
	struct text found; /* told: what it said until now; empty: nothing yet */
};

/* Keeps a template, or removes it where `content` has no `at`. ERR_MISSING: there was none. */
struct template_job {
	struct job job;
	struct text name, content; /* opaque */
	bool was_there;            /* told */
};

/* All of them, by name; or only that they are the same as when that was told last. */
struct templates_job {
	struct job job;
	const uint64_t *known; /* the revision that was told then; NULL: none was */
	uint64_t revision;     /* told: another one whenever something was changed */
	bool is_same;          /* told: it is the one that is known, and nothing else is told */
	struct region *region;
	struct kept_template {
		struct text name, content;
	} * templates;
	size_t count;
};

struct counts_job {
	struct job job;
	uint64_t messages[MESSAGE_STATES];
	uint64_t bytes;               /* of those that are not settled, by stored_weight */
	uint64_t events, event_bytes; /* that are kept; by rules_event_bytes */
	/* Of those whose state ages, to the second. */
	int64_t oldest_ms;         /* when the oldest was accepted; 0: there is none */
	int64_t now_ms;            /* the caller's */
	uint64_t aged[STORE_AGES]; /* so many were accepted within store_ages_ms */
};

/* Not jobs: what the queue does by itself between them. */
struct tick {
	int64_t now_ms;
	bool looks;           /* leases and far moments are looked after now, else once a second */
	int64_t furthest_ms;  /* from now: no deferred message waits longer (F-36) */
	size_t ripe;          /* told: so many became due */
	bool has_more;        /* … and there are others */
	int64_t next_ms;      /* the next becomes due then; INT64_MAX: none waits */
	uint64_t event_bytes; /* told: of the events that are kept */
};

struct sweep {
	int64_t now_ms;
	struct store_keeps keeps;
	bool has_more;  /* told */
	size_t dropped; /* told: so many events went before their time */
};
