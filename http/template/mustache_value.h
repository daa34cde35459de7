/* mustache_value - how a value of the data counts and is written (for mustache_render.c) */
#pragma once

#include "http/json/json.h"

/* Not so: false, null, "", 0, an empty list, NULL. */
bool mustache_is_true(const struct json *json, const struct cJSON *value);
/* Appends a text as HTML that means it, in an element or a quoted attribute. */
void mustache_add_html(struct buf *out, struct text text);
/* Appends the fewest digits that are read as this number again, without exponent; an integer has no
 * point. false: it is infinite, and nothing was appended. */
bool mustache_add_number(struct buf *out, double value);
