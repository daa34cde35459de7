/* records_kept - one delivery as it is remembered: what GET /messages tells of it, in one block
 *
 * Plain values; records.c links and locks them. */
#pragma once

#include "http/gateway.h"

struct kept {
	/* records.c's own */
	struct kept *newer, *older, *chain;
	size_t bytes; /* of all but the raw message */
	int64_t added_ms;

	char id[DELIVERY_ID_LEN + 1];
	struct text key_id, message_id, from, subject, metadata;
	int64_t created_ms, updated_ms;
	uint64_t size_bytes;
	struct text *tags;
	size_t tag_count;
	struct smtp_verdict verdict;
	struct smtp_said said;
	const char *tls; /* static */
	struct text relay_name, relay_host, queue_id;
	size_t count;
	struct text *to;
	struct smtp_answer *answers;
	struct attempt *attempts;
	size_t attempt_count;
	uint64_t queue_us, connect_us, send_us, total_us;

	struct late *late; /* the words of answers that came late; NULL: none */
	char *raw_block;   /* the captured message; NULL: none */
	struct text raw;
};

/* NULL: no memory. */
struct kept *kept_new(const struct delivery *delivery, int64_t now_ms, struct text raw);
void kept_free(struct kept *kept);
/* Gives the bytes by which it has grown. */
size_t kept_settle(struct kept *kept, struct places places, const struct smtp_verdict *verdict,
	const struct smtp_said *said, struct text queue_id, int64_t now_ms);
/* *record_out borrows from it. */
void kept_describe(const struct kept *kept, struct record *record_out);
