/* What comes from outside does nothing to a terminal. */
#include "service/command/terminal.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *words, *shown;
} samples[] = {
	{ "", "" },
	{ "Caf\xc3\xa9, \xe2\x82\xac 5, \xf0\x9f\x98\x80",
		"Caf\xc3\xa9, \xe2\x82\xac 5, \xf0\x9f\x98\x80" },
	{ "\x1b[2Jgone\r\n\x7f", "?[2Jgone???" },
	{ "\xc2\x9b"
	  "31m",
		"?31m" },
	{ "gpj.\xe2\x80\xae"
	  "exe\xe2\x80\xac",
		"gpj.?exe?" },
	{ "a\xe2\x81\xa6"
	  "b\xe2\x81\xa9"
	  "c\xd8\x9c\xe2\x80\x8f",
		"a?b?c??" },
	{ "\x80\xff\xc3", "\x80\xff\xc3" },
};

START_TEST(it_is_shown_without_harm)
{
	char *shown = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&shown, &len);

	ck_assert_ptr_nonnull(out);
	terminal_put((struct text){ samples[_i].words, strlen(samples[_i].words) }, out);
	fclose(out);
	ck_assert_str_eq(shown, samples[_i].shown);
	free(shown);
}
END_TEST

UNIT_MAIN(terminal, tcase_add_loop_test(cases, it_is_shown_without_harm, 0, 7);)
