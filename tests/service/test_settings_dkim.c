/* Who signs: DKIM_DOMAIN and its kin, and the list in the config file. */
#include "load.h"
#include "smtp/dkim_example.h"
#include "unit.h"

enum { ENTRY = 4096 };

/* A line of an environment; it stands until the fourth one after it. */
static const char *line_of(const char *name, const char *value, const char *more)
{
	static char lines[4][ENTRY];
	static size_t count;
	char *line = lines[count++ % 4];

	ck_assert_int_lt(snprintf(line, ENTRY, "%s=%s%s", name, value, more), ENTRY);
	return line;
}

static void check_key(const struct settings *settings, size_t index, const char *domain,
	const char *selector, const char *record)
{
	const struct dkim_key *key = settings->dkim.keys[index];
	struct buf found = buf_born(ENTRY);

	ck_assert(text_equal(dkim_key_domain(key), text_of(domain)));
	ck_assert(text_equal(dkim_key_selector(key), text_of(selector)));
	dkim_key_record(key, &found);
	ck_assert(text_equal(buf_text(&found), text_of(record)));
	buf_free(&found);
}

START_TEST(nobody_signs_unless_told)
{
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, NULL, why);

	ck_assert_uint_eq(settings->dkim.key_count, 0);
	settings_free(settings);
}
END_TEST

START_TEST(one_key_signs)
{
	const char *environment[] = { "DKIM_DOMAIN=Example.com", "DKIM_SELECTOR=s1",
		line_of("DKIM_KEY", example_ed25519, ""), "DKIM_UNSIGN=Date, Message-ID", NULL };
	char why[LOAD_WHY];
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->dkim.key_count, 1);
	check_key(settings, 0, "example.com", "s1", example_ed25519_record);
	ck_assert_uint_eq(settings->dkim.unsign_count, 2);
	ck_assert(text_equal(settings->dkim.unsign[0], TEXT("Date")));
	ck_assert(text_equal(settings->dkim.unsign[1], TEXT("Message-ID")));
	settings_free(settings);
}
END_TEST

START_TEST(a_key_may_stand_in_a_file)
{
	char *path = file_of(example_ed25519), why[LOAD_WHY];
	const char *environment[] = { "DKIM_DOMAIN=example.com", "DKIM_SELECTOR=s1",
		line_of(_i ? "DKIM_KEY_FILE" : "DKIM_KEY", path, ""), NULL };
	struct settings *settings = load(NULL, environment, why);

	ck_assert_msg(settings != NULL, "%s", why);
	check_key(settings, 0, "example.com", "s1", example_ed25519_record);
	settings_free(settings);
	remove_file(path);
}
END_TEST

/* In either order, and with what else stands between keys. */
START_TEST(two_keys_sign)
{
	static const struct {
		const char *selectors, *first, *between, *second, *records[2];
	} rows[] = {
		{ "rsa,ed", example_rsa, "", example_ed25519,
			{ example_rsa_record, example_ed25519_record } },
		{ "rsa , ed", example_ed25519, "\n# and the other\nBag: x\n", example_rsa,
			{ example_ed25519_record, example_rsa_record } },
	};
	const char *environment[] = { "DKIM_DOMAIN=example.com",
		line_of("DKIM_SELECTOR", rows[_i].selectors, ""), NULL, NULL };
	char why[LOAD_WHY], both[ENTRY];
	struct settings *settings;

	snprintf(both, sizeof(both), "%s%s", rows[_i].between, rows[_i].second);
	environment[2] = line_of("DKIM_KEY", rows[_i].first, both);
	settings = load(NULL, environment, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->dkim.key_count, 2);
	check_key(settings, 0, "example.com", "rsa", rows[_i].records[0]);
	check_key(settings, 1, "example.com", "ed", rows[_i].records[1]);
	settings_free(settings);
}
END_TEST

#define PUBLIC   "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"
#define TOO_LONG "a234567890123456789012345678901234567890123456789012345678901234"

static const struct {
	const char *domain, *selector, *key, *more; /* NULL: not given */
	const char *names, *says;
} refused[] = {
	{ NULL, "s", example_ed25519, NULL, "DKIM_DOMAIN: is missing", "DKIM_SELECTOR is given" },
	{ "example.com", NULL, example_ed25519, NULL, "DKIM_SELECTOR: is missing", "DKIM_DOMAIN" },
	{ "example.com", "s", NULL, NULL, "DKIM_KEY: is missing", "DKIM_DOMAIN is given" },
	{ NULL, NULL, example_ed25519, NULL, "DKIM_DOMAIN: is missing", "DKIM_KEY is given" },
	{ "example", "s", example_ed25519, NULL, "DKIM_DOMAIN: \"example\":", "example.com is" },
	{ "b\xc3\xbc"
	  "cher.example",
		"s", example_ed25519, NULL, "DKIM_DOMAIN: \"b", "xn--" },
	{ "a@example.com", "s", example_ed25519, NULL, "DKIM_DOMAIN: \"a@", "domain name" },
	{ "example.com", "s_1", example_ed25519, NULL, "DKIM_SELECTOR: \"s_1\":", "letters" },
	{ "example.com", TOO_LONG, example_ed25519, NULL, "DKIM_SELECTOR: \"a23", "letters" },
	{ "example.com", "\xc3\xbc", example_ed25519, NULL, "DKIM_SELECTOR: \"", "xn--" },
	{ "example.com", "s", "/does/not/exist", NULL, "DKIM_KEY", "No such file" },
	{ "example.com", "s", "/etc/hostname", NULL, "DKIM_KEY", "-----BEGIN" },
	{ "example.com", "s", PUBLIC, NULL, "DKIM_KEY: ", "give the private one" },
	/* the key is wrong, whatever else is */
	{ "example", "s_1", PUBLIC, NULL, "DKIM_KEY: ", "give the private one" },
	{ "example", "s_1", example_ed25519, NULL, "DKIM_DOMAIN: ", "example.com is" },
	/* so many names, so many keys */
	{ "example.com", "a,b", example_ed25519, NULL, "DKIM_SELECTOR: ", "names: 2, keys: 1" },
	{ "example.com", "a,", example_ed25519, NULL, "DKIM_SELECTOR: ", "names: 2, keys: 1" },
	{ "example.com", "a", example_ed25519, example_ed25519,
		"DKIM_SELECTOR: ", "names: 1, keys: 2" },
	{ "example.com", "a,A", example_ed25519, example_ed25519, "DKIM_SELECTOR: \"A\"", "twice" },
	{ "example.com", "a,b", example_ed25519,
		"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
		"DKIM_KEY: ", "damaged (selector b)" },
};

START_TEST(what_is_wrong_is_named)
{
	char why[LOAD_WHY];
	const char *environment[4] = { NULL };
	size_t count = 0;
	struct settings *settings;

	if (refused[_i].domain)
		environment[count++] = line_of("DKIM_DOMAIN", refused[_i].domain, "");
	if (refused[_i].selector)
		environment[count++] = line_of("DKIM_SELECTOR", refused[_i].selector, "");
	if (refused[_i].key)
		environment[count++] = line_of(
			"DKIM_KEY", refused[_i].key, refused[_i].more ? refused[_i].more : "");
	settings = load(NULL, environment, why);
	ck_assert_msg(!settings, "was taken, and not: %s", refused[_i].names);
	ck_assert_msg(strstr(why, refused[_i].names) && strstr(why, refused[_i].says),
		"wanted \"%s\" and \"%s\" in: %s", refused[_i].names, refused[_i].says, why);
	ck_assert_msg(!strstr(why, "MC4C") && !strchr(why, '\n'), "shows the key: %s", why);
}
END_TEST

static const struct {
	const char *line, *says;
} refused_lines[] = {
	{ "DKIM_UNSIGN=Date,,To", "DKIM_UNSIGN: \"\": is not the name" },
	{ "DKIM_UNSIGN=Message ID", "DKIM_UNSIGN: \"Message ID\"" },
	{ "DKIM_UNSIGN=Date:To", "DKIM_UNSIGN: \"Date:To\"" },
	{ "DKIM_UNSIGN=To,from", "DKIM_UNSIGN: From is always signed" },
	{ "DKIM_PRIVATE_KEY=x", "mean DKIM_KEY?" },
	{ "DKIM_SELECTR=x", "mean DKIM_SELECTOR?" },
	{ "DKIM_COLOUR=x", "DKIM_COLOUR: no such setting" },
};

START_TEST(a_wrong_line_is_named)
{
	const char *environment[] = { refused_lines[_i].line, NULL };
	char why[LOAD_WHY];

	ck_assert_ptr_null(load(NULL, environment, why));
	ck_assert_msg(strstr(why, refused_lines[_i].says) != NULL, "%s", why);
}
END_TEST

/* ---- the list */

static struct settings *load_list(const char *list, const char *line, char why[LOAD_WHY])
{
	char content[3 * ENTRY], *path;
	const char *args[] = { "--config", NULL, NULL }, *environment[] = { line, NULL };
	struct settings *settings;

	snprintf(content, sizeof(content), "{\"dkim\":%s}", list);
	args[1] = path = file_of(content);
	settings = load(args, environment, why);
	remove_file(path);
	return settings;
}

#define ED                                                                                         \
	"-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7"   \
	"rAMcrn9g\\n-----END PRIVATE KEY-----\\n"

START_TEST(several_domains_stand_in_a_list)
{
	char *path = file_of(example_rsa), list[ENTRY], why[LOAD_WHY];
	struct buf printed = buf_born(1 << 20);
	struct settings *settings;

	snprintf(list, sizeof(list),
		"[{\"domain\":\"example.com\",\"selector\":\"rsa\",\"key_file\":\"%s\"},"
		"{\"domain\":\"example.com\",\"selector\":\"ed\",\"key\":\"" ED "\"},"
		"{\"key\":\"%s\",\"selector\":\"ed\",\"domain\":\"example.org\"}]",
		path, path);
	settings = load_list(list, NULL, why);
	ck_assert_msg(settings != NULL, "%s", why);
	ck_assert_uint_eq(settings->dkim.key_count, 3);
	check_key(settings, 0, "example.com", "rsa", example_rsa_record);
	check_key(settings, 1, "example.com", "ed", example_ed25519_record);
	check_key(settings, 2, "example.org", "ed", example_rsa_record);
	settings_print(settings, false, &printed);
	buf_add_byte(&printed, 0);
	ck_assert_ptr_nonnull(strstr(printed.at, "\nDKIM_DOMAIN              (a list)"));
	buf_free(&printed);
	settings_free(settings);
	remove_file(path);
}
END_TEST

static const struct {
	const char *list, *says_a, *says_b;
} wrong_lists[] = {
	{ "{}", "/dkim: ", "list of objects" },
	{ "[[]]", "/dkim/0: ", "give an object" },
	{ "[{\"selector\":\"s\",\"key\":\"" ED "\"}]", "/dkim/0/domain: ", "missing" },
	{ "[{\"domain\":\"a.b\",\"key\":\"" ED "\"}]", "/dkim/0/selector: ", "missing" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\"}]", "/dkim/0/key: ", "missing" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"key\":\"" ED "\",\"key_file\":\"/a\"}]",
		"/dkim/0/key_file: ", "leave one out" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"key_file\":\"/does/not/exist\"}]",
		"/dkim/0/key_file: ", "No such file" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"key\":7}]", "/dkim/0/key: ", "string" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"keys\":\"a\"}]",
		"/dkim/0/keys: ", "no such member" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"key\":\"" ED "\"},"
	  "{\"domain\":\"b\",\"selector\":\"s\",\"key\":\"" ED "\"}]",
		"/dkim/1/domain: \"b\"", "example.com" },
	{ "[{\"domain\":\"a.b\",\"selector\":\"s\",\"key\":\"" ED "\"},"
	  "{\"domain\":\"A.b\",\"selector\":\"S\",\"key\":\"" ED "\"}]",
		"/dkim/1/selector: \"S\"", "twice" },
};

START_TEST(a_wrong_list_is_shown_where)
{
	char why[LOAD_WHY];

	ck_assert_msg(
		!load_list(wrong_lists[_i].list, NULL, why), "was taken: %s", wrong_lists[_i].list);
	ck_assert_msg(strstr(why, wrong_lists[_i].says_a) && strstr(why, wrong_lists[_i].says_b),
		"wanted \"%s\" and \"%s\" in: %s", wrong_lists[_i].says_a, wrong_lists[_i].says_b,
		why);
	ck_assert_msg(!strstr(why, "MC4C"), "shows the key: %s", why);
}
END_TEST

START_TEST(keys_are_named_in_one_place)
{
	char why[LOAD_WHY];

	ck_assert(!load_list("[{\"domain\":\"a.b\",\"selector\":\"s\",\"key\":\"" ED "\"}]",
		"DKIM_SELECTOR=s", why));
	ck_assert_msg(strstr(why, "DKIM_SELECTOR: ") && strstr(why, "one place"), "%s", why);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

UNIT_MAIN(settings_dkim, tcase_add_test(cases, nobody_signs_unless_told);
	  tcase_add_test(cases, one_key_signs);
	  tcase_add_loop_test(cases, a_key_may_stand_in_a_file, 0, 2);
	  tcase_add_loop_test(cases, two_keys_sign, 0, 2);
	  tcase_add_loop_test(cases, what_is_wrong_is_named, 0, ROWS(refused));
	  tcase_add_loop_test(cases, a_wrong_line_is_named, 0, ROWS(refused_lines));
	  tcase_add_test(cases, several_domains_stand_in_a_list);
	  tcase_add_loop_test(cases, a_wrong_list_is_shown_where, 0, ROWS(wrong_lists));
	  tcase_add_test(cases, keys_are_named_in_one_place);)
