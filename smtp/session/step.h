/* step - the states of a session: what each says on entering, and what follows its answer
 *
 * The session's own. */
#pragma once

#include "smtp/session/session.h"

struct smtp_step {
	/* Appends the state's command; NULL: nothing to say. */
	void (*send)(struct smtp_session *session);
	/* Takes the answer and returns the state that follows, so that no branch can forget to
	 * move; NULL: no answer is due. */
	enum smtp_state (*after)(struct smtp_session *session, const struct smtp_said *said);
};

extern const struct smtp_step smtp_steps[SMTP_STATES];

/* A reply that ends the session wherever it comes: 421, or 221 that was not asked for. */
enum smtp_state smtp_step_goodbye(struct smtp_session *session, const struct smtp_said *said);
/* How many of a transaction's commands go out ahead of their predecessors' answers (RFC 2920,
 * RFC 3030). */
void smtp_step_choose_mode(struct smtp_session *session);
/* Puts a transaction back to its start. */
void smtp_step_rewind(struct smtp_session *session);
