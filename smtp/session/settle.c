#include "smtp/session/settle.h"

#include <string.h>

#include "smtp/session/command.h"

enum { KEPT_OUTPUT = 8192 };

struct smtp_verdict smtp_settle_judge(
	const struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_verdict_rules rules = {
		.no_overrides = session->policy->no_overrides,
		.reused = session->reused,
	};

	return smtp_verdict_of_said(said, smtp_session_phase(session), rules);
}

static struct smtp_said keep(const struct smtp_transaction *tx, const struct smtp_said *said)
{
	struct smtp_said kept = *said;

	kept.text = region_copy(tx->region, said->text);
	return kept;
}

static bool is_open(const struct smtp_answer *answer)
{
	return answer->verdict.status == 0 || answer->verdict.class == SMTP_TAKEN;
}

/* Was there anybody whom it decides over? */
static bool settle_open(struct smtp_transaction *tx, const struct smtp_verdict *verdict)
{
	bool any = false;

	for (size_t i = 0; i < tx->envelope->count; i++)
		if (is_open(&tx->answers[i])) {
			tx->answers[i].verdict = *verdict;
			any = true;
		}
	return any;
}

/* A yes to RCPT says nothing of the end that it came to. */
static void forget_yes(struct smtp_transaction *tx)
{
	for (size_t i = 0; i < tx->envelope->count; i++)
		if (is_open(&tx->answers[i]))
			tx->answers[i].said = (struct smtp_said){ 0 };
}

/* Are the parameters refused that MAIL and RCPT may do without? RFC 5321 4.2.3 has 455 and 555 for
 * it; older relays say 501 or 504. */
static bool is_about_parameters(const struct smtp_said *said)
{
	bool older = said->code == 501 || said->code == 504;
	bool in_words = (said->enhanced.subject == 5 && said->enhanced.detail == 4) ||
			text_contains_nocase(said->text, TEXT("parameter")) ||
			text_contains_nocase(said->text, TEXT("option"));

	return said->code == 455 || said->code == 555 || (older && in_words);
}

static void note_parameters(struct smtp_session *session, const struct smtp_said *said)
{
	if (session->optional_sent && is_about_parameters(said) &&
		!smtp_session_is_used_up(session))
		session->bare_may_help = true;
}

void smtp_settle_sender(struct smtp_session *session, const struct smtp_said *said,
	const struct smtp_verdict *verdict)
{
	struct smtp_transaction *tx = session->transaction;

	tx->said = keep(tx, said);
	(void)settle_open(tx, verdict);
	note_parameters(session, said);
}

void smtp_settle_recipient(struct smtp_session *session, const struct smtp_said *said,
	const struct smtp_verdict *verdict)
{
	struct smtp_transaction *tx = session->transaction;
	struct smtp_answer *answer = &tx->answers[session->rcpt_answered];

	answer->said = keep(tx, said);
	answer->verdict = *verdict;
	/* There is a second try without them, unless others were taken: theirs is the content. */
	if (smtp_command_has_rcpt_parameters(session) && is_about_parameters(said))
		answer->verdict.hint = "The relay refuses the parameters that ask for delivery "
				       "notices: send it to this recipient again without dsn.";
	if (tx->probe && verdict->class == SMTP_TAKEN)
		answer->verdict.outcome = SMTP_PROBED;
	note_parameters(session, said);
}

void smtp_settle_withhold(struct smtp_session *session)
{
	struct smtp_transaction *tx = session->transaction;
	struct smtp_verdict verdict = smtp_verdict_of_loss(SMTP_LOSS_WITHHELD, SMTP_IN_RCPT, false);

	(void)settle_open(tx, &verdict);
}

void smtp_settle_clear(struct smtp_transaction *tx)
{
	memset(tx->answers, 0, tx->envelope->count * sizeof(*tx->answers));
	tx->said = (struct smtp_said){ 0 };
	tx->verdict = (struct smtp_verdict){ 0 };
	tx->last_byte_sent = tx->is_over = false;
}

void smtp_settle_end(struct smtp_session *session)
{
	struct smtp_transaction *tx = session->transaction;

	tx->verdict = smtp_verdict_of_all(tx->answers, tx->envelope->count);
	if (tx->probe && tx->verdict.class == SMTP_TAKEN) {
		tx->verdict.outcome = SMTP_PROBED;
		tx->verdict.phase = SMTP_IN_RCPT;
	}
	for (size_t i = 0; !tx->said.code && i < tx->envelope->count; i++)
		if (tx->answers[i].verdict.outcome == tx->verdict.outcome)
			tx->said = tx->answers[i].said;
	tx->last_byte_sent = session->last_byte_sent && !session->lone_dot;
	tx->is_over = true;
	session->transaction = NULL;
	if (session->output.room > KEPT_OUTPUT && session->output.len == 0)
		buf_free(&session->output);
}

/* Detached: what came late holds for all that were open, or for none of them. */
static void settle_late(
	struct smtp_session *session, const struct smtp_said *said, struct smtp_verdict verdict)
{
	bool for_all = !session->late_refused || session->taken == 0 || verdict.class != SMTP_TAKEN;

	session->verdict = verdict;
	session->said = *said;
	session->late_answer =
		session->last_byte_sent && for_all && verdict.outcome != SMTP_UNKNOWN;
}

void smtp_settle_by_reply(struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_transaction *tx = session->transaction;
	struct smtp_verdict verdict = smtp_settle_judge(session, said);

	if (!tx) {
		settle_late(session, said, verdict);
		return;
	}
	if (verdict.outcome == SMTP_UNKNOWN)
		forget_yes(tx);
	if (settle_open(tx, &verdict))
		tx->said = keep(tx, said);
	smtp_settle_end(session);
}

static bool link_broke(enum smtp_loss loss)
{
	return loss == SMTP_LOSS_DISCONNECTED || loss == SMTP_LOSS_TIMEOUT ||
	       loss == SMTP_LOSS_GARBLED;
}

/* A reused session that ends without a word was closed while it idled; any other end inside a
 * pipeline may be the pipeline's fault. So may silence behind one write, where the answer that came
 * last may have been another command's. */
static bool is_pipelining_suspect(const struct smtp_session *session, enum smtp_loss loss)
{
	bool inside = session->state >= SMTP_AWAIT_MAIL && session->state <= SMTP_AWAIT_DATA;
	bool answered = session->state > SMTP_AWAIT_MAIL;
	bool broke = link_broke(loss) || (loss == SMTP_LOSS_DEADLINE && session->mute && answered);

	if (session->state == SMTP_AWAIT_DOT)
		inside = session->one_write && loss != SMTP_LOSS_DISCONNECTED;
	if (!session->pipelined || !session->transaction || !inside || !broke)
		return false;
	if (session->transaction->round_trips == 0)
		return false; /* it was not all out yet */
	return answered || (!session->reused && loss != SMTP_LOSS_TIMEOUT);
}

static struct smtp_verdict judge_loss(const struct smtp_session *session, enum smtp_loss loss)
{
	struct smtp_verdict verdict = smtp_verdict_of_loss(
		loss, smtp_session_phase(session), session->last_byte_sent && !session->lone_dot);

	verdict.fresh_may_help =
		session->reused && link_broke(loss) && verdict.outcome == SMTP_NOT_SENT;
	return verdict;
}

void smtp_settle_by_loss(struct smtp_session *session, enum smtp_loss loss)
{
	bool is_suspect = is_pipelining_suspect(session, loss);
	/* an answer is missing or out of place: none but MAIL's is sure to be to its command */
	bool miscounted = is_suspect && loss != SMTP_LOSS_DISCONNECTED &&
			  loss != SMTP_LOSS_DEADLINE && !session->refused &&
			  !session->last_byte_sent;

	session->loss = loss;
	session->verdict = judge_loss(session, loss);
	session->pipelining_suspect |= is_suspect;
	if (!session->transaction)
		return;
	if (miscounted)
		smtp_settle_clear(session->transaction);
	forget_yes(session->transaction);
	(void)settle_open(session->transaction, &session->verdict);
	smtp_settle_end(session);
}

void smtp_settle_unsaid(struct smtp_session *session, enum smtp_loss loss)
{
	struct smtp_verdict verdict = smtp_verdict_of_loss(loss, SMTP_IN_MAIL, false);

	(void)settle_open(session->transaction, &verdict);
	smtp_settle_end(session);
}
