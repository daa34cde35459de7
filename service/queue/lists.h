/* lists - who asks for pages of messages: a few at a time, in small steps
 *
 * A page may have to look into many messages. So that whoever accepts or sends never waits long for
 * the queue's thread, each step looks into some, and few pages are looked for at a time; the others
 * stand in a line, which is bounded in all and for each API key. */
#pragma once

#include "service/lettergate.h"

struct lists;

MUST_USE enum err lists_open(struct lists **lists_out);
/* As struct gateway's, for ASK_LIST. */
void lists_ask(struct lettergate *lettergate, struct asking *asking);
/* Some times a second: whoever stands in the line and waits no longer is told ERR_IO. */
void lists_tick(struct lists *lists, uint64_t now_us);
/* Nobody stands in the line any more: they are told ERR_IO. */
void lists_stop(struct lists *lists);
/* When the queue was closed. NULL is fine. */
void lists_close(struct lists *lists);
