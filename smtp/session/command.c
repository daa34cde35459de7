#include "smtp/session/command.h"

enum { LINE_MAX_BYTES = 1024, ORCPT_MAX_BYTES = 100, CONTENT_STEP = 65536, BYTES_PER_PIECE = 4096 };

/* ---- the trace */

static struct buf *trace_of(const struct smtp_session *session)
{
	return session->transaction ? session->transaction->trace : session->trace;
}

static void trace(struct buf *out, struct text line)
{
	buf_add(out, TEXT("> "));
	buf_add(out, line);
	buf_add_byte(out, '\n');
}

/* What may be shown of a command: never what follows AUTH and its mechanism. */
static void trace_command(const struct smtp_session *session, struct text line)
{
	struct buf *out = trace_of(session);
	struct text rest = line;

	if (!out)
		return;
	if (session->state != SMTP_AWAIT_AUTH) {
		trace(out, line);
		return;
	}
	if (text_starts(line, TEXT("AUTH "))) {
		(void)text_cut(&rest, ' ');
		(void)text_cut(&rest, ' ');
		trace(out, text_head(line, line.len - rest.len));
	}
	if (rest.len)
		trace(out, TEXT("****"));
}

void smtp_command_trace_reply(const struct smtp_session *session, bool is_last)
{
	struct buf *out = trace_of(session);

	if (!out)
		return;
	buf_addf(out, "< %03u%c", session->reply.code, is_last ? ' ' : '-');
	buf_add(out, smtp_reply_line(&session->reply));
	buf_add_byte(out, '\n');
}

/* ---- lines */

/* The one way in which a line goes to a relay: whatever its parts hold, what stands in the output
 * from `start` on stays one line. */
static void end_line(struct smtp_session *session, size_t start, size_t limit)
{
	struct text line = text_from(buf_text(&session->output), start);
	bool fits = line.len <= limit;

	if (session->output.err)
		return;
	for (size_t i = 0; fits && i < line.len; i++)
		fits = (unsigned char)line.at[i] >= 0x20 && line.at[i] != 0x7f;
	if (!fits) {
		session->output.len = start;
		session->output.err = ERR_VALUE;
		return;
	}
	trace_command(session, line);
	buf_add(&session->output, TEXT("\r\n"));
}

static void say(struct smtp_session *session, struct text verb, struct text argument, size_t limit)
{
	size_t start = session->output.len;

	buf_add(&session->output, verb);
	buf_add(&session->output, argument);
	end_line(session, start, limit);
}

bool smtp_command_offers(const struct smtp_session *session, enum smtp_feature feature)
{
	return session->features.offered & feature;
}

void smtp_command_ehlo(struct smtp_session *session)
{
	session->features = (struct smtp_features){ 0 };
	session->ehlo_named = false;
	say(session, TEXT("EHLO "), session->policy->ehlo_name, LINE_MAX_BYTES);
}

void smtp_command_helo(struct smtp_session *session)
{
	session->features = (struct smtp_features){ 0 };
	say(session, TEXT("HELO "), session->policy->ehlo_name, LINE_MAX_BYTES);
}

void smtp_command_starttls(struct smtp_session *session)
{
	say(session, TEXT("STARTTLS"), (struct text){ 0 }, LINE_MAX_BYTES);
}

void smtp_command_rset(struct smtp_session *session)
{
	say(session, TEXT("RSET"), (struct text){ 0 }, LINE_MAX_BYTES);
}

void smtp_command_quit(struct smtp_session *session)
{
	say(session, TEXT("QUIT"), (struct text){ 0 }, LINE_MAX_BYTES);
}

/* ---- AUTH */

static enum err start_auth(
	struct smtp_session *session, enum smtp_mechanism mechanism, struct buf *line)
{
	const struct smtp_credentials *credentials = &session->policy->credentials;

	return smtp_auth_start(&session->auth, mechanism, credentials, session->nonce, line);
}

void smtp_command_auth(struct smtp_session *session)
{
	const struct smtp_policy *policy = session->policy;
	enum smtp_mechanism mechanism = policy->mechanism;
	unsigned offered = session->features.mechanisms;
	struct buf line = buf_born(SMTP_AUTH_BYTES);
	enum err err = OK;

	if (mechanism == SMTP_AUTH_NONE)
		mechanism = smtp_mechanism_best(offered, &policy->credentials);
	if (!(offered & mechanism)) {
		smtp_session_lost(session, SMTP_LOSS_NO_AUTH, NULL);
		return;
	}
	/* all the room at once, so that no growing leaves a copy of a secret behind */
	if (!buf_reserve(&line, SMTP_AUTH_BYTES) || !buf_reserve(&session->output, SMTP_AUTH_BYTES))
		err = ERR_MEMORY;
	else if (session->auth.mechanism == SMTP_AUTH_NONE)
		err = start_auth(session, mechanism, &line);
	else
		err = smtp_auth_next(&session->auth, &policy->credentials,
			smtp_reply_line(&session->reply), &line);
	if (err == ERR_VALUE)
		smtp_session_lost(session, SMTP_LOSS_BAD_AUTH,
			smtp_auth_why_not(mechanism, &policy->credentials));
	else if (err)
		smtp_session_lost(session, SMTP_LOSS_INTERNAL, NULL);
	else
		say(session, buf_text(&line), (struct text){ 0 }, SMTP_AUTH_BYTES);
	buf_wipe(&line);
}

/* ---- the envelope */

/* RFC 3461 section 4: xtext; RFC 6533 section 3: utf-8-addr-unitext, since SMTPUTF8 is in use. */
static void add_coded(struct buf *line, struct text text, const char *escape)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];
		bool plain = byte > 0x20 && byte != 0x7f && byte != '+' && byte != '=';

		if (byte >= 0x80 || byte == '\\')
			plain = escape[0] == '+' ? byte == '\\' : byte >= 0x80;
		if (plain)
			buf_add_byte(line, (char)byte);
		else
			buf_addf(line, escape[0] == '+' ? "+%02X" : "\\x{%02X}", byte);
	}
}

static void add_mail_parameters(struct smtp_session *session, struct buf *line)
{
	const struct smtp_transaction *tx = session->transaction;
	const struct smtp_envelope *envelope = tx->envelope;
	bool size = smtp_command_offers(session, SMTP_SIZE) && !session->bare;
	bool dsn = smtp_command_offers(session, SMTP_DSN) && !session->bare;

	if (size) {
		buf_add(line, TEXT(" SIZE="));
		buf_add_u64(line, tx->message->size);
	}
	if (tx->message->eight_bit)
		buf_add(line, TEXT(" BODY=8BITMIME"));
	if (envelope->needs_utf8)
		buf_add(line, TEXT(" SMTPUTF8"));
	if (dsn && envelope->ret)
		buf_add(line,
			envelope->ret == SMTP_RETURN_FULL ? TEXT(" RET=FULL") : TEXT(" RET=HDRS"));
	if (dsn && envelope->envelope_id.len) {
		buf_add(line, TEXT(" ENVID="));
		add_coded(line, envelope->envelope_id, "+");
	}
	session->optional_sent |= size || (dsn && (envelope->ret || envelope->envelope_id.len));
}

static void say_mail(struct smtp_session *session)
{
	struct buf *line = &session->output;
	size_t start = line->len;

	buf_add(line, TEXT("MAIL FROM:<"));
	buf_add(line, session->transaction->envelope->from);
	buf_add_byte(line, '>');
	add_mail_parameters(session, line);
	end_line(session, start, LINE_MAX_BYTES);
	session->mails++;
}

static void add_rcpt_parameters(struct buf *line, unsigned notify, struct text address)
{
	static const struct {
		enum smtp_notify bit;
		struct text word;
	} words[] = { { SMTP_NOTIFY_NEVER, TEXT("NEVER") },
		{ SMTP_NOTIFY_SUCCESS, TEXT("SUCCESS") }, { SMTP_NOTIFY_FAILURE, TEXT("FAILURE") },
		{ SMTP_NOTIFY_DELAY, TEXT("DELAY") } };
	struct text separator = TEXT(" NOTIFY=");
	bool ascii = text_is_ascii(address);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (notify & words[i].bit) {
			buf_add(line, separator);
			buf_add(line, words[i].word);
			separator = TEXT(",");
		}
	if (address.len > ORCPT_MAX_BYTES && !ascii)
		return; /* each byte may become six: the line has its limit, and ORCPT is optional
			 */
	buf_add(line, ascii ? TEXT(" ORCPT=rfc822;") : TEXT(" ORCPT=utf-8;"));
	add_coded(line, address, ascii ? "+" : "\\");
}

bool smtp_command_has_rcpt_parameters(const struct smtp_session *session)
{
	return session->transaction->envelope->notify && smtp_command_offers(session, SMTP_DSN) &&
	       !session->bare;
}

static void say_rcpt(struct smtp_session *session)
{
	const struct smtp_envelope *envelope = session->transaction->envelope;
	struct text address = envelope->to[session->rcpt_sent++];
	struct buf *line = &session->output;
	size_t start = line->len;

	buf_add(line, TEXT("RCPT TO:<"));
	buf_add(line, address);
	buf_add_byte(line, '>');
	if (smtp_command_has_rcpt_parameters(session)) {
		add_rcpt_parameters(line, envelope->notify, address);
		session->optional_sent = true;
	}
	end_line(session, start, LINE_MAX_BYTES);
}

void smtp_command_mail(struct smtp_session *session)
{
	const struct smtp_transaction *tx = session->transaction;
	bool wait_for_all = tx->all_or_none && tx->envelope->count > 1;

	say_mail(session);
	if (!session->pipelined)
		return;
	while (session->rcpt_sent < tx->envelope->count && !session->output.err)
		say_rcpt(session);
	if (session->one_write)
		smtp_command_content(session);
	else if (!session->chunked && !wait_for_all && !tx->probe)
		smtp_command_data(session);
	while (session->one_write && !session->content_made && !session->output.err)
		smtp_command_more_content(session);
}

void smtp_command_rcpt(struct smtp_session *session)
{
	if (session->rcpt_sent == session->rcpt_answered)
		say_rcpt(session);
}

void smtp_command_data(struct smtp_session *session)
{
	if (!session->data_sent)
		say(session, TEXT("DATA"), (struct text){ 0 }, LINE_MAX_BYTES);
	session->data_sent = true;
}

/* ---- the content */

static size_t make_chunk(struct smtp_session *session)
{
	uint64_t left = session->content_left;
	size_t step = left < CONTENT_STEP ? (size_t)left : CONTENT_STEP;
	char *room = step ? buf_reserve(&session->output, step) : NULL;
	size_t len = room ? smtp_message_read(
				    session->transaction->message, &session->reader, room, step)
			  : 0;

	buf_took(&session->output, len);
	return len;
}

static size_t make_stuffed(struct smtp_session *session)
{
	char scratch[BYTES_PER_PIECE];
	struct text piece = smtp_message_next(session->transaction->message, &session->reader,
		scratch, sizeof(scratch), CONTENT_STEP);

	smtp_dot_stuff(&session->dot, piece, &session->output);
	return piece.len;
}

void smtp_command_more_content(struct smtp_session *session)
{
	size_t made = 0, len;

	while (made < CONTENT_STEP && session->content_left && !session->output.err) {
		len = session->chunked ? make_chunk(session) : make_stuffed(session);
		if (len == 0 || len > session->content_left)
			session->output.err = ERR_VALUE; /* not the size that was said */
		made += len;
		session->content_left -= len;
	}
	if (session->content_left || session->content_made)
		return;
	session->content_made = true;
	if (!session->chunked)
		smtp_dot_end(&session->dot, &session->output);
}

void smtp_command_content(struct smtp_session *session)
{
	struct buf *line = &session->output;
	size_t start = line->len;

	if (session->content_made)
		return; /* went out with the envelope */
	if (session->lone_dot) {
		say(session, TEXT("."), (struct text){ 0 }, LINE_MAX_BYTES);
		session->content_made = true;
		return;
	}
	if (session->chunked && !session->data_sent) {
		buf_add(line, TEXT("BDAT "));
		buf_add_u64(line, session->content_left);
		buf_add(line, TEXT(" LAST"));
		end_line(session, start, LINE_MAX_BYTES);
		session->data_sent = true;
	}
	smtp_command_more_content(session);
}
