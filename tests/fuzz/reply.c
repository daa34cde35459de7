#include "fuzz.h"

#include "smtp/verdict/verdict.h"

/* Fed in two pieces: what is read does not depend on the cut, and every reply has a verdict. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct smtp_reply whole = { 0 }, pieces = { 0 };
	size_t cut = len ? bytes[0] % len : 0;
	struct text all = input(bytes, len), head = text_head(all, cut), tail = text_from(all, cut);
	enum smtp_parsed once, twice;

	do
		once = smtp_reply_feed(&whole, &all);
	while (once == SMTP_LINE);
	do
		twice = smtp_reply_feed(&pieces, &head);
	while (twice == SMTP_LINE);
	if (twice == SMTP_MORE)
		do
			twice = smtp_reply_feed(&pieces, &tail);
		while (twice == SMTP_LINE);
	must(once == twice);
	if (once == SMTP_DONE) {
		struct smtp_said said = smtp_reply_said(&whole);

		must(whole.code == pieces.code && whole.text_len == pieces.text_len);
		must(text_is_utf8(said.text) || !text_is_ascii(said.text));
		for (int phase = SMTP_IN_GREETING; phase <= SMTP_IN_DOT; phase++)
			(void)smtp_verdict_of_said(
				&said, (enum smtp_phase)phase, (struct smtp_verdict_rules){ 0 });
		(void)smtp_queue_id(said.text);
		must(smtp_retry_after_s(said.text) <= 7 * 86400);
	}
	return 0;
}
