#include "service/session/carrier_bytes.h"

enum { LONG_WRITE = 32768 };

bool carrier_read(struct carrier *carrier)
{
	struct worker *worker = carrier->worker;
	enum link_io io;
	size_t len;
	bool any = false;

	if (carrier->stage == CARRIER_OPENING)
		link_acknowledge(carrier->link);
	do {
		io = link_read(carrier->link, worker->input, sizeof(worker->input), &len);
		if (io == LINK_DONE)
			smtp_session_receive(&carrier->session, (struct text){ worker->input, len },
				carrier_now_ms(carrier));
		else if (io == LINK_LOST)
			smtp_session_lost(&carrier->session, link_loss(carrier->link), NULL);
		any |= io != LINK_AGAIN;
	} while (io == LINK_DONE && link_has_more(carrier->link));
	return any;
}

/* Content that goes out faster than the loop comes round: a relay that has hung up or said no by
 * now is not sent the rest, as long as the last byte has not gone. */
static bool is_interrupted(struct carrier *carrier, size_t written)
{
	return written >= LONG_WRITE && smtp_session_output(&carrier->session).len &&
	       !link_is_quiet(carrier->link) && carrier_read(carrier);
}

bool carrier_write(struct carrier *carrier)
{
	struct text output = smtp_session_output(&carrier->session);
	enum link_io io = LINK_DONE;
	size_t len;

	while (output.len && io == LINK_DONE) {
		io = link_write(carrier->link, output, &len);
		if (len)
			smtp_session_sent(&carrier->session, len, carrier_now_ms(carrier));
		if (io == LINK_DONE && is_interrupted(carrier, len))
			return true;
		output = smtp_session_output(&carrier->session);
	}
	if (io != LINK_LOST)
		return false;
	/* what the relay said before it hung up counts for more than that it did */
	if (!carrier_read(carrier))
		smtp_session_lost(&carrier->session, link_loss(carrier->link), NULL);
	return true;
}

bool carrier_shake_hands(struct carrier *carrier)
{
	struct smtp_session *session = &carrier->session;
	bool after_clear = session->policy->tls != SMTP_TLS_IMPLICIT;

	if (after_clear && !link_ssl(carrier->link) && link_has_arrived(carrier->link)) {
		smtp_session_lost(session, SMTP_LOSS_GARBLED,
			"bytes in clear came behind the answer to STARTTLS");
		return true;
	}
	switch (link_shake_hands(carrier->link, relay_tls(carrier->relay))) {
	case LINK_DONE:
		smtp_session_tls_started(session, carrier_now_ms(carrier));
		/* what came with the handshake's end makes the socket ready no more */
		if (link_has_more(carrier->link))
			(void)carrier_read(carrier);
		return true;
	case LINK_LOST:
		smtp_session_lost(session, link_loss(carrier->link), NULL);
		return true;
	default:
		return false;
	}
}
