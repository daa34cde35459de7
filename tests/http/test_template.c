/* Templates: parsed, rendered, and what may not come of them. */
#include "http/template/template.h"
#include "unit.h"

#include <string.h>

static struct region *region;
static struct template template;
static struct template_fault fault;
static struct json json;
static char words[TEMPLATE_WORDS];

static void open_region(void)
{
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
}

static void close_region(void)
{
	region_close(region);
}

static enum err parse(enum template_part part, const char *text)
{
	static const struct template_partial partials[] = { { { "own", 3 }, { "[{{x}}]", 7 } },
		{ { "broken", 6 }, { "a\n{{#x}}", 8 } }, { { "html", 4 }, { "{{/x}}", 6 } } };
	struct template_source source = { .name = TEXT("t"),
		.partials = partials,
		.partial_count = sizeof(partials) / sizeof(partials[0]) };

	source.parts[part] = text_of(text);
	return template_parse(&source, NULL, region, &template, &fault);
}

static enum err render(enum template_part part, const char *values, struct text *out)
{
	struct text body = region_copy(region, text_of(values));
	struct mustache_view view = { .json = &json, .steps = MUSTACHE_STEPS };

	json = (struct json){ 0 };
	ck_assert_int_eq(json_parse((char *)body.at, body.len, region, &json), OK);
	view.value = json.root;
	return template_render(&template, part, &view, region, out, &fault);
}

static const struct {
	enum template_part part;
	const char *text, *values, *result;
} good[] = {
	{ TEMPLATE_SUBJECT, "Order {{n}}\r\n", "{\"n\":7}", "Order 7" },
	{ TEMPLATE_SUBJECT, "A & {{x}}", "{\"x\":\"<B>\"}", "A & <B>" },
	{ TEMPLATE_SUBJECT, "{{x}}", "{}", "" },
	{ TEMPLATE_TEXT, "Hi {{x}}\n\tyou", "{\"x\":\"a & b\\r\\nc\"}", "Hi a & b\r\nc\n\tyou" },
	{ TEMPLATE_HTML, "<p>{{x}} {{{x}}}</p>\n", "{\"x\":\"<\\\"&'\"}",
		"<p>&lt;&quot;&amp;&#39; <\"&'</p>\n" },
	{ TEMPLATE_HTML, "{{> own}}", "{\"x\":\"<\"}", "[&lt;]" },
	{ TEMPLATE_TEXT, "{{> own}}", "{\"x\":\"<\"}", "[<]" },
	{ TEMPLATE_TEXT, "", "{}", "" },
};

START_TEST(each_part_is_rendered_as_its_place_wants_it)
{
	struct text out;

	ck_assert_int_eq(parse(good[_i].part, good[_i].text), OK);
	ck_assert_int_eq(render(good[_i].part, good[_i].values, &out), OK);
	ck_assert_msg(text_equal(out, text_of(good[_i].result)), "%.*s", (int)out.len, out.at);
	for (int i = 0; i < TEMPLATE_PARTS; i++)
		ck_assert((template.parts[i] != NULL) == (i == (int)good[_i].part));
}
END_TEST

static const struct {
	enum template_part part;
	const char *text, *words;
} broken[] = {
	{ TEMPLATE_SUBJECT, "{{x", "subject, line 1, column 1: " },
	{ TEMPLATE_TEXT, "a\nb {{/x}}", "text, line 2, column 3: " },
	{ TEMPLATE_HTML, "a\n\xc3\xa4{{#x}}", "html, line 2, column 2: " },
	{ TEMPLATE_HTML, "{{> broken}}", "html, partial broken, line 2, column 1: " },
	{ TEMPLATE_HTML, "{{> html}}", "html, partial html, line 1, column 1: " },
};

START_TEST(what_is_wrong_is_named_with_its_place)
{
	struct template before = { .changed_ms = 7 };

	template = before;
	ck_assert_int_eq(parse(broken[_i].part, broken[_i].text), ERR_SYNTAX);
	ck_assert_int_eq(template.changed_ms, before.changed_ms);
	template_fault_words(&fault, words);
	ck_assert_msg(strstr(words, broken[_i].words) == words &&
			      strlen(words) > strlen(broken[_i].words),
		"%s", words);
}
END_TEST

static const struct {
	enum template_part part;
	const char *text, *values;
	enum err err;
	const char *words;
} refused[] = {
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\r\\nBcc: b\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\n\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\r\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\u0000\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\u2028b\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\u0085b\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "{{x}}", "{\"x\":\"a\\tb\"}", ERR_VALUE, "subject: " },
	{ TEMPLATE_SUBJECT, "a\nb", "{}", ERR_VALUE, "subject: " },
	{ TEMPLATE_TEXT, "{{x}}", "{\"x\":\"a\\u0000\"}", ERR_VALUE, "text: " },
	{ TEMPLATE_TEXT, "{{x}}", "{\"x\":\"a\\u001b\"}", ERR_VALUE, "text: " },
	{ TEMPLATE_HTML, "{{x}}", "{\"x\":\"a\\u007f\"}", ERR_VALUE, "html: " },
	{ TEMPLATE_HTML, "a\n{{x}}", "{\"x\":[1]}", ERR_VALUE, "html, line 2, column 1: " },
	{ TEMPLATE_TEXT, "{{> own}}", "{\"x\":{\"y\":1}}", ERR_VALUE,
		"text, partial own, line 1, column 2: " },
};

START_TEST(values_that_cannot_stand_there_are_refused)
{
	struct text out = TEXT("before");

	ck_assert_int_eq(parse(refused[_i].part, refused[_i].text), OK);
	ck_assert_int_eq(render(refused[_i].part, refused[_i].values, &out), refused[_i].err);
	ck_assert(text_equal(out, TEXT("before")));
	template_fault_words(&fault, words);
	ck_assert_msg(strstr(words, refused[_i].words) == words &&
			      strlen(words) > strlen(refused[_i].words),
		"%s", words);
}
END_TEST

START_TEST(a_subject_is_a_line_of_998_bytes)
{
	char text[TEMPLATE_SUBJECT_LINE + 2];
	struct text out;

	memset(text, 'x', sizeof(text));
	text[TEMPLATE_SUBJECT_LINE] = '\0';
	ck_assert_int_eq(parse(TEMPLATE_SUBJECT, text), OK);
	ck_assert_int_eq(render(TEMPLATE_SUBJECT, "{}", &out), OK);
	ck_assert_uint_eq(out.len, TEMPLATE_SUBJECT_LINE);
	text[TEMPLATE_SUBJECT_LINE] = 'x';
	text[TEMPLATE_SUBJECT_LINE + 1] = '\0';
	ck_assert_int_eq(parse(TEMPLATE_SUBJECT, text), OK);
	ck_assert_int_eq(render(TEMPLATE_SUBJECT, "{}", &out), ERR_LIMIT);
	template_fault_words(&fault, words);
	ck_assert_msg(strstr(words, "998 bytes"), "%s", words);
}
END_TEST

START_TEST(what_a_part_becomes_has_a_bound)
{
	struct buf text = buf_born(2 << 20);
	struct text out;

	buf_add_string(&text, "{{#x}}");
	for (int i = 0; i < 100000; i++)
		buf_add_string(&text, "0123456789");
	buf_add_string(&text, "{{/x}}");
	buf_add_byte(&text, '\0');
	ck_assert_int_eq(parse(TEMPLATE_TEXT, text.at), OK);
	ck_assert_int_eq(
		render(TEMPLATE_TEXT, "{\"x\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", &out), OK);
	ck_assert_uint_eq(out.len, 16000000);
	ck_assert_int_eq(render(TEMPLATE_TEXT, "{\"x\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", &out),
		ERR_LIMIT);
	buf_free(&text);
}
END_TEST

START_TEST(a_region_that_is_full_is_told)
{
	struct region *small;
	struct template_source source = { .parts[TEMPLATE_TEXT] = TEXT("{{x}}") };
	struct mustache_view view = { .json = &json, .steps = MUSTACHE_STEPS };
	struct text out = { 0 };

	ck_assert_int_eq(region_open(100, &small), OK);
	ck_assert_int_eq(template_parse(&source, NULL, small, &template, &fault), ERR_LIMIT);
	template_fault_words(&fault, words);
	ck_assert_str_eq(
		words, "text, line 1, column 1: with its partials it is more than is taken");
	ck_assert_int_eq(parse(TEMPLATE_TEXT, "0123456789012345678901234567890123456789"
					      "0123456789012345678901234567890123456789"
					      "0123456789012345678901234567890123456789"),
		OK);
	ck_assert_int_eq(
		template_render(&template, TEMPLATE_TEXT, &view, small, &out, &fault), ERR_LIMIT);
	template_fault_words(&fault, words);
	ck_assert_str_eq(words, "text: the result is more than there is room for in one request");
	ck_assert_ptr_null(out.at);
	region_close(small);
}
END_TEST

static enum err count_partial(void *self, struct text name, struct text *text_out)
{
	++*(unsigned *)self;
	*text_out = TEXT("[{{> none}}]");
	return text_equal(name, TEXT("none")) ? ERR_MISSING : OK;
}

START_TEST(a_shared_partial_is_asked_for_once_by_all_parts)
{
	unsigned asked = 0;
	struct mustache_partials shared = { &asked, count_partial };
	struct template_source source = { .parts = { TEXT("{{> a}}"), TEXT("{{> b}}{{> a}}"),
						  TEXT("{{> a}}{{> c}}{{> b}}") } };
	struct mustache_view view = { .json = &json, .steps = MUSTACHE_STEPS };
	struct text out;

	ck_assert_int_eq(template_parse(&source, &shared, region, &template, &fault), OK);
	ck_assert_uint_eq(asked, 3 + TEMPLATE_PARTS); /* what nobody knows is not remembered */
	ck_assert_int_eq(
		template_render(&template, TEMPLATE_HTML, &view, region, &out, &fault), OK);
	ck_assert(text_equal(out, TEXT("[][][]")));
}
END_TEST

static const struct {
	const char *name;
	bool is_good;
} names[] = {
	{ "a", true },
	{ "order-2_b.C", true },
	{ "...", true },
	{ "", false },
	{ ".", false },
	{ "..", false },
	{ "a/b", false },
	{ "a b", false },
	{ "a%20", false },
	{ "\xc3\xa4", false },
};

START_TEST(names_are_of_few_letters)
{
	char name[TEMPLATE_NAME + 1];

	ck_assert_int_eq(template_name_is_good(text_of(names[_i].name)), names[_i].is_good);
	memset(name, 'x', sizeof(name));
	ck_assert(template_name_is_good((struct text){ name, TEMPLATE_NAME }));
	ck_assert(!template_name_is_good((struct text){ name, TEMPLATE_NAME + 1 }));
}
END_TEST

START_TEST(texts_hold_no_controls)
{
	ck_assert_ptr_null(template_why_not(TEXT("")));
	ck_assert_ptr_null(template_why_not(TEXT("a\r\n\tb \xc3\xa4")));
	ck_assert_ptr_nonnull(template_why_not(TEXT("a\0b")));
	ck_assert_ptr_nonnull(template_why_not(TEXT("\x1b")));
	ck_assert_ptr_nonnull(template_why_not(TEXT("\r\x0b")));
	ck_assert_ptr_nonnull(template_why_not(TEXT("\x7f")));
	ck_assert_ptr_nonnull(template_why_not(TEXT("\xff")));
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof(rows[0]))

UNIT_MAIN(template, tcase_add_checked_fixture(cases, open_region, close_region);
	  tcase_add_loop_test(cases, each_part_is_rendered_as_its_place_wants_it, 0, COUNT(good));
	  tcase_add_loop_test(cases, what_is_wrong_is_named_with_its_place, 0, COUNT(broken));
	  tcase_add_loop_test(cases, values_that_cannot_stand_there_are_refused, 0, COUNT(refused));
	  tcase_add_test(cases, a_subject_is_a_line_of_998_bytes);
	  tcase_add_test(cases, what_a_part_becomes_has_a_bound);
	  tcase_add_test(cases, a_region_that_is_full_is_told);
	  tcase_add_test(cases, a_shared_partial_is_asked_for_once_by_all_parts);
	  tcase_add_loop_test(cases, names_are_of_few_letters, 0, COUNT(names));
	  tcase_add_test(cases, texts_hold_no_controls);)
