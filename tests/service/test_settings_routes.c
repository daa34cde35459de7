/* The list of routes in the config file. */
#include "load.h"
#include "unit.h"

#define FILE_OF(routes)                                                                            \
	"{\"routes\":[" routes "],\"relays\":[{\"name\":\"primary\",\"host\":\"a.example\"},"      \
	"{\"name\":\"backup\",\"host\":\"b.example\",\"priority\":2},"                             \
	"{\"name\":\"bulk\",\"host\":\"c.example\"}]}"

static void expect_text(struct text text, const char *want)
{
	ck_assert_msg(text_equal(text, text_of(want)), "%.*s: wanted %s", (int)text.len,
		text.len ? text.at : "", want);
}

START_TEST(routes_are_taken_in_their_order)
{
	char why[LOAD_WHY];
	struct settings *settings =
		load_file(FILE_OF("{\"from_domain\":\"Example.ORG\",\"relay\":\"backup\"},"
				  "{\"to_domain\":\"*.B\xc3\xbc"
				  "cher.example\",\"relay\":[\"bulk\",\"primary\"]},"
				  "{\"key\":\"web\",\"tag\":\"B\xc3\xbclk\",\"relay\":[\"bulk\"]}"),
			NULL, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->route_count, 3);
	expect_text(settings->routes[0].from_domain, "example.org");
	expect_text(settings->routes[0].to_domain, "");
	ck_assert_uint_eq(settings->routes[0].relays, 2);
	expect_text(settings->routes[1].to_domain, ".xn--bcher-kva.example");
	ck_assert_uint_eq(settings->routes[1].relays, 5);
	expect_text(settings->routes[2].key, "web");
	expect_text(settings->routes[2].tag, "B\xc3\xbclk");
	ck_assert_uint_eq(settings->routes[2].relays, 4);
	settings_free(settings);
}
END_TEST

START_TEST(the_only_relay_may_be_named)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		"{\"smtp_host\":\"a.example\",\"routes\":[{\"tag\":\"a\",\"relay\":\"default\"}]}",
		NULL, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->routes[0].relays, 1);
	settings_free(settings);
}
END_TEST

static const struct {
	const char *content, *says_a, *says_b;
} wrong[] = {
	{ "{\"routes\":{}}", "/routes: ", "list" },
	{ "{\"routes\":[7]}", "/routes/0: ", "object" },
	{ FILE_OF("{\"relay\":\"bulk\"}"), "/routes/0: ", "no condition" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":\"bulk\"},{\"tag\":\"a\"}"),
		"/routes/1/relay: ", "is missing" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":[]}"), "/routes/0/relay: ", "names no relay" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":\"bukl\"}"), "/routes/0/relay: ", "mean bulk?" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":[\"bulk\",\"other\"]}"),
		"/routes/0/relay/1: ", "no relay is called \"other\"" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":[\"bulk\",\"bulk\"]}"),
		"/routes/0/relay/1: ", "twice" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":7}"), "/routes/0/relay: ", "name" },
	{ FILE_OF("{\"tag\":\"a\",\"relay\":[7]}"), "/routes/0/relay/0: ", "name" },
	{ FILE_OF("{\"tags\":\"a\",\"relay\":\"bulk\"}"), "/routes/0/tags: ", "mean tag?" },
	{ FILE_OF("{\"colour\":\"a\",\"relay\":\"bulk\"}"), "/routes/0/colour: ", "there are" },
	{ FILE_OF("{\"tag\":\"\",\"relay\":\"bulk\"}"), "/routes/0/tag: ", "not empty" },
	{ FILE_OF("{\"tag\":[\"a\"],\"relay\":\"bulk\"}"), "/routes/0/tag: ", "string" },
	{ FILE_OF("{\"tag\":\"a\\nb\",\"relay\":\"bulk\"}"), "/routes/0/tag: ", "control" },
	{ FILE_OF("{\"key\":\"a\\u0000b\",\"relay\":\"bulk\"}"), "/routes/0/key: ", "control" },
	{ FILE_OF("{\"from_domain\":\"me@a.example\",\"relay\":\"bulk\"}"),
		"/routes/0/from_domain: ", "@" },
	{ FILE_OF("{\"from_domain\":\"a..example\",\"relay\":\"bulk\"}"),
		"/routes/0/from_domain: ", "empty label" },
	{ FILE_OF("{\"to_domain\":\"*\",\"relay\":\"bulk\"}"),
		"/routes/0/to_domain: ", "*.example.org" },
	{ FILE_OF("{\"to_domain\":\"*.\",\"relay\":\"bulk\"}"),
		"/routes/0/to_domain: ", "missing" },
	{ FILE_OF("{\"to_domain\":\"a.*.example\",\"relay\":\"bulk\"}"),
		"/routes/0/to_domain: ", "*.example.org" },
};

START_TEST(a_wrong_route_is_named)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(wrong[_i].content, NULL, why);

	ck_assert_msg(!settings, "%s was taken", wrong[_i].content);
	ck_assert_msg(strstr(why, wrong[_i].says_a) && strstr(why, wrong[_i].says_b),
		"%s: wanted \"%s\" and \"%s\" in: %s", wrong[_i].content, wrong[_i].says_a,
		wrong[_i].says_b, why);
}
END_TEST

START_TEST(routes_are_printed)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		FILE_OF("{\"from_domain\":\"*.example.org\",\"tag\":\"a\",\"relay\":\"backup\"},"
			"{\"key\":\"web\",\"relay\":[\"bulk\",\"primary\"]}"),
		NULL, why);
	struct buf out = buf_born(1 << 20);

	ck_assert_msg(settings != NULL, "%s", why);
	settings_print(settings, false, &out);
	buf_add_byte(&out, 0);
	ck_assert_ptr_nonnull(strstr(out.at,
		"\n  1                      from_domain *.example.org, tag a: backup\n"
		"  2                      key web: primary, bulk\n"));
	buf_free(&out);
	settings_free(settings);
}
END_TEST

UNIT_MAIN(settings_routes, tcase_add_test(cases, routes_are_taken_in_their_order);
	  tcase_add_test(cases, the_only_relay_may_be_named);
	  tcase_add_loop_test(cases, a_wrong_route_is_named, 0, sizeof(wrong) / sizeof(wrong[0]));
	  tcase_add_test(cases, routes_are_printed);)
