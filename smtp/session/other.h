/* other - what else than SMTP may listen at a port */
#pragma once

#include "smtp/text.h"

/* Do the first bytes that came belong to another protocol? In words, else NULL. */
const char *smtp_other_protocol(struct text start);
