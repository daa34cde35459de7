/* command - the lines that a session says, and the content behind them
 *
 * The session's own. Each function appends to session->output; a line that does not fit or would
 * not stay one line sets its error, which the session looks at once behind every step. */
#pragma once

#include "smtp/session/session.h"

bool smtp_command_offers(const struct smtp_session *session, enum smtp_feature feature);
/* Does RCPT go out with parameters (NOTIFY, ORCPT)? */
bool smtp_command_has_rcpt_parameters(const struct smtp_session *session);

void smtp_command_ehlo(struct smtp_session *session);
void smtp_command_helo(struct smtp_session *session);
void smtp_command_starttls(struct smtp_session *session);
/* AUTH, or the answer to a challenge, which is in session->reply. */
void smtp_command_auth(struct smtp_session *session);
/* MAIL and, as the transaction's mode allows, what may go ahead of its answer: every RCPT, DATA, or
 * BDAT with the content. */
void smtp_command_mail(struct smtp_session *session);
/* Each of these does nothing where it went ahead. */
void smtp_command_rcpt(struct smtp_session *session);
void smtp_command_data(struct smtp_session *session);
void smtp_command_content(struct smtp_session *session);
void smtp_command_rset(struct smtp_session *session);
void smtp_command_quit(struct smtp_session *session);

/* The next step of the content; for when all that was made before is gone. */
void smtp_command_more_content(struct smtp_session *session);
/* Writes the line of the reply that was read last into the trace. */
void smtp_command_trace_reply(const struct smtp_session *session, bool is_last);
