#include "smtp/encode.h"
#include "smtp/message.h"
#include "unit.h"

#include <string.h>

static const struct smtp_attachment attachment = { .filename = TEXT("gr\xc3\xbc\xc3\x9f.txt"),
	.base64 = TEXT("aGVs\r\nbG8g d29ybGQ=") };

static size_t read_in_steps(const struct smtp_message *message, size_t step, char *out)
{
	struct smtp_message_reader reader = { 0 };
	size_t done = 0, len;

	while ((len = smtp_message_read(message, &reader, out + done, step)) > 0)
		done += len;
	ck_assert(smtp_message_is_read(message, &reader));
	return done;
}

START_TEST(a_message_reads_the_same_in_any_steps)
{
	struct smtp_mail mail = { .from = { TEXT("J\xc3\xbcrgen"), TEXT("j@example.com") },
		.subject = TEXT("caf\xc3\xa9"),
		.text = TEXT("one\ntwo\r\n.three"),
		.has_text = true,
		.html = TEXT("<p>\xc3\xa9t\xc3\xa9 in the middle of a sentence</p>"),
		.has_html = true,
		.attachments = &attachment,
		.attachment_count = 1,
		.message_id = TEXT("<1@example.com>") };
	unsigned char seed[16] = { 1 };
	char whole[8192], pieces[8192];
	struct smtp_message message;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(smtp_message_compose(&mail, seed, region, &message), OK);
	ck_assert_uint_lt(message.size, sizeof(whole));
	ck_assert(!message.eight_bit);
	ck_assert_uint_eq(read_in_steps(&message, sizeof(whole), whole), message.size);
	for (size_t step = 1; step < 100; step++) {
		ck_assert_uint_eq(read_in_steps(&message, step, pieces), message.size);
		ck_assert(memcmp(whole, pieces, message.size) == 0);
	}
	whole[message.size] = 0;
	ck_assert_ptr_nonnull(strstr(whole, "\r\naGVsbG8gd29ybGQ=\r\n"));
	ck_assert_ptr_nonnull(strstr(whole, "filename*=utf-8''gr%C3%BC%C3%9F.txt"));
	ck_assert_ptr_nonnull(strstr(whole, "one\r\ntwo\r\n.three\r\n"));
	region_close(region);
}
END_TEST

START_TEST(base64_is_checked)
{
	uint64_t len;

	ck_assert(smtp_base64_check(TEXT("aGVs\r\nbG8="), &len));
	ck_assert_uint_eq(len, 5);
	ck_assert(!smtp_base64_check(TEXT("aGVsbG8"), &len));
	ck_assert(!smtp_base64_check(TEXT("aG=sbG8="), &len));
	ck_assert(!smtp_base64_check(TEXT("a*Vs"), &len));
}
END_TEST

START_TEST(html_becomes_readable)
{
	struct region *region;
	struct text text;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(
		smtp_html_to_text(TEXT("<style>x</style><p>Hi &amp; <a href=\"https://e.org\">"
				       "go</a></p><ul><li>one<li>two</ul>"),
			region, &text),
		OK);
	ck_assert_str_eq(text.at, "Hi & go <https://e.org>\n\n- one\n- two\n");
	region_close(region);
}
END_TEST

START_TEST(addresses_are_strict)
{
	static const struct {
		const char *in, *out;
	} cases[] = { { "a@b.org", "a@b.org" }, { "Ann <a@B.org>", "a@b.org" },
		{ "\"a b\"@c.org", "\"a b\"@c.org" }, { "\"ab\"@c.org", "ab@c.org" },
		{ "a@b\xc3\xbc"
		  "cher.example",
			"a@xn--bcher-kva.example" },
		{ "a@b.org\r\nRCPT", NULL }, { "a", NULL }, { "@b.org", NULL },
		{ "a@b..org", NULL }, { "a@b.org.", NULL }, { "a@[127.0.0.1]", NULL },
		{ "a b@c.org", NULL }, { "a,b@c.org <x@y.org>", NULL }, { "a..b@c.org", NULL },
		{ "a>b@c.org", NULL }, { "", NULL } };
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_mailbox box = { 0 };
		const char *why = "";
		enum err err = smtp_mailbox_parse(text_of(cases[i].in), region, &box, &why);

		ck_assert_msg((err == OK) == (cases[i].out != NULL), "%s: %s", cases[i].in, why);
		if (!err)
			ck_assert_msg(
				text_equal(box.address, text_of(cases[i].out)), "%s", cases[i].in);
	}
	region_close(region);
}
END_TEST

UNIT_MAIN(message, tcase_add_test(cases, a_message_reads_the_same_in_any_steps);
	  tcase_add_test(cases, base64_is_checked); tcase_add_test(cases, html_becomes_readable);
	  tcase_add_test(cases, addresses_are_strict);)
