/* mail_digest - what a posted message says, in 32 bytes
 *
 * It is taken over what was read, however that was written: spaces, the order of an object's
 * members or a form's boundary make no difference. */
#pragma once

#include "http/digest.h"
#include "http/mail/mail.h"

/* Envelope and content; not Message-ID, nor the time if none was given. Reads attachments that lie
 * in files. False: out of memory. */
MUST_USE bool mail_digest(const struct posted *posted, unsigned char digest_out[DIGEST_LEN]);
/* The same with all else that changes what is sent, or where to. `says`: mail_digest's. */
MUST_USE bool mail_digest_whole(const struct posted *posted, const unsigned char says[DIGEST_LEN],
	unsigned char digest_out[DIGEST_LEN]);
