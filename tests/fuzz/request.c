#include "fuzz.h"

#include "http/mail.h"
#include "smtp/message.h"

/* The body of POST /send, read, composed, and read out as it would go to a relay. */
static void check_wire(const struct smtp_message *message)
{
	struct smtp_message_reader reader = { 0 };
	char piece[997], last = 0;
	size_t len, line = 0;
	uint64_t size = 0;

	while ((len = smtp_message_read(message, &reader, piece, sizeof(piece)))) {
		for (size_t i = 0; i < len; i++) {
			must(piece[i] && (piece[i] == '\n') == (last == '\r'));
			line = piece[i] == '\n' ? 0 : line + 1;
			must(line <= 999); /* the CR counted */
			last = piece[i];
		}
		size += len;
	}
	must(size == message->size && last == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const unsigned char seed[16] = "0123456789abcdef";
	struct posted posted = { 0 };
	struct complaints complaints = { 0 };
	struct smtp_message message;
	struct json json = { 0 };
	struct text body;

	must(region_open(64 << 20, &complaints.region) == OK);
	body = region_copy(complaints.region, input(bytes, len));
	if (json_parse((char *)body.at, len, complaints.region, &json) == OK &&
		mail_read(&json, json.root, NULL, complaints.region, &posted, &complaints) &&
		smtp_message_compose(&posted.mail, seed, complaints.region, &message) == OK)
		check_wire(&message);
	region_close(complaints.region);
	return 0;
}
