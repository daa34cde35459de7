#include "http/json/json.h"

#include "http/json/json_scan.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTER_BYTES = 400 };

/* ---- the tree */

static _Thread_local struct region *tree_region;

static void *tree_alloc(size_t len)
{
	return region_alloc(tree_region, len);
}

static void tree_free(void *at)
{
	(void)at; /* goes with its region */
}

__attribute__((constructor)) static void use_regions(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){ tree_alloc, tree_free });
}

static struct text of_string(const struct json *json, const char *string)
{
	uint64_t index;

	if (!string)
		return (struct text){ 0 };
	if ((unsigned char)string[0] == JSON_REFERENCE &&
		text_to_u64(text_of(string + 1), &index) && index < json->long_count)
		return json->longs[index];
	return text_of(string);
}

struct text json_string(const struct json *json, const struct cJSON *value)
{
	return of_string(json, cJSON_IsString(value) ? value->valuestring : NULL);
}

struct text json_name(const struct json *json, const struct cJSON *member)
{
	return of_string(json, member->string);
}

enum { FEW = 16 };

/* Does one of the names occur twice? That one, or NULL. */
static const struct text *find_twin(struct text *names, size_t count)
{
	if (count > FEW)
		qsort(names, count, sizeof(*names), text_compare);
	for (size_t i = 1; i < count; i++)
		for (size_t k = count > FEW ? i - 1 : 0; k < i; k++)
			if (text_equal(names[k], names[i]))
				return &names[i];
	return NULL;
}

/* ERR_VALUE: two members have the name that is in *twin_out. */
static enum err find_twins(const struct json *json, const struct cJSON *object,
	struct region *region, struct text *twin_out)
{
	struct text few[FEW], *names = few;
	const struct cJSON *member;
	const struct text *twin;
	size_t count = 0, i = 0;

	cJSON_ArrayForEach(member, object) count++;
	if (count > FEW)
		names = region_alloc(region, count * sizeof(*names));
	if (!names)
		return ERR_MEMORY;
	cJSON_ArrayForEach(member, object) names[i++] = json_name(json, member);
	twin = find_twin(names, count);
	if (twin)
		*twin_out = *twin;
	return twin ? ERR_VALUE : OK;
}

/* Recursion as deep as the scan allows: 32. */
static enum err check_names(const struct cJSON *value, const struct json_at *at,
	struct region *region, struct json *json)
{
	struct json_at twin = { at, { 0 }, 0 };
	const struct cJSON *member;
	enum err err = OK;
	size_t i = 0;

	if (cJSON_IsObject(value))
		err = find_twins(json, value, region, &twin.name);
	if (err == ERR_VALUE)
		json->pointer = json_pointer(&twin, region);
	for (member = value->child; member && !err; member = member->next) {
		struct json_at here = { at, json_name(json, member), i++ };

		if (member->child)
			err = check_names(member, &here, region, json);
	}
	return err;
}

enum err json_check(struct text body, struct region *region, struct json *json_out)
{
	struct text skeleton;

	*json_out = (struct json){ 0 };
	return json_scan((char *)body.at, body.len, true, region, json_out, &skeleton);
}

enum err json_parse(char *body, size_t len, struct region *region, struct json *json_out)
{
	return json_parse_with(body, len, NULL, 0, region, json_out);
}

enum err json_parse_with(char *body, size_t len, struct text *outside, size_t count,
	struct region *region, struct json *json_out)
{
	struct text skeleton;
	enum err err;

	json_out->longs = outside;
	json_out->long_count = count;
	err = json_scan(body, len, false, region, json_out, &skeleton);
	if (err)
		return err;
	tree_region = region;
	json_out->root = cJSON_ParseWithLength(skeleton.at, skeleton.len);
	err = json_out->root ? check_names(json_out->root, NULL, region, json_out) : ERR_MEMORY;
	if (err)
		json_out->why = err == ERR_VALUE ? "an object has two members of the same name"
						 : "out of memory";
	return err;
}

/* ---- complaints */

static void add_pointer(struct buf *out, const struct json_at *at)
{
	if (!at)
		return;
	add_pointer(out, at->up);
	buf_add_byte(out, '/');
	if (!at->name.at) {
		buf_add_u64(out, at->index);
		return;
	}
	for (size_t i = 0; i < at->name.len; i++) { /* RFC 6901 section 3 */
		if (at->name.at[i] == '~')
			buf_add_string(out, "~0");
		else if (at->name.at[i] == '/')
			buf_add_string(out, "~1");
		else
			buf_add_byte(out, at->name.at[i]);
	}
}

struct text json_pointer(const struct json_at *at, struct region *region)
{
	struct buf pointer = buf_born(65536);
	struct text kept;

	add_pointer(&pointer, at);
	kept = region_copy(region, text_head(buf_text(&pointer), POINTER_BYTES));
	buf_free(&pointer);
	return kept;
}

void complain(struct complaints *complaints, const struct json_at *at, const char *format, ...)
{
	char detail[400];
	va_list args;

	if (complaints->count == COMPLAINTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	complaints->at[complaints->count++] =
		(struct complaint){ json_pointer(at, complaints->region),
			region_copy(complaints->region, text_of(detail)) };
}
