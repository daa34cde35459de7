/* feature - what a relay offers in its EHLO answer (RFC 5321 4.1.1.1 and the extensions' own) */
#pragma once

#include "smtp/session/auth.h"
#include "smtp/text.h"

enum smtp_feature {
	SMTP_8BITMIME = 1 << 0,            /* RFC 6152 */
	SMTP_AUTH = 1 << 1,                /* RFC 4954 */
	SMTP_CHUNKING = 1 << 2,            /* RFC 3030 */
	SMTP_DSN = 1 << 3,                 /* RFC 3461 */
	SMTP_ENHANCEDSTATUSCODES = 1 << 4, /* RFC 2034 */
	SMTP_LIMITS = 1 << 5,              /* RFC 9422 */
	SMTP_PIPELINING = 1 << 6,          /* RFC 2920 */
	SMTP_SIZE = 1 << 7,                /* RFC 1870 */
	SMTP_SMTPUTF8 = 1 << 8,            /* RFC 6531 */
	SMTP_STARTTLS = 1 << 9,            /* RFC 3207 */
};

struct smtp_features {
	unsigned offered;                             /* of enum smtp_feature */
	unsigned mechanisms;                          /* of enum smtp_mechanism */
	uint64_t size_bytes;                          /* most bytes of a message; 0: not said */
	uint32_t mail_max, rcpt_max, rcpt_domain_max; /* LIMITS; 0: not said */
};

/* Takes one line of an EHLO answer, without code and separator; not the first, which is a greeting.
 * Unknown keywords are let be. "AUTH=PLAIN …" (old, with an equals sign) is read as AUTH. */
void smtp_features_add(struct smtp_features *features, struct text line);
