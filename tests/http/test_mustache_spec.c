/* The Mustache specification's own tests (https://github.com/mustache/spec), where they lie beside
 * the checkout. */
#include "http/template/mustache.h"
#include "unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char folder[] = "../shared/data/mustache-spec";

static const struct {
	const char *name;
	unsigned tests;
} files[] = { { "comments", 12 }, { "delimiters", 14 }, { "interpolation", 42 }, { "inverted", 22 },
	{ "partials", 12 }, { "sections", 34 } };

static struct json json;
static struct region *region;

static struct text string_in(const struct cJSON *object, const char *name)
{
	return json_string(&json, cJSON_GetObjectItem(object, name));
}

static enum err find_partial(void *self, struct text name, struct text *source_out)
{
	const struct cJSON *member;

	cJSON_ArrayForEach(member, (const struct cJSON *)self)
	{
		if (!text_equal(json_name(&json, member), name))
			continue;
		*source_out = json_string(&json, member);
		return OK;
	}
	return ERR_MISSING;
}

static void check_row(const struct cJSON *row)
{
	struct mustache_partials partials = { cJSON_GetObjectItem(row, "partials"), find_partial };
	struct mustache_view view = {
		.json = &json, .value = cJSON_GetObjectItem(row, "data"), .steps = MUSTACHE_STEPS
	};
	struct text name = string_in(row, "name"), expected = string_in(row, "expected");
	struct buf out = buf_born(10000);
	const struct mustache *template;
	struct mustache_fault fault;
	enum err err = mustache_parse(
		name, string_in(row, "template"), &partials, region, &template, &fault);

	ck_assert(cJSON_IsString(cJSON_GetObjectItem(row, "expected")));
	ck_assert_msg(!err, "%.*s: %s", (int)name.len, name.at, fault.why);
	err = mustache_render(template, &view, &out, &fault);
	ck_assert_msg(!err, "%.*s: %s", (int)name.len, name.at, fault.why);
	ck_assert_msg(text_equal(buf_text(&out), expected), "%.*s: [%.*s] instead of [%.*s]",
		(int)name.len, name.at, (int)out.len, out.len ? out.at : "", (int)expected.len,
		expected.at);
	buf_free(&out);
}

START_TEST(the_specification)
{
	static char content[100000];
	const struct cJSON *row;
	unsigned count = 0;
	char path[200];
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s.json", folder, files[_i].name);
	file = fopen(path, "rb");
	if (!file) {
		printf("skipped: there is no %s\n", path);
		return;
	}
	len = fread(content, 1, sizeof(content), file);
	fclose(file);
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	ck_assert_int_eq(json_parse(content, len, region, &json), OK);
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(json.root, "tests"))
	{
		check_row(row);
		count++;
	}
	ck_assert_uint_eq(count, files[_i].tests);
	region_close(region);
}
END_TEST

UNIT_MAIN(mustache_spec, tcase_add_loop_test(cases, the_specification, 0,
				 (int)(sizeof(files) / sizeof(files[0])));)
