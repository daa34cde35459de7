/* Whatever happens in whatever order: relays that answer by chance, links that break, callers that
 * give up. No answer is asserted but what has to hold for all of them. */
#include "smtp/session/session.h"
#include "unit.h"

#include <string.h>

enum { STORMS = 40, SESSIONS_A_STORM = 100, EVENTS = 120 };

static const char *const likely[SMTP_STATES][4] = {
	[SMTP_AWAIT_GREETING] = { "220 hi\r\n", "220-hi\r\n220 there\r\n" },
	[SMTP_AWAIT_EHLO] = { "250-hi\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250-"
			      "SIZE "
			      "9999\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n",
		"250-hi\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH LOGIN\r\n", "250 hi\r\n",
		"250-hi\r\n250-CHUNKING\r\n250 LIMITS MAILMAX=2\r\n" },
	[SMTP_AWAIT_HELO] = { "250 hi\r\n" },
	[SMTP_AWAIT_STARTTLS] = { "220 go\r\n" },
	[SMTP_AWAIT_AUTH] = { "235 ok\r\n", "334 eA==\r\n" },
	[SMTP_AWAIT_MAIL] = { "250 ok\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
		"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n", "555 no\r\n" },
	[SMTP_AWAIT_RCPT] = { "250 ok\r\n", "550 no\r\n", "450 no\r\n" },
	[SMTP_AWAIT_DATA] = { "354 go\r\n" },
	[SMTP_AWAIT_DOT] = { "250 ok\r\n", "550 no\r\n", "450 no\r\n" },
	[SMTP_AWAIT_RSET] = { "250 ok\r\n" },
	[SMTP_AWAIT_QUIT] = { "221 bye\r\n" },
};
static const char *const unlikely[] = { "421 bye\r\n", "221 bye\r\n", "354 go\r\n", "220 x\r\n",
	"500 x\r\n", "503 x\r\n", "250-", "250 ok\r\n2", "\r\n", "x\r\n", "334 \r\n", "235 x\r\n",
	"250-a\r\n500 b\r\n", "452 4.5.3 x\r\n", "\xff\xff\n", "4" };

static struct {
	uint64_t state, now;
	struct smtp_policy policy;
	struct smtp_session session;
	struct smtp_segment segment;
	struct smtp_message message;
	struct smtp_envelope envelope;
	struct smtp_answer answers[3];
	struct smtp_transaction tx;
	struct text to[3];
	bool began;
	bool all_out;     /* the last byte is out, and not answered */
	size_t unordered; /* bytes that were said behind it */
} world;

/* libcheck writes a line for every assertion, also for those that hold: too slow here. */
static void must(bool holds, const char *what)
{
	if (!holds)
		ck_abort_msg("%s", what);
}

static unsigned chance(unsigned of)
{
	world.state = world.state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)(world.state >> 33) % of;
}

static void open_session(void)
{
	static const unsigned char nonce[18];

	world.policy = (struct smtp_policy){ .ehlo_name = TEXT("me"),
		.tls = (enum smtp_tls)chance(4),
		.authenticates = chance(3) == 0,
		.clear_auth = chance(2),
		.credentials = { .user = TEXT("u"), .pass = TEXT("p") },
		.command_ms = 1000,
		.data_ms = 1000,
		.dot_ms = 1000,
		.one_write_bytes = chance(2) ? 65536 : 100,
		.max_messages = chance(4),
		.no_pipelining = chance(5) == 0 };
	world.began = false;
	smtp_session_open(&world.session, &world.policy, nonce, world.now);
}

static void begin(void)
{
	static char content[70000];
	size_t size = chance(3) ? 20 : sizeof(content);

	if (smtp_session_need(&world.session) != SMTP_NEED_WORK)
		return;
	must(!world.began || world.tx.is_over, "ready, and not over");
	content[0] = '.';
	world.segment = smtp_segment_of((struct text){ content, size });
	world.message = (struct smtp_message){ &world.segment, 1, size, chance(9) == 0 };
	for (size_t i = 0; i < 3; i++)
		world.to[i] = TEXT("a@example.org");
	world.envelope = (struct smtp_envelope){ .to = world.to,
		.count = 1 + chance(3),
		.notify = chance(2) ? SMTP_NOTIFY_FAILURE : 0 };
	world.tx = (struct smtp_transaction){ .envelope = &world.envelope,
		.message = &world.message,
		.answers = world.answers,
		.region = world.tx.region,
		.all_or_none = chance(2),
		.probe = chance(6) == 0 };
	world.began = true;
	smtp_session_begin(&world.session, &world.tx, world.now);
}

static void write_some(void)
{
	struct smtp_session *session = &world.session;
	struct text out = smtp_session_output(session);
	bool was_out = session->last_byte_sent && session->state != SMTP_READY;
	size_t len = chance(3) && out.len ? 1 + chance((unsigned)out.len) : out.len;

	if (smtp_session_need(session) == SMTP_NEED_CLOSE)
		must(out.len == 0, "it speaks when closed");
	if (was_out && session->state <= SMTP_AWAIT_DOT && session->state >= SMTP_AWAIT_MAIL)
		must(out.len == 0, "it speaks behind the end of the data");
	if (len)
		smtp_session_sent(session, len, world.now);
}

static void hear_some(void)
{
	enum smtp_state state = world.session.state;
	const char *wire = chance(12) ? likely[state][chance(4)] : NULL;
	struct text bytes;

	if (!wire && chance(3))
		return;
	bytes = text_of(wire ? wire : unlikely[chance(sizeof(unlikely) / sizeof(unlikely[0]))]);
	while (bytes.len) {
		size_t len = chance(4) ? bytes.len : 1 + chance((unsigned)bytes.len);

		smtp_session_receive(&world.session, text_head(bytes, len), world.now);
		bytes = text_from(bytes, len);
	}
}

static void something_happens(void)
{
	struct smtp_session *session = &world.session;

	switch (chance(40)) {
	case 0:
		world.now += chance(3000);
		smtp_session_tick(session, world.now);
		break;
	case 1:
		if (chance(4) == 0)
			smtp_session_lost(session, SMTP_LOSS_DISCONNECTED, NULL);
		break;
	case 2:
		if (chance(2))
			smtp_session_give_up(session, SMTP_LOSS_DEADLINE, world.now);
		break;
	case 3:
		if (chance(8) == 0 && smtp_session_need(session) == SMTP_NEED_WORK)
			smtp_session_quit(session, world.now);
		break;
	case 4 ... 12:
		begin();
		break;
	case 13 ... 26:
		write_some();
		break;
	default:
		if (smtp_session_need(session) == SMTP_NEED_TLS)
			smtp_session_tls_started(session, world.now);
		else
			hear_some();
	}
}

static void check_answer(const struct smtp_answer *answer)
{
	const struct smtp_verdict *verdict = &answer->verdict;
	bool refused = verdict->outcome == SMTP_REJECTED || verdict->outcome == SMTP_DEFERRED ||
		       verdict->outcome == SMTP_NOT_SENT;
	bool early = verdict->outcome != SMTP_UNKNOWN && verdict->outcome != SMTP_ACCEPTED;

	must(verdict->status >= 200, "no verdict");
	must((verdict->class == SMTP_UNCERTAIN) == (verdict->outcome == SMTP_UNKNOWN),
		"class and outcome differ");
	must(world.tx.last_byte_sent || early, "decided before the last byte");
	must(verdict->outcome != SMTP_ACCEPTED || answer->said.code == 250, "taken without a 250");
	must(answer->said.code < 400 || refused, "refused, and then something else");
}

static void check(void)
{
	struct smtp_session *session = &world.session;
	enum smtp_need need = smtp_session_need(session);

	must(session->state >= SMTP_AWAIT_TLS && session->state < SMTP_STATES, "no state");
	if (need == SMTP_NEED_CLOSE) {
		must(!session->transaction, "closed with a transaction");
		must(smtp_session_output(session).len == 0, "it speaks when closed");
		must(session->deadline_ms == UINT64_MAX, "closed, and impatient");
	}
	must(need != SMTP_NEED_WORK || !session->mails || !smtp_session_is_used_up(session),
		"ready though used up");
	if (!world.began)
		return;
	must(world.tx.is_over == !session->transaction, "over, or not");
	for (size_t i = 0; world.tx.is_over && i < world.envelope.count; i++)
		check_answer(&world.answers[i]);
}

START_TEST(whatever_happens)
{
	world.state = (uint64_t)_i;
	for (int i = 0; i < SESSIONS_A_STORM; i++) {
		ck_assert_int_eq(region_open(1 << 20, &world.tx.region), OK);
		open_session();
		for (int event = 0; event < EVENTS; event++) {
			something_happens();
			check();
		}
		smtp_session_lost(&world.session, SMTP_LOSS_DISCONNECTED, NULL);
		check();
		smtp_session_close(&world.session);
		region_close(world.tx.region);
	}
}
END_TEST

UNIT_MAIN(storm, tcase_add_loop_test(cases, whatever_happens, 0, STORMS);)
