#include "smtp/address/address_list.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TEN(text)    text text text text text text text text text text

/* What comes out: "name|address" of each, joined by one blank. */
static const struct {
	const char *in, *out;
} good[] = {
	{ "", "" },
	{ " \t ", "" },
	{ "a@b.org", "|a@b.org" },
	{ "A@B.ORG", "|A@b.org" },
	{ "a@b.org,c@d.org", "|a@b.org |c@d.org" },
	{ " a@b.org , c@d.org ", "|a@b.org |c@d.org" },
	{ "a@b.org,\r\n c@d.org", "|a@b.org |c@d.org" },
	{ "a@b.org,\n\tc@d.org\r\n ", "|a@b.org |c@d.org" },
	{ "a@b.org,", "|a@b.org" },
	{ ",,a@b.org,, ,(x),c@d.org,,", "|a@b.org |c@d.org" },
	{ "<a@b.org>", "|a@b.org" },
	{ "< a@b.org >", "|a@b.org" },
	{ "Ann <a@b.org>", "Ann|a@b.org" },
	{ "Ann<a@b.org>", "Ann|a@b.org" },
	{ "Ann  B\r\n C <a@b.org>", "Ann B C|a@b.org" },
	{ "J. Q. Public <a@b.org>, a@b.org", "J. Q. Public|a@b.org |a@b.org" },
	{ "\"B, Ann\" <a@b.org>", "B, Ann|a@b.org" },
	{ "\"a@x.org\" <a@b.org>", "a@x.org|a@b.org" },
	{ "\"<x@y.org>\" <a@b.org>", "<x@y.org>|a@b.org" },
	{ "\"x@y.org, \\\"z@y.org\" <a@b.org>", "x@y.org, \"z@y.org|a@b.org" },
	{ "\"\\\\\" <a@b.org>", "\\|a@b.org" },
	{ "\"\" <a@b.org>", "|a@b.org" },
	{ "\"A\" \"B\" c <a@b.org>", "A B c|a@b.org" },
	{ "\"A\r\n B\tC\" <a@b.org>", "A B C|a@b.org" },
	{ "(one) Ann (two, x@y.org) B (three) <a@b.org> (four)", "Ann B|a@b.org" },
	{ "(x@y.org) a@b.org (z@y.org)", "|a@b.org" },
	{ "(a (b (c) d) \\) \\( ) a@b.org", "|a@b.org" },
	{ "<(x)a@b.org(y)>", "|a@b.org" },
	{ "a@b.org(x),(y)c@d.org", "|a@b.org |c@d.org" },
	{ TEN("(") TEN("(") TEN("(") "((" TEN(")") TEN(")") TEN(")") ")) a@b.org", "|a@b.org" },
	{ "=?utf-8?Q?Bo=2C_x=40y.org?= <a@b.org>", "=?utf-8?Q?Bo=2C_x=40y.org?=|a@b.org" },
	{ "=?utf-8?B?eEB5Lm9yZw==?=\r\n =?utf-8?Q?z?= <a@b.org>",
		"=?utf-8?B?eEB5Lm9yZw==?= =?utf-8?Q?z?=|a@b.org" },
	{ "undisclosed-recipients:;", "" },
	{ "undisclosed-recipients: ;", "" },
	{ "Team: a@x.org, B <b@y.org>;", "|a@x.org B|b@y.org" },
	{ "Team:a@x.org;,c@z.org", "|a@x.org |c@z.org" },
	{ "\"A, Team\" (x) : a@x.org,, ; , None:;, c@z.org", "|a@x.org |c@z.org" },
	{ "c@z.org, Team: a@x.org, ;", "|c@z.org |a@x.org" },
	{ "J\xc3\xbcrgen <a@b.org>", "J\xc3\xbcrgen|a@b.org" },
	{ "\xc3\xa4@b\xc3\xbc"
	  "cher.example, c@d.org",
		"|\xc3\xa4@xn--bcher-kva.example |c@d.org" },
	{ "\"a b\"@c.org", "|\"a b\"@c.org" },
	{ "\"a,b\"@c.org,\"ab\"@c.org", "|\"a,b\"@c.org |ab@c.org" },
	{ "X <\"a@b\"@c.org>", "X|\"a@b\"@c.org" },
	{ "\"a>b\"@c.org", "|\"a>b\"@c.org" },
};

/* `why`: part of the phrase. */
static const struct {
	const char *in;
	size_t place;
	const char *why;
} bad[] = {
	{ "a", 1, "needs an @" },
	{ "undisclosed recipients", 1, "needs an @" },
	{ "a@b.org, c", 2, "needs an @" },
	{ "a@b.org, c, d@e.org", 2, "needs an @" },
	{ "B, Ann <a@b.org>", 1, "needs double quotes" },
	{ "<a>", 1, "needs an @" },
	{ "<>", 1, "no address between" },
	{ "Ann <>", 1, "no address between" },
	{ "Ann <", 1, "no address behind" },
	{ "<a", 1, "no address behind" },
	{ "Ann <<a@b.org>>", 1, "no address behind" },
	{ "<a@b.org", 1, "> behind an address is missing" },
	{ "<a@b.org,c@d.org>", 1, "> behind an address is missing" },
	{ "<a@b.org c@d.org>", 1, "> behind an address is missing" },
	{ "<Ann a@b.org>", 1, "behind a name" },
	{ "<@x.org:a@b.org>", 1, "route" },
	{ "<@x.org,@y.org:a@b.org>", 1, "route" },
	{ "Ann a@b.org", 1, "behind a name" },
	{ "a @b.org", 1, "stand before the @" },
	{ "a(x)@b.org", 1, "stand before the @" },
	{ "a\r\n @b.org", 1, "stand before the @" },
	{ "a@ b.org", 1, "domain is missing" },
	{ "a@(x)b.org", 1, "domain is missing" },
	{ "a@b .org", 1, "comma is missing" },
	{ "a@b. org", 1, "ends with a dot" },
	{ "a. b@c.org", 1, "behind a name" },
	{ "@b.org", 1, "nothing before the @" },
	{ ",@b.org", 1, "nothing before the @" },
	{ "a@", 1, "domain is missing" },
	{ "a@b@c.org", 1, "an @ too many" },
	{ "<a@b@c.org>", 1, "> behind an address is missing" },
	{ "a@[127.0.0.1]", 1, "literal" },
	{ "<a@[IPv6:::1]>", 1, "literal" },
	{ "a@b.org c@d.org", 1, "comma is missing" },
	{ "<a@b.org> <c@d.org>", 1, "comma is missing" },
	{ "<a@b.org> Ann", 1, "comma is missing" },
	{ "a@b.org \"Ann\"", 1, "comma is missing" },
	{ "a@b.org <c@d.org>", 1, "double quotes" },
	{ "a@b.org; c@d.org", 1, "separated by commas" },
	{ "a@b.org;", 1, "separated by commas" },
	{ ";", 1, "separated by commas" },
	{ "a@b.org:", 1, "name of a group" },
	{ ":a@b.org;", 1, "name of a group" },
	{ "<a@b.org>:c@d.org;", 1, "name of a group" },
	{ "Team: a@b.org", 1, "not closed by a ;" },
	{ "Team:", 1, "not closed by a ;" },
	{ "A: B: a@b.org;;", 1, "within a group" },
	{ "A:; B:;", 1, "comma is missing" },
	{ "A:; a@b.org", 1, "comma is missing" },
	{ "A:;;", 1, "separated by commas" },
	{ "<A: a@b.org;>", 1, "no address behind" },
	{ "a>", 1, "needs an @" },
	{ "a@b.org>", 1, "> without a <" },
	{ ">", 1, "> without a <" },
	{ "a@b.org)", 1, ") without a (" },
	{ ") <a@b.org>", 1, ") without a (" },
	{ "(", 1, "comment is not closed" },
	{ "a@b.org (x", 1, "comment is not closed" },
	{ "(a (b) a@b.org", 1, "comment is not closed" },
	{ "(x\\) a@b.org", 1, "comment is not closed" },
	{ "(x\\", 1, "comment is not closed" },
	{ TEN("(") TEN("(") TEN("(") "(((" TEN(")") TEN(")") TEN(")") "))) a@b.org", 1,
		"too deep" },
	{ "\"", 1, "quote is not closed" },
	{ "\"a", 1, "quote is not closed" },
	{ "\"a\\", 1, "quote is not closed" },
	{ "\"a\\\"", 1, "quote is not closed" },
	{ "Ann \" <a@b.org>", 1, "quote is not closed" },
	{ "a\"b\" <a@b.org>", 1, "middle of a word" },
	{ "\"a\"b@c.org", 1, "middle of a word" },
	{ "\"a\"\"b\"@c.org", 1, "middle of a word" },
	{ "\"\"@c.org", 1, "malformed" },
	{ "[x] <a@b.org>", 1, "must stand in double quotes" },
	{ "a\\b <a@b.org>", 1, "needs an @" },
	{ "a@b.org]", 1, "must stand in double quotes" },
	{ "a@b.org \x01", 1, "must stand in double quotes" },
	{ "A\x7f <a@b.org>", 1, "needs an @" },
	{ "\"A\x1b\" <a@b.org>", 1, "control characters" },
	{ "A\xc2\x85 <a@b.org>", 1, "control characters" },
	{ "\"a\r\n b\"@c.org", 1, "control characters" },
	{ "\xff <a@b.org>", 1, "UTF-8" },
	{ "a@b.org\r", 1, "no fold" },
	{ "a@b.org\n", 1, "no fold" },
	{ "a@b.org\r\n", 1, "no fold" },
	{ "a@b.org,\nc@d.org", 1, "no fold" },
	{ "a@b.org,\r c@d.org", 1, "no fold" },
	{ "a@b.org (x\ry)", 1, "no fold" },
	{ "\"A\rB\" <a@b.org>", 1, "no fold" },
	{ "\"A\\\r\" <a@b.org>", 1, "no fold" },
	{ "a@b..org", 1, "empty label" },
	{ "a@b.org, c..d@e.org", 2, "before the @" },
	{ "a@b.org, c@d.org, e@-f.org", 3, "hyphen" },
};

static enum err parse(struct text in, size_t most, struct region *region,
	struct smtp_mailboxes *list, struct smtp_list_fault *fault)
{
	*list = (struct smtp_mailboxes){ 0 };
	*fault = (struct smtp_list_fault){ 0 };
	return smtp_address_list_parse(in, SMTP_COMMENTS_SKIPPED, most, region, list, fault);
}

static void write_list(struct smtp_mailboxes list, char *out, size_t room)
{
	size_t len = 0;

	out[0] = 0;
	for (size_t i = 0; i < list.count; i++)
		len += (size_t)snprintf(out + len, room - len, "%s%.*s|%.*s", i ? " " : "",
			(int)list.at[i].name.len, list.at[i].name.at ? list.at[i].name.at : "",
			(int)list.at[i].address.len, list.at[i].address.at);
}

START_TEST(a_list_is_read)
{
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;
	struct region *region;
	char out[1024];

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_msg(parse(text_of(good[_i].in), 100, region, &list, &fault) == OK, "%s: %s",
		good[_i].in, fault.why);
	write_list(list, out, sizeof(out));
	ck_assert_str_eq(out, good[_i].out);
	region_close(region);
}
END_TEST

/* "name:first+count" of each, joined by one blank. */
static const struct {
	const char *in, *out;
} groups[] = {
	{ "a@b.org", "" },
	{ "undisclosed-recipients:;", "undisclosed-recipients:0+0" },
	{ "Team: a@x.org, B <b@y.org>;", "Team:0+2" },
	{ "c@z.org, \"A, Team\" : a@x.org,, ; , None:;, c@z.org", "A, Team:1+1 None:2+0" },
	{ "None (x) at  all:;,One:a@b.org;", "None at all:0+0 One:0+1" },
	{ "\"\":;", ":0+0" },
};

START_TEST(groups_are_known_by_their_members)
{
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;
	struct region *region;
	char out[200] = "";
	size_t len = 0;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(parse(text_of(groups[_i].in), 100, region, &list, &fault), OK);
	for (size_t i = 0; i < list.group_count; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.*s:%zu+%zu",
			i ? " " : "", (int)list.groups[i].name.len, list.groups[i].name.at,
			list.groups[i].first, list.groups[i].count);
	ck_assert_str_eq(out, groups[_i].out);
	region_close(region);
}
END_TEST

START_TEST(a_wrong_list_is_refused_with_its_reason)
{
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_msg(
		parse(text_of(bad[_i].in), 100, region, &list, &fault) != OK, "%s", bad[_i].in);
	ck_assert_msg(strstr(fault.why, bad[_i].why) != NULL, "%s: %s", bad[_i].in, fault.why);
	ck_assert_uint_eq(fault.place, bad[_i].place);
	ck_assert_uint_eq(list.count, 0);
	region_close(region);
}
END_TEST

START_TEST(comments_are_refused_where_they_would_be_lost)
{
	static const struct {
		const char *in;
		unsigned place; /* 0: it is taken */
	} rows[] = {
		{ "John (Sales, EU) <a@b.org>", 1 },
		{ "a@b.org (x, y)", 1 },
		{ "a@b.org, (x) c@d.org", 2 },
		{ "a@b.org, <(x)c@d.org>", 2 },
		{ "Team (x): a@b.org;", 1 },
		{ "\"John (Sales, EU)\" <a@b.org>, \"(\": c@d.org;", 0 },
	};

	for (int i = 0; i < COUNT(rows); i++) {
		struct smtp_list_fault fault = { 0 };
		struct smtp_mailboxes list = { 0 };
		struct region *region;
		enum err err;

		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		err = smtp_address_list_parse(
			text_of(rows[i].in), SMTP_COMMENTS_REFUSED, 100, region, &list, &fault);
		ck_assert_msg(!err == !rows[i].place, "%s", rows[i].in);
		ck_assert_uint_eq(fault.place, rows[i].place);
		ck_assert(!err || strstr(fault.why, "put the name in double quotes"));
		region_close(region);
	}
}
END_TEST

/* Each piece in memory of its own size, so that a byte read too many is seen. What is taken of a
 * part has no more addresses than the whole could give. */
static void feed_cut(const char *in, size_t len)
{
	for (size_t cut = 0; cut <= len; cut++) {
		struct smtp_mailboxes list;
		struct smtp_list_fault fault;
		struct region *region;
		char *part = malloc(cut ? cut : 1);
		enum err err;

		ck_assert_ptr_nonnull(part);
		memcpy(part, in, cut);
		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		err = parse((struct text){ part, cut }, 100, region, &list, &fault);
		ck_assert_int_eq(err == OK, fault.why == NULL);
		if (err)
			ck_assert_uint_ge(fault.place, 1);
		for (size_t i = 0; i < list.count; i++)
			ck_assert_uint_gt(smtp_address_domain(list.at[i].address).len, 0);
		region_close(region);
		free(part);
	}
}

START_TEST(good_lists_are_read_cut_anywhere)
{
	feed_cut(good[_i].in, strlen(good[_i].in));
}
END_TEST

START_TEST(bad_lists_are_read_cut_anywhere)
{
	feed_cut(bad[_i].in, strlen(bad[_i].in));
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
	static const char whole[] = "(x) Ann \"B\" <a@b.org>, Team: c@d.org;";

	for (size_t i = 0; i <= sizeof(whole) - 1; i++) {
		struct smtp_mailboxes list;
		struct smtp_list_fault fault;
		struct region *region;
		char with[sizeof(whole)];

		memcpy(with, whole, i);
		with[i] = 0;
		memcpy(with + i + 1, whole + i, sizeof(whole) - 1 - i);
		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		ck_assert_msg(parse((struct text){ with, sizeof(with) }, 100, region, &list,
				      &fault) != OK,
			"at %zu", i);
		region_close(region);
	}
}
END_TEST

START_TEST(no_more_than_the_limit_is_taken)
{
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(parse(TEXT("a@b.org, T: c@d.org;,,,,"), 2, region, &list, &fault), OK);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_int_eq(parse(TEXT("a@b.org, T: c@d.org, <e@f.org>;"), 2, region, &list, &fault),
		ERR_LIMIT);
	ck_assert_uint_eq(fault.place, 3);
	ck_assert_ptr_nonnull(strstr(fault.why, "too many"));
	ck_assert_int_eq(parse(TEXT("A:;,B:;,\"::\"@c.org"), 2, region, &list, &fault), OK);
	ck_assert_uint_eq(list.group_count, 2);
	ck_assert_int_eq(parse(TEXT("A:;,B:;,C:;"), 2, region, &list, &fault), ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(fault.why, "too many groups"));
	region_close(region);
}
END_TEST

/* Every allocation fails once: no memory is told as that, and as nothing else. */
START_TEST(no_memory_is_an_error_of_its_own)
{
	struct text in = TEXT("Ann B <a@b.org>, \"C\" <c@d.org>, e@f.org");
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;
	struct region *region;
	size_t limit = 0, failed = 0;
	enum err err;

	do {
		ck_assert_int_eq(region_open(limit, &region), OK);
		err = parse(in, 100, region, &list, &fault);
		ck_assert(err == OK || err == ERR_MEMORY);
		failed += err == ERR_MEMORY;
		ck_assert_ptr_null(fault.why);
		region_close(region);
		limit += 16;
	} while (err && limit < 4096);
	ck_assert_int_eq(err, OK);
	ck_assert_uint_gt(failed, 5);
}
END_TEST

UNIT_MAIN(address_list, tcase_add_loop_test(cases, a_list_is_read, 0, COUNT(good));
	  tcase_add_loop_test(cases, groups_are_known_by_their_members, 0, COUNT(groups));
	  tcase_add_loop_test(cases, a_wrong_list_is_refused_with_its_reason, 0, COUNT(bad));
	  tcase_add_test(cases, comments_are_refused_where_they_would_be_lost);
	  tcase_add_loop_test(cases, good_lists_are_read_cut_anywhere, 0, COUNT(good));
	  tcase_add_loop_test(cases, bad_lists_are_read_cut_anywhere, 0, COUNT(bad));
	  tcase_add_test(cases, a_nul_is_refused_wherever_it_stands);
	  tcase_add_test(cases, no_more_than_the_limit_is_taken);
	  tcase_add_test(cases, no_memory_is_an_error_of_its_own);)
