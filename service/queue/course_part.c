/* Of a message that is to be held where nobody knows: to whom the end of a part may have gone. */
#include "service/queue/course.h"

#include "service/relay/parts.h"

/* Of what is unknown the phase is that of the end, but here. */
static const enum smtp_phase untold = SMTP_IN_DATA;

static bool is_refused_there(const struct smtp_answer *answer)
{
	return answer->verdict.status && answer->verdict.class != SMTP_TAKEN;
}

static size_t place_of(const struct part *part, size_t index)
{
	return part->places ? part->places[index] : index;
}

bool course_ends_for_all(const struct part *part)
{
	for (size_t i = 0; i < part->envelope.count; i++)
		if (is_refused_there(&part->answers[i]))
			return false;
	return !part->places;
}

void course_note_end(struct stored *stored, const struct stored *before, const struct part *part)
{
	size_t place = 0, next = 0;

	for (size_t i = 0; i < stored->count && next < part->envelope.count; i++) {
		struct stored_recipient *to = &stored->to[i];

		if (!before->to[i].is_open || place++ != place_of(part, next))
			continue;
		if (!is_refused_there(&part->answers[next++]))
			*to = (struct stored_recipient){ .address = to->address,
				.outcome = SMTP_UNKNOWN,
				.phase = untold,
				.category = SMTP_OUTCOME_UNKNOWN };
	}
}

bool course_is_untold(const struct stored *stored, const struct stored_recipient *to)
{
	return stored->hold_unknown && !to->is_open && to->outcome == SMTP_UNKNOWN &&
	       to->phase == untold;
}

void course_find_untold(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++)
		if (course_is_untold(stored, &stored->to[i]))
			stored->to[i].phase = SMTP_IN_DOT;
}
