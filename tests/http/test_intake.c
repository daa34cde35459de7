/* A form as it is taken in: what JSON it becomes, and what is wrong with it; fed cut anywhere. */
#include "http/intake/intake.h"

#include "http/intake/form.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define COUNT(table)    ((int)(sizeof(table) / sizeof((table)[0])))
#define TYPE            "multipart/form-data; boundary=b"
#define PART(head)      "--b\r\nContent-Disposition: form-data; " head "\r\n"
#define FIELD(name, it) PART("name=\"" name "\"") "\r\n" it "\r\n"
#define A_FILE(name, file, it)                                                                     \
	PART("name=\"" name "\"; filename=\"" file "\"") "Content-Type: a/b\r\n\r\n" it "\r\n"
#define END    "--b--\r\n"
#define FILE_0 A_FILE("attachment", "f", "x")
#define JSON_0                                                                                     \
	"{\"filename\":\"f\",\"content_type\":\"a/"                                                \
	"b\",\"disposition\":\"attachment\"}"

static struct region *region;
static struct complaints complaints;
static struct intake *intake;

/* Fed in pieces of `step` bytes. */
static enum err take(const char *type, struct text body, size_t step, struct intake_whole *whole)
{
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	complaints = (struct complaints){ .region = region };
	intake = intake_open(text_of(type), 1 << 20, region);
	ck_assert_ptr_nonnull(intake);
	for (; body.len; body = text_from(body, step))
		intake_feed(intake, text_head(body, step));
	return intake_end(intake, whole, &complaints);
}

static void forget(void)
{
	intake_close(intake);
	region_close(region);
}

static const struct {
	const char *form, *json;
} good[] = {
	{ END, "{}" },
	{ FIELD("a", "x") END, "{\"a\":\"x\"}" },
	{ FIELD("a", "") END, "{\"a\":\"\"}" },
	{ FIELD("a", "x\r\n\"y\\") END, "{\"a\":\"x\\r\\n\\\"y\\\\\"}" },
	{ FIELD("to", "x") FIELD("cc", "z") FIELD("to", "y") END,
		"{\"to\":[\"x\",\"y\"],\"cc\":\"z\"}" },
	{ FIELD("tags", "x") END, "{\"tags\":[\"x\"]}" },
	{ FIELD("message", "{\"a\":1}") END, "{\"a\":1}" },
	{ FIELD("message", " {} ") FIELD("a", "x") END, "{\"a\":\"x\"}" },
	{ FIELD("message", "{ }") END, "{}" },
	{ FIELD("message", "{\"a\":{}}") FIELD("b", "x") END, "{\"a\":{},\"b\":\"x\"}" },
	{ FIELD("b", "x") FIELD("message", "{\"a\":1}") END, "{\"a\":1,\"b\":\"x\"}" },
	{ FIELD("headers", "{\"X\": 1}") END, "{\"headers\":{\"X\": 1}}" },
	{ FIELD("trace", "true") FIELD("text", "true") END, "{\"trace\":true,\"text\":\"true\"}" },
	{ FIELD("trace", "false") FIELD("text", "false") END, "{\"trace\":false,\"text\":false}" },
	{ FIELD("trace", "1") FIELD("html", "false") END, "{\"trace\":\"1\",\"html\":\"false\"}" },
	{ A_FILE("text", "a.txt", "x") END, "{\"text\":\"x\"}" },
	{ A_FILE("attachment", "a.bin", "abc") END, "{\"attachments\":[{\"filename\":\"a.bin\","
						    "\"content_type\":\"a/b\",\"disposition\":"
						    "\"attachment\"}]}" },
	{ A_FILE("inline", "a.png", "abc") A_FILE("attachments[]", "", "x") END,
		"{\"attachments\":[{\"filename\":\"a.png\",\"content_type\":\"a/b\",\"content_id\":"
		"\"a.png\",\"disposition\":\"inline\"},{\"content_type\":"
		"\"a/b\",\"disposition\":\"attachment\"}]}" },
	{ PART("name=\"inline\"; filename=\"a\"") "Content-ID: <c>\r\n\r\nx\r\n" END,
		"{\"attachments\":[{\"filename\":\"a\",\"content_id\":\"<c>\",\"disposition\":"
		"\"inline\"}]}" },
	/* its name as a Content-ID */
	{ A_FILE("inline", "my logo.png", "x") END,
		"{\"attachments\":[{\"filename\":\"my logo.png\",\"content_type\":\"a/b\","
		"\"content_id\":\"my_logo.png\",\"disposition\":\"inline\"}]}" },
	{ A_FILE("inline", "<[\xc3\xbc\xe2\x82\xac%]>", "x") END,
		"{\"attachments\":[{\"filename\":\"<[\xc3\xbc\xe2\x82\xac%]>\","
		"\"content_type\":\"a/b\",\"content_id\":\"____%__\","
		"\"disposition\":\"inline\"}]}" },
	/* a file that was not chosen, and one that is empty */
	{ A_FILE("attachment", "", "") FIELD("a", "x") END, "{\"a\":\"x\"}" },
	{ PART("name=\"attachment\"; filename=\"e\"") "\r\n\r\n" END,
		"{\"attachments\":[{\"filename\":\"e\",\"disposition\":\"attachment\"}]}" },
	{ FIELD("attachments", "[{\"content\":\"QQ==\"}]") END,
		"{\"attachments\":[{\"content\":\"QQ==\"}]}" },
	{ PART("name=\"attachments\"") "Content-Type: Application/JSON; "
				       "charset=utf-8\r\n\r\n[1]\r\n" END,
		"{\"attachments\":[1]}" },
	{ PART("name=\"attachments\"; filename=\"\"") "Content-Type: "
						      "application/json\r\n\r\n[1]\r\n" END,
		"{\"attachments\":[{\"content_type\":\"application/json\",\"disposition\":"
		"\"attachment\"}]}" },
	/* those in JSON first, then the files: one list */
	{ FIELD("attachments", " [ 1 ] ") FIELD("attachments", "[]") FIELD("attachments", "[2,3]")
			END,
		"{\"attachments\":[1,2,3]}" },
	{ FILE_0 FIELD("attachments", "[1]") FIELD("a", "x") END,
		"{\"a\":\"x\",\"attachments\":[1," JSON_0 "]}" },
	{ FIELD("attachments", "[]") FILE_0 END, "{\"attachments\":[" JSON_0 "]}" },
	{ FIELD("message", "{\"a\":1}") FILE_0 END, "{\"a\":1,\"attachments\":[" JSON_0 "]}" },
	{ FIELD("message", "{\"attachments\":[1]}") FILE_0 END,
		"{\"attachments\":[1," JSON_0 "]}" },
	{ FILE_0 FIELD(
		  "message", "{\"a\":[\"]\\\"\"], \"attachments\" : [ 1, {\"b\":[]} ] ,\"c\":1}")
			FIELD("d", "x") END,
		"{\"a\":[\"]\\\"\"], \"attachments\" : [ 1, {\"b\":[]} ," JSON_0
		"] ,\"c\":1,\"d\":\"x\"}" },
	{ FIELD("message", "{\"a\":{\"attachments\":[1]},\"b\":\"attachments\",\"attachments\":[]}")
			FILE_0 END,
		"{\"a\":{\"attachments\":[1]},\"b\":\"attachments\",\"attachments\":[" JSON_0
		"]}" },
	{ FIELD("message", "{\"attachments\": null }") FILE_0 END,
		"{\"attachments\": [" JSON_0 "]  }" },
	{ FIELD("attachments", "[2]") FIELD("message", "{\"attachments\":[1]}") FILE_0 END,
		"{\"attachments\":[1,2," JSON_0 "]}" },
	/* what has such a name only when it is read is refused there: it stands twice */
	{ FIELD("message", "{\"\\u0061ttachments\":[]}") FILE_0 END,
		"{\"\\u0061ttachments\":[],\"attachments\":[" JSON_0 "]}" },
};

START_TEST(a_form_becomes_json)
{
	struct text form = text_of(good[_i].form);

	for (size_t step = 1; step <= form.len; step++) {
		struct intake_whole whole;

		ck_assert_msg(take(TYPE, form, step, &whole) == OK, "%.*s",
			(int)complaints.at[0].detail.len, complaints.at[0].detail.at);
		ck_assert_msg(
			text_equal((struct text){ whole.json, whole.len }, text_of(good[_i].json)),
			"%zu: %.*s", step, (int)whole.len, whole.json);
		forget();
	}
}
END_TEST

static const struct {
	const char *type, *form, *pointer, *words;
} bad[] = {
	{ "multipart/form-data", END, "", "boundary" },
	{ TYPE, "", "", "boundary" },
	{ TYPE, FIELD("a", "x"), "/a", "cut short" },
	{ TYPE, FIELD("message", "") END, "/message", "JSON" },
	{ TYPE, FIELD("message", "[]") END, "/message", "object" },
	{ TYPE, FIELD("message", "\"{}\"") END, "/message", "object" },
	{ TYPE, FIELD("message", "{\"a\":1}{") END, "/message", "at byte 7" },
	{ TYPE, FIELD("message", "{},\"bcc\":{}") END, "/message", "JSON" },
	{ TYPE,
		FIELD("message", "{\"a\":\"\xff"
				 "0\"}") END,
		"/message", "JSON" },
	{ TYPE, FIELD("headers", "X-A: b") END, "/headers", "JSON" },
	{ TYPE, FIELD("envelope", "") END, "/envelope", "JSON" },
	{ TYPE, FIELD("a", "\xff") END, "/a", "UTF-8" },
	{ TYPE, FIELD("metadata", "{\"a\":\"\xff\"}") END, "/metadata", "JSON" },
	{ TYPE, A_FILE("report", "a", "x") END, "/report", "attachment and inline" },
	{ TYPE, A_FILE("attachmentx", "a", "x") END, "/attachmentx", "attachment and inline" },
	{ TYPE, FIELD("attachment", "a.pdf") END, "/attachment", "attachment=@report.pdf" },
	{ TYPE, FIELD("inline[]", "a.pdf") END, "/inline[]", "attachment=@report.pdf" },
	{ TYPE, FIELD("attachments", "a.pdf") END, "/attachments", "JSON" },
	{ TYPE, FIELD("attachments", "{}") FILE_0 END, "/attachments", "list" },
	{ TYPE, FIELD("message", "{\"attachments\":{}}") FILE_0 END, "/attachments", "list" },
	{ TYPE, FILE_0 FIELD("message", "{\"a\":1,\"attachments\": \"x\" }") END, "/attachments",
		"list" },
	{ TYPE, FIELD("message", "{\"attachments\":1}") FIELD("attachments", "[]") END,
		"/attachments", "list" },
	{ TYPE, FIELD("message", "{\"attachments\":[]") FILE_0 END, "/message", "JSON" },
	{ TYPE, A_FILE("inline", "\xc3\xbc", "x") A_FILE("inline", "\xc3\xa4", "x") END, "/inline",
		"Content-ID" },
	{ TYPE, A_FILE("inline", "a_b", "x") A_FILE("inline", "a b", "x") END, "/inline",
		"Content-ID" },
	{ TYPE, PART("name=\"a\"") "Content-Transfer-Encoding: base64\r\n\r\nx\r\n" END, "/a",
		"transfer encoding" },
};

START_TEST(what_is_wrong_is_told_with_its_field)
{
	struct text form = text_of(bad[_i].form);
	struct intake_whole whole;

	for (size_t step = 1; step <= form.len + 1; step++) {
		bool found = false;

		ck_assert_int_ne(take(bad[_i].type, form, step, &whole), OK);
		for (size_t i = 0; i < complaints.count; i++)
			found |= text_equal(complaints.at[i].pointer, text_of(bad[_i].pointer)) &&
				 text_contains_nocase(
					 complaints.at[i].detail, text_of(bad[_i].words));
		ck_assert_msg(found, "%s: %.*s: %.*s", bad[_i].form,
			(int)complaints.at[0].pointer.len, complaints.at[0].pointer.at,
			(int)complaints.at[0].detail.len, complaints.at[0].detail.at);
		forget();
	}
}
END_TEST

static void add_content(struct buf *out, const struct smtp_content *content)
{
	buf_clear(out);
	smtp_content_add(out, content);
	ck_assert_int_eq(out->err, OK);
}

/* Files of all sizes, behind each other, as they go out. */
START_TEST(files_come_out_as_they_went_in)
{
	static const size_t lens[] = { 3, 0, 70000, 1, 65536, 200000 };
	enum { FILES = sizeof(lens) / sizeof(lens[0]), MOST = 1 << 20 };
	struct buf form = buf_born(MOST), wire = buf_born(MOST), wanted = buf_born(MOST);
	static char bytes[200000 + FILES];
	struct intake_whole whole;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 >> 4);
	for (size_t i = 0; i < FILES; i++) {
		buf_add_string(&form, PART("name=\"attachment\"; filename=\"x\"") "\r\n");
		buf_add(&form, (struct text){ bytes + i, lens[i] });
		buf_add_string(&form, "\r\n");
	}
	buf_add_string(&form, END);
	ck_assert_int_eq(take(TYPE, buf_text(&form), 8191, &whole), OK);
	ck_assert_uint_eq(whole.besides.file_count, FILES);
	for (size_t i = 0; i < FILES; i++) {
		struct smtp_content held = { .encoding = SMTP_BASE64,
			.text = { bytes + i, lens[i] } };

		add_content(&wanted, &held);
		add_content(&wire, &whole.besides.files[i]);
		ck_assert(text_equal(buf_text(&wire), buf_text(&wanted)));
		ck_assert_uint_eq(smtp_content_size(&whole.besides.files[i]), wanted.len);
	}
	forget();
	buf_free(&form);
	buf_free(&wire);
	buf_free(&wanted);
}
END_TEST

/* `count` times the part. */
static enum err take_many(const char *part, size_t count)
{
	struct buf form = buf_born(1 << 20);
	struct intake_whole whole;
	enum err err;

	for (size_t i = 0; i < count; i++)
		buf_add_string(&form, part);
	buf_add_string(&form, END);
	err = take(TYPE, buf_text(&form), 4096, &whole);
	buf_free(&form);
	return err;
}

START_TEST(there_may_be_so_many)
{
	static const struct {
		const char *part, *words;
		size_t most;
	} rows[] = {
		{ A_FILE("attachment", "a", "x"), "at most 100", 100 },
		{ FIELD("to", "a"), "more parts", FORM_PARTS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(take_many(rows[i].part, rows[i].most), OK);
		forget();
		ck_assert_int_ne(take_many(rows[i].part, rows[i].most + 1), OK);
		ck_assert_uint_eq(complaints.count, 1);
		ck_assert(text_contains_nocase(complaints.at[0].detail, text_of(rows[i].words)));
		forget();
	}
}
END_TEST

/* A field larger than is taken, and a region too small for what there is. */
START_TEST(there_may_be_so_much)
{
	static char large[1 << 20];
	struct text form = TEXT(FIELD("message", "{\"a\":[1,2,3]}") FIELD("to", "x")
			A_FILE("attachment", "a", "x") END);
	struct intake_whole whole;
	bool is_whole = false;
	size_t limit = 64, refusals = 0;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	complaints = (struct complaints){ .region = region };
	intake = intake_open(TEXT(TYPE), 1000, region);
	memset(large, 'x', sizeof(large));
	intake_feed(intake, TEXT(PART("name=\"text\"") "\r\n"));
	intake_feed(intake, (struct text){ large, 1001 });
	ck_assert_int_eq(intake_end(intake, &whole, &complaints), ERR_LIMIT);
	forget();
	for (; !is_whole; limit += limit / 64 + 1) {
		ck_assert_uint_lt(limit, 1 << 20);
		ck_assert_int_eq(region_open(limit, &region), OK);
		complaints = (struct complaints){ .region = region };
		intake = intake_open(TEXT(TYPE), 1000, region);
		if (intake) {
			intake_feed(intake, form);
			is_whole = intake_end(intake, &whole, &complaints) == OK;
		}
		refusals += !is_whole;
		ck_assert(!is_whole || (whole.besides.file_count == 1 &&
					       text_starts((struct text){ whole.json, whole.len },
						       TEXT("{\"a\":[1,2,3],\"to\":\"x\","))));
		forget();
	}
	ck_assert_uint_gt(refusals, 10);
}
END_TEST

/* Long fields are copied nowhere: a text is referred to, and what is added to `message` is added
 * where that came. */
START_TEST(long_fields_stay_where_they_came)
{
	static const char *const rows[][3] = {
		{ "text", "",
			"{\"text\":\"\xff"
			"0\",\"to\":\"x\",\"attachments\":[" JSON_0 "]}" },
		{ "message", "{\"a\":null ", ",\"to\":\"x\",\"attachments\":[" JSON_0 "]}" },
		{ "message", " {\"attachments\":[ ]", ",\"to\":\"x\"}" },
		{ "message", " {\"attachments\":null", ",\"to\":\"x\"}" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf form = buf_born(1 << 20);
		struct intake_whole whole;
		struct json parsed;
		struct text json;
		size_t held;

		buf_addf(&form, PART("name=\"%s\"") "\r\n%s", rows[i][0], rows[i][1]);
		if (rows[i][1][0])
			buf_addf(&form, ",\"b\":\"%0100000d\"} ", 0);
		else
			buf_addf(&form, "%0100000d", 0);
		buf_addf(&form, "\r\n" FIELD("to", "x") FILE_0 END);
		ck_assert_int_eq(region_open(64 << 20, &region), OK);
		complaints = (struct complaints){ .region = region };
		intake = intake_open(TEXT(TYPE), 1 << 20, region);
		intake_feed(intake, buf_text(&form));
		held = intake_held(intake) + region_used(region);
		ck_assert_uint_lt(intake_to_come(intake), 100);
		ck_assert_int_eq(intake_end(intake, &whole, &complaints), OK);
		ck_assert_uint_le(intake_held(intake) + region_used(region), held + 140000);
		json = (struct text){ whole.json, whole.len };
		ck_assert(text_equal(
			text_from(json, json.len - strlen(rows[i][2])), text_of(rows[i][2])));
		ck_assert_uint_eq(whole.outside_count, !rows[i][1][0]);
		ck_assert_int_eq(json_parse_with(whole.json, whole.len, whole.outside,
					 whole.outside_count, region, &parsed),
			OK);
		if (!rows[i][1][0])
			ck_assert_uint_eq(whole.outside[0].len, 100000);
		buf_free(&form);
		forget();
	}
}
END_TEST

/* Fields are, and files no longer than they are small. Of what failed nothing is kept. */
START_TEST(what_is_held_is_known)
{
	static const char file[] = PART("name=\"attachment\"; filename=\"a\"") "\r\n";
	struct buf field = buf_born(200000);

	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	intake = intake_open(TEXT(TYPE), 1 << 20, region);
	ck_assert_uint_eq(intake_held(intake), 0);
	buf_addf(&field, PART("name=\"text\"") "\r\n%*s\r\n", 100000, "x");
	intake_feed(intake, buf_text(&field));
	ck_assert_uint_ge(intake_held(intake), 100000);
	ck_assert_uint_le(intake_held(intake), 300000);
	intake_feed(intake, text_of(file));
	intake_feed(intake, text_head(buf_text(&field), 60000));
	ck_assert_uint_ge(intake_held(intake), 160000);
	intake_feed(intake, TEXT("\r\n--b\r\nx y: \r\n"));
	ck_assert_uint_le(intake_held(intake), 300000);
	buf_free(&field);
	forget();
}
END_TEST

START_TEST(a_type_is_a_forms_or_not)
{
	ck_assert(intake_fits(TEXT(TYPE)));
	ck_assert(intake_fits(TEXT("Multipart/Form-Data ;boundary=x")));
	ck_assert(intake_fits(TEXT("multipart/form-data")));
	ck_assert(!intake_fits(TEXT("multipart/mixed; boundary=b")));
	ck_assert(!intake_fits(TEXT("multipart/form-datax")));
	ck_assert(!intake_fits(TEXT("")));
}
END_TEST

UNIT_MAIN(intake, tcase_add_loop_test(cases, a_form_becomes_json, 0, COUNT(good));
	  tcase_add_loop_test(cases, what_is_wrong_is_told_with_its_field, 0, COUNT(bad));
	  tcase_add_test(cases, files_come_out_as_they_went_in);
	  tcase_add_test(cases, there_may_be_so_many); tcase_add_test(cases, there_may_be_so_much);
	  tcase_add_test(cases, what_is_held_is_known);
	  tcase_add_test(cases, long_fields_stay_where_they_came);
	  tcase_add_test(cases, a_type_is_a_forms_or_not);)
