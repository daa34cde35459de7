#include "smtp/session.h"

#include <string.h>

enum { LINE_MAX_BYTES = 1024, OUTPUT_MAX = 2 << 20, CONTENT_STEP = 65536, KEPT_OUTPUT = 8192 };
enum { FRESH_ENOUGH_MS = 2000, UPLOAD_BYTES_PER_S = 65536, BYTES_PER_PIECE = 16384 };

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

/* ---- writing */

static struct buf *trace_of(const struct smtp_session *session)
{
	return session->transaction ? session->transaction->trace : session->trace;
}

static void trace(const struct smtp_session *session, const char *mark, struct text line)
{
	struct buf *out = trace_of(session);

	if (!out)
		return;
	buf_add_string(out, mark);
	buf_add(out, line);
	buf_add_byte(out, '\n');
}

/* What may be shown of a command: never what follows AUTH and its mechanism. */
static void trace_command(const struct smtp_session *session, struct text line)
{
	struct text rest = line;

	if (session->state != SMTP_AWAIT_AUTH) {
		trace(session, "> ", line);
		return;
	}
	if (text_starts(line, TEXT("AUTH "))) {
		(void)text_cut(&rest, ' ');
		(void)text_cut(&rest, ' ');
		line.len -= rest.len;
		trace(session, rest.len ? "> " : "> ", line);
	}
	if (rest.len)
		trace(session, "> ", TEXT("****"));
}

/* The one way in which a line goes to a relay: whatever its parts hold, it stays one line. */
static void say(struct smtp_session *session, struct buf *line, size_t limit)
{
	struct text text = buf_text(line);
	bool fits = !line->err && text.len <= limit;

	for (size_t i = 0; fits && i < text.len; i++)
		fits = (unsigned char)text.at[i] >= 0x20 && text.at[i] != 0x7f;
	if (fits) {
		trace_command(session, text);
		buf_add(&session->output, text);
		buf_add(&session->output, TEXT("\r\n"));
	} else {
		session->output.err = session->output.err ? session->output.err : ERR_VALUE;
	}
	buf_wipe(line);
}

static void say_words(struct smtp_session *session, const char *verb, struct text argument)
{
	struct buf line = buf_born(LINE_MAX_BYTES);

	buf_add_string(&line, verb);
	buf_add(&line, argument);
	say(session, &line, LINE_MAX_BYTES);
}

/* RFC 3461 section 4: xtext. */
static void add_xtext(struct buf *line, struct text text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];

		if (byte > 0x20 && byte < 0x7f && byte != '+' && byte != '=')
			buf_add_byte(line, (char)byte);
		else
			buf_addf(line, "+%02X", byte);
	}
}

static bool offers(const struct smtp_session *session, enum smtp_feature feature)
{
	return session->features.offered & feature;
}

static void send_ehlo(struct smtp_session *session)
{
	memset(&session->features, 0, sizeof(session->features));
	session->ehlo_named = false;
	say_words(session, "EHLO ", session->policy->ehlo_name);
}

static void send_helo(struct smtp_session *session)
{
	say_words(session, "HELO ", session->policy->ehlo_name);
}

static void send_starttls(struct smtp_session *session)
{
	say_words(session, "STARTTLS", (struct text){ 0 });
}

static void send_rset(struct smtp_session *session)
{
	say_words(session, "RSET", (struct text){ 0 });
}

static void send_quit(struct smtp_session *session)
{
	say_words(session, "QUIT", (struct text){ 0 });
}

static void send_data(struct smtp_session *session)
{
	if (!session->data_sent)
		say_words(session, "DATA", (struct text){ 0 });
	session->data_sent = true;
}

static void add_mail_parameters(const struct smtp_session *session, struct buf *line)
{
	const struct smtp_transaction *tx = session->transaction;
	const struct smtp_envelope *envelope = tx->envelope;

	if (offers(session, SMTP_SIZE) && !tx->bare)
		buf_addf(line, " SIZE=%llu", (unsigned long long)tx->message->size);
	if (tx->message->eight_bit)
		buf_add_string(line, " BODY=8BITMIME");
	if (envelope->needs_utf8)
		buf_add_string(line, " SMTPUTF8");
	if (!offers(session, SMTP_DSN) || tx->bare)
		return;
	if (envelope->ret)
		buf_add_string(line, envelope->ret == SMTP_RETURN_FULL ? " RET=FULL" : " RET=HDRS");
	if (envelope->envelope_id.len) {
		buf_add_string(line, " ENVID=");
		add_xtext(line, envelope->envelope_id);
	}
}

static void send_mail(struct smtp_session *session)
{
	struct buf line = buf_born(LINE_MAX_BYTES);

	buf_add_string(&line, "MAIL FROM:<");
	buf_add(&line, session->transaction->envelope->from);
	buf_add_byte(&line, '>');
	add_mail_parameters(session, &line);
	say(session, &line, LINE_MAX_BYTES);
}

static void add_rcpt_parameters(struct buf *line, unsigned notify, struct text address)
{
	static const struct {
		enum smtp_notify bit;
		const char *word;
	} words[] = { { SMTP_NOTIFY_NEVER, "NEVER" }, { SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" }, { SMTP_NOTIFY_DELAY, "DELAY" } };
	const char *separator = " NOTIFY=";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (notify & words[i].bit) {
			buf_add_string(line, separator);
			buf_add_string(line, words[i].word);
			separator = ",";
		}
	buf_add_string(line, text_is_ascii(address) ? " ORCPT=rfc822;" : " ORCPT=utf-8;");
	add_xtext(line, address);
}

static void send_rcpt(struct smtp_session *session)
{
	const struct smtp_envelope *envelope = session->transaction->envelope;
	struct buf line = buf_born(LINE_MAX_BYTES);
	struct text address = envelope->to[session->rcpt_sent++];

	buf_add_string(&line, "RCPT TO:<");
	buf_add(&line, address);
	buf_add_byte(&line, '>');
	if (envelope->notify && offers(session, SMTP_DSN) && !session->transaction->bare)
		add_rcpt_parameters(&line, envelope->notify, address);
	say(session, &line, LINE_MAX_BYTES);
}

static void send_rcpt_unless_sent(struct smtp_session *session)
{
	if (session->rcpt_sent == session->rcpt_answered)
		send_rcpt(session);
}

/* The next step of the content into the output; called when all that was there is gone. */
static void make_content(struct smtp_session *session)
{
	const struct smtp_message *message = session->transaction->message;
	char piece[BYTES_PER_PIECE];
	size_t made = 0, len;

	while (made < CONTENT_STEP && !session->content_made) {
		len = smtp_message_read(message, &session->reader, piece, sizeof(piece));
		made += len;
		if (session->chunked)
			buf_add(&session->output, (struct text){ piece, len });
		else
			smtp_dot_stuff(
				&session->dot, (struct text){ piece, len }, &session->output);
		session->content_made = len == 0 || smtp_message_is_read(message, &session->reader);
	}
	if (session->content_made && !session->chunked)
		smtp_dot_end(&session->dot, &session->output);
}

static void send_content(struct smtp_session *session)
{
	struct buf line = buf_born(LINE_MAX_BYTES);

	if (session->lone_dot) {
		buf_add(&session->output, TEXT(".\r\n"));
		trace(session, "> ", TEXT("."));
		session->content_made = true;
		return;
	}
	if (session->content_made)
		return; /* went out with the envelope */
	if (session->chunked) {
		buf_addf(&line, "BDAT %llu LAST",
			(unsigned long long)session->transaction->message->size);
		say(session, &line, LINE_MAX_BYTES);
	}
	make_content(session);
}

/* RFC 2920 and 3030: what may go out before its predecessor is answered. */
static void send_ahead(struct smtp_session *session, bool one_write)
{
	const struct smtp_transaction *tx = session->transaction;
	bool wait_for_all = tx->all_or_none && tx->envelope->count > 1;

	if (!offers(session, SMTP_PIPELINING))
		return;
	while (session->rcpt_sent < tx->envelope->count)
		send_rcpt(session);
	if (!session->chunked && !wait_for_all)
		send_data(session);
	while (one_write && !session->content_made)
		send_content(session);
}

static void start_auth(struct smtp_session *session)
{
	const struct smtp_policy *policy = session->policy;
	enum smtp_mechanism mechanism = policy->mechanism;
	struct buf line = buf_born(SMTP_AUTH_BYTES);
	unsigned offered = session->features.mechanisms;

	if (mechanism == SMTP_AUTH_NONE)
		mechanism = smtp_mechanism_best(offered, &policy->credentials);
	if (!(offered & mechanism)) {
		smtp_session_lost(session, SMTP_LOSS_NO_AUTH, NULL);
		return;
	}
	if (smtp_auth_start(&session->auth, mechanism, &policy->credentials, session->nonce, &line))
		smtp_session_lost(session, SMTP_LOSS_BAD_AUTH, NULL);
	else
		say(session, &line, SMTP_AUTH_BYTES);
	buf_wipe(&line);
}

static void send_auth(struct smtp_session *session)
{
	struct buf line = buf_born(SMTP_AUTH_BYTES);

	if (session->auth.mechanism == SMTP_AUTH_NONE) {
		start_auth(session);
		return;
	}
	if (smtp_auth_next(&session->auth, &session->policy->credentials,
		    smtp_reply_line(&session->reply), &line))
		smtp_session_lost(session, SMTP_LOSS_BAD_AUTH, NULL);
	else
		say(session, &line, SMTP_AUTH_BYTES);
	buf_wipe(&line);
}

/* ---- what becomes of the transaction */

static struct smtp_verdict judge(const struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_verdict_rules rules = {
		.no_enhanced = !offers(session, SMTP_ENHANCEDSTATUSCODES),
		.no_overrides = session->policy->no_overrides,
		.reused = session->transactions > 1,
	};

	return smtp_verdict_of_said(said, smtp_session_phase(session), rules);
}

static struct smtp_said keep(const struct smtp_transaction *tx, const struct smtp_said *said)
{
	struct smtp_said kept = *said;

	kept.text = region_copy(tx->region, said->text);
	return kept;
}

/* No verdict yet: nothing but a positive answer to its RCPT, or none at all. */
static bool is_open(const struct smtp_answer *answer)
{
	return answer->verdict.status == 0 || answer->verdict.class == SMTP_TAKEN;
}

static void settle_open(struct smtp_session *session, struct smtp_verdict verdict)
{
	struct smtp_transaction *tx = session->transaction;

	for (size_t i = 0; i < tx->envelope->count; i++)
		if (is_open(&tx->answers[i]))
			tx->answers[i].verdict = verdict;
}

static void end_transaction(struct smtp_session *session)
{
	struct smtp_transaction *tx = session->transaction;
	size_t count = tx->envelope->count;
	struct smtp_verdict *verdicts = region_alloc(tx->region, count * sizeof(*verdicts));

	for (size_t i = 0; verdicts && i < count; i++)
		verdicts[i] = tx->answers[i].verdict;
	tx->verdict = verdicts ? smtp_verdict_of_all(verdicts, count) : tx->answers[0].verdict;
	for (size_t i = 0; !tx->said.code && i < count; i++)
		if (tx->answers[i].verdict.outcome == tx->verdict.outcome)
			tx->said = tx->answers[i].said;
	tx->last_byte_sent = session->last_byte_sent;
	tx->is_over = true;
	session->transaction = NULL;
	if (session->output.room > KEPT_OUTPUT && session->output.len == 0)
		buf_free(&session->output);
}

/* The reply that decides over all that is still open. */
static void settle_by_reply(struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_verdict verdict = judge(session, said);

	if (!session->transaction) {
		session->verdict = verdict;
		session->said = *said;
		session->late_answer = session->state == SMTP_AWAIT_DOT;
		return;
	}
	session->transaction->said = keep(session->transaction, said);
	settle_open(session, verdict);
	end_transaction(session);
}

static enum smtp_state end_by_reply(struct smtp_session *session, const struct smtp_said *said)
{
	settle_by_reply(session, said);
	return SMTP_CLOSED;
}

static enum smtp_state lose(struct smtp_session *session, enum smtp_loss loss)
{
	smtp_session_lost(session, loss, NULL);
	return SMTP_CLOSED;
}

/* ---- handlers: every one returns the state that follows */

static enum smtp_state after_greeting(struct smtp_session *session, const struct smtp_said *said)
{
	return said->code == 220 ? SMTP_AWAIT_EHLO : end_by_reply(session, said);
}

static enum smtp_state authenticate(struct smtp_session *session)
{
	if (!session->policy->authenticates)
		return SMTP_READY;
	if (!session->secure && !session->policy->clear_auth)
		return lose(session, SMTP_LOSS_NO_TLS);
	return SMTP_AWAIT_AUTH;
}

static enum smtp_state after_ehlo(struct smtp_session *session, const struct smtp_said *said)
{
	enum smtp_tls tls = session->policy->tls;
	bool may_go_plain = tls == SMTP_TLS_NONE || tls == SMTP_TLS_OPPORTUNISTIC;

	if (said->code / 100 == 5 && may_go_plain && !session->policy->authenticates &&
		!session->secure)
		return SMTP_AWAIT_HELO;
	if (said->code != 250)
		return end_by_reply(session, said);
	if (session->secure || tls == SMTP_TLS_NONE)
		return authenticate(session);
	if (offers(session, SMTP_STARTTLS))
		return SMTP_AWAIT_STARTTLS;
	return may_go_plain ? authenticate(session) : lose(session, SMTP_LOSS_NO_TLS);
}

static enum smtp_state after_helo(struct smtp_session *session, const struct smtp_said *said)
{
	return said->code == 250 ? SMTP_READY : end_by_reply(session, said);
}

static enum smtp_state after_starttls(struct smtp_session *session, const struct smtp_said *said)
{
	if (session->left.len) /* bytes that TLS does not protect, to be read as if it did */
		return lose(session, SMTP_LOSS_GARBLED);
	if (said->code == 220)
		return SMTP_AWAIT_TLS;
	if (session->policy->tls == SMTP_TLS_OPPORTUNISTIC && said->code / 100 >= 4)
		return authenticate(session);
	return end_by_reply(session, said);
}

static enum smtp_state after_auth(struct smtp_session *session, const struct smtp_said *said)
{
	bool proven;

	if (said->code == 334)
		return SMTP_AWAIT_AUTH;
	proven = said->code == 235 && smtp_auth_is_proven(&session->auth, said->text);
	smtp_auth_wipe(&session->auth);
	if (said->code == 235)
		return proven ? SMTP_READY : lose(session, SMTP_LOSS_BAD_AUTH);
	return end_by_reply(session, said);
}

static enum smtp_state reset(struct smtp_session *session)
{
	end_transaction(session);
	return session->spent ? SMTP_CLOSED : SMTP_AWAIT_RSET;
}

static enum smtp_state after_last_rcpt(struct smtp_session *session)
{
	struct smtp_transaction *tx = session->transaction;
	bool enough = tx->all_or_none ? session->taken == tx->envelope->count : session->taken > 0;

	if (session->data_sent)
		return SMTP_AWAIT_DATA;
	if (session->content_made)
		return SMTP_AWAIT_DOT;
	if (enough && !session->refused)
		return session->chunked ? SMTP_AWAIT_DOT : SMTP_AWAIT_DATA;
	/* Whoever was taken, with partial: refuse, gets nothing because of the others. */
	for (size_t i = 0; i < tx->envelope->count; i++)
		if (tx->answers[i].verdict.class == SMTP_TAKEN)
			tx->answers[i].verdict =
				smtp_verdict_of_loss(SMTP_LOSS_WITHHELD, SMTP_IN_RCPT, false);
	return reset(session);
}

static enum smtp_state after_mail(struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_verdict verdict = judge(session, said);

	if (verdict.class != SMTP_TAKEN) {
		session->refused = true;
		session->transaction->said = keep(session->transaction, said);
		settle_open(session, verdict);
		if (verdict.category == SMTP_PROTOCOL_ERROR)
			session->spent = true;
		if (session->rcpt_sent == 0)
			return reset(session);
	}
	return SMTP_AWAIT_RCPT;
}

static enum smtp_state after_rcpt(struct smtp_session *session, const struct smtp_said *said)
{
	struct smtp_transaction *tx = session->transaction;
	struct smtp_answer *answer = &tx->answers[session->rcpt_answered++];

	if (!session->refused) {
		answer->said = keep(tx, said);
		answer->verdict = judge(session, said);
		session->taken += answer->verdict.class == SMTP_TAKEN;
		session->spent |= answer->verdict.category == SMTP_PROTOCOL_ERROR;
	}
	return session->rcpt_answered < tx->envelope->count ? SMTP_AWAIT_RCPT
							    : after_last_rcpt(session);
}

static enum smtp_state after_data(struct smtp_session *session, const struct smtp_said *said)
{
	bool go = said->code / 100 == 3;

	if (go) {
		session->lone_dot = session->taken == 0;
		return SMTP_AWAIT_DOT;
	}
	if (said->code / 100 == 2)
		session->spent = true; /* out of step; nothing was delivered */
	if (session->taken == 0)
		return reset(session);
	settle_by_reply(session, said);
	return session->spent ? SMTP_CLOSED : SMTP_AWAIT_RSET;
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
	bool ok = said->code / 100 == 2;

	if (session->transaction &&
		session->taken == 0) { /* of no consequence, unless it took it */
		session->spent |= ok || early;
		return reset(session);
	}
	if (is_followed_by_noise(session) || (early && ok))
		return lose(session, SMTP_LOSS_GARBLED);
	settle_by_reply(session, said);
	if (early || session->spent || session->left.len || said->code / 100 == 3)
		return SMTP_CLOSED;
	return ok ? SMTP_READY : SMTP_AWAIT_RSET;
}

static enum smtp_state after_rset(struct smtp_session *session, const struct smtp_said *said)
{
	(void)session;
	return said->code == 250 ? SMTP_READY : SMTP_CLOSED;
}

static enum smtp_state after_quit(struct smtp_session *session, const struct smtp_said *said)
{
	(void)session;
	(void)said;
	return SMTP_CLOSED;
}

static const struct smtp_step {
	void (*send)(struct smtp_session *session); /* appends this state's command */
	enum smtp_state (*after)(struct smtp_session *session, const struct smtp_said *said);
} steps[SMTP_STATES] = {
	[SMTP_AWAIT_GREETING] = { NULL, after_greeting },
	[SMTP_AWAIT_EHLO] = { send_ehlo, after_ehlo },
	[SMTP_AWAIT_HELO] = { send_helo, after_helo },
	[SMTP_AWAIT_STARTTLS] = { send_starttls, after_starttls },
	[SMTP_AWAIT_AUTH] = { send_auth, after_auth },
	[SMTP_AWAIT_MAIL] = { send_mail, after_mail },
	[SMTP_AWAIT_RCPT] = { send_rcpt_unless_sent, after_rcpt },
	[SMTP_AWAIT_DATA] = { send_data, after_data },
	[SMTP_AWAIT_DOT] = { send_content, after_dot },
	[SMTP_AWAIT_RSET] = { send_rset, after_rset },
	[SMTP_AWAIT_QUIT] = { send_quit, after_quit },
};

static void be_patient(struct smtp_session *session, uint64_t now_ms)
{
	const struct smtp_policy *policy = session->policy;
	uint64_t size = session->transaction ? session->transaction->message->size : 0;

	if (session->state == SMTP_READY || session->state == SMTP_CLOSED)
		session->deadline_ms = UINT64_MAX;
	else if (session->state != SMTP_AWAIT_DOT)
		session->deadline_ms = now_ms + policy->command_ms;
	else if (session->last_byte_sent)
		session->deadline_ms = now_ms + policy->dot_ms;
	else
		session->deadline_ms = now_ms + policy->data_ms + size * 1000 / UPLOAD_BYTES_PER_S;
}

/* The one line that assigns the state, but for the end. */
static void enter(struct smtp_session *session, enum smtp_state state, uint64_t now_ms)
{
	if (session->state == SMTP_CLOSED)
		return;
	session->state = state;
	if (steps[state].send)
		steps[state].send(session);
	smtp_reply_reset(&session->reply); /* behind send: AUTH reads the challenge out of it */
	if (session->output.err)
		smtp_session_lost(session, SMTP_LOSS_INTERNAL, NULL);
	be_patient(session, now_ms);
}

/* ---- receiving */

/* Not SMTP at all? In words, else NULL. */
static const char *other_protocol(const struct smtp_session *session)
{
	struct text start = { session->opening, session->opening_len };

	if (text_starts(start, TEXT("HTTP/")) || text_starts(start, TEXT("<")))
		return "it answers in HTTP";
	if (text_starts(start, TEXT("SSH-")))
		return "it answers in SSH";
	if (start.len > 1 && (start.at[0] == 0x15 || start.at[0] == 0x16) && start.at[1] == 0x03)
		return "it answers in TLS: use SMTP_SECURE=TLS for this port";
	return NULL;
}

static void garbled(struct smtp_session *session, const char *why)
{
	const char *other = session->state == SMTP_AWAIT_GREETING ? other_protocol(session) : NULL;

	smtp_session_lost(
		session, other ? SMTP_LOSS_WRONG_PROTOCOL : SMTP_LOSS_GARBLED, other ? other : why);
}

/* Did the relay get to see the command whose answer this would be? */
static bool answer_is_due(const struct smtp_session *session)
{
	bool unsent = session->output.len > 0 && session->output_sent == 0;

	if (!steps[session->state].after)
		return false;
	return session->state == SMTP_AWAIT_DOT || !unsent;
}

static void trace_line(const struct smtp_session *session, bool is_last)
{
	struct buf *out = trace_of(session);

	if (out)
		buf_addf(out, "< %03u%c", session->reply.code, is_last ? ' ' : '-');
	if (out) {
		buf_add(out, smtp_reply_line(&session->reply));
		buf_add_byte(out, '\n');
	}
}

static void take_line(struct smtp_session *session)
{
	bool in_ehlo = session->state == SMTP_AWAIT_EHLO && session->reply.code == 250;

	if (in_ehlo && session->ehlo_named)
		smtp_features_add(&session->features, smtp_reply_line(&session->reply));
	session->ehlo_named |= in_ehlo;
}

static bool is_goodbye(const struct smtp_session *session, uint16_t code)
{
	return (code == 421 || code == 221) && session->state != SMTP_AWAIT_QUIT;
}

static void take_reply(struct smtp_session *session, struct text left, uint64_t now_ms)
{
	struct smtp_said said = smtp_reply_said(&session->reply);
	enum smtp_state next;

	session->left = left;
	session->proven_ms = now_ms;
	if (!is_goodbye(session, said.code))
		next = steps[session->state].after(session, &said);
	else if (session->state == SMTP_AWAIT_RSET)
		next = SMTP_CLOSED;
	else
		next = end_by_reply(session, &said);
	session->left = (struct text){ 0 };
	if (next == SMTP_CLOSED)
		session->state = SMTP_CLOSED;
	else
		enter(session, next, now_ms);
}

void smtp_session_receive(struct smtp_session *session, struct text bytes, uint64_t now_ms)
{
	size_t room = sizeof(session->opening) - session->opening_len;
	struct text opening = text_head(bytes, room);

	if (opening.len) {
		memcpy(session->opening + session->opening_len, opening.at, opening.len);
		session->opening_len += opening.len;
	}
	while (bytes.len && session->state != SMTP_CLOSED) {
		if (!answer_is_due(session)) {
			garbled(session, "it spoke out of turn");
			return;
		}
		switch (smtp_reply_feed(&session->reply, &bytes)) {
		case SMTP_MORE:
			return;
		case SMTP_BAD:
			garbled(session, session->reply.why);
			return;
		case SMTP_LINE:
			trace_line(session, false);
			take_line(session);
			break;
		case SMTP_DONE:
			trace_line(session, true);
			take_line(session);
			take_reply(session, bytes, now_ms);
		}
	}
}

/* ---- the rest of the interface */

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
	session->state = SMTP_CLOSED;
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

struct text smtp_session_output(struct smtp_session *session)
{
	bool in_content = session->state == SMTP_AWAIT_DOT && session->transaction;

	if (session->output.len == 0 && in_content && !session->content_made)
		make_content(session);
	if (session->output.err)
		smtp_session_lost(session, SMTP_LOSS_INTERNAL, NULL);
	if (session->state == SMTP_CLOSED)
		return (struct text){ 0 };
	return text_from(buf_text(&session->output), session->output_sent);
}

void smtp_session_sent(struct smtp_session *session, size_t len, uint64_t now_ms)
{
	session->output_sent += len;
	if (session->output_sent < session->output.len)
		return;
	buf_clear(&session->output);
	session->output_sent = 0;
	if (!session->content_made || session->last_byte_sent)
		return;
	session->last_byte_sent = true;
	if (session->transaction)
		session->transaction->round_trips++;
	be_patient(session, now_ms);
}

void smtp_session_tls_started(struct smtp_session *session, uint64_t now_ms)
{
	session->secure = true;
	enter(session,
		session->policy->tls == SMTP_TLS_IMPLICIT ? SMTP_AWAIT_GREETING : SMTP_AWAIT_EHLO,
		now_ms);
}

static struct smtp_verdict judge_loss(const struct smtp_session *session, enum smtp_loss loss)
{
	struct smtp_verdict verdict = smtp_verdict_of_loss(
		loss, smtp_session_phase(session), session->last_byte_sent && !session->lone_dot);
	bool link_broke = loss == SMTP_LOSS_DISCONNECTED || loss == SMTP_LOSS_TIMEOUT ||
			  loss == SMTP_LOSS_GARBLED;

	verdict.fresh_may_help =
		session->transactions > 1 && link_broke && verdict.outcome == SMTP_NOT_SENT;
	return verdict;
}

static void settle_by_loss(struct smtp_session *session, enum smtp_loss loss)
{
	session->loss = loss;
	session->verdict = judge_loss(session, loss);
	if (!session->transaction)
		return;
	settle_open(session, session->verdict);
	end_transaction(session);
}

void smtp_session_lost(struct smtp_session *session, enum smtp_loss loss, const char *detail)
{
	if (session->state == SMTP_CLOSED)
		return;
	session->detail = detail;
	settle_by_loss(session, loss);
	session->state = SMTP_CLOSED;
}

void smtp_session_give_up(struct smtp_session *session, enum smtp_loss loss)
{
	settle_by_loss(session, loss);
	if (!session->last_byte_sent)
		session->state = SMTP_CLOSED;
}

void smtp_session_tick(struct smtp_session *session, uint64_t now_ms)
{
	if (now_ms >= session->deadline_ms)
		smtp_session_lost(session, SMTP_LOSS_TIMEOUT, NULL);
}

/* What the relay's offer rules out before a byte is sent. */
static enum smtp_loss ruled_out(
	const struct smtp_session *session, const struct smtp_transaction *tx)
{
	uint64_t most = session->features.size_bytes;

	if (tx->envelope->needs_utf8 && !offers(session, SMTP_SMTPUTF8))
		return SMTP_LOSS_NO_FEATURE;
	if (tx->message->eight_bit && !offers(session, SMTP_8BITMIME))
		return SMTP_LOSS_NO_FEATURE;
	return most && tx->message->size > most ? SMTP_LOSS_TOO_LARGE : SMTP_LOSS_NONE;
}

static bool may_go_in_one_write(const struct smtp_session *session, uint64_t now_ms)
{
	const struct smtp_transaction *tx = session->transaction;
	bool recent = session->transactions == 1 || now_ms - session->proven_ms <= FRESH_ENOUGH_MS;

	return session->chunked && offers(session, SMTP_PIPELINING) && recent &&
	       tx->message->size <= session->policy->one_write_bytes &&
	       (!tx->all_or_none || tx->envelope->count == 1);
}

void smtp_session_begin(
	struct smtp_session *session, struct smtp_transaction *transaction, uint64_t now_ms)
{
	enum smtp_loss loss = ruled_out(session, transaction);

	session->transaction = transaction;
	session->transactions++;
	session->reader = (struct smtp_message_reader){ 0 };
	session->dot = (struct smtp_dot){ 0 };
	session->rcpt_sent = session->rcpt_answered = session->taken = 0;
	session->data_sent = session->refused = session->lone_dot = false;
	session->content_made = session->last_byte_sent = session->late_answer = false;
	session->chunked = offers(session, SMTP_CHUNKING);
	session->loss = SMTP_LOSS_NONE;
	if (loss) {
		settle_open(session, smtp_verdict_of_loss(loss, SMTP_IN_MAIL, false));
		end_transaction(session);
		return;
	}
	enter(session, SMTP_AWAIT_MAIL, now_ms);
	if (session->state == SMTP_AWAIT_MAIL)
		send_ahead(session, may_go_in_one_write(session, now_ms));
}

void smtp_session_quit(struct smtp_session *session, uint64_t now_ms)
{
	enter(session, SMTP_AWAIT_QUIT, now_ms);
}
