/* store_kit - what tests of the queue's stores share: a store of each kind, and messages for it */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pg_server.h"
#include "service/store/backend.h"
#include "unit.h"

#define SECOND INT64_C(1000)
#define NOW    INT64_C(1790000000000)

enum { KIT_SQLITE, KIT_PG, KIT_BACKENDS };

struct kit {
	int backend;
	struct store_limits limits;
	char folder[80], path[96]; /* of the file */
	char *words;               /* of the database */
	struct store store;
	char note[64]; /* what one said */
};

static inline void kit_open_again(struct kit *kit)
{
	struct buf why = buf_born(1000);

	enum err err = kit->backend == KIT_PG
			       ? store_pg_open(kit->words, &kit->limits, NULL, &kit->store, &why)
			       : store_sqlite_open(kit->path, &kit->limits, &kit->store, &why);

	ck_assert_msg(err == OK, "%.*s", (int)why.len, why.at);
	buf_free(&why);
}

static inline struct kit kit_open(int backend, struct store_limits limits)
{
	struct kit kit = { .backend = backend, .limits = limits };

	if (backend == KIT_PG) {
		kit.words = pg_server_schema();
		kit_open_again(&kit);
		return kit;
	}
	snprintf(kit.folder, sizeof(kit.folder), "%s/lettergate-store-XXXXXX", fast_folder());
	ck_assert_ptr_nonnull(mkdtemp(kit.folder));
	snprintf(kit.path, sizeof(kit.path), "%s/queue.db", kit.folder);
	kit_open_again(&kit);
	return kit;
}

static inline void kit_remove(const struct kit *kit)
{
	static const char *const ends[] = { "", "-wal", "-journal", "-reserve", "-strikes" };
	char name[128];

	free(kit->words);
	if (kit->backend == KIT_PG)
		return;
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "%s%s", kit->path, ends[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(kit->folder), 0);
}

static inline void kit_close(struct kit *kit)
{
	kit->store.verbs->close(kit->store.self);
	kit_remove(kit);
}

/* One job under a commit of its own: what came of it. */
#define DO(kit, verb, job_)                                                                        \
	({                                                                                         \
		enum err first_ = DO_IT(kit, verb, job_);                                          \
		first_ ? first_ : (job_)->job.err;                                                 \
	})

/* The same for what is no job. */
#define DO_IT(kit, verb, job)                                                                      \
	({                                                                                         \
		const struct store *store_ = &(kit)->store;                                        \
		enum err err_ = store_->verbs->begin(store_->self), end_ = OK;                     \
                                                                                                   \
		if (!err_)                                                                         \
			err_ = store_->verbs->verb(store_->self, (job));                           \
		if (!err_ || err_ == ERR_VALUE || err_ == ERR_MISSING || err_ == ERR_LIMIT)        \
			end_ = store_->verbs->commit(store_->self);                                \
		else                                                                               \
			end_ = err_;                                                               \
		if (end_)                                                                          \
			store_->verbs->rollback(store_->self);                                     \
		end_ ? end_ : err_;                                                                \
	})

/* A message with two recipients; its id by number, so that a higher one is newer. */
struct letter {
	struct stored stored;
	struct stored_recipient to[2];
	struct text tag, body;
	char words[3][32];
};

static inline void letter_write(struct letter *letter, unsigned number, const char *key_id)
{
	*letter = (struct letter){ 0 };
	snprintf(letter->stored.id, sizeof(letter->stored.id),
		"0199%04hx-%04hx-7000-8000-0000000000ff", (unsigned short)(number >> 16),
		(unsigned short)number);
	snprintf(letter->words[0], sizeof(letter->words[0]), "<%u@example.com>", number);
	snprintf(letter->words[1], sizeof(letter->words[1]), "ann%u@example.org", number);
	snprintf(letter->words[2], sizeof(letter->words[2]), "tag%u", number % 3);
	letter->tag = text_of(letter->words[2]);
	letter->body = TEXT("Subject: x\r\n\r\nHello.\r\n");
	letter->to[0] = (struct stored_recipient){
		.address = text_of(letter->words[1]), .is_open = true, .outcome = SMTP_QUEUED
	};
	letter->to[1] = (struct stored_recipient){
		.address = TEXT("bo@example.net"), .is_open = true, .outcome = SMTP_QUEUED
	};
	letter->stored.key_id = text_of(key_id);
	letter->stored.message_id = text_of(letter->words[0]);
	letter->stored.from = letter->stored.sender = TEXT("shop@example.com");
	letter->stored.subject = TEXT("Your order");
	letter->stored.metadata = TEXT("{\"order\":\"42\"}");
	letter->stored.tags = &letter->tag;
	letter->stored.tag_count = 1;
	letter->stored.to = letter->to;
	letter->stored.count = 2;
	letter->stored.state = MESSAGE_QUEUED;
	letter->stored.created_ms = letter->stored.due_ms = letter->stored.updated_ms =
		NOW + number;
	letter->stored.expires_ms = NOW + 1000 * SECOND;
	letter->stored.size_bytes = letter->body.len;
	letter->stored.has_body = true;
}

/* What letter `number` counts. */
static inline uint64_t letter_weight(unsigned number, const char *key_id)
{
	struct buf head = buf_born(STORED_HEAD_BYTES);
	struct letter letter;
	uint64_t weight;

	letter_write(&letter, number, key_id);
	stored_pack_head(&letter.stored, &head);
	weight = letter.body.len + head.len + UINT64_C(2) * STORED_COURSE_ROOM;
	buf_free(&head);
	return weight;
}

static inline enum err letter_accept(struct kit *kit, struct letter *letter, int64_t now_ms)
{
	struct accept_job accept = { .job.kind = JOB_ACCEPT,
		.stored = &letter->stored,
		.pieces = &letter->body,
		.piece_count = 1,
		.now_ms = now_ms };

	return DO(kit, accept, &accept);
}

/* Letter `number` of a key, in a lane, accepted and due. */
static inline void put_in(struct kit *kit, unsigned number, const char *key_id, const char *lane)
{
	struct letter letter;

	letter_write(&letter, number, key_id);
	letter.stored.lane = text_of(lane);
	ck_assert_int_eq(letter_accept(kit, &letter, NOW + number), OK);
}

static inline void put(struct kit *kit, unsigned number, const char *key_id)
{
	put_in(kit, number, key_id, "");
}

static inline unsigned number_of(const struct stored *stored)
{
	unsigned high, low;

	ck_assert_int_eq(sscanf(stored->id, "0199%4x-%4x-", &high, &low), 2);
	return high << 16 | low;
}

enum { CLAIM_MOST = 64, TOKEN = 77 };

struct claimed {
	struct stored *at[CLAIM_MOST];
	struct text bodies[CLAIM_MOST];
	char damaged[CLAIM_MOST][DELIVERY_ID_LEN + 1];
	struct claim_job job;
};

static inline size_t claim(struct kit *kit, struct claimed *claimed, size_t most)
{
	claimed->job = (struct claim_job){ .job.kind = JOB_CLAIM,
		.most = most,
		.most_bytes = claimed->job.most_bytes,
		.has_body = true,
		.now_ms = NOW,
		.lease_for_ms = 30 * SECOND,
		.token = TOKEN,
		.mark = claimed->job.mark,
		.resting = claimed->job.resting,
		.resting_count = claimed->job.resting_count,
		.narrow = claimed->job.narrow,
		.narrow_count = claimed->job.narrow_count,
		.claimed = claimed->at,
		.bodies = claimed->bodies,
		.damaged_ids = claimed->damaged };
	ck_assert_int_eq(DO(kit, claim, &claimed->job), OK);
	return claimed->job.count;
}

static inline void claimed_free(struct claimed *claimed)
{
	for (size_t i = 0; i < claimed->job.count; i++)
		stored_free(claimed->at[i]);
	claimed->job.count = 0;
}

static inline struct tick tick_at(struct kit *kit, int64_t now_ms)
{
	struct tick tick = { .now_ms = now_ms, .looks = true, .furthest_ms = 4000 * SECOND };

	ck_assert_int_eq(DO_IT(kit, tick, &tick), OK);
	return tick;
}

/* Settles it so; deferred ones are due `later_ms` after NOW. */
static inline enum err settle(struct kit *kit, struct stored *stored, enum message_state state,
	int64_t later_ms, bool keep_body)
{
	struct event event = { .at_ms = NOW,
		.type = TEXT("message.sent"),
		.key_id = stored->key_id,
		.content = TEXT("{}") };
	struct settle_job job = { .job.kind = JOB_SETTLE,
		.stored = stored,
		.keep_body = keep_body,
		.now_ms = NOW,
		.events = &event,
		.event_count = 1 };

	stored->state = state;
	stored->due_ms = NOW + later_ms;
	return DO(kit, settle, &job);
}

static inline struct stored *look_up(struct kit *kit, unsigned number, const char *key_id)
{
	struct letter letter;
	struct look_up_job job = {
		.job.kind = JOB_LOOK_UP, .id = letter.stored.id, .key_id = text_of(key_id)
	};

	letter_write(&letter, number, "");
	return DO(kit, look_up, &job) == OK ? job.found : NULL;
}

static inline enum message_state state_of(struct kit *kit, unsigned number)
{
	struct stored *stored = look_up(kit, number, NULL);
	enum message_state state;

	ck_assert_ptr_nonnull(stored);
	state = stored->state;
	stored_free(stored);
	return state;
}

static inline enum err note(struct kit *kit, const char *name, uint64_t token, int64_t lease_for_ms,
	const char *content)
{
	struct note_job job = { .job.kind = JOB_NOTE,
		.name = text_of(name),
		.token = token,
		.lease_for_ms = lease_for_ms,
		.content = content ? text_of(content) : (struct text){ 0 } };
	enum err err;

	ck_assert_int_eq(region_open(10000, &job.region), OK);
	err = DO(kit, note, &job);
	snprintf(kit->note, sizeof(kit->note), "%.*s", (int)job.found.len, job.found.at);
	region_close(job.region);
	return err;
}

static inline struct counts_job counts(struct kit *kit)
{
	struct counts_job job = { .job.kind = JOB_COUNTS };

	ck_assert_int_eq(DO(kit, counts, &job), OK);
	return job;
}

/* One that was set aside, its row damaged, or its bytes: events and a list tell it, it is not tried
 * again, and can be cancelled. */
static inline void expect_set_aside(struct kit *kit, unsigned number, bool is_damaged)
{
	struct stored *found[10];
	struct list_job list = {
		.has_state = true, .state = MESSAGE_HELD, .most = 10, .found = found
	};
	struct event events[10];
	struct events_job told = { .most = 10, .events = events };
	struct letter letter;
	struct change_job change = {
		.id = letter.stored.id, .now_ms = NOW, .change = CHANGE_RETRY
	};
	struct body_job body = { .id = letter.stored.id };
	bool is_listed = false, is_told = false;

	letter_write(&letter, number, "a");
	ck_assert_int_eq(region_open(100000, &told.region), OK);
	ck_assert_int_eq(region_open(100000, &body.region), OK);
	ck_assert_int_eq(DO(kit, events, &told), OK);
	for (size_t i = 0; i < told.count; i++) {
		ck_assert(text_equal(events[i].key_id, TEXT("a")));
		is_told |= text_equal(events[i].type, TEXT("message.failed")) &&
			   memmem(events[i].content.at, events[i].content.len, letter.stored.id,
				   DELIVERY_ID_LEN);
	}
	ck_assert(is_told);
	region_close(told.region);
	ck_assert_int_eq(DO(kit, list, &list), OK);
	for (size_t i = 0; i < list.count; i++) {
		if (number_of(found[i]) == number) {
			is_listed = true;
			ck_assert_int_eq(found[i]->is_damaged, is_damaged);
			ck_assert_int_eq(found[i]->state, MESSAGE_HELD);
			ck_assert_int_eq(found[i]->created_ms, NOW + number);
		}
		stored_free(found[i]);
	}
	ck_assert(is_listed);
	ck_assert_int_eq(DO(kit, body, &body), is_damaged ? OK : ERR_VALUE);
	region_close(body.region);
	ck_assert_int_eq(DO(kit, change, &change), ERR_VALUE);
	ck_assert(change.is_damaged);
	ck_assert_int_eq(state_of(kit, number), MESSAGE_HELD);
	change.change = CHANGE_CANCEL;
	ck_assert_int_eq(DO(kit, change, &change), OK);
	ck_assert_int_eq(state_of(kit, number), MESSAGE_CANCELLED);
}
