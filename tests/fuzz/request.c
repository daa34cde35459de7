#include "fuzz.h"

#include "http/mail/mail.h"
#include "smtp/message/message.h"

/* As it would go to a relay: CRLF only, lines of 998 at the most, no NUL, the size foretold. */
static void check_wire(const struct smtp_message *message)
{
	struct smtp_message_reader reader = { 0 };
	char piece[997], last = 0;
	size_t len, line = 0;

	for (uint64_t size = 0; (len = smtp_message_read(message, &reader, piece, 997));)
		for (size_t i = 0; i < len; i++, size++) {
			must(piece[i] && (piece[i] == '\n') == (last == '\r'));
			must((line = piece[i] == '\n' ? 0 : line + 1) <= 999 &&
				size < message->size);
			last = piece[i];
		}
	must(last == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct posted posted = { 0 };
	struct complaints complaints = { 0 };
	struct smtp_message message;
	struct json json = { 0 };
	struct text body;

	must(region_open(64 << 20, &complaints.region) == OK);
	body = region_copy(complaints.region, input(bytes, len));
	if (!json_parse((char *)body.at, len, complaints.region, &json) &&
		mail_read(&json, json.root, NULL, NULL, complaints.region, &posted, &complaints) &&
		!smtp_message_compose(&posted.mail, bytes, complaints.region, &message))
		check_wire(&message);
	region_close(complaints.region);
	return 0;
}
