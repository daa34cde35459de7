/* check_talk - drives the session, and tells of each of its steps */
#include "service/check/check_run.h"

#include "service/clock.h"

#include <string.h>

enum { GOODBYE_US = 2000000 };

static void leave(struct check_run *run, enum smtp_state before, enum smtp_state now)
{
	const struct smtp_transaction *tx = &run->transaction;
	bool is_refused = before == SMTP_AWAIT_MAIL ? now == SMTP_AWAIT_RSET
						    : run->answer.verdict.class != SMTP_TAKEN;

	if (before == SMTP_AWAIT_QUIT || before == SMTP_AWAIT_RSET || before == SMTP_READY) {
		run->since_us = now_us();
	} else if (before != SMTP_AWAIT_MAIL && before != SMTP_AWAIT_RCPT) {
		check_found(run, before);
	} else if (!is_refused) {
		check_found(run, before);
		run->report->is_sendable = before == SMTP_AWAIT_RCPT;
	} else if (!tx->is_over) {
		check_note(run, check_step_name(before), CHECK_WARNING,
			"the relay refuses the parameters it offers itself; once more without", "");
	} else {
		check_blame_refusal(run, check_step_name(before),
			tx->said.code ? &tx->verdict : &run->answer.verdict,
			tx->said.code ? &tx->said : &run->answer.said);
		run->stage = CHECK_TALKING; /* RSET and QUIT are still to be said */
	}
}

static void note_state(struct check_run *run)
{
	enum smtp_state before = run->state, now = run->session.state;
	bool was_open =
		before == SMTP_READY || before == SMTP_AWAIT_QUIT || before == SMTP_AWAIT_RSET;

	if (before == now)
		return;
	if (now == SMTP_CLOSED && !was_open && check_suspect_late(run, before))
		return;
	run->state = now;
	if (now == SMTP_CLOSED && !was_open)
		check_blame_session(run, before);
	else
		leave(run, before, now);
	run->trace_at = run->trace.len;
}

static void find_work(struct check_run *run)
{
	struct smtp_session *session = &run->session;
	uint64_t now = uv_now(&run->loop);

	if (!run->has_offer) {
		run->has_offer = true;
		check_found_offer(run);
	}
	if (run->wish->to && session->transactions == 0) {
		run->since_us = now_us();
		run->transaction = (struct smtp_transaction){ .envelope = &run->envelope,
			.message = &run->message,
			.probe = true,
			.no_pipelining = true, /* each answer by itself */
			.region = run->report->region,
			.trace = &run->trace,
			.answers = &run->answer };
		smtp_session_begin(session, &run->transaction, now);
		if (run->transaction.is_over) /* the relay's offer rules it out */
			check_blame_refusal(
				run, "MAIL", &run->transaction.verdict, &run->transaction.said);
		return;
	}
	run->report->is_sendable = !run->report->why[0];
	smtp_session_quit(session, now);
}

/* True: something was read, or the session learned that the link is gone. */
static bool read_some(struct check_run *run)
{
	struct link *link = run->used->link;
	enum link_io io;
	bool any = false;
	size_t len;

	link_acknowledge(link); /* or its next words are late, and the times not its own */
	do {
		io = link_read(link, run->input, sizeof(run->input), &len);
		if (io == LINK_DONE)
			smtp_session_receive(&run->session, (struct text){ run->input, len },
				uv_now(&run->loop));
		else if (io == LINK_LOST)
			smtp_session_lost(&run->session, link_loss(link), NULL);
		any |= io != LINK_AGAIN;
		note_state(run);
	} while (io == LINK_DONE && run->stage == CHECK_TALKING && link_has_more(link));
	return any;
}

/* True: the link is broken, and the session knows. */
static bool write_all(struct check_run *run)
{
	struct text output = smtp_session_output(&run->session);
	enum link_io io = LINK_DONE;
	size_t len;

	while (output.len && io == LINK_DONE) {
		io = link_write(run->used->link, output, &len);
		if (len)
			smtp_session_sent(&run->session, len, uv_now(&run->loop));
		output = smtp_session_output(&run->session);
	}
	if (io != LINK_LOST)
		return false;
	if (!read_some(run)) /* its last words count for more than that it is gone */
		smtp_session_lost(&run->session, link_loss(run->used->link), NULL);
	return true;
}

/* False: not yet. */
static bool shake_hands(struct check_run *run)
{
	struct smtp_session *session = &run->session;
	struct link *link = run->used->link;
	bool after_clear = run->settings->tls != SMTP_TLS_IMPLICIT;

	if (after_clear && !link_ssl(link) && !link_is_quiet(link)) {
		smtp_session_lost(session, SMTP_LOSS_GARBLED,
			"bytes in clear came behind the answer to STARTTLS");
		return true;
	}
	switch (link_shake_hands(link, relay_tls(run->relay))) {
	case LINK_DONE:
		smtp_session_tls_started(session, uv_now(&run->loop));
		note_state(run);
		/* a greeting may have come in one read with the end of the handshake (TLS 1.2) */
		if (link_has_more(link))
			(void)read_some(run);
		return true;
	case LINK_LOST:
		smtp_session_lost(session, link_loss(link), NULL);
		return true;
	default:
		return false;
	}
}

static void pump(struct check_run *run)
{
	for (bool goes_on = true; goes_on && run->stage == CHECK_TALKING;) {
		note_state(run);
		if (run->stage != CHECK_TALKING)
			return;
		switch (smtp_session_need(&run->session)) {
		case SMTP_NEED_CLOSE:
			run->stage = CHECK_OVER;
			break;
		case SMTP_NEED_TLS:
			goes_on = shake_hands(run);
			break;
		case SMTP_NEED_WORK:
			find_work(run);
			break;
		case SMTP_NEED_RELAY:
			goes_on = write_all(run);
			break;
		}
	}
}

void check_talk(struct check_run *run)
{
	unsigned char nonce[18];

	random_bytes(nonce, sizeof(nonce));
	smtp_session_open(&run->session, &run->policy, nonce, uv_now(&run->loop));
	explicit_bzero(nonce, sizeof(nonce));
	run->session.trace = &run->trace;
	run->state = run->session.state;
	run->is_open = true;
	run->since_us = now_us();
	pump(run);
}

void check_talk_ready(struct check_run *run)
{
	if (smtp_session_need(&run->session) != SMTP_NEED_TLS)
		(void)read_some(run);
	pump(run);
}

void check_talk_tick(struct check_run *run)
{
	bool is_leaving = run->state == SMTP_AWAIT_QUIT || run->state == SMTP_AWAIT_RSET;

	smtp_session_tick(&run->session, uv_now(&run->loop));
	check_suspect(run);
	if (is_leaving && now_us() - run->since_us >= GOODBYE_US)
		run->stage = CHECK_OVER; /* a goodbye is a courtesy */
	pump(run);
}
