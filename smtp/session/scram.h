/* scram - SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding */
#pragma once

#include "smtp/session/auth.h"

enum { SCRAM_DIGEST = 32, SCRAM_SALT_MAX = 192 };

/* What a password makes with a relay's salt and iterations, which takes it thousands of digests.
 * May serve every session with this password (RFC 5802 5.1), and is as secret as that. { 0 }:
 * nothing yet; scram_keys_wipe ends it. */
struct scram_keys {
	unsigned char salt[SCRAM_SALT_MAX];
	int salt_len, iterations;
	unsigned char client_key[SCRAM_DIGEST], server_key[SCRAM_DIGEST];
};
void scram_keys_wipe(struct scram_keys *keys);

/* Appends a user's name with "," and "=" escaped (RFC 5801 section 4: saslname). */
void scram_add_name(struct buf *out, struct text name);
/* Appends the client-first-message ("n,,n=user,r=nonce"), unencoded; keeps its bare part. */
MUST_USE enum err scram_start(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	const unsigned char nonce[18], struct buf *out);
/* Answers the server-first-message with the client-final-message. ERR_SYNTAX or ERR_VALUE: the
 * relay's message cannot be trusted. */
MUST_USE enum err scram_answer(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text server_first, struct buf *out);
/* Is the server-final-message ("v=…") the proof that the relay knows the password too? */
bool scram_is_verified(const struct smtp_auth *auth, struct text server_final);
