#include "service/store/rules.h"

#include <string.h>

/* ---- ids: a UUID's sixteen bytes, in its own order */

static bool has_hyphen(size_t place)
{
	return place == 8 || place == 13 || place == 18 || place == 23;
}

bool id_to_bytes(const char *id, char bytes_out[ID_BYTES])
{
	size_t half = 0;

	for (size_t i = 0; i < DELIVERY_ID_LEN; i++) {
		int digit = byte_hex(id[i]);

		if (has_hyphen(i)) {
			if (id[i] != '-')
				return false;
			continue;
		}
		if (digit < 0)
			return false;
		if (half % 2 == 0)
			bytes_out[half / 2] = (char)(digit << 4);
		else
			bytes_out[half / 2] = (char)((unsigned char)bytes_out[half / 2] | digit);
		half++;
	}
	return id[DELIVERY_ID_LEN] == '\0';
}

void id_from_bytes(struct text bytes, char id_out[DELIVERY_ID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t half = 0;

	for (size_t i = 0; i < DELIVERY_ID_LEN; i++) {
		unsigned byte = half / 2 < bytes.len ? (unsigned char)bytes.at[half / 2] : 0;

		if (has_hyphen(i)) {
			id_out[i] = '-';
			continue;
		}
		id_out[i] = digits[half % 2 == 0 ? byte >> 4 : byte & 15];
		half++;
	}
	id_out[DELIVERY_ID_LEN] = '\0';
}

/* ---- states */

enum turn turn_of(enum message_state state, int64_t due_ms, int64_t now_ms, unsigned strikes)
{
	if (message_state_is_settled(state))
		return TURN_NONE;
	if (state == MESSAGE_SENDING)
		return TURN_LEASED;
	if (state == MESSAGE_HELD)
		return TURN_HELD;
	if (due_ms > now_ms)
		return TURN_LATER;
	return strikes ? TURN_SUSPECT : TURN_READY;
}

enum message_state rules_state_of(const struct stored *stored, int64_t now_ms)
{
	return stored->state == MESSAGE_SCHEDULED && stored->due_ms <= now_ms ? MESSAGE_QUEUED
									      : stored->state;
}

enum err rules_gather(const struct accept_job *accept, struct buf *room, struct text *body_out)
{
	buf_clear(room);
	if (accept->piece_count == 1) {
		*body_out = accept->pieces[0];
		return OK;
	}
	for (size_t i = 0; i < accept->piece_count; i++)
		buf_add(room, accept->pieces[i]);
	*body_out = buf_text(room);
	return room->err;
}

bool rules_keeps_body(const struct stored *stored, bool keep)
{
	return stored->has_body && (keep || !message_state_is_settled(stored->state));
}

static bool may_cancel(enum turn turn)
{
	return turn == TURN_READY || turn == TURN_LATER || turn == TURN_SUSPECT ||
	       turn == TURN_HELD;
}

/* What is queued already is due; what is scheduled was meant to wait. */
static bool may_retry(enum message_state state)
{
	return state == MESSAGE_FAILED || state == MESSAGE_PARTIAL || state == MESSAGE_UNKNOWN ||
	       state == MESSAGE_HELD || state == MESSAGE_DEFERRED;
}

static enum err judge_change(struct change_job *change, const struct stored *stored, enum turn turn)
{
	if (change->change == CHANGE_CANCEL)
		return may_cancel(turn) ? OK : ERR_VALUE;
	if (change->change == CHANGE_LATE)
		return turn == TURN_LEASED || stored->is_damaged ? ERR_VALUE : OK;
	if (!may_retry(stored->state))
		return ERR_VALUE;
	change->is_damaged = stored->is_damaged;
	change->lacks_body = !stored->is_damaged && !stored->has_body;
	return change->is_damaged || change->lacks_body ? ERR_VALUE : OK;
}

/* Those that are open may have it as before: who has it in the course is not. */
static bool stays_in_doubt(const struct stored *stored)
{
	for (size_t i = 0; stored->maybe_sent && i < stored->count; i++)
		if (stored->to[i].is_open)
			return true;
	return false;
}

enum err rules_change(struct change_job *change, struct stored *stored, enum turn turn)
{
	enum err err = judge_change(change, stored, turn);

	change->events = &change->event;
	change->event_count = change->tell != NULL;
	if (!err && change->tell)
		err = change->tell(stored, change->now_ms, &change->event);
	if (err)
		return err;
	if (change->change == CHANGE_LATE)
		return change->note(change, stored);
	if (change->change == CHANGE_CANCEL) {
		stored_note_doubt(stored);
		stored->state = MESSAGE_CANCELLED;
		return OK;
	}
	stored->maybe_sent = stays_in_doubt(stored);
	stored_reopen(stored);
	stored->state = MESSAGE_QUEUED;
	stored->due_ms = change->now_ms;
	stored->expires_ms = change->expires_ms;
	return OK;
}

/* ---- handing out */

enum { OVER_PART = 4, SLACK = 16 };

int64_t rules_event_bytes(const struct event *event)
{
	return (int64_t)(event->type.len + event->key_id.len + event->content.len) +
	       RULES_EVENT_BYTES;
}

int64_t rules_excess_bytes(int64_t bytes, uint64_t bound)
{
	if (bound == 0 || bytes <= 0 || (uint64_t)bytes <= bound)
		return 0;
	return bytes - (int64_t)(bound - bound / SLACK);
}

bool rules_is_resting(const struct claim_job *claim, struct text lane)
{
	for (size_t i = 0; i < claim->resting_count; i++)
		if (text_equal(claim->resting[i], lane))
			return true;
	return false;
}

size_t rules_over_most(const struct claim_job *claim)
{
	return claim->resting_count ? claim->most / OVER_PART +
					      (claim->token % OVER_PART < claim->most % OVER_PART)
				    : 0;
}

bool rules_is_full(const struct claim_job *claim)
{
	return claim->count + claim->damaged >= claim->most ||
	       (claim->most_bytes && claim->bytes >= claim->most_bytes);
}

/* ---- suspects */

int64_t rules_alone_ms(int64_t strikes)
{
	static const int64_t alone_ms[] = { 0, 1000, 5000, 60000 };

	return strikes < 4 ? alone_ms[strikes < 0 ? 0 : strikes] : INT64_MAX;
}

void suspicion_note(struct suspicion *suspicion, int64_t now_ms)
{
	if (!suspicion->is_known || now_ms - suspicion->last_ms > ALONE_QUIET_MS)
		suspicion->since_ms = now_ms;
	suspicion->is_known = true;
	suspicion->last_ms = now_ms;
}

bool suspicion_is_over(const struct suspicion *suspicion, int64_t now_ms)
{
	return suspicion->is_known && now_ms - suspicion->last_ms <= ALONE_QUIET_MS &&
	       now_ms - suspicion->since_ms >= ALONE_ALL_MS;
}

/* ---- forgetting and finding */

bool rules_maybe_sent(int64_t doubt, const struct stored *stored)
{
	return doubt == DOUBT_END || (doubt != DOUBT_NONE && !stored->hold_unknown);
}

int64_t rules_keep_ms(enum message_state state, const struct store_keeps *keeps)
{
	switch (state) {
	case MESSAGE_SENT:
	case MESSAGE_CAPTURED:
	case MESSAGE_CANCELLED:
		return keeps->sent_ms;
	default:
		return keeps->failed_ms;
	}
}

bool rules_is_ahead(int64_t at_ms, int64_t now_ms)
{
	return at_ms > now_ms + RULES_AHEAD_MS;
}

bool rules_may_want(const struct list_job *list, struct text key_id, int64_t state)
{
	return (!list->key_id.at || text_equal(list->key_id, key_id)) &&
	       (!list->has_state || state == (int64_t)list->state);
}

bool rules_list_from(struct list_job *list)
{
	static const char newest[] = "ffffffff-ffff-ffff-ffff-ffffffffffff";
	char bytes[ID_BYTES];

	if (!*list->cursor)
		memcpy(list->cursor, newest, sizeof(newest));
	return id_to_bytes(list->cursor, bytes);
}

bool rules_list_goes_on(const struct list_job *list, const struct list_walk *walk)
{
	return list->count < list->most && walk->read < STORE_LIST_STEPS &&
	       (!list->most_bytes || walk->bytes < list->most_bytes);
}

void rules_tell_damaged(const char *id, struct text key_id, int64_t now_ms, struct buf *room,
	struct event *event_out)
{
	buf_clear(room);
	buf_addf(room,
		"{\"id\":\"%s\",\"message_id\":\"\",\"tags\":[],\"metadata\":{},"
		"\"recipients\":[],\"state\":\"held\",\"damaged\":true}",
		id);
	*event_out = (struct event){ .at_ms = now_ms,
		.type = TEXT("message.failed"),
		.key_id = key_id,
		.content = buf_text(room) };
}

bool rules_wants(const struct list_job *list, const struct stored *stored)
{
	return stored->created_ms >= list->since_ms &&
	       (!list->recipient.len || stored_has_recipient(stored, list->recipient)) &&
	       (!list->tag.len || stored_has_tag(stored, list->tag));
}
