/* message_read - the bytes of a composed message, in any steps */
#include "smtp/message.h"

#include "smtp/encode.h"

#include <string.h>

/* One run of base64 letters, or one byte of a line end. 0: the segment is at its end. */
static size_t rewrap(const struct smtp_segment *segment, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	struct text left;
	size_t len = 0;

	while (reader->at < segment->content.len && byte_is_space(segment->content.at[reader->at]))
		reader->at++;
	left = text_from(segment->content, reader->at);
	if (reader->column >= SMTP_MIME_LINE || (left.len == 0 && reader->column)) {
		bool is_cr = reader->column <= SMTP_MIME_LINE;

		*out = is_cr ? '\r' : '\n';
		reader->column = is_cr ? SMTP_MIME_LINE + 1 : 0;
		return 1;
	}
	left = text_head(left,
		SMTP_MIME_LINE - reader->column < room ? SMTP_MIME_LINE - reader->column : room);
	len = smtp_base64_run(left);
	while (len < left.len && !byte_is_space(left.at[len]))
		len++;
	if (len)
		memcpy(out, left.at, len);
	reader->at += len;
	reader->column += len;
	return len;
}

static size_t copy(const struct smtp_segment *segment, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	struct text left = text_head(text_from(segment->content, reader->at), room);

	if (left.len)
		memcpy(out, left.at, left.len);
	reader->at += left.len;
	return left.len;
}

size_t smtp_message_read(const struct smtp_message *message, struct smtp_message_reader *reader,
	char *out, size_t room)
{
	size_t done = 0, len;

	while (done < room && reader->segment < message->count) {
		const struct smtp_segment *segment = &message->segments[reader->segment];

		len = segment->encoding == SMTP_AS_IT_IS
			      ? copy(segment, reader, out + done, room - done)
			      : rewrap(segment, reader, out + done, room - done);
		done += len;
		if (len == 0) {
			reader->segment++;
			reader->at = reader->column = 0;
		}
	}
	return done;
}

struct text smtp_message_next(const struct smtp_message *message,
	struct smtp_message_reader *reader, char *scratch, size_t room, size_t most)
{
	const struct smtp_segment *segment = &message->segments[reader->segment];
	struct text run;

	if (reader->segment >= message->count || segment->encoding != SMTP_AS_IT_IS ||
		reader->at == segment->content.len)
		return (struct text){ scratch, smtp_message_read(message, reader, scratch, room) };
	run = text_head(text_from(segment->content, reader->at), most);
	reader->at += run.len;
	return run;
}
