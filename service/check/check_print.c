#include "service/check/check_print.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* name, mark, time, words: the words begin at INDENT */
enum { NAME = 12, MARK = 8, TIME = 11, INDENT = NAME + MARK + TIME + 2, LEAST = 60 };

static const struct {
	const char *word, *colour;
} marks[] = {
	[CHECK_OK] = { "ok", "\033[32m" },
	[CHECK_WARNING] = { "warning", "\033[33m" },
	[CHECK_FAILED] = { "FAILED", "\033[31m" },
	[CHECK_SKIPPED] = { "skipped", "" },
};

struct check_paper check_paper_of(FILE *out)
{
	struct check_paper paper = { .out = out };
	struct winsize size = { 0 };

	if (!isatty(fileno(out)))
		return paper;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col >= LEAST)
		paper.width = size.ws_col;
	paper.has_colour = !getenv("NO_COLOR");
	return paper;
}

/* How much of the line fits: up to a space, if there is one. */
static size_t fitting(const struct check_paper *paper, struct text line)
{
	size_t room = paper->width ? paper->width - INDENT : line.len, at;

	if (line.len <= room)
		return line.len;
	for (at = room; at > 0 && line.at[at] != ' ';)
		at--;
	if (at == 0) /* one long word: let it stand out */
		at = text_find(line, ' ');
	return at;
}

/* Goes on at INDENT with each further line. */
static void print_words(const struct check_paper *paper, const char *words)
{
	struct text rest = text_of(words);
	bool is_first = true;

	do {
		struct text line = text_cut(&rest, '\n');

		do {
			size_t len = fitting(paper, line);

			fprintf(paper->out, "%*s%.*s\n", is_first ? 0 : INDENT, "", (int)len,
				line.at ? line.at : "");
			is_first = false;
			line = text_from(line, len + 1);
		} while (line.len);
	} while (rest.len);
}

void check_print_step(const struct check_paper *paper, const struct check_step *step)
{
	const char *colour = paper->has_colour ? marks[step->mark].colour : "";
	char time[32] = "";

	if (step->us >= 0)
		snprintf(time, sizeof(time), "%.1f ms", (double)step->us / 1000);
	fprintf(paper->out, "%-*s%s%-*s%s%*s  ", NAME, step->name, colour, MARK,
		marks[step->mark].word, colour[0] ? "\033[0m" : "", TIME, time);
	print_words(paper, step->words);
	if (step->hint[0]) {
		fprintf(paper->out, "%*s", INDENT, "-> ");
		print_words(paper, step->hint);
	}
	fflush(paper->out);
}

void check_print_end(const struct check_paper *paper, const struct check_report *report)
{
	if (report->is_sendable)
		fprintf(paper->out, "\nA message could be sent: yes\n");
	else
		fprintf(paper->out, "\nA message could be sent: no: %s\n", report->why);
	fflush(paper->out);
}
