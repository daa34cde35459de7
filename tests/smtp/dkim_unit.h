/* dkim_unit - what the unit tests of dkim share */
#pragma once

#include "dkim_example.h"
#include "dkim_plain.h"
#include "unit.h"

#include <string.h>

#define LABEL_63    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff-12"
#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

static inline void hash_cut(struct text body, size_t cut, unsigned char hash_out[DKIM_HASH])
{
	struct dkim_body hashed;

	ck_assert_int_eq(dkim_body_begin(&hashed), OK);
	dkim_body_add(&hashed, text_head(body, cut));
	dkim_body_add(&hashed, text_from(body, cut));
	ck_assert_int_eq(dkim_body_end(&hashed, hash_out), OK);
}

static inline struct dkim_key *open_key(const char *pem, const char *domain, const char *selector)
{
	struct dkim_key *key = NULL;
	const char *why = "";

	ck_assert_msg(
		dkim_key_open(text_of(pem), text_of(domain), text_of(selector), &key, &why) == OK,
		"%s", why);
	return key;
}

/* Lines of a field: whole, none longer, none with blanks to lose. */
static inline void check_lines(struct text field, size_t most)
{
	while (field.len) {
		struct text line = text_head(field, text_find(field, '\n') + 1);

		ck_assert_uint_gt(line.len, 3);
		ck_assert_msg(line.len <= most + 2, "%.*s", (int)line.len, line.at);
		ck_assert(text_equal(text_from(line, line.len - 2), TEXT("\r\n")));
		ck_assert(text_equal(text_trim(text_head(line, line.len - 2)),
			text_from(text_head(line, line.len - 2), line.at[0] == ' ')));
		field = text_from(field, line.len);
	}
}
