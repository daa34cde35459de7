#include "service/store/stored.h"

#include <string.h>

const int64_t store_ages_ms[STORE_AGES] = { 60000, 300000, 900000, 3600000, 14400000, 43200000,
	86400000, 259200000 };

static const char *const names[MESSAGE_STATES] = {
	[MESSAGE_SCHEDULED] = "scheduled",
	[MESSAGE_QUEUED] = "queued",
	[MESSAGE_SENDING] = "sending",
	[MESSAGE_SENT] = "sent",
	[MESSAGE_PARTIAL] = "partial",
	[MESSAGE_DEFERRED] = "deferred",
	[MESSAGE_FAILED] = "failed",
	[MESSAGE_UNKNOWN] = "unknown",
	[MESSAGE_HELD] = "held",
	[MESSAGE_CANCELLED] = "cancelled",
	[MESSAGE_CAPTURED] = "captured",
};

const char *message_state_name(enum message_state state)
{
	return names[state];
}

bool message_state_find(struct text name, enum message_state *state_out)
{
	for (unsigned state = 0; state < MESSAGE_STATES; state++)
		if (text_equal(name, text_of(names[state]))) {
			*state_out = state;
			return true;
		}
	return false;
}

bool message_state_is_settled(enum message_state state)
{
	switch (state) {
	case MESSAGE_SCHEDULED:
	case MESSAGE_QUEUED:
	case MESSAGE_SENDING:
	case MESSAGE_DEFERRED:
	case MESSAGE_HELD:
		return false;
	default:
		return true;
	}
}

bool message_state_ages(enum message_state state)
{
	return state != MESSAGE_SCHEDULED && state != MESSAGE_HELD &&
	       !message_state_is_settled(state);
}

/* ---- how much it counts */

uint64_t stored_more_bytes(const struct stored *stored, size_t head_bytes)
{
	return head_bytes + stored->count * STORED_COURSE_ROOM;
}

uint64_t stored_weight(const struct stored *stored)
{
	return stored->size_bytes + stored->more_bytes;
}

/* ---- asking and changing */

bool stored_has_recipient(const struct stored *stored, struct text address)
{
	for (size_t i = 0; i < stored->count; i++)
		if (text_equal_nocase(stored->to[i].address, address))
			return true;
	return false;
}

bool stored_has_tag(const struct stored *stored, struct text tag)
{
	for (size_t i = 0; i < stored->tag_count; i++)
		if (text_equal(stored->tags[i], tag))
			return true;
	return false;
}

bool stored_is_undecided(const struct stored_recipient *to)
{
	return to->is_open || to->outcome == SMTP_UNKNOWN || to->category == SMTP_SET_ASIDE;
}

static bool is_reopened(const struct stored *stored, const struct stored_recipient *to)
{
	bool is_taken = to->outcome == SMTP_ACCEPTED || to->outcome == SMTP_CAPTURED;

	switch (stored->state) {
	case MESSAGE_DEFERRED:
		return to->is_open;
	case MESSAGE_HELD:
		return to->is_open || (!is_taken && to->outcome != SMTP_REJECTED);
	default:
		return !is_taken;
	}
}

void stored_reopen(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		stored->to[i].is_open = is_reopened(stored, &stored->to[i]);
}

void stored_note_doubt(struct stored *stored)
{
	for (size_t i = 0; stored->maybe_sent && i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i];

		if (to->is_open)
			*to = (struct stored_recipient){ .address = to->address,
				.is_open = true,
				.outcome = SMTP_UNKNOWN,
				.phase = SMTP_IN_DOT,
				.category = SMTP_OUTCOME_UNKNOWN };
	}
	stored->maybe_sent = false;
}

void stored_free(struct stored *stored)
{
	if (stored)
		region_close(stored->region);
}
