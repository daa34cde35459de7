/* dkim_own - what the files of dkim share, and its tests look at */
#pragma once

#include "smtp/dkim/dkim.h"

enum { DKIM_NAME_MAX = 253, DKIM_SIGNATURE_MAX = 512 }; /* RSA of 4096 bits */

struct dkim_key {
	struct evp_pkey_st *pkey;
	const char *algorithm; /* a= */
	bool is_ed25519;
	char domain[DKIM_NAME_MAX + 1], selector[DKIM_NAME_MAX + 1];
};

/* Signs the SHA-256 of `text`: ERR_TLS, ERR_MEMORY. */
MUST_USE enum err dkim_key_sign(const struct dkim_key *key, struct text text,
	unsigned char signature_out[DKIM_SIGNATURE_MAX], size_t *len_out);

/* The head of a message and where the body begins, behind the blank line. */
struct text dkim_head(struct text message, size_t *body_at_out);
/* Is it a list of fields that all will read the same? */
bool dkim_head_is_sound(struct text head);
/* Of a sound head, the last field of this name that begins before `*before`, which becomes its
 * begin; text.len is 0 if there is none. */
struct text dkim_head_last(struct text head, struct text name, size_t *before);
/* Appends a field in relaxed form (RFC 6376 3.4.2), CRLF included. */
void dkim_field_relax(struct buf *out, struct text field);

/* Appends what is signed (3.7): of a sound head the fields that h= names, "from:to:from", then the
 * signature's own field, which ends in its empty b=. */
void dkim_signed_text(struct buf *out, struct text head, struct text names, struct text field);
