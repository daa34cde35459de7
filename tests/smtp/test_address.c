#include "smtp/address/address.h"
#include "unit.h"

#include <string.h>

#define LOCAL_64 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
#define LABEL_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

/* `out` NULL: refused. */
static const struct {
	const char *in, *out, *name;
} rows[] = {
	{ "a@b.org", "a@b.org", "" }, { "a@localhost", "a@localhost", "" },
	{ "A@B.ORG", "A@b.org", "" }, { "a+tag@b.org", "a+tag@b.org", "" },
	{ "!#$%&'*+-/=?^_`{|}~@b.org", "!#$%&'*+-/=?^_`{|}~@b.org", "" },
	{ "a.b.c@b.org", "a.b.c@b.org", "" }, { "1@2.org", "1@2.org", "" },
	{ "a@1.org", "a@1.org", "" }, { "a@_dmarc.b.org", "a@_dmarc.b.org", "" },
	{ "a@x-y.org", "a@x-y.org", "" }, { LOCAL_64 "@b.org", LOCAL_64 "@b.org", "" },
	{ "a@" LABEL_63 ".org", "a@" LABEL_63 ".org", "" }, { "  a@b.org\x20", "a@b.org", "" },
	{ "Ann <a@b.org>", "a@b.org", "Ann" }, { "<a@b.org>", "a@b.org", "" },
	{ "Ann Example <a@b.org>", "a@b.org", "Ann Example" },
	{ "Ann   <a@b.org>", "a@b.org", "Ann" }, { "\"Ann, B.\" <a@b.org>", "a@b.org", "Ann, B." },
	{ "\"a@b.org\" <c@d.org>", "c@d.org", "a@b.org" },
	{ "\"say \\\"hi\\\"\" <a@b.org>", "a@b.org", "say \"hi\"" },
	{ "\"<x@y.org>\" <a@b.org>", "a@b.org", "<x@y.org>" },
	{ "J\xc3\xbcrgen <a@b.org>", "a@b.org", "J\xc3\xbcrgen" },
	{ "Dr. A (B) <a@b.org>", "a@b.org", "Dr. A (B)" }, { "\"a b\"@c.org", "\"a b\"@c.org", "" },
	{ "\"ab\"@c.org", "ab@c.org", "" }, { "\"a@b\"@c.org", "\"a@b\"@c.org", "" },
	{ "\"a\\\"b\"@c.org", "\"a\\\"b\"@c.org", "" },
	{ "\"a\\\\b\"@c.org", "\"a\\\\b\"@c.org", "" }, { "\"\\a\"@c.org", "a@c.org", "" },
	{ "\"a>b\"@c.org", "\"a>b\"@c.org", "" }, { "\"..\"@c.org", "\"..\"@c.org", "" },
	{ "\xc3\xa4@b.org", "\xc3\xa4@b.org", "" },
	{ "a@b\xc3\xbc"
	  "cher.example",
		"a@xn--bcher-kva.example", "" },
	{ "a@B\xc3\x9c"
	  "CHER.example",
		"a@xn--bcher-kva.example", "" },
	{ "a@stra\xc3\x9f"
	  "e.example",
		"a@xn--strae-oqa.example", "" },
	{ "a@xn--bcher-kva.example", "a@xn--bcher-kva.example", "" },
	{ "a@\xef\xbd\x82.org", "a@b.org", "" }, /* full width */
	{ "", NULL, "" }, { "   ", NULL, "" }, { "a", NULL, "" }, { "a@", NULL, "" },
	{ "@b.org", NULL, "" }, { "@", NULL, "" }, { "a@@b.org", NULL, "" },
	{ "a@b@c.org", NULL, "" }, { "a@b..org", NULL, "" }, { "a@.b.org", NULL, "" },
	{ "a@b.org.", NULL, "" }, { "a@-b.org", NULL, "" }, { "a@b-.org", NULL, "" },
	{ "a@b!.org", NULL, "" }, { "a@b org", NULL, "" }, { "a@[127.0.0.1]", NULL, "" },
	{ "a@[IPv6:::1]", NULL, "" }, { "a@127.0.0.1", NULL, "" }, { "a@b.7", NULL, "" },
	{ "a@" LABEL_63 "x.org", NULL, "" }, { LOCAL_64 "x@b.org", NULL, "" },
	{ "a@" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".org", NULL, "" },
	{ ".a@b.org", NULL, "" }, { "a.@b.org", NULL, "" }, { "a..b@b.org", NULL, "" },
	{ "a b@c.org", NULL, "" }, { "a,b@c.org", NULL, "" }, { "a(comment)@b.org", NULL, "" },
	{ "a@b.org(comment)", NULL, "" }, { "a>b@c.org", NULL, "" }, { "a\\b@c.org", NULL, "" },
	{ "\"a@b.org", NULL, "" }, { "\"\"@b.org", NULL, "" }, { "\"a\"b\"@c.org", NULL, "" },
	{ "\"a\\\"@c.org", NULL, "" }, { "a\"b\"@c.org", NULL, "" },
	{ "a@b.org, c@d.org", NULL, "" }, { "a@b.org; c@d.org", NULL, "" },
	{ "a@b.org c@d.org", NULL, "" }, { "a,b@c.org <x@y.org>", NULL, "" },
	{ "x@y.org <a@b.org>", NULL, "" }, { "<x@y.org> <a@b.org>", NULL, "" },
	{ "Ann <a@b.org", NULL, "" }, { "Ann a@b.org>", NULL, "" }, { "Ann <>", NULL, "" },
	{ "<>", NULL, "" }, { "Ann <a@b.org> x", NULL, "" }, { "\"Ann <a@b.org>", NULL, "" },
	{ "Group: a@b.org;", NULL, "" }, { "<@c.org:a@b.org>", NULL, "" },
	{ "< a@b.org >", NULL, "" }, { "a@b.org\r\nRCPT TO:<x@y.org>", NULL, "" },
	{ "a\r@b.org", NULL, "" }, { "a\n@b.org", NULL, "" },
	{ "Ann\r\nBcc: x@y.org <a@b.org>", NULL, "" }, { "\"a\r\nb\"@c.org", NULL, "" },
	{ "a\t@b.org", NULL, "" }, { "a\x7f@b.org", NULL, "" },
	{ "a\xc2\x85@b.org", NULL, "" },     /* NEL */
	{ "a\xe2\x80\xa8@b.org", NULL, "" }, /* line separator */
	{ "a\xc0\x8d@b.org", NULL, "" },     /* overlong CR */
	{ "a\xff@b.org", NULL, "" }, { "a@b\xff.org", NULL, "" },
	{ "a@\xe2\x80\xae.org", NULL, "" }, /* right-to-left override */
	{ "a@xn--\xc3\xa4.org", NULL, "" },
	{ "\xe2\x80\xae"
	  "a@b.org",
		NULL, "" },                      /* the same, and what is not seen, before the @ */
	{ "a\xc2\xa0@b.org", NULL, "" },         /* no-break space */
	{ "a\xe2\x80\x8b@b.org", NULL, "" },     /* zero width space */
	{ "a\xf3\xa0\x80\x81@b.org", NULL, "" }, /* tag */
	{ "\xe2\x80\xaegro.b@a <a@b.org>", NULL, "" }, { "\"\xe2\x81\xa6x\" <a@b.org>", NULL, "" },
	{ "\xd9\x85\xe2\x80\x8c\xdb\x8c <a@b.org>", "a@b.org",
		"\xd9\x85\xe2\x80\x8c\xdb\x8c" }, /* a joiner in a name */
};

START_TEST(an_address_is_taken_or_refused)
{
	struct smtp_mailbox box = { 0 };
	const char *why = NULL;
	struct region *region;
	enum err err;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	err = smtp_mailbox_parse(text_of(rows[_i].in), region, &box, &why);
	ck_assert_msg(
		(err == OK) == (rows[_i].out != NULL), "%s: %s", rows[_i].in, why ? why : "taken");
	if (err) {
		ck_assert_ptr_nonnull(why);
		ck_assert_ptr_null(box.address.at);
	} else {
		ck_assert_msg(text_equal(box.address, text_of(rows[_i].out)), "%s: %.*s",
			rows[_i].in, (int)box.address.len, box.address.at);
		ck_assert_msg(text_equal(box.name, text_of(rows[_i].name)), "%s: %.*s", rows[_i].in,
			(int)box.name.len, box.name.at);
	}
	region_close(region);
}
END_TEST

/* What was written once reads as the same again: envelope, header and policy see one address. */
START_TEST(an_address_reads_the_same_again)
{
	struct text address = { 0 }, again = { 0 };
	const char *why = NULL;
	struct region *region;

	if (!rows[_i].out)
		return;
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(smtp_address_parse(text_of(rows[_i].out), region, &address, &why), OK);
	ck_assert_int_eq(smtp_address_parse(address, region, &again, &why), OK);
	ck_assert(text_equal(address, again));
	ck_assert(text_equal(address, text_of(rows[_i].out)));
	ck_assert_int_eq(smtp_address_needs_utf8(address), !text_is_ascii(address));
	ck_assert(
		text_starts(text_of(strrchr(rows[_i].out, '@') + 1), smtp_address_domain(address)));
	region_close(region);
}
END_TEST

static const struct {
	const char *in;
	bool several;
} lists[] = {
	{ "a@b.org, c@d.org", true },
	{ "a@b.org,c@d.org", true },
	{ "a@b.org; c@d.org", true },
	{ "Ann <a@b.org>, Bo <c@d.org>", true },
	{ "Ann <a@b.org>, c@d.org", true },
	{ "\"B, Ann\" <a@b.org>, c@d.org", true },
	{ "\"a@b.org\\\", x\" <a@b.org>, c@d.org", true },
	{ "a,b@c.org", false },
	{ "B, Ann <a@b.org>", false },
	{ "\"a@b.org, c@d.org\"", false },
	{ "\"a@b.org, c@d.org\" <x@y..org>", false },
	{ "a@b.org,", false },
	{ "a@b@c.org", false },
};

START_TEST(several_in_one_string_are_told_to_be_a_list)
{
	struct text in = text_of(lists[_i].in), address;
	struct smtp_mailbox box;
	const char *why = "";
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(smtp_mailbox_parse(in, region, &box, &why), ERR_VALUE);
	ck_assert_msg(!strstr(why, "as a list") == !lists[_i].several, "%s: %s", lists[_i].in, why);
	ck_assert_int_eq(smtp_address_parse(in, region, &address, &why), ERR_VALUE);
	ck_assert_msg(!strstr(why, "as a list") == !lists[_i].several, "%s: %s", lists[_i].in, why);
	region_close(region);
}
END_TEST

START_TEST(an_embedded_nul_is_refused)
{
	struct smtp_mailbox box = { 0 };
	const char *why = NULL;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_ne(smtp_mailbox_parse(TEXT("a\0@b.org"), region, &box, &why), OK);
	ck_assert_int_ne(smtp_mailbox_parse(TEXT("a@b.org\0.c.org"), region, &box, &why), OK);
	region_close(region);
}
END_TEST

static const struct {
	const char *address, *pattern;
	bool fits;
} patterns[] = {
	{ "a@b.org", "*", true },
	{ "a@b.org", "*@b.org", true },
	{ "a@b.org", "*@B.ORG", true },
	{ "a@b.org", "a@b.org", true },
	{ "a@b.org", "A@b.org", false },
	{ "a@b.org", "*@c.org", false },
	{ "a@x.b.org", "*@b.org", false },
	{ "a@xb.org", "*@*.b.org", false },
	{ "a@x.b.org", "*@*.b.org", true },
	{ "a@x.y.b.org", "*@*.b.org", true },
	{ "a@b.org", "*@*.b.org", false },
	{ "\"x@b.org\"@c.org", "*@b.org", false },
	{ "\"x@b.org\"@c.org", "*@c.org", true },
	{ "a@b.org.evil.org", "*@b.org", false },
};

START_TEST(an_address_fits_a_pattern_or_not)
{
	ck_assert_msg(smtp_address_matches(text_of(patterns[_i].address),
			      text_of(patterns[_i].pattern)) == patterns[_i].fits,
		"%s %s", patterns[_i].address, patterns[_i].pattern);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

UNIT_MAIN(address, tcase_add_loop_test(cases, an_address_is_taken_or_refused, 0, COUNT(rows));
	  tcase_add_loop_test(cases, an_address_reads_the_same_again, 0, COUNT(rows));
	  tcase_add_loop_test(cases, several_in_one_string_are_told_to_be_a_list, 0, COUNT(lists));
	  tcase_add_test(cases, an_embedded_nul_is_refused);
	  tcase_add_loop_test(cases, an_address_fits_a_pattern_or_not, 0, COUNT(patterns));)
