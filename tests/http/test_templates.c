/* The field `template`, and /templates, over real sockets. */
#include "http/route.h"
#include "one_server.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned ask(const char *method, const char *path, const char *body)
{
	struct buf request = buf_born(8 << 20);
	int fd = client_connect(served.port);

	ck_assert_int_ge(fd, 0);
	buf_addf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n", method,
		path);
	if (body)
		buf_addf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(body));
	buf_add_string(&request, "\r\n");
	buf_add_string(&request, body ? body : "");
	buf_add_byte(&request, '\0');
	client_send(fd, request.at);
	ck_assert(client_read(fd, strcmp(method, "HEAD") == 0, &answer));
	close(fd);
	buf_free(&request);
	return answer.status;
}

#define ORDER                                                                                      \
	"{\"subject\":\"Order {{n}}\\n\",\"text\":\"Dear {{name}},\","                             \
	"\"html\":\"<p>{{> hi}} {{name}}</p>\",\"partials\":{\"hi\":\"Hello\"}}"
#define MESSAGE "\"from\":\"a@example.com\",\"to\":\"b@example.org\""

static void keep(const char *name, const char *body)
{
	char path[200];

	snprintf(path, sizeof(path), "/templates/%s", name);
	ck_assert_msg(ask("PUT", path, body) == 201, "%s", answer.body.at);
}

static bool sent(const char *words)
{
	return memmem(served.fake.message.at, served.fake.message.len, words, strlen(words));
}

START_TEST(a_template_is_kept_shown_listed_and_removed)
{
	start();
	ck_assert_uint_eq(ask("PUT", "/templates/order?x=1", ORDER), 201);
	ck_assert_str_eq(answer_header(&answer, "Location"), "/templates/order");
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 200);
	ck_assert_str_eq(answer_header(&answer, "Location"), "");
	ck_assert_str_eq(served.fake.seen_route, "/templates/{name}");
	ck_assert_uint_eq(ask("GET", "/templates/order", NULL), 200);
	ck_assert_msg(
		answer_has(&answer, "{\"name\":\"order\",\"kept_in\":\"memory\","
				    "\"changed\":\"2026-11-24T06:00:00.000Z\","
				    "\"subject\":\"Order {{n}}\\n\",\"text\":\"Dear {{name}},\","
				    "\"html\":\"<p>{{> hi}} {{name}}</p>\","
				    "\"partials\":{\"hi\":\"Hello\"}}\n"),
		"%s", answer.body.at);
	ck_assert_uint_eq(ask("HEAD", "/templates/order", NULL), 200);
	keep("bare", "{\"html\":\"x\"}");
	ck_assert_uint_eq(ask("GET", "/templates", NULL), 200);
	ck_assert_msg(answer_has(&answer, "\"parts\":[\"subject\",\"text\",\"html\"]},"), "%s",
		answer.body.at);
	ck_assert(answer_has(&answer, "{\"name\":\"bare\""));
	ck_assert(answer_has(&answer, "\"parts\":[\"html\"]}]}\n"));
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 200);
	ck_assert(answer_has(&answer, "{\"name\":\"order\",\"removed\":true}\n"));
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 404);
	ck_assert_uint_eq(ask("GET", "/templates/order", NULL), 404);
	ck_assert(answer_has(&answer, "\"code\":\"template_not_found\""));
	ck_assert(!answer_has(&answer, "\"outcome\""));
	stop();
}
END_TEST

/* A store takes its time, and no thread waits for it. */
START_TEST(a_change_is_told_when_it_is_kept)
{
	start();
	served.fake.templates.has_store = true;
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 201);
	ck_assert_str_eq(answer_header(&answer, "Location"), "/templates/order");
	ck_assert(answer_has(&answer, "\"partials\":{\"hi\":\"Hello\"}}\n"));
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 200);
	ck_assert_uint_eq(ask("PUT", "/templates/a", "{\"html\":\"{{#x}}\"}"), 422);
	ck_assert(answer_has(&answer, "\"pointer\":\"/html\""));
	served.fake.templates.next_change = TEMPLATE_NOT_KEPT;
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 503);
	ck_assert(answer_has(&answer, "\"code\":\"storage_unavailable\""));
	served.fake.templates.next_change = TEMPLATE_TOO_MANY;
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 503);
	ck_assert(answer_has(&answer, "\"code\":\"overloaded\""));
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 200);
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 404);
	stop();
}
END_TEST

/* What is told when nobody waits any more is released all the same. */
START_TEST(who_waits_no_longer_is_told_so)
{
	start();
	served.fake.templates.has_store = served.fake.templates.is_late = true;
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 504);
	ck_assert(answer_has(&answer, "\"code\":\"outcome_unknown\""));
	ck_assert(!answer_has(&answer, "\"outcome\""));
	ck_assert_str_eq(answer_header(&answer, "Retry-After"), "");
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 504);
	while (server_parked(served.server))
		usleep(1000);
	ck_assert_int_eq(served.fake.templates.held, 0);
	stop();
}
END_TEST

START_TEST(a_file_is_not_changed_over_http)
{
	start();
	keep("file", ORDER);
	ck_assert_uint_eq(ask("GET", "/templates/file", NULL), 200);
	ck_assert(answer_has(&answer, "\"kept_in\":\"file\""));
	ck_assert_uint_eq(ask("DELETE", "/templates/file", NULL), 405);
	ck_assert_str_eq(answer_header(&answer, "Allow"), "GET, HEAD");
	ck_assert(answer_has(&answer, "TEMPLATES_DIR"));
	stop();
}
END_TEST

static const struct {
	const char *path, *body;
	unsigned status;
	const char *code, *words;
} puts_refused[] = {
	{ "/templates/a%20b", ORDER, 422, "invalid_request", "A-Z a-z 0-9" },
	{ "/templates/a", "{", 400, "invalid_json", "" },
	{ "/templates/a", "[]", 422, "invalid_request", "an object is wanted" },
	{ "/templates/a", "{}", 422, "invalid_request", "at least one of" },
	{ "/templates/a", "{\"html\":null}", 422, "invalid_request", "at least one of" },
	{ "/templates/a", "{\"html\":7}", 422, "invalid_request", "\"pointer\":\"/html\"" },
	{ "/templates/a", "{\"subjcet\":\"\"}", 422, "invalid_request", "did you mean subject?" },
	{ "/templates/a", "{\"name\":\"a\",\"html\":\"\"}", 422, "invalid_request", "/name" },
	{ "/templates/a", "{\"text\":\"\\u0000\"}", 422, "invalid_request",
		"\"pointer\":\"/text\"" },
	{ "/templates/a", "{\"text\":\"\",\"partials\":[]}", 422, "invalid_request",
		"\"pointer\":\"/partials\"" },
	{ "/templates/a", "{\"text\":\"\",\"partials\":{\"\":\"\"}}", 422, "invalid_request",
		"a partial's name" },
	{ "/templates/a", "{\"text\":\"\",\"partials\":{\"x\":1}}", 422, "invalid_request",
		"\"pointer\":\"/partials/x\"" },
	{ "/templates/a", "{\"html\":\"a\\n{{#x}}\"}", 422, "template_error",
		"\"detail\":\"html, line 2, column 1: " },
	{ "/templates/a", "{\"html\":\"a\\n{{#x}}\"}", 422, "template_error",
		"\"errors\":[{\"pointer\":\"/html\",\"detail\":\"html, line 2, column 1: " },
	{ "/templates/a", "{\"html\":\"{{> x}}\",\"partials\":{\"x\":\"{{/y}}\"}}", 422,
		"template_error", "\"pointer\":\"/partials/x\"" },
};

START_TEST(what_cannot_be_kept_is_refused)
{
	start();
	ck_assert_uint_eq(
		ask("PUT", puts_refused[_i].path, puts_refused[_i].body), puts_refused[_i].status);
	ck_assert_msg(answer_has(&answer, puts_refused[_i].code), "%s", answer.body.at);
	ck_assert_msg(answer_has(&answer, puts_refused[_i].words), "%s", answer.body.at);
	ck_assert_uint_eq(served.fake.templates.count, 0);
	stop();
}
END_TEST

START_TEST(a_template_has_a_bound)
{
	struct buf body = buf_born(4 << 20);

	served_prepare(&served);
	served.settings.body_max_bytes = 4 << 20;
	served_start(&served);
	buf_add_string(&body, "{\"subject\":\"x\",\"html\":\"");
	for (int i = 0; i < TEMPLATE_BYTES - 1; i++)
		buf_add_byte(&body, 'x');
	buf_add(&body, TEXT("\"}\0"));
	ck_assert_uint_eq(ask("PUT", "/templates/a", body.at), 201);
	body.len -= 3;
	buf_add(&body, TEXT("y\"}\0"));
	ck_assert_uint_eq(ask("PUT", "/templates/b", body.at), 422);
	ck_assert_msg(answer_has(&answer, "template: at most 1048576 bytes"), "%s", answer.body.at);
	buf_free(&body);
	stop();
}
END_TEST

START_TEST(no_room_is_told)
{
	static const struct {
		enum template_change change;
		unsigned status;
		const char *words;
	} rows[] = { { TEMPLATE_NO_ROOM, 422, "at most 1000" },
		{ TEMPLATE_NO_MEMORY, 503, "overloaded" },
		{ TEMPLATE_NOT_KEPT, 503, "storage_unavailable" },
		{ TEMPLATE_IN_DOUBT, 504, "outcome_unknown" },
		{ TEMPLATE_IS_FILE, 405, "TEMPLATES_DIR" } };

	start();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		served.fake.templates.next_change = rows[i].change;
		ck_assert_uint_eq(ask("PUT", "/templates/a", ORDER), rows[i].status);
		ck_assert_msg(answer_has(&answer, rows[i].words), "%s", answer.body.at);
	}
	stop();
}
END_TEST

START_TEST(scopes_divide_using_from_changing)
{
	start();
	keep("order", ORDER);
	served.fake.caller.scopes = SCOPE_SEND;
	ck_assert_uint_eq(ask("GET", "/templates", NULL), 200);
	ck_assert_uint_eq(ask("GET", "/templates/order", NULL), 200);
	ck_assert_uint_eq(ask("POST", "/templates/order/render", "{}"), 200);
	ck_assert_uint_eq(ask("PUT", "/templates/order", ORDER), 403);
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 403);
	served.fake.caller.scopes = SCOPE_READ | SCOPE_TRACE;
	ck_assert_uint_eq(ask("GET", "/templates", NULL), 403);
	ck_assert_uint_eq(ask("GET", "/templates/order", NULL), 403);
	ck_assert_uint_eq(ask("POST", "/templates/order/render", "{}"), 403);
	served.fake.caller.scopes = SCOPE_TEMPLATES;
	ck_assert_uint_eq(ask("POST", "/templates/order/render", "{}"), 200);
	ck_assert_uint_eq(ask("POST", "/send", A_MAIL), 403);
	ck_assert_uint_eq(ask("DELETE", "/templates/order", NULL), 200);
	stop();
}
END_TEST

START_TEST(rendering_tells_what_is_missing)
{
	start();
	keep("order", "{\"subject\":\"{{n}} {{a.b}}\",\"html\":\"<p>{{name}}{{> lost}}{{> shared}}"
		      "{{#items}}{{price}}{{/items}}{{n}}</p>\"}");
	ck_assert_uint_eq(ask("POST", "/templates/order/render",
				  "{\"data\":{\"name\":\"<Bo>\",\"items\":[{}]}}"),
		200);
	ck_assert_msg(answer_has(&answer,
			      "{\"subject\":\" \",\"html\":\"<p>&lt;Bo&gt;<i>&lt;Bo&gt;</i></p>\","
			      "\"missing\":[\"n\",\"a.b\",\"price\"],"
			      "\"missing_partials\":[\"lost\"]}\n"),
		"%s", answer.body.at);
	ck_assert_uint_eq(ask("POST", "/templates/lost/render", "{}"), 404);
	ck_assert(answer_has(&answer, "template_not_found"));
	ck_assert_uint_eq(ask("POST", "/templates/order/render", "{\"datum\":{}}"), 422);
	ck_assert(answer_has(&answer, "invalid_request"));
	ck_assert_uint_eq(
		ask("POST", "/templates/order/render", "{\"data\":{\"n\":\"a\\nb\"}}"), 422);
	ck_assert_msg(
		answer_has(&answer, "\"errors\":[{\"pointer\":\"/data\",\"detail\":\"subject: "),
		"%s", answer.body.at);
	ck_assert(answer_has(&answer, "template_error"));
	ck_assert_uint_eq(ask("POST", "/templates/order/render", "{\"data\":{\"name\":[1]}}"), 422);
	ck_assert(answer_has(&answer, "html, line 1, column 4: "));
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

START_TEST(a_message_is_made_of_a_kept_template)
{
	start();
	keep("order", ORDER);
	ck_assert_msg(post(served.port, "/send",
			      "{" MESSAGE ",\"template\":{\"name\":\"order\","
			      "\"data\":{\"n\":7,\"name\":\"<Bo>\"}}}",
			      &answer) == 200,
		"%s", answer.body.at);
	ck_assert(sent("\r\nSubject: Order 7\r\n"));
	ck_assert(sent("\r\nDear <Bo>,"));
	ck_assert(sent("<p>Hello &lt;Bo&gt;</p>"));
	stop();
}
END_TEST

START_TEST(a_text_is_made_of_the_templates_html)
{
	start();
	keep("bare", "{\"html\":\"<p>Hello {{name}}</p>\"}");
	ck_assert_uint_eq(post(served.port, "/send",
				  "{" MESSAGE ",\"subject\":\"Hi\",\"template\":{\"name\":\"bare\","
				  "\"data\":{\"name\":\"<Bo>\"}}}",
				  &answer),
		200);
	ck_assert(sent("text/plain"));
	ck_assert(sent("\r\nHello <Bo>"));
	ck_assert(sent("<p>Hello &lt;Bo&gt;</p>"));
	stop();
}
END_TEST

START_TEST(what_the_message_says_goes_first)
{
	start();
	keep("order", ORDER);
	ck_assert_uint_eq(post(served.port, "/send",
				  "{" MESSAGE ",\"subject\":\"Mine\",\"text\":\"My own\","
				  "\"template\":{\"name\":\"order\",\"data\":{\"n\":[]}}}",
				  &answer),
		200);
	ck_assert(sent("\r\nSubject: Mine\r\n"));
	ck_assert(sent("My own"));
	ck_assert(!sent("Dear"));
	ck_assert(sent("<p>Hello </p>"));
	ck_assert_uint_eq(post(served.port, "/send",
				  "{" MESSAGE ",\"text\":false,\"subject\":null,"
				  "\"template\":{\"name\":\"order\",\"data\":{\"n\":3}}}",
				  &answer),
		200);
	ck_assert(!sent("text/plain"));
	ck_assert(sent("\r\nSubject: Order 3\r\n"));
	stop();
}
END_TEST

START_TEST(a_template_comes_along)
{
	start();
	ck_assert_msg(post(served.port, "/send",
			      "{" MESSAGE ",\"template\":{\"subject\":\"Hi {{name}}\","
			      "\"html\":\"{{> own}}{{> shared}}\","
			      "\"partials\":{\"own\":\"<b>{{name}}</b>\"},"
			      "\"data\":{\"name\":\"B&o\"}}}",
			      &answer) == 200,
		"%s", answer.body.at);
	ck_assert(sent("\r\nSubject: Hi B&o\r\n"));
	ck_assert(sent("<b>B&amp;o</b><i>B&amp;o</i>"));
	stop();
}
END_TEST

/* They are there, and too much: that is neither a lack of memory nor of partials. */
START_TEST(partials_without_end_are_refused)
{
	struct buf body = buf_born(4000);

	start();
	buf_addf(&body, "{" MESSAGE ",\"template\":{\"subject\":\"Hi\",\"html\":\"");
	for (int i = 0; i < 100; i++)
		buf_addf(&body, "{{> large%d}}", i);
	buf_add(&body, TEXT("\"}}\0"));
	ck_assert_uint_eq(post(served.port, "/send", body.at, &answer), 422);
	ck_assert_msg(answer_has(&answer, "\"template_error\"") &&
			      answer_has(&answer, "{\"pointer\":\"/template/html\",") &&
			      answer_has(&answer, "with the partial \\\"large") &&
			      answer_has(&answer, "it is more than is taken"),
		"%s", answer.body.at);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	buf_free(&body);
	stop();
}
END_TEST

static const struct {
	const char *template;
	unsigned status;
	const char *code, *words;
} sends_refused[] = {
	{ "7", 422, "invalid_request", "\"pointer\":\"/template\",\"detail\":\"an object" },
	{ "{}", 422, "invalid_request", "\"pointer\":\"/template\"" },
	{ "{\"data\":{}}", 422, "invalid_request", "\"pointer\":\"/template\"" },
	{ "{\"name\":\"lost\"}", 404, "template_not_found", "\"pointer\":\"/template/name\"" },
	{ "{\"name\":\"a/b\"}", 404, "template_not_found", "\"pointer\":\"/template/name\"" },
	{ "{\"name\":\"\"}", 404, "template_not_found", "\"pointer\":\"/template/name\"" },
	{ "{\"name\":7}", 422, "invalid_request", "\"pointer\":\"/template/name\"" },
	{ "{\"name\":\"order\",\"html\":\"x\"}", 422, "invalid_request", "not both" },
	{ "{\"name\":\"order\",\"data\":[]}", 422, "invalid_request",
		"\"pointer\":\"/template/data\"" },
	{ "{\"name\":\"order\",\"subjcet\":\"\"}", 422, "invalid_request",
		"did you mean subject?" },
	{ "{\"name\":\"order\",\"data\":{\"n\":\"a\\r\\nBcc: x@example.com\"}}", 422,
		"template_error", "\"pointer\":\"/template/name\",\"detail\":\"subject: " },
	{ "{\"name\":\"order\",\"data\":{\"name\":[7]}}", 422, "template_error",
		"\"pointer\":\"/template/name\",\"detail\":\"text, line 1, column 6: " },
	{ "{\"html\":\"\\n{{/x}}\"}", 422, "template_error",
		"\"pointer\":\"/template/html\",\"detail\":\"html, line 2, column 1: " },
	{ "{\"html\":\"{{> p}}\",\"partials\":{\"p\":\"{{/x}}\"}}", 422, "template_error",
		"\"pointer\":\"/template/partials/p\",\"detail\":\"html, partial p, line 1, " },
	{ "{\"subject\":\"{{x}}\",\"data\":{\"x\":\"a\\u2028b\"}}", 422, "template_error",
		"\"pointer\":\"/template/subject\",\"detail\":\"subject: " },
	{ "{\"text\":\"{{x}}\",\"data\":{\"x\":\"\\u0000\"}}", 422, "template_error",
		"\"pointer\":\"/template/text\",\"detail\":\"text: " },
};

START_TEST(a_template_that_cannot_be_used_is_refused)
{
	char body[600];

	start();
	keep("order", ORDER);
	snprintf(body, sizeof(body), "{" MESSAGE ",\"template\":%s}", sends_refused[_i].template);
	ck_assert_uint_eq(post(served.port, "/send", body, &answer), sends_refused[_i].status);
	ck_assert_msg(answer_has(&answer, sends_refused[_i].code), "%s", answer.body.at);
	ck_assert_msg(answer_has(&answer, sends_refused[_i].words), "%s", answer.body.at);
	ck_assert(answer_has(&answer, "\"outcome\":\"not_sent\""));
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 0);
	stop();
}
END_TEST

START_TEST(a_part_is_given_once)
{
	start();
	ck_assert_uint_eq(post(served.port, "/send",
				  "{" MESSAGE ",\"subject\":\"a\",\"html\":\"b\","
				  "\"template\":{\"subject\":\"a\",\"html\":\"b\"}}",
				  &answer),
		422);
	ck_assert(answer_has(&answer, "\"pointer\":\"/subject\""));
	ck_assert(answer_has(&answer, "\"pointer\":\"/html\""));
	ck_assert(answer_has(&answer, "\"code\":\"invalid_request\""));
	stop();
}
END_TEST

START_TEST(a_batch_has_templates_too)
{
	start();
	keep("order", ORDER);
	ck_assert_uint_eq(
		post(served.port, "/send/batch",
			"[{" MESSAGE ",\"template\":{\"name\":\"order\",\"data\":{\"n\":1}}},"
			"{" MESSAGE ",\"template\":{\"name\":\"lost\"}},"
			"{" MESSAGE ",\"template\":{\"name\":\"order\",\"data\":{\"n\":2}}}]",
			&answer),
		200);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 2);
	ck_assert(sent("\r\nSubject: Order 2\r\n"));
	ck_assert_msg(
		answer_has(&answer, "\"pointer\":\"/1/template/name\""), "%s", answer.body.at);
	ck_assert(answer_has(&answer, "\"code\":\"template_not_found\""));
	stop();
}
END_TEST

/* A template of about 1.2 million steps: 2000 turns of 500 tags. */
static void add_long_message(struct buf *body)
{
	buf_add_string(body, "{" MESSAGE ",\"template\":{\"text\":\"{{#x}}");
	for (int i = 0; i < 300; i++)
		buf_add_string(body, "{{^x}}{{/x}}");
	buf_add_string(body, "{{/x}}.\",\"data\":{\"x\":[0");
	for (int i = 1; i < 2000; i++)
		buf_add_string(body, ",0");
	buf_add_string(body, "]}}}");
}

START_TEST(a_request_has_one_bound_for_all_its_templates)
{
	struct buf body = buf_born(1 << 20);

	start();
	add_long_message(&body);
	buf_add_byte(&body, '\0');
	for (int i = 0; i < 2; i++) /* each request has its own */
		ck_assert_uint_eq(post(served.port, "/send", body.at, &answer), 200);
	buf_clear(&body);
	buf_add_byte(&body, '[');
	add_long_message(&body);
	buf_add_byte(&body, ',');
	add_long_message(&body);
	buf_add(&body, TEXT("]\0"));
	ck_assert_uint_eq(post(served.port, "/send/batch", body.at, &answer), 200);
	ck_assert_uint_eq(atomic_load(&served.fake.submitted), 3);
	ck_assert_msg(answer_has(&answer, "too many steps"), "%s", answer.body.at);
	buf_free(&body);
	stop();
}
END_TEST

/* A path that takes some methods says which, to whoever comes with another. */
START_TEST(every_path_says_what_it_takes)
{
	const struct route *route;

	for (size_t i = 0; (route = route_at(i)); i++) {
		const char *allow = NULL;
		struct text id;

		ck_assert_ptr_null(route_find(TEXT("PATCH"), text_of(route->pattern), &id, &allow));
		ck_assert_msg(allow && strstr(allow, route->method), "%s", route->pattern);
	}
	start();
	ck_assert_uint_eq(ask("POST", "/templates/order", "{}"), 405);
	ck_assert_str_eq(answer_header(&answer, "Allow"), "GET, HEAD, PUT, DELETE");
	stop();
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof(rows[0]))

UNIT_MAIN(templates, tcase_add_test(cases, a_template_is_kept_shown_listed_and_removed);
	  tcase_add_test(cases, a_change_is_told_when_it_is_kept);
	  tcase_add_test(cases, who_waits_no_longer_is_told_so);
	  tcase_add_test(cases, a_file_is_not_changed_over_http);
	  tcase_add_loop_test(cases, what_cannot_be_kept_is_refused, 0, COUNT(puts_refused));
	  tcase_add_test(cases, a_template_has_a_bound); tcase_add_test(cases, no_room_is_told);
	  tcase_add_test(cases, scopes_divide_using_from_changing);
	  tcase_add_test(cases, rendering_tells_what_is_missing);
	  tcase_add_test(cases, a_message_is_made_of_a_kept_template);
	  tcase_add_test(cases, a_text_is_made_of_the_templates_html);
	  tcase_add_test(cases, what_the_message_says_goes_first);
	  tcase_add_test(cases, a_template_comes_along);
	  tcase_add_test(cases, partials_without_end_are_refused); tcase_add_loop_test(
		  cases, a_template_that_cannot_be_used_is_refused, 0, COUNT(sends_refused));
	  tcase_add_test(cases, a_part_is_given_once);
	  tcase_add_test(cases, a_batch_has_templates_too);
	  tcase_add_test(cases, a_request_has_one_bound_for_all_its_templates);
	  tcase_add_test(cases, every_path_says_what_it_takes);)
