#include "smtp/session/dot.h"
#include "unit.h"

static const struct {
	struct text in, out;
} rows[] = {
	{ TEXT(""), TEXT(".\r\n") },
	{ TEXT("a"), TEXT("a\r\n.\r\n") },
	{ TEXT("a\r\n"), TEXT("a\r\n.\r\n") },
	{ TEXT("."), TEXT("..\r\n.\r\n") },
	{ TEXT(".\r\n"), TEXT("..\r\n.\r\n") },
	{ TEXT("..\r\n"), TEXT("...\r\n.\r\n") },
	{ TEXT("a\r\n.\r\nb\r\n"), TEXT("a\r\n..\r\nb\r\n.\r\n") },
	{ TEXT("a.b\r\n.c\r\n..d\r\n"), TEXT("a.b\r\n..c\r\n...d\r\n.\r\n") },
	{ TEXT("a\r\n\r\n.\r\n"), TEXT("a\r\n\r\n..\r\n.\r\n") },
	{ TEXT("a\r"), TEXT("a\r\n.\r\n") },
	{ TEXT("\r\n"), TEXT("\r\n.\r\n") },
	{ TEXT("\r\n.MAIL FROM:<x>\r\n"), TEXT("\r\n..MAIL FROM:<x>\r\n.\r\n") },
};

START_TEST(stuffing_is_the_same_wherever_it_is_cut)
{
	for (size_t cut = 0; cut <= rows[_i].in.len; cut++) {
		struct buf out = buf_born(1024);
		struct smtp_dot dot = { 0 };

		smtp_dot_stuff(&dot, text_head(rows[_i].in, cut), &out);
		smtp_dot_stuff(&dot, text_from(rows[_i].in, cut), &out);
		smtp_dot_end(&dot, &out);
		ck_assert_msg(text_equal(buf_text(&out), rows[_i].out), "cut at %zu: %.*s", cut,
			(int)out.len, out.at);
		buf_free(&out);
	}
}
END_TEST

/* As a relay takes the dots off again (RFC 5321 4.5.2); false: the data ended too early. */
static bool unstuff(struct text in, struct buf *out)
{
	while (in.len) {
		struct text line = text_head(in, text_find(in, '\n') + 1);

		in = text_from(in, line.len);
		if (text_equal(line, TEXT(".\r\n")))
			return in.len == 0;
		buf_add(out, text_from(line, line.at[0] == '.'));
	}
	return false;
}

START_TEST(what_was_stuffed_comes_out_again)
{
	static const char letters[] = "..\n\na";
	unsigned state = (unsigned)_i * 2654435761U + 1;
	struct buf in = buf_born(4096), out = buf_born(8192), again = buf_born(8192);
	struct smtp_dot dot = { 0 };

	for (int i = 0; i < 64; i++) {
		size_t before = in.len;

		state = state * 1103515245U + 12345U;
		if (letters[state >> 16 & 3] == '\n')
			buf_add(&in, TEXT("\r\n"));
		else
			buf_add_byte(&in, letters[(state >> 16) % 5 == 4 ? 4 : 0]);
		smtp_dot_stuff(&dot, text_from(buf_text(&in), before), &out);
	}
	smtp_dot_end(&dot, &out);
	if (dot.inside_line)
		buf_add(&in, TEXT("\r\n"));
	ck_assert(unstuff(buf_text(&out), &again));
	ck_assert(text_equal(buf_text(&in), buf_text(&again)));
	buf_free(&in);
	buf_free(&out);
	buf_free(&again);
}
END_TEST

UNIT_MAIN(dot, tcase_add_loop_test(cases, stuffing_is_the_same_wherever_it_is_cut, 0,
		       sizeof(rows) / sizeof(rows[0]));
	  tcase_add_loop_test(cases, what_was_stuffed_comes_out_again, 0, 200);)
