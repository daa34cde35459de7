/* course - what becomes of a queued message behind an attempt
 *
 * Only those recipients are tried again that nobody decided over for good. Trouble that lies with a
 * relay (a refused login, a certificate) is for its operator, and no reason to give up a message
 * before its time. Pure: the time and chance are arguments. */
#pragma once

#include "service/queue/schedule.h"
#include "service/store/stored.h"

struct part;

struct course_moment {
	int64_t now_ms;
	uint32_t chance; /* at random */
};

/* The relay's answer to the data came after its attempt was noted as unknown. */
struct course_late {
	const struct text *to; /* whom it is for */
	size_t count;
	bool is_whole;     /* these are all of the attempt */
	struct text relay; /* of the attempt */
	int64_t at_ms;     /* … and about when it was over */
	struct smtp_verdict verdict;
	struct smtp_said said;
};

/* The open recipients of a stored message, in its order, for the envelope of an attempt. In its
 * region; NULL: out of memory. */
struct text *course_open_recipients(const struct stored *stored, size_t *count_out);

/* A process died over it, and nobody knows what the relay has: its open recipients are unknown for
 * that reason, and it is set aside. Where the end of its data is noted before it goes, and was not,
 * they were not sent. */
void course_hold(struct stored *stored, enum smtp_category category);

/* Notes what came of the open recipients, which are those of `result` in their order: their
 * outcomes, the state, due_ms where it is tried again, and the attempts. Texts are borrowed from
 * `result`. An unknown outcome is held where the message says so, else tried again; it stays
 * unknown whatever a later attempt hears, unless that is that it was taken. So does what a process
 * may have sent that died over it. Those whom the gateway did not get to before it stopped stay as
 * they were, and it is due for them at once. ERR_VALUE: it has other recipients; ERR_MEMORY.
 * Nothing was changed then. */
MUST_USE enum err course_note(struct stored *stored, const struct result *result,
	const struct schedule *schedule, struct course_moment moment);
/* The same of an attempt that goes on, for those of whom no other try would hear more: the others
 * stay as they are. closed[i] is set where recipient `i` is one of them. False: of those where it
 * was not, nobody has it, or may have it. */
bool course_note_part(struct stored *stored, const struct result *result, bool *closed);
/* The end of its data is about to go to those of the part whom the relay did not refuse. Its places
 * are those among who is open `before`. If the process dies now they are unknown, and set aside;
 * the others are tried again. */
void course_note_end(struct stored *stored, const struct stored *before, const struct part *part);
/* Are those all who are open? */
bool course_ends_for_all(const struct part *part);
/* It did die, `to` is one of those, and nobody was told. */
bool course_is_untold(const struct stored *stored, const struct stored_recipient *to);
/* They are told now, and from then on as any other who is unknown. Not before: whoever dies before
 * that is written leaves them untold to the next. */
void course_find_untold(struct stored *stored);
/* Notes it for those whom it is for and who are unknown: was_changed[i] tells whether recipient `i`
 * is. A yes makes it certain. A no does where that one try alone was unknown; then who may still be
 * tried is. Texts are borrowed from `late`. False: it changes nothing. */
bool course_note_late(
	struct stored *stored, const struct course_late *late, int64_t now_ms, bool *was_changed);
