#include "smtp/raw_read.h"
#include "unit.h"

#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define F            "From: a@b.org\n"
#define TF           "To: t@b.org\n" F
#define RF           "Resent-From: r@b.org\n"

/* What a message comes to. `senders`: "Field=address" of each; lists are joined by one blank. */
static const struct {
	const char *in, *wire, *from, *to, *senders;
} good[] = {
	{ F "To: c@d.org\n\nHi\n", "From: a@b.org\r\nTo: c@d.org\r\n\r\nHi\r\n", "a@b.org",
		"c@d.org", "From=a@b.org" },
	{ "From: a@b.org\r\nTo: c@d.org\r\n\r\nHi\r\n\r\n.\r\n",
		"From: a@b.org\r\nTo: c@d.org\r\n\r\nHi\r\n\r\n.\r\n", "a@b.org", "c@d.org",
		"From=a@b.org" },
	/* Line ends of both kinds, and none at the end. */
	{ "From: a@b.org\r\nTo: c@d.org\n\r\nHi\n.\nx", /**/
		"From: a@b.org\r\nTo: c@d.org\r\n\r\nHi\r\n.\r\nx\r\n", "a@b.org", "c@d.org",
		"From=a@b.org" },
	/* A header alone. */
	{ "To: c@d.org\n" F, "To: c@d.org\r\nFrom: a@b.org\r\n", "a@b.org", "c@d.org",
		"From=a@b.org" },
	{ "To: c@d.org\nFrom: a@b.org", "To: c@d.org\r\nFrom: a@b.org\r\n", "a@b.org", "c@d.org",
		"From=a@b.org" },
	{ TF "\n", "To: t@b.org\r\nFrom: a@b.org\r\n\r\n", "a@b.org", "t@b.org", "From=a@b.org" },
	/* Letters of any case, nothing behind the colon, folds, a line of blanks within a field. */
	{ "fROM:a@b.org\ntO: c@d.org,\n\te@f.org\nX:\nY:\n \n z\n\n",
		"fROM:a@b.org\r\ntO: c@d.org,\r\n\te@f.org\r\nX:\r\nY:\r\n \r\n z\r\n\r\n",
		"a@b.org", "c@d.org e@f.org", "fROM=a@b.org" },
	/* Bcc goes, wherever it stands, with its continuation; what looks like it stays. */
	{ "Bcc: h@b.org\n" F "\nHi\n", "From: a@b.org\r\n\r\nHi\r\n", "a@b.org", "h@b.org",
		"From=a@b.org" },
	{ F "BCC: h@b.org,\r\n i@b.org,\n\n\nBcc: no\n", "From: a@b.org\r\n\r\n\r\nBcc: no\r\n",
		"a@b.org", "h@b.org i@b.org", "From=a@b.org" },
	{ F "bcc: h@b.org,\n i@b.org,\n \n\tj@b.org\nX: y\n\nHi",
		"From: a@b.org\r\nX: y\r\n\r\nHi\r\n", "a@b.org", "h@b.org i@b.org j@b.org",
		"From=a@b.org" },
	{ F "Bcc: h@b.org", "From: a@b.org\r\n", "a@b.org", "h@b.org", "From=a@b.org" },
	{ F "Bcc:\nTo: c@d.org\nX-Bcc: x@b.org\nBcc2: x\n",
		"From: a@b.org\r\nTo: c@d.org\r\nX-Bcc: x@b.org\r\nBcc2: x\r\n", "a@b.org",
		"c@d.org", "From=a@b.org" },
	{ "Return-Path: <x@b.org>\nReceived: y\nReturn-Path: <>\n" TF "\n",
		"Received: y\r\nTo: t@b.org\r\nFrom: a@b.org\r\n\r\n", "a@b.org", "t@b.org",
		"From=a@b.org" },
	/* Order of appearance, each once. */
	{ "Cc: e@f.org, C@D.org\nBcc: h@b.org, e@F.org\n" F "To: C@d.ORG, c@d.org, t@b.org\n\n",
		"Cc: e@f.org, C@D.org\r\nFrom: a@b.org\r\nTo: C@d.ORG, c@d.org, t@b.org\r\n\r\n",
		"a@b.org", "e@f.org C@d.org h@b.org c@d.org t@b.org", "From=a@b.org" },
	{ "To: undisclosed-recipients:;\nCc:\nBcc: G: h@b.org, x <i@b.org>;\n" F,
		"To: undisclosed-recipients:;\r\nCc:\r\nFrom: a@b.org\r\n", "a@b.org",
		"h@b.org i@b.org", "From=a@b.org" },
	/* Several in From; Sender. */
	{ "From: a@b.org, X <e@f.org>\nTo: t@b.org\n\n",
		"From: a@b.org, X <e@f.org>\r\nTo: t@b.org\r\n\r\n", "a@b.org", "t@b.org",
		"From=a@b.org From=e@f.org" },
	{ TF "Sender: (the) Desk <s@b.org>\n\n",
		"To: t@b.org\r\nFrom: a@b.org\r\nSender: (the) Desk <s@b.org>\r\n\r\n", "s@b.org",
		"t@b.org", "From=a@b.org Sender=s@b.org" },
	/* The topmost resending speaks. */
	{ RF "Resent-To: u@b.org\n" TF "Sender: s@b.org\nBcc: h@b.org\n\n",
		"Resent-From: r@b.org\r\nResent-To: u@b.org\r\nTo: t@b.org\r\nFrom: a@b.org\r\n"
		"Sender: s@b.org\r\n\r\n",
		"r@b.org", "u@b.org", "Resent-From=r@b.org From=a@b.org Sender=s@b.org" },
	{ "X: y\nResent-Bcc: v@b.org\nresent-date: z\nResent-Sender: q@b.org\n" RF
	  "Resent-Cc: u@b.org\nReceived: w\nResent-From: o@b.org\nResent-Sender: p@b.org\n"
	  "Resent-To: old@b.org\nResent-Bcc: old2@b.org\n" TF "\n",
		"X: y\r\nresent-date: z\r\nResent-Sender: q@b.org\r\nResent-From: r@b.org\r\n"
		"Resent-Cc: u@b.org\r\nReceived: w\r\nResent-From: o@b.org\r\n"
		"Resent-Sender: p@b.org\r\nResent-To: old@b.org\r\nTo: t@b.org\r\n"
		"From: a@b.org\r\n\r\n",
		"q@b.org", "v@b.org u@b.org",
		"Resent-Sender=q@b.org Resent-From=r@b.org Resent-From=o@b.org "
		"Resent-Sender=p@b.org From=a@b.org" },
	{ RF "Bcc: h@b.org\nResent-To: u@b.org\n" TF,
		"Resent-From: r@b.org\r\nResent-To: u@b.org\r\nTo: t@b.org\r\n"
		"From: a@b.org\r\n",
		"r@b.org", "u@b.org", "Resent-From=r@b.org From=a@b.org" },
	{ RF "Resent-To: u@b.org\nReceived: w\nResent-Sender: p@b.org\n" RF F,
		"Resent-From: r@b.org\r\nResent-To: u@b.org\r\nReceived: w\r\n"
		"Resent-Sender: p@b.org\r\nResent-From: r@b.org\r\nFrom: a@b.org\r\n",
		"r@b.org", "u@b.org",
		"Resent-From=r@b.org Resent-Sender=p@b.org Resent-From=r@b.org From=a@b.org" },
	/* Two older ones may say the same twice. */
	{ RF "Resent-To: u@b.org\nReceived: w\n" RF RF "Resent-X: 1\nResent-X: 2\n" F,
		"Resent-From: r@b.org\r\nResent-To: u@b.org\r\nReceived: w\r\n"
		"Resent-From: r@b.org\r\nResent-From: r@b.org\r\nResent-X: 1\r\nResent-X: 2\r\n"
		"From: a@b.org\r\n",
		"r@b.org", "u@b.org",
		"Resent-From=r@b.org Resent-From=r@b.org Resent-From=r@b.org From=a@b.org" },
	/* Fields that may stand more than once. */
	{ "Received: 1\nReceived: 2\nX: 1\nX: 2\nComments: 1\nComments: 2\n" TF,
		"Received: 1\r\nReceived: 2\r\nX: 1\r\nX: 2\r\nComments: 1\r\nComments: 2\r\n"
		"To: t@b.org\r\nFrom: a@b.org\r\n",
		"a@b.org", "t@b.org", "From=a@b.org" },
	/* Beyond ASCII. */
	{ "From: J\xc3\xbcrgen <\xc3\xa4@b\xc3\xbc"
	  "cher.example>\nTo: t@b.org\n\n",
		"From: J\xc3\xbcrgen <\xc3\xa4@b\xc3\xbc"
		"cher.example>\r\nTo: t@b.org\r\n\r\n",
		"\xc3\xa4@xn--bcher-kva.example", "t@b.org",
		"From=\xc3\xa4@xn--bcher-kva.example" },
};

/* The whole phrase that the caller gets. */
static const struct {
	const char *in, *words;
} bad[] = {
	{ "", "the message is empty" },
	{ "\n", "line 1: the message begins with an empty line: it has no header" },
	{ "\r\n" F, "line 1: the message begins with an empty line: it has no header" },
	{ " From: a@b.org\n", "line 1: the message begins with a blank, not with a header field" },
	{ "\xef\xbb\xbf" F, "line 1: the message begins with a byte order mark" },
	{ "From a@b.org Thu Jan  1 00:00:00 1970\n" F,
		"line 1: the message begins with the From line of an mbox file" },
	{ ">From a@b.org Thu Jan  1 00:00:00 1970\n" F,
		"line 1: the message begins with the From line of an mbox file" },
	{ "Hello,\n\nthis is no message\n",
		"line 1: the message does not begin with a header field" },
	{ "Hello you: two\n", "line 1: the message does not begin with a header field" },
	{ ": x\n" F, "line 1: the message does not begin with a header field" },
	{ "\r", "line 1: the message does not begin with a header field" },
	{ F "Hello\n\n", "line 2: this is no header field; an empty line ends the header" },
	{ F "X: y\n z\nHello you: two\n\n",
		"line 4: this is no header field; an empty line ends the header" },
	{ F "J\xc3\xbcrgen: x\n",
		"line 2: this is no header field; an empty line ends the header" },
	{ F ": x\n", "line 2: this is no header field; an empty line ends the header" },
	{ F "From a@b.org Thu Jan  1 00:00:00 1970\n",
		"line 2: this is no header field; an empty line ends the header" },
	{ F "Bcc : h@b.org\n", "line 2: there are blanks between the field's name and its colon" },
	{ F "Bcc\t: h@b.org\n", "line 2: there are blanks between the field's name and its colon" },
	{ F "Bcc\n : h@b.org\n", "line 2: this is no header field; an empty line ends the header" },
	{ F "X: a\rb\n", "line 2: a CR stands without an LF" },
	{ F "X: y\n z\r\r\n\n", "line 3: a CR stands without an LF" },
	{ F "Bcc: h@b.org\rX: y\n\n", "line 2: a CR stands without an LF" },
	{ F "\r\r\n", "line 2: a CR stands without an LF" },
	{ F "\r", "line 2: a CR stands without an LF" },
	{ F "\n\nx\r.\r\n", "line 4: a CR stands without an LF" },
	{ F "\nx\n\r", "line 4: a CR stands without an LF" },
	{ "To: t@b.org\n\n", "the header has no From" },
	{ "Resent-From: r@b.org\nResent-To: t@b.org\n\n", "the header has no From" },
	{ F "X: y\n" F, "line 3, field From: it may stand only once" },
	{ F "FROM: a@b.org\n", "line 2, field FROM: it may stand only once" },
	{ TF "To: c@d.org\n", "line 3, field To: it may stand only once" },
	{ F "Cc:\nCc:\n", "line 3, field Cc: it may stand only once" },
	{ F "Bcc:\nbcc:\n", "line 3, field bcc: it may stand only once" },
	{ F "Sender: a@b.org\nSender: a@b.org\n", "line 3, field Sender: it may stand only once" },
	{ F "Reply-To: x\nReply-To: x\n", "line 3, field Reply-To: it may stand only once" },
	{ F "Subject: x\nSubject: x\n", "line 3, field Subject: it may stand only once" },
	{ F "Date: x\nDate: x\n", "line 3, field Date: it may stand only once" },
	{ F "Message-ID: x\nMessage-Id: x\n", "line 3, field Message-Id: it may stand only once" },
	{ F "In-Reply-To: x\nIn-Reply-To: x\n",
		"line 3, field In-Reply-To: it may stand only once" },
	{ F "References: x\nReferences: x\n", "line 3, field References: it may stand only once" },
	{ F "MIME-Version: x\nMIME-Version: x\n",
		"line 3, field MIME-Version: it may stand only once" },
	{ F "Content-Type: x\nContent-Type: x\n",
		"line 3, field Content-Type: it may stand only once" },
	{ F "Content-Transfer-Encoding: x\nContent-Transfer-Encoding: x\n",
		"line 3, field Content-Transfer-Encoding: it may stand only once" },
	{ "From:\n\n", "line 1, field From: there is no address in it" },
	{ "From: Team:;\n\n", "line 1, field From: there is no address in it" },
	{ "From: Ann\n\n", "line 1, field From, address 1: an address needs an @" },
	{ "X: y\nFrom: a@b.org,\n a@b..org\n\n",
		"line 2, field From, address 2: the domain has an empty label" },
	{ F "Sender: \n\n", "line 2, field Sender: there is no address in it" },
	{ F "Sender: a@b.org, c@d.org\n\n",
		"line 2, field Sender: there is more than one address in it" },
	{ RF "Resent-Sender: a@b.org, c@d.org\n" F,
		"line 2, field Resent-Sender: there is more than one address in it" },
	{ "Resent-From: x\n" F, "line 1, field Resent-From, address 1: an address needs an @" },
	{ "X: y\nResent-To: t@b.org\n" F,
		"line 2, field Resent-To: the Resent- block has no Resent-From" },
	{ "Resent-To: t@b.org\nX: y\n" RF F,
		"line 1, field Resent-To: the Resent- block has no Resent-From" },
	{ RF "X: y\nResent-To: t@b.org\n" F,
		"line 3, field Resent-To: the Resent- fields do not stand together" },
	{ RF "Resent-To: t@b.org\n" RF "Resent-To: t@b.org\n" F,
		"line 3, field Resent-From: it may stand only once in a Resent- block" },
	{ RF "Resent-To: t@b.org\nReturn-Path: x\n" RF "\n" F,
		"line 4, field Resent-From: it may stand only once in a Resent- block" },
	{ F "X: \xff\n\n", "line 2, field X: it holds bytes that are neither ASCII nor UTF-8" },
	{ F "X: y\n \xe4\n\n", "line 2, field X: it holds bytes that are neither ASCII nor UTF-8" },
};

static const struct {
	const char *in, *words;
} nobody[] = {
	{ F "\n", "To, Cc and Bcc name no recipient" },
	{ F "To: undisclosed-recipients:;\nCc:\n\n", "To, Cc and Bcc name no recipient" },
	{ RF TF "\n", "Resent-To, Resent-Cc and Resent-Bcc name no recipient" },
	{ RF "Received: y\n" RF "Resent-To: old@b.org\n" TF "\n",
		"Resent-To, Resent-Cc and Resent-Bcc name no recipient" },
	{ F "X: y\nTo: c@d.org, Ann\n\n", "line 3, field To, address 2: an address needs an @" },
	{ TF "Cc: x; y\n\n", "line 3, field Cc, address 1: an address needs an @" },
	{ TF "Bcc: \xff@b.org\n\n", "line 3, field Bcc, address 1: it is not UTF-8" },
	{ RF "Resent-To: <>\n" TF "\n",
		"line 2, field Resent-To, address 1: there is no address between < and >" },
};

/* What the pieces are on the wire, made byte by byte; its length must be the one foretold. */
static void write_wire(const struct smtp_raw *raw, struct buf *out)
{
	uint64_t size = 0;

	buf_clear(out);
	for (size_t piece = 0; piece < raw->piece_count; piece++) {
		struct text bytes = raw->pieces[piece].bytes;
		size_t before = out->len;

		ck_assert_uint_gt(bytes.len, 0);
		for (size_t i = 0; i < bytes.len; i++) {
			if (bytes.at[i] == '\n' && (i == 0 || bytes.at[i - 1] != '\r'))
				buf_add_byte(out, '\r');
			buf_add_byte(out, bytes.at[i]);
		}
		if (raw->lacks_end && piece + 1 == raw->piece_count)
			buf_add(out, TEXT("\r\n"));
		ck_assert_uint_eq(out->len - before, raw->pieces[piece].size);
		size += raw->pieces[piece].size;
	}
	ck_assert_uint_eq(size, raw->size);
}

static void write_senders(const struct smtp_raw *raw, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < raw->sender_count; i++) {
		buf_add_string(out, i ? " " : "");
		buf_add(out, raw->senders[i].field->name);
		buf_add_byte(out, '=');
		buf_add(out, raw->senders[i].address);
	}
	buf_add_byte(out, 0);
}

static void write_recipients(const struct smtp_raw *raw, struct region *region, struct buf *out)
{
	struct smtp_raw_fault fault = { 0 };
	struct text *to = NULL;
	size_t count = 0;

	buf_clear(out);
	if (smtp_raw_recipients(raw, region, &to, &count, &fault))
		smtp_raw_fault_write(&fault, out);
	for (size_t i = 0; i < count; i++) {
		buf_add_string(out, i ? " " : "");
		buf_add(out, to[i]);
	}
	buf_add_byte(out, 0);
}

START_TEST(a_message_is_read)
{
	struct buf out = buf_born(1 << 16);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_msg(read_raw(text_of(good[_i].in), region, &raw, &fault) == OK, "%s",
		words_of(&fault, &out));
	write_wire(&raw, &out);
	buf_add_byte(&out, 0);
	ck_assert_str_eq(out.at, good[_i].wire);
	ck_assert(text_equal(raw.envelope_from, text_of(good[_i].from)));
	write_senders(&raw, &out);
	ck_assert_str_eq(out.at, good[_i].senders);
	write_recipients(&raw, region, &out);
	ck_assert_str_eq(out.at, good[_i].to);
	ck_assert_int_eq(raw.header_eight_bit, strstr(good[_i].wire, "\xc3\xbc") != NULL);
	ck_assert(!raw.body_eight_bit);
	region_close(region);
	buf_free(&out);
}
END_TEST

/* What was read and made is read again as the same: nothing is left to leave out or to mend. */
START_TEST(what_goes_on_the_wire_reads_as_the_same)
{
	struct buf out = buf_born(1 << 16), senders = buf_born(1 << 16), again = buf_born(1 << 16);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(read_raw(text_of(good[_i].in), region, &raw, &fault), OK);
	write_wire(&raw, &out);
	write_senders(&raw, &senders);
	ck_assert_int_eq(read_raw(buf_text(&out), region, &raw, &fault), OK);
	ck_assert_uint_eq(raw.piece_count, strstr(good[_i].wire, "\r\n\r\n") ? 2 : 1);
	ck_assert_uint_eq(raw.size, out.len);
	ck_assert(!raw.lacks_end);
	ck_assert(raw.pieces[0].bytes.at == out.at);
	for (size_t i = 0; i < raw.piece_count; i++)
		ck_assert_uint_eq(raw.pieces[i].size, raw.pieces[i].bytes.len);
	write_senders(&raw, &again);
	ck_assert(text_equal(buf_text(&senders), buf_text(&again)));
	region_close(region);
	buf_free(&out);
	buf_free(&senders);
	buf_free(&again);
}
END_TEST

START_TEST(what_is_wrong_is_told_with_its_line_and_field)
{
	struct buf out = buf_born(1 << 16);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_msg(read_raw(text_of(bad[_i].in), region, &raw, &fault) != OK, "%s", bad[_i].in);
	ck_assert_str_eq(words_of(&fault, &out), bad[_i].words);
	ck_assert_uint_eq(raw.piece_count, 0);
	region_close(region);
	buf_free(&out);
}
END_TEST

START_TEST(wrong_recipients_matter_only_where_they_are_asked_for)
{
	struct buf out = buf_born(1 << 16);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_msg(read_raw(text_of(nobody[_i].in), region, &raw, &fault) == OK, "%s",
		words_of(&fault, &out));
	write_recipients(&raw, region, &out);
	ck_assert_str_eq(out.at, nobody[_i].words);
	region_close(region);
	buf_free(&out);
}
END_TEST

/* Each part in memory of its own size, so that a byte read too many is seen. */
static void feed_cut(struct text in)
{
	for (size_t cut = 0; cut <= in.len; cut++) {
		char *part = malloc(cut ? cut : 1);
		struct buf out = buf_born(1 << 16);
		struct smtp_raw_fault fault;
		struct smtp_raw raw;
		struct region *region;
		enum err err;

		ck_assert_ptr_nonnull(part);
		memcpy(part, in.at, cut);
		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		err = read_raw((struct text){ part, cut }, region, &raw, &fault);
		ck_assert_int_eq(err == OK, fault.why == NULL);
		if (err) {
			ck_assert_str_ne(words_of(&fault, &out), "");
		} else {
			write_wire(&raw, &out);
			ck_assert_uint_eq(raw.size, out.len);
			ck_assert_uint_ge(raw.sender_count, 1);
			write_recipients(&raw, region, &out);
			ck_assert_uint_gt(out.len, 1);
		}
		region_close(region);
		buf_free(&out);
		free(part);
	}
}

START_TEST(good_messages_are_read_cut_anywhere)
{
	feed_cut(text_of(good[_i].in));
	feed_cut(text_of(good[_i].wire));
}
END_TEST

START_TEST(bad_messages_are_read_cut_anywhere)
{
	feed_cut(text_of(bad[_i].in));
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
	static const char whole[] = F "To: c@d.org,\n e@f.org\nBcc: h@b.org\n\nHi\n";
	char with[sizeof(whole)];

	for (size_t at = 0; at < sizeof(whole); at++) {
		struct smtp_raw_fault fault;
		struct smtp_raw raw;
		struct region *region;

		memcpy(with, whole, at);
		with[at] = 0;
		memcpy(with + at + 1, whole + at, sizeof(whole) - 1 - at);
		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		ck_assert_msg(
			read_raw((struct text){ with, sizeof(with) }, region, &raw, &fault) != OK,
			"at %zu", at);
		if (at > 4) /* before, there is no header field to begin with */
			ck_assert_str_eq(fault.why, "there is a NUL");
		region_close(region);
	}
}
END_TEST

static const struct {
	const char *in, *id;
	bool has_date, has_id;
} ids[] = {
	{ TF "\n", "", false, false },
	{ TF "\nDate: x\nMessage-ID: <x@y>\n", "", false, false },
	{ TF "Date: x\n", "", true, false },
	{ TF "Date:\nMESSAGE-ID: <x@y>\n", "<x@y>", true, true },
	{ TF "Message-ID:<x@y>  \n", "<x@y>", false, true },
	{ TF "Message-ID:\r\n <x@y>\t\r\n", "<x@y>", false, true },
	{ TF "Message-ID: \n", "", false, true },
	{ TF "Message-ID: x@y\n", "", false, true },
	{ TF "Message-ID: <>\n", "", false, true },
	{ TF "Message-ID: <x y>\n", "", false, true },
	{ TF "Message-ID: <x@y> (z)\n", "", false, true },
	{ TF "Message-ID: <x@y> <z>\n", "", false, true },
	{ TF "Message-ID: <x\n @y>\n", "", false, true },
	{ TF "Message-ID: <x\x1b@y>\n", "", false, true },
	/* Those of a resending are none of the message's. */
	{ RF "Resent-Date: x\nResent-Message-ID: <x@y>\n" TF, "", false, false },
};

START_TEST(a_missing_date_or_id_is_told)
{
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(read_raw(text_of(ids[_i].in), region, &raw, &fault), OK);
	ck_assert_int_eq(raw.has_date, ids[_i].has_date);
	ck_assert_int_eq(raw.has_message_id, ids[_i].has_id);
	ck_assert_msg(text_equal(raw.message_id, text_of(ids[_i].id)), "%s", ids[_i].in);
	region_close(region);
}
END_TEST

static const struct {
	const char *in;
	bool header, body, lacks_end;
	size_t lines, longest;
} measures[] = {
	{ TF, false, false, false, 2, 13 },
	{ TF "\n", false, false, false, 3, 13 },
	{ TF "\nabcdefghijklmn", false, false, true, 4, 14 },
	{ TF "X: \xc3\xa4\n\n", true, false, false, 4, 13 },
	{ TF "\n\xff\r\n", false, true, false, 4, 13 },
	{ TF "X: \xc3\xa4\n\n\xc3\xa4", true, true, true, 5, 13 },
	/* What is left out counts for its lines alone. */
	{ TF "Bcc: \xff\n\n", false, false, false, 4, 13 },
	{ TF "Bcc: abcdefghijklmnop\n q", false, false, false, 4, 13 },
};

START_TEST(a_message_is_measured)
{
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(read_raw(text_of(measures[_i].in), region, &raw, &fault), OK);
	ck_assert_int_eq(raw.header_eight_bit, measures[_i].header);
	ck_assert_int_eq(raw.body_eight_bit, measures[_i].body);
	ck_assert_int_eq(raw.lacks_end, measures[_i].lacks_end);
	ck_assert_uint_eq(raw.lines, measures[_i].lines);
	ck_assert_uint_eq(raw.longest_line, measures[_i].longest);
	region_close(region);
}
END_TEST

START_TEST(a_long_name_is_cut_in_the_phrase)
{
	struct buf message = buf_born(1 << 12), out = buf_born(1 << 12);
	struct smtp_raw_fault fault;
	struct smtp_raw raw;
	struct region *region;

	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	for (size_t i = 0; i < 10; i++)
		buf_add(&message, TEXT("0123456789"));
	buf_add(&message, TEXT(": \xff\n"));
	ck_assert_int_eq(read_raw(buf_text(&message), region, &raw, &fault), ERR_VALUE);
	ck_assert_str_eq(words_of(&fault, &out),
		"line 1, field 0123456789012345678901234567890123456789012345678901234567890123"
		"...: it holds bytes that are neither ASCII nor UTF-8");
	region_close(region);
	buf_free(&message);
	buf_free(&out);
}
END_TEST

/* Every allocation fails once, and nothing else is said of it. */
START_TEST(no_memory_is_an_error_of_its_own)
{
	struct text in = TEXT(RF "Resent-Bcc: u@b.org\nResent-Cc: Bo <c@d.org>, v@b.org\n" TF);
	size_t limit = 0, failed = 0;
	enum err err;

	do {
		struct buf out = buf_born(100);
		struct smtp_raw_fault fault;
		struct smtp_raw raw;
		struct region *region;
		struct text *to;
		size_t count;

		ck_assert_int_eq(region_open(limit, &region), OK);
		err = read_raw(in, region, &raw, &fault);
		if (!err)
			err = smtp_raw_recipients(&raw, region, &to, &count, &fault);
		ck_assert(err == OK || err == ERR_MEMORY);
		ck_assert_ptr_null(fault.why);
		failed += err == ERR_MEMORY;
		ck_assert_ptr_nonnull(strstr(words_of(&fault, &out), "memory"));
		region_close(region);
		buf_free(&out);
		limit += 16;
	} while (err && limit < 65536);
	ck_assert_int_eq(err, OK);
	ck_assert_uint_gt(failed, 10);
}
END_TEST

UNIT_MAIN(raw, tcase_add_loop_test(cases, a_message_is_read, 0, COUNT(good));
	  tcase_add_loop_test(cases, what_goes_on_the_wire_reads_as_the_same, 0, COUNT(good));
	  tcase_add_loop_test(cases, what_is_wrong_is_told_with_its_line_and_field, 0, COUNT(bad));
	  tcase_add_loop_test(
		  cases, wrong_recipients_matter_only_where_they_are_asked_for, 0, COUNT(nobody));
	  tcase_add_loop_test(cases, good_messages_are_read_cut_anywhere, 0, COUNT(good));
	  tcase_add_loop_test(cases, bad_messages_are_read_cut_anywhere, 0, COUNT(bad));
	  tcase_add_test(cases, a_nul_is_refused_wherever_it_stands);
	  tcase_add_loop_test(cases, a_missing_date_or_id_is_told, 0, COUNT(ids));
	  tcase_add_loop_test(cases, a_message_is_measured, 0, COUNT(measures));
	  tcase_add_test(cases, a_long_name_is_cut_in_the_phrase);
	  tcase_add_test(cases, no_memory_is_an_error_of_its_own);)
