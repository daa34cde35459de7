#include "http/intake/form.h"
#include "smtp/buf.h"
#include "unit.h"

#include <string.h>

enum { READ_BYTES = 1 << 16 };

/* ---- what was read, as text: {name (filename) type <id> encoding: content} per part */

struct taken {
	struct buf out;
	const struct form *form;
	struct text piece;   /* what is being fed */
	size_t kept, passed; /* bytes of content that lay in the form, and in the piece */
	char refuse;         /* 'b', 'c' or 'e': this call answers ERR_MEMORY */
	unsigned calls;
};

static enum err answer(struct taken *taken, char call)
{
	taken->calls++;
	return taken->refuse == call ? ERR_MEMORY : OK;
}

static void add_word(struct buf *out, const char *before, struct text word, const char *behind)
{
	if (!word.len)
		return;
	buf_add_string(out, before);
	buf_add(out, word);
	buf_add_string(out, behind);
}

static enum err on_begin(void *self, const struct form_part *part)
{
	struct taken *taken = self;

	add_word(&taken->out, "{", part->name, "");
	if (part->is_file) {
		buf_add_string(&taken->out, " (");
		buf_add(&taken->out, part->filename);
		buf_add_string(&taken->out, ")");
	}
	add_word(&taken->out, " ", part->content_type, "");
	add_word(&taken->out, " id ", part->content_id, "");
	add_word(&taken->out, " as ", part->transfer_encoding, "");
	buf_add_string(&taken->out, ": ");
	return answer(taken, 'b');
}

static bool lies_in(struct text piece, const char *at, size_t len)
{
	return piece.at >= at && piece.at + piece.len <= at + len;
}

static enum err on_content(void *self, struct text piece)
{
	struct taken *taken = self;

	if (!piece.len)
		ck_abort_msg("an empty piece of content");
	if (lies_in(piece, taken->piece.at, taken->piece.len))
		taken->passed += piece.len;
	else if (lies_in(piece, (const char *)taken->form, sizeof(*taken->form)))
		taken->kept += piece.len;
	else
		ck_abort_msg("content lies neither in the fed piece nor in the form");
	buf_add(&taken->out, piece);
	return answer(taken, 'c');
}

static enum err on_end(void *self)
{
	struct taken *taken = self;

	buf_add_string(&taken->out, "}");
	return answer(taken, 'e');
}

static void begin(
	struct form *form, struct taken *taken, const char *content_type, size_t parts_max)
{
	struct form_reader reader = { on_begin, on_content, on_end, taken };
	struct text boundary;
	const char *why = NULL;

	*taken = (struct taken){ .out = buf_born(READ_BYTES), .form = form };
	ck_assert_int_eq(form_boundary(text_of(content_type), &boundary, &why), OK);
	memset(form, 0x55, sizeof(*form));
	form_begin(form, boundary, parts_max, &reader);
}

/* A piece is fed from memory of just its size, which is overwritten afterwards. */
static enum err feed(struct form *form, struct taken *taken, struct text piece)
{
	char *own = malloc(piece.len + 1);
	enum err err;

	ck_assert_ptr_nonnull(own);
	memcpy(own + 1, piece.at, piece.len);
	taken->piece = (struct text){ own + 1, piece.len };
	err = form_feed(form, taken->piece);
	memset(own, 'X', piece.len + 1);
	free(own);
	return err;
}

static enum err feed_steps(
	struct form *form, struct taken *taken, struct text body, size_t first, size_t step)
{
	struct text piece = text_head(body, first);
	enum err err = OK;

	while (body.len && !err) {
		err = feed(form, taken, piece);
		body = text_from(body, piece.len);
		piece = text_head(body, step);
	}
	ck_assert_int_eq(err, form->err);
	return form_end(form);
}

struct outcome {
	enum err err;
	size_t part;
	const char *why; /* a piece of it; NULL: none */
	const char *read;
};

static void check_outcome(struct form *form, struct taken *taken, const struct outcome *wanted)
{
	buf_add_byte(&taken->out, '\0');
	ck_assert_int_eq(taken->out.err, OK);
	ck_assert_str_eq(taken->out.at, wanted->read);
	ck_assert_int_eq(form->err, wanted->err);
	if (wanted->why)
		ck_assert_msg(form->why && strstr(form->why, wanted->why), "why: %s", form->why);
	else
		ck_assert_ptr_null(form->why);
	ck_assert_uint_eq(form->part, wanted->part);
	ck_assert_int_eq(form->err ? form_feed(form, TEXT("more")) : OK, form->err);
	buf_free(&taken->out);
}

/* Whole, in two pieces at every place, and byte by byte. */
static void check_body(
	const char *content_type, struct text body, size_t parts_max, const struct outcome *wanted)
{
	struct form form;
	struct taken taken;

	for (size_t cut = 1; cut <= body.len; cut++) {
		begin(&form, &taken, content_type, parts_max);
		(void)feed_steps(&form, &taken, body, cut, body.len);
		check_outcome(&form, &taken, wanted);
	}
	for (size_t step = 1; step <= 3; step++) {
		begin(&form, &taken, content_type, parts_max);
		(void)feed_steps(&form, &taken, body, step, step);
		check_outcome(&form, &taken, wanted);
	}
}

/* ---- as clients send it */

#define CHROME     "----WebKitFormBoundary7MA4YWxkTrZu0gW0"
#define FIREFOX    "---------------------------9051914041544843365972754266"
#define GECKO      "----geckoformboundary5a9c2b6f8e6d4b1c9f0a7d3e2b1c4d5e"
#define CURL7      "------------------------d74496d66958873e"
#define CURL8      "------------------------TmTZd5E7ayLCh1TNsNrxUu"
#define REQUESTS   "3c8b8f4d6a0e4d0b9c5f2a1e7d6b5c4a"
#define UNDICI     "----formdata-undici-014770088570"
#define DOTNET     "b2a6f5c0-7d1e-4c55-9b0e-0d9d5a3e1f42"
#define GO         "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7"
#define OKHTTP     "3f2f4a3a-6c0e-4a4c-9d0e-2a1f7e3b5c6d"
#define HTTPCLIENT "kJ2bXv4lP0q-_Zt9aYc"
#define AXIOS      "--------------------------515890814546601021194782"

static const struct {
	const char *client, *content_type;
	struct text body;
	struct outcome outcome;
} clients[] = {
	{ "curl 7.68 and PHP with it: backslashes", "multipart/form-data; boundary=" CURL7,
		TEXT("--" CURL7 "\r\n"
		     "Content-Disposition: form-data; name=\"from\"\r\n\r\n"
		     "Shop <shop@example.com>\r\n"
		     "--" CURL7 "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; "
		     "filename=\"a \\\"b\\\" \\\\ c.pdf\"\r\n"
		     "Content-Type: application/pdf\r\n\r\n"
		     "%PDF-1.4\n\r\n"
		     "--" CURL7 "--\r\n"),
		{ OK, 2, NULL,
			"{from: Shop <shop@example.com>}"
			"{attachment ( c.pdf) application/pdf: %PDF-1.4\n}" } },
	{ "curl 7.88 and 8: percent, a field's own header, base64",
		"multipart/form-data; boundary=" CURL8,
		TEXT("--" CURL8 "\r\n"
		     "Content-Disposition: form-data; name=\"n%22m\\x\"\r\n\r\n"
		     "1\r\n"
		     "--" CURL8 "\r\n"
		     "Content-Disposition: form-data; name=\"f\"; filename=\"q%22u.txt\"\r\n"
		     "Content-Type: text/plain\r\n"
		     "Content-Transfer-Encoding: base64\r\n\r\n"
		     "aGVsbG8=\r\n"
		     "--" CURL8 "\r\n"
		     "Content-Disposition: form-data; name=\"inline\"; filename=\"logo.png\"\r\n"
		     "Content-Type: image/png\r\n"
		     "Content-ID: <logo>\r\n\r\n"
		     "\x89PNG\r\n"
		     "--" CURL8 "--\r\n"),
		{ OK, 3, NULL,
			"{n\"m\\x: 1}{f (q\"u.txt) text/plain as base64: aGVsbG8=}"
			"{inline (logo.png) image/png id <logo>: \x89PNG}" } },
	{ "PHP: CURLFile without a type", "multipart/form-data; boundary=" CURL7,
		TEXT("--" CURL7 "\r\n"
		     "Content-Disposition: form-data; name=\"attachment[0]\"; "
		     "filename=\"/var/www/files/invoice.pdf\"\r\n"
		     "Content-Type: application/octet-stream\r\n\r\n"
		     "x\r\n"
		     "--" CURL7 "--\r\n"),
		{ OK, 1, NULL, "{attachment[0] (invoice.pdf) application/octet-stream: x}" } },
	{ "Chrome and Safari: UTF-8 as it is, a file that was not chosen",
		"multipart/form-data; boundary=" CHROME,
		TEXT("--" CHROME "\r\n"
		     "Content-Disposition: form-data; name=\"text\"\r\n\r\n"
		     "two\r\nlines\r\n\r\n"
		     "--" CHROME "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; "
		     "filename=\"\xc3\x9c"
		     "bersicht %22A%22 50%.pdf\"\r\n"
		     "Content-Type: application/pdf\r\n\r\n"
		     "\r\n"
		     "--" CHROME "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; filename=\"\"\r\n"
		     "Content-Type: application/octet-stream\r\n\r\n"
		     "\r\n"
		     "--" CHROME "--\r\n"),
		{ OK, 3, NULL,
			"{text: two\r\nlines\r\n}"
			"{attachment (\xc3\x9c"
			"bersicht \"A\" 50%.pdf) application/pdf: }"
			"{attachment () application/octet-stream: }" } },
	{ "Chrome: an empty FormData", "multipart/form-data; boundary=" CHROME,
		TEXT("--" CHROME "--\r\n"), { OK, 0, NULL, "" } },
	{ "Firefox until 131", "multipart/form-data; boundary=" FIREFOX,
		TEXT("-----------------------------9051914041544843365972754266\r\n"
		     "Content-Disposition: form-data; name=\"subject\"\r\n\r\n"
		     "\xe2\x82\xac 5\r\n"
		     "-----------------------------9051914041544843365972754266\r\n"
		     "Content-Disposition: form-data; name=\"file\"; filename=\"a;b=c.html\"\r\n"
		     "Content-Type: text/html\r\n\r\n"
		     "<!DOCTYPE html>\r\n"
		     "-----------------------------9051914041544843365972754266--\r\n"),
		{ OK, 2, NULL,
			"{subject: \xe2\x82\xac 5}{file (a;b=c.html) text/html: <!DOCTYPE "
			"html>}" } },
	{ "Firefox since", "multipart/form-data; boundary=" GECKO,
		TEXT("--" GECKO "\r\n"
		     "Content-Disposition: form-data; name=\"to\"\r\n\r\n"
		     "ann@example.org\r\n"
		     "--" GECKO "--\r\n"),
		{ OK, 1, NULL, "{to: ann@example.org}" } },
	{ "Internet Explorer: a whole path", "multipart/form-data; boundary=7db2d1",
		TEXT("--7db2d1\r\n"
		     "Content-Disposition: form-data; name=\"f\"; "
		     "filename=\"C:\\Users\\Ann\\a.pdf\"\r\n"
		     "Content-Type: application/pdf\r\n\r\nx\r\n"
		     "--7db2d1\r\n"
		     "Content-Disposition: form-data; name=\"f\"; "
		     "filename=\"\\\\server\\share\\b.pdf\"\r\n"
		     "Content-Type: application/pdf\r\n\r\ny\r\n"
		     "--7db2d1--\r\n"),
		{ OK, 2, NULL, "{f (a.pdf) application/pdf: x}{f (b.pdf) application/pdf: y}" } },
	{ "Python requests, urllib3 2", "multipart/form-data; boundary=" REQUESTS,
		TEXT("--" REQUESTS "\r\n"
		     "Content-Disposition: form-data; name=\"from\"\r\n\r\n"
		     "a@example.com\r\n"
		     "--" REQUESTS "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; "
		     "filename=\"\xc3\xa4%22.csv\"\r\n"
		     "Content-Type: text/csv\r\n\r\n"
		     "1,2\n\r\n"
		     "--" REQUESTS "--\r\n"),
		{ OK, 2, NULL,
			"{from: a@example.com}{attachment (\xc3\xa4\".csv) text/csv: 1,2\n}" } },
	{ "Python requests, urllib3 before 1.25: filename* alone",
		"multipart/form-data; boundary=" REQUESTS,
		TEXT("--" REQUESTS "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; "
		     "filename*=utf-8''%C3%A4%20%22.csv\r\n\r\n"
		     "1\r\n"
		     "--" REQUESTS "--\r\n"),
		{ OK, 1, NULL, "{attachment (\xc3\xa4 \".csv): 1}" } },
	{ "Node: undici's FormData", "multipart/form-data; boundary=" UNDICI,
		TEXT("--" UNDICI "\r\n"
		     "Content-Disposition: form-data; name=\"from\"\r\n\r\n"
		     "a\r\nb\r\n"
		     "--" UNDICI "\r\n"
		     "Content-Disposition: form-data; name=\"e\"; filename=\"blob\"\r\n"
		     "Content-Type: application/octet-stream\r\n\r\n"
		     "\r\n"
		     "--" UNDICI "\r\n"
		     "Content-Disposition: form-data; name=\"file\"; "
		     "filename=\"\xc3\xbc%22p\\q.txt\"\r\n"
		     "Content-Type: text/plain\r\n\r\n"
		     "x\r\n"
		     "--" UNDICI "--\r\n"),
		{ OK, 3, NULL,
			"{from: a\r\nb}{e (blob) application/octet-stream: }{file (q.txt) "
			"text/plain: x}" } },
	{ "Node: form-data, as axios has it", "multipart/form-data; boundary=" AXIOS,
		TEXT("--" AXIOS "\r\n"
		     "Content-Disposition: form-data; name=\"to\"\r\n\r\n"
		     "b@example.org\r\n"
		     "--" AXIOS "--\r\n"),
		{ OK, 1, NULL, "{to: b@example.org}" } },
	{ ".NET: a quoted boundary, names without quotes, encoded words beside filename*",
		"multipart/form-data; boundary=\"" DOTNET "\"",
		TEXT("--" DOTNET "\r\n"
		     "Content-Type: text/plain; charset=utf-8\r\n"
		     "Content-Disposition: form-data; name=subject\r\n\r\n"
		     "Hello\r\n"
		     "--" DOTNET "\r\n"
		     "Content-Disposition: form-data; name=attachment; "
		     "filename=a.pdf; filename*=utf-8''a.pdf\r\n\r\n"
		     "x\r\n"
		     "--" DOTNET "\r\n"
		     "Content-Disposition: form-data; name=attachment; "
		     "filename=\"=?utf-8?B?w7wgMS5wZGY=?=\"; filename*=utf-8''%C3%BC%201.pdf\r\n"
		     "\r\n"
		     "y\r\n"
		     "--" DOTNET "--\r\n"),
		{ OK, 3, NULL,
			"{subject text/plain; charset=utf-8: Hello}{attachment (a.pdf): x}"
			"{attachment (\xc3\xbc 1.pdf): y}" } },
	{ "Go: no end of the last line is missed", "multipart/form-data; boundary=" GO,
		TEXT("--" GO "\r\n"
		     "Content-Disposition: form-data; name=\"attachment\"; "
		     "filename=\"a\\\\b\\\"c.txt\"\r\n"
		     "Content-Type: application/octet-stream\r\n\r\n"
		     "x\r\n"
		     "--" GO "--"),
		{ OK, 1, NULL, "{attachment (b\"c.txt) application/octet-stream: x}" } },
	{ "Java: OkHttp, with a length in each part", "multipart/form-data; boundary=" OKHTTP,
		TEXT("--" OKHTTP "\r\n"
		     "Content-Disposition: form-data; name=\"to\"\r\n"
		     "Content-Length: 15\r\n\r\n"
		     "ann@example.org\r\n"
		     "--" OKHTTP "--\r\n"),
		{ OK, 1, NULL, "{to: ann@example.org}" } },
	{ "Java: Apache HttpClient, strict",
		"multipart/form-data; charset=UTF-8; boundary=" HTTPCLIENT,
		TEXT("--" HTTPCLIENT "\r\n"
		     "Content-Disposition: form-data; name=\"text\"\r\n"
		     "Content-Type: text/plain; charset=ISO-8859-1\r\n"
		     "Content-Transfer-Encoding: 8bit\r\n\r\n"
		     "x\r\n"
		     "--" HTTPCLIENT "--\r\n"),
		{ OK, 1, NULL, "{text text/plain; charset=ISO-8859-1 as 8bit: x}" } },
};

START_TEST(clients_are_read_wherever_their_bodies_are_cut)
{
	check_body(clients[_i].content_type, clients[_i].body, FORM_PARTS, &clients[_i].outcome);
}
END_TEST

/* What is cut short must not pass for a message. */
START_TEST(a_body_is_whole_or_not)
{
	struct text body = clients[_i].body;
	size_t end = body.len;
	struct form form;
	struct taken taken;

	while (body.at[end - 1] != '-')
		end--;
	for (size_t len = 0; len < end; len++) {
		begin(&form, &taken, clients[_i].content_type, FORM_PARTS);
		ck_assert_int_eq(
			feed_steps(&form, &taken, text_head(body, len), len, len), ERR_MISSING);
		buf_free(&taken.out);
	}
	begin(&form, &taken, clients[_i].content_type, FORM_PARTS);
	ck_assert_int_eq(feed_steps(&form, &taken, text_head(body, end), end, end), OK);
	buf_free(&taken.out);
}
END_TEST

/* ---- delimiters and what looks like one; the boundary is "abc" */

#define FIELD "Content-Disposition: form-data; name=\"f\"\r\n\r\n"
#define OPEN  "--abc\r\n" FIELD
#define CLOSE "\r\n--abc--\r\n"

static const struct {
	struct text body;
	struct outcome outcome;
} delimiters[] = {
	{ TEXT(OPEN CLOSE), { OK, 1, NULL, "{f: }" } },
	{ TEXT("--abc\r\n" FIELD "--abc--\r\n"), { OK, 1, NULL, "{f: }" } },
	{ TEXT(OPEN "--abc\r\n" FIELD "x" CLOSE), { OK, 2, NULL, "{f: }{f: x}" } },
	/* preamble and epilogue */
	{ TEXT("\r\n" OPEN "x" CLOSE), { OK, 1, NULL, "{f: x}" } },
	{ TEXT("This is MIME.\r\n--ab\r\n" OPEN "x" CLOSE "The end.\r\n--ab\r\n"),
		{ OK, 1, NULL, "{f: x}" } },
	{ TEXT("x--abc\r\n--abc--"), { OK, 0, NULL, "" } },
	{ TEXT(OPEN "x" CLOSE "\r\n\r\n"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT(OPEN "x" CLOSE "--abc\r"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT(OPEN "x" CLOSE "--abc"), { ERR_SYNTAX, 1, "behind the closing", "{f: x}" } },
	{ TEXT(OPEN "x" CLOSE "--abc--"), { ERR_SYNTAX, 1, "behind the closing", "{f: x}" } },
	{ TEXT(OPEN "x" CLOSE "\r\n" OPEN "y" CLOSE),
		{ ERR_SYNTAX, 1, "behind the closing", "{f: x}" } },
	{ TEXT(OPEN "x" CLOSE "\n--abc\n"), { ERR_SYNTAX, 1, "behind the closing", "{f: x}" } },
	/* blanks behind the boundary */
	{ TEXT("--abc \t \r\n" FIELD "x\r\n--abc-- \t\r\n"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT(OPEN "x\r\n--abc--  "), { OK, 1, NULL, "{f: x}" } },
	{ TEXT(OPEN "x\r\n--abc--\r"), { ERR_MISSING, 1, "cut short", "{f: x" } },
	/* nearly a delimiter */
	{ TEXT(OPEN "x\r\n--abcd" CLOSE), { OK, 1, NULL, "{f: x\r\n--abcd}" } },
	{ TEXT(OPEN "x\r\n--abcd\r\n" CLOSE), { OK, 1, NULL, "{f: x\r\n--abcd\r\n}" } },
	{ TEXT(OPEN "--abcd--\r\n" CLOSE), { OK, 1, NULL, "{f: --abcd--\r\n}" } },
	{ TEXT(OPEN "x\r\n--abc-" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc-}" } },
	{ TEXT(OPEN "x\r\n--abc-\r\n" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc-\r\n}" } },
	{ TEXT(OPEN "x\r\n--abc--y" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc--y}" } },
	{ TEXT(OPEN "x\r\n--abc---" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc---}" } },
	{ TEXT(OPEN "x\r\n--abc -" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc -}" } },
	{ TEXT(OPEN "x\r\n--abc  y" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc  y}" } },
	{ TEXT(OPEN "x\r\n--abc \ry" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc \ry}" } },
	{ TEXT(OPEN "x\r\n--abc\r" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc\r}" } },
	{ TEXT(OPEN "x\r\n--abc--\r" CLOSE), { OK, 1, NULL, "{f: x\r\n--abc--\r}" } },
	{ TEXT(OPEN "x\r\n--ab\r\n--" CLOSE), { OK, 1, NULL, "{f: x\r\n--ab\r\n--}" } },
	{ TEXT(OPEN "\r\n--\r\n-\r\n\r" CLOSE), { OK, 1, NULL, "{f: \r\n--\r\n-\r\n\r}" } },
	{ TEXT(OPEN "\r" CLOSE), { OK, 1, NULL, "{f: \r}" } },
	{ TEXT(OPEN "\r\r\r" CLOSE), { OK, 1, NULL, "{f: \r\r\r}" } },
	{ TEXT(OPEN "\n" CLOSE), { OK, 1, NULL, "{f: \n}" } },
	{ TEXT(OPEN "\n\n--ab\n" CLOSE), { OK, 1, NULL, "{f: \n\n--ab\n}" } },
	{ TEXT(OPEN "\r\n" CLOSE), { OK, 1, NULL, "{f: \r\n}" } },
	{ TEXT(OPEN "\r\n\r\n" CLOSE), { OK, 1, NULL, "{f: \r\n\r\n}" } },
	{ TEXT(OPEN "x--abc--" CLOSE), { OK, 1, NULL, "{f: x--abc--}" } },
	{ TEXT(OPEN "x\r--abc--" CLOSE), { OK, 1, NULL, "{f: x\r--abc--}" } },
	{ TEXT(OPEN "x\r\n --abc--" CLOSE), { OK, 1, NULL, "{f: x\r\n --abc--}" } },
	{ TEXT(OPEN "x\r\n--ABC--" CLOSE), { OK, 1, NULL, "{f: x\r\n--ABC--}" } },
	{ TEXT(OPEN "x\n--abcd\n" CLOSE), { OK, 1, NULL, "{f: x\n--abcd\n}" } },
	{ TEXT(OPEN "--abc\r--" CLOSE), { OK, 1, NULL, "{f: --abc\r--}" } },
	/* LF alone */
	{ TEXT("--abc\nContent-Disposition: form-data; name=\"f\"\n\nx\n--abc--\n"),
		{ ERR_SYNTAX, 0, "LF alone", "" } },
	{ TEXT("\n--abc\r\n" FIELD "x" CLOSE), { ERR_SYNTAX, 0, "LF alone", "" } },
	{ TEXT(OPEN "x\n--abc\r\n" FIELD "y" CLOSE), { ERR_SYNTAX, 1, "LF alone", "{f: x" } },
	{ TEXT(OPEN "x\r\n--abc\n" FIELD "y" CLOSE), { ERR_SYNTAX, 1, "LF alone", "{f: x" } },
	{ TEXT(OPEN "x\r\n--abc--\n"), { ERR_SYNTAX, 1, "LF alone", "{f: x" } },
	{ TEXT(OPEN "x\n--abc--\r\n"), { ERR_SYNTAX, 1, "LF alone", "{f: x" } },
	{ TEXT(OPEN "x\n--abc--"), { ERR_SYNTAX, 1, "LF alone", "{f: x" } },
	{ TEXT(OPEN "\n--abc--" CLOSE), { ERR_SYNTAX, 1, "LF alone", "{f: " } },
	/* cut short, or never there */
	{ TEXT("x"), { ERR_MISSING, 0, "does not stand in the body", "" } },
	{ TEXT("--abd--\r\n"), { ERR_MISSING, 0, "does not stand in the body", "" } },
	{ TEXT("--abc"), { ERR_MISSING, 1, "cut short", "" } },
	{ TEXT("--abc\r\n"), { ERR_MISSING, 1, "cut short", "" } },
	{ TEXT("--abc\r\nContent-Dispo"), { ERR_MISSING, 1, "cut short", "" } },
	{ TEXT(OPEN), { ERR_MISSING, 1, "cut short", "{f: " } },
	{ TEXT(OPEN "x"), { ERR_MISSING, 1, "cut short", "{f: x" } },
	{ TEXT(OPEN "x\r\n--abc-"), { ERR_MISSING, 1, "cut short", "{f: x" } },
	{ TEXT(OPEN "x\r\n--abc"), { ERR_MISSING, 2, "cut short", "{f: x}" } },
	{ TEXT(OPEN "x\r\n--abc\r\n"), { ERR_MISSING, 2, "cut short", "{f: x}" } },
	{ TEXT(OPEN "x\r\n--abc--x"), { ERR_MISSING, 1, "cut short", "{f: x\r\n--abc--x" } },
};

START_TEST(only_whole_lines_are_delimiters)
{
	check_body("multipart/form-data; boundary=abc", delimiters[_i].body, FORM_PARTS,
		&delimiters[_i].outcome);
}
END_TEST

/* ---- headers; one part, whose content is "x" */

static const struct {
	struct text head;
	struct outcome outcome;
} heads[] = {
	/* Content-Disposition as its grammar allows it */
	{ TEXT("content-disposition:FORM-DATA;NAME=f"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition:\t form-data \t;\tname=\"f\" \t"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\";"), { OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition: form-data;; ;name=\"f\""), { OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition: form-data; filename=\"a\"; name=\"f\""),
		{ OK, 1, NULL, "{f (a): x}" } },
	{ TEXT("Content-Disposition: form-data; size=1; name=\"f\"; x=\"\\\"; filename=a\""),
		{ OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"a; filename=b\""),
		{ OK, 1, NULL, "{a; filename=b: x}" } },
	{ TEXT("X-Other: \xff\tanything\r\nContent-Disposition: form-data; name=\"f\""),
		{ OK, 1, NULL, "{f: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"\r\nContent-Type: \r\nContent-ID:"),
		{ OK, 1, NULL, "{f: x}" } },
	/* quoting */
	{ TEXT("Content-Disposition: form-data; name=\"a\\\"b\\\\c\\d%22e%0\""),
		{ OK, 1, NULL, "{a\"b\\c\\d\"e%0: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"%%2%200%C3%A4\""),
		{ OK, 1, NULL, "{%%2%200%C3%A4: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"\\%22\""), { OK, 1, NULL, "{\\\": x}" } },
	{ TEXT("Content-Disposition: form-data; name=a%22b"), { OK, 1, NULL, "{a%22b: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\\\\\""), { OK, 1, NULL, "{a\\: x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\\\""),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\\\"; filename=\"b\""),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a%0Ab\""),
		{ ERR_VALUE, 1, "line end", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a%0Db\""),
		{ ERR_VALUE, 1, "line end", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename=\"a%0d%0ab\""),
		{ ERR_VALUE, 1, "line end", "" } },
	/* file names */
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename=\"/etc/a.pdf\""),
		{ OK, 1, NULL, "{f (a.pdf): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename=\"C:\\x/y\\a.pdf\""),
		{ OK, 1, NULL, "{f (a.pdf): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename=\"a/\""),
		{ OK, 1, NULL, "{f (): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"d/f\"; filename=\"\""),
		{ OK, 1, NULL, "{d/f (): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8'en'..%2Fa%5Cb.pdf"),
		{ OK, 1, NULL, "{f (b.pdf): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''a'b; filename=c"),
		{ OK, 1, NULL, "{f (a'b): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''"),
		{ OK, 1, NULL, "{f (): x}" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=iso-8859-1''%E4"),
		{ ERR_VALUE, 1, "UTF-8'' alone", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=a.pdf"),
		{ ERR_VALUE, 1, "UTF-8'' alone", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8"),
		{ ERR_SYNTAX, 1, "is not UTF-8''name", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8'a"),
		{ ERR_SYNTAX, 1, "is not UTF-8''name", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%4"),
		{ ERR_SYNTAX, 1, "hex digits", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%"),
		{ ERR_SYNTAX, 1, "hex digits", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%4g"),
		{ ERR_SYNTAX, 1, "hex digits", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%E4"),
		{ ERR_VALUE, 1, "is not UTF-8", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''a%00b"),
		{ ERR_VALUE, 1, "control character", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''a%0Ab"),
		{ ERR_VALUE, 1, "line end", "" } },
	/* names that are none */
	{ TEXT("Content-Disposition: form-data; name=\"\xe4\""),
		{ ERR_VALUE, 1, "not UTF-8", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"; filename=\"\xc3\""),
		{ ERR_VALUE, 1, "not UTF-8", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\tb\""),
		{ ERR_VALUE, 1, "control character", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\xc2\x85\""),
		{ ERR_VALUE, 1, "control character", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\xe2\x80\xa8\""),
		{ ERR_VALUE, 1, "control character", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\0b\""),
		{ ERR_SYNTAX, 1, "a header holds a control", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\rb\""),
		{ ERR_SYNTAX, 1, "a header holds a control", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"a\x7f\""),
		{ ERR_SYNTAX, 1, "a header holds a control", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"\""), { ERR_VALUE, 1, "no name", "" } },
	{ TEXT("Content-Disposition: form-data"), { ERR_VALUE, 1, "no name", "" } },
	{ TEXT("Content-Disposition: form-data; name*=UTF-8''a"), { ERR_VALUE, 1, "no name", "" } },
	{ TEXT("Content-Disposition: form-data; filename=a"), { ERR_VALUE, 1, "no name", "" } },
	/* no Content-Disposition that can be read in one way */
	{ TEXT("Content-Disposition: attachment; name=\"f\""),
		{ ERR_VALUE, 1, "form-data is wanted", "" } },
	{ TEXT("Content-Disposition:"), { ERR_VALUE, 1, "form-data is wanted", "" } },
	{ TEXT("Content-Disposition: form-data name=\"f\""),
		{ ERR_VALUE, 1, "form-data is wanted", "" } },
	{ TEXT("Content-Disposition: form-data; name=f g"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"x"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\" filename=\"a\""),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f\"x=y"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"f"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name="),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; =f"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name = f"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=\xc3\xa4"),
		{ ERR_SYNTAX, 1, "Content-Disposition cannot be read", "" } },
	{ TEXT("Content-Disposition: form-data; name=a; name=b"), { ERR_SYNTAX, 1, "twice", "" } },
	{ TEXT("Content-Disposition: form-data; name=\"\"; name=b"),
		{ ERR_SYNTAX, 1, "twice", "" } },
	{ TEXT("Content-Disposition: form-data; name=f; filename=a; FILENAME=b"),
		{ ERR_SYNTAX, 1, "twice", "" } },
	{ TEXT("Content-Disposition: form-data; name=f; filename*=UTF-8''; filename*=UTF-8''"),
		{ ERR_SYNTAX, 1, "twice", "" } },
	{ TEXT("Content-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b"),
		{ ERR_SYNTAX, 1, "Content-Disposition twice", "" } },
	{ TEXT("Content-Type: text/plain"), { ERR_SYNTAX, 1, "no Content-Disposition", "" } },
	/* the other headers */
	{ TEXT("Content-Type: Multipart/Mixed; boundary=x\r\n"
	       "Content-Disposition: form-data; name=\"f\""),
		{ ERR_VALUE, 1, "multipart itself", "" } },
	{ TEXT("Content-Type: text/plain\r\nContent-type: text/html"),
		{ ERR_SYNTAX, 1, "same header twice", "" } },
	{ TEXT("Content-ID:\r\nContent-ID: <b>"), { ERR_SYNTAX, 1, "same header twice", "" } },
	{ TEXT("Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit"),
		{ ERR_SYNTAX, 1, "same header twice", "" } },
	{ TEXT("Content-Type: text/\xc3\xa4"), { ERR_VALUE, 1, "than ASCII", "" } },
	{ TEXT("Content-ID: <\xc3\xa4>"), { ERR_VALUE, 1, "than ASCII", "" } },
	{ TEXT("Content-Transfer-Encoding: \x80"), { ERR_VALUE, 1, "than ASCII", "" } },
	{ TEXT("Content-Disposition: form-data;\r\n name=\"f\""), { ERR_VALUE, 1, "no name", "" } },
	{ TEXT("X: a\r\n\tb"), { ERR_SYNTAX, 1, "goes on in the next line", "" } },
	{ TEXT(" X: a"), { ERR_SYNTAX, 1, "goes on in the next line", "" } },
	{ TEXT("X"), { ERR_SYNTAX, 1, "without a colon", "" } },
	{ TEXT("X : a"), { ERR_SYNTAX, 1, "name holds what no name", "" } },
	{ TEXT(": a"), { ERR_SYNTAX, 1, "name holds what no name", "" } },
	{ TEXT("X: a\nY: b"), { ERR_SYNTAX, 1, "LF alone", "" } },
	{ TEXT("\nX: a"), { ERR_SYNTAX, 1, "LF alone", "" } },
	{ TEXT("Content-Disposition: form-data; name=f\r\n--b--"),
		{ ERR_SYNTAX, 1, "blank line", "" } },
};

START_TEST(headers_of_a_part)
{
	struct buf body = buf_born(READ_BYTES);

	buf_add_string(&body, "--b\r\n");
	buf_add(&body, heads[_i].head);
	buf_add_string(&body, "\r\n\r\nx\r\n--b--\r\n");
	check_body(
		"multipart/form-data; boundary=b", buf_text(&body), FORM_PARTS, &heads[_i].outcome);
	buf_free(&body);
}
END_TEST

/* ---- Content-Type */

#define TEN     "0123456789"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *content_type;
	enum err err;
	const char *told; /* the boundary, or a piece of why not */
} types[] = {
	{ "multipart/form-data; boundary=a", OK, "a" },
	{ "Multipart/Form-Data;BOUNDARY=\"a b\"", OK, "a b" },
	{ " multipart/form-data ; charset=utf-8;boundary=a; x=\"y\"", OK, "a" },
	{ "multipart/form-data; boundary=a;", OK, "a" },
	{ "multipart/form-data; boundary=" SEVENTY, OK, SEVENTY },
	{ "multipart/form-data; boundary=\"" SEVENTY "\"", OK, SEVENTY },
	{ "multipart/form-data; boundary=\"'()+_,-./:=?\"", OK, "'()+_,-./:=?" },
	{ "multipart/form-data; boundary=\"a;b\"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=" SEVENTY "0", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\"\"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\"a \"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\" \"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\"a\\b\"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\"\xc3\xa4\"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=\"a\tb\"", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data; boundary=a*b", ERR_VALUE, "1 to 70" },
	{ "multipart/form-data", ERR_MISSING, "no boundary" },
	{ "multipart/form-data;", ERR_MISSING, "no boundary" },
	{ "multipart/form-data; charset=utf-8", ERR_MISSING, "no boundary" },
	{ "multipart/form-data; boundary=", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=a b", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=a/b", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=\"a", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=\"", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=\"a\\", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=\"a\"b", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=a; b", ERR_SYNTAX, "cannot be read" },
	{ "multipart/form-data; boundary=a; boundary=b", ERR_SYNTAX, "twice" },
	{ "multipart/form-data; boundary=a; boundary=\"\"", ERR_SYNTAX, "twice" },
	{ "multipart/form-data; boundary=\"\"; boundary=a", ERR_SYNTAX, "twice" },
	{ "multipart/mixed; boundary=a", ERR_VALUE, "is not multipart/form-data" },
	{ "multipart/form-data boundary=a", ERR_VALUE, "is not multipart/form-data" },
	{ "multipart/form-data2; boundary=a", ERR_VALUE, "is not multipart/form-data" },
	{ "", ERR_VALUE, "is not multipart/form-data" },
	{ NULL, ERR_VALUE, "is not multipart/form-data" },
};

START_TEST(the_boundary)
{
	struct text boundary = TEXT("untouched");
	const char *why = NULL;

	ck_assert_int_eq(
		form_boundary(text_of(types[_i].content_type), &boundary, &why), types[_i].err);
	if (types[_i].err) {
		ck_assert(text_equal(boundary, TEXT("untouched")));
		ck_assert_msg(why && strstr(why, types[_i].told), "why: %s", why);
	} else {
		ck_assert(text_equal(boundary, text_of(types[_i].told)));
		ck_assert_ptr_null(why);
	}
}
END_TEST

/* ---- limits: the last that is taken, and the first that is not */

static void add_times(struct buf *out, const char *string, size_t times)
{
	while (times--)
		buf_add_string(out, string);
}

static void check_limit(struct buf *body, size_t parts_max, size_t part, const char *why)
{
	struct form form;
	struct taken taken;
	size_t steps[] = { 1, 7, body->len };

	ck_assert_int_eq(body->err, OK);
	for (size_t i = 0; i < 3; i++) {
		begin(&form, &taken, "multipart/form-data; boundary=abc", parts_max);
		ck_assert_int_eq(
			feed_steps(&form, &taken, buf_text(body), steps[i], steps[i]), form.err);
		ck_assert_int_eq(form.err, why ? ERR_LIMIT : OK);
		ck_assert_uint_eq(form.part, part);
		if (why)
			ck_assert_msg(strstr(form.why, why), "why: %s", form.why);
		buf_free(&taken.out);
	}
	buf_clear(body);
}

START_TEST(limits)
{
	struct buf body = buf_born(READ_BYTES);
	const size_t line = sizeof("Content-Disposition: form-data; name=f\r\n") - 1;

	for (size_t over = 0; over < 2; over++) {
		add_times(&body, OPEN "\r\n", 2 + over);
		buf_add_string(&body, "--abc--");
		check_limit(&body, 2, 2 + over, over ? "more parts" : NULL);

		for (size_t part = 0; part < 2; part++) {
			buf_add_string(&body, "--abc\r\n");
			add_times(&body, "X: y\r\n", FORM_HEADERS - 1 + over * part);
			buf_add_string(&body, FIELD "\r\n");
		}
		buf_add_string(&body, "--abc--");
		check_limit(&body, 2, 2, over ? "more headers" : NULL);

		buf_add_string(&body, "--abc\r\nContent-Disposition: form-data; name=f\r\nX:");
		add_times(&body, "y", FORM_HEAD_BYTES - line - 6 + over);
		buf_add_string(&body, "\r\n\r\n" CLOSE);
		check_limit(&body, 1, 1, over ? "headers are longer" : NULL);

		add_times(&body, "y", FORM_ASIDE_BYTES - 8 + over);
		buf_add_string(&body, "\r\n--abcd\r\n--abc--");
		check_limit(&body, 1, 0, over ? "does not begin with the boundary" : NULL);

		add_times(&body, "y", FORM_ASIDE_BYTES);
		buf_add_string(&body, "\r\n" OPEN CLOSE);
		add_times(&body, "y", FORM_ASIDE_BYTES + over);
		check_limit(&body, 1, 1, over ? "behind the closing" : NULL);
	}
	buf_add_string(&body, OPEN "\r\n--abc");
	add_times(&body, " ", FORM_PADDING_BYTES);
	buf_add_string(&body, "\r\n" FIELD CLOSE);
	check_limit(&body, 2, 2, NULL);
	buf_add_string(&body, OPEN "\r\n--abc");
	add_times(&body, " ", FORM_HELD_BYTES);
	buf_add_string(&body, "x" CLOSE);
	check_limit(&body, 2, 1, "blanks");
	buf_free(&body);
}
END_TEST

START_TEST(blanks_have_room_behind_the_longest_boundary)
{
	struct buf body = buf_born(READ_BYTES);
	struct outcome outcome = { OK, 1, NULL, "{f: x}" };

	buf_add_string(&body, "--" SEVENTY "\r\n" FIELD "x\r\n--" SEVENTY "--");
	add_times(&body, "\t", FORM_PADDING_BYTES);
	buf_add_string(&body, "\r\n");
	check_body("multipart/form-data; boundary=" SEVENTY, buf_text(&body), 1, &outcome);
	buf_free(&body);
}
END_TEST

/* ---- the reader's own errors */

START_TEST(a_reader_may_stop_it)
{
	static const struct {
		char refuse;
		unsigned calls;
	} rows[] = { { 'b', 1 }, { 'c', 2 }, { 'e', 3 } };
	struct text body = TEXT(OPEN "x\r\n" OPEN "y" CLOSE);
	struct form form;
	struct taken taken;

	begin(&form, &taken, "multipart/form-data; boundary=abc", FORM_PARTS);
	taken.refuse = rows[_i].refuse;
	ck_assert_int_eq(feed(&form, &taken, body), ERR_MEMORY);
	ck_assert_int_eq(feed(&form, &taken, body), ERR_MEMORY);
	ck_assert_int_eq(form_end(&form), ERR_MEMORY);
	ck_assert_ptr_null(form.why);
	ck_assert_uint_eq(form.part, 1);
	ck_assert_uint_eq(taken.calls, rows[_i].calls);
	buf_free(&taken.out);
}
END_TEST

/* ---- big content */

enum { BIG = 10 << 20 };

struct big {
	struct text wanted;
	size_t at, parts;
	struct text piece;
	size_t kept;
};

static enum err big_begin(void *self, const struct form_part *part)
{
	(void)part;
	((struct big *)self)->parts++;
	return OK;
}

static enum err big_content(void *self, struct text piece)
{
	struct big *big = self;

	if (piece.len > big->wanted.len - big->at ||
		memcmp(big->wanted.at + big->at, piece.at, piece.len) != 0)
		return ERR_VALUE; /* a ck_assert writes to a file: too slow for every byte */
	big->at += piece.len;
	if (!lies_in(piece, big->piece.at, big->piece.len))
		big->kept += piece.len;
	return OK;
}

static enum err big_end(void *self)
{
	struct big *big = self;

	ck_assert_uint_eq(big->at, big->wanted.len);
	return OK;
}

/* Any bytes, and among them much that begins as a delimiter does. */
static void fill(char *at, size_t len)
{
	static const char *const lures[] = { "\r", "\n", "\r\n", "\r\n--", "\r\n--b", "\r\n--bound",
		"\n--boundar", "\r\n--boundary.", "\r\n--boundary--.", "\r\n--boundary \r.",
		".--boundary\r\n" };
	uint32_t random = 1;

	for (size_t i = 0; i < len; i++) {
		random = random * 1664525u + 1013904223u;
		at[i] = (char)(random >> 24);
		if (random >> 8 & 0xff)
			continue;
		struct text lure = text_of(lures[(random >> 16 & 0xff) % 11]);

		if (len - i > lure.len) {
			memcpy(at + i, lure.at, lure.len);
			i += lure.len - 1;
		}
	}
}

START_TEST(big_content_goes_through)
{
	static const size_t steps[] = { 1, 7, 4096, 65536, BIG };
	static const struct text before = TEXT("--boundary\r\n" FIELD);
	char *content = malloc(BIG);
	struct big big = { { content, BIG }, 0, 0, { 0 }, 0 };
	struct form_reader reader = { big_begin, big_content, big_end, &big };
	struct form form;

	ck_assert_ptr_nonnull(content);
	fill(content, BIG);
	form_begin(&form, TEXT("boundary"), 1, &reader);
	ck_assert_int_eq(form_feed(&form, before), OK);
	for (struct text left = big.wanted; left.len; left = text_from(left, steps[_i])) {
		big.piece = text_head(left, steps[_i]);
		if (form_feed(&form, big.piece))
			break;
	}
	ck_assert_int_eq(form.err, OK);
	ck_assert_int_eq(form_feed(&form, TEXT("\r\n--boundary--\r\n")), OK);
	ck_assert_int_eq(form_end(&form), OK);
	ck_assert_uint_eq(big.parts, 1);
	ck_assert_uint_eq(big.at, BIG);
	if (steps[_i] >= 4096) /* the rest is passed on from where it lies */
		ck_assert_uint_lt(big.kept, BIG / 50);
	free(content);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

UNIT_MAIN(form, tcase_add_loop_test(
			cases, clients_are_read_wherever_their_bodies_are_cut, 0, COUNT(clients));
	  tcase_add_loop_test(cases, a_body_is_whole_or_not, 0, COUNT(clients));
	  tcase_add_loop_test(cases, only_whole_lines_are_delimiters, 0, COUNT(delimiters));
	  tcase_add_loop_test(cases, headers_of_a_part, 0, COUNT(heads));
	  tcase_add_loop_test(cases, the_boundary, 0, COUNT(types)); tcase_add_test(cases, limits);
	  tcase_add_test(cases, blanks_have_room_behind_the_longest_boundary);
	  tcase_add_loop_test(cases, a_reader_may_stop_it, 0, 3);
	  tcase_add_loop_test(cases, big_content_goes_through, 0, 5);)
