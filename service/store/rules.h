/* rules - what every backend that keeps rows decides alike
 *
 * Pure: ids as bytes, where a message waits, what may be changed, how long it is remembered. */
#pragma once

#include "service/store/store.h"

/* Where a message waits. Kept in files, and named in SQL by number. */
enum turn {
	TURN_NONE,    /* it is settled */
	TURN_READY,   /* due */
	TURN_LATER,   /* not before due_ms */
	TURN_SUSPECT, /* due, and to be handed out alone, see below */
	TURN_LEASED,
	TURN_HELD, /* not before somebody decides */
};

enum { ID_BYTES = 16 };

/* ---- suspects: what a process may have died of
 *
 * Nothing is out beside one, for as long as its strikes are worth: then the next one's turn is. So
 * much goes on for ALONE_ALL_MS in all; then the others come out again, among them whatever has one
 * strike alone, and suspects keep other suspects waiting, nobody else. A message that kills is
 * found so: who is struck with it waits while the other is out, longer from strike to strike, from
 * the fourth on until it is back. */

enum { ALONE_ALL_MS = 10000, ALONE_QUIET_MS = 60000 };

/* How long others wait for one with so many strikes; store_pg_sql.c has the same. */
int64_t rules_alone_ms(int64_t strikes);

/* Since when they come out, in any clock's ms. { 0 }: there was none. */
struct suspicion {
	int64_t since_ms, last_ms;
	bool is_known;
};

/* One comes out. After ALONE_QUIET_MS without any it is another matter. */
void suspicion_note(struct suspicion *suspicion, int64_t now_ms);
/* Had they ALONE_ALL_MS? */
bool suspicion_is_over(const struct suspicion *suspicion, int64_t now_ms);

/* ---- ids, states, lists */

/* False: that is no id of ours. */
bool id_to_bytes(const char *id, char bytes_out[ID_BYTES]);
void id_from_bytes(struct text bytes, char id_out[DELIVERY_ID_LEN + 1]);

enum turn turn_of(enum message_state state, int64_t due_ms, int64_t now_ms, unsigned strikes);
/* As which it is accepted: what was scheduled for a moment that is past is simply queued. */
enum message_state rules_state_of(const struct stored *stored, int64_t now_ms);
/* The bytes of a message that comes in, in one piece: borrowed where they are, else put together in
 * `room`. */
MUST_USE enum err rules_gather(
	const struct accept_job *accept, struct buf *room, struct text *body_out);
/* Are its bytes kept, in the state that it is in now? `keep`: also when it is settled. */
bool rules_keeps_body(const struct stored *stored, bool keep);
/* Changes *stored as is wanted; change->events is what is told of it. ERR_VALUE: that cannot be. */
MUST_USE enum err rules_change(struct change_job *change, struct stored *stored, enum turn turn);
/* What a process that died had noted, as it is kept beside the course (`maybe_sent`): that the end
 * of the data may have been written, or its MAIL. Where the end is noted before it goes, MAIL alone
 * means that it did not go. */
enum { DOUBT_NONE, DOUBT_END, DOUBT_MAIL };
bool rules_maybe_sent(int64_t doubt, const struct stored *stored);
/* How long a settled message is remembered. */
int64_t rules_keep_ms(enum message_state state, const struct store_keeps *keeps);
/* Was that written by a clock that was ahead of this one, by more than clocks are apart? */
enum { RULES_AHEAD_MS = 3600000 };
/* By so much the clocks of replicas may differ. */
enum { RULES_SKEW_MS = 5000 };
bool rules_is_ahead(int64_t at_ms, int64_t now_ms);
/* What an event counts: its texts, and what its row and its place in the index take beside them;
 * the statements have the same. */
enum { RULES_EVENT_BYTES = 64 };
int64_t rules_event_bytes(const struct event *event);
/* How much of the events is to go, if they have so many bytes: where they are past the bound, some
 * more than that, so that it is not at once to be done again. */
int64_t rules_excess_bytes(int64_t bytes, uint64_t bound);
bool rules_is_resting(const struct claim_job *claim, struct text lane);
/* So many come at the most whose relay rests and whose time is over: a part of all, by chance where
 * that is none, so that neither they nor the others wait for ever. */
size_t rules_over_most(const struct claim_job *claim);
/* Has a claim as many as it may, or their bytes? */
bool rules_is_full(const struct claim_job *claim);
/* May a list want it, by what stands beside its bytes: is the row worth unpacking? */
bool rules_may_want(const struct list_job *list, struct text key_id, int64_t state);
/* What was looked into for one page of a list, and passed over. */
struct list_walk {
	unsigned read, passed;
	uint64_t bytes; /* of those that were looked into */
};
/* Its cursor says where it begins. False: that is no id. */
bool rules_list_from(struct list_job *list);
bool rules_list_goes_on(const struct list_job *list, const struct list_walk *walk);
/* What is told of a message that cannot be read and is held. Its content lies in `room`; what
 * failed is in room->err. */
void rules_tell_damaged(const char *id, struct text key_id, int64_t now_ms, struct buf *room,
	struct event *event_out);
/* Does a list want it, by what stands in its row's bytes? */
bool rules_wants(const struct list_job *list, const struct stored *stored);
