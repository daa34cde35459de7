/* welcome - what is said at the start: to the log, and to people who try it out */
#pragma once

#include "service/log/log.h"

/* Development's folder for the queue; where none can be made, nothing is kept. */
void welcome_make_folder(struct settings *settings);
/* Development mode without a key of its own: makes one up. */
MUST_USE enum err welcome_make_key(struct settings *settings);
void welcome(const struct settings *settings, struct log *log);
