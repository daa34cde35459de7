#include "fuzz.h"

#include "smtp/session.h"

/* Replies, a line each; the first byte chooses the policy. Nothing may follow the end of the data
 * before its answer, and every transaction is settled in the end. */
static void settle(struct smtp_session *session, struct smtp_transaction *transaction)
{
	if (smtp_session_need(session) != SMTP_NEED_CLOSE)
		smtp_session_lost(session, SMTP_LOSS_DISCONNECTED, NULL);
	must(!session->transaction);
	must(transaction->is_over || session->transactions == 0);
	smtp_session_close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const unsigned char nonce[18] = { 7 };
	struct text rest = text_from(input(bytes, len), 1), to[2] = { TEXT("b@x"), TEXT("c@x") };
	struct smtp_policy policy = { .ehlo_name = TEXT("me"),
		.authenticates = len && bytes[0] & 1,
		.clear_auth = true,
		.credentials = { .user = TEXT("u"), .pass = TEXT("p") },
		.command_ms = 1000,
		.data_ms = 1000,
		.dot_ms = 1000,
		.one_write_bytes = 65536 };
	struct smtp_segment segment = { SMTP_AS_IT_IS, TEXT("A: b\r\n\r\n.c\r\n"), 12 };
	struct smtp_message message = { &segment, 1, 12, len && bytes[0] & 2 };
	struct smtp_envelope envelope = { .from = TEXT("a@x"), .to = to, .count = 2 };
	struct smtp_answer answers[2] = { 0 };
	struct smtp_transaction transaction = { .envelope = &envelope,
		.message = &message,
		.answers = answers,
		.all_or_none = len && bytes[0] & 4 };
	struct smtp_session session;

	if (region_open(1 << 20, &transaction.region))
		return 0;
	smtp_session_open(&session, &policy, nonce, 0);
	for (uint64_t now = 1; rest.len && smtp_session_need(&session) != SMTP_NEED_CLOSE; now++) {
		size_t cut = text_find(rest, '\n') + 1;
		struct text out = smtp_session_output(&session);

		smtp_session_sent(&session, out.len, now);
		if (smtp_session_need(&session) == SMTP_NEED_WORK && !transaction.is_over)
			smtp_session_begin(&session, &transaction, now);
		smtp_session_receive(&session, text_head(rest, cut), now);
		rest = text_from(rest, cut);
	}
	settle(&session, &transaction);
	region_close(transaction.region);
	return 0;
}
