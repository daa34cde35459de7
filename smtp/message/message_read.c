/* message_read - the bytes of a composed message, in any steps */
#include "smtp/message/message.h"

static void next_segment(struct smtp_message_reader *reader)
{
	*reader = (struct smtp_message_reader){ .segment = reader->segment + 1 };
}

size_t smtp_message_read(const struct smtp_message *message, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	size_t done = 0, len;

	while (done < room && reader->segment < message->count) {
		len = smtp_content_read(&message->segments[reader->segment].content,
			&reader->content, out + done, room - done);
		done += len;
		if (len == 0)
			next_segment(reader);
	}
	return done;
}

struct text smtp_message_next(const struct smtp_message *message,
	struct smtp_message_reader *reader, char *scratch, size_t room, size_t most)
{
	const struct smtp_content *content = &message->segments[reader->segment].content;
	struct text run;

	if (reader->segment >= message->count || content->encoding != SMTP_AS_IT_IS ||
		reader->content.at == content->text.len)
		return (struct text){ scratch, smtp_message_read(message, reader, scratch, room) };
	run = text_head(text_from(content->text, reader->content.at), most);
	reader->content.at += run.len;
	return run;
}
