#include "smtp/message/message.h"
#include "unit.h"

#include <string.h>

static const struct {
	const char *html, *text;
} rows[] = {
	{ "", "\n" },
	{ "plain", "plain\n" },
	{ "<p>one</p><p>two</p>", "one\n\ntwo\n" },
	{ "<p>one<br>two<br/>three</p>", "one\ntwo\nthree\n" },
	{ "<P>ONE</P>\r\n\r\n<DIV>two</DIV>", "ONE\n\ntwo\n" },
	{ "a  \n\t b", "a b\n" },
	{ "<b>bo</b>ld <i>it</i>", "bold it\n" },
	{ "Tom &amp; Jerry &lt;x&gt; &quot;q&quot; &apos;a&apos;", "Tom & Jerry <x> \"q\" 'a'\n" },
	{ "&euro;5 &#8364;6 &#x20ac;7 &#x20AC;8", "\xe2\x82\xac"
						  "5 \xe2\x82\xac"
						  "6 \xe2\x82\xac"
						  "7 \xe2\x82\xac"
						  "8\n" },
	{ "&unknown; & &; &#; &#x; &#xd800; &#0; &#1114112; &#99999999;",
		"&unknown; & &; &#; &#x; &#99999999;\n" },
	{ "<script>var a = '<p>no</p>';</script>yes<style>p{}</style>", "yes\n" },
	{ "<head><title>no</title></head><body>yes", "yes\n" },
	{ "<!-- no <p> -->yes<!-- never ends", "yes\n" },
	{ "<scripture>yes</scripture>", "yes\n" },
	{ "<ul><li>one<li>two</ul>three", "- one\n- two\n\nthree\n" },
	{ "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n" },
	{ "<a href=\"https://e.org/\">go</a>", "go <https://e.org/>\n" },
	{ "<a href='https://e.org/?a=1&amp;b'>go</a>", "go <https://e.org/?a=1&b>\n" },
	{ "<a class=x href=https://e.org/>go</a>", "go <https://e.org/>\n" },
	{ "<a href=\"https://e.org/\">https://e.org/</a>", "https://e.org/\n" },
	{ "<a href=\"#top\">top</a>", "top\n" },
	{ "<a>none</a>", "none\n" },
	{ "<a href=\"x\">open", "open <x>\n" },
	{ "<img alt=\"a > b\" src=x>yes", "yes\n" },
	{ "<img alt='a > \"b' title=\"it's > that\">yes", "yes\n" },
	{ "<img alt = \"a > b\">yes", "yes\n" },
	{ "<a title=\"see href=no > \" href=\"https://e.org/?a>b\">go</a>",
		"go <https://e.org/?a>b>\n" },
	{ "<a href=https://e.org/\tclass=x>go</a>", "go <https://e.org/>\n" },
	{ "<p don't>yes</p> isn't", "yes\n\nisn't\n" },
	{ "<p title=\"never closed>yes", "yes\n" },
	{ "<p title=\">\"never closed", "\"never closed\n" },
	{ "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\">yes", "yes\n" },
	{ "1 < 2 and 3 > 2", "1 < 2 and 3 > 2\n" },
	{ "a <3 b", "a <3 b\n" },
	{ "<p", "<p\n" },
	{ "<", "<\n" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f\n" },
};

START_TEST(html_becomes_readable)
{
	struct region *region;
	struct text text;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(smtp_html_to_text(text_of(rows[_i].html), region, &text), OK);
	ck_assert_str_eq(text.at, rows[_i].text);
	region_close(region);
}
END_TEST

/* The region has what the text takes, and little more. */
START_TEST(a_text_takes_its_own_bytes_and_no_more)
{
	enum { BYTES = 1 << 20 };
	char *html = malloc(BYTES);
	struct region *region;
	struct text text;
	size_t before;

	ck_assert_ptr_nonnull(html);
	memset(html, 'x', BYTES);
	ck_assert_int_eq(region_open(BYTES + 256, &region), OK);
	before = region_used(region);
	ck_assert_int_eq(smtp_html_to_text((struct text){ html, BYTES }, region, &text), OK);
	ck_assert_uint_eq(text.len, BYTES + 1);
	ck_assert_uint_le(region_used(region) - before, BYTES + 64);
	ck_assert_int_eq(smtp_html_to_text((struct text){ html, 1000 }, region, &text), ERR_LIMIT);
	ck_assert_uint_le(region_used(region) - before, BYTES + 64);
	region_close(region);
	free(html);
}
END_TEST

/* What repeats in these would cost a square, were it looked at from each of its places. */
START_TEST(no_input_is_slow)
{
	static const char *const pieces[] = { "<", "<a", "&", "<!--", "<script>", "<a href=x", "</",
		"<a href=\"", "<li>", " ", "<p>", "<a>x", "&#", "<a b='", "<a b=\">\"",
		"<a b=\">\"<a b='>'" };
	size_t room = 2 << 20, len = strlen(pieces[_i]);
	char *html = malloc(room);
	struct region *region;
	struct text text;

	ck_assert_ptr_nonnull(html);
	for (size_t i = 0; i + len <= room; i += len)
		memcpy(html + i, pieces[_i], len);
	html[room - 1] = strchr(pieces[_i], '>') ? ' ' : '>';
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	ck_assert_int_eq(
		smtp_html_to_text((struct text){ html, room / len * len }, region, &text), OK);
	region_close(region);
	free(html);
}
END_TEST

UNIT_MAIN(
	html, tcase_add_loop_test(cases, html_becomes_readable, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(cases, a_text_takes_its_own_bytes_and_no_more);
	tcase_add_loop_test(cases, no_input_is_slow, 0, 16);)
