/* session - one SMTP conversation, without I/O, clock or threads
 *
 * The caller owns the connection. It hands in what arrived (smtp_session_receive), sends what
 * smtp_session_output gives and says so (smtp_session_sent), starts TLS when asked, and passes the
 * time. The session decides everything else. It never sends anything behind the end of the data
 * before the answer is there, and once it saw anything odd it asks to be closed. */
#pragma once

#include "smtp/session/dot.h"
#include "smtp/session/feature.h"
#include "smtp/message/message.h"
#include "smtp/verdict/verdict.h"

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
	uint32_t max_messages; /* transactions a session; 0: as many as the relay allows */
	bool no_pipelining;    /* one command at a time, whatever the relay offers */
	bool clear_auth;       /* credentials may go without TLS: a loopback relay */
	bool no_overrides;     /* verdicts without provider overrides */
};

/* One message for one relay. `answers`, one per recipient, and `region` are the caller's; all of it
 * must live until the transaction is over or detached. */
struct smtp_transaction {
	const struct smtp_envelope *envelope;
	const struct smtp_message *message;
	bool all_or_none;     /* send to none unless every recipient is taken */
	bool probe;           /* MAIL, RCPT, RSET: asks, and sends nothing. Whoever would be taken
				 is SMTP_PROBED, and so is the whole if anybody would be */
	bool bare;            /* leave optional MAIL and RCPT parameters out. Needs no setting: a
				 session that has them refused tries once more without */
	bool no_pipelining;   /* as the policy's, for this transaction */
	bool envelope_first;  /* the content waits for the answers to the envelope */
	bool asks_first;      /* the end of the data waits for smtp_session_let_go */
	uint64_t deadline_ms; /* when whoever waits for it wants to know; 0: does not say. A session
				 that may be dead is given up early enough for another */
	struct region *region; /* for the relay's words */
	struct buf *trace; /* NULL: not wanted. Lines "> …" and "< …", without secrets or content */
	/* what came of it */
	struct smtp_answer *answers;
	struct smtp_said said; /* the reply that decided over the whole message; code 0: none */
	struct smtp_verdict verdict;
	bool last_byte_sent; /* the last byte of the data was handed to the kernel */
	bool is_over;
	unsigned round_trips; /* times that we had to wait for the relay */
};

enum smtp_need {
	SMTP_NEED_RELAY, /* the relay's bytes, or that ours are written: see smtp_session_output */
	SMTP_NEED_TLS,   /* a TLS handshake: then smtp_session_tls_started or smtp_session_lost */
	SMTP_NEED_WORK,  /* ready for smtp_session_begin, or smtp_session_quit */
	SMTP_NEED_CLOSE, /* the end: close the connection */
};

enum smtp_state {
	SMTP_UNOPENED,
	SMTP_AWAIT_TLS, /* from here on named after what it waits for */
	SMTP_AWAIT_GREETING,
	SMTP_AWAIT_EHLO,
	SMTP_AWAIT_HELO,
	SMTP_AWAIT_STARTTLS,
	SMTP_AWAIT_AUTH,
	SMTP_READY,
	SMTP_AWAIT_MAIL,
	SMTP_AWAIT_RCPT,
	SMTP_AWAIT_DATA,
	SMTP_AWAIT_DOT, /* the end of the data, or BDAT LAST; the content may still be on its way */
	SMTP_AWAIT_RSET,
	SMTP_AWAIT_QUIT,
	SMTP_CLOSED,
	SMTP_STATES,
};

struct smtp_session {
	const struct smtp_policy *policy;
	enum smtp_state state;
	struct smtp_features features;
	struct smtp_reply reply;
	struct smtp_auth auth;
	unsigned char nonce[18];
	struct buf output; /* made by us; the first output_sent bytes are gone */
	size_t output_sent;
	struct text left;      /* while a reply is handled: the bytes behind it */
	struct buf *trace;     /* where the opening is written down; NULL: nowhere. The caller's */
	uint64_t deadline_ms;  /* when patience with the current phase ends; UINT64_MAX: never */
	uint64_t proven_ms;    /* when the relay last answered */
	unsigned transactions; /* begun on this session */
	uint32_t mails;        /* MAIL commands sent on it, which is what MAILMAX counts */
	char opening[8];       /* first bytes that arrived, to tell another protocol by */
	size_t opening_len;
	bool secure;     /* TLS is on */
	bool ehlo_named; /* the first line of the EHLO answer was seen */
	bool spent;      /* something odd was seen: no further transaction */
	/* The relay offers PIPELINING and broke off, or fell out of step, where it was used: try
	 * again on a fresh session without. */
	bool pipelining_suspect;
	/* the transaction under way; NULL: none, or detached */
	struct smtp_transaction *transaction;
	struct smtp_message_reader reader;
	struct smtp_dot dot;
	size_t rcpt_sent, rcpt_answered, taken;
	uint64_t content_left; /* bytes of the message that are not in the output yet */
	bool reused;           /* it carried a transaction before, or waited long for this one */
	bool stale;            /* nothing was heard for a while: it may be half open */
	bool unproven_reset;   /* RSET went well, it says; no MAIL was taken since */
	bool mute;             /* given up, and silent for so long that it may have lost commands */
	bool pipelined;        /* commands go out ahead of answers */
	bool one_write;        /* … and the content with them */
	bool bare;             /* optional parameters are left out */
	bool optional_sent;    /* some were not */
	bool bare_may_help;    /* they were refused */
	bool chunked;          /* BDAT, not DATA */
	bool data_sent;        /* the DATA or BDAT command */
	bool refused;          /* MAIL was: what else comes is secondary */
	bool late_refused;     /* RCPT was, after the transaction had been detached */
	bool lone_dot;         /* 354 came though nobody was taken */
	bool holds_end;        /* the end of the data may not go yet */
	bool content_made;     /* every byte of the content is in the output */
	bool last_byte_sent;
	/* how the session, or a detached transaction, ended */
	enum smtp_loss loss;
	bool said_goodbye; /* by a 421 where no answer was due */
	struct smtp_verdict verdict;
	struct smtp_said said; /* text is in `reply` */
	const char *detail;    /* more words on the loss: "it speaks HTTP"; NULL: none */
	/* The answer to a detached transaction is in `verdict` and `said`: it holds for every
	 * recipient that had none. Look before the next bytes are handed in. */
	bool late_answer;
};

/* Everything about an unopened session is set; `nonce` are 18 random bytes. */
void smtp_session_open(struct smtp_session *session, const struct smtp_policy *policy,
	const unsigned char nonce[18], uint64_t now_ms);
/* Frees what it holds, wipes secrets. */
void smtp_session_close(struct smtp_session *session);
enum smtp_need smtp_session_need(const struct smtp_session *session);
enum smtp_phase smtp_session_phase(const struct smtp_session *session);

/* Has it carried as many transactions as the relay or the policy allow? It then says QUIT by
 * itself: smtp_session_need is SMTP_NEED_WORK only where another may begin. */
bool smtp_session_is_used_up(const struct smtp_session *session);

/* Bytes that arrived, all of them. */
void smtp_session_receive(struct smtp_session *session, struct text bytes, uint64_t now_ms);
/* What to write now; empty: nothing. Valid until the next call. */
struct text smtp_session_output(struct smtp_session *session);
/* Is all of the data written but its end (the last byte, or the line with the dot), which would
 * make a message of it, and does that wait for smtp_session_let_go? */
bool smtp_session_holds_end(const struct smtp_session *session);
void smtp_session_let_go(struct smtp_session *session, uint64_t now_ms);
/* `len` bytes of it were handed to the kernel, as whole TLS records where there is TLS. */
void smtp_session_sent(struct smtp_session *session, size_t len, uint64_t now_ms);
void smtp_session_tls_started(struct smtp_session *session, uint64_t now_ms);
/* The connection is gone, or shall be: settles the transaction under way. `detail` may be NULL. */
void smtp_session_lost(struct smtp_session *session, enum smtp_loss loss, const char *detail);
/* Ends the session as SMTP_LOSS_TIMEOUT if its patience is over. */
void smtp_session_tick(struct smtp_session *session, uint64_t now_ms);

/* Starts a transaction (SMTP_NEED_WORK only), clearing what an earlier try left in it. It may be
 * over at once, where the relay's offer rules it out. */
void smtp_session_begin(
	struct smtp_session *session, struct smtp_transaction *transaction, uint64_t now_ms);
/* Settles the transaction under way with `loss` now. Behind the last byte the session goes on
 * waiting for the answer (late_answer); before it, it closes. */
void smtp_session_give_up(struct smtp_session *session, enum smtp_loss loss, uint64_t now_ms);
void smtp_session_quit(struct smtp_session *session, uint64_t now_ms);
