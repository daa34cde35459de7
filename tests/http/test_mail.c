#include "http/mail/mail.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct region *region;
static struct posted posted;
static struct complaints complaints;
static char *body;

static bool read_besides(const char *text, const struct mail_besides *besides)
{
	struct json json = { 0 };
	size_t len = strlen(text);

	posted = (struct posted){ 0 };
	ck_assert_int_eq(region_open(64 << 20, &region), OK);
	complaints = (struct complaints){ .region = region };
	body = malloc(len + 1);
	memcpy(body, text, len + 1);
	ck_assert_int_eq(json_parse(body, len, region, &json), OK);
	return mail_read(&json, json.root, NULL, besides, region, &posted, &complaints);
}

static bool read_mail(const char *text)
{
	return read_besides(text, NULL);
}

static void forget(void)
{
	region_close(region);
	free(body);
}

static bool complained_at(const char *pointer, const char *words)
{
	for (size_t i = 0; i < complaints.count; i++)
		if (text_equal(complaints.at[i].pointer, text_of(pointer)) &&
			text_contains_nocase(complaints.at[i].detail, text_of(words)))
			return true;
	return false;
}

/* From: a@example.com, To: b@example.org, and a text */
#define RAW  "RnJvbTogYUBleGFtcGxlLmNvbQpUbzogYkBleGFtcGxlLm9yZwoKSGkK"
#define REST "\"from\":\"a@example.com\",\"to\":\"b@example.org\""

/* Every place for one line, with %s for what is put there. */
static const struct {
	const char *json, *pointer;
} lines[] = {
	{ "{\"from\":\"a%s@example.com\",\"to\":\"b@example.org\"}", "/from" },
	{ "{\"from\":\"N%s <a@example.com>\",\"to\":\"b@example.org\"}", "/from" },
	{ "{\"from\":{\"name\":\"N%sN\",\"address\":\"a@example.com\"},\"to\":\"b@example.org\"}",
		"/from/name" },
	{ "{\"from\":{\"email\":\"a@exa%smple.com\"},\"to\":\"b@example.org\"}", "/from/email" },
	{ "{\"from\":\"a@example.com\",\"to\":[\"b@example.org\",\"c@ex%sample.org\"]}", "/to/1" },
	{ "{" REST ",\"cc\":\"c%s@example.org\"}", "/cc" },
	{ "{" REST ",\"bcc\":[{\"address\":\"c%s@example.org\"}]}", "/bcc/0/address" },
	{ "{" REST ",\"reply_to\":\"c@example.org%s\"}", "/reply_to" },
	{ "{" REST ",\"cc\":\"b@example.org, c@example.org%s\"}", "/cc" },
	{ "{" REST ",\"cc\":\"T%s: c@example.org;\"}", "/cc" },
	{ "{" REST ",\"cc\":{\"name\":\"T%s\",\"group\":[\"c@example.org\"]}}", "/cc/name" },
	{ "{" REST ",\"cc\":[{\"name\":\"T\",\"group\":[\"c%s@example.org\"]}]}", "/cc/0/group/0" },
	{ "{" REST ",\"subject\":\"a%sb\"}", "/subject" },
	{ "{" REST ",\"headers\":{\"X-A\":\"a%sb\"}}", "/headers/X-A" },
	{ "{" REST ",\"headers\":{\"X-A\":[\"a\",\"a%sb\"]}}", "/headers/X-A/1" },
	{ "{" REST ",\"message_id\":\"<a%s@b>\"}", "/message_id" },
	{ "{" REST ",\"in_reply_to\":\"<a%s@b>\"}", "/in_reply_to" },
	{ "{" REST ",\"references\":[\"<a@b>\",\"<a@b%s>\"]}", "/references/1" },
	{ "{" REST ",\"date\":\"2026-12-01T08:00:00Z%s\"}", "/date" },
	{ "{" REST ",\"priority\":\"high%s\"}", "/priority" },
	{ "{" REST ",\"list_unsubscribe\":{\"url\":\"https://x/%s\"}}", "/list_unsubscribe/url" },
	{ "{" REST ",\"list_unsubscribe\":{\"mailto\":\"a@b.example%s\"}}",
		"/list_unsubscribe/mailto" },
	{ "{" REST ",\"envelope\":{\"from\":\"a%s@example.com\"}}", "/envelope/from" },
	{ "{" REST ",\"envelope\":{\"to\":[\"a%s@example.com\"]}}", "/envelope/to/0" },
	{ "{" REST ",\"dsn\":{\"envelope_id\":\"a%sb\"}}", "/dsn/envelope_id" },
	{ "{" REST ",\"dsn\":{\"return\":\"full%s\"}}", "/dsn/return" },
	{ "{" REST ",\"dsn\":{\"notify\":[\"delay%s\"]}}", "/dsn/notify/0" },
	{ "{" REST ",\"relay\":\"pri%smary\"}", "/relay" },
	{ "{" REST ",\"tags\":[\"a%sb\"]}", "/tags/0" },
	{ "{" REST ",\"deadline\":\"20s%s\"}", "/deadline" },
	{ "{" REST ",\"delivery\":\"now%s\"}", "/delivery" },
	{ "{" REST ",\"partial\":\"allow%s\"}", "/partial" },
	{ "{" REST ",\"on_unknown\":\"hold%s\"}", "/on_unknown" },
	{ "{" REST ",\"send_at\":\"2026-12-01T08:00:00Z%s\"}", "/send_at" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"filename\":\"a%sb\"}]}",
		"/attachments/0/filename" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"text/csv%s\"}]}",
		"/attachments/0/content_type" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_id\":\"a%sb\"}]}",
		"/attachments/0/content_id" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"disposition\":\"inline%s\"}]}",
		"/attachments/0/disposition" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\",\"method\":\"REQUEST%s\"}}",
		"/calendar/method" },
	{ "{" REST ",\"dry_run\":\"render%s\"}", "/dry_run" },
	{ "{\"raw\":\"" RAW "\",\"envelope\":{\"from\":\"a%s@example.com\"}}", "/envelope/from" },
};

/* `form` with `piece` for its first %. */
static void put(struct buf *out, const char *form, const char *piece)
{
	const char *mark = strchr(form, '%');

	buf_add(out, (struct text){ form, mark ? (size_t)(mark - form) : strlen(form) });
	if (mark) {
		buf_add_string(out, piece);
		buf_add_string(out, mark + 2);
	}
}

static const char *const breaks[] = { "\\r\\n", "\\r", "\\n", "\\u0000", "\\u000b", "\\u001b",
	"\\u007f", "\\u0085", "\\u0090", "\\u2028", "\\u2029", "\\r\\nBcc: x@example.com", "\\t" };

START_TEST(no_line_takes_a_break)
{
	for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		struct buf text = buf_born(1000);

		put(&text, lines[_i].json, breaks[i]);
		buf_add_byte(&text, 0);
		ck_assert_msg(!read_mail(text.at), "%s", text.at);
		ck_assert_msg(complained_at(lines[_i].pointer, ""), "%s: %.*s", text.at,
			(int)complaints.at[0].pointer.len, complaints.at[0].pointer.at);
		forget();
		buf_free(&text);
	}
}
END_TEST

START_TEST(every_line_is_taken_without_one)
{
	struct buf text = buf_born(1000);

	put(&text, lines[_i].json, "");
	buf_add_byte(&text, 0);
	ck_assert_msg(read_mail(text.at), "%s: %.*s", text.at, (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	forget();
	buf_free(&text);
}
END_TEST

static const struct {
	const char *json, *pointer, *words;
} refused[] = {
	{ "[]", "", "object" },
	{ "{\"to\":\"b@example.org\"}", "/from", "missing" },
	{ "{\"from\":\"a@example.com\"}", "/to", "no recipient" },
	{ "{\"from\":[\"a@example.com\",\"b@example.com\"],\"to\":\"b@example.org\"}", "/from",
		"" },
	{ "{\"from\":\"a@example.com, b@example.com\",\"to\":\"b@example.org\"}", "/from",
		"one address" },
	{ "{\"from\":\"T: a@example.com;\",\"to\":\"b@example.org\"}", "/from", "no group" },
	{ "{\"from\":{\"name\":\"T\",\"group\":[]},\"to\":\"b@example.org\"}", "/from/group",
		"no group" },
	{ "{" REST ",\"envelope\":{\"from\":\"T:;\"}}", "/envelope/from", "no group" },
	{ "{" REST ",\"envelope\":{\"to\":\"T: a@example.com;\"}}", "/envelope/to", "no group" },
	{ "{" REST ",\"envelope\":{\"to\":[{\"name\":\"T\",\"group\":[\"a@example.com\"]}]}}",
		"/envelope/to/0/group", "no group" },
	{ "{" REST ",\"envelope\":{\"to\":\"a@example.com, b@example.com\"}}", "/envelope/to",
		"as a list" },
	{ "{" REST ",\"cc\":\"Blow, Jo <jo@example.org>\"}", "/cc", "address 1: an address needs" },
	{ "{" REST ",\"cc\":\"Blow, Jo <jo@example.org>\"}", "/cc", "double quotes" },
	{ "{" REST ",\"cc\":[\"a@example.org\",\"b@example.org, Blow, Jo <jo@example.org>\"]}",
		"/cc/1", "address 2" },
	{ "{" REST ",\"cc\":\"a@example.org; b@example.org\"}", "/cc", "separated by commas" },
	{ "{" REST ",\"cc\":\"John (Sales, EU) <a@example.org>\"}", "/cc", "in double quotes" },
	{ "{" REST ",\"cc\":[\"a@example.org (x, y)\"]}", "/cc/0", "in double quotes" },
	{ "{" REST ",\"cc\":\"T: a@example.org, b@example.org\"}", "/cc", "not closed" },
	{ "{" REST ",\"cc\":\"A: j@example.org\"}", "/cc", "a ;, which is missing" },
	{ "{" REST ",\"cc\":\"mailto:j@example.org\"}", "/cc", "before the @" },
	{ "{" REST ",\"cc\":\"T: S: a@example.org;;\"}", "/cc", "within a group" },
	{ "{" REST ",\"cc\":\",\"}", "/cc", "no address in it" },
	{ "{" REST ",\"cc\":\"\\\"\\\":;\"}", "/cc", "a group needs a name" },
	{ "{" REST ",\"cc\":\"\\u202ex: a@example.org;\"}", "/cc", "turns the order" },
	{ "{" REST ",\"cc\":\"a@example.org, \\u202ex <b@example.org>\"}", "/cc",
		"turns the order" },
	{ "{" REST ",\"cc\":{\"group\":[\"a@example.org\"]}}", "/cc", "a group needs a name" },
	{ "{" REST ",\"cc\":{\"name\":\"\\u202ex\",\"group\":[]}}", "/cc/name", "turns the order" },
	{ "{" REST ",\"cc\":{\"name\":\"T\",\"group\":[\"a@example.org\",\"b\"]}}", "/cc/group/1",
		"needs an @" },
	{ "{" REST ",\"cc\":{\"name\":\"T\",\"group\":[\"S:;\"]}}", "/cc/group/0",
		"within a group" },
	{ "{" REST ",\"cc\":[{\"name\":\"T\",\"group\":[{\"name\":\"S\",\"group\":[]}]}]}",
		"/cc/0/group/0", "within a group" },
	{ "{" REST ",\"cc\":{\"name\":\"T\",\"group\":[],\"address\":\"a@example.org\"}}",
		"/cc/address", "a group has" },
	{ "{" REST ",\"cc\":{\"name\":\"T\",\"group\":7}}", "/cc/group", "address is wanted" },
	{ "{" REST ",\"cc\":[[\"a@example.org\"]]}", "/cc/0", "address is wanted" },
	{ "{" REST ",\"cc\":{\"address\":\"a@example.com, b@example.com\"}}", "/cc/address",
		"one address" },
	{ "{\"from\":\"a@example.com\",\"to\":\"undisclosed-recipients:;\"}", "/to",
		"no recipient" },
	{ "{\"from\":\"a@example.com\",\"to\":[]}", "/to", "no recipient" },
	{ "{\"from\":7,\"to\":\"b@example.org\"}", "/from", "address" },
	{ "{\"from\":{\"name\":\"x\"},\"to\":\"b@example.org\"}", "/from", "missing" },
	{ "{\"from\":{\"address\":\"a@example.com\",\"email\":\"x@example.com\"},"
	  "\"to\":\"b@example.org\"}",
		"/from", "the same" },
	{ "{" REST ",\"subjct\":\"x\"}", "/subjct", "did you mean subject?" },
	{ "{" REST ",\"replyTo\":\"x\"}", "/replyTo", "did you mean reply_to?" },
	{ "{" REST ",\"In-Reply-To\":\"x\"}", "/In-Reply-To", "did you mean in_reply_to?" },
	{ "{" REST ",\"attachment\":[]}", "/attachment", "did you mean attachments?" },
	{ "{" REST ",\"zzz\":1}", "/zzz", "unknown field" },
	{ "{" REST ",\"a/b~c\":1}", "/a~1b~0c", "unknown field" },
	{ "{" REST ",\"subject\":null,\"text\":7}", "/text", "string" },
	{ "{" REST ",\"subject\":\"a\\u202eb\"}", "/subject", "overrides" },
	{ "{" REST ",\"subject\":\"\\u2068a\"}", "/subject", "turn it back" },
	{ "{" REST ",\"headers\":{\"X-A\":[\"\",\"a\\u202eb\"]}}", "/headers/X-A/1", "overrides" },
	{ "{" REST ",\"headers\":{\"List-Id\":\"\\u202eb\"}}", "/headers/List-Id", "overrides" },
	{ "{" REST ",\"text\":\"a\\u0000b\"}", "/text", "control" },
	{ "{" REST ",\"html\":\"a\\u0008b\"}", "/html", "control" },
	{ "{" REST ",\"headers\":{\"From\":\"x@example.com\"}}", "/headers/From", "field from" },
	{ "{" REST ",\"headers\":{\"FROM\":\"x@example.com\"}}", "/headers/FROM", "field from" },
	{ "{" REST ",\"headers\":{\"Sender\":\"x@example.com\"}}", "/headers/Sender", "Sender" },
	{ "{" REST ",\"headers\":{\"Bcc\":\"x@example.com\"}}", "/headers/Bcc", "field bcc" },
	{ "{" REST ",\"headers\":{\"Received\":\"x\"}}", "/headers/Received", "may not" },
	{ "{" REST ",\"headers\":{\"DKIM-Signature\":\"x\"}}", "/headers/DKIM-Signature", "dkim-" },
	{ "{" REST ",\"headers\":{\"Content-Type\":\"x\"}}", "/headers/Content-Type", "content-" },
	{ "{" REST ",\"headers\":{\"MIME-Version\":\"x\"}}", "/headers/MIME-Version", "may not" },
	{ "{" REST ",\"headers\":{\"Return-Path\":\"x\"}}", "/headers/Return-Path", "envelope" },
	{ "{" REST ",\"headers\":{\"Resent-From\":\"x\"}}", "/headers/Resent-From", "resent-" },
	{ "{" REST ",\"headers\":{\"X A\":\"x\"}}", "/headers/X A", "not a header name" },
	{ "{" REST ",\"headers\":{\"X-A:\":\"x\"}}", "/headers/X-A:", "not a header name" },
	{ "{" REST ",\"headers\":{\"\":\"x\"}}", "/headers/", "not a header name" },
	{ "{" REST ",\"headers\":{\"X-\xc3\xa4\":\"x\"}}", "/headers/X-\xc3\xa4", "not a header" },
	{ "{" REST ",\"headers\":{\"From\\r\\nBcc\":\"x\"}}", "/headers/From\r\nBcc", "not a" },
	{ "{" REST ",\"headers\":{\"X-A\":{}}}", "/headers/X-A", "string" },
	{ "{" REST ",\"headers\":{\"References\":\"<a@b>\"},\"references\":\"<c@d>\"}",
		"/references", "twice" },
	{ "{" REST ",\"headers\":{\"List-Id\":\"T\xc3\xa4glich <d.example.com>\"}}",
		"/headers/List-Id", "ASCII" },
	{ "{" REST ",\"headers\":{\"references\":[\"<a@b>\",\"<\xc3\xa4@b>\"]}}",
		"/headers/references/1", "ASCII" },
	{ "{" REST ",\"attachments\":{}}", "/attachments", "list" },
	{ "{" REST ",\"attachments\":[{\"filename\":\"x\"}]}", "/attachments/0", "missing" },
	{ "{" REST ",\"attachments\":[{\"content\":\"!!!\"}]}", "/attachments/0/content",
		"base64" },
	{ "{" REST ",\"attachments\":[{\"content\":\"QQ\"}]}", "/attachments/0/content", "base64" },
	{ "{" REST ",\"attachments\":[{\"content\":\"https://x.example/a.png\"}]}",
		"/attachments/0/content", "nothing is fetched" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"text\"}]}",
		"/attachments/0/content_type", "media type" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"a/b; c=\\\"d\"}]}",
		"/attachments/0/content_type", "name=value" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"a/b;;c=d\"}]}",
		"/attachments/0/content_type", "name=value" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\";\"}]}",
		"/attachments/0/content_type", "media type" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"multipart/mixed\"}]}",
		"/attachments/0/content_type", "multipart" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"fileName\":\"x\"}]}",
		"/attachments/0/fileName", "did you mean filename?" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"path\":\"/etc/passwd\"}]}",
		"/attachments/0/path", "not fetched" },
	{ "{" REST ",\"attachments\":[{\"filename\":\"x\",\"href\":\"https://x.example/\"}]}",
		"/attachments/0/href", "not fetched" },
	{ "{" REST ",\"attachments\":[{\"content\":\"\",\"url\":\"https://x.example/\"}]}",
		"/attachments/0/url", "not fetched" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:text/csv,a\"}]}",
		"/attachments/0/content", ";base64 alone" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:text/csv;base64\"}]}",
		"/attachments/0/content", ";base64 alone" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:,\"}]}", "/attachments/0/content",
		";base64 alone" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:text;base64,QQ==\"}]}",
		"/attachments/0/content", "media type" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:a/b\\r\\nX:;base64,QQ==\"}]}",
		"/attachments/0/content", "none" },
	{ "{" REST ",\"attachments\":[{\"content\":\"data:text/csv;base64,Q\"}]}",
		"/attachments/0/content", "base64" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"part\":0}}]}", "/attachments/0/content",
		"Buffer" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\"}}]}",
		"/attachments/0/content", "Buffer" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Blob\",\"data\":[]}}]}",
		"/attachments/0/content", "Buffer" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\",\"data\":[],\"x\":1}}]}",
		"/attachments/0/content", "Buffer" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\",\"data\":[256]}}]}",
		"/attachments/0/content", "0 to 255" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\",\"data\":[-1]}}]}",
		"/attachments/0/content", "0 to 255" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\",\"data\":[1.5]}}]}",
		"/attachments/0/content", "0 to 255" },
	{ "{" REST ",\"attachments\":[{\"content\":{\"type\":\"Buffer\",\"data\":[\"1\"]}}]}",
		"/attachments/0/content", "0 to 255" },
	{ "{" REST ",\"attachments\":[{\"content\":7}]}", "/attachments/0/content", "string" },
	{ "{" REST ",\"list_unsubscribe\":{}}", "/list_unsubscribe", "url or mailto" },
	{ "{" REST ",\"list_unsubscribe\":{\"mailto\":\"a@b.example\",\"one_click\":true}}",
		"/list_unsubscribe", "https" },
	{ "{" REST ",\"list_unsubscribe\":{\"url\":\"javascript:x\"}}", "/list_unsubscribe/url",
		"URL" },
	{ "{" REST ",\"list_unsubscribe\":{\"url\":\"https://x/>,<y\"}}", "/list_unsubscribe/url",
		"URL" },
	{ "{" REST ",\"dsn\":{\"notify\":[\"never\",\"delay\"]}}", "/dsn/notify", "alone" },
	{ "{" REST ",\"deadline\":\"0s\"}", "/deadline", "duration" },
	{ "{" REST ",\"deadline\":20}", "/deadline", "string" },
	{ "{" REST ",\"delivery\":\"later\"}", "/delivery", "now, queue" },
	{ "{" REST ",\"date\":\"tomorrow\"}", "/date", "RFC 3339" },
	{ "{" REST ",\"date\":\"2026-02-31T08:00:00Z\"}", "/date", "RFC 3339" },
	{ "{" REST ",\"metadata\":{\"a\":[{\"b\":\"c\\r\"}]}}", "/metadata/a/0/b", "control" },
	{ "{" REST ",\"metadata\":{\"a\\n\":1}}", "/metadata", "control" },
	{ "{" REST ",\"metadata\":[]}", "/metadata", "object" },
	{ "{" REST ",\"trace\":\"yes\"}", "/trace", "true or false" },
	{ "{" REST ",\"dry_run\":\"send\"}", "/dry_run", "render" },
	{ "{" REST ",\"dry_run\":true}", "/dry_run", "string" },
	{ "{\"raw\":\"QQ\"}", "/raw", "base64" },
	{ "{\"raw\":[]}", "/raw", "string" },
	{ "{\"raw\":\"data:message/rfc822,From: a\"}", "/raw", ";base64 alone" },
	{ "{\"raw\":\"data:;base64,QQ\"}", "/raw", "not base64" },
	{ "{\"raw\":\"data:;base64,QQ==\"}", "/raw", "line 1" },
	{ "{\"raw\":{\"type\":\"Buffer\",\"data\":[65]}}", "/raw", "line 1" },
	{ "{\"raw\":{\"type\":\"Buffer\",\"data\":[256]}}", "/raw", "0 to 255" },
	{ "{\"raw\":{\"part\":0}}", "/raw", "Buffer" },
	{ "{\"raw\":\"QQ==\"}", "/raw", "line 1" },
	{ "{\"raw\":\"RnJvbTogYUBleGFtcGxlLmNvbQpUbzogYkBleGFtcGxlLm9yZwoKYQ1iCg==\"}", "/raw",
		"CR" },
	{ "{\"raw\":\"RnJvbTogYUBleGFtcGxlLmNvbQoKSGkK\"}", "/raw", "no recipient" },
	{ "{\"raw\":\"" RAW "\",\"from\":\"a@example.com\"}", "/from", "whole as it comes" },
	{ "{\"raw\":\"" RAW "\",\"bcc\":\"a@example.com\"}", "/bcc", "envelope" },
	{ "{\"raw\":\"" RAW "\",\"template\":{\"subject\":\"x\"}}", "/template", "whole" },
	{ "{\"raw\":\"" RAW "\",\"envelope\":{\"to\":[]}}", "/envelope/to", "no recipient" },
	{ "{" REST ",\"template\":{\"name\":\"x\"}}", "/template", "no templates here" },
	{ "{" REST ",\"calendar\":\"x\"}", "/calendar", "object" },
	{ "{" REST ",\"calendar\":{}}", "/calendar", "content is missing" },
	{ "{" REST ",\"calendar\":{\"method\":\"REQUEST\"}}", "/calendar", "content is missing" },
	{ "{" REST ",\"calendar\":{\"content\":\"END:VCALENDAR\"}}", "/calendar/content",
		"BEGIN:VCALENDAR" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\\u0000\"}}", "/calendar/content",
		"control" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\",\"method\":\"a b\"}}",
		"/calendar/method", "REQUEST" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\",\"method\":\"\"}}",
		"/calendar/method", "REQUEST" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\",\"method\":\"a\\r\\n\"}}",
		"/calendar/method", "control" },
	{ "{" REST ",\"calendar\":{\"method\":\"CANCEL\",\"content\":"
	  "\"BEGIN:VCALENDAR\\r\\nMETHOD:REQUEST\\r\\n\"}}",
		"/calendar/method", "METHOD:REQUEST" },
	{ "{" REST ",\"calendar\":{\"content\":\"BEGIN:VCALENDAR\",\"filename\":\"x\"}}",
		"/calendar/filename", "unknown" },
};

START_TEST(what_is_refused_says_where_and_why)
{
	ck_assert_msg(!read_mail(refused[_i].json), "%s", refused[_i].json);
	ck_assert_msg(complained_at(refused[_i].pointer, refused[_i].words), "%s: %.*s: %.*s",
		refused[_i].json, (int)complaints.at[0].pointer.len, complaints.at[0].pointer.at,
		(int)complaints.at[0].detail.len, complaints.at[0].detail.at);
	forget();
}
END_TEST

/* `count` times `piece`, between `before` and `after`. */
static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
	struct buf out = buf_born(16 << 20);

	buf_add_string(&out, before);
	for (size_t i = 0; i < count; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		put(&out, piece, number);
		if (i + 1 < count && piece[strlen(piece) - 1] != 'x')
			buf_add_byte(&out, ',');
	}
	buf_add_string(&out, after);
	buf_add_byte(&out, '\0');
	return out.at;
}

/* S-18 */
static const struct {
	const char *before, *piece, *after, *pointer, *words;
	size_t most;
} limits[] = {
	{ "{\"from\":\"a@example.com\",\"to\":[", "\"a%d@example.org\"", "]}", "/to/1000",
		"recipients", 1000 },
	{ "{\"from\":\"a@example.com\",\"to\":\"", "a%d@example.org", "\"}", "/to", "recipients",
		1000 },
	{ "{\"from\":\"a@example.com\",\"to\":{\"name\":\"T\",\"group\":[", "\"a%d@example.org\"",
		"]}}", "/to/group/1000", "recipients", 1000 },
	{ "{" REST ",\"cc\":[", "{\"name\":\"T%d\",\"group\":[]}", "]}", "/cc/1000",
		"as many groups", 1000 },
	{ "{" REST ",\"envelope\":{\"to\":[", "\"a%d@example.org\"", "]}}", "/envelope/to",
		"recipients", 1000 },
	{ "{" REST ",\"cc\":\"", "x", " <c@example.org>\"}", "/cc", "line", 998 },
	{ "{" REST ",\"headers\":{", "\"X-%d\":\"x\"", "}}", "/headers/X-100", "headers", 100 },
	{ "{" REST ",\"attachments\":[", "{\"content\":\"\"}", "]}", "/attachments", "attachments",
		100 },
	{ "{" REST ",\"subject\":\"", "x", "\"}", "/subject", "line", 998 },
	{ "{" REST ",\"headers\":{\"List-Help\":\"<https://x.example/", "x", ">\"}}",
		"/headers/List-Help", "line", 998 - 11 - 20 },
	{ "{" REST ",\"references\":[", "\"<aaaaaaa%d@bbbbbbb>\"", "]}", "/references",
		"message ids", 100 },
	{ "{" REST ",\"tags\":[", "\"%d\"", "]}", "/tags", "tags", 100 },
	{ "{" REST ",\"cc\":\"c@", "xxxxxxx.x", ".example\"}", "/cc", "253", 27 },
};

START_TEST(limits_have_names)
{
	char *text = repeat(limits[_i].before, limits[_i].piece, limits[_i].most, limits[_i].after);

	ck_assert_msg(read_mail(text), "%.*s", (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	forget();
	free(text);
	text = repeat(limits[_i].before, limits[_i].piece, limits[_i].most + 1, limits[_i].after);
	ck_assert(!read_mail(text));
	ck_assert_msg(complained_at(limits[_i].pointer, limits[_i].words), "%.*s: %.*s",
		(int)complaints.at[0].pointer.len, complaints.at[0].pointer.at,
		(int)complaints.at[0].detail.len, complaints.at[0].detail.at);
	forget();
	free(text);
}
END_TEST

START_TEST(recipients_count_together)
{
	char *text = repeat("{\"from\":\"a@example.com\",\"cc\":\"c@example.org\",\"to\":[",
		"\"a%d@example.org\"", 1000, "]}");

	ck_assert(!read_mail(text));
	ck_assert(complained_at("/to", "recipients"));
	forget();
	free(text);
}
END_TEST

START_TEST(an_envelope_of_all_recipients_once)
{
	ck_assert(read_mail("{\"from\":\"N <a@Example.COM>\",\"to\":[\"b@example.org\","
			    "\"c@example.org\"],\"cc\":\"B <b@EXAMPLE.org>\","
			    "\"bcc\":[\"d@example.org\",\"c@example.org\"],"
			    "\"html\":\"<p>Hello</p>\"}"));
	ck_assert_uint_eq(posted.envelope.count, 3);
	ck_assert(text_equal(posted.envelope.from, TEXT("a@example.com")));
	ck_assert(text_equal(posted.envelope.to[0], TEXT("b@example.org")));
	ck_assert(text_equal(posted.envelope.to[1], TEXT("c@example.org")));
	ck_assert(text_equal(posted.envelope.to[2], TEXT("d@example.org")));
	ck_assert(posted.mail.has_text); /* made from html */
	forget();
}
END_TEST

/* Each recipient's address, and in brackets each group of cc: "name:first+count". */
static const struct {
	const char *fields, *recipients;
} lists[] = {
	{ "\"to\":\"a@x.org, B <b@x.org>\"", "a@x.org b@x.org" },
	{ "\"to\":[\"a@x.org, b@x.org\",\"\\\"C, D\\\" <c@x.org>\"],\"bcc\":\"d@x.org,a@x.org,\"",
		"a@x.org b@x.org c@x.org d@x.org" },
	{ "\"to\":\"\\\"a@x.org, b@x.org\\\" <c@x.org>\"", "c@x.org" },
	{ "\"cc\":\"T: a@x.org, \\\"B, C\\\" <b@x.org>;\"", "a@x.org b@x.org [T:0+2]" },
	{ "\"cc\":{\"name\":\"T\",\"group\":[\"a@x.org\",{\"address\":\"b@x.org\"}]}",
		"a@x.org b@x.org [T:0+2]" },
	{ "\"cc\":{\"group\":\"a@x.org, b@x.org\",\"name\":\"T\"}", "a@x.org b@x.org [T:0+2]" },
	{ "\"to\":\"a@x.org\",\"cc\":\"undisclosed-recipients:;\"",
		"a@x.org [undisclosed-recipients:0+0]" },
	{ "\"cc\":[\"a@x.org\",{\"name\":\"S\",\"group\":[]},"
	  "\"b@x.org, T: c@x.org;, d@x.org\",{\"name\":\"U\",\"group\":[\"e@x.org, a@x.org\"]}]",
		"a@x.org b@x.org c@x.org d@x.org e@x.org [S:1+0] [T:2+1] [U:4+2]" },
	{ "\"bcc\":\"T: a@x.org;\",\"cc\":\"B: a@x.org;\"", "a@x.org [B:0+1]" },
};

START_TEST(lists_and_groups_are_recipients_once_each)
{
	struct buf text = buf_born(1000), out = buf_born(1000);
	const struct smtp_mailboxes *cc = &posted.mail.cc;

	put(&text, "{\"from\":\"a@example.com\",%s}", lists[_i].fields);
	buf_add_byte(&text, 0);
	ck_assert_msg(read_mail(text.at), "%s: %.*s", text.at, (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	for (size_t i = 0; i < posted.envelope.count; i++)
		buf_addf(&out, "%s%.*s", i ? " " : "", (int)posted.envelope.to[i].len,
			posted.envelope.to[i].at);
	for (size_t i = 0; i < cc->group_count; i++)
		buf_addf(&out, " [%.*s:%zu+%zu]", (int)cc->groups[i].name.len,
			cc->groups[i].name.at, cc->groups[i].first, cc->groups[i].count);
	ck_assert_msg(text_equal(buf_text(&out), text_of(lists[_i].recipients)), "%s: %.*s",
		text.at, (int)out.len, out.at);
	forget();
	buf_free(&text);
	buf_free(&out);
}
END_TEST

/* Fluent, and others that put texts together, isolate what they put in. */
START_TEST(a_subject_may_isolate_a_name)
{
	ck_assert(read_mail("{" REST ",\"subject\":\"Hello, \\u2068Ann\\u2069\",\"headers\":"
			    "{\"X-A\":\"\\u202bx\\u202c\"}}"));
	forget();
}
END_TEST

START_TEST(fields_arrive)
{
	ck_assert(read_mail("{" REST ",\"envelope\":{\"from\":\"\"},\"priority\":\"low\","
			    "\"list_unsubscribe\":{\"url\":\"https://x.example/u\","
			    "\"mailto\":\"u@x.example\",\"one_click\":true},\"text\":false,"
			    "\"html\":\"x\",\"partial\":\"refuse\",\"deadline\":\"1500ms\","
			    "\"dsn\":{\"notify\":[\"failure\",\"delay\"],\"return\":\"headers\"},"
			    "\"metadata\":{\"order\":42,\"a\":[true,null]},\"tags\":[\"x\"],"
			    "\"date\":\"2026-12-01T09:00:00+01:00\"}"));
	ck_assert_uint_eq(posted.envelope.from.len, 0);
	ck_assert_uint_eq(posted.mail.header_count, 4);
	ck_assert(text_equal(posted.mail.headers[0].value, TEXT("5")));
	ck_assert(text_equal(
		posted.mail.headers[2].value, TEXT("<https://x.example/u>, <mailto:u@x.example>")));
	ck_assert(text_equal(posted.mail.headers[3].value, TEXT("List-Unsubscribe=One-Click")));
	ck_assert(!posted.mail.has_text);
	ck_assert(posted.wishes.all_or_none);
	ck_assert_uint_eq(posted.wishes.deadline_us, 1500000);
	ck_assert_uint_eq(posted.envelope.notify, SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY);
	ck_assert_int_eq(posted.envelope.ret, SMTP_RETURN_HEADERS);
	ck_assert(text_equal(posted.wishes.metadata, TEXT("{\"order\":42,\"a\":[true,null]}")));
	ck_assert_int_eq(posted.mail.date_s, 1796112000);
	forget();
}
END_TEST

static const struct {
	const char *given, *kept;
} types[] = {
	{ "text/plain", "text/plain" },
	{ "text/plain;", "text/plain" },
	{ "text/plain ;; ", "text/plain" },
	{ "text/plain; charset=utf-8", "text/plain; charset=utf-8" },
	{ "text/plain; charset=utf-8 ;", "text/plain; charset=utf-8" },
	{ "text/plain; x=\\\"a;\\\"", "text/plain; x=\"a;\"" },
};

START_TEST(a_media_type_ends_without_a_semicolon)
{
	char text[400];

	snprintf(text, sizeof(text),
		"{" REST ",\"attachments\":[{\"content\":\"\",\"content_type\":\"%s\"}]}",
		types[_i].given);
	ck_assert_msg(read_mail(text), "%s", text);
	ck_assert(text_equal(posted.mail.attachments[0].content_type, text_of(types[_i].kept)));
	forget();
}
END_TEST

START_TEST(the_first_second_of_1970_is_a_date)
{
	ck_assert(read_mail("{" REST ",\"date\":\"1970-01-01T00:00:00Z\"}"));
	ck_assert(posted.has_date);
	ck_assert_int_eq(posted.mail.date_s, 0);
	forget();
	ck_assert(read_mail("{" REST ",\"date\":null}"));
	ck_assert(!posted.has_date);
	forget();
}
END_TEST

#define MUCH                                                                                       \
	"{\"from\":\"A <a@example.com>\",\"to\":[\"b@example.org\",\"b@example.org\"],"            \
	"\"envelope\":{\"to\":[\"b@example.org\",\"c@example.org\",\"b@example.org\"]},"           \
	"\"message_id\":\"m@example.com\",\"in_reply_to\":\"i@example.com\","                      \
	"\"references\":[\"r@example.com\"],\"headers\":{\"X-A\":\"x\"},"                          \
	"\"list_unsubscribe\":{\"url\":\"https://x.example/u\"},\"html\":\"<p>Hello</p>\","        \
	"\"attachments\":[{\"content\":\"QQ==\"}],\"tags\":[\"t\"],\"metadata\":{\"a\":1}}"

/* What there is no memory for is complained about, and never left out. */
START_TEST(a_mail_is_read_as_a_whole_or_not)
{
	char text[] = MUCH;
	struct json json = { 0 };
	struct region *tree, *small;
	size_t limit = 0, refusals = 0;
	const char *refused_as = NULL;
	bool whole = false;

	ck_assert_int_eq(region_open(1 << 20, &tree), OK);
	ck_assert_int_eq(json_parse(text, strlen(text), tree, &json), OK);
	for (; !whole; limit += 8) {
		ck_assert_uint_lt(limit, 1 << 16);
		posted = (struct posted){ 0 };
		ck_assert_int_eq(region_open(limit, &small), OK);
		complaints = (struct complaints){ .region = small };
		whole = mail_read(&json, json.root, NULL, NULL, small, &posted, &complaints);
		ck_assert_int_eq(whole, complaints.count == 0);
		refusals += !whole;
		if (!whole) {
			refused_as = posted.refused_as;
			region_close(small);
		}
	}
	ck_assert_uint_gt(refusals, 10);
	ck_assert_str_eq(refused_as, "body_too_large"); /* of the last, which was html's */
	ck_assert_uint_eq(posted.envelope.count, 2);
	ck_assert(text_equal(posted.mail.from.name, TEXT("A")));
	ck_assert(text_equal(posted.mail.message_id, TEXT("<m@example.com>")));
	ck_assert_uint_eq(posted.mail.header_count, 4);
	ck_assert(text_equal(posted.mail.headers[0].value, TEXT("<i@example.com>")));
	ck_assert(text_equal(posted.mail.headers[1].value, TEXT("<r@example.com>")));
	ck_assert(text_equal(posted.mail.headers[2].value, TEXT("x")));
	ck_assert(text_equal(posted.mail.headers[3].value, TEXT("<https://x.example/u>")));
	ck_assert_uint_eq(posted.mail.attachment_count, 1);
	ck_assert(text_equal(posted.mail.text, TEXT("Hello\n")));
	ck_assert_uint_eq(posted.wishes.tag_count, 1);
	ck_assert(text_equal(posted.wishes.metadata, TEXT("{\"a\":1}")));
	region_close(small);
	region_close(tree);
}
END_TEST

START_TEST(metadata_stays_json)
{
	ck_assert(read_mail("{" REST ",\"metadata\":{\"a\":-1e999,\"b\":1e999,\"c\":\"x\","
			    "\"d\":0.1}}"));
	ck_assert_msg(
		text_equal(posted.wishes.metadata, TEXT("{\"a\":-1e999,\"b\":1e999,\"c\":\"x\","
							"\"d\":0.1}")),
		"%.*s", (int)posted.wishes.metadata.len, posted.wishes.metadata.at);
	forget();
}
END_TEST

START_TEST(null_is_as_if_it_were_not_there)
{
	ck_assert_msg(
		read_mail("{" REST ",\"cc\":null,\"bcc\":null,\"reply_to\":null,\"subject\":null,"
			  "\"text\":null,\"html\":null,\"attachments\":null,\"headers\":null,"
			  "\"message_id\":null,\"date\":null,\"in_reply_to\":null,"
			  "\"references\":null,\"priority\":null,\"list_unsubscribe\":null,"
			  "\"envelope\":null,\"dsn\":null,\"relay\":null,\"tags\":null,"
			  "\"metadata\":null,\"delivery\":null,\"partial\":null,\"deadline\":null,"
			  "\"trace\":null,\"send_at\":null,\"on_unknown\":null,\"calendar\":null,"
			  "\"template\":null,\"raw\":null,\"dry_run\":null}"),
		"%.*s", (int)complaints.at[0].pointer.len, complaints.at[0].pointer.at);
	ck_assert_int_eq(posted.wishes.way, DELIVER_NOW);
	forget();
}
END_TEST

static const struct {
	const char *attachment, *type, *content;
	size_t len;
} contents[] = {
	{ "\"content\":\"data:text/csv;base64,YTti\"", "text/csv", "YTti\r\n", 6 },
	{ "\"content\":\"DATA:;BASE64,YTti\"", "", "YTti\r\n", 6 },
	{ "\"content\":\"data:image/png;name=a.png;base64,YTti\"", "image/png;name=a.png",
		"YTti\r\n", 6 },
	{ "\"content\":\"data:text/csv;base64,YTti\",\"content_type\":\"a/b\"", "a/b", "YTti\r\n",
		6 },
	{ "\"content_type\":\"a/b\",\"content\":\"data:text/csv;base64,\"", "a/b", "", 0 },
	{ "\"content\":\"YT\\r\\nti\"", "", "YTti\r\n", 6 },
	{ "\"content\":\"\\/\\u002B==\"", "", "/+==\r\n", 6 },
	{ "\"content\":{\"type\":\"Buffer\",\"data\":[97,59,98]}", "", "YTti\r\n", 6 },
	{ "\"content\":{\"data\":[0,255],\"type\":\"Buffer\"}", "", "AP8=\r\n", 6 },
	{ "\"content\":{\"type\":\"Buffer\",\"data\":[]}", "", "", 0 },
	{ "\"content\":\"YT\\r\\nti\",\"content_type\":\"message/rfc822\"", "message/rfc822",
		"YTti\r\n", 6 },
	{ "\"content\":\"data:message/rfc822;base64,YTti\"", "message/rfc822", "YTti\r\n", 6 },
};

START_TEST(content_comes_in_many_forms)
{
	struct buf text = buf_born(1000), out = buf_born(1 << 16);
	const struct smtp_attachment *attachment;

	put(&text, "{" REST ",\"attachments\":[{%s}]}", contents[_i].attachment);
	buf_add_byte(&text, 0);
	ck_assert_msg(read_mail(text.at), "%s: %.*s", text.at, (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	ck_assert_uint_eq(posted.mail.attachment_count, 1);
	attachment = &posted.mail.attachments[0];
	ck_assert(text_equal(attachment->content_type, text_of(contents[_i].type)));
	smtp_content_add(&out, &attachment->content);
	ck_assert_int_eq(attachment->content.encoding == SMTP_BASE64,
		strstr(text.at, "Buffer") || strstr(text.at, "message/"));
	ck_assert_uint_eq(out.len, contents[_i].len);
	ck_assert(out.len == 0 || memcmp(out.at, contents[_i].content, out.len) == 0);
	forget();
	buf_free(&text);
	buf_free(&out);
}
END_TEST

/* A type of one attachment's URL is not the next one's. */
START_TEST(each_attachment_has_its_own_type)
{
	ck_assert(read_mail("{" REST ",\"attachments\":[{\"content\":\"data:text/csv;base64,\"},"
			    "{\"content\":\"QQ==\"}]}"));
	ck_assert(text_equal(posted.mail.attachments[0].content_type, TEXT("text/csv")));
	ck_assert_uint_eq(posted.mail.attachments[1].content_type.len, 0);
	forget();
}
END_TEST

static const struct {
	const char *calendar, *method;
} methods[] = {
	{ "\"content\":\"BEGIN:VCALENDAR\"", "PUBLISH" },
	{ "\"content\":\"begin:vcalendar\\r\\nmethod: REPLY \\r\\n\"", "REPLY" },
	{ "\"content\":\"BEGIN:VCALENDAR\\nMETHOD:a b\\n\"", "PUBLISH" },
	{ "\"content\":\"BEGIN:VCALENDAR\\nMETHOD:REQUEST\",\"method\":\"request\"", "request" },
	{ "\"content\":\"BEGIN:VCALENDAR\",\"method\":\"CANCEL\"", "CANCEL" },
	{ "\"content\":\"BEGIN:VCALENDAR\",\"method\":null", "PUBLISH" },
};

START_TEST(a_calendar_says_its_method)
{
	struct buf text = buf_born(1000);

	put(&text, "{" REST ",\"calendar\":{%s}}", methods[_i].calendar);
	buf_add_byte(&text, 0);
	ck_assert_msg(read_mail(text.at), "%s: %.*s", text.at, (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	ck_assert(text_equal(posted.mail.calendar.method, text_of(methods[_i].method)));
	ck_assert(text_starts_nocase(posted.mail.calendar.content, TEXT("BEGIN:VCALENDAR")));
	forget();
	buf_free(&text);
}
END_TEST

#define BUFFER                                                                                     \
	"{\"type\":\"Buffer\",\"data\":[70,114,111,109,58,97,64,98,46,99,13,10,84,111,58,98,64,"   \
	"101,"                                                                                     \
	"120,97,109,112,108,101,46,111,114,103,10,10]}"

static const char *const raws[] = { "\"" RAW "\"", "\"data:;base64," RAW "\"",
	"\"DATA:message/rfc822;BASE64," RAW "\"", BUFFER };

START_TEST(a_raw_message_comes_in_many_forms)
{
	struct buf text = buf_born(1000);

	put(&text, "{\"raw\":%s}", raws[_i]);
	buf_add_byte(&text, 0);
	ck_assert_msg(read_mail(text.at), "%s: %.*s", text.at, (int)complaints.at[0].detail.len,
		complaints.at[0].detail.at);
	ck_assert(posted.raw && posted.envelope.count == 1);
	ck_assert(text_equal(posted.envelope.to[0], TEXT("b@example.org")));
	forget();
	buf_free(&text);
}
END_TEST

START_TEST(a_raw_message_brings_its_envelope)
{
	ck_assert(read_mail("{\"raw\":\"" RAW "\",\"subject\":null}"));
	ck_assert(posted.raw != NULL);
	ck_assert(text_equal(posted.envelope.from, TEXT("a@example.com")));
	ck_assert_uint_eq(posted.envelope.count, 1);
	ck_assert(text_equal(posted.envelope.to[0], TEXT("b@example.org")));
	ck_assert(!posted.has_envelope_to);
	forget();
	ck_assert(read_mail("{\"raw\":\"" RAW "\",\"envelope\":{\"from\":\"\",\"to\":"
			    "[\"c@example.org\",\"d@example.org\",\"c@example.org\"]},"
			    "\"dry_run\":\"render\"}"));
	ck_assert_uint_eq(posted.envelope.from.len, 0);
	ck_assert_uint_eq(posted.envelope.count, 2);
	ck_assert(posted.has_envelope_to);
	ck_assert_int_eq(posted.wishes.dry_run, DRY_RENDER);
	forget();
	ck_assert(read_mail("{" REST ",\"raw\":null,\"dry_run\":\"envelope\"}"));
	ck_assert(!posted.raw);
	ck_assert_int_eq(posted.wishes.dry_run, DRY_ENVELOPE);
	forget();
}
END_TEST

/* The message itself, and files, beside an object that says how. */
START_TEST(what_comes_beside_the_object)
{
	struct smtp_content file = { .encoding = SMTP_BASE64, .text = TEXT("abc") };
	struct mail_besides files = { .files = &file, .file_count = 1 };
	struct mail_besides whole = { .raw = TEXT("From: a@example.com\nTo: b@example.org\n\nHi") };
	static const struct {
		const char *json, *pointer;
	} rows[] = {
		{ "{" REST ",\"attachments\":[{\"filename\":\"a\"}]}", NULL },
		{ "{" REST ",\"attachments\":[{\"content\":\"QQ==\"},{}]}", NULL },
		{ "{" REST ",\"attachments\":[{},{}]}", "/attachments/0" },
		{ "{" REST ",\"attachments\":[{\"content\":{\"part\":0}},{}]}",
			"/attachments/0/content" },
		{ "{" REST ",\"attachments\":[1,{}]}", "/attachments/0" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(read_besides(rows[i].json, &files), !rows[i].pointer);
		ck_assert(!rows[i].pointer || complained_at(rows[i].pointer, ""));
		ck_assert(rows[i].pointer ||
			  text_equal(posted.mail.attachments[posted.mail.attachment_count - 1]
					     .content.text,
				  file.text));
		forget();
	}
	ck_assert(read_besides("{\"tags\":[\"x\"]}", &whole));
	ck_assert(posted.raw && posted.wishes.tag_count == 1);
	forget();
	ck_assert(!read_besides("{\"subject\":\"x\"}", &whole));
	ck_assert(complained_at("/subject", "whole as it comes"));
	forget();
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

UNIT_MAIN(mail, tcase_add_loop_test(cases, no_line_takes_a_break, 0, COUNT(lines));
	  tcase_add_loop_test(cases, every_line_is_taken_without_one, 0, COUNT(lines));
	  tcase_add_loop_test(cases, what_is_refused_says_where_and_why, 0, COUNT(refused));
	  tcase_add_loop_test(cases, limits_have_names, 0, COUNT(limits));
	  tcase_add_test(cases, recipients_count_together);
	  tcase_add_loop_test(cases, lists_and_groups_are_recipients_once_each, 0, COUNT(lists));
	  tcase_add_loop_test(cases, content_comes_in_many_forms, 0, COUNT(contents));
	  tcase_add_test(cases, each_attachment_has_its_own_type);
	  tcase_add_loop_test(cases, a_calendar_says_its_method, 0, COUNT(methods));
	  tcase_add_test(cases, a_raw_message_brings_its_envelope);
	  tcase_add_loop_test(cases, a_raw_message_comes_in_many_forms, 0, COUNT(raws));
	  tcase_add_test(cases, what_comes_beside_the_object);
	  tcase_add_test(cases, an_envelope_of_all_recipients_once);
	  tcase_add_loop_test(cases, a_media_type_ends_without_a_semicolon, 0, COUNT(types));
	  tcase_add_test(cases, the_first_second_of_1970_is_a_date);
	  tcase_add_test(cases, a_mail_is_read_as_a_whole_or_not);
	  tcase_add_test(cases, a_subject_may_isolate_a_name); tcase_add_test(cases, fields_arrive);
	  tcase_add_test(cases, metadata_stays_json);
	  tcase_add_test(cases, null_is_as_if_it_were_not_there);)
