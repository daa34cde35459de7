/* settle - what becomes of the transaction under way, and of its recipients
 *
 * The session's own. A recipient is open as long as nothing but a positive answer to its RCPT, or
 * none at all, is there; whatever decides over the message decides over those that are open. */
#pragma once

#include "smtp/session/session.h"

/* What a reply means where the session stands. */
struct smtp_verdict smtp_settle_judge(
	const struct smtp_session *session, const struct smtp_said *said);
/* MAIL was refused: everybody is, unless a try without parameters follows. */
void smtp_settle_sender(struct smtp_session *session, const struct smtp_said *said,
	const struct smtp_verdict *verdict);
/* The answer to the next RCPT. */
void smtp_settle_recipient(struct smtp_session *session, const struct smtp_said *said,
	const struct smtp_verdict *verdict);
/* Whoever was taken gets nothing, because others were not and the sender wants all or none. */
void smtp_settle_withhold(struct smtp_session *session);
/* Forgets all answers, for another try. */
void smtp_settle_clear(struct smtp_transaction *transaction);

/* The reply that decides over all that is open, and ends the transaction. */
void smtp_settle_by_reply(struct smtp_session *session, const struct smtp_said *said);
/* The same with a loss; also where there is no transaction. */
void smtp_settle_by_loss(struct smtp_session *session, enum smtp_loss loss);
/* A verdict of the gateway's own, before anything was said. */
void smtp_settle_unsaid(struct smtp_session *session, enum smtp_loss loss);
/* Ends the transaction with the verdicts that are there. */
void smtp_settle_end(struct smtp_session *session);
