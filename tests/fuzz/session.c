#include "fuzz.h"

#include "smtp/session/session.h"

/* The first byte chooses the policy, the rest are replies. Every transaction is settled at the end.
 */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct text to[] = { { "b@x", 3 }, { "c@x", 3 } };
	const struct smtp_segment segment = smtp_segment_of(TEXT("A: b\r\n\r\n.c\r\n"));
	static const struct smtp_envelope envelope = { .from = { "a@x", 3 }, .to = to, .count = 2 };
	unsigned way = len ? bytes[0] : 0;
	struct text rest = text_from(input(bytes, len), 1);
	struct smtp_policy policy = { .ehlo_name = TEXT("me"),
		.authenticates = way & 1,
		.clear_auth = true,
		.credentials = { .user = TEXT("u"), .pass = TEXT("p") },
		.one_write_bytes = 65536 };
	struct smtp_message message = { &segment, 1, 12, way & 2 };
	struct smtp_answer answers[2] = { 0 };
	struct smtp_transaction mail = {
		.envelope = &envelope, .message = &message, .all_or_none = way & 4
	};
	struct smtp_session session;

	must(region_open(1 << 20, &mail.region) == OK);
	mail.answers = answers;
	smtp_session_open(&session, &policy, (const unsigned char *)"123456789012345678", 0);
	for (uint64_t now = 1; rest.len && smtp_session_need(&session) != SMTP_NEED_CLOSE; now++) {
		smtp_session_sent(&session, smtp_session_output(&session).len, now);
		if (smtp_session_need(&session) == SMTP_NEED_WORK && !mail.is_over)
			smtp_session_begin(&session, &mail, now);
		smtp_session_receive(&session, text_head(rest, text_find(rest, '\n') + 1), now);
		rest = text_from(rest, text_find(rest, '\n') + 1);
	}
	if (smtp_session_need(&session) != SMTP_NEED_CLOSE)
		smtp_session_lost(&session, SMTP_LOSS_DISCONNECTED, NULL);
	must(!session.transaction && (mail.is_over || !session.transactions));
	smtp_session_close(&session);
	region_close(mail.region);
	return 0;
}
