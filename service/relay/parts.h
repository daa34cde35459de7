/* parts - a message for more recipients than the relay takes at a time
 *
 * It goes in several transactions, each recipient in one of them. Who is still to come is told by
 * the delivery itself: a recipient without an answer. Pure. */
#pragma once

#include "http/delivery.h"

/* The recipients of one transaction. */
struct part {
	struct smtp_envelope envelope;
	struct smtp_answer *answers;
	size_t *places; /* in the delivery; NULL: the part is the whole */
};

/* What a relay takes in a transaction; 0: as many as there are. */
struct part_limits {
	size_t recipients, domains;
};

/* Would it have to be cut? */
bool part_is_needed(const struct delivery *delivery, struct part_limits limits);
/* The next part; in the delivery's region. False: out of memory. */
bool part_next(struct delivery *delivery, struct part_limits limits, struct part *part_out);
/* Takes the answers of a part that is over into the delivery, but for those recipients who were
 * only too many for it. Where the relay said so, *most_out is how many it dealt with before, else
 * 0. Are there recipients without an answer now? */
bool part_settle(struct delivery *delivery, const struct part *part, size_t *most_out);
/* A copy of its places, to be freed by free(): whom an answer is for that comes late. False: out of
 * memory. */
MUST_USE bool part_places(const struct part *part, struct places *places_out);
/* Everybody who has no answer gets this one; then the verdict is that over all recipients. */
void parts_end(struct delivery *delivery, const struct smtp_verdict *verdict);
/* The same where `verdict` is on the part before theirs, which was the last: they were not sent,
 * because of it. */
void parts_end_unsent(struct delivery *delivery, const struct smtp_verdict *verdict);
/* It is tried once more at the same relay: all are open again but those whom that refused for good.
 */
void parts_begin_anew(struct delivery *delivery);
/* Is there anybody whom another relay may be asked for: who certainly was not sent, and was not
 * refused for good? Where it is for all or nobody, that has to be so for all. */
bool parts_may_go_elsewhere(const struct delivery *delivery);
/* These lose what they were told, and are open again; the answers of the others stand, whatever
 * comes of the next relay. False: out of memory; nothing has changed. */
bool parts_go_elsewhere(struct delivery *delivery);
/* What came of the relay where the delivery is: of all whom it was asked for there, where those
 * that are open share `last`. */
struct smtp_verdict parts_verdict_here(
	const struct delivery *delivery, const struct smtp_verdict *last);
