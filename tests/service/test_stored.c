/* A message as it is kept: packed, read again, and damaged in every way. */
#include "service/store/stored.h"

#include <string.h>

#include "service/store/pack.h"
#include "unit.h"

/* ---- packing */

START_TEST(numbers_and_texts_come_back)
{
	static const uint64_t numbers[] = { 0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX };
	struct buf buf = buf_born(1000);
	struct unpack unpack;

	for (int i = 0; i < 7; i++)
		pack_number(&buf, numbers[i]);
	pack_text(&buf, TEXT("hello"));
	pack_text(&buf, (struct text){ 0 });
	pack_seal(&buf, 0);
	ck_assert(unpack_open(buf_text(&buf), &unpack));
	for (int i = 0; i < 7; i++)
		ck_assert_uint_eq(unpack_number(&unpack, UINT64_MAX), numbers[i]);
	ck_assert(text_equal(unpack_text(&unpack), TEXT("hello")));
	ck_assert(!unpack_is_done(&unpack));
	ck_assert_uint_eq(unpack_text(&unpack).len, 0);
	ck_assert(unpack_is_done(&unpack));
	ck_assert_uint_eq(unpack_number(&unpack, 9), 0);
	ck_assert(!unpack_is_done(&unpack));
	buf_free(&buf);
}
END_TEST

/* Well sealed, and wrong all the same. */
START_TEST(what_cannot_be_a_number_or_a_text_is_bad)
{
	static const struct text rows[] = {
		{ "", 0 },
		{ "\x80", 1 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 }, /* over 64 bits */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
	};

	for (int i = 0; i < 4; i++) {
		struct unpack number = { .rest = rows[i] }, text = { .rest = rows[i] };

		ck_assert_uint_eq(unpack_number(&number, UINT64_MAX), 0);
		ck_assert(number.is_bad);
		ck_assert_uint_eq(unpack_text(&text).len, 0);
		ck_assert(text.is_bad);
	}
	for (size_t len = 0; len < 6; len++) {
		struct unpack text = { .rest = { "\x05hello", len } };

		ck_assert_uint_eq(unpack_text(&text).len, 0);
		ck_assert(text.is_bad);
	}
}
END_TEST

START_TEST(a_number_over_its_bound_is_bad)
{
	struct unpack unpack = { .rest = TEXT("\x05\x06") };

	ck_assert_uint_eq(unpack_number(&unpack, 5), 5);
	ck_assert_uint_eq(unpack_number(&unpack, 5), 0);
	ck_assert(unpack.is_bad);
}
END_TEST

START_TEST(the_checksum_is_that_of_the_standard)
{
	ck_assert_uint_eq(pack_crc(0, TEXT("123456789")), 0xcbf43926);
	ck_assert_uint_eq(pack_crc(pack_crc(0, TEXT("1234")), TEXT("56789")), 0xcbf43926);
	ck_assert_uint_eq(pack_crc(0, (struct text){ 0 }), 0);
}
END_TEST

/* ---- a whole message */

static const struct text tags[] = { { "orders", 6 }, { "shop", 4 } };

static void fill(struct stored *stored, struct stored_recipient to[2],
	struct stored_attempt *attempts, size_t attempt_count)
{
	to[0] = (struct stored_recipient){ .address = TEXT("ann@example.org"),
		.outcome = SMTP_ACCEPTED,
		.phase = SMTP_IN_RCPT,
		.said = { 250, { 2, 1, 5 }, TEXT("Ok") } };
	to[1] = (struct stored_recipient){ .address = TEXT("bo@example.net"),
		.is_open = true,
		.outcome = SMTP_DEFERRED,
		.phase = SMTP_IN_DOT,
		.category = SMTP_MAILBOX_FULL };
	for (size_t i = 0; i < attempt_count; i++)
		attempts[i] = (struct stored_attempt){ (int64_t)i,
			{ .relay = TEXT("primary"), .outcome = SMTP_PARTIAL, .took_us = i } };
	*stored = (struct stored){ .message_id = TEXT("<a@b>"),
		.request_id = TEXT("r"),
		.traceparent = TEXT("00-1-2-01"),
		.from = TEXT("shop@example.com"),
		.subject = TEXT("Your order"),
		.metadata = TEXT("{}"),
		.wish = TEXT("primary"),
		.sender = TEXT("bounce@example.com"),
		.envelope_id = TEXT("e"),
		.notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
		.ret = SMTP_RETURN_FULL,
		.needs_utf8 = true,
		.hold_unknown = true,
		.tags = tags,
		.tag_count = 2,
		.relays = tags,
		.relay_count = 1,
		.to = to,
		.count = 2,
		.attempts = attempts,
		.attempt_count = attempt_count };
}

START_TEST(a_message_comes_back_whole)
{
	struct stored before, after = { 0 };
	struct stored_recipient to[2];
	struct stored_attempt attempts[3];
	struct buf head = buf_born(10000), course = buf_born(10000);
	struct region *region;

	fill(&before, to, attempts, 3);
	stored_pack_head(&before, &head);
	stored_pack_course(&before, &course);
	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(stored_unpack_head(buf_text(&head), region, &after), OK);
	ck_assert_int_eq(stored_unpack_course(buf_text(&course), region, &after), OK);
	ck_assert(text_equal(after.message_id, before.message_id));
	ck_assert(text_equal(after.request_id, before.request_id));
	ck_assert(text_equal(after.traceparent, before.traceparent));
	ck_assert(text_equal(after.from, before.from));
	ck_assert(text_equal(after.subject, before.subject));
	ck_assert(text_equal(after.metadata, before.metadata));
	ck_assert(text_equal(after.wish, before.wish));
	ck_assert(text_equal(after.sender, before.sender));
	ck_assert(text_equal(after.envelope_id, before.envelope_id));
	ck_assert_uint_eq(after.notify, before.notify);
	ck_assert_int_eq(after.ret, before.ret);
	ck_assert(after.needs_utf8 && !after.eight_bit && !after.all_or_none && after.hold_unknown);
	ck_assert(stored_has_tag(&after, TEXT("shop")) && !stored_has_tag(&after, TEXT("SHOP")));
	ck_assert_uint_eq(after.relay_count, 1);
	ck_assert(stored_has_recipient(&after, TEXT("BO@example.net")));
	ck_assert(!stored_has_recipient(&after, TEXT("b@example.net")));
	ck_assert(!after.to[0].is_open && after.to[1].is_open);
	ck_assert_int_eq(after.to[1].category, SMTP_MAILBOX_FULL);
	ck_assert(text_equal(after.to[0].said.text, TEXT("Ok")));
	ck_assert_uint_eq(after.attempt_count, 3);
	ck_assert_uint_eq(after.attempts[2].attempt.took_us, 2);
	after.attempts[3] = after.attempts[2]; /* there is room for one more */
	stored_reopen(&after);
	ck_assert(!after.to[0].is_open && after.to[1].is_open);
	region_close(region);
	buf_free(&head);
	buf_free(&course);
}
END_TEST

static void add_try(struct stored *stored, char *detail, size_t len)
{
	memset(detail, 'x', len);
	stored->to[1].is_open = false;
	stored->to[1].is_given_up = true;
	stored->last = (struct stored_try){ .host = TEXT("smtp.example.com"),
		.tls = TEXT("TLSv1.3"),
		.detail = { detail, len },
		.is_mixed = true,
		.queue_us = 1,
		.connect_us = 2,
		.send_us = 3,
		.total_us = UINT64_MAX };
}

/* What is new since the first version; where there is none of it, that is what is written. */
START_TEST(of_the_last_try_more_is_kept)
{
	struct stored before, after = { 0 };
	struct stored_recipient to[2];
	struct buf head = buf_born(10000), courses[2] = { buf_born(10000), buf_born(10000) };
	char detail[STORED_DETAIL + 9];
	struct region *region;

	fill(&before, to, NULL, 0);
	stored_pack_head(&before, &head);
	stored_pack_course(&before, &courses[0]);
	add_try(&before, detail, sizeof(detail));
	stored_pack_course(&before, &courses[1]);
	ck_assert_int_eq(courses[0].at[0], 1);
	ck_assert_int_eq(courses[1].at[0], 2);
	ck_assert_uint_lt(courses[1].len - courses[0].len, 600);
	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(stored_unpack_head(buf_text(&head), region, &after), OK);
	ck_assert_int_eq(stored_unpack_course(buf_text(&courses[0]), region, &after), OK);
	ck_assert(after.to[1].is_open && !after.to[1].is_given_up && !after.last.host.len);
	ck_assert_int_eq(stored_unpack_course(buf_text(&courses[1]), region, &after), OK);
	ck_assert(!after.to[1].is_open && after.to[1].is_given_up && !after.to[0].is_given_up);
	ck_assert(text_equal(after.last.host, before.last.host));
	ck_assert(text_equal(after.last.tls, TEXT("TLSv1.3")));
	ck_assert_uint_eq(after.last.detail.len, STORED_DETAIL);
	ck_assert(after.last.is_mixed && after.last.queue_us == 1 && after.last.send_us == 3);
	ck_assert_uint_eq(after.last.total_us, UINT64_MAX);
	region_close(region);
	buf_free(&head);
	buf_free(&courses[0]);
	buf_free(&courses[1]);
}
END_TEST

/* a accepted, r rejected, l later, u unknown, n not sent, s set aside; in capitals: it is open */
static void place(struct stored_recipient *to, char letter)
{
	static const struct {
		char letter;
		enum smtp_outcome outcome;
		enum smtp_category category;
	} rows[] = { { 'A', SMTP_ACCEPTED, SMTP_OK_CATEGORY },
		{ 'C', SMTP_CAPTURED, SMTP_OK_CATEGORY },
		{ 'R', SMTP_REJECTED, SMTP_RECIPIENT_REJECTED },
		{ 'L', SMTP_DEFERRED, SMTP_RECIPIENT_DEFERRED },
		{ 'U', SMTP_UNKNOWN, SMTP_OUTCOME_UNKNOWN },
		{ 'N', SMTP_NOT_SENT, SMTP_RELAY_UNREACHABLE },
		{ 'Q', SMTP_QUEUED, SMTP_OK_CATEGORY }, { 'S', SMTP_NOT_SENT, SMTP_SET_ASIDE } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if ((rows[i].letter | 32) == (letter | 32))
			*to = (struct stored_recipient){ .is_open = letter < 'a',
				.outcome = rows[i].outcome,
				.category = rows[i].category };
}

/* What a try that somebody asks for is for; and whom a cancelled message was still to go to. */
START_TEST(who_is_asked_again)
{
	static const struct {
		enum message_state state;
		const char *to, *reopened, *undecided;
	} rows[] = {
		{ MESSAGE_DEFERRED, "arL", "--x", "--x" },
		{ MESSAGE_DEFERRED, "uLr", "-x-", "xx-" },
		{ MESSAGE_DEFERRED, "UNa", "xx-", "xx-" },
		{ MESSAGE_HELD, "aru", "--x", "--x" },
		{ MESSAGE_HELD, "slu", "xxx", "x-x" },
		{ MESSAGE_HELD, "QLR", "xxx", "xxx" },
		{ MESSAGE_FAILED, "rln", "xxx", "---" },
		{ MESSAGE_PARTIAL, "arc", "-x-", "---" },
		{ MESSAGE_UNKNOWN, "aru", "-xx", "--x" },
	};

	for (size_t row = 0; row < sizeof(rows) / sizeof(*rows); row++) {
		struct stored_recipient to[3];
		struct stored stored = { .state = rows[row].state, .to = to, .count = 3 };

		for (size_t i = 0; i < 3; i++) {
			place(&to[i], rows[row].to[i]);
			ck_assert_msg(
				stored_is_undecided(&to[i]) == (rows[row].undecided[i] == 'x'),
				"row %zu, recipient %zu", row, i);
		}
		stored_reopen(&stored);
		for (size_t i = 0; i < 3; i++)
			ck_assert_msg(to[i].is_open == (rows[row].reopened[i] == 'x'),
				"row %zu, recipient %zu", row, i);
	}
}
END_TEST

START_TEST(of_too_many_attempts_the_latest_are_kept)
{
	struct stored before, after = { 0 };
	struct stored_recipient to[2];
	struct stored_attempt attempts[STORED_ATTEMPTS + 7];
	struct buf head = buf_born(10000), course = buf_born(100000);
	struct region *region;

	fill(&before, to, attempts, STORED_ATTEMPTS + 7);
	stored_pack_head(&before, &head);
	stored_pack_course(&before, &course);
	ck_assert_int_eq(region_open(100000, &region), OK);
	ck_assert_int_eq(stored_unpack_head(buf_text(&head), region, &after), OK);
	ck_assert_int_eq(stored_unpack_course(buf_text(&course), region, &after), OK);
	ck_assert_uint_eq(after.attempt_count, STORED_ATTEMPTS);
	ck_assert_int_eq(after.attempts[0].at_ms, 7);
	region_close(region);
	buf_free(&head);
	buf_free(&course);
}
END_TEST

/* Reads what may be damaged, out of memory that ends where it does. */
static void expect_damage(struct text head, struct text course)
{
	struct stored after = { 0 };
	struct region *region;
	enum err err;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	err = stored_unpack_head(head, region, &after);
	if (!err)
		err = stored_unpack_course(course, region, &after);
	ck_assert_int_eq(err, ERR_SYNTAX);
	region_close(region);
}

/* Every bit, and every length; of a head, and of both versions of a course. */
START_TEST(damage_is_told)
{
	struct stored before;
	struct stored_recipient to[2];
	struct stored_attempt attempts[2];
	struct buf packed[2] = { buf_born(10000), buf_born(10000) };
	struct buf *bad = &packed[_i > 0];
	char detail[9];

	fill(&before, to, attempts, 2);
	if (_i == 2)
		add_try(&before, detail, sizeof(detail));
	stored_pack_head(&before, &packed[0]);
	stored_pack_course(&before, &packed[1]);
	for (size_t bit = 0; bit < 8 * bad->len; bit++) {
		bad->at[bit / 8] = (char)(bad->at[bit / 8] ^ 1 << bit % 8);
		expect_damage(buf_text(&packed[0]), buf_text(&packed[1]));
		bad->at[bit / 8] = (char)(bad->at[bit / 8] ^ 1 << bit % 8);
	}
	for (size_t len = 0; len < bad->len; len++) {
		char *cut = malloc(len + 1);
		struct text texts[2] = { buf_text(&packed[0]), buf_text(&packed[1]) };

		memcpy(cut, bad->at, len);
		texts[_i > 0] = (struct text){ cut, len };
		expect_damage(texts[0], texts[1]);
		free(cut);
	}
	buf_free(&packed[0]);
	buf_free(&packed[1]);
}
END_TEST

/* ---- names and numbers */

START_TEST(states_have_names)
{
	static const char *const names[] = { "scheduled", "queued", "sending", "sent", "partial",
		"deferred", "failed", "unknown", "held", "cancelled", "captured" };
	static const char open[] = "11100100100";

	for (unsigned state = 0; state < MESSAGE_STATES; state++) {
		enum message_state found = MESSAGE_STATES;

		ck_assert_str_eq(message_state_name(state), names[state]);
		ck_assert(message_state_find(text_of(names[state]), &found));
		ck_assert_uint_eq(found, state);
		ck_assert_int_eq(message_state_is_settled(state), open[state] == '0');
	}
	ck_assert(!message_state_find(TEXT("lost"), &(enum message_state){ 0 }));
	ck_assert(!message_state_find(TEXT(""), &(enum message_state){ 0 }));
}
END_TEST

/* They stand in files: a new one belongs at the end, or all that is kept gets another meaning. */
START_TEST(numbers_that_are_kept_do_not_move)
{
	static const char *const codes[] = { "ok", "recipient_rejected", "recipient_deferred",
		"recipient_throttled", "recipient_domain_invalid", "sender_rejected",
		"sender_deferred", "sender_authentication", "mailbox_full", "message_too_large",
		"content_rejected", "content_deferred", "policy_rejected", "policy_deferred",
		"relaying_denied", "unsupported_feature", "loop", "loop_detected", "expired",
		"relay_sender_not_allowed", "relay_busy", "relay_throttled", "relay_storage",
		"relay_quota", "relay_downstream", "relay_routing", "relay_refused",
		"relay_misconfigured", "relay_config", "relay_auth_failed", "relay_auth_temporary",
		"relay_auth_required", "relay_account_disabled", "auth_unavailable",
		"tls_unavailable", "tls_temporary", "tls_required", "tls_verify_failed",
		"tls_handshake_failed", "relay_dns", "relay_unreachable", "relay_timeout",
		"relay_disconnected", "wrong_protocol", "protocol_error", "outcome_unknown",
		"deadline_passed", "draining", "internal" };
	static const char *const outcomes[] = { "not_sent", "accepted", "partial", "queued",
		"captured", "rendered", "probed", "rejected", "deferred", "unknown" };
	static const char *const phases[] = { "", "dns", "connect", "tls", "greeting", "ehlo",
		"starttls", "auth", "mail", "rcpt", "data", "content", "dot" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		ck_assert_str_eq(smtp_category_words((enum smtp_category)i)->code, codes[i]);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
		ck_assert_str_eq(smtp_outcome_name((enum smtp_outcome)i), outcomes[i]);
	for (size_t i = 0; i < sizeof(phases) / sizeof(*phases); i++)
		ck_assert_str_eq(smtp_phase_name((enum smtp_phase)i), phases[i]);
}
END_TEST

UNIT_MAIN(stored, tcase_add_test(cases, numbers_and_texts_come_back);
	  tcase_add_test(cases, what_cannot_be_a_number_or_a_text_is_bad);
	  tcase_add_test(cases, a_number_over_its_bound_is_bad);
	  tcase_add_test(cases, the_checksum_is_that_of_the_standard);
	  tcase_add_test(cases, a_message_comes_back_whole);
	  tcase_add_test(cases, of_too_many_attempts_the_latest_are_kept);
	  tcase_add_test(cases, who_is_asked_again);
	  tcase_add_test(cases, of_the_last_try_more_is_kept);
	  tcase_add_loop_test(cases, damage_is_told, 0, 3);
	  tcase_add_test(cases, states_have_names);
	  tcase_add_test(cases, numbers_that_are_kept_do_not_move);)
