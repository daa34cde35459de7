#include "http/template/mustache.h"
#include "unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

/* One template, its partials ("name=text" each, NULL behind the last) and its values. */
struct
try {
	const char *template, *values;
	const char *const *partials;
	enum mustache_escape escape;
	size_t limit, steps; /* 0: plenty */
};

/* What came of it. */
static struct {
	enum err err;
	struct mustache_fault fault;
	struct mustache_view view;
	struct buf out;
	struct region *region;
	char *values;
	unsigned asked; /* how often for a partial */
} got;

static enum err find_partial(void *self, struct text name, struct text *source_out)
{
	got.asked++;
	for (const char *const *partial = self; partial && *partial; partial++) {
		struct text source = text_of(*partial);

		if (!text_equal(text_cut(&source, '='), name))
			continue;
		*source_out = source;
		return OK;
	}
	return ERR_MISSING;
}

static void attempt(const struct try *try)
{
	struct mustache_partials partials = { (void *)try->partials, find_partial };
	const char *values = try->values ? try->values : "{}";
	const struct mustache *template = NULL;
	struct json json = { 0 };

	memset(&got, 0, sizeof(got));
	got.out = buf_born(try->limit ? try->limit : 100000);
	got.values = strdup(values);
	ck_assert_int_eq(region_open(64 << 20, &got.region), OK);
	ck_assert_int_eq(json_parse(got.values, strlen(values), got.region, &json), OK);
	got.view = (struct mustache_view){ .json = &json,
		.value = json.root,
		.escape = try->escape,
		.steps = try->steps ? try->steps : MUSTACHE_STEPS };
	got.err = mustache_parse(TEXT("order"), text_of(try->template), &partials, got.region,
		&template, &got.fault);
	if (!got.err)
		got.err = mustache_render(template, &got.view, &got.out, &got.fault);
}

static void forget(void)
{
	buf_free(&got.out);
	region_close(got.region);
	free(got.values);
}

static void expect(const struct try *try, const char *text)
{
	attempt(try);
	ck_assert_msg(!got.err, "%s: %s", try->template, got.fault.why);
	ck_assert_msg(text_equal(buf_text(&got.out), text_of(text)), "%s: [%.*s]", try->template,
		(int)got.out.len, got.out.at);
	forget();
}

/* `name` is left empty for the template itself. */
static void expect_fault(const struct try *try, enum err err, const char *name, size_t line,
	size_t column, const char *why)
{
	attempt(try);
	ck_assert_msg(got.err == err, "%s: %d, %s", try->template, (int)got.err, got.fault.why);
	ck_assert_msg(strstr(got.fault.why, why), "%s: %s", try->template, got.fault.why);
	ck_assert(text_equal(got.fault.in, text_of(*name ? name : "order")));
	ck_assert_msg(got.fault.line == line && got.fault.column == column, "%s: %zu:%zu",
		try->template, got.fault.line, got.fault.column);
	forget();
}

/* ---- what templates become */

static const struct {
	const char *template, *values, *text;
} rows[] = {
	{ "", "{}", "" },
	{ "no tags, only { braces } and }}", "{}", "no tags, only { braces } and }}" },
	{ "Dear {{name}},", "{\"name\":\"Ann\"}", "Dear Ann," },
	{ "{{ a }}{{\na\n}}{{ & a}}{{{ a }}}", "{\"a\":\"x\"}", "xxxx" },
	{ "{{a}}|{{{a}}}|{{&a}}", "{\"a\":\"<&>\\\"'\"}",
		"&lt;&amp;&gt;&quot;&#39;|<&>\"'|<&>\"'" },
	{ "{{a}}", "{\"a\":\"{{b}}\",\"b\":1}", "{{b}}" },
	{ "{{a}}{{b}}{{c}}", "{\"a\":true,\"b\":false,\"c\":null}", "truefalse" },
	{ "{{\xc3\xa4.\xe2\x82\xac}}", "{\"\xc3\xa4\":{\"\xe2\x82\xac\":\"5\"}}", "5" },
	/* names */
	{ "{{a.b.c}}", "{\"a\":{\"b\":{\"c\":\"deep\"}}}", "deep" },
	{ "[{{a.b}}]", "{\"a.b\":1}", "[]" },
	{ "[{{a.length}}{{a.0}}]", "{\"a\":[1,2]}", "[]" },
	{ "[{{A}}]", "{\"a\":1}", "[]" }, /* cJSON_GetObjectItem would find it */
	{ "{{#a}}{{b.c}}{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":1}}", "" },
	{ "{{#a}}{{b}}{{c}}{{/a}}", "{\"a\":{\"b\":1},\"b\":2,\"c\":3}", "13" },
	{ "{{#a}}[{{b}}]{{/a}}", "{\"a\":{\"b\":null},\"b\":2}", "[]" }, /* there, though empty */
	{ "{{.}}", "\"root\"", "root" },
	/* sections */
	{ "{{#a}}({{x}}{{^x}}none{{/x}}){{/a}}", "{\"a\":[{\"x\":1},{},{\"x\":3}]}",
		"(1)(none)(3)" },
	{ "{{#a}}{{#.}}{{.}},{{/.}};{{/a}}", "{\"a\":[[1,2],[],[\"x\"]]}", "1,2,;;x,;" },
	{ "{{#a}}{{.}}{{/a}}", "{\"a\":[true,false,null,0]}", "truefalse0" },
	{ "{{#a}}yes {{.}}{{/a}}", "{\"a\":\"text\"}", "yes text" },
	{ "{{#a}}yes{{/a}}", "{\"a\":{}}", "yes" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":\"\"}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":0}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":-0.0}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":[]}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":null}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":false}", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "[]", "no" },
	{ "{{#a}}x{{/a}}{{^a}}no{{/a}}", "{\"a\":[0]}", "x" },
	{ "{{#a}}{{/a}}", "{\"a\":true}", "" },
	{ "{{#a.b}}x{{/ a.b }}", "{\"a\":{\"b\":1}}", "x" },
	/* lines of their own */
	{ "a\n{{! gone }}\nb", "{}", "a\nb" },
	{ "a {{! gone }}\nb", "{}", "a \nb" },
	{ "{{! a }}{{! b }}\nc", "{}", "\nc" }, /* two tags: neither has the line for itself */
	{ "{{!\n}} {{! b }}\nc", "{}", " \nc" },
	{ "{{! a }}\n{{! b }}\nc", "{}", "c" },
	{ "\t {{#a}} \t\r\nx\r\n{{/a}}\r\ny", "{\"a\":1}", "x\r\ny" },
	{ "{{#a}}\rx{{/a}}", "{\"a\":1}", "\rx" }, /* a CR alone ends no line */
	{ "  {{a}}\n", "{\"a\":1}", "  1\n" },
	{ "{{#a}}\n- {{.}}\n{{/a}}\nend", "{\"a\":[1,2]}", "- 1\n- 2\nend" },
	/* delimiters */
	{ "{{=<% %>=}}<%a%> {{a}} <%&a%> <%{a}%>", "{\"a\":\"<\"}", "&lt; {{a}} < <" },
	{ "{{=| |=}}|a||={{ }}=|{{a}}", "{\"a\":1}", "11" },
	{ "{{= \n[\t] =}}[#a]x[/a]", "{\"a\":1}", "x" },
	{ "{{=\xc2\xab \xc2\xbb=}}\xc2\xab"
	  "a\xc2\xbb",
		"{\"a\":1}", "1" },
	{ "{{={ }=}}{a}{{a}}", "{\"a\":\"<\"}", "&lt;<" },
	/* numbers */
	{ "{{a}}", "{\"a\":1.21}", "1.21" },
	{ "{{a}}", "{\"a\":85}", "85" },
	{ "{{a}}", "{\"a\":85.0}", "85" },
	{ "{{a}}", "{\"a\":-0}", "0" },
	{ "{{a}}", "{\"a\":-0.5}", "-0.5" },
	{ "{{a}}", "{\"a\":0.1}", "0.1" },
	{ "{{a}}", "{\"a\":0.30000000000000004}", "0.30000000000000004" },
	{ "{{a}}", "{\"a\":1e-7}", "0.0000001" },
	{ "{{a}}", "{\"a\":123e-3}", "0.123" },
	{ "{{a}}", "{\"a\":100}", "100" },
	{ "{{a}}", "{\"a\":1e2}", "100" },
	{ "{{a}}", "{\"a\":1234.5e1}", "12345" },
	{ "{{a}}", "{\"a\":1e30}", "1000000000000000000000000000000" },
	{ "{{a}}", "{\"a\":-2147483649}", "-2147483649" },
	{ "{{a}}", "{\"a\":9007199254740991}", "9007199254740991" },
	{ "{{a}}", "{\"a\":4294967296.25}", "4294967296.25" },
	{ "{{a}}", "{\"a\":1e-400}", "0" },
};

START_TEST(a_template_becomes_a_text)
{
	struct try try = { .template = rows[_i].template, .values = rows[_i].values };

	expect(&try, rows[_i].text);
}
END_TEST

START_TEST(plain_text_is_not_escaped)
{
	struct try try = { .template = "{{a}}{{{a}}}", .values = "{\"a\":\"<&>'\"}" };

	try.escape = MUSTACHE_PLAIN;
	expect(&try, "<&>'<&>'");
	try.escape = MUSTACHE_HTML;
	expect(&try, "&lt;&amp;&gt;&#39;<&>'");
}
END_TEST

START_TEST(strings_that_stayed_in_the_body_are_found)
{
	char values[1000], wanted[600];
	struct try try = { .values = values };
	char template[600];

	memset(wanted, 'v', 300);
	memset(wanted + 300, 0, 1);
	snprintf(values, sizeof(values), "{\"long\":\"%s\",\"%.150s\":\"named\"}", wanted, wanted);
	try.template = "{{long}}";
	expect(&try, wanted);
	snprintf(template, sizeof(template), "{{%.150s}}", wanted);
	try.template = template;
	expect(&try, "named");
}
END_TEST

START_TEST(a_nul_in_a_value_is_a_byte_like_others)
{
	struct try try = { .template = "[{{a}}{{#a}}!{{/a}}]", .values = "{\"a\":\"\\u0000\"}" };

	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert(text_equal(buf_text(&got.out), TEXT("[\0!]")));
	forget();
}
END_TEST

/* ---- partials */

static const struct {
	const char *template, *values, *partials[4], *text;
} partial_rows[] = {
	{ "{{>a}}", "{}", { "a=x" }, "x" },
	{ "{{> a }}{{>a}}", "{}", { "a=x" }, "xx" },
	{ "[{{>b}}]", "{}", { "a=x" }, "[]" },
	{ "{{>a}}", "{\"x\":1}", { "a={{>b}}", "b={{x}}" }, "1" },
	{ "{{#l}}{{>a}}{{/l}}", "{\"l\":[1,2]}", { "a=({{.}})" }, "(1)(2)" },
	{ "{{>a.b/c}}", "{}", { "a.b/c=x" }, "x" },
	{ "{{=[ ]=}}[>a]", "{\"x\":1}", { "a={{x}}[x]" }, "1[x]" },
	{ "{{>a}}{{x}}", "{\"x\":1}", { "a={{=[ ]=}}[x]" }, "11" },
	/* a partial that has its line for itself is indented, every line of it */
	{ "  {{>a}}\nend", "{}", { "a=1\n2\n" }, "  1\n  2\nend" },
	{ "  {{>a}}\nend", "{}", { "a=1\n\n2" }, "  1\n  \n  2end" },
	{ "  {{>a}}\n", "{\"x\":\"1\\n2\"}", { "a={{x}}\n" }, "  1\n2\n" },
	{ "  {{>a}}\n", "{}", { "a={{x}}\n" }, "  \n" },
	{ "  {{>a}}\n", "{\"l\":[1,2]}", { "a={{#l}}\n{{.}}\n{{/l}}\n" }, "  1\n  2\n" },
	{ "  {{>a}}\n", "{\"l\":[1,2]}", { "a={{#l}}{{.}}\n{{/l}}.\n" }, "  1\n  2\n  .\n" },
	{ "  {{>a}}\n", "{}", { "a={{!x}}{{!y}}z\n" }, "  z\n" },
	{ "  {{>a}}\n", "{}", { "a={{!\n}}z\n" }, "  z\n" },
	{ "  x {{>a}}\n", "{}", { "a=1\n2\n" }, "  x 1\n2\n\n" },
	/* inside each other: indentations add up, and end where one begins within a line */
	{ " {{>a}}\n", "{}", { "a=1\n {{>b}}\n2\n", "b=3\n4\n" }, " 1\n  3\n  4\n 2\n" },
	{ " {{>a}}\n", "{}", { "a=1 {{>b}}\n2\n", "b=3\n4\n" }, " 1 3\n4\n\n 2\n" },
	{ " {{>a}}\n", "{}", { "a=. {{>b}}\n", "b= {{>c}}\n.", "c=1\n2\n" }, " .  1\n 2\n.\n" },
};

START_TEST(partials_stand_where_they_are_named)
{
	struct try try = { .template = partial_rows[_i].template,
		.values = partial_rows[_i].values,
		.partials = partial_rows[_i].partials };

	expect(&try, partial_rows[_i].text);
}
END_TEST

START_TEST(a_partial_is_asked_for_once)
{
	struct try try = { .template = "{{#l}}{{>a}}{{>none}}{{/l}}",
		.values = "{\"l\":[1,2,3]}",
		.partials = (const char *const[]){ "a={{>a2}}", "a2={{>none}}x", NULL } };

	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert_uint_eq(got.asked, 3);
	ck_assert(text_equal(buf_text(&got.out), TEXT("xxx")));
	forget();
}
END_TEST

START_TEST(a_partial_may_name_itself_while_there_are_values)
{
	struct try try = { .template = "{{>node}}",
		.values =
			"{\"v\":1,\"n\":[{\"v\":2,\"n\":[{\"v\":3,\"n\":[]},{\"v\":4,\"n\":[]}]}]}",
		.partials = (const char *const[]){ "node={{v}}<{{#n}}{{>node}}{{/n}}>", NULL } };

	expect(&try, "1<2<3<>4<>>>");
}
END_TEST

/* ---- what is wrong */

static const struct {
	const char *template;
	size_t line, column;
	const char *why;
} bad_rows[] = {
	{ "{{", 1, 1, "the tag does not end, this is missing: \"}}\"" },
	{ "a\nb {{name", 2, 3, "does not end" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80{{name}", 1, 4, "does not end" },
	{ "a\r\n{{{name}}", 2, 1, "this is missing: \"}}}\"" },
	{ "{{! never", 1, 1, "does not end" },
	{ "{{=<% %>}}", 1, 1, "this is missing: \"=}}\"" },
	{ "{{=<% %>=}}<%a}}", 1, 12, "this is missing: \"%>\"" },
	{ "{{=<% %>=}}<%{a%>", 1, 12, "this is missing: \"}%>\"" },
	{ "{{}}", 1, 1, "the tag has no name" },
	{ "{{ \n }}", 1, 1, "the tag has no name" },
	{ "{{#}}{{/}}", 1, 1, "the tag has no name" },
	{ "{{a}}{{{}}}", 1, 6, "the tag has no name" },
	{ "{{&}}", 1, 1, "the tag has no name" },
	{ "{{>}}", 1, 1, "the tag has no name" },
	{ "{{#if x}}{{/if}}", 1, 1, "blanks in it: \"if x\"" },
	{ "{{a\nb\x01\x7f}}", 1, 1, "blanks in it: \"a b  \"" },
	{ "{{a, {{b}}", 1, 1, "another tag begins before this one ends: \"a, {{b\"" },
	{ "{{a..b}}", 1, 1, "a part of the name is empty: \"a..b\"" },
	{ "{{.a}}", 1, 1, "a part of the name is empty" },
	{ "{{a.}}", 1, 1, "a part of the name is empty" },
	{ "{{..}}", 1, 1, "a part of the name is empty" },
	{ "{{=a=}}", 1, 1, "two delimiters are wanted" },
	{ "{{==}}", 1, 1, "two delimiters are wanted" },
	{ "{{=a b c=}}", 1, 1, "two delimiters are wanted" },
	{ "{{= a= b =}}", 1, 1, "two delimiters are wanted" },
	{ "{{= a b= =}}", 1, 1, "two delimiters are wanted" },
	{ "{{<parent}}{{/parent}}", 1, 1, "no inheritance here: \"parent\"" },
	{ "{{$block}}{{/block}}", 1, 1, "no inheritance here" },
	{ "{{>*name}}", 1, 1, "no dynamic names here" },
	{ "a\n{{#list}}\n{{/list}}{{#open}}\n", 3, 10,
		"the section that begins here does not end: \"open\"" },
	{ "{{^a}}{{#b}}{{/b}}", 1, 1, "does not end: \"a\"" },
	{ "x{{/a}}", 1, 2, "no section is open that this could end: \"a\"" },
	{ "{{#a}}\n {{#b}}\n{{/a}}", 3, 1,
		"\"a\" ends here, but the open section is \"b\" of line 2, column 2" },
	{ "{{#a}}{{/A}}", 1, 7, "the open section is \"a\"" },
};

START_TEST(a_fault_says_what_and_where)
{
	struct try try = { .template = bad_rows[_i].template };

	expect_fault(
		&try, ERR_SYNTAX, "", bad_rows[_i].line, bad_rows[_i].column, bad_rows[_i].why);
}
END_TEST

START_TEST(a_fault_in_a_partial_bears_its_name)
{
	struct try try = { .template = "\n\n{{#never}}{{>outer}}{{/never}}",
		.partials =
			(const char *const[]){ "outer=\n {{>inner}}", "inner=x\n{{#y}}", NULL } };

	expect_fault(&try, ERR_SYNTAX, "inner", 2, 1, "does not end: \"y\"");
	try.template = "{{>one}}";
	try.partials = (const char *const[]){ "one=\n ab{{list}}", NULL };
	try.values = "{\"list\":[1]}";
	expect_fault(&try, ERR_VALUE, "one", 2, 4, "the value is a list");
	try.template = "{{>one}} {{list}}"; /* and not afterwards any more */
	try.partials = (const char *const[]){ "one=\n ab", NULL };
	expect_fault(&try, ERR_VALUE, "", 1, 10, "the value is a list");
}
END_TEST

START_TEST(long_names_are_shown_in_part)
{
	char template[400] = "{{#";
	struct try try = { .template = template };

	for (int i = 0; i < 50; i++)
		memcpy(template + 3 + 3 * i, "\xe2\x82\xac", 3);
	memcpy(template + 3 + 150, "}}", 3);
	attempt(&try);
	ck_assert_int_eq(got.err, ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(got.fault.why, "\xe2\x82\xac...\""));
	ck_assert(text_is_utf8(text_of(got.fault.why)));
	ck_assert_uint_lt(strlen(got.fault.why), 140);
	forget();
}
END_TEST

START_TEST(lists_and_objects_are_no_text)
{
	struct try try = { .values = "{\"l\":[1],\"o\":{\"x\":1},\"n\":1e999}" };

	try.template = "a {{l}}";
	expect_fault(&try, ERR_VALUE, "", 1, 3, "the value is a list");
	try.template = "a\n{{{o}}}";
	expect_fault(&try, ERR_VALUE, "", 2, 1, "the value is an object");
	try.template = "{{#o}}{{.}}{{/o}}";
	expect_fault(&try, ERR_VALUE, "", 1, 7, "the value is an object");
	try.template = "{{n}}";
	expect_fault(&try, ERR_VALUE, "", 1, 1, "too large to be written");
}
END_TEST

/* From its second byte to the one before its last something in it is open. */
START_TEST(what_ends_too_early_is_told_wherever_it_is_cut)
{
	static const char whole[] = "{{#b}} {{>c}} {{=<% %>=}} x <%{d}%> <%! e %> <%&f%> <%/b%>";
	char cut[sizeof(whole)] = "{";
	struct try try = { .template = cut };

	for (size_t len = 2; len < strlen(whole); len++) {
		cut[len - 1] = whole[len - 1];
		attempt(&try);
		ck_assert_msg(got.err == ERR_SYNTAX, "%s", cut);
		ck_assert_ptr_nonnull(strstr(got.fault.why, "does not end"));
		ck_assert_uint_eq(got.fault.line, 1);
		ck_assert_uint_lt(got.fault.column, len);
		forget();
	}
	try.template = whole;
	expect(&try, "");
}
END_TEST

/* ---- what is missing */

static void expect_misses(const struct try *try, const char *const *names)
{
	size_t count = 0;

	attempt(try);
	ck_assert_int_eq(got.err, OK);
	for (; names[count]; count++) {
		struct text name = text_of(names[count]);
		bool is_partial = name.at[0] == '>';

		ck_assert_uint_lt(count, got.view.miss_count);
		ck_assert(got.view.misses[count].is_partial == is_partial);
		ck_assert(text_equal(got.view.misses[count].name, text_from(name, is_partial)));
	}
	ck_assert_uint_eq(got.view.miss_count, count);
	forget();
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(what_is_missing_is_named_once_in_order)
{
	struct try try = { .values =
				   "{\"a\":{\"b\":1,\"n\":null},\"l\":[{\"x\":1},{}],\"e\":\"\"}" };

	try.template = "{{z}}{{a.b}}{{a.c}}{{{y}}}{{z}}{{&a.b.c}}{{a.n}}{{e}}";
	expect_misses(&try, NAMES("z", "a.c", "y", "a.b.c"));
	try.template = "{{#l}}{{x}}{{/l}}";
	expect_misses(&try, NAMES("x")); /* in one of the two */
	try.template = "{{#s}}{{never}}{{/s}}{{^s}}{{s}}{{>s}}{{>s}}{{/s}}";
	expect_misses(&try, NAMES("s", ">s"));
	try.template = "{{>p}}{{q}}";
	try.partials = NAMES("p={{r}}");
	expect_misses(&try, NAMES("r", "q"));
	try.template = "{{#a}}{{n.x}}{{/a}}{{^x}}{{#y}}{{/y}}{{/x}}";
	expect_misses(&try, NAMES("n.x"));
}
END_TEST

START_TEST(of_many_misses_the_first_are_kept)
{
	char template[2000] = "";
	struct try try = { .template = template };

	for (int i = 0; i < MUSTACHE_MISSES + 20; i++)
		snprintf(template + strlen(template), 20, "{{m%d}}", i);
	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert_uint_eq(got.view.miss_count, MUSTACHE_MISSES);
	ck_assert(text_equal(got.view.misses[MUSTACHE_MISSES - 1].name, TEXT("m49")));
	forget();
}
END_TEST

START_TEST(without_values_all_is_missing)
{
	struct mustache_view view = { .steps = 100 };
	struct buf out = buf_born(100);
	const struct mustache *template;
	struct mustache_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(mustache_parse(TEXT("t"), TEXT("[{{a.b}}{{.}}{{#c}}x{{/c}}{{>d}}]"), NULL,
				 region, &template, &fault),
		OK);
	ck_assert_int_eq(mustache_render(template, &view, &out, &fault), OK);
	ck_assert(text_equal(buf_text(&out), TEXT("[]")));
	ck_assert_uint_eq(view.miss_count, 3);
	buf_free(&out);
	region_close(region);
}
END_TEST

/* ---- limits */

/* `count` times `part` behind what `text` holds. */
static void repeat(char *text, size_t room, const char *part, size_t count)
{
	size_t len = strlen(text), part_len = strlen(part);

	ck_assert_uint_lt(len + part_len * count, room);
	for (size_t i = 0; i < count; i++)
		memcpy(text + len + i * part_len, part, part_len);
	text[len + count * part_len] = 0;
}

START_TEST(sections_are_so_deep_and_no_deeper)
{
	char template[3000] = "";
	struct try try = { .template = template, .values = "{\"a\":1}" };

	repeat(template, sizeof(template), "{{#a}}", MUSTACHE_DEPTH);
	repeat(template, sizeof(template), "{{/a}}", MUSTACHE_DEPTH);
	expect(&try, "");
	template[0] = '\0';
	repeat(template, sizeof(template), "{{#a}}", MUSTACHE_DEPTH + 1);
	repeat(template, sizeof(template), "{{/a}}", MUSTACHE_DEPTH + 1);
	expect_fault(&try, ERR_LIMIT, "", 1, 6 * MUSTACHE_DEPTH + 1, "more than 100 sections");
}
END_TEST

START_TEST(a_partial_that_always_names_itself_comes_to_an_end)
{
	struct try try = { .template = "{{>a}}", .partials = NAMES("a=x\n {{>b}}", "b=y {{>a}}") };

	expect_fault(&try, ERR_LIMIT, "b", 1, 3, "does a partial name itself?");
	try.partials = NAMES("a={{>a}}{{>a}}");
	expect_fault(&try, ERR_LIMIT, "a", 1, 1, "does a partial name itself?");
}
END_TEST

START_TEST(the_result_fits_its_buf)
{
	char template[400] = "", partial[100] = "p=";
	struct try try = { .template = template, .values = "{\"a\":\"<5\"}", .limit = 308 };

	repeat(template, sizeof(template), "x", 300);
	repeat(template, sizeof(template), "{{a}}\n{{{a}}}", 1); /* 5, 1 and 2 bytes */
	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert_uint_eq(got.out.len, 308);
	forget();
	try.limit = 307;
	expect_fault(&try, ERR_LIMIT, "", 2, 1, "more than 307 bytes");
	try.limit = 304;
	expect_fault(&try, ERR_LIMIT, "", 1, 301, "more than 304 bytes");
	try = (struct try){ .template = "{{#l}}{{#l}}{{#l}}xxxxxxxxxx{{/l}}{{/l}}{{/l}}",
		.values = "{\"l\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}" };
	expect_fault(&try, ERR_LIMIT, "", 1, 19, "more than 100000 bytes");
	repeat(partial, sizeof(partial), "\n", 90); /* of which each becomes nine bytes */
	try = (struct try){ "        {{>p}}\n", "{}", NAMES(partial), MUSTACHE_HTML, 9 * 90, 0 };
	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert_uint_eq(got.out.len, 9 * 90);
	forget();
	try.limit--;
	expect_fault(&try, ERR_LIMIT, "p", 1, 1, "more than 809 bytes");
}
END_TEST

static const struct {
	const char *template, *partial;
} endless[] = {
	{ "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}", NULL },
	{ "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{none}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}", NULL },
	{ "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{>none}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}", NULL },
	{ "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{^l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}", NULL },
	{ "{{#l}}{{#l}}{{#l}}{{#o}}{{b.b.b}}{{/o}}{{/l}}{{/l}}{{/l}}", NULL },
	{ "{{>p}}", "p={{#l}}{{>p}}{{/l}}" },
	{ "{{>p}}", "p={{#none}}{{>p}}{{/none}}{{#x.y}}{{>p}}{{/x.y}}{{#l}}{{^none}}{{>p}}{{/"
		    "none}}{{/l}}" },
};

/* None of them has a result that a limit of bytes would end. */
START_TEST(what_would_take_for_ever_is_stopped)
{
	char values[6000] = "{\"l\":[0";
	const char *const partials[] = { endless[_i].partial, NULL };
	struct try try = {
		.template = endless[_i].template, .values = values, .partials = partials
	};

	repeat(values, sizeof(values), ",0", 200);
	repeat(values, sizeof(values), "],\"x\":{\"y\":[[[[1,2],3],4],5]},\"o\":{\"a\":1", 1);
	repeat(values, sizeof(values), "},\"b\":{\"b\":{\"b\":\"\"}}}", 1);
	attempt(&try);
	ck_assert_int_eq(got.err, ERR_LIMIT);
	ck_assert_ptr_nonnull(
		endless[_i].partial ? got.fault.why : strstr(got.fault.why, "too many steps"));
	ck_assert_uint_eq(got.out.len, 0);
	forget();
}
END_TEST

/* Blanks that are put together for lines that never come are work, too. */
START_TEST(a_wide_indent_counts)
{
	static char template[300000];
	char values[2000] = "{\"a\":[0";
	const char *const partials[] = { "p=", NULL };
	struct try try = {
		.template = template, .values = values, .partials = partials, .limit = 1 << 20
	};

	template[0] = '\0';
	repeat(template, sizeof(template), "{{#a}}\n{{#a}}\n", 1);
	repeat(template, sizeof(template), " ", 290000);
	repeat(template, sizeof(template), "{{>p}}\n{{/a}}\n{{/a}}", 1);
	repeat(values, sizeof(values), ",0", 300);
	repeat(values, sizeof(values), "]}", 1);
	attempt(&try);
	ck_assert_int_eq(got.err, ERR_LIMIT);
	ck_assert_msg(strstr(got.fault.why, "too many steps"), "%s", got.fault.why);
	forget();
}
END_TEST

START_TEST(steps_are_counted_for_tags_turns_and_members)
{
	struct try try = { .template = "a{{x}}{{#l}}.{{/l}}",
		.values = "{\"a\":1,\"b\":1,\"l\":[1,2],\"x\":1}" };
	/* a: 1; x: 1, and 4 members; l: 1, and 3 members; two turns with a text: 2 * 2 */
	size_t wanted = 1 + 5 + 4 + 4;

	attempt(&try);
	ck_assert_int_eq(got.err, OK);
	ck_assert_uint_eq(got.view.steps, MUSTACHE_STEPS - wanted);
	forget();
	try.steps = wanted;
	expect(&try, "a1..");
	try.steps = wanted - 1;
	expect_fault(&try, ERR_LIMIT, "", 1, 13, "too many steps");
}
END_TEST

START_TEST(names_and_delimiters_have_a_length)
{
	char template[500] = "{{", values[500] = "{\"", wanted[] = "1";
	struct try try = { .template = template, .values = values };

	repeat(template, sizeof(template), "n", MUSTACHE_NAME);
	repeat(template, sizeof(template), "}}", 1);
	repeat(values, sizeof(values), "n", MUSTACHE_NAME);
	repeat(values, sizeof(values), "\":1}", 1);
	expect(&try, wanted);
	memcpy(template + 2 + MUSTACHE_NAME, "n}}", 4);
	expect_fault(&try, ERR_LIMIT, "", 1, 1, "the name has more than 200 bytes");
	try.values = "{\"a\":1}";
	try.template = "{{=0123456789abcdef fedcba9876543210=}}0123456789abcdefafedcba9876543210";
	expect(&try, wanted);
	try.template = "{{=0123456789abcdefg x=}}";
	expect_fault(&try, ERR_LIMIT, "", 1, 1, "a delimiter has more than 16 bytes");
	try.template = "{{=x 0123456789abcdefg=}}";
	expect_fault(&try, ERR_LIMIT, "", 1, 1, "a delimiter has more than 16 bytes");
}
END_TEST

START_TEST(a_template_has_so_many_tags_and_partials)
{
	static char template[400000];
	struct try try = { .template = template };

	repeat(template, sizeof(template), "{{&a}}", MUSTACHE_NODES - 1); /* one text before them */
	expect(&try, "");
	repeat(template, sizeof(template), "{{&a}}", 1);
	expect_fault(&try, ERR_LIMIT, "", 1, 6 * (MUSTACHE_NODES - 1) + 1, "more than 65536 tags");
	template[0] = '\0';
	for (size_t i = 0; i < MUSTACHE_PARTIALS; i++)
		snprintf(template + strlen(template), 20, "{{>p%zu}}", 100 + i);
	expect(&try, "");
	repeat(template, sizeof(template), "{{>p100}}", 1);
	expect(&try, "");
	repeat(template, sizeof(template), "{{>q}}", 1);
	expect_fault(&try, ERR_LIMIT, "", 1, 9 * (MUSTACHE_PARTIALS + 1) + 1,
		"more than 100 different partials");
}
END_TEST

START_TEST(a_region_that_is_full_is_a_limit)
{
	const struct mustache *template = NULL;
	struct mustache_fault fault;
	struct region *region;
	size_t limit = 0;
	enum err err;

	do {
		ck_assert_int_eq(region_open(limit, &region), OK);
		err = mustache_parse(TEXT("t"), TEXT("{{a}}b"), NULL, region, &template, &fault);
		ck_assert(err == OK || err == ERR_LIMIT);
		ck_assert(!err ||
			  strcmp(fault.why, "with its partials it is more than is taken") == 0);
		ck_assert((err == OK) == (template != NULL));
		limit += 16;
		region_close(region);
	} while (err && limit < 2000);
	ck_assert_int_eq(err, OK);
	ck_assert_uint_gt(limit, 200);
}
END_TEST

/* Line ends of all kinds, a C1 control, and a letter of as many bytes. */
START_TEST(what_is_shown_of_a_tag_is_one_line)
{
	const struct mustache *template;
	struct mustache_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(
		mustache_parse(TEXT("t"), TEXT("{{a\nb\x7f\xc2\x85 \xe2\x80\xa8\xe2\x80\xa6}}"),
			NULL, region, &template, &fault),
		ERR_SYNTAX);
	ck_assert_str_eq(fault.why, "a name cannot have blanks in it: \"a b       \xe2\x80\xa6\"");
	region_close(region);
}
END_TEST

static enum err refuse_partial(void *self, struct text name, struct text *source_out)
{
	ck_assert(text_equal(name, TEXT("p")));
	*source_out = TEXT("p");
	return *(const enum err *)self;
}

START_TEST(a_partial_that_is_there_and_not_to_be_had_is_told)
{
	enum err err = ERR_LIMIT;
	struct mustache_partials partials = { &err, refuse_partial };
	const struct mustache *template = NULL;
	struct mustache_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(
		mustache_parse(TEXT("t"), TEXT("a\n {{>p}}"), &partials, region, &template, &fault),
		ERR_LIMIT);
	ck_assert_str_eq(fault.why, "with the partial \"p\" it is more than is taken");
	ck_assert(fault.line == 2 && fault.column == 2);
	err = ERR_MEMORY;
	ck_assert_int_eq(
		mustache_parse(TEXT("t"), TEXT("{{>p}}"), &partials, region, &template, &fault),
		ERR_MEMORY);
	ck_assert_str_eq(fault.why, "");
	ck_assert_ptr_null(template);
	region_close(region);
}
END_TEST

/* ---- more than once */

START_TEST(one_template_serves_a_batch)
{
	static const char *const values[] = { "{\"n\":\"Ann\"}", "{\"n\":\"Bo\",\"s\":1}", "{}" };
	static const char *const texts[] = { "Dear Ann.", "Dear Bo!.", "Dear ." };
	struct mustache_view view = { .steps = 100 };
	struct buf out = buf_born(1000);
	const struct mustache *template;
	struct mustache_fault fault;
	struct region *region;
	struct json json;

	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(mustache_parse(TEXT("t"), TEXT("Dear {{n}}{{#s}}!{{/s}}."), NULL, region,
				 &template, &fault),
		OK);
	for (size_t i = 0; i < 3; i++) {
		char *body = strdup(values[i]);

		ck_assert_int_eq(json_parse(body, strlen(body), region, &json), OK);
		view.json = &json;
		view.value = json.root;
		buf_clear(&out);
		ck_assert_int_eq(mustache_render(template, &view, &out, &fault), OK);
		ck_assert(text_equal(buf_text(&out), text_of(texts[i])));
		free(body);
	}
	ck_assert_uint_eq(view.miss_count, 1);
	ck_assert_uint_lt(view.steps, 90); /* one bound for all */
	view.steps = 3;
	ck_assert_int_eq(mustache_render(template, &view, &out, &fault), ERR_LIMIT);
	ck_assert_uint_eq(view.steps, 0);
	buf_free(&out);
	region_close(region);
}
END_TEST

START_TEST(a_buf_that_failed_before_stays_so)
{
	struct mustache_view view = { .steps = 100 };
	struct buf out = buf_born(1);
	const struct mustache *template;
	struct mustache_fault fault;
	struct region *region;

	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(mustache_parse(TEXT("t"), TEXT("x"), NULL, region, &template, &fault), OK);
	buf_add(&out, TEXT("ab"));
	ck_assert_int_eq(mustache_render(template, &view, &out, &fault), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
	region_close(region);
}
END_TEST

UNIT_MAIN(mustache, tcase_add_loop_test(cases, a_template_becomes_a_text, 0, COUNT(rows));
	  tcase_add_test(cases, plain_text_is_not_escaped);
	  tcase_add_test(cases, strings_that_stayed_in_the_body_are_found);
	  tcase_add_test(cases, a_nul_in_a_value_is_a_byte_like_others);
	  tcase_add_loop_test(cases, partials_stand_where_they_are_named, 0, COUNT(partial_rows));
	  tcase_add_test(cases, a_partial_is_asked_for_once);
	  tcase_add_test(cases, a_partial_may_name_itself_while_there_are_values);
	  tcase_add_loop_test(cases, a_fault_says_what_and_where, 0, COUNT(bad_rows));
	  tcase_add_test(cases, a_fault_in_a_partial_bears_its_name);
	  tcase_add_test(cases, long_names_are_shown_in_part);
	  tcase_add_test(cases, lists_and_objects_are_no_text);
	  tcase_add_test(cases, what_ends_too_early_is_told_wherever_it_is_cut);
	  tcase_add_test(cases, what_is_missing_is_named_once_in_order);
	  tcase_add_test(cases, of_many_misses_the_first_are_kept);
	  tcase_add_test(cases, without_values_all_is_missing);
	  tcase_add_test(cases, sections_are_so_deep_and_no_deeper);
	  tcase_add_test(cases, a_partial_that_always_names_itself_comes_to_an_end);
	  tcase_add_test(cases, the_result_fits_its_buf);
	  tcase_add_loop_test(cases, what_would_take_for_ever_is_stopped, 0, COUNT(endless));
	  tcase_add_test(cases, a_wide_indent_counts);
	  tcase_add_test(cases, steps_are_counted_for_tags_turns_and_members);
	  tcase_add_test(cases, names_and_delimiters_have_a_length);
	  tcase_add_test(cases, a_template_has_so_many_tags_and_partials);
	  tcase_add_test(cases, a_region_that_is_full_is_a_limit);
	  tcase_add_test(cases, what_is_shown_of_a_tag_is_one_line);
	  tcase_add_test(cases, a_partial_that_is_there_and_not_to_be_had_is_told);
	  tcase_add_test(cases, one_template_serves_a_batch);
	  tcase_add_test(cases, a_buf_that_failed_before_stays_so);)
