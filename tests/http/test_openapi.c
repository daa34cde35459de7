/* The description and the program say the same. */
#include "http/mail/mail.h"
#include "http/route.h"
#include "unit.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static struct region *region;
static struct json description;

static void load(void)
{
	static char content[1 << 18];
	FILE *file = fopen("http/openapi.json", "rb");
	size_t len;

	ck_assert_msg(file != NULL, "run it in the top folder");
	len = fread(content, 1, sizeof(content), file);
	fclose(file);
	ck_assert_int_eq(region_open(16 << 20, &region), OK);
	ck_assert_msg(json_parse(content, len, region, &description) == OK, "%s at %zu",
		description.why, description.at);
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

START_TEST(every_route_is_described)
{
	const struct route *route;

	load();
	for (size_t i = 0; (route = route_at(i)); i++) {
		const cJSON *path = member(member(description.root, "paths"), route->pattern);
		char method[8] = "";

		for (size_t k = 0; route->method[k]; k++)
			method[k] = (char)tolower(route->method[k]);
		ck_assert_msg(member(path, method) != NULL, "%s %s", method, route->pattern);
		ck_assert_msg((member(member(path, method), "security") != NULL) == !route->scope,
			"%s", route->pattern);
	}
	region_close(region);
}
END_TEST

START_TEST(what_is_described_has_a_route)
{
	const cJSON *path, *method;
	size_t count = 0, routes = 0;

	load();
	cJSON_ArrayForEach(path, member(description.root, "paths"))
	{
		cJSON_ArrayForEach(method, path) count++;
	}
	while (route_at(routes))
		routes++;
	ck_assert_uint_eq(count, routes);
	region_close(region);
}
END_TEST

START_TEST(every_field_described_is_known)
{
	const cJSON *schemas, *field;

	load();
	schemas = member(member(description.root, "components"), "schemas");
	cJSON_ArrayForEach(field, member(member(schemas, "Message"), "properties"))
	{
		struct complaints complaints = { .region = region };
		struct posted posted = { 0 };
		struct json json = { 0 };
		char body[200];

		snprintf(body, sizeof(body), "{\"%s\":null}", field->string);
		ck_assert_int_eq(json_parse(body, strlen(body), region, &json), OK);
		(void)mail_read(&json, json.root, NULL, NULL, region, &posted, &complaints);
		for (size_t i = 0; i < complaints.count; i++)
			ck_assert_msg(
				!text_contains_nocase(complaints.at[i].detail, TEXT("unknown")),
				"%s", field->string);
	}
	region_close(region);
}
END_TEST

/* Every "$ref" leads somewhere. */
static void follow(const cJSON *value)
{
	const cJSON *part;

	if (cJSON_IsString(value) && value->string && strcmp(value->string, "$ref") == 0) {
		struct text rest = text_from(text_of(value->valuestring), 2);
		const cJSON *at = description.root;

		while (rest.len && at) {
			struct text name = region_copy(region, text_cut(&rest, '/'));

			at = member(at, name.at);
		}
		ck_assert_msg(at != NULL, "%s", value->valuestring);
	}
	cJSON_ArrayForEach(part, value) follow(part);
}

START_TEST(references_lead_somewhere)
{
	load();
	follow(description.root);
	region_close(region);
}
END_TEST

UNIT_MAIN(openapi, tcase_add_test(cases, every_route_is_described);
	  tcase_add_test(cases, what_is_described_has_a_route);
	  tcase_add_test(cases, every_field_described_is_known);
	  tcase_add_test(cases, references_lead_somewhere);)
