/* Who is told of events: WEBHOOK_URL and its kin, and the list in the config file. */
#include "load.h"
#include "unit.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define STORE  "STORE=sqlite:/var/q.db"
#define URL    "WEBHOOK_URL=https://app.example.com/events"
#define HOOK   "\"url\":\"https://a.example\",\"secret\":\"" SECRET "\""

static const char *const with_store[] = { STORE, NULL };

START_TEST(one_is_told)
{
	static const char *const environment[] = { STORE, URL, "WEBHOOK_SECRET=" SECRET " " OTHER,
		"WEBHOOK_ALLOW_NETWORKS=10.1.0.0/16, fd00::/8", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);
	const struct webhook_settings *webhook;

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->webhook_count, 1);
	webhook = &settings->webhooks[0];
	ck_assert_str_eq(webhook->name, "default");
	ck_assert_str_eq(webhook->url, "https://app.example.com/events");
	ck_assert_uint_eq(webhook->keys.count, 2);
	ck_assert_uint_eq(webhook->filter.types, 0);
	ck_assert_uint_eq(settings->webhook_network_count, 2);
	ck_assert_uint_eq(settings->webhook_networks[1].prefix, 8);
	settings_free(settings);
}
END_TEST

START_TEST(several_are_told)
{
	char *file = file_of(SECRET "\n" OTHER "\n"), content[2000], why[LOAD_WHY];
	struct settings *settings;

	snprintf(content, sizeof(content),
		"{\"webhooks\":[{\"name\":\"a\"," HOOK ",\"tag\":\"orders\","
		"\"events\":[\"message.failed\",\"message.unknown\"]},"
		"{\"name\":\"b\",\"url\":\"https://10.1.2.3:8443/\",\"secret_file\":\"%s\"}],"
		"\"webhook_allow_networks\":[\"10.1.0.0/16\"]}",
		file);
	settings = load_file(content, with_store, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->webhook_count, 2);
	ck_assert_str_eq(settings->webhooks[0].name, "a");
	ck_assert(text_equal(settings->webhooks[0].filter.tag, TEXT("orders")));
	ck_assert_uint_eq(settings->webhooks[0].filter.types, 1U << 3 | 1U << 4);
	ck_assert_str_eq(settings->webhooks[1].name, "b");
	ck_assert_uint_eq(settings->webhooks[1].keys.count, 2);
	settings_free(settings);
	remove_file(file);
}
END_TEST

START_TEST(one_of_a_list_needs_no_name)
{
	char why[LOAD_WHY];
	struct settings *settings = load_file("{\"webhooks\":[{" HOOK "}]}", with_store, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_str_eq(settings->webhooks[0].name, "default");
	settings_free(settings);
	settings = load_file("{\"webhooks\":[]}", NULL, why);
	ck_assert_msg(settings != NULL && settings->webhook_count == 0, "%s", why);
	settings_free(settings);
}
END_TEST

static const struct {
	const char *url, *says;
} urls[] = {
	{ "http://app.example.com/", "https://" },
	{ "app.example.com", "https://" },
	{ "https://", "is not a URL" },
	{ "https://a b.example/", "blank" },
	{ "https://me:pw@a.example/", "user's name" },
	{ "https://me@a.example/", "user's name" },
	{ "https://a.example/#x", "has a #" },
	{ "https://127.0.0.1/", "not a public address" },
	{ "https://127.1/", "not a public address" },
	{ "https://2130706433/", "not a public address" },
	{ "https://0x7f000001/", "not a public address" },
	{ "https://0177.0.0.1/", "not a public address" },
	{ "https://0.0.0.0/", "not a public address" },
	{ "https://10.0.0.1:8443/", "not a public address" },
	{ "https://192.168.1.1/", "not a public address" },
	{ "https://169.254.169.254/latest/meta-data/", "not a public address" },
	{ "https://[::1]/", "not a public address" },
	{ "https://[::]/", "not a public address" },
	{ "https://[::ffff:127.0.0.1]/", "not a public address" },
	{ "https://[::ffff:a9fe:a9fe]/", "not a public address" },
	{ "https://[fd00::1]/", "not a public address" },
	{ "https://[fe80::1]/", "not a public address" },
	{ "https://[64:ff9b::7f00:1]/", "not a public address" },
	{ "https://[2002:7f00:1::]/", "not a public address" },
};

START_TEST(a_url_that_cannot_be_is_told)
{
	char line[200], why[LOAD_WHY];
	const char *environment[] = { STORE, line, "WEBHOOK_SECRET=" SECRET, NULL };
	struct settings *settings;

	snprintf(line, sizeof(line), "WEBHOOK_URL=%s", urls[_i].url);
	settings = load(NULL, environment, why);
	ck_assert_msg(!settings, "%s was taken", urls[_i].url);
	ck_assert_msg(strstr(why, "WEBHOOK_URL") && strstr(why, urls[_i].says), "%s: %s",
		urls[_i].url, why);
}
END_TEST

static const struct {
	const char *lines[4];
	const char *names, *says;
} refused[] = {
	{ { STORE, URL }, "WEBHOOK_SECRET", "is missing" },
	{ { STORE, "WEBHOOK_SECRET=" SECRET }, "WEBHOOK_URL", "is missing" },
	{ { URL, "WEBHOOK_SECRET=" SECRET }, "STORE", "is missing" },
	{ { STORE, URL, "WEBHOOK_SECRET=secret" }, "WEBHOOK_SECRET", "openssl rand" },
	{ { STORE, URL, "WEBHOOK_SECRET=whsec_QUJD" }, "WEBHOOK_SECRET", "24 to 64 bytes" },
	{ { STORE, URL, "WEBHOOK_SECRET=" SECRET " " OTHER " " OTHER }, "WEBHOOK_SECRET", "two" },
	{ { STORE, "WEBHOOK_ALLOW_NETWORKS=10.0.0.0/33" }, "WEBHOOK_ALLOW_NETWORKS", "network" },
	{ { STORE, "KEEP_FAILED=1h", URL, "WEBHOOK_SECRET=" SECRET }, "KEEP_FAILED", "4d" },
};

START_TEST(what_is_missing_or_wrong_is_told)
{
	const char *environment[] = { refused[_i].lines[0], refused[_i].lines[1],
		refused[_i].lines[2], refused[_i].lines[3], NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(!settings, "row %d was taken", _i);
	ck_assert_msg(strstr(why, refused[_i].names) && strstr(why, refused[_i].says), "row %d: %s",
		_i, why);
	ck_assert_msg(!strstr(why, "MfKQ9r8GKYqrTwjU"), "a secret is shown: %s", why);
}
END_TEST

static const struct {
	const char *list, *says;
} lists[] = {
	{ "{}", "/webhooks: give a list" },
	{ "[7]", "/webhooks/0: give an object" },
	{ "[{\"secret\":\"" SECRET "\"}]", "/webhooks/0/url: is missing" },
	{ "[{\"url\":\"https://a.example\"}]", "/webhooks/0/secret: is missing" },
	{ "[{" HOOK ",\"secret_file\":\"/x\"}]", "/webhooks/0/secret_file: secret is given" },
	{ "[{" HOOK ",\"colour\":\"red\"}]", "/webhooks/0/colour: no such member" },
	{ "[{" HOOK ",\"tag\":7}]", "/webhooks/0/tag: give a string" },
	{ "[{" HOOK ",\"events\":[]}]", "/webhooks/0/events: give a list" },
	{ "[{" HOOK ",\"events\":[\"sent\"]}]", "/webhooks/0/events: there are" },
	{ "[{" HOOK ",\"name\":\"a b\"}]", "/webhooks/0/name: give 1 to 32" },
	{ "[{" HOOK "},{" HOOK "}]", "/webhooks/0/name: is missing" },
	{ "[{" HOOK ",\"name\":\"a\"},{" HOOK ",\"name\":\"a\"}]", "/webhooks/1/name: \"a\"" },
	{ "[{\"url\":\"https://a.example\",\"secret\":\"x\"}]", "/webhooks/0/secret: a secret" },
	{ "[{\"url\":\"https://a.example\",\"secret_file\":\"/nowhere/x\"}]",
		"/webhooks/0/secret_file: cannot read" },
	{ "[{\"url\":\"https://127.0.0.1\",\"secret\":\"" SECRET "\"}]",
		"/webhooks/0/url: is not a public address" },
};

START_TEST(a_wrong_list_is_shown_where)
{
	char content[1000], why[LOAD_WHY];
	struct settings *settings;

	snprintf(content, sizeof(content), "{\"webhooks\":%s}", lists[_i].list);
	settings = load_file(content, with_store, why);
	ck_assert_msg(!settings, "%s was taken", lists[_i].list);
	ck_assert_msg(strstr(why, lists[_i].says), "%s: %s", lists[_i].list, why);
}
END_TEST

START_TEST(they_are_named_in_one_place)
{
	static const char *const environment[] = { STORE, URL, "WEBHOOK_SECRET=" SECRET, NULL };
	char why[LOAD_WHY];
	struct settings *settings = load_file("{\"webhooks\":[{" HOOK "}]}", environment, why);

	ck_assert_msg(!settings && strstr(why, "in one place"), "%s", why);
}
END_TEST

UNIT_MAIN(
	settings_webhooks, tcase_add_test(cases, one_is_told);
	tcase_add_test(cases, several_are_told); tcase_add_test(cases, one_of_a_list_needs_no_name);
	tcase_add_loop_test(cases, a_url_that_cannot_be_is_told, 0, sizeof(urls) / sizeof(*urls));
	tcase_add_loop_test(
		cases, what_is_missing_or_wrong_is_told, 0, sizeof(refused) / sizeof(*refused));
	tcase_add_loop_test(cases, a_wrong_list_is_shown_where, 0, sizeof(lists) / sizeof(*lists));
	tcase_add_test(cases, they_are_named_in_one_place);)
