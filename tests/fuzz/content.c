#include "fuzz.h"

#include "smtp/message/content.h"
#include "smtp/message/encode.h"

#include <openssl/evp.h>
#include <string.h>

enum { ROOM = 1 << 20, CUTS = 4 };

static char made[ROOM], cut[ROOM], plain[ROOM], decoded[ROOM];

/* The content's bytes as a file would hand them out. */
struct file {
	struct smtp_source source;
	struct text bytes;
};

static size_t read_file(const struct smtp_source *source, uint64_t at, char *out, size_t room)
{
	const struct file *file = (const struct file *)source;
	struct text rest = text_head(text_from(file->bytes, (size_t)at), room);

	if (rest.len)
		memcpy(out, rest.at, rest.len);
	return rest.len;
}

static size_t read_cut(const struct smtp_content *content, const uint8_t cuts[CUTS])
{
	struct smtp_content_reader reader = { 0 };
	size_t done = 0, len, turn = 0;

	do {
		size_t room = 1u + cuts[turn % CUTS] * (turn % 3 + 1);

		len = smtp_content_read(content, &reader, cut + done, room);
		must(len <= room);
		done += len;
		turn++;
	} while (len);
	return done;
}

/* The same bytes in any steps, and as many as were said. */
static struct text wire_of(const struct smtp_content *content, const uint8_t cuts[CUTS])
{
	struct smtp_content_reader reader = { 0 };
	struct buf added = buf_born(ROOM);
	size_t len = smtp_content_read(content, &reader, made, ROOM);

	must(len < ROOM && smtp_content_size(content) == len);
	must(smtp_content_read(content, &reader, cut, ROOM) == 0);
	must(read_cut(content, cuts) == len && memcmp(made, cut, len) == 0);
	smtp_content_add(&added, content);
	must(added.err == OK && text_equal(buf_text(&added), (struct text){ made, len }));
	buf_free(&added);
	return (struct text){ made, len };
}

/* Every line end to CRLF, and one at the end. */
static struct text lines_of(struct text text)
{
	size_t len = 0;

	while (text.len) {
		size_t end = 0;

		while (end < text.len && text.at[end] != '\r' && text.at[end] != '\n')
			end++;
		memcpy(plain + len, text.at, end);
		memcpy(plain + len + end, "\r\n", 2);
		len += end + 2;
		text = text_from(text, end);
		text = text_from(text, text_starts(text, TEXT("\r\n")) ? 2 : 1);
	}
	return (struct text){ plain, len };
}

/* Lines of at most 76, all of them whole but the last. */
static struct text take_line(struct text *wire)
{
	struct text line = text_cut(wire, '\n');

	must(line.len && line.at[line.len - 1] == '\r');
	line.len--;
	must(line.len <= SMTP_MIME_LINE && text_find(line, '\r') == line.len);
	return line;
}

static struct text from_base64(struct text wire)
{
	size_t len = 0;

	while (wire.len) {
		struct text line = take_line(&wire);
		int bytes;

		must(line.len % 4 == 0 && line.len && (!wire.len || line.len == SMTP_MIME_LINE));
		bytes = EVP_DecodeBlock((unsigned char *)decoded + len,
			(const unsigned char *)line.at, (int)line.len);
		must(bytes >= 0);
		len += (size_t)bytes;
		for (size_t i = line.len; line.at[--i] == '=';) {
			must(!wire.len);
			len--;
		}
	}
	return (struct text){ decoded, len };
}

static struct text from_quoted_printable(struct text wire)
{
	size_t len = 0;

	while (wire.len) {
		struct text line = take_line(&wire);
		bool is_soft = line.len && line.at[line.len - 1] == '=';

		must(!line.len || !byte_is_blank(line.at[line.len - 1]));
		line.len -= is_soft;
		for (size_t i = 0; i < line.len; i++) {
			char byte = line.at[i];

			must((byte >= ' ' && byte <= '~') || byte == '\t');
			if (byte == '=') {
				must(i + 2 < line.len && byte_hex(line.at[i + 1]) >= 0 &&
					byte_hex(line.at[i + 2]) >= 0);
				byte = (char)(byte_hex(line.at[i + 1]) * 16 +
					      byte_hex(line.at[i + 2]));
				i += 2;
			}
			decoded[len++] = byte;
		}
		if (!is_soft) {
			memcpy(decoded + len, "\r\n", 2);
			len += 2;
		}
		must(!is_soft || wire.len);
	}
	return (struct text){ decoded, len };
}

static void check_rewrapped(struct text bytes, const uint8_t cuts[CUTS])
{
	struct smtp_content content = { .encoding = SMTP_BASE64_REWRAP, .text = bytes };
	struct text back;
	uint64_t len;
	size_t was;

	if (!smtp_base64_check(bytes, &len))
		return;
	back = from_base64(wire_of(&content, cuts));
	must(back.len == len);
	memcpy(plain, bytes.at, bytes.len);
	was = smtp_base64_decode((struct text){ plain, bytes.len }, plain); /* where it lies */
	must(text_equal(back, (struct text){ plain, was }));
}

/* Bytes as base64 with white space strewn in, as `cuts` have it. */
static void check_strewn(struct text bytes, const uint8_t cuts[CUTS])
{
	struct buf strewn = buf_born(ROOM);
	char letters[8];

	for (size_t i = 0; bytes.len; i++) {
		struct text three = text_head(bytes, 3);

		EVP_EncodeBlock(
			(unsigned char *)letters, (const unsigned char *)three.at, (int)three.len);
		for (size_t letter = 0; letter < 4; letter++) {
			buf_add_byte(&strewn, letters[letter]);
			if ((i * 4 + letter) % (cuts[0] + 1u) == cuts[1])
				buf_add(&strewn, text_head(TEXT("\r\n \t"), cuts[2] % 5));
		}
		bytes = text_from(bytes, 3);
	}
	must(strewn.err == OK);
	if (strewn.len)
		check_rewrapped(buf_text(&strewn), cuts);
	buf_free(&strewn);
}

static void check_lines(struct text bytes, const uint8_t cuts[CUTS])
{
	struct smtp_content content = { .text = bytes };
	struct text lines = lines_of(bytes);

	content.encoding = SMTP_LINES;
	must(text_equal(wire_of(&content, cuts), lines));
	content.encoding = SMTP_LINES_BASE64;
	must(text_equal(from_base64(wire_of(&content, cuts)), lines));
	content.encoding = SMTP_QUOTED_PRINTABLE;
	must(text_equal(from_quoted_printable(wire_of(&content, cuts)), lines));
}

/* A message that goes as it is has all its lines, in memory or in a file. */
static void check_message(struct smtp_content content, const uint8_t cuts[CUTS])
{
	struct file file = { { read_file }, content.text };
	struct text lines = lines_of(content.text);
	struct smtp_lines said, again;

	content.encoding = SMTP_BASE64;
	if (!smtp_content_is_message(&content, &said))
		return;
	content.encoding = SMTP_LINES;
	must(text_equal(wire_of(&content, cuts), lines) && said.size == lines.len);
	must(said.ends == (content.text.at[content.text.len - 1] == '\n'));
	must(text_is_ascii(lines) && !memchr(lines.at, 0, lines.len));
	content = (struct smtp_content){ SMTP_BASE64, { 0 }, &file.source, file.bytes.len };
	must(smtp_content_is_message(&content, &again) && again.size == said.size &&
		again.ends == said.ends);
	content.encoding = SMTP_LINES;
	must(text_equal(wire_of(&content, cuts), lines));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint8_t cuts[CUTS] = { 0 };
	struct file file = { { read_file }, { 0 } };
	struct smtp_content content = { 0 };

	if (len < CUTS || len > ROOM / 16)
		return 0;
	memcpy(cuts, bytes, CUTS);
	content.text = file.bytes = input(bytes + CUTS, len - CUTS);
	must(text_equal(wire_of(&content, cuts), content.text)); /* as it is */
	check_lines(content.text, cuts);
	check_rewrapped(content.text, cuts);
	check_strewn(content.text, cuts);
	check_message(content, cuts);
	content.encoding = SMTP_BASE64;
	must(text_equal(from_base64(wire_of(&content, cuts)), content.text));
	content.source = &file.source;
	content.len = file.bytes.len;
	content.text = (struct text){ 0 };
	must(text_equal(from_base64(wire_of(&content, cuts)), file.bytes));
	return 0;
}
