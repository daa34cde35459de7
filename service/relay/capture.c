#include "service/relay/capture.h"

#include "service/relay/settle.h"

static void render(const struct smtp_message *message, struct buf *out)
{
	struct smtp_message_reader reader = { 0 };
	char *room = buf_reserve(out, message->size);

	if (room)
		buf_took(out, smtp_message_read(message, &reader, room, message->size));
}

void capture(struct lettergate *lettergate, struct delivery *delivery)
{
	struct buf raw = buf_born(delivery->message.size);
	struct result *result = &delivery->result;
	const struct smtp_verdict verdict = { .class = SMTP_TAKEN,
		.outcome = delivery->dry_run ? SMTP_PROBED : SMTP_CAPTURED,
		.phase = SMTP_IN_QUEUE, /* no relay was spoken to */
		.status = 200,
		.hint = "" };

	render(&delivery->message, &raw);
	if (raw.err || raw.len != delivery->message.size) {
		settle_lost(lettergate, delivery, SMTP_LOSS_INTERNAL,
			raw.err ? "out of memory" : "what it is made of cannot be read");
		buf_free(&raw);
		return;
	}
	result->verdict = verdict;
	for (size_t i = 0; i < result->count; i++)
		result->answers[i].verdict = verdict;
	result->relay_name = result->relay_host = TEXT("capture");
	note_attempt(delivery, result->relay_name, &result->verdict, 0);
	settle(lettergate, delivery, buf_text(&raw));
	buf_free(&raw);
}
