/* verdict - what a relay's answer, or its silence, means
 *
 * Pure functions and tables; nobody else interprets a reply code. The order of decision: malformed,
 * provider override, special cases of a phase, enhanced code, basic code by phase, first digit. */
#pragma once

#include "smtp/region.h"
#include "smtp/session/reply.h"

enum smtp_phase {
	SMTP_IN_QUEUE, /* before anything was done for it: no phase on the wire, name "" */
	SMTP_IN_DNS,
	SMTP_IN_CONNECT,
	SMTP_IN_TLS,
	SMTP_IN_GREETING,
	SMTP_IN_EHLO,
	SMTP_IN_STARTTLS,
	SMTP_IN_AUTH,
	SMTP_IN_MAIL,
	SMTP_IN_RCPT,
	SMTP_IN_DATA,    /* the DATA command */
	SMTP_IN_CONTENT, /* the message is on its way */
	SMTP_IN_DOT,     /* its last byte is gone (dot, or BDAT LAST) */
	SMTP_IN_RESET,   /* RSET, NOOP, QUIT: never told to a caller */
	SMTP_PHASES,
};

/* What is certain. The first six are of success, the others of errors. */
enum smtp_outcome {
	SMTP_NOT_SENT, /* certainly not delivered, nobody decided anything */
	SMTP_ACCEPTED,
	SMTP_PARTIAL,
	SMTP_QUEUED,
	SMTP_CAPTURED,
	SMTP_RENDERED,
	SMTP_PROBED,
	SMTP_REJECTED, /* a complete 5xx */
	SMTP_DEFERRED, /* a complete 4xx */
	SMTP_UNKNOWN,  /* the last byte was handed to the kernel, and no valid reply to it was read
			*/
	SMTP_OUTCOMES,
};

enum smtp_class { SMTP_TAKEN, SMTP_LATER, SMTP_NEVER, SMTP_UNCERTAIN };
enum smtp_reach { SMTP_REACH_RECIPIENT, SMTP_REACH_MESSAGE, SMTP_REACH_RELAY };

/* One word for the cause: the `code` of a problem. The order is that of the table in verdict.c. */
enum smtp_category {
	SMTP_OK_CATEGORY,
	SMTP_RECIPIENT_REJECTED,
	SMTP_RECIPIENT_DEFERRED,
	SMTP_RECIPIENT_THROTTLED,
	SMTP_RECIPIENT_DOMAIN_INVALID,
	SMTP_SENDER_REJECTED,
	SMTP_SENDER_DEFERRED,
	SMTP_SENDER_AUTHENTICATION,
	SMTP_MAILBOX_FULL,
	SMTP_MESSAGE_TOO_LARGE,
	SMTP_CONTENT_REJECTED,
	SMTP_CONTENT_DEFERRED,
	SMTP_POLICY_REJECTED,
	SMTP_POLICY_DEFERRED,
	SMTP_RELAYING_DENIED,
	SMTP_UNSUPPORTED_FEATURE,
	SMTP_LOOP,
	SMTP_LOOP_DETECTED,
	SMTP_EXPIRED,
	SMTP_RELAY_SENDER_NOT_ALLOWED,
	SMTP_RELAY_BUSY,
	SMTP_RELAY_THROTTLED,
	SMTP_RELAY_STORAGE,
	SMTP_RELAY_QUOTA,
	SMTP_RELAY_DOWNSTREAM,
	SMTP_RELAY_ROUTING,
	SMTP_RELAY_REFUSED,
	SMTP_RELAY_MISCONFIGURED,
	SMTP_RELAY_CONFIG, /* our own settings, e.g. the EHLO name */
	SMTP_RELAY_AUTH_FAILED,
	SMTP_RELAY_AUTH_TEMPORARY,
	SMTP_RELAY_AUTH_REQUIRED,
	SMTP_RELAY_ACCOUNT_DISABLED,
	SMTP_AUTH_UNAVAILABLE,
	SMTP_TLS_UNAVAILABLE,
	SMTP_TLS_TEMPORARY,
	SMTP_TLS_REQUIRED,
	SMTP_TLS_VERIFY_FAILED,
	SMTP_TLS_HANDSHAKE_FAILED,
	SMTP_RELAY_DNS,
	SMTP_RELAY_UNREACHABLE,
	SMTP_RELAY_TIMEOUT,
	SMTP_RELAY_DISCONNECTED,
	SMTP_WRONG_PROTOCOL,
	SMTP_PROTOCOL_ERROR,
	SMTP_OUTCOME_UNKNOWN,
	SMTP_DEADLINE_PASSED, /* the caller's deadline, before MAIL: code relay_timeout's sibling */
	SMTP_DRAINING,
	SMTP_INTERNAL,
	SMTP_QUEUE_FULL,
	SMTP_STORE_FAILED,
	SMTP_SET_ASIDE,
	SMTP_CANCELLED,
	SMTP_CATEGORIES,
};

/* Why a link or a session ended without a reply that decides. */
enum smtp_loss {
	SMTP_LOSS_NONE,
	SMTP_LOSS_NO_NAME,        /* the name does not exist (NXDOMAIN) */
	SMTP_LOSS_NO_LOOKUP,      /* the name servers failed or were silent */
	SMTP_LOSS_UNREACHABLE,    /* refused, no route */
	SMTP_LOSS_TIMEOUT,        /* the phase's patience ended */
	SMTP_LOSS_DEADLINE,       /* the caller's deadline passed */
	SMTP_LOSS_DISCONNECTED,   /* end of file, reset, TLS truncation */
	SMTP_LOSS_CERTIFICATE,    /* chain, name, expiry or pin */
	SMTP_LOSS_HANDSHAKE,      /* alert, no common version */
	SMTP_LOSS_WRONG_PROTOCOL, /* HTTP, SSH, TLS on a plain port, plain on a TLS port */
	SMTP_LOSS_GARBLED,  /* not an SMTP reply, or one that cannot stand here, or one too many */
	SMTP_LOSS_NO_TLS,   /* STARTTLS needed and not offered */
	SMTP_LOSS_NO_AUTH,  /* the mechanism named, or any we know, is not offered */
	SMTP_LOSS_BAD_AUTH, /* credentials cannot be said, or the relay failed to prove itself */
	SMTP_LOSS_NO_TOKEN, /* no access token could be had, for a while */
	SMTP_LOSS_NO_FEATURE, /* SMTPUTF8 or 8BITMIME needed and not offered */
	SMTP_LOSS_TOO_LARGE,  /* over the SIZE that the relay declared */
	SMTP_LOSS_WITHHELD,   /* taken, but others were not and the sender wanted all or none */
	SMTP_LOSS_DRAINING,   /* the gateway stops */
	SMTP_LOSS_UNFENCED,   /* the end of the data could not be noted in the store, or may not go
			       */
	SMTP_LOSS_INTERNAL,   /* out of memory and the like */
	SMTP_LOSSES,
};

struct smtp_verdict {
	enum smtp_class class;
	enum smtp_reach reach;
	enum smtp_category category;
	enum smtp_outcome outcome; /* accepted, rejected, deferred, not_sent, unknown */
	enum smtp_phase phase;
	uint16_t status; /* HTTP */
	bool retryable;
	bool expired;        /* of a queue: it was tried until its time was over */
	bool fresh_may_help; /* a silent try on a fresh session is right, if this one was reused */
	uint32_t retry_after_s; /* from the relay's words, else the category's usual pause; 0: none
				 */
	const char *hint;       /* a sentence, "" where there is nothing to add */
};

/* What came of one recipient. */
struct smtp_answer {
	struct smtp_said said; /* to RCPT; code 0: none */
	struct smtp_verdict verdict;
};

struct smtp_verdict_rules {
	bool no_overrides; /* leave the provider overrides out */
	bool reused;       /* the session had carried a transaction before */
};

/* What a complete reply means in `phase`. In SMTP_IN_DOT a 421 is deferred, in every phase before
 * it not_sent. A 2xx/3xx that is what the phase wants is SMTP_TAKEN; any other is a protocol error.
 */
struct smtp_verdict smtp_verdict_of_said(
	const struct smtp_said *said, enum smtp_phase phase, struct smtp_verdict_rules rules);
/* What the end of a link or session means. `last_byte_sent`: the last byte of the data was handed
 * to the kernel; then every loss is SMTP_UNKNOWN. */
struct smtp_verdict smtp_verdict_of_loss(
	enum smtp_loss loss, enum smtp_phase phase, bool last_byte_sent);
/* The verdict for a whole message out of those of its recipients (docs/errors.md): all taken:
 * accepted; some: partial; none: deferred if any is, else rejected …; unknown wins over both. */
struct smtp_verdict smtp_verdict_of_all(const struct smtp_answer *answers, size_t count);

/* Seconds until the relay wants to be asked again, from its words ("try again in 5 minutes", "retry
 * after 300 seconds", "greylisted for 60s"); 0: it does not say. At most a week. */
uint32_t smtp_retry_after_s(struct text said);
/* The relay's queue id in its final 2xx reply, borrowed from `said`; empty: not recognised. Forms
 * of Postfix, Exim, Sendmail, OpenSMTPD, Exchange, Gmail, Amazon SES. */
struct text smtp_queue_id(struct text said);

const char *smtp_phase_name(enum smtp_phase phase);
const char *smtp_outcome_name(enum smtp_outcome outcome);
const char *smtp_loss_name(enum smtp_loss loss); /* for logs and metrics: "disconnected" */

/* What stands in the catalogue for a category: `code` ("recipient_rejected"), `title` (one
 * sentence), `meaning` (a paragraph for /problems/CODE), usual `status`. */
struct smtp_category_words {
	const char *code, *title, *meaning;
	uint16_t status;
};
const struct smtp_category_words *smtp_category_words(enum smtp_category category);
/* What to do about it, where nothing more is known; "" where there is nothing to add. */
const char *smtp_category_hint(enum smtp_category category);
