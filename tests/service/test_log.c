#include "service/log/log.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

/* A log that writes into a pipe; what came out of it is read by take(). */
static int ends[2];
static struct settings settings;

static struct log *open_log(bool text)
{
	struct log *log = NULL;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	settings = (struct settings){ .log_level = LOG_INFO, .log_text = text };
	ck_assert_int_eq(log_open(ends[1], &settings, &log), OK);
	return log;
}

/* Closes the log and gives all that it wrote. */
static char *take(struct log *log)
{
	static char out[1 << 16];
	size_t len = 0;
	ssize_t got;

	log_close(log);
	close(ends[1]);
	while ((got = read(ends[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)got;
	close(ends[0]);
	out[len] = 0;
	return out;
}

/* Has the line behind its time: the rest up to LF. */
static const char *behind_time(const char *out, const char *start)
{
	ck_assert_msg(strncmp(out, start, strlen(start)) == 0, "%s", out);
	ck_assert_uint_ge(strlen(out), strlen(start) + 24);
	ck_assert_int_eq(out[strlen(start) + 10], 'T');
	ck_assert_int_eq(out[strlen(start) + 23], 'Z');
	return out + strlen(start) + 24;
}

START_TEST(a_line_is_one_json_object)
{
	struct log *log = open_log(false);
	struct log_line line = log_line(log, LOG_WARN, "send");

	log_string(&line, "relay", "primary");
	log_string(&line, "nothing", NULL);
	log_text(&line, "empty", TEXT(""));
	log_u64(&line, "recipients", UINT64_MAX);
	log_ms(&line, "total_ms", 1002003);
	log_end(&line);
	ck_assert_str_eq(behind_time(take(log), "{\"time\":\""),
		"\",\"level\":\"warn\",\"event\":\"send\",\"relay\":\"primary\","
		"\"recipients\":18446744073709551615,\"total_ms\":1002.003}\n");
}
END_TEST

START_TEST(people_get_plain_words)
{
	struct log *log = open_log(true);
	struct log_line line = log_line(log, LOG_INFO, "send");

	log_string(&line, "relay", "primary");
	log_string(&line, "detail", "two words");
	log_string(&line, "sum", "a=b");
	log_u64(&line, "n", 0);
	log_end(&line);
	ck_assert_str_eq(behind_time(take(log), ""),
		" info  send relay=primary detail=\"two words\" sum=\"a=b\" n=0\n");
}
END_TEST

static const struct {
	struct text value;
	const char *json;
} escapes[] = {
	{ TEXT("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ TEXT("a\r\nb\tc"), "\"a\\u000d\\nb\\u0009c\"" },
	{ TEXT("a\0b"), "\"a\\u0000b\"" },
	{ TEXT("\x7f\x1b[31m"), "\"\\u007f\\u001b[31m\"" },
	{ TEXT("gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xa7\"" },
	{ TEXT("\xff\xc3"), "\"\\u00ff\\u00c3\"" },
	{ TEXT("\xc0\x8a"), "\"\\u00c0\\u008a\"" },
	{ TEXT("a\xc2\x85\xe2\x80\xa8\xe2\x80\xa9z"), "\"a\\u0085\\u2028\\u2029z\"" },
	{ TEXT("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"" },
};

START_TEST(nothing_breaks_out_of_its_line)
{
	struct log *log = open_log(_i % 2);
	struct log_line line = log_line(log, LOG_INFO, "x");
	char *out;

	log_text(&line, "v", escapes[_i / 2].value);
	log_end(&line);
	out = take(log);
	ck_assert_msg(strstr(out, escapes[_i / 2].json) != NULL, "wanted %s in %s",
		escapes[_i / 2].json, out);
	ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
	if (_i % 2 == 0) {
		cJSON *parsed = cJSON_ParseWithOpts(out, NULL, 0);

		ck_assert_ptr_nonnull(parsed);
		cJSON_Delete(parsed);
	}
}
END_TEST

static const struct {
	enum log_addresses how;
	struct text address;
	const char *shown; /* NULL: nothing at all */
} addresses[] = {
	{ LOG_MASKED, TEXT("ann@example.com"), "\"to\":\"a***@example.com\"" },
	{ LOG_MASKED, TEXT("a@b"), "\"to\":\"a***@b\"" },
	{ LOG_MASKED,
		TEXT("\xc3\xbc"
		     "ber@example.com"),
		"\"to\":\"\xc3\xbc***@example.com\"" },
	{ LOG_MASKED, TEXT("\"a b@c\"@example.com"), "\"to\":\"***@example.com\"" },
	{ LOG_MASKED, TEXT("nobody"), "\"to\":\"***\"" },
	{ LOG_MASKED, TEXT("@example.com"), "\"to\":\"***\"" },
	{ LOG_MASKED, TEXT(""), NULL },
	{ LOG_FULL, TEXT("ann@example.com"), "\"to\":\"ann@example.com\"" },
	{ LOG_NONE, TEXT("ann@example.com"), NULL },
};

START_TEST(addresses_are_shown_as_wanted)
{
	struct log *log = open_log(false);
	struct log_line line;
	char *out;

	settings.log_addresses = addresses[_i].how;
	log_adjust(log, &settings);
	line = log_line(log, LOG_INFO, "x");
	log_address(&line, "to", addresses[_i].address);
	log_end(&line);
	out = take(log);
	if (addresses[_i].shown)
		ck_assert_msg(strstr(out, addresses[_i].shown) != NULL, "%s", out);
	else
		ck_assert_msg(!strstr(out, "\"to\""), "%s", out);
}
END_TEST

static const struct {
	enum log_addresses how;
	const char *words, *shown;
} sentences[] = {
	{ LOG_MASKED, "<no@example.org>: user unknown", "<n***@example.org>: user unknown" },
	{ LOG_MASKED, "no@example.org", "n***@example.org" },
	{ LOG_MASKED, "a@b and c.d@e, (f@g)", "a***@b and c***@e, (f***@g)" },
	{ LOG_MASKED,
		"\xc3\xbc"
		"ber@example.org?",
		"***@example.org?" },
	{ LOG_MASKED, "@ alone, a@ and @b", "@ alone, a@ and @b" },
	{ LOG_MASKED, "a@b@c", "a***@b@c" },
	{ LOG_MASKED, "Ok: queued as 4XyZ", "Ok: queued as 4XyZ" },
	{ LOG_FULL, "<no@example.org>: user unknown", "<no@example.org>: user unknown" },
	{ LOG_NONE, "<no@example.org>: user unknown", "<***>: user unknown" },
};

START_TEST(addresses_in_foreign_words_are_shown_as_wanted)
{
	struct log *log = open_log(false);
	struct log_line line;
	char expected[200], *out;

	settings.log_addresses = sentences[_i].how;
	log_adjust(log, &settings);
	line = log_line(log, LOG_INFO, "x");
	log_words(&line, "said", text_of(sentences[_i].words));
	log_end(&line);
	out = take(log);
	snprintf(expected, sizeof(expected), "\"said\":\"%s\"", sentences[_i].shown);
	ck_assert_msg(strstr(out, expected) != NULL, "%s in %s", expected, out);
}
END_TEST

START_TEST(below_the_level_nothing_is_built)
{
	struct log *log = open_log(false);
	struct log_line line = log_line(log, LOG_DEBUG, "x");

	ck_assert_ptr_null(line.log);
	log_string(&line, "a", "b");
	log_end(&line);
	ck_assert(!log_shows(log, LOG_DEBUG));
	settings.log_level = LOG_DEBUG;
	log_adjust(log, &settings);
	ck_assert(log_shows(log, LOG_DEBUG));
	line = log_line(log, LOG_DEBUG, "y");
	log_end(&line);
	ck_assert_str_eq(behind_time(take(log), "{\"time\":\""),
		"\",\"level\":\"debug\",\"event\":\"y\"}\n");
	line = log_line(NULL, LOG_ERROR, "z"); /* no log at all */
	log_string(&line, "a", "b");
	log_end(&line);
}
END_TEST

/* Wherever a line is full: it is whole JSON, says that it was cut, and has no half a value. */
START_TEST(a_long_line_is_cut_between_values)
{
	struct log *log = open_log(false);
	struct log_line line = log_line(log, LOG_INFO, "x");
	char filler[1900 + 1], *out;
	const cJSON *member;
	cJSON *parsed;

	memset(filler, 'f', sizeof(filler));
	log_text(&line, "filler", (struct text){ filler, (size_t)(1800 + _i) });
	log_string(&line, "first", "\x01\x02\x03\x04\x05\x06\x07");
	log_u64(&line, "number", 1234567890123);
	log_ms(&line, "time", 1234567890123);
	log_string(&line, "last", "0123456789012345678901234567890123456789");
	log_end(&line);
	out = take(log);
	ck_assert_uint_le(strlen(out), sizeof(line.at));
	parsed = cJSON_Parse(out);
	ck_assert_msg(parsed != NULL, "%s", out);
	ck_assert_int_eq(out[strlen(out) - 1], '\n');
	ck_assert_int_eq(cJSON_HasObjectItem(parsed, "cut"), !cJSON_HasObjectItem(parsed, "last"));
	member = cJSON_GetObjectItem(parsed, "first");
	if (member)
		ck_assert_str_eq(member->valuestring, "\x01\x02\x03\x04\x05\x06\x07");
	member = cJSON_GetObjectItem(parsed, "number");
	if (member)
		ck_assert(member->valuedouble == 1234567890123.0);
	cJSON_Delete(parsed);
}
END_TEST

/* ---- a reader that is slow, or gone */

static void log_filler(struct log *log, unsigned count)
{
	char filler[1000];

	memset(filler, 'f', sizeof(filler));
	for (unsigned i = 0; i < count; i++) {
		struct log_line line = log_line(log, LOG_INFO, "x");

		log_text(&line, "filler", (struct text){ filler, sizeof(filler) });
		log_u64(&line, "n", i);
		log_end(&line);
	}
}

/* Every line that is dropped is counted by one that says so, as soon as there is room. */
START_TEST(what_nobody_reads_is_dropped_and_told)
{
	enum { LINES = 5000 }; /* five times what the ring holds */
	struct log *log = open_log(false);
	unsigned long long told = 0, some;
	FILE *reader = fdopen(ends[0], "r");
	char line[4096], *count;

	log_filler(log, LINES); /* returns: nobody waits for the reader */
	ck_assert_uint_gt(log_dropped(log), LINES / 2);
	ck_assert_uint_lt(log_dropped(log), LINES);
	while (told < log_dropped(log)) {
		ck_assert_ptr_nonnull(fgets(line, sizeof(line), reader));
		ck_assert_int_eq(line[0], '{');
		ck_assert_str_eq(line + strlen(line) - 2, "}\n");
		count = strstr(line, "\"event\":\"log_dropped\",\"lines\":");
		if (!count)
			continue;
		ck_assert_int_eq(sscanf(strrchr(line, ':'), ":%llu", &some), 1);
		told += some;
	}
	ck_assert_uint_eq(told, log_dropped(log));
	log_close(log);
	fclose(reader);
	close(ends[1]);
}
END_TEST

START_TEST(closing_does_not_wait_for_ever)
{
	struct log *log = open_log(false);
	struct timespec before, after;

	log_filler(log, 500);
	clock_gettime(CLOCK_MONOTONIC, &before);
	log_close(log); /* nobody reads */
	clock_gettime(CLOCK_MONOTONIC, &after);
	ck_assert_int_lt(after.tv_sec - before.tv_sec, 20);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(a_reader_that_is_gone_is_no_end)
{
	struct log *log = open_log(false);

	close(ends[0]); /* SIGPIPE would end this test */
	log_filler(log, 100);
	log_close(log);
	close(ends[1]);
}
END_TEST

START_TEST(all_of_it_is_written_before_closing)
{
	struct log *log = open_log(false);
	size_t lines = 0;

	log_filler(log, 40);
	for (const char *at = take(log); (at = strchr(at, '\n')); at++)
		lines++;
	ck_assert_uint_eq(lines, 40);
}
END_TEST

UNIT_MAIN(log, tcase_add_test(cases, a_line_is_one_json_object);
	  tcase_add_test(cases, people_get_plain_words); tcase_add_loop_test(cases,
		  nothing_breaks_out_of_its_line, 0, 2 * sizeof(escapes) / sizeof(escapes[0]));
	  tcase_add_loop_test(cases, addresses_are_shown_as_wanted, 0,
		  sizeof(addresses) / sizeof(addresses[0]));
	  tcase_add_loop_test(cases, addresses_in_foreign_words_are_shown_as_wanted, 0,
		  sizeof(sentences) / sizeof(sentences[0]));
	  tcase_add_test(cases, below_the_level_nothing_is_built);
	  tcase_add_loop_test(cases, a_long_line_is_cut_between_values, 0, 100);
	  tcase_add_test(cases, what_nobody_reads_is_dropped_and_told);
	  tcase_add_test(cases, closing_does_not_wait_for_ever);
	  tcase_add_test(cases, a_reader_that_is_gone_is_no_end);
	  tcase_add_test(cases, all_of_it_is_written_before_closing);)
