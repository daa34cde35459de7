/* welcome - what is said at the start: to the log, and to people who try it out */
#pragma once

#include "service/log/log.h"

/* Development mode without a key of its own: makes one up. */
MUST_USE enum err welcome_make_key(struct settings *settings);
void welcome(const struct settings *settings, struct log *log);
