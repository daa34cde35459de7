#include "http/json/json.h"
#include "unit.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

static struct region *region;
static char *body;

static enum err parse(const char *text, size_t len, struct json *json)
{
	*json = (struct json){ 0 };
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	body = malloc(len + 1);
	memcpy(body, text, len);
	return json_parse(body, len, region, json);
}

static void forget(void)
{
	region_close(region);
	free(body);
}

static const struct {
	const char *text;
	enum err err;
	const char *pointer;
} rows[] = {
	{ "{}", OK, "" },
	{ " [1, 2.5e-3, true, null, \"x\"] ", OK, "" },
	{ "", ERR_SYNTAX, "" },
	{ "{\"a\":1,\"a\":2}", ERR_VALUE, "/a" },
	{ "{\"a\":{\"b\":[0,{\"c\":1,\"d\":2,\"c\":3}]}}", ERR_VALUE, "/a/b/1/c" },
	{ "{\"a\":1,\"\\u0061\":2}", ERR_VALUE, "/a" },
	{ "{\"to\":[\"x\",\"\xff\"]}", ERR_SYNTAX, "/to/1" },
	{ "{\"subject\":\"\xc0\x8d\"}", ERR_SYNTAX, "/subject" },
	{ "{\"subject\":\"\xe0\x80\x8d\"}", ERR_SYNTAX, "/subject" },
	{ "{\"subject\":\"\xed\xa0\x80\"}", ERR_SYNTAX, "/subject" },
	{ "{\"from\":{\"name\":\"a\nb\"}}", ERR_SYNTAX, "/from/name" },
	{ "{\"a/b~\":\"\\ud800\"}", ERR_SYNTAX, "/a~1b~0" },
	{ "{\"a\":01}", ERR_SYNTAX, "/a" },
	{ "{\"aaaaaaaa\":1,\"", ERR_SYNTAX, "/" }, /* not what stands behind the body */
	{ "[1] x", ERR_SYNTAX, "" },
	{ "\xef\xbb\xbf{}", ERR_SYNTAX, "" },
};

START_TEST(what_is_json_and_where_it_is_not)
{
	struct json json;

	ck_assert_int_eq(parse(rows[_i].text, strlen(rows[_i].text), &json), rows[_i].err);
	ck_assert_int_eq(json.pointer.len, strlen(rows[_i].pointer));
	ck_assert_int_eq(
		memcmp(json.pointer.at ? json.pointer.at : "", rows[_i].pointer, json.pointer.len),
		0);
	ck_assert_int_eq(json.why != NULL, rows[_i].err != OK);
	forget();
}
END_TEST

START_TEST(it_ends_too_early_wherever_it_is_cut)
{
	const char *whole = "{\"a\":[1,{\"b\":\"\\u00e4\xc3\xa4\"}],\"c\":null}";

	for (size_t cut = 0; cut < strlen(whole); cut++) {
		struct json json;

		ck_assert_int_eq(parse(whole, cut, &json), ERR_SYNTAX);
		forget();
	}
}
END_TEST

START_TEST(strings_are_what_they_stand_for)
{
	static const struct {
		const char *text;
		struct text value;
	} strings[] = {
		{ "\"a\\u0000b\"", { "a\0b", 3 } },
		{ "\"\\ud83d\\ude00\"", { "\xf0\x9f\x98\x80", 4 } },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", { "\"\\/\b\f\n\r\t", 8 } },
		{ "\"\\u00e9\\u20ac\"", { "\xc3\xa9\xe2\x82\xac", 5 } },
	};
	struct json json;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		ck_assert_int_eq(parse(strings[i].text, strlen(strings[i].text), &json), OK);
		ck_assert(text_equal(json_string(&json, json.root), strings[i].value));
		forget();
	}
}
END_TEST

START_TEST(long_strings_stay_in_the_body)
{
	char *text = malloc(20000);
	size_t len = (size_t)snprintf(text, 20000, "{\"a\":\"short\",\"b\":\"");
	struct json json;
	struct text value;

	memset(text + len, 'x', 9000);
	memcpy(text + len + 4500, "\\n", 2);
	len += 9000;
	len += (size_t)snprintf(text + len, 100, "\",\"c\":\"last\"}");
	ck_assert_int_eq(parse(text, len, &json), OK);
	ck_assert_int_eq(json.long_count, 1);
	value = json_string(&json, cJSON_GetObjectItem(json.root, "b"));
	ck_assert_int_eq(value.len, 8999);
	ck_assert_int_eq(value.at[4500], '\n');
	ck_assert(value.at >= body && value.at < body + len);
	ck_assert(
		text_equal(json_string(&json, cJSON_GetObjectItem(json.root, "c")), TEXT("last")));
	ck_assert_uint_lt(region_used(region), 4000);
	forget();
	free(text);
}
END_TEST

/* Long names and those with a NUL stay in the body: they are compared all the same. */
START_TEST(no_name_stands_twice_however_long)
{
	static const struct {
		size_t len, others; /* members between the two */
		bool twice;
	} cases[] = { { 3, 0, true }, { 128, 0, true }, { 129, 0, true }, { 129, 0, false },
		{ 5000, 1, true }, { 129, 30, true }, { 129, 30, false }, { 5000, 30, true } };
	struct buf text = buf_born(1 << 18);
	char name[5001];
	struct json json;

	memset(name, 'n', sizeof(name));
	name[cases[_i].len] = '\0';
	buf_addf(&text, "{\"up\":[{\"%s\":1", name);
	for (size_t i = 0; i < cases[_i].others; i++)
		buf_addf(&text, ",\"%zu%s\":2", i, name);
	name[cases[_i].len - 1] = cases[_i].twice ? 'n' : 'x';
	buf_addf(&text, ",\"%s\":3}]}", name);
	ck_assert_int_eq(parse(text.at, text.len, &json), cases[_i].twice ? ERR_VALUE : OK);
	if (cases[_i].twice)
		ck_assert(text_starts(json.pointer, TEXT("/up/0/nnn")));
	forget();
	buf_free(&text);
}
END_TEST

START_TEST(a_name_with_a_nul_stands_once)
{
	static const char same[] = "{\"a\\u0000b\":1,\"a\\u0000b\":2}";
	static const char other[] = "{\"a\\u0000b\":1,\"a\\u0000c\":2,\"a\":3}";
	struct json json;

	ck_assert_int_eq(parse(same, strlen(same), &json), ERR_VALUE);
	forget();
	ck_assert_int_eq(parse(other, strlen(other), &json), OK);
	forget();
}
END_TEST

/* A string that stands elsewhere is referred to by what no caller can write. */
START_TEST(only_we_refer_to_what_stands_elsewhere)
{
	static const char *const bad[] = { "[\"\xff\"]",
		"[\"\xff"
		"1\"]",
		"[\"\xff"
		"0",
		"[\"\xff",
		"[\"\xff"
		"0x\"]",
		"[\"\xff-1\"]",
		"[\"x\xff"
		"0\"]" };
	struct text outside = TEXT("a\0\"");
	struct json json;
	char form[64];

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	snprintf(form, sizeof(form),
		"[\"\xff"
		"0\",\"%s\"]",
		"b");
	ck_assert_int_eq(json_parse(form, strlen(form), region, &json), ERR_SYNTAX);
	ck_assert_int_eq(json_parse_with(form, strlen(form), &outside, 1, region, &json), OK);
	ck_assert(text_equal(json_string(&json, cJSON_GetArrayItem(json.root, 0)), outside));
	ck_assert(text_equal(json_string(&json, cJSON_GetArrayItem(json.root, 1)), TEXT("b")));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(form, sizeof(form), "%s", bad[i]);
		ck_assert_int_eq(json_parse_with(form, strlen(form), &outside, 1, region, &json),
			ERR_SYNTAX);
	}
	region_close(region);
}
END_TEST

/* What is only looked at stays as it is. */
START_TEST(a_check_changes_nothing)
{
	static char form[2000], copy[2000];
	struct json json;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	snprintf(form, sizeof(form), "[\"\\u0041%0200d\",%0300d]", 0, 0);
	form[strlen(form) - 301] = '1'; /* a number has no zero in front */
	memcpy(copy, form, sizeof(form));
	ck_assert_int_eq(json_check(text_of(form), region, &json), OK);
	ck_assert_mem_eq(copy, form, sizeof(form));
	ck_assert_int_eq(json_check(TEXT("[1,]"), region, &json), ERR_SYNTAX);
	ck_assert_uint_eq(json.at, 3);
	ck_assert_int_eq(json_parse(form, strlen(form), region, &json), OK);
	region_close(region);
}
END_TEST

START_TEST(depth_and_values_have_limits)
{
	char text[600000];
	struct json json;

	memset(text, '[', JSON_DEPTH);
	memset(text + JSON_DEPTH, ']', JSON_DEPTH);
	ck_assert_int_eq(parse(text, JSON_DEPTH * 2, &json), OK);
	forget();
	memset(text, '[', 100000);
	ck_assert_int_eq(parse(text, 100000, &json), ERR_LIMIT);
	ck_assert(strstr(json.why, "32"));
	forget();
	text[0] = '[';
	for (size_t i = 0; i < 250000; i++)
		memcpy(text + 1 + 2 * i, "1,", 2);
	ck_assert_int_eq(parse(text, 500001, &json), ERR_LIMIT);
	ck_assert(strstr(json.why, "200000"));
	forget();
}
END_TEST

/* https://github.com/nst/JSONTestSuite: y_ must be taken, n_ refused, i_ is for us to decide: */
static const char *const taken[] = { "i_number_double_huge_neg_exp.json", "i_number_huge_exp.json",
	"i_number_neg_int_huge_exp.json", "i_number_pos_double_huge_exp.json",
	"i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json",
	"i_number_real_underflow.json", "i_number_too_big_neg_int.json",
	"i_number_too_big_pos_int.json", "i_number_very_big_negative_int.json" };

static bool is_decided_for(const char *name)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcmp(taken[i], name) == 0)
			return true;
	return false;
}

static enum err parse_file(const char *folder, const char *name)
{
	static char content[300000];
	struct json json;
	char path[600];
	FILE *file;
	size_t len;
	enum err err;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	ck_assert_ptr_nonnull(file);
	len = fread(content, 1, sizeof(content), file);
	fclose(file);
	err = parse(content, len, &json);
	forget();
	return err;
}

START_TEST(the_json_test_suite)
{
	static const char folder[] = "../shared/data/json-parsing/test_parsing";
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned count = 0, twins = 0;
	enum err err;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		bool wanted = name[0] == 'y' || (name[0] == 'i' && is_decided_for(name));

		if (name[0] == '.' || name[1] != '_')
			continue;
		err = parse_file(folder, name);
		/* Two members of one name are JSON, and not allowed all the same. */
		ck_assert_msg((err == OK || err == ERR_VALUE) == wanted, "%s", name);
		twins += err == ERR_VALUE;
		count++;
	}
	if (!dir)
		printf("skipped: there is no %s\n", folder);
	if (dir) {
		closedir(dir);
		ck_assert_uint_eq(count, 95 + 188 + 35);
		ck_assert_uint_eq(twins, 2);
	}
}
END_TEST

START_TEST(what_is_written_is_json)
{
	struct buf out = buf_born(1000);

	json_add_string(&out, (struct text){ "a\"\\\n\x01\x7f\xc3\xa4\0", 9 });
	ck_assert(
		text_equal(buf_text(&out), TEXT("\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa4\\u0000\"")));
	buf_clear(&out);
	json_add_string(&out, TEXT("a\xff\xc3\xa4")); /* not UTF-8 as a whole */
	ck_assert(text_equal(buf_text(&out), TEXT("\"a???\"")));
	buf_clear(&out);
	buf_add_byte(&out, '{');
	json_add_member_some(&out, "a", 0);
	json_add_member_some(&out, "b", 7);
	ck_assert(text_equal(buf_text(&out), TEXT("{\"a\":null,\"b\":7")));
	buf_clear(&out);
	json_add_time(&out, 1795500000123);
	ck_assert(text_equal(buf_text(&out), TEXT("\"2026-11-24T06:00:00.123Z\"")));
	buf_free(&out);
}
END_TEST

UNIT_MAIN(json, tcase_add_loop_test(cases, what_is_json_and_where_it_is_not, 0,
			(int)(sizeof(rows) / sizeof(rows[0])));
	  tcase_add_test(cases, it_ends_too_early_wherever_it_is_cut);
	  tcase_add_test(cases, strings_are_what_they_stand_for);
	  tcase_add_test(cases, long_strings_stay_in_the_body);
	  tcase_add_loop_test(cases, no_name_stands_twice_however_long, 0, 8);
	  tcase_add_test(cases, a_name_with_a_nul_stands_once);
	  tcase_add_test(cases, only_we_refer_to_what_stands_elsewhere);
	  tcase_add_test(cases, a_check_changes_nothing);
	  tcase_add_test(cases, depth_and_values_have_limits);
	  tcase_add_test(cases, the_json_test_suite);
	  tcase_add_test(cases, what_is_written_is_json);)
