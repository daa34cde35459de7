#include "service/parts.h"

#include "smtp/address.h"

static bool is_open(const struct delivery *delivery, size_t i)
{
	return delivery->result.answers[i].verdict.status == 0;
}

/* ---- cutting */

bool part_is_needed(const struct delivery *delivery, struct part_limits limits)
{
	size_t count = delivery->envelope.count;
	struct text first = smtp_address_domain(delivery->envelope.to[0]);

	if (limits.recipients && count > limits.recipients)
		return true;
	if (!limits.domains || count <= limits.domains)
		return false;
	for (size_t i = 1; i < count; i++)
		if (limits.domains == 1 &&
			!text_equal(smtp_address_domain(delivery->envelope.to[i]), first))
			return true;
	return limits.domains > 1;
}

/* Is its domain among those of the part, or is there room for one more? */
static bool fits(const struct part *part, struct text address, size_t most, size_t *domains)
{
	struct text domain = smtp_address_domain(address);

	for (size_t i = 0; most && i < part->envelope.count; i++)
		if (text_equal(smtp_address_domain(part->envelope.to[i]), domain))
			return true;
	if (most && *domains == most)
		return false;
	++*domains;
	return true;
}

bool part_next(struct delivery *delivery, struct part_limits limits, struct part *part_out)
{
	size_t count = delivery->envelope.count, domains = 0;
	size_t most = limits.recipients && limits.recipients < count ? limits.recipients : count;
	struct part part = { .envelope = delivery->envelope };

	part.envelope.count = 0;
	part.envelope.to = region_zalloc(delivery->region, most, sizeof(*part.envelope.to));
	part.answers = region_zalloc(delivery->region, most, sizeof(*part.answers));
	part.places = region_zalloc(delivery->region, most, sizeof(*part.places));
	if (!part.envelope.to || !part.answers || !part.places)
		return false;
	for (size_t i = 0; i < count && part.envelope.count < most; i++) {
		struct text to = delivery->envelope.to[i];

		if (!is_open(delivery, i) || !fits(&part, to, limits.domains, &domains))
			continue;
		part.places[part.envelope.count] = i;
		part.envelope.to[part.envelope.count++] = to;
	}
	*part_out = part;
	return true;
}

/* ---- putting together */

/* "Too many recipients": 452 or 552 without more, or with X.5.3 (RFC 5321 4.5.3.1.10). */
static bool is_too_many(const struct smtp_said *said)
{
	bool is_explicit = said->enhanced.subject == 5 && said->enhanced.detail == 3;
	bool in_words = text_contains_nocase(said->text, TEXT("too many"));

	if (said->code == 452)
		return said->enhanced.class == 0 || is_explicit;
	return (said->code / 100 == 4 && is_explicit) ||
	       (said->code == 552 && (is_explicit || in_words));
}

static size_t count_taken(const struct part *part)
{
	size_t taken = 0;

	for (size_t i = 0; i < part->envelope.count; i++)
		taken += part->answers[i].verdict.class == SMTP_TAKEN &&
			 part->answers[i].verdict.status;
	return taken;
}

bool part_settle(struct delivery *delivery, const struct part *part, size_t *most_out)
{
	size_t taken = count_taken(part);
	bool is_more = false;

	*most_out = 0;
	for (size_t i = 0; i < part->envelope.count; i++) {
		size_t place = part->places ? part->places[i] : i;
		struct smtp_answer *answer = &delivery->result.answers[place];

		if (taken && is_too_many(&part->answers[i].said)) {
			*answer = (struct smtp_answer){ 0 };
			*most_out = taken;
		} else {
			*answer = part->answers[i];
		}
	}
	for (size_t i = 0; i < delivery->result.count; i++)
		is_more |= is_open(delivery, i);
	return is_more;
}

void parts_end(struct delivery *delivery, const struct smtp_verdict *verdict)
{
	struct result *result = &delivery->result;

	for (size_t i = 0; i < result->count; i++)
		if (is_open(delivery, i))
			result->answers[i].verdict = *verdict;
	result->verdict = smtp_verdict_of_all(result->answers, result->count);
}
