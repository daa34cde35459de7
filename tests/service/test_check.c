/* What a check prints, and what it makes of words that come from outside. */
#include "service/session/advice.h"
#include "service/check/check_print.h"
#include "service/check/check_run.h"
#include "unit.h"

#include <string.h>

enum { PRINTED = 4096 };

static const char *printed(size_t width, const struct check_step *step)
{
	static char text[PRINTED];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct check_paper paper = { .out = out, .width = width };

	memset(text, 0, sizeof(text));
	ck_assert_ptr_nonnull(out);
	check_print_step(&paper, step);
	(void)fclose(out);
	return text;
}

START_TEST(columns_are_aligned)
{
	struct check_step step = { "EHLO", CHECK_OK, 1234, "one\ntwo", "change this" };

	ck_assert_str_eq(printed(0, &step), "EHLO        ok           1.2 ms  one\n"
					    "                                 two\n"
					    "                              -> change this\n");
	step = (struct check_step){ "certificate", CHECK_FAILED, -1, "", "" };
	ck_assert_str_eq(printed(0, &step), "certificate FAILED               \n");
}
END_TEST

START_TEST(long_lines_break_between_words)
{
	struct check_step step = { "EHLO", CHECK_OK, -1, "aaaa bbbb cccc dddddddddddddddd ee", "" };

	ck_assert_str_eq(printed(33 + 10, &step),
		"EHLO        ok                   aaaa bbbb\n"
		"                                 cccc\n"
		"                                 dddddddddddddddd\n"
		"                                 ee\n");
}
END_TEST

static const struct {
	struct text raw, shown;
} foreign[] = {
	{ TEXT(""), TEXT("") }, { TEXT("plain"), TEXT("plain") },
	{ TEXT("a\x1b[31mb\nc\0d\x7f"), TEXT("a?[31mb?c?d?") },
	{ TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		TEXT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") },
	{ TEXT("\xff\xc3"), TEXT("??") }, { TEXT("\xc3\x41"), TEXT("?A") },
	{ TEXT("\xc2\x9b."), TEXT("??.") },         /* C1 */
	{ TEXT("\xe2\x80\xa8."), TEXT("???.") },    /* line separator */
	{ TEXT("\xed\xa0\x80"), TEXT("???") },      /* surrogate */
	{ TEXT("\xf4\x90\x80\x80"), TEXT("????") }, /* above U+10FFFF */
};

START_TEST(foreign_words_are_made_safe)
{
	struct buf out = buf_born(100);

	check_add_foreign(&out, foreign[_i].raw);
	ck_assert_uint_eq(out.len, foreign[_i].shown.len);
	ck_assert(text_equal(buf_text(&out), foreign[_i].shown));
	buf_free(&out);
}
END_TEST

START_TEST(replies_and_durations_are_told_shortly)
{
	struct smtp_said said = { 550, { 5, 1, 1 }, TEXT("no\x07") };
	struct buf out = buf_born(100);

	check_add_said(&out, &said);
	ck_assert(text_equal(buf_text(&out), TEXT("550 5.1.1 no?")));
	buf_clear(&out);
	said.enhanced.class = 0;
	check_add_said(&out, &said);
	ck_assert(text_equal(buf_text(&out), TEXT("550 no?")));
	buf_clear(&out);
	advice_add_duration(&out, 200);
	buf_add_byte(&out, ' ');
	advice_add_duration(&out, 1500);
	buf_add_byte(&out, ' ');
	advice_add_duration(&out, 60000);
	ck_assert(text_equal(buf_text(&out), TEXT("200 ms 1.5 s 60 s")));
	buf_free(&out);
}
END_TEST

START_TEST(the_sender_is_the_user_if_that_is_an_address)
{
	struct relay_settings settings = { .user = "me@example.com", .ehlo_name = "gate.test" };
	struct buf out = buf_born(100);

	check_sender(&settings, &out);
	ck_assert(text_equal(buf_text(&out), TEXT("me@example.com")));
	buf_clear(&out);
	settings.user = "apikey";
	check_sender(&settings, &out);
	ck_assert(text_equal(buf_text(&out), TEXT("postmaster@gate.test")));
	buf_free(&out);
}
END_TEST

/* ---- what a port speaks */

static const struct {
	struct text start;
	enum speech speech;
} speeches[] = {
	{ TEXT(""), SPEECH_NONE },
	{ TEXT("220 mail.test ESMTP"), SPEECH_SMTP },
	{ TEXT("220-mail.test"), SPEECH_SMTP },
	{ TEXT("554\r\n"), SPEECH_SMTP },
	{ TEXT("421"), SPEECH_SMTP },
	{ TEXT("2200"), SPEECH_OTHER },
	{ TEXT("120 wait"), SPEECH_OTHER },
	{ TEXT("620 no"), SPEECH_OTHER },
	{ TEXT("22"), SPEECH_OTHER },
	{ TEXT("\x16\x03\x03\0\x7a"), SPEECH_TLS },
	{ TEXT("\x15\x03\x01\0\x02\x02\x28"), SPEECH_TLS },
	{ TEXT("\x16\x04"), SPEECH_OTHER },
	{ TEXT("HTTP/1.1 400 Bad Request"), SPEECH_HTTP },
	{ TEXT("<!DOCTYPE HTML>"), SPEECH_HTTP },
	{ TEXT("<html>"), SPEECH_HTTP },
	{ TEXT("HTTP "), SPEECH_OTHER },
	{ TEXT("SSH-2.0-OpenSSH_9.2"), SPEECH_SSH },
	{ TEXT("* OK ready"), SPEECH_IMAP },
	{ TEXT("* BYE too many"), SPEECH_IMAP },
	{ TEXT("* PREAUTH hi"), SPEECH_IMAP },
	{ TEXT("* "), SPEECH_OTHER },
	{ TEXT("+OK ready"), SPEECH_POP3 },
	{ TEXT("J\0\0\0\n8.0.33"), SPEECH_OTHER },
	{ TEXT("hello"), SPEECH_OTHER },
};

START_TEST(a_port_is_known_by_its_first_bytes)
{
	ck_assert_int_eq(speech_of(speeches[_i].start), speeches[_i].speech);
}
END_TEST

static const struct {
	enum speech speech;
	bool behind_tls;
	uint16_t port;
	const char *host, *words, *hint; /* how they begin */
} named[] = {
	{ SPEECH_HTTP, false, 80, "192.0.2.1", "this port speaks HTTP, not SMTP",
		"That is a web server's port. Set SMTP_PORT to the relay's: usually 587 "
		"(SMTP_SECURE=STARTTLS) or 465 (SMTP_SECURE=TLS)." },
	{ SPEECH_HTTP, false, 8080, "127.0.0.1", "this port speaks HTTP, not SMTP",
		"That is a web server's port. Set SMTP_PORT to the relay's: usually 587 "
		"(SMTP_SECURE=STARTTLS), 465 (SMTP_SECURE=TLS) or 25; Mailpit" },
	{ SPEECH_HTTP, true, 443, "192.0.2.1", "this port speaks HTTPS, not SMTP",
		"Port 443 is a web server's. For SMTP set SMTP_PORT=465 (SMTP_SECURE=TLS)" },
	{ SPEECH_HTTP, false, 8025, "mailpit", "this port speaks HTTP, not SMTP",
		"That is the web page of Mailpit or MailHog; mail goes to SMTP_PORT=1025." },
	{ SPEECH_IMAP, true, 993, "192.0.2.1", "this port speaks IMAP with TLS, not SMTP",
		"That port is for reading mail." },
	{ SPEECH_POP3, false, 110, "192.0.2.1", "this port speaks POP3, not SMTP",
		"That port is for reading mail." },
	{ SPEECH_SSH, false, 22, "192.0.2.1", "this port speaks SSH, not SMTP",
		"That is the port for remote logins." },
	{ SPEECH_TLS, false, 465, "192.0.2.1", "the port wants TLS from the first byte",
		"Set SMTP_SECURE=TLS" },
	{ SPEECH_SMTP, true, 465, "192.0.2.1", "the port wants TLS from the first byte",
		"Set SMTP_SECURE=TLS" },
	{ SPEECH_SMTP, false, 587, "192.0.2.1", "this port begins in clear: it says \"hi\"",
		"Set SMTP_SECURE=STARTTLS" },
	{ SPEECH_OTHER, false, 3306, "192.0.2.1", "this port does not speak SMTP: it says \"hi\"",
		"Another service listens there" },
};

START_TEST(what_a_port_speaks_is_named_with_its_mend)
{
	struct relay_settings settings = { .port = named[_i].port, .host = named[_i].host };
	struct buf words = buf_born(1000);

	speech_add_words(named[_i].speech, named[_i].behind_tls, TEXT("hi"), &words);
	ck_assert(text_equal(buf_text(&words), text_of(named[_i].words)));
	ck_assert(
		text_starts(text_of(speech_hint(&settings, named[_i].speech, named[_i].behind_tls)),
			text_of(named[_i].hint)));
	buf_free(&words);
}
END_TEST

/* ---- what went wrong, and what to change */

struct advised {
	enum smtp_loss loss;
	enum smtp_phase phase;
	enum smtp_tls tls;
	uint16_t port;
	const char *opening, *words, *hint; /* the hint: a part of it */
};

static const struct advised losses[] = {
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_GREETING, SMTP_TLS_STARTTLS, 80, "",
		"the relay said nothing for 2 s, where its greeting was due",
		"SMTP_PORT may be another service's" },
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_GREETING, SMTP_TLS_STARTTLS, 465, "",
		"the relay said nothing for 2 s, where its greeting was due",
		"Port 465 wants TLS from the first byte: set SMTP_SECURE=TLS." },
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_TLS, SMTP_TLS_IMPLICIT, 80, "",
		"the relay said nothing for 2 s, where the TLS handshake was due",
		"another service's" },
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_EHLO, SMTP_TLS_STARTTLS, 21, "",
		"the relay said nothing for 2 s, where its answer to EHLO was due",
		"check SMTP_HOST and SMTP_PORT" },
	{ SMTP_LOSS_DISCONNECTED, SMTP_IN_AUTH, SMTP_TLS_STARTTLS, 587, "",
		"gone, where its answer to AUTH was due", "check SMTP_USER and SMTP_PASS" },
	{ SMTP_LOSS_DISCONNECTED, SMTP_IN_TLS, SMTP_TLS_STARTTLS, 587, "",
		"gone, where the TLS handshake was due", "SMTP_CLIENT_CERT" },
	{ SMTP_LOSS_DISCONNECTED, SMTP_IN_TLS, SMTP_TLS_IMPLICIT, 587, "",
		"gone, where the TLS handshake was due", "SMTP_SECURE=STARTTLS, or SMTP_PORT=465" },
	{ SMTP_LOSS_WRONG_PROTOCOL, SMTP_IN_GREETING, SMTP_TLS_STARTTLS, 22, "SSH-2.0-",
		"this port speaks SSH, not SMTP", "SMTP_PORT" },
	{ SMTP_LOSS_GARBLED, SMTP_IN_GREETING, SMTP_TLS_IMPLICIT, 993, "* BYE no",
		"this port speaks IMAP with TLS, not SMTP", "for reading mail" },
	{ SMTP_LOSS_GARBLED, SMTP_IN_GREETING, SMTP_TLS_STARTTLS, 23, "hello",
		"the relay does not keep to SMTP: gone", "Another service listens there" },
	{ SMTP_LOSS_GARBLED, SMTP_IN_EHLO, SMTP_TLS_STARTTLS, 587, "220 hi",
		"the relay does not keep to SMTP: gone", "operator" },
	{ SMTP_LOSS_NO_TLS, SMTP_IN_EHLO, SMTP_TLS_STARTTLS, 25, "220 hi",
		"the relay does not offer STARTTLS", "SMTP_PORT=587" },
	{ SMTP_LOSS_NO_AUTH, SMTP_IN_AUTH, SMTP_TLS_STARTTLS, 25, "220 hi",
		"the relay takes no logins here", "Port 25 rarely takes logins" },
};

static struct smtp_session lost_session(
	const struct smtp_policy *policy, const struct advised *advised)
{
	struct smtp_session session = { .policy = policy,
		.loss = advised->loss,
		.opening_len = strlen(advised->opening),
		.secure = advised->tls == SMTP_TLS_IMPLICIT && advised->phase != SMTP_IN_TLS,
		.verdict = smtp_verdict_of_loss(advised->loss, advised->phase, false) };

	memcpy(session.opening, advised->opening, session.opening_len);
	return session;
}

START_TEST(a_lost_opening_is_told_with_its_mend)
{
	const struct advised *advised = &losses[_i];
	struct smtp_policy policy = { .authenticates = true };
	struct relay_settings settings = { .host = "mail.test",
		.port = advised->port,
		.tls = advised->tls,
		.tls_min = 12,
		.command_ms = 2000 };
	struct smtp_session session = lost_session(&policy, advised);
	struct buf words = buf_born(1000);

	advice_add_loss(&settings, &session, "gone", &words);
	ck_assert_msg(text_equal(buf_text(&words), text_of(advised->words)), "%.*s", (int)words.len,
		words.at);
	ck_assert_ptr_nonnull(
		strstr(advice_hint(&settings, &session, &session.verdict), advised->hint));
	buf_free(&words);
}
END_TEST

START_TEST(who_has_logged_in_is_not_told_to)
{
	static const struct smtp_said denied = { 554, { 5, 7, 1 }, TEXT("Relay access denied") };
	struct smtp_verdict verdict =
		smtp_verdict_of_said(&denied, SMTP_IN_RCPT, (struct smtp_verdict_rules){ 0 });
	struct relay_settings settings = { .host = "mail.test", .port = 587 };
	struct smtp_policy policy = { 0 };
	struct smtp_session session = { .policy = &policy };

	ck_assert_ptr_nonnull(strstr(advice_hint(&settings, &session, &verdict), "SMTP_USER"));
	policy.authenticates = true;
	ck_assert_ptr_null(strstr(advice_hint(&settings, &session, &verdict), "SMTP_USER"));
}
END_TEST

START_TEST(a_login_that_is_offered_and_not_set_is_named)
{
	static const struct smtp_said refused = { 554, { 5, 7, 1 }, TEXT("Access denied") };
	struct smtp_verdict verdict =
		smtp_verdict_of_said(&refused, SMTP_IN_RCPT, (struct smtp_verdict_rules){ 0 });
	struct relay_settings settings = { .host = "mail.test", .port = 587 };
	struct smtp_policy policy = { 0 };
	struct smtp_session session = { .policy = &policy };

	ck_assert_int_eq(verdict.category, SMTP_POLICY_REJECTED);
	ck_assert_str_eq(advice_hint(&settings, &session, &verdict), verdict.hint);
	session.features.offered = SMTP_AUTH;
	ck_assert_ptr_nonnull(strstr(advice_hint(&settings, &session, &verdict), "SMTP_USER"));
	policy.authenticates = true;
	ck_assert_str_eq(advice_hint(&settings, &session, &verdict), verdict.hint);
}
END_TEST

static const struct {
	enum smtp_loss loss;
	enum smtp_phase phase;
	uint16_t port;
	const char *host, *hint;
} unreached[] = {
	{ SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, 587, "127.0.0.1", "within a container" },
	{ SMTP_LOSS_UNREACHABLE, SMTP_IN_CONNECT, 587, "mail.test", "that the relay is running" },
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_CONNECT, 25, "mail.test", "SMTP_PORT=587" },
	{ SMTP_LOSS_TIMEOUT, SMTP_IN_CONNECT, 587, "mail.test", "firewall" },
	{ SMTP_LOSS_NO_NAME, SMTP_IN_DNS, 25, "mailpit", "without a dot" },
	{ SMTP_LOSS_NO_NAME, SMTP_IN_DNS, 25, "mail.test", "name servers" },
};

START_TEST(a_relay_that_is_not_reached_is_told_by_where_it_should_be)
{
	struct relay_settings settings = { .host = unreached[_i].host, .port = unreached[_i].port };
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(unreached[_i].loss, unreached[_i].phase, false);

	ck_assert_ptr_nonnull(strstr(advice_hint(&settings, NULL, &verdict), unreached[_i].hint));
}
END_TEST

UNIT_MAIN(check, tcase_add_test(cases, columns_are_aligned);
	  tcase_add_test(cases, long_lines_break_between_words); tcase_add_loop_test(cases,
		  foreign_words_are_made_safe, 0, (int)(sizeof(foreign) / sizeof(foreign[0])));
	  tcase_add_test(cases, replies_and_durations_are_told_shortly);
	  tcase_add_test(cases, the_sender_is_the_user_if_that_is_an_address);
	  tcase_add_loop_test(cases, a_port_is_known_by_its_first_bytes, 0,
		  (int)(sizeof(speeches) / sizeof(speeches[0])));
	  tcase_add_loop_test(cases, what_a_port_speaks_is_named_with_its_mend, 0,
		  (int)(sizeof(named) / sizeof(named[0])));
	  tcase_add_loop_test(cases, a_lost_opening_is_told_with_its_mend, 0,
		  (int)(sizeof(losses) / sizeof(losses[0])));
	  tcase_add_test(cases, who_has_logged_in_is_not_told_to);
	  tcase_add_test(cases, a_login_that_is_offered_and_not_set_is_named);
	  tcase_add_loop_test(cases, a_relay_that_is_not_reached_is_told_by_where_it_should_be, 0,
		  (int)(sizeof(unreached) / sizeof(unreached[0]))))
