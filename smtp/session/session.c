#include "smtp/session/session.h"

#include <string.h>

#include "smtp/session/command.h"
#include "smtp/session/other.h"
#include "smtp/session/settle.h"
#include "smtp/session/step.h"

enum { OUTPUT_MAX = 2 << 20 };
enum { FRESH_ENOUGH_MS = 2000, SHORT_PATIENCE_MS = 3000, LONG_SILENCE_MS = 10000 };
enum { UPLOAD_BYTES_PER_S = 65536 };
enum { CHUNK_END = 1, DATA_END = 3 /* ".\r\n" */ };

static const enum smtp_phase phases[SMTP_STATES] = {
	[SMTP_AWAIT_TLS] = SMTP_IN_TLS,
	[SMTP_AWAIT_GREETING] = SMTP_IN_GREETING,
	[SMTP_AWAIT_EHLO] = SMTP_IN_EHLO,
	[SMTP_AWAIT_HELO] = SMTP_IN_EHLO,
	[SMTP_AWAIT_STARTTLS] = SMTP_IN_STARTTLS,
	[SMTP_AWAIT_AUTH] = SMTP_IN_AUTH,
	[SMTP_READY] = SMTP_IN_RESET,
	[SMTP_AWAIT_MAIL] = SMTP_IN_MAIL,
	[SMTP_AWAIT_RCPT] = SMTP_IN_RCPT,
	[SMTP_AWAIT_DATA] = SMTP_IN_DATA,
	[SMTP_AWAIT_DOT] = SMTP_IN_DOT,
	[SMTP_AWAIT_RSET] = SMTP_IN_RESET,
	[SMTP_AWAIT_QUIT] = SMTP_IN_RESET,
};

enum smtp_phase smtp_session_phase(const struct smtp_session *session)
{
	if (session->state == SMTP_AWAIT_DOT && !session->last_byte_sent)
		return SMTP_IN_CONTENT;
	return phases[session->state];
}

/* ---- patience and the state */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A connection whose other end is gone without a word is found out early, while another can still
 * be tried: half of the time that is left is for that. */
static uint64_t patience_for_stale(const struct smtp_session *session, uint64_t now_ms)
{
	uint64_t deadline = session->transaction ? session->transaction->deadline_ms : 0;

	if (!deadline)
		return SHORT_PATIENCE_MS;
	return deadline > now_ms ? least(SHORT_PATIENCE_MS, (deadline - now_ms) / 2) : 0;
}

static uint64_t patience_for_command(const struct smtp_session *session, uint64_t now_ms)
{
	uint64_t most = session->policy->command_ms;

	if (session->state == SMTP_AWAIT_QUIT) /* a courtesy */
		return least(most, SHORT_PATIENCE_MS);
	if (session->state == SMTP_AWAIT_MAIL && session->stale)
		return least(most, patience_for_stale(session, now_ms));
	return most;
}

static void be_patient(struct smtp_session *session, uint64_t now_ms)
{
	const struct smtp_policy *policy = session->policy;
	uint64_t size = session->transaction ? session->transaction->message->size : 0;

	if (session->state == SMTP_READY || session->state == SMTP_CLOSED)
		session->deadline_ms = UINT64_MAX;
	else if (session->state != SMTP_AWAIT_DOT)
		session->deadline_ms = now_ms + patience_for_command(session, now_ms);
	else if (session->last_byte_sent)
		session->deadline_ms = now_ms + policy->dot_ms;
	else
		session->deadline_ms = now_ms + policy->data_ms + size * 1000 / UPLOAD_BYTES_PER_S;
}

static void shut(struct smtp_session *session)
{
	session->state = SMTP_CLOSED;
	session->deadline_ms = UINT64_MAX;
}

/* The one line that assigns the state, but for the end. */
static void enter(struct smtp_session *session, enum smtp_state state, uint64_t now_ms)
{
	bool goes_on = state == SMTP_AWAIT_AUTH && session->state == state;

	if (session->state == SMTP_CLOSED)
		return;
	session->state = state;
	if (smtp_steps[state].send)
		smtp_steps[state].send(session);
	smtp_reply_reset(&session->reply); /* behind send: AUTH reads the challenge out of it */
	if (session->output.err)
		smtp_session_lost(session, SMTP_LOSS_INTERNAL, NULL);
	if (!goes_on) /* all rounds of AUTH share one */
		be_patient(session, now_ms);
}

/* ---- receiving */

static void garbled(struct smtp_session *session, const char *why)
{
	struct text start = { session->opening, session->opening_len };
	const char *other =
		session->state == SMTP_AWAIT_GREETING ? smtp_other_protocol(start) : NULL;

	smtp_session_lost(
		session, other ? SMTP_LOSS_WRONG_PROTOCOL : SMTP_LOSS_GARBLED, other ? other : why);
}

/* Bytes where no answer is due: a relay that closes an idle connection says 421 first. */
static void spoken_to(struct smtp_session *session, struct text bytes)
{
	session->said_goodbye = text_starts(bytes, text_head(TEXT("421"), bytes.len));
	if (session->said_goodbye)
		smtp_session_lost(session, SMTP_LOSS_DISCONNECTED, "it said goodbye");
	else
		garbled(session, "it spoke out of turn");
}

/* Did the relay get to see the command whose answer this would be? */
static bool answer_is_due(const struct smtp_session *session)
{
	bool unsent = session->output.len > 0 && session->output_sent == 0;

	if (!smtp_steps[session->state].after)
		return false;
	return session->state == SMTP_AWAIT_DOT || !unsent;
}

static void take_line(struct smtp_session *session, bool is_last)
{
	bool in_ehlo = session->state == SMTP_AWAIT_EHLO && session->reply.code == 250;

	smtp_command_trace_reply(session, is_last);
	if (in_ehlo && session->ehlo_named)
		smtp_features_add(&session->features, smtp_reply_line(&session->reply));
	session->ehlo_named |= in_ehlo;
}

static void take_reply(struct smtp_session *session, struct text left, uint64_t now_ms)
{
	struct smtp_said said = smtp_reply_said(&session->reply);
	bool is_goodbye =
		(said.code == 421 || said.code == 221) && session->state != SMTP_AWAIT_QUIT;
	enum smtp_state next;

	session->left = left;
	session->stale = false;
	session->proven_ms = now_ms;
	next = is_goodbye ? smtp_step_goodbye(session, &said)
			  : smtp_steps[session->state].after(session, &said);
	session->left = (struct text){ 0 };
	if (next == SMTP_CLOSED)
		shut(session);
	else
		enter(session, next, now_ms);
}

static void note_opening(struct smtp_session *session, struct text bytes)
{
	struct text start = text_head(bytes, sizeof(session->opening) - session->opening_len);

	if (start.len)
		memcpy(session->opening + session->opening_len, start.at, start.len);
	session->opening_len += start.len;
	/* a TLS record, or a banner that never ends its line, would be waited for */
	start = (struct text){ session->opening, session->opening_len };
	if (session->state == SMTP_AWAIT_GREETING && smtp_other_protocol(start))
		garbled(session, NULL);
}

void smtp_session_receive(struct smtp_session *session, struct text bytes, uint64_t now_ms)
{
	if (session->opening_len < sizeof(session->opening))
		note_opening(session, bytes);
	while (bytes.len && session->state != SMTP_CLOSED) {
		if (!answer_is_due(session)) {
			spoken_to(session, bytes);
			return;
		}
		switch (smtp_reply_feed(&session->reply, &bytes)) {
		case SMTP_MORE:
			return;
		case SMTP_BAD:
			garbled(session, session->reply.why);
			return;
		case SMTP_LINE:
			take_line(session, false);
			break;
		case SMTP_DONE:
			take_line(session, true);
			take_reply(session, bytes, now_ms);
		}
	}
}

/* ---- sending */

/* How much of the output's end may not go yet. Where nobody was taken it is of no consequence. */
static size_t kept_back(const struct smtp_session *session)
{
	bool is_for_nobody = session->state == SMTP_AWAIT_DOT && session->taken == 0;

	if (!session->holds_end || !session->content_made || session->last_byte_sent ||
		is_for_nobody)
		return 0;
	return session->chunked ? CHUNK_END : DATA_END;
}

bool smtp_session_holds_end(const struct smtp_session *session)
{
	size_t kept = kept_back(session);

	return kept && session->output_sent + kept == session->output.len;
}

void smtp_session_let_go(struct smtp_session *session, uint64_t now_ms)
{
	session->holds_end = false;
	be_patient(session, now_ms);
}

struct text smtp_session_output(struct smtp_session *session)
{
	struct text output;

	bool in_content = session->state == SMTP_AWAIT_DOT && session->transaction;

	if (session->output.len == 0 && in_content && !session->content_made)
		smtp_command_more_content(session);
	if (session->output.err)
		smtp_session_lost(session, SMTP_LOSS_INTERNAL, NULL);
	if (session->state == SMTP_CLOSED)
		return (struct text){ 0 };
	output = buf_text(&session->output);
	output.len -= kept_back(session);
	return text_from(output, session->output_sent);
}

/* All that was made is gone. */
static void clear_output(struct smtp_session *session)
{
	if (session->state == SMTP_AWAIT_AUTH)
		explicit_bzero(session->output.at, session->output.len);
	buf_clear(&session->output);
	session->output_sent = 0;
}

void smtp_session_sent(struct smtp_session *session, size_t len, uint64_t now_ms)
{
	bool in_content = session->state == SMTP_AWAIT_DOT && !session->content_made;

	session->output_sent += len;
	if (session->output_sent < session->output.len || session->output.len == 0)
		return;
	clear_output(session);
	if (session->transaction && !in_content)
		session->transaction->round_trips++;
	if (!session->content_made || session->last_byte_sent)
		return;
	session->last_byte_sent = true;
	be_patient(session, now_ms);
}

void smtp_session_tls_started(struct smtp_session *session, uint64_t now_ms)
{
	session->secure = true;
	enter(session,
		session->policy->tls == SMTP_TLS_IMPLICIT ? SMTP_AWAIT_GREETING : SMTP_AWAIT_EHLO,
		now_ms);
}

/* ---- the life of a session */

void smtp_session_open(struct smtp_session *session, const struct smtp_policy *policy,
	const unsigned char nonce[18], uint64_t now_ms)
{
	memset(session, 0, sizeof(*session));
	session->policy = policy;
	session->output = buf_born(OUTPUT_MAX);
	memcpy(session->nonce, nonce, sizeof(session->nonce));
	session->proven_ms = now_ms;
	enter(session, policy->tls == SMTP_TLS_IMPLICIT ? SMTP_AWAIT_TLS : SMTP_AWAIT_GREETING,
		now_ms);
}

void smtp_session_close(struct smtp_session *session)
{
	smtp_auth_wipe(&session->auth);
	buf_wipe(&session->output);
	shut(session);
}

enum smtp_need smtp_session_need(const struct smtp_session *session)
{
	switch (session->state) {
	case SMTP_CLOSED:
		return SMTP_NEED_CLOSE;
	case SMTP_READY:
		return session->spent ? SMTP_NEED_CLOSE : SMTP_NEED_WORK;
	case SMTP_AWAIT_TLS:
		return SMTP_NEED_TLS;
	default:
		return SMTP_NEED_RELAY;
	}
}

bool smtp_session_is_used_up(const struct smtp_session *session)
{
	uint32_t relays = session->features.mail_max, ours = session->policy->max_messages;

	return (relays && session->mails >= relays) || (ours && session->mails >= ours);
}

void smtp_session_lost(struct smtp_session *session, enum smtp_loss loss, const char *detail)
{
	if (session->state == SMTP_CLOSED)
		return;
	session->detail = detail;
	smtp_settle_by_loss(session, loss);
	shut(session);
}

void smtp_session_give_up(struct smtp_session *session, enum smtp_loss loss, uint64_t now_ms)
{
	bool may_be_taken = session->state < SMTP_AWAIT_DOT || session->taken > 0;

	if (session->state == SMTP_CLOSED)
		return;
	session->mute = now_ms >= session->proven_ms + LONG_SILENCE_MS;
	smtp_settle_by_loss(session, loss);
	if (!session->last_byte_sent || session->lone_dot || !may_be_taken)
		shut(session);
}

void smtp_session_tick(struct smtp_session *session, uint64_t now_ms)
{
	bool waits_for_us = session->state == SMTP_AWAIT_DOT && smtp_session_holds_end(session);

	if (now_ms >= session->deadline_ms && !waits_for_us)
		smtp_session_lost(session, SMTP_LOSS_TIMEOUT, NULL);
}

/* ---- a transaction's beginning */

/* What the relay's offer rules out before a byte is sent. */
static enum smtp_loss ruled_out(
	const struct smtp_session *session, const struct smtp_transaction *tx)
{
	uint64_t most = session->features.size_bytes;

	if (tx->envelope->needs_utf8 && !smtp_command_offers(session, SMTP_SMTPUTF8))
		return SMTP_LOSS_NO_FEATURE;
	if (tx->message->eight_bit && !smtp_command_offers(session, SMTP_8BITMIME))
		return SMTP_LOSS_NO_FEATURE;
	return most && tx->message->size > most ? SMTP_LOSS_TOO_LARGE : SMTP_LOSS_NONE;
}

void smtp_session_begin(
	struct smtp_session *session, struct smtp_transaction *transaction, uint64_t now_ms)
{
	enum smtp_loss loss = ruled_out(session, transaction);

	smtp_settle_clear(transaction);
	transaction->round_trips = 0;
	session->transaction = transaction;
	session->stale = now_ms > session->proven_ms + FRESH_ENOUGH_MS;
	session->reused = session->transactions++ > 0 || session->stale;
	session->bare = transaction->bare;
	session->late_answer = false;
	session->pipelining_suspect = session->mute = false;
	session->loss = SMTP_LOSS_NONE;
	session->detail = NULL;
	smtp_step_rewind(session);
	smtp_step_choose_mode(session);
	if (loss)
		smtp_settle_unsaid(session, loss);
	else
		enter(session, SMTP_AWAIT_MAIL, now_ms);
}

void smtp_session_quit(struct smtp_session *session, uint64_t now_ms)
{
	enter(session, SMTP_AWAIT_QUIT, now_ms);
}
