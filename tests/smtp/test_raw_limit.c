#include "smtp/raw_read.h"
#include "unit.h"

#define F  "From: a@b.org\n"
#define TF "To: t@b.org\n" F
#define RF "Resent-From: r@b.org\n"

static void check_message(struct buf *message, const char *words)
{
	struct buf out = buf_born(1 << 16);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;
	enum err err;

	ck_assert_int_eq(message->err, OK);
	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	err = read_raw(buf_text(message), region, &raw, &fault);
	ck_assert_int_eq(err, words ? ERR_LIMIT : OK);
	if (words)
		ck_assert_str_eq(words_of(&fault, &out), words);
	region_close(region);
	buf_free(&out);
}

static void add_many(struct buf *message, const char *what, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_add_string(message, what);
}

static void begin(struct buf *message, const char *what)
{
	buf_clear(message);
	buf_add_string(message, what);
}

START_TEST(lines_are_at_most_998_bytes)
{
	struct buf message = buf_born(1 << 22);

	begin(&message, TF "X: y\n ");
	add_many(&message, "x", 997);
	buf_add(&message, TEXT("\r\n\r\n"));
	check_message(&message, NULL);
	begin(&message, TF "X: y\n ");
	add_many(&message, "x", 998);
	buf_add(&message, TEXT("\r\n\r\n"));
	check_message(&message, "line 4, field X: the line is over 998 bytes");
	begin(&message, TF "\n\n");
	add_many(&message, "x", 998);
	check_message(&message, NULL);
	buf_add_byte(&message, 'x');
	check_message(&message, "line 5: the line is over 998 bytes");
	buf_add_byte(&message, '\n');
	add_many(&message, "x", 2000);
	check_message(&message, "line 5: the line is over 998 bytes"); /* the first one */
	/* A Bcc is not sent. */
	begin(&message, TF "Bcc: h@b.org");
	add_many(&message, ", h@b.org", 500);
	buf_add(&message, TEXT("\n\n"));
	check_message(&message, NULL);
	buf_free(&message);
}
END_TEST

START_TEST(fields_are_at_most_1000)
{
	struct buf message = buf_born(1 << 22);

	begin(&message, TF);
	add_many(&message, "X: y\n z\n", 998);
	check_message(&message, NULL);
	buf_add(&message, TEXT("\nX: y\n"));
	check_message(&message, NULL);
	begin(&message, TF);
	add_many(&message, "Return-Path: y\nX: y\n", 499);
	check_message(&message, NULL);
	add_many(&message, "X: y\n", 1);
	check_message(&message, "line 1001: the header has over 1000 fields");
	buf_free(&message);
}
END_TEST

START_TEST(the_header_is_at_most_1_mb)
{
	struct buf message = buf_born(1 << 22), words = buf_born(100);
	size_t lines = 3; /* that of X, too */

	begin(&message, TF "X:");
	for (; message.len < SMTP_RAW_HEADER_BYTES - 20; lines++)
		buf_add(&message, TEXT("\n 0123456789"));
	while (message.len < SMTP_RAW_HEADER_BYTES - 1)
		buf_add_byte(&message, 'x');
	buf_add_byte(&message, '\n');
	check_message(&message, NULL);
	message.at[message.len - 1] = 'x';
	buf_add_byte(&message, '\n');
	buf_addf(&words, "line %zu: the header is over 1 MB", lines);
	buf_add_byte(&words, 0);
	check_message(&message, words.at);
	buf_free(&message);
	buf_free(&words);
}
END_TEST

START_TEST(senders_are_at_most_100)
{
	struct buf message = buf_born(1 << 22);

	begin(&message, RF "From: a@b.org");
	add_many(&message, ",\n a@b.org", 98);
	check_message(&message, NULL);
	add_many(&message, ",\n a@b.org", 1);
	check_message(&message, "line 2, field From: at most 100 senders are taken");
	add_many(&message, ",\n a@b.org", 1);
	check_message(&message, "line 2, field From, address 101: at most 100 senders are taken");
	buf_free(&message);
}
END_TEST

/* Twins count once, over all fields. */
START_TEST(recipients_are_at_most_1000)
{
	static const char *const fields[] = { F "To: t@b.org", "\nCc: t@b.org", "\nBcc: T@b.org" };
	struct buf message = buf_born(1 << 22), out = buf_born(1 << 20);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;
	struct text *to;
	size_t count = 0;

	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	for (size_t field = 0; field < 3; field++) {
		buf_add_string(&message, fields[field]);
		for (size_t i = 0; i < 998; i++)
			buf_addf(&message, ",\n r%zu@b.org", field == 1 ? 997 - i : i);
	}
	ck_assert_int_eq(read_raw(buf_text(&message), region, &raw, &fault), OK);
	ck_assert_int_eq(smtp_raw_recipients(&raw, region, &to, &count, &fault), OK);
	ck_assert_uint_eq(count, 1000);
	ck_assert(text_equal(to[0], TEXT("t@b.org")));
	ck_assert(text_equal(to[1], TEXT("r0@b.org")));
	ck_assert(text_equal(to[998], TEXT("r997@b.org")));
	ck_assert(text_equal(to[999], TEXT("T@b.org")));
	buf_add(&message, TEXT(", new@b.org"));
	ck_assert_int_eq(read_raw(buf_text(&message), region, &raw, &fault), OK);
	ck_assert_int_eq(smtp_raw_recipients(&raw, region, &to, &count, &fault), ERR_LIMIT);
	ck_assert_str_eq(words_of(&fault, &out),
		"line 2000, field Bcc, address 1000: at most 1000 recipients are taken");
	buf_add(&message, TEXT(", new@b.org"));
	ck_assert_int_eq(read_raw(buf_text(&message), region, &raw, &fault), OK);
	ck_assert_int_eq(smtp_raw_recipients(&raw, region, &to, &count, &fault), ERR_LIMIT);
	ck_assert_str_eq(words_of(&fault, &out),
		"line 2000, field Bcc, address 1001: at most 1000 recipients are taken");
	region_close(region);
	buf_free(&message);
	buf_free(&out);
}
END_TEST

UNIT_MAIN(raw_limit, tcase_add_test(cases, lines_are_at_most_998_bytes);
	  tcase_add_test(cases, fields_are_at_most_1000);
	  tcase_add_test(cases, the_header_is_at_most_1_mb);
	  tcase_add_test(cases, senders_are_at_most_100);
	  tcase_add_test(cases, recipients_are_at_most_1000);)
