/* json_scan - the half of json.h that decides what is JSON (for json.c) */
#pragma once

#include "http/json/json.h"

/* A string that stayed in the body is named in the skeleton by this byte and its index. No string
 * that was scanned can start with it, for it is not UTF-8. */
enum { JSON_REFERENCE = 0xff };

/* In: the `longs` that the body may refer to; and whether it is only looked at, and not changed.
 * Fills in longs, or why, at and pointer. The skeleton is in the body or in `region`. */
MUST_USE enum err json_scan(char *body, size_t len, bool is_check, struct region *region,
	struct json *json_out, struct text *skeleton_out);
