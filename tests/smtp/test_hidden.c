/* Signs that turn or hide letters (S-16). */
#include "smtp/message/hidden.h"
#include "unit.h"

#include <string.h>

#define LRE         "\xe2\x80\xaa"
#define RLE         "\xe2\x80\xab"
#define PDF         "\xe2\x80\xac"
#define LRO         "\xe2\x80\xad"
#define RLO         "\xe2\x80\xae"
#define LRI         "\xe2\x81\xa6"
#define RLI         "\xe2\x81\xa7"
#define FSI         "\xe2\x81\xa8"
#define PDI         "\xe2\x81\xa9"
#define RLM         "\xe2\x80\x8f"
#define EIGHT(text) text text text text text text text text

/* `why` NULL: fine; of a name, whether it misleads; and whether it holds anything hidden. */
static const struct {
	const char *line, *why;
	bool misleads, hides;
} rows[] = {
	{ "", NULL, false, false },
	{ "plain", NULL, false, false },
	{ "Gr\xc3\xbc\xc3\x9f"
	  "e",
		NULL, false, false },
	{ "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", NULL, false, false },
	{ "\xd7\xa9 (a)" RLM, NULL, false, true },
	{ "\xd9\x85\xe2\x80\x8c\xdb\x8c", NULL, false, true }, /* a joiner */
	{ "a\xcd\x8f", NULL, false, true },
	{ "\xe1\x85\x9f", NULL, false, true },
	{ "\xe1\x85\xa0", NULL, false, true },
	{ "\xe1\x9e\xb4", NULL, false, true },
	{ "\xe1\x9e\xb5", NULL, false, true },
	{ "\xe1\xa0\x8b", NULL, false, true },
	{ "\xe1\xa0\x8f", NULL, false, true },
	{ "\xe2\xa0\x80", NULL, false, true },
	{ "\xe2\xa0\x81", NULL, false, false }, /* Braille with a dot */
	{ "\xe3\x85\xa4", NULL, false, true },
	{ "\xef\xbe\xa0", NULL, false, true },
	{ "\xef\xb8\x80", NULL, false, true },
	{ "\xe2\x9d\xa4\xef\xb8\x8f", NULL, false, true },  /* a heart, in red */
	{ "\xe1\x84\x80\xe1\x85\xa1", NULL, false, false }, /* Hangul letters beside the fillers */
	{ "invoice" RLO "fdp.exe", "overrides", true, true },
	{ "a" LRO "b" PDF, "overrides", true, true },
	{ "hello, " FSI "Ann" PDI, NULL, true, true },
	{ RLE "a" LRE "b" PDF PDF LRI "c" RLI PDI PDI, NULL, true, true },
	{ FSI RLE "a" PDF PDI, NULL, true, true },
	{ FSI "a", "does not turn it back", true, true },
	{ RLE "a", "does not turn it back", true, true },
	{ "a" PDI, "does not turn it back", true, true },
	{ "a" PDF, "does not turn it back", true, true },
	{ RLE "a" PDI, "does not turn it back", true, true },
	{ FSI "a" PDF, "does not turn it back", true, true },
	{ FSI RLE "a" PDI PDF, "does not turn it back", true, true },
	{ EIGHT(EIGHT(FSI)) EIGHT(EIGHT(PDI)), "does not turn it back", true, true },
	{ EIGHT(EIGHT(FSI)), "does not turn it back", true, true },
	{ EIGHT(FSI) EIGHT(PDI), NULL, true, true },
};

START_TEST(a_line_turns_back_what_it_turns)
{
	struct text line = text_of(rows[_i].line);
	const char *why = smtp_line_why_not(line);

	ck_assert_msg(!why == !rows[_i].why, "%s: %s", rows[_i].line, why);
	ck_assert(!why || strstr(why, rows[_i].why));
	ck_assert_int_eq(smtp_name_misleads(line), rows[_i].misleads);
	ck_assert_int_eq(smtp_holds_hidden(line), rows[_i].hides);
}
END_TEST

UNIT_MAIN(hidden, tcase_add_loop_test(cases, a_line_turns_back_what_it_turns, 0,
			  sizeof(rows) / sizeof(rows[0]));)
