/* tally - how many messages each API key has in each state, so that bounds and counts cost no
 * search
 *
 * What a transaction changes is known apart, to be written with its commit, and is taken back with
 * its rollback. Pure: backends read and write it. */
#pragma once

#include "service/store/store.h"

/* Messages and bytes of one API key, in all and by how much this transaction changed them. */
struct tally_key {
	char *key_id;
	size_t len;
	int64_t messages[MESSAGE_STATES], changed[MESSAGE_STATES];
	int64_t bytes[MESSAGE_STATES], bytes_changed[MESSAGE_STATES];
	bool is_dirty;
};

struct tally_number {
	int64_t messages, bytes;
};

/* The log of events, and by how much this transaction changed it. */
struct tally_log {
	struct tally_number events, changed;
	int64_t came; /* events, since tally_log_came */
};

struct tally {
	struct tally_key *keys; /* sorted by key_id */
	size_t count, room;
	int64_t waiting, waiting_bytes; /* of all keys, not settled */
	struct tally_log log;
};

/* Kept beside the states of messages, under no key. */
enum { TALLY_LOG = 100 };

/* Room for a key, so that tally_move cannot fail. */
MUST_USE enum err tally_make_room(struct tally *tally, struct text key_id);
/* Which bound has no room for one message more; BOUND_NONE: all have. */
enum store_bound tally_full(const struct tally *tally, const struct store_limits *limits,
	struct text key_id, uint64_t bytes);
/* Is there room for what comes in, if it is to wait? False: accept->full says for want of what. */
bool tally_admits(
	const struct tally *tally, const struct store_limits *limits, struct accept_job *accept);
/* For whoever is refused: the setting, and what it counts. */
const char *tally_words(enum store_bound bound);
/* One message goes from a state to another; MESSAGE_STATES: from, or to, nowhere. */
void tally_move(struct tally *tally, struct text key_id, int64_t bytes, enum message_state from,
	enum message_state to);
void tally_move_many(struct tally *tally, struct text key_id, struct tally_number number,
	enum message_state from, enum message_state to);
/* The same for all messages in a state. */
void tally_move_all(struct tally *tally, enum message_state from, enum message_state to);
/* Events were written; or were not after all. */
void tally_events(struct tally *tally, const struct event *events, size_t count, bool is_in);
/* So many were dropped. */
void tally_events_gone(struct tally *tally, struct tally_number number);
/* How many were written since it was asked. */
int64_t tally_log_came(struct tally *tally);
uint64_t tally_event_bytes(const struct tally *tally);
/* The transaction is over: its changes stay, or are taken back. */
void tally_settle(struct tally *tally, bool is_committed);
/* Adds what the store has; ERR_SYNTAX: there is no such state. */
MUST_USE enum err tally_note(
	struct tally *tally, struct text key_id, int64_t state, struct tally_number number);
/* Of all numbers only what this transaction changed remains: the store's are noted anew. */
void tally_forget(struct tally *tally);
/* Fills in all but oldest_ms. */
void tally_count(const struct tally *tally, struct counts_job *counts);
void tally_free(struct tally *tally);
