/* template_read - a template in JSON, and what is to be put into one */
#pragma once

#include "http/mail/reading.h"
#include "http/template/template.h"

struct template_wish {
	struct template_source source;
	bool has_name;
	const struct cJSON *values; /* the member `data`; NULL: none */
	size_t bytes;               /* of the source's texts */
};

/* As the readers of reading.h, into reading->template. */
reader read_template_name, read_template_subject, read_template_text, read_template_html,
	read_template_partials, read_template_values;
