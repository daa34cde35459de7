#include "smtp/message/content.h"
#include "unit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 1 << 18, RANDOM_ROUNDS = 400 };

static const size_t steps[] = { 1, 2, 3, 7, 77, 78, 79, 159, 160, 161, 1000, 4096, ROOM };
static char whole[ROOM], again[ROOM];

static size_t read_in_steps(const struct smtp_content *content, size_t step, char *out)
{
	struct smtp_content_reader reader = { 0 };
	size_t done = 0, len;

	while ((len = smtp_content_read(
			content, &reader, out + done, step < ROOM - done ? step : ROOM - done)))
		done += len;
	ck_assert_uint_lt(done, ROOM);
	return done;
}

/* The same bytes in any steps, as many as were said, and no line over 76. */
static struct text wire_of(const struct smtp_content *content)
{
	struct buf added = buf_born(ROOM);
	size_t len = read_in_steps(content, ROOM, whole), column = 0, longest = 0;

	ck_assert_uint_eq(smtp_content_size(content), len);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ck_assert_uint_eq(read_in_steps(content, steps[i], again), len);
		ck_assert_msg(memcmp(whole, again, len) == 0, "in steps of %zu", steps[i]);
	}
	smtp_content_add(&added, content);
	ck_assert_int_eq(added.err, OK);
	ck_assert_uint_eq(added.len, len);
	ck_assert(len == 0 || memcmp(whole, added.at, len) == 0);
	buf_free(&added);
	for (size_t i = 0; i < len; i++) {
		column = whole[i] == '\n' ? 0 : column + 1;
		longest = column > longest ? column : longest;
	}
	if (content->encoding >= SMTP_BASE64_REWRAP && content->encoding != SMTP_LINES)
		ck_assert_uint_le(longest, 77);
	return (struct text){ whole, len };
}

static struct text wire(enum smtp_encoding encoding, struct text text)
{
	struct smtp_content content = { .encoding = encoding, .text = text };

	return wire_of(&content);
}

static void check_wire(enum smtp_encoding encoding, const char *text, const char *wanted)
{
	struct text made = wire(encoding, text_of(text));

	ck_assert_msg(text_equal(made, text_of(wanted)), "\"%s\" gave \"%.*s\"", text,
		(int)made.len, made.at);
}

START_TEST(test_lines)
{
	check_wire(SMTP_LINES, "", "");
	check_wire(SMTP_LINES, "a", "a\r\n");
	check_wire(SMTP_LINES, "a\r\nb\nc\rd\n\re", "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n");
	check_wire(SMTP_LINES, "\n\n", "\r\n\r\n");
	check_wire(SMTP_LINES, "tab\there\n", "tab\there\r\n");
	check_wire(SMTP_AS_IT_IS, "a\nb", "a\nb");
	check_wire(SMTP_LINES_BASE64, "a\nb", "YQ0KYg0K\r\n");
	check_wire(SMTP_LINES_BASE64, "", "");
}
END_TEST

START_TEST(test_quoted_printable)
{
	check_wire(SMTP_QUOTED_PRINTABLE, "", "");
	check_wire(SMTP_QUOTED_PRINTABLE, "caf\xc3\xa9 = 1", "caf=C3=A9 =3D 1\r\n");
	check_wire(SMTP_QUOTED_PRINTABLE, "blank \ntab\t\r\nx", "blank=20\r\ntab=09\r\nx\r\n");
	check_wire(SMTP_QUOTED_PRINTABLE, " ", "=20\r\n");
	check_wire(SMTP_QUOTED_PRINTABLE,
		"0123456789012345678901234567890123456789012345678901234567890123456789012345",
		"0123456789012345678901234567890123456789012345678901234567890123456789012345\r\n");
	check_wire(SMTP_QUOTED_PRINTABLE,
		"01234567890123456789012345678901234567890123456789012345678901234567890123456",
		"012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n"
		"56\r\n");
}
END_TEST

START_TEST(test_base64)
{
	check_wire(SMTP_BASE64, "", "");
	check_wire(SMTP_BASE64, "f", "Zg==\r\n");
	check_wire(SMTP_BASE64, "foobar", "Zm9vYmFy\r\n");
	check_wire(SMTP_BASE64_REWRAP, "Zm9v\r\n Ym\tFy", "Zm9vYmFy\r\n");
	check_wire(SMTP_BASE64_REWRAP, "Zg=\n=", "Zg==\r\n");
	check_wire(SMTP_BASE64_REWRAP, "  ", "");
}
END_TEST

static size_t add_line(char *wire, struct text letters)
{
	struct text line = text_head(letters, 76);

	memcpy(wire, line.at, line.len);
	memcpy(wire + line.len, "\r\n", 2);
	return line.len + 2;
}

static void check_content(const struct smtp_content *content, const char *wire, size_t len)
{
	static char got[2000];
	struct smtp_content_reader reader = { 0 };

	ck_assert_uint_eq(smtp_content_size(content), len);
	ck_assert_uint_eq(smtp_content_read(content, &reader, got, sizeof(got)), len);
	ck_assert(memcmp(got, wire, len) == 0);
}

/* Any bytes, as another encoder has them; and what is base64 already, known to be dense or not. */
START_TEST(test_base64_is_as_others_make_it)
{
	char bytes[600], dense[900], spaced[900], wire[1000];

	for (size_t len = 1; len < sizeof(bytes); len += 1 + len / 200) {
		size_t letters, wire_len = 0;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)rand();
		letters = (size_t)EVP_EncodeBlock(
			(unsigned char *)dense, (const unsigned char *)bytes, (int)len);
		for (size_t at = 0; at < letters; at += 76)
			wire_len += add_line(
				wire + wire_len, text_from((struct text){ dense, letters }, at));
		check_content(&(struct smtp_content){ SMTP_BASE64, .text = { bytes, len } }, wire,
			wire_len);
		check_content(
			&(struct smtp_content){ SMTP_BASE64_REWRAP, .text = { dense, letters } },
			wire, wire_len);
		check_content(&(struct smtp_content){ SMTP_BASE64_REWRAP,
				      .text = { dense, letters }, .len = len },
			wire, wire_len);
		memcpy(spaced, dense, letters);
		memmove(spaced + letters / 2 + 1, spaced + letters / 2, letters - letters / 2);
		spaced[letters / 2] = '\n';
		check_content(&(struct smtp_content){ SMTP_BASE64_REWRAP,
				      .text = { spaced, letters + 1 }, .len = len },
			wire, wire_len);
	}
}
END_TEST

/* ---- what goes in comes out again */

static size_t random_text(char *out, size_t most)
{
	static const char *const pieces[] = { "a", "word ", " ", "\t", "=", ".", "\r\n", "\n", "\r",
		"\xc3\xa9", "\xe2\x82\xac", "0123456789012345678901234567890123456789", "\n.\r\n" };
	size_t len = 0, wanted = (size_t)rand() % most;

	while (len < wanted) {
		const char *piece = pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];

		memcpy(out + len, piece, strlen(piece));
		len += strlen(piece);
	}
	return len;
}

/* Every line end as CRLF, and one at the end, written anew as simply as can be. */
static size_t plain_lines(struct text text, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		bool is_end = text.at[i] == '\r' || text.at[i] == '\n';

		if (is_end && text.at[i] == '\r' && i + 1 < text.len && text.at[i + 1] == '\n')
			i++;
		out[len++] = is_end ? '\r' : text.at[i];
		if (is_end)
			out[len++] = '\n';
	}
	if (len && out[len - 1] != '\n') {
		memcpy(out + len, "\r\n", 2);
		len += 2;
	}
	return len;
}

static int hex_value(char digit)
{
	return digit <= '9' ? digit - '0' : digit - 'A' + 10;
}

static size_t decode_quoted(struct text wire, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < wire.len; i++) {
		if (wire.at[i] != '=') {
			out[len++] = wire.at[i];
		} else if (wire.at[i + 1] == '\r') {
			i += 2;
		} else {
			out[len++] =
				(char)(hex_value(wire.at[i + 1]) * 16 + hex_value(wire.at[i + 2]));
			i += 2;
		}
	}
	return len;
}

static size_t decode_base64(struct text wire, char *out)
{
	EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
	int len = 0, more = 0;

	EVP_DecodeInit(context);
	ck_assert_int_ge(EVP_DecodeUpdate(context, (unsigned char *)out, &len,
				 (const unsigned char *)wire.at, (int)wire.len),
		0);
	ck_assert_int_eq(EVP_DecodeFinal(context, (unsigned char *)out + len, &more), 1);
	EVP_ENCODE_CTX_free(context);
	return (size_t)(len + more);
}

static void check_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	ck_assert_uint_eq(a_len, b_len);
	ck_assert(a_len == 0 || memcmp(a, b, a_len) == 0);
}

START_TEST(test_whatever_goes_in_comes_out)
{
	static char text[8192], lines[16384], out[ROOM];

	srand(7);
	for (int round = 0; round < RANDOM_ROUNDS; round++) {
		struct text in = { text, random_text(text, round < 200 ? 200 : 4000) };
		size_t len = plain_lines(in, lines);

		check_same(wire(SMTP_LINES, in).at,
			smtp_content_size(
				&(struct smtp_content){ .encoding = SMTP_LINES, .text = in }),
			lines, len);
		check_same(out, decode_quoted(wire(SMTP_QUOTED_PRINTABLE, in), out), lines, len);
		check_same(out, decode_base64(wire(SMTP_LINES_BASE64, in), out), lines, len);
		check_same(out, decode_base64(wire(SMTP_BASE64, in), out), in.at, in.len);
	}
}
END_TEST

/* ---- a source */

struct pattern {
	struct smtp_source source; /* first */
	uint64_t fails_at;
};

static size_t read_pattern(const struct smtp_source *source, uint64_t at, char *out, size_t room)
{
	const struct pattern *pattern = (const struct pattern *)source;
	size_t len = 0;

	while (len < room && at + len < pattern->fails_at) {
		out[len] = (char)((at + len) * 31 >> 3);
		len++;
	}
	return len;
}

START_TEST(test_a_source_is_as_its_bytes)
{
	static char bytes[20000];
	struct pattern pattern = { { read_pattern }, UINT64_MAX };

	ck_assert_uint_eq(read_pattern(&pattern.source, 0, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t len = 0; len <= sizeof(bytes); len += len < 200 ? 1 : 977) {
		struct smtp_content content = {
			.encoding = SMTP_BASE64, .source = &pattern.source, .len = len
		};
		struct smtp_content_reader reader = { 0 };
		static char expected[ROOM];
		struct text wanted;

		pattern.fails_at = len;
		wanted = wire(SMTP_BASE64, (struct text){ bytes, len });
		memcpy(expected, wanted.at, wanted.len);
		ck_assert_uint_eq(smtp_content_size(&content), wanted.len);
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			check_same(again, read_in_steps(&content, steps[i], again), expected,
				wanted.len);
		ck_assert_uint_eq(smtp_content_read(&content, &reader, again, 0), 0);
	}
}
END_TEST

START_TEST(test_a_source_that_fails_gives_less_than_its_size)
{
	struct pattern pattern = { { read_pattern }, 5000 };
	struct smtp_content content = {
		.encoding = SMTP_BASE64, .source = &pattern.source, .len = 9000
	};
	struct buf out = buf_born(ROOM);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		ck_assert_uint_lt(
			read_in_steps(&content, steps[i], again), smtp_content_size(&content));
	smtp_content_add(&out, &content);
	ck_assert_int_eq(out.err, ERR_VALUE);
	buf_free(&out);
}
END_TEST

/* ---- messages as they are */

struct file {
	struct smtp_source source; /* first */
	struct text bytes;
};

static size_t read_file(const struct smtp_source *source, uint64_t at, char *out, size_t room)
{
	const struct file *file = (const struct file *)source;
	struct text rest = text_head(text_from(file->bytes, (size_t)at), room);

	memcpy(out, rest.at, rest.len);
	return rest.len;
}

#define TEN(text)     text text text text text text text text text text
#define HUNDRED(text) TEN(TEN(text))

/* `wire` NULL: it cannot go as it is. */
static const struct {
	struct text bytes;
	const char *wire;
	bool ends;
} messages[] = {
	{ TEXT("A:"), "A:\r\n", false },
	{ TEXT("Subject: x\n\nhello"), "Subject: x\r\n\r\nhello\r\n", false },
	{ TEXT("Subject: x\r\n\nhello\r\n"), "Subject: x\r\n\r\nhello\r\n", true },
	{ TEXT("A: b\n\n\n\n"), "A: b\r\n\r\n\r\n\r\n", true },
	{ TEXT("A:\x01\x7f\t\n"), "A:\x01\x7f\t\r\n", true },
	{ TEXT("A: " TEN(HUNDRED("x")) "\n"), NULL, false },
	{ TEXT("A:\n" HUNDRED("012345678") HUNDRED("x") "\n"), NULL, false },
	{ TEXT("A:\n" HUNDRED("012345678") TEN("01234567") TEN("x") "01234567\r\n."),
		"A:\r\n" HUNDRED("012345678") TEN("01234567") TEN("x") "01234567\r\n.\r\n", false },
	{ TEXT("A:\n" HUNDRED("012345678") TEN("01234567") TEN("x") "012345678\r\n."), NULL,
		false },
	{ TEXT(""), NULL, false },
	{ TEXT("A"), NULL, false },
	{ TEXT(":"), NULL, false },
	{ TEXT("::"), NULL, false },
	{ TEXT("\nA: b\n"), NULL, false },
	{ TEXT("hello world: b\n"), NULL, false },
	{ TEXT("From a@b.org Mon Jan  1 00:00:00 2026\nA: b\n"), NULL, false },
	{ TEXT("\xef\xbb\xbf"
	       "A: b\n"),
		NULL, false },
	{ TEXT("A: b\0"), NULL, false },
	{ TEXT("A: \xc3\xa4\n"), NULL, false },
	{ TEXT("A: b\rc\n"), NULL, false },
	{ TEXT("A: b\r\r\n"), NULL, false },
	{ TEXT("A: b\r"), NULL, false },
};

static void check_message(const struct smtp_content *content, const char *wanted, bool ends)
{
	struct smtp_content as_lines = *content;
	struct smtp_lines lines;
	struct text made;

	ck_assert_int_eq(smtp_content_is_message(content, &lines), wanted != NULL);
	if (!wanted)
		return;
	as_lines.encoding = SMTP_LINES;
	made = wire_of(&as_lines);
	ck_assert_msg(text_equal(made, text_of(wanted)), "%.*s", (int)made.len, made.at);
	ck_assert_uint_eq(lines.size, made.len);
	ck_assert_int_eq(lines.ends, ends);
}

START_TEST(test_a_message_goes_as_it_is_or_not)
{
	struct file file = { { read_file }, messages[_i].bytes };
	struct smtp_content content = { .encoding = SMTP_BASE64, .text = messages[_i].bytes };

	check_message(&content, messages[_i].wire, messages[_i].ends);
	content.source = &file.source;
	content.len = file.bytes.len;
	content.text = (struct text){ 0 };
	check_message(&content, messages[_i].wire, messages[_i].ends);
	content.encoding = SMTP_BASE64_REWRAP;
	check_message(&content, NULL, false);
}
END_TEST

/* Line ends fall between any two steps. */
START_TEST(test_a_long_message_of_a_file_is_as_its_bytes)
{
	static char bytes[ROOM / 4];
	struct file file = { { read_file }, { bytes, 0 } };
	struct smtp_content content = { .encoding = SMTP_BASE64, .source = &file.source };
	struct smtp_lines lines;
	struct text held, made;

	memcpy(bytes, "A:\n", 3);
	for (size_t i = 3; i < sizeof(bytes); i++)
		bytes[i] = "ab\r\n\n\r\n"[(i + i / 4096 * (size_t)_i) % 7];
	file.bytes.len = sizeof(bytes);
	while (bytes[file.bytes.len - 1] == '\r')
		file.bytes.len--;
	for (size_t i = 3; i + 1 < file.bytes.len; i++) /* where the steps leave one alone */
		if (bytes[i] == '\r' && bytes[i + 1] != '\n')
			bytes[i] = 'c';
	content.len = file.bytes.len;
	ck_assert(smtp_content_is_message(&content, &lines));
	content.encoding = SMTP_LINES;
	made = wire_of(&content);
	ck_assert_uint_eq(lines.size, made.len);
	held = (struct text){ again, plain_lines(file.bytes, again) };
	ck_assert(text_equal(made, held));
}
END_TEST

START_TEST(test_a_message_that_cannot_be_read_is_none)
{
	struct file file = { { read_file }, TEXT("A: b\n\nhello\n") };
	struct smtp_content content = {
		.encoding = SMTP_BASE64, .source = &file.source, .len = file.bytes.len
	};
	struct smtp_lines lines;
	struct buf out = buf_born(ROOM);

	ck_assert(smtp_content_is_message(&content, &lines));
	content.encoding = SMTP_LINES;
	file.bytes.len -= 5; /* it fails from now on */
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		ck_assert_uint_lt(read_in_steps(&content, steps[i], again), lines.size);
	smtp_content_add(&out, &content);
	ck_assert_int_eq(out.err, ERR_VALUE);
	content.encoding = SMTP_BASE64;
	ck_assert(!smtp_content_is_message(&content, &lines));
	buf_free(&out);
}
END_TEST

UNIT_MAIN(content, tcase_add_test(cases, test_lines); tcase_add_test(cases, test_quoted_printable);
	  tcase_add_loop_test(cases, test_a_message_goes_as_it_is_or_not, 0,
		  sizeof(messages) / sizeof(messages[0]));
	  tcase_add_loop_test(cases, test_a_long_message_of_a_file_is_as_its_bytes, 0, 7);
	  tcase_add_test(cases, test_a_message_that_cannot_be_read_is_none);
	  tcase_add_test(cases, test_base64);
	  tcase_add_test(cases, test_base64_is_as_others_make_it);
	  tcase_add_test(cases, test_whatever_goes_in_comes_out);
	  tcase_add_test(cases, test_a_source_is_as_its_bytes);
	  tcase_add_test(cases, test_a_source_that_fails_gives_less_than_its_size))
