/* dkim_plain - the relaxed body (RFC 6376 3.4.4) in the plainest way there is, to compare with */
#pragma once

#include "smtp/dkim/dkim_own.h"

#include <openssl/evp.h>

/* Appends a line in relaxed form, with CRLF. */
static inline void plain_line(struct text line, struct buf *out)
{
	while (line.len && (line.at[line.len - 1] == ' ' || line.at[line.len - 1] == '\t'))
		line.len--;
	for (size_t i = 0; i < line.len; i++)
		if (line.at[i] != ' ' && line.at[i] != '\t')
			buf_add_byte(out, line.at[i]);
		else if (line.at[i + 1] != ' ' && line.at[i + 1] != '\t')
			buf_add_byte(out, ' ');
	buf_add(out, TEXT("\r\n"));
}

static inline size_t plain_line_len(struct text body)
{
	size_t len = 0;

	while (len < body.len && !text_starts(text_from(body, len), TEXT("\r\n")))
		len++;
	return len;
}

static inline void plain_body(struct text body, struct buf *out)
{
	size_t content = out->len; /* where the last line that is not empty ends */

	while (body.len) {
		struct text line = text_head(body, plain_line_len(body));
		size_t begin = out->len;

		if (line.len == body.len && line.at[line.len - 1] == '\r')
			line.len--; /* the end of DATA gives it its LF */
		body = text_from(body, line.len + 2);
		plain_line(line, out);
		if (out->len > begin + 2)
			content = out->len;
	}
	out->len = content;
}

static inline bool plain_body_hash(struct text body, unsigned char hash_out[DKIM_HASH])
{
	struct buf plain = buf_born(body.len + 2);
	bool ok;

	plain_body(body, &plain);
	ok = !plain.err && EVP_Digest(plain.at, plain.len, hash_out, NULL, EVP_sha256(), NULL) == 1;
	buf_free(&plain);
	return ok;
}
