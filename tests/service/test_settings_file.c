#include "load.h"
#include "unit.h"

/* ---- --config FILE */

START_TEST(a_file_holds_the_same_in_lower_case)
{
	const char *environment[] = { "SMTP_SESSIONS=5", NULL };
	char why[LOAD_WHY];
	struct settings *settings =
		load_file("{ \"smtp_host\": \"a.example\", \"smtp_port\": 2525,\n"
			  "  \"smtp_sessions\": 4, \"smtp_idle\": \"10s\", \"smtp_user\": null,\n"
			  "  \"http_listen\": [\"127.0.0.1:1\", \"127.0.0.1:2\"],\n"
			  "  \"relays\": [], \"routes\": [] }",
			environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.host, "a.example");
	ck_assert_uint_eq(settings->relay.port, 2525);
	ck_assert_uint_eq(settings->relay.idle_ms, 10000);
	ck_assert_uint_eq(settings->listen_count, 2);
	ck_assert_msg(settings->relay.sessions == 5, "the environment comes later, and wins");
	settings_free(settings);
}
END_TEST

static const struct {
	const char *content, *says_a, *says_b;
} wrong_files[] = {
	{ "", "is empty", "{}" },
	{ "[]", "object", "" },
	{ "{\n \"smtp_host\" \"a\"}", "line 2, column 14", "colon" },
	{ "{\"smtp_host\":\"a\",\"smtp_host\":\"b\"}", "same name", "" },
	{ "{\"smtp_hots\":\"a\"}", "/smtp_hots", "mean smtp_host?" },
	{ "{\"colour\":\"a\"}", "/colour", "no such setting" },
	{ "{\"SMTP_HOST\":\"a\"}", "/SMTP_HOST", "lower case" },
	{ "{\"smtp_port\":\"abc\"}", "/smtp_port: \"abc\"", "1 to 65535" },
	{ "{\"smtp_port\":587.5}", "/smtp_port: \"587.5\"", "1 to 65535" },
	{ "{\"smtp_port\":true}", "/smtp_port", "string or a number" },
	{ "{\"smtp_port\":{}}", "/smtp_port", "string or a number" },
	{ "{\"http_listen\":[[]]}", "/http_listen", "list of strings" },
	{ "{\"smtp_user\":\"a\\u0000b\",\"smtp_pass\":\"x\"}", "/smtp_user", "NUL" },
	{ "{\"console\":\"on\"}", "CONSOLE", "not supported yet" },
};

START_TEST(a_wrong_file_is_shown_where)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(wrong_files[_i].content, NULL, why);

	ck_assert_msg(!settings, "%s was taken", wrong_files[_i].content);
	ck_assert_msg(strstr(why, wrong_files[_i].says_a) && strstr(why, wrong_files[_i].says_b),
		"%s: wanted \"%s\" and \"%s\" in: %s", wrong_files[_i].content,
		wrong_files[_i].says_a, wrong_files[_i].says_b, why);
}
END_TEST

/* ---- flags */

START_TEST(flags_come_last)
{
	const char *args[] = { "--listen=127.0.0.1:7", "--set", "SMTP_PORT=26",
		"--set=SMTP_HOST=b.example", NULL };
	const char *environment[] = { "SMTP_URL=smtp://a.example:25", "HTTP_LISTEN=127.0.0.1:1",
		NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(args, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.host, "b.example");
	ck_assert_uint_eq(settings->relay.port, 26);
	ck_assert_uint_eq(settings->listen_count, 1);
	ck_assert_uint_eq(settings->listen[0].port, 7);
	settings_free(settings);
}
END_TEST

START_TEST(a_later_url_forgets_the_earlier_relay)
{
	const char *args[] = { "--set", "SMTP_URL=smtp://b.example", NULL };
	const char *environment[] = { "SMTP_HOST=a.example", "SMTP_PORT=465", "SMTP_USER=u",
		"SMTP_PASS=p", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(args, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relay.host, "b.example");
	ck_assert_uint_eq(settings->relay.port, 587);
	ck_assert_str_eq(settings->relay.user, "");
	settings_free(settings);
}
END_TEST

START_TEST(development_captures_unless_told_otherwise)
{
	const char *args[] = { "--dev", NULL };
	const char *environment[] = { _i ? "SMTP_HOST=a.example" : "A=b", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(args, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert(settings->dev);
	ck_assert_str_eq(settings->relay.host, _i ? "a.example" : "capture");
	ck_assert_str_eq(settings->listen[0].address, "127.0.0.1");
	ck_assert_uint_eq(settings->listen[0].port, 8080);
	settings_free(settings);
}
END_TEST

static const struct {
	const char *args[3], *says;
} wrong_flags[] = {
	{ { "--colour" }, "--set NAME=VALUE" },
	{ { "serve" }, "no such flag" },
	{ { "--config" }, "without a value" },
	{ { "--config=/does/not/exist" }, "No such file" },
	{ { "--set", "SMTP_PORT" }, "NAME=VALUE" },
	{ { "--set", "COLOUR=red" }, "COLOUR: no such setting" },
	{ { "--set", "SMTP_PROT=1" }, "SMTP_PORT?" },
	{ { "--listen", "8080" }, "--listen: \"8080\"" },
};

START_TEST(a_wrong_flag_is_refused)
{
	char why[LOAD_WHY];

	ck_assert(!load(wrong_flags[_i].args, NULL, why));
	ck_assert_msg(
		strstr(why, wrong_flags[_i].says) != NULL, "%s: %s", wrong_flags[_i].args[0], why);
}
END_TEST

/* ---- printing */

static char *print(const struct settings *settings, bool markdown)
{
	struct buf out = buf_born(1 << 20);

	settings_print(settings, markdown, &out);
	buf_add_byte(&out, 0);
	ck_assert_int_eq(out.err, OK);
	return out.at;
}

START_TEST(what_is_in_force_is_printed_without_secrets)
{
	static const char *const logins[] = { "SMTP_URL=smtp://me:topsecret@a.example",
		"SMTP_URL=smtp://me@a.example?oauth_token_url=https://b/&oauth_client_id=c"
		"&oauth_client_secret=topsecret&oauth_refresh_token=topsecret" };
	const char *environment[] = { logins[_i], "API_KEY=topsecret-topsecret", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);
	char *printed = print(settings, false);

	ck_assert_ptr_null(strstr(printed, "topsecret"));
	ck_assert_ptr_nonnull(strstr(printed, "\nSMTP_HOST                a.example "));
	ck_assert_ptr_nonnull(strstr(printed,
		_i ? "\nSMTP_OAUTH_CLIENT_SECRET *** " : "\nSMTP_PASS                *** "));
	ck_assert_ptr_nonnull(strstr(printed, "\nDRAIN_TIMEOUT            25s "));
	for (const char *line = printed; *line; line += strcspn(line, "\n") + 1)
		ck_assert_msg(strcspn(line, "\n") <= 122, "too wide: %s", line);
	free(printed);
	settings_free(settings);
}
END_TEST

START_TEST(the_docs_need_no_settings)
{
	char *printed = print(NULL, true);

	ck_assert_ptr_nonnull(strstr(printed, "| `SMTP_IDLE` | `30s` | "));
	ck_assert_ptr_nonnull(strstr(printed, "| `SMTP_HOST` | – | "));
	free(printed);
}
END_TEST

UNIT_MAIN(settings_file, tcase_add_test(cases, a_file_holds_the_same_in_lower_case);
	  tcase_add_loop_test(cases, a_wrong_file_is_shown_where, 0,
		  sizeof(wrong_files) / sizeof(wrong_files[0]));
	  tcase_add_test(cases, flags_come_last);
	  tcase_add_test(cases, a_later_url_forgets_the_earlier_relay);
	  tcase_add_loop_test(cases, development_captures_unless_told_otherwise, 0, 2);
	  tcase_add_loop_test(
		  cases, a_wrong_flag_is_refused, 0, sizeof(wrong_flags) / sizeof(wrong_flags[0]));
	  tcase_add_loop_test(cases, what_is_in_force_is_printed_without_secrets, 0, 2);
	  tcase_add_test(cases, the_docs_need_no_settings);)
