/* auth - SASL as SMTP speaks it (RFC 4954), one exchange at a time
 *
 * smtp_auth_start makes the argument of the AUTH command, smtp_auth_next answers each 334. All that
 * it holds is secret: smtp_auth_wipe when the exchange is over. Text in and out is base64. */
#pragma once

#include "smtp/buf.h"

enum smtp_mechanism {
	SMTP_AUTH_NONE = 0,
	SMTP_PLAIN = 1 << 0,         /* RFC 4616 */
	SMTP_LOGIN = 1 << 1,         /* draft-murchison-sasl-login */
	SMTP_CRAM_MD5 = 1 << 2,      /* RFC 2195 */
	SMTP_SCRAM_SHA_256 = 1 << 3, /* RFC 7677 */
	SMTP_XOAUTH2 = 1 << 4,
	SMTP_OAUTHBEARER = 1 << 5, /* RFC 7628 */
};

struct scram_keys;

struct smtp_credentials {
	struct text user, pass; /* UTF-8 */
	struct text token;      /* OAuth 2.0 access token; where given, `pass` is not used */
	struct text host;       /* for OAUTHBEARER's host= and port= */
	uint16_t port;
	/* Where SCRAM keeps what it derives from `pass`, for the next session (scram.h); NULL:
	 * nowhere. The caller's, and for one thread at a time. */
	struct scram_keys *scram_keys;
};

enum { SMTP_AUTH_ROUNDS = 3, SMTP_AUTH_BYTES = 12288, SMTP_SCRAM_ITERATIONS_MAX = 600000 };

struct smtp_auth {
	enum smtp_mechanism mechanism;
	unsigned rounds;  /* 334s answered so far */
	bool cancelled;   /* we answered with "*": no further challenge is taken */
	bool is_answered; /* SCRAM: our proof was sent, server_signature is set */
	bool verified;    /* SCRAM: the relay's signature was right */
	char nonce[32];   /* SCRAM: ours, printable, 31 characters and NUL */
	struct buf first; /* SCRAM: client-first-message-bare, kept for the proof */
	unsigned char server_signature[32];
};

/* The name on the wire ("SCRAM-SHA-256"), and back, without case; SMTP_AUTH_NONE if unknown. */
const char *smtp_mechanism_name(enum smtp_mechanism mechanism);
enum smtp_mechanism smtp_mechanism_named(struct text name);
/* The best of `offered` (a set): with a token XOAUTH2, then OAUTHBEARER; else SCRAM-SHA-256, PLAIN,
 * LOGIN. CRAM-MD5 is never chosen by itself, SCRAM not for what it cannot say. SMTP_AUTH_NONE:
 * nothing fits. */
enum smtp_mechanism smtp_mechanism_best(
	unsigned offered, const struct smtp_credentials *credentials);

/* Appends "AUTH MECHANISM[ initial-response]" without CRLF. `nonce` is 18 random bytes (SCRAM).
 * ERR_VALUE: user or password cannot be said in this mechanism, see smtp_auth_why_not. */
MUST_USE enum err smtp_auth_start(struct smtp_auth *auth, enum smtp_mechanism mechanism,
	const struct smtp_credentials *credentials, const unsigned char nonce[18], struct buf *out);
/* Why smtp_auth_start refuses, as a phrase that tells what to change; NULL: it does not. PLAIN,
 * LOGIN and the others carry UTF-8 as it is given. SCRAM-SHA-256 would have to prepare it by
 * SASLprep (RFC 4013), without which a right password proves wrong, so it takes printable ASCII
 * alone. */
const char *smtp_auth_why_not(
	enum smtp_mechanism mechanism, const struct smtp_credentials *credentials);
/* Answers the text of a 334 by appending a line without CRLF: base64, or "*" to cancel (after too
 * many rounds, rubbish base64, a wrong signature, an absurd iteration count). The relay then says
 * 501 or 535, which is the exchange's end. */
MUST_USE enum err smtp_auth_next(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text challenge, struct buf *out);
/* Asked at 235: may it be believed? SCRAM without a verified server signature may not: the
 * server-final-message may come in the 334 or, base64, as the text of the 235 itself. */
bool smtp_auth_is_proven(struct smtp_auth *auth, struct text success_text);
void smtp_auth_wipe(struct smtp_auth *auth);
