/* delivery - one message on its way, and what came of it
 *
 * A delivery has one owner at a time: HTTP makes it, hands it over by gateway->submit, and owns it
 * again from done() on. Whoever owns it may use its region, which holds all that it points at. */
#pragma once

#include "http/digest.h"
#include "smtp/session/session.h"

enum { DELIVERY_ID_LEN = 36, ATTEMPTS_MAX = 8 };

/* Nothing is sent: it is shown what would be, or the relay is asked whom it would take. */
enum dry_run { NOT_DRY, DRY_RENDER, DRY_ENVELOPE };

/* What its idempotency key says of a delivery. */
enum repeat {
	REPEAT_NONE,     /* it has none */
	REPEAT_FIRST,    /* nobody came with it before: it is sent, and its answer remembered */
	REPEAT_AGAIN,    /* it was answered before: nothing is done */
	REPEAT_RUNNING,  /* the first with it is still under way: nothing is done */
	REPEAT_MISMATCH, /* it came with another message: nothing is done */
	REPEAT_NO_ROOM,  /* it could not be remembered: nothing is done */
	REPEAT_KINDS,
};

enum submission {
	SUBMITTED,
	SUBMISSION_OVERLOADED,
	SUBMISSION_RELAY_FULL, /* there is room, and delivery->full_relay has its part of it */
	SUBMISSION_DRAINING,
	SUBMISSION_NO_RELAY,        /* no relay of the name asked for */
	SUBMISSION_RELAY_FORBIDDEN, /* the key may use none of those that there are */
};

/* When its sender is answered, and by whom it is kept until then. */
enum delivery_way {
	DELIVER_NOW,            /* it is sent; then he hears what came of it */
	DELIVER_QUEUED,         /* when it is in the queue, from which it is sent */
	DELIVER_NOW_THEN_QUEUED /* it is sent; what was put off goes into the queue */
};

/* A queued message whose outcome is unknown: as ON_UNKNOWN says, tried again, or set aside. */
enum on_unknown { ON_UNKNOWN_USUAL, ON_UNKNOWN_RETRY, ON_UNKNOWN_HOLD };

/* One try at one relay. */
struct attempt {
	struct text relay;
	enum smtp_outcome outcome;
	enum smtp_phase phase;
	enum smtp_category category;
	struct smtp_said said; /* code 0: it said nothing */
	uint64_t took_us;
};

struct result {
	struct smtp_verdict verdict; /* on the whole message */
	struct smtp_verdict last;    /* on what was tried last: in parts, that was one of them */
	struct smtp_said said;       /* the reply that decided; code 0: none */
	bool is_mixed;               /* to some recipients the relay gave another one */
	const char *detail;          /* more words where the link failed; NULL: none. Static,
					or in the region */
	struct text relay_name, relay_host;
	const char *tls; /* "TLSv1.3"; NULL: clear. Static */
	struct text queue_id;
	size_t count; /* recipients */
	const struct text *to;
	struct smtp_answer *answers; /* one per recipient */
	size_t attempt_count;
	struct attempt attempts[ATTEMPTS_MAX];
	uint64_t queue_us, connect_us, send_us, total_us;
};

struct fence;
struct share;

struct delivery {
	struct delivery *next; /* for whoever owns it */
	struct region *region;
	char id[DELIVERY_ID_LEN + 1]; /* UUIDv7 (RFC 9562) */
	struct text message_id, request_id, key_id, traceparent;
	struct text from, subject; /* the header's: its author's address, and as people see it */
	unsigned key_number;       /* of its key among those that there are */
	struct smtp_envelope envelope;
	struct smtp_message message;
	struct text relay;         /* asked for by name; empty: any of relays */
	const struct text *relays; /* that its key may use, until done(); none: any */
	size_t relay_count;
	enum delivery_way way;
	bool is_queued;      /* it comes out of the queue, which remembers it */
	struct fence *fence; /* the queue's: asked on its way; NULL: nobody is */
	enum on_unknown on_unknown;
	int64_t send_at_ms; /* since 1970: queued, and not before; 0: now */
	/* A queued one's sender wants to hear the verdict if there is one by then: monotonic, 0: he
	 * does not. In seconds as he is told it. */
	uint64_t wait_until_us;
	unsigned wait_s;
	bool all_or_none;
	enum dry_run dry_run;
	struct text idempotency_key;      /* empty: none, or it is not to be looked at */
	size_t place;                     /* in its batch, from 1 on; 0: it is alone */
	unsigned char digest[DIGEST_LEN]; /* where it has a key: of what it wants */
	enum repeat repeat;               /* from done() on */
	void *begun;                      /* REPEAT_FIRST: for gateway->remember */
	/* From done() on: why it was not taken, after all; there is nothing else to be told. */
	enum submission refused;
	uint64_t reserved_bytes; /* gateway->reserve: of its request's, its part */
	struct share *share;     /* the gateway's: where it is counted; NULL: nowhere */
	struct text full_relay;  /* SUBMISSION_RELAY_FULL: its name */
	/* REPEAT_AGAIN: what was told; empty: it was too long, and `id` and the result's verdict
	 * are all that is known of it. REPEAT_FIRST: what is to be told, and is remembered already;
	 * empty: it is not. */
	struct text first_answer;
	bool was_retried;  /* on a fresh session: that is done once */
	uint8_t sent_back; /* so often, to those in use, as no fresh one was to be had */
	unsigned parts;    /* that it was cut into, so far; 0: none */
	bool *is_settled;  /* one per recipient: an earlier relay's answer stands; NULL:
			      there is none such */
	struct buf *trace; /* NULL: not wanted */
	const struct text *tags;
	size_t tag_count;
	struct text metadata; /* a JSON object, as text; empty: none */
	int64_t created_ms;   /* since 1970 */
	uint64_t began_us;    /* monotonic */
	uint64_t queued_us;   /* monotonic: when it was handed over */
	uint64_t deadline_us; /* monotonic: then its sender wants to know */
	/* monotonic: if it still waits then, another relay is looked for */
	uint64_t elsewhere_us;
	struct result result;
	void (*done)(struct delivery *delivery); /* any thread; takes it back */
	/* Its sender is to hear something before that, while its memory is in use: gives a copy,
	 * with answers of its own, for that one's done(). Then its own done() only frees it. One
	 * thread at a time; once. NULL: no memory for it. */
	struct delivery *(*leave)(struct delivery *delivery);
	bool is_left; /* that was done */
	void *waiter; /* for done() */
};

/* Some of a delivery's recipients. */
struct places {
	size_t *at; /* NULL: all */
	size_t count;
};

struct record_attempt {
	int64_t at_ms; /* when it was over */
	struct attempt attempt;
};

/* What is remembered of a delivery for GET /messages/{id}: the same without its content. */
struct record {
	const char *id;
	struct text key_id, message_id, from, subject;
	const struct text *tags;
	size_t tag_count;
	struct text metadata;
	int64_t created_ms, updated_ms;
	uint64_t size_bytes;
	struct result result;
	/* Out of the queue; else NULL and 0. */
	const char *state;                     /* "scheduled" … "cancelled" */
	bool is_damaged;                       /* nothing else can be read but the times and size */
	int64_t next_ms;                       /* when it is tried (again); 0: never */
	int64_t send_at_ms;                    /* not sooner; 0: at once */
	int64_t expires_ms;                    /* it is given up then; 0: never, or it is over */
	const char *why;                       /* … and not before something changes; NULL: no */
	const struct record_attempt *attempts; /* in place of the result's */
	size_t attempt_count;
	struct text detail; /* what happened at the last of them, where the relay does not say */
};
