/* Sessions as transcripts: tests/smtp/transcripts holds what is said line by line.
 *
 *   == name             begins one
 *   set NAME VALUE      how the session or the transaction is set up
 *   < line              the relay says; all in a row arrive in one piece
 *   > line              we say; all in a row are what we say in one go
 *   ! event             begin, tls, lost, tick, sleep MS, give up, quit, idle, alive
 *   = what VALUE        what has to come of it
 *
 * \xHH stands for a byte. Each is played whole, cut at every byte of the relay's, with every byte
 * of the relay's alone, and with every byte of ours handed to the kernel alone. */
#include "smtp/session/session.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 512, ROOM = 1 << 19, STRUCT_MOST = 16384 };

static char text_room[ROOM];
static const char *transcripts[MOST];
static int transcript_count;

static size_t load_file(const char *path, size_t used)
{
	FILE *file = fopen(path, "r");
	size_t len = file ? fread(text_room + used, 1, ROOM - used - 1, file) : 0;

	if (file)
		(void)fclose(file);
	return used + len;
}

/* Into text_room, one behind the other; each transcript starts behind its "== ". */
static int load_all(void)
{
	const char *folder = "tests/smtp/transcripts";
	struct dirent **names;
	int count = scandir(folder, &names, NULL, alphasort);
	size_t used = 0;
	char path[512];

	for (int i = 0; i < count; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (strstr(path, ".txt"))
			used = load_file(path, used);
		free(names[i]);
	}
	free(count < 0 ? NULL : names);
	text_room[used] = 0;
	for (char *at = text_room; (at = strstr(at, "\n== ")) && transcript_count < MOST; at += 4)
		transcripts[transcript_count++] = at + 4;
	return transcript_count;
}

enum cut { WHOLE, CUT_ONCE, BYTES_IN, BYTES_OUT };

struct player {
	struct smtp_policy policy;
	struct smtp_session session;
	struct smtp_envelope envelope;
	struct smtp_segment segment;
	struct smtp_message message;
	struct smtp_answer answers[2];
	struct smtp_transaction tx;
	struct text to[2];
	unsigned char nonce[18];
	struct buf trace;
	bool uncut, opened, began;
	uint64_t now;
	enum cut cut;
	size_t cut_at, received; /* bytes of the relay's so far */
	char said[8192];         /* what it says, or we should, in one go */
	size_t said_len;
	char mark; /* whose that is; 0: nobody's */
	const char *name;
};

static void wrong(const struct player *player, const char *what, struct text is)
{
	ck_abort_msg("%.*s (cut %d at %zu): %s: %.*s", (int)strcspn(player->name, "\n"),
		player->name, player->cut, player->cut_at, what, (int)is.len, is.at ? is.at : "");
}

static void receive(struct player *player, struct text bytes)
{
	struct smtp_session *session = &player->session;
	size_t cut = player->cut_at - player->received;

	player->received += bytes.len;
	if (player->cut == CUT_ONCE && cut < bytes.len) {
		smtp_session_receive(session, text_head(bytes, cut), player->now);
		bytes = text_from(bytes, cut);
	}
	for (; player->cut == BYTES_IN && bytes.len > 1; bytes = text_from(bytes, 1))
		smtp_session_receive(session, text_head(bytes, 1), player->now);
	smtp_session_receive(session, bytes, player->now);
}

static void send(struct player *player, struct text wanted)
{
	struct text rest = wanted;

	while (rest.len) {
		struct text made = smtp_session_output(&player->session);
		size_t len = player->cut == BYTES_OUT && made.len ? 1 : made.len;

		if (made.len == 0 || !text_starts(rest, made))
			wrong(player, "says something else", made);
		smtp_session_sent(&player->session, len, player->now);
		rest = text_from(rest, len);
	}
	if (smtp_session_output(&player->session).len)
		wrong(player, "says more", smtp_session_output(&player->session));
}

static void flush(struct player *player)
{
	struct text said = { player->said, player->said_len };

	if (player->mark == '<')
		receive(player, said);
	else if (player->mark == '>')
		send(player, said);
	player->mark = 0;
	player->said_len = 0;
}

static void open_session(struct player *player)
{
	if (player->opened)
		return;
	smtp_session_open(&player->session, &player->policy, player->nonce, player->now);
	player->session.trace = &player->trace;
	player->opened = true;
}

static void begin(struct player *player)
{
	if (smtp_session_need(&player->session) != SMTP_NEED_WORK)
		wrong(player, "is not ready", (struct text){ 0 });
	player->began = true;
	smtp_session_begin(&player->session, &player->tx, player->now);
}

static void happen(struct player *player, struct text event)
{
	struct smtp_session *session = &player->session;
	uint64_t ms;

	if (text_equal(event, TEXT("begin")))
		begin(player);
	else if (text_equal(event, TEXT("tls")))
		smtp_session_tls_started(session, player->now);
	else if (text_equal(event, TEXT("lost")))
		smtp_session_lost(session, SMTP_LOSS_DISCONNECTED, NULL);
	else if (text_equal(event, TEXT("tick")))
		smtp_session_tick(session, player->now);
	else if (text_equal(event, TEXT("give up")))
		smtp_session_give_up(session, SMTP_LOSS_DEADLINE, player->now);
	else if (text_equal(event, TEXT("quit")))
		smtp_session_quit(session, player->now);
	else if (text_equal(event, TEXT("alive")))
		ck_assert_int_ne(smtp_session_need(session), SMTP_NEED_CLOSE);
	else if (text_cut(&event, ' ').len == 5 && text_to_u64(event, &ms))
		player->now += ms;
	else
		ck_assert_uint_eq(event.len, 0); /* idle: ends a row */
}

static void say(struct player *player, char mark, struct text line)
{
	open_session(player);
	if (player->mark != mark || mark == '!')
		flush(player);
	player->mark = mark;
	if (mark == '!') {
		happen(player, line);
		return;
	}
	for (size_t i = 0; i < line.len; i++) {
		unsigned byte = (unsigned char)line.at[i];

		if (byte == '\\' && sscanf(line.at + i, "\\x%2x", &byte) == 1)
			i += 3;
		player->said[player->said_len++] = (char)byte;
	}
	memcpy(player->said + player->said_len, "\r\n", 2);
	player->said_len += 2;
}

static bool is_named(struct text value, const char *const *names, size_t count, int *at_out)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(value, text_of(names[i])))
			*at_out = (int)i;
	return true;
}

static void set_policy(struct player *player, struct text name, struct text value, uint64_t number)
{
	static const char *const tls[] = { "none", "opportunistic", "starttls", "implicit" };
	struct smtp_policy *policy = &player->policy;
	int at = 0;

	if (text_equal(name, TEXT("tls")) && is_named(value, tls, 4, &at))
		policy->tls = (enum smtp_tls)at;
	else if (text_equal(name, TEXT("mechanism")))
		policy->mechanism = smtp_mechanism_named(value);
	else if (text_equal(name, TEXT("login")))
		policy->authenticates = true;
	else if (text_equal(name, TEXT("token")))
		policy->credentials.token = value;
	else if (text_equal(name, TEXT("pass")))
		policy->credentials.pass = value;
	else if (text_equal(name, TEXT("clear_auth")))
		policy->clear_auth = true;
	else if (text_equal(name, TEXT("no_pipelining")))
		policy->no_pipelining = true;
	else if (text_equal(name, TEXT("one_write_bytes")))
		policy->one_write_bytes = number;
	else if (text_equal(name, TEXT("max_messages")))
		policy->max_messages = (uint32_t)number;
	else if (text_equal(name, TEXT("command_ms")))
		policy->command_ms = (uint32_t)number;
	else
		wrong(player, "unknown setting", name);
}

static void set(struct player *player, struct text value)
{
	struct text name = text_cut(&value, ' ');
	uint64_t number = 0;

	(void)text_to_u64(value, &number);
	if (text_equal(name, TEXT("recipients")))
		player->envelope.count = number;
	else if (text_equal(name, TEXT("all_or_none")))
		player->tx.all_or_none = true;
	else if (text_equal(name, TEXT("probe")))
		player->tx.probe = true;
	else if (text_equal(name, TEXT("bare")))
		player->tx.bare = true;
	else if (text_equal(name, TEXT("deadline_ms")))
		player->tx.deadline_ms = number;
	else if (text_equal(name, TEXT("tx_no_pipelining")))
		player->tx.no_pipelining = true;
	else if (text_equal(name, TEXT("eight_bit")))
		player->message.eight_bit = true;
	else if (text_equal(name, TEXT("null_sender")))
		player->envelope.from = (struct text){ 0 };
	else if (text_equal(name, TEXT("uncut")))
		player->uncut = true;
	else if (text_equal(name, TEXT("utf8"))) {
		player->envelope.needs_utf8 = true;
		player->to[0] = TEXT("\xc3\xa4@example.org");
	} else if (text_equal(name, TEXT("dsn"))) {
		player->envelope.notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
		player->envelope.ret = SMTP_RETURN_HEADERS;
		player->envelope.envelope_id = TEXT("a+b");
	} else {
		set_policy(player, name, value, number);
	}
}

static void expect_each(struct player *player, struct text outcomes)
{
	for (size_t i = 0; i < player->envelope.count; i++) {
		const char *is = smtp_outcome_name(player->answers[i].verdict.outcome);

		if (!text_equal(text_cut(&outcomes, ' '), text_of(is)))
			wrong(player, "a recipient's outcome", text_of(is));
	}
}

static bool is_as_expected(struct player *player, struct text what, struct text value)
{
	static const char *const needs[] = { "relay", "tls", "work", "close" };
	const struct smtp_session *session = &player->session;
	const struct smtp_verdict *verdict =
		player->began ? &player->tx.verdict : &session->verdict;
	uint64_t number = 0;
	int at = -1;

	(void)text_to_u64(value, &number);
	if (text_equal(what, TEXT("outcome")))
		return text_equal(value, text_of(smtp_outcome_name(verdict->outcome)));
	if (text_equal(what, TEXT("category")))
		return text_equal(value, text_of(smtp_category_words(verdict->category)->code));
	if (text_equal(what, TEXT("hint"))) /* the last recipient's */
		return text_contains_nocase(
			text_of(player->answers[player->envelope.count - 1].verdict.hint), value);
	if (text_equal(what, TEXT("need")) && is_named(value, needs, 4, &at))
		return at == (int)smtp_session_need(session);
	if (text_equal(what, TEXT("trips")))
		return player->cut != WHOLE || number == player->tx.round_trips;
	if (text_equal(what, TEXT("late")))
		return session->late_answer &&
		       text_equal(value, text_of(smtp_outcome_name(session->verdict.outcome)));
	if (text_equal(what, TEXT("each")))
		expect_each(player, value);
	return true; /* fresh and suspect are looked at from the other side */
}

/* What no transcript says, and holds for all. */
static void expect_always(struct player *player, struct text script)
{
	bool fresh = memmem(script.at, script.len, "\n= fresh", 8) != NULL;
	bool suspect = memmem(script.at, script.len, "\n= suspect", 10) != NULL;
	bool late = memmem(script.at, script.len, "\n= late", 7) != NULL;

	if (player->began && !player->tx.is_over)
		wrong(player, "the transaction is not over", (struct text){ 0 });
	if (player->began && player->tx.verdict.fresh_may_help != fresh)
		wrong(player, "a fresh session may help, or not", (struct text){ 0 });
	if (player->session.pipelining_suspect != suspect)
		wrong(player, "pipelining is suspect, or not", (struct text){ 0 });
	if (player->session.late_answer != late)
		wrong(player, "a late answer", (struct text){ 0 });
	if (memmem(script.at, script.len, "\n> AUTH ", 8) &&
		!text_contains_nocase(buf_text(&player->trace), TEXT("\n> AUTH ")))
		wrong(player, "no AUTH in the trace", buf_text(&player->trace));
	if (text_contains_nocase(buf_text(&player->trace), TEXT("cGVuY2ls")) ||
		text_contains_nocase(buf_text(&player->trace), TEXT("A: b")))
		wrong(player, "secrets or content in the trace", buf_text(&player->trace));
}

static void prepare(struct player *player, const char *name, enum cut cut, size_t cut_at)
{
	*player = (struct player){
		.policy = { .ehlo_name = TEXT("me"),
			.command_ms = 100,
			.data_ms = 200,
			.dot_ms = 300,
			.one_write_bytes = 65536,
			.credentials = { .user = TEXT("user"),
				.pass = TEXT("pencil"),
				.host = TEXT("relay.example"),
				.port = 587 } },
		.segment = smtp_segment_of(TEXT("A: b\r\n\r\n.x\r\n")),
		.to = { TEXT("a@example.org"), TEXT("b@example.org") },
		.trace = buf_born(65536),
		.cut = cut,
		.cut_at = cut_at,
		.name = name,
	};
	player->message = (struct smtp_message){ &player->segment, 1, 12, false };
	player->envelope = (struct smtp_envelope){
		.from = TEXT("s@example.com"), .to = player->to, .count = 1
	};
	player->tx = (struct smtp_transaction){ .envelope = &player->envelope,
		.message = &player->message,
		.answers = player->answers,
		.trace = &player->trace };
	ck_assert_int_eq(region_open(1 << 20, &player->tx.region), OK);
}

/* Gives the number of bytes that the relay said. */
static size_t play(const char *name, enum cut cut, size_t cut_at, bool *uncut_out)
{
	static struct player player;
	const char *end = strstr(name, "\n== ");
	struct text script = text_head(text_of(name), end ? (size_t)(end - name) : strlen(name));
	struct text rest = script;

	prepare(&player, name, cut, cut_at);
	(void)text_cut(&rest, '\n');
	while (rest.len) {
		struct text line = text_cut(&rest, '\n');
		struct text what = text_from(line, 2);

		if (text_starts(line, TEXT("set ")))
			set(&player, text_from(line, 4));
		else if (line.len && strchr("<>!", line.at[0]))
			say(&player, line.at[0], what);
		else if (text_starts(line, TEXT("= "))) {
			struct text value = text_from(line, 2), key = text_cut(&value, ' ');

			flush(&player);
			if (!is_as_expected(&player, key, value))
				wrong(&player, "not as expected", line);
		}
	}
	expect_always(&player, script);
	smtp_session_close(&player.session);
	region_close(player.tx.region);
	buf_free(&player.trace);
	*uncut_out = player.uncut;
	return player.received;
}

START_TEST(a_conversation_goes_as_written)
{
	bool uncut = false;
	size_t len = play(transcripts[_i], WHOLE, 0, &uncut);

	(void)play(transcripts[_i], BYTES_OUT, 0, &uncut);
	for (size_t cut = 0; cut < len && !uncut; cut++)
		(void)play(transcripts[_i], CUT_ONCE, cut, &uncut);
	if (!uncut)
		(void)play(transcripts[_i], BYTES_IN, 0, &uncut);
}
END_TEST

static const struct text two_lines[] = { TEXT("a@b.org>\r\nRCPT TO:<x@y.org"), TEXT("a\nb@c.org"),
	TEXT("a\rb@c.org"), TEXT("a\0b@c.org"), TEXT("a\x7f@c.org"), TEXT("a\t@c.org") };

static void expect_nothing_said(struct player *player)
{
	ck_assert(player->tx.is_over);
	ck_assert_int_eq(player->tx.verdict.outcome, SMTP_NOT_SENT);
	ck_assert_int_eq(player->tx.verdict.category, SMTP_INTERNAL);
	ck_assert_uint_eq(smtp_session_output(&player->session).len, 0);
	ck_assert_int_eq(smtp_session_need(&player->session), SMTP_NEED_CLOSE);
}

/* The second line of defence: whoever made the envelope, a command stays one line. */
START_TEST(no_address_becomes_a_second_command)
{
	static struct player player;
	static char long_one[2000];

	memset(long_one, 'x', sizeof(long_one));
	for (int field = 0; field < 4; field++) {
		struct text bad = _i < 6 ? two_lines[_i] : (struct text){ long_one, 2000 };

		prepare(&player, "no address becomes a second command", WHOLE, 0);
		open_session(&player);
		receive(&player, TEXT("220 hi\r\n"));
		send(&player, TEXT("EHLO me\r\n"));
		receive(&player, TEXT("250-hi\r\n250-PIPELINING\r\n250-DSN\r\n250 CHUNKING\r\n"));
		if (field == 0)
			player.envelope.from = bad;
		else if (field == 1)
			player.to[0] = bad;
		else if (field == 2)
			player.to[1] = bad;
		player.envelope.count = 2;
		if (field == 3)
			player.policy.ehlo_name = bad;
		if (field < 3) {
			begin(&player);
			expect_nothing_said(&player);
		} else {
			smtp_session_close(&player.session);
			smtp_session_open(&player.session, &player.policy, player.nonce, 0);
			receive(&player, TEXT("220 hi\r\n"));
			ck_assert_int_eq(smtp_session_need(&player.session), SMTP_NEED_CLOSE);
			ck_assert_uint_eq(smtp_session_output(&player.session).len, 0);
		}
		smtp_session_close(&player.session);
		region_close(player.tx.region);
		buf_free(&player.trace);
	}
}
END_TEST

START_TEST(the_transcripts_are_there)
{
	ck_assert_int_gt(transcript_count, 200);
	ck_assert_int_lt(transcript_count, MOST);
	ck_assert_uint_lt(sizeof(struct smtp_session), STRUCT_MOST);
}
END_TEST

UNIT_MAIN(session, tcase_add_loop_test(cases, a_conversation_goes_as_written, 0, load_all());
	  tcase_add_loop_test(cases, no_address_becomes_a_second_command, 0, 7);
	  tcase_add_test(cases, the_transcripts_are_there);)
