#include "service/relay/share.h"

#include <assert.h>
#include <stdlib.h>

enum err share_open(struct share **share_out)
{
	struct share *share = calloc(1, sizeof(*share));

	if (!share)
		return ERR_MEMORY;
	atomic_init(&share->references, 1);
	*share_out = share;
	return OK;
}

struct share *share_hold(struct share *share)
{
	atomic_fetch_add(&share->references, 1);
	return share;
}

void share_release(struct share *share)
{
	if (!share || atomic_fetch_sub(&share->references, 1) > 1)
		return;
	assert(!share->taken.messages && !share->taken.bytes);
	free(share);
}

/* ---- how much one may take; with the lock */

/* What each of `count` relays finds, whatever the others take. */
static uint64_t sure_of(uint64_t most, size_t count)
{
	uint64_t equal = most / (count + 1), of_half = most / 2 / (count - 1);

	return equal < of_half ? equal : of_half;
}

/* What the others are sure of and have not taken yet. */
static struct load kept_for_others(
	const struct room *room, struct share *const *shares, size_t count, const struct share *own)
{
	uint64_t messages = sure_of(room->most.messages, count);
	uint64_t bytes = sure_of(room->most.bytes, count);
	struct load kept = { 0 };

	for (size_t i = 0; i < count; i++) {
		const struct load *taken = &shares[i]->taken;

		if (shares[i] == own)
			continue;
		kept.messages += taken->messages < messages ? messages - taken->messages : 0;
		kept.bytes += taken->bytes < bytes ? bytes - taken->bytes : 0;
	}
	return kept;
}

/* `others`: what they have, or is kept for them. */
static bool fits(uint64_t most, uint64_t own, uint64_t more, uint64_t others, size_t count)
{
	return own == 0 || own + more <= sure_of(most, count) ||
	       (own + more <= most - most / 2 && own + more + others <= most);
}

static bool has_room(const struct room *room, struct share *const *shares, size_t count,
	const struct share *own, uint64_t bytes)
{
	struct load kept;

	if (count == 1)
		return true;
	kept = kept_for_others(room, shares, count, own);
	return fits(room->most.messages, own->taken.messages, 1,
		       room->taken.messages - own->taken.messages + kept.messages, count) &&
	       fits(room->most.bytes, own->taken.bytes, bytes,
		       room->taken.bytes - own->taken.bytes + kept.bytes, count);
}

static void give_back(struct room *room, struct delivery *delivery)
{
	struct share *share = delivery->share;

	if (!share)
		return;
	share->queued -= delivery->is_queued;
	share->queued_bytes -= delivery->is_queued ? delivery->reserved_bytes : 0;
	assert(share->taken.messages && share->taken.bytes >= delivery->reserved_bytes);
	share->taken.messages--;
	room->taken.messages--;
	share->taken.bytes -= delivery->reserved_bytes;
	room->taken.bytes -= delivery->reserved_bytes;
	delivery->share = NULL;
	share_release(share);
}

static void take(struct room *room, struct share *own, struct delivery *delivery)
{
	own->taken.messages++;
	room->taken.messages++;
	own->taken.bytes += delivery->reserved_bytes;
	room->taken.bytes += delivery->reserved_bytes;
	own->queued += delivery->is_queued;
	own->queued_bytes += delivery->is_queued ? delivery->reserved_bytes : 0;
	delivery->share = share_hold(own);
}

/* ---- of the queue's; with the lock */

/* Where there is room for few at all, the least that each finds is less, too. */
static unsigned queued_most(const struct room *room, size_t count)
{
	unsigned all = share_queued(room->most.messages), equal = (unsigned)(all / count);
	unsigned least = all * SHARE_QUEUED_LEAST / SHARE_QUEUED;

	return equal > least ? equal : least ? least : 1;
}

static unsigned queue_room(
	const struct room *room, const struct share *own, size_t count, const struct ramp *ramp)
{
	if (own->queued && own->queued_bytes >= share_queue_bytes(room, count))
		return 0;
	return ramp_room(ramp, own->queued, queued_most(room, count));
}

/* What came of it tells whether the relay works. What never got there tells nothing. */
static void note_ramp(struct share *share, const struct delivery *delivery)
{
	const struct smtp_verdict *last = &delivery->result.last;

	if (last->class == SMTP_TAKEN ||
		(last->outcome != SMTP_NOT_SENT && last->outcome != SMTP_UNKNOWN &&
			last->reach != SMTP_REACH_RELAY))
		ramp_up(&share->ramp, share->queued_most);
	else if (last->outcome == SMTP_NOT_SENT && last->reach == SMTP_REACH_RELAY &&
		 delivery->result.attempt_count)
		ramp_down(&share->ramp);
}

/* ---- the interface */

unsigned share_queued(uint64_t most)
{
	uint64_t half = most / 2;

	return half >= SHARE_QUEUED ? SHARE_QUEUED : half ? (unsigned)half : 1;
}

uint64_t share_queue_bytes(const struct room *room, size_t count)
{
	return room->most.bytes / 2 / count;
}

bool share_take(struct room *room, struct share *const *shares, size_t count, struct share *own,
	struct delivery *delivery)
{
	bool is_taken;

	pthread_mutex_lock(&room->lock);
	is_taken = delivery->share == own ||
		   (has_room(room, shares, count, own, delivery->reserved_bytes) &&
			   (!delivery->is_queued || queue_room(room, own, count, &own->ramp) > 0));
	if (is_taken && delivery->share != own) {
		give_back(room, delivery);
		take(room, own, delivery);
		own->queued_most = queued_most(room, count);
	}
	pthread_mutex_unlock(&room->lock);
	return is_taken;
}

unsigned share_queue_room(struct room *room, struct share *own, size_t count, bool rests)
{
	static const struct ramp wide;
	unsigned free;

	pthread_mutex_lock(&room->lock);
	free = queue_room(room, own, count, rests ? &wide : &own->ramp);
	pthread_mutex_unlock(&room->lock);
	return free;
}

void share_give_back(struct room *room, struct delivery *delivery)
{
	pthread_mutex_lock(&room->lock);
	if (delivery->share)
		note_ramp(delivery->share, delivery);
	give_back(room, delivery);
	pthread_mutex_unlock(&room->lock);
}
