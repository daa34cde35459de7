/* form_own - what the files of form share, and nobody else includes */
#pragma once

#include "http/intake/form.h"

/* Only the first call counts; always false. */
bool form_fail(struct form *form, enum err err, const char *why);

/* form_head.c: a line of a part's headers, without its CRLF, in form->head. */
bool form_read_header(struct form *form, struct text line);
/* The headers are whole: is what must be there? */
bool form_check_head(struct form *form);

/* form_parameter.c: name=value behind a type (RFC 9110 section 5.6.6). */
struct form_parameter {
	struct text name, value; /* name empty: there is none left */
	bool is_quoted;          /* value is what stands between the quotes, escapes and all */
};

/* *rest is what stands behind the type, then what is left. False: it follows no grammar. */
bool form_next_parameter(struct text *rest, struct form_parameter *parameter_out);
