/* counting - what /metrics tells of the queue, without holding a thread
 *
 * One question at a time is put to the queue, for all who ask meanwhile. A store that takes its
 * time is not waited for: then they are told nothing of it. */
#pragma once

#include "service/lettergate.h"

struct counting;

MUST_USE enum err counting_open(struct counting **counting_out);
/* As struct gateway's, for ASK_COUNTS. */
void counting_ask(struct lettergate *lettergate, struct asking *asking);
/* Some times a second. */
void counting_tick(struct counting *counting, uint64_t now_us);
/* Nobody waits any more: all are told nothing. */
void counting_stop(struct counting *counting);
/* When the queue was closed. NULL is fine. */
void counting_close(struct counting *counting);
