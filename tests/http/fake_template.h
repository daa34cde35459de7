/* fake_template - templates for the fake gateway: a few, kept until it is closed */
#pragma once

#include "http/gateway.h"

enum { FAKE_TEMPLATES = 8 };

struct fake_templates {
	struct {
		struct template template;
		struct region *region;
	} at[FAKE_TEMPLATES];
	size_t count;
	int held;                         /* not yet released */
	enum template_change next_change; /* of the next put; 0: it is kept */
	bool has_store;                   /* changes are told later */
	bool is_late;                     /* … and whoever asked does not wait for that */
};

/* What is called "file" is one of TEMPLATES_DIR, and the partial "shared" is there for all. */
void fake_templates_open(struct fake_templates *templates, struct gateway *gateway);
void fake_templates_close(struct fake_templates *templates);
