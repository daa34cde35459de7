/* digest - SHA-256 over texts and numbers: where one of them differs, so does the digest */
#pragma once

#include "smtp/err.h"
#include "smtp/text.h"

enum { DIGEST_LEN = 32 };

struct hash_hd_st; /* GnuTLS's */

/* The first error sticks, and is told at the end. */
struct digest {
	struct hash_hd_st *hash;
	bool is_wrong;
};

struct digest digest_begin(void);
void digest_add_bytes(struct digest *digest, struct text bytes);
void digest_add_number(struct digest *digest, uint64_t number);
/* With its length before it: where one text ends and the next begins makes a difference. */
void digest_add_text(struct digest *digest, struct text text);
/* False: out of memory. */
MUST_USE bool digest_end(struct digest *digest, unsigned char digest_out[DIGEST_LEN]);
