#include "smtp/session/reply.h"

#include <string.h>

void smtp_reply_reset(struct smtp_reply *reply)
{
	reply->code = 0;
	reply->enhanced = (struct smtp_enhanced){ 0 };
	reply->why = NULL;
	reply->line_len = reply->text_len = 0;
	reply->lines = reply->bytes = 0;
	reply->complete_line = reply->last_line = false;
}

static bool take_number(struct text *text, size_t most_digits, uint16_t *number_out)
{
	size_t digits = 0;
	uint16_t number = 0;

	while (digits < text->len && digits < most_digits && byte_is_digit(text->at[digits]))
		number = (uint16_t)(number * 10 + (text->at[digits++] - '0'));
	if (digits == 0)
		return false;
	*text = text_from(*text, digits);
	*number_out = number;
	return true;
}

static bool take_byte(struct text *text, char byte)
{
	if (text->len == 0 || text->at[0] != byte)
		return false;
	*text = text_from(*text, 1);
	return true;
}

bool smtp_enhanced_take(struct text *text, struct smtp_enhanced *enhanced_out)
{
	struct text rest = *text;
	uint16_t class, subject, detail;

	if (!take_number(&rest, 1, &class) || (class != 2 && class != 4 && class != 5))
		return false;
	if (!take_byte(&rest, '.') || !take_number(&rest, 3, &subject))
		return false;
	if (!take_byte(&rest, '.') || !take_number(&rest, 3, &detail))
		return false;
	if (rest.len && !take_byte(&rest, ' '))
		return false;
	*text = rest;
	*enhanced_out = (struct smtp_enhanced){ (uint8_t) class, subject, detail };
	return true;
}

/* Length of the whole UTF-8 character at the start of `text`; 0 if there is none. */
static size_t character(struct text text)
{
	for (size_t len = 1; len <= 4 && len <= text.len; len++)
		if (text_is_utf8(text_head(text, len)))
			return len;
	return 0;
}

/* Appends what may be shown of `text` to the kept text: controls and what is not UTF-8 as '?'. */
static void keep_text(struct smtp_reply *reply, struct text text)
{
	size_t len;

	if (reply->text_len && text.len && reply->text_len < SMTP_REPLY_TEXT)
		reply->text[reply->text_len++] = ' ';
	for (; text.len; text = text_from(text, len)) {
		struct text one;

		len = character(text);
		one = text_head(text, len);
		if (len == 0 || text_has_control(one)) {
			one = TEXT("?");
			len = len ? len : 1;
		}
		if (reply->text_len + one.len > SMTP_REPLY_TEXT)
			return;
		memcpy(reply->text + reply->text_len, one.at, one.len);
		reply->text_len += one.len;
	}
}

static enum smtp_parsed bad(struct smtp_reply *reply, const char *why)
{
	reply->why = why;
	return SMTP_BAD;
}

static bool read_code(struct text line, uint16_t *code_out)
{
	uint16_t code;

	if (line.len < 3 || line.at[0] < '2' || line.at[0] > '5')
		return false;
	line.len = 3;
	if (!take_number(&line, 3, &code) || line.len)
		return false;
	*code_out = code;
	return true;
}

/* A whole line stands in reply->line, `line_len` bytes, without its end. */
static enum smtp_parsed read_line(struct smtp_reply *reply)
{
	struct text line = { reply->line, reply->line_len };
	struct smtp_enhanced enhanced;
	uint16_t code;

	if (!read_code(line, &code))
		return bad(reply, "a line that does not start with a reply code");
	if (line.len > 3 && line.at[3] != ' ' && line.at[3] != '-')
		return bad(reply, "no space or hyphen behind the reply code");
	if (reply->lines && code != reply->code)
		return bad(reply, "two reply codes in one reply");
	reply->code = code;
	reply->last_line = line.len == 3 || line.at[3] == ' ';
	line = text_from(line, 4);
	if (smtp_enhanced_take(&line, &enhanced) && enhanced.class == code / 100)
		reply->enhanced = enhanced;
	keep_text(reply, line);
	if (++reply->lines > SMTP_REPLY_LINES)
		return bad(reply, "a reply of too many lines");
	reply->complete_line = true;
	return reply->last_line ? SMTP_DONE : SMTP_LINE;
}

enum smtp_parsed smtp_reply_feed(struct smtp_reply *reply, struct text *bytes)
{
	size_t len;

	if (reply->why)
		return SMTP_BAD;
	if (reply->complete_line) { /* the line that was told is done with */
		reply->complete_line = false;
		reply->line_len = 0;
	}
	len = text_find(*bytes, '\n');
	if (reply->line_len + len > SMTP_REPLY_LINE)
		return bad(reply, "a line over 2048 bytes");
	reply->bytes += len;
	if (reply->bytes > SMTP_REPLY_BYTES)
		return bad(reply, "a reply over 16 KB");
	if (len)
		memcpy(reply->line + reply->line_len, bytes->at, len);
	reply->line_len += len;
	if (len == bytes->len) {
		*bytes = text_from(*bytes, len);
		return SMTP_MORE;
	}
	*bytes = text_from(*bytes, len + 1);
	if (reply->line_len && reply->line[reply->line_len - 1] == '\r')
		reply->line_len--;
	return read_line(reply);
}

struct text smtp_reply_line(const struct smtp_reply *reply)
{
	return text_from((struct text){ reply->line, reply->line_len }, 4);
}

struct smtp_said smtp_reply_said(const struct smtp_reply *reply)
{
	return (struct smtp_said){ reply->code, reply->enhanced, { reply->text, reply->text_len } };
}
