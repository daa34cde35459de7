#include "smtp/message/encode.h"
#include "smtp/message/content.h"
#include "unit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define A70          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	struct text in, out;
} printable[] = {
	{ TEXT(""), TEXT("") },
	{ TEXT("a"), TEXT("a\r\n") },
	{ TEXT("a\nb\r\nc\rd"), TEXT("a\r\nb\r\nc\r\nd\r\n") },
	{ TEXT("\n\n"), TEXT("\r\n\r\n") },
	{ TEXT("a=b"), TEXT("a=3Db\r\n") },
	{ TEXT("gr\xc3\xbc\xc3\x9f"), TEXT("gr=C3=BC=C3=9F\r\n") },
	{ TEXT("a \nb\t\nc"), TEXT("a=20\r\nb=09\r\nc\r\n") },
	{ TEXT("a\tb c"), TEXT("a\tb c\r\n") },
	{ TEXT("\0\x01\x7f"), TEXT("=00=01=7F\r\n") },
	{ TEXT(A70 "bbbbbb"), TEXT(A70 "bbbbbb\r\n") },
	{ TEXT(A70 "bbbbbbc"), TEXT(A70 "bbbbb=\r\nbc\r\n") },
	{ TEXT(A70 "bbb="), TEXT(A70 "bbb=3D\r\n") },
	{ TEXT(A70 "bbbb="), TEXT(A70 "bbbb=\r\n=3D\r\n") },
	{ TEXT(A70 "bbb=c"), TEXT(A70 "bbb=\r\n=3Dc\r\n") },
};

static void add_quoted_printable(struct buf *out, struct text text)
{
	smtp_content_add(
		out, &(struct smtp_content){ .encoding = SMTP_QUOTED_PRINTABLE, .text = text });
}

START_TEST(quoted_printable_is_as_wanted)
{
	struct buf out = buf_born(4096);

	add_quoted_printable(&out, printable[_i].in);
	ck_assert_msg(text_equal(buf_text(&out), printable[_i].out), "%.*s", (int)out.len, out.at);
	buf_free(&out);
}
END_TEST

static int hex_value(char byte)
{
	return byte_is_digit(byte) ? byte - '0' : byte - 'A' + 10;
}

static void decode_line(struct text line, struct buf *out)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.at[i] == '=') {
			ck_assert_uint_lt(i + 2, line.len);
			buf_add_byte(out,
				(char)(hex_value(line.at[i + 1]) * 16 + hex_value(line.at[i + 2])));
			i += 2;
		} else {
			buf_add_byte(out, line.at[i]);
		}
}

START_TEST(quoted_printable_comes_out_again)
{
	struct buf in = buf_born(8192), out = buf_born(65536), again = buf_born(65536);
	unsigned state = (unsigned)_i;
	struct text rest;

	for (int i = 0; i < 3000; i++) {
		state = state * 1103515245U + 12345U;
		buf_add_byte(&in, (char)((state >> 16) % (_i % 2 ? 256 : 96) + (_i % 2 ? 0 : 32)));
		if (in.at[in.len - 1] == '\r' || in.at[in.len - 1] == '\n')
			in.at[in.len - 1] = 'x';
	}
	add_quoted_printable(&out, buf_text(&in));
	for (rest = buf_text(&out); rest.len;) {
		struct text line = text_cut(&rest, '\n');

		ck_assert_uint_gt(line.len, 0);
		ck_assert_int_eq(line.at[--line.len], '\r');
		ck_assert_uint_le(line.len, 76);
		ck_assert(text_is_ascii(line));
		ck_assert(line.at[line.len - 1] != ' ' && line.at[line.len - 1] != '\t');
		decode_line(text_head(line, line.len - (line.at[line.len - 1] == '=')), &again);
	}
	ck_assert(text_equal(buf_text(&in), buf_text(&again)));
	buf_free(&in);
	buf_free(&out);
	buf_free(&again);
}
END_TEST

static const struct {
	const char *base64;
	int len; /* -1: refused */
} checks[] = { { "", 0 }, { "AAAA", 3 }, { "AAA=", 2 }, { "AA==", 1 }, { "aGVs\r\nbG8=", 5 },
	{ " a G V s \t", 3 }, { "AAAAAA==", 4 }, { "+/+/", 3 }, { "AA=\n=", 1 }, { "A", -1 },
	{ "AA", -1 }, { "AAA", -1 }, { "AA=", -1 }, { "A===", -1 }, { "====", -1 }, { "=", -1 },
	{ "AA=A", -1 }, { "AAA=AAAA", -1 }, { "AAA*", -1 }, { "AA-_", -1 }, { "AAAA=", -1 },
	{ "AA==AA==", -1 }, { "AAAA\v", -1 }, { "aG=sbG8=", -1 } };

START_TEST(base64_is_checked)
{
	uint64_t len = 7;

	ck_assert_int_eq(smtp_base64_check(text_of(checks[_i].base64), &len), checks[_i].len >= 0);
	if (checks[_i].len >= 0)
		ck_assert_uint_eq(len, checks[_i].len);
}
END_TEST

/* Every line within its limit; joined again where they were folded. */
static void unfold(struct text header, size_t most, struct buf *out)
{
	while (header.len) {
		struct text line = text_cut(&header, '\n');

		ck_assert_uint_gt(line.len, 0);
		ck_assert_int_eq(line.at[--line.len], '\r');
		ck_assert_uint_le(line.len, most);
		ck_assert(text_is_ascii(line));
		ck_assert_msg(text_trim(line).len > 0, "a line of blanks");
		ck_assert(!header.len || header.at[0] == ' ' || header.at[0] == '\t');
		buf_add(out, line);
	}
}

/* RFC 2047: words decoded, each of whole characters; blanks between words do not count. */
static void decode_words(struct text in, struct buf *out)
{
	bool after_word = false;

	while (in.len) {
		struct text word = in, blanks = { in.at, 0 };
		unsigned char bytes[80];
		int len;

		while (blanks.len < in.len && in.at[blanks.len] == ' ')
			blanks.len++;
		word = text_from(in, blanks.len);
		if (!text_starts(word, TEXT("=?UTF-8?B?"))) {
			buf_add(out, text_head(in, blanks.len + (word.len > 0)));
			in = text_from(word, 1);
			after_word = false;
			continue;
		}
		if (!after_word)
			buf_add(out, blanks);
		in = text_from(word, 10);
		word = text_cut(&in, '?');
		ck_assert(in.len && in.at[0] == '=');
		in = text_from(in, 1);
		ck_assert_uint_le(word.len + 12, 75);
		len = EVP_DecodeBlock(bytes, (const unsigned char *)word.at, (int)word.len);
		ck_assert_int_gt(len, 0);
		while (len && bytes[len - 1] == 0)
			len--;
		ck_assert(text_is_utf8((struct text){ (char *)bytes, (size_t)len }));
		buf_add(out, (struct text){ (char *)bytes, (size_t)len });
		after_word = true;
	}
}

static const struct {
	const char *value;
	size_t most; /* bytes of the longest line that may come of it */
} values[] = {
	{ "Hello", 76 },
	{ "a b", 76 },
	{ "a  b", 76 },
	{ "Your order of twelve very long words that go on and on and on until no line holds them",
		76 },
	{ A70 " " A70 " " A70, 80 }, /* a word is not broken */
	{ A70 A70 A70, 220 },
	{ "=?UTF-8?Q?x?=", 76 },
	{ "what=?", 76 },
	{ " leading and trailing ", 76 },
	{ "caf\xc3\xa9", 76 },
	{ "\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f"
	  "\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7"
	  "\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7",
		76 },
	{ "Stra\xc3\x9f"
	  "e \xc3\xa4\xc3\xb6\xc3\xbc a long subject that has to be folded more than once, since "
	  "it "
	  "is longer than two lines of seventy-six bytes would be, even without the encoding",
		76 },
	{ "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe4\xbb\xb6\xe5\x90\x8d\xe3\x81\xaf\xe9"
	  "\x95\xb7\xe3\x81\x84\xe3\x81\x93\xe3\x81\xa8\xe3\x82\x82\xe3\x81\x82\xe3\x82\x8a\xe3\x81"
	  "\xbe\xe3\x81\x99",
		76 },
	{ "x", 76 },
};

START_TEST(a_header_reads_as_it_was_given)
{
	struct buf out = buf_born(8192), line = buf_born(8192), value = buf_born(8192);

	smtp_header_add(&out, TEXT("Subject"), text_of(values[_i].value));
	ck_assert_int_eq(out.err, OK);
	unfold(buf_text(&out), values[_i].most, &line);
	ck_assert(text_starts(buf_text(&line), TEXT("Subject: ")));
	decode_words(text_from(buf_text(&line), 9), &value);
	ck_assert_msg(text_equal(buf_text(&value), text_of(values[_i].value)), "%.*s",
		(int)value.len, value.at);
	buf_free(&out);
	buf_free(&line);
	buf_free(&value);
}
END_TEST

START_TEST(a_word_is_at_most_75_at_the_start_of_a_line_too)
{
	struct buf out = buf_born(1024), read = buf_born(1024);

	ck_assert_uint_le(smtp_words_add(&out, TEXT(A70), 0), 75);
	buf_add(&out, TEXT("\r\n"));
	unfold(buf_text(&out), 75, &read);
	buf_free(&out);
	buf_free(&read);
}
END_TEST

START_TEST(no_line_of_a_folded_header_ends_in_blanks)
{
	struct buf out = buf_born(8192), in = buf_born(8192), line = buf_born(8192);

	for (size_t first = 55; first < 75; first++) {
		buf_clear(&in);
		buf_clear(&out);
		buf_clear(&line);
		for (size_t i = 0; i < first; i++)
			buf_add_byte(&in, 'y');
		buf_add_string(&in, "   bc     k");
		smtp_header_add(&out, TEXT("X"), buf_text(&in));
		ck_assert(!memmem(out.at, out.len, " \r\n", 3));
		unfold(buf_text(&out), 78, &line);
		ck_assert(text_equal(text_from(buf_text(&line), 3), buf_text(&in)));
	}
	buf_free(&in);
	buf_free(&line);
	buf_free(&out);
}
END_TEST

START_TEST(a_header_without_blanks_is_within_998)
{
	struct buf out = buf_born(65536), in = buf_born(65536), line = buf_born(65536);

	for (int i = 0; i < _i * 330 + 300; i++)
		buf_add_byte(&in, 'x');
	smtp_header_add(&out, TEXT("X-Long"), buf_text(&in));
	ck_assert_int_eq(out.err, OK);
	unfold(buf_text(&out), 998, &line);
	buf_clear(&out);
	decode_words(text_from(buf_text(&line), 8), &out);
	ck_assert(text_equal(buf_text(&out), buf_text(&in)));
	buf_free(&out);
	buf_free(&in);
	buf_free(&line);
}
END_TEST

START_TEST(a_header_takes_no_second_line)
{
	static const struct text bad[] = { TEXT("a\r\nBcc: x@y.org"), TEXT("a\nb"), TEXT("a\rb"),
		TEXT("a\0b"), TEXT("a\tb"), TEXT("a\x7f"),
		TEXT("a\xc2\x85"
		     "b"),
		TEXT("a\xe2\x80\xa8"
		     "b") };
	struct buf out = buf_born(1024);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&out);
		smtp_header_add(&out, TEXT("Subject"), bad[i]);
		ck_assert_int_eq(out.err, ERR_VALUE);
		buf_clear(&out);
		smtp_header_add(&out, bad[i], TEXT("x"));
		ck_assert_int_eq(out.err, ERR_VALUE);
		buf_clear(&out);
		(void)smtp_phrase_add(&out, bad[i], 0);
		ck_assert_int_eq(out.err, ERR_VALUE);
		buf_clear(&out);
		smtp_parameter_add(&out, "name", bad[i]);
		ck_assert_int_eq(out.err, ERR_VALUE);
	}
	buf_free(&out);
}
END_TEST

static const struct {
	const char *phrase, *out;
} phrases[] = {
	{ "Ann", "Ann" },
	{ "Ann B Example", "Ann B Example" },
	{ "Ann, B.", "\"Ann, B.\"" },
	{ "say \"hi\" \\o/", "\"say \\\"hi\\\" \\\\o/\"" },
	{ "a@b.org", "\"a@b.org\"" },
	{ " Ann", "\" Ann\"" },
	{ "Ann ", "\"Ann \"" },
	{ "Ann  B", "\"Ann  B\"" }, /* two blanks between atoms would be read as one */
	{ "J\xc3\xbcrgen", "=?UTF-8?B?SsO8cmdlbg==?=" },
	{ "=?UTF-8?B?SsO8cmdlbg==?=", "=?UTF-8?B?PT9VVEYtOD9CP1NzTzhjbWRsYmc9PT89?=" },
};

START_TEST(a_name_is_an_atom_a_string_or_words)
{
	struct buf out = buf_born(1024);

	ck_assert_uint_eq(smtp_phrase_add(&out, text_of(phrases[_i].phrase), 6), 6 + out.len);
	ck_assert_msg(
		text_equal(buf_text(&out), text_of(phrases[_i].out)), "%.*s", (int)out.len, out.at);
	buf_free(&out);
}
END_TEST

static const char *const long_names[] = { (A70 " " A70 " b"), (A70 ", b"), ("\"" A70 "\""),
	("a  " A70) };

START_TEST(a_long_name_stays_within_its_lines)
{
	struct buf out = buf_born(1024), line = buf_born(1024), name = buf_born(1024);
	size_t column = smtp_phrase_add(&out, text_of(long_names[_i]), 6);

	buf_add(&out, TEXT("\r\n"));
	unfold(buf_text(&out), 76, &line);
	ck_assert_uint_le(column, 76);
	decode_words(buf_text(&line), &name);
	ck_assert_msg(
		text_equal(buf_text(&name), text_of(long_names[_i])), "%.*s", (int)out.len, out.at);
	buf_free(&out);
	buf_free(&line);
	buf_free(&name);
}
END_TEST

/* "Name: " alone on its line would be read as a value that begins with a blank. */
START_TEST(no_line_ends_in_a_blank_behind_a_long_name)
{
	struct buf out = buf_born(1024), name = buf_born(1024);

	for (int i = 0; i < 76; i++) {
		buf_add_byte(&name, 'X');
		buf_clear(&out);
		smtp_header_add(&out, buf_text(&name), TEXT("\xe6\x97\xa5\xf0\x9f\x93\xa7"));
		ck_assert_int_eq(out.err, OK);
		ck_assert_msg(!memmem(out.at, out.len, " \r\n", 3), "%.*s", (int)out.len, out.at);
	}
	buf_free(&out);
	buf_free(&name);
}
END_TEST

static const struct {
	const char *value, *out;
} parameters[] = {
	{ "a.txt", ";\r\n filename=\"a.txt\"" },
	{ "a \"b\" \\.txt", ";\r\n filename=\"a \\\"b\\\" \\\\.txt\"" },
	{ "gr\xc3\xbc\xc3\x9f.txt", ";\r\n filename*=utf-8''gr%C3%BC%C3%9F.txt" },
	{ "=?utf-8?q?x?=.txt", ";\r\n filename*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D.txt" },
	{ "\xe2\x82\xac 5'*%;.txt", ";\r\n filename*=utf-8''%E2%82%AC%205%27%2A%25%3B.txt" },
};

START_TEST(a_parameter_is_quoted_or_extended)
{
	struct buf out = buf_born(1024);

	smtp_parameter_add(&out, "filename", text_of(parameters[_i].value));
	ck_assert_msg(text_equal(buf_text(&out), text_of(parameters[_i].out)), "%.*s", (int)out.len,
		out.at);
	buf_free(&out);
}
END_TEST

START_TEST(a_long_parameter_goes_in_sections)
{
	struct buf in = buf_born(4096), out = buf_born(65536), again = buf_born(65536);
	char start[32];
	struct text rest;
	int section = 0;

	for (int i = 0; i < 800; i++)
		buf_add(&in, _i ? TEXT("\xc3\xbc") : TEXT("x"));
	smtp_parameter_add(&out, "filename", buf_text(&in));
	ck_assert_int_eq(out.err, OK);
	rest = text_from(buf_text(&out), 3);
	while (rest.len) {
		struct text line = text_cut(&rest, '\n');
		int len = snprintf(start, sizeof(start), " filename*%d*=%s", section,
			section ? "" : "utf-8''");

		ck_assert_uint_le(line.len, 92);
		ck_assert(text_starts(line, text_of(start)));
		line = text_from(line, (size_t)len);
		for (size_t i = 0; i < line.len && line.at[i] != ';'; i++)
			if (line.at[i] == '%') {
				buf_add_byte(&again, (char)(hex_value(line.at[i + 1]) * 16 +
							     hex_value(line.at[i + 2])));
				i += 2;
			} else {
				buf_add_byte(&again, line.at[i]);
			}
		section++;
	}
	ck_assert_int_gt(section, 1);
	ck_assert(text_equal(buf_text(&in), buf_text(&again)));
	buf_free(&in);
	buf_free(&out);
	buf_free(&again);
}
END_TEST

START_TEST(a_header_line_is_never_too_long_whatever_blanks_it_holds)
{
	char value[1200];
	struct text rest;
	struct buf out = buf_born(65536);

	memset(value, ' ', sizeof(value));
	value[0] = 'a';
	value[sizeof(value) - 1] = 'b';
	smtp_header_add(&out, TEXT("X-A"), (struct text){ value, sizeof(value) });
	ck_assert_int_eq(out.err, OK);
	for (rest = buf_text(&out); rest.len;)
		ck_assert_uint_le(text_cut(&rest, '\n').len, 998);
	buf_free(&out);
}
END_TEST

START_TEST(a_url_that_holds_the_start_of_a_word_stays_as_it_is)
{
	struct buf out = buf_born(65536);

	smtp_header_add(&out, TEXT("List-Unsubscribe"), TEXT("<https://x.example/u/QQ=?v=1>"));
	ck_assert(text_equal(
		buf_text(&out), TEXT("List-Unsubscribe: <https://x.example/u/QQ=?v=1>\r\n")));
	buf_clear(&out);
	smtp_header_add(&out, TEXT("Subject"), TEXT("=?UTF-8?B?YQ==?= as it is"));
	ck_assert(text_contains_nocase(buf_text(&out), TEXT("Subject: =?UTF-8?B?PT9VV")));
	buf_free(&out);
}
END_TEST

START_TEST(a_structured_header_is_folded_and_never_encoded)
{
	struct buf out = buf_born(65536), value = buf_born(65536), line = buf_born(65536);

	buf_add(&value, TEXT("<=?UTF-8?B?YQ==?=@x.example>")); /* an id like any other */
	for (int i = 0; i < 99; i++)
		buf_addf(&value, " <%0*d@x.example>", 1 + i * 2, i);
	smtp_header_add(&out, TEXT("references"), buf_text(&value));
	ck_assert_int_eq(out.err, OK);
	unfold(buf_text(&out), 220, &line);
	ck_assert(text_starts(buf_text(&line), TEXT("references: ")));
	ck_assert(text_equal(text_from(buf_text(&line), 12), buf_text(&value)));
	buf_clear(&out);
	smtp_header_add(&out, TEXT("List-Id"), TEXT(" =?UTF-8?B?YQ==?= <a.example> "));
	ck_assert(text_equal(buf_text(&out), TEXT("List-Id: =?UTF-8?B?YQ==?= <a.example>\r\n")));
	buf_free(&out);
	buf_free(&value);
	buf_free(&line);
}
END_TEST

START_TEST(what_a_structured_header_cannot_hold_is_said)
{
	static const char *const names[] = { "References", "In-Reply-To", "LIST-UNSUBSCRIBE",
		"list-id", "Auto-Submitted" };
	struct buf out = buf_born(65536);
	char words[1200];
	struct text name = text_of(names[_i]);
	size_t most = 998 - name.len - 2;

	memset(words, 'x', sizeof(words));
	ck_assert_ptr_null(smtp_header_why_not(name, (struct text){ words, most }));
	ck_assert_ptr_nonnull(smtp_header_why_not(name, (struct text){ words, most + 1 }));
	ck_assert_ptr_nonnull(smtp_header_why_not(name, TEXT("caf\xc3\xa9")));
	ck_assert_ptr_null(smtp_header_why_not(TEXT("Subject"), TEXT("caf\xc3\xa9")));
	ck_assert_ptr_null(smtp_header_why_not(TEXT("X-List-Id"), TEXT("caf\xc3\xa9")));
	words[most / 2] = ' ';
	ck_assert_ptr_null(smtp_header_why_not(name, (struct text){ words, most + 1 }));
	memset(words + 10, ' ', 100);
	ck_assert_ptr_nonnull(smtp_header_why_not(name, (struct text){ words, 200 }));
	smtp_header_add(&out, name, TEXT("caf\xc3\xa9"));
	ck_assert_int_eq(out.err, ERR_VALUE);
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
}
END_TEST

/* What OpenSSL encodes, with blanks between in odd places, in place and beside it. */
START_TEST(base64_is_decoded_also_where_it_lies)
{
	char bytes[300], wrapped[1000], out[600];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37 + 11);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		unsigned char letters[401];
		size_t count = (size_t)EVP_EncodeBlock(
			       letters, (const unsigned char *)bytes, (int)len),
		       at = 0;
		uint64_t said = 0;

		for (size_t i = 0; i < count; i++) {
			wrapped[at++] = (char)letters[i];
			if (i % (len % 7 + 1) == 0)
				wrapped[at++] = " \t\r\n"[i % 4];
		}
		ck_assert(smtp_base64_check((struct text){ wrapped, at }, &said));
		ck_assert_uint_eq(said, len);
		ck_assert_uint_eq(smtp_base64_decode((struct text){ wrapped, at }, out), len);
		ck_assert(memcmp(out, bytes, len) == 0);
		ck_assert_uint_eq(smtp_base64_decode((struct text){ wrapped, at }, wrapped), len);
		ck_assert(memcmp(wrapped, bytes, len) == 0);
	}
}
END_TEST

UNIT_MAIN(encode, tcase_add_test(cases, base64_is_decoded_also_where_it_lies);
	  tcase_add_test(cases, a_header_line_is_never_too_long_whatever_blanks_it_holds);
	  tcase_add_test(cases, a_url_that_holds_the_start_of_a_word_stays_as_it_is);
	  tcase_add_loop_test(cases, quoted_printable_is_as_wanted, 0, COUNT(printable));
	  tcase_add_loop_test(cases, quoted_printable_comes_out_again, 0, 20);
	  tcase_add_loop_test(cases, base64_is_checked, 0, COUNT(checks));
	  tcase_add_loop_test(cases, a_header_reads_as_it_was_given, 0, COUNT(values));
	  tcase_add_test(cases, a_structured_header_is_folded_and_never_encoded);
	  tcase_add_loop_test(cases, what_a_structured_header_cannot_hold_is_said, 0, 5);
	  tcase_add_loop_test(cases, a_header_without_blanks_is_within_998, 0, 5);
	  tcase_add_test(cases, a_header_takes_no_second_line);
	  tcase_add_loop_test(cases, a_name_is_an_atom_a_string_or_words, 0, COUNT(phrases));
	  tcase_add_loop_test(cases, a_long_name_stays_within_its_lines, 0, COUNT(long_names));
	  tcase_add_test(cases, a_word_is_at_most_75_at_the_start_of_a_line_too);
	  tcase_add_test(cases, no_line_of_a_folded_header_ends_in_blanks);
	  tcase_add_test(cases, no_line_ends_in_a_blank_behind_a_long_name);
	  tcase_add_loop_test(cases, a_parameter_is_quoted_or_extended, 0, COUNT(parameters));
	  tcase_add_loop_test(cases, a_long_parameter_goes_in_sections, 0, 2);)
