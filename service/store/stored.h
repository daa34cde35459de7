/* stored - a message as the queue keeps it: all but its bytes
 *
 * Plain values. What is told of a message at its acceptance (its head) is packed once and never
 * changes; what came of its recipients, and every attempt (its course), is packed anew with each
 * verdict. Both are sealed with a checksum. Moments are milliseconds since 1970. */
#pragma once

#include "http/delivery.h"
#include "smtp/buf.h"

enum {
	STORED_RECIPIENTS = 1000,
	STORED_ATTEMPTS = 100, /* the latest are kept */
	STORED_HOST = 255,
	STORED_DETAIL = 300,
	STORED_HEAD_BYTES = 8 << 20,
	STORED_COURSE_BYTES = 8 << 20,
	STORED_COURSE_ROOM = 1024, /* of each recipient, see stored_more_bytes */
	STORE_AGES = 8,
};

extern const int64_t store_ages_ms[STORE_AGES]; /* by which those that wait are counted; rising */

/* Kept in files as numbers: new ones at the end only. */
enum message_state {
	MESSAGE_SCHEDULED, /* for a later moment */
	MESSAGE_QUEUED,
	MESSAGE_SENDING, /* somebody holds its lease */
	MESSAGE_SENT,
	MESSAGE_PARTIAL,
	MESSAGE_DEFERRED, /* is tried again */
	MESSAGE_FAILED,
	MESSAGE_UNKNOWN,
	MESSAGE_HELD, /* set aside until somebody decides */
	MESSAGE_CANCELLED,
	MESSAGE_CAPTURED,
	MESSAGE_STATES,
};

/* How far an attempt may have come, noted before it does: what its end means if nobody tells. */
enum message_mark {
	MARK_NONE,
	MARK_MAIL, /* MAIL may have been written */
	MARK_END,  /* the last byte of the data may have been */
};

struct stored_recipient {
	struct text address;
	bool is_open;     /* to be tried (again) */
	bool is_given_up; /* it would be, but for its time, which is over */
	bool is_untried;  /* the attempt did not get to it, so that nothing is told; not kept */
	enum smtp_outcome outcome;
	enum smtp_phase phase;
	enum smtp_category category;
	struct smtp_said said; /* code 0: nothing */
};

struct stored_attempt {
	int64_t at_ms;
	struct attempt attempt;
};

/* What the last try was like, beside its attempts. */
struct stored_try {
	struct text host, tls; /* of the relay that it ended at; empty: it came to none, clear */
	struct text detail;    /* what happened, where the relay did not say it; at most
				  STORED_DETAIL bytes are kept */
	bool is_mixed;         /* some of its recipients had another reply than the last attempt */
	struct smtp_said said; /* the reply that decided; not kept: the attempt has it */
	uint64_t queue_us, connect_us, send_us, total_us;
};

struct stored {
	struct region *region; /* holds it, where the store made it; NULL: it is the caller's */
	char id[DELIVERY_ID_LEN + 1];
	/* its head */
	struct text key_id, message_id, request_id, traceparent, from, subject, metadata;
	const struct text *tags, *relays; /* relays that its key may use; none: any */
	size_t tag_count, relay_count;
	struct text wish;        /* the relay asked for by name; empty: none */
	struct text sender;      /* of the envelope; empty: the null sender */
	struct text envelope_id; /* ENVID; empty: none */
	unsigned notify;         /* of enum smtp_notify */
	enum smtp_return ret;
	bool needs_utf8, eight_bit, all_or_none, hold_unknown;
	/* its course */
	struct stored_recipient *to;
	size_t count;
	struct stored_attempt *attempts; /* where the store made it, with room for one more */
	size_t attempt_count;
	struct stored_try last; /* { 0 }: nothing is known of it */
	/* columns of their own */
	struct text lane; /* the relay that it waits for; empty: any. At most 255 bytes */
	enum message_state state;
	int64_t created_ms, due_ms, expires_ms, updated_ms;
	uint64_t size_bytes; /* of its bytes, on the wire */
	uint64_t more_bytes; /* of all else, as it was counted when it came in */
	bool has_body;       /* they are still kept */
	unsigned tries;      /* claims, this one included */
	unsigned strikes;    /* processes that died with its MAIL written */
	bool maybe_sent;     /* one died, and may have sent it to those that are open */
	uint64_t token;      /* of the lease; 0: nobody holds it */
	int64_t place;       /* the store's own */
	bool is_damaged;     /* its head or course cannot be read: it has neither */
};

/* "queued"; never NULL. */
const char *message_state_name(enum message_state state);
/* False: there is none of this name. */
bool message_state_find(struct text name, enum message_state *state_out);
/* Is it over with it? A held one waits for somebody to decide: it is not. */
bool message_state_is_settled(enum message_state state);
/* Does its age tell that something is wrong? Scheduled and held ones are meant to wait. */
bool message_state_ages(enum message_state state);

/* Appends. On an error, in buf->err, what was appended is of no use. */
void stored_pack_head(const struct stored *stored, struct buf *buf);
void stored_pack_course(const struct stored *stored, struct buf *buf);
/* What the queue's bound counts of a message beside its bytes: its packed head, and room for what
 * its course becomes. The answer to a recipient takes 530 bytes at the most (SMTP_REPLY_TEXT), and
 * has as much again for the attempts: those of a day, where relays say what they usually say. */
uint64_t stored_more_bytes(const struct stored *stored, size_t head_bytes);
/* All that it counts: what was added is what is taken away, so messages of before count as they
 * did. */
uint64_t stored_weight(const struct stored *stored);
/* Fills those fields of *stored, borrowed from the bytes or allocated in `region`. ERR_SYNTAX:
 * these are not the bytes that were packed. ERR_MEMORY. The head comes first: it has the addresses.
 */
MUST_USE enum err stored_unpack_head(
	struct text bytes, struct region *region, struct stored *stored);
MUST_USE enum err stored_unpack_course(
	struct text bytes, struct region *region, struct stored *stored);

/* Has it this recipient (addresses compare without case), or this tag? */
bool stored_has_recipient(const struct stored *stored, struct text address);
bool stored_has_tag(const struct stored *stored, struct text tag);
/* Is it still to be sent, or set aside until somebody decides? */
bool stored_is_undecided(const struct stored_recipient *to);
/* Opens those that a try somebody asks for is for. Of a deferred message, whom it would be tried
 * for anyway: one that is unknown and held waits until the others have their answer. Of a held one,
 * all but those that took it, or refused it for good; of one that is settled, these as well. */
void stored_reopen(struct stored *stored);

/* Where it may have been sent, its open recipients are unknown from now on, and stay open. */
void stored_note_doubt(struct stored *stored);

/* NULL is fine. Closes its region: it may lie in there itself. */
void stored_free(struct stored *stored);
