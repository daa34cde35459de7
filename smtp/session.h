/* session - one SMTP conversation, without I/O, clock or threads
 *
 * The caller owns the connection. It hands in what arrived (smtp_session_receive), sends what
 * smtp_session_output gives and says so (smtp_session_sent), starts TLS when asked, and passes the
 * time. The session decides everything else. It never sends anything behind the end of the data
 * before the answer is there, and once it saw anything odd it asks to be closed. */
#pragma once

#include "smtp/feature.h"
#include "smtp/message.h"
#include "smtp/verdict.h"

enum smtp_tls { SMTP_TLS_NONE, SMTP_TLS_OPPORTUNISTIC, SMTP_TLS_STARTTLS, SMTP_TLS_IMPLICIT };

/* How to talk to one relay. Borrowed and unchanged for the session's life. */
struct smtp_policy {
	struct text ehlo_name;
	enum smtp_tls tls;
	enum smtp_mechanism mechanism; /* SMTP_AUTH_NONE: the best that is offered */
	bool authenticates;            /* there is a user or a token */
	struct smtp_credentials credentials;
	uint32_t command_ms, data_ms, dot_ms; /* total patience; data grows by size at 64 KB/s */
	size_t one_write_bytes;
	bool no_overrides; /* verdicts without provider overrides */
};

/* One message for one relay. `answers`, one per recipient, and `region` are the caller's; all of it
 * must live until the transaction is over or detached. */
struct smtp_transaction {
	const struct smtp_envelope *envelope;
	const struct smtp_message *message;
	bool all_or_none;      /* send to none unless every recipient is taken */
	bool bare;             /* leave optional MAIL and RCPT parameters out */
	struct region *region; /* for the relay's words */
	struct buf *trace; /* NULL: not wanted. Lines "> …" and "< …", without secrets or content */
	/* what came of it */
	struct smtp_answer {
		struct smtp_said said; /* to RCPT; code 0: none */
		struct smtp_verdict verdict;
	} * answers;
	struct smtp_said said; /* the reply that decided over the whole message; code 0: none */
	struct smtp_verdict verdict;
	bool last_byte_sent; /* the last byte of the data was handed to the kernel */
	bool is_over;
	unsigned round_trips; /* times that we had to wait for the relay */
};

enum smtp_need {
	SMTP_NEED_RELAY, /* bytes from the relay, or that ours are written: see smtp_session_output
			  */
	SMTP_NEED_TLS,   /* a TLS handshake now: smtp_session_tls_started or smtp_session_lost */
	SMTP_NEED_WORK,  /* ready for smtp_session_begin, or smtp_session_quit */
	SMTP_NEED_CLOSE, /* the end: close the connection */
};

enum smtp_state {
	SMTP_STATE_UNOPENED,
	SMTP_STATE_TLS, /* implicit, or behind STARTTLS: outside, the handshake runs */
	SMTP_STATE_GREETING,
	SMTP_STATE_EHLO,
	SMTP_STATE_HELO,
	SMTP_STATE_STARTTLS,
	SMTP_STATE_AUTH,
	SMTP_STATE_READY,
	SMTP_STATE_MAIL, /* the states are named after the reply that they await */
	SMTP_STATE_RCPT,
	SMTP_STATE_DATA,
	SMTP_STATE_DOT,
	SMTP_STATE_RSET,
	SMTP_STATE_QUIT,
	SMTP_STATE_CLOSED,
	SMTP_STATES,
};

struct smtp_session {
	const struct smtp_policy *policy;
	enum smtp_state state;
	struct smtp_features features;
	struct smtp_reply reply;
	struct smtp_auth auth;
	struct buf output; /* written by us, not yet taken by the caller */
	size_t output_sent;
	bool secure;           /* TLS is on */
	bool greeted_line;     /* EHLO: its first line, which names the host, was seen */
	bool spent;            /* something odd was seen: close after this transaction */
	bool fell_back;        /* HELO */
	uint64_t deadline_ms;  /* when patience with the current phase ends; UINT64_MAX: never */
	uint64_t proven_ms;    /* when the relay last answered */
	unsigned transactions; /* begun on this session */
	/* the transaction under way */
	struct smtp_transaction *transaction; /* NULL: none, or detached */
	struct smtp_message_reader reader;
	struct smtp_dot *dot;
	/* … (see session.c) */
};
