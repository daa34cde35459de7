#include "smtp/message/message.h"
#include "smtp/region.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { WIRE = 1 << 20 };

static char wire[WIRE + 1];
static const unsigned char seed[16] = { 0xab, 1 };

static const struct smtp_attachment files[] = {
	{ .filename = TEXT("gr\xc3\xbc\xc3\x9f.txt"),
		.content = { SMTP_BASE64_REWRAP, .text = TEXT("aGVs\r\nbG8g d29ybGQ=") } },
	{ .filename = TEXT("a.pdf"),
		.content_type = TEXT("application/pdf; name=\"own.pdf\""),
		.content = { SMTP_BASE64_REWRAP, .text = TEXT("AAAA") } },
	{ .filename = TEXT("logo.png"),
		.content_id = TEXT("logo@example.com"),
		.is_inline = true,
		.content = { SMTP_BASE64_REWRAP, .text = TEXT("") } },
	{ .filename = TEXT("mail.eml"),
		.content_type = TEXT("message/rfc822"),
		.content = { SMTP_BASE64_REWRAP, .text = TEXT("QQ==") } },
};

static const struct smtp_mailbox boxes[] = { { TEXT("Ann, B."), TEXT("ann@example.org") },
	{ TEXT(""), TEXT("bo@example.net") },
	{ TEXT("J\xc3\xbcrgen Stra\xc3\x9f"
	       "enbahn"),
		TEXT("j@example.org") } };

static struct smtp_mail usual_mail(void)
{
	return (struct smtp_mail){ .from = { TEXT("J\xc3\xbcrgen"), TEXT("j@example.com") },
		.to = { .at = boxes, .count = 3 },
		.subject = TEXT("caf\xc3\xa9"),
		.text = TEXT("one\ntwo\r\n.three"),
		.has_text = true,
		.message_id = TEXT("<1@example.com>"),
		.date_s = 1700000000 };
}

static size_t read_in_steps(const struct smtp_message *message, size_t step, char *out)
{
	struct smtp_message_reader reader = { 0 };
	size_t done = 0, len;

	while ((len = smtp_message_read(message, &reader, out + done, step)) > 0)
		done += len;
	ck_assert_uint_eq(reader.segment, message->count);
	return done;
}

/* What has to hold for every message that is composed. */
static void check_wire(const struct smtp_message *message)
{
	struct text rest = { wire, message->size };

	ck_assert_uint_lt(message->size, WIRE);
	ck_assert_uint_eq(read_in_steps(message, WIRE, wire), message->size);
	wire[message->size] = 0;
	ck_assert(!message->eight_bit);
	ck_assert(text_is_ascii(rest));
	ck_assert_ptr_null(memchr(wire, 0, message->size));
	while (rest.len) {
		size_t end = text_find(rest, '\n');
		struct text line = text_head(rest, end);

		ck_assert_uint_lt(end, rest.len); /* the last line ends too */
		ck_assert_uint_gt(line.len, 0);
		ck_assert_int_eq(line.at[--line.len], '\r');
		ck_assert_ptr_null(line.len ? memchr(line.at, '\r', line.len) : NULL);
		ck_assert_uint_le(line.len, 998);
		rest = text_from(rest, end + 1);
	}
}

static struct region *compose(const struct smtp_mail *mail, struct smtp_message *message)
{
	struct region *region;

	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	ck_assert_int_eq(smtp_message_compose(mail, seed, region, message), OK);
	check_wire(message);
	return region;
}

static void has(const char *what)
{
	ck_assert_msg(strstr(wire, what) != NULL, "no \"%s\" in:\n%s", what, wire);
}

static void has_not(const char *what)
{
	ck_assert_msg(strstr(wire, what) == NULL, "\"%s\" in:\n%s", what, wire);
}

static size_t count_of(const char *what)
{
	size_t count = 0;

	for (const char *at = wire; (at = strstr(at, what)); at += strlen(what))
		count++;
	return count;
}

/* Parts that stay where they lie have literals between them: wherever the steps end, the bytes are
 * in order, borrowed or not. */
START_TEST(large_parts_read_the_same_in_any_steps)
{
	static char bytes[9000];
	static const size_t rooms[] = { 7, 77, 159, 161, 4096 };
	struct smtp_attachment large[] = { { .filename = TEXT("first.pdf") },
		{ .filename = TEXT("second.pdf"), .content_id = TEXT("second@example.com") } };
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.attachments = large;
	mail.attachment_count = 2;
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		struct smtp_message_reader reader = { 0 };
		char scratch[4096];
		size_t done = 0;
		struct text next;

		memset(bytes, 'A', sizeof(bytes));
		large[0].content = (struct smtp_content){ SMTP_BASE64_REWRAP,
			.text = { bytes, 8200 + (size_t)_i * 32 } };
		large[1].content =
			(struct smtp_content){ SMTP_BASE64, .text = { bytes, sizeof(bytes) } };
		region = compose(&mail, &message);
		ck_assert_uint_gt(message.count, 4);
		while (next = smtp_message_next(&message, &reader, scratch, rooms[i], 65536),
			next.len) {
			if (memcmp(wire + done, next.at, next.len) != 0)
				ck_abort_msg("other bytes behind %zu", done);
			done += next.len;
		}
		ck_assert_uint_eq(done, message.size);
		region_close(region);
	}
}
END_TEST

START_TEST(a_message_reads_the_same_in_any_steps)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	static char pieces[8192];
	struct region *region;

	mail.html = TEXT("<p>\xc3\xa9t\xc3\xa9 in the middle of a sentence</p>");
	mail.has_html = true;
	mail.attachments = files;
	mail.attachment_count = 4;
	region = compose(&mail, &message);
	ck_assert_uint_lt(message.size, sizeof(pieces));
	for (size_t step = 1; step < 100; step++) {
		struct smtp_message_reader reader = { 0 };
		char scratch[64];
		size_t done = 0;
		struct text next;

		ck_assert_uint_eq(read_in_steps(&message, step, pieces), message.size);
		ck_assert(memcmp(wire, pieces, message.size) == 0);
		while (next = smtp_message_next(
			       &message, &reader, scratch, step % sizeof(scratch) + 1, step * 3),
			next.len) { /* a ck_assert writes to a file each time */
			if (memcmp(wire + done, next.at, next.len) != 0)
				ck_abort_msg("other bytes behind %zu", done);
			done += next.len;
		}
		ck_assert_uint_eq(done, message.size);
	}
	has("\r\naGVsbG8gd29ybGQ=\r\n");
	has("one\r\ntwo\r\n.three\r\n");
	region_close(region);
}
END_TEST

START_TEST(headers_are_as_given)
{
	static const struct smtp_header headers[] = { { TEXT("X-Order"), TEXT("42") },
		{ TEXT("X-Note"), TEXT("gr\xc3\xbc\xc3\x9f") } };
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.headers = headers;
	mail.header_count = 2;
	mail.cc = (struct smtp_mailboxes){ .at = boxes + 1, .count = 1 };
	mail.reply_to = (struct smtp_mailboxes){ .at = boxes, .count = 1 };
	region = compose(&mail, &message);
	has("From: =?UTF-8?B?SsO8cmdlbg==?= <j@example.com>\r\n");
	has("\r\nTo: \"Ann, B.\" <ann@example.org>,\r\n bo@example.net,\r\n "
	    "=?UTF-8?B?SsO8cmdlbiBTdHJhw59lbmJhaG4=?= <j@example.org>\r\n");
	has("\r\nCc: bo@example.net\r\n");
	has("\r\nReply-To: \"Ann, B.\" <ann@example.org>\r\n");
	has("\r\nSubject: =?UTF-8?B?Y2Fmw6k=?=\r\n");
	has("\r\nMessage-ID: <1@example.com>\r\n");
	has("\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n");
	has("\r\nX-Order: 42\r\n");
	has("\r\nX-Note: =?UTF-8?B?Z3LDvMOf?=\r\n");
	has("\r\nMIME-Version: 1.0\r\n");
	has_not("Bcc");
	region_close(region);
}
END_TEST

#define LONG_NAME "A name of a group that leaves no room for an address behind it"

/* Members at the start, in the middle and at the end; encoded words have a blank behind them. */
static const struct {
	struct smtp_group groups[2];
	size_t count, group_count;
	const char *line;
} grouped[] = {
	{ { { TEXT("undisclosed-recipients"), 0, 0 } }, 0, 1, "undisclosed-recipients:;" },
	{ { { TEXT("Team"), 0, 3 } }, 3, 1,
		"Team: \"Ann, B.\" <ann@example.org>,\r\n bo@example.net,\r\n "
		"=?UTF-8?B?SsO8cmdlbiBTdHJhw59lbmJhaG4=?= <j@example.org>;" },
	{ { { TEXT("A, b"), 1, 1 }, { TEXT("None"), 3, 0 } }, 3, 2,
		"\"Ann, B.\" <ann@example.org>,\r\n \"A, b\": bo@example.net;,\r\n "
		"=?UTF-8?B?SsO8cmdlbiBTdHJhw59lbmJhaG4=?= <j@example.org>,\r\n None:;" },
	{ { { TEXT("Stra\xc3\x9f"
		   "e"),
		    0, 0 },
		  { TEXT("a;b"), 0, 1 } },
		2, 2,
		"=?UTF-8?B?U3RyYcOfZQ==?= :;,\r\n \"a;b\": \"Ann, B.\" <ann@example.org>;,"
		"\r\n bo@example.net" },
	{ { { TEXT(LONG_NAME " of i, t"), 0, 0 } }, 0, 1, "\"" LONG_NAME " of i, t\"\r\n :;" },
	{ { { TEXT(LONG_NAME), 0, 2 } }, 2, 1,
		LONG_NAME ":\r\n \"Ann, B.\" <ann@example.org>,\r\n bo@example.net;" },
};

START_TEST(a_group_is_shown_with_its_members)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;
	char line[600];

	mail.cc = (struct smtp_mailboxes){ boxes, grouped[_i].count, grouped[_i].groups,
		grouped[_i].group_count };
	region = compose(&mail, &message);
	(void)snprintf(line, sizeof(line), "\r\nCc: %s\r\n", grouped[_i].line);
	has(line);
	region_close(region);
}
END_TEST

static const struct {
	int64_t date_s;
	const char *words;
} dates[] = {
	{ 0, "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
	{ 951782400, "Date: Tue, 29 Feb 2000 00:00:00 +0000\r\n" },
	{ 1798761599, "Date: Thu, 31 Dec 2026 23:59:59 +0000\r\n" },
	{ 4102444800, "Date: Fri, 1 Jan 2100 00:00:00 +0000\r\n" },
};

START_TEST(a_date_is_written_in_utc)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.date_s = dates[_i].date_s;
	region = compose(&mail, &message);
	has(dates[_i].words);
	region_close(region);
}
END_TEST

/* 'x' over and over */
static struct text run_of(char byte, size_t len)
{
	static char bytes[4096];

	memset(bytes, byte, sizeof(bytes));
	return (struct text){ bytes, len };
}

#define SEVENTY "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg"

START_TEST(a_text_goes_in_the_encoding_that_fits)
{
	static const struct {
		struct text text;
		const char *encoding, *body;
	} cases[] = {
		{ TEXT("plain\n"), "7bit", "\r\n\r\nplain\r\n" },
		{ TEXT("tab\there"), "7bit", "\r\n\r\ntab\there\r\n" },
		{ TEXT(SEVENTY "1234567\t"), "7bit", SEVENTY "1234567\t\r\n" },
		{ TEXT(SEVENTY "12345678\t"), "quoted-printable", SEVENTY "12345=\r\n678=09\r\n" },
		{ TEXT("a\rb\nc\r\nd"), "7bit", "\r\n\r\na\r\nb\r\nc\r\nd\r\n" },
		{ TEXT(""), "7bit", "\r\n\r\n" },
		{ TEXT("caf\xc3\xa9 au lait, please"), "quoted-printable",
			"caf=C3=A9 au lait, please\r\n" },
		{ TEXT("a\x01z"), "quoted-printable", "a=01z\r\n" },
		{ TEXT("a\x7fz"), "quoted-printable", "a=7Fz\r\n" },
		{ TEXT("a\0z"), "quoted-printable", "a=00z\r\n" },
		{ TEXT("\xe6\x97\xa5\xe6\x9c\xac\n"), "base64", "\r\n\r\n5pel5pysDQo=\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_mail mail = usual_mail();
		struct smtp_message message;
		struct region *region;
		char line[80];

		mail.text = cases[i].text;
		region = compose(&mail, &message);
		(void)snprintf(line, sizeof(line), "\r\nContent-Transfer-Encoding: %s\r\n\r\n",
			cases[i].encoding);
		has(line);
		has(cases[i].body);
		region_close(region);
	}
}
END_TEST

START_TEST(long_lines_are_never_sent_as_they_are)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.text = run_of('x', 78);
	region = compose(&mail, &message);
	has("Content-Transfer-Encoding: 7bit\r\n");
	region_close(region);
	mail.text = run_of('x', 79);
	region = compose(&mail, &message);
	has("Content-Transfer-Encoding: quoted-printable\r\n");
	region_close(region);
	mail.text = run_of('x', 4000);
	region = compose(&mail, &message);
	ck_assert_uint_ge(count_of("=\r\n"), 4000 / 76);
	region_close(region);
}
END_TEST

#define INNER "Subject: inner\n\nhello\n"

/* As it is or as bytes: by its type and by what it holds. */
static const struct {
	struct text type, content;
	const char *part;
} wholes[] = {
	{ TEXT("message/rfc822"), TEXT(INNER),
		"Content-Type: message/rfc822;\r\n name=\"a.eml\"\r\n"
		"Content-Transfer-Encoding: 7bit\r\nContent-Disposition: attachment;\r\n "
		"filename=\"a.eml\"\r\n\r\nSubject: inner\r\n\r\nhello\r\n\r\n--=_" },
	{ TEXT("Message/RFC822; x=y"), TEXT("A: b\r\n\r\nhello"),
		"\r\n\r\nA: b\r\n\r\nhello\r\n--=_" },
	{ TEXT("message/delivery-status"), TEXT("Reporting-MTA: dns; x.example\n\n"),
		"Encoding: 7bit\r\nContent-Disposition: attachment;\r\n filename=\"a.eml\"\r\n\r\n"
		"Reporting-MTA: dns; x.example\r\n\r\n\r\n--=_" },
	{ TEXT("message/disposition-notification"), TEXT("A: b\n\n"), "\r\n\r\nA: b\r\n\r\n" },
	{ TEXT("message/partial; id=\"a@b\"; number=1; total=2"), TEXT("A: b\n"),
		"Content-Type: application/octet-stream;" },
	{ TEXT("Message/External-Body; access-type=URL"), TEXT("A: b\n"),
		"Content-Type: application/octet-stream;" },
	{ TEXT("message/external-body"), TEXT("A: b\n"), "\r\n\r\nQTogYgo=\r\n--=_" },
	{ TEXT("message/rfc822x"), TEXT("A: b\n"), "Content-Type: application/octet-stream;" },
	{ TEXT("message/global"), TEXT("A: b\n"), "Content-Type: message/global;" },
	{ TEXT("message/global"), TEXT("A: b\n"), "\r\n\r\nQTogYgo=\r\n--=_" },
	{ TEXT("message/rfc822"), TEXT("A: \xc3\xa4\n"),
		"Content-Type: application/octet-stream;" },
	{ TEXT("message/rfc822"), TEXT("A: \xc3\xa4\n"), "\r\n\r\nQTogw6QK\r\n--=_" },
	{ TEXT("text/plain"), TEXT("A: b\n"), "\r\n\r\nQTogYgo=\r\n--=_" },
};

START_TEST(a_message_as_a_file_goes_as_it_is)
{
	struct smtp_attachment file = { .filename = TEXT("a.eml"),
		.content_type = wholes[_i].type,
		.content = { .encoding = SMTP_BASE64, .text = wholes[_i].content } };
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.attachments = &file;
	mail.attachment_count = 1;
	region = compose(&mail, &message);
	has(wholes[_i].part);
	region_close(region);
}
END_TEST

/* Too long to be copied: as it is, where it lies. */
START_TEST(a_long_message_as_a_file_stays_where_it_lies)
{
	static char bytes[20000];
	struct smtp_attachment file = { .content_type = TEXT("message/rfc822"),
		.content = { .encoding = SMTP_BASE64, .text = { bytes, sizeof(bytes) } } };
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "A:", 2);
	for (size_t i = 2; i < sizeof(bytes); i += 80 + (size_t)_i)
		bytes[i] = '\n';
	bytes[sizeof(bytes) - 1] = _i % 2 ? '\n' : 'x';
	mail.attachments = &file;
	mail.attachment_count = 1;
	region = compose(&mail, &message);
	ck_assert_uint_eq(message.count, 3);
	ck_assert_ptr_eq(message.segments[1].content.text.at, bytes);
	has(_i % 2 ? "x\r\n\r\n--=_" : "x\r\n--=_");
	region_close(region);
}
END_TEST

static const struct {
	bool has_text, has_html;
	size_t attachment_count;
	const char *layers[4]; /* multipart/… in their order */
} shapes[] = {
	{ true, false, 0, { NULL } },
	{ false, true, 0, { NULL } },
	{ true, true, 0, { "alternative" } },
	{ true, false, 2, { "mixed" } },
	{ true, true, 2, { "mixed", "alternative" } },
	{ true, true, 3, { "mixed", "related", "alternative" } },
	{ false, true, 4, { "mixed", "related" } },
	{ false, false, 0, { NULL } },
};

START_TEST(the_structure_is_no_deeper_than_it_need_be)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;
	const char *at = wire;
	size_t layers = 0;

	mail.has_text = shapes[_i].has_text;
	mail.has_html = shapes[_i].has_html;
	mail.html = mail.has_html ? TEXT("<p>x</p>\n") : TEXT("");
	mail.text = mail.has_text ? TEXT("x\n") : TEXT("");
	mail.attachments = files;
	mail.attachment_count = shapes[_i].attachment_count;
	region = compose(&mail, &message);
	for (; shapes[_i].layers[layers]; layers++) {
		char type[64];

		(void)snprintf(type, sizeof(type), "Content-Type: multipart/%s;\r\n boundary=\"",
			shapes[_i].layers[layers]);
		at = strstr(at, type);
		ck_assert_msg(at != NULL, "%s", type);
		at += strlen(type);
	}
	ck_assert_uint_eq(count_of("multipart/"), layers);
	ck_assert_uint_eq(count_of("Content-Disposition: "), mail.attachment_count);
	region_close(region);
}
END_TEST

/* S-17: each boundary opens at least once, closes once, and differs from every other. */
START_TEST(boundaries_open_and_close)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;
	const char *at = wire;
	char line[80];

	mail.has_html = true;
	mail.html = TEXT("<p>x</p>");
	mail.attachments = files;
	mail.attachment_count = 4;
	region = compose(&mail, &message);
	for (int i = 0; i < 3; i++) {
		int len;

		at = strstr(at, "boundary=\"") + 10;
		len = (int)strcspn(at, "\"");
		ck_assert_int_ge(len, 34);
		ck_assert_int_le(len, 70);
		(void)snprintf(line, sizeof(line), "\r\n--%.*s\r\n", len, at);
		ck_assert_uint_ge(count_of(line), 2);
		(void)snprintf(line, sizeof(line), "\r\n--%.*s--\r\n", len, at);
		ck_assert_uint_eq(count_of(line), 1);
	}
	region_close(region);
}
END_TEST

/* The line end before a boundary is the boundary's own. */
START_TEST(a_text_in_a_multipart_keeps_its_last_line_end)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.text = TEXT("ends\n");
	mail.has_html = true;
	mail.html = TEXT("<p>does not");
	region = compose(&mail, &message);
	ck_assert_ptr_nonnull(strstr(wire, "\r\n\r\nends\r\n\r\n--"));
	ck_assert_ptr_nonnull(strstr(wire, "\r\n\r\n<p>does not\r\n--"));
	region_close(region);
	mail.has_html = false;
	region = compose(&mail, &message);
	ck_assert_str_eq(strstr(wire, "\r\n\r\n"), "\r\n\r\nends\r\n");
	region_close(region);
}
END_TEST

START_TEST(attachments_say_what_they_are)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.attachments = files;
	mail.attachment_count = 4;
	region = compose(&mail, &message);
	has("Content-Type: text/plain;\r\n name=\"=?UTF-8?B?Z3LDvMOfLnR4dA==?=\"\r\n");
	has("Content-Disposition: attachment;\r\n filename*=utf-8''gr%C3%BC%C3%9F.txt\r\n");
	has("Content-Type: application/pdf; name=\"own.pdf\"\r\n");
	has("filename=\"a.pdf\"\r\n");
	has("Content-Type: image/png;\r\n name=\"logo.png\"\r\n");
	has("Content-Disposition: inline;\r\n filename=\"logo.png\"\r\n"
	    "Content-ID: <logo@example.com>\r\n\r\n--");
	has("Content-Type: application/octet-stream;\r\n name=\"mail.eml\"\r\n");
	has_not("message/rfc822");
	region_close(region);
}
END_TEST

START_TEST(base64_is_wrapped_anew)
{
	struct smtp_attachment file = { .content = { SMTP_BASE64_REWRAP,
						.text = run_of('A', (size_t)_i * 4) } };
	struct smtp_mail mail = usual_mail();
	size_t letters = 0, lines = 0;
	struct smtp_message message;
	struct region *region;
	struct text rest;
	const char *at;

	mail.attachments = &file;
	mail.attachment_count = 1;
	region = compose(&mail, &message);
	at = strstr(strstr(wire, "Content-Disposition"), "\r\n\r\n");
	rest = text_of(at + 4);
	for (struct text line = text_cut(&rest, '\n'); !text_starts(line, TEXT("--"));
		line = text_cut(&rest, '\n')) {
		lines++;
		letters += line.len - 1;
		ck_assert_uint_le(line.len - 1, 76);
	}
	ck_assert_uint_eq(letters, file.content.text.len);
	ck_assert_uint_eq(lines, (letters + 75) / 76);
	region_close(region);
}
END_TEST

START_TEST(what_is_no_single_line_is_refused)
{
	struct smtp_attachment bad[] = {
		{ .content_type = TEXT("text/plain\r\nBcc: x@y.org") },
		{ .content_id = TEXT("a>\r\nX: y") },
		{ .filename = TEXT("a\r\nb") },
		{ .content_type = run_of('x', 901) },
	};
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;

	mail.attachment_count = 1;
	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		mail.attachments = &bad[i];
		ck_assert_int_eq(smtp_message_compose(&mail, seed, region, &message), ERR_VALUE);
	}
	mail = usual_mail();
	mail.subject = TEXT("a\r\nBcc: x@y.org");
	ck_assert_int_eq(smtp_message_compose(&mail, seed, region, &message), ERR_VALUE);
	region_close(region);
}
END_TEST

START_TEST(no_memory_is_an_error)
{
	struct smtp_mail mail = usual_mail();
	struct smtp_message message;
	struct region *region;
	enum err err;

	ck_assert_int_eq(region_open((size_t)_i * 64, &region), OK);
	err = smtp_message_compose(&mail, seed, region, &message);
	ck_assert(err == ERR_MEMORY || err == ERR_LIMIT);
	region_close(region);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

UNIT_MAIN(message, tcase_add_test(cases, a_message_reads_the_same_in_any_steps);
	  tcase_add_test(cases, headers_are_as_given);
	  tcase_add_loop_test(cases, a_group_is_shown_with_its_members, 0, COUNT(grouped));
	  tcase_add_loop_test(cases, a_date_is_written_in_utc, 0, COUNT(dates));
	  tcase_add_test(cases, a_text_goes_in_the_encoding_that_fits);
	  tcase_add_test(cases, long_lines_are_never_sent_as_they_are);
	  tcase_add_loop_test(cases, the_structure_is_no_deeper_than_it_need_be, 0, COUNT(shapes));
	  tcase_add_test(cases, boundaries_open_and_close);
	  tcase_add_test(cases, a_text_in_a_multipart_keeps_its_last_line_end);
	  tcase_add_test(cases, attachments_say_what_they_are);
	  tcase_add_loop_test(cases, a_message_as_a_file_goes_as_it_is, 0, COUNT(wholes));
	  tcase_add_loop_test(cases, a_long_message_as_a_file_stays_where_it_lies, 0, 10);
	  tcase_add_loop_test(cases, base64_is_wrapped_anew, 1, 60);
	  tcase_add_loop_test(cases, large_parts_read_the_same_in_any_steps, 0, 10);
	  tcase_add_test(cases, what_is_no_single_line_is_refused);
	  tcase_add_loop_test(cases, no_memory_is_an_error, 0, 6);)
