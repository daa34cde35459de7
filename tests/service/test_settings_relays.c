/* The list of relays in the config file. */
#include "load.h"
#include "unit.h"

#define TOKEN_URL "\"oauth_token_url\":\"https://t.example/\",\"oauth_client_id\":\"c\""

START_TEST(one_relay_may_stand_in_a_list)
{
	char *secret = file_of("sesame\n"), content[500], why[LOAD_WHY];
	const char *environment[] = { "SMTP_SESSIONS=5", NULL };
	struct settings *settings;

	snprintf(content, sizeof(content),
		"{\"relays\":[{\"name\":\"primary\",\"host\":\"a.example\",\"user\":\"u\","
		"\"pass_file\":\"%s\",\"priority\":1,\"weight\":2,\"timeout_dot\":\"5m\"}]}",
		secret);
	settings = load_file(content, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relays[0].name, "primary");
	ck_assert_str_eq(settings->relays[0].host, "a.example");
	ck_assert_str_eq(settings->relays[0].pass, "sesame");
	ck_assert_uint_eq(settings->relays[0].dot_ms, 300000);
	ck_assert_msg(settings->relays[0].sessions == 5, "what is said for all is the default");
	ck_assert_uint_eq(settings->relay_count, 1);
	ck_assert_str_eq(settings->relays[0].name, "primary");
	ck_assert_uint_eq(settings->relays[0].weight, 2);
	settings_free(settings);
	remove_file(secret);
}
END_TEST

START_TEST(one_relay_may_go_without_a_name)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		_i ? "{\"relays\":[{\"host\":\"a.example\"}]}" : "{\"relays\":[]}", NULL, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->relay_count, 1);
	ck_assert_str_eq(settings->relays[0].name, "default");
	ck_assert_str_eq(settings->relays[0].host, _i ? "a.example" : "");
	ck_assert_uint_eq(settings->relays[0].priority, 1);
	ck_assert_uint_eq(settings->relays[0].weight, 1);
	settings_free(settings);
}
END_TEST

/* Each has its own, else what is said for all, else the default of the table. */
START_TEST(several_relays_have_each_their_own)
{
	const char *environment[] = { "SMTP_TIMEOUT_DOT=5m", "SMTP_USER=all", "SMTP_PASS=secret",
		"SMTP_CA_FILE=-----BEGIN x", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		"{\"smtp_sessions\":4,\"relays\":[{\"name\":\"a\",\"host\":\"a.example\"},"
		"{\"name\":\"b\",\"host\":\"b.example\",\"port\":465,\"sessions\":8,\"priority\":2,"
		"\"weight\":1000,\"user\":\"bo\",\"pass\":\"sesame\"},"
		"{\"name\":\"c\",\"url\":\"smtp://c.example:26?idle=5s\",\"weight\":3}]}",
		environment, why);
	const struct relay_settings *relay;

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->relay_count, 3);
	relay = &settings->relays[0];
	ck_assert_str_eq(relay->name, "a");
	ck_assert_str_eq(relay->host, "a.example");
	ck_assert_uint_eq(relay->port, 587);
	ck_assert_int_eq(relay->tls, SMTP_TLS_STARTTLS);
	ck_assert_uint_eq(relay->sessions, 4);
	ck_assert_uint_eq(relay->dot_ms, 300000);
	ck_assert_uint_eq(relay->idle_ms, 30000);
	ck_assert_str_eq(relay->user, "all");
	ck_assert_str_eq(relay->pass, "secret");
	relay = &settings->relays[1];
	ck_assert_str_eq(relay->name, "b");
	ck_assert_uint_eq(relay->port, 465);
	ck_assert_int_eq(relay->tls, SMTP_TLS_IMPLICIT);
	ck_assert_uint_eq(relay->sessions, 8);
	ck_assert_uint_eq(relay->priority, 2);
	ck_assert_uint_eq(relay->weight, 1000);
	ck_assert_str_eq(relay->user, "bo");
	ck_assert_str_eq(relay->pass, "sesame");
	relay = &settings->relays[2];
	ck_assert_str_eq(relay->host, "c.example");
	ck_assert_uint_eq(relay->port, 26);
	ck_assert_uint_eq(relay->idle_ms, 5000);
	ck_assert_msg(!relay->user[0] && !relay->pass[0], "a URL says all of place and login");
	for (size_t i = 0; i < 3; i++) {
		ck_assert_str_eq(settings->relays[i].ca_pem, "-----BEGIN x");
		ck_assert_str_ne(settings->relays[i].ehlo_name, "");
		ck_assert_str_eq(settings->relays[i].token_file, "");
	}
	settings_free(settings);
}
END_TEST

/* A login is one thing: a password of its own does not stand beside the token of all. */
START_TEST(a_login_of_its_own_takes_the_place)
{
	static const char *const logins[] = { "\"pass\":\"p\"", "\"oauth_token\":\"t\"",
		TOKEN_URL ",\"oauth_refresh_token\":\"r\"", "\"port\":25",
		"\"client_cert\":\"-----BEGIN own\",\"client_key\":\"-----BEGIN own\"" };
	static const char *const of_all[] = { "SMTP_OAUTH_TOKEN=all", "SMTP_PASS=all",
		"SMTP_OAUTH_TOKEN=all", "SMTP_OAUTH_TOKEN=all", "SMTP_PASS=all" };
	const char *environment[] = { "SMTP_USER=u", of_all[_i], "SMTP_CLIENT_CERT=-----BEGIN all",
		"SMTP_CLIENT_KEY=-----BEGIN all", NULL };
	char content[500], why[LOAD_WHY];
	const struct relay_settings *relay;
	struct settings *settings;

	snprintf(
		content, sizeof(content), "{\"relays\":[{\"host\":\"a.example\",%s}]}", logins[_i]);
	settings = load_file(content, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	relay = &settings->relays[0];
	ck_assert_str_eq(relay->user, "u");
	ck_assert_str_eq(relay->pass, _i == 0 ? "p" : _i == 4 ? "all" : "");
	ck_assert_str_eq(relay->token, _i == 1 ? "t" : _i == 3 ? "all" : "");
	ck_assert_str_eq(relay->oauth_token_url, _i == 2 ? "https://t.example/" : "");
	ck_assert_str_eq(relay->client_cert_pem, _i == 4 ? "-----BEGIN own" : "-----BEGIN all");
	settings_free(settings);
}
END_TEST

/* What is theirs alone is not needed for all. */
START_TEST(what_is_said_for_all_need_not_be_whole)
{
	const char *environment[] = { "SMTP_USER=u", "SMTP_OAUTH_CLIENT_ID=c",
		"SMTP_MIN_SESSIONS=20", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		"{\"relays\":[{\"host\":\"a.example\",\"sessions\":20,"
		"\"oauth_token_url\":\"https://t.example/\",\"oauth_client_secret\":\"s\"}]}",
		environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relays[0].oauth_client_id, "c");
	settings_free(settings);
}
END_TEST

START_TEST(each_has_a_token_file_of_its_own)
{
	char *one = file_of("one\n"), *two = file_of("two\n"), content[800], why[LOAD_WHY];
	const char *environment[] = { "SMTP_USER=u", NULL };
	struct buf token = buf_born(100);
	struct settings *settings;

	snprintf(content, sizeof(content),
		"{\"smtp_oauth_token_file\":\"%s\",\"relays\":["
		"{\"name\":\"a\",\"host\":\"a.example\"},"
		"{\"name\":\"b\",\"host\":\"b.example\",\"oauth_token_file\":\"%s\"}]}",
		one, two);
	settings = load_file(content, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relays[0].token_file, one);
	ck_assert_str_eq(settings->relays[1].token_file, two);
	ck_assert_int_eq(settings_read_token(&settings->relays[1], &token), OK);
	ck_assert(text_equal(buf_text(&token), TEXT("two")));
	buf_free(&token);
	settings_free(settings);
	remove_file(one);
	remove_file(two);
}
END_TEST

#define TWO(a, b)                                                                                  \
	"{\"relays\":[{\"name\":\"a\",\"host\":\"a.example\"" a                                    \
	"},{\"name\":\"b\",\"host\":\"b.example\"" b "}]}"
#define USER ",\"user\":\"u\""

static const struct {
	const char *content, *says_a, *says_b;
} wrong[] = {
	{ "{\"relays\":{}}", "/relays: ", "list" },
	{ "{\"relays\":[1]}", "/relays/0: ", "object" },
	{ "{\"relays\":[{\"host\":\"a\"},7]}", "/relays/", "" },
	{ "{\"relays\":[{}]}", "/relays/0/host", "is missing" },
	{ "{\"relays\":[{\"host\":\"a\"},{\"host\":\"b\"}]}", "/relays/0/name", "is missing" },
	{ "{\"relays\":[{\"name\":\"a\",\"host\":\"a\"},{\"host\":\"b\"}]}", "/relays/1/name",
		"is missing" },
	{ "{\"relays\":[{\"name\":\"a\",\"host\":\"a\"},{\"name\":\"a\",\"host\":\"b\"}]}",
		"/relays/1/name: \"a\"", "of /relays/0" },
	{ TWO("", ",\"hots\":\"a\""), "/relays/1/hots", "mean host?" },
	{ TWO("", ",\"smtp_port\":1"), "/relays/1/smtp_port", "no such setting" },
	{ TWO("", ",\"log_level\":\"info\""), "/relays/1/log_level", "no such setting" },
	{ "{\"relays\":[{\"name\":\"a b\",\"host\":\"a\"}]}", "/relays/0/name", "letters" },
	{ "{\"relays\":[{\"name\":7,\"host\":\"a\"}]}", "/relays/0/name", "letters" },
	{ TWO("", ",\"weight\":\"x\""), "/relays/1/weight", "whole number from 1 to 1000" },
	{ TWO("", ",\"weight\":0"), "/relays/1/weight", "whole number from 1 to 1000" },
	{ TWO("", ",\"weight\":1.5"), "/relays/1/weight", "whole number from 1 to 1000" },
	{ TWO("", ",\"priority\":1001"), "/relays/1/priority", "whole number from 1 to 1000" },
	{ TWO("", ",\"priority\":1e300"), "/relays/1/priority", "whole number from 1 to 1000" },
	{ TWO("", ",\"port\":\"x\""), "/relays/1/port: \"x\"", "1 to 65535" },
	{ TWO("", ",\"url\":\"smtp://b\""), "/relays/1/", "leave one out" },
	{ "{\"relays\":[{\"url\":\"smtp://u:topsecret@b:x\"}]}", "/relays/0/url", "not a port" },
	{ "{\"relays\":[{\"url\":\"http://u:topsecret@b\"}]}", "/relays/0/url", "smtp://" },
	{ TWO("", ",\"pass_file\":\"/does/not/exist\""), "/relays/1/pass_file", "No such file" },
	{ "{\"relays\":[{\"host\":\"a\"}],\"smtp_host\":\"b\"}", "/smtp_host", "one place" },
	{ "{\"smtp_url\":\"smtp://b\",\"relays\":[{\"host\":\"a\"}]}", "/smtp_url", "one place" },
	{ "{\"relays\":[{\"name\":\"a\",\"host\":\"a\"},{\"name\":\"b\",\"host\":\"capture\"}]}",
		"/relays/1/host: capture", "alone" },
	/* what does not go together in one of them */
	{ TWO("", USER), "/relays/1/pass: is missing", "user" },
	{ TWO("", ",\"pass\":\"topsecret\""), "/relays/1/user: is missing", "pass" },
	{ TWO("", ",\"min_sessions\":17"), "/relays/1/min_sessions: 17", "sessions" },
	{ TWO("", USER ",\"pass\":\"x\",\"secure\":\"none\""), "/relays/1/secure: NONE",
		"STARTTLS" },
	{ TWO("", USER ",\"pass\":\"x\",\"secure\":\"opportunistic\""), "/relays/1/secure",
		"STARTTLS" },
	{ TWO("", ",\"client_cert\":\"-----BEGIN x\""), "/relays/1/client_key: is missing",
		"client_cert" },
	{ TWO("", USER "," TOKEN_URL ",\"pass\":\"topsecret\""), "/relays/1/pass and",
		"leave one out" },
	{ TWO("", USER "," TOKEN_URL), "/relays/1/oauth_refresh_token", "is missing" },
	{ TWO("", ",\"oauth_scope\":\"x\""), "/relays/1/oauth_token_url", "is missing" },
	{ TWO("", ",\"auth\":\"xoauth2\""), "/relays/1/oauth_token: is missing", "auth names" },
};

START_TEST(a_wrong_entry_is_named)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(wrong[_i].content, NULL, why);

	ck_assert_msg(!settings, "%s was taken", wrong[_i].content);
	ck_assert_msg(strstr(why, wrong[_i].says_a) && strstr(why, wrong[_i].says_b),
		"%s: wanted \"%s\" and \"%s\" in: %s", wrong[_i].content, wrong[_i].says_a,
		wrong[_i].says_b, why);
	ck_assert_msg(!strstr(why, "topsecret"), "%s", why);
	ck_assert_msg(!strstr(why, "SMTP_") || strstr(why, "url"), "%s", why);
}
END_TEST

/* A value of all that does not fit one of them: that one is named. */
START_TEST(an_entry_is_named_for_what_it_inherits)
{
	const char *environment[] = { "SMTP_MIN_SESSIONS=8", NULL };
	char why[LOAD_WHY];

	ck_assert(!load_file(TWO("", ",\"sessions\":4"), environment, why));
	ck_assert_msg(strstr(why, "/relays/1/min_sessions: 8 is more than sessions, which is 4"),
		"%s", why);
}
END_TEST

static char *list_of(size_t count)
{
	struct buf list = buf_born(1 << 16);

	buf_add_string(&list, "{\"relays\":[");
	for (size_t i = 0; i < count; i++)
		buf_addf(&list, "%s{\"name\":\"r%zu\",\"host\":\"r%zu.example\"}", i ? "," : "", i,
			i);
	buf_add_string(&list, "]}");
	buf_add_byte(&list, 0);
	ck_assert_int_eq(list.err, OK);
	return list.at;
}

START_TEST(there_is_room_for_64)
{
	char *list = list_of(RELAYS_MAX), *more = list_of(RELAYS_MAX + 1), why[LOAD_WHY];
	struct settings *settings = load_file(list, NULL, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->relay_count, RELAYS_MAX);
	ck_assert_str_eq(settings->relays[63].host, "r63.example");
	settings_free(settings);
	ck_assert(!load_file(more, NULL, why));
	ck_assert_ptr_nonnull(strstr(why, "more than 64"));
	free(list);
	free(more);
}
END_TEST

START_TEST(a_list_of_relays_is_the_only_place)
{
	const char *environment[] = { _i ? "SMTP_URL=smtp://b.example" : "SMTP_HOST=b.example",
		NULL };
	char why[LOAD_WHY];

	ck_assert(!load_file("{\"relays\":[{\"host\":\"a.example\"}]}", environment, why));
	ck_assert_ptr_nonnull(strstr(why, "one place"));
}
END_TEST

START_TEST(development_has_the_relays_of_its_file)
{
	char *path = file_of("{\"relays\":[{\"host\":\"a.example\"}]}"), why[LOAD_WHY];
	const char *args[] = { "--dev", "--config", path, NULL };
	struct settings *settings = load(args, NULL, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->relays[0].host, "a.example");
	settings_free(settings);
	remove_file(path);
}
END_TEST

START_TEST(each_is_printed_without_its_secrets)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file(
		TWO(",\"user\":\"me\",\"pass\":\"topsecret\"",
			",\"priority\":2,\"port\":25,\"oauth_client_secret\":\"topsecret\"" USER
			"," TOKEN_URL),
		NULL, why);
	struct buf out = buf_born(1 << 20);

	ck_assert_msg(settings != NULL, "%s", why);
	settings_print(settings, false, &out);
	buf_add_byte(&out, 0);
	ck_assert_ptr_null(strstr(out.at, "topsecret"));
	ck_assert_ptr_nonnull(strstr(out.at,
		"\n\nRELAY a                  priority 1, weight 1, and as above but for\n"
		"  host                   a.example\n"
		"  user                   me\n"
		"  pass                   ***\n"
		"\nRELAY b                  priority 2, weight 1, and as above but for\n"
		"  host                   b.example\n"
		"  port                   25\n"
		"  user                   u\n"
		"  oauth_token_url        https://t.example/\n"
		"  oauth_client_id        c\n"
		"  oauth_client_secret    ***\n"));
	buf_free(&out);
	settings_free(settings);
}
END_TEST

UNIT_MAIN(settings_relays, tcase_add_test(cases, one_relay_may_stand_in_a_list);
	  tcase_add_loop_test(cases, one_relay_may_go_without_a_name, 0, 2);
	  tcase_add_test(cases, several_relays_have_each_their_own);
	  tcase_add_loop_test(cases, a_login_of_its_own_takes_the_place, 0, 5);
	  tcase_add_test(cases, what_is_said_for_all_need_not_be_whole);
	  tcase_add_test(cases, each_has_a_token_file_of_its_own);
	  tcase_add_loop_test(cases, a_wrong_entry_is_named, 0, sizeof(wrong) / sizeof(wrong[0]));
	  tcase_add_test(cases, an_entry_is_named_for_what_it_inherits);
	  tcase_add_test(cases, there_is_room_for_64);
	  tcase_add_loop_test(cases, a_list_of_relays_is_the_only_place, 0, 2);
	  tcase_add_test(cases, development_has_the_relays_of_its_file);
	  tcase_add_test(cases, each_is_printed_without_its_secrets);)
