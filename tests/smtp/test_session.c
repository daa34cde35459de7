/* Sessions as transcripts: "<" the relay says, ">" we say; each ">" is all that we say in one go.
 */
#include "smtp/session.h"
#include "unit.h"

#include <string.h>

static struct text rcpt[] = { TEXT("a@example.org"), TEXT("b@example.org") };

static const struct {
	const char *name;
	enum smtp_tls tls;
	size_t recipients;
	bool all_or_none;
	const char *script[24];
	enum smtp_outcome outcome;
	enum smtp_state state;
} rows[] = {
	{ "pipelining: two round trips", SMTP_TLS_NONE, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250 PIPELINING\r\n",
			">MAIL FROM:<s@example.com>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n",
			"<250 ok\r\n250 ok\r\n354 go\r\n", ">A: b\r\n\r\n..x\r\n.\r\n",
			"<250 ok\r\n" },
		SMTP_ACCEPTED, SMTP_READY },
	{ "chunking: one round trip", SMTP_TLS_NONE, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
			">MAIL FROM:<s@example.com>\r\nRCPT TO:<a@example.org>\r\n"
			"BDAT 12 LAST\r\nA: b\r\n\r\n.x\r\n",
			"<250 ok\r\n250 ok\r\n250 ok\r\n" },
		SMTP_ACCEPTED, SMTP_READY },
	{ "nobody taken: a lone dot", SMTP_TLS_NONE, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250 PIPELINING\r\n",
			">MAIL FROM:<s@example.com>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n",
			"<250 ok\r\n550 no\r\n354 go\r\n", ">.\r\n", "<554 none\r\n", ">RSET\r\n",
			"<250 ok\r\n" },
		SMTP_REJECTED, SMTP_READY },
	{ "all or none: one refused, none sent", SMTP_TLS_NONE, 2, true,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
			">MAIL FROM:<s@example.com>\r\nRCPT TO:<a@example.org>\r\n"
			"RCPT TO:<b@example.org>\r\n",
			"<250 ok\r\n250 ok\r\n550 no\r\n", ">RSET\r\n", "<250 ok\r\n" },
		SMTP_REJECTED, SMTP_READY },
	{ "some taken: partial", SMTP_TLS_NONE, 2, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250 hi\r\n", ">MAIL FROM:<s@example.com>\r\n",
			"<250 ok\r\n", ">RCPT TO:<a@example.org>\r\n", "<250 ok\r\n",
			">RCPT TO:<b@example.org>\r\n", "<450 no\r\n", ">DATA\r\n", "<354 go\r\n",
			">A: b\r\n\r\n..x\r\n.\r\n", "<250 ok\r\n" },
		SMTP_PARTIAL, SMTP_READY },
	{ "one answer too many: unknown", SMTP_TLS_NONE, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
			">MAIL FROM:<s@example.com>\r\nRCPT TO:<a@example.org>\r\n"
			"BDAT 12 LAST\r\nA: b\r\n\r\n.x\r\n",
			"<250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n" },
		SMTP_UNKNOWN, SMTP_CLOSED },
	{ "421 before the data: not sent", SMTP_TLS_NONE, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250 hi\r\n", ">MAIL FROM:<s@example.com>\r\n",
			"<421 bye\r\n" },
		SMTP_NOT_SENT, SMTP_CLOSED },
	{ "STARTTLS stripped: closed", SMTP_TLS_STARTTLS, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250 hi\r\n" }, SMTP_NOT_SENT, SMTP_CLOSED },
	{ "bytes behind the STARTTLS answer: closed", SMTP_TLS_STARTTLS, 1, false,
		{ "<220 hi\r\n", ">EHLO me\r\n", "<250-hi\r\n250 STARTTLS\r\n", ">STARTTLS\r\n",
			"<220 go\r\n250 AUTH PLAIN\r\n" },
		SMTP_NOT_SENT, SMTP_CLOSED },
};

static void play(struct smtp_session *session, const char *line, struct smtp_transaction *tx)
{
	struct text rest = text_of(line + 1), made;

	if (*line == '<') {
		smtp_session_receive(session, rest, 1);
		return;
	}
	if (smtp_session_need(session) == SMTP_NEED_WORK && session->transactions == 0)
		smtp_session_begin(session, tx, 1);
	made = smtp_session_output(session);
	ck_assert_msg(text_equal(made, rest), "wanted %s got %.*s", line, (int)made.len, made.at);
	smtp_session_sent(session, made.len, 1);
}

START_TEST(a_conversation_goes_as_written)
{
	struct smtp_segment segment = { SMTP_AS_IT_IS, TEXT("A: b\r\n\r\n.x\r\n"), 12 };
	struct smtp_message message = { &segment, 1, 12, false };
	struct smtp_envelope envelope = {
		.from = TEXT("s@example.com"), .to = rcpt, .count = rows[_i].recipients
	};
	struct smtp_policy policy = { .ehlo_name = TEXT("me"),
		.tls = rows[_i].tls,
		.command_ms = 100,
		.data_ms = 100,
		.dot_ms = 100,
		.one_write_bytes = 65536 };
	struct smtp_answer answers[2] = { 0 };
	struct smtp_transaction tx = { .envelope = &envelope,
		.message = &message,
		.all_or_none = rows[_i].all_or_none,
		.answers = answers };
	struct smtp_session session;
	static const unsigned char nonce[18];

	ck_assert_int_eq(region_open(1 << 20, &tx.region), OK);
	smtp_session_open(&session, &policy, nonce, 0);
	for (size_t i = 0; rows[_i].script[i]; i++)
		play(&session, rows[_i].script[i], &tx);
	if (tx.is_over)
		ck_assert_str_eq(
			smtp_outcome_name(tx.verdict.outcome), smtp_outcome_name(rows[_i].outcome));
	ck_assert_int_eq(tx.is_over, session.transactions > 0);
	ck_assert_int_eq(session.state, rows[_i].state);
	smtp_session_close(&session);
	region_close(tx.region);
}
END_TEST

UNIT_MAIN(session, tcase_add_loop_test(cases, a_conversation_goes_as_written, 0,
			   sizeof(rows) / sizeof(rows[0]));)
