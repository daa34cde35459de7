/* relay_log - what became of a relay, in the log */
#pragma once

#include "service/relay/relay.h"

struct log;

/* A line for each. The relay's lock must not be held. */
void relay_log_news(struct log *log, const struct relay *relay, const struct relay_news *news);
