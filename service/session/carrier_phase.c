/* carrier_phase - how long a carrier is at each step */
#include "service/session/carrier_own.h"

#include "service/clock.h"

void carrier_note_phase(struct carrier *carrier)
{
	const struct smtp_session *session = &carrier->session;
	enum smtp_phase phase = SMTP_IN_CONNECT;
	uint64_t now;

	if (carrier->is_connected)
		phase = session->last_byte_sent && session->transaction
				? SMTP_IN_DOT
				: smtp_session_phase(session);
	else if (link_is_looking_up(carrier->link))
		phase = SMTP_IN_DNS;
	if (phase == carrier->phase)
		return;
	now = now_us();
	if (carrier->phase != SMTP_IN_RESET && carrier->phase != SMTP_IN_QUEUE)
		metrics_phase(carrier->worker->lettergate->metrics, carrier->phase,
			now - carrier->phase_us);
	carrier->phase = phase;
	carrier->phase_us = now;
	if (carrier->stage == CARRIER_OPENING)
		relay_note_opening(carrier->relay, phase);
}
