#include "fuzz.h"

#include "smtp/message/encode.h"
#include "smtp/message/message.h"

#include <openssl/evp.h>
#include <string.h>

enum { ROOM = 1 << 18, LINE = 998, FIELDS = 5 };

/* Lines end in CRLF, are at most 998 long, and hold no other CR or LF, NUL or 8-bit byte. Joins
 * those that were folded. */
static void unfold(struct text wire, struct buf *out)
{
	must(text_is_ascii(wire) && text_find(wire, 0) == wire.len);
	while (wire.len) {
		struct text line = text_cut(&wire, '\n');

		must(line.len && line.at[line.len - 1] == '\r');
		line.len--;
		must(line.len <= LINE && text_find(line, '\r') == line.len);
		must(text_trim(line).len || !wire.len);
		must(!wire.len || byte_is_blank(wire.at[0]));
		buf_add(out, line);
	}
}

/* "?…?=" behind "=?UTF-8?B": whole characters, in a word of at most 75. */
static void add_word(struct text *in, struct buf *out)
{
	unsigned char bytes[80];
	struct text letters = text_cut(in, '?');
	int len;

	must(text_starts(*in, TEXT("=")) && letters.len + 12 <= 75 && letters.len % 4 == 0);
	*in = text_from(*in, 1);
	len = EVP_DecodeBlock(bytes, (const unsigned char *)letters.at, (int)letters.len);
	must(len > 0);
	for (size_t i = letters.len; letters.at[--i] == '=';)
		len--;
	must(text_is_utf8((struct text){ (char *)bytes, (size_t)len }));
	buf_add(out, (struct text){ (char *)bytes, (size_t)len });
}

/* RFC 2047: blanks between words do not count. */
static void decode_words(struct text in, struct buf *out)
{
	bool after_word = false;

	while (in.len) {
		size_t blanks = 0;
		struct text rest;

		while (blanks < in.len && byte_is_blank(in.at[blanks]))
			blanks++;
		rest = text_from(in, blanks);
		if (text_starts(rest, TEXT("=?UTF-8?B?"))) {
			buf_add(out, text_head(in, after_word ? 0 : blanks));
			in = text_from(rest, 10);
			add_word(&in, out);
			after_word = true;
			continue;
		}
		buf_add(out, text_head(in, blanks + (rest.len > 0)));
		in = text_from(rest, 1);
		after_word = false;
	}
}

static void decode_phrase(struct text in, struct buf *out)
{
	if (!text_starts(in, TEXT("\""))) {
		decode_words(in, out);
		return;
	}
	must(in.len >= 2 && in.at[in.len - 1] == '"');
	for (size_t i = 1; i + 1 < in.len; i++) {
		must(in.at[i] != '"');
		i += in.at[i] == '\\';
		must(i + 1 < in.len);
		buf_add_byte(out, in.at[i]);
	}
}

static void decode_percents(struct text in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.at[i] != '%') {
			buf_add_byte(out, in.at[i]);
			continue;
		}
		must(i + 2 < in.len && byte_hex(in.at[i + 1]) >= 0 && byte_hex(in.at[i + 2]) >= 0);
		buf_add_byte(out, (char)(byte_hex(in.at[i + 1]) * 16 + byte_hex(in.at[i + 2])));
		i += 2;
	}
}

/* RFC 2231: one quoted string, one extended value, or sections of one. */
static void decode_parameter(struct text in, struct buf *out)
{
	char start[32];
	unsigned section = 0;

	if (text_starts(in, TEXT("; name=\""))) {
		decode_phrase(text_from(in, 7), out);
		return;
	}
	if (text_starts(in, TEXT("; name*=utf-8''"))) {
		decode_percents(text_from(in, 15), out);
		return;
	}
	while (in.len) {
		int len = snprintf(
			start, sizeof(start), " name*%u*=%s", section, section ? "" : "utf-8''");

		must(text_cut(&in, ';').len == 0 && text_starts(in, text_of(start)));
		in = text_from(in, (size_t)len);
		decode_percents(text_head(in, text_find(in, ';')), out);
		in = text_from(in, text_find(in, ';'));
		section++;
	}
}

/* ---- each writer: it takes the value and can be read back, or says why not */

static void check_field(struct text name, struct text value)
{
	struct buf out = buf_born(ROOM), line = buf_born(ROOM), read = buf_born(ROOM);
	const char *why = smtp_header_why_not(name, value);
	struct text rest;

	smtp_header_add(&out, name, value);
	must((out.err == ERR_VALUE) == (why || text_has_control(value) || text_has_control(name)));
	if (!out.err) {
		unfold(buf_text(&out), &line);
		rest = buf_text(&line);
		must(text_equal(text_cut(&rest, ':'), name) && text_starts(rest, TEXT(" ")));
		rest = text_from(rest, 1);
		if (text_equal(name, TEXT("References")))
			buf_add(&read, rest);
		else
			decode_words(rest, &read);
		must(text_equal(buf_text(&read),
			text_equal(name, TEXT("References")) ? text_trim(value) : value));
	}
	buf_free(&out);
	buf_free(&line);
	buf_free(&read);
}

static void check_phrase(struct text phrase, size_t column)
{
	struct buf out = buf_born(ROOM), line = buf_born(ROOM), read = buf_born(ROOM);
	size_t end = smtp_phrase_add(&out, phrase, column), last;

	must((out.err == ERR_VALUE) == text_has_control(phrase));
	if (!out.err && phrase.len) {
		for (last = out.len; last && out.at[last - 1] != '\n';)
			last--;
		must(end == out.len - last + (last ? 0 : column));
		buf_add(&out, TEXT("\r\n"));
		unfold(buf_text(&out), &line);
		decode_phrase(buf_text(&line), &read);
		must(text_equal(buf_text(&read), phrase));
	}
	buf_free(&out);
	buf_free(&line);
	buf_free(&read);
}

static void check_parameter(struct text value)
{
	struct buf out = buf_born(ROOM), line = buf_born(ROOM), read = buf_born(ROOM);

	smtp_parameter_add(&out, "name", value);
	must((out.err == ERR_VALUE) == text_has_control(value));
	if (!out.err) {
		buf_add(&out, TEXT("\r\n"));
		unfold(buf_text(&out), &line);
		decode_parameter(buf_text(&line), &read);
		must(text_equal(buf_text(&read), value));
	}
	buf_free(&out);
	buf_free(&line);
	buf_free(&read);
}

/* The header of a whole message, up to its body's first part. */
static void check_message(const struct text fields[FIELDS])
{
	static const unsigned char seed[16] = { 1, 2, 3 };
	struct smtp_mailbox to[] = { { fields[0], TEXT("ann@example.org") },
		{ fields[1], TEXT("a-rather-long-local.part@with-a.rather-long-domain.example") } };
	struct smtp_header header = { TEXT("X-Order"), fields[2] };
	struct smtp_attachment file = { .filename = fields[3], .content_type = TEXT("a/b") };
	struct smtp_mail mail = { .from = { fields[1], TEXT("shop@example.com") },
		.to = { .at = to, .count = 2 },
		.subject = fields[4],
		.attachments = &file,
		.attachment_count = 1,
		.headers = &header,
		.header_count = 1,
		.message_id = TEXT("<a@example.com>") };
	struct smtp_message_reader reader = { 0 };
	struct smtp_message message;
	static char wire[ROOM];
	struct region *region;
	struct text rest;
	bool is_bad = false;
	size_t fields_seen = 0;

	for (size_t i = 0; i < FIELDS; i++)
		is_bad |= text_has_control(fields[i]);
	must(region_open(1 << 22, &region) == OK);
	if (smtp_message_compose(&mail, seed, region, &message)) {
		must(is_bad);
		region_close(region);
		return;
	}
	must(!is_bad && message.size < ROOM && !message.eight_bit);
	rest = (struct text){ wire, smtp_message_read(&message, &reader, wire, ROOM) };
	must(rest.len == message.size && text_find(rest, 0) == rest.len);
	while (rest.len > 2 && !text_starts(rest, TEXT("\r\n"))) { /* one field after the other */
		struct text field = rest, out;
		struct buf line = buf_born(ROOM);

		do
			(void)text_cut(&rest, '\n');
		while (rest.len && byte_is_blank(rest.at[0]));
		unfold(text_head(field, field.len - rest.len), &line);
		out = buf_text(&line);
		must(text_cut(&out, ':').len && out.at);
		fields_seen++;
		buf_free(&line);
	}
	/* From To Subject Message-ID Date X-Order MIME-Version Content-Type, and no other */
	must(fields_seen == 8 - !fields[4].len);
	region_close(region);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct text names[] = { TEXT("X-A"), TEXT("Subject"), TEXT("References"),
		TEXT("X-A-name-that-is-so-long-that-no-word-of-any-kind-fits-the-line-behind") };
	struct text fields[FIELDS], rest, whole;

	if (len < 1 || len > 4096 || !text_is_utf8(input(bytes + 1, len - 1)))
		return 0;
	rest = whole = input(bytes + 1, len - 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_field(names[i], whole);
	whole = text_head(whole, LINE); /* as much as a line of a request may hold */
	if (!text_is_utf8(whole))
		return 0;
	check_phrase(whole, bytes[0] % 50); /* "Reply-To: " takes 10 */
	check_parameter(whole);
	for (size_t i = 0; i < FIELDS; i++)
		fields[i] = text_head(text_cut(&rest, '\n'), LINE);
	for (size_t i = 0; i < FIELDS; i++)
		if (!text_is_utf8(fields[i]))
			return 0;
	check_message(fields);
	return 0;
}
