/* A raw message as it goes out: what it lacks is in front, and the rest is as it was. */
#include "raw_read.h"
#include "smtp/message/message.h"
#include "unit.h"

#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define ID           "<id@example.com>"
#define DATE         "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
#define FROM         "From: a@example.com\r\n"
#define ITS_ID       "Message-ID: <own@example.com>\r\n"
#define ITS_DATE     "Date: Fri, 2 Jan 1970 00:00:00 +0000\r\n"
#define HEAD         FROM ITS_ID ITS_DATE

static const struct {
	struct text in, out;
} good[] = {
	{ TEXT(HEAD "\r\nHi\r\n"), TEXT(HEAD "\r\nHi\r\n") },
	{ TEXT(FROM "\r\nHi\r\n"), TEXT("Message-ID: " ID "\r\n" DATE FROM "\r\nHi\r\n") },
	{ TEXT(FROM ITS_ID "\r\nHi\r\n"), TEXT(DATE FROM ITS_ID "\r\nHi\r\n") },
	{ TEXT(FROM ITS_DATE "\r\n"), TEXT("Message-ID: " ID "\r\n" FROM ITS_DATE "\r\n") },
	/* line ends, dots, blanks at the end, a last line without an end, no body at all */
	{ TEXT(HEAD "\n.\n..\r\n\n\nx \n"), TEXT(HEAD "\r\n.\r\n..\r\n\r\n\r\nx \r\n") },
	{ TEXT(HEAD "\r\nlast"), TEXT(HEAD "\r\nlast\r\n") },
	{ TEXT(HEAD "\nlast"), TEXT(HEAD "\r\nlast\r\n") },
	{ TEXT(HEAD "\r\n"), TEXT(HEAD "\r\n") },
	{ TEXT(HEAD), TEXT(HEAD) },
	/* what is left out, wherever it stands, with its folds */
	{ TEXT("Bcc: b@example.org\r\n" HEAD "\r\nHi\r\n"), TEXT(HEAD "\r\nHi\r\n") },
	{ TEXT(HEAD "Bcc: b@example.org,\n c@example.org\nX: y\n\nHi\n"),
		TEXT(HEAD "X: y\r\n\r\nHi\r\n") },
	{ TEXT("Return-Path: <x@example.com>\r\n" HEAD "bcc:\r\n\r\nBcc: in the body\r\n"),
		TEXT(HEAD "\r\nBcc: in the body\r\n") },
	/* folds and blanks are kept */
	{ TEXT(HEAD "Subject:  a\n\t b \nX:y\n\n"),
		TEXT(HEAD "Subject:  a\r\n\t b \r\nX:y\r\n\r\n") },
};

static void compose(struct text in, struct region *region, struct smtp_message *message)
{
	struct smtp_raw_fault fault;
	struct smtp_raw *raw = region_zalloc(region, 1, sizeof(*raw));

	ck_assert_int_eq(read_raw(in, region, raw, &fault), OK);
	ck_assert_int_eq(smtp_raw_compose(raw, TEXT(ID), 0, region, message), OK);
}

static void read_in_steps(const struct smtp_message *message, size_t step, struct buf *out)
{
	struct smtp_message_reader reader = { 0 };
	char piece[200];
	size_t len;

	buf_clear(out);
	while ((len = smtp_message_read(message, &reader, piece, step)))
		buf_add(out, (struct text){ piece, len });
	ck_assert_int_eq(out->err, OK);
}

START_TEST(it_goes_out_as_it_is_but_for_line_ends)
{
	static const size_t steps[] = { 3, 7, 64, 200 };
	struct smtp_message message;
	struct region *region;
	struct buf out = buf_born(1 << 16);

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	compose(good[_i].in, region, &message);
	ck_assert_uint_eq(message.size, good[_i].out.len);
	ck_assert(!message.eight_bit);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		read_in_steps(&message, steps[i], &out);
		ck_assert_msg(text_equal(buf_text(&out), good[_i].out), "%zu: %.*s", steps[i],
			(int)out.len, out.at);
	}
	buf_free(&out);
	region_close(region);
}
END_TEST

/* Nothing is copied but what was added. */
START_TEST(its_bytes_are_borrowed)
{
	struct text in = TEXT(FROM "\r\nHi\r\n");
	struct smtp_message message;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	compose(in, region, &message);
	ck_assert_uint_gt(message.count, 1);
	ck_assert_ptr_eq(message.segments[1].content.text.at, in.at);
	ck_assert_int_eq(message.segments[1].content.encoding, SMTP_AS_IT_IS);
	region_close(region);
}
END_TEST

static const struct {
	struct text in;
	bool eight_bit;
} kinds[] = {
	{ TEXT(HEAD "\r\n~\r\n"), false },
	{ TEXT(HEAD "\r\n\xff\r\n"), true },
	{ TEXT(HEAD "Subject: \xc3\xbc\r\n\r\n"), true },
	{ TEXT(HEAD "Bcc: \"\xc3\xbc\" <b@example.org>\r\n\r\nHi\r\n"), false },
};

START_TEST(eight_bits_are_said)
{
	struct smtp_message message;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	compose(kinds[_i].in, region, &message);
	ck_assert_int_eq(message.eight_bit, kinds[_i].eight_bit);
	region_close(region);
}
END_TEST

START_TEST(without_memory_there_is_none)
{
	struct smtp_raw raw;
	struct smtp_raw_fault fault;
	struct region *region, *small;
	size_t limit = 0;
	enum err err = ERR_MEMORY;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(read_raw(TEXT(FROM "\r\nHi\r\n"), region, &raw, &fault), OK);
	for (; err; limit += 8) {
		struct smtp_message message = { .count = 77 };

		ck_assert_uint_lt(limit, 1 << 16);
		ck_assert_int_eq(region_open(limit, &small), OK);
		err = smtp_raw_compose(&raw, TEXT(ID), 0, small, &message);
		ck_assert(err == OK || (err == ERR_MEMORY && message.count == 77));
		region_close(small);
	}
	ck_assert_uint_gt(limit, 64);
	region_close(region);
}
END_TEST

UNIT_MAIN(raw_message,
	  tcase_add_loop_test(cases, it_goes_out_as_it_is_but_for_line_ends, 0, COUNT(good));
	  tcase_add_test(cases, its_bytes_are_borrowed);
	  tcase_add_loop_test(cases, eight_bits_are_said, 0, COUNT(kinds));
	  tcase_add_test(cases, without_memory_there_is_none);)
