/* json - strict JSON in (RFC 8259), plain JSON out
 *
 * A scan of our own decides what is JSON: UTF-8, escapes, numbers, depth, number of values, nothing
 * behind the end. Strings over 128 bytes and those with a NUL are unescaped where they lie in the
 * body and never copied; cJSON builds the tree of the rest, in the request's region. */
#pragma once

#include "smtp/buf.h"
#include "smtp/region.h"

struct cJSON;

enum { JSON_DEPTH = 32, JSON_VALUES = 200000, JSON_LONG_STRING = 128 };

struct json {
	struct cJSON *root;
	struct text *longs; /* the strings that stayed in the body */
	size_t long_count;
	const char *why;     /* what is wrong with it; NULL: nothing */
	size_t at;           /* where: bytes from the start */
	struct text pointer; /* the value that is wrong (RFC 6901) */
};

/* Parses `body`, which is changed in place and must live as long as the tree. ERR_SYNTAX, ERR_LIMIT
 * (too deep, too many values), ERR_VALUE (two members of one name): why, at and pointer say more.
 * ERR_MEMORY. */
MUST_USE enum err json_parse(char *body, size_t len, struct region *region, struct json *json_out);
/* The same of a body that refers to `outside` by json_add_reference: texts that live as long as the
 * tree. Nobody else can write such a reference, as it is no UTF-8. */
MUST_USE enum err json_parse_with(char *body, size_t len, struct text *outside, size_t count,
	struct region *region, struct json *json_out);
/* Is it JSON? It stays as it is, and no tree is made; two members of one name are not found. */
MUST_USE enum err json_check(struct text body, struct region *region, struct json *json_out);
/* The text of a string value, whatever bytes it holds; the empty text for anything else. */
struct text json_string(const struct json *json, const struct cJSON *value);
/* The member's name. */
struct text json_name(const struct json *json, const struct cJSON *member);

/* Where a value stands, for the pointer in an error (RFC 6901). Lives on the stack. */
struct json_at {
	const struct json_at *up;
	struct text name;
	size_t index; /* where name.at is NULL */
};

/* Cut at 400 bytes. NULL: the whole. */
struct text json_pointer(const struct json_at *at, struct region *region);

/* What is wrong with a request, place by place. The first 20 are kept. */
enum { COMPLAINTS_MAX = 20 };
struct complaint {
	struct text pointer, detail;
};
struct complaints {
	struct region *region;
	size_t count;
	struct complaint at[COMPLAINTS_MAX];
};
void complain(struct complaints *complaints, const struct json_at *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Appends a JSON string, quoted; what is not UTF-8 becomes '?'. */
void json_add_string(struct buf *out, struct text text);
/* Appends a string that stands elsewhere (json_parse_with), whatever bytes it holds. */
void json_add_reference(struct buf *out, size_t index);
/* Appends `"name":` with a comma before it unless an object or list has just been opened. */
void json_add_name(struct buf *out, const char *name);
void json_add_member(struct buf *out, const char *name, struct text value);
void json_add_member_u64(struct buf *out, const char *name, uint64_t value);
/* The same, but null for 0. */
void json_add_member_some(struct buf *out, const char *name, uint64_t value);
void json_add_member_bool(struct buf *out, const char *name, bool value);
/* Microseconds as milliseconds with three digits. */
void json_add_member_ms(struct buf *out, const char *name, uint64_t us);
/* A comma, unless an object or list has just been opened. */
void json_add_comma(struct buf *out);
/* Appends a tree as it was sent. */
void json_add_tree(struct buf *out, const struct json *json, const struct cJSON *value);
/* "2026-11-24T10:00:00.123Z" (RFC 3339) as a JSON string. */
void json_add_time(struct buf *out, int64_t unix_ms);
