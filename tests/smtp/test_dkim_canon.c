#include "dkim_unit.h"

/* ---- body */

static const struct {
	struct text in, out;
} bodies[] = {
	{ TEXT(" C \r\nD \t E\r\n\r\n\r\n"), TEXT(" C\r\nD E\r\n") }, /* RFC 6376 3.4.5 */
	{ TEXT(""), TEXT("") },
	{ TEXT("\r\n"), TEXT("") },
	{ TEXT("\r\n\r\n\r\n"), TEXT("") },
	{ TEXT(" \r\n\t\r\n \t "), TEXT("") },
	{ TEXT("a"), TEXT("a\r\n") },
	{ TEXT("a\r\n"), TEXT("a\r\n") },
	{ TEXT("a\r\n\r\n"), TEXT("a\r\n") },
	{ TEXT("a \t\r\n \r\n\t\t\r\n"), TEXT("a\r\n") },
	{ TEXT("a \t"), TEXT("a\r\n") },
	{ TEXT("\r\n\r\na\r\n\r\n\r\nb"), TEXT("\r\n\r\na\r\n\r\n\r\nb\r\n") },
	{ TEXT("\t a\t \tb  c\t\r\n"), TEXT(" a b c\r\n") },
	{ TEXT("a\r\n \r\n b"), TEXT("a\r\n\r\n b\r\n") },
	{ TEXT(".\r\n..\r\n.a"), TEXT(".\r\n..\r\n.a\r\n") },
	{ TEXT("a\nb \n\r\n"), TEXT("a\nb \n\r\n") }, /* only CRLF ends a line */
	{ TEXT("a\rb\r\r\n\rc"), TEXT("a\rb\r\r\n\rc\r\n") },
	{ TEXT(" \r \r\n"), TEXT(" \r\r\n") },
	{ TEXT("a\r\r\n"), TEXT("a\r\r\n") },
	{ TEXT("a\r"), TEXT("a\r\n") }, /* as smtp_dot_end completes it */
	{ TEXT("\r"), TEXT("") },
	{ TEXT("a \r"), TEXT("a\r\n") },
	{ TEXT("\xc3\xa9\0\xff \x0b\r\n"), TEXT("\xc3\xa9\0\xff \x0b\r\n") },
};

START_TEST(a_body_is_the_same_wherever_it_is_cut)
{
	unsigned char hash[DKIM_HASH], wanted[DKIM_HASH];

	ck_assert_int_eq(
		EVP_Digest(bodies[_i].out.at, bodies[_i].out.len, wanted, NULL, EVP_sha256(), NULL),
		1);
	for (size_t cut = 0; cut <= bodies[_i].in.len; cut++) {
		hash_cut(bodies[_i].in, cut, hash);
		ck_assert_msg(memcmp(hash, wanted, DKIM_HASH) == 0, "cut at %zu", cut);
	}
	ck_assert(plain_body_hash(bodies[_i].in, hash));
	ck_assert_mem_eq(hash, wanted, DKIM_HASH);
}
END_TEST

static unsigned next(unsigned *state)
{
	*state = *state * 1103515245U + 12345U;
	return *state >> 16;
}

/* Long enough to pass what is held back several times; fed in pieces of any size. */
START_TEST(a_long_body_hashes_as_the_plain_one_does)
{
	static const char *const pieces[] = { "\r\n", "\r\n", " ", "\t", "\r", "\n", ".", "word",
		"a longer run of words without an end", "\r\n\r\n" };
	unsigned state = (unsigned)_i * 2654435761U + 1;
	struct buf body = buf_born(1 << 20);
	size_t wanted_len = (size_t)_i * 97 + DKIM_HELD - 20, at = 0;
	unsigned char hash[DKIM_HASH], wanted[DKIM_HASH];
	struct dkim_body hashed;

	while (body.len < wanted_len)
		buf_add_string(&body, pieces[next(&state) % 10]);
	ck_assert_int_eq(body.err, OK);
	ck_assert_int_eq(dkim_body_begin(&hashed), OK);
	while (at < body.len) {
		struct text piece = text_head(text_from(buf_text(&body), at), next(&state) % 700);

		dkim_body_add(&hashed, piece);
		at += piece.len;
	}
	ck_assert_int_eq(dkim_body_end(&hashed, hash), OK);
	ck_assert(plain_body_hash(buf_text(&body), wanted));
	ck_assert_mem_eq(hash, wanted, DKIM_HASH);
	buf_free(&body);
}
END_TEST

START_TEST(a_body_that_fills_what_is_held_is_whole)
{
	char *letters = malloc(DKIM_HELD * 2 + 4);
	unsigned char hash[DKIM_HASH], wanted[DKIM_HASH];

	ck_assert_ptr_nonnull(letters);
	memset(letters, 'x', DKIM_HELD * 2 + 4);
	for (size_t len = DKIM_HELD - 3; len <= DKIM_HELD * 2 + 4; len++) {
		struct text body = { letters, len };

		hash_cut(body, len / 3, hash);
		ck_assert(plain_body_hash(body, wanted));
		ck_assert_mem_eq(hash, wanted, DKIM_HASH);
	}
	free(letters);
}
END_TEST

/* ---- head */

static const struct {
	struct text in, out;
} fields[] = {
	{ TEXT("A: X\r\n"), TEXT("a:X\r\n") }, /* RFC 6376 3.4.5 */
	{ TEXT("B : Y\t\r\n\tZ  \r\n"), TEXT("b:Y Z\r\n") },
	{ TEXT("SUBJect:\r\n AbC\r\n"), TEXT("subject:AbC\r\n") },
	{ TEXT("X:\r\n"), TEXT("x:\r\n") },
	{ TEXT("X: \t \r\n"), TEXT("x:\r\n") },
	{ TEXT("X:a"), TEXT("x:a\r\n") },
	{ TEXT("X \t :\t a:b \t c\r\n"), TEXT("x:a:b c\r\n") },
	{ TEXT("X: a\r\n \r\n\t\r\n b\r\n"), TEXT("x:a b\r\n") },
	{ TEXT("X: a\r\n \r\n"), TEXT("x:a\r\n") },
	{ TEXT("X: gr\xc3\xbc\xc3\x9f  \xff\r\n"), TEXT("x:gr\xc3\xbc\xc3\x9f \xff\r\n") },
};

START_TEST(a_field_in_relaxed_form)
{
	struct buf out = buf_born(1024);

	dkim_field_relax(&out, fields[_i].in);
	ck_assert_msg(text_equal(buf_text(&out), fields[_i].out), "%.*s", (int)out.len, out.at);
	buf_free(&out);
}
END_TEST

START_TEST(the_head_ends_at_the_blank_line)
{
	static const struct {
		struct text in;
		size_t head, body_at;
	} rows[] = {
		{ TEXT("A: b\r\n\r\nc"), 6, 8 },
		{ TEXT("A: b\r\n\r\n\r\n\r\n"), 6, 8 },
		{ TEXT("A: b\r\n"), 6, 6 },
		{ TEXT("A: b"), 4, 4 },
		{ TEXT("\r\nA: b\r\n\r\n"), 0, 2 },
		{ TEXT("A: b\r\n \r\n c\r\n\r\n"), 13, 15 },
		{ TEXT(""), 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t body_at = 99;
		struct text head = dkim_head(rows[i].in, &body_at);

		ck_assert_uint_eq(head.len, rows[i].head);
		ck_assert_uint_eq(body_at, rows[i].body_at);
	}
}
END_TEST

START_TEST(a_sound_head_is_a_list_of_fields)
{
	static const struct text good[] = { TEXT(""), TEXT("A:"), TEXT("A: b"), TEXT("A:\r\n"),
		TEXT("A: b\r\n c\r\n"), TEXT("A: b\r\n \r\n"), TEXT("A \t: b\r\nB:c\r\n"),
		TEXT("!#$%&'*+-.^_`|~: \xff\r\n") };
	static const struct text bad[] = { TEXT("A"), TEXT("A\r\n"), TEXT(" A: b\r\n"),
		TEXT(": b\r\n"), TEXT(" : b\r\n"), TEXT("A: b\n"), TEXT("A: b\nB: c\r\n"),
		TEXT("A: b\rB: c\r\n"), TEXT("A: b\r"), TEXT("A: b\r\r\n"), TEXT("A: b\r\n\r\n"),
		TEXT("\r\n"), TEXT("A: b\r\nb\r\n"), TEXT("A: \0\r\n"), TEXT("\xc3\xa4: b\r\n"),
		TEXT("A b: c\r\n"), TEXT("A\x7f: c\r\n"), TEXT("A: b\r\n:\r\n") };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(dkim_head_is_sound(good[i]), "%s", good[i].at);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!dkim_head_is_sound(bad[i]), "%zu: %s", i, bad[i].at);
}
END_TEST

UNIT_MAIN(dkim_canon,
	  tcase_add_loop_test(cases, a_body_is_the_same_wherever_it_is_cut, 0, ROWS(bodies));
	  tcase_add_loop_test(cases, a_long_body_hashes_as_the_plain_one_does, 0, 100);
	  tcase_add_test(cases, a_body_that_fills_what_is_held_is_whole);
	  tcase_add_loop_test(cases, a_field_in_relaxed_form, 0, ROWS(fields));
	  tcase_add_test(cases, the_head_ends_at_the_blank_line);
	  tcase_add_test(cases, a_sound_head_is_a_list_of_fields);)
