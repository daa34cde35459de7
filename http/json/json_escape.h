/* json_escape - \\n, \\u00e4 and their like (RFC 8259 section 7) */
#pragma once

#include "smtp/text.h"

/* Bytes of the escape that begins with the backslash at `at`, a surrogate pair being one; 0: none,
 * *why_out says why. *nul_out is set where it stands for U+0000. */
size_t json_escape_len(const char *at, size_t len, bool *nul_out, const char **why_out);
/* Undoes the escapes of a string that was checked, where it lies: what they stand for is never
 * longer. Gives the new length. */
size_t json_unescape(char *at, size_t len);
