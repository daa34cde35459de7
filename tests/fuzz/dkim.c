#include "fuzz.h"

#include "../smtp/dkim_example.h"
#include "../smtp/dkim_plain.h"

#include <string.h>

static struct dkim_key *open_key(void)
{
	struct dkim_key *key;
	const char *why;

	must(dkim_key_open(text_of(example_ed25519), TEXT("example.com"), TEXT("s"), &key, &why) ==
		OK);
	return key;
}

static void check_body(struct text body, size_t cut, unsigned char hash_out[DKIM_HASH])
{
	unsigned char plain[DKIM_HASH];
	struct dkim_body hashed;

	must(dkim_body_begin(&hashed) == OK);
	dkim_body_add(&hashed, text_head(body, cut));
	dkim_body_add(&hashed, text_from(body, cut));
	must(dkim_body_end(&hashed, hash_out) == OK);
	must(plain_body_hash(body, plain));
	must(memcmp(plain, hash_out, DKIM_HASH) == 0);
}

/* A relaxed field is its own relaxed form. */
static void check_fields(struct text head)
{
	struct buf once = buf_born(head.len + 2), twice = buf_born(head.len + 2);
	struct text field = text_head(head, text_find(head, '\n') + 1);

	dkim_field_relax(&once, field);
	dkim_field_relax(&twice, buf_text(&once));
	must(!once.err && dkim_head_is_sound(buf_text(&once)));
	must(text_equal(buf_text(&once), buf_text(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

static void check_lines(struct text field)
{
	must(text_starts(field, TEXT("DKIM-Signature: v=1; ")));
	must(dkim_head_is_sound(field));
	while (field.len) {
		struct text line = text_head(field, text_find(field, '\n') + 1);

		must(line.len > 3 && line.len <= 78 && line.at[line.len - 2] == '\r');
		field = text_from(field, line.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct dkim_key *key;
	unsigned char hash[DKIM_HASH];
	struct dkim_order order = { .body_hash = hash, .time_s = 1 };
	struct buf out = buf_born(1 << 16);
	struct text message = input(bytes, len);
	size_t body_at, from;
	enum err err;

	if (!key)
		key = open_key();
	order.head = dkim_head(message, &body_at);
	from = order.head.len;
	check_body(text_from(message, body_at), len ? bytes[len - 1] : 0, hash);
	err = dkim_sign(key, &order, &out);
	must(err == OK || err == ERR_SYNTAX || err == ERR_MISSING || err == ERR_LIMIT);
	must((err == ERR_SYNTAX) == !dkim_head_is_sound(order.head));
	if (err == OK) {
		must(dkim_head_last(order.head, TEXT("from"), &from).len > 0);
		check_fields(order.head);
		check_lines(buf_text(&out));
	} else {
		must(out.len == 0);
	}
	buf_free(&out);
	return 0;
}
