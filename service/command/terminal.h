/* terminal - what comes from outside, made harmless before it is shown to a person
 *
 * Control characters (C0, DEL, C1) and those that turn the direction of writing become '?'. */
#pragma once

#include <stdio.h>

#include "smtp/text.h"

/* Takes one letter off `rest`, which has at least a byte, and puts it out. */
void terminal_letter(struct text *rest, FILE *out);
/* All of it. */
void terminal_put(struct text text, FILE *out);
