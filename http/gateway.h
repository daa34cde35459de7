/* gateway - what HTTP asks of the program that it is a part of
 *
 * One table of functions, so that http/ knows neither relays nor settings, and a test can stand in.
 * Every function may be called from every HTTP thread. */
#pragma once

#include "http/delivery.h"
#include "http/event.h"
#include "http/template/template.h"

enum scope {
	SCOPE_SEND = 1,
	SCOPE_READ = 2,
	SCOPE_TEMPLATES = 4,
	SCOPE_TRACE = 8,
	SCOPE_ADMIN = 16,
	SCOPE_ALL = 31,
};

/* Who asks, and what the key allows. An empty list of patterns allows everything. */
struct caller {
	struct text key_id;
	unsigned number; /* of the key among those that there are */
	unsigned scopes; /* of enum scope */
	const struct text *from, *to, *relays;
	size_t from_count, to_count, relay_count;
};

struct rate_state {
	uint32_t retry_after_s;
	uint32_t limit, remaining, window_s; /* limit 0: none */
};

/* What became of a change of the templates that are kept. */
enum template_change {
	TEMPLATE_MADE = 1,
	TEMPLATE_CHANGED,
	TEMPLATE_REMOVED,
	TEMPLATE_MISSING, /* there is none of this name */
	TEMPLATE_IS_FILE, /* out of TEMPLATES_DIR: changed only there */
	TEMPLATE_IS_WRONG,
	TEMPLATE_NO_ROOM,
	TEMPLATE_NOT_KEPT, /* the store could not write it */
	TEMPLATE_IN_DOUBT, /* … or it did, or it comes to do so: nobody knows */
	TEMPLATE_NO_MEMORY,
	TEMPLATE_TOO_MANY, /* changes are under way already */
};

/* A template that is to be kept, or to go. The caller's; the other side's until it calls done(),
 * from any thread, maybe before it returns. */
struct changing {
	struct text name;
	const struct template_source *source; /* to be kept, as a copy; NULL: it goes */
	enum template_change change;          /* told */
	const struct template *template;      /* told where it was made or changed: held */
	struct template_fault fault;          /* told where it is wrong */
	uint64_t patience_us;                 /* as struct asking's, and so is leave() */
	struct changing *(*leave)(struct changing *changing);
	void (*done)(struct changing *changing);
	void *waiter;
};

/* The clock and chance, in one call. */
struct stamp {
	int64_t unix_ms;
	uint64_t now_us; /* monotonic */
	unsigned char random[32];
};

/* One answered request, for metrics and the log. */
struct exchange_seen {
	const char *method, *route; /* the route's pattern, from a closed set */
	struct text request_id, key_id, traceparent, client;
	unsigned status;
	size_t replayed; /* messages of it that were answered before */
	uint64_t took_us;
};

struct query {
	struct text state, recipient, tag;
	int64_t since_ms;
	size_t limit;
	struct text cursor; /* an id: older ones only */
};

struct events_query {
	uint64_t after;   /* a cursor: later ones only */
	bool is_from_now; /* later than the last that there is */
	uint32_t wait_s;  /* for the first, where there is none yet */
	size_t limit;
	struct event_filter filter;
};

/* A relay that is tried step by step. The caller's; once it was taken, the other side's until it
 * calls done(), from a thread of its own. */
struct checking {
	struct text to;    /* the recipient to ask the relay about, an addr-spec; empty: nobody */
	struct buf report; /* a JSON object is appended; left empty: no memory */
	void (*done)(struct checking *checking);
	void *waiter;
};

enum checking_start {
	CHECKING,
	CHECKING_NO_RELAY, /* none of this name */
	CHECKING_TOO_MANY, /* under way already */
	CHECKING_DRAINING,
};

/* What is asked of the queue, which answers from a thread of its own. The caller's; once it was
 * taken, the other side's until it calls done(). What is told lies in `region`. */
struct asking {
	enum asking_for {
		ASK_ONE,
		ASK_LIST,
		ASK_RAW,
		ASK_CANCEL,
		ASK_COUNTS,
		ASK_RETRY,
		ASK_EVENTS,
	} what;
	const struct caller *caller;
	struct text id;                          /* but for ASK_LIST, ASK_EVENTS, ASK_COUNTS */
	const struct query *query;               /* ASK_LIST */
	const struct events_query *events_query; /* ASK_EVENTS */
	struct region *region;
	/* ERR_MISSING: there is no such message, or it is another key's. ERR_VALUE: its text is not
	 * kept, it is in a state in which that cannot be done, or nothing was ever written at the
	 * cursor. ERR_LIMIT: too many wait for events or lists already; ASK_RETRY: the queue is
	 * full. ERR_DOUBT: a change may have been done, or come to be done. */
	enum err err;
	const char *why;              /* with another error: what is wrong with the store */
	const struct record *records; /* ASK_ONE, ASK_LIST */
	size_t count;                 /* of them, or of the events */
	const struct event *events;   /* ASK_EVENTS */
	uint64_t event_cursor;        /* ASK_EVENTS: to ask for the next from there */
	struct text cursor;           /* ASK_LIST: for the next page; empty: that was all */
	struct text raw;              /* ASK_RAW */
	const void *counts;           /* ASK_COUNTS: for `metrics`; NULL: they could not be told */
	const char *state;            /* ASK_CANCEL, ASK_RETRY: that it is in now */
	bool lacks_text;              /* ASK_RETRY: there is nothing to send any more */
	bool is_damaged;              /* ASK_RETRY: what is kept cannot be read */
	const char *full;             /* ASK_RETRY, ERR_LIMIT: what there is too much of. Static */
	/* How long whoever asks waits for the store; 0: for ever. Who is to hear something before
	 * done(), while his memory is in use, is given a copy, for that one's done(). Then its own
	 * done() only frees it. One thread at a time; once. NULL: no memory for it. */
	uint64_t patience_us;
	struct asking *(*leave)(struct asking *asking);
	void (*done)(struct asking *asking);
	void *waiter;
};

struct gateway {
	void *self;
	void (*stamp)(void *self, struct stamp *stamp_out);
	/* Is `secret`, the key as sent, one of ours? What the caller points at is copied into
	 * `region`. Nobody is told why not. */
	bool (*admit)(
		void *self, struct text secret, struct region *region, struct caller *caller_out);
	/* Counts messages against the key's rate; false: over it, and nothing was counted. */
	bool (*charge)(void *self, const struct caller *caller, size_t messages,
		struct rate_state *rate_out);
	/* Sets bytes aside for a request that holds `held` already; false: too many are in flight.
	 * One that is alone is never refused: it would be for ever. */
	bool (*reserve)(void *self, uint64_t held, uint64_t bytes);
	void (*release)(void *self, uint64_t bytes);
	/* Seconds until it is worth trying again, out of the measured rate. */
	uint32_t (*overload_pause_s)(void *self);
	/* Puts DKIM signatures in front of what is from `domain`, an address's; nothing where no
	 * key is for it. On an error, one of dkim_sign_message's (smtp/dkim/dkim.h), the message is
	 * as it was, and must not be sent. */
	enum err (*sign)(void *self, struct text domain, int64_t time_s, struct region *region,
		struct smtp_message *message);
	/* Takes the delivery until done(), which may be called before this returns. Anything but
	 * SUBMITTED leaves it with the caller, as if its idempotency key had never been seen; so
	 * does `refused`, if that was found out later. */
	enum submission (*submit)(void *self, struct delivery *delivery);
	/* The answer to one that is REPEAT_FIRST, a JSON object; empty: it could not be written.
	 * Once for each that has no first_answer, after done(): its outcome decides whether the
	 * answer is remembered, or the key is free again. */
	void (*remember)(void *self, const struct delivery *delivery, struct text answer);
	bool has_store;           /* messages may be queued */
	const char *repeats_last; /* for Idempotency-Scope: "process" or "store" */
	/* Where there is a store, in place of the three below. */
	void (*ask)(void *self, struct asking *asking);
	/* Calls `see` with the record while nobody can change it; false: none, or another key's. */
	bool (*look_up)(void *self, const struct caller *caller, struct text id,
		void (*see)(const struct record *record, void *context), void *context);
	/* The same for many, newest first; true: there are more. */
	bool (*list)(void *self, const struct caller *caller, const struct query *query,
		void (*see)(const struct record *record, void *context), void *context);
	/* The message as sent, copied into `region`. ERR_MISSING: no such message; ERR_VALUE: its
	 * text is not kept. */
	enum err (*raw)(void *self, const struct caller *caller, struct text id,
		struct region *region, struct text *raw_out);
	/* Is it ready? Appends a JSON object with the reasons. */
	bool (*ready)(void *self, struct buf *json);
	/* `counts`: what ASK_COUNTS told; NULL: nothing. */
	void (*metrics)(void *self, bool open_metrics, const void *counts, struct buf *text);
	void (*observe)(void *self, const struct exchange_seen *seen);
	/* Appends each relay as a JSON object, with commas between. */
	void (*relays)(void *self, struct buf *json);
	/* Starts a check of the relay of this name. Anything but CHECKING: done() is not called. */
	enum checking_start (*check)(void *self, struct text name, struct checking *checking);
	/* The template of this name, whatever becomes of it until template_release; NULL: none. */
	const struct template *(*template_hold)(void *self, struct text name);
	void (*template_release)(void *self, const struct template *template);
	/* A partial that all templates may use, copied into `region`. ERR_MISSING: there is none.
	 * ERR_LIMIT: the region is full. ERR_MEMORY. */
	enum err (*template_partial)(
		void *self, struct text name, struct region *region, struct text *text_out);
	/* Its template, if there is one, is to be released. */
	void (*template_change)(void *self, struct changing *changing);
	/* Calls `see` with each, by name, while nobody can change them. */
	void (*template_list)(void *self,
		void (*see)(const struct template *template, void *context), void *context);
};
