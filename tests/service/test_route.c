#include "service/relay/route.h"

#include "load.h"
#include "unit.h"

#define FILE_OF(routes)                                                                            \
	"{\"routes\":[" routes "],\"relays\":[{\"name\":\"primary\",\"host\":\"a.example\"},"      \
	"{\"name\":\"backup\",\"host\":\"b.example\",\"priority\":2},"                             \
	"{\"name\":\"bulk\",\"host\":\"c.example\"}]}"

static const char routes[] = FILE_OF(
	"{\"from_domain\":\"example.org\",\"tag\":\"news\",\"relay\":[\"bulk\",\"backup\"]},"
	"{\"from_domain\":\"*.example.org\",\"relay\":\"backup\"},"
	"{\"to_domain\":\"example.net\",\"relay\":\"bulk\"},"
	"{\"key\":\"web\",\"relay\":\"primary\"},"
	"{\"tag\":\"bulk\",\"relay\":\"bulk\"}");

enum { PRIMARY = 1, BACKUP = 2, BULK = 4, ALL = 7 };

static const struct {
	const char *from, *to[2], *key, *tags[2];
	unsigned relays;
} questions[] = {
	{ "example.com", { "a@example.com" }, "", { 0 }, ALL },
	/* every condition has to fit */
	{ "example.org", { "a@example.com" }, "", { "x", "news" }, BULK | BACKUP },
	{ "example.org", { "a@example.com" }, "", { "new" }, ALL },
	{ "example.com", { "a@example.com" }, "", { "news" }, ALL },
	/* what is under a domain, and what only ends alike */
	{ "a.example.org", { "a@example.com" }, "", { 0 }, BACKUP },
	{ "a.b.example.org", { "a@example.com" }, "", { 0 }, BACKUP },
	{ "example.org", { "a@example.com" }, "", { 0 }, ALL },
	{ "badexample.org", { "a@example.com" }, "", { 0 }, ALL },
	{ ".example.org", { "a@example.com" }, "", { 0 }, ALL },
	{ "", { "a@example.com" }, "", { 0 }, ALL },
	/* every recipient has to be there */
	{ "example.com", { "a@example.net" }, "", { 0 }, BULK },
	{ "example.com", { "a@example.net", "b@example.net" }, "", { 0 }, BULK },
	{ "example.com", { "a@example.net", "b@example.com" }, "", { 0 }, ALL },
	{ "example.com", { "a@b.example.net" }, "", { 0 }, ALL },
	{ "example.com", { 0 }, "", { 0 }, ALL },
	/* the first that fits decides */
	{ "a.example.org", { "a@example.net" }, "web", { "bulk" }, BACKUP },
	{ "example.com", { "a@example.net" }, "web", { "bulk" }, BULK },
	{ "example.com", { "a@example.com" }, "web", { "bulk" }, PRIMARY },
	{ "example.com", { "a@example.com" }, "Web", { "bulk" }, BULK },
	{ "example.com", { "a@example.com" }, "Web", { "Bulk" }, ALL },
};

START_TEST(the_first_route_that_fits_decides)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(routes, NULL, why);
	struct text to[2], tags[2];
	struct route_question question = { .from_domain = text_of(questions[_i].from),
		.to = to,
		.key = text_of(questions[_i].key),
		.tags = tags };

	ck_assert_msg(settings != NULL, "%s", why);
	for (size_t i = 0; i < 2 && questions[_i].to[i]; i++)
		to[question.to_count++] = text_of(questions[_i].to[i]);
	for (size_t i = 0; i < 2 && questions[_i].tags[i]; i++)
		tags[question.tag_count++] = text_of(questions[_i].tags[i]);
	ck_assert_uint_eq(route_choose(settings, &question), questions[_i].relays);
	settings_free(settings);
}
END_TEST

START_TEST(without_routes_every_relay_may_take_it)
{
	struct settings settings = { .relay_count = _i == 0 ? 1 : _i == 1 ? 63 : 64 };
	struct route_question question = { 0 };

	ck_assert_uint_eq(route_choose(&settings, &question), _i == 0   ? 1
							      : _i == 1 ? UINT64_MAX >> 1
									: UINT64_MAX);
}
END_TEST

UNIT_MAIN(route, tcase_add_loop_test(cases, the_first_route_that_fits_decides, 0,
			 sizeof(questions) / sizeof(questions[0]));
	  tcase_add_loop_test(cases, without_routes_every_relay_may_take_it, 0, 3);)
