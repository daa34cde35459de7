#include "service/relay/route.h"

#include "smtp/address/address.h"

/* A pattern with a dot in front fits every name under it. Domains of addresses are in lower case
 * once they were read. */
static bool domain_fits(struct text domain, struct text pattern)
{
	if (pattern.at[0] != '.')
		return text_equal(domain, pattern);
	return domain.len > pattern.len &&
	       text_equal(text_from(domain, domain.len - pattern.len), pattern);
}

static bool all_are_there(const struct route_question *question, struct text pattern)
{
	for (size_t i = 0; i < question->to_count; i++)
		if (!domain_fits(smtp_address_domain(question->to[i]), pattern))
			return false;
	return question->to_count > 0;
}

static bool has_tag(const struct route_question *question, struct text tag)
{
	for (size_t i = 0; i < question->tag_count; i++)
		if (text_equal(question->tags[i], tag))
			return true;
	return false;
}

static bool fits(const struct route_settings *route, const struct route_question *question)
{
	return (!route->from_domain.len ||
		       domain_fits(question->from_domain, route->from_domain)) &&
	       (!route->to_domain.len || all_are_there(question, route->to_domain)) &&
	       (!route->key.len || text_equal(question->key, route->key)) &&
	       (!route->tag.len || has_tag(question, route->tag));
}

uint64_t route_choose(const struct settings *settings, const struct route_question *question)
{
	for (size_t i = 0; i < settings->route_count; i++)
		if (fits(&settings->routes[i], question))
			return settings->routes[i].relays;
	return settings->relay_count >= 64 ? UINT64_MAX
					   : (UINT64_C(1) << settings->relay_count) - 1;
}
