#include "smtp/session/step.h"

#include "smtp/session/command.h"
#include "smtp/session/settle.h"

/* ---- ways to end */

static enum smtp_state end_by_reply(struct smtp_session *session, const struct smtp_said *said)
{
	smtp_settle_by_reply(session, said);
	return SMTP_CLOSED;
}

static enum smtp_state lose(struct smtp_session *session, enum smtp_loss loss, const char *detail)
{
	smtp_session_lost(session, loss, detail);
	return SMTP_CLOSED;
}

/* A 2xx or 3xx that cannot stand here: one of the two has miscounted, and which command the next
 * reply is for is anybody's guess. */
static enum smtp_state out_of_step(struct smtp_session *session)
{
	return lose(session, SMTP_LOSS_GARBLED, "its reply does not fit the command");
}

static bool is_refusal(const struct smtp_said *said)
{
	return said->code >= 400;
}

static enum smtp_state ready(const struct smtp_session *session)
{
	if (session->spent)
		return SMTP_CLOSED;
	return session->mails && smtp_session_is_used_up(session) ? SMTP_AWAIT_QUIT : SMTP_READY;
}

/* ---- opening */

static enum smtp_state after_greeting(struct smtp_session *session, const struct smtp_said *said)
{
	return said->code == 220 ? SMTP_AWAIT_EHLO : end_by_reply(session, said);
}

static enum smtp_state authenticate(struct smtp_session *session)
{
	if (!session->policy->authenticates)
		return SMTP_READY;
	if (!session->secure && !session->policy->clear_auth)
		return lose(session, SMTP_LOSS_NO_TLS, NULL);
	return SMTP_AWAIT_AUTH;
}

static enum smtp_state after_ehlo(struct smtp_session *session, const struct smtp_said *said)
{
	enum smtp_tls tls = session->policy->tls;
	bool may_go_plain = tls == SMTP_TLS_NONE || tls == SMTP_TLS_OPPORTUNISTIC;
	bool unknown_command = said->code == 500 || said->code == 502;

	if (unknown_command && may_go_plain && !session->policy->authenticates && !session->secure)
		return SMTP_AWAIT_HELO;
	if (said->code != 250)
		return end_by_reply(session, said);
	if (session->secure || tls == SMTP_TLS_NONE)
		return authenticate(session);
	if (smtp_command_offers(session, SMTP_STARTTLS))
		return SMTP_AWAIT_STARTTLS;
	return may_go_plain ? authenticate(session) : lose(session, SMTP_LOSS_NO_TLS, NULL);
}

static enum smtp_state after_helo(struct smtp_session *session, const struct smtp_said *said)
{
	return said->code == 250 ? SMTP_READY : end_by_reply(session, said);
}

static enum smtp_state after_starttls(struct smtp_session *session, const struct smtp_said *said)
{
	if (session->left.len) /* bytes that TLS does not protect, to be read as if it did */
		return lose(session, SMTP_LOSS_GARBLED, "bytes behind its answer to STARTTLS");
	if (said->code == 220)
		return SMTP_AWAIT_TLS;
	if (session->policy->tls == SMTP_TLS_OPPORTUNISTIC && is_refusal(said))
		return authenticate(session);
	return end_by_reply(session, said);
}

static enum smtp_state after_auth(struct smtp_session *session, const struct smtp_said *said)
{
	bool proven;

	if (said->code == 334 && !session->auth.cancelled)
		return SMTP_AWAIT_AUTH;
	if (said->code == 334)
		return lose(session, SMTP_LOSS_GARBLED, "it goes on with a cancelled AUTH");
	proven = said->code == 235 && smtp_auth_is_proven(&session->auth, said->text);
	smtp_auth_wipe(&session->auth);
	if (said->code != 235)
		return end_by_reply(session, said);
	return proven ? SMTP_READY
		      : lose(session, SMTP_LOSS_BAD_AUTH, "it does not prove that it knows us");
}

/* ---- the transaction */

/* Nothing goes to anybody: the transaction is over, or begins once more without parameters. */
static enum smtp_state reset(struct smtp_session *session)
{
	if (session->spent)
		session->bare_may_help = false;
	if (!session->bare_may_help)
		smtp_settle_end(session);
	return session->spent ? SMTP_CLOSED : SMTP_AWAIT_RSET;
}

static enum smtp_state after_mail(struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_verdict verdict = smtp_settle_judge(session, said);

	session->unproven_reset &= verdict.class != SMTP_TAKEN;
	if (verdict.class == SMTP_TAKEN)
		return SMTP_AWAIT_RCPT;
	if (!is_refusal(said))
		return out_of_step(session);
	if (!session->transaction)
		return end_by_reply(session, said);
	session->refused = true;
	session->spent |= verdict.category == SMTP_PROTOCOL_ERROR;
	smtp_settle_sender(session, said, &verdict);
	return session->rcpt_sent ? SMTP_AWAIT_RCPT : reset(session);
}

static enum smtp_state after_last_rcpt(struct smtp_session *session, const struct smtp_said *said)
{
	const struct smtp_transaction *tx = session->transaction;

	if (!tx) /* detached: the content is there already */
		return session->taken ? SMTP_AWAIT_DOT : end_by_reply(session, said);
	if (tx->probe) {
		session->bare_may_help &= session->taken == 0;
		return reset(session);
	}
	if (session->one_write)
		return SMTP_AWAIT_DOT;
	if (session->data_sent)
		return SMTP_AWAIT_DATA;
	if (session->taken == 0 || (tx->all_or_none && session->taken < tx->envelope->count)) {
		smtp_settle_withhold(session);
		return reset(session);
	}
	return session->chunked ? SMTP_AWAIT_DOT : SMTP_AWAIT_DATA;
}

static enum smtp_state after_rcpt(struct smtp_session *session, const struct smtp_said *said)
{
	const struct smtp_transaction *tx = session->transaction;
	size_t count = tx ? tx->envelope->count : session->rcpt_sent;
	struct smtp_verdict verdict = smtp_settle_judge(session, said);
	bool taken = verdict.class == SMTP_TAKEN;

	if (!session->refused) {
		if (!taken && !is_refusal(said))
			return out_of_step(session);
		session->taken += taken;
		session->spent |= verdict.category == SMTP_PROTOCOL_ERROR;
		session->late_refused |= !tx && !taken;
		if (tx)
			smtp_settle_recipient(session, said, &verdict);
	}
	session->rcpt_answered++;
	return session->rcpt_answered < count ? SMTP_AWAIT_RCPT : after_last_rcpt(session, said);
}

static enum smtp_state after_data(struct smtp_session *session, const struct smtp_said *said)
{
	if (said->code / 100 == 3 && session->refused) {
		/* a transaction that is not ours: not even a lone dot goes into it */
		session->spent = true;
		return reset(session);
	}
	if (said->code / 100 == 3) {
		session->lone_dot = session->taken == 0;
		return SMTP_AWAIT_DOT;
	}
	if (!is_refusal(said))
		return out_of_step(session); /* 250 in place of 354: nothing was delivered */
	if (session->taken == 0)
		return reset(session);
	smtp_settle_by_reply(session, said);
	return SMTP_AWAIT_RSET;
}

/* A goodbye may stand right behind the answer; anything else there means that we are out of step,
 * and cannot say which command the answer was for. */
static bool is_followed_by_noise(const struct smtp_session *session)
{
	return session->left.len &&
	       !text_starts(session->left, text_head(TEXT("421"), session->left.len));
}

static enum smtp_state after_dot(struct smtp_session *session, const struct smtp_said *said)
{
	bool early = !session->content_made || session->output_sent < session->output.len;
	bool ok = smtp_settle_judge(session, said).class == SMTP_TAKEN;

	if (session->transaction && session->taken == 0) {
		/* of no consequence, unless it took the message all the same */
		session->spent |= early || !is_refusal(said);
		return reset(session);
	}
	if (is_followed_by_noise(session))
		return lose(session, SMTP_LOSS_GARBLED, "a reply too many");
	if (early && !is_refusal(said))
		return lose(session, SMTP_LOSS_GARBLED, "an answer ahead of the end of the data");
	smtp_settle_by_reply(session, said);
	if (early || session->left.len || (!ok && !is_refusal(said)))
		return SMTP_CLOSED;
	return ok ? ready(session) : SMTP_AWAIT_RSET;
}

void smtp_step_rewind(struct smtp_session *session)
{
	session->reader = (struct smtp_message_reader){ 0 };
	session->dot = (struct smtp_dot){ 0 };
	session->rcpt_sent = session->rcpt_answered = session->taken = 0;
	session->content_left = session->transaction->message->size;
	session->optional_sent = session->bare_may_help = false;
	session->data_sent = session->refused = session->late_refused = false;
	session->lone_dot = session->content_made = session->last_byte_sent = false;
	session->holds_end = session->transaction->asks_first;
}

void smtp_step_choose_mode(struct smtp_session *session)
{
	const struct smtp_transaction *tx = session->transaction;
	const struct smtp_policy *policy = session->policy;

	session->chunked = smtp_command_offers(session, SMTP_CHUNKING);
	session->pipelined = smtp_command_offers(session, SMTP_PIPELINING) &&
			     !policy->no_pipelining && !tx->no_pipelining;
	session->one_write = session->chunked && session->pipelined && !session->stale &&
			     !session->unproven_reset && !tx->probe && !tx->envelope_first &&
			     tx->message->size <= policy->one_write_bytes &&
			     (!tx->all_or_none || tx->envelope->count == 1);
}

/* The same transaction once more, without the parameters that may be left out. */
static enum smtp_state begin_bare(struct smtp_session *session)
{
	session->bare = true;
	session->one_write = false; /* has it forgotten the first one? */
	smtp_step_rewind(session);
	smtp_settle_clear(session->transaction);
	return SMTP_AWAIT_MAIL;
}

static enum smtp_state after_rset(struct smtp_session *session, const struct smtp_said *said)
{
	session->unproven_reset = true;
	if (session->transaction && said->code == 250)
		return begin_bare(session);
	if (session->transaction)
		smtp_settle_end(session);
	return said->code == 250 ? ready(session) : SMTP_CLOSED;
}

static enum smtp_state after_quit(struct smtp_session *session, const struct smtp_said *said)
{
	(void)session;
	(void)said;
	return SMTP_CLOSED;
}

/* The content is out, and nobody will tell more. */
static enum smtp_state leave_in_doubt(struct smtp_session *session)
{
	session->pipelined = false; /* which is not why the relay leaves */
	return lose(session, SMTP_LOSS_DISCONNECTED, NULL);
}

enum smtp_state smtp_step_goodbye(struct smtp_session *session, const struct smtp_said *said)
{
	const struct smtp_transaction *tx = session->transaction;
	bool others_open = tx && session->rcpt_answered + 1 < tx->envelope->count;
	bool may_be_taken = session->last_byte_sent && (session->taken || others_open);
	struct smtp_verdict verdict;

	if (session->state == SMTP_AWAIT_RSET)
		return after_rset(session, said);
	if (said->code == 221 && tx && session->last_byte_sent) /* it refuses nothing */
		return leave_in_doubt(session);
	if (session->state != SMTP_AWAIT_RCPT || !tx || !may_be_taken)
		return end_by_reply(session, said);
	/* the content went out behind a recipient that was taken, or whose answer was not heard */
	verdict = smtp_settle_judge(session, said);
	smtp_settle_recipient(session, said, &verdict);
	return leave_in_doubt(session);
}

const struct smtp_step smtp_steps[SMTP_STATES] = {
	[SMTP_AWAIT_GREETING] = { NULL, after_greeting },
	[SMTP_AWAIT_EHLO] = { smtp_command_ehlo, after_ehlo },
	[SMTP_AWAIT_HELO] = { smtp_command_helo, after_helo },
	[SMTP_AWAIT_STARTTLS] = { smtp_command_starttls, after_starttls },
	[SMTP_AWAIT_AUTH] = { smtp_command_auth, after_auth },
	[SMTP_AWAIT_MAIL] = { smtp_command_mail, after_mail },
	[SMTP_AWAIT_RCPT] = { smtp_command_rcpt, after_rcpt },
	[SMTP_AWAIT_DATA] = { smtp_command_data, after_data },
	[SMTP_AWAIT_DOT] = { smtp_command_content, after_dot },
	[SMTP_AWAIT_RSET] = { smtp_command_rset, after_rset },
	[SMTP_AWAIT_QUIT] = { smtp_command_quit, after_quit },
};
