#include "dkim_unit.h"

START_TEST(the_nearest_domain_signs)
{
	static const struct {
		const char *from, *signer;
	} rows[] = {
		{ "example.com", "example.com" },
		{ "EXAMPLE.com", "example.com" },
		{ "mail.example.com", "mail.example.com" },
		{ "a.mail.example.com", "mail.example.com" },
		{ "b.a.mail.example.com", "mail.example.com" },
		{ "other.example.com", "example.com" },
		{ "notexample.com", "" },
		{ "example.com.evil.org", "" },
		{ "com", "" },
		{ "example.net", "" },
		{ "", "" },
	};
	struct dkim_key *keys[] = { open_key(example_ed25519, "example.com", "a"),
		open_key(example_ed25519, "mail.example.com", "b"),
		open_key(example_rsa, "example.com", "c"),
		open_key(example_ed25519, "example.org", "d") };
	struct dkim_signer signer = { .keys = keys, .key_count = 4 }, none = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text domain = dkim_signer_domain(&signer, text_of(rows[i].from));

		ck_assert_msg(text_equal(domain, text_of(rows[i].signer)), "%s: %.*s", rows[i].from,
			(int)domain.len, domain.at);
	}
	ck_assert_uint_eq(dkim_signer_domain(&none, TEXT("example.com")).len, 0);
	for (size_t i = 0; i < 4; i++)
		dkim_key_close(keys[i]);
}
END_TEST

/* ---- what is signed */

static void check_signed(struct text head, struct text names, struct text wanted)
{
	struct buf out = buf_born(4096);

	dkim_signed_text(&out, head, names, TEXT("DKIM-Signature: v=1;\r\n b="));
	ck_assert_int_eq(out.err, OK);
	ck_assert_msg(text_equal(buf_text(&out), wanted), "%.*s", (int)out.len, out.at);
	buf_free(&out);
}

/* RFC 6376 5.4.2: of several fields the last counts as the first, and the surplus as none. */
START_TEST(fields_are_taken_from_the_bottom_up)
{
	struct text head = TEXT("To: 1\r\nX: a\r\nTO : 2\r\n\t+\r\nFrom: f\r\n g\r\nto:3\r\n");
	struct text end = TEXT("dkim-signature:v=1; b=");

	check_signed(head, TEXT("To"), TEXT("to:3\r\ndkim-signature:v=1; b="));
	check_signed(head, TEXT("To:To"), TEXT("to:3\r\nto:2 +\r\ndkim-signature:v=1; b="));
	check_signed(head, TEXT("to:to:to:to:to"),
		TEXT("to:3\r\nto:2 +\r\nto:1\r\ndkim-signature:v=1; b="));
	check_signed(head, TEXT("to : from: to:from :x:to"),
		TEXT("to:3\r\nfrom:f g\r\nto:2 +\r\nx:a\r\nto:1\r\ndkim-signature:v=1; b="));
	check_signed(head, TEXT("Subject:T:Too"), end);
	check_signed(TEXT(""), TEXT("To:From"), end);
	check_signed(TEXT("To: a"), TEXT("To:To"), TEXT("to:a\r\ndkim-signature:v=1; b="));
}
END_TEST

/* ---- the field */

static void check_signature(const char *pem, const char *field, const char *wanted)
{
	struct dkim_key *key = open_key(pem, "football.example.com", "s");
	struct buf signed_text = buf_born(4096);
	unsigned char signature[DKIM_SIGNATURE_MAX], base64[DKIM_SIGNATURE_MAX * 2];
	size_t len = 0;

	dkim_signed_text(
		&signed_text, text_of(example_head), text_of(example_names), text_of(field));
	ck_assert_int_eq(dkim_key_sign(key, buf_text(&signed_text), signature, &len), OK);
	EVP_EncodeBlock(base64, signature, (int)len);
	ck_assert_str_eq((char *)base64, wanted);
	buf_free(&signed_text);
	dkim_key_close(key);
}

/* Both signatures are deterministic. */
START_TEST(the_example_of_the_rfc_is_signed_as_it_is_there)
{
	unsigned char hash[DKIM_HASH], base64[DKIM_HASH * 2];

	hash_cut(text_of(example_body), 7, hash);
	EVP_EncodeBlock(base64, hash, DKIM_HASH);
	ck_assert_str_eq((char *)base64, example_body_hash);
	check_signature(example_ed25519, example_ed25519_field, example_ed25519_signature);
	check_signature(example_rsa, example_rsa_field, example_rsa_signature);
}
END_TEST

static enum err sign(const struct dkim_key *key, struct dkim_order *order, struct buf *out)
{
	unsigned char hash[DKIM_HASH];
	enum err err;

	hash_cut(text_of(example_body), 0, hash);
	order->body_hash = hash;
	err = dkim_sign(key, order, out);
	order->body_hash = NULL;
	return err;
}

/* The base64 of b=, unfolded and decoded. */
static size_t decode_folded(struct text base64, unsigned char out[DKIM_SIGNATURE_MAX])
{
	EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
	unsigned char room[DKIM_SIGNATURE_MAX * 2];
	int len = 0, more = 0;

	EVP_DecodeInit(context);
	ck_assert_uint_lt(base64.len, sizeof(room));
	ck_assert_int_ge(EVP_DecodeUpdate(context, room, &len, (const unsigned char *)base64.at,
				 (int)base64.len),
		0);
	ck_assert_int_eq(EVP_DecodeFinal(context, room + len, &more), 1);
	EVP_ENCODE_CTX_free(context);
	ck_assert_int_le(len + more, DKIM_SIGNATURE_MAX);
	memcpy(out, room, (size_t)(len + more));
	return (size_t)(len + more);
}

static void check_verifies(const struct dkim_key *key, struct text base64, struct text signed_text)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char signature[DKIM_SIGNATURE_MAX], digest[DKIM_HASH];
	struct text message = signed_text;
	size_t len = decode_folded(base64, signature);

	if (key->is_ed25519) {
		EVP_Digest(signed_text.at, signed_text.len, digest, NULL, EVP_sha256(), NULL);
		message = (struct text){ (char *)digest, DKIM_HASH };
	}
	ck_assert_int_eq(EVP_DigestVerifyInit(context, NULL, key->is_ed25519 ? NULL : EVP_sha256(),
				 NULL, key->pkey),
		1);
	ck_assert_int_eq(EVP_DigestVerify(context, signature, len,
				 (const unsigned char *)message.at, message.len),
		1);
	EVP_MD_CTX_free(context);
}

/* The field up to its b=, and the rest without the CRLF. */
static struct text cut_at_b(struct text field, struct text *base64_out)
{
	const char *b = memmem(field.at, field.len, "\r\n b=", 5);
	size_t head;

	ck_assert_ptr_nonnull(b);
	head = (size_t)(b - field.at) + 5;
	ck_assert_uint_gt(field.len, head + 2);
	ck_assert(text_equal(text_from(field, field.len - 2), TEXT("\r\n")));
	*base64_out = text_head(text_from(field, head), field.len - head - 2);
	return text_head(field, head);
}

static const char example_signed[] =
	"from:Joe SixPack <joe@football.example.com>\r\n"
	"to:Suzie Q <suzie@shopping.example.net>\r\n"
	"subject:Is dinner ready?\r\n"
	"date:Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
	"message-id:<20030712040037.46341.5F8J@football.example.com>\r\n"
	"dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; "
	"d=football.example.com; s=brisbane; t=1528637909; h=From:From:Reply-To:To: "
	"To:Cc:Subject:Subject:Date:Date:Message-ID:Message-ID:MIME-Version: "
	"Content-Type:Content-Transfer-Encoding; "
	"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=";

START_TEST(a_signature_is_one_folded_field)
{
	struct dkim_key *key = open_key(example_rsa, "football.example.com", "brisbane");
	struct dkim_order order = { .head = text_of(example_head), .time_s = 1528637909 };
	struct buf out = buf_born(4096);
	struct text field, base64;

	buf_add_string(&out, "X: y\r\n"); /* what is there stays */
	ck_assert_int_eq(sign(key, &order, &out), OK);
	field = cut_at_b(buf_text(&out), &base64);
	ck_assert_msg(
		text_equal(field, TEXT("X: y\r\n"
				       "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
				       " d=football.example.com; s=brisbane; t=1528637909; "
				       "h=From:From:Reply-To:To:\r\n"
				       " To:Cc:Subject:Subject:Date:Date:Message-ID:Message-ID:"
				       "MIME-Version:\r\n"
				       " Content-Type:Content-Transfer-Encoding;\r\n"
				       " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
				       " b=")),
		"%.*s", (int)field.len, field.at);
	check_verifies(key, base64, text_of(example_signed));
	buf_free(&out);
	dkim_key_close(key);
}
END_TEST

/* The value of h=, unfolded. */
static struct buf names_of(struct text field)
{
	const char *h = memmem(field.at, field.len, " h=", 3);
	struct buf names = buf_born(1 << 16);
	struct text left;

	ck_assert_ptr_nonnull(h);
	left = text_from(field, (size_t)(h - field.at) + 3);
	left = text_head(left, text_find(left, ';'));
	for (size_t i = 0; i < left.len; i++)
		if (!strchr("\r\n ", left.at[i]))
			buf_add_byte(&names, left.at[i]);
	return names;
}

static const char *const bare = "From:From:Reply-To:To:Cc:Subject:MIME-Version:Content-Type:"
				"Content-Transfer-Encoding";

static const struct {
	struct text head;
	const char *names; /* NULL: the bare */
} heads[] = {
	{ TEXT("From: a@example.com\r\n"), NULL },
	{ TEXT("fROM: a@example.com"), NULL },
	{ TEXT("From : a@example.com\r\n"), NULL },
	{ TEXT("From:\r\n a@example.com\r\nX-From: b\r\nFro: c\r\nReceived: d\r\n"
	       "Resent-To: e\r\nReturn-Path: <f>\r\nDKIM-Signature: v=1\r\nBcc: g\r\n"),
		NULL },
	{ TEXT("From: a\r\nfrom: b\r\nFROM : c\r\n"),
		"From:From:From:From:Reply-To:To:Cc:Subject:MIME-Version:Content-Type:"
		"Content-Transfer-Encoding" },
	{ TEXT("Feedback-ID: 1:2:3\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
	       "List-Unsubscribe: <https://example.com/u>\r\nList-Id: <l.example.com>\r\n"
	       "From: a\r\nSender: b\r\nTo: c\r\nReply-To: d\r\nCc: e\r\nReferences: <f>\r\n"
	       "In-Reply-To: <f>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	       "Content-Transfer-Encoding: 7bit\r\n"),
		"From:From:Sender:Sender:Reply-To:Reply-To:To:To:Cc:Cc:Subject:In-Reply-To:"
		"In-Reply-To:References:References:MIME-Version:MIME-Version:Content-Type:"
		"Content-Type:Content-Transfer-Encoding:Content-Transfer-Encoding:List-Id:List-Id:"
		"List-Unsubscribe:List-Unsubscribe:List-Unsubscribe-Post:List-Unsubscribe-Post:"
		"Feedback-ID:Feedback-ID" },
};

START_TEST(names_stand_once_more_than_they_occur)
{
	struct dkim_key *key = open_key(example_ed25519, "example.com", "brisbane");
	struct dkim_order order = { .head = heads[_i].head, .time_s = 1 };
	struct buf out = buf_born(1 << 16), names, signed_text = buf_born(1 << 16);
	struct text field, base64;

	ck_assert_int_eq(sign(key, &order, &out), OK);
	names = names_of(buf_text(&out));
	buf_add_byte(&names, 0);
	ck_assert_str_eq(names.at, heads[_i].names ? heads[_i].names : bare);
	check_lines(buf_text(&out), 76);
	field = cut_at_b(buf_text(&out), &base64);
	dkim_signed_text(
		&signed_text, heads[_i].head, text_head(buf_text(&names), names.len - 1), field);
	check_verifies(key, base64, buf_text(&signed_text));
	buf_free(&names);
	buf_free(&signed_text);
	buf_free(&out);
	dkim_key_close(key);
}
END_TEST

START_TEST(what_the_relay_writes_anew_is_not_signed)
{
	static const struct text unsign[] = { TEXT("date"), TEXT("MESSAGE-ID"), TEXT("From"),
		TEXT("Subject"), TEXT("nothing") };
	struct dkim_key *key = open_key(example_ed25519, "example.com", "brisbane");
	struct dkim_order order = {
		.head = text_of(example_head), .unsign = unsign, .unsign_count = 5
	};
	struct buf out = buf_born(4096), names;

	ck_assert_int_eq(sign(key, &order, &out), OK);
	names = names_of(buf_text(&out));
	buf_add_byte(&names, 0);
	ck_assert_str_eq(names.at, "From:From:Reply-To:To:To:Cc:MIME-Version:Content-Type:"
				   "Content-Transfer-Encoding");
	buf_free(&names);
	buf_free(&out);
	dkim_key_close(key);
}
END_TEST

static void check_not_signed(struct text head, int64_t time_s, size_t limit, enum err wanted)
{
	struct dkim_key *key = open_key(example_ed25519, "example.com", "brisbane");
	struct dkim_order order = { .head = head, .time_s = time_s };
	struct buf out = buf_born(limit);

	buf_add_string(&out, "X");
	ck_assert_int_eq(sign(key, &order, &out), wanted);
	ck_assert_uint_eq(out.len, 1);
	buf_free(&out);
	dkim_key_close(key);
}

START_TEST(what_cannot_be_signed_is_not)
{
	struct buf many = buf_born(1 << 20);

	check_not_signed(TEXT(""), 1, 4096, ERR_MISSING);
	check_not_signed(TEXT("To: a\r\nX-From: b\r\nFro: c\r\n"), 1, 4096, ERR_MISSING);
	check_not_signed(TEXT("From: a\nTo: b\r\n"), 1, 4096, ERR_SYNTAX);
	check_not_signed(TEXT("From: a\r\nTo\r\n"), 1, 4096, ERR_SYNTAX);
	check_not_signed(TEXT("From: a\r\n"), -1, 4096, ERR_VALUE);
	check_not_signed(TEXT("From: a\r\n"), 1, 100, ERR_LIMIT);
	buf_add_string(&many, "From: a\r\n");
	for (size_t i = 0; i < 10000; i++)
		buf_add_string(&many, "To: b\r\n");
	check_not_signed(buf_text(&many), 1, 1 << 20, ERR_LIMIT);
	buf_free(&many);
}
END_TEST

/* Names of every length, and lists of names that end anywhere in a line. */
START_TEST(a_field_folds_at_every_length_of_name)
{
	static const struct text all = TEXT("From: a\r\nTo: a\r\nCc: a\r\nDate: a\r\nSender: a\r\n"
					    "List-Id: a\r\nCFBL-Address: a\r\n");
	char domain[] = LABEL_63 "." LABEL_63 "." LABEL_63;
	size_t most = strlen(domain);

	for (size_t len = 3; len <= most; len++) {
		const char *name = domain + most - len;
		bool is_short = len < 70;
		struct dkim_key *key;

		if (name[0] == '.' || name[0] == '-')
			continue;
		key = open_key(len % 2 ? example_rsa : example_ed25519,
			is_short ? "example.com" : name, is_short ? name : "brisbane");
		for (size_t end = 9; end <= all.len; end++) {
			struct dkim_order order = { .head = text_head(all, end),
				.time_s = INT64_MAX };
			struct buf out = buf_born(4096);

			if (all.at[end - 1] != '\n')
				continue;
			ck_assert_int_eq(sign(key, &order, &out), OK);
			check_lines(buf_text(&out), len < 73 ? 76 : len + 4);
			ck_assert_ptr_nonnull(
				memmem(out.at, out.len, " t=9223372036854775807;", 23));
			buf_free(&out);
		}
		dkim_key_close(key);
	}
}
END_TEST

UNIT_MAIN(dkim, tcase_add_test(cases, the_nearest_domain_signs);
	  tcase_add_test(cases, fields_are_taken_from_the_bottom_up);
	  tcase_add_test(cases, the_example_of_the_rfc_is_signed_as_it_is_there);
	  tcase_add_test(cases, a_signature_is_one_folded_field);
	  tcase_add_loop_test(cases, names_stand_once_more_than_they_occur, 0, ROWS(heads));
	  tcase_add_test(cases, what_the_relay_writes_anew_is_not_signed);
	  tcase_add_test(cases, what_cannot_be_signed_is_not);
	  tcase_add_test(cases, a_field_folds_at_every_length_of_name);)
