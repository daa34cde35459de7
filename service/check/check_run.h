/* check_run - a check under way
 *
 * Its own parts: check.c looks up and connects, check_talk.c drives the session, check_suspect.c
 * finds out what else may be there, check_found.c and check_blame.c put into words what came of it.
 */
#pragma once

#include "service/check/check.h"
#include "service/check/check_probe.h"
#include "service/session/link.h"
#include "service/oauth/oauth.h"
#include "service/relay/relay.h"

enum check_stage {
	CHECK_GETTING_TOKEN,
	CHECK_LOOKING_UP,
	CHECK_CONNECTING,
	CHECK_TALKING,
	CHECK_PROBING,
	CHECK_OVER
};

/* One of the relay's addresses. */
struct candidate {
	struct check_run *run;
	char host[64]; /* numeric */
	struct link *link;
	enum { CANDIDATE_RUNNING, CANDIDATE_CONNECTED, CANDIDATE_FAILED } state;
};

struct check_run {
	struct relay *relay;
	const struct relay_settings *settings;
	const struct check_wish *wish;
	struct check_report *report;
	uv_loop_t loop;
	uv_timer_t tick;
	struct resolver *resolver;
	enum check_stage stage;
	uint64_t began_us, since_us; /* all of it, the step under way */
	/* look-up */
	struct lookup *lookups[2];  /* IPv6, IPv4; NULL: none under way */
	enum smtp_loss lookup_loss; /* while there is no address: why */
	struct sockaddr_storage addresses[2 * LOOKUP_ADDRESSES];
	/* connections */
	struct candidate candidates[2 * LOOKUP_ADDRESSES];
	size_t count;
	struct candidate *used; /* NULL: none yet */
	uint64_t connected_us;
	/* the conversation */
	struct smtp_policy policy; /* the relay's, with the token that was fetched */
	struct oauth *oauth;       /* borrowed; NULL: no token is fetched */
	struct buf token;          /* secret */
	struct smtp_session session;
	bool is_open;
	bool has_offer; /* what a message costs was told */
	enum smtp_state state;
	struct buf trace;
	size_t trace_at; /* where the step under way begins */
	struct buf from;
	struct text to;
	struct smtp_envelope envelope;
	struct smtp_message message;
	struct smtp_answer answer;
	struct smtp_transaction transaction;
	/* what the port speaks, where it is not what was expected */
	struct probe probe;
	uint64_t lost_us;      /* when the session was lost, and the probe still to end */
	char lost_words[1024]; /* its connection's last words; that is closed by then */
	char input[16384];
};

/* ---- the report (check_report.c) */

/* Adds a step that took from since_us until now (`timed`), and starts the next. `words` and `hint`
 * are copied. */
void check_add(struct check_run *run, const char *name, enum check_mark mark, bool timed,
	const struct buf *words, const char *hint);
/* The same in one line, without a time. */
void check_note(struct check_run *run, const char *name, enum check_mark mark, const char *words,
	const char *hint);
/* Adds a failed step: the check ends with it. */
void check_fail(struct check_run *run, const char *name, const struct buf *words, const char *hint);
/* Appends what came from outside: controls, and what is not UTF-8, as '?'. */
void check_add_foreign(struct buf *out, struct text text);
/* "535 5.7.8 authentication failed" */
void check_add_said(struct buf *out, const struct smtp_said *said);

/* ---- who signs (check_dkim.c): a step of its own, if anybody does */

void check_dkim(struct check_run *run, const struct dkim_signer *signer);

/* ---- the access token (check_token.c): a step of its own, if it has to be fetched. True: it is
 * there, or there is no need; else it is not yet, or the check is over. */

bool check_token(struct check_run *run);

/* ---- the conversation (check_talk.c) */

void check_talk(struct check_run *run); /* begins, on run->used */
void check_talk_ready(struct check_run *run);
void check_talk_tick(struct check_run *run);

/* ---- another service's port? (check_suspect.c) */

/* Finds out, once the greeting is late, what the port speaks; ends the session if it is not what
 * the settings say. */
void check_suspect(struct check_run *run);
/* The session was lost in `state`. True: the stage is CHECK_PROBING; what ended it is told when the
 * probe is over, by check_suspect_tick. */
bool check_suspect_late(struct check_run *run, enum smtp_state state);
void check_suspect_tick(struct check_run *run);
/* What the port speaks, if that is what went wrong; SPEECH_NONE: it is not, or nobody knows.
 * *line_out: the first line that came, raw. */
enum speech check_speech(const struct check_run *run, bool *behind_tls_out, struct text *line_out);

/* ---- what was found (check_found.c, check_certificate.c) */

/* What the relay's answer to `state` was worth, where it was taken. */
void check_found(struct check_run *run, enum smtp_state state);
/* What a message will cost, and what could be better. */
void check_found_offer(struct check_run *run);
/* The certificate that was shown, in lines. */
void check_found_certificate(struct check_run *run);
void check_describe_leaf(X509 *leaf, struct buf *words);

/* ---- what is wrong (check_blame.c) */

void check_blame_lookup(struct check_run *run);
void check_blame_connect(struct check_run *run);
/* The session has ended in `state`, or at the step behind it. */
void check_blame_session(struct check_run *run, enum smtp_state state);
/* MAIL or RCPT were refused: `verdict` and `said` over it. */
void check_blame_refusal(struct check_run *run, const char *name,
	const struct smtp_verdict *verdict, const struct smtp_said *said);
const char *check_step_name(enum smtp_state state);
/* Why the session ended without a reply that decides (check_loss.c). */
void check_word_loss(
	struct check_run *run, enum smtp_state state, struct buf *words, struct buf *hint);
