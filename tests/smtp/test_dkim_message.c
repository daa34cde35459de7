#include "dkim_unit.h"

#include "smtp/message/message.h"
#include "smtp/region.h"

static struct buf read_all(const struct smtp_message *message)
{
	struct buf wire = buf_born(1 << 20);
	struct smtp_message_reader reader = { 0 };
	char *room = buf_reserve(&wire, message->size + 1);

	ck_assert_ptr_nonnull(room);
	buf_took(&wire, smtp_message_read(message, &reader, room, message->size + 1));
	ck_assert_uint_eq(wire.len, message->size);
	return wire;
}

static void check_body_hash(struct text signatures, struct text message)
{
	unsigned char hash[DKIM_HASH], base64[DKIM_HASH * 2];
	struct buf tag = buf_born(128);
	size_t body_at;

	(void)dkim_head(message, &body_at);
	ck_assert(plain_body_hash(text_from(message, body_at), hash));
	EVP_EncodeBlock(base64, hash, DKIM_HASH);
	buf_addf(&tag, " bh=%s;", base64);
	ck_assert_ptr_nonnull(memmem(signatures.at, signatures.len, tag.at, tag.len));
	buf_free(&tag);
}

static size_t count_fields(struct text text, struct text name)
{
	size_t before = text.len, count = 0;

	while (dkim_head_last(text, name, &before).len)
		count++;
	return count;
}

static const char base64_lines[] = "QUJD RERE\r\nQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD"
				   "QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD\nQQ==\n";

static struct smtp_message composed(struct region *region)
{
	static char large[40000]; /* stays where it lies, between two literals */
	static const struct smtp_mailbox to = { TEXT("Suzie"), TEXT("suzie@example.net") };
	const struct smtp_attachment attachments[] = {
		{ .filename = TEXT("a.pdf"),
			.content = { SMTP_BASE64_REWRAP, .text = text_of(base64_lines) } },
		{ .filename = TEXT("empty") },
		{ .filename = TEXT("b.png"),
			.content_id = TEXT("b"),
			.is_inline = true,
			.content = { SMTP_BASE64_REWRAP, .text = { large, sizeof(large) } } },
	};
	struct smtp_mail mail = {
		.from = { TEXT("J\xc3\xb6rg"), TEXT("joe@mail.example.com") },
		.to = { .at = &to, .count = 1 },
		.subject = TEXT("Gr\xc3\xbc\xc3\x9f"
				"e  aus dem  Test, lang genug, um gefaltet zu werden, sicher"),
		.text = TEXT("Hi.  \r\n\r\nWe lost\tthe game.  \n\n\n"),
		.html = TEXT("<p>Hi.\n\n"),
		.has_text = true,
		.has_html = true,
		.attachments = attachments,
		.attachment_count = 3,
		.message_id = TEXT("<1@mail.example.com>"),
		.date_s = 1528637909,
	};
	static const unsigned char seed[16] = "0123456789abcdef";
	struct smtp_message message;

	memset(large, 'A', sizeof(large));
	ck_assert_int_eq(smtp_message_compose(&mail, seed, region, &message), OK);
	ck_assert_uint_gt(message.count, 2);
	return message;
}

START_TEST(every_key_of_the_domain_signs_a_message)
{
	struct dkim_key *keys[] = { open_key(example_rsa, "example.com", "test"),
		open_key(example_ed25519, "example.org", "other"),
		open_key(example_ed25519, "example.com", "brisbane") };
	struct dkim_signer signer = { .keys = keys, .key_count = 3 };
	struct region *region;
	struct smtp_message message;
	struct buf before, after;
	struct text added;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	message = composed(region);
	before = read_all(&message);
	ck_assert_int_eq(
		dkim_sign_message(&signer, TEXT("mail.Example.com"), 5, region, &message), OK);
	after = read_all(&message);
	ck_assert_uint_gt(after.len, before.len);
	added = text_head(buf_text(&after), after.len - before.len);
	ck_assert(text_equal(text_from(buf_text(&after), added.len), buf_text(&before)));
	ck_assert_uint_eq(count_fields(added, TEXT("DKIM-Signature")), 2);
	ck_assert_ptr_nonnull(memmem(added.at, added.len, " s=test;", 8));
	ck_assert_ptr_nonnull(memmem(added.at, added.len, " s=brisbane;", 12));
	check_body_hash(added, buf_text(&before));
	check_lines(added, 76);
	buf_free(&before);
	buf_free(&after);
	region_close(region);
	for (size_t i = 0; i < 3; i++)
		dkim_key_close(keys[i]);
}
END_TEST

/* The bytes in two segments, signed, and read again. */
static struct buf sign_cut(const struct dkim_signer *signer, struct text bytes, size_t cut)
{
	const struct smtp_segment segments[] = { smtp_segment_of(text_head(bytes, cut)),
		smtp_segment_of(text_from(bytes, cut)) };
	struct smtp_message message = { .segments = segments, .count = 2, .size = bytes.len };
	struct region *region;
	struct buf after;

	ck_assert_int_eq(region_open(1 << 16, &region), OK);
	ck_assert_int_eq(dkim_sign_message(signer, TEXT("example.com"), 5, region, &message), OK);
	ck_assert_uint_eq(message.count, 3);
	after = read_all(&message);
	region_close(region);
	return after;
}

START_TEST(a_message_is_signed_the_same_wherever_its_segments_end)
{
	static const char *const messages[] = { "From: a\r\n\r\nb", "From: a\r\n\r\n",
		"From: a\r\n", "From: a", "from : a\r\n\tb\r\n\r\n\r\n\r\n.\r\nc \r\n\r\n" };
	struct dkim_key *key = open_key(example_ed25519, "example.com", "brisbane");
	struct dkim_signer signer = { .keys = &key, .key_count = 1 };

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct text bytes = text_of(messages[i]);
		struct buf whole = sign_cut(&signer, bytes, 0);

		check_body_hash(buf_text(&whole), bytes);
		ck_assert(text_equal(text_from(buf_text(&whole), whole.len - bytes.len), bytes));
		for (size_t cut = 1; cut <= bytes.len; cut++) {
			struct buf after = sign_cut(&signer, bytes, cut);

			ck_assert(text_equal(buf_text(&whole), buf_text(&after)));
			buf_free(&after);
		}
		buf_free(&whole);
	}
	dkim_key_close(key);
}
END_TEST

static void check_kept(const struct dkim_signer *signer, const char *from,
	struct smtp_message before, size_t room, enum err wanted)
{
	struct smtp_message message = before;
	struct region *region;

	ck_assert_int_eq(region_open(room, &region), OK);
	ck_assert_int_eq(dkim_sign_message(signer, text_of(from), 5, region, &message), wanted);
	ck_assert_ptr_eq(message.segments, before.segments);
	ck_assert_uint_eq(message.count, before.count);
	ck_assert_uint_eq(message.size, before.size);
	region_close(region);
}

static void check_unchanged(const struct dkim_signer *signer, const char *from, struct text text,
	size_t room, enum err wanted)
{
	struct smtp_segment segment = smtp_segment_of(text);

	check_kept(signer, from,
		(struct smtp_message){ .segments = &segment, .count = 1, .size = text.len }, room,
		wanted);
}

START_TEST(a_message_that_is_not_signed_stays_as_it_is)
{
	struct dkim_key *key = open_key(example_ed25519, "example.com", "brisbane");
	struct dkim_signer signer = { .keys = &key, .key_count = 1 }, none = { 0 };
	struct text usual = TEXT("From: a\r\n\r\nb");
	struct smtp_segment segment = smtp_segment_of(usual);
	struct buf huge = buf_born(8 << 20);

	check_unchanged(&none, "example.com", usual, 1 << 16, OK);
	check_unchanged(&signer, "example.net", usual, 1 << 16, OK);
	check_unchanged(&signer, "", usual, 1 << 16, OK);
	check_unchanged(&signer, "example.com", TEXT("To: a\r\n\r\n"), 1 << 16, ERR_MISSING);
	check_unchanged(&signer, "example.com", TEXT(""), 1 << 16, ERR_MISSING);
	check_unchanged(&signer, "example.com", TEXT("From a\r\n\r\n"), 1 << 16, ERR_SYNTAX);
	check_unchanged(&signer, "example.com", usual, 256, ERR_LIMIT);
	check_kept(&signer, "example.com",
		(struct smtp_message){ .segments = &segment, .count = 1, .size = usual.len + 1 },
		1 << 16, ERR_VALUE);
	buf_add_string(&huge, "From: a\r\nX: ");
	while (huge.len < 5 << 20)
		buf_add_string(&huge, "a header without an end ");
	check_unchanged(&signer, "example.com", buf_text(&huge), 1 << 16, ERR_LIMIT);
	buf_free(&huge);
	dkim_key_close(key);
}
END_TEST

UNIT_MAIN(dkim_message, tcase_add_test(cases, every_key_of_the_domain_signs_a_message);
	  tcase_add_test(cases, a_message_is_signed_the_same_wherever_its_segments_end);
	  tcase_add_test(cases, a_message_that_is_not_signed_stays_as_it_is);)
