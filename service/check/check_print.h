/* check_print - a check's steps as lines for people */
#pragma once

#include "service/check/check.h"

#include <stdio.h>

struct check_paper {
	FILE *out;
	size_t width; /* to break lines at; 0: nowhere */
	bool has_colour;
};

struct check_paper check_paper_of(FILE *out);
void check_print_step(const struct check_paper *paper, const struct check_step *step);
/* The last line: could a message be sent? */
void check_print_end(const struct check_paper *paper, const struct check_report *report);
