/* hidden - characters that are not seen, or that turn the order of those that are (UAX #9)
 *
 * With them, what a reader sees is not what it says. All texts are valid UTF-8. */
#pragma once

#include "smtp/text.h"

/* Any of them: what no local part may hold. */
bool smtp_holds_hidden(struct text text);
/* Does a display name, or a file's, hold a character that turns the order of others, so that it
 * reads as another's? Joiners and marks are fine. */
bool smtp_name_misleads(struct text name);
/* Why a subject, or a header of the caller's own, would mislead, as a phrase; NULL: it would not.
 * Texts of two directions may need embeddings and isolates, and must close what they open, or it
 * reaches what is shown beside them; overrides are for no text that is meant to be read. */
const char *smtp_line_why_not(struct text line);
