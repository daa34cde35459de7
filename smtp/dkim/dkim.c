#include "smtp/dkim/dkim_own.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { LINE = 76, NAMES_MAX = 16384, FIELD_MAX = 24576 };

/* What is signed. Each name stands in h= as often as it occurs and once more, so that nobody can
 * put a second From or Subject above ours for a reader to be shown (RFC 6376 8.15). By the same
 * means those marked are signed as absent where they are: what a reader is shown, where an answer
 * goes to, and how the body is to be read. Of the others
 * - Date and Message-ID are what a relay has to add where they are missing (RFC 6409 8.2, 8.3);
 * - Sender and List-… are what a mailing list adds, to a message that it may leave good otherwise;
 * - In-Reply-To, References and those behind them deceive nobody.
 * List-Unsubscribe and -Post must be signed to work (RFC 8058 4), CFBL-… too (RFC 9477 3.1), and
 * Feedback-ID for its reader to trust it. Received, Return-Path and Resent-… change on the way. */
static const struct {
	struct text name;
	bool even_absent;
} signable[] = {
	{ TEXT("From"), true },
	{ TEXT("Sender"), false },
	{ TEXT("Reply-To"), true },
	{ TEXT("To"), true },
	{ TEXT("Cc"), true },
	{ TEXT("Subject"), true },
	{ TEXT("Date"), false },
	{ TEXT("Message-ID"), false },
	{ TEXT("In-Reply-To"), false },
	{ TEXT("References"), false },
	{ TEXT("MIME-Version"), true },
	{ TEXT("Content-Type"), true },
	{ TEXT("Content-Transfer-Encoding"), true },
	{ TEXT("Content-Disposition"), false },
	{ TEXT("Content-ID"), false },
	{ TEXT("Content-Description"), false },
	{ TEXT("Content-Language"), false },
	{ TEXT("Auto-Submitted"), false },
	{ TEXT("List-Id"), false },
	{ TEXT("List-Help"), false },
	{ TEXT("List-Subscribe"), false },
	{ TEXT("List-Unsubscribe"), false },
	{ TEXT("List-Unsubscribe-Post"), false },
	{ TEXT("List-Post"), false },
	{ TEXT("List-Owner"), false },
	{ TEXT("List-Archive"), false },
	{ TEXT("Feedback-ID"), false },
	{ TEXT("CFBL-Address"), false },
	{ TEXT("CFBL-Feedback-ID"), false },
};

/* ---- which keys */

struct text dkim_signer_domain(const struct dkim_signer *signer, struct text from)
{
	while (from.len) {
		for (size_t i = 0; i < signer->key_count; i++) {
			struct text domain = dkim_key_domain(signer->keys[i]);

			if (text_equal_nocase(domain, from))
				return domain;
		}
		(void)text_cut(&from, '.');
	}
	return from;
}

/* ---- h= */

static bool is_left_out(const struct dkim_order *order, size_t row)
{
	for (size_t i = 0; row && i < order->unsign_count; i++) /* row 0: From */
		if (text_equal_nocase(order->unsign[i], signable[row].name))
			return true;
	return false;
}

static void add_names(struct buf *names, const struct dkim_order *order)
{
	for (size_t row = 0; row < sizeof(signable) / sizeof(signable[0]); row++) {
		size_t before = order->head.len, count = signable[row].even_absent;

		if (is_left_out(order, row))
			continue;
		while (dkim_head_last(order->head, signable[row].name, &before).len)
			count += count ? 1 : 2;
		while (count-- && !names->err) {
			if (names->len)
				buf_add_byte(names, ':');
			buf_add(names, signable[row].name);
		}
	}
}

/* How far up the names before `at` came that are the same; the head's end if there are none. */
static size_t reached(struct text head, struct text names, size_t at, struct text name)
{
	size_t before = head.len;
	struct text earlier = text_head(names, at);

	while (earlier.len)
		if (text_equal_nocase(text_trim(text_cut(&earlier, ':')), name))
			(void)dkim_head_last(head, name, &before);
	return before;
}

void dkim_signed_text(struct buf *out, struct text head, struct text names, struct text field)
{
	struct text left = names, last = { 0 };
	size_t before = 0;

	while (left.len) {
		size_t at = names.len - left.len;
		struct text name = text_trim(text_cut(&left, ':')), found;

		if (!text_equal_nocase(name, last))
			before = reached(head, names, at, name);
		found = dkim_head_last(head, name, &before);
		if (found.len)
			dkim_field_relax(out, found);
		last = name;
	}
	dkim_field_relax(out, field);
	if (!out->err)
		out->len -= 2; /* 3.7: without its CRLF */
}

/* ---- the field */

/* Where the line under way stands. */
static size_t column_of(const struct buf *out, size_t begin)
{
	size_t column = 0;

	while (out->len - column > begin && out->at[out->len - column - 1] != '\n')
		column++;
	return column;
}

/* Appends a piece and its end behind `gap`, on a line of their own if they have no room. */
static void add_piece(
	struct buf *out, size_t begin, const char *gap, struct text piece, const char *end)
{
	size_t len = text_of(gap).len + piece.len + text_of(end).len;

	buf_add_string(out, column_of(out, begin) + len > LINE ? "\r\n " : gap);
	buf_add(out, piece);
	buf_add_string(out, end);
}

static void add_tag(
	struct buf *out, size_t begin, const char *name, struct text value, const char *end)
{
	char tag[LINE + DKIM_NAME_MAX];
	int len = snprintf(tag, sizeof(tag), "%s=%.*s", name, (int)value.len, value.at);

	add_piece(out, begin, " ", (struct text){ tag, (size_t)len }, end);
}

static void add_names_folded(struct buf *out, size_t begin, struct text names)
{
	struct text name = text_cut(&names, ':');

	add_tag(out, begin, "h", name, names.len ? ":" : ";");
	while (names.len) {
		name = text_cut(&names, ':');
		add_piece(out, begin, "", name, names.len ? ":" : ";");
	}
}

static void add_base64_folded(struct buf *out, size_t begin, const unsigned char *bytes, size_t len)
{
	unsigned char base64[DKIM_SIGNATURE_MAX * 4 / 3 + 8];
	struct text left = { (char *)base64, (size_t)EVP_EncodeBlock(base64, bytes, (int)len) };

	while (left.len && !out->err) {
		struct text part = text_head(left, LINE - column_of(out, begin));

		buf_add(out, part);
		left = text_from(left, part.len);
		if (left.len)
			buf_add_string(out, "\r\n ");
	}
}

/* All of it up to the empty b=. */
static void add_field(struct buf *out, const struct dkim_key *key, const struct dkim_order *order,
	struct text names)
{
	unsigned char hash[DKIM_HASH * 4 / 3 + 4];
	char time[24];
	size_t begin = out->len;

	(void)snprintf(time, sizeof(time), "%lld", (long long)order->time_s);
	EVP_EncodeBlock(hash, order->body_hash, DKIM_HASH);
	buf_add_string(out, "DKIM-Signature:");
	add_tag(out, begin, "v", TEXT("1"), ";");
	add_tag(out, begin, "a", text_of(key->algorithm), ";");
	add_tag(out, begin, "c", TEXT("relaxed/relaxed"), ";");
	add_tag(out, begin, "d", text_of(key->domain), ";");
	add_tag(out, begin, "s", text_of(key->selector), ";");
	add_tag(out, begin, "t", text_of(time), ";");
	add_names_folded(out, begin, names);
	add_tag(out, begin, "bh", text_of((char *)hash), ";");
	buf_add_string(out, "\r\n b=");
}

static enum err sign_field(const struct dkim_key *key, const struct dkim_order *order,
	struct text names, struct buf *out)
{
	struct buf field = buf_born(FIELD_MAX);
	struct buf text = buf_born(order->head.len + FIELD_MAX);
	unsigned char signature[DKIM_SIGNATURE_MAX];
	size_t len = 0;
	enum err err;

	add_field(&field, key, order, names);
	dkim_signed_text(&text, order->head, names, buf_text(&field));
	err = field.err ? field.err : text.err;
	if (!err)
		err = dkim_key_sign(key, buf_text(&text), signature, &len);
	if (!err) {
		add_base64_folded(&field, 0, signature, len);
		buf_add_string(&field, "\r\n");
		err = field.err;
	}
	if (!err) {
		buf_add(out, buf_text(&field));
		err = out->err;
	}
	buf_free(&field);
	buf_free(&text);
	return err;
}

enum err dkim_sign(const struct dkim_key *key, const struct dkim_order *order, struct buf *out)
{
	struct buf names = buf_born(NAMES_MAX);
	size_t before = order->head.len;
	enum err err;

	if (!dkim_head_is_sound(order->head))
		return ERR_SYNTAX;
	if (!dkim_head_last(order->head, signable[0].name, &before).len)
		return ERR_MISSING;
	if (order->time_s < 0)
		return ERR_VALUE;
	add_names(&names, order);
	err = names.err;
	if (!err)
		err = sign_field(key, order, buf_text(&names), out);
	buf_free(&names);
	return err;
}
