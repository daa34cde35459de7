/* The content on its way: every size around the steps in which it is made, in every mode, written
 * in pieces of any length. What went out is what was composed, and the session knows to the byte
 * whether all of it did. */
#include "smtp/session/session.h"
#include "unit.h"

#include <string.h>

enum mode { ONE_WRITE, CHUNKED, DATA, MODES };
enum { ROOM = 1 << 20 };

static const size_t sizes[] = { 1, 12, 4095, 4096, 4097, 65535, 65536, 65537, 131071, 131072,
	131073, 300000 };
static char content[ROOM], written[ROOM];
static bool asks_first;

static struct {
	struct smtp_policy policy;
	struct smtp_session session;
	struct smtp_segment segment;
	struct smtp_message message;
	struct smtp_envelope envelope;
	struct smtp_answer answer;
	struct smtp_transaction tx;
	struct text to;
	size_t written;
} world;

/* Writes at most `most` bytes in pieces of `step`; gives whether anything is left. */
static bool write_out(size_t step, size_t most)
{
	size_t done = 0;

	for (;;) {
		struct text out = text_head(smtp_session_output(&world.session), step);

		out = text_head(out, most - done);
		if (out.len == 0)
			break;
		if (world.written + out.len >= ROOM) /* a ck_assert writes to a file each time */
			ck_abort_msg("more than there is room for");
		memcpy(written + world.written, out.at, out.len);
		world.written += out.len;
		done += out.len;
		smtp_session_sent(&world.session, out.len, 1);
	}
	return smtp_session_output(&world.session).len > 0;
}

static void hear(const char *wire)
{
	smtp_session_receive(&world.session, text_of(wire), 1);
}

/* Until the content is due, which is left unwritten. */
static void start(enum mode mode, size_t size)
{
	static const unsigned char nonce[18];

	memset(&world, 0, sizeof(world));
	world.policy = (struct smtp_policy){ .ehlo_name = TEXT("me"),
		.command_ms = 100,
		.data_ms = 100,
		.dot_ms = 100,
		.one_write_bytes = mode == ONE_WRITE ? ROOM : 0 };
	for (size_t i = 0; i < size; i++)
		content[i] = "a.\r\n."[i % 5];
	if (size > 1)
		memcpy(content + size - 2, "\r\n", 2);
	world.segment = smtp_segment_of((struct text){ content, size });
	world.message = (struct smtp_message){ &world.segment, 1, size, false };
	world.to = TEXT("a@example.org");
	world.envelope = (struct smtp_envelope){ .to = &world.to, .count = 1 };
	world.tx = (struct smtp_transaction){ .envelope = &world.envelope,
		.message = &world.message,
		.asks_first = asks_first,
		.answers = &world.answer };
	ck_assert_int_eq(region_open(1 << 20, &world.tx.region), OK);
	smtp_session_open(&world.session, &world.policy, nonce, 0);
	hear("220 hi\r\n");
	write_out(ROOM, ROOM);
	hear(mode == DATA ? "250-hi\r\n250 PIPELINING\r\n"
			  : "250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
	smtp_session_begin(&world.session, &world.tx, 0);
	world.written = 0;
	if (mode == ONE_WRITE)
		return;
	write_out(ROOM, ROOM);
	hear(mode == DATA ? "250 ok\r\n250 ok\r\n354 go\r\n" : "250 ok\r\n250 ok\r\n");
	world.written = 0;
}

static void end(void)
{
	smtp_session_close(&world.session);
	region_close(world.tx.region);
}

/* What the relay would make of what was written. */
static void check_written(enum mode mode, size_t size)
{
	struct text out = { written, world.written }, left = { content, size };

	if (mode != DATA) {
		struct buf line = buf_born(64);
		size_t start_of_content = world.written - size;

		buf_addf(&line, "BDAT %zu LAST\r\n", size);
		ck_assert_uint_ge(start_of_content, line.len);
		ck_assert(text_equal(
			text_from(text_head(out, start_of_content), start_of_content - line.len),
			buf_text(&line)));
		ck_assert(text_equal(text_from(out, start_of_content), left));
		buf_free(&line);
		return;
	}
	while (left.len) { /* dot-stuffed */
		struct text line = text_head(left, text_find(left, '\n') + 1);
		bool stuffed = line.at[0] == '.';

		left = text_from(left, line.len);
		if ((stuffed && !text_starts(out, TEXT("."))) ||
			!text_starts(text_from(out, stuffed), line))
			ck_abort_msg("%zu bytes before the end", left.len);
		out = text_from(out, line.len + stuffed);
	}
	ck_assert(text_equal(out, TEXT(".\r\n")) || text_equal(out, TEXT("\r\n.\r\n")));
}

START_TEST(the_content_goes_out_whole)
{
	static const size_t steps[] = { ROOM, 65536, 1000, 7 };

	for (int mode = 0; mode < MODES; mode++)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			start((enum mode)mode, sizes[_i]);
			ck_assert(!write_out(steps[i], ROOM));
			check_written((enum mode)mode, sizes[_i]);
			ck_assert(world.session.last_byte_sent);
			hear(mode == ONE_WRITE ? "250 ok\r\n250 ok\r\n250 ok\r\n" : "250 ok\r\n");
			ck_assert_int_eq(world.tx.verdict.outcome, SMTP_ACCEPTED);
			ck_assert(world.tx.last_byte_sent);
			ck_assert_uint_eq(world.tx.round_trips, mode == ONE_WRITE ? 1 : 2);
			ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_WORK);
			end();
		}
}
END_TEST

/* With all but the last byte handed over nothing was sent; with it, nobody knows. */
START_TEST(the_last_byte_decides)
{
	for (int mode = 0; mode < MODES; mode++) {
		size_t all;

		start((enum mode)mode, sizes[_i]);
		write_out(ROOM, ROOM);
		all = world.written;
		smtp_session_lost(&world.session, SMTP_LOSS_DISCONNECTED, NULL);
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_UNKNOWN);
		end();
		start((enum mode)mode, sizes[_i]);
		ck_assert(write_out(1000, all - 1));
		ck_assert(!world.session.last_byte_sent);
		smtp_session_lost(&world.session, SMTP_LOSS_DISCONNECTED, NULL);
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_NOT_SENT);
		ck_assert(!world.tx.last_byte_sent);
		end();
	}
}
END_TEST

/* Of what waits for a yes, all goes but what would make a message of it. */
START_TEST(the_end_waits_for_a_yes)
{
	asks_first = true;
	for (int mode = 0; mode < MODES; mode++) {
		size_t kept = mode == DATA ? 3 : 1;
		struct text end_of_it;

		start((enum mode)mode, sizes[_i]);
		ck_assert(!smtp_session_holds_end(&world.session));
		ck_assert(!write_out(1000, ROOM));
		ck_assert(smtp_session_holds_end(&world.session));
		smtp_session_tick(&world.session, UINT64_MAX - 1); /* it is not the relay's turn */
		if (mode != ONE_WRITE)
			ck_assert(smtp_session_holds_end(&world.session));
		else
			ck_assert_int_eq(world.tx.verdict.category, SMTP_RELAY_TIMEOUT);
		smtp_session_lost(&world.session, SMTP_LOSS_UNFENCED, NULL);
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_NOT_SENT);
		ck_assert_uint_eq(smtp_session_output(&world.session).len, 0);
		ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_CLOSE);
		end();
		start((enum mode)mode, sizes[_i]);
		write_out(ROOM, ROOM);
		smtp_session_let_go(&world.session, 1);
		ck_assert(!smtp_session_holds_end(&world.session));
		end_of_it = smtp_session_output(&world.session);
		ck_assert_uint_eq(end_of_it.len, kept);
		ck_assert(mode != DATA || text_equal(end_of_it, TEXT(".\r\n")));
		write_out(ROOM, ROOM);
		check_written((enum mode)mode, sizes[_i]);
		ck_assert(world.session.last_byte_sent);
		hear(mode == ONE_WRITE ? "250 ok\r\n250 ok\r\n250 ok\r\n" : "250 ok\r\n");
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_ACCEPTED);
		ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_WORK);
		end();
	}
	asks_first = false;
}
END_TEST

/* Where nobody was taken, the end makes no message of it; and what comes next is said whole. */
START_TEST(nobody_asks_for_whom_nobody_was_taken)
{
	asks_first = true;
	start(ONE_WRITE, 4096);
	write_out(ROOM, ROOM);
	hear("250 ok\r\n550 no\r\n");
	ck_assert(!smtp_session_holds_end(&world.session));
	ck_assert(!write_out(ROOM, ROOM));
	check_written(ONE_WRITE, 4096);
	hear("503 no\r\n");
	ck_assert_int_eq(world.tx.verdict.outcome, SMTP_REJECTED);
	ck_assert(text_equal(smtp_session_output(&world.session), TEXT("RSET\r\n")));
	end();
	/* a refusal that comes while it waits is an answer */
	start(DATA, 4096);
	write_out(ROOM, ROOM);
	hear("552 5.3.4 too big\r\n");
	ck_assert_int_eq(world.tx.verdict.outcome, SMTP_REJECTED);
	ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_CLOSE);
	end();
	asks_first = false;
}
END_TEST

/* A refusal amid the content ends the session: what is left of it must not be read as commands. */
START_TEST(a_refusal_ahead_of_the_end_closes)
{
	for (int mode = CHUNKED; mode < MODES; mode++) {
		start((enum mode)mode, 300000);
		ck_assert(write_out(1000, 1000));
		hear("552 5.3.4 too big\r\n");
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_REJECTED);
		ck_assert_int_eq(world.tx.verdict.category, SMTP_MESSAGE_TOO_LARGE);
		ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_CLOSE);
		ck_assert_uint_eq(smtp_session_output(&world.session).len, 0);
		end();
		start((enum mode)mode, 300000);
		ck_assert(write_out(1000, 1000));
		hear("250 ok\r\n");
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_NOT_SENT);
		ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_CLOSE);
		end();
		start((enum mode)mode, 300000);
		ck_assert(write_out(1000, 1000));
		hear("421 bye\r\n");
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_NOT_SENT);
		end();
	}
}
END_TEST

/* A message that is shorter than it says is never ended, so that no relay takes it for whole. */
START_TEST(a_message_shorter_than_its_size_is_not_sent)
{
	for (int mode = CHUNKED; mode < MODES; mode++) {
		start((enum mode)mode, 300000);
		world.segment.content.text.len = 299000;
		write_out(ROOM, ROOM);
		ck_assert_int_eq(world.tx.verdict.outcome, SMTP_NOT_SENT);
		ck_assert_int_eq(world.tx.verdict.category, SMTP_INTERNAL);
		ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_CLOSE);
		end();
	}
}
END_TEST

/* A session at rest holds little. */
START_TEST(an_idle_session_is_small)
{
	start(DATA, 300000);
	write_out(ROOM, ROOM);
	hear("250 ok\r\n");
	ck_assert_int_eq(smtp_session_need(&world.session), SMTP_NEED_WORK);
	ck_assert_uint_le(sizeof(world.session) + world.session.output.room, 16384);
	end();
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

UNIT_MAIN(session_content, tcase_add_loop_test(cases, the_content_goes_out_whole, 0, COUNT(sizes));
	  tcase_add_loop_test(cases, the_last_byte_decides, 0, COUNT(sizes));
	  tcase_add_loop_test(cases, the_end_waits_for_a_yes, 0, COUNT(sizes));
	  tcase_add_test(cases, nobody_asks_for_whom_nobody_was_taken);
	  tcase_add_test(cases, a_refusal_ahead_of_the_end_closes);
	  tcase_add_test(cases, a_message_shorter_than_its_size_is_not_sent);
	  tcase_add_test(cases, an_idle_session_is_small);)
