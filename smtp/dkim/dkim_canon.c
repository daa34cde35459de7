/* dkim_canon - the relaxed forms of head and body (RFC 6376 3.4.2 and 3.4.4) */
#include "smtp/dkim/dkim_own.h"

#include <openssl/evp.h>
#include <string.h>

/* ---- body */

static void flush(struct dkim_body *body)
{
	if (!body->err && body->held_len &&
		EVP_DigestUpdate(body->hash, body->held, body->held_len) != 1)
		body->err = ERR_MEMORY;
	body->held_len = 0;
}

/* Lines and words are short: they go into the hash many at a time. */
static void hold(struct dkim_body *body, struct text run)
{
	while (run.len) {
		struct text part = text_head(run, DKIM_HELD - body->held_len);

		memcpy(body->held + body->held_len, part.at, part.len);
		body->held_len += part.len;
		if (body->held_len == DKIM_HELD)
			flush(body);
		run = text_from(run, part.len);
	}
}

/* Something follows: the line ends and blanks before it count. */
static void settle(struct dkim_body *body)
{
	for (; body->line_ends; body->line_ends--)
		hold(body, TEXT("\r\n"));
	if (body->blank)
		hold(body, TEXT(" "));
	body->blank = false;
	body->has_content = true;
}

static void end_line(struct dkim_body *body)
{
	body->blank = false;
	body->line_ends++;
}

static size_t plain_run(struct text piece)
{
	size_t len = 0;

	while (len < piece.len && !byte_is_blank(piece.at[len]) && piece.at[len] != '\r')
		len++;
	return len;
}

/* One step; gives how many bytes it took, which is 0 after a CR that ended no line. */
static size_t step(struct dkim_body *body, struct text piece)
{
	size_t len = plain_run(piece);

	if (body->after_cr) {
		body->after_cr = false;
		if (piece.at[0] == '\n') {
			end_line(body);
			return 1;
		}
		settle(body);
		hold(body, TEXT("\r"));
		return 0;
	}
	if (len) {
		settle(body);
		hold(body, text_head(piece, len));
		return len;
	}
	if (piece.at[0] == '\r')
		body->after_cr = true;
	else
		body->blank = true;
	return 1;
}

enum err dkim_body_begin(struct dkim_body *body)
{
	body->hash = EVP_MD_CTX_new();
	body->line_ends = 0;
	body->blank = body->after_cr = body->has_content = false;
	body->held_len = 0;
	body->err = body->hash && EVP_DigestInit_ex(body->hash, EVP_sha256(), NULL) == 1
			    ? OK
			    : ERR_MEMORY;
	if (body->err) {
		EVP_MD_CTX_free(body->hash);
		body->hash = NULL;
	}
	return body->err;
}

void dkim_body_add(struct dkim_body *body, struct text piece)
{
	while (piece.len)
		piece = text_from(piece, step(body, piece));
}

enum err dkim_body_end(struct dkim_body *body, unsigned char hash_out[DKIM_HASH])
{
	unsigned char hash[DKIM_HASH];

	if (body->has_content) /* else all that came were line ends: the empty body */
		hold(body, TEXT("\r\n"));
	flush(body);
	if (!body->err && EVP_DigestFinal_ex(body->hash, hash, NULL) != 1)
		body->err = ERR_MEMORY;
	if (!body->err)
		memcpy(hash_out, hash, DKIM_HASH);
	EVP_MD_CTX_free(body->hash);
	body->hash = NULL;
	return body->err;
}

/* ---- head */

struct text dkim_head(struct text message, size_t *body_at_out)
{
	const char *end;

	*body_at_out = message.len;
	if (text_starts(message, TEXT("\r\n"))) {
		*body_at_out = 2;
		return text_head(message, 0);
	}
	end = message.len ? memmem(message.at, message.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return message;
	*body_at_out = (size_t)(end - message.at) + 4;
	return text_head(message, *body_at_out - 2);
}

/* field-name = 1*ftext (RFC 5322 3.6.8), blanks behind it as in 4.5.8. */
static bool begins_with_name(struct text line)
{
	struct text name = text_head(line, text_find(line, ':'));

	if (name.len == line.len)
		return false;
	while (name.len && byte_is_blank(name.at[name.len - 1]))
		name.len--;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] <= ' ' || name.at[i] > '~')
			return false;
	return name.len > 0;
}

bool dkim_head_is_sound(struct text head)
{
	bool is_first = true;

	for (; head.len; is_first = false) {
		struct text line = text_head(head, text_find(head, '\n') + 1);

		head = text_from(head, line.len);
		if (line.len >= 2 && line.at[line.len - 1] == '\n' && line.at[line.len - 2] == '\r')
			line.len -= 2;
		else if (head.len || line.at[line.len - 1] == '\n')
			return false; /* only the last line may lack its end */
		if (text_find(line, '\r') < line.len || text_find(line, 0) < line.len)
			return false;
		if (is_first || line.len == 0 || !byte_is_blank(line.at[0]))
			if (!begins_with_name(line))
				return false;
	}
	return true;
}

static size_t field_begin(struct text head, size_t end)
{
	while (end) {
		const char *before = memrchr(head.at, '\n', end - 1);

		end = before ? (size_t)(before - head.at) + 1 : 0;
		if (end == 0 || !byte_is_blank(head.at[end]))
			break;
	}
	return end;
}

static struct text field_name(struct text field)
{
	return text_trim(text_head(field, text_find(field, ':')));
}

struct text dkim_head_last(struct text head, struct text name, size_t *before)
{
	size_t end = *before;

	while (end) {
		size_t begin = field_begin(head, end);
		struct text field = text_from(text_head(head, end), begin);

		if (text_equal_nocase(field_name(field), name)) {
			*before = begin;
			return field;
		}
		end = begin;
	}
	*before = 0;
	return (struct text){ 0 };
}

void dkim_field_relax(struct buf *out, struct text field)
{
	struct text name = field_name(field);
	struct text value = text_from(field, text_find(field, ':') + 1);
	bool blank = false, has_content = false;

	for (size_t i = 0; i < name.len; i++)
		buf_add_byte(out, byte_lower(name.at[i]));
	buf_add_byte(out, ':');
	for (size_t i = 0; i < value.len; i++) {
		char byte = value.at[i];

		/* In a sound head CR and LF are those of a fold, or of the field's end. */
		if (byte_is_space(byte)) {
			blank = has_content;
			continue;
		}
		if (blank)
			buf_add_byte(out, ' ');
		buf_add_byte(out, byte);
		blank = false;
		has_content = true;
	}
	buf_add(out, TEXT("\r\n"));
}
