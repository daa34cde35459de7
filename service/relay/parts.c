#include "service/relay/parts.h"

#include "smtp/address/address.h"

#include <stdlib.h>
#include <string.h>

static bool is_unanswered(const struct delivery *delivery, size_t i)
{
	return delivery->result.answers[i].verdict.status == 0;
}

/* ---- cutting */

static bool is_domain_among(const struct text *addresses, size_t count, struct text domain)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal_nocase(smtp_address_domain(addresses[i]), domain))
			return true;
	return false;
}

bool part_is_needed(const struct delivery *delivery, struct part_limits limits)
{
	size_t count = delivery->envelope.count, domains = 0;

	if (limits.recipients && count > limits.recipients)
		return true;
	for (size_t i = 0; limits.domains && i < count && domains <= limits.domains; i++)
		domains += !is_domain_among(
			delivery->envelope.to, i, smtp_address_domain(delivery->envelope.to[i]));
	return domains > limits.domains;
}

/* Is its domain among those of the part, or is there room for one more? */
static bool fits(
	const struct text *to, size_t count, struct text address, size_t most, size_t *domains)
{
	struct text domain = smtp_address_domain(address);

	if (!most || is_domain_among(to, count, domain))
		return true;
	if (*domains == most)
		return false;
	++*domains;
	return true;
}

/* Who goes next, into `to` and `places`, which have room for all. How many they are. */
static size_t choose(
	const struct delivery *delivery, struct part_limits limits, struct text *to, size_t *places)
{
	const struct smtp_envelope *envelope = &delivery->envelope;
	size_t most = limits.recipients ? limits.recipients : envelope->count;
	size_t count = 0, domains = 0;

	for (size_t i = 0; i < envelope->count && count < most; i++) {
		if (!is_unanswered(delivery, i) ||
			!fits(to, count, envelope->to[i], limits.domains, &domains))
			continue;
		places[count] = i;
		to[count++] = envelope->to[i];
	}
	return count;
}

/* A part takes of the region what it needs: there may be as many parts as recipients. */
static bool place_part(struct region *region, const struct text *to, const size_t *places,
	size_t count, struct part *part)
{
	struct text *own = region_zalloc(region, count, sizeof(*own));

	part->answers = region_zalloc(region, count, sizeof(*part->answers));
	part->places = region_zalloc(region, count, sizeof(*part->places));
	if (!own || !part->answers || !part->places)
		return false;
	memcpy(own, to, count * sizeof(*to));
	memcpy(part->places, places, count * sizeof(*places));
	part->envelope.to = own;
	part->envelope.count = count;
	return true;
}

bool part_next(struct delivery *delivery, struct part_limits limits, struct part *part_out)
{
	struct text *to = calloc(delivery->envelope.count, sizeof(*to));
	size_t *places = calloc(delivery->envelope.count, sizeof(*places));
	struct part part = { .envelope = delivery->envelope };
	bool is_made = to && places &&
		       place_part(delivery->region, to, places,
			       choose(delivery, limits, to, places), &part);

	free(to);
	free(places);
	if (is_made)
		*part_out = part;
	return is_made;
}

/* ---- putting together */

/* "Too many recipients": X.5.3, or 452 or 552 without more (RFC 5321 4.5.3.1.10), unless it is the
 * mailbox that is too full. */
static bool is_too_many(const struct smtp_said *said)
{
	bool is_either = said->code == 452 || said->code == 552;
	bool is_of_mailbox = said->enhanced.subject == 2 ||
			     text_contains_nocase(said->text, TEXT("mailbox")) ||
			     text_contains_nocase(said->text, TEXT("quota"));

	if (said->enhanced.subject == 5 && said->enhanced.detail == 3)
		return said->code / 100 == 4 || said->code / 100 == 5;
	return is_either && !is_of_mailbox &&
	       (said->enhanced.class == 0 || text_contains_nocase(said->text, TEXT("too many")));
}

/* How many have an answer that stands, of the first `count`? */
static size_t count_settled(const struct part *part, size_t count)
{
	size_t settled = 0;

	for (size_t i = 0; i < count; i++)
		settled += part->answers[i].verdict.status && !is_too_many(&part->answers[i].said);
	return settled;
}

/* Where those begin that were too many, and behind whom nobody was taken. Those before say nothing
 * of how many it takes. */
static size_t end_of_room(const struct part *part)
{
	size_t end = part->envelope.count;

	for (size_t i = part->envelope.count; i > 0; i--) {
		const struct smtp_answer *answer = &part->answers[i - 1];

		if (answer->verdict.status && answer->verdict.class == SMTP_TAKEN)
			break;
		if (is_too_many(&answer->said))
			end = i - 1;
	}
	return end;
}

/* Every part settles somebody, so that there is an end: where all were too many, that is it. */
bool part_settle(struct delivery *delivery, const struct part *part, size_t *most_out)
{
	bool goes_on = count_settled(part, part->envelope.count) > 0;
	size_t end = end_of_room(part);
	bool is_more = false;

	*most_out = end < part->envelope.count ? count_settled(part, end) : 0;
	for (size_t i = 0; i < part->envelope.count; i++) {
		size_t place = part->places ? part->places[i] : i;
		struct smtp_answer *answer = &delivery->result.answers[place];

		if (goes_on && is_too_many(&part->answers[i].said))
			*answer = (struct smtp_answer){ 0 };
		else
			*answer = part->answers[i];
	}
	for (size_t i = 0; i < delivery->result.count; i++)
		is_more |= is_unanswered(delivery, i);
	return is_more;
}

bool part_places(const struct part *part, struct places *places_out)
{
	size_t size = part->envelope.count * sizeof(*part->places);
	struct places copy = { .count = part->envelope.count };

	if (part->places) {
		copy.at = malloc(size);
		if (!copy.at)
			return false;
		memcpy(copy.at, part->places, size);
	}
	*places_out = copy;
	return true;
}

void parts_end(struct delivery *delivery, const struct smtp_verdict *verdict)
{
	struct result *result = &delivery->result;

	for (size_t i = 0; i < result->count; i++)
		if (is_unanswered(delivery, i))
			result->answers[i].verdict = *verdict;
	result->verdict = smtp_verdict_of_all(result->answers, result->count);
}

void parts_end_unsent(struct delivery *delivery, const struct smtp_verdict *verdict)
{
	struct smtp_verdict unsent = *verdict;

	unsent.outcome = SMTP_NOT_SENT;
	unsent.phase = SMTP_IN_QUEUE;
	unsent.fresh_may_help = false;
	unsent.hint =
		verdict->retryable
			? "The message went in parts; the one for this recipient was not begun, "
			  "because the one before did not get through. Send it again to those "
			  "whose outcome is not_sent."
			: "The message went in parts; the one for this recipient was not begun: "
			  "what the relay refused in the one before it would refuse here, too.";
	parts_end(delivery, &unsent);
}

/* ---- who may be asked for once more, here or elsewhere */

/* It is about the recipient; one of the relay's own ("relaying denied") says nothing of others. */
static bool is_refused_for_good(const struct smtp_verdict *verdict)
{
	return verdict->outcome == SMTP_REJECTED && verdict->phase == SMTP_IN_RCPT &&
	       verdict->reach != SMTP_REACH_RELAY;
}

void parts_begin_anew(struct delivery *delivery)
{
	struct result *result = &delivery->result;

	for (size_t i = 0; i < result->count; i++) {
		if (!delivery->all_or_none && is_refused_for_good(&result->answers[i].verdict))
			delivery->parts = 1;
		else
			result->answers[i] = (struct smtp_answer){ 0 };
	}
}

static bool may_be_asked_again(const struct delivery *delivery, const struct smtp_verdict *verdict)
{
	switch (verdict->outcome) {
	case SMTP_NOT_SENT:
		return true;
	case SMTP_DEFERRED:
		return verdict->phase == SMTP_IN_MAIL || delivery->all_or_none;
	case SMTP_REJECTED:
		return verdict->phase == SMTP_IN_RCPT && !is_refused_for_good(verdict);
	default:
		return false;
	}
}

static bool is_open_elsewhere(const struct delivery *delivery, size_t i)
{
	return is_unanswered(delivery, i) ||
	       may_be_asked_again(delivery, &delivery->result.answers[i].verdict);
}

bool parts_may_go_elsewhere(const struct delivery *delivery)
{
	size_t open = 0;

	for (size_t i = 0; i < delivery->result.count; i++)
		open += is_open_elsewhere(delivery, i);
	return delivery->all_or_none ? open == delivery->result.count : open > 0;
}

bool parts_go_elsewhere(struct delivery *delivery)
{
	struct result *result = &delivery->result;
	bool any_stands = false;

	if (!delivery->is_settled)
		delivery->is_settled = region_zalloc(delivery->region, result->count, sizeof(bool));
	if (!delivery->is_settled)
		return false;
	for (size_t i = 0; i < result->count; i++) {
		if (is_open_elsewhere(delivery, i))
			result->answers[i] = (struct smtp_answer){ 0 };
		else
			any_stands = delivery->is_settled[i] = true;
	}
	delivery->parts = any_stands;
	return true;
}

struct smtp_verdict parts_verdict_here(
	const struct delivery *delivery, const struct smtp_verdict *last)
{
	const struct result *result = &delivery->result;
	struct smtp_answer *here = calloc(result->count, sizeof(*here));
	struct smtp_verdict verdict = *last;
	size_t count = 0;

	for (size_t i = 0; here && i < result->count; i++) {
		if (delivery->is_settled && delivery->is_settled[i])
			continue;
		here[count] = result->answers[i];
		if (is_unanswered(delivery, i))
			here[count].verdict = *last;
		count++;
	}
	if (count)
		verdict = smtp_verdict_of_all(here, count);
	if (verdict.outcome == SMTP_PARTIAL && last->class != SMTP_TAKEN) {
		verdict.phase = last->phase; /* that is why it ended there */
		verdict.category = last->category;
	}
	free(here);
	return verdict;
}
