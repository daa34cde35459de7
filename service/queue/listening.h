/* listening - who asks for events, and who waits for the next one without holding a thread
 *
 * A question that finds nothing is put aside until events are written, its time is over, or the
 * gateway drains. Their number is bounded, in all and for each API key. */
#pragma once

#include "service/lettergate.h"

struct listening;

MUST_USE enum err listening_open(struct listening **listening_out);
/* As struct gateway's, for ASK_EVENTS. */
void listening_ask(struct lettergate *lettergate, struct asking *asking);
/* Events may have been written. Any thread; does not wait. */
void listening_news(struct listening *listening);
/* Some times a second. */
void listening_tick(struct lettergate *lettergate, uint64_t now_us);
/* Nobody waits any more: all are told that there is nothing. */
void listening_stop(struct listening *listening);
/* When the queue was closed. NULL is fine. */
void listening_close(struct listening *listening);
