#include "fuzz.h"

#include "smtp/address/address_list.h"
#include "smtp/buf.h"
#include "smtp/message/part.h"
#include "smtp/message/raw.h"

/* The pieces as they go on the wire. They are runs of the message, in its order. */
static void write_wire(struct text message, const struct smtp_raw *raw, struct buf *out)
{
	const char *after = message.at;

	for (size_t piece = 0; piece < raw->piece_count; piece++) {
		struct text bytes = raw->pieces[piece].bytes;
		size_t before = out->len;

		must(bytes.len && bytes.at >= after);
		after = bytes.at + bytes.len;
		must(after <= message.at + message.len);
		for (size_t i = 0; i < bytes.len; i++) {
			if (bytes.at[i] == '\n' && (i == 0 || bytes.at[i - 1] != '\r'))
				buf_add_byte(out, '\r');
			buf_add_byte(out, bytes.at[i]);
		}
		if (bytes.at[bytes.len - 1] != '\n') {
			must(raw->lacks_end && piece + 1 == raw->piece_count);
			buf_add(out, TEXT("\r\n"));
		}
		must(out->len - before == raw->pieces[piece].size);
	}
	must(out->err == OK && out->len == raw->size);
}

/* Lines that a relay may get: CRLF at the end of each and nowhere else, no NUL, none too long; and
 * in the header nothing that was to be left out. */
static void check_wire(struct text wire)
{
	bool in_header = true;

	must(wire.len && text_find(wire, 0) == wire.len);
	while (wire.len) {
		struct text line = text_cut(&wire, '\n');

		must(line.len && line.len <= SMTP_RAW_LINE + 1);
		must(text_find(line, '\r') == line.len - 1);
		in_header = in_header && line.len > 1;
		must(!in_header || (!text_starts_nocase(line, TEXT("Bcc:")) &&
					   !text_starts_nocase(line, TEXT("Resent-Bcc:")) &&
					   !text_starts_nocase(line, TEXT("Return-Path:"))));
	}
}

static void check_address(struct text address, struct region *region)
{
	struct text again;
	const char *why;

	must(address.len && !text_has_control(address));
	must(smtp_address_parse(address, region, &again, &why) == OK && text_equal(again, address));
}

static void check_same_senders(const struct smtp_raw *a, const struct smtp_raw *b)
{
	must(a->sender_count == b->sender_count && a->is_resent == b->is_resent);
	for (size_t i = 0; i < a->sender_count; i++)
		must(text_equal(a->senders[i].address, b->senders[i].address));
	must(text_equal(a->envelope_from, b->envelope_from));
	must(text_equal(a->message_id, b->message_id) && a->has_date == b->has_date);
	must(a->header_eight_bit == b->header_eight_bit && a->body_eight_bit == b->body_eight_bit);
	must(a->longest_line == b->longest_line);
}

static void check_recipients(const struct smtp_raw *raw, struct region *region)
{
	struct smtp_raw_fault fault = { 0 };
	struct text *to;
	size_t count;

	if (smtp_raw_recipients(raw, region, &to, &count, &fault)) {
		must(fault.why != NULL);
		return;
	}
	must(count >= 1 && count <= SMTP_RAW_RECIPIENTS);
	for (size_t i = 0; i < count; i++)
		check_address(to[i], region);
	for (size_t i = 1; i < count && i < 100; i++)
		must(!text_equal(to[i], to[i - 1]) && !text_equal(to[i], to[0]));
}

/* What is read goes out as lines that are fit for a relay, and reads as the same again. */
static void check_message(struct text message, struct region *region, struct buf *out)
{
	struct smtp_raw_fault fault = { 0 };
	struct smtp_raw raw, again;

	if (smtp_raw_read(message, region, &raw, &fault)) {
		must(fault.why != NULL);
		smtp_raw_fault_write(&fault, out);
		must(out->err == OK && out->len && text_is_ascii(buf_text(out)));
		must(!text_has_control(buf_text(out)));
		return;
	}
	write_wire(message, &raw, out);
	check_wire(buf_text(out));
	must(raw.sender_count > 0);
	for (size_t i = 0; i < raw.sender_count; i++)
		check_address(raw.senders[i].address, region);
	check_recipients(&raw, region);
	must(smtp_raw_read(buf_text(out), region, &again, &fault) == OK);
	must(again.size == out->len && again.piece_count <= 2 && !again.lacks_end);
	check_same_senders(&raw, &again);
}

/* As a header it reads the same, but for names, which may have become encoded words. */
static void check_list_again(struct smtp_mailboxes list, struct region *region)
{
	struct buf out = buf_born(1 << 20);
	struct smtp_list_fault fault;
	struct smtp_mailboxes again;
	struct text value;

	if (!list.count && !list.group_count)
		return; /* no header */
	smtp_mailboxes_add(&out, "To", list);
	must(out.err == OK && out.len > 5);
	value = text_from(buf_text(&out), 3);
	value.len -= 2; /* the line's end */
	must(smtp_address_list_parse(value, SMTP_COMMENTS_SKIPPED, 50, region, &again, &fault) ==
		OK);
	must(again.count == list.count && again.group_count == list.group_count);
	for (size_t i = 0; i < list.count; i++)
		must(text_equal(again.at[i].address, list.at[i].address));
	for (size_t i = 0; i < list.group_count; i++)
		must(again.groups[i].first == list.groups[i].first &&
			again.groups[i].count == list.groups[i].count);
	buf_free(&out);
}

static void check_list(struct text value, struct region *region)
{
	struct smtp_list_fault fault = { 0 };
	struct smtp_mailboxes list;

	if (smtp_address_list_parse(value, SMTP_COMMENTS_SKIPPED, 50, region, &list, &fault)) {
		must(fault.why && fault.place >= 1 && fault.place <= 51);
		return;
	}
	for (size_t i = 0; i < list.count; i++) {
		check_address(list.at[i].address, region);
		must(text_is_utf8(list.at[i].name) && !text_has_control(list.at[i].name));
	}
	check_list_again(list, region);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf out = buf_born(1 << 20);
	struct region *region;

	if (region_open(16 << 20, &region))
		return 0;
	check_message(input(bytes, len), region, &out);
	check_list(input(bytes, len), region);
	buf_free(&out);
	region_close(region);
	return 0;
}
